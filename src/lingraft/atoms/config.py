"""Settings that refuse what they do not know: strict, frozen, and with every error reported at once.

Imported as `lingraft.atoms.config`, not through `lingraft.atoms`: pydantic takes a tenth of a second
to import, which `lingraft --help` need not wait for.
"""

from __future__ import annotations

import difflib
import json
import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lingraft.atoms.errors import ConfigError


class Settings(BaseModel):
    """A group of settings. A subclass lists its fields, each with a docstring that says what it does.

    No value is coerced: ``"3"`` is not 3 and 1.0 is not 1 (an integer is a float, though).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


S = TypeVar("S", bound=Settings)


def read(kind: type[S], path: str | Path) -> S:
    """Return the settings that a YAML file holds.

    Values are taken as in `override`: ``no`` is a text, ``1e-4`` a number, what stands in quotes a text.

    Args:
        kind: The class of the settings.
        path: The file.

    Returns:
        The settings.

    Raises:
        ConfigError: The file cannot be read, is no YAML, or holds what is malformed, unknown or of a wrong
            type: all of it, one a line.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` must be a file of settings in UTF-8, but cannot be read: {error}.") from None
    problems: list[str] = []
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"`{path}` must be YAML, but is not: {' '.join(str(error).split())[:200]}.") from None
    values = _plain(root, problems)
    if not isinstance(values, dict):
        raise ConfigError(f"`{path}` must hold names with values, but holds {type(values).__name__} instead.")
    try:
        found = kind.model_validate_json(json.dumps(values))
    except ValidationError as error:
        problems += _describe(error, "")
    if problems:
        raise ConfigError("\n".join([f"`{path}` must hold {kind.__name__} settings, but:", *problems]))
    return found


def _plain(node: Any, problems: list[str]) -> Any:
    """Return the value of a YAML node; keys that come twice are problems."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, problems) for each in node.value]
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style in ("'", '"') else _scalar(node.value) if node.value else None
    if not isinstance(node, yaml.MappingNode):
        return None
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in found:
            problems.append(f"`{name}` must be given once, but is given again in line {key.start_mark.line + 1}.")
        found[name] = _plain(value, problems)
    return found


def override(settings: S, items: Sequence[str], section: str = "") -> S:
    """Return settings with some values replaced.

    Args:
        settings: The settings to start from; they may contain further `Settings`.
        items: Texts such as ``"fit.epochs=3"``, the values in the notation of YAML.
        section: The name that ``settings`` have in the items; "" where the items start at their fields.

    Returns:
        New settings, of the same class.

    Raises:
        ConfigError: Items are malformed, unknown, given twice or of a wrong value: all of them, one a line.
    """
    tree: dict[str, Any] = settings.model_dump(mode="json")
    problems: list[str] = []
    seen: set[str] = set()
    for item in items:
        key, equals, text = item.partition("=")
        key = key.strip()
        path = key.split(".")
        if not equals or not all(path):
            problems.append(f"`{item}` must be written key=value, e.g. {section or 'fit'}.epochs=3.")
        elif section and path[0] != section:
            problems.append(f"`{key}` must start with `{section}.`, but starts with `{path[0]}` instead.")
        elif key in seen:
            problems.append(f"`{key}` must be given once, but is given again as `{text}` instead.")
        elif problem := _place(settings, tree, path[bool(section) :], key, _value(text)):
            problems.append(problem)
        seen.add(key)
    try:
        changed = type(settings).model_validate_json(json.dumps(tree))
    except ValidationError as error:
        problems += _describe(error, section)
    if problems:
        raise ConfigError("\n".join(problems))
    return changed


def _place(settings: Settings, tree: dict[str, Any], path: Sequence[str], key: str, value: Any) -> str | None:
    """Put a value where its path leads in the tree of plain values; return what is wrong with the path."""
    node: Any = settings
    for step in path[:-1]:
        if step not in type(node).model_fields:
            return _unknown(key, step, type(node).model_fields)
        node, tree = getattr(node, step), tree[step]
        if not isinstance(node, Settings):
            return f"`{key}` must name a setting, but `{step}` is one that has no parts instead."
    if not path or isinstance(getattr(node, path[-1], None), Settings):
        inner = getattr(node, path[-1]) if path else node
        return f"`{key}` must be set by its parts: {', '.join(f'{key}.{part}' for part in type(inner).model_fields)}."
    if path[-1] not in type(node).model_fields:
        return _unknown(key, path[-1], type(node).model_fields)
    tree[path[-1]] = value
    return None


def _unknown(key: str, step: str, known: Iterable[str]) -> str:
    """Return the problem with a key one of whose steps is not among the known names."""
    near = difflib.get_close_matches(step, list(known), n=3, cutoff=0.6)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(known)}."
    return f"`{key}` must be a known setting, but `{step}` is none instead. {remedy}"


def _value(text: str) -> Any:
    """Return the value of YAML notation, with YAML's traps left out: ``no`` is a text, ``1e-4`` a number."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    if text.strip()[:1] not in ("[", "{"):
        return _scalar(text)
    import yaml

    try:
        return _scalars(yaml.load(text, Loader=yaml.BaseLoader))
    except yaml.YAMLError:
        return text


def _scalars(value: Any) -> Any:
    if isinstance(value, list):
        return [_scalars(element) for element in value]
    if isinstance(value, dict):
        return {key: _scalars(element) for key, element in value.items()}
    return _scalar(value)


def _scalar(text: str) -> Any:
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] == "'":
        return bare[1:-1]
    words: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "none": None}
    if bare.lower() in words:
        return words[bare.lower()]
    for number in (int, float):
        try:
            value = number(bare)
        except ValueError:
            continue
        return value if math.isfinite(value) else bare
    return bare


def _describe(error: ValidationError, section: str) -> list[str]:
    """Return pydantic's problems, each with the path of its setting."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join([section] * bool(section) + [str(step) for step in problem["loc"]])
        must = problem["msg"].removeprefix("Input should ").removeprefix("Value error, ")
        must = must if must.startswith("be ") else f"satisfy: {must}"
        remedy = " Put it in quotes." if problem["type"] == "string_type" else ""
        shown = json.dumps(problem["input"], ensure_ascii=False)
        lines.append(f"`{path}` must {must}, but is {textwrap.shorten(shown, 80, placeholder='…')} instead.{remedy}")
    return lines
