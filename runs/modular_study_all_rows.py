"""Systems of runs/modular_study.py that train on all rows at once: full fine-tuning, and one adapter for everyone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from lslo_watch import Watch
from modular_study_systems import Study, System, facts, passes

from lingraft.corpus import Pairs
from lingraft.delta import Term
from lingraft.fit import Full, Joint, Training, fit


def together(study: Study, name: str, texts: Sequence[Pairs], dev: Sequence[Pairs], fits: Sequence[Training]) -> System:
    """Train on all rows at once under each of some settings that differ in the rate, and return the best by dev loss.

    Args:
        study: The study.
        name: What the runs are called.
        texts: The rows; both directions of each text.
        dev: Rows to stop by.
        fits: Settings of full fine-tuning, or of one update for all.

    Returns:
        The system. Its checkpoints are for `forget`.
    """
    trials, runs = [], []
    for each in fits:
        watch = Watch(f"{name} {each.learning_rate:g}", study.path(f"seconds/{name}-{each.learning_rate:g}.json"))
        run = fit(study.base, texts, each, dev=dev, work=study.path(f"work/{name}"), reporter=watch)
        (learner,) = run.learners
        known = {"best_epoch": learner.best_epoch, "epochs": learner.epoch, "steps": learner.step}
        seconds = {"dev_loss": learner.best_loss, "seconds": round(watch.seconds, 1)}
        trials.append({"learning_rate": each.learning_rate, **known, **seconds})
        runs.append(run)
    best = min(range(len(fits)), key=lambda i: trials[i]["dev_loss"])
    run, known = runs[best], {"trials": trials, "steps": trials[best]["steps"]}
    if isinstance(fits[best], Full):
        count = sum(parameter.numel() for parameter in run.base.model.parameters())
        return System(lambda direction: (), facts(study, name, texts, fits[best], count, **known), run.base)
    (adapter,) = run.bank.values()
    term = Term(adapter.updates, dict.fromkeys(adapter.updates, 1.0), adapter.scope)
    return System(lambda direction: (term,), facts(study, name, texts, fits[best], adapter.parameters, **known))


def everyone(study: Study, kind: type[Full] | type[Joint], texts: Sequence[Pairs], rows: int, **more: Any) -> list:
    """Return the settings of training on all rows at once: passes over about so many rows, for each rate to try.

    Args:
        study: The study.
        kind: Full fine-tuning, or adapters.
        texts: The rows.
        rows: How many rows, each text counted in both directions and in every epoch.
        **more: Further settings.

    Returns:
        One for each of ``--full-rates`` or ``--lora-rates``.
    """
    args = study.args
    there = passes(texts)
    epochs = max(1, round(rows / there))
    warmup = max(1, round(0.05 * epochs * -(-there // args.full_rows)))
    common = {"epochs": epochs, "rows": args.full_rows, "warmup": warmup, "dropout": False}
    common |= {"label_smoothing": 0.1, "patience": max(2, epochs // 5), "temperature": 1.0, **more}
    rates = args.full_rates if kind is Full else args.lora_rates
    return [kind.model_validate(common | {"learning_rate": float(rate)}) for rate in str(rates).split(",")]


def forget(study: Study, name: str) -> None:
    """Remove the checkpoints of runs on all rows at once; those of libraries are gone already."""
    shutil.rmtree(study.path(f"work/{name}"), ignore_errors=True)
