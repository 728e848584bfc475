"""Adapters in memory: the same as on disk, each read once, within a budget, and never another one."""

from __future__ import annotations

import gc
import os
import random
import shutil
import threading
import weakref
from collections import Counter, OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import shelf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lingraft.atoms import ENGLISH, AdapterError, AdapterName, ConfigError, Direction, LibraryError, Role, Scope, Site
from lingraft.delta import Adapter, Token, Update
from lingraft.direction import attach
from lingraft.library import LanguageModule, Library, disk
from lingraft.library.like import with_installed
from lingraft.library.memory import Shelf
from lingraft.library.refusal import MANIFEST, PROFILE, WEIGHTS
from lingraft.library.using import router

CPU = torch.device("cpu")
BASE = shelf.base()
BASE.languages = ()
SITE = Site("decoder", 0, "q")


@pytest.fixture(scope="module")
def shelved(tmp_path_factory) -> Path:
    library = Library.create(tmp_path_factory.mktemp("memory") / "lib", BASE)
    library.add({language: shelf.module(BASE, language) for language in shelf.LANGUAGES})
    return library.path


@pytest.fixture
def library(shelved, tmp_path) -> Library:
    return Library.open(shutil.copytree(shelved, tmp_path / "lib"), BASE)


@pytest.fixture
def opened(monkeypatch) -> list[tuple[str, str]]:
    """The files that are read: the adapter's or another folder, and the file's name."""
    files = []
    read_file = disk.read_file

    def read(root, parts, limit):
        files.append((parts[1] if parts[0] == "adapters" else parts[0], parts[-1]))
        return read_file(root, parts, limit)

    monkeypatch.setattr(disk, "read_file", read)
    return files


def test_opening_and_listing_read_no_adapter_and_a_direction_its_own_two_once(library, opened):
    library = Library.open(library.path, BASE)
    assert library.languages() == shelf.LANGUAGES
    assert {name for _, name in opened} == {"library.json"}
    where = Direction("deu_Latn", "fra_Latn")
    first = router(library, [where])(where)
    assert Counter(place for place, name in opened if name == WEIGHTS) == {"deu_Latn.source": 1, "fra_Latn.target": 1}
    assert not any("epo_Latn" in place + name for place, name in opened)
    opened.clear()
    second = router(library, [where])(where)
    assert sorted(opened) == [("languages", "deu_Latn.json"), ("languages", "fra_Latn.json")]
    assert [term.updates for term in first] == [term.updates for term in second]
    assert all(a.updates is b.updates for a, b in zip(first, second, strict=True))
    assert (library.shelf.usage().reads, library.shelf.usage().adapters) == (2, 2)


def test_what_is_in_memory_is_what_is_on_disk(library):
    for language in shelf.LANGUAGES:
        for role in Role:
            assert shelf.same(library.adapter(library.pointer(language), role), library.load(language, role))
    usage = library.shelf.usage()
    tensors = [t for a in library.bank().values() for u in a.updates.values() for t in (u.A, u.B)]
    assert usage.bytes == usage.peak == sum(t.numel() * t.element_size() for t in tensors)


def test_an_update_is_another_adapter_and_a_router_keeps_its_versions(library):
    where = Direction("deu_Latn", "fra_Latn")
    library.shelf.budget = 0  # nothing is kept that is not in use
    old = router(library, [where])
    before = library.load("deu_Latn", Role.SOURCE)
    library.add({"deu_Latn": shelf.module(BASE, "deu_Latn", seed=1)})
    after = library.load("deu_Latn", Role.SOURCE)
    assert not shelf.same(before, after)
    for find, wanted in ((old, before), (router(library, [where]), after), (old, before)):
        source, target = find(where)
        assert shelf.same(Adapter("deu_Latn", Role.SOURCE, source.scope, source.updates), wanted)
    library.remove("fra_Latn")
    assert old(where)[1].updates is target.updates  # held, so nothing is read
    del source, target
    library.shelf.trim()
    with pytest.raises(AdapterError) as caught:
        old(where)
    assert caught.value.code == "adapter.missing"


