"""A direction as a CTranslate2 model: CTranslate2 itself gives the translations of the routed engine."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shelf
import torch
from click.testing import CliRunner

import banks
import tiny
from lingraft.atoms import ConfigError, Direction, LibraryError, Role
from lingraft.base import Base
from lingraft.base import load as load_base
from lingraft.base.fingerprint import fingerprint
from lingraft.delta import Adapter, Token
from lingraft.direction import attach
from lingraft.library import LanguageModule, Library, cli_export
from lingraft.library.ctranslate import export_ctranslate2
from lingraft.library.mixing import Mixing, store
from lingraft.library.using import router
from lingraft.verbs.library import export

ctranslate2 = pytest.importorskip("ctranslate2", reason="the extra ctranslate2 is not installed")

LIKE = {"fur_Latn": "ita_Latn", "scn_Latn": "ita_Latn"}
LANGUAGES = ("deu_Latn", "fra_Latn", *LIKE)
BASE = Direction("ita_Latn", "spa_Latn")
TEXTS = tiny.TEXTS[:6]  # one sentence each


def module(base: Base, language: str, scoped: bool) -> LanguageModule:
    """Random adapters; those of a language that the base has no token for bring one."""
    parts = []
    for role in Role:
        made = banks.adapter(base, language, role, scoped=scoped, rank=None)
        token = None
        if language in LIKE:
            row = base.model.get_submodule(base.embedding(role)).weight[base.token(LIKE[language])].detach()
            noise = torch.randn(row.shape, generator=torch.Generator().manual_seed(len(language + role)))
            token = Token(LIKE[language], row + 0.3 * noise)
        parts.append(Adapter(*made.name, made.scope, made.updates, token))
    return LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile(language))


def shelved(base: Base, folder: Path, scoped: bool = False, languages: tuple[str, ...] = LANGUAGES) -> Library:
    library = Library.create(folder, base, scope="span" if scoped else "everywhere")
    library.add({language: module(base, language, scoped) for language in languages})
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return shelved(tiny.load("m2m_100"), tmp_path_factory.mktemp("lib") / "x")


def routed(library: Library, where: Direction, most: int = 40) -> list[str]:
    with attach(library.base, router(library, [where])) as translator:
        return translator.translate(TEXTS, where, max_tokens=most)


def readme(folder: Path) -> dict[str, Any]:
    """The names that the README's code defines."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    names: dict[str, Any] = {}
    exec(code.replace('FOLDER = "."', f"FOLDER = {str(folder)!r}"), names)
    return names


def through_ctranslate2(library: Library, where: Direction, folder: Path, most: int = 40) -> list[str]:
    """Translate as the README says, but put the answers together by id: random models write language tokens, too."""
    (vocabulary,) = [file for name in ("target", "shared") for file in folder.glob(f"{name}_vocabulary.json")]
    ids = {token: index for index, token in enumerate(json.loads(vocabulary.read_text()))}
    names, rows = readme(folder), []
    translator = names["translator"]

    def noted(*given: object, **options: object) -> list:
        rows.extend(translator.translate_batch(*given, **options))
        return rows

    names["translator"] = SimpleNamespace(translate_batch=noted)
    names["translate"](TEXTS, max_decoding_length=most + 1)  # the target prefix counts there
    return [library.base.format.decode([ids[token] for token in row.hypotheses[0]]) for row in rows]


@pytest.mark.parametrize("codes", ["deu_Latn-fra_Latn", "fur_Latn-scn_Latn", "scn_Latn-ita_Latn"])
def test_ctranslate2_gives_the_translations_of_the_library(codes, library, tmp_path):
    where = Direction(*codes.split("-"))
    before = fingerprint(library.base.model, exact=True)
    assert export_ctranslate2(library, where, tmp_path / "x") is None
    wanted = routed(library, where)
    assert len({wanted[0], routed(library, Direction("eng_Latn", where.target))[0], routed(library, BASE)[0]}) > 1
    assert through_ctranslate2(library, where, tmp_path / "x") == wanted
    assert fingerprint(library.base.model, exact=True) == before
    text = (tmp_path / "x" / "README.md").read_text()
    assert f"source prefix | `{where.source}`" in text
    assert f"target prefix | `{where.target}`" in text
    for language, role in zip(where, Role, strict=True):
        assert library.pointer(language).of(role) in text if language in LANGUAGES else "is the base's own" in text


