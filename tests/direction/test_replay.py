"""Where steps are recorded for replays. What replays give is tested in test_stream.py."""

from __future__ import annotations

import pytest
import torch

import tiny
from lingraft.atoms import Direction
from lingraft.direction import attach, replay


@pytest.mark.parametrize(("family", "wanted"), [("llama", True), ("m2m_100", True), ("qwen3", True), ("gemma3", False)])
def test_steps_are_recorded_on_a_gpu_where_all_layers_see_the_same(monkeypatch, family, wanted):
    base = tiny.load(family)
    assert replay.recorder(base) is None  # on a CPU
    monkeypatch.setattr(type(base), "device", torch.device("cuda"))
    monkeypatch.setattr(replay, "Captures", lambda: "captures")
    assert (replay.recorder(base) == "captures") is wanted
    monkeypatch.setattr(base.model.config, "_attn_implementation", "eager")
    assert replay.recorder(base) is None


def test_to_ask_for_replays_where_there_are_none_changes_nothing():
    base = tiny.load("llama")
    where = Direction("deu_Latn", "fra_Latn")
    with attach(base) as plain, attach(base, replay=True) as asked:
        assert plain.translate(["ein Haus"], where, max_tokens=5) == asked.translate(["ein Haus"], where, max_tokens=5)
