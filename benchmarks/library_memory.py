"""What a library costs in memory: listing it, holding 200 languages, the first and the second use of a direction.

Three cases, each in a library made for it in a temporary folder, and each against a bound in the same process:

- list: opening a library of 1,000 small adapters (500 languages) and reading what ``lingraft list`` shows. Bound:
  reading the same files and parsing them with ``json``, unchecked. Target: at most 1 s;
- resident: a process with a random M2M-100 base opens a library and holds both adapters of 200 languages, each used as
  source and as target. Bound: the bytes of A and B. Target: what the process grew by is within 10 % of it, and so is
  the whole process within 10 % of base + Σ adapters (the weaker claim: a process is more than its weights);
- use: the first use of a direction (its two adapters are read and checked) and the second one (they are there). Bound:
  ``safetensors.torch.load_file`` of the same two files, which checks nothing. All files are in the page cache.

    python benchmarks/library_memory.py [--listed 500] [--held 200] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from lingraft.atoms import Direction, Role, Scope
from lingraft.base.families import family_of, find_sites
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter, Update
from lingraft.library import DataSource, LanguageModule, Library, Record, Training
from lingraft.library.refusal import MANIFEST, WEIGHTS
from lingraft.library.using import router

LANGUAGES = "deu,fra,ita,spa,por,nld,swe,dan,pol,ces,slk,slv,hrv,ron,hun,fin,est,lav,lit,cat,glg,eus,isl,gle,cym,mlt"
SCRIPTS = "Latn,Cyrl,Arab,Grek,Hebr,Deva,Beng,Thai,Geor,Armn,Ethi,Hang,Khmr,Laoo,Mymr,Sinh,Taml,Telu,Knda,Mlym"
CODES = tuple("_".join(parts) for parts in product(*(names.split(",") for names in (LANGUAGES, SCRIPTS))))
"""520 codes: languages that there are, in scripts that most are never written in."""


class Bare:
    """A random M2M-100 base without tokenizer, which knows every language."""

    def __init__(self, d: int, layers: int) -> None:
        torch.manual_seed(0)
        config = M2M100Config(
            vocab_size=8000, d_model=d, encoder_layers=layers, decoder_layers=layers, encoder_ffn_dim=4 * d,
            decoder_ffn_dim=4 * d, encoder_attention_heads=8, decoder_attention_heads=8, attn_implementation="eager",
        )  # fmt: skip
        self.model: Any = M2M100ForConditionalGeneration(config).eval().requires_grad_(False)
        self.family = family_of("m2m_100")
        self.sites = find_sites(self.model, self.family, config)
        self.id, self.revision, self.device = f"bare-{d}-{layers}", None, torch.device("cpu")
        self.languages: tuple[str, ...] = ()
        self.fingerprint = self.tokenizer_hash = hashlib.sha256(self.id.encode()).hexdigest()
        self.format = type("Format", (), {"hash": self.fingerprint, "spec": lambda _: {"kind": "seq2seq"}})()

    def shape(self, site: Any) -> tuple[int, int]:
        module = self.model.get_submodule(self.sites[site])
        return module.out_features, module.in_features


def make(base: Any, path: Path, languages: int, rank: int) -> None:
    """Make a library of random adapters at every site."""
    library = Library.create(path, base, scope="everywhere")
    training = Training(seed=1, settings={}, steps=1, best_epoch=1, dev_loss=None, lingraft="0", torch="0")
    record = Record(data=(DataSource(origin="random", pairs=1000),), training=training)
    shapes = {site: base.shape(site) for site in base.sites}
    for code in CODES[:languages]:
        parts = [
            Adapter(code, role, Scope.EVERYWHERE, {
                site: Update(torch.randn(rank, inner), torch.randn(out, rank)) for site, (out, inner) in shapes.items()
            })
            for role in Role
        ]  # fmt: skip
        library.add({code: LanguageModule(*parts, record, record, Profile.train(code, ["some words"]))})


def seconds(what: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        what()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def listing(base: Any, path: Path, rounds: int) -> dict[str, float]:
    """Return what listing costs, as ``lingraft list`` does it, and what reading its files unchecked does."""

    def ours() -> None:
        library = Library.open(path, base)
        for language in library.languages():
            library.pointer(language), library.manifest(language, Role.SOURCE)

    def bound() -> None:
        for pointer in sorted((path / "languages").glob("*.json")):
            version = json.loads(pointer.read_bytes())["source"]
            json.loads((path / "adapters" / f"{pointer.stem}.source" / version / MANIFEST).read_bytes())

    opening = seconds(lambda: Library.open(path, base), rounds)
    times = seconds(ours, rounds), seconds(bound, rounds)
    return {
        "adapters": 2.0 * len(Library.open(path).languages()), "open_s": opening, "list_s": times[0],
        "json_s": times[1], "ratio": times[0] / times[1],
    }  # fmt: skip


def rss() -> int:
    """Return the bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def resident(path: Path, d: int, layers: int) -> dict[str, float]:
    """Hold all languages of a library in this process, which is a new one, and return what they weigh."""
    base: Any = Bare(d, layers)
    library = Library.open(path, base)
    codes = library.languages()
    # One direction is used before, so that what the first use brings in once and for all is not counted.
    ring = [Direction(a, b) for a, b in zip(codes, (*codes[1:], codes[0]), strict=True)]
    router(library, ring[:1])
    start, there = rss(), library.shelf.usage().bytes
    routes = router(library, ring)
    held = [routes(direction) for direction in ring]
    grown, usage = rss() - start, library.shelf.usage()
    weights = sum(p.numel() * p.element_size() for p in base.model.parameters())
    return {
        "languages": len(codes), "routes": len(held), "base_bytes": weights, "adapter_bytes": usage.bytes,
        "process_before": start, "grown": grown, "ratio_grown": grown / (usage.bytes - there),
        "ratio_whole": (start + grown) / (start + usage.bytes - there),
    }  # fmt: skip


