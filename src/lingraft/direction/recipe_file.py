"""Recipes as YAML: strict, with every problem at once and its place, and never a surprise of YAML's own.

```yaml
# https://… (where the recipe comes from)
source: 0.0              # the weights at every site that nothing below names
target: 1.0
layers:
  encoder.0-8: [1, 0]    # source and target weight; layers 0 to 8
sites:
  encoder.0.q: [0.5, 0.5]
```
"""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path
from typing import Any

import yaml

from lingraft.atoms import ConfigError, Site
from lingraft.atoms.durable import write_file
from lingraft.direction.recipe import Recipe

MAX_BYTES = 1_000_000
MAX_PLACES = 20_000
"""Most layers, and most sites, that a recipe may name."""
_LAYER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\.(0|[1-9][0-9]{0,2})(?:-(0|[1-9][0-9]{0,2}))?")
_SITE = re.compile(_LAYER.pattern + r"\.([A-Za-z_][A-Za-z0-9_]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PLACES = {"layers": (_LAYER, "encoder.0 or encoder.0-8"), "sites": (_SITE, "encoder.0.q or encoder.0-8.q")}


def read(path: str | Path) -> Recipe:
    """Return the recipe in a file; whether a base has its layers and sites is for `Recipe.check` to say.

    Args:
        path: The YAML file.

    Returns:
        The recipe.

    Raises:
        ConfigError: It cannot be read, or holds anything but a recipe: all problems, one a line.
    """
    return parse(read_text(Path(path)), str(path))


def read_text(path: Path) -> str:
    """Return the text of a recipe's file (errors as in `read`)."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"`{path}` must be a recipe's file, but cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{path}` must be UTF-8, but is not at byte {error.start}. Write it again.") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"`{path}` must have at most {MAX_BYTES} bytes, but has more. Is it a recipe?")
    return text


def write(recipe: Recipe, path: str | Path, comment: str = "") -> None:
    """Write a recipe to a file, in one step; ``read`` gives it back.

    Args:
        recipe: The recipe.
        path: Where to; an older file is replaced.
        comment: What stands above it, line by line, e.g. where it comes from.

    Raises:
        ConfigError: The recipe holds what ``read`` would refuse, or the file cannot be written.
    """
    path = Path(path)
    text = text_of(recipe, comment)
    parse(text, str(path))
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"`{path}` must be writable, but writing failed: {error.strerror}. Mend it.") from error


def parse(text: str, name: str) -> Recipe:
    """Return the recipe that a text holds.

    Args:
        text: The content of a recipe's file.
        name: What the messages call it.

    Returns:
        The recipe.

    Raises:
        ConfigError: It is anything but a recipe: all problems, one a line, each with its line.
    """
    return Reader(name).read(text)


class Reader:
    """Turns the nodes of a file into a recipe and gathers what is wrong with them."""

    keys: tuple[str, ...] = ("source", "target", "layers", "sites")
    """What a file may name; a subclass adds its own and takes them in ``other``."""

    def __init__(self, name: str) -> None:
        """Read nothing yet; ``name`` is what the messages call the file."""
        self.name = name
        self.problems: list[str] = []
        self.has_recipe = False  # whether the file names a weight

    def read(self, text: str) -> Recipe:
        """Return the recipe that a text holds (errors as in `parse`)."""
        try:
            # Only composed, never constructed: no tag runs, no alias is expanded, no scalar becomes a surprise.
            root = yaml.compose(text, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError) as error:
            what = " ".join(str(error).split())[:200] or "it is nested too deeply"
            raise ConfigError(f"`{self.name}` must be YAML, but is not: {what}. Mend it there.") from None
        recipe = self._recipe(root)
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        return recipe

    def other(self, key: str, value: yaml.Node, field: str) -> None:
        """Take a field that is not a recipe's: here, refuse it."""
        near = difflib.get_close_matches(key, self.keys, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Take it out."
        self.wrong(value, field, f"one of {', '.join(self.keys)}", "is none", remedy)

    def _recipe(self, root: yaml.Node | None) -> Recipe:
        """Return the recipe; only good where there are no problems."""
        weights: dict[str, float] = {}
        layers: dict[tuple[str, int], tuple[float, float]] = {}
        sites: dict[Site, tuple[float, float]] = {}
        for key, value, field in self.fields(root, "the recipe"):
            if key in ("source", "target"):
                weights[key] = self.number(value, field)
            elif key == "layers":
                for stack, layer, _, pair in self.pairs(value, "layers"):
                    layers[stack, layer] = pair
            elif key == "sites":
                for stack, layer, site, pair in self.pairs(value, "sites"):
                    sites[Site(stack, layer, site)] = pair
            else:
                self.other(key, value, field)
                continue
            self.has_recipe = True
        return Recipe(weights.get("source", 1.0), weights.get("target", 1.0), layers, sites)

    def fields(self, node: yaml.Node | None, field: str) -> list[tuple[str, yaml.Node, str]]:
        """Return key, value and the name for messages of each field of a mapping."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, field, "a mapping of names to weights", f"is {shown(node)}")
            return []
        found, seen = [], set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.wrong(key, field, "a mapping with plain keys", f"has the key {shown(key)}")
            elif key.value in seen:
                self.wrong(key, key.value[:80], "named once", "is named again")
            else:
                seen.add(key.value)
                found.append((key.value, value, key.value[:80]))
        return found

    def pairs(self, node: yaml.Node, kind: str) -> list[tuple[str, int, str, tuple[float, float]]]:
        """Return stack, layer, name ("" for a layer) and pair of all that ``layers`` or ``sites`` name."""
        pattern, example = _PLACES[kind]
        found: dict[tuple[str, int, str], tuple[float, float]] = {}
        for key, value, short in self.fields(node, kind):
            field = f"{kind}.{short}"
            match = pattern.fullmatch(key)
            if match is None:
                self.wrong(value, field, f"named like {example}", "is not")
                continue
            pair = self.pair(value, field)
            stack, first, last = match.group(1, 2, 3)
            name = match[4] if kind == "sites" else ""
            places = [(stack, layer, name) for layer in range(int(first), int(last or first) + 1)]
            if not places:
                self.wrong(value, field, "a range that goes up", "goes down")
            if twice := [layer for _, layer, _ in places if (stack, layer, name) in found]:
                self.wrong(value, field, "about what nothing else names", f"names layer {twice[0]} again")
            found |= dict.fromkeys(places, pair)
            if len(found) > MAX_PLACES:
                self.wrong(value, field, f"about at most {MAX_PLACES} places with those before it", "is about more")
                break
        return [(*place, pair) for place, pair in found.items()]

    def pair(self, node: yaml.Node, field: str) -> tuple[float, float]:
        """Return a pair of weights."""
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            self.wrong(node, field, "a pair [source, target]", f"is {shown(node)}")
            return 0.0, 0.0
        source, target = (self.number(each, field) for each in node.value)
        return source, target

    def number(self, node: yaml.Node, field: str) -> float:
        """Return a finite number, written as a number: not in quotes, not as 1_000, 0x10, 1:30 or .inf."""
        plain = isinstance(node, yaml.ScalarNode) and not node.style and node.tag == "tag:yaml.org,2002:str"
        value = float(node.value) if plain and _NUMBER.fullmatch(node.value) else math.nan
        if not math.isfinite(value):
            self.wrong(node, field, "a number", f"is {shown(node)}", "Write it like 1, 0.5 or 1e-3.")
        return value

    def wrong(self, node: yaml.Node | None, field: str, must: str, found: str, remedy: str = "") -> None:
        """Note a problem with a field at its line."""
        line = f", line {node.start_mark.line + 1}" if node is not None else ""
        self.problems.append(f"`{field}` in {self.name}{line} must be {must}, but {found} instead. {remedy}".rstrip())


def shown(node: yaml.Node | None) -> str:
    """Return what stands in a node, for a message."""
    if node is None:
        return "empty"
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value[:40]!r}"
    return f"a list of {len(node.value)}" if isinstance(node, yaml.SequenceNode) else "a mapping"


def text_of(recipe: Recipe, comment: str = "") -> str:
    """Return the text of a recipe's file, with a comment above it."""
    # A comment must not end early at a character that YAML takes for a line's end, nor hold one it forbids.
    printable = ("".join(c if c.isprintable() else " " for c in line) for line in comment.splitlines())
    lines = [f"# {line}".rstrip() for line in printable]
    lines += [f"source: {_plain(recipe.source)}", f"target: {_plain(recipe.target)}"]
    groups: dict[str, dict[Any, tuple[float, float]]] = {"layers": dict(recipe.layers), "sites": dict(recipe.sites)}
    for kind, pairs in groups.items():
        lines += [f"{kind}:"] * bool(pairs)
        for place, (source, target) in pairs.items():
            lines.append(f"  {'.'.join(map(str, place))}: [{_plain(source)}, {_plain(target)}]")
    return "\n".join(lines) + "\n"


def _plain(weight: float) -> str:
    return repr(float(weight))
