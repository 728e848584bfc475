"""Systems of runs/modular_study.py that train on all rows at once: full fine-tuning, and one adapter for everyone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from typing import Any

from lslo_watch import Watch
from modular_study_systems import Study, System, facts, passes

from lingraft.corpus import Pairs
from lingraft.delta import Term
from lingraft.fit import Full, Joint, Training, fit


def together(study: Study, name: str, texts: Sequence[Pairs], dev: Sequence[Pairs], fits: Sequence[Training]) -> System:
    """Train on all rows at once under each of some settings, and return the best by dev loss.

    Args:
        study: The study.
        name: What the runs are called.
        texts: The rows; both directions of each text.
        dev: Rows to stop by.
        fits: Settings of full fine-tuning, or of one update for all, that differ in rate and rows of a step.

    Returns:
        The system. Its checkpoints are for `forget`.
    """
    trials, runs = [], []
    for each in fits:
        title = f"{name}-{each.learning_rate:g}-{each.rows}"
        watch = Watch(title, study.path(f"seconds/{title}.json"))
        run = fit(study.base, texts, each, dev=dev, work=study.path(f"work/{name}"), reporter=watch)
        (learner,) = run.learners
        known = {"best_epoch": learner.best_epoch, "epochs": learner.epoch, "steps": learner.step}
        seconds = {"dev_loss": learner.best_loss, "seconds": round(watch.seconds, 1)}
        trials.append({"learning_rate": each.learning_rate, "rows": each.rows, **known, **seconds})
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
    """Return the settings of training on all rows at once: passes over about so many rows, for all that is tried.

    Args:
        study: The study.
        kind: Full fine-tuning, or adapters.
        texts: The rows.
        rows: How many rows, each text counted in both directions and in every epoch.
        **more: Further settings.

    Returns:
        One for each of ``--full-rates`` or ``--lora-rates`` with each of ``--full-rows``.
    """
    args = study.args
    there = passes(texts)
    epochs = max(1, round(rows / there))
    common = {"epochs": epochs, "dropout": False, "label_smoothing": 0.1, "patience": max(2, epochs // 5)}
    common |= {"temperature": 1.0, **more}
    rates = args.full_rates if kind is Full else args.lora_rates
    found = []
    for rate, size in product(map(float, str(rates).split(",")), map(int, str(args.full_rows).split(","))):
        warmup = max(1, round(0.05 * epochs * -(-there // size)))
        found.append(kind.model_validate(common | {"learning_rate": rate, "rows": size, "warmup": warmup}))
    return found


def forget(study: Study, name: str) -> None:
    """Remove the checkpoints of runs on all rows at once; those of libraries are gone already."""
    shutil.rmtree(study.path(f"work/{name}"), ignore_errors=True)
