"""Ways to merge the weighted updates of one site into one update: rows of one table.

Each is a function of the products w · ΔW alone. How a product is parted into weight, scale, A and B plays no role,
so w · ΔW and an update scaled by w merge alike; `peft-linear` is the exception, and wrong for that reason. Entries
are compared within a site, where the papers of TIES and magnitude pruning rank those of the whole model.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from lingraft.atoms import ConfigError, Direction, Site
from lingraft.delta import Bank, Update, weighted_sum
from lingraft.direction.combine import dare, magnitude, ties
from lingraft.direction.compose import Composition, merge, route
from lingraft.direction.recipe import Recipe
from lingraft.direction.spectrum import Spectrum, dense_spectrum, spectrum, truncate

Terms = Sequence[tuple[float, Update]]


@dataclass(frozen=True)
class Setting:
    """What a method may be told; each uses what concerns it."""

    density: float | None = None
    """Share of the entries that stay where a method drops some, above 0 to 1; None: the method's own."""
    rank: int | None = None
    """Largest rank of a result that is not a sum of factors anyway; None: all of it, but in `svd` the largest of
    the terms' ranks."""
    seed: int = 0
    """Of what is drawn at random; every site draws anew."""

    def __post_init__(self) -> None:
        if self.density is not None and not 0 < self.density <= 1:
            raise ConfigError(f"`density` must be a share above 0, up to 1, but is {self.density} instead.")
        if self.rank is not None and self.rank < 1:
            raise ConfigError(f"`rank` must be 1 or more, but is {self.rank} instead. Leave it out to lose nothing.")


class Merged(NamedTuple):
    """What a method makes of the updates of a site."""

    update: Update
    lost: float = 0.0
    """Share of the energy (sum of squares) of the method's result that a smaller rank lost, 0 … 1."""


class _At(NamedTuple):
    """The setting of a method at one site."""

    density: float
    rank: int | None
    generator: Generator


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    run: Callable[[Terms, _At], Merged]
    what: str
    """What it does, in a line."""
    paper: str
    density: float = 1.0
    """Its share of entries that stay unless another is asked for."""
    compresses: bool = False
    """Whether it changes an update that is alone at its site, too. The others settle what several updates do to
    each other, so one by itself stays as it is (unlike in their papers, where it would be trimmed)."""
    comparison: bool = False
    """Whether it is there to be compared with alone."""


def _linear(terms: Terms, at: _At) -> Merged:
    return Merged(weighted_sum(terms))


def _svd(terms: Terms, at: _At) -> Merged:
    rank = at.rank or max(update.rank for _, update in terms)
    return Merged(*truncate(spectrum(weighted_sum(_wide(terms))), rank, terms[0][1].A.dtype))


def _dense(combine: Callable[[Sequence[Tensor], float, Generator], Tensor]) -> Callable[[Terms, _At], Merged]:
    """Return a method that combines ΔW as dense matrices, one site's at a time, and factorises the result."""

    def run(terms: Terms, at: _At) -> Merged:
        delta = combine([weight * update.delta() for weight, update in terms], at.density, at.generator)
        return Merged(*truncate(dense_spectrum(delta), at.rank, terms[0][1].A.dtype))

    return run


def _knots(terms: Terms, at: _At) -> Merged:
    """Align by [ΔW₁ … ΔWₙ] = U · Σ · [V₁ … Vₙ]ᵀ and merge the Σ · Vᵢᵀ by TIES; U is common to all."""
    dtype, terms = terms[0][1].A.dtype, _wide(terms)
    q, r = torch.linalg.qr(torch.cat([weight * update.scale * update.B for weight, update in terms], dim=1))
    columns = r.split([update.rank for _, update in terms], dim=1)
    parts = torch.cat([column @ update.A for column, (_, update) in zip(columns, terms, strict=True)], dim=1)
    u, s, v = torch.linalg.svd(parts, full_matrices=False)
    found = Spectrum(q @ u, s, v.T).larger(max(parts.shape) * torch.finfo(torch.float64).eps)
    aligned = (found.V * found.s).T.chunk(len(terms), dim=1)  # k, in of each
    inner = dense_spectrum(ties(aligned, at.density, at.generator))
    return Merged(*truncate(inner._replace(U=found.U @ inner.U), at.rank, dtype))


