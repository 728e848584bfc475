"""Pruning by magnitude: how much at which epoch, which entries, and what is left of the parameters.

Everything here maps values to values; who trains sets what does not survive to 0 after each step, since momentum
moves such entries too. An entry that was pruned is one that is zero; no mask is kept from one epoch to the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lingraft.atoms import AdapterName, ConfigError, Site
from lingraft.delta.update import Update

Updates = Mapping[AdapterName, Mapping[Site, Update]]
Factors = Literal["A", "B", "both"]
Within = Literal["language", "layer"]


class Mask(NamedTuple):
    """What survives of one update: True where an entry stays; None for a factor that is not pruned."""

    A: Tensor | None  # r, in
    B: Tensor | None  # out, r


Masks = dict[AdapterName, dict[Site, Mask]]


def share(epoch: int, final: float, start: int, length: int) -> float:
    """Return the share of the entries that are pruned in an epoch: P(e) = P − P · (1 − (e − E0) / k)³.

    The cubic schedule of Zhu & Gupta 2017 (eq. 1, from 0), as LSLo has it: 0 up to epoch E0, then
    rising for k epochs, fast at first, then P.

    Args:
        epoch: e, counted as ``start`` is.
        final: P, from 0 to 1.
        start: E0, the last epoch in which nothing is pruned (unless ``length`` is 0).
        length: k, the number of epochs from nothing to ``final``; 0: all at once in epoch ``start``.

    Returns:
        P(e), from 0 to ``final``.

    Raises:
        ConfigError: If ``final`` is no share or ``length`` is negative.
    """
    _require_share("final", final)
    if length < 0:
        raise ConfigError(f"`length` must be 0 or more epochs, but is {length} instead. Use 0 to prune all at once.")
    if epoch < start:
        return 0.0
    if epoch >= start + length:
        return final
    return final - final * (1 - (epoch - start) / length) ** 3


def smallest(values: Sequence[Tensor], share: float) -> list[Tensor]:
    """Return masks of what survives when the entries of smallest magnitude among all tensors are pruned.

    Of n entries ``round(share · n)`` are pruned, as in ``torch.nn.utils.prune``; of equal ones those
    that stand first. Zeros have the smallest magnitude, so what was pruned and set to zero before is
    pruned again: with a share that does not fall, masks only shrink, as long as training moves no
    survivor to exactly 0.

    Args:
        values: Tensors of any shapes, on one device.
        share: From 0 to 1.

    Returns:
        One bool mask per tensor, of its shape; True where an entry survives.

    Raises:
        ConfigError: If ``share`` is no share.
    """
    _require_share("share", share)
    if not values:
        return []
    sizes = [value.numel() for value in values]
    magnitudes = torch.cat([value.detach().abs().flatten() for value in values])
    keep = torch.ones_like(magnitudes, dtype=torch.bool)
    keep[magnitudes.argsort(stable=True)[: round(share * len(keep))]] = False
    return [part.view(value.shape) for part, value in zip(keep.split(sizes), values, strict=True)]


def select(updates: Updates, share: float, scope: Within, factors: Factors = "B") -> Masks:
    """Return masks of what survives in a bank, by magnitude.

    The two factors never compete: A starts random and B at zero, so in a common ranking almost all of
    what is pruned would be B. With ``factors="both"`` each loses its share by itself.

    Args:
        updates: The updates of each adapter.
        share: The share to prune of each group, from 0 to 1.
        scope: What competes: all entries of one ``language`` (both roles, all sites), which finds where
            a language needs parameters; or those of all languages in one ``layer`` (of one stack), which
            finds which language needs them.
        factors: Which factors are pruned.

    Returns:
        A mask for every update; it does not depend on the order of the mappings.

    Raises:
        ConfigError: If ``share`` is no share.
    """
    groups: dict[Hashable, list[tuple[AdapterName, Site]]] = {}
    for name in sorted(updates):
        for site in sorted(updates[name]):
            group = name.language if scope == "language" else (site.stack, site.layer)
            groups.setdefault(group, []).append((name, site))
    kept: dict[str, dict[tuple[AdapterName, Site], Tensor]] = {"A": {}, "B": {}}
    for factor in _pruned(factors):
        for places in groups.values():
            masks = smallest([getattr(updates[name][site], factor) for name, site in places], share)
            kept[factor].update(zip(places, masks, strict=True))
    return {
        name: {site: Mask(kept["A"].get((name, site)), kept["B"].get((name, site))) for site in updates[name]}
        for name in updates
    }


def require_survivors(entries: Mapping[str, int], final: float) -> None:
    """Check before training that pruning within each language will leave something of it.

    Args:
        entries: Language → the number of its entries that may be pruned.
        final: The share that is pruned at the end.

    Raises:
        ConfigError: If a language would be left with no entry, or ``final`` is no share.
    """
    _require_share("final", final)
    emptied = [f"{language} (of {n})" for language, n in sorted(entries.items()) if round(final * n) >= n]
    if emptied:
        raise ConfigError(
            f"the final share of pruning must leave at least one entry to each language, but {final:g} leaves none "
            f"to {', '.join(emptied)} instead. Lower the share, or give these languages a higher rank or more sites."
        )


@dataclass(frozen=True)
class Count:
    """Numbers of parameters: those that are trained, and those that survive pruning."""

    trained: int = 0
    surviving: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.trained + other.trained, self.surviving + other.surviving)


@dataclass(frozen=True)
class Counts:
    """The parameters of each language (both roles), of each class of languages, and of all."""

    languages: Mapping[str, Count]
    classes: Mapping[str, Count]

    @property
    def total(self) -> Count:
        """All languages together."""
        return sum(self.languages.values(), Count())


def counts(updates: Updates, classes: Mapping[str, str] | None = None, factors: Factors = "B") -> Counts:
    """Count parameters as the LSLo paper does: A and B are trained; all of A and the B that is not zero survive.

    Args:
        updates: The updates of each adapter.
        classes: Language → its class, e.g. "low"; None: no classes.
        factors: Which factors were pruned; in the other one zeros count as well.

    Returns:
        The numbers.

    Raises:
        ConfigError: If a language has no class.
    """
    languages: dict[str, Count] = {}
    for name in sorted(updates):
        languages.setdefault(name.language, Count())
        for update in updates[name].values():
            trained = update.A.numel() + update.B.numel()
            zeros = sum(int((getattr(update, factor) == 0).sum()) for factor in _pruned(factors))
            languages[name.language] += Count(trained, trained - zeros)
    by_class: dict[str, Count] = {}
    if classes is not None:
        if missing := sorted(languages.keys() - classes.keys()):
            raise ConfigError(f"`classes` must give a class to each language, but has none for {', '.join(missing)}.")
        for language, count in languages.items():
            by_class[classes[language]] = by_class.get(classes[language], Count()) + count
    return Counts(languages, by_class)


def _pruned(factors: Factors) -> tuple[str, ...]:
    return ("A", "B") if factors == "both" else (factors,)


def _require_share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"`{what}` must be a share from 0 to 1, but is {value} instead.")
