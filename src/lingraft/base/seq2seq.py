"""The format of encoder–decoders that name languages by tokens: NLLB and M2M-100."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lingraft.atoms import Direction, LanguageError, languages
from lingraft.base.format import Encoded, clean, end_id, pad_id, spec_hash, token_ids, until

_FLORES = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")

M2M_CODES = """
    af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht
    hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl
    ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu
""".split()  # noqa: SIM905 – one word each would take a hundred lines
"""The languages of M2M-100 as its tokens write them (``__de__``); its tokenizer does not list them itself."""


def language_tokens(tokenizer: Any) -> dict[str, int]:
    """Return FLORES code → id of the language token, for every language that the tokenizer has one of."""
    found = {token: index for token, index in tokenizer.get_added_vocab().items() if _FLORES.fullmatch(token)}
    unknown = tokenizer.unk_token_id
    for code in M2M_CODES:
        index = tokenizer.convert_tokens_to_ids(f"__{code}__")
        if index is not None and index != unknown:
            found.setdefault(languages.parse(code), index)
    return dict(sorted(found.items()))


class Seq2SeqFormat:
    """Language tokens at the start of both sides.

    The encoder reads language + text + EOS; the decoder starts with its start token + target language and
    answers with text + EOS. The ids are put together here, since the place where a tokenizer puts the
    language by default differs between versions of the same checkpoint.
    """

    def __init__(self, tokenizer: Any, decoder_start: int) -> None:
        """Find the language tokens.

        Args:
            tokenizer: the base's tokenizer.
            decoder_start: id of the token with which the decoder starts (``config.decoder_start_token_id``).
        """
        self._tokenizer = tokenizer
        self._decoder_start = int(decoder_start)
        self._tokens = language_tokens(tokenizer)
        self._special = {*self._tokens.values(), *tokenizer.all_special_ids}
        self.languages = tuple(self._tokens)
        self.borrowed: Mapping[str, str] = {}
        self.end = end_id(tokenizer)
        self.pad = pad_id(tokenizer)
        self.hash = spec_hash(self.spec())

    def spec(self) -> dict[str, Any]:
        """Return the kind and the decoder's start token; the language tokens are the tokenizer's."""
        return {"kind": "seq2seq", "decoder_start": self._decoder_start}

    def borrowing(self, like: Mapping[str, str]) -> Seq2SeqFormat:
        """Return a format that names languages without a token by the token of another one.

        Args:
            like: language without a token → language with one; they come before those borrowed so far.

        Returns:
            A copy over the same tokenizer, with the same spec and hash.

        Raises:
            LanguageError: a language has a token of its own, or the other one has none.
        """
        for language, relative in like.items():
            if language in self._tokens:
                raise LanguageError(
                    f"`like` must name languages that the base has no token for, but names {language}, which has one. "
                    "Leave it out for that language."
                )
            self.token(relative)
        twin = copy.copy(self)
        twin.borrowed = {**self.borrowed, **like}
        return twin

    def encode(self, direction: Direction, texts: Sequence[str], answers: Sequence[str] | None = None) -> list[Encoded]:
        """Return encoder ids, decoder prefix and answer of each text.

        Args:
            direction: the two language codes.
            texts: sentences in the source language; line breaks in them become spaces.
            answers: their translations, as many as there are texts.

        Returns:
            One row per text, in order.

        Raises:
            LanguageError: the tokenizer has no token for one of the languages.
        """
        source, target = (self.token(self.borrowed.get(language, language)) for language in direction)
        given: list[tuple[int, ...]] = [()] * len(texts)
        if answers is not None:
            given = [(*row, self.end) for row in token_ids(self._tokenizer, [clean(answer) for answer in answers])]
        read = token_ids(self._tokenizer, [clean(text) for text in texts])
        return [
            Encoded((source, *row, self.end), (self._decoder_start, target), answer)
            for row, answer in zip(read, given, strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, without language and special tokens.

        A decoder's output may begin with its start token, which is EOS in these families, so the text ends
        at the first EOS *after* the prefix.
        """
        row = list(ids)
        while row and row[0] in self._special:
            row.pop(0)
        kept = [index for index in until(row, self.end) if index not in self._special]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return clean(text)

    def knows(self, language: str) -> bool:
        """Say whether the tokenizer has a token for this language, or it borrows another one's."""
        return language in self._tokens or language in self.borrowed

    def __repr__(self) -> str:
        return f"Seq2SeqFormat({len(self._tokens)} language tokens)"

    def token(self, language: str) -> int:
        """Return the id of a language's own token.

        Args:
            language: its code.

        Returns:
            The id.

        Raises:
            LanguageError: the tokenizer has none; the message names near ones.
        """
        if language in self._tokens:
            return self._tokens[language]
        near = [code for code in self.languages if code[:3] == language[:3]]
        near += [code for code in difflib.get_close_matches(language, self.languages, 8, 0.5) if code not in near]
        raise LanguageError(
            f"`{language}` must be a language with a token in this base, but has none. "
            f"Near ones are: {', '.join(near[:5]) or 'none'}. To add a language without one, name a relative that has "
            "one (`lingraft add --like CODE`, or `like` in a file for fit-joint), or take a decoder-only base."
        )
