"""How the two adapters of a direction lie to each other, and how far each method of merging is from their exact sum."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from lingraft.atoms import AdapterName, ConfigError, Direction, Role, Scope, Site
from lingraft.delta import Adapter, Bank
from lingraft.direction.methods import METHODS, Setting, merge_site, method
from lingraft.direction.recipe import Recipe
from lingraft.direction.spectrum import angles

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Merging:
    """The figures of one site, or of several together; norms are Frobenius norms in float64.

    Of several sites, norms and differences are those of the block-diagonal matrix of all.
    """

    norms: tuple[float, float]
    """‖ΔW_in‖ and ‖ΔW_out‖, unweighted; 0 where a side has no update."""
    product: float
    """⟨ΔW_in, ΔW_out⟩, the sum of the products of their entries."""
    total: float
    """The norm of the exact sum a · ΔW_in + b · ΔW_out."""
    columns: tuple[float, ...]
    """Principal angles between the column spaces (what is written), in degrees."""
    rows: tuple[float, ...]
    """Principal angles between the row spaces (what is read), in degrees."""
    differences: Mapping[str, float]
    """Method → norm of its result minus the exact sum; a method that cannot merge here is missing."""
    energies: Mapping[str, tuple[float, float]]
    """Method → energy (squared norm) of its result before its rank was limited, and what of it that lost."""

    @property
    def cosine(self) -> float | None:
        """The cosine between ΔW_in and ΔW_out as vectors; None where one is zero."""
        both = self.norms[0] * self.norms[1]
        return max(-1.0, min(1.0, self.product / both)) if both else None

    @property
    def errors(self) -> dict[str, float]:
        """Method → difference beside the norm of the exact sum; empty where that is zero."""
        return {name: each / self.total for name, each in self.differences.items()} if self.total else {}

    @property
    def lost(self) -> dict[str, float]:
        """Method → share of its result's energy that limiting the rank lost."""
        return {name: lost / whole if whole else 0.0 for name, (whole, lost) in self.energies.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data, differences as relative errors."""
        return {
            "norms": [*self.norms],
            "total": self.total,
            "cosine": self.cosine,
            "columns": [*self.columns],
            "rows": [*self.rows],
            "errors": self.errors,
            "lost": self.lost,
        }


@dataclass(frozen=True)
class MergeReport:
    """The figures of every site of a direction; all others are sums over these."""

    direction: Direction
    setting: Setting
    weights: Mapping[Site, tuple[float, float]]
    """Site → (a, b)."""
    scopes: tuple[Scope | None, Scope | None]
    """Where the source's and the target's adapter act; None: there is none."""
    sites: Mapping[Site, Merging]
    methods: tuple[str, ...]

    def together(self, key: Callable[[Site], K]) -> dict[K, Merging]:
        """Return the figures of each group of sites; a method counts where it could merge all of a group.

        Args:
            key: Names the group of a site.

        Returns:
            Group → figures, in the order of the sites.
        """
        groups: dict[K, list[Merging]] = defaultdict(list)
        for site, merging in self.sites.items():
            groups[key(site)].append(merging)
        return {group: _together(parts) for group, parts in groups.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the figures must know."""
        found = []
        for role, scope, code in zip(Role, self.scopes, self.direction, strict=True):
            if scope is None:
                found.append(f"{code} has no {role.value} adapter here, so the other side stays as it is.")
        if None not in self.scopes and self.scopes[0] is not self.scopes[1]:
            found.append(
                f"The adapters act on different positions ({self.scopes[0]}, {self.scopes[1]}), so translating adds "
                "them nowhere; the errors are of one update that acts on both, as a merged model's would."
            )
        if len(
            partly := [name for name in self.methods if any(name not in m.differences for m in self.sites.values())]
        ):
            found.append(f"{', '.join(partly)} cannot merge some of these updates, for their ranks differ.")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, and the figures of each layer and of all, as plain data."""
        layers = self.together(lambda site: f"{site.stack}.{site.layer}")
        return {
            "format": 1,
            "direction": str(self.direction),
            "setting": {"density": self.setting.density, "rank": self.setting.rank, "seed": self.setting.seed},
            "methods": {
                name: {"what": METHODS[name].what, "paper": METHODS[name].paper, "comparison": METHODS[name].comparison}
                for name in self.methods
            },
            "scopes": [*self.scopes],
            "sites": {str(s): {"weights": [*self.weights[s]], **m.to_dict()} for s, m in self.sites.items()},
            "layers": {layer: merging.to_dict() for layer, merging in layers.items()},
            "all": {name: merging.to_dict() for name, merging in self.together(lambda site: "all").items()}.get("all"),
            "notes": [*self.notes],
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def merge_report(
    bank: Bank,
    recipe: Recipe,
    direction: Direction,
    methods: Iterable[str] = tuple(METHODS),
    setting: Setting | None = None,
    progress: Callable[[Site], None] = lambda site: None,
) -> MergeReport:
    """Compare methods of merging with the exact sum, site by site; one site is dense in memory at a time.

    Args:
        bank: Holds the adapters of the direction's languages.
        recipe: The weights of the roles.
        direction: The pair of languages.
        methods: Keys of `METHODS`.
        setting: What to tell the methods; None: nothing.
        progress: Called after each site.

    Returns:
        The figures of every site at which either adapter has an update.

    Raises:
        ConfigError: If there is no such method.
    """
    names = tuple(dict.fromkeys(methods))
    for name in names:
        method(name)
    adapters = [bank.get(AdapterName(code, role)) for role, code in zip(Role, direction, strict=True)]
    setting, found = setting or Setting(), {}
    places = sorted({site for adapter in adapters if adapter for site in adapter.updates}, key=_network_order)
    weights = {site: (recipe.weight(site, Role.SOURCE), recipe.weight(site, Role.TARGET)) for site in places}
    for site in places:
        found[site] = _site(adapters, site, weights[site], names, setting)
        progress(site)
    first, second = (None if adapter is None else adapter.scope for adapter in adapters)
    return MergeReport(direction, setting, weights, (first, second), found, names)


@torch.no_grad()
def _site(
    adapters: Sequence[Adapter | None], site: Site, weights: tuple[float, float], names: Sequence[str], setting: Setting
) -> Merging:
    """Return the figures of one site."""
    updates = [None if adapter is None else adapter.updates.get(site) for adapter in adapters]
    terms = [(weight, update) for weight, update in zip(weights, updates, strict=True) if update is not None]
    deltas = [None if update is None else update.delta() for update in updates]
    exact = torch.stack([weight * update.delta() for weight, update in terms]).sum(0)
    differences, energies = {}, {}
    for name in names:
        try:
            update, lost = merge_site(name, terms, site, setting)
        except ConfigError:
            continue
        delta = update.delta()
        differences[name] = float((delta - exact).norm())
        whole = float(delta.square().sum()) / (1 - lost)
        energies[name] = (whole, whole * lost)
    first, second = updates
    columns, rows = ((), ()) if first is None or second is None else angles(first, second)
    one, other = (0.0 if delta is None else float(delta.norm()) for delta in deltas)
    product = 0.0 if deltas[0] is None or deltas[1] is None else float((deltas[0] * deltas[1]).sum())
    return Merging((one, other), product, float(exact.norm()), columns, rows, differences, energies)


def _together(parts: Sequence[Merging]) -> Merging:
    """Return the figures of several sites as of one block-diagonal matrix."""
    names = [name for name in parts[0].differences if all(name in part.differences for part in parts)]
    root = lambda values: math.sqrt(math.fsum(value**2 for value in values))
    return Merging(
        (root(part.norms[0] for part in parts), root(part.norms[1] for part in parts)),
        math.fsum(part.product for part in parts),
        root(part.total for part in parts),
        tuple(sorted(angle for part in parts for angle in part.columns)),
        tuple(sorted(angle for part in parts for angle in part.rows)),
        {name: root(part.differences[name] for part in parts) for name in names},
        {
            name: (
                math.fsum(part.energies[name][0] for part in parts),
                math.fsum(part.energies[name][1] for part in parts),
            )
            for name in names
        },
    )


def _network_order(site: Site) -> tuple[bool, Site]:
    return site.stack != "encoder", site
