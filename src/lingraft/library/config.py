"""``adapter_config.json`` of a PEFT LoRA folder, written and read by ourselves.

A config that someone else wrote is never handed to another library: PEFT allocates whatever rank it
names and runs ``target_modules`` as a regular expression where it is a string. So the schema is closed:
every key that PEFT writes is known, and all but a few must have the value that does nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lingraft.base import Base
from lingraft.library.refusal import CONFIG, MAX_RANK, MAX_VALUE, refuse
from lingraft.library.strict_json import dump, parse_object

TASKS = {"decoder": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
"""Kind of a family → PEFT's name of its task."""

_WRITTEN: dict[str, Any] = {
    "bias": "none",
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "lora_dropout": 0.0,
    "modules_to_save": None,
    "peft_type": "LORA",
    "use_dora": False,
    "use_rslora": False,
}
"""The constant part of what we write."""
_NEUTRAL: dict[str, Any] = _WRITTEN | {
    "alora_invocation_tokens": None,
    "arrow_config": None,
    "auto_mapping": None,
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "kasa_config": None,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_bias": False,
    "lora_ga_config": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "monteclora_config": None,
    "qalora_group_size": 16,
    "target_parameters": None,
    "use_bdlora": None,
    "use_qalora": False,
    "velora_config": None,
}
"""What PEFT 0.21 writes by default beside the keys that carry something."""
_CARRYING = {"r", "lora_alpha", "target_modules", "task_type", "rank_pattern", "alpha_pattern"}
_TOKENS = "trainable_token_indices"
"""Rows of embeddings that are replaced; the key is left out, or None, where there are none."""
_REMARKS = {"base_model_name_or_path", "revision", "peft_version", "inference_mode"}
"""Keys that say something to people or to PEFT's training, and nothing to us."""


@dataclass(frozen=True)
class Layout:
    """The rank and the alpha of the update at each module path, and which of them most have."""

    modules: Mapping[str, tuple[int, float]]
    tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Path of an embedding → the ids whose rows are replaced, for that embedding alone even if it is tied."""

    @property
    def rank(self) -> int:
        """The rank that most modules have; of several the lowest."""
        return _commonest(rank for rank, _ in self.modules.values())

    @property
    def alpha(self) -> float:
        """The alpha that most modules have; of several the lowest."""
        return _commonest(alpha for _, alpha in self.modules.values())


def alpha_of(scale: float, rank: int) -> float:
    """Return the alpha with alpha / rank = ``scale`` in floating point, where there is one.

    For a scale that is itself an alpha over the rank there always is, a few steps from the rounded
    product; for others the nearest is off by less than 1e-15 of the scale.
    """
    nearest = scale * rank
    candidates = [nearest]
    for towards in (math.inf, -math.inf):
        near = math.nextafter(nearest, towards)
        candidates += [near, math.nextafter(near, towards)]
    return next((alpha for alpha in candidates if alpha / rank == scale), nearest)


def write_config(layout: Layout, base: Base) -> bytes:
    """Return the config of a LoRA with this layout.

    The patterns of PEFT are regular expressions that match the end of a path, so each is a whole path,
    escaped and anchored.
    """
    rank, alpha = layout.rank, layout.alpha
    tokens = {_TOKENS: {path: list(ids) for path, ids in layout.tokens.items()}} if layout.tokens else {}
    return dump(
        _WRITTEN
        | tokens
        | {
            "base_model_name_or_path": base.id,
            "revision": base.revision,
            "inference_mode": True,
            "task_type": TASKS[base.family.kind],
            "target_modules": list(layout.modules),
            "r": rank,
            "lora_alpha": _plain(alpha),
            "rank_pattern": {_pattern(path): r for path, (r, _) in layout.modules.items() if r != rank},
            "alpha_pattern": {_pattern(path): _plain(a) for path, (_, a) in layout.modules.items() if a != alpha},
        }
    )


def read_config(data: bytes | bytearray, base: Base, file: str = CONFIG) -> Layout:
    """Return the layout that ``write_config`` wrote.

    Args:
        data: The config, from anyone.
        base: The base that it must fit.
        file: What the messages call it.

    Returns:
        Rank and alpha of each module, in the order of ``target_modules``.

    Raises:
        AdapterError: It is no LoRA of this base, or wants anything beyond one.
    """
    try:
        config = parse_object(data)
    except ValueError as error:
        raise refuse("config", f"`{file}` must be a PEFT config, but {error}. Get the adapter again.") from None
    try:
        return _layout(config, base)
    except _WrongKeyError as wrong:
        message = f"`{wrong.key}` in {file} must be {wrong.must}, but is {wrong.found} instead."
        raise refuse(wrong.code, f"{message} Get a plain LoRA adapter.") from None


class _WrongKeyError(Exception):
    """A key has a value that it must not have; whoever knows the file's name says so."""

    def __init__(self, key: str, must: str, value: Any, code: str = "config") -> None:
        super().__init__(key)
        self.key, self.must, self.found, self.code = key, must, repr(value)[:80], code


