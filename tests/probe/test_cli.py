"""`lingraft probe subspace` on a library that was pruned, and its picture."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pruned
import pytest
from click.testing import CliRunner

import tiny
from lingraft.atoms import DataError, LibraryError, Role, Site
from lingraft.cli import app
from lingraft.library import Library
from lingraft.probe import Survival, suggest, survival, survival_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    return pruned.library(tmp_path_factory.mktemp("probe"))


def run(folders: tuple[Path, Path], *words: str):
    library, base = folders
    command = ["probe", "subspace", "--library", str(library), "--base", str(base), "--device", "cpu", *words]
    return CliRunner().invoke(app, command)


def test_json_and_picture(folders, tmp_path):
    outcome = run(folders, "--json", "--mean-rank", "3", "--svg", str(tmp_path / "maps.svg"))
    assert outcome.exit_code == 0, outcome.output
    data = json.loads(outcome.stdout)
    expected = survival(pruned.bank(tiny.load("m2m_100")))
    assert Survival.from_json(json.dumps(data["survival"])) == expected
    assert data["suggested"] == suggest(expected, mean_rank=3)
    assert data["notes"] == []
    assert (tmp_path / "maps.svg").read_text(encoding="utf-8") == survival_svg(expected)


def test_table(folders):
    outcome = run(folders)
    assert outcome.exit_code == 0, outcome.output
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert rows[1] == ["language", "code", "all", "encoder", "decoder", "source", "target", "rank", "suggested"]
    assert [row[1] for row in rows[2:]] == ["epo_Latn", "fra_Latn", "deu_Latn"]
    expected = survival(pruned.bank(tiny.load("m2m_100")))
    ranks, kept = suggest(expected), expected.shares(lambda cell: cell.language)
    for row in rows[2:]:
        assert row[2] == f"{100 * kept[row[1]]:.1f}"
        assert row[-2:] == ["2", str(ranks[row[1]])]


def test_bad_input(folders, tmp_path):
    with pytest.raises(DataError, match="folder that exists"):
        CliRunner().invoke(app, _words(folders, "--svg", str(tmp_path / "no" / "x.svg")), catch_exceptions=False)
    assert run(folders, "--mean-rank", "0.5").exit_code == 2
    base = folders[1]
    from lingraft.base import load

    Library.create(tmp_path / "empty", load(str(base)))
    with pytest.raises(LibraryError, match="empty"):
        CliRunner().invoke(app, _words((tmp_path / "empty", base)), catch_exceptions=False)


def _words(folders: tuple[Path, Path], *words: str) -> list[str]:
    return ["probe", "subspace", "--library", str(folders[0]), "--base", str(folders[1]), "--device", "cpu", *words]


def test_picture_shows_every_share_once():
    found = survival(pruned.bank(tiny.load("m2m_100")))
    root = ET.fromstring(survival_svg(found))
    titles = [node.text for node in root.iter(f"{SVG}title") if "%" in (node.text or "")]
    wanted = []
    for stack in found.stacks:
        part = Survival(tuple(cell for cell in found.cells if cell.site.stack == stack))
        for field in ("layer", "name"):
            shares = part.shares(lambda cell, field=field: (cell.language, str(getattr(cell.site, field))))
            names = {"epo_Latn": "Esperanto", "fra_Latn": "French", "deu_Latn": "German"}
            wanted += [
                f"{names[code]}, {stack}, by {'site' if field == 'name' else field}: {column}, {100 * share:.2f} %"
                for (code, column), share in shares.items()
            ]
    assert sorted(titles) == sorted(wanted)
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert words.count("source") == 1  # the encoder's layer 0
    assert words.count("both") == 6  # the encoder's sites
    assert [w for w in words if w in ("cross_q", "fc1", "q")] == ["q", "fc1", "q", "cross_q", "fc1"]


def test_nothing_lies_outside_the_picture_or_on_another_cell():
    found = survival(pruned.bank(tiny.load("m2m_100")))
    root = ET.fromstring(survival_svg(found))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    boxes = []
    for node in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(node.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        if h > 10:  # a cell, not the legend
            boxes.append((x, y, w, h))
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, _, _ in boxes[:i]:
            assert abs(x - x2) >= w or abs(y - y2) >= h
    for node in root.iter(f"{SVG}text"):
        size, x, y = (float(node.get(name)) for name in ("font-size", "x", "y"))
        wide = 0.62 * size * len(node.text)  # a generous guess
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[node.get("text-anchor")]
        assert left >= 0
        assert left + wide <= width
        assert size <= y <= height
        inside = [b for b in boxes if left < b[0] + b[2] and left + wide > b[0] and y > b[1] and y - size < b[1] + b[3]]
        assert len(inside) == (re.fullmatch(r"[0-9]+\.[0-9]", node.text) is not None)  # numbers in their cells alone


def test_picture_of_strange_survivals():
    hostile = pruned.made({"deu_Latn": 3, '<x y="&': 900})
    other = Survival(tuple(cell._replace(site=Site("tower", 11, "<&>")) for cell in hostile.cells))
    for found in (hostile, other, Survival(()), pruned.made({"deu_Latn": 0}, rank=0, entries=0)):
        for standalone in (True, False):
            ET.fromstring(survival_svg(found, standalone=standalone))
    missing = Survival((*hostile.cells, hostile.cells[0]._replace(role=Role.TARGET, site=Site("encoder", 1, "q"))))
    assert re.search(r'fill="currentColor" opacity="0.07"', survival_svg(missing))
