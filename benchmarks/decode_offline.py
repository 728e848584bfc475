"""What translating a file costs, and one source into many languages, against what there was before.

A file of lines into 4 directions, each direction with its own pair of adapters (random, small: the answers end as the
base's do), two ways in alternating runs:

- lingraft: ``translate``, all directions in one run, places filled as rows end, adapters routed by row;
- peft: HF ``generate`` on a PEFT model that holds an adapter per direction, composed beforehand (the concatenation of
  the pair), switched between directions; lines sorted by length.

Both run with each number of rows at once (``--batch``), and the best of each is compared.

With ``--scope everywhere`` both compute the same function, and the share of equal answers is printed; with
``spans``, the default of a library, an output adapter acts on the target span alone, which PEFT cannot do. Then
one long source into 8 languages: read once for all, read by every row of one batch, and one translation after
another.

Bound: a generated token costs one pass of its row through the base, 2 FLOPs per parameter, and 2 · r · (in + out)
more per site; a pass reads all weights once, whoever is in it. What can be saved is rows that are over (a batch of
``generate`` goes on until its longest row ends), padding, copies of the cache, and sources that are read again.

    python benchmarks/decode_offline.py [--lines 2000] [--rounds 3] [--batch 64 256] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peers import alternate, parser, ratio, write
from peft import LoraConfig, PeftModel, get_peft_model

from lingraft.atoms import Direction, Role, Scope
from lingraft.base import Base, load
from lingraft.corpus import phrasebook, read_testset
from lingraft.delta import Adapter, Bank, Route, Routing, Update
from lingraft.direction import Job, Recipe, Stream, attach, budget, compose, fill, route, stream

SOURCE = "eng_Latn"
FOUR = ("spa_Latn", "nld_Latn", "ita_Latn", "pol_Latn")
EIGHT = (*FOUR, "ces_Latn", "dan_Latn", "por_Latn", "swe_Latn")


def lines(count: int) -> list[str]:
    """English sentences of many lengths: those of the phrasebook, some of them put together."""
    with tempfile.TemporaryDirectory() as folder:
        phrasebook.generate(train=4500, test=200).write(Path(folder))
        tests = read_testset(str(Path(folder) / "multi" / "test.{lang}.txt.gz"), (SOURCE,), None)
    text = tests.lines[SOURCE]
    joined = [" and ".join(text[(7 * i + k) % len(text)].rstrip(".?!") for k in range(1 + i % 3)) for i in range(count)]
    return [line + "." for line in joined]


def bank(base: Base, languages: Sequence[str], rank: int, scoped: bool) -> Bank:
    """Random adapters, so small that the base still translates."""
    generator = torch.Generator().manual_seed(1)
    adapters = []
    for language, role in [(SOURCE, Role.SOURCE), *((code, Role.TARGET) for code in languages)]:
        updates = {}
        for site in base.sites:
            out, inn = base.shape(site)
            a = torch.randn(rank, inn, generator=generator) / inn**0.5
            updates[site] = Update(a, torch.randn(out, rank, generator=generator) * 1e-3)
        own = Scope.SOURCE if role is Role.SOURCE else Scope.TARGET
        adapters.append(Adapter(language, role, own if scoped else Scope.EVERYWHERE, updates))
    return Bank(adapters)


class Peer:
    """HF ``generate`` with a PEFT adapter for each direction."""

    def __init__(self, name: str, found: Bank, directions: Sequence[Direction]) -> None:
        """Load a second copy of the base and put the composed adapters on it."""
        self.base = load(name)
        model: Any = self.base.model
        for where in directions:
            merged: dict[Any, list[Update]] = {}
            for updates in compose(found, Recipe(), where).updates.values():
                for site, update in updates.items():
                    merged.setdefault(site, []).append(update)
            rank = sum(update.rank for update in next(iter(merged.values())))
            names = sorted({path.rpartition(".")[2] for path in self.base.sites.values()})
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=names)
            if isinstance(model, PeftModel):
                model.add_adapter(where.target, config)
            else:
                model = get_peft_model(model, config, adapter_name=where.target)
            for site, updates in merged.items():
                layer = model.base_model.model.get_submodule(self.base.sites[site])
                layer.lora_A[where.target].weight.data = torch.cat([u.A for u in updates])
                layer.lora_B[where.target].weight.data = torch.cat([u.B * u.scale for u in updates], dim=1)
        self.model = model.eval()

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], directions: Sequence[Direction], batch: int) -> list[str]:
        answers = []
        for where in directions:
            self.model.set_adapter(where.target)
            rows = self.base.format.encode(where, texts)
            order = sorted(range(len(rows)), key=lambda i: -len(rows[i].source))
            done = {}
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                prompts = [rows[i].source + rows[i].target for i in part]
                length = max(map(len, prompts))
                pad = [[self.base.format.pad] * (length - len(prompt)) for prompt in prompts]
                most = [budget(rows[i]) for i in part]
                out = self.model.generate(
                    input_ids=torch.tensor([p + list(prompt) for p, prompt in zip(pad, prompts, strict=True)]),
                    attention_mask=torch.tensor([[0] * len(p) + [1] * (length - len(p)) for p in pad]),
                    max_new_tokens=max(most), do_sample=False, pad_token_id=self.base.format.pad,
                    eos_token_id=self.base.format.end,
                )  # fmt: skip
                for i, row, n in zip(part, out[:, length:].tolist(), most, strict=True):
                    done[i] = self.base.format.decode(row[:n])
            answers += [done[i] for i in range(len(texts))]
        return answers


@contextmanager
def reading_apart() -> Any:
    """Let every row read its own source."""
    kept, stream._WORTH = stream._WORTH, 0.0
    try:
        yield
    finally:
        stream._WORTH = kept


def answering(ways: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Run the ways in turn; return the seconds of each round, and what each way returned last."""
    found: dict[str, Any] = {}

    def keep(name: str) -> None:
        found[name] = ways[name]()

    return alternate({name: partial(keep, name) for name in ways}, rounds), found


