"""Rows that come and leave at any time get the tokens they would get alone, and those of transformers."""

from __future__ import annotations

import gc
import weakref
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

import banks
import tiny
from lingraft.atoms import Direction
from lingraft.base import Encoded
from lingraft.delta import Plan, Routing, Update
from lingraft.direction import Job, Recipe, Stream, attach, budget, fill, generate, route

PAIRS = [Direction(a, b) for a in banks.LANGUAGES[:2] for b in banks.LANGUAGES[2:]]
TEXTS = [
    "ein Haus",
    "der Hund schläft jetzt in dem roten Haus",
    "a",
    "zwei Katzen und drei Hunde",
    "das Wasser ist kalt",
]


def jobs(base, scoped: bool, most: int = 12) -> list[Job]:
    """Every text in every direction; keys are numbers."""
    bank = banks.bank(base, scoped=scoped, rank=None, size=0.6)
    found = []
    for where in PAIRS:
        given = route(bank, Recipe(0.9, 1.1), where)
        rows = base.format.encode(where, TEXTS)
        found += [Job(None, row, given, budget(base, row, most - i)) for i, row in enumerate(rows)]
    return [Job(key, job.row, job.route, job.budget) for key, job in enumerate(found)]


@cache
def alone(family: str, scoped: bool) -> list[str]:
    """The answer of each job, by transformers' own generation, one row at a time."""
    base = tiny.load(family)
    with Routing(base) as routing:
        return [
            generate(base, routing, [job.row], [(job.route, 1)], max_tokens=job.budget)[0] for job in jobs(base, scoped)
        ]


def traced(step):
    """Record a step as its bare operations: like a GPU's replays, they see nothing of Python."""
    tensors = make_fx(step)()
    return lambda: tensors()


@pytest.mark.parametrize("record", [None, traced])
@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("family", ["llama", "m2m_100"])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_nobodys_answer_depends_on_who_comes_and_leaves(family, scoped, record, data):
    base = tiny.load(family)
    all_jobs = jobs(base, scoped)
    waiting = data.draw(st.permutations(all_jobs))[:8]
    done: dict[int, str | None] = {}
    with Routing(base) as routing:
        stream = Stream(base, routing, record)
        while waiting or len(stream):
            if waiting and (not len(stream) or data.draw(st.booleans())):
                count = data.draw(st.integers(1, 6))
                stream.add(waiting[:count])
                done |= dict.fromkeys(job.key for job in waiting[:count])
                waiting = waiting[count:]
            if len(stream) > 1 and data.draw(st.integers(0, 5)) == 0:
                gone = data.draw(st.sampled_from([key for key, answer in done.items() if answer is None]))
                before = len(stream)
                stream.drop({gone, "nobody"})
                assert len(stream) == before - 1
                done.pop(gone)
            for key, answer in stream.step():
                assert done[key] is None
                done[key] = answer
    wanted = alone(family, scoped)
    assert done == {key: wanted[key] for key in done}


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "mistral"])
def test_every_family_runs_in_a_stream(family):
    base = tiny.load(family)
    all_jobs = jobs(base, True)[::3]
    with Routing(base) as routing:
        done = dict(fill(Stream(base, routing), all_jobs, 4))
    assert [done[job.key] for job in all_jobs] == alone(family, True)[::3]


def test_a_sliding_window_is_that_of_transformers():
    base = tiny.load("gemma3_text")
    windows = [m for m in base.model.modules() if getattr(m, "sliding_window", None)]
    texts = ["der kleine Hund sieht das große rote Haus", "ein Haus"]
    rows = base.format.encode(PAIRS[0], texts)
    config = base.model.config
    before = config.sliding_window
    try:
        for part in (config, *windows):
            part.sliding_window = 6
        with Routing(base) as routing:
            wanted = [generate(base, routing, [row], [((), 1)], max_tokens=12)[0] for row in rows]
            given = [Job(i, row, (), budget(base, row, 12)) for i, row in enumerate(rows)]
            assert dict(fill(Stream(base, routing), given, 2)) == dict(enumerate(wanted))
    finally:
        for part in (config, *windows):
            part.sliding_window = before


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
@pytest.mark.parametrize("scoped", [False, True])
def test_a_source_for_several_targets_is_read_once_where_what_is_read_is_the_same(family, scoped):
    base = tiny.load(family)
    text = "der kleine Hund sieht das große rote Haus und trinkt kaltes Wasser"
    bank = banks.bank(base, scoped=scoped, size=0.6)
    given = []
    for key, code in enumerate(banks.LANGUAGES[1:]):
        where = Direction("deu_Latn", code)
        (row,) = base.format.encode(where, [text])
        given.append(Job(key, row, route(bank, Recipe(), where), 6))
    reader = base.model.get_decoder() if base.family.kind == "decoder" else base.model.get_encoder()
    read: list[tuple[int, int]] = []
    note = lambda module, args, kwargs: read.append(tuple((kwargs.get("input_ids")).shape))
    with Routing(base) as routing:
        wanted = {}
        for job in given:
            wanted |= dict(fill(Stream(base, routing), [job], 1))
        handle = reader.register_forward_pre_hook(note, with_kwargs=True)
        done = dict(fill(Stream(base, routing), given, len(given)))
        handle.remove()
    assert done == wanted
    assert len(set(done.values())) > 1
    shared = (1, len(given[0].row.source))
    assert (read[0] == shared) is scoped
    assert read[0][0] == (1 if scoped else len(given))


