"""chrF++ and BLEU by sacreBLEU, each with the signature that says how it was computed."""

from __future__ import annotations

import logging
import os
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.utils import SACREBLEU_DIR

from lingraft.atoms import DataError, Score
from lingraft.atoms.durable import write_file

CHRF_PLUS_PLUS = "chrF++"
PLAIN = "13a"
_SPM = ("flores200", "flores101")  # the first that is there is used
_MAX_SPM = 50_000_000  # bytes; the real files have about 5 million
_log = logging.getLogger(__name__)


class Scorer:
    """Scores many lists of hypotheses against one list of references, whose n-grams are counted once."""

    def __init__(self, references: Sequence[str], *, tokenize: str = PLAIN) -> None:
        """Count the n-grams of the references.

        Args:
            references: One reference per line.
            tokenize: sacreBLEU's name of the tokenizer for BLEU, e.g. "13a" or "flores200".

        Raises:
            DataError: If there are no references or they are not a list of lines.
        """
        _check_lines("references", references)
        self._count = len(references)
        self._chrf = CHRF(word_order=2, references=[list(references)])  # word_order=2 is what makes it chrF++
        self._bleu = BLEU(tokenize=tokenize, references=[list(references)])
        self._bleu_name = "spBLEU" if tokenize in _SPM else "BLEU"

    def score(self, hypotheses: Sequence[str]) -> list[Score]:
        """Return chrF++ and BLEU (0 … 100) of `hypotheses`, in this order.

        Args:
            hypotheses: One translation per reference, in the same order; may be blank.

        Returns:
            The two scores with their signatures.

        Raises:
            DataError: If there are not exactly as many hypotheses as references (sacreBLEU itself would
                ignore the surplus).
        """
        _check_lines("hypotheses", hypotheses)
        if len(hypotheses) != self._count:
            raise DataError(
                f"`hypotheses` must be as many as the references ({self._count}), but are {len(hypotheses)} instead."
                " Give one translation per reference line."
            )
        lines = list(hypotheses)
        chrf = self._chrf.corpus_score(lines, None).score
        bleu = self._bleu.corpus_score(lines, None).score
        return [
            Score(CHRF_PLUS_PLUS, float(chrf), str(self._chrf.get_signature())),
            Score(self._bleu_name, float(bleu), str(self._bleu.get_signature())),
        ]


def score(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = PLAIN) -> list[Score]:
    """Return chrF++ and BLEU of `hypotheses` against one reference each.

    Args:
        hypotheses: One translation per reference, in the same order.
        references: The references.
        tokenize: sacreBLEU's name of the tokenizer for BLEU.

    Returns:
        The two scores, 0 … 100, with their signatures.

    Raises:
        DataError: If one is empty or their lengths differ.
    """
    return Scorer(references, tokenize=tokenize).score(hypotheses)


def bleu_tokenizer(*, fetch: bool = False, seconds: float = 20.0) -> tuple[str, str]:
    """Choose the tokenizer for BLEU: FLORES' SentencePiece model (spBLEU) if it can be had, else 13a.

    Args:
        fetch: Whether to look for the model on the network if it is not on the disk.
        seconds: How long fetching may take in all before it is given up.

    Returns:
        sacreBLEU's name of the tokenizer, and a sentence for the report that says what was chosen and why.
    """
    try:
        import sentencepiece  # noqa: F401
    except ImportError:
        return PLAIN, "BLEU uses the 13a tokenizer, not spBLEU: the package sentencepiece is not installed."
    for name in _SPM:
        if _spm_path(name).is_file():
            return name, f"BLEU is spBLEU with the {name} SentencePiece model."
    if fetch and _fetch(_SPM[0], seconds):
        return _SPM[0], f"BLEU is spBLEU with the {_SPM[0]} SentencePiece model."
    why = "could not be fetched" if fetch else "is not on the disk"
    return PLAIN, f"BLEU uses the 13a tokenizer, not spBLEU: the SentencePiece model of FLORES {why}."


def _spm_path(name: str) -> Path:
    """Where sacreBLEU keeps the model of a tokenizer."""
    return Path(SACREBLEU_DIR) / "models" / os.path.basename(_spm_url(name))


def _spm_url(name: str) -> str:
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS

    url: str = SPM_MODELS[name]["url"]
    return url


def _fetch(name: str, seconds: float) -> bool:
    """Fetch the model of a tokenizer to sacreBLEU's folder; whether it is there now.

    In a thread, because looking up a name without a network can hang longer than any socket's time limit.
    """
    worker = threading.Thread(target=_download, args=(name, seconds), daemon=True)
    worker.start()
    worker.join(seconds)
    return _spm_path(name).is_file()


def _download(name: str, seconds: float) -> None:
    from sentencepiece import SentencePieceProcessor

    path = _spm_path(name)
    try:
        with urllib.request.urlopen(_spm_url(name), timeout=seconds) as answer:
            data = answer.read(_MAX_SPM)
        SentencePieceProcessor(model_proto=data)  # refuses an error page
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
    except (OSError, RuntimeError, ValueError) as error:
        _log.info("the SentencePiece model of %s could not be fetched: %s", name, error)


def _check_lines(name: str, lines: Sequence[str]) -> None:
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        raise DataError(f"`{name}` must be a list of lines, but is something else instead. Give one string per line.")
    if not lines:
        raise DataError(f"`{name}` must hold at least one line, but is empty instead. Nothing can be scored.")
