"""Training leaves out the rows that the base cannot read."""

from __future__ import annotations

import pytest

import tiny
from lingraft.atoms import DataError, Direction
from lingraft.base import Encoded
from lingraft.fit.fresh import fitting
from lingraft.fit.learner import Row

DIRECTION = Direction("deu_Latn", "fra_Latn")


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_training_leaves_out_what_the_model_cannot_read(family):
    base = tiny.load(family)
    row = Encoded((1,) * (base.context // 2), (2, 2), (3,) * (base.context // 2))
    short, long = Row(DIRECTION, Encoded((1,), (2,), (3,))), Row(DIRECTION, row)
    assert fitting(base, [short, long, short], "x") == ([short, short] if family == "llama" else [short, long, short])
    longer = Row(DIRECTION, Encoded((1,) * (base.context + 1), (2,), (3,)))
    with pytest.raises(DataError, match=f"at most {base.context} tokens"):
        fitting(base, [longer], "x")
