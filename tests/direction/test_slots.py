"""The buffers of a running batch: how large they are, and that what is kept survives a move."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

import tiny
from lingraft.atoms import Direction
from lingraft.delta import Routing
from lingraft.direction import Job, Stream, fill
from lingraft.direction.slots import Slots


def filled(slots: int, columns: int) -> tuple[Slots, Tensor]:
    cache = Slots(1)
    cache.resize(slots, columns, 0, (0, 0))
    cache.view(slice(0, slots), 0, 0)
    keys = torch.randn(slots, 2, columns, 3)
    cache.update(keys, -keys, 0)
    return cache, keys


def kept(cache: Slots, rows: int, start: int, stop: int) -> Tensor:
    keys, values = (buffer[:rows, :, start:stop] for buffer in cache.layers[0].buffers)
    assert torch.equal(keys, -values)
    return keys


def test_what_is_kept_moves_within_its_buffers_where_they_do():
    cache, keys = filled(4, 64)
    places = [buffer.data_ptr() for buffer in cache.layers[0].buffers]
    cache.resize(4, 60, 3, (10, 64), 2)  # the places overlap
    assert torch.equal(kept(cache, 3, 2, 56), keys[:3, :, 10:64])
    cache.resize(3, 60, 3, (2, 56), 9)
    assert torch.equal(kept(cache, 3, 9, 63), keys[:3, :, 10:64])
    assert [buffer.data_ptr() for buffer in cache.layers[0].buffers] == places


def test_buffers_grow_little_more_than_is_needed_and_shrink_when_a_long_row_has_left():
    cache, keys = filled(20, 64)
    cache.resize(21, 600, 20, (60, 64))
    assert (cache.slots, cache.columns) == (28, 640)
    assert torch.equal(kept(cache, 20, 0, 4), keys[:, :, 60:64])
    cache.resize(21, 321, 20, (0, 4), 5)
    assert cache.columns == 640  # not worth it yet
    cache.resize(21, 100, 20, (5, 9), 1)
    assert (cache.slots, cache.columns) == (28, 128)
    assert torch.equal(kept(cache, 20, 1, 5), keys[:, :, 60:64])
    assert cache.layers[0].buffers[0].shape == (28, 2, 128, 3)


def test_buffers_go_with_the_cache_and_wait_for_no_garbage_collection():
    cache, _ = filled(2, 64)
    buffer = weakref.ref(cache.layers[0].buffers[0])
    del cache
    assert buffer() is None


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_a_long_row_goes_on_while_many_short_ones_join_and_more_after_it(family):
    base = tiny.load(family)
    texts = ["ein kalter Hund " * 9, "ein Haus", *["das Wasser ist kalt"] * 12]
    rows = base.format.encode(Direction("deu_Latn", "fra_Latn"), texts)
    assert len(rows[0].source) > 64
    jobs = [Job(i, row, (), 20 if i == 0 else 6) for i, row in enumerate(rows)]
    with Routing(base) as routing:
        alone = {key: answer for job in jobs for key, answer in fill(Stream(base, routing), [job], 1)}
        stream, done = Stream(base, routing), {}
        for coming in (jobs[:1], jobs[1:2], jobs[2:9], [], [], jobs[9:]):
            stream.add(coming)
            done |= dict(stream.step())
        while len(stream):
            done |= dict(stream.step())
    assert done == alone
