"""The joint regime: the paper's formula, languages apart, sampling, indexing, pruning."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import linear

import tiny
from lingraft.atoms import AdapterName, ConfigError, DataError, Direction, Role, Site
from lingraft.base import fingerprint
from lingraft.corpus import Pairs
from lingraft.delta import Routing
from lingraft.direction import Recipe, attach, recipe_file, route
from lingraft.fit import Full, Joint, Material, Pruning, Silent, fit
from lingraft.fit.batch import collate, losses
from lingraft.fit.joint_learner import EVERYONE, JointLearner
from lingraft.fit.learner import Row
from lingraft.fit.multi import shares
from lingraft.fit.step import dev_loss, train_step

LANGUAGES = ("deu_Latn", "eng_Latn", "fra_Latn")
REGIME = Joint(
    rank=2, epochs=2, rows=16, tokens=400, precision="fp32", learning_rate=1e-2, dropout=False, label_smoothing=0.1
)


def between(a: str, b: str, count: int = 20) -> Pairs:
    return Pairs(a, b, tuple(f"{a[:2]} {i}" for i in range(count)), tuple(f"{b[:2]} {i}" for i in range(count)), "x")


def corpus(count: int = 20) -> list[Pairs]:
    return [between(a, b, count) for a in LANGUAGES for b in LANGUAGES if a < b]


def learner(base, regime: Joint = REGIME, text: list[Pairs] | None = None) -> JointLearner:
    (found,) = regime.learners(base, Material(text or corpus(), corpus(2)))
    assert isinstance(found, JointLearner)
    return found


def randomised(one: JointLearner) -> JointLearner:
    g = torch.Generator().manual_seed(5)
    for updates in one.updates.values():
        for update in updates.values():
            update.B.data.copy_(torch.randn(update.B.shape, generator=g) * 0.3)
    return one


@pytest.fixture(params=["llama", "m2m_100"])
def base(request):
    return tiny.load(request.param)


def arranged(rows) -> list[tuple[int, Row]]:
    return sorted(((0, row) for row in rows), key=lambda pair: pair[1].direction)


def double(base):
    base = copy.copy(base)
    base.model = copy.deepcopy(base.model).double()
    return base


def test_the_layer_is_the_papers_formula_in_float64(base):
    """h = W x + b + B_l A_l x with l the language that the layer is indexed by, row by row."""
    base = double(base)
    one = randomised(learner(base))
    for updates in one.updates.values():
        for update in updates.values():
            update.A.data, update.B.data = update.A.data.double(), update.B.data.double()
    seen: dict[Site, tuple[torch.Tensor, torch.Tensor]] = {}
    batch = collate(base, arranged(one.data[::7]))
    with Routing(base) as routing:
        hooks = [
            base.module(site).register_forward_hook(lambda m, x, y, site=site: seen.update({site: (x[0], y)}))
            for site in base.sites
        ]
        groups = [(direction, count) for _, direction, count in batch.groups]
        found = one.routes([direction for direction, _ in groups])
        routing.set([(r, count) for r, (_, count) in zip(found, groups, strict=True)], batch.span)
        losses(base, batch)
        for hook in hooks:
            hook.remove()
    rows = [direction for direction, count in groups for _ in range(count)]
    recipe = REGIME.recipe(base)
    for site in base.sites:
        module, (x, y) = base.module(site), seen[site]
        for n, direction in enumerate(rows):
            wanted = linear(x[n], module.weight, module.bias)
            role = Role.SOURCE if recipe.weight(site, Role.SOURCE) else Role.TARGET
            name = AdapterName(direction.source if role is Role.SOURCE else direction.target, role)
            if site.name not in ("o", "cross_o"):
                update = one.updates[name][site]
                wanted = wanted + x[n] @ update.A.T @ update.B.T
            torch.testing.assert_close(y[n], wanted, rtol=1e-6, atol=1e-6)


def test_a_batch_of_all_languages_is_a_batch_for_each(base):
    base = double(base)
    one = randomised(learner(base))

    def loss_by_direction(rows) -> dict[Direction, float]:
        batch = collate(base, arranged(rows))
        with Routing(base) as routing, torch.no_grad():
            found = one.routes([direction for _, direction, _ in batch.groups])
            routing.set([(r, n) for r, (*_, n) in zip(found, batch.groups, strict=True)], batch.span)
            parts = losses(base, batch)
        return {direction: part.item() for (_, direction, _), part in zip(batch.groups, parts, strict=True)}

    together = loss_by_direction(one.data[::3])
    for direction, value in together.items():
        alone = loss_by_direction([row for row in one.data[::3] if row.direction == direction])
        assert alone[direction] == pytest.approx(value, rel=1e-9)


def test_a_language_without_rows_does_not_move_even_with_momentum(base):
    one = learner(base)
    french = [row for row in one.data if "fra_Latn" in row.direction]
    rest = [row for row in one.data if "fra_Latn" not in row.direction]
    with Routing(base) as routing:
        one.rows = lambda: french[::5]  # type: ignore[method-assign]
        train_step(base, routing, [one], Silent())
        one.rows = lambda: rest[::5]  # type: ignore[method-assign]
        before = {name: weights.values.detach().clone() for name, weights in one.weights.items()}
        train_step(base, routing, [one], Silent())
    for name, weights in one.weights.items():
        assert torch.equal(weights.values, before[name]) == name.startswith("fra_Latn"), name


def test_each_adapters_gradient_is_of_the_mean_loss_over_its_own_tokens(base):
    """The reference: autograd of that mean, for each adapter by itself."""
    one = randomised(learner(base))
    caught: dict[str, torch.Tensor] = {}
    for name, weights in one.weights.items():
        weights.update = (  # type: ignore[method-assign]
            lambda rate, clip, scale=1.0, name=name, weights=weights: caught.update({name: weights.gradient * scale})
        )
    rows = one.data[::5][:20]
    one.rows = lambda: rows  # type: ignore[method-assign]
    with Routing(base) as routing:
        train_step(base, routing, [one], Silent())
    with Routing(base, "segments") as routing:  # reads each factor by itself, as autograd must
        for name, updates in one.updates.items():
            mine = arranged(row for row in rows if name.language == row.direction[name.role is Role.TARGET])
            if not mine or not updates:
                continue
            batch = collate(base, mine)
            found = one.routes([direction for _, direction, _ in batch.groups])
            routing.set([(r, n) for r, (*_, n) in zip(found, batch.groups, strict=True)], batch.span)
            mean = torch.stack(losses(base, batch, 0.1)).sum() / sum(batch.answers)
            parts = [t for u in updates.values() for t in (u.A, u.B)]
            wanted = torch.autograd.grad(mean, parts)
            for ours, theirs in zip(one.weights[str(name)].split(caught[str(name)]), wanted, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-6)


def test_temperature_makes_small_directions_larger():
    sizes = {Direction("a", "b"): 1000, Direction("b", "a"): 100, Direction("a", "c"): 10}
    assert shares(sizes, 1.0) == sizes
    warm = shares(sizes, 5.0)
    assert sum(warm.values()) == sum(sizes.values())
    powers = [(n / 1110) ** 0.2 for n in sizes.values()]
    assert list(warm.values()) == pytest.approx([1110 * p / sum(powers) for p in powers], abs=1)


def test_an_epoch_sees_rows_of_all_directions_by_their_share_and_none_is_left_out(base):
    one = learner(base, text=[between("deu_Latn", "eng_Latn", 60), between("deu_Latn", "fra_Latn", 5)])
    order = one.order(0)
    assert len(order) == len(one.data)
    assert order == one.order(0) != one.order(1)
    small = [i for i in order if one.data[i].direction == Direction("deu_Latn", "fra_Latn")]
    assert len(small) > 10
    assert len(set(small)) == 5


def test_the_indexing_of_the_paper_and_of_a_file(base, tmp_path):
    recipe = REGIME.recipe(base)
    first = next(iter(base.sites))
    assert recipe.roles(first) == {Role.SOURCE}
    assert recipe.roles(list(base.sites)[-1]) == {Role.TARGET}
    flipped = tmp_path / "flipped.yaml"
    recipe_file.write(Recipe(1.0, 0.0), flipped)
    one = learner(base, REGIME.model_copy(update={"indexing": str(flipped)}))
    assert {name.role for name in one.updates} == {Role.SOURCE}
    recipe_file.write(Recipe(0.5, 0.5), flipped)
    with pytest.raises(ConfigError, match=r"fit\.indexing.*alone"):
        learner(base, REGIME.model_copy(update={"indexing": str(flipped)}))
    recipe_file.write(Recipe(0.0, 1.0, {("decoder", 77): (1.0, 0.0)}), flipped)
    with pytest.raises(ConfigError, match="77"):
        learner(base, REGIME.model_copy(update={"indexing": str(flipped)}))


@pytest.mark.parametrize("per", ["layer", "site"])
def test_learned_indexing_starts_even_and_moves(base, per):
    regime = REGIME.model_copy(update={"learn": per, "mixing_rate": 0.3, "epochs": 1})
    start = learner(base, regime).indexing()
    assert start is not None
    assert (start.entropy(), start.hardness()) == (1.0, 0.5)
    run = fit(base, corpus(), regime, dev=corpus(2))
    (one,) = run.learners
    found = one.indexing()
    assert found.entropy() < 1.0
    assert found.hardness() > 0.5
    units = {site if per == "site" else site[:2] for site in base.sites if site.name not in ("o", "cross_o")}
    assert set(found.source) == units
    found.recipe().check(base.sites)


def test_pruning_follows_its_schedule_and_what_is_gone_stays_gone(base):
    regime = REGIME.model_copy(update={"epochs": 6, "prune": Pruning(share=0.75, start=1, length=3)})
    shares_, masks = [], []

    class Watch(Silent):
        def epoch(self, one) -> None:
            b = torch.cat([u.B.detach().flatten() for n, x in one.updates.items() for u in x.values()])
            shares_.append((b == 0).float().mean().item())
            masks.append(b != 0)

    run = fit(base, corpus(), regime, dev=corpus(2), reporter=Watch())
    assert shares_ == pytest.approx(
        [0, 0.75 * (1 - (2 / 3) ** 3), 0.75 * (1 - (1 / 3) ** 3), 0.75, 0.75, 0.75], abs=0.02
    )
    for older, newer in pairwise(masks):
        assert not (newer & ~older).any()
    assert min(item.best_epoch for item in run.trained.values()) >= 4
    for language in LANGUAGES:
        b = torch.cat(
            [u.B.flatten() for n, a in run.bank.items() if n.language == language for u in a.updates.values()]
        )
        assert (b == 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
        assert not b[b == 0].signbit().any()  # −0 would be stored as a value


def test_the_authors_slice_leaves_the_rest_of_the_feed_forward_at_zero():
    base = tiny.load("m2m_100")
    regime = REGIME.model_copy(update={"ffn": "first-d-model", "prune": Pruning(share=0.5, start=1, length=1)})
    run = fit(base, corpus(), regime, dev=corpus(2))
    for adapter in run.bank.values():
        for site, update in adapter.updates.items():
            d = min(base.shape(site))
            if site.name == "fc1":
                assert not update.B[d:].any()
                assert (update.B[:d] == 0).float().mean() < 0.95
            if site.name == "fc2":
                assert not update.A[:, d:].any()
                assert update.A[:, :d].all()
    with pytest.raises(ConfigError, match=r"fit\.ffn"):
        learner(tiny.load("llama"), regime)


def test_what_is_trained_is_used_by_the_same_recipe(base):
    run = fit(base, corpus(), REGIME.model_copy(update={"learning_rate": 0.1}), dev=corpus(2))
    (one,) = run.learners
    recipe = REGIME.recipe(base)
    texts, where = ["de 3", "de 12"], Direction("deu_Latn", "fra_Latn")
    with attach(base, one.routes([where])[0]) as trained:
        ours = trained.translate(texts, where, max_tokens=6)
    with attach(base, lambda w: route(run.bank, recipe, w)) as used:
        assert used.translate(texts, where, max_tokens=6) == ours


def test_a_shared_update_is_the_same_for_all(base):
    run = fit(base, corpus(), REGIME.model_copy(update={"shared": True}), dev=corpus(2))
    assert list(run.bank) == [AdapterName(EVERYONE, Role.TARGET)]


def test_full_fine_tuning_trains_a_copy(base):
    before = fingerprint(base.model, exact=True)
    run = fit(base, corpus(), Full(epochs=2, rows=16, tokens=400, precision="fp32", learning_rate=1e-3), dev=corpus(2))
    assert fingerprint(base.model, exact=True) == before
    assert run.base.fingerprint != base.fingerprint
    assert not any(p.requires_grad for p in run.base.model.parameters())
    (one,) = run.learners
    with Routing(run.base) as routing:
        assert dev_loss(run.base, routing, one) == pytest.approx(one.best_loss, rel=1e-5)


def test_full_fine_tuning_can_leave_the_embeddings(base):
    regime = Full(epochs=1, rows=16, tokens=400, precision="fp32", learning_rate=1e-3, embeddings=False)
    run = fit(base, corpus(), regime, dev=corpus(2))
    before, after = (dict(each.model.named_parameters()) for each in (base, run.base))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.split(".")[-2] in ("embed_tokens", "shared", "lm_head")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": {"low": 4}, "classes": {"low": ("fra_Latn",), "high": ("deu_Latn", "eng_Latn")}}, "no rank"),
        ({"classes": {"low": ("fra_Latn",)}}, "is in none"),
        ({"ranks": {"wol_Latn": 4}}, "wol_Latn"),
        ({"rank": 500}, "at most"),
        ({"sites": ("wq",)}, "wq"),
        ({"epochs": 4, "prune": Pruning(share=0.5, start=2, length=3)}, "at least 5"),
        ({"epochs": 20, "prune": Pruning(share=0.999999)}, "at least one entry"),
        ({"learn": "layer", "prune": Pruning(share=0.5)}, "learned"),
        ({"shared": True, "epochs": 3, "prune": Pruning(share=0.9)}, "at least 12"),
        ({"shared": True, "epochs": 20, "prune": Pruning(share=0.9999999)}, "at least one entry"),
        ({"shared": True, "learn": "layer"}, r"fit\.learn"),
    ],
)
def test_what_cannot_be_trained_is_refused_before(change, message):
    with pytest.raises(ConfigError, match=message):
        learner(tiny.load("llama"), REGIME.model_copy(update=change))


@pytest.mark.parametrize("kind", [Joint, Full])
def test_text_that_is_missing_is_named(kind):
    with pytest.raises(DataError, match="`corpus` must hold"):
        fit(tiny.load("llama"), [], kind(), dev=corpus(2))
    with pytest.raises(DataError, match="`dev` must hold"):
        fit(tiny.load("llama"), corpus(2), kind(), dev=[])


def test_dropout_depends_on_the_step_alone(base):
    regime = REGIME.model_copy(update={"dropout": True, "epochs": 1})
    base = copy.copy(base)
    base.model = copy.deepcopy(base.model)
    for module in base.model.modules():
        for attribute in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.2)

    def values(noise: int, **change) -> torch.Tensor:
        torch.manual_seed(noise)
        run = fit(base, corpus(), regime.model_copy(update=change), dev=corpus(2))
        return torch.cat([weights.values.detach() for weights in run.learners[0].weights.values()])

    assert torch.equal(values(1), values(2))
    assert not torch.equal(values(1), values(1, dropout=False))
    assert not base.model.training
