"""The logit lens: what a model would say if it ended after each of its layers.

The final norm and the unembedding are applied to the hidden states of every layer of the decoder, at places
where the next token is known (nostalgebraist 2020; for translation through English: Wendler et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lingraft.atoms import ENGLISH, ConfigError, Direction
from lingraft.base import Base
from lingraft.corpus import TestSet
from lingraft.delta import Route, Routing
from lingraft.fit.batch import Batch, collate
from lingraft.fit.learner import Row
from lingraft.probe.lens_values import Curve, Lens, Reading
from lingraft.probe.positions import Places, Vocabulary, places

System = Route | Base
"""Adapters on the base, () being the base alone; or another base of the same kind, e.g. a fully tuned copy."""

_LOGITS = 2**24  # at once: 64 MiB in fp32


class Seen(NamedTuple):
    """What one layer says at some positions."""

    probability: Tensor
    """[positions, languages]"""
    rank: Tensor
    """[positions, languages]: 1 is the top token."""
    top: Tensor
    """[positions]: the top token's id."""


def logit_lens(
    base: Base,
    testset: TestSet,
    direction: Direction,
    systems: Mapping[str, System],
    *,
    limit: int | None = None,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Lens:
    """Look through the logit lens at some systems, teacher-forced on the references.

    Args:
        base: The base model.
        testset: Sentences in the direction's languages and in English; its other languages are told apart too.
        direction: What is translated.
        systems: Name → what to look at, in the order in which it will be shown.
        limit: Look at the first sentences only.
        batch_size: Sentences per batch.
        progress: Called with the number of sentences that one system has read.

    Returns:
        Averages over the positions, for each system and layer.

    Raises:
        ConfigError: If there is no system, a number is below 1, or a system is a base of another kind.
        DataError: If the test set lacks a language, or no position is left.
    """
    _check(base, systems, limit=limit, batch_size=batch_size)
    found = places(base, testset, direction, limit)
    vocabulary = Vocabulary(base, testset, direction)
    readings = []
    for name, system in systems.items():
        model, route = (system, ()) if isinstance(system, Base) else (base, system)
        layers = _look(model, route, direction, found, batch_size, progress)
        readings.append(_reading(name, layers, found.languages, vocabulary))
    return Lens(
        direction=direction,
        systems=tuple(readings),
        positions=len(found.positions),
        sentences=len(found.rows),
        skipped=found.skipped,
        base=base.id,
        testset=testset.origin,
    )


def hidden_states(base: Base, batch: Batch) -> list[Tensor]:
    """Run a batch and return what the decoder holds before its first layer and after each, where an answer is due.

    Args:
        base: The model, with the routes of the batch set.
        batch: Encoded rows with their answers.

    Returns:
        Layers + 1 tensors [tokens of all answers, d], row by row; the last norm is not applied.
    """
    wanted = batch.labels >= 0
    states: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append((args[0] if args else kwargs["hidden_states"])[wanted])

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        states.append((output[0] if isinstance(output, tuple) else output)[wanted])

    layers: Any = base.model.get_submodule(base.family.stacks["decoder"].layers)
    handles = [layers[0].register_forward_pre_hook(before, with_kwargs=True)]
    handles += [layer.register_forward_hook(after) for layer in layers]
    try:
        if batch.decoder_ids is None:
            base.model.get_decoder()(input_ids=batch.ids, use_cache=False)
        else:
            base.model.model(
                input_ids=batch.ids, attention_mask=batch.mask, decoder_input_ids=batch.decoder_ids, use_cache=False
            )
    finally:
        for handle in handles:
            handle.remove()
    return states


def unembed(base: Base, states: Tensor) -> Tensor:
    """Return the logits of hidden states as if their layer were the last.

    Args:
        base: The model.
        states: [positions, d].

    Returns:
        [positions, V] in fp32.
    """
    norm = base.model.get_submodule(base.family.stacks["decoder"].norm)
    logits: Tensor = base.model.get_output_embeddings()(norm(states)).float()
    cap = getattr(base.model.config.get_text_config(), "final_logit_softcapping", None)  # of some Gemmas
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.no_grad()
def _look(
    base: Base,
    route: Route,
    direction: Direction,
    found: Places,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> list[Seen]:
    """Return what each layer of one system says at all positions, in some order common to all layers."""
    by_row: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
    for position in found.positions:
        by_row.setdefault(position.row, []).append((position.place, position.tokens))
    order = sorted(by_row, key=lambda row: len(found.rows[row].source) + len(found.rows[row].answer))
    parts: list[list[Seen]] = []
    with Routing(base) as routing:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = collate(base, [(0, Row(direction, found.rows[row])) for row in chosen])
            routing.set([(route, len(chosen))], batch.span)
            picked, tokens, offset = [], [], 0
            for row in chosen:
                picked += [offset + place for place, _ in by_row[row]]
                tokens += [each for _, each in by_row[row]]
                offset += len(found.rows[row].answer)
            at = torch.tensor(picked, device=base.device)
            wanted = torch.tensor(tokens, device=base.device)
            parts.append([_read(base, states[at], wanted) for states in hidden_states(base, batch)])
            if progress:
                progress(len(chosen))
        if progress and len(found.rows) > len(order):
            progress(len(found.rows) - len(order))  # sentences without a position
    return [Seen(*map(torch.cat, zip(*layer, strict=True))) for layer in zip(*parts, strict=True)]


def _read(base: Base, states: Tensor, tokens: Tensor) -> Seen:
    """Return what one layer says; not all logits are in memory at once.

    Args:
        base: The model.
        states: [positions, d] the layer's hidden states.
        tokens: [positions, languages] the ids to look for.

    Returns:
        The values, on the CPU.
    """
    step = max(1, _LOGITS // base.model.get_output_embeddings().weight.shape[0])
    parts = []
    for some, ids in zip(states.split(step), tokens.split(step), strict=True):
        logits = unembed(base, some)
        chosen = logits.gather(1, ids)  # positions, languages
        rank = torch.stack([(logits > column[:, None]).sum(1) + 1 for column in chosen.unbind(1)], dim=1)
        probability = (chosen - logits.logsumexp(1, keepdim=True)).exp()
        parts.append((probability.double().cpu(), rank.cpu(), logits.argmax(1).cpu()))
    return Seen(*map(torch.cat, zip(*parts, strict=True)))


def _reading(name: str, layers: Sequence[Seen], languages: Sequence[str], vocabulary: Vocabulary) -> Reading:
    """Average over the positions."""
    curves = {
        code: Curve(
            tuple(float(layer.probability[:, column].mean()) for layer in layers),
            tuple(float(layer.rank[:, column].double().quantile(0.5)) for layer in layers),
        )
        for column, code in enumerate(languages)
    }
    top = [vocabulary.shares(layer.top.tolist()) for layer in layers]
    ahead: tuple[float, ...] = ()
    if ENGLISH in languages[1:]:
        other = languages.index(ENGLISH)
        ahead = tuple(
            float((layer.probability[:, 0] > layer.probability[:, other]).double().mean()) for layer in layers
        )
    return Reading(name, curves, ahead, {code: tuple(shares[code] for shares in top) for code in vocabulary.languages})


def _check(base: Base, systems: Mapping[str, System], *, limit: int | None, batch_size: int) -> None:
    if not systems:
        raise ConfigError("`systems` must hold at least one system, but is empty instead. Give e.g. {'base': ()}.")
    for name, value in (("limit", limit), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ConfigError(f"`{name}` must be at least 1, but is {value} instead.")
    depth = max(site.layer for site in base.sites if site.stack == "decoder")
    for name, system in systems.items():
        if not isinstance(system, Base):
            continue
        same = (
            system.tokenizer_hash == base.tokenizer_hash
            and system.format.hash == base.format.hash
            and max(site.layer for site in system.sites if site.stack == "decoder") == depth
        )
        if not same:
            raise ConfigError(
                f"`systems[{name!r}]` must be a base with the tokenizer, the format and the number of layers of "
                f"{base.id}, but is {system.id}, which has others. Take a tuned copy of the same base."
            )
