"""Search for the recipe of a direction: candidates from a sampler, several at a time, on a part of the dev lines.

What a search finds has been chosen on the lines it saw, so it looks better there than it is. A third of the lines is
kept from it, and what is reported is the gain on those.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lingraft.atoms import ConfigError, LibraryError
from lingraft.direction import Recipe
from lingraft.probe.search_judge import Verdict
from lingraft.probe.search_space import Point, Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import FloatDistribution

Sampler = Literal["gp", "tpe", "grid"]
Score = Callable[[Sequence[Recipe]], Sequence[Verdict]]
"""Scores some candidates together."""
STARTUP = 8
"""Candidates before a model of the surface is made of them; the first ones are those that others have found."""


@dataclass(frozen=True)
class Trial:
    """A candidate and what came of it."""

    point: Mapping[str, float]
    verdict: Verdict


@dataclass(frozen=True)
class Plan:
    """How to search."""

    sampler: Sampler = "gp"
    trials: int = 30
    batch: int = 5
    """Candidates that are scored together; a sampler learns nothing from one until all are."""
    seed: int = 0
    store: Path | None = None
    """File that keeps the trials, so that a stopped search goes on; None: memory."""
    name: str = "search"
    """Of the search within the file; one of the same name goes on."""


def search(
    space: Space,
    score: Score,
    plan: Plan,
    first: Sequence[Recipe] = (),
    known: Callable[[int], None] = lambda count: None,
) -> tuple[Trial, ...]:
    """Return the trials of a search, in their order; those that the store holds already are not scored again.

    Args:
        space: What may be changed.
        score: What a candidate is worth.
        plan: How to search.
        first: Recipes to try before the sampler is asked, e.g. those of other directions.
        known: Told of the number of trials that the store holds.

    Returns:
        ``plan.trials`` trials, or more where the store holds more; of a grid its points, whatever else is in the store.

    Raises:
        ConfigError: If the grid cannot be that small, or the extra is not installed.
        LibraryError: If the store cannot be read or written.
    """
    given = space.grid(plan.trials) if plan.sampler == "grid" else [space.point(recipe) for recipe in first]
    wanted = plan.trials
    with _study(plan) as (study, distributions):
        axes = distributions(space.bounds)
        done = [trial.params for trial in _finished(study)]
        # A candidate that one finds twice among the first ones is tried once.
        points = [dict(each) for each in dict.fromkeys(tuple(point.items()) for point in given)]
        queue = [point for point in points if not any(_same(point, each) for each in done)]
        if plan.sampler == "grid":
            wanted = len(done) + len(queue)
            known(len(points) - len(queue))
        else:
            queue = queue[: max(0, wanted - len(done))]
            known(min(len(done), wanted))
        while queue:
            batch, queue = queue[: max(plan.batch, STARTUP)], queue[max(plan.batch, STARTUP) :]
            for point, verdict in zip(batch, score([space.recipe(point) for point in batch]), strict=True):
                _add(study, point, axes, verdict)
        while (left := wanted - len(done := _finished(study))) > 0:
            study.sampler = _sampler(plan, len(done))
            # Before there is a model, nothing is lost by scoring all that is drawn at once.
            count = min(left, max(plan.batch, STARTUP - len(done)))
            asked = [study.ask(dict(axes)) for _ in range(count)]
            verdicts = score([space.recipe(trial.params) for trial in asked])
            for trial, verdict in zip(asked, verdicts, strict=True):
                for key, value in _attributes(verdict).items():
                    trial.set_user_attr(key, value)
                study.tell(trial, verdict.value)
        return tuple(
            Trial(trial.params, Verdict(trial.value, trial.user_attrs.get("chrf"), trial.user_attrs.get("off_target")))
            for trial in _finished(study)
            if plan.sampler != "grid" or any(_same(trial.params, point) for point in points)
        )


def best(trials: Sequence[Trial]) -> Trial:
    """Return the trial of the largest value; of equal ones the first."""
    return max(trials, key=lambda trial: trial.verdict.value)


@contextmanager
def _study(plan: Plan) -> Iterator[tuple[Study, Callable[[Mapping[str, Any]], dict[str, FloatDistribution]]]]:
    """Yield the study of a plan, with what a search that was stopped began but did not finish marked as failed."""
    try:
        import optuna
        from optuna.distributions import FloatDistribution
        from optuna.storages import InMemoryStorage, JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState
    except ImportError:
        raise ConfigError(
            "`search` must have optuna, but it is not installed. Run `pip install 'lingraft[search]'`."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            storage = JournalStorage(JournalFileBackend(str(plan.store))) if plan.store else InMemoryStorage()
            study = optuna.create_study(
                storage=storage, study_name=plan.name, direction="maximize", load_if_exists=True
            )
            for trial in study.get_trials(states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)
            yield study, lambda bounds: {name: FloatDistribution(*ends) for name, ends in bounds.items()}
        except (OSError, ValueError, KeyError) as error:
            if plan.store is None:
                raise
            raise LibraryError(
                f"`{plan.store}` must be a store of trials that can be written, but {error!r:.200}. Take another file."
            ) from error


def _sampler(plan: Plan, done: int) -> Any:
    """Return the sampler for the next batch: what it draws is a function of the seed and of what is done."""
    from optuna.samplers import GPSampler, TPESampler

    seed = (plan.seed * 1_000_003 + done) % 2**32
    if plan.sampler == "tpe":
        return TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True)
    return GPSampler(seed=seed, n_startup_trials=STARTUP)


def _finished(study: Study) -> list[Any]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _add(study: Study, point: Point, axes: Mapping[str, FloatDistribution], verdict: Verdict) -> None:
    from optuna.trial import create_trial

    study.add_trial(
        create_trial(params=dict(point), distributions=dict(axes), value=verdict.value, user_attrs=_attributes(verdict))
    )


def _attributes(verdict: Verdict) -> dict[str, float]:
    found = {"chrf": verdict.chrf, "off_target": verdict.off_target}
    return {name: value for name, value in found.items() if value is not None}


def _same(one: Point, other: Point) -> bool:
    return one.keys() == other.keys() and all(math.isclose(one[name], other[name], abs_tol=1e-9) for name in one)
