"""Parallel text → cleaned, split rows; test sets; language profiles; the phrasebook."""

from lingraft.corpus.pairs import Pairs, between, clean, read
from lingraft.corpus.profile import Identifier, Profile
from lingraft.corpus.split import overlap, remarks, split_dev, split_together
from lingraft.corpus.suspicion import suspicions
from lingraft.corpus.testset import TestSet, read_testset

__all__ = [
    "Identifier",
    "Pairs",
    "Profile",
    "TestSet",
    "between",
    "clean",
    "overlap",
    "read",
    "read_testset",
    "remarks",
    "split_dev",
    "split_together",
    "suspicions",
]
