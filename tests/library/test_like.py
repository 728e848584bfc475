"""A library with languages that the base has no token for, and PEFT as the reference for what is stored."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import shelf
import torch
from click.testing import CliRunner
from faults import edit, header, put, rehash

import tiny
from lingraft.atoms import ENGLISH, AdapterError, AdapterName, Direction, LanguageError, LibraryError, Role
from lingraft.base import Base
from lingraft.cli import app
from lingraft.delta import Adapter, Routing, Token
from lingraft.direction import attach, route
from lingraft.library import LanguageModule, Library, check, load, save
from lingraft.library.export import export_adapter, export_direction
from lingraft.library.refusal import CONFIG, MANIFEST
from lingraft.library.using import router

LIKE = {"fur_Latn": "ita_Latn", "scn_Latn": "ita_Latn"}
NAME = "base_model.model.model.encoder.embed_tokens.token_adapter.trainable_tokens_delta"


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny.load("m2m_100")


def adapter(base: Base, language: str, role: Role, density: float = 1.0, **options) -> Adapter:
    made = shelf.adapter(base, language, role, scoped=False, **options)
    made = shelf.pruned(made, density) if density < 1 else made
    if language not in LIKE:
        return made
    table = base.model.get_submodule(base.embedding(role)).weight
    noise = torch.randn(32, generator=torch.Generator().manual_seed(len(made.updates) + (role is Role.SOURCE)))
    token = Token(LIKE[language], table[base.token(LIKE[language])].detach() + 0.5 * noise)
    return Adapter(*made.name, made.scope, made.updates, token)


def module(base: Base, language: str, **options) -> LanguageModule:
    parts = [adapter(base, language, role, **options) for role in Role]
    return LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile(language))


@pytest.fixture(scope="module")
def shelved(base, tmp_path_factory) -> Path:
    library = Library.create(tmp_path_factory.mktemp("like") / "x", base, scope="everywhere")
    library.add({"deu_Latn": module(base, "deu_Latn"), **{x: module(base, x) for x in LIKE}})
    return library.path


@torch.no_grad()
def logits(model, base: Base, where: Direction) -> torch.Tensor:
    (row,) = base.format.encode(where, ["la casa"], ["das Haus"])
    return model(input_ids=torch.tensor([row.source]), decoder_input_ids=torch.tensor([row.target + row.answer])).logits


def routed(library: Library, where: Direction) -> torch.Tensor:
    with Routing(library.base) as routing:
        routing.set([(router(library, [where])(where), 1)])
        return logits(library.base.model, library.base, where)


def through_peft(base: Base, folder: Path, where: Direction) -> torch.Tensor:
    from peft import PeftModel

    model = PeftModel.from_pretrained(copy.deepcopy(base.model), str(folder)).eval().to(base.dtype)
    return logits(model, base, where)


@contextmanager
def exact(base: Base) -> Iterator[None]:
    """Let the base compute in float64."""
    base.model.double()
    try:
        yield
    finally:
        base.model.float()


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_law_9_save_and_load_are_inverse_bit_for_bit(base, role, density, tmp_path):
    made = adapter(base, "fur_Latn", role, density)
    library = Library.create(tmp_path / "lib", base, scope="everywhere")
    library.add({"fur_Latn": module(base, "fur_Latn", density=density)})
    save(made, base, shelf.record(), shelf.profile("fur_Latn"), tmp_path / "x")
    for loaded in (load(tmp_path / "x", base), library.stored("fur_Latn", role)):
        assert shelf.same(loaded.adapter, made)
        assert loaded.adapter.token.relative == loaded.manifest.like == "ita_Latn"
        assert torch.equal(loaded.adapter.token.row, made.token.row)
    assert library.manifest("fur_Latn", role).packed == (density < 1)
    assert "put that of `ita_Latn`" in (tmp_path / "x" / "README.md").read_text()


def test_a_language_with_a_token_is_stored_as_ever(base, shelved):
    for role in Role:
        folder = shelved / "adapters" / f"deu_Latn.{role.value}"
        (version,) = folder.iterdir()
        assert "like" not in json.loads((version / MANIFEST).read_text())
        assert "trainable_token_indices" not in json.loads((version / CONFIG).read_text())
    assert "like" not in json.loads((shelved / "languages" / "deu_Latn.json").read_text())
    assert json.loads((shelved / "languages" / "fur_Latn.json").read_text())["like"] == "ita_Latn"


def test_an_opened_library_needs_nothing_more(base, shelved):
    library = Library.open(shelved, base)
    assert library.base.borrowed == LIKE
    assert not base.borrowed
    assert check(library, base) == []
    where = Direction("fur_Latn", "scn_Latn")
    twin = base.borrowing(LIKE)
    bank = library.bank()
    with attach(twin, lambda each: route(bank, library.recipe, each)) as translator:
        wanted = translator.translate(["la casa", "il cane"], where, max_tokens=9)
    with attach(library.base, router(library, [where])) as translator:
        assert translator.translate(["la casa", "il cane"], where, max_tokens=9) == wanted


@pytest.mark.parametrize("codes", ["fur_Latn-deu_Latn", "deu_Latn-scn_Latn", "fur_Latn-scn_Latn"])
def test_an_exported_direction_is_the_library_for_plain_peft(codes, base, shelved, tmp_path):
    library, where = Library.open(shelved, base), Direction(*codes.split("-"))
    warning = export_direction(library, where, tmp_path / "out")
    assert all((f"no token for {code}" in warning) == (code in LIKE) for code in where)
    found = through_peft(library.base, tmp_path / "out", where)
    torch.testing.assert_close(found, routed(library, where), rtol=1e-4, atol=1e-4)
    config = json.loads((tmp_path / "out" / CONFIG).read_text())
    del config["trainable_token_indices"]
    (tmp_path / "out" / CONFIG).write_text(json.dumps(config))
    without = through_peft(library.base, tmp_path / "out", where)
    assert (without - found).abs().max() > 0.1
    with pytest.raises(LibraryError, match="Leave `--merged` out"):
        export_direction(library, where, tmp_path / "merged", merged=True)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("role", list(Role))
def test_an_exported_adapter_is_one_for_plain_peft(role, base, shelved, tmp_path):
    library = Library.open(shelved, base)
    assert "no token for fur_Latn" in export_adapter(library, AdapterName("fur_Latn", role), tmp_path / "out")
    where = Direction("fur_Latn", ENGLISH) if role is Role.SOURCE else Direction(ENGLISH, "fur_Latn")
    # The adapters here are far larger than trained ones, so in fp32 rounding would hide what is compared.
    with exact(library.base):
        torch.testing.assert_close(through_peft(library.base, tmp_path / "out", where), routed(library, where))


def config(value):
    return put(CONFIG, "trainable_token_indices", value=value)


PATHS = [f"model.{stack}.embed_tokens" for stack in ("encoder", "decoder")]
FAULTS = {
    "no relative": (edit(MANIFEST, lambda m: m.pop("like")), "token"),
    "another relative": (put(MANIFEST, "like", value="fra_Latn"), "token"),
    "a relative that the base lacks": (put(MANIFEST, "like", value="scn_Latn"), "token"),
    "a relative that is no code": (put(MANIFEST, "like", value="Italian"), "manifest"),
    "no id": (edit(CONFIG, lambda c: c.pop("trainable_token_indices")), "token"),
    "ids are null": (config(None), "token"),
    "another id": (config({PATHS[0]: [3]}), "token"),
    "an id of the other stack": (config({PATHS[1]: [305]}), "token"),
    "both stacks": (config({path: [305] for path in PATHS}), "config"),
    "the output": (config({"lm_head": [305]}), "config"),
    "a list": (config([305]), "config"),
    "two ids": (config({PATHS[0]: [305, 306]}), "config"),
    "a million ids": (config({PATHS[0]: list(range(100_000))}), "config"),
    "a text": (config({PATHS[0]: ["305"]}), "config"),
    "true": (config({PATHS[0]: [True]}), "config"),
    "negative": (config({PATHS[0]: [-1]}), "config"),
    "huge": (config({PATHS[0]: [2**63]}), "config"),
    "row missing": (header(lambda h: {name: entry for name, entry in h.items() if name != NAME}), "keys"),
    "row renamed": (header(lambda h: {n.replace("encoder.embed", "decoder.embed"): e for n, e in h.items()}), "keys"),
    "row is flat": (header(lambda h: {**h, NAME: {**h[NAME], "shape": [32]}}), "shape"),
    "row of another dtype": (header(lambda h: {**h, NAME: {**h[NAME], "dtype": "I32"}}), "dtype"),
}


@pytest.fixture(scope="module")
def good(base, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "x"
    made = adapter(base, "fur_Latn", Role.SOURCE)
    save(made, base, shelf.record(), shelf.profile("fur_Latn"), folder)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_token_is_refused_even_with_fitting_hashes(fault, base, good, tmp_path):
    spoil, code = FAULTS[fault]
    shutil.copytree(good, tmp_path / "x")
    spoil(tmp_path / "x")
    rehash(tmp_path / "x")
    with pytest.raises(AdapterError) as caught:
        load(tmp_path / "x", base)
    assert caught.value.code == f"adapter.{code}"
    assert " must " in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (lambda t: t._replace(row=t.row * float("nan")), "values"),
        (lambda t: t._replace(row=t.row * 1e6), "values"),
        (lambda t: t._replace(row=t.row.double()), "dtype"),
        (lambda t: t._replace(row=t.row[:-1]), "shape"),
        (lambda t: t._replace(row=t.row[None]), "shape"),
        (lambda t: t._replace(relative="scn_Latn"), "token"),
    ],
)
def test_a_token_that_load_would_refuse_is_not_saved(token, code, base, tmp_path):
    made = adapter(base, "fur_Latn", Role.TARGET)
    made = Adapter(*made.name, made.scope, made.updates, token(made.token))
    with pytest.raises(AdapterError) as caught:
        save(made, base, shelf.record(), shelf.profile("fur_Latn"), tmp_path / "x")
    assert caught.value.code == f"adapter.{code}"
    assert not list(tmp_path.iterdir())


def test_a_language_that_has_a_token_may_not_borrow_one(base, tmp_path):
    made = adapter(base, "deu_Latn", Role.SOURCE)
    made = Adapter(*made.name, made.scope, made.updates, Token("ita_Latn", torch.zeros(32)))
    with pytest.raises(AdapterError, match="deu_Latn, which has one"):
        save(made, base, shelf.record(), shelf.profile("deu_Latn"), tmp_path / "x")
    whole = module(base, "fur_Latn")
    half = Adapter(*whole.source.name, whole.source.scope, whole.source.updates)
    library = Library.create(tmp_path / "lib", base, scope="everywhere")
    with pytest.raises(LibraryError, match="None and ita_Latn"):
        library.add({"fur_Latn": LanguageModule(half, whole.target, shelf.record(), shelf.record(), whole.profile)})


@pytest.mark.parametrize("like", ["fra_Latn", "zzz_Zzzz", "deu_Latn", None])
def test_a_pointer_that_says_otherwise_costs_its_language_alone_and_is_mended(like, base, shelved, tmp_path):
    library = Library.open(shutil.copytree(shelved, tmp_path / "lib"), base)
    place = library.places.pointer_path("fur_Latn")
    pointer = json.loads(place.read_text())
    place.write_text(json.dumps({**pointer, "like": like}))
    library = Library.open(library.path, base)
    assert library.load("scn_Latn", Role.SOURCE).token
    with pytest.raises(LibraryError, match="`like` in the pointer of fur_Latn must be ita_Latn") as caught:
        library.load("fur_Latn", Role.SOURCE)
    assert caught.value.code == "library.damaged"
    assert {finding.place.split(".")[0] for finding in check(library, base) if finding.severe} == {"fur_Latn"}
    library.add({"fur_Latn": module(base, "fur_Latn")})
    assert json.loads(place.read_text()) == pointer
    assert library.base.borrowed == LIKE
    assert library.load("fur_Latn", Role.SOURCE).token


def test_another_relative_is_a_new_version_and_the_history_keeps_the_old_one(base, shelved, tmp_path):
    library = Library.open(shutil.copytree(shelved, tmp_path / "lib"), base)
    before = shelf.picture(library.path, without="fur_Latn")
    made = module(base, "fur_Latn")
    parts = [
        Adapter(*a.name, a.scope, a.updates, a.token._replace(relative="fra_Latn")) for a in (made.source, made.target)
    ]
    library.add({"fur_Latn": LanguageModule(*parts, shelf.record(), shelf.record(), made.profile)})
    assert library.base.borrowed["fur_Latn"] == "fra_Latn"
    pointer = library.pointer("fur_Latn")
    assert (pointer.like, [old.like for old in pointer.history]) == ("fra_Latn", ["ita_Latn"])
    assert check(library, base) == []
    assert shelf.picture(library.path, without="fur_Latn") == before  # law 13


def write(folder: Path, *languages: str, count: int = 24) -> str:
    for a in languages:
        for b in languages:
            if a < b:
                rows = "".join(f"{a[:3]} {i} a\t{b[:3]} {i} b\n" for i in range(count))
                (folder / f"{a}-{b}.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    return str(folder / "{a}-{b}.tsv.gz")


def lingraft(*words: object, text: str = ""):
    return CliRunner().invoke(app, [str(word) for word in words], input=text)


def test_the_verbs_add_use_and_export_such_a_language(tmp_path):
    folder = tiny.base("m2m_100", tmp_path)
    path, pattern = tmp_path / "lib", write(tmp_path, ENGLISH, "fur_Latn")
    add = ("add", "fur_Latn", "--pairs", pattern, "--library", path, "--base", folder, "--device", "cpu",
           "fit.epochs=1", "fit.rank=2", "fit.precision=fp32")  # fmt: skip
    refused = lingraft(*add)
    assert isinstance(refused.exception, LanguageError)
    assert "Near ones are" in str(refused.exception)
    assert "--like" in str(refused.exception)
    for words, message in (
        (("--like", "fur_Latn"), "`fur_Latn` must be a language with a token"),
        (("--like", "scn_Latn=ita_Latn"), "must be about languages that are added"),
        (("--like", "ita_Latn", "--like", "fur=fra"), "names two"),
    ):
        assert message in str(lingraft(*add, *words).exception)
    assert not path.exists()
    plan = lingraft(*add, "--like", "Italian", "--dry-run")
    assert "Friulian has none in the base: it starts as that of Italian" in plan.output
    assert lingraft(*add, "--like", "Italian").exit_code == 0
    assert lingraft(*add, "fit.seed=2").exit_code == 0  # an update needs no relative: the library knows it
    assert Library.open(path).pointer("fur_Latn").like == "ita_Latn"
    done = lingraft("translate", "--from", "fur", "--to", "spa", "--library", path, "--device", "cpu", text="fur 1 a\n")
    assert (done.exit_code, done.output.count("\n") >= 1) == (0, True)
    done = lingraft("export", "fur_Latn-spa_Latn", "--library", path, "--device", "cpu", "--to", tmp_path / "out")
    assert "put that of ita_Latn" in done.output
    assert lingraft("doctor", "--library", path, "--device", "cpu").exit_code == 0
    several = lingraft(*add[:2], "scn_Latn", *add[2:], "--like", "ita")
    assert "must say for which of 2 languages" in str(several.exception)


def test_the_joint_verb_takes_relatives_from_its_file(tmp_path):
    folder, languages = tiny.base("m2m_100", tmp_path), (ENGLISH, "fur_Latn", "spa_Latn")
    config = {"base": str(folder), "library": str(tmp_path / "lib"), "pairs": write(tmp_path, *languages),
              "languages": list(languages), "like": {"fur_Latn": "ita_Latn"},
              "fit": {"rank": 2, "epochs": 1, "rows": 16, "precision": "fp32"}}  # fmt: skip
    (tmp_path / "joint.yaml").write_text(json.dumps({**config, "like": {"deu_Latn": "ita_Latn"}}))
    assert "are added" in str(lingraft("fit-joint", tmp_path / "joint.yaml", "--device", "cpu").exception)
    (tmp_path / "joint.yaml").write_text(json.dumps(config))
    done = lingraft("fit-joint", tmp_path / "joint.yaml", "--device", "cpu")
    assert done.exit_code == 0, done.exception
    library = Library.open(tmp_path / "lib", tiny.load("m2m_100"))
    assert library.base.borrowed == {"fur_Latn": "ita_Latn"}
    row = library.base.model.model.shared.weight[library.base.token("ita_Latn")]
    assert all(not torch.equal(library.load("fur_Latn", role).token.row, row) for role in Role)
