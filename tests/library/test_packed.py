"""Packed adapters: law 9 for them too, smaller where they are sparse, and as strictly read as dense ones."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import struct
from pathlib import Path

import pytest
import safetensors.torch
import shelf
import torch
from faults import FIRST, edit, header, put, raw, rehash
from hypothesis import given, settings
from hypothesis import strategies as st

from lingraft.atoms import AdapterError, Role
from lingraft.delta import Adapter, Update
from lingraft.library import LanguageModule, Library, check, disk, load, save
from lingraft.library.folder import encode
from lingraft.library.packed import pays, read_packed, write_packed
from lingraft.library.refusal import FILES, MANIFEST, PACKED_CONFIG, PACKED_FILES, PACKED_WEIGHTS, PROFILE, WEIGHTS
from lingraft.library.validate import decode

BASE = shelf.base()


def files_of(adapter: Adapter) -> dict[str, bytes]:
    return encode(adapter, BASE, shelf.record(), shelf.profile("deu_Latn"))


def sparse(density: float = 0.1, factors: str = "B", role: Role = Role.SOURCE, **options) -> Adapter:
    return shelf.pruned(shelf.adapter(BASE, "deu_Latn", role, **options), density, factors)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "x"
    disk.write_folder(folder, files_of(sparse()))
    return folder


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=5),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.integers(0, 99),
)
def test_unpacking_undoes_packing_bit_for_bit(shapes, density, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for i, shape in enumerate(shapes):
        values = torch.randn(shape, generator=generator).to(dtype)
        values[torch.rand(shape, generator=generator) >= density] = 0.0
        values[torch.rand(shape, generator=generator) < 0.1] = -0.0
        tensors[f"t{i}"] = values
    data = write_packed(tensors)
    back = read_packed(data, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == dtype
        assert torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8))
    assert write_packed(back) == data


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("density", "factors"), [(0.0, "B"), (0.0, "AB"), (0.1, "B"), (0.5, "AB")])
def test_law_9_a_pruned_adapter_comes_back_and_is_smaller(density, factors, dtype, tmp_path):
    adapter = sparse(density, factors, dtype=dtype, ranks=(1, 4, 2), alphas=(1.0, 3.0))
    files = files_of(adapter)
    assert tuple(sorted(files)) == tuple(sorted(PACKED_FILES))
    disk.write_folder(tmp_path / "packed", files)
    loaded = load(tmp_path / "packed", BASE)
    assert shelf.same(loaded.adapter, adapter)
    assert any(bool(torch.signbit(update.B[update.B == 0]).any()) for update in loaded.adapter.updates.values())
    assert loaded.manifest.packed
    save(loaded.adapter, BASE, loaded.manifest.record, loaded.profile, tmp_path / "dense")
    assert len(files[PACKED_WEIGHTS]) < (tmp_path / "dense" / WEIGHTS).stat().st_size
    assert files == files_of(load(tmp_path / "dense", BASE).adapter)


def test_what_is_dense_or_of_several_dtypes_stays_a_peft_folder():
    assert tuple(sorted(files_of(sparse(1.0)))) == tuple(sorted(FILES))
    files = files_of(shelf.adapter(BASE, "deu_Latn", Role.SOURCE))
    assert b"packed" not in files[MANIFEST]  # so that its version is what it was before there was packing
    mixed = sparse(0.1)
    halves = {site: Update(u.A.half(), u.B, u.scale) for site, u in mixed.updates.items()}
    files = files_of(Adapter(*mixed.name, mixed.scope, halves))
    assert tuple(sorted(files)) == tuple(sorted(FILES))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packing_begins_where_a_tenth_is_saved(dtype):
    size = dtype.itemsize
    most = int(8000 * (0.9 - 1 / (8 * size)))
    for left, packed in ((most - 1, True), (most + 2, False), (0, True), (8000, False)):
        tensor = torch.zeros(8000, dtype=dtype)
        tensor[:left] = 1.0
        assert pays([tensor.reshape(80, 100)]) == packed
    assert not pays([torch.zeros(8, 8, dtype=torch.float64)])


def test_to_peft_a_packed_folder_is_no_adapter_and_its_card_says_what_to_do(good):
    from peft import PeftModel
    from transformers.utils.peft_utils import find_adapter_config_file

    assert find_adapter_config_file(str(good)) is None
    with pytest.raises(ValueError, match=r"Can't find 'adapter_config\.json'"):
        PeftModel.from_pretrained(torch.nn.Linear(2, 2), str(good))
    text = (good / "README.md").read_text()
    assert "library_name: lingraft" in text
    assert "`lingraft export deu_Latn.source --library LIBRARY --to FOLDER`" in text


def packed_header(change, payload=lambda data: data):
    return header(change, payload, PACKED_WEIGHTS)


def entry(name: str, **fields):
    return packed_header(lambda h: {**h, name: {**h[name], **fields}})


def part(name: str, change):
    """Alter the bytes of the mask or of the values; their number stays."""

    def spoil(folder: Path) -> None:
        data = bytearray((folder / PACKED_WEIGHTS).read_bytes())
        (size,) = struct.unpack("<Q", data[:8])
        start, end = (8 + size + n for n in json.loads(data[8 : 8 + size])[name]["data_offsets"])
        data[start:end] = change(bytes(data[start:end]))
        (folder / PACKED_WEIGHTS).write_bytes(data)

    return spoil


def anew(**tensors: torch.Tensor):
    """Write other tensors, well-formed as a file."""

    def spoil(folder: Path) -> None:
        old = safetensors.torch.load((folder / PACKED_WEIGHTS).read_bytes())
        (folder / PACKED_WEIGHTS).write_bytes(safetensors.torch.save({**old, **tensors}))

    return spoil


def first(number: float):
    return part("values", lambda data: struct.pack("<f", number) + data[4:])


def dense_weights(folder: Path) -> None:
    """Put the dense form's weights under the packed form's name."""
    adapter = load(folder, BASE).adapter
    save(adapter, BASE, shelf.record(), shelf.profile("deu_Latn"), folder / "dense")
    (folder / PACKED_WEIGHTS).write_bytes((folder / "dense" / WEIGHTS).read_bytes())


CASES = [
    ("rank is huge", put(PACKED_CONFIG, "r", value=200_000), "rank"),
    ("targets are a regex", put(PACKED_CONFIG, "target_modules", value=".*"), "config"),
    ("unknown key", put(PACKED_CONFIG, "surprise", value=1), "config"),
    ("other rank", put(PACKED_CONFIG, "r", value=3), "manifest"),
    ("a target less", edit(PACKED_CONFIG, lambda c: c["target_modules"].pop()), "manifest"),
    ("config is no JSON", raw(PACKED_CONFIG, b"{"), "config"),
    *((f"no {name}", lambda f, name=name: (f / name).unlink(), "missing") for name in PACKED_FILES[:4]),
    ("says it is dense", put(MANIFEST, "packed", value=False), "missing"),
    ("packed is a text", put(MANIFEST, "packed", value="yes"), "manifest"),
    ("packed is 1", put(MANIFEST, "packed", value=1), "manifest"),
    ("weights are dense", dense_weights, "keys"),
    ("no mask", packed_header(lambda h: {n: e for n, e in h.items() if n != "mask"}), "keys"),
    ("a tensor more", packed_header(lambda h: {**h, FIRST: h["mask"]}), "keys"),
    ("mask twice", packed_header(lambda h: (json.dumps(h)[:-1] + ', "mask": {}}').encode()), "header"),
    ("mask of truths", entry("mask", dtype="BOOL"), "dtype"),
    ("mask of signed bytes", entry("mask", dtype="I8"), "dtype"),
    ("mask is flat no more", entry("mask", shape=[1, 2]), "shape"),
    ("mask is short", anew(mask=torch.zeros(3, dtype=torch.uint8)), "shape"),
    ("mask is long", anew(mask=torch.zeros(99_999, dtype=torch.uint8)), "shape"),
    ("mask has another bit", part("mask", lambda bits: bits[:-1] + bytes([bits[-1] ^ 128])), "shape"),
    ("mask is all ones", part("mask", lambda bits: b"\xff" * len(bits)), "shape"),
    ("mask is all zeros", part("mask", lambda bits: bytes(len(bits))), "shape"),
    ("values of whole numbers", entry("values", dtype="I32"), "dtype"),
    ("values are halves", entry("values", dtype="F16"), "header"),
    ("values are doubles", entry("values", dtype="F64"), "dtype"),
    ("a value less", anew(values=torch.ones(5)), "shape"),
    ("values in two rows", anew(values=torch.ones(2, 2)), "shape"),
    ("no values", anew(values=torch.zeros(0)), "shape"),
    ("a value is 0", first(0.0), "values"),
    ("NaN", first(float("nan")), "values"),
    ("infinite", first(float("-inf")), "values"),
    ("absurd", first(1e30), "values"),
    ("bytes at the end", packed_header(lambda h: h, lambda data: data + b"\0"), "header"),
    ("cut short", packed_header(lambda h: h, lambda data: data[:-1]), "header"),
    ("offsets overlap", entry("values", data_offsets=[0, 4]), "header"),
    ("header claims 2⁶³", raw(PACKED_WEIGHTS, struct.pack("<Q", 2**63) + b"{}"), "header"),
    ("weights are empty", raw(PACKED_WEIGHTS, b""), "header"),
    ("weights are too long", raw(PACKED_WEIGHTS, bytes(2_000_000)), "size"),
]


@pytest.mark.parametrize(("spoil", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_fault_is_refused_even_with_fitting_hashes(spoil, code, good, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(good, folder)
    spoil(folder)
    with contextlib.suppress(OSError):  # the manifest itself may be missing
        rehash(folder)
    with pytest.raises(AdapterError) as caught:
        load(folder, BASE)
    assert caught.value.code == f"adapter.{code}"
    assert " must " in str(caught.value)
    assert "adapter_model" not in str(caught.value) or code == "missing"


def test_a_bit_of_no_place_is_refused():
    data = write_packed({"a": torch.tensor([[1.0, 0.0, 2.0]])})
    assert data.count(b"\x05") == 1
    with pytest.raises(AdapterError, match="must speak of 3 places, but speaks of more"):
        read_packed(data.replace(b"\x05", b"\x85"), {"a": (1, 3)})


def test_a_small_file_cannot_ask_for_much_memory(good):
    """The config bounds what is read, and each place must have its bit in the file."""
    asked = {}

    def read(name: str, limit: int) -> bytes:
        asked[name] = limit
        data = (good / name).read_bytes()
        return data.replace(b'"r": 2', b'"r": 512') if name == PACKED_CONFIG else data

    with pytest.raises(AdapterError, match="must be as in packed_config.json"):
        decode(read, BASE)
    assert PACKED_WEIGHTS not in asked
    decode(lambda name, limit: asked.update({name: limit}) or (good / name).read_bytes(), BASE)
    places = sum(u.A.numel() + u.B.numel() for u in sparse().updates.values())
    assert asked[PACKED_WEIGHTS] <= 8 + 1_000_000 + 4 * places + places / 8 + 1
    with pytest.raises(AdapterError, match=r"`mask` must have the shape \[131072\], but has \[1\]"):
        read_packed(write_packed({"a": torch.ones(1, 1)}), {"a": (1024, 1024)})


def module(seed: int = 0) -> LanguageModule:
    parts = [sparse(role=role, seed=seed) for role in Role]
    return LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile("deu_Latn"))


def test_a_library_holds_packed_and_dense_adapters_side_by_side(tmp_path):
    library = Library.create(tmp_path / "lib", BASE)
    dense = library.add({"epo_Latn": shelf.module(BASE, "epo_Latn")})["epo_Latn"]
    before = shelf.picture(library.path)
    packed = library.add({"deu_Latn": module()})["deu_Latn"]
    assert shelf.picture(library.path, without="deu_Latn") == before
    for role in Role:
        for language, version, names in (("deu_Latn", packed, PACKED_FILES), ("epo_Latn", dense, FILES)):
            folder = library.places.folder(language, role) / version.of(role)
            assert sorted(file.name for file in folder.iterdir()) == sorted(names)
        assert shelf.same(library.load("deu_Latn", role), sparse(role=role))
        assert library.manifest("deu_Latn", role).packed
    assert check(library, BASE) == []
    again = library.add({"deu_Latn": module()})["deu_Latn"]
    assert again == packed
    assert library.add({"deu_Latn": module(seed=1)})["deu_Latn"].source != packed.source


def test_no_flipped_bit_is_overlooked(tmp_path):
    library = Library.create(tmp_path / "lib", BASE)
    pointer = library.add({"deu_Latn": module()})["deu_Latn"]
    folder = library.places.folder("deu_Latn", Role.SOURCE) / pointer.source
    rng = random.Random(1)
    for trial in range(200):
        path = folder / PACKED_FILES[trial % len(PACKED_FILES)]
        data = path.read_bytes()
        flipped, place = bytearray(data), rng.randrange(8 * len(data))
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(AdapterError):
            library.load("deu_Latn", Role.SOURCE)
        path.write_bytes(data)
    assert shelf.same(library.load("deu_Latn", Role.SOURCE), sparse())


def test_hashes_that_do_not_fit_are_refused(good, tmp_path):
    for name in (PACKED_CONFIG, PACKED_WEIGHTS, PROFILE):
        folder = tmp_path / name
        shutil.copytree(good, folder)
        data = bytearray((folder / name).read_bytes())
        # A change that no other check could see: a space in JSON, the last bit of a value.
        if name == PACKED_WEIGHTS:
            (size,) = struct.unpack("<Q", data[:8])
            data[8 + size + json.loads(data[8 : 8 + size])["values"]["data_offsets"][0]] ^= 1
        else:
            data = data[:1] + b" " + data[1:]
        (folder / name).write_bytes(data)
        with pytest.raises(AdapterError) as caught:
            load(folder, BASE)
        assert caught.value.code == "adapter.hash"
