"""Bad input, one row each: the error names the thing, the exit code is not 0, and nothing is half-written."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import safetensors.torch
import stage
import torch
import transformers
from stage import done, lingraft, picture

import tiny
from lingraft.direction import Translator
from lingraft.fit import checkpoint
from lingraft.library import cli, disk

CPU = ("--device", "cpu")
FILE = "deu_Latn-eng_Latn.tsv"


@pytest.fixture(scope="module")
def strangers(tmp_path_factory) -> dict[str, Path]:
    """Bases that do not fit: one of no supported family, one with other weights."""
    folder = tmp_path_factory.mktemp("strangers")
    config = transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=300, n_positions=32)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder / "gpt2")
    tiny.bpe_tokenizer().save_pretrained(folder / "gpt2")
    return {"gpt2": folder / "gpt2", "other": tiny.base("llama", folder, seed=1)}


TEXT = {
    "missing": (None, "must be a file, but there is none"),
    "empty": (b"", "must hold text, but is empty"),
    "columns": (b"a\tb\nc\n", "line 2 has 1"),
    "latin-1": (b"a\tb\nK\xe4tzchen\tkitten\n", "must be UTF-8, but line 2 is not"),
    "NUL": (b"a\tb\nc\0\td\n", "line 2 holds a NUL"),
    "same": (b"".join(b"same %d\tsame %d\n" % (i, i) for i in range(30)), "30 of 30 rows have the same text"),
    "few": (b"".join(b"domo %d\thouse %d\n" % (i, i) for i in range(9)), "at least 20 rows.* has 9"),
    "no letters": (b"".join(b"%d.\thouse %d\n" % (i, i) for i in range(40)), "must hold letters in deu_Latn"),
}


@pytest.mark.parametrize("name", TEXT)
def test_broken_text_is_refused_before_there_is_a_library(name, world, tmp_path):
    data, message = TEXT[name]
    if data is not None:
        (tmp_path / FILE).write_bytes(data)
    outcome = world.add(tmp_path / "new", "deu_Latn", pairs=f"{tmp_path}/{{a}}-{{b}}.tsv")
    assert outcome.code == 1
    assert re.search(message, outcome.err)
    assert FILE in outcome.err or name == "no letters"
    assert "Traceback" not in outcome.err
    assert picture(tmp_path / "new") is None


def test_cut_and_unequal_files_are_refused(world, tmp_path):
    (tmp_path / f"{FILE}.gz").write_bytes(gzip.compress((world.folder / FILE).read_bytes())[:-9])
    outcome = world.add(tmp_path / "new", "de", pairs=f"{tmp_path}/{{a}}-{{b}}.tsv.gz")
    assert "must be a whole gzip file, but is cut short" in outcome.err
    (tmp_path / "t.deu_Latn").write_text("eins\nzwei\n")
    (tmp_path / "t.eng_Latn").write_text("one\n")
    outcome = world.add(tmp_path / "new", "de", pairs=f"{tmp_path}/t.{{lang}}")
    assert "must have as many lines, but have 2 and 1" in outcome.err
    assert outcome.code == 1
    assert not (tmp_path / "new").exists()


ADD = {
    "an unknown language": ("Germann", "", "`Germann` must be a language.*German"),
    "an ambiguous language": ("Norwegian", "", "Norwegian.*nob_Latn.*nno_Latn"),
    "English": ("en", "", "other than English"),
    "a language twice": ("de German", "", "each named once"),
    "only settings": ("fit.seed=2", "", "at least one"),
    "an unknown setting": ("de fit.epoch=3", "", r"`fit\.epoch` must be a known setting.*Did you mean epochs"),
    "another section": ("de train.epochs=3", "", r"must start with `fit\.`"),
    "a text for a number": ("de fit.patience=many", "", r"`fit\.patience` must.*\"many\""),
    "two mistakes": ("de fit.rnak=3 fit.patience=0", "", r"(?s)`fit\.rnak`.*`fit\.patience`"),
    "a rank too large": ("de fit.rank=33", "", r"`fit\.rank` must be at most"),
    "sites of none": ("de fit.sites=[q,z]", "", r"`fit\.sites` must be among .*z"),
    "a pattern without codes": ("de", "--pairs all.tsv", r"must hold \{a\} and \{b\}"),
    "another base family": ("de", "--base {gpt2}", r"(?s)gpt2.*(famil|supported)"),
    "no such base": ("de", "--base ./nowhere", r"nowhere"),
    "no such device": ("de", "--device warp9", r"`device`.*warp9"),
    "missing dev text": ("de", "--dev {folder}/dev.{{a}}-{{b}}.tsv", r"dev\.deu_Latn-eng_Latn\.tsv must be a file"),
}


@pytest.mark.parametrize("name", ADD)
def test_bad_words_to_add_leave_no_library(name, world, strangers, tmp_path):
    words, options, message = ADD[name]
    given = options.format(**strangers, folder=tmp_path).split()
    defaults = {"--pairs": world.pairs, "--base": world.base, "--device": "cpu"}
    for option, value in defaults.items():
        given += [] if option in given else [option, str(value)]
    settings = () if "fit.rank" in words or "fit.sites" in words else ("fit.rank=4",)
    outcome = lingraft("add", *words.split(), *settings, *given, "--library", tmp_path / "new")
    assert outcome.code == 1
    assert re.search(message, outcome.err), outcome.err
    assert not (tmp_path / "new").exists()


USE = {
    # add
    "another scope": ("add fr --pairs {pairs} fit.scope=everywhere", r"`fit\.scope` must be span.*fit\.scope=span"),
    "another base to add with": ("add fr --pairs {pairs} --base {other}", "must be for the base.*other|weights"),
    # translate
    "the same language twice": ("translate --from German --to deu_Latn", "two languages, but both are German"),
    "a language it has not": ("translate --from de --to Russian", r"Russian \(rus_Cyrl\) must be in the library"),
    "an unknown name": ("translate --from Klingonese --to de", "`Klingonese` must be a language"),
    "an ambiguous name": ("translate --from de --to Chinese", "Chinese.*zho_Hans.*zho_Hant"),
    "another base": ("translate --from de --to eo --base {other}", "must be for the base"),
    "a base of no known family": ("translate --from de --to eo --base {gpt2}", "gpt2"),
    "input that is not UTF-8": ("translate --from de --to eo", "standard input must be UTF-8, but line 2 is not"),
    "no beam": ("translate --from de --to eo --beam 0", "beam"),
    # measure
    "no place for the code": ("measure --testset test.txt", r"must hold \{lang\}"),
    "no test set": ("measure --testset {folder}/none.{{lang}}", "but there is none"),
    "a test set of others": ("measure --testset {folder}/odd.{{lang}}", "at least two of deu_Latn, epo_Latn, eng_Latn"),
    "one language": ("measure --testset {testset} --languages de", "at least two"),
    "a language twice in measure": ("measure --testset {testset} --languages de,German", "each language once"),
    "a language without adapters": ("measure --testset {testset} --languages de,fr", r"French \(fra_Latn\)"),
    "another way": ("measure --testset {testset} --via direkt", "'direkt'.*Did you mean 'direct'"),
    "an unknown weight": ("measure --testset {testset} recipe.sauce=2", r"`recipe\.sauce`.*source"),
    "nowhere to write": ("measure --testset {testset} --limit 1 --json {folder}/no/where/x.json", "where"),
    # export, show, remove
    "an existing folder": ("export deu_Latn-epo_Latn --to {folder}", "must be a new folder, but .* exists"),
    "one language to export": ("export deu_Latn --to {folder}/x", "two codes with a hyphen"),
    "no two languages": ("export deu_Latn-de --to {folder}/x", "must have two languages"),
    "the base's own languages": ("export eng_Latn-ita_Latn --to {folder}/x", "must have an adapter"),
    "an export it has not": ("export deu_Latn-rus_Cyrl --to {folder}/x", "must be in the library"),
    "to show what it has not": ("show Russian", "`rus_Cyrl` must be a language of .*deu_Latn, epo_Latn"),
    "to remove what it has not": ("remove rus_Cyrl", "`rus_Cyrl` must be a language of .*deu_Latn, epo_Latn"),
    "a doctor with another base": ("doctor --base {other}", "must be for the base"),
}


@pytest.mark.parametrize("name", USE)
def test_a_bad_use_leaves_the_library_as_it_was(name, world, strangers, tmp_path):
    words, message = USE[name]
    library, folder = world.library("span"), tmp_path / "folder"
    folder.mkdir()
    (folder / "odd.ita_Latn").write_text("sì\n")
    before, around = picture(library), picture(folder)
    places = {"pairs": world.pairs, "testset": world.testset, "folder": folder, **strangers}
    given = [word.format(**places) for word in words.split()]
    device = CPU if given[0] in ("add", "translate", "measure", "export", "doctor") else ()
    outcome = lingraft(*given, "--library", library, *device, text=b"ja\nK\xe4tzchen\n")
    assert outcome.code == 1 or (name == "no beam" and outcome.code == 2)
    assert re.search(message, outcome.out + outcome.err), outcome.err
    if given[0] != "doctor":
        assert outcome.out == ""
    assert picture(library) == before
    assert picture(folder) == around


@pytest.mark.parametrize(
    "verb", ["list", "show de", "translate --from de --to eo", "remove de", "doctor", "export de-eo --to x"]
)
def test_no_library_is_said_so(verb, tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        outcome = lingraft(*verb.split(), "--library", path)
        assert outcome.code == 1
        assert f"`{path}` must be a library, but has no library.json" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_library_is_no_place_for_other_files(world, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    outcome = world.add(tmp_path, "de")
    assert outcome.code == 1
    assert "must be empty to become a library, but holds thesis.txt" in outcome.err
    outcome = world.add(tmp_path / "thesis.txt", "de")
    assert outcome.code == 1
    assert "thesis.txt" in outcome.err
    assert (tmp_path / "thesis.txt").read_text() == "three years"


@pytest.mark.parametrize("words", [("translte",), ("add", "de"), ("measure", "--limit", "0"), ("list", "--lib")])
def test_a_wrong_command_is_explained(words):
    outcome = lingraft(*words)
    assert outcome.code == 2
    assert "Error:" in outcome.err


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-40] ^= 4
    path.write_bytes(data)


def poison(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    next(iter(tensors.values()))[0, 0] = torch.nan
    safetensors.torch.save_file(tensors, path)


def starve(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    tensors.pop(next(iter(tensors)))
    safetensors.torch.save_file(tensors, path)


DAMAGE = {
    "one bit": ("adapter_model.safetensors", flip),
    "NaN": ("adapter_model.safetensors", poison),
    "a missing tensor": ("adapter_model.safetensors", starve),
    "cut short": ("adapter_model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "no weights": ("adapter_model.safetensors", Path.unlink),
    "a bit of the manifest": ("manifest.json", flip),
    "no config": ("adapter_config.json", Path.unlink),
    "a bit of the profile": ("profile.json", flip),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_adapter_is_never_used(name, world, library):
    file, damage = DAMAGE[name]
    (path,) = (library / "adapters" / "epo_Latn.target").glob(f"*/{file}")
    damage(path)
    words = ("--library", library, *CPU)
    outcome = lingraft("translate", "--from", "de", "--to", "eo", *words, text=b"domodd\n")
    assert (outcome.code, outcome.out) == (1, "")
    assert file in outcome.err or "content hash" in outcome.err
    found = lingraft("doctor", *words)
    assert found.code == 1
    assert f"error  epo_Latn.target/{path.parent.name}" in found.out
    assert lingraft("export", "de-eo", "--to", library.parent / "x", *words).code == 1
    assert not (library.parent / "x").exists()
    # The others are as well as ever, and adding the language again mends it.
    assert done(lingraft("translate", "--from", "de", "--to", "en", *words, text=b"domodd\n")).out.strip()
    done(world.add(library, "epo_Latn"))
    done(lingraft("doctor", *words))
    assert done(lingraft("translate", "--from", "de", "--to", "eo", *words, text=b"domodd\n")).out.strip()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_installing_changes_nothing_and_a_rerun_succeeds(world, library, monkeypatch):
    before = picture(library) or {}
    with monkeypatch.context() as patch:
        patch.setattr(disk, "new_file", full)
        outcome = world.add(library, "French")
        assert outcome.code == 1
        assert "the disk is full. Make room" in outcome.err
        assert lingraft("list", "--library", library).out.count("_Latn") == 2
    assert before.items() <= (picture(library) or {}).items()
    outcome = done(world.add(library, "French"))
    assert "added French" in outcome.out
    assert before.items() <= (picture(library) or {}).items()
    assert not (library / ".runs").exists() or not list((library / ".runs").iterdir())


def test_a_full_disk_while_training_is_an_error_that_says_so(world, library, monkeypatch):
    before = picture(library)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        outcome = world.add(library, "French")
    assert outcome.code == 1
    assert "a checkpoint could not be written" in outcome.err
    assert picture(library) == before


def test_a_disk_that_is_full_for_safetensors_is_an_error_too(world, library, monkeypatch):
    def full_of_its_own(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full_of_its_own)
    assert "a checkpoint could not be written" in world.add(library, "French").err


@pytest.mark.parametrize("error", [full, safetensors.SafetensorError])
def test_a_full_disk_while_exporting_leaves_no_half_model(error, world, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        if error is full:
            full()
        raise error("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", fail)
    words = ("de-eo", "--library", world.library("everywhere"), "--to", tmp_path / "model", "--merged", *CPU)
    outcome = lingraft("export", *words)
    assert outcome.code == 1
    assert f"{tmp_path / 'model'}" in outcome.err
    assert "Make room" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_no_place_to_export_to(world, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("de-eo", "--library", world.library("everywhere"), "--to", tmp_path / "file" / "model", *CPU)
    for flag in ((), ("--merged",)):
        outcome = lingraft("export", *words, *flag)
        assert outcome.code == 1
        assert str(tmp_path / "file" / "model") in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="this system has no SIGINT for one process")
def test_ctrl_c_while_training_keeps_the_library_and_a_rerun_goes_on(world, library):
    before = picture(library) or {}
    long = ("French", "fit.epochs=25", "fit.patience=25")
    command = [sys.executable, "-m", "lingraft", "add", *long[:1], "--pairs", world.pairs, "--library", str(library)]
    command += [*CPU, *(setting for setting in stage.SETTINGS if "epochs" not in setting), *long[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stderr is not None
        watchdog = threading.Timer(120, child.kill)
        watchdog.start()
        for line in child.stderr:
            if "epoch 2" in line:
                child.send_signal(signal.SIGINT)
                break
        said = child.stderr.read()
        watchdog.cancel()
    assert child.returncode in (1, 130)
    assert "stopped by SIGINT" in said
    assert "run the same command to go on" in said
    assert "Traceback" not in said
    now = picture(library) or {}
    assert before.items() <= now.items()
    assert all(name.startswith(".runs") for name in now.keys() - before.keys())
    done(lingraft("doctor", "--library", library, *CPU))
    outcome = done(lingraft(*command[3:]))
    steps = re.search(r"going on after (\d+) of \d+ steps", outcome.err)
    assert steps is not None
    assert int(steps[1]) > 0
    assert "added French" in outcome.out
    assert before.items() <= (picture(library) or {}).items()


def test_ctrl_c_while_translating_ends_with_130_and_keeps_what_is_printed(world, monkeypatch):
    rests: list[object] = [["first", ""], KeyboardInterrupt()]

    def interrupted(*_: object, **__: object) -> list[str]:
        if isinstance(rest := rests.pop(0), list):
            return rest
        raise rest  # type: ignore[misc]

    monkeypatch.setattr(Translator, "translate", interrupted)
    monkeypatch.setattr(cli, "PORTION", 2)
    words = ("--from", "de", "--to", "eo", "--library", world.library("span"), *CPU)
    outcome = lingraft("translate", *words, text=b"domodd\n\nhundodd\n")
    assert (outcome.code, outcome.out) == (130, "first\n\n")
    assert "lingraft: stopped." in outcome.err


def test_a_world_is_not_changed_by_its_stories(world, tmp_path):
    shutil.copytree(world.library("span"), tmp_path / "copy")
    assert picture(tmp_path / "copy") == picture(world.library("span"))