def test_a_changed_file_does_not_change_what_was_checked_and_is_refused_when_read_again(library):
    pointer = library.pointer("deu_Latn")
    adapter = library.adapter(pointer, Role.SOURCE)
    kept = library.load("deu_Latn", Role.SOURCE)
    (weights,) = library.path.glob(f"adapters/deu_Latn.source/*/{WEIGHTS}")
    size = weights.stat().st_size
    with open(weights, "r+b") as file:  # in place, as a mapping of the file would see it
        file.seek(-64, os.SEEK_END)
        file.write(bytes(64))
    assert shelf.same(library.adapter(pointer, Role.SOURCE), kept)
    os.truncate(weights, size // 2)  # reading a mapping past this end would kill the process
    assert shelf.same(adapter, kept)
    os.truncate(weights, size)
    del adapter
    library.shelf.trim(0)
    assert library.shelf.usage().adapters == 0
    with pytest.raises(AdapterError) as caught:
        library.adapter(pointer, Role.SOURCE)
    assert caught.value.code == "adapter.hash"


def test_a_damaged_adapter_is_refused_before_anything_is_translated_and_costs_no_other(library):
    (weights,) = library.path.glob(f"adapters/fra_Latn.target/*/{WEIGHTS}")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(AdapterError):
        router(library, [Direction("deu_Latn", "fra_Latn")])
    assert router(library, [Direction("fra_Latn", "deu_Latn")])


def test_a_router_refuses_what_it_was_not_made_for_and_knows_the_other_way(library):
    where, back = Direction("deu_Latn", "fra_Latn"), Direction("fra_Latn", ENGLISH)
    find = router(library, [where, Direction("deu_Latn", ENGLISH)])
    (term,) = find(back)
    loaded = library.load("fra_Latn", Role.SOURCE)
    assert shelf.same(Adapter(*loaded.name, term.scope, term.updates), loaded)
    with pytest.raises(LibraryError, match="epo_Latn is none of them"):
        find(Direction("deu_Latn", "epo_Latn"))
    with pytest.raises(LibraryError, match="rus_Cyrl.*is in neither"):
        router(library, [Direction("deu_Latn", "rus_Cyrl")])


def test_a_pointer_to_another_adapters_content_is_refused_in_memory_too(library):
    library.adapter(library.pointer("deu_Latn"), Role.SOURCE)
    stolen = library.pointer("fra_Latn").model_copy(update={"source": library.pointer("deu_Latn").source})
    with pytest.raises(AdapterError, match="must be fra_Latn.source") as caught:
        library.adapter(stolen, Role.SOURCE)
    assert caught.value.code == "adapter.name"


def test_profiles_come_without_weights_and_as_strictly(library, opened):
    assert library.profiles() == {language: shelf.profile(language) for language in shelf.LANGUAGES}
    assert WEIGHTS not in {name for _, name in opened}
    for language, file in (("deu_Latn", PROFILE), ("epo_Latn", MANIFEST), ("fra_Latn", "README.md")):
        (place,) = library.path.glob(f"adapters/{language}.target/*/{file}")
        good = place.read_bytes()
        for bad in (good.replace(b" ", b"  ", 1), good + b"\n"):
            place.write_bytes(bad)
            with pytest.raises(AdapterError) as caught:
                library.profiles([language])
            assert caught.value.code == "adapter.hash"
        place.write_bytes(good)
        assert library.profiles([language])


def test_a_base_is_told_of_all_borrowed_tokens_at_once():
    """Were it made anew for each language, N languages would copy N² names."""
    told: list[dict[str, str]] = []
    base = SimpleNamespace(family=SimpleNamespace(kind="seq2seq"))
    base.borrowing = lambda like: told.append(dict(like)) or base
    names = tuple(f"x{a}{b}_Latn" for a in "abcdefghij" for b in "abcdefghij")
    pointers = {name: SimpleNamespace(like="ita_Latn") for name in names}
    with_installed(base, SimpleNamespace(languages=lambda: names, pointer=pointers.__getitem__))
    assert told[-1] == dict.fromkeys(names, "ita_Latn")
    assert sum(map(len, told)) == 2 * len(names)


def test_translations_are_the_same_however_little_room_there_is(tmp_path):
    """Three directions in one batch, one of them of a language whose token is in its adapters."""
    base = tiny.load("m2m_100")
    path = tmp_path / "lib"
    library = Library.create(path, base, scope="everywhere")
    for language in ("deu_Latn", "fra_Latn", "fur_Latn"):
        parts = [shelf.adapter(base, language, role, scoped=False) for role in Role]
        if language == "fur_Latn":
            token = Token("ita_Latn", torch.linspace(-1, 1, 32))
            parts = [Adapter(*part.name, part.scope, part.updates, token) for part in parts]
        library.add({language: LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile(language))})
    where = [Direction(a, b) for a, b in zip(library.languages(), ("fra_Latn", "fur_Latn", "deu_Latn"), strict=True)]
    answers = []
    for budget in (None, 0):
        library = Library.open(path, base, budget=budget)
        with attach(library.base, router(library, where)) as translator:
            answers.append(translator.translate(["la casa"] * 6, where * 2, max_tokens=6))
        assert (library.shelf.usage().reads == 6) == (budget is None)
    library.shelf.trim()
    assert library.shelf.usage().bytes == 0  # the batch is over
    assert answers[0] == answers[1]
    assert len(set(answers[0])) == 3


# The shelf alone, over adapters that are made up.


def made(number: int, size: int = 8) -> tuple[AdapterName, Adapter]:
    """An adapter of 8 × ``size`` bytes whose values are its number."""
    adapter = Adapter(
        f"l{number:02d}_Latn",
        Role.SOURCE,
        Scope.SOURCE,
        {SITE: Update(torch.full((1, size), float(number)), torch.full((size, 1), float(number)))},
    )
    return adapter.name, adapter


