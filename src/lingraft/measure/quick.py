"""The quick tour's `score`: one translator, one direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lingraft.atoms import DataError, Direction, Score
from lingraft.measure.matrix import LineParallel
from lingraft.measure.scores import bleu_tokenizer
from lingraft.measure.scores import score as score_texts


class OneDirection(Protocol):
    """A translator that knows its one direction."""

    @property
    def direction(self) -> Direction | None:
        """The direction in which it translates."""

    def translate(self, texts: Sequence[str]) -> Sequence[str]:
        """Return one translation per text."""


def score(translator: OneDirection, testset: LineParallel) -> list[Score]:
    """Translate the test set in the translator's direction and return chrF++ and BLEU.

    Args:
        translator: A translator of one direction.
        testset: Line-parallel sentences that hold both of its languages.

    Returns:
        The two scores with their signatures; spBLEU if its tokenizer is on the disk.

    Raises:
        DataError: If the translator has no direction or the test set lacks one of its languages.
    """
    direction = translator.direction
    if direction is None:
        raise DataError("`translator` must have one direction, but has several instead. Use `measure.measure`.")
    for language in direction:
        if language not in testset.lines:
            raise DataError(f"`testset` must hold {language}, but holds {', '.join(testset.lines)} instead.")
    hypotheses = translator.translate(list(testset.lines[direction.source]))
    return score_texts(hypotheses, testset.lines[direction.target], tokenize=bleu_tokenizer()[0])
