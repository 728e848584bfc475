from __future__ import annotations

import json

import pruned
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from lingraft.atoms import AdapterName, ConfigError, DataError, Role, Scope, Site
from lingraft.delta import Adapter, Bank, Update
from lingraft.probe import Survival, suggest, survival

CODES = ("deu_Latn", "epo_Latn", "fra_Latn", "ita_Latn", "por_Latn", "spa_Latn")
SURVIVORS = st.lists(st.integers(0, 300), min_size=1, max_size=6).map(lambda n: dict(zip(CODES, n, strict=False)))


@pytest.fixture(scope="module")
def found() -> Survival:
    return survival(pruned.bank(tiny.load("m2m_100")))


def test_cells_count_what_is_not_zero():
    b = torch.tensor([[0.0, 2.0], [-0.0, 0.0], [1e-30, float("-inf")]])
    update = Update(torch.zeros(2, 5), b)
    site = Site("decoder", 3, "q")
    adapter = Adapter("deu_Latn", Role.TARGET, Scope.EVERYWHERE, {site: update})
    assert survival(Bank([adapter])).cells == (("deu_Latn", Role.TARGET, site, 2, 3, 6),)
    assert survival(Bank()).cells == ()


def test_parts_sum_to_the_whole(found):
    """The shares by any key, weighted by their entries, give the share of all."""
    whole = found.shares(lambda cell: None)[None]
    assert whole == pytest.approx(0.2, abs=0.01)
    for key in (
        lambda cell: cell.language,
        lambda cell: (cell.language, cell.site.stack, cell.site.layer),
        lambda cell: (cell.language, cell.site.name),
        lambda cell: cell.role,
    ):
        shares, entries = found.shares(key), {}
        for cell in found.cells:
            entries[key(cell)] = entries.get(key(cell), 0) + cell.entries
        total = sum(entries.values())
        assert sum(shares[group] * count for group, count in entries.items()) / total == pytest.approx(whole)


def test_languages_that_compete_keep_what_they_need(found):
    assert found.languages == ("epo_Latn", "fra_Latn", "deu_Latn")
    assert found.stacks == ("encoder", "decoder")
    assert found.ranks == dict.fromkeys(CODES[:3], 2)
    assert found.notes == ()
    by_layer = found.shares(lambda cell: (cell.site.stack, cell.site.layer))
    assert all(share == pytest.approx(0.2, abs=0.01) for share in by_layer.values())


def test_notes_say_when_shares_show_no_demand():
    base = tiny.load("m2m_100")
    (unpruned,) = survival(pruned.bank(base, 0.0)).notes
    assert "nothing was pruned" in unpruned
    (alike,) = survival(pruned.bank(base, 0.8, "language")).notes
    assert "within each language" in alike
    some = survival(pruned.bank(base))
    part = Survival(tuple(cell for cell in some.cells if cell.language != "deu_Latn" or cell.role is Role.SOURCE))
    assert not part.comparable
    assert "no ranks are suggested" in part.notes[-1]


def test_a_group_without_entries_has_no_share():
    assert pruned.made({"deu_Latn": 0}, rank=0, entries=0).shares(lambda cell: cell.language) == {}


def test_json_is_the_inverse_of_reading_it(found):
    assert Survival.from_json(found.to_json()) == found
    summary = json.loads(found.to_json())["languages"]
    assert list(summary) == list(found.languages)
    assert summary["epo_Latn"] == {"share": found.shares(lambda cell: cell.language)["epo_Latn"], "rank": 2}


def test_json_that_is_something_else_is_refused():
    whole = pruned.made({"deu_Latn": 3, "epo_Latn": 4}).to_dict()

    def with_cell(**change):
        return {**whole, "cells": [{**whole["cells"][0], **change}, whole["cells"][1]]}

    wrong = [
        [],
        "x",
        {**whole, "format": 2},
        {**whole, "more": 1},
        {"format": 1, "cells": whole["cells"]},
        {**whole, "cells": None},
        {**whole, "cells": ["deu_Latn"]},
        {**whole, "cells": whole["cells"][:1] * 2},
        with_cell(more=1),
        with_cell(rank=-1),
        with_cell(rank=2.0),
        with_cell(surviving=True),
        with_cell(surviving=1001),
        with_cell(role="input"),
        with_cell(site=["encoder", 0]),
        with_cell(site=["encoder", "0", "q"]),
        with_cell(language=3),
    ]
    Survival.from_json(json.dumps(with_cell()))
    for data in wrong:
        with pytest.raises(DataError, match=r"Survival\.to_json"):
            Survival.from_json(json.dumps(data))
    for text in (b"\xff", "{", "[" * 10**5):
        with pytest.raises(DataError):
            Survival.from_json(text)