def _layout(config: Mapping[str, Any], base: Base) -> Layout:
    _check_closed(config)
    task = TASKS[base.family.kind]
    if config["task_type"] != task:
        raise _WrongKeyError("task_type", f"{task}, as the base's kind is", config["task_type"])
    rank, alpha = _rank(config["r"], "r"), _alpha(config["lora_alpha"], "lora_alpha")
    paths = _paths(config["target_modules"], set(base.sites.values()))
    ranks = _patterns(config, "rank_pattern", paths, _rank)
    alphas = _patterns(config, "alpha_pattern", paths, _alpha)
    modules = {path: (ranks.get(path, rank), alphas.get(path, alpha)) for path in paths}
    return Layout(modules, _tokens(config.get(_TOKENS), base))


def _check_closed(config: Mapping[str, Any]) -> None:
    if unknown := sorted(config.keys() - _NEUTRAL.keys() - _CARRYING - _REMARKS - {_TOKENS}):
        raise _WrongKeyError(unknown[0], "absent, since it is no known key", config[unknown[0]])
    if missing := sorted((_CARRYING | {"peft_type"}) - config.keys()):
        raise _WrongKeyError(missing[0], "given", None)
    for key in _NEUTRAL.keys() & config.keys():
        value, neutral = config[key], _NEUTRAL[key]
        same_kind = isinstance(value, bool) == isinstance(neutral, bool)  # since 0 == False and 1 == True
        if value != neutral or not same_kind:
            raise _WrongKeyError(key, f"{neutral!r}", value)
    for key in _REMARKS & config.keys():
        if not isinstance(config[key], str | bool | None):
            raise _WrongKeyError(key, "a text", config[key])


def _rank(value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_RANK:
        raise _WrongKeyError(key, f"a whole number from 1 to {MAX_RANK}", value, "rank")
    return value


def _alpha(value: Any, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_VALUE * MAX_RANK:
        raise _WrongKeyError(key, f"a number of at most {MAX_VALUE * MAX_RANK:g}", value)
    return float(value)


def _paths(value: Any, known: set[str]) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(path, str) for path in value):
        raise _WrongKeyError("target_modules", "a list of module paths", value)
    if len(set(value)) != len(value):
        raise _WrongKeyError("target_modules", "a list without repetitions", value)
    if strange := next((path for path in value if path not in known), None):
        raise refuse("keys", f"`target_modules` must name sites of the base, but names {strange[:120]!r} instead.")
    return value


def _patterns(config: Mapping[str, Any], key: str, paths: list[str], read: Any) -> dict[str, Any]:
    patterns, by_pattern = config[key], {_pattern(path): path for path in paths}
    if not isinstance(patterns, dict):
        raise _WrongKeyError(key, "an object", patterns)
    if strange := next((pattern for pattern in patterns if pattern not in by_pattern), None):
        raise _WrongKeyError(key, "about whole paths of `target_modules`, written ^ and escaped", strange)
    return {by_pattern[pattern]: read(value, f"{key}.{pattern}") for pattern, value in patterns.items()}


def _tokens(value: Any, base: Base) -> dict[str, tuple[int, ...]]:
    """Return the replaced row of an adapter: one of one embedding, since an adapter is of one language and role."""
    if value is None:
        return {}
    known = {stack.embedding for stack in base.family.stacks.values() if stack.embedding}
    if not isinstance(value, dict) or len(value) != 1 or not known >= value.keys():
        raise _WrongKeyError(_TOKENS, f"null, or about one of {', '.join(sorted(known)) or 'no embedding'}", value)
    ((path, ids),) = value.items()
    if not isinstance(ids, list) or len(ids) != 1 or type(ids[0]) is not int or not 0 <= ids[0] < 2**31:
        raise _WrongKeyError(_TOKENS, "a list of one token's id", value)
    return {path: (ids[0],)}


def _pattern(path: str) -> str:
    return "^" + re.escape(path)


def _plain(alpha: float) -> int | float:
    """Write a whole alpha as PEFT's type hint wants it."""
    return int(alpha) if alpha.is_integer() else alpha


def _commonest(values: Any) -> Any:
    return min(Counter(values).items(), key=lambda item: (-item[1], item[0]))[0]
