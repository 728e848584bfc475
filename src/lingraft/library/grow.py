"""Add languages to a library: train what was planned, and install it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

import lingraft
from lingraft.atoms import AdapterError, AdapterName, ConfigError, LibraryError, Role
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.corpus.profile import Profile
from lingraft.fit import Modular, Reporter, Trained, Training, fit
from lingraft.fit.parallel import team
from lingraft.library import finished, like, manifest
from lingraft.library.manifest import DataSource, Pointer, Record
from lingraft.library.module import LanguageModule
from lingraft.library.plan import Plan
from lingraft.library.progress import Progress
from lingraft.library.store import Library


def grow(
    base: Base,
    path: Path,
    wanted: Plan,
    *,
    reporter: Reporter | None = None,
    command: str | None = None,
) -> dict[str, Pointer]:
    """Train what a plan says and install it; run again after an interruption, it goes on where it was.

    A language whose installed adapters came of the very same (text, settings, base) is not trained again, and neither
    is one whose training was over when installing failed.

    Args:
        base: The base.
        path: The library; made if there is none.
        wanted: The plan.
        reporter: Is told about progress.
        command: The command line, for the manifests.

    Returns:
        Which versions of the languages are installed now. Of several processes only the lead installs; the others
        return nothing.

    Raises:
        DataError: If the text of a language holds no letters.
        LibraryError: If the library is of another base, or the disk failed.
        TrainingError: If training stopped.
    """
    # Made first: text that no profile can be made of is refused before anything is trained or written.
    profiles = {
        language: Profile.train(language, pairs.of(language))
        for language, pairs in zip(wanted.languages, wanted.corpus, strict=True)
    }
    here = team()
    library = here.first(lambda: Library.ensure(path, base, scope=wanted.regime.scope))
    require_scope(library, wanted.regime)
    causes = {language: _cause(base, wanted, i) for i, language in enumerate(wanted.languages)}
    work = path / ".runs"
    there = {
        language: library.pointer(language) for language in causes if _trained(library, language, causes[language])
    }
    missing = wanted.without(there)
    if not missing.languages:
        here.led(lambda: _sweep(library, work))
        return there if here.lead else {}
    if not finished.is_there(work, causes):
        wanted = missing
    with watched(path, wanted.languages, reporter) as told:
        run = fit(
            base,
            wanted.corpus,
            wanted.regime,
            dev=wanted.dev,
            context=wanted.context,
            work=work,
            reporter=told,
        )
    modules = {}
    for language, pairs in zip(wanted.languages, wanted.corpus, strict=True):
        if language in there:
            continue
        source = run.trained[AdapterName(language, Role.SOURCE)]
        target = run.trained[AdapterName(language, Role.TARGET)]
        modules[language] = LanguageModule(
            source.adapter,
            target.adapter,
            record([(pairs, source.rows)], wanted.regime, source, command, cause=causes[language]),
            record([(pairs, target.rows)], wanted.regime, target, command, cause=causes[language]),
            profiles[language],
        )

    def install() -> dict[str, Pointer]:
        if run.checkpoints is not None:
            finished.note(run.checkpoints, {language: causes[language] for language in wanted.languages})
        return library.add(modules)

    pointers = here.led(install) or {}
    if run.checkpoints is not None:
        run.checkpoints.clear()
    here.led(lambda: _sweep(library, work))
    return there | pointers if here.lead else {}


def _sweep(library: Library, work: Path) -> None:
    """Remove runs that are of no use any more."""
    finished.sweep(work, lambda language, cause: _trained(library, language, cause))


def _cause(base: Base, wanted: Plan, index: int) -> str:
    """Return the sha256 of all that decides the adapters of one language of a plan."""
    facts = (
        wanted.regime.model_dump_json(exclude={"shard"}),
        (
            base.fingerprint,
            base.tokenizer_hash,
            base.format.hash,
            # What is usual is not named, so that libraries that are there stay as they are.
            *([] if base.dtype == torch.float32 else [str(base.dtype)]),
            *like.describe(base, wanted.languages[index : index + 1]),
        ),
        wanted.context.identity,
        [(pairs.a, pairs.b, pairs.left, pairs.right) for pairs in (wanted.corpus[index], wanted.dev[index])],
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _trained(library: Library, language: str, cause: str) -> bool:
    """Say whether the installed adapters of a language came of that; damaged ones did not."""
    try:
        if any(library.manifest(language, role).record.training.cause != cause for role in Role):
            return False  # no weights were read for that
        for role in Role:
            library.load(language, role)
        return True
    except (LibraryError, AdapterError):
        return False


@contextmanager
def watched(path: Path, languages: Sequence[str], reporter: Reporter | None) -> Iterator[Reporter | None]:
    """Yield who is told about a training into a library: a reporter and the library's note; None but in the lead."""
    if not team().lead:
        yield None
        return
    with Progress(path, languages) as progress:
        yield progress.beside(reporter)


def require_scope(library: Library, regime: Modular) -> None:
    """Check that a library's adapters act where the regime's will: one library, one way of composing.

    Args:
        library: The library that is to grow.
        regime: Settings of the training.

    Raises:
        ConfigError: If they do not.
    """
    if library.card.scope != regime.scope:
        raise ConfigError(
            f"`fit.scope` must be {library.card.scope}, as in the library {library.path}, but is {regime.scope} "
            f"instead. Add fit.scope={library.card.scope}, or use another library."
        )


def record(
    texts: Sequence[tuple[Pairs, int]],
    regime: Training,
    trained: Trained,
    command: str | None,
    together: Sequence[str] = (),
    cause: str | None = None,
) -> Record:
    """Return how an adapter came to be; of a file only the name is kept, not where it lay.

    Args:
        texts: What it was trained on, and how many rows of it.
        regime: The settings.
        trained: The adapter and how its training went.
        command: The command line.
        together: The languages that were trained jointly; none: the adapter was trained alone.
        cause: The sha256 of all that decided the result.

    Returns:
        The record for its manifest.
    """
    return Record(
        data=tuple(DataSource(origin=Path(pairs.origin).name, pairs=rows) for pairs, rows in texts),
        training=manifest.Training(
            seed=regime.seed,
            settings=regime.model_dump(mode="json"),
            steps=trained.steps,
            best_epoch=trained.best_epoch,
            dev_loss=trained.dev_loss,
            lingraft=lingraft.__version__,
            torch=torch.__version__,
            command=command,
            together=tuple(together),
            cause=cause,
        ),
    )
