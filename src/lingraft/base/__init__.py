"""Load, freeze and fingerprint a base; find its sites; tell it what to translate."""

from lingraft.base.base import Base
from lingraft.base.card import make_format
from lingraft.base.families import FAMILIES, Family, Stack, family_of, find_sites, is_linear
from lingraft.base.fingerprint import fingerprint, tokenizer_hash
from lingraft.base.format import Encoded, Format
from lingraft.base.load import load
from lingraft.base.prompt import ChatFormat, PromptFormat
from lingraft.base.seq2seq import Seq2SeqFormat

__all__ = [
    "FAMILIES",
    "Base",
    "ChatFormat",
    "Encoded",
    "Family",
    "Format",
    "PromptFormat",
    "Seq2SeqFormat",
    "Stack",
    "family_of",
    "find_sites",
    "fingerprint",
    "is_linear",
    "load",
    "make_format",
    "tokenizer_hash",
]
