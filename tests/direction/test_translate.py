"""Translating: as many texts as were given, in their order, however they were split and batched."""

from __future__ import annotations

import pytest
import torch

import banks
import tiny
from lingraft.atoms import ConfigError, DataError, Direction
from lingraft.base import fingerprint
from lingraft.direction import Job, Recipe, attach, budget, compose, route, translate

GERMAN, SPANISH = Direction("deu_Latn", "fra_Latn"), Direction("spa_Latn", "epo_Latn")
TEXTS = ["der Hund.", "", "das Haus. Das Wasser!\n\n  rot \n", "große Hunde", " \n", "der Hund."]


@pytest.fixture(scope="module", params=["llama", "m2m_100"])
def base(request):
    return tiny.load(request.param)


def translator_of(base):
    bank = banks.bank(base, size=1.0)
    return attach(base, lambda direction: route(bank, Recipe(), direction))


def test_texts_come_back_in_order_whatever_the_batches(base):
    directions = [GERMAN, SPANISH, GERMAN, SPANISH, GERMAN, SPANISH]
    ready: list[int] = []
    with translator_of(base) as translator:
        options = {"max_tokens": 6}
        done = translator.translate(TEXTS, directions, **options, progress=ready.append)
        alone = [translator.translate([t], d, **options)[0] for t, d in zip(TEXTS, directions, strict=True)]
        small = translator.translate(TEXTS, directions, **options, batch_size=2)
        backwards = translator.translate(TEXTS[::-1], directions[::-1], **options)[::-1]
    assert done == alone == small == backwards
    assert sum(ready) == len(TEXTS)
    assert all(count > 0 for count in ready)
    assert done[0] != done[5]  # the same text in two directions has two translations


@pytest.mark.parametrize("beam", [1, 3])
def test_a_row_that_never_ends_is_bounded_by_its_own_length(base, beam):
    short, long = ["der Hund", "das Haus rote", "kaltes Wasser"], "das große rote Haus " * 8
    with translator_of(base) as translator:
        for text in short:
            together = translator.translate([text, long], GERMAN, beam=beam)
            assert together[0] == translator.translate([text], GERMAN, beam=beam)[0]


def test_what_a_base_would_have_its_generation_prefer_changes_no_translation(base, monkeypatch):
    def said(beam: int) -> list[str]:
        with translator_of(base) as translator:
            return translator.translate(TEXTS, GERMAN, beam=beam, max_tokens=12)

    plain = [said(beam) for beam in (1, 3)]
    config = base.model.generation_config
    monkeypatch.setattr(config, "repetition_penalty", 5.0)
    monkeypatch.setattr(config, "forced_bos_token_id", 7)
    monkeypatch.setattr(config, "length_penalty", -4.0)
    assert [said(beam) for beam in (1, 3)] == plain
    assert base.model.generation_config is config


def test_lines_and_blanks_are_kept(base):
    with translator_of(base) as translator:
        done = translator.translate(TEXTS, GERMAN, max_tokens=4)
    assert (done[1], done[4]) == ("", " \n")
    assert [text.count("\n") for text in done] == [text.count("\n") for text in TEXTS]
    assert done[2].split("\n")[1:3:2] == [""]
    assert done[2].split("\n")[2].startswith("  ")
    assert done[0] == done[5]


def test_nothing_to_do_is_no_error(base):
    ready: list[int] = []
    with translator_of(base) as translator:
        assert translator.translate([], GERMAN, progress=ready.append) == []
        assert sum(ready) == 0
        assert translator.translate(["", "\n"], GERMAN, progress=ready.append) == ["", "\n"]
    assert sum(ready) == 2


def test_a_composition_knows_its_direction_and_the_base_is_as_before(base):
    before = fingerprint(base.model, exact=True)
    with translator_of(base) as several:
        expected = several.translate(TEXTS[:3], GERMAN, max_tokens=4)
    with attach(base, compose(banks.bank(base, size=1.0), Recipe(), GERMAN)) as one:
        assert one.direction == GERMAN
        assert one.translate(TEXTS[:3], max_tokens=4) == expected
    assert fingerprint(base.model, exact=True) == before