def a_file(base: Base, options: argparse.Namespace) -> dict[str, Any]:
    """Translate a file into 4 languages, both ways."""
    texts, directions = lines(options.lines), [Direction(SOURCE, code) for code in FOUR]
    found = bank(base, FOUR, options.rank, options.scope == "spans")
    peer = Peer(options.base, found, directions)
    asked = [where for where in directions for _ in texts]

    def ours(batch: int) -> list[str]:
        with attach(base, partial(route, found, Recipe())) as translator:
            return translator.translate(texts * len(FOUR), asked, batch_size=batch)

    ways: dict[str, Callable[[], Any]] = {}
    for rows in options.batch:
        ways[f"peft, {rows} rows"] = partial(peer, texts, directions, rows)
        ways[f"lingraft, {rows} rows"] = partial(ours, rows)
    times, answers = answering(ways, options.rounds)
    tokens = {name: sum(map(len, base.tokenizer(each)["input_ids"])) for name, each in answers.items()}
    print(f"{options.lines} lines into {len(FOUR)} directions, {options.scope}")
    seconds = {name: statistics.median(each) for name, each in times.items()}
    for name, each in seconds.items():
        print(f"  {name:24} {len(asked) / each:8.1f} lines/s  {tokens[name] / each:8.0f} tokens/s")
    best = lambda of: min((name for name in ways if name.startswith(of)), key=seconds.__getitem__)
    theirs, mine = best("peft"), best("lingraft")
    faster = {name: ratio(times, theirs, name) for name in ways}
    equal = sum(a == b for a, b in zip(answers[theirs], answers[mine], strict=True)) / len(asked)
    print(f"  {mine}: {faster[mine]:.2f} x as fast as {theirs} (target 2), {100 * equal:.1f} % equal answers")
    return {"faster": faster, "best": [theirs, mine], "seconds": times, "equal": equal, "tokens": tokens}


def one_source(base: Base, options: argparse.Namespace) -> dict[str, Any]:
    """Translate one long source into 8 languages, three ways."""
    found = bank(base, EIGHT, options.rank, True)
    text = " and ".join(line.rstrip(".") for line in lines(60))
    jobs = []
    for code in EIGHT:
        where = Direction(SOURCE, code)
        given: Route = route(found, Recipe(), where)
        (row,) = base.format.encode(where, [text])
        row = type(row)(row.source[: options.long], row.target)
        jobs.append(Job(code, row, given, options.answer))

    with Routing(base) as routing:

        def together() -> dict[Any, str]:
            return dict(fill(Stream(base, routing), jobs, len(jobs)))

        def apart() -> dict[Any, str]:
            with reading_apart():
                return together()

        def separate() -> dict[Any, str]:
            return {key: answer for job in jobs for key, answer in fill(Stream(base, routing), [job], 1)}

        ways = {"separate": separate, "one batch": apart, "read once": together}
        times, answers = answering(ways, max(options.rounds, 5))
    same = answers["separate"] == answers["one batch"] == answers["read once"]
    print(
        f"One source of {options.long} tokens into {len(EIGHT)} languages, {options.answer} tokens each: same: {same}"
    )
    for name, each in times.items():
        print(f"  {name:9} {statistics.median(each):8.3f} s")
    faster = {name: ratio(times, "separate", name) for name in ways}
    print(f"  read once is {faster['read once']:.2f} x as fast as separate (target 1.5), ", end="")
    print(f"one batch {faster['one batch']:.2f} x")
    return {"faster": faster, "seconds": times, "same": same}


def main() -> None:
    options_of = parser(__doc__, rounds=3)
    options_of.add_argument("--base", default="demo", help="demo, a folder, or a hub id")
    options_of.add_argument("--lines", type=int, default=2000)
    options_of.add_argument("--batch", type=int, nargs="+", default=[32, 64, 128, 256], help="rows at once, of both")
    options_of.add_argument("--rank", type=int, default=16)
    options_of.add_argument("--long", type=int, default=256, help="tokens of the one long source")
    options_of.add_argument("--answer", type=int, default=32, help="tokens of each of its answers at the most")
    options_of.add_argument("--scope", choices=("spans", "everywhere"), default="spans")
    options = options_of.parse_args()
    base = load(options.base)
    write(options, {"file": a_file(base, options), "one source": one_source(base, options)})


if __name__ == "__main__":
    main()
