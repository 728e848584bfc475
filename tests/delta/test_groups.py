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


@given(owners(), st.data())
def test_rows_that_leave_take_their_empty_groups_along(owners, data):
    groups = Groups(owners)
    rows = sorted(data.draw(st.sets(st.integers(0, len(owners) - 1), min_size=1)))
    picked, left = groups.pick(rows)
    assert [left[group] for group in picked.owners] == [owners[row] for row in rows]
    assert min(picked.counts) > 0
    assert groups.repeat(3).owners == tuple(owner for owner in owners for _ in range(3))
