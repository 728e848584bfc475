"""From what survived of each language to the rank it should have."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite

from lingraft.atoms import ConfigError
from lingraft.probe.subspace import Survival


def suggest(
    survival: Survival,
    *,
    mean_rank: float | None = None,
    total: int | None = None,
    minimum: int = 1,
    maximum: int | None = None,
) -> dict[str, int]:
    """Return a rank per language in proportion to what survived of it, with the budget of parameters kept.

    All languages having the same sites, the budget is the sum of the ranks. What a language needs is the
    number of its surviving entries; where all ranks were equal, as they should be, that is in proportion
    to its surviving share. Ranks are rounded by largest remainders, so the sum is exact; what the bounds
    take from one language the others get or give in proportion.

    Args:
        survival: What survived pruning across languages.
        mean_rank: The mean of the ranks to give.
        total: Their sum, instead of ``mean_rank``; neither: the sum of the ranks that the languages have.
        minimum: The smallest rank to give.
        maximum: The largest one; None: no bound.

    Returns:
        Language → rank, in the order of ``survival.languages``.

    Raises:
        ConfigError: If both a mean and a sum are given, the bounds can't be met, or the languages have
            updates at different sites.
    """
    codes = survival.languages
    if not codes:
        return {}
    if mean_rank is not None and total is not None:
        raise ConfigError("`mean_rank` and `total` must not both be given, for one follows from the other. Drop one.")
    if not survival.comparable:
        raise ConfigError(
            "`survival` must be of languages with updates at the same sites, but theirs differ: a rank does not "
            "cost each the same. Leave out the languages that were trained otherwise."
        )
    if mean_rank is not None and not isfinite(mean_rank):
        raise ConfigError(f"`mean_rank` must be a number, but is {mean_rank} instead.")
    if total is None:
        total = sum(survival.ranks.values()) if mean_rank is None else round(mean_rank * len(codes))
    high = total if maximum is None else maximum
    if not 0 <= minimum <= high or not minimum * len(codes) <= total <= high * len(codes):
        raise ConfigError(
            f"the sum of the ranks must be one that {len(codes)} languages can have with ranks from {minimum} to "
            f"{high}, but is {total} instead. Change the mean, the sum or the bounds."
        )
    weights = dict.fromkeys(codes, 0)
    for cell in survival.cells:
        weights[cell.language] += cell.surviving
    return _round(_quotas(weights, total, minimum, high))


def _quotas(weights: Mapping[str, int], total: int, low: int, high: int) -> dict[str, Fraction]:
    """Return λ · weight, bounded by low and high, with the λ ≥ 0 for which the sum is ``total``.

    The sum rises with λ and is linear between the values at which a language meets a bound, so λ lies
    in the first of these pieces that reaches the total. Where no λ is large enough (languages of weight
    0 never rise), those of weight 0 share the rest evenly. Exact, in fractions.
    """
    heavy = {code: weight for code, weight in weights.items() if weight}
    if not heavy:
        return dict.fromkeys(weights, Fraction(total, len(weights)))
    light = [code for code in weights if code not in heavy]
    if (rest := total - high * len(heavy)) > low * len(light):
        return dict.fromkeys(heavy, Fraction(high)) | dict.fromkeys(light, Fraction(rest, len(light)))

    def at(factor: Fraction) -> dict[str, Fraction]:
        return {code: min(max(factor * weight, Fraction(low)), Fraction(high)) for code, weight in weights.items()}

    reached = Fraction(0)
    for factor in sorted({Fraction(bound, weight) for weight in heavy.values() for bound in (low, high)}):
        below, above = (sum(at(end).values(), Fraction(0)) for end in (reached, factor))
        if above >= total:
            part = (total - below) / (above - below) if above > below else Fraction(0)
            return at(reached + (factor - reached) * part)
        reached = factor
    return at(reached)


def _round(quotas: Mapping[str, Fraction]) -> dict[str, int]:
    """Round to whole numbers with the same (whole) sum, by largest remainders; of equal ones the first goes up."""
    whole = {code: int(quota) for code, quota in quotas.items()}
    left = int(sum(quotas.values())) - sum(whole.values())
    for code in sorted(quotas, key=lambda code: whole[code] - quotas[code])[:left]:
        whole[code] += 1
    return whole
