"""Tokens that a base lacks, against a copy of the base that was resized to have them."""

from __future__ import annotations

import copy

import pytest
import torch

import banks
import tiny
from lingraft.atoms import AdapterName, Direction, Role
from lingraft.base import Base
from lingraft.delta import Adapter, Bank, Plan, Routing, Term, Token
from lingraft.direction import Recipe, attach, compose, merge, route

LIKE = {"fur_Latn": "ita_Latn", "scn_Latn": "ita_Latn"}
TEXTS = ("la casa", "il piccolo cane vede la casa")
DIRECTIONS = [
    Direction(a, b)
    for a, b in (("fur_Latn", "deu_Latn"), ("deu_Latn", "scn_Latn"), ("fur_Latn", "scn_Latn"), ("deu_Latn", "ita_Latn"))
]


@pytest.fixture(params=["m2m_100", "m2m_100_short"])
def base(request) -> Base:
    return tiny.load(request.param).borrowing(LIKE)


def own(base: Base) -> torch.Tensor:
    return base.model.model.shared.weight[base.token("ita_Latn")].detach()


def bank(base: Base, size: float = 0.5) -> Bank:
    """Adapters of all languages, those of Friulian and Sicilian with tokens of their own."""
    adapters = []
    for i, adapter in enumerate(banks.bank(base, ("deu_Latn", *LIKE)).values()):
        noise = torch.randn(32, generator=torch.Generator().manual_seed(i))
        token = Token("ita_Latn", own(base) + size * noise) if adapter.language in LIKE else None
        adapters.append(Adapter(*adapter.name, adapter.scope, adapter.updates, token))
    return Bank(adapters)


def inputs(base: Base, directions, texts=TEXTS) -> dict[str, torch.Tensor]:
    rows = [row for where in directions for row in base.format.encode(where, texts, texts)]
    pad = lambda seqs: torch.tensor([list(s) + [base.format.pad] * (max(map(len, seqs)) - len(s)) for s in seqs])
    ids = pad([row.source for row in rows])
    mask = (ids != base.format.pad).long()
    return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": pad([r.target + r.answer for r in rows])}


def logits(base: Base, routes, given) -> torch.Tensor:
    with Routing(base) as routing, torch.no_grad():
        routing.set(routes)
        return base.model(**given).logits


def tokens_alone(bank: Bank) -> Bank:
    return Bank(Adapter(*each.name, each.scope, {}, each.token) for each in bank.values())


