"""The model card of an adapter, made from its manifest; and that of a direction."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import yaml

import lingraft
from lingraft.atoms import ENGLISH, Direction, Role, Scope, languages
from lingraft.library.manifest import Manifest

if TYPE_CHECKING:
    from lingraft.library.mixing import Mixing
    from lingraft.library.store import Library

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_ACTS = {
    Scope.EVERYWHERE: "everywhere",
    Scope.SOURCE: "on the source span (what is read)",
    Scope.TARGET: "on the target span (what is generated)",
}


def card(manifest: Manifest) -> bytes:
    """Return ``README.md``: the hub's front matter, then what the adapter is and how it was made."""
    name, english = languages.name(manifest.language), languages.name(ENGLISH)
    reads = manifest.role is Role.SOURCE
    kind, way = ("input", f"{name} → {english}") if reads else ("output", f"{english} → {name}")
    training = manifest.record.training
    how = f"by itself on {way}"
    if training.together:
        others = ", ".join(languages.name(code) for code in training.together if code != manifest.language)
        how = f"together with those of {others}"
    text = f"""---
{yaml.safe_dump(_front(manifest), sort_keys=False, allow_unicode=True)}---

# {name}, {manifest.role.value} adapter

The {kind} adapter of {name} (`{manifest.language}`) for the frozen base `{manifest.base.id}`, trained {how}.
Together with another language's {"target" if reads else "source"} adapter it translates a direction. It acts
{_ACTS[manifest.scope]}.

{_kind(manifest)}
It is worthless under another base, tokenizer or prompt; `manifest.json` holds the hashes of all three.

## Data
{_data(manifest)}

## Training
Seed {training.seed}, {training.steps} steps, best epoch {training.best_epoch}, \
{"no dev loss" if training.dev_loss is None else f"dev loss {training.dev_loss:.4f}"}; \
Lingraft {training.lingraft}, PyTorch {training.torch}.{_command(training.command)}

## Scores
{_scores(manifest)}
"""
    return text.encode()


def direction_card(library: Library, direction: Direction, made: Mixing, warnings: Sequence[str]) -> bytes:
    """Return ``README.md`` of an exported direction: what it was made of, and how the model is to be asked."""
    source, target = map(languages.name, direction)
    mix = made.recipe or library.recipe
    sides = [(code, role) for code, role in zip(direction, Role, strict=True) if library.places.installed(code)]
    of = "\n".join(f"- `{code}.{role.value}`, version `{library.pointer(code).of(role)}`" for code, role in sides)
    more = ", with other weights in some places" if mix.layers or mix.sites else ""
    method = "" if made.method == "linear" else f", merged by {made.method}"
    spec = json.dumps(library.base.format.spec(), ensure_ascii=False, indent=1)
    text = f"""# {source} → {target}

For the base `{library.card.base.id}` (fingerprint `{library.card.base.fingerprint[:16]}`), written by Lingraft
{lingraft.__version__} from

{of}

with the weights {mix.source:g} (source) and {mix.target:g} (target){more}{method}.

## How to ask

It is worthless under another prompt. The format is

```json
{spec}
```
"""
    return (text + "".join(f"\n**Note**: {warning}\n" for warning in warnings)).encode()


def _kind(manifest: Manifest) -> str:
    shape = f"rank {manifest.rank}, alpha {manifest.alpha:g}, {len(manifest.modules)} modules"
    token = ""
    if manifest.like is not None:
        shape += ", a token"
        token = (
            f"\nThe base has no token for {languages.name(manifest.language)}. Where it would stand, put that of "
            f"`{manifest.like}`: with this adapter\nthe model reads it as {languages.name(manifest.language)}'s."
        )
    if not manifest.packed:
        return f"It is a plain PEFT LoRA folder ({shape}).{token}"
    name = f"{manifest.language}.{manifest.role.value}"
    return f"""It is a pruned LoRA ({shape}) whose weights are stored packed, without their zeros, which PEFT does not
read. `lingraft export {name} --library LIBRARY --to FOLDER` writes the same as a plain PEFT LoRA folder.{token}"""


def _front(manifest: Manifest) -> dict[str, object]:
    library = "lingraft" if manifest.packed else "peft"
    front: dict[str, object] = {"library_name": library, "pipeline_tag": "translation"}
    if _HUB_ID.fullmatch(manifest.base.id):  # the hub refuses a folder here
        front["base_model"] = manifest.base.id
    return front | {
        "language": [languages.iso639(manifest.language)],
        "tags": ["lingraft", "lora", manifest.language, manifest.role.value],
    }


def _data(manifest: Manifest) -> str:
    if not manifest.record.data:
        return "Not recorded."
    rows = [
        f"| {_cell(source.origin)} | {source.pairs} | {_cell(source.licence or 'unknown')} |"
        for source in manifest.record.data
    ]
    return "\n".join(["| origin | sentence pairs | licence |", "| --- | ---: | --- |", *rows])


def _scores(manifest: Manifest) -> str:
    if not manifest.record.scores:
        return "None recorded."
    rows = [
        f"| {score.direction} | {_cell(score.metric)} | {score.value:.2f} | `{_cell(score.signature)}` |"
        for score in manifest.record.scores
    ]
    return "\n".join(["| direction | metric | value | signature |", "| --- | --- | ---: | --- |", *rows])


def _command(command: str | None) -> str:
    return f" Made by `{_cell(command)}`." if command else ""


def _cell(text: str) -> str:
    """Keep a text from breaking out of its table cell or code span."""
    return " ".join(text.replace("|", "\\|").replace("`", "'").replace("<", "&lt;").split())
