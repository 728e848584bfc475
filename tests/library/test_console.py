from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

from lingraft.library import console


def test_where_there_is_no_terminal_a_line_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(console, "EACH", 0.0)
    monkeypatch.setattr(console, "stderr", console.Console(stderr=True, force_terminal=False))
    learner: Any = None
    with console.Watcher() as watcher:
        watcher.prepare("bridging deu_Latn", 3, 10)
        watcher.start(100, 0)
        for _ in range(3):
            watcher.step(learner, 0.1)
    with console.counting(8, "translating") as advance:
        advance(5)
    lines = capsys.readouterr().err.splitlines()
    assert "bridging deu_Latn: 3 of 10" in lines
    assert any(line.startswith("training: 3 of 100, ") and line.endswith("min left") for line in lines)
    assert any(line.startswith("translating: 5 of 8") for line in lines)
    monkeypatch.setattr(console, "EACH", 1e9)
    with console.Watcher() as watcher:
        watcher.start(100, 0)
        watcher.step(learner, 0.1)
    assert "training: 1 of 100" not in capsys.readouterr().err


def test_what_goes_to_a_file_is_no_matter_of_the_terminal():
    """With a bar on the terminal, what is printed still goes where standard output leads."""
    words = "from lingraft.library.console import counting\nwith counting(2, 'x') as advance: print('said'); advance(1)"
    leader, follower = pty.openpty()
    try:
        env = {**os.environ, "TERM": "xterm"}
        run = subprocess.run(
            [sys.executable, "-c", words], stdout=subprocess.PIPE, stderr=follower, env=env, timeout=120, check=True
        )
        shown = os.read(leader, 10_000)
    finally:
        os.close(follower)
        os.close(leader)
    assert run.stdout == b"said\n"
    assert b"1/2" in shown