def test_a_token_equal_to_its_relatives_changes_nothing_bit_for_bit(base):
    same = tokens_alone(bank(base, 0.0))
    given = inputs(base, DIRECTIONS)
    routes = [(route(same, Recipe(), where), 2) for where in DIRECTIONS]
    assert torch.equal(logits(base, routes, given), logits(base, [((), 8)], given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_reads_as_a_resized_copy_of_the_base_would(base, dtype):
    base = copy.copy(base)
    base.model = copy.deepcopy(base.model).to(dtype)
    where = Direction("fur_Latn", "scn_Latn")
    found = tokens_alone(bank(base))
    given = inputs(base, [where])
    before = base.model.model.shared.weight.clone()
    ours = logits(base, [(route(found, Recipe(), where), 2)], given)
    assert torch.equal(base.model.model.shared.weight, before)

    resized = copy.deepcopy(base.model)
    size = resized.config.vocab_size
    resized.resize_token_embeddings(size + 2, mean_resizing=False)
    new = dict(given)
    for i, (key, name) in enumerate((("input_ids", ("fur_Latn", Role.SOURCE)),
                                     ("decoder_input_ids", ("scn_Latn", Role.TARGET)))):  # fmt: skip
        with torch.no_grad():
            resized.model.shared.weight[size + i] = found[AdapterName(*name)].token.row
        new[key] = torch.where(given[key] == base.token("ita_Latn"), size + i, given[key])
    with torch.no_grad():
        assert torch.equal(resized(**new).logits[..., :size], ours)
    assert (ours - logits(base, [((), 2)], given)).abs().max() > 0.1


def test_rows_without_a_token_are_untouched_bit_for_bit(base):
    given = inputs(base, DIRECTIONS)
    plain = logits(base, [((), 8)], given)
    found = logits(base, [(route(tokens_alone(bank(base)), Recipe(), where), 2) for where in DIRECTIONS], given)
    assert torch.equal(found[6:], plain[6:])  # German–Italian, where Italian's own token stands
    assert all((found[i] - plain[i]).abs().max() > 0.05 for i in range(6))


@pytest.mark.parametrize("beam", [1, 3])
def test_law_10_a_mixed_batch_is_the_loop_over_its_directions(base, beam):
    found = bank(base)
    routes = {where: route(found, Recipe(), where) for where in DIRECTIONS}
    texts = [text for _ in DIRECTIONS for text in TEXTS]
    asked = [where for where in DIRECTIONS for _ in TEXTS]
    with attach(base, routes) as translator:
        mixed = translator.translate(texts, asked, beam=beam, max_tokens=12)
        alone = [translator.translate([t], d, beam=beam, max_tokens=12)[0] for t, d in zip(texts, asked, strict=True)]
    assert mixed == alone
    without = Bank(Adapter(*each.name, each.scope, each.updates) for each in found.values())
    with attach(base, lambda where: route(without, Recipe(), where)) as translator:
        assert translator.translate(texts[:6], asked[:6], beam=beam, max_tokens=12) != mixed[:6]


def test_both_stacks_may_read_through_one_module(base):
    shared = copy.copy(base)
    shared.model = copy.deepcopy(base.model)
    inner = shared.model.model
    inner.encoder.embed_tokens = inner.decoder.embed_tokens = inner.shared
    given = inputs(base, DIRECTIONS)
    routes = [(route(bank(base), Recipe(), where), 2) for where in DIRECTIONS]
    assert torch.equal(logits(shared, routes, given), logits(base, routes, given))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in shared.model.modules())


def test_some_rows_can_go_on_alone_in_any_order(base):
    given = inputs(base, DIRECTIONS)
    routes = [(route(bank(base), Recipe(), where), 2) for where in DIRECTIONS]
    rows = [6, 2, 5, 1]
    with Routing(base) as routing, torch.no_grad():
        routing.use(Plan(base, [each for each, count in routes for _ in range(count)]).keep(rows))
        found = base.model(**{name: tensor[rows] for name, tensor in given.items()}).logits
    torch.testing.assert_close(found, logits(base, routes, given)[rows], rtol=1e-4, atol=1e-5)


def test_a_composition_keeps_the_token_of_each_side(base):
    found = bank(base)
    for where in DIRECTIONS:
        given = inputs(base, [where])
        composed = compose(found, Recipe(0.7, 1.2), where)
        assert set(composed.tokens) == {role for role, code in zip(Role, where, strict=True) if code in LIKE}
        wanted = logits(base, [(route(found, Recipe(0.7, 1.2), where), 2)], given)
        for again in (composed, merge(where, composed.route())):
            torch.testing.assert_close(logits(base, [(again.route(), 2)], given), wanted, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_a_token_comes_from_its_own_rows_alone(base):
    given = inputs(base, DIRECTIONS)

    def gradients(members: list[int]) -> list[torch.Tensor | None]:
        rows = {name: own(base).clone().requires_grad_() for name in ("fur_Latn", "scn_Latn")}
        roles = {"fur_Latn": Role.SOURCE, "scn_Latn": Role.TARGET}
        routes = [
            (tuple(Term({}, {}, None, {roles[x]: Token("ita_Latn", rows[x])}) for x in where if x in LIKE), 2)
            for where in (DIRECTIONS[i] for i in members)
        ]
        picked = [2 * i + j for i in members for j in range(2)]
        with Routing(base) as routing:
            routing.set(routes)
            out = base.model(**{name: tensor[picked] for name, tensor in given.items()}).logits
            out.log_softmax(-1)[..., 7].sum().backward()
        return [row.grad for row in rows.values()]

    fur, scn = gradients([0, 1, 2, 3])
    only_fur, none = gradients([0])
    both = gradients([2])
    assert none is None
    torch.testing.assert_close(fur, only_fur + both[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scn, gradients([1])[1] + both[1], rtol=1e-4, atol=1e-5)
    assert fur.abs().max() > 0.1
