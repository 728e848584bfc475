"""Test sets: the same lines in every language, or an error."""

from __future__ import annotations

import gzip

import pytest

from lingraft.atoms import DataError
from lingraft.corpus import read_testset


@pytest.fixture
def folder(tmp_path):
    for code, text in {"deu_Latn": "Ja\nJa\n Gru\u0308n \n", "eng_Latn": "Yes\nYes\nGreen\n"}.items():
        (tmp_path / f"test.{code}.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "test.notes.txt.gz").write_bytes(b"")
    (tmp_path / "dev.fra_Latn.txt.gz").write_bytes(b"")
    return tmp_path


def test_languages_are_found_or_chosen_and_doubled_lines_kept(folder):
    pattern = f"{folder}/test.{{lang}}.txt.gz"
    found = read_testset(pattern)
    assert found.languages == ("deu_Latn", "eng_Latn")
    assert found.lines["deu_Latn"] == ("Ja", "Ja", "Grün")
    assert read_testset(pattern, ["eng_Latn"]).lines == {"eng_Latn": ("Yes", "Yes", "Green")}
    assert read_testset(pattern, limit=2).lines["eng_Latn"] == ("Yes", "Yes")
    assert read_testset(pattern, limit=99).lines == found.lines


@pytest.mark.parametrize(
    ("text", "message"), [("un\ndeux\n", "2 in fra_Latn"), ("un\n\ntrois\n", "line 2 of fra_Latn")]
)
def test_other_lengths_and_empty_lines_are_refused(folder, text, message):
    (folder / "test.fra_Latn.txt.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=message):
        read_testset(f"{folder}/test.{{lang}}.txt.gz")


def test_missing_files_and_a_pattern_without_a_place_are_refused(folder):
    with pytest.raises(DataError, match="test.ita_Latn.txt.gz must be a file"):
        read_testset(f"{folder}/test.{{lang}}.txt.gz", ["ita_Latn"])
    with pytest.raises(DataError, match="there is none"):
        read_testset(f"{folder}/nothing.{{lang}}.txt")
    with pytest.raises(DataError, match=r"must hold \{lang\}"):
        read_testset(f"{folder}/test.txt")


def test_only_files_named_by_a_whole_code_are_found(folder):
    for name in ("test.de.txt.gz", "test.xxx_Yyyy.txt.gz", "test.deu_Latn.txt.gz.bak", "atest.ita_Latn.txt.gz"):
        (folder / name).write_bytes(b"")
    assert read_testset(f"{folder}/test.{{lang}}.txt.gz").languages == ("deu_Latn", "eng_Latn")


def test_a_code_may_occur_twice_in_the_pattern(folder):
    for code in ("deu_Latn", "eng_Latn"):
        (folder / f"{code}-{code}.txt").write_text("a line\n")
    (folder / "deu_Latn-eng_Latn.txt").write_text("another kind of file\n")
    assert read_testset(f"{folder}/{{lang}}-{{lang}}.txt").languages == ("deu_Latn", "eng_Latn")


def test_an_empty_file_and_a_missing_folder_are_refused(folder):
    (folder / "test.fra_Latn.txt.gz").write_bytes(gzip.compress(b"\n"))
    with pytest.raises(DataError, match=r"test\.fra_Latn\.txt\.gz must hold text, but is empty"):
        read_testset(f"{folder}/test.{{lang}}.txt.gz")
    with pytest.raises(DataError, match="there is none. Check the folder"):
        read_testset(f"{folder}/nowhere/test.{{lang}}.txt")


def test_real_text(shared_data):
    found = read_testset(f"{shared_data}/tatoeba/multi/test.{{lang}}.txt.gz")
    assert found.languages == ("deu_Latn", "eng_Latn", "epo_Latn", "fra_Latn", "rus_Cyrl")
    assert {len(lines) for lines in found.lines.values()} == {600}
