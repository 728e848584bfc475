"""When to merge, in its three readings: which checkpoint, which layers, which tokens. All of it on dev."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

from modular_study_systems import Study, System, adapters, facts, mixed, modular, regime, write_result

from lingraft.atoms import Role, Scope
from lingraft.delta import Bank
from lingraft.direction import Recipe

Step = Callable[[Study], None]


def some_of(study: Study, epochs: int, **settings: object) -> tuple[str, Bank, dict]:
    """Return adapters of ``--some-pairs`` rows after a run of so many epochs, with its name and what is known of it."""
    scope = settings.get("scope", "span")
    name = f"some-{scope}-{epochs}"
    fit = regime(study, epochs=epochs, **settings)
    texts = study.english(study.args.some_pairs)
    bank = adapters(study, name, texts, fit)
    return name, bank, facts(study, name, texts, fit, sum(adapter.parameters for adapter in bank.values()))


def checkpoints(study: Study) -> Iterator[tuple[str, Step]]:
    """Yield a step for each pair of an input adapter's and an output adapter's number of epochs.

    A run of fewer epochs is a whole run, whose rate falls to its end; so all adapters are finished ones.
    """
    epochs = range(1, study.args.some_epochs + 1)
    for source, target in product(epochs, epochs):

        def step(study: Study, source: int = source, target: int = target) -> None:
            bank = Bank(
                adapter
                for role, each in zip(Role, (source, target), strict=True)
                for name, adapter in some_of(study, each)[1].items()
                if name.role is role
            )
            known = {**some_of(study, target)[2], "source_epochs": source, "target_epochs": target}
            write_result(study, f"checkpoint/{source}-{target}", System(mixed(bank), known), ("direct",), on="dev")

        yield f"checkpoint/{source}-{target}", step


def depths(study: Study) -> Iterator[tuple[str, Step]]:
    """Yield a step for each place of the border between layers: both roles divided, or one of them cut off.

    The adapters were trained in all layers: what is cut off is missed. ``merge/depth`` is the same in training.
    """
    layers = sorted({(site.stack, site.layer) for site in study.base.sites})
    last = max(layer for _, layer in layers)
    kinds = {
        "divided": lambda layer, k: (float(layer < k), float(layer >= k)),
        "source-below": lambda layer, k: (float(layer < k), 1.0),
        "target-from": lambda layer, k: (1.0, float(layer >= k)),
    }
    for kind, k in product(kinds, range(1, last + 1)):

        def step(study: Study, kind: str = kind, k: int = k) -> None:
            _, bank, known = some_of(study, study.args.some_epochs)
            pairs = {(stack, layer): kinds[kind](layer, k) for stack, layer in layers}
            system = System(mixed(bank, Recipe(layers=pairs)), {**known, "kind": kind, "border": k})
            write_result(study, f"depth/{kind}-{k}", system, ("direct",), on="dev")

        yield f"depth/{kind}-{k}", step


def phases(study: Study) -> Iterator[tuple[str, Step]]:
    """Yield a step for each pair of where adapters acted in training and where they act now; and the plain ratios."""
    for trained, used in product(("everywhere", "span"), ("everywhere", "span")):

        def step(study: Study, trained: str = trained, used: str = used) -> None:
            _, bank, known = some_of(study, study.args.some_epochs, scope=trained)
            scoped = Bank(
                replace(adapter, scope=Scope(adapter.role.value) if used == "span" else Scope.EVERYWHERE)
                for adapter in bank.values()
            )
            system = System(mixed(scoped), {**known, "trained": trained, "used": used})
            write_result(study, f"phase/{trained}-{used}", system, ("direct",), on="dev")

        yield f"phase/{trained}-{used}", step
    for weight in study.args.weights.split(","):

        def ratio(study: Study, weight: str = weight) -> None:
            _, bank, known = some_of(study, study.args.some_epochs, scope="everywhere")
            system = System(mixed(bank, Recipe(float(weight), float(weight))), {**known, "weight": float(weight)})
            write_result(study, f"ratio/{weight}", system, ("direct",), on="dev")

        yield f"ratio/{weight}", ratio


def mergeability(study: Study) -> Iterator[tuple[str, Step]]:
    """Yield a step for each way of training that might merge better, and for the control: direct and pivot."""
    layers = 1 + max(site.layer for site in study.base.sites)
    low, half, high = layers // 3, layers // 2, -(-2 * layers // 3)
    ways: dict[str, dict[str, object]] = {
        "control": {},
        "no-bridge": {"bridge": 0.0},
        "rebridge": {"rebridge": True},
        "partner": {"partner": 0.5},
        "orthogonal": {"orthogonal": 0.1},
        "orthogonal-strong": {"orthogonal": 1.0},
        "depth": {"layers": {"source_below": max(1, high), "target_from": low}},
        "depth-halves": {"layers": {"source_below": max(1, half), "target_from": half}},
        "rebridge-partner": {"rebridge": True, "partner": 0.5},
    }
    for (way, settings), seed in product(ways.items(), study.args.some_seeds.split(",")):
        name = f"merge/{way}-{seed}"

        def step(study: Study, name: str = name, settings: dict[str, object] = settings, seed: str = seed) -> None:
            fit = regime(study, epochs=study.args.some_epochs, seed=int(seed), **settings)
            partners = None
            if fit.partner:  # those of the plain run, as a library would hold them
                partners = some_of(study, study.args.some_epochs)[1]
            training = name.replace("/", "-")
            if name == "merge/control-1":
                training = f"some-span-{study.args.some_epochs}"
            system = modular(study, training, study.args.some_pairs, fit, partners=partners)
            write_result(study, name, system, ("direct", "pivot"), on="dev")

        yield name, step
