"""The phrasebook: parallel sentences in English, Esperanto, Interlingua and Ido, generated.

`tables/` holds the lexicon and the synchronous grammar as data, one module per language its
morphology; `generate` puts them together.
"""

from lingraft.corpus.phrasebook.book import Phrasebook, Split, generate
from lingraft.corpus.phrasebook.render import CODES

__all__ = ["CODES", "Phrasebook", "Split", "generate"]
