"""Eight adapters trained in one run, against eight PEFT runs one after another: wall time at equal quality.

Input and output adapters of four small languages (the phrasebook's three, and a cipher of one of them) on the demo
base, from English pairs alone. Both sides have the same rows, batch per step, rank, sites, rate, epochs, label
smoothing, precision and dev set; PEFT's adapters act everywhere, so ours do.

Bound: the FLOPs are the same. One run reads the base once for all adapters and fills its batches with rows of
like length from eight texts rather than one, so it gains what small batches lose.

    python benchmarks/train_many.py [--pairs 2000] [--epochs 2] [--json OUT.json]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from peers import PATHS, Bare, parser, with_peft, write

from lingraft.atoms import ENGLISH
from lingraft.base import Base, load
from lingraft.corpus import Pairs, phrasebook
from lingraft.fit import Modular, fit
from lingraft.fit.batch import collate, costs_of, losses, pack
from lingraft.fit.learner import Learner, Row
from lingraft.fit.memory import keep_freed_memory
from lingraft.fit.settings import Material


def texts(pairs: int) -> tuple[list[Pairs], list[Pairs]]:
    """Return training and dev text of four languages with English."""
    book = phrasebook.generate(train=max(pairs, 4500))
    found = []
    for split, rows in ((book.train, pairs), (book.dev, 100)):
        languages = {code: lines[:rows] for code, lines in split.lines.items()}
        english = languages.pop(ENGLISH)
        languages["vol_Latn"] = tuple(" ".join(word[::-1] for word in line.split()) for line in languages["ido_Latn"])
        sides = [sorted([(code, lines), (ENGLISH, english)]) for code, lines in languages.items()]
        found.append([Pairs(a, b, left, right, f"{a}-{b}") for (a, left), (b, right) in sides])
    return found[0], found[1]


def loss_of(bare: Any, rows: Sequence[Row], regime: Modular) -> float:
    """Return the mean loss per target token on some rows."""
    total = 0.0
    with torch.no_grad():
        for members in pack([rows], regime.tokens):
            with torch.autocast("cpu", torch.bfloat16):
                total += sum(part.item() for part in losses(bare, collate(bare, members)))
    return total / sum(len(row.text.answer) for row in rows)


def peft_run(base: Base, learner: Learner, regime: Modular) -> float:
    """Train one PEFT adapter on a learner's rows in its order and at its rate; return its dev loss."""
    wrapped = with_peft(base, tuple(PATHS), regime.rank, ["only"]).train()  # type: ignore[arg-type]
    bare = Bare.__new__(Bare)
    bare.__dict__.update(base.__dict__, model=wrapped.get_base_model(), device=base.device)
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.98), weight_decay=0)
    costs = costs_of(base, [learner])
    while learner.step < learner.total_steps:
        rows = learner.rows()
        total = sum(len(row.text.answer) for row in rows)
        optimizer.param_groups[0]["lr"] = learner.rate()
        optimizer.zero_grad()
        for members in pack([rows], regime.tokens, costs):
            batch = collate(bare, members)  # type: ignore[arg-type]
            with torch.autocast("cpu", torch.bfloat16):
                parts = losses(bare, batch, regime.label_smoothing)  # type: ignore[arg-type]
            (torch.stack(parts).sum() / total).backward()
        torch.nn.utils.clip_grad_norm_(trained, regime.clip)
        optimizer.step()
        learner.step += 1
        if learner.step % learner.steps_per_epoch == 0:
            found = loss_of(bare, learner.dev, regime)
    return found


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--pairs", type=int, default=2000)
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--rows", type=int, default=Modular().rows)
    options.add_argument("--rank", type=int, default=16)
    options = options.parse_args()
    keep_freed_memory()
    base = load("demo")
    base.model.set_attn_implementation("eager")
    train, dev = texts(options.pairs)
    regime = Modular(rank=options.rank, rows=options.rows, epochs=options.epochs, scope="everywhere", patience=99)
    times: dict[str, list[float]] = {"one run": [], "peft runs": []}
    dev_losses: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        start = time.perf_counter()
        run = fit(base, train, regime, dev=dev)
        times["one run"].append(time.perf_counter() - start)
        dev_losses["one run"] = [learner.last_loss for learner in run.learners]
        start = time.perf_counter()
        alone = regime.learners(base, Material(train, dev))
        dev_losses["peft runs"] = [peft_run(base, learner, regime) for learner in alone]
        times["peft runs"].append(time.perf_counter() - start)
    mean = {name: sum(each) / len(each) for name, each in dev_losses.items()}
    faster = sorted(p / o for p, o in zip(times["peft runs"], times["one run"], strict=True))[options.rounds // 2]
    for name in times:
        print(f"{name:10} {min(times[name]):7.1f} s, dev loss {mean[name]:.3f}")
    print(f"{len(alone)} adapters in one run are {faster:.2f} x faster (target 1.5)")
    write(options, {"faster": faster, "target": 1.5, "seconds": times, "dev losses": dev_losses})


if __name__ == "__main__":
    main()