def test_ranks_follow_what_survived():
    found = pruned.made({"deu_Latn": 50, "epo_Latn": 200, "fra_Latn": 50})
    assert suggest(found) == {"epo_Latn": 8, "deu_Latn": 2, "fra_Latn": 2}  # 3 · 4 in all
    assert suggest(found, mean_rank=2) == {"epo_Latn": 4, "deu_Latn": 1, "fra_Latn": 1}
    assert suggest(found, total=12, maximum=6) == {"epo_Latn": 6, "deu_Latn": 3, "fra_Latn": 3}
    assert suggest(found, total=12, minimum=3) == {"epo_Latn": 6, "deu_Latn": 3, "fra_Latn": 3}
    assert suggest(found, total=8) == {"epo_Latn": 6, "deu_Latn": 1, "fra_Latn": 1}  # 5⅓, 1⅓, 1⅓: the largest first


def test_ranks_where_nothing_is_left_of_a_language():
    found = pruned.made({"deu_Latn": 0, "epo_Latn": 200})
    assert suggest(found, total=8) == {"epo_Latn": 7, "deu_Latn": 1}
    assert suggest(found, total=8, maximum=5) == {"epo_Latn": 5, "deu_Latn": 3}
    assert suggest(pruned.made({"deu_Latn": 0, "epo_Latn": 0}), total=5) == {"deu_Latn": 3, "epo_Latn": 2}
    assert suggest(Survival(())) == {}


@given(SURVIVORS, st.integers(0, 4), st.integers(0, 12), st.integers(0, 100))
def test_ranks_keep_the_budget_the_bounds_and_the_order(survivors, minimum, room, place):
    maximum, count = minimum + room, len(survivors)
    total = minimum * count + place * room * count // 100
    ranks = suggest(pruned.made(survivors), total=total, minimum=minimum, maximum=maximum)
    assert sum(ranks.values()) == total
    assert all(minimum <= rank <= maximum for rank in ranks.values())
    for code in survivors:
        for other in survivors:
            assert survivors[code] <= survivors[other] or ranks[code] >= ranks[other]


@given(SURVIVORS, st.integers(0, 60))
def test_without_bounds_a_rank_is_less_than_one_off_its_share(survivors, total):
    ranks, whole = suggest(pruned.made(survivors), total=total, minimum=0), sum(survivors.values())
    for code, rank in ranks.items():
        fair = total * survivors[code] / whole if whole else total / len(survivors)
        assert abs(rank - fair) < 1


@given(SURVIVORS, st.integers(1, 5), st.integers(2, 4))
def test_scale_of_survivors_does_not_matter(survivors, mean, factor):
    more = {code: factor * n for code, n in survivors.items()}
    assert suggest(pruned.made(survivors), mean_rank=mean) == suggest(pruned.made(more), mean_rank=mean)


def test_ranks_that_cannot_be_given_are_refused():
    found = pruned.made({"deu_Latn": 5, "epo_Latn": 9})
    for options in (
        {"mean_rank": 2, "total": 4},
        {"total": 1},
        {"mean_rank": float("nan")},
        {"mean_rank": float("inf")},
        {"total": 9, "maximum": 4},
        {"total": 4, "minimum": 3, "maximum": 2},
        {"total": 4, "minimum": -1},
    ):
        with pytest.raises(ConfigError):
            suggest(found, **options)
    uneven = Survival((found.cells[0]._replace(site=Site("encoder", 1, "q")), found.cells[1]))
    with pytest.raises(ConfigError, match="same sites"):
        suggest(uneven)


def test_a_bank_is_counted_in_one_order():
    bank = pruned.bank(tiny.load("m2m_100"))
    turned = Bank(reversed([*bank.values()]))
    assert survival(turned) == survival(bank)
    assert AdapterName(*survival(bank).cells[0][:2]) == AdapterName("deu_Latn", Role.SOURCE)