def test_a_source_shorter_than_the_longest_tail_is_read_in_one_pass():
    base = tiny.load("llama")
    rows = [Encoded((5,), (7,)), Encoded((5,), (8, 9, 10, 11)), Encoded((5,), (8, 9, 10))] * 3
    given = [Job(i, row, (), 4) for i, row in enumerate(rows)]
    with Routing(base) as routing:
        wanted = {}
        for job in given:
            wanted |= dict(fill(Stream(base, routing), [job], 1))
        assert dict(fill(Stream(base, routing), given, 9)) == wanted


def test_a_stream_that_never_runs_dry_keeps_its_cache_small():
    """Columns in front, whose rows have left, are given up: the width is that of the rows, not of the time."""
    base = tiny.load("llama")
    rows = base.format.encode(PAIRS[0], [TEXTS[1]] * 120)
    given = (Job(i, row, (), 3 + i % 9) for i, row in enumerate(rows))
    with Routing(base) as routing:
        stream = Stream(base, routing)
        assert len(list(fill(stream, given, 4))) == 120
    assert stream._slots.columns <= 128
    assert stream._slots.slots == 4


def test_places_are_filled_while_others_go_on():
    base = tiny.load("llama")
    rows = base.format.encode(PAIRS[0], [TEXTS[0]] * 24)
    with Routing(base) as routing:
        stream = Stream(base, routing)
        passes = []
        handle = base.model.get_decoder().register_forward_pre_hook(
            lambda module, args, kwargs: passes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
        )
        done = list(fill(stream, (Job(i, row, (), 40 if i == 0 else 4) for i, row in enumerate(rows)), 8))
        handle.remove()
    assert len(done) == 24
    assert len(passes) < 60  # one long row after another batch would take 40 + 4 + 4 steps at the least
    assert max(passes) == 8


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_rows_that_cannot_be_read_leave_the_others_as_they_were(family):
    base = tiny.load(family)
    one, other, *_ = jobs(base, True)
    term = one.route[0]
    broken = {site: Update(torch.ones(2, 3), torch.ones(base.shape(site)[0], 2)) for site in term.updates}
    with Routing(base) as routing:
        stream = Stream(base, routing)
        stream.add([one])
        done = dict(stream.step())
        with pytest.raises(RuntimeError):
            stream.add([Job("bad", other.row, (term._replace(updates=broken),), 5)])
        stream.add([other])
        while len(stream):
            done |= dict(stream.step())
    assert done == dict(enumerate(alone(family, True)[:2]))


def test_nothing_to_do_is_nothing():
    base = tiny.load("llama")
    with Routing(base) as routing:
        stream = Stream(base, routing)
        stream.add([])
        stream.drop({1})
        assert stream.step() == []
        assert list(fill(stream, [], 4)) == []


@pytest.mark.soak
@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_ten_thousand_rows_of_mixed_batches(family):
    base = tiny.load(family)
    all_jobs = jobs(base, True)
    wanted = alone(family, True)
    order = torch.randint(len(all_jobs), (10_000,), generator=torch.Generator().manual_seed(1)).tolist()
    given = (Job((n, i), all_jobs[i].row, all_jobs[i].route, all_jobs[i].budget) for n, i in enumerate(order))
    with attach(base), Routing(base) as routing:
        done = list(fill(Stream(base, routing), given, 32))
    assert len(done) == 10_000
    assert all(answer == wanted[i] for (_, i), answer in done)


@pytest.mark.parametrize("record", [None, traced])
def test_a_stream_that_is_empty_holds_no_adapter(record):
    base = tiny.load("llama")
    bank = banks.bank(base)
    seen = weakref.ref(next(iter(next(iter(bank.values())).updates.values())))
    where = Direction(*list(banks.LANGUAGES)[:2])
    (row,) = base.format.encode(where, TEXTS[:1])
    with Routing(base) as routing:
        stream = Stream(base, routing, record)
        assert len(list(fill(stream, [Job(0, row, route(bank, Recipe(), where), 6)], 1))) == 1
        routing.use(Plan(base, ()))
        del bank
        gc.collect()
        assert seen() is None
