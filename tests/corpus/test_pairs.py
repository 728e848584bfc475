"""Parallel text: read in every layout, cleaned with a count, refused with the place and the remedy."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import DataError
from lingraft.corpus import between, clean, overlap, read

ROWS = [("Hallo", "Hello"), ("Ja", "Yes"), ("Guten Tag", "Good day")]
TSV = "".join(f"{left}\t{right}\n" for left, right in ROWS)
STEM = "deu_Latn-eng_Latn"


def put(folder, name, text):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def rows(pairs):
    return list(zip(pairs.left, pairs.right, strict=True))


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("layout", ["tsv", "moses", "jsonl", "crlf", "bom"])
def test_every_layout_gives_the_same_pairs(tmp_path, layout, end):
    if layout == "moses":
        put(tmp_path, f"{STEM}.deu_Latn{end}", "".join(f"{left}\n" for left, _ in ROWS))
        put(tmp_path, f"{STEM}.eng_Latn{end}", "".join(f"{right}\n" for _, right in ROWS))
        pattern = "{a}-{b}.{lang}" + end
    elif layout == "jsonl":
        put(tmp_path, f"{STEM}.jsonl{end}", "".join(json.dumps({"en": b, "deu": a}) + "\n" for a, b in ROWS))
        pattern = "{a}-{b}.jsonl" + end
    else:
        text = {"tsv": TSV, "crlf": TSV.replace("\n", "\r\n"), "bom": "\ufeff" + TSV}[layout]
        put(tmp_path, f"{STEM}.tsv{end}", text)
        pattern = "{a}-{b}.tsv" + end
    [pairs] = read(f"{tmp_path}/{pattern}", ["deu_Latn"])
    assert (pairs.a, pairs.b, rows(pairs), pairs.dropped) == ("deu_Latn", "eng_Latn", ROWS, {})
    assert pairs.of("eng_Latn") == pairs.right


def test_the_columns_stand_in_alphabetical_order_of_the_codes(tmp_path):
    put(tmp_path, "eng_Latn-fra_Latn.tsv", "Hello\tBonjour\n")
    put(tmp_path, "deu_Latn-eng_Latn.tsv", "Hallo\tHello\n")
    french, german = read(f"{tmp_path}/{{a}}-{{b}}.tsv", ["fra_Latn", "deu_Latn"])
    assert french.of("fra_Latn") == ("Bonjour",)
    assert german.of("deu_Latn") == ("Hallo",)


def test_line_separators_within_a_sentence_do_not_split_it(tmp_path):
    put(tmp_path, f"{STEM}.tsv", "a\u2028b\tc\x0bd\n")
    assert rows(read(f"{tmp_path}/{{a}}-{{b}}.tsv", ["deu_Latn"])[0]) == [("a\u2028b", "c\x0bd")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("a\tb\nc\n", "line 2 has 1"),
        ("a\tb\nc\td\te\n", "line 2 has 3"),
        ("a\tb\nü\tc\n".encode("latin-1"), "line 2"),
        ("a\tb\nc\0\td\n", "line 2 holds a NUL"),
        ("a\tb\n".encode("utf-16"), "UTF-8"),
        ("\tb\na\t\n", "none of its 2 rows"),
        ("".join(f"same {i}\tsame {i}\n" for i in range(20)), "20 of 20 rows have the same text"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_bad_table_is_refused_with_its_place(tmp_path, text, message, end):
    put(tmp_path, f"{STEM}.tsv{end}", text)
    with pytest.raises(DataError, match=message) as error:
        read(f"{tmp_path}/{{a}}-{{b}}.tsv{end}", ["deu_Latn"])
    assert f"{STEM}.tsv" in str(error.value)


@given(st.integers(0, 200))
def test_a_gzip_file_cut_anywhere_is_refused(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    whole = gzip.compress("".join(f"Satz {i}\tsentence {i * i}\n" for i in range(100)).encode())
    (folder / f"{STEM}.tsv.gz").write_bytes(whole[: cut * (len(whole) - 1) // 200])
    with pytest.raises(DataError):
        read(f"{folder}/{{a}}-{{b}}.tsv.gz", ["deu_Latn"])


def test_a_damaged_gzip_file_a_folder_and_another_ending_are_refused_by_name(tmp_path):
    whole = gzip.compress(TSV.encode() * 50)
    for bad in (whole[:30] + b"\xff" * 8 + whole[38:], whole[:-8] + b"\0" * 8, b"no gzip at all"):
        (tmp_path / f"{STEM}.tsv.gz").write_bytes(bad)
        with pytest.raises(DataError, match=rf"{STEM}.tsv.gz must be (a whole gzip file|readable)"):
            read(f"{tmp_path}/{{a}}-{{b}}.tsv.gz", ["deu_Latn"])
    (tmp_path / f"{STEM}.tsv").mkdir()
    with pytest.raises(DataError, match=rf"{STEM}.tsv must be readable"):
        read(f"{tmp_path}/{{a}}-{{b}}.tsv", ["deu_Latn"])
    with pytest.raises(DataError, match=r"must end in \.tsv, .* but is '.*\.txt'"):
        read(f"{tmp_path}/{{a}}-{{b}}.txt", ["deu_Latn"])


@pytest.mark.parametrize("pattern", ["text.tsv", "{a}.tsv", "{b}-{lan}.tsv.gz", ""])
def test_a_pattern_without_a_place_for_the_codes_is_refused(pattern):
    with pytest.raises(DataError, match=r"must hold \{a\} and \{b\}"):
        read(pattern, ["deu_Latn"])


def test_a_missing_file_unequal_sides_and_the_pivot_itself_are_refused(tmp_path):
    with pytest.raises(DataError, match=f"{STEM}.tsv must be a file"):
        read(f"{tmp_path}/{{a}}-{{b}}.tsv", ["deu_Latn"])
    put(tmp_path, "m.deu_Latn", "a\nb\n")
    put(tmp_path, "m.eng_Latn", "a\n")
    with pytest.raises(DataError, match=r"m.deu_Latn and .*m.eng_Latn .* 2 and 1"):
        read(f"{tmp_path}/m.{{lang}}", ["deu_Latn"])
    with pytest.raises(DataError, match="pivot eng_Latn"):
        read(f"{tmp_path}/{{a}}-{{b}}.tsv", ["eng_Latn"])
    with pytest.raises(DataError, match=r"\{a\} and \{b\}"):
        read(f"{tmp_path}/all.tsv", ["deu_Latn"])


@pytest.mark.parametrize("text", ["[1]\n", '{"de": \n', "3\n", '{"fr": "x", "en": "y"}\n', "[" * 100_000])
def test_bad_json_is_refused(tmp_path, text):
    put(tmp_path, f"{STEM}.jsonl", text)
    with pytest.raises(DataError, match="jsonl must"):
        read(f"{tmp_path}/{{a}}-{{b}}.jsonl", ["deu_Latn"])


def test_cleaning_composes_strips_and_counts():
    left = ["  Gru\u0308n ", "Grün", "", "x", "y" * 1001, "z" * 200]
    right = ["green", "green ", "nothing", " ", "long", "short"]
    pairs = clean("deu_Latn", "eng_Latn", left, right, "made")
    assert rows(pairs) == [("Grün", "green")]
    assert pairs.dropped == {"doubled": 1, "empty": 2, "overlong": 1, "of unlike length": 1}


def test_cleaning_keeps_what_is_just_short_enough_and_names_that_are_the_same():
    kept = [("a" * 1000, "b" * 1000), ("n" * 50, "no"), ("n" * 54, "n" * 6), ("Berlin", "Berlin")]
    left_out = [("a" * 1001, "b" * 1000), ("no", "n" * 51), ("n" * 55, "n" * 6)]
    pairs = clean("deu_Latn", "eng_Latn", *zip(*kept, *left_out, strict=True), "made")
    assert rows(pairs) == kept
    assert pairs.dropped == {"overlong": 1, "of unlike length": 2}
    assert repr(pairs) == "Pairs(deu_Latn-eng_Latn: 4 rows from made)"


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff", "\u00ad", " \u200b\u2060 ", "\u200d", "\ufeff \ufeff"])
def test_a_side_that_nobody_sees_is_empty(blank):
    pairs = clean("deu_Latn", "eng_Latn", ["ja", blank, "nein"], ["yes", "soft", blank], "made")
    assert (rows(pairs), pairs.dropped) == ([("ja", "yes")], {"empty": 2})


def test_joiners_within_a_text_stay_and_a_byte_order_mark_before_it_goes():
    text = "می\u200cخواهم क्\u200dष a\u00adb"
    pairs = clean("eng_Latn", "pes_Arab", ["\ufeffI want", " \ufeff \ufeffto"], [text, "b\ufeffc"], "made")
    assert rows(pairs) == [("I want", text), ("to", "b\ufeffc")]


@pytest.mark.parametrize("layout", ["tsv", "moses", "jsonl"])
def test_files_put_together_keep_no_byte_order_mark(tmp_path, layout):
    parts = ROWS[:1], ROWS[1:]
    tsv = "".join("\ufeff" + "".join(f"{a}\t{b}\n" for a, b in part) for part in parts)
    put(tmp_path, f"{STEM}.tsv", tsv + "\ufeff\n")
    put(tmp_path, f"{STEM}.deu_Latn.moses", "".join("\ufeff" + "".join(f"{a}\n" for a, _ in part) for part in parts))
    put(tmp_path, f"{STEM}.eng_Latn.moses", "".join("\ufeff" + "".join(f"{b}\n" for _, b in part) for part in parts))
    lines = ["".join(json.dumps({"de": a, "en": b}) + "\n" for a, b in part) for part in parts]
    put(tmp_path, f"{STEM}.jsonl", "".join("\ufeff" + line for line in lines))
    pattern = {"tsv": "{a}-{b}.tsv", "moses": "{a}-{b}.{lang}.moses", "jsonl": "{a}-{b}.jsonl"}[layout]
    assert rows(read(f"{tmp_path}/{pattern}", ["deu_Latn"])[0]) == ROWS


def test_a_nul_that_json_spells_out_is_refused_with_its_line(tmp_path):
    put(tmp_path, f"{STEM}.jsonl", '{"de": "a", "en": "b"}\n{"de": "c \\u0000", "en": "d"}\n')
    with pytest.raises(DataError, match=r"jsonl must be text, but line 2 holds a NUL character\. Remove it\."):
        read(f"{tmp_path}/{{a}}-{{b}}.jsonl", ["deu_Latn"])


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), min_size=1, max_size=20))
def test_cleaning_twice_is_cleaning_once_and_no_row_goes_uncounted(texts):
    try:
        once = clean("deu_Latn", "eng_Latn", [a for a, _ in texts], [b for _, b in texts], "made")
    except DataError:
        return
    assert len(once) + sum(once.dropped.values()) == len(texts)
    assert clean("deu_Latn", "eng_Latn", once.left, once.right, "made") == once


def test_real_text(shared_data):
    found = read(f"{shared_data}/tatoeba/train/{{a}}-{{b}}.tsv.gz", ["deu_Latn", "rus_Cyrl"])
    dev = read(f"{shared_data}/tatoeba/dev/{{a}}-{{b}}.tsv.gz", ["deu_Latn", "rus_Cyrl"])
    for pairs, held_out in zip(found, dev, strict=True):
        assert len(pairs) > 10_000
        assert overlap([pairs], held_out) == 0
    assert sum(any("а" <= letter <= "я" for letter in line) for line in found[1].of("rus_Cyrl")) > 0.95 * len(found[1])


def test_text_between_all_languages_is_found_where_there_is_any(tmp_path):
    put(tmp_path, "deu_Latn-eng_Latn.tsv.gz", TSV)
    put(tmp_path, "deu_Latn-fra_Latn.tsv.gz", TSV)
    pattern = str(tmp_path / "{a}-{b}.tsv.gz")
    found = between(pattern, ["fra_Latn", "eng_Latn", "deu_Latn"])
    assert [(pairs.a, pairs.b) for pairs in found] == [("deu_Latn", "eng_Latn"), ("deu_Latn", "fra_Latn")]
    assert rows(found[1]) == ROWS
    with pytest.raises(DataError, match="ita_Latn"):
        between(pattern, ["deu_Latn", "eng_Latn", "ita_Latn"])
    with pytest.raises(DataError, match="once"):
        between(pattern, ["deu_Latn", "deu_Latn"])
    with pytest.raises(DataError, match="for the two codes"):
        between("all.tsv", ["deu_Latn", "eng_Latn"])