def _peft_linear(terms: Terms, at: _At) -> Merged:
    """Sum √(w · scale) · A and √(w · scale) · B apart, as PEFT does: the cross terms Bᵢ · Aⱼ are an error."""
    if len({update.rank for _, update in terms}) > 1:
        ranks = ", ".join(str(update.rank) for _, update in terms)
        raise ConfigError(f"`peft-linear` must have updates of one rank, but gets {ranks} instead. Use `linear`.")
    factors = [weight * update.scale for weight, update in terms]
    sign = [-1.0 if factor < 0 else 1.0 for factor in factors]
    a = [s * abs(f) ** 0.5 * update.A.detach() for s, f, (_, update) in zip(sign, factors, terms, strict=True)]
    b = [abs(f) ** 0.5 * update.B.detach() for f, (_, update) in zip(factors, terms, strict=True)]
    return Merged(Update(torch.stack(a).sum(0), torch.stack(b).sum(0)))


def _wide(terms: Terms) -> Terms:
    """Return the terms in float64, without gradients."""
    return [
        (weight, Update(update.A.detach().double(), update.B.detach().double(), update.scale))
        for weight, update in terms
    ]


METHODS: dict[str, Method] = {
    "linear": Method(_linear, "the exact sum; what `compose` gives", "Ilharco et al. 2023, task arithmetic"),
    "svd": Method(
        _svd, "the closest update of a smaller rank to the exact sum", "Eckart & Young 1936", compresses=True
    ),
    "magnitude": Method(
        _dense(magnitude),
        "the sum of the largest entries of each",
        "Han et al. 2015, Learning both weights and connections",
        density=0.2,
        compresses=True,
    ),
    "ties": Method(
        _dense(ties),
        "trim, elect a sign per entry, and take the mean of what agrees: up to n times smaller than a sum",
        "Yadav et al. 2023, TIES-Merging",
        density=0.2,
    ),
    "dare": Method(
        _dense(dare), "drop entries at random and scale up the others", "Yu et al. 2024, DARE (linear)", density=0.1
    ),
    "knots": Method(_knots, "TIES in a basis that an SVD of all together gives", "Stoica et al. 2024, KnOTS"),
    "peft-linear": Method(
        _peft_linear,
        "sums A and B apart, which is not the sum of the updates",
        "PEFT, add_weighted_adapter(combination_type='linear')",
        comparison=True,
    ),
}


def method(name: str) -> Method:
    """Return a row of the table, or say what there is.

    Args:
        name: A key of `METHODS`.

    Returns:
        The method.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"`method` must be one of {', '.join(METHODS)}, but is {name!r:.40} instead.{hint}")


@torch.no_grad()
def merge_site(name: str, terms: Terms, site: Site, setting: Setting | None = None) -> Merged:
    """Merge the weighted updates of one site.

    An update of weight 0 takes no part, and one that is left alone stays as it is unless the method compresses.

    Args:
        name: A key of `METHODS`.
        terms: Pairs of a weight and an update, all of one shape; at least one.
        site: Where they are; what is drawn at random depends on it.
        setting: What to tell the method; None: nothing.

    Returns:
        The merged update, in the dtype of the first one.

    Raises:
        ConfigError: If there is no such method, or it cannot merge updates of different ranks.
    """
    row, setting = method(name), setting or Setting()
    active = [(weight, update) for weight, update in terms if weight != 0]
    if not active or (len(active) == 1 and not row.compresses):
        return Merged(weighted_sum(active or terms))
    digest = hashlib.sha256(f"{setting.seed} {site}".encode()).digest()
    generator = Generator().manual_seed(int.from_bytes(digest[:8], "big") % 2**63)
    return row.run(active, _At(setting.density or row.density, setting.rank, generator))


def compose_with(
    bank: Bank, recipe: Recipe, direction: Direction, name: str = "linear", setting: Setting | None = None
) -> Composition:
    """Return a direction's composition by any method; by ``linear`` it is that of `compose`.

    Updates of different scopes act on different positions, so there is nothing between them to merge.

    Args:
        bank: Holds the adapters of the direction's languages.
        recipe: The weights of the roles.
        direction: The pair of languages.
        name: A key of `METHODS`.
        setting: What to tell the method; None: nothing.

    Returns:
        One update per site and scope.
    """
    terms = route(bank, recipe, direction)
    exact = merge(direction, terms)
    updates = {
        scope: {
            site: merge_site(
                name,
                [(float(t.weights[site]), t.updates[site]) for t in terms if t.scope is scope and site in t.updates],
                site,
                setting,
            ).update
            for site in sites
        }
        for scope, sites in exact.updates.items()
    }
    return replace(exact, updates=updates)
