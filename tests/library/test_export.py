"""One adapter of a library, packed or not, becomes the PEFT folder that plain PEFT loads."""

from __future__ import annotations

import json

import pytest
import shelf
import torch
from click.testing import CliRunner
from test_folder import logits, m2m_100, merged, through_peft

from lingraft.atoms import AdapterName, ConfigError, LanguageError, LibraryError, Role
from lingraft.library import LanguageModule, Library, check, cli_export, load
from lingraft.library.export import export_adapter
from lingraft.library.refusal import FILES
from lingraft.verbs import library as verbs


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    torch.manual_seed(0)
    base = shelf.base(model=m2m_100(), model_type="m2m_100")
    library = Library.create(tmp_path_factory.mktemp("lib") / "x", base, scope="everywhere")
    options = {"ranks": (1, 3), "alphas": (2.0, 3.0), "scoped": False}
    pruned = [shelf.pruned(shelf.adapter(base, "deu_Latn", role, **options), 0.2) for role in Role]
    packed = LanguageModule(*pruned, shelf.record(), shelf.record(), shelf.profile("deu_Latn"))
    library.add({"deu_Latn": packed, "fra_Latn": shelf.module(base, "fra_Latn", **options)})
    return library


@pytest.fixture
def export(library, monkeypatch):
    """The verb, with a library that is already open."""
    monkeypatch.setattr(cli_export, "open_library", lambda *_: library)

    def run(*words: object) -> str:
        outcome = CliRunner().invoke(verbs.export, [str(word) for word in ("--library", library.path, *words)])
        if outcome.exception and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome.output

    return run


@pytest.mark.parametrize(
    ("word", "language", "packed"), [("de.source", "deu_Latn", True), ("fra.target", "fra_Latn", False)]
)
def test_the_exported_folder_is_what_plain_peft_loads(word, language, packed, library, export, tmp_path):
    folder, role = tmp_path / "out", Role(word.split(".")[1])
    assert f"wrote {folder}" in export(word, "--to", folder)
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    stored = library.stored(language, role)
    assert stored.manifest.packed == packed
    loaded = load(folder, library.base)
    assert shelf.same(loaded.adapter, stored.adapter)
    assert (loaded.manifest.packed, loaded.manifest.record) == (False, stored.manifest.record)
    expected = merged(library.base, stored.adapter.updates)
    assert (expected - logits(library.base.model)).abs().max() > 0.1
    torch.testing.assert_close(through_peft(library.base, folder).double(), expected, atol=2e-5, rtol=1e-4)


def test_a_dense_adapter_is_exported_as_it_lies_there(library, export, tmp_path):
    export("fra_Latn.source", "--to", tmp_path / "out")
    stored = library.places.folder("fra_Latn", Role.SOURCE) / library.pointer("fra_Latn").source
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (stored / name).read_bytes()


def test_a_direction_of_packed_adapters_is_exported_too(library, export, tmp_path):
    library.base.languages = ()
    export("deu_Latn-fra_Latn", "--to", tmp_path / "out")
    assert (logits(library.base.model) - through_peft(library.base, tmp_path / "out")).abs().max() > 0.1
    readme = (tmp_path / "out" / "README.md").read_text()
    for part in (library.card.base.id, library.pointer("deu_Latn").source, library.pointer("fra_Latn").target):
        assert part in readme
    assert json.loads(readme.split("```json")[1].split("```")[0]) == library.base.format.spec()


def test_nothing_is_written_into_the_library(library, export):
    for word in ("deu_Latn-fra_Latn", "deu_Latn.source"):
        with pytest.raises(LibraryError, match="outside of the library"):
            export(word, "--to", library.path / "adapters" / "out")
    assert check(library, library.base) == []


def test_what_cannot_be_exported_is_said(export, tmp_path):
    for words, error, what in (
        (("deu_Latn.middle",), LanguageError, "or an adapter, e.g. deu_Latn.source"),
        (("deu_Latn.source", "--merged"), ConfigError, "`--merged` must come with a direction"),
        (("rus_Cyrl.source",), LibraryError, "must be a language of"),
    ):
        with pytest.raises(error, match=what):
            export(*words, "--to", tmp_path / "out")
    with pytest.raises(LibraryError, match="must be a new folder"):
        export("deu_Latn.source", "--to", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_of_a_span_comes_with_a_warning(tmp_path):
    base = shelf.base()
    library = Library.create(tmp_path / "lib", base)
    library.add({"deu_Latn": shelf.module(base, "deu_Latn")})
    warning = export_adapter(library, AdapterName("deu_Latn", Role.SOURCE), tmp_path / "out")
    assert "deu_Latn.source was trained to act on its own span" in (warning or "")
