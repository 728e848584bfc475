"""Who is let in: what a wait costs, foreseen; and a simulated service in which nothing but the queue is real."""

from __future__ import annotations

import heapq
import random
from types import SimpleNamespace

import pytest

from lingraft.serve.answers import Busy
from lingraft.serve.pace import BATCHES, Pace, work
from lingraft.serve.queue import Queue, Request

STEP = 0.025
"""Seconds for a token of every row, in the simulation."""


def request(*texts: str, legs: int = 1, beams: int = 1) -> Request:
    return Request(SimpleNamespace(legs=(None,) * legs), texts, beams)


def full(rows: int, patience: float | None = None, mean: str = "") -> Queue:
    """Return the queue of a worker that has no place left; sentences were like ``mean`` so far."""
    queue = Queue(1000, Pace(rows, patience))
    queue.running = rows
    if mean:
        queue.pace.come([work(mean)] * 500)
    return queue


def fill(queue: Queue, *requests: Request) -> int:
    """Put requests until one is refused, and return how many were taken."""
    for taken, each in enumerate(requests):
        try:
            queue.put(each)
        except Busy:
            return taken
    return len(requests)


def test_some_full_batches_may_wait_whatever_the_machine_does_in_a_second():
    for rate in (None, 1.0, 1e6):
        queue = full(8)
        queue.pace.rate = rate
        assert fill(queue, *[request("the small dog") for _ in range(100)]) == BATCHES * 8 + 2  # the last one's own too
    queue = full(8)
    queue.running = 3  # places are free
    assert fill(queue, *[request("the small dog") for _ in range(100)]) == BATCHES * 8 + 2 + 5


def test_twice_as_many_clients_as_places_are_all_taken_when_they_come_at_once():
    chance = random.Random(2)
    queue = Queue(1000, Pace(32, None))
    several = [request("x" * round(chance.lognormvariate(4, 0.6))) for _ in range(64)]
    assert fill(queue, *several) == 64


def test_long_sentences_other_scripts_a_second_leg_and_beams_are_more_work():
    assert work("the small dog") < work("the small dog and the big house") < 10 * work("the small dog")
    assert work("маленькая собака") > 1.4 * work("the little dog!!")
    small = ["the small dog"]
    plain = fill(full(8, mean=small[0]), *[request(*small) for _ in range(30)])
    for texts, more in ((small, {"legs": 2}), (small, {"beams": 2}), (["x" * 42], {})):
        assert fill(full(8, mean=small[0]), *[request(*texts, **more) for _ in range(30)]) < 0.75 * plain


def test_a_long_request_may_wait_longer_and_holds_up_no_short_one():
    queue = full(4, mean="cold")
    queue.put(request(*["cold"] * 300))
    assert (
        fill(queue, *[request("cold") for _ in range(30)]) == BATCHES * 4 + 1
    )  # in turns, they wait for one of the 300
    queue = full(4, mean="cold")
    assert fill(queue, *[request("cold") for _ in range(30)]) == BATCHES * 4 + 2
    with pytest.raises(Busy):
        queue.put(request("cold"))
    queue.put(request(*["cold"] * 5))


def test_with_a_fixed_patience_the_rate_decides_and_says_when_to_come_back():
    queue = full(4, patience=2.0)
    assert fill(queue, *[request("cold") for _ in range(50)]) == 50  # no rate yet
    queue.pace.rate = 10.0 * work("cold")
    with pytest.raises(Busy) as refused:
        queue.put(request("cold"))
    assert refused.value.retry_after == pytest.approx(3.0)


def test_a_rate_is_measured_while_the_batch_is_full_and_at_no_other_time():
    now = [0.0]
    pace = Pace(4, None, lambda: now[0])
    for i in range(40):
        now[0] = i / 10
        pace.go(100, full=False)
    assert pace.rate is None
    for i in range(40, 60):
        now[0] = i / 10
        pace.go(100, full=True)
    assert pace.rate == pytest.approx(1000)
    pace.go(100, full=False)
    now[0] = 1000.0  # a night without work is no slow second
    pace.go(100, full=True)
    now[0] = 1002.0
    pace.go(100, full=True)
    assert pace.rate == pytest.approx(0.7 * 1000 + 0.3 * 50)


def simulate(times: float, rows: int, seconds: float, seed: int) -> list[float]:
    """Let sentences of random lengths come at so many times the capacity; return how long the accepted ones took."""
    chance = random.Random(seed)
    queue, now, took = Queue(512, Pace(rows, None, lambda: now)), 0.0, []
    length = lambda: min(80, max(3, round(chance.lognormvariate(2.8, 0.5))))
    mean = sum(length() for _ in range(2000)) / 2000
    running: list[tuple[float, int, float, object]] = []
    free, serial, arrival = rows, 0, 0.0
    came: dict[int, float] = {}
    while now < seconds:
        now += STEP
        while arrival < now:
            arrival += chance.expovariate(times * rows / (mean * STEP))
            asked = request("x" * (4 * length()))
            try:
                queue.put(asked)
            except Busy:
                continue
            came[id(asked)] = arrival
        while running and running[0][0] <= now:
            _, _, begun, unit = heapq.heappop(running)
            took.append(now - begun)
            free += 1
            queue.running = rows - free
            queue.done(unit)
        for unit in queue.take(free, False):
            # What is generated is only about as long as what is read.
            tokens = max(2, round(len(unit.text) / 4 * chance.uniform(0.7, 1.3)))
            serial, free = serial + 1, free - 1
            queue.running = rows - free
            heapq.heappush(running, (now + tokens * STEP, serial, came.pop(id(unit.request)), unit))
    return sorted(took)


@pytest.mark.parametrize("rows", [8, 32])
def test_at_four_times_the_capacity_no_one_who_is_let_in_takes_twice_as_long(rows):
    p99 = [(took := simulate(times, rows, 80.0, 1))[int(0.99 * len(took))] for times in (1.0, 4.0)]
    assert p99[1] <= 2 * p99[0]
    assert p99[1] >= 1.05 * p99[0]  # it is an overload
