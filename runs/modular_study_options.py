"""The options of runs/modular_study.py."""

from __future__ import annotations

import argparse
from pathlib import Path

SMOKE = {
    "limit": 16,
    "dev_rows": 2,
    "test_limit": 2,
    "dev_limit": 2,
    "epochs": 1,
    "rows": 8,
    "full_rows": "8",
    "least_steps": 2,
    "some_pairs": 8,
    "some_epochs": 2,
    "seeds": "1,2",
    "sizes": "4,8",
    "settings": "rank=3 rank=3,bridge=0 rank=3,bridge=0,seed=2",
    "weights": "0.8",
    "full_rates": "1e-4",
    "rank": 2,
    "bridge": 0.2,
}
"""Values that run everything in about two minutes."""
SETTINGS = (
    "rank=48 rank=64,learning_rate=2e-3 rank=48,bridge=0 rank=48,bridge=0,seed=2 rank=48,bridge=0.25 "
    "rank=48,bridge=0.25,rows=8"
)
"""Variants of the headline that were compared."""
FREE = (
    "steps",
    "smoke",
    "out",
    "data",
    "list",
    "batch",
    "tokens",
    "device",
    "seeds",
    "sizes",
    "settings",
    "weights",
    "some_seeds",
)
"""Options that may differ between calls on one ``--out``."""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The study of merging on the demo base.")
    parser.add_argument("steps", nargs="*", metavar="GROUP|NAME", help="which steps; all of them by default")
    parser.add_argument("--list", action="store_true", help="print the names of the steps and stop")
    parser.add_argument("--out", type=Path, default=None, help="folder of everything")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tatoeba"), help="Tatoeba's folders")
    parser.add_argument("--base", default="demo", help="demo, a folder, or a hub id")
    parser.add_argument("--device", default="cpu", help="e.g. cuda")
    parser.add_argument("--seeds", default="1,2,3", help="seeds of the headline")
    parser.add_argument("--sizes", default="250,500,1000,2000,4000,8000,16000", help="pairs of the data curve")
    parser.add_argument("--settings", default=SETTINGS, help="other settings of the headline, each with commas")
    parser.add_argument("--weights", default="0.5,0.6,0.7,0.8,0.9,1.0", help="weights of the plain merge to try on dev")
    parser.add_argument("--limit", type=int, default=None, help="most training rows of each text")
    parser.add_argument("--dev-rows", type=int, default=200, help="most rows of each text to stop by")
    parser.add_argument("--test-limit", type=int, default=None, help="most test sentences")
    parser.add_argument("--dev-limit", type=int, default=200, help="most dev sentences to compare by")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16, help="rows of an adapter's step")
    parser.add_argument("--full-rows", default="16,64", help="rows of a step that trains on all texts at once, to try")
    parser.add_argument("--tokens", type=int, default=4000, help="tokens that pass at once in training; more on a GPU")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--bridge", type=float, default=0.75)
    parser.add_argument("--rate", type=float, default=4e-3, help="learning rate of adapters")
    parser.add_argument("--lora-rates", default="2e-3", help="rates of one adapter for all rows to try")
    parser.add_argument("--full-rates", default="3e-4,1e-3", help="rates of full fine-tuning to try")
    parser.add_argument("--least-steps", type=int, default=400, help="steps of an adapter on few rows")
    parser.add_argument("--some-pairs", type=int, default=4000, help="rows of each language in the comparisons on dev")
    parser.add_argument("--some-epochs", type=int, default=3, help="most epochs of them")
    parser.add_argument("--some-seeds", default="1", help="seeds of the ways to train for mergeability")
    parser.add_argument("--batch", type=int, default=128, help="sentences that are translated at once")
    parser.add_argument("--smoke", action="store_true", help="everything in about two minutes, with a few rows")
    if parser.parse_known_args()[0].smoke:
        parser.set_defaults(**SMOKE)
    args = parser.parse_args()
    args.out = args.out or Path("runs/out/modular_study" + ("_smoke" if args.smoke else ""))
    return args