class Maker:
    """Reads made-up adapters, whose versions are their numbers."""

    def __init__(self, size: int = 8) -> None:
        self.reads: Counter[str] = Counter()
        self.size = size

    def __call__(self, name: AdapterName, version: str) -> Adapter:
        self.reads[version] += 1
        return made(int(version), self.size)[1]


def ask(shelf_: Shelf, number: int) -> Adapter:
    return shelf_.get(made(number)[0], str(number), CPU)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ahr"), st.integers(0, 6)), max_size=40), st.integers(0, 5))
def test_the_one_asked_for_the_longest_ago_goes_first_but_none_that_is_held(steps, room):
    """A model in ten lines: what is there, in order, and who is held. Ask, hold a route's part, release."""
    maker = Maker()
    kept = Shelf(maker, budget=room * 64)
    there: OrderedDict[int, None] = OrderedDict()
    held: dict[int, object] = {}
    reads: Counter[str] = Counter()
    for verb, number in steps:
        if verb == "r":
            held.pop(number, None)
            continue
        reads[str(number)] += number not in there
        there[number] = None
        there.move_to_end(number)
        adapter = ask(kept, number)
        for old in list(there):
            if len(there) > room and old not in held and old != number:
                del there[old]
        assert float(adapter.updates[SITE].A[0, 0]) == number
        assert number not in held or adapter.updates is held[number]
        if verb == "h":
            held[number] = adapter.updates  # what a route holds of it
        del adapter
        usage = kept.usage()
        assert (usage.adapters, usage.bytes) == (len(there), 64 * len(there))
        assert usage.bytes <= max(64 * room, 64 * len({*held, number}))
    assert +reads == maker.reads
    held.clear()
    kept.trim()
    assert kept.usage().bytes <= 64 * room
    kept.trim(0)
    assert kept.usage().bytes == kept.usage().adapters == 0


def test_memory_that_was_dropped_is_free():
    kept = Shelf(Maker(), budget=64)
    seen = [weakref.ref(ask(kept, number).updates) for number in range(5)]
    gc.collect()
    assert [ref() is not None for ref in seen] == [False] * 4 + [True]


def test_a_library_that_is_over_leaves_memory_at_once(shelved):
    library = Library.open(shelved, BASE)
    seen = weakref.ref(library.adapter(library.pointer("deu_Latn"), Role.SOURCE).updates)
    gc.disable()
    try:
        assert seen() is not None
        del library
        assert seen() is None
    finally:
        gc.enable()


def test_threads_read_each_adapter_once_and_do_not_wait_for_one_another():
    slow, others = threading.Event(), threading.Event()
    maker = Maker()

    def read(name: AdapterName, version: str) -> Adapter:
        if version == "0":
            others.set()
            assert slow.wait(10)
        return maker(name, version)

    kept = Shelf(read)
    found: list[Adapter] = []
    threads = [threading.Thread(target=lambda: found.append(ask(kept, 0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert others.wait(10)
    assert ask(kept, 1).language == "l01_Latn"  # while number 0 is being read
    slow.set()
    for thread in threads:
        thread.join(10)
    assert maker.reads == {"0": 1, "1": 1}
    assert len(found) == 8
    assert len({id(adapter.updates) for adapter in found}) == 1


def test_threads_under_pressure_always_get_what_they_asked_for():
    kept = Shelf(Maker(), budget=3 * 64)
    wrong: list[object] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        try:
            for _ in range(300):
                batch = [draw.randrange(12) for _ in range(2)]
                held = {number: ask(kept, number) for number in batch}
                again = {number: ask(kept, number) for number in batch}
                for number in batch:
                    right = float(held[number].updates[SITE].B[-1, 0]) == number
                    if not right or held[number].updates is not again[number].updates:
                        wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    usage = kept.usage()
    assert usage.reads + usage.hits == 6 * 300 * 4
    assert usage.dropped > 12
    assert usage.peak <= (3 + 6 * 2 + 6) * 64  # the budget, what batches hold, and what is just being put there
    kept.trim()
    assert kept.usage().bytes <= 3 * 64


def test_a_failed_read_is_told_to_all_and_tried_again():
    maker, fail = Maker(), [True]

    def read(name: AdapterName, version: str) -> Adapter:
        if fail[0]:
            raise AdapterError("`it` must be readable, but is not.")
        return maker(name, version)

    kept = Shelf(read)
    for _ in range(2):
        with pytest.raises(AdapterError):
            ask(kept, 1)
    assert kept.usage().adapters == 0
    fail[0] = False
    assert ask(kept, 1).language == "l01_Latn"


@pytest.mark.parametrize("budget", [-1, 1.5, "1", True])
def test_a_budget_is_a_number_of_bytes(budget, shelved):
    with pytest.raises(ConfigError, match="`budget` must be a whole number of bytes"):
        Library.open(shelved, BASE, budget=budget)
