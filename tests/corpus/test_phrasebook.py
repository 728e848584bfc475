"""The phrasebook: sizes, splits, files, the morphology of each language, and sentences vouched for by hand."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from lingraft.atoms import ConfigError
from lingraft.corpus import phrasebook
from lingraft.corpus.phrasebook import english, esperanto, grammar, ido, interlingua, lexicon
from lingraft.corpus.phrasebook.choose import Filler
from lingraft.corpus.phrasebook.render import CODES, REALISERS, render
from lingraft.corpus.phrasebook.values import MANY, ONE, Agreement, Entry, NounPhrase

GOLDEN = Path(__file__).with_name("phrasebook_golden.txt").read_text("utf-8").strip().split("\n\n")
LETTERS = {
    "eng_Latn": "abcdefghijklmnopqrstuvwxyz",
    "epo_Latn": "abcĉdefgĝhĥijĵklmnoprsŝtuŭvz",
    "ina_Latn": "abcdefghijklmnopqrstuvwxyz",
    "ido_Latn": "abcdefghijklmnopqrstuvwxyz",
}


@cache
def book() -> phrasebook.Phrasebook:
    return phrasebook.generate(seed=1)


def words(text: str) -> list[str]:
    return [word.strip('.,!?"').lower() for word in text.split()]


def noun_phrase(text: str) -> NounPhrase:
    """As a value: "the red shirts", "own keys", "none bread", "a old castle"."""
    words, known = text.split(), lexicon.load()
    noun = words[-1]
    head = next(e for e in known.select("noun") if noun in (e.words["eng_Latn"], english.plural(e)))
    plural = noun != head.words["eng_Latn"]
    fitting = {e.words["eng_Latn"]: e for e in known.select("adjective", head.classes)}
    owners = {e.forms["eng_owner"]: e for e in known.select("pronoun")}
    determiner = None if words[0] in {*owners, "own"} else known.named("determiner", words[0])
    adjective = fitting[words[1]] if len(words) > 2 else None
    return NounPhrase(head, plural, determiner, owners.get(words[0]), adjective=adjective)


def filler(text: str, slot: grammar.Slot, so_far: dict[str, Filler]) -> Filler:
    known = lexicon.load()
    labels = [label for label in slot.labels if label[0] not in "@!"]
    for entry in known.select("pronoun"):
        if text in (entry.words["eng_Latn"], entry.forms["eng_object"]):
            return NounPhrase(entry, entry.forms["number"] == "many")
    if slot.chooser in known.kinds or slot.chooser == "number":
        kind = "determiner" if slot.chooser == "number" else slot.chooser
        entries = [e for e in known.select(kind, labels) if e.words["eng_Latn"] == text]
        noun = so_far.get("n") if kind == "adjective" else None
        fits = noun.head.classes if isinstance(noun, NounPhrase) else frozenset()
        return next((e for e in entries if e.classes & fits), entries[0]) if kind != "name" else NounPhrase(entries[0])
    names = [e for e in known.select("name") if e.words["eng_Latn"] == text]
    if names:
        return NounPhrase(names[0])
    phrase = noun_phrase(text)
    if not text.startswith("own "):
        return phrase
    subject = so_far["s"]
    assert isinstance(subject, NounPhrase)
    owner = subject.head
    return NounPhrase(phrase.head, phrase.plural, owner=owner, reflexive=owner.forms["person"] == "3")


@pytest.mark.parametrize("block", GOLDEN, ids=lambda block: block.splitlines()[1])
def test_golden(block: str) -> None:
    head, *sentences = block.splitlines()
    name, given = head.split(" | ")
    pattern = next(pattern for pattern in grammar.load() if pattern.name == name)
    texts = dict(re.findall(r"(\w)=(.*?)(?= \w=|$)", given))
    fillers: dict[str, Filler] = {}
    for slot in pattern.slots:
        fillers[slot.name] = filler(texts[slot.name], slot, fillers)
    assert [render(pattern, fillers, realiser) for realiser in REALISERS] == sentences


def test_counts() -> None:
    assert len(GOLDEN) >= 40
    train, dev, test = book().train, book().dev, book().test
    assert (len(train), len(dev), len(test)) == (20_000, 500, 500)
    assert len(lexicon.load()) >= 400
    assert len({pattern.family for pattern in grammar.load()}) >= 36


def test_distinct_in_every_language_and_across_splits() -> None:
    for code in CODES:
        lines = [line for split in (book().train, book().dev, book().test) for line in split.lines[code]]
        assert len(set(lines)) == len(lines) == 21_000


@pytest.mark.parametrize("held_out", ["dev", "test"])
def test_held_out_words_are_trained(held_out: str) -> None:
    for code in CODES:
        trained = {word for line in book().train.lines[code] for word in words(line)}
        assert trained.issuperset(word for line in getattr(book(), held_out).lines[code] for word in words(line))


def test_deterministic_and_dependent_on_the_seed() -> None:
    sizes = {"train": 1500, "dev": 20, "test": 20}
    once, again, other = (phrasebook.generate(seed, **sizes) for seed in (3, 3, 4))
    assert once == again
    assert once != other
    assert not set(once.train.lines["eng_Latn"]) & set(other.test.lines["eng_Latn"])


def test_too_many_sentences_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(pattern for pattern in grammar.load() if pattern.family == "age")
    monkeypatch.setattr(grammar, "load", lambda: few)
    with pytest.raises(ConfigError, match="`train` must be at most"):
        phrasebook.generate(train=20_000)


def test_files(tmp_path: Path) -> None:
    book().write(tmp_path / "one")
    book().write(tmp_path / "two")
    names = sorted(str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*.gz"))
    pairs = ("eng_Latn-epo_Latn", "eng_Latn-ido_Latn", "eng_Latn-ina_Latn")
    expected = [f"{folder}/{pair}.tsv.gz" for folder in ("train", "dev") for pair in pairs]
    expected += [f"multi/{part}.{code}.txt.gz" for part in ("dev", "test") for code in CODES]
    assert names == sorted(expected)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    lines = gzip.decompress((tmp_path / "one/train/eng_Latn-ido_Latn.tsv.gz").read_bytes()).decode().splitlines()
    train = book().train.lines
    assert [tuple(line.split("\t")) for line in lines] == list(zip(train["eng_Latn"], train["ido_Latn"], strict=True))


def test_rows() -> None:
    assert next(book().test.rows()) == {code: book().test.lines[code][0] for code in CODES}


@pytest.mark.parametrize("code", CODES)
def test_sentences_are_well_formed(code: str) -> None:
    allowed = set(LETTERS[code]) | set(" '")
    for line in book().train.lines[code]:
        assert set("".join(words(line)).lower()) <= allowed, line
        assert line.lstrip('"')[0].isupper(), line
        assert line[-1] in ".!?", line
        assert "  " not in line, line


def test_endings_of_the_lexicon() -> None:
    known = lexicon.load()
    endings = {"noun": ("o", "o"), "adjective": ("a", "a"), "verb": ("i", "ar")}
    for kind, (epo, io) in endings.items():
        for entry in known.select(kind):
            assert entry.words["epo_Latn"].endswith(epo), entry.words
            assert entry.words["ido_Latn"].endswith(io), entry.words
    for entry in known.select("verb"):
        assert re.fullmatch(r"\w+[aei]r( a| de)?", entry.words["ina_Latn"]), entry.words
    for entry in known:
        assert all(entry.words.values()) or entry.kind == "determiner", entry.words
        assert all(word == word.strip() for word in entry.words.values()), entry.words


def test_every_object_is_accusative_in_esperanto_and_fronted_in_ido() -> None:
    for entry in lexicon.load().select("noun"):
        for plural in (False, True):
            phrase = NounPhrase(entry, plural)
            assert esperanto.noun_phrase(phrase, "acc").endswith("jn" if plural else "on")
            assert esperanto.noun_phrase(phrase, "prep").endswith("j" if plural else "o")
            assert ido.noun_phrase(phrase, "acc").endswith("i" if plural else "o")
            assert ido.noun_phrase(phrase, "front").endswith("in" if plural else "on")
            assert interlingua.noun_phrase(phrase, "acc").endswith("s") or not plural


def test_direct_objects_in_esperanto_sentences() -> None:
    plain = re.compile(r"^(Mi|Vi|Li|Ŝi|Ni|Ili) (?!est)\w+[aio]s (?P<object>\w+)\.$")
    objects = [match["object"] for line in book().train.lines["epo_Latn"] if (match := plain.match(line))]
    nouns = {e.words["epo_Latn"] for e in lexicon.load().select("noun")}
    assert len(objects) > 50
    assert not [word for word in objects if word.removesuffix("j") in nouns]


def test_agreement_in_esperanto() -> None:
    for line in book().train.lines["epo_Latn"]:
        for first, second in zip(words(line), words(line)[1:], strict=False):
            if first.endswith("ajn"):
                assert second.endswith("jn"), line


ENGLISH_VERBS = [
    ("watch", {}, "watches", "watched", "watching"),
    ("carry", {}, "carries", "carried", "carrying"),
    ("play", {}, "plays", "played", "playing"),
    ("dance", {}, "dances", "danced", "dancing"),
    ("go", {"past": "went"}, "goes", "went", "going"),
    ("cut", {"past": "cut", "gerund": "cutting"}, "cuts", "cut", "cutting"),
    ("look at", {}, "looks at", "looked at", "looking at"),
    ("have", {"past": "had"}, "has", "had", "having"),
]


@pytest.mark.parametrize(("base", "forms", "third", "past", "gerund"), ENGLISH_VERBS)
def test_english_verbs(base: str, forms: dict[str, str], third: str, past: str, gerund: str) -> None:
    verb = Entry("verb", {"eng_Latn": base}, forms)
    assert [english.verb(verb, form, ONE) for form in ("present", "past", "ing")] == [third, past, gerund]
    assert english.verb(verb, "present", MANY) == base
    assert english.verb(verb, "future", ONE) == f"will {base}"


def test_english_be_and_articles() -> None:
    be = lexicon.load().named("verb", "be")
    persons = [Agreement(1), Agreement(2), Agreement(3), Agreement(1, True), Agreement(3, True)]
    assert [english.verb(be, "present", person) for person in persons] == ["am", "are", "is", "are", "are"]
    assert [english.verb(be, "past", person) for person in persons] == ["was", "were", "was", "were", "were"]
    articles = [english.article(word) for word in ("apple", "house", "university", "useful", "honest", "umbrella")]
    assert articles == ["an", "a", "a", "a", "an", "an"]


VERBS = {
    esperanto: ("esti", "estas estis estos esti estu"),
    ido: ("esar", "esas esis esos esar esez"),
    interlingua: ("dormir", "dormi dormiva dormira dormir dormi"),
}


@pytest.mark.parametrize("language", list(VERBS), ids=lambda language: language.CODE)
def test_verbs(language: ModuleType) -> None:
    infinitive, forms = VERBS[language]
    verb = Entry("verb", {language.CODE: infinitive})
    assert [language.verb(verb, form, ONE) for form in ("present", "past", "future", "inf", "imp")] == forms.split()


def test_interlingua_irregular_verbs_plurals_and_contractions() -> None:
    def forms(infinitive: str) -> list[str]:
        verb = Entry("verb", {"ina_Latn": infinitive})
        return [interlingua.verb(verb, form, ONE) for form in ("present", "past", "future", "participle")]

    assert forms("esser") == ["es", "era", "essera", "essite"]
    assert forms("haber") == ["ha", "habeva", "habera", "habite"]
    assert forms("comprar") == ["compra", "comprava", "comprara", "comprate"]
    assert forms("comenciar a") == ["comencia a", "comenciava a", "comenciara a", "comenciate a"]
    assert [interlingua.plural(noun) for noun in ("casa", "can", "flor")] == ["casas", "canes", "flores"]
    assert interlingua.finish("ille va a le casa de le rege") == "Ille va al casa del rege"


def test_ido_euphony() -> None:
    assert ido.finish("anna e Adam iros a Italia e London") == "Anna ed Adam iros ad Italia e London"
