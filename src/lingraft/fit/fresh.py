"""What regimes share: fresh updates of an adapter, its kept ones, and which rows fit the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lingraft.atoms import AdapterName, ConfigError, DataError, Direction, Site
from lingraft.base import Base
from lingraft.corpus import Pairs
from lingraft.delta import Update, fresh
from lingraft.fit.learner import Row
from lingraft.fit.seed import seeded
from lingraft.fit.weights import Weights

_SLACK = 8
"""Tokens more than bytes that a tokenizer may make of a row: a leading space for each span, say."""


def named_sites(base: Base, names: Sequence[str] | None, unused: Sequence[str] = ()) -> list[Site]:
    """Return the sites of a base that ``fit.sites`` names, in network order.

    Args:
        base: The base.
        names: Names of linear maps; None: all of them but ``unused``.
        unused: What is left out where nothing is named.

    Returns:
        The sites.

    Raises:
        ConfigError: If a name is none of the base's.
    """
    known = sorted({site.name for site in base.sites})
    if strange := sorted(set(names or ()) - set(known)):
        raise ConfigError(f"`fit.sites` must be among {', '.join(known)}, but names {', '.join(strange)} instead.")
    return [site for site in base.sites if (site.name not in unused if names is None else site.name in names)]


def fresh_updates(
    base: Base, name: AdapterName, ranks: Mapping[Site, int], scale: float, seed: int
) -> dict[Site, Update]:
    """Return zero updates on the base's device, a pure function of seed and name.

    Args:
        base: The base, for shapes and device.
        name: The adapter that they are of.
        ranks: Site → rank components.
        scale: The factor of each update.
        seed: Seed of A's random values.

    Returns:
        One trainable update per site.
    """
    generator = seeded(seed, "init", name)
    found = {}
    for site, rank in ranks.items():
        update = fresh(*base.shape(site), rank, scale, generator)
        a, b = (tensor.detach().to(base.device).requires_grad_() for tensor in (update.A, update.B))
        found[site] = Update(a, b, scale)
    return found


def kept_updates(updates: Mapping[Site, Update], weights: Weights) -> dict[Site, Update]:
    """Return the best values of updates whose A and B are, in turn, the parts of ``weights``."""
    kept = iter(weights.kept())
    return {site: Update(next(kept), next(kept), update.scale) for site, update in updates.items()}


def fitting(base: Base, rows: Sequence[Row], origin: str) -> list[Row]:
    """Return the rows that fit the base's window.

    Args:
        base: The base.
        rows: Encoded rows.
        origin: Where they come from, for the message.

    Returns:
        Those that fit, in order.

    Raises:
        DataError: If none does.
    """
    kept = [row for row in rows if base.room(row.text) >= 0]
    if not kept:
        raise none_fits(base, "rows", origin)
    return kept


def too_long(base: Base, direction: Direction, pairs: Pairs) -> int:
    """Return how many rows of a text ``fitting`` would leave out in one direction.

    Args:
        base: The base.
        direction: Which way the text is translated.
        pairs: The text.

    Returns:
        Their number.
    """
    texts, answers = pairs.of(direction.source), pairs.of(direction.target)
    (empty,) = base.format.encode(direction, [""], [""])
    # Most are known to fit without being tokenised: no tokenizer has more tokens than bytes.
    known = base.context - len(empty.source) - len(empty.target) - len(empty.answer) - _SLACK
    unsure = [i for i, row in enumerate(zip(texts, answers, strict=True)) if len("".join(row).encode()) > known]
    if not unsure:
        return 0
    rows = base.format.encode(direction, [texts[i] for i in unsure], [answers[i] for i in unsure])
    return sum(base.room(row) < 0 for row in rows)


def none_fits(base: Base, what: str, origin: str) -> DataError:
    """Return the error for text of which no row fits.

    Args:
        base: The base.
        what: The rows, as the message names them.
        origin: Where they come from.

    Returns:
        The error, to be raised.
    """
    return DataError(
        f"{origin} must hold {what} of at most {base.context} tokens with their translation, which is all that the "
        "base can read, but holds none. Give shorter sentences."
    )
