"""``library.json``: the base that all adapters of a library belong to, and the recipe they are used with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lingraft.atoms import ConfigError, LibraryError, Site
from lingraft.base import Base
from lingraft.direction.recipe import Recipe
from lingraft.library.manifest import VERSION, BaseIdentity, Stored, read_stored
from lingraft.library.validate import difference, identity

_LAYER = r"^[^.]+\.(0|[1-9][0-9]{0,3})$"
_SITE = r"^[^.]+\.(0|[1-9][0-9]{0,3})\.[^.]+$"


class Weights(Stored):
    """The default recipe: the weight of each role, and the pairs (source, target) of single layers and sites."""

    later = ("layers", "sites")

    source: float = 1.0
    target: float = 1.0
    layers: dict[Annotated[str, Field(pattern=_LAYER)], tuple[float, float]] = Field(default_factory=dict)
    sites: dict[Annotated[str, Field(pattern=_SITE)], tuple[float, float]] = Field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe) -> Weights:
        """Return a recipe as it is stored."""
        return cls(
            source=recipe.source,
            target=recipe.target,
            layers={f"{stack}.{layer}": (a, b) for (stack, layer), (a, b) in recipe.layers.items()},
            sites={f"{stack}.{layer}.{name}": (a, b) for (stack, layer, name), (a, b) in recipe.sites.items()},
        )

    def recipe(self) -> Recipe:
        """Return the recipe that was stored."""
        layers = ((place.split("."), pair) for place, pair in self.layers.items())
        sites = ((place.split("."), pair) for place, pair in self.sites.items())
        return Recipe(
            self.source,
            self.target,
            {(stack, int(layer)): pair for (stack, layer), pair in layers},
            {Site(stack, int(layer), name): pair for (stack, layer, name), pair in sites},
        )


class Card(Stored):
    """What ``library.json`` says: the base that all adapters belong to, and how they are used."""

    format_version: Literal[1]
    base: BaseIdentity
    recipe: Weights = Weights()
    scope: Literal["span", "everywhere"] = "span"
    """Whether adapters act on their own span, or everywhere."""


def new_card(base: Base, recipe: Recipe, scope: str) -> Card:
    """Return the card of a library that is to be made.

    Args:
        base: The base that its adapters will belong to.
        recipe: The default recipe.
        scope: Where its adapters act: on their own ``span``, or ``everywhere``.

    Returns:
        The card.

    Raises:
        ConfigError: The recipe names layers or sites that the base does not have, or a weight is no number.
    """
    recipe.check(base.sites)
    fields = {"format_version": VERSION, "base": identity(base), "recipe": Weights.of(recipe), "scope": scope}
    return Card.model_validate(fields)


def read_card(data: bytes | bytearray, place: Path, base: Base | None) -> Card:
    """Return a library's card.

    Args:
        data: ``library.json``.
        place: Where it lies, for the messages.
        base: The base that the library must be for; None: any.

    Returns:
        The card, whose recipe names nothing that the base does not have.

    Raises:
        LibraryError: It is damaged, or of another base.
    """
    card = read_stored(Card, data, str(place))
    if base is None:
        return card
    if different := difference(card.base, base):
        error = LibraryError(f"`{place.parent}` must be for {different[1]}. Load that base, or use another library.")
        error.code = f"library.{different[0]}"
        raise error
    try:
        card.recipe.recipe().check(base.sites)
    except ConfigError as unfit:
        error = LibraryError(f"the recipe in `{place}` must fit the base, but does not: {unfit}")
        error.code = "library.damaged"
        raise error from None
    return card
