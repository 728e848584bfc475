"""What is known about each supported architecture, as data; and the search for a model's sites.

Nothing here looks at a model's name: a family is chosen by ``config.model_type`` alone, and a site is
found by its place in the tree (stack, layer, path within the layer), never by a prefix of a string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from lingraft.atoms import BaseError, Site

Kind = Literal["decoder", "seq2seq"]


@dataclass(frozen=True)
class Stack:
    """A tower of equal layers."""

    layers: str
    """Path of the list of layers in the model, e.g. ``model.layers``."""
    norm: str
    """Path of the norm after the last layer."""
    depth: str
    """Attribute of the (text) config that holds the number of layers."""
    sites: Mapping[str, str]
    """Name of a site → path within a layer, in the order in which the layer runs them."""
    embedding: str = ""
    """Path of the embedding of what it reads, in families that name languages by tokens."""


@dataclass(frozen=True)
class Family:
    """An architecture: the model types it covers, and where its linear maps are."""

    name: str
    model_types: tuple[str, ...]
    kind: Kind
    stacks: Mapping[str, Stack]
    """Name of a stack → the stack, in network order."""


def _attention(prefix: str, module: str, output: str) -> dict[str, str]:
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": output}
    return {prefix + name: f"{module}.{path}" for name, path in names.items()}


_GATED = _attention("", "self_attn", "o_proj") | {name: f"mlp.{name}_proj" for name in ("gate", "up", "down")}
_FEED_FORWARD = {"fc1": "fc1", "fc2": "fc2"}
_SELF = _attention("", "self_attn", "out_proj")
_CROSS = _attention("cross_", "encoder_attn", "out_proj")


def _decoder(name: str, *model_types: str, layers: str = "model.layers") -> Family:
    norm = f"{layers.rpartition('.')[0]}.norm"
    stack = Stack(layers, norm, "num_hidden_layers", MappingProxyType(_GATED))
    return Family(name, model_types, "decoder", MappingProxyType({"decoder": stack}))


FAMILIES: tuple[Family, ...] = (
    _decoder("Llama", "llama"),
    _decoder("Mistral", "mistral"),
    _decoder("Qwen2", "qwen2"),
    _decoder("Qwen3", "qwen3"),
    _decoder("Gemma 3", "gemma3_text"),
    _decoder("Gemma 3 with vision", "gemma3", layers="model.language_model.layers"),
    Family(
        "M2M-100 and NLLB",
        ("m2m_100",),
        "seq2seq",
        MappingProxyType(
            {
                "encoder": Stack(
                    "model.encoder.layers",
                    "model.encoder.layer_norm",
                    "encoder_layers",
                    MappingProxyType(_SELF | _FEED_FORWARD),
                    "model.encoder.embed_tokens",
                ),
                "decoder": Stack(
                    "model.decoder.layers",
                    "model.decoder.layer_norm",
                    "decoder_layers",
                    MappingProxyType(_SELF | _CROSS | _FEED_FORWARD),
                    "model.decoder.embed_tokens",
                ),
            }
        ),
    ),
)


def family_of(model_type: str | None, families: tuple[Family, ...] = FAMILIES) -> Family:
    """Return the family of a model type.

    Args:
        model_type: ``config.model_type`` of a base.
        families: the table to search.

    Returns:
        The first row that covers the model type.

    Raises:
        BaseError: no family has this model type.
    """
    for family in families:
        if model_type in family.model_types:
            return family
    known = ", ".join(f"{kind} ({family.name})" for family in families for kind in family.model_types)
    raise BaseError(
        f"the base's `model_type` must be one of {known}, but is {model_type!r} instead. "
        "Choose a base of one of these families, or add a row to `FAMILIES` in lingraft/base/families.py."
    )


def find_sites(model: nn.Module, family: Family, config: Any) -> dict[Site, str]:
    """Return every site of the model with the path of its module, in network order.

    A linear map is recognised by ``in_features`` and ``out_features``, so that quantised ones count too.

    Args:
        model: the model, of a class of this family.
        family: what to look for.
        config: the model's (text) config, for the number of layers.

    Returns:
        Site → path of its module in the model.

    Raises:
        BaseError: a layer or a site is missing, is no linear map, or a layer holds a linear map that the
            family does not know.
    """
    return {
        site: path
        for name, stack in family.stacks.items()
        for site, path in _sites_of_stack(model, family, name, stack, getattr(config, stack.depth)).items()
    }


def _sites_of_stack(model: nn.Module, family: Family, name: str, stack: Stack, depth: int) -> dict[Site, str]:
    layers = _submodule(model, stack.layers)
    if not isinstance(layers, nn.ModuleList) or len(layers) != depth:
        found = "missing" if layers is None else f"{type(layers).__name__} of {len(list(layers.children()))}"
        raise BaseError(
            f"`{stack.layers}` must be a list of {depth} layers in a base of the family {family.name}, "
            f"but is {found} instead. {_REMEDY}"
        )
    sites: dict[Site, str] = {}
    for index, layer in enumerate(layers):
        for site, inner in stack.sites.items():
            path = f"{stack.layers}.{index}.{inner}"
            module = _submodule(layer, inner)
            if module is None or not is_linear(module):
                found = "missing" if module is None else type(module).__name__
                raise BaseError(
                    f"`{path}` must be a linear map (with in_features and out_features), but is {found} instead. "
                    f"{_REMEDY}"
                )
            sites[Site(name, index, site)] = path
        known = set(stack.sites.values())
        for inner, module in layer.named_modules():
            if is_linear(module) and inner not in known:
                raise BaseError(
                    f"a layer of the family {family.name} must hold the linear maps {', '.join(sorted(known))} alone, "
                    f"but holds `{stack.layers}.{index}.{inner}` too. {_REMEDY}"
                )
    return sites


_REMEDY = "The model differs from the published architecture; use an unmodified one."


def is_linear(module: nn.Module) -> bool:
    """Say whether a module is a linear map in the sense of having input and output features."""
    return isinstance(getattr(module, "in_features", None), int) and isinstance(
        getattr(module, "out_features", None), int
    )


def _submodule(root: nn.Module, path: str) -> nn.Module | None:
    try:
        return root.get_submodule(path)
    except AttributeError:
        return None
