"""Laws 11 and 13, and what a library promises to its users."""

from __future__ import annotations

import shutil
import threading
from types import SimpleNamespace

import pytest
import shelf

from lingraft.atoms import ENGLISH, AdapterError, AdapterName, Direction, LibraryError, Role
from lingraft.direction import Recipe
from lingraft.library import Library, check, disk, withdrawn
from lingraft.library.mixing import Mixing, store
from lingraft.library.places import SCORES_FILE

BASE = shelf.base()


@pytest.fixture
def library(tmp_path) -> Library:
    library = Library.create(tmp_path / "lib", BASE, recipe=Recipe(0.5, 0.75))
    library.add({language: shelf.module(BASE, language) for language in shelf.LANGUAGES})
    return library


def test_what_was_added_is_there_when_opened_again(library):
    again = Library.open(library.path, BASE)
    assert again.languages() == shelf.LANGUAGES
    assert (again.recipe, again.card.scope) == (Recipe(0.5, 0.75), "span")
    bank = again.bank()
    assert len(bank) == 6
    for language in shelf.LANGUAGES:
        module = shelf.module(BASE, language)
        for role, (adapter, record) in module.parts().items():
            assert shelf.same(bank[AdapterName(language, role)], adapter)
            assert again.manifest(language, role).record == record
    assert again.bank(["epo_Latn"]).languages == ("epo_Latn",)
    assert again.profiles()["fra_Latn"] == shelf.profile("fra_Latn")
    assert check(again, BASE) == []


def test_a_library_can_be_looked_at_without_its_base(library):
    closed = Library.open(library.path)
    assert closed.languages() == shelf.LANGUAGES
    assert closed.manifest("deu_Latn", Role.SOURCE).rank == 2
    with pytest.raises(LibraryError, match="opened with its base"):
        closed.load("deu_Latn", Role.SOURCE)


def test_law_11_another_base_is_refused_and_both_are_named(library, tmp_path):
    other = shelf.base("other")
    with pytest.raises(LibraryError, match="'other'.*'base'") as caught:
        Library.open(library.path, other)
    assert caught.value.code == "library.base"
    assert [finding.code for finding in check(library, other)] == ["library.base"]
    for name in ("tokenizer_hash", "format"):
        changed = shelf.base()
        setattr(changed, name, "0" * 64 if name == "tokenizer_hash" else SimpleNamespace(hash="0" * 64, spec=dict))
        with pytest.raises(LibraryError):
            Library.open(library.path, changed)
    moved = shelf.base()
    moved.id = "elsewhere"
    assert Library.open(library.path, moved).bank().languages == shelf.LANGUAGES
    # An adapter of another base of the same shape, brought in by hand.
    foreign = Library.create(tmp_path / "foreign", other)
    foreign.add({"deu_Latn": shelf.module(other, "deu_Latn")})
    shutil.copytree(foreign.path / "adapters", library.path / "adapters", dirs_exist_ok=True)
    shutil.copytree(foreign.path / "languages", library.path / "languages", dirs_exist_ok=True)
    with pytest.raises(AdapterError) as refused:
        library.load("deu_Latn", Role.SOURCE)
    assert refused.value.code == "adapter.base"
    assert library.load("epo_Latn", Role.SOURCE)


def test_law_13_a_language_that_comes_changes_or_goes_leaves_the_files_of_the_others(library):
    before = shelf.picture(library.path)
    library.add({"rus_Cyrl": shelf.module(BASE, "rus_Cyrl")})
    assert shelf.picture(library.path, without="rus_Cyrl") == before
    library.add({"rus_Cyrl": shelf.module(BASE, "rus_Cyrl", seed=1)})
    assert shelf.picture(library.path, without="rus_Cyrl") == before
    library.remove("rus_Cyrl")
    assert shelf.picture(library.path) == before
    assert not list(library.path.rglob("rus_Cyrl*"))


