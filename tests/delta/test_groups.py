from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lingraft.delta.groups import Groups


@st.composite
def owners(draw: st.DrawFn) -> list[int]:
    count = draw(st.integers(1, 5))
    extra = draw(st.lists(st.integers(0, count - 1), max_size=12))
    return draw(st.permutations([*range(count), *extra]))


@given(owners())
def test_sorting_and_spreading_are_undone(owners):
    groups = Groups(owners)
    x = torch.arange(len(owners))[:, None].double()
    assert [owners[int(row)] for row in groups.sort(x)] == sorted(owners)
    assert torch.equal(groups.unsort(groups.sort(x)), x)
    spread = groups.spread(x).view(len(groups), max(groups.counts))
    for group, rows in enumerate(spread.tolist()):
        assert {owners[int(row)] for row in rows} == {group}
    assert torch.equal(groups.collect(groups.spread(x)), x)


@given(owners(), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 5)), st.data())
def test_stretches_cover_every_position_of_the_live_groups_once(owners, length, most, data):
    groups = Groups(owners)
    live = tuple(data.draw(st.lists(st.booleans(), min_size=len(groups), max_size=len(groups))))
    covered = []
    for group, first, stop in groups.tiles(length, most, live).tolist():
        assert 0 < stop - first <= (most or len(owners) * length)
        covered += [(group, divmod(at, length)) for at in range(first, stop)]
    rows = groups.standing.tolist()
    assert all(owners[rows[place]] == group for group, (place, _) in covered)
    assert len(set(covered)) == len(covered) == length * sum(live[owner] for owner in owners)


@given(owners())
def test_what_groups_hold_is_laid_out_for_rows_and_gradients_are_summed_in_its_precision(owners):
    groups = Groups(owners)
    held = torch.ones(len(groups), 2, 3, requires_grad=True)
    rows = groups.of_rows(held * torch.arange(len(groups))[:, None, None], torch.bfloat16)
    assert rows.dtype == torch.bfloat16
    assert rows[:, 0, 0].tolist() == owners
    groups.of_rows(held, torch.bfloat16).backward(torch.full(rows.shape, 257 / 256).bfloat16() + 0)
    assert held.grad.dtype == torch.float32
    assert held.grad[:, 0, 0].tolist() == [count * float(torch.tensor(257 / 256).bfloat16()) for count in groups.counts]


def test_groups_of_beams_are_made_once():
    groups = Groups([0, 1, 0])
    assert groups.repeat(2) is groups.repeat(2)
    assert groups.repeat(2).owners == (0, 0, 1, 1, 0, 0)
