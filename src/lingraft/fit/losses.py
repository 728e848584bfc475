"""Cross-entropy against a big vocabulary, some positions at a time: the logits of all never exist at once.

With a vocabulary of 150,000 the logits of 4,000 positions take 2.4 GB in fp32, and as much again for each of
their softmax and their gradient. Here they live as long as it takes to find a position's loss and what it says
of the hidden state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

_AT_ONCE = 2**22  # logits
_ROWS = 256  # positions, at least; fewer would leave a GPU idle


def cross_entropy(
    head: Any,
    hidden: Tensor,
    labels: Tensor,
    label_smoothing: float = 0.0,
    cap: float | None = None,
    rows: int | None = None,
) -> Tensor:
    """Return the cross-entropy of each position, in nats, as ``torch.nn.functional.cross_entropy`` defines it.

    Under a frozen head the gradient of each position's loss is found together with the loss, since it depends on
    that position alone: the head's product is computed no more often than with whole logits. Under a head
    that is trained, the logits are computed again in the backward pass.

    Args:
        head: The linear map from hidden states to logits; a quantised one counts too.
        hidden: [n, d] hidden states of the positions.
        labels: [n] the token to predict.
        label_smoothing: Share of the probability that is spread over the vocabulary.
        cap: Logits z are squashed to cap · tanh(z / cap), as configs of the Gemma class ask for; None: they are not.
        rows: Positions at a time; None: as many as fit a budget.

    Returns:
        [n] losses in fp32 (fp64 where the logits are).
    """
    size = rows or max(_ROWS, _AT_ONCE // head.out_features)
    if type(head) is nn.Linear and not any(parameter.requires_grad for parameter in head.parameters()):
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
        bias = None if head.bias is None else head.bias.to(dtype)
        found: Tensor = _Frozen.apply(hidden, head.weight.to(dtype), bias, labels, label_smoothing, cap, size)
        return found

    def part(h: Tensor, label: Tensor) -> Tensor:
        return _loss(_capped(_float(head(h)), cap), label, label_smoothing)[0]

    parts = list(zip(hidden.split(size), labels.split(size), strict=True))
    if len(parts) == 1:
        return part(*parts[0])
    return torch.cat([checkpoint(part, h, label, use_reentrant=False) for h, label in parts])


def _float(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _capped(logits: Tensor, cap: float | None) -> Tensor:
    return logits if cap is None else (logits / cap).tanh() * cap


def _loss(logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return each position's loss [n], and the logarithms of the probabilities [n, V]."""
    logs = logits.log_softmax(-1)
    loss = (smoothing - 1) * logs.gather(-1, labels[:, None])[:, 0]
    return (loss - smoothing * logs.mean(-1) if smoothing else loss), logs


class _Frozen(Function):
    """Losses of positions under a head that is not trained; keeps [n, d], never [n, V]."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        smoothing: float,
        cap: float | None,
        size: int,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        losses, gradients = [], []
        even = smoothing / weight.shape[0]
        rest = even * weight.sum(0, dtype=hidden.dtype) if wanted and even and cap is None else None
        for h, label in zip(hidden.split(size), labels.split(size), strict=True):
            logits = _capped(_float(linear(h.to(weight.dtype), weight, bias)), cap)  # rows, V
            loss, logs = _loss(logits, label, smoothing)
            losses.append(loss)
            if not wanted:
                continue
            # d loss / d z = softmax(z) − smoothing / V − (1 − smoothing) · one-hot
            slope = None if cap is None else 1 - (logits / cap).square()
            found = logs.exp_()
            found.scatter_add_(1, label[:, None], found.new_full((len(label), 1), smoothing - 1))
            if slope is not None:
                found.sub_(even).mul_(slope)
            gradients.append((found.to(weight.dtype) @ weight).to(hidden.dtype))
            if rest is not None:  # the constant passes through the product as it is
                gradients[-1] -= rest
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (found,) = ctx.saved_tensors
        return found * gradient[:, None].to(found.dtype), None, None, None, None, None, None