def test_of_two_that_are_attached_one_acts_at_a_time(base):
    with attach(base) as plain:
        alone = plain.translate(TEXTS[:3], GERMAN, max_tokens=4)
    composed = compose(banks.bank(base, size=1.0), Recipe(), GERMAN)
    with attach(base, composed) as adapted, attach(base) as plain:
        expected = adapted.translate(TEXTS[:3], max_tokens=4)
        assert expected != alone
        assert plain.translate(TEXTS[:3], GERMAN, max_tokens=4) == alone
        assert adapted.translate(TEXTS[:3], max_tokens=4) == expected


def test_sentences_that_are_asked_for_twice_may_have_no_target_span(monkeypatch):
    """Nothing is then left to read by row."""
    base = tiny.load("llama")
    encode = type(base.format).encode
    whole = lambda *args: [type(row)(row.source + row.target, ()) for row in encode(*args)]
    monkeypatch.setattr(type(base.format), "encode", whole)
    with attach(base) as plain:
        one = plain.translate(TEXTS[:1], GERMAN, max_tokens=4)
        assert plain.translate(TEXTS[:1] * 4, GERMAN, max_tokens=4) == one * 4


def test_a_wide_beam_and_long_text_lose_nothing(base):
    text = " ".join(["der Hund sieht das Haus."] * 3) + " " + "wort " * 120
    with translator_of(base) as translator:
        (done,) = translator.translate([text], GERMAN, beam=2, max_tokens=3)
    assert done.endswith(" ")


@pytest.mark.parametrize(
    ("texts", "direction", "options", "message"),
    [
        (["a"], None, {}, "`direction` must be given"),
        (["a", "b"], [GERMAN], {}, "one for each of 2 texts, but names 1"),
        (["a"], GERMAN, {"beam": 0}, "`beam` must be at least 1, but is 0"),
        (["a"], GERMAN, {"batch_size": -1}, "`batch_size` must be at least 1"),
        (["a"], GERMAN, {"max_tokens": 0}, "`max_tokens` must be at least 1"),
        ("ab", GERMAN, {}, "`texts` must be a list of texts"),
    ],
)
def test_what_makes_no_sense_is_refused(texts, direction, options, message):
    with (
        attach(tiny.load("llama"), lambda _: ()) as translator,
        pytest.raises(ConfigError, match=message),
    ):
        translator.translate(texts, direction, **options)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "mistral"])
def test_greedy_decoding_is_that_of_transformers(family):
    """Rows that leave early change nothing: tokens are those of `generate`, row by row, without adapters."""
    base = tiny.load(family)
    texts = ["ein Haus", "der Hund schläft jetzt", "a", "zwei Katzen und drei Hunde"]
    direction = Direction("deu_Latn", "fra_Latn")
    wanted = []
    for row in base.format.encode(direction, texts):
        ids = torch.tensor([row.source + row.target])
        out = base.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=min(12, 2 * len(row.source) + 24),
            do_sample=False,
            eos_token_id=base.format.end,
            pad_token_id=base.format.pad,
        )
        wanted.append(base.format.decode(out[0, ids.shape[1] :].tolist()))
    with attach(base) as translator:
        assert translator.translate(texts, direction, max_tokens=12) == wanted


def test_a_sentence_too_long_for_the_context_is_parted_and_not_read_beyond_it(base, monkeypatch):
    """As where a tokenizer has about a token for each letter."""
    made: list[Job] = []
    monkeypatch.setattr(translate, "fill", lambda stream, jobs, rows: made.extend(jobs) or ((j.key, "x") for j in made))
    text = " ".join(["hshshs" * 5] * 12) + "."
    with translator_of(base) as translator:
        (answer,) = translator.translate([text], GERMAN)
    assert len(made) > 1
    assert answer.split() == ["x"] * len(made)
    for job in made:
        before = len(job.row.source) if base.family.kind == "decoder" else 0
        assert len(job.row.source) <= base.context
        assert before + len(job.row.target) + job.budget <= base.context
        assert job.budget >= len(job.row.source)


def test_a_row_that_leaves_no_room_for_an_answer_is_refused(base):
    (row,) = base.format.encode(GERMAN, ["hs" * base.context])
    with pytest.raises(DataError, match=f"must fit into the base's {base.context} tokens"):
        budget(base, row)
