"""How a direction is made of its two adapters, as a value and as YAML.

A recipe's file (`direction.recipe_file`) is one of these, too; more may stand in it:

```yaml
via: direct              # or pivot: through English, with the same adapters
method: ties             # a row of `direction.methods`; else linear
options: {density: 0.5}  # what the method is told: density, rank, seed
source: 0.8              # the recipe; where none is here, the library's own
target: 1.2
found: {chrf: 41.2}      # how it was found, for people
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast

import yaml

from lingraft.atoms import ConfigError, Direction
from lingraft.delta import Bank, Route
from lingraft.direction import Recipe, route
from lingraft.direction.methods import Setting, compose_with, method
from lingraft.direction.recipe_file import Reader, shown
from lingraft.direction.recipe_file import text_of as recipe_text

Via = Literal["direct", "pivot"]
_OPTIONS = ("density", "rank", "seed")
_VIAS: tuple[Via, ...] = ("direct", "pivot")


@dataclass(frozen=True)
class Mixing:
    """How a direction is made."""

    recipe: Recipe | None = None
    """The weights of the roles; None: the library's own."""
    method: str = "linear"
    """How updates of one scope are merged, a key of `direction.methods.METHODS`."""
    options: Mapping[str, float] = field(default_factory=dict)
    """What the method is told, by name: density, rank, seed."""
    via: Via | None = None
    """Whether to translate with both adapters at once, or through English; None: whatever `using.usual_via` says."""
    found: Mapping[str, str] = field(default_factory=dict)
    """How it was found, in words and figures for people."""

    def __post_init__(self) -> None:
        method(self.method)
        if self.via not in (None, *_VIAS):
            raise ConfigError(f"`via` must be direct or pivot, but is {self.via!r:.40} instead.")
        if strange := sorted(set(self.options) - set(_OPTIONS)):
            raise ConfigError(f"`options` must be among {', '.join(_OPTIONS)}, but hold {strange[0]!r:.40}.")
        self.setting()

    def setting(self) -> Setting:
        """Return the options as the method takes them."""
        for name in ("rank", "seed"):
            if not float(self.options.get(name, 0)).is_integer():
                raise ConfigError(f"`{name}` must be a whole number, but is {self.options[name]} instead.")
        rank = self.options.get("rank")
        return Setting(
            self.options.get("density"), None if rank is None else int(rank), int(self.options.get("seed", 0))
        )

    def route(self, bank: Bank, recipe: Recipe, direction: Direction) -> Route:
        """Return what a row of a direction gets.

        Args:
            bank: The adapters of the direction's languages that there are.
            recipe: The weights of the roles where the mixing has none.
            direction: The pair of languages.

        Returns:
            References to the bank; by another method than ``linear``, updates that were merged for this.
        """
        recipe = self.recipe or recipe
        if self.method == "linear":
            return route(bank, recipe, direction)
        return compose_with(bank, recipe, direction, self.method, self.setting()).route()


@lru_cache(maxsize=1024)
def parse(text: str, name: str) -> Mixing:
    """Return the mixing that a text holds.

    Args:
        text: The content of a file; it is remembered, since a file is looked at for every request and seldom changes.
        name: What the messages call it.

    Returns:
        The mixing.

    Raises:
        ConfigError: It is anything but a mixing: all problems, one a line.
    """
    reader = _Reader(name)
    recipe = reader.read(text)
    try:
        return Mixing(
            recipe if reader.has_recipe else None,
            reader.texts.get("method", "linear"),
            reader.options,
            cast(Via | None, reader.texts.get("via")),
            reader.found,
        )
    except ConfigError as error:
        raise ConfigError(f"`{name}` must say how a direction is made, but {error}") from None


def text_of(made: Mixing) -> str:
    """Return the text of a file that holds a mixing; `parse` gives it back."""
    more: dict[str, object] = {
        "via": made.via,
        "method": made.method,
        "options": {name: float(each) for name, each in made.options.items()},
    }
    more["found"] = {name: " ".join(each.split()) for name, each in made.found.items()}
    head = yaml.safe_dump({key: each for key, each in more.items() if each}, sort_keys=False, allow_unicode=True)
    return head + ("" if made.recipe is None else recipe_text(made.recipe))


class _Reader(Reader):
    """Reads a mixing: a recipe with more beside it."""

    keys = (*Reader.keys, "via", "method", "options", "found")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.texts: dict[str, str] = {}
        self.options: dict[str, float] = {}
        self.found: dict[str, str] = {}

    def other(self, key: str, value: yaml.Node, field: str) -> None:
        if key in ("via", "method"):
            self.texts[key] = self._word(value, field)
        elif key == "options":
            self.options = {name: self.number(each, f"options.{name}") for name, each, _ in self.fields(value, key)}
        elif key == "found":
            self.found = {name: self._word(each, f"found.{name}") for name, each, _ in self.fields(value, key)}
        else:
            super().other(key, value, field)

    def _word(self, node: yaml.Node, field: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, field, "a word or a number", f"is {shown(node)}")
            return ""
        return str(node.value)
