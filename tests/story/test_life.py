"""The whole life of a library through the real command line: add, look, translate, measure, export, remove."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
import stage
import torch
from stage import done, lingraft, picture

from lingraft.atoms import Direction
from lingraft.base import load
from lingraft.delta import Routing
from lingraft.library import Library, cli
from lingraft.library.using import router

CPU = ("--device", "cpu")
FIELDS = {"source", "target", "via", "chrf++", "bleu", "off_target", "lines", "signature", "bleu_signature"}


def translate(library, source: str, target: str, text: str, *more: str) -> str:
    words = ("translate", "--from", source, "--to", target, "--library", library, *CPU, *more)
    return done(lingraft(*words, text=text.encode())).out


def test_a_library_lists_and_shows_its_languages(world):
    library = world.library("span")
    found = json.loads(done(lingraft("list", "--library", library, "--json")).out)
    assert found["base"] == str(world.base)
    assert [row["language"] for row in found["languages"]] == ["deu_Latn", "epo_Latn"]
    first = found["languages"][0]
    assert (first["name"], first["rank"], first["scope"]) == ("German", 4, "span")
    assert first["pairs"] == stage.TRAIN - 3  # of which a twentieth is held out for dev
    table = done(lingraft("list", "--library", library)).out
    assert "2 languages" in table
    assert "6 directions" in table
    assert "Esperanto" in table
    shown = json.loads(done(lingraft("show", "de", "--library", library)).out)
    assert shown["installed"]["source"] == first["source"]
    for role in ("source", "target"):
        record = shown[role]["record"]
        assert record["data"][0]["origin"] == "deu_Latn-eng_Latn.tsv"  # a name, not where it lay
        assert record["training"]["settings"]["epochs"] == 1
        assert record["training"]["command"].startswith("lingraft add German")


def test_a_damaged_language_does_not_hide_the_others(library):
    (library / "languages" / "deu_Latn.json").write_text("{")
    outcome = done(lingraft("list", "--library", library, "--json"))
    assert [row["language"] for row in json.loads(outcome.out)["languages"]] == ["epo_Latn"]
    assert "warning: deu_Latn is damaged, and left out" in outcome.err


def test_as_many_lines_come_out_as_went_in(world, monkeypatch):
    library = world.library("span")
    text = "domodd hundodd. akvodd!\n\nvidasdd"  # the last line without its end
    answer = translate(library, "German", "Esperanto", text)
    lines = answer.split("\n")
    assert len(lines) == 4
    assert (lines[1], lines[3]) == ("", "")
    assert lines[0]
    assert lines[2]
    assert answer == translate(library, "de", "epo_Latn", text.replace("\n", "\r\n"))
    assert translate(library, "de", "epo_Latn", text, "--batch", "1").count("\n") == 3
    assert translate(library, "de", "eo", "") == ""
    monkeypatch.setattr(cli, "PORTION", 2)  # what is printed at once is no matter
    assert translate(library, "German", "Esperanto", text) == answer
    through = translate(library, "German", "Esperanto", text, "--via", "pivot")
    monkeypatch.undo()
    assert translate(library, "German", "Esperanto", text, "--via", "pivot") == through
    assert translate(library, "en", "it", "red\n", "--beam", "2").count("\n") == 1  # both are the base's own


def test_a_method_is_refused_where_there_is_nothing_to_merge(world):
    library = world.library("span")
    for target, more in (("epo_Latn", ("--via", "pivot")), ("en", ())):
        words = ("translate", "--from", "de", "--to", target, "--library", library, *CPU, "--method", "ties", *more)
        outcome = lingraft(*words, text=b"domodd\n")
        assert outcome.code == 1
        assert "`--method` must be of a direction that two adapters make" in outcome.err


def test_json_goes_to_standard_output_alone(world):
    words = ("--library", world.library("span"), "--testset", world.testset, "--limit", 2, *CPU, "--json", "-")
    found = json.loads(done(lingraft("measure", *words, "--via", "direct")).out)
    assert {row["lines"] for row in found["results"]} == {2}
    words = ("--library", world.library("span"), *CPU, "--json")
    assert json.loads(done(lingraft("probe", "merge", "de-eo", *words)).out)["direction"] == "deu_Latn-epo_Latn"


def test_measuring_writes_a_row_for_every_direction_and_way(world, tmp_path):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "html", "jsonl")}
    words = ("--testset", world.testset, "--limit", 3, *CPU, "--json", files["json"], "--html", files["html"])
    outcome = done(lingraft("measure", "--library", world.library("span"), *words, "--outputs", files["jsonl"]))
    assert "chrF++" in outcome.out
    assert "stood in its training text" not in outcome.err
    found = json.loads(files["json"].read_text())
    rows = found["results"]
    assert all(row.keys() == FIELDS for row in rows)
    english, languages = "eng_Latn", ("deu_Latn", "eng_Latn", "epo_Latn")
    assert sorted((row["source"], row["target"], row["via"]) for row in rows) == sorted(
        (a, b, via)
        for a in languages
        for b in languages
        for via in ("base", "direct", "pivot")
        if a != b and not (via == "pivot" and english in (a, b))
    )
    assert {row["lines"] for row in rows} == {3}
    assert all("nw:2" in row["signature"] and "version:" in row["signature"] for row in rows)
    assert all(0 <= row[score] <= 100 for row in rows for score in ("chrf++", "bleu", "off_target"))
    report = files["html"].read_text()
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "German" in report
    outputs = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert len(outputs) == 3 * len(rows)
    # What `measure` scored is what `translate` says.
    source = (world.folder / "test.deu_Latn.txt").read_text().splitlines(keepends=True)[0]
    direct = [x for x in outputs if (x["source"], x["target"], x["via"]) == ("deu_Latn", "epo_Latn", "direct")]
    alone, together = translate(world.library("span"), "deu_Latn", "epo_Latn", source).strip(), direct[0]["text"]
    assert alone.startswith(together[:40])
    assert together.startswith(alone[:40])


def test_measuring_warns_of_test_lines_that_stood_in_the_training_text(world, tmp_path):
    lines = [*stage.sentences()[:40], *stage.sentences()[-2:]]
    for language in ("deu_Latn", "epo_Latn"):
        text = [stage.spell(line, language) for line in lines]
        if language == "deu_Latn":
            text[0] = text[0].upper()  # the same words all the same
        (tmp_path / f"seen.{language}").write_text("\n".join(text))
    words = ("--testset", f"{tmp_path}/seen.{{lang}}", "--limit", 2, "--via", "direct", "--languages", "de,eo", *CPU)
    outcome = done(lingraft("measure", "--library", world.library("span"), *words))
    for name in ("German", "Esperanto"):
        assert any(
            line.startswith("warning: ") and "of 2 test lines" in line and name in line
            for line in outcome.err.splitlines()
        )


@torch.no_grad()
def logits(model, ids: torch.Tensor) -> torch.Tensor:
    return model(input_ids=ids).logits


def test_an_export_is_what_the_library_computes(world, tmp_path):
    """PEFT and transformers, which know nothing of Lingraft, load what was written and give its logits."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = world.library("everywhere")
    for name, flag in (("adapter", ()), ("model", ("--merged",))):
        words = ("deu_Latn-epo_Latn", "--library", path, "--to", tmp_path / name, *CPU, *flag)
        outcome = done(lingraft("export", *words))
        assert "warning" not in outcome.err
    base = load(str(world.base))
    direction = Direction("deu_Latn", "epo_Latn")
    row = base.format.encode(direction, ["domodd hundodd vidasdd"])[0]
    ids = torch.tensor([row.source + row.target])
    plain = logits(base.model, ids)
    route = router(Library.open(path, base), [direction])(direction)
    with Routing(base) as routing:
        routing.set([(route, 1)], None)
        expected = logits(base.model, ids)
    assert (expected - plain).abs().max() > 0.01
    peft = PeftModel.from_pretrained(copy.deepcopy(base.model), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(peft, ids), expected, rtol=1e-4, atol=1e-5)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(logits(merged, ids), expected, rtol=1e-4, atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").get_vocab() == base.tokenizer.get_vocab()


def test_an_export_of_scoped_adapters_says_that_it_acts_otherwise(world, tmp_path):
    words = ("epo_Latn-eng_Latn", "--library", world.library("span"), "--to", tmp_path / "out", *CPU)
    assert "warning: the adapters of epo_Latn-eng_Latn were trained to act on their own spans" in done(
        lingraft("export", *words)
    ).err.replace("\n", " ")


def test_the_doctor_finds_nothing_wrong(world):
    outcome = done(lingraft("doctor", "--library", world.library("everywhere"), *CPU))
    assert "2 languages checked, 0 errors" in outcome.out


def test_law_13_what_comes_and_goes_changes_nothing_for_the_others(world, library):
    before, text = picture(library), "domodd hundodd\n"
    assert before is not None
    said = translate(library, "de", "eo", text)

    def others_are_untouched() -> None:
        now = picture(library)
        assert now is not None
        assert before.items() <= now.items()
        assert translate(library, "de", "eo", text) == said

    assert "added French (fra_Latn)" in done(world.add(library, "French")).out
    others_are_untouched()
    third = lingraft("show", "French", "--library", library).out
    french = translate(library, "fr", "de", "domoff\n")
    # The same command again installs the same bytes: nothing changes.
    there = picture(library)
    done(world.add(library, "French"))
    assert picture(library) == there
    others_are_untouched()
    assert done(lingraft("remove", "fr", "--library", library)).out == "removed French (fra_Latn)\n"
    others_are_untouched()
    assert "French" not in lingraft("list", "--library", library).out
    assert lingraft("translate", "--from", "fr", "--to", "de", "--library", library, *CPU, text=b"x").code == 1
    done(world.add(library, "French"))
    others_are_untouched()
    assert lingraft("show", "French", "--library", library).out == third
    assert translate(library, "fr", "de", "domoff\n") == french
    done(lingraft("doctor", "--library", library, *CPU))


def test_a_plan_is_printed_and_a_dry_run_stops_there(world, tmp_path):
    words = ("de", "--pairs", world.pairs, "--library", tmp_path / "new", "--base", world.base, "fit.rank=4", *CPU)
    outcome = done(lingraft("add", *words, "--dry-run"))
    assert "57 pairs with English, 3 for dev" in outcome.err
    assert not (tmp_path / "new").exists()


def test_an_update_keeps_the_old_version_in_the_history(world, library):
    old = json.loads(lingraft("show", "de", "--library", library).out)["installed"]
    done(world.add(library, "de", "fit.seed=2"))
    new = json.loads(lingraft("show", "de", "--library", library).out)["installed"]
    assert new["source"] != old["source"]
    assert new["history"] == [{"source": old["source"], "target": old["target"]}]


def test_dev_text_that_stands_in_the_training_text_is_told(world, tmp_path):
    shutil.copy(world.folder / "deu_Latn-eng_Latn.tsv", tmp_path)
    words = ("de", "--pairs", world.pairs, "--dev", f"{tmp_path}/{{a}}-{{b}}.tsv", "--library", tmp_path / "new", *CPU)
    outcome = done(lingraft("add", *words, "--base", world.base, "fit.rank=4", "--dry-run"))
    assert f"share {stage.TRAIN} sentences" in outcome.err


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("add", "--help"), ("measure", "-h")])
def test_help_is_there(words):
    assert done(lingraft(*words)).out