def using(base: Any, path: Path, rounds: int) -> dict[str, float]:
    """Return what the first and the second use of a direction cost."""
    codes = Library.open(path).languages()
    directions = [Direction(a, b) for a, b in pairwise(codes)][: max(rounds, 1)]
    times: dict[str, list[float]] = {"load_file": [], "first": [], "second": []}
    for number, where in enumerate([*directions[:1], *directions]):
        library = Library.open(path, base)
        sides = ((where.source, Role.SOURCE), (where.target, Role.TARGET))
        files = [
            path / "adapters" / f"{code}.{role.value}" / library.pointer(code).of(role) / WEIGHTS
            for code, role in sides
        ]
        for file in files:
            file.read_bytes()
        steps: dict[str, Callable[[], Any]] = {
            "load_file": lambda files=files: [safetensors.torch.load_file(file) for file in files],  # type: ignore[misc]
            "first": lambda library=library, where=where: router(library, [where])(where),  # type: ignore[misc]
        }
        steps["second"] = steps["first"]
        for name, step in steps.items():
            took = seconds(step, 1)
            if number:  # the first direction warms up
                times[name].append(took)
    found = {name: statistics.median(each) for name, each in times.items()}
    bytes_ = library.shelf.usage().bytes
    return {f"{name}_s": value for name, value in found.items()} | {
        "bytes": bytes_,
        "first_over_load_file": found["first"] / found["load_file"],
        "second_over_first": found["second"] / found["first"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listed", type=int, default=500, help="languages of the library that is listed")
    parser.add_argument("--held", type=int, default=200, help="languages that are held in memory")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if max(options.listed, options.held) > len(CODES) or options.held < 2:
        parser.error(f"--listed and --held must be at most {len(CODES)}, and --held at least 2")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        small, base = Bare(32, 6), Bare(options.width, options.layers)
        make(small, Path(folder) / "listed", options.listed, 1)
        found["list"] = listing(small, Path(folder) / "listed", options.rounds)
        make(base, Path(folder) / "held", options.held, options.rank)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as another:
            held = another.submit(resident, Path(folder) / "held", options.width, options.layers)
            found["resident"] = held.result()
        found["use"] = using(base, Path(folder) / "held", options.rounds)
    for case, values in found.items():
        print(case)
        for name, value in values.items():
            print(f"  {name:22} {value:,.4g}" if isinstance(value, float) else f"  {name:22} {value:,}")
    if options.json:
        found |= {
            "settings": {k: v for k, v in vars(options).items() if k != "json"}, "torch": torch.__version__,
            "threads": torch.get_num_threads(), "machine": platform.processor(),
        }  # fmt: skip
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
