"""What a joint training step costs when its rows are of 12 languages, against one shared LoRA.

Four ways, alternating in one process, the median of their ratios to the shared one:

- shared: one update for all languages at each site, in our loop;
- languages: an update per language, 12 in the batch;
- resident: the same batch with 200 languages in the bank;
- masks: the authors' way, a loop over the languages that masks the rows of each.

Bound: the low-rank products cost 2 · r · (in + out) per token at a site whatever the language, so the
ratio could be 1; what is added is the moving of rows (each site reads and writes its rows once more
where they are not in the order of its languages) and an optimiser step for each adapter with rows.

    python benchmarks/joint_step.py [--rounds 7] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peers import m2m
from torch import Tensor

from lingraft.atoms import AdapterName, Direction, Role
from lingraft.base import Encoded
from lingraft.delta import Routing
from lingraft.fit import Joint, Silent
from lingraft.fit.joint_learner import JointLearner
from lingraft.fit.learner import Row
from lingraft.fit.step import train_step

LANGUAGES, RESIDENT = 12, 200


def rows(count: int, vocabulary: int, length: int) -> list[Row]:
    """Rows of random directions between the languages, of lengths around ``length``."""
    g = torch.Generator().manual_seed(1)
    codes = [f"l{i:02d}_Latn" for i in range(LANGUAGES)]
    found = []
    for _ in range(count):
        a, b = torch.randperm(LANGUAGES, generator=g)[:2].tolist()
        n, m = torch.randint(length // 2, length * 3 // 2, (2,), generator=g).tolist()
        ids = torch.randint(4, vocabulary, (n + m,), generator=g).tolist()
        found.append(Row(Direction(codes[a], codes[b]), Encoded(tuple(ids[:n]), (2, 4), tuple(ids[n:]))))
    return found


def learner(base: Any, regime: Joint, languages: int, data: Sequence[Row]) -> JointLearner:
    names = [f"l{i:02d}_Latn" for i in range(languages)]
    return JointLearner(base, regime, regime.layout(base, names), data, data[:1])


class MaskLoop:
    """The authors' way: at each site, for each language, the masked low-rank product of all rows."""

    def __init__(self, base: Any, one: JointLearner) -> None:
        self.base, self.one = base, one
        self.owners: dict[Role, Tensor] = {}
        self.languages = sorted({name.language for name in one.updates})

    def __enter__(self) -> MaskLoop:
        self.handles = [self.base.module(site).register_forward_hook(self.hook(site)) for site in self.base.sites]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def expect(self, routes: Sequence[Any]) -> None:
        """Look nothing up in advance."""

    def set(self, routes: Sequence[tuple[Any, int]], span: Tensor | None) -> None:
        """Note the languages of each row; ``routes`` names directions here."""
        for role in Role:
            numbers = [self.languages.index(where[role is Role.TARGET]) for where, n in routes for _ in range(n)]
            self.owners[role] = torch.tensor(numbers)

    def hook(self, site: Any) -> Callable[..., Tensor | None]:
        role = next((name.role for name, updates in self.one.updates.items() if site in updates), None)

        def add(module: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if role is None:
                return None
            for number, language in enumerate(self.languages):
                update = self.one.updates[AdapterName(language, role)][site]
                mask = (self.owners[role] == number)[:, None, None].to(output.dtype)
                output = output + mask * torch.nn.functional.linear(
                    torch.nn.functional.linear(args[0], update.A.to(args[0].dtype)), update.B.to(args[0].dtype)
                )
            return output

        return add


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    vocabulary = 8000
    base = m2m(options.width, options.layers, vocabulary)
    data = rows(options.rows, vocabulary, 20)
    regime = Joint(rank=options.rank, rows=options.rows, dropout=False, tokens=4000)
    ones = {
        "shared": learner(base, regime.model_copy(update={"shared": True}), LANGUAGES, data),
        "languages": learner(base, regime, LANGUAGES, data),
        "resident": learner(base, regime, RESIDENT, data),
    }
    masked = learner(base, regime, LANGUAGES, data)
    masked.routes = lambda directions: list(directions)  # type: ignore[assignment,method-assign]
    times: dict[str, list[float]] = {name: [] for name in (*ones, "masks")}
    for round_ in range(options.rounds + 1):
        for name in times:
            start = time.perf_counter()
            if name == "masks":
                with MaskLoop(base, masked) as loop:
                    train_step(base, loop, [masked], Silent())  # type: ignore[arg-type]
            else:
                with Routing(base) as routing:  # type: ignore[arg-type]
                    train_step(base, routing, [ones[name]], Silent())  # type: ignore[arg-type]
            if round_:  # the first one warms up
                times[name].append(time.perf_counter() - start)
    ratios = {
        name: statistics.median(t / s for t, s in zip(times[name], times["shared"], strict=True)) for name in times
    }
    for name, ratio in ratios.items():
        print(f"{name:10} {statistics.median(times[name]):7.3f} s  {ratio:5.2f} x shared")
    if options.json:
        found = {
            "ratios": ratios, "seconds": times, "settings": {k: v for k, v in vars(options).items() if k != "json"},
            "torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.processor(),
        }  # fmt: skip
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
