"""The formats of decoder-only bases: a plain prompt, and the base's own chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lingraft.atoms import BaseError, Direction
from lingraft.base.format import (
    ANSWER,
    SOURCE,
    TARGET,
    Encoded,
    Names,
    clean,
    continue_ids,
    end_id,
    pad_id,
    spec_hash,
    template_fields,
    token_ids,
    until,
)


class PromptFormat:
    """A plain prompt with {source} and {target} as English names and {text} as the sentence.

    The row is BOS (where the tokenizer has one) + ``source`` | ``target`` | ``answer`` + EOS.
    """

    def __init__(
        self,
        tokenizer: Any,
        source: str = SOURCE,
        target: str = TARGET,
        answer: str = ANSWER,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Check the three templates.

        Args:
            tokenizer: the base's tokenizer.
            source: what is read; holds {text}.
            target: what asks for the target language; no {text}.
            answer: what is generated; holds {text} alone.
            names: language code → English name, where the base was trained with its own.

        Raises:
            BaseError: a template lacks a placeholder or has an unknown one, or ``target`` is empty.
        """
        template_fields("source", source, {"text"})
        template_fields("target", target, set())
        template_fields("answer", answer, {"text"})
        if "{text}" in target or "{target}" not in source + target:
            raise BaseError(
                "the format's `source` or `target` must hold {target}, and `target` must not hold {text}, "
                f"but they are {source!r} and {target!r} instead. Correct the base's lingraft.json."
            )
        if not target:
            raise BaseError(
                "the format's `target` must hold what stands right before the answer, but is empty. "
                "Move the end of `source` there in the base's lingraft.json."
            )
        self._tokenizer = tokenizer
        self._templates = {"source": source, "target": target, "answer": answer}
        self._names = Names(dict(names or {}))
        self._start = () if tokenizer.bos_token_id is None else (int(tokenizer.bos_token_id),)
        self.end = end_id(tokenizer)
        self.pad = pad_id(tokenizer)
        self.hash = spec_hash(self.spec())

    def spec(self) -> dict[str, Any]:
        """Return the templates, and the base's own language names where it has some."""
        own = {"names": dict(self._names.given)} if self._names.given else {}
        return {"kind": "prompt", **self._templates, **own}

    def encode(self, direction: Direction, texts: Sequence[str], answers: Sequence[str] | None = None) -> list[Encoded]:
        """Return the spans of each text; the answers end with EOS.

        Args:
            direction: the two language codes.
            texts: sentences in the source language; line breaks in them become spaces.
            answers: their translations, as many as there are texts.

        Returns:
            One row per text, in order.
        """
        names = {"source": self._names[direction.source], "target": self._names[direction.target]}
        prompts = [self._templates["source"].format(text=clean(text), **names) for text in texts]
        tag = self._templates["target"].format(**names)
        asked = continue_ids(self._tokenizer, self._templates["source"].format(text="", **names), [tag])[0]
        given: list[tuple[int, ...]] = [()] * len(prompts)
        if answers is not None:
            filled = [self._templates["answer"].format(text=clean(answer), **names) for answer in answers]
            given = [(*row, self.end) for row in continue_ids(self._tokenizer, tag, filled)]
        read = token_ids(self._tokenizer, prompts)
        return [Encoded((*self._start, *row), tuple(asked), answer) for row, answer in zip(read, given, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the first line of the generated text, without special tokens: a model may run on."""
        text = self._tokenizer.decode(
            until(ids, self.end), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text.strip().split("\n", 1)[0].strip()

    def knows(self, language: str) -> bool:
        """Return True: a prompt can name any language."""
        return True

    def __repr__(self) -> str:
        return f"PromptFormat({' | '.join(repr(template) for template in self._templates.values())})"


_TEXT = "\ue000text\ue000"
"""A place-holder that no template produces, to find where the text went in a rendered conversation."""
_REPLY = "\ue000reply\ue000"


class ChatFormat:
    """The tokenizer's chat template with one user turn; the generation prompt is the target span.

    Where the template has none, what follows the text in the user's turn is.
    """

    def __init__(
        self,
        tokenizer: Any,
        instruction: str = "Translate this from {source} to {target}:\n{text}",
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Check the instruction and render the template once.

        Args:
            tokenizer: the base's tokenizer, with a chat template.
            instruction: the user turn.
            names: language code → English name, where they differ from the language table.

        Raises:
            BaseError: there is no chat template, or it can't be cut into spans.
        """
        template_fields("instruction", instruction, {"source", "target", "text"})
        if not getattr(tokenizer, "chat_template", None):
            raise BaseError(
                "the tokenizer must have a chat template for the format `chat`, but has none. "
                "Use the format `prompt`, or an instruction-tuned base."
            )
        self._tokenizer = tokenizer
        self._instruction = instruction
        self._names = Names(dict(names or {}))
        self.pad = pad_id(tokenizer)
        _, after, opening, closing = self._render({"source": "A", "target": "B"})
        self._opening = self._ids(opening)
        if not self._opening and not self._ids(after):
            raise BaseError(
                "the chat template must put something between the text and the answer, but puts nothing there. "
                "Let the instruction go on after {text}, or use the format `prompt` for this base."
            )
        # What closes the assistant's turn ends the answer; it need not be the tokenizer's EOS.
        self.end = self._end(closing) if closing.strip() else end_id(tokenizer)
        self.hash = spec_hash(self.spec())

    def spec(self) -> dict[str, Any]:
        """Return the instruction and the chat template itself."""
        own = {"names": dict(self._names.given)} if self._names.given else {}
        template = self._tokenizer.chat_template
        return {"kind": "chat", "instruction": self._instruction, "template": template, **own}

    def encode(self, direction: Direction, texts: Sequence[str], answers: Sequence[str] | None = None) -> list[Encoded]:
        """Return the spans of each text; the answers end with what closes a turn (see ``PromptFormat.encode``)."""
        names = {"source": self._names[direction.source], "target": self._names[direction.target]}
        before, after, _, _ = self._render(names)
        head, tail = self._ids(before), self._ids(after)
        given: list[tuple[int, ...]] = [()] * len(texts)
        if answers is not None:
            # "\n" stands for the special token before the answer: all it does is begin the text.
            given = [(*row, self.end) for row in continue_ids(self._tokenizer, "\n", [clean(a) for a in answers])]
        rows = continue_ids(self._tokenizer, before, [clean(text) for text in texts])
        read, asked = (tail, self._opening) if self._opening else ((), tail)
        return [Encoded((*head, *row, *read), asked, answer) for row, answer in zip(rows, given, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the generated text as one line, without special tokens."""
        text = self._tokenizer.decode(
            until(ids, self.end), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return clean(text)

    def knows(self, language: str) -> bool:
        """Return True: a prompt can name any language."""
        return True

    def __repr__(self) -> str:
        return f"ChatFormat({self._instruction!r})"

    def _ids(self, literal: str) -> tuple[int, ...]:
        """Tokenise a part of the template itself, in which special tokens are meant."""
        ids = self._tokenizer(literal, add_special_tokens=False, split_special_tokens=False)["input_ids"]
        return tuple(ids)

    def _end(self, closing: str) -> int:
        """Return the id that ends an answer: the first special one of what closes it, else the first after spaces."""
        added = self._tokenizer.added_tokens_decoder.items()
        special = {id for id, token in added if token.special} | set(self._tokenizer.all_special_ids)
        return next((id for id in self._ids(closing) if id in special), self._ids(closing.lstrip())[0])

    def _render(self, names: Mapping[str, str]) -> tuple[str, str, str, str]:
        """Return what stands before the text, after it, the generation prompt, and what closes the answer."""
        turn = [{"role": "user", "content": self._instruction.format(text=_TEXT, **names)}]
        asked, prompted = self._apply(turn, False), self._apply(turn, True)
        full = self._apply([*turn, {"role": "assistant", "content": _REPLY}], False)
        if not prompted.startswith(asked) or asked.count(_TEXT) != 1 or full.count(_REPLY) != 1:
            raise BaseError(
                "the chat template must put the user's text and the generation prompt one after the other, "
                "but renders them otherwise. Use the format `prompt` for this base."
            )
        before, after = asked.split(_TEXT)
        return before, after, prompted[len(asked) :], full.split(_REPLY)[1]

    def _apply(self, turns: list[dict[str, str]], prompt: bool) -> str:
        # Templates of reasoning models open no thinking block, and those that print today's date print a
        # fixed one, so that a prompt is the same on every day; other templates ignore both settings.
        return str(
            self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=prompt, enable_thinking=False, date_string="1 Jan 2025"
            )
        )
