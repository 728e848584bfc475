"""The base: a frozen model, its tokenizer, the format in which it is asked, and its sites."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from lingraft.atoms import BaseError, LanguageError, Role, Site
from lingraft.base.families import Family, find_sites
from lingraft.base.fingerprint import fingerprint, tokenizer_hash
from lingraft.base.format import Encoded, Format
from lingraft.base.seq2seq import Seq2SeqFormat

_READS = {Role.SOURCE: "encoder", Role.TARGET: "decoder"}
"""The stack of an encoder–decoder that reads the token of a role's language."""


class Base:
    """A frozen base. Nothing ever writes to its weights; ``fingerprint`` proves it.

    Attributes:
        id: hub id or folder as given to ``load``.
        revision: commit of the hub, or None for a folder.
        model: the model, in eval mode, no parameter of it trainable.
        tokenizer: its tokenizer.
        family: what is known about its architecture.
        format: how it is told what to translate.
        sites: site → path of its module in the model, in network order.
        languages: codes of the languages it knows by itself; may be empty.
        card: what ``lingraft.json`` of its folder says, else empty.
    """

    def __init__(
        self,
        id: str,
        model: Any,
        tokenizer: Any,
        family: Family,
        format: Format,
        *,
        revision: str | None = None,
        card: dict[str, Any] | None = None,
    ) -> None:
        """Freeze the model and find its sites.

        Args:
            id: hub id or folder.
            model: the loaded model.
            tokenizer: its tokenizer.
            family: what is known about its architecture.
            format: how it is told what to translate.
            revision: commit of the hub.
            card: what its ``lingraft.json`` says.

        Raises:
            BaseError: a site is missing or there is one too many, or the tokenizer is another model's.
        """
        self.id = id
        self.revision = revision
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.family = family
        self.format = format
        self.card: dict[str, Any] = dict(card or {})
        self.sites: dict[Site, str] = find_sites(model, family, model.config.get_text_config())
        own = getattr(format, "languages", ())
        self.languages: tuple[str, ...] = tuple(self.card.get("languages", own))
        rows = model.get_input_embeddings().weight.shape[0]
        if tokenizer.vocab_size > rows:
            raise BaseError(
                f"the tokenizer must fit the model's {rows} embeddings, but has {tokenizer.vocab_size} tokens instead. "
                "Take the tokenizer that belongs to this model."
            )

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the weights cast to bf16, the same for every load dtype; computed once."""
        return fingerprint(self.model)

    @cached_property
    def tokenizer_hash(self) -> str:
        """sha256 of the tokenizer's vocabulary, merges, special tokens and behaviour; computed once."""
        return tokenizer_hash(self.tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(iter(self.model.parameters())).device

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the model computes."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    @property
    def context(self) -> int:
        """The most tokens that the model reads at once; of an encoder–decoder, each of its stacks."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def room(self, row: Encoded) -> int:
        """Return how many tokens more a row's answer could have.

        Args:
            row: An encoded row, with an answer or without.

        Returns:
            What is left of the context. Below 0, the row does not fit: in a decoder-only model as a whole, in an
            encoder–decoder its source, or its target and answer.
        """
        written = len(row.target) + len(row.answer)
        if self.family.kind == "decoder":
            return self.context - len(row.source) - written
        unread = self.context - len(row.source)
        return unread if unread < 0 else self.context - written

    @property
    def borrowed(self) -> Mapping[str, str]:
        """Language without a token of its own → the one whose token it borrows."""
        return self.format.borrowed if isinstance(self.format, Seq2SeqFormat) else {}

    def borrowing(self, like: Mapping[str, str]) -> Base:
        """Return the base with some languages named by another one's token, which their adapters make their own.

        Neither the model nor the tokenizer is changed or copied, and all hashes stay as they are.

        Args:
            like: language that the tokenizer has no token for → a relative that it has one for.

        Returns:
            A base that shares everything with this one but the format.

        Raises:
            LanguageError: the base needs no token for a language, or has none for its relative.
        """
        if not like:
            return self
        if not isinstance(self.format, Seq2SeqFormat):
            raise LanguageError(
                f"`like` must be left out for the base {self.id}, which is told of languages by name, but is given for "
                f"{', '.join(like)}. Leave it out."
            )
        twin = copy.copy(self)
        twin.format = self.format.borrowing(like)
        return twin

    def token(self, language: str) -> int:
        """Return the id of the token that a language has of its own.

        Args:
            language: the code.

        Returns:
            The id.

        Raises:
            LanguageError: there is none, or the base names languages otherwise.
        """
        if not isinstance(self.format, Seq2SeqFormat):
            raise LanguageError(f"the base {self.id} must name languages by tokens, but is told of them by name.")
        return self.format.token(language)

    def embedding(self, role: Role) -> str:
        """Return the path of the embedding that reads the token of a role's language; for encoder–decoders alone."""
        return self.family.stacks[_READS[role]].embedding

    def module(self, site: Site) -> nn.Module:
        """Return the linear map at a site.

        Args:
            site: one of ``sites``.

        Returns:
            The module itself, not a copy.

        Raises:
            BaseError: the base has no such site.
        """
        if site not in self.sites:
            raise BaseError(
                f"`{site}` must be a site of the base {self.id}, but is none. "
                f"Its sites are {'; '.join(self._summary())}."
            )
        module: nn.Module = self.model.get_submodule(self.sites[site])
        return module

    def shape(self, site: Site) -> tuple[int, int]:
        """Return (output, input) features of the linear map at a site."""
        module: Any = self.module(site)
        return module.out_features, module.in_features

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.model.parameters())
        lines = [
            f"Base {self.id}" + (f"@{self.revision[:12]}" if self.revision else ""),
            f"├─ {self.family.name} ({self.family.kind}), {count / 1e6:.2f} M parameters, "
            f"{str(self.dtype).removeprefix('torch.')} on {self.device}",
            *(f"├─ {line}" for line in self._summary()),
            f"├─ {self.format!r}",
            f"└─ {len(self.languages)} languages: {' '.join(self.languages[:12])}"
            + (" …" if len(self.languages) > 12 else ""),
        ]
        return "\n".join(lines)

    def _summary(self) -> list[str]:
        """Return one line per stack: its layers and the shape of each kind of site."""
        lines = []
        for stack, described in self.family.stacks.items():
            layers = Counter(site.layer for site in self.sites if site.stack == stack)
            shapes = []
            for name in described.sites:
                module: Any = self.model.get_submodule(self.sites[Site(stack, 0, name)])
                shapes.append(f"{name} {module.out_features}×{module.in_features}")
            lines.append(f"{stack}: {len(layers)} layers of {', '.join(shapes)}")
        return lines
