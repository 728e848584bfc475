"""Languages come, change and go while requests run: each answer is of one version of each adapter, and says which."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
import served
import shelves

from lingraft.atoms import ENGLISH, AdapterError, Direction, LibraryError, Role
from lingraft.direction.stream import Stream
from lingraft.library import Library, withdrawn
from lingraft.library.mixing import Mixing, store
from lingraft.library.refusal import WEIGHTS
from lingraft.serve.answers import Failed, Stopping
from lingraft.serve.versions import Served

LANGUAGES = ("deu_Latn", "epo_Latn", "fra_Latn")
DE_FR = Direction("deu_Latn", "fra_Latn")
DIRECTIONS = (DE_FR, Direction("fra_Latn", "epo_Latn"), Direction("epo_Latn", ENGLISH), Direction(ENGLISH, "deu_Latn"))


@pytest.fixture(scope="module")
def shelved(tmp_path_factory) -> Path:
    return served.library(tmp_path_factory.mktemp("served") / "lib").path


@pytest.fixture
def library(shelved, tmp_path) -> Library:
    return Library.open(shutil.copytree(shelved, tmp_path / "lib"), served.base())


def run(library, act, **options):
    async def main():
        async with served.serving(library, **options) as engine:
            return await asyncio.wait_for(act(engine), 500)

    return asyncio.run(main())


def one_version_per_answer(library, requests: int, updates: int, budget: int | None) -> tuple[int, int]:
    """Ask while languages change, and hold every answer against what its versions make; return (answers, versions)."""
    library.shelf.budget = budget
    other = Library.open(library.path, library.base)  # as another process has it
    modules = {
        (language, version): shelves.module(library.base, language, version)
        for language in LANGUAGES
        for version in range(1, 4)
    }
    draw, answers = random.Random(0), []

    async def ask(engine, count):
        for _ in range(count):
            where, sentence = draw.choice(DIRECTIONS), served.SENTENCES[0]
            answer = await engine.translate([sentence, sentence], where)
            answers.append((where, sentence, answer))

    async def change(engine, count):
        for _ in range(count):
            language = draw.choice(LANGUAGES)
            if draw.random() < 0.2 and other.pointer(language).history:
                await engine.rollback(language)
                continue
            version = draw.randint(1, 3)
            await asyncio.to_thread(other.add, {language: modules[language, version]})
            told = await engine.install(language)
            pointer = other.pointer(language)
            assert told["versions"] == {"source": pointer.source, "target": pointer.target}
            assert engine.state().languages[language] == pointer

    async def act(engine):
        await asyncio.gather(*[ask(engine, requests // 8) for _ in range(8)], change(engine, updates))
        assert engine.state().failure is None

    run(library, act, rows=6)
    cache, versions = {}, set()
    for where, sentence, answer in answers:
        key = where, sentence, tuple(answer.versions.items())
        if key not in cache:
            cache[key] = served.expected(library, answer.versions, where, sentence)
        assert answer.texts == (cache[key], cache[key])
        versions |= set(answer.versions.items())
    told_apart = Counter((where, sentence, text) for (where, sentence, _), text in cache.items())
    assert set(told_apart.values()) == {1}  # every version translates otherwise: a wrong one would be seen
    return len(answers), len(versions)


@pytest.mark.parametrize("budget", [None, 0])
def test_each_answer_is_of_the_versions_that_it_names(library, budget):
    answers, versions = one_version_per_answer(library, 32, 6, budget)
    assert answers == 32
    assert versions > 5


@pytest.mark.soak
@pytest.mark.parametrize("budget", [None, 200_000])
def test_each_answer_is_of_the_versions_that_it_names_many_times(library, budget):
    answers, _ = one_version_per_answer(library, 10_000, 200, budget)
    assert answers == 10_000


def test_a_request_keeps_its_versions_to_its_end(library):
    old = library.pointer("deu_Latn")
    other = Library.open(library.path, library.base)
    newer = {"deu_Latn": shelves.module(library.base, "deu_Latn", 1)}

    async def act(engine):
        task = asyncio.create_task(engine.translate(list(served.SENTENCES) * 6, DE_FR))
        while not engine.state().running:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(other.add, newer)
        await engine.install("deu_Latn")
        queued = engine.state().queue
        after = await engine.translate([served.SENTENCES[0]], DE_FR)
        return await task, after, queued

    before, after, queued = run(library, act, rows=1)
    assert queued > 5  # most of it was still to come
    assert before.versions["deu_Latn.source"] == old.source
    assert after.versions["deu_Latn.source"] == other.pointer("deu_Latn").source
    for sentence, text in zip(served.SENTENCES, before.texts, strict=False):
        assert text == served.expected(library, before.versions, DE_FR, sentence)


def test_a_new_language_is_served_at_once_and_a_removed_one_no_more(library):
    there = Direction("rus_Cyrl", "fra_Latn")
    other = Library.open(library.path, library.base)
    modules = {"rus_Cyrl": shelves.module(library.base, "rus_Cyrl")}

    async def act(engine):
        with pytest.raises(LibraryError, match="must be in the library"):
            await engine.translate(["cold"], there)
        with pytest.raises(LibraryError, match="must be a language of"):
            await engine.install("rus_Cyrl")
        await asyncio.to_thread(other.add, modules)
        begun = time.perf_counter()
        told = await engine.install("rus_Cyrl")
        answer = await engine.translate(["cold"], there)
        took = time.perf_counter() - begun
        assert (told["before"], told["changed"], answer.via) == (None, True, "direct")
        assert (await engine.install("rus_Cyrl"))["changed"] is False
        running = asyncio.create_task(engine.translate(list(served.SENTENCES), there))
        while not engine.state().running:
            await asyncio.sleep(0.001)
        gone = await engine.remove("rus_Cyrl")
        assert (gone["versions"], gone["before"]) == (None, told["versions"])
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], there)
        with pytest.raises(LibraryError, match="in use"):
            await engine.remove("rus_Cyrl")
        assert len((await running).texts) == 5
        assert "rus_Cyrl" not in engine.state().offered
        await engine.install("rus_Cyrl")
        assert (await engine.translate(["cold"], there)).texts == answer.texts
        return took

    assert run(library, act) < 5  # 1 s is promised on a quiet machine


def test_a_language_that_leaves_the_library_is_taken_out_when_it_is_looked_for(library, caplog):
    other = Library.open(library.path, library.base)

    async def act(engine):
        await asyncio.to_thread(other.remove, "deu_Latn")
        assert "deu_Latn" in engine.state().languages
        asked = [asyncio.create_task(engine.translate(["cold"], DE_FR)) for _ in range(4)]
        for told in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(told, LibraryError)
            assert "must be in the library or known to its base" in str(told)
        state = engine.state()
        assert list(state.languages) == ["epo_Latn", "fra_Latn"]
        assert "deu_Latn" not in state.offered
        assert (state.broken, state.withdrawn) == ({}, ())
        with pytest.raises(LibraryError, match="in use"):
            await engine.remove("deu_Latn")
        assert (await engine.translate(["cold"], DIRECTIONS[1])).via == "direct"
        await asyncio.to_thread(other.add, {"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})
        await engine.install("deu_Latn")
        return await engine.translate(["cold"], DE_FR)

    assert run(library, act).versions["deu_Latn.source"] == other.pointer("deu_Latn").source
    logged = [(record.getMessage(), record.fields["language"]) for record in caplog.records]
    assert logged == [("removed", "deu_Latn")]


@pytest.mark.parametrize("trouble", ["files", "unmounted"])
def test_what_is_missing_though_nobody_has_removed_it_stays_and_is_told_as_damaged(library, caplog, trouble):
    async def act(engine):
        if trouble == "files":
            shutil.rmtree(library.places.folder("deu_Latn", Role.SOURCE))
        else:
            library.path.rename(library.path.with_name("away"))
        for _ in range(2):
            with pytest.raises(AdapterError):
                await engine.translate(["cold"], DE_FR)
        assert "deu_Latn" in engine.state().languages
        assert "deu_Latn" in engine.state().broken

    run(library, act)
    logged = [record.getMessage() for record in caplog.records]
    assert "broken" in logged
    assert "removed" not in logged


def test_a_language_that_has_left_the_library_is_not_told_as_damaged(library):
    other = Library.open(library.path, library.base)
    picture = Served.of(library)
    other.remove("deu_Latn")
    shutil.rmtree(library.places.folder("epo_Latn", Role.SOURCE))
    assert list(picture.inspect(picture.pointers)) == ["epo_Latn"] == list(picture.broken)


def test_what_is_in_memory_of_a_language_that_was_removed_is_still_served(library):
    other = Library.open(library.path, library.base)

    async def act(engine):
        before = await engine.translate(["cold"], DE_FR)
        await asyncio.to_thread(other.remove, "deu_Latn")
        assert (await engine.translate(["cold"], DE_FR)).texts == before.texts
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], Direction("fra_Latn", "deu_Latn"))
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], DE_FR)  # it is out as a whole

    run(library, act)


def test_going_back_serves_and_stores_what_was_before(library):
    first = library.pointer("deu_Latn")
    library.add({"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})

    async def act(engine):
        told = await engine.rollback("deu_Latn")
        with pytest.raises(LibraryError, match="first version"):
            await engine.rollback("fra_Latn")
        return told, await engine.translate(["cold"], DE_FR)

    told, answer = run(library, act)
    assert told["versions"] == {"source": first.source, "target": first.target}
    assert library.pointer("deu_Latn").source == first.source == answer.versions["deu_Latn.source"]


@pytest.mark.parametrize("trouble", ["failed", "fails", "stopping"])
def test_going_back_changes_nothing_on_disk_where_it_cannot_be_served(library, monkeypatch, trouble):
    library.add({"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})
    before = library.places.pointer_path("deu_Latn").read_bytes()

    async def act(engine):
        if trouble == "stopping":
            await engine.stop(0.0)
        else:
            monkeypatch.setattr(Stream, "step", lambda self: 1 / 0)
        if trouble == "failed":
            with pytest.raises(Failed):
                await engine.translate(["cold"], DE_FR)
            while engine.state().failure is None:
                await asyncio.sleep(0.001)
        with pytest.raises(Stopping if trouble == "stopping" else Failed):
            await engine.rollback("deu_Latn")

    run(library, act)
    assert library.places.pointer_path("deu_Latn").read_bytes() == before


def test_going_back_while_another_updates_serves_what_lies_on_disk_then(library, monkeypatch):
    other = Library.open(library.path, library.base)
    library.add({"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})
    newer, rollback = shelves.module(library.base, "deu_Latn", 2), library.rollback

    def late(language):
        other.add({language: newer})
        return rollback(language)

    async def act(engine):
        monkeypatch.setattr(library, "rollback", late)
        await engine.rollback("deu_Latn")
        return engine.state().languages["deu_Latn"]

    assert run(library, act) == other.pointer("deu_Latn")


@pytest.mark.parametrize("length", [1, 2, 4])
def test_what_going_back_leads_to_is_known_before(library, length):
    for version in range(1, length + 1):
        library.add({"deu_Latn": shelves.module(library.base, "deu_Latn", version)})
    for _ in range(length + 1):
        foreseen = library.pointer("deu_Latn").earlier()
        assert library.rollback("deu_Latn") == foreseen == library.pointer("deu_Latn")
    assert library.pointer("fra_Latn").earlier() is None


def test_installing_takes_up_what_was_stored_and_requests_in_flight_keep_theirs(library, caplog):
    stored = Library.open(library.path, library.base)  # as another process has it

    async def act(engine):
        ways = [(await engine.translate(["cold"], DE_FR)).via]
        task = asyncio.create_task(engine.translate(list(served.SENTENCES) * 4, DE_FR))
        while not engine.state().running:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(store, stored, DE_FR, Mixing(via="pivot"))
        ways.append((await engine.translate(["cold"], DE_FR)).via)
        assert (await engine.install("epo_Latn"))["changed"] is False  # that of any language
        queued = engine.state().queue
        ways.append((await engine.translate(["cold"], DE_FR)).via)
        (library.path / "recipes" / "default.yaml").write_text("nonsense: [")
        await engine.install("epo_Latn")
        return [*ways, (await task).via], queued

    ways, queued = run(library, act, rows=1)
    assert ways == ["direct", "direct", "pivot", "direct"]
    assert queued > 1
    logged = [record.fields["recipe"] for record in caplog.records if record.getMessage() == "broken"]
    assert len(logged) == 1
    assert "default.yaml" in logged[0]


def spoil(library: Library, language: str) -> None:
    """Change a byte of an installed adapter."""
    place = library.places.folder(language, Role.SOURCE) / library.pointer(language).source / WEIGHTS
    data = place.read_bytes()
    place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_damaged_update_is_refused_and_the_old_version_stays(library):
    old = library.pointer("deu_Latn")

    async def act(engine):
        other = Library.open(library.path, library.base)
        await asyncio.to_thread(other.add, {"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})
        spoil(other, "deu_Latn")
        with pytest.raises(AdapterError):
            await engine.install("deu_Latn")
        assert engine.state().languages["deu_Latn"] == old
        return await engine.translate(["cold"], DE_FR)

    assert run(library, act).versions["deu_Latn.source"] == old.source


def test_what_is_damaged_at_the_start_hurts_no_other(library):
    spoil(library, "deu_Latn")
    library.places.pointer_path("epo_Latn").write_text("{}")

    async def act(engine):
        state = engine.state()
        assert "epo_Latn" in state.broken
        assert list(state.languages) == ["deu_Latn", "fra_Latn"]
        with pytest.raises(AdapterError):
            await engine.translate(["cold"], DE_FR)
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], Direction(ENGLISH, "epo_Latn"))
        answer = await engine.translate(["cold"], Direction(ENGLISH, "deu_Latn"))  # its other adapter is intact
        assert list(answer.versions) == ["deu_Latn.target"]
        assert (await engine.translate(["cold"], Direction(ENGLISH, "fra_Latn"))).texts

    run(library, act)


def test_what_is_damaged_is_found_and_logged_before_anyone_asks_for_it(library, caplog):
    spoil(library, "deu_Latn")
    (library.path / "recipes").mkdir()
    (library.path / "recipes" / "default.yaml").write_text("nonsense: [")

    async def act(engine):
        while "deu_Latn" not in engine.state().broken:
            await asyncio.sleep(0.01)
        assert library.shelf.usage().adapters == 0  # looked at, not kept
        library.add({"deu_Latn": shelves.module(library.base, "deu_Latn", 1)})
        await engine.install("deu_Latn")
        return engine.state().broken

    assert run(library, act) == {}
    logged = [record.fields for record in caplog.records if record.getMessage() == "broken"]
    assert any("default.yaml" in fields.get("recipe", "") for fields in logged)
    (damaged,) = [fields for fields in logged if "language" in fields]
    assert damaged["language"] == "deu_Latn"
    assert "deu_Latn.source" in damaged["detail"]


def test_what_an_operator_takes_out_stays_out_over_a_restart(library):
    async def take_out(engine):
        assert (await engine.remove("deu_Latn"))["lasting"]

    async def again(engine):
        state = engine.state()
        assert (state.withdrawn, "deu_Latn" in state.languages) == (("deu_Latn",), False)
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], DE_FR)
        assert (await engine.install("deu_Latn"))["lasting"]
        assert engine.state().withdrawn == ()

    async def at_last(engine):
        return await engine.translate(["cold"], DE_FR)

    run(library, take_out)
    assert Library.open(library.path).languages() == LANGUAGES  # it lies there as before
    run(Library.open(library.path, library.base), again)
    assert run(Library.open(library.path, library.base), at_last).via == "direct"


def test_what_cannot_be_written_down_is_still_taken_out(library, monkeypatch):
    async def act(engine):
        monkeypatch.setattr(withdrawn, "write_file", _full)
        told = await engine.remove("deu_Latn")
        with pytest.raises(LibraryError):
            await engine.translate(["cold"], DE_FR)
        return told["lasting"]

    assert run(library, act) is False


def _full(*_):
    raise OSError(errno.ENOSPC, "full")


def test_memory_stays_within_the_budget(library):
    async def act(engine):
        sizes = []
        for where in DIRECTIONS * 2:
            await engine.translate(["cold"], where)
            sizes.append(engine.state().bytes)
            await asyncio.sleep(0.1)  # until the worker has let go of them
        return sizes

    free = run(library, act)
    two = free[0]  # the two adapters of the first direction
    assert free[-1] == 3 * two  # both of each language
    small = Library.open(library.path, library.base, budget=3 * two // 2)
    assert max(run(small, act)) <= 3 * two // 2
    assert small.shelf.usage().dropped > 3
