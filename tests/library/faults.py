"""A table of everything that can be wrong with an adapter's folder, each with the code of its refusal."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path

import shelf

from lingraft.library.refusal import CONFIG, FILES, MANIFEST, PACKED_CONFIG, PACKED_WEIGHTS, PROFILE, WEIGHTS

FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def rehash(folder: Path) -> None:
    """Make the manifest's hashes fit the altered files, as a malicious author would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for field, name in (
        ("config", CONFIG),
        ("config", PACKED_CONFIG),
        ("weights", WEIGHTS),
        ("weights", PACKED_WEIGHTS),
        ("profile", PROFILE),
    ):
        if not (folder / name).is_file():
            continue
        manifest["sha256"][field] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def edit(name: str, change):
    """Alter a JSON file."""

    def spoil(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return spoil


def put(name: str, *keys: str, value):
    """Set one field of a JSON file."""

    def change(tree) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return edit(name, change)


def header(change, payload=lambda data: data, file=WEIGHTS):
    """Alter the header, and perhaps the values, of the weights."""

    def spoil(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        text = change(json.loads(data[8 : 8 + size]))
        text = text if isinstance(text, bytes) else json.dumps(text).encode()
        (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + payload(data[8 + size :]))

    return spoil


def entry(**fields):
    return header(lambda h: {**h, FIRST: {**h[FIRST], **fields}})


def value(*bits: bytes):
    """Put other values at the start of the weights."""
    return header(lambda h: h, lambda data: b"".join(bits) + data[len(b"".join(bits)) :])


def rename(tree, old, new):
    return {new if name == old else name: entry for name, entry in tree.items()}


def twice(tree) -> bytes:
    text = json.dumps(tree)
    return (text[:-1] + f', "{FIRST}": {json.dumps(tree[FIRST])}}}').encode()


def raw(name: str, data: bytes):
    return lambda folder: (folder / name).write_bytes(data)


def link(folder: Path) -> None:
    (folder / CONFIG).rename(folder / "elsewhere.json")
    (folder / CONFIG).symlink_to("elsewhere.json")


def pipe(folder: Path) -> None:
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)


RANKS = [-1, 0, 200_000, 2**63, 513, "16", True, 2.0, None, [2]]
PATTERN = {"^model\\.layers\\.1\\.self_attn\\.q_proj": 200_000}
CASES = [
    *((f"r={rank!r}", put(CONFIG, "r", value=rank), "rank") for rank in RANKS),
    ("r=NaN", lambda f: (f / CONFIG).write_text((f / CONFIG).read_text().replace('"r": 2', '"r": NaN')), "config"),
    ("rank of a pattern", put(CONFIG, "rank_pattern", value=PATTERN), "rank"),
    ("pattern is loose", put(CONFIG, "rank_pattern", value={"q_proj": 2}), "config"),
    ("pattern is evil", put(CONFIG, "alpha_pattern", value={"(a+)+$": 2}), "config"),
    ("targets are a regex", put(CONFIG, "target_modules", value=".*_proj"), "config"),
    ("targets are suffixes", put(CONFIG, "target_modules", value=["q_proj"]), "keys"),
    ("no targets", put(CONFIG, "target_modules", value=[]), "config"),
    ("targets repeat", edit(CONFIG, lambda c: c["target_modules"].append(c["target_modules"][0])), "config"),
    ("a target less", edit(CONFIG, lambda c: c["target_modules"].pop()), "manifest"),
    ("other rank", put(CONFIG, "r", value=3), "manifest"),
    ("other alpha", put(CONFIG, "lora_alpha", value=5), "manifest"),
    ("alpha is huge", put(CONFIG, "lora_alpha", value=1e30), "config"),
    ("alpha is text", put(CONFIG, "lora_alpha", value="2"), "config"),
    ("unknown key", put(CONFIG, "surprise", value=None), "config"),
    ("missing key", edit(CONFIG, lambda c: c.pop("r")), "config"),
    ("dora", put(CONFIG, "use_dora", value=True), "config"),
    ("rslora", put(CONFIG, "use_rslora", value=True), "config"),
    ("dropout", put(CONFIG, "lora_dropout", value=0.1), "config"),
    ("0 for false", put(CONFIG, "use_dora", value=0), "config"),
    ("saves modules", put(CONFIG, "modules_to_save", value=["lm_head"]), "config"),
    ("auto mapping", put(CONFIG, "auto_mapping", value={"parent_library": "os"}), "config"),
    ("init", put(CONFIG, "init_lora_weights", value="eva"), "config"),
    ("task", put(CONFIG, "task_type", value="SEQ_2_SEQ_LM"), "config"),
    ("peft type", put(CONFIG, "peft_type", value="IA3"), "config"),
    ("base is a list", put(CONFIG, "base_model_name_or_path", value=[]), "config"),
    ("config is a list", raw(CONFIG, b"[]"), "config"),
    ("config is deep", raw(CONFIG, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "config"),
    ("config is fairly deep", raw(CONFIG, b'{"a":' + b"[" * 20 + b"]" * 20 + b"}"), "config"),
    ("config is twice", raw(CONFIG, b'{"r": 1, "r": 2}'), "config"),
    ("config is infinite", raw(CONFIG, b'{"r": 1e999}'), "config"),
    ("config is no UTF-8", raw(CONFIG, b'{"r": "\xff"}'), "config"),
    ("config is too long", raw(CONFIG, b"{}" + b" " * 1_000_000), "size"),
    ("config holds a long number", raw(CONFIG, b'{"r": ' + b"9" * 5000 + b"}"), "config"),
    ("config is empty", raw(CONFIG, b""), "config"),
    *((f"no {name}", lambda folder, name=name: (folder / name).unlink(), "missing") for name in FILES[:4]),
    ("config is a link", link, "file"),
    ("config is a pipe", pipe, "file"),
    ("config is a folder", lambda f: [(f / CONFIG).unlink(), (f / CONFIG).mkdir()], "file"),
    ("tensor missing", header(lambda h: {n: e for n, e in h.items() if n != FIRST}), "keys"),
    ("tensor extra", header(lambda h: {**h, "x": h[FIRST]}), "keys"),
    ("tensor renamed", header(lambda h: rename(h, FIRST, FIRST.removeprefix("base_model."))), "keys"),
    ("tensor twice", header(twice), "header"),
    ("NaN", value(struct.pack("<f", float("nan"))), "values"),
    ("infinite", value(struct.pack("<f", float("inf"))), "values"),
    ("minus infinite", value(b"\0\0\0\0", struct.pack("<f", float("-inf"))), "values"),
    ("absurd", value(struct.pack("<f", 1e30)), "values"),
    ("shape", entry(shape=[8, 2]), "shape"),
    ("flat shape", entry(shape=[16]), "shape"),
    ("shape of truths", entry(shape=[True, 8]), "shape"),
    ("negative shape", entry(shape=[-2, -8]), "shape"),
    ("shape is a text", entry(shape="28"), "shape"),
    *((f"dtype {kind!r}", entry(dtype=kind), "dtype") for kind in ("F64", "I32", "F8_E4M3", "f32", 32, ["F32"])),
    ("half the bytes", entry(dtype="F16"), "header"),
    ("offsets overlap", entry(data_offsets=[64, 128]), "header"),
    ("offsets backwards", entry(data_offsets=[64, 0]), "header"),
    ("offsets are huge", entry(data_offsets=[2**63, 2**64]), "header"),
    ("offsets are text", entry(data_offsets="ab"), "header"),
    ("one offset", entry(data_offsets=[0]), "header"),
    ("entry has more", entry(strides=[8, 1]), "header"),
    ("entry is a list", header(lambda h: {**h, FIRST: []}), "header"),
    ("remarks are no texts", header(lambda h: {**h, "__metadata__": {"a": 1}}), "header"),
    ("remarks are a list", header(lambda h: {**h, "__metadata__": []}), "header"),
    ("many tensors", header(lambda h: h | {f"t{i}": 0 for i in range(4096)}), "header"),
    ("header is no JSON", header(lambda h: b"{"), "header"),
    ("bytes at the end", header(lambda h: h, lambda data: data + b"\0"), "header"),
    ("values cut short", header(lambda h: h, lambda data: data[:-1]), "header"),
    ("values missing", header(lambda h: h, lambda data: b""), "header"),
    ("header claims 2⁶³", raw(WEIGHTS, struct.pack("<Q", 2**63) + b"{}"), "header"),
    ("header claims 2 MB", raw(WEIGHTS, struct.pack("<Q", 2_000_000) + b"{}"), "header"),
    ("weights are empty", raw(WEIGHTS, b""), "header"),
    ("weights are a pickle", raw(WEIGHTS, pickle.dumps({"a": 1})), "header"),
    ("weights are too long", raw(WEIGHTS, bytes(2_000_000)), "size"),
    ("manifest is no JSON", raw(MANIFEST, b"{"), "manifest"),
    ("other role", put(MANIFEST, "role", value="target"), "manifest"),
    ("other scope", put(MANIFEST, "scope", value="target"), "manifest"),
    ("unknown field", put(MANIFEST, "extra", value=1), "manifest"),
    ("rank is a text", put(MANIFEST, "rank", value="2"), "manifest"),
    ("other sites", put(MANIFEST, "sites", value={"decoder": ["q"]}), "manifest"),
    ("other modules", edit(MANIFEST, lambda m: m["modules"].reverse()), "manifest"),
    ("format of the future", put(MANIFEST, "format_version", value=2), "manifest"),
    ("language climbs", put(MANIFEST, "language", value="../../etc"), "manifest"),
    ("other base", put(MANIFEST, "base", "fingerprint", value="0" * 64), "base"),
    ("other tokenizer", put(MANIFEST, "base", "tokenizer_hash", value="0" * 64), "tokenizer"),
    ("other prompt", put(MANIFEST, "base", "format_hash", value="0" * 64), "format"),
    ("profile of another", raw(PROFILE, shelf.profile("fra_Latn").to_json().encode()), "profile"),
    ("profile is no JSON", raw(PROFILE, b"{"), "profile"),
]