def test_an_update_keeps_the_old_versions_in_its_history(library):
    old = library.pointer("deu_Latn")
    files = shelf.picture(library.path / "adapters")
    module = shelf.module(BASE, "deu_Latn", seed=1)
    new = library.add({"deu_Latn": module})["deu_Latn"]
    assert [(each.source, each.target) for each in new.history] == [(old.source, old.target)]
    assert files.items() <= shelf.picture(library.path / "adapters").items()
    assert shelf.same(library.load("deu_Latn", Role.TARGET), module.target)
    library.check_version("deu_Latn", Role.SOURCE, old.source)
    before = shelf.picture(library.path)
    assert library.add({"deu_Latn": module})["deu_Latn"] == new
    assert shelf.picture(library.path) == before


def test_adding_a_damaged_language_again_mends_it(library):
    pointer = library.pointer("deu_Latn")
    (library.places.folder("deu_Latn", Role.SOURCE) / pointer.source / "README.md").write_text("edited")
    (library.path / "languages" / "epo_Latn.json").write_text('{"language": "epo_Latn"')
    with pytest.raises(AdapterError):
        library.load("deu_Latn", Role.SOURCE)
    with pytest.raises(LibraryError, match="epo_Latn.json"):
        library.pointer("epo_Latn")
    assert library.bank(["fra_Latn"])
    found = check(library, BASE)
    assert [(finding.severe, finding.code) for finding in found] == [(True, "adapter.hash"), (True, "library.damaged")]
    library.add({language: shelf.module(BASE, language) for language in shelf.LANGUAGES})
    assert check(library, BASE) == []
    assert len(library.bank()) == 6


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../deu_Latn", "/etc", "deu_Latn/..", "deu_Latn\0", "deu_Latn\n", "DEU_Latn", "deu-Latn", "deu",
     "dëu_Latn", "deu_Latn.json", "d" * 5000, "CON", "~", "deu_latn", "\ud800eu_Latn"],
)  # fmt: skip
def test_names_stay_inside_the_library(name, library, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for act in (
        library.pointer,
        library.remove,
        lambda name: library.load(name, Role.SOURCE),
        lambda name: library.add({name: shelf.module(BASE, "deu_Latn")}),
    ):
        with pytest.raises(LibraryError, match="must be a code"):
            act(name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_no_link_leads_out_of_the_library(depth, library, tmp_path):
    version = library.pointer("deu_Latn").source
    parts = ("adapters", "deu_Latn.source", version, "manifest.json")[:depth]
    inside, outside = library.path.joinpath(*parts), tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(AdapterError):
        library.load("deu_Latn", Role.SOURCE)
    assert check(library, BASE)


def test_a_pointer_that_is_a_link_is_refused(library, tmp_path):
    pointer = library.path / "languages" / "deu_Latn.json"
    pointer.rename(tmp_path / "outside.json")
    pointer.symlink_to(tmp_path / "outside.json")
    with pytest.raises(LibraryError):
        library.load("deu_Latn", Role.SOURCE)


def test_wrong_modules_are_refused_before_anything_is_written(library):
    before = shelf.picture(library.path)
    good, other = shelf.module(BASE, "rus_Cyrl"), shelf.module(BASE, "ita_Latn")
    everywhere, bigger = shelf.module(BASE, "ita_Latn", scoped=False), shelf.module(shelf.base(layers=3), "ita_Latn")
    for modules, error, words in (
        ({"rus_Cyrl": good, "spa_Latn": other}, LibraryError, "must be spa_Latn.source, but is ita_Latn.source"),
        ({"rus_Cyrl": good, "ita_Latn": everywhere}, LibraryError, "must act on `source`"),
        ({"rus_Cyrl": good, "ita_Latn": bigger}, AdapterError, "decoder.2.q"),
    ):
        with pytest.raises(error, match=words):
            library.add(modules)
    assert shelf.picture(library.path) == before


def test_a_folder_that_is_no_library_is_left_alone(tmp_path, library):
    with pytest.raises(LibraryError, match=r"has no library\.json"):
        Library.open(tmp_path / "nowhere", BASE)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(LibraryError, match=r"must be empty.*thesis\.txt"):
        Library.create(tmp_path / "full", BASE)
    with pytest.raises(LibraryError, match="Open it instead"):
        Library.create(library.path, BASE)
    assert Library.ensure(library.path, BASE).languages() == shelf.LANGUAGES
    with pytest.raises(LibraryError, match=r"Installed are: deu_Latn, epo_Latn, fra_Latn"):
        library.load("rus_Cyrl", Role.SOURCE)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format_version": 2}', '{"format_version": 1, "format_version": 1}', "\0"]
)
def test_a_damaged_card_is_refused(text, library):
    (library.path / "library.json").write_text(text)
    with pytest.raises(LibraryError, match=r"library\.json"):
        Library.open(library.path, BASE)


def test_a_busy_library_says_so_and_readers_need_not_wait(library):
    library.patience = 0.05
    with library.places.writing(1.0):
        with pytest.raises(LibraryError, match="another has held it") as caught:
            library.remove("deu_Latn")
        assert caught.value.code == "library.busy"
        assert len(library.bank()) == 6
    library.remove("deu_Latn")


def test_writers_at_the_same_time_lose_nothing(library):
    codes = ("aaa_Latn", "bbb_Latn", "ccc_Latn", "ddd_Latn")
    threads = [
        threading.Thread(
            target=lambda code=code: Library.open(library.path, BASE).add({code: shelf.module(BASE, code)})
        )
        for code in codes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert library.languages() == (*codes, *shelf.LANGUAGES)
    assert check(library, BASE) == []


@pytest.mark.parametrize("folder", ["adapters", "languages", "recipes"])
def test_a_writer_clears_nothing_away_where_a_link_leads_to(folder, library, tmp_path):
    linked = Library.create(tmp_path / "linked", BASE)
    there = library.path / folder
    there.mkdir(exist_ok=True)
    (there / ".lingraft-draft-0").write_text("another writer's")
    (linked.path / folder).symlink_to(there)
    before = shelf.picture(library.path)
    with pytest.raises(LibraryError, match=f"{folder}` must be a folder of the library itself") as caught:
        linked.add({"deu_Latn": shelf.module(BASE, "deu_Latn")})
    assert caught.value.code == "library.damaged"
    assert shelf.picture(library.path) == before


def test_who_makes_a_library_that_another_is_making_opens_it(tmp_path):
    for number in range(4):
        path, start, found = tmp_path / str(number), threading.Barrier(4), []

        def ensure(path=path, start=start, found=found) -> None:
            start.wait()
            found.append(Library.ensure(path, BASE))

        threads = [threading.Thread(target=ensure) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [each.card for each in found] == [found[0].card] * 4


def test_a_removed_language_takes_along_how_its_directions_were_made(library):
    recipes = library.path / "recipes"
    recipes.mkdir()
    names = ("deu_Latn-fra_Latn", "epo_Latn-deu_Latn", "epo_Latn-fra_Latn", "default")
    for name in names:
        (recipes / f"{name}.yaml").write_text("via: direct\n")
    library.remove("deu_Latn")
    assert {path.stem for path in recipes.iterdir()} == {"epo_Latn-fra_Latn", "default"}


def test_scores_stay_until_something_that_was_measured_is_another(library):
    scores = library.path / SCORES_FILE

    def kept(change) -> bool:
        scores.write_text("{}")
        change()
        return scores.exists()

    add = lambda code, seed=0: library.add({code: shelf.module(BASE, code, seed=seed)})
    assert kept(lambda: add("rus_Cyrl"))
    assert kept(lambda: add("deu_Latn"))  # nothing new
    assert not kept(lambda: add("deu_Latn", 1))
    assert not kept(lambda: library.rollback("deu_Latn"))
    assert not kept(lambda: library.remove("rus_Cyrl"))
    assert not kept(lambda: add(ENGLISH))  # it was measured without adapters
    assert not kept(lambda: store(library, Direction("deu_Latn", "fra_Latn"), Mixing(via="pivot")))
    assert not kept(lambda: store(library, None, Mixing()))
    add("deu_Latn", 2)  # where there are none, that is no error
    store(library, None, Mixing(via="pivot"))
    with pytest.raises(LibraryError, match="must be a language of"):
        library.remove("rus_Cyrl")


def test_scores_that_cannot_be_dropped_keep_the_old_adapters(library):
    (library.path / SCORES_FILE).mkdir()
    before = library.pointer("deu_Latn")
    with pytest.raises(LibraryError, match=SCORES_FILE):
        library.add({"deu_Latn": shelf.module(BASE, "deu_Latn", seed=1)})
    assert library.pointer("deu_Latn") == before


def test_removing_again_finishes_what_was_killed(library, monkeypatch):
    (library.path / "recipes").mkdir()
    (library.path / "recipes" / "deu_Latn-fra_Latn.yaml").write_text("via: direct\n")
    withdrawn.withdraw(library.places, "deu_Latn", 1.0)
    kill_while_removing(library, "deu_Latn", monkeypatch)
    assert not library.places.installed("deu_Latn")
    library.remove("deu_Latn")
    assert withdrawn.withdrawn(library.places) == set()
    assert not list((library.path / "recipes").iterdir())
    with pytest.raises(LibraryError, match="must be a language of"):
        library.remove("deu_Latn")


def test_who_adds_a_language_means_it_to_be_served(library, monkeypatch):
    withdrawn.withdraw(library.places, "deu_Latn", 1.0)
    kill_while_removing(library, "deu_Latn", monkeypatch)
    library.add({"deu_Latn": shelf.module(BASE, "deu_Latn")})
    assert withdrawn.withdrawn(library.places) == set()


def kill_while_removing(library, language, monkeypatch) -> None:
    """Stop a removal once the pointer is gone."""

    def stop(path: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(disk, "discard", stop)
        with pytest.raises(KeyboardInterrupt):
            library.remove(language)


def test_a_reader_beside_a_writer_gets_the_new_adapter_or_hears_that_it_is_gone(library):
    reader = library.reader

    def moved(change):
        """Let a writer come between a reader's look at the pointer and at the files, once."""

        def read(name, version):
            library.reader = reader
            change()
            shutil.rmtree(library.places.folder(*name) / version)
            return reader(name, version)

        library.reader = read

    moved(lambda: library.add({"deu_Latn": shelf.module(BASE, "deu_Latn", seed=7)}))
    assert shelf.same(library.load("deu_Latn", Role.SOURCE), shelf.adapter(BASE, "deu_Latn", Role.SOURCE, seed=7))
    moved(lambda: library.places.pointer_path("fra_Latn").unlink())
    with pytest.raises(LibraryError, match="must be a language of"):
        library.load("fra_Latn", Role.TARGET)
    moved(lambda: None)
    with pytest.raises(AdapterError) as caught:
        library.load("epo_Latn", Role.TARGET)
    assert caught.value.code == "adapter.missing"


def test_the_doctor_looks_at_recipes_at_what_is_withdrawn_and_at_strange_folders(library):
    folder = library.path / "recipes"
    folder.mkdir()
    (folder / "deu_Latn-fra_Latn.yaml").write_text("via: train\n")
    (folder / "default.yaml").write_text("layers: {decoder.99: {source: 1}}\n")
    (folder / "epo_Latn-fra_Latn.yaml").write_text("source: 0.5\n")
    (folder / "deu-epo.yaml").write_text("source: 0.5\n")
    (folder / "early-late.yaml").write_text("source: 0.5\n")
    (folder / "default.yml").write_text("source: 0.5\n")
    (library.path / "withdrawn.json").write_text("{")
    (library.path / "adapters" / "a copy").mkdir()
    found = {finding.place: finding for finding in check(library, BASE)}
    severe = {"recipes/deu_Latn-fra_Latn.yaml", "recipes/default.yaml", "withdrawn"}
    assert {place for place in found if found[place].severe} == severe
    assert found.keys() - severe == {"recipes/deu-epo.yaml", "recipes/default.yml", "adapters/a copy"}
    assert "must be deu_Latn-epo_Latn.yaml" in found["recipes/deu-epo.yaml"].message
    assert "direct or pivot" in found["recipes/deu_Latn-fra_Latn.yaml"].message


def test_an_altered_adapter_is_named(library):
    (file,) = library.places.folder("epo_Latn", Role.SOURCE).glob("*/adapter_model.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(AdapterError, match="epo_Latn.source must have the sha256"):
        library.load("epo_Latn", Role.SOURCE)
