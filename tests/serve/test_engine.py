"""The engine: the same translations as alone, fair, bounded, cancellable, and none hurts another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import served
import torch

from lingraft.atoms import ENGLISH, ConfigError, Direction, LanguageError, LibraryError, Role, Scope
from lingraft.delta import Term, Update
from lingraft.direction import attach
from lingraft.library import Library
from lingraft.library.mixing import Mixing, store
from lingraft.library.using import router, usual_via
from lingraft.serve.answers import Busy, Failed, Stopping
from lingraft.serve.engine import Engine

DE_FR = Direction("deu_Latn", "fra_Latn")
MIXED = (
    DE_FR,
    Direction("fra_Latn", "deu_Latn"),
    Direction("epo_Latn", ENGLISH),
    Direction(ENGLISH, "epo_Latn"),
    Direction(ENGLISH, "ita_Latn"),
)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return served.library(tmp_path_factory.mktemp("served") / "lib")


def run(library, act, **options):
    """Run a coroutine function on a started engine."""

    async def main():
        async with served.serving(library, **options) as engine:
            return await asyncio.wait_for(act(engine), 60)

    return asyncio.run(main())


def test_mixed_requests_answer_as_each_sentence_alone_and_name_their_versions(library):
    async def act(engine):
        tasks = [engine.translate([s], where) for where in MIXED for s in served.SENTENCES[:3]]
        return await asyncio.gather(*tasks)

    answers = iter(run(library, act, rows=4))
    for where in MIXED:
        for sentence in served.SENTENCES[:3]:
            answer = next(answers)
            assert answer.texts == (served.expected(library, answer.versions, where, sentence),)
            installed = {code: library.pointer(code) for code in where if code in library.languages()}
            sides = {f"{code}.{role}": code for code, role in zip(where, Role, strict=True) if code in installed}
            assert dict(answer.versions) == {
                named: installed[code].of(Role(named.split(".")[1])) for named, code in sides.items()
            }
            assert answer.via == ("direct" if sides else "base")


def test_long_text_is_split_and_joined_and_blank_text_is_an_answer(library):
    text = "  The dog.  Red house.\n\n\tCold water. "

    async def act(engine):
        return await engine.translate([text, " \n", ""], DE_FR)

    answer = run(library, act)
    alone = [served.expected(library, answer.versions, DE_FR, s) for s in ("The dog.", "Red house.", "Cold water.")]
    assert answer.texts == ("  {}  {}\n\n\t{} ".format(*alone), " \n", "")
    assert answer.alternatives == ((), (), ())


def test_a_sentence_that_does_not_fit_the_context_is_parted_as_when_translating_by_hand(library):
    text = " ".join(["hshshs" * 5] * 12)  # about a token for each letter
    answer = run(library, lambda engine: engine.translate([text], DE_FR))
    with attach(library.base, router(library, [DE_FR])) as translator:
        assert answer.texts == tuple(translator.translate([text], DE_FR, max_tokens=served.TOKENS))
    (row,) = library.base.format.encode(DE_FR, [text])
    assert len(row.source) + len(row.target) > library.base.context


def test_a_pivot_is_two_passes_with_four_adapters_at_most(library, tmp_path):
    async def act(engine):
        return [await engine.translate(["red house"], where, via="pivot") for where in (DE_FR, MIXED[2])]

    there, direct = run(library, act)
    assert (there.via, direct.via) == ("pivot", "direct")
    legs = [Direction("deu_Latn", ENGLISH), Direction(ENGLISH, "fra_Latn")]
    assert list(there.versions) == ["deu_Latn.source", "fra_Latn.target"]
    versions = [{key: there.versions[key]} for key in there.versions]
    english = served.expected(library, versions[0], legs[0], "red house")
    assert there.texts == (served.expected(library, versions[1], legs[1], english) if english else "",)


def test_a_direction_with_one_side_goes_through_english_unless_it_is_stored_otherwise(tmp_path):
    library = served.library(tmp_path / "lib")
    half = Direction("deu_Latn", "ita_Latn")

    async def act(engine):
        ways = [(await engine.translate(["cold"], where)).via for where in (half, DE_FR)]
        store(library, half, Mixing(via="direct"))
        store(library, DE_FR, Mixing(via="pivot"))
        await engine.remove("epo_Latn")  # what is stored is looked at when other versions are served
        return ways + [(await engine.translate(["cold"], where)).via for where in (half, DE_FR)]

    assert run(library, act) == ["pivot", "direct", "direct", "pivot"]


def test_the_usual_way_is_one_rule_for_whoever_asks(tmp_path):
    library = served.library(tmp_path / "lib")
    half, none = Direction("deu_Latn", "ita_Latn"), Direction("ita_Latn", "spa_Latn")
    strange = Direction("deu_Latn", "rus_Cyrl")
    ways = lambda: [usual_via(library, where) for where in (half, DE_FR, none, strange, MIXED[2])]
    assert ways() == ["pivot", "direct", "direct", "direct", "direct"]
    store(library, None, Mixing(via="pivot"))
    assert ways() == ["pivot", "pivot", "direct", "direct", "direct"]
    for where, via in ((half, "direct"), (DE_FR, "direct"), (none, "pivot"), (strange, "pivot")):
        store(library, where, Mixing(via=via))
    assert ways() == ["direct", "direct", "pivot", "direct", "direct"]


def test_alternatives_are_different_and_the_rest_runs_on(library):
    async def act(engine):
        asked = [engine.translate(["red house"], DE_FR, alternatives=2), engine.translate(["cold water"], DE_FR)]
        return await asyncio.gather(*asked)

    several, one = run(library, act)
    found = {*several.texts, *several.alternatives[0]}
    assert len(several.alternatives[0]) in (1, 2)
    assert len(found) == 1 + len(several.alternatives[0])
    assert one.texts == (served.expected(library, one.versions, DE_FR, "cold water"),)
    assert one.alternatives == ((),)


def test_a_short_request_does_not_wait_for_a_long_one(library):
    order = []

    async def ask(engine, key, count):
        await engine.translate([served.SENTENCES[i % 5] for i in range(count)], DE_FR)
        order.append(key)

    async def act(engine):
        long = asyncio.create_task(ask(engine, "long", 40))
        while not engine.state().running:
            await asyncio.sleep(0.001)
        await ask(engine, "short", 2)
        queued = engine.state().queue
        await long
        return queued

    assert run(library, act, rows=2) > 10
    assert order == ["short", "long"]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(library):
    async def act(engine):
        first = asyncio.create_task(engine.translate(list(served.SENTENCES), DE_FR))
        while not engine.state().queue:
            await asyncio.sleep(0.001)
        with pytest.raises(Busy) as refused:
            await engine.translate(list(served.SENTENCES), DE_FR)
        assert len((await first).texts) == 5
        await engine.translate(list(served.SENTENCES) * 2, DE_FR)  # more than there is room for, but nothing waits
        return refused.value.retry_after

    assert 1 <= run(library, act, rows=1, waiting=5) <= 60


def test_requests_that_are_being_prepared_count_as_waiting(library):
    """Else a flood waits before the queue, where nothing bounds it."""

    async def act(engine):
        asked = [engine.translate([served.SENTENCES[0]], DE_FR) for _ in range(50)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = run(library, act, rows=1, waiting=8)
    assert sum(isinstance(each, Busy) for each in found) >= 40
    assert not isinstance(found[0], Exception)


def test_a_wait_that_would_be_too_long_is_refused(library):
    async def act(engine):
        engine._queue.pace.rate = 0.01
        first = asyncio.create_task(engine.translate(list(served.SENTENCES), DE_FR))
        while not (engine.state().queue and engine._queue.running):
            await asyncio.sleep(0.001)
        with pytest.raises(Busy):
            await engine.translate(["cold"], DE_FR)
        await first

    run(library, act, rows=1, patience=5.0)


def test_a_cancelled_request_leaves_the_queue_and_the_model(library):
    async def act(engine):
        tasks = [asyncio.create_task(engine.translate([served.TEXT] * 20, DE_FR)) for _ in range(3)]
        while engine.state().running < 4:
            await asyncio.sleep(0.001)
        answered = engine.state().answered
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert engine.state().queue == 0
        while engine.state().running:
            await asyncio.sleep(0.001)
        assert engine.state().answered - answered < 20
        return await engine.translate(["red house"], DE_FR)

    answer = run(library, act, rows=4, patience=60.0)
    assert answer.texts == (served.expected(library, answer.versions, DE_FR, "red house"),)


def test_stopping_answers_what_is_there_and_refuses_what_comes(library):
    async def main():
        engine = Engine(library, rows=4, patience=60.0, max_tokens=served.TOKENS)
        engine.start()
        tasks = [asyncio.create_task(engine.translate([s] * 3, DE_FR)) for s in served.SENTENCES]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(engine.stop(30))
        await asyncio.sleep(0)
        with pytest.raises(Stopping):
            await engine.translate(["cold"], DE_FR)
        answers = await asyncio.gather(*tasks)
        await stopping
        assert [len(answer.texts) for answer in answers] == [3] * 5
        state = engine.state()
        assert (state.queue, state.running, state.ready, state.stopping, state.failure) == (0, 0, False, True, None)

    asyncio.run(main())


def test_stopping_without_patience_refuses_what_is_there(library):
    async def main():
        engine = Engine(library, rows=1, patience=60.0)
        engine.start()
        tasks = [asyncio.create_task(engine.translate([served.TEXT] * 30, DE_FR)) for _ in range(3)]
        while not engine.state().running:
            await asyncio.sleep(0.001)
        await engine.stop(0.0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, Stopping) for each in found)

    asyncio.run(main())


def break_direction(engine, direction: Direction) -> None:
    """Give a direction a route on which the model fails."""
    way = engine._served.way(direction)
    site = next(iter(engine.library.base.sites))
    bad = Update(torch.zeros(2, 7), torch.zeros(3, 2), 1.0)
    broken = replace(way.legs[0], route=(Term({site: bad}, {site: 1.0}, Scope.EVERYWHERE),))
    engine._served._ways[direction, None] = replace(way, legs=(broken,))


def test_a_direction_on_which_the_model_fails_hurts_no_other(library):
    async def act(engine):
        break_direction(engine, DE_FR)
        asked = [engine.translate([s], where) for s in served.SENTENCES[:3] for where in (DE_FR, MIXED[1])]
        found = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(Failed, match="deu_Latn-fra_Latn"):
            await engine.translate(["cold"], DE_FR)
        assert (await engine.install("deu_Latn"))["changed"] is False
        again = await engine.translate(["cold"], DE_FR)  # other versions, or these once more
        assert engine.state().failure is None
        return found, again

    found, again = run(library, act, rows=8)
    assert all(isinstance(each, Failed) for each in found[::2])
    for sentence, answer in zip(served.SENTENCES, found[1::2], strict=False):
        assert answer.texts == (served.expected(library, answer.versions, MIXED[1], sentence),)
    assert again.texts == (served.expected(library, again.versions, DE_FR, "cold"),)


def test_when_the_base_itself_fails_the_engine_says_so_and_everyone_is_answered(library, monkeypatch):
    from lingraft.direction.stream import Stream

    async def act(engine):
        monkeypatch.setattr(Stream, "step", lambda self: 1 / 0)
        asked = [engine.translate([s], where) for s in served.SENTENCES[:2] for where in MIXED]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, Failed) for each in found)
        state = engine.state()
        assert (state.ready, state.failure) == (False, "the worker stopped: ZeroDivisionError")
        with pytest.raises(Failed):
            await engine.translate(["cold"], DE_FR)

    run(library, act)


@pytest.mark.parametrize(
    ("direction", "options", "error"),
    [
        (Direction("deu_Latn", "deu_Latn"), {}, LanguageError),
        (Direction("deu_Latn", "rus_Cyrl"), {}, LibraryError),
        (Direction("../x", "deu_Latn"), {}, LibraryError),
        (DE_FR, {"via": "sideways"}, ConfigError),
        (DE_FR, {"alternatives": 99}, ConfigError),
    ],
)
def test_what_cannot_be_asked_is_refused(library, direction, options, error):
    async def act(engine):
        with pytest.raises(error):
            await engine.translate(["cold"], direction, **options)
        assert engine.state().queue == 0

    run(library, act)


def test_numbers_that_make_no_engine_are_refused_together(library):
    with pytest.raises(ConfigError, match=r"(?s)rows.*waiting"):
        Engine(library, rows=0, waiting=-1)
