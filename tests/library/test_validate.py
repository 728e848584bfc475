"""Every way in which an adapter can be wrong is refused, with a stable code and the place."""

from __future__ import annotations

import contextlib
import json
import pickle
import random
import shutil
from pathlib import Path

import pytest
import shelf
from faults import CASES, rehash

from lingraft.atoms import AdapterError, AdapterName, Role
from lingraft.library import Library, load, save
from lingraft.library.refusal import CONFIG, FILES, PROFILE, WEIGHTS
from lingraft.library.validate import decode

BASE = shelf.base()


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "x"
    save(shelf.adapter(BASE, "deu_Latn", Role.SOURCE), BASE, shelf.record(), shelf.profile("deu_Latn"), folder)
    return folder


@pytest.mark.parametrize(("spoil", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_fault_is_refused_even_with_fitting_hashes(spoil, code, good, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(good, folder)
    spoil(folder)
    with contextlib.suppress(OSError, ValueError):  # the manifest itself may be spoilt
        rehash(folder)
    with pytest.raises(AdapterError) as caught:
        load(folder, BASE)
    assert caught.value.code == f"adapter.{code}"
    assert " must " in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_the_copy_without_a_fault_is_accepted(good, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(good, folder)
    rehash(folder)
    assert shelf.same(load(folder, BASE).adapter, load(good, BASE).adapter)


def test_hashes_that_do_not_fit_are_refused(good, tmp_path):
    for name in (CONFIG, WEIGHTS, PROFILE):
        folder = tmp_path / name
        shutil.copytree(good, folder)
        data = bytearray((folder / name).read_bytes())
        # A change that no other check could see: a space in JSON, the last bit of a value.
        data = data[:1] + b" " + data[1:] if name != WEIGHTS else data[:-4] + bytes([data[-4] ^ 1]) + data[-3:]
        (folder / name).write_bytes(data)
        with pytest.raises(AdapterError) as caught:
            load(folder, BASE)
        assert caught.value.code == "adapter.hash"


def test_a_refusal_names_the_tensor_and_comes_before_weights_are_read(good):
    asked = []

    def read(name: str, limit: int) -> bytes:
        asked.append(name)
        data = (good / name).read_bytes()
        return data.replace(b'"r": 2', b'"r": 200000') if name == CONFIG else data

    with pytest.raises(AdapterError, match="`r` in adapter_config.json"):
        decode(read, BASE)
    assert WEIGHTS not in asked
    with pytest.raises(AdapterError, match="must be deu_Latn.target, but is deu_Latn.source"):
        decode(lambda name, limit: (good / name).read_bytes(), BASE, AdapterName("deu_Latn", Role.TARGET))


def test_a_config_as_peft_writes_it_is_accepted(good, tmp_path):
    from peft import LoraConfig

    folder = tmp_path / "x"
    shutil.copytree(good, folder)
    peft = LoraConfig(**{**json.loads((good / CONFIG).read_text()), "inference_mode": False})
    peft.save_pretrained(folder)
    ours, theirs = (json.loads((each / CONFIG).read_text()) for each in (good, folder))
    assert len(theirs) > len(ours)
    theirs["target_modules"].sort(key=ours["target_modules"].index)  # PEFT keeps a set
    (folder / CONFIG).write_text(json.dumps(theirs))
    rehash(folder)
    assert shelf.same(load(folder, BASE).adapter, load(good, BASE).adapter)


def test_other_files_in_the_folder_are_never_opened(good, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    folder = tmp_path / "x"
    shutil.copytree(good, folder)
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb()))
    (folder / "modeling.py").write_text("raise SystemExit")
    load(folder, BASE)
    assert not (tmp_path / "exploded").exists()


def test_no_flipped_bit_is_overlooked(tmp_path):
    library = Library.create(tmp_path / "lib", BASE)
    pointer = library.add({"deu_Latn": shelf.module(BASE, "deu_Latn")})["deu_Latn"]
    folder = library.places.folder("deu_Latn", Role.SOURCE) / pointer.source
    rng = random.Random(1)
    for trial in range(200):
        path = folder / FILES[trial % len(FILES)]
        data = path.read_bytes()
        flipped, place = bytearray(data), rng.randrange(8 * len(data))
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(AdapterError):
            library.load("deu_Latn", Role.SOURCE)
        path.write_bytes(data)
    library.load("deu_Latn", Role.SOURCE)
