"""A frozen base in shards: each process keeps a part of every layer, for bases that are larger than a GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lingraft.atoms import ConfigError
from lingraft.base import Base
from lingraft.fit.parallel import Team, local_device


def shard(base: Base, team: Team, *, frozen: bool = True) -> None:
    """Deal out the layers of a base over the processes (FSDP2, ``torch.distributed.fsdp.fully_shard``).

    A layer is put together on every process when rows pass it, and taken apart again after it. Embeddings, norms
    outside the layers and the head are whole everywhere. Where there are GPUs, the shards go there layer by layer, so
    the base itself is best read into memory (``--device cpu``). The base stays in shards; its fingerprint is taken
    before, as it hashes whole weights.

    Args:
        base: A base, whole; its sites, names and shapes stay what they are.
        team: The processes.
        frozen: Whether it stays as it is; one that is trained is not sharded.

    Raises:
        ConfigError: If there is only one process, or the base can't be cut.
    """
    # Imported where it is needed: it takes every verb a second otherwise.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if team.alone:
        raise ConfigError(
            "`fit.shard` must be false for a single process, but is true instead. Start several with `torchrun`."
        )
    if not frozen:
        raise ConfigError("`fit.shard` must be false where the base itself is trained, but is true instead.")
    paths = [stack.layers for stack in base.family.stacks.values()]
    layers = [layer for path in paths for layer in base.model.get_submodule(path)]
    if not all(parameter.is_floating_point() for layer in layers for parameter in layer.parameters()):
        raise ConfigError("`fit.shard` must be false for a quantised base, which can't be cut, but is true instead.")
    _ = base.fingerprint
    mesh = init_device_mesh(torch.device(local_device()).type, (team.size,))
    inside = {parameter for layer in layers for parameter in layer.parameters()}
    whole = {parameter for parameter in base.model.parameters() if parameter not in inside}
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    # The module that rows pass is the root, so that a layer is fetched while the one before it computes.
    root = base.model.get_decoder() if base.family.kind == "decoder" else base.model.model
    fully_shard(root, mesh=mesh, ignored_params=whole)
    base.model.to(local_device())
    for module in {base.model.get_submodule(path) for path in _embeddings(base)}:
        module.register_forward_hook(_all_the_way)


def _embeddings(base: Base) -> list[str]:
    own = next(name for name, each in base.model.named_modules() if each is base.model.get_input_embeddings())
    return [stack.embedding or own for stack in base.family.stacks.values()]


def _all_the_way(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Send the backward pass through all layers, whatever adapters a process has rows of: a layer takes all of them."""
    return output.requires_grad_() if torch.is_grad_enabled() and not output.requires_grad else output