def test_the_readme_tells_how_to_call_it(library, tmp_path):
    where = Direction("deu_Latn", "fra_Latn")
    export_ctranslate2(library, where, tmp_path / "x")
    wanted = routed(library, where, most=8)
    assert readme(tmp_path / "x")["translate"](TEXTS, max_decoding_length=9) == wanted
    assert all(wanted)


@pytest.mark.parametrize("scoped", [False, True])
def test_tokens_of_m2m_100_and_adapters_of_a_span_are_right_too(scoped, tmp_path):
    """``banks`` puts updates at every site, so a scope that was ignored would be heard."""
    base = tiny.load("m2m_100_short")
    library = shelved(base, tmp_path / "lib", scoped, ("deu_Latn", "fra_Latn"))
    where = Direction("deu_Latn", "fra_Latn")
    assert export_ctranslate2(library, where, tmp_path / "x") is None
    assert "| target prefix | `__fr__` |" in (tmp_path / "x" / "README.md").read_text()
    wanted = routed(library, where)
    assert len(set(wanted)) > 1
    assert through_ctranslate2(library, where, tmp_path / "x") == wanted


def run(*words: object):
    outcome = CliRunner().invoke(export, [str(word) for word in words])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome


def test_the_verb_writes_fewer_bits_and_says_what_differs(library, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_export, "open_library", lambda *_: library)
    where = Direction("deu_Latn", "fra_Latn")
    store(library, where, Mixing(via="pivot"))
    words = (where, "--library", library.path, "--format", "ctranslate2")
    try:
        output = run(*words, "--quantization", "int8", "--to", tmp_path / "small").output
        run(*words, "--recipe", "library", "--to", tmp_path / "whole")
    finally:
        (library.path / "recipes" / f"{where}.yaml").unlink()
    assert "warning: the library translates deu_Latn-fra_Latn through English" in output
    assert "weights in int8" in (tmp_path / "small" / "README.md").read_text()
    sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("small", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    assert ctranslate2.Translator(str(tmp_path / "small")).compute_type.startswith("int8")


def test_what_cannot_be_is_refused_and_leaves_nothing(library, tmp_path, monkeypatch):
    where = Direction("deu_Latn", "fra_Latn")
    decoder = Library.create(tmp_path / "lib", tiny.load("llama"))
    with pytest.raises(ConfigError, match="is decoder-only"):
        export_ctranslate2(decoder, where, tmp_path / "x")
    with pytest.raises(ConfigError, match="must be one of float32"):
        export_ctranslate2(library, where, tmp_path / "x", quantization="int2")
    with pytest.raises(LibraryError, match="must be a new folder"):
        export_ctranslate2(library, where, tmp_path)
    with pytest.raises(LibraryError, match="must have an adapter"):
        export_ctranslate2(library, Direction("eng_Latn", "spa_Latn"), tmp_path / "x")
    for words in (("--merged", "--format", "ctranslate2"), ("--quantization", "int8")):
        with pytest.raises(ConfigError, match=re.escape(words[0])):
            run(where, "--library", library.path, "--to", tmp_path / "x", *words)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(library.base.tokenizer, "save_pretrained", full)
    with pytest.raises(LibraryError, match="Make room"):
        export_ctranslate2(library, where, tmp_path / "x")
    real = builtins.__import__
    missing = lambda name, *rest: full() if name == "ctranslate2" else real(name, *rest)
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: _no(name) or missing(name, *rest))
    with pytest.raises(ConfigError, match=r"pip install 'lingraft\[ctranslate2\]'"):
        export_ctranslate2(library, where, tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["lib"]


def _no(name: str) -> None:
    if name == "ctranslate2":
        raise ImportError(name)


@pytest.mark.soak
def test_a_model_of_the_size_of_nllb_600m_gives_the_same_translations(tmp_path, monkeypatch):
    shape = {"d_model": 1024, "encoder_ffn_dim": 4096, "decoder_ffn_dim": 4096}
    heads = {"encoder_attention_heads": 16, "decoder_attention_heads": 16}
    monkeypatch.setitem(tiny.CONFIGS, "m2m_100", (*tiny.CONFIGS["m2m_100"][:2], {**shape, **heads, "init_std": 0.03}))
    base = load_base(str(tiny.base("m2m_100", tmp_path, layers=12)))
    library = shelved(base, tmp_path / "lib", languages=("deu_Latn", "fur_Latn"))
    where = Direction("deu_Latn", "fur_Latn")
    export_ctranslate2(library, where, tmp_path / "x")
    wanted = routed(library, where)
    assert len(set(wanted)) > 1
    assert through_ctranslate2(library, where, tmp_path / "x") == wanted
