"""`lingraft probe merge` on a small library, and its picture."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pruned
import pytest
from click.testing import CliRunner

import banks
import tiny
from lingraft.atoms import ConfigError, DataError, Direction, LanguageError, LibraryError, Site
from lingraft.cli import app
from lingraft.direction import Recipe
from lingraft.direction.merge_report import MergeReport, merge_report
from lingraft.direction.methods import METHODS
from lingraft.probe.merge_picture import merge_svg

SVG = "{http://www.w3.org/2000/svg}"
DIRECTION = Direction("deu_Latn", "fra_Latn")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    return pruned.library(tmp_path_factory.mktemp("merge"))


@pytest.fixture(scope="module")
def found() -> MergeReport:
    return merge_report(banks.bank(tiny.load("m2m_100"), DIRECTION), Recipe(), DIRECTION)


def words(folders: tuple[Path, Path], *more: str) -> list[str]:
    library, base = folders
    return ["probe", "merge", *more, "--library", str(library), "--base", str(base), "--device", "cpu"]


def test_json_and_picture(folders, tmp_path):
    """In this library each site has an adapter of one role, so nothing is there to disagree."""
    picture = tmp_path / "maps.svg"
    command = words(folders, "deu_Latn-French", "recipe.target=0.5", "--json", "--svg", str(picture))
    outcome = CliRunner().invoke(app, [*command, "--methods", "ties, svd", "--rank", "1"])
    assert outcome.exit_code == 0, outcome.output
    expected = merge_report(pruned.bank(tiny.load("m2m_100")), Recipe(1, 0.5), DIRECTION, ("ties", "svd"))
    data = json.loads(outcome.stdout)
    assert data["direction"] == "deu_Latn-fra_Latn"
    assert data["setting"] == {"density": None, "rank": 1, "seed": 0}
    assert data["layers"].keys() == expected.to_dict()["layers"].keys()
    assert data["all"]["norms"] == pytest.approx(expected.to_dict()["all"]["norms"])
    assert data["all"]["errors"]["ties"] < 1e-6 < data["all"]["errors"]["svd"]
    ET.parse(picture)


def test_tables(folders):
    outcome = CliRunner(env={"COLUMNS": "150"}).invoke(app, words(folders, "deu_Latn-fra_Latn"))
    assert outcome.exit_code == 0, outcome.output
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert ["layer", *METHODS] in lines
    assert sum(line[:1] == ["all"] for line in lines) == 2
    for name, method in METHODS.items():
        assert any(line[:1] == [f"{name}:"] and method.paper in " ".join(line) for line in lines)


def test_bad_input(folders, tmp_path):
    run = lambda *more: CliRunner().invoke(app, words(folders, *more), catch_exceptions=False)
    with pytest.raises(LanguageError, match="hyphen"):
        run("deu_Latn")
    with pytest.raises(LibraryError, match=r"none of ita_Latn and spa_Latn\. It has.*epo_Latn"):
        run("ita_Latn-spa_Latn")
    with pytest.raises(LibraryError, match="none of eng_Latn"):
        run("deu_Latn-eng_Latn")
    with pytest.raises(LanguageError, match="two languages"):
        run("deu_Latn-de")
    with pytest.raises(ConfigError, match="density"):
        run("deu_Latn-fra_Latn", "--density", "2")
    with pytest.raises(ConfigError, match="Did you mean ties"):
        run("deu_Latn-fra_Latn", "--methods", "tie")
    with pytest.raises(ConfigError, match="`--methods` must name some of linear"):
        run("deu_Latn-fra_Latn", "--methods", ",")
    with pytest.raises(DataError, match="folder that exists"):
        run("deu_Latn-fra_Latn", "--svg", str(tmp_path / "no" / "x.svg"))


def test_picture_shows_every_figure_once(found):
    root = ET.fromstring(merge_svg(found))
    titles = [node.text or "" for node in root.iter(f"{SVG}title")]
    layers = found.together(lambda site: (site.stack, site.layer))
    for (stack, layer), merging in layers.items():
        for name, error in merging.errors.items():
            assert sum(t.endswith(f": {stack}, layer {layer}, {name}: {100 * error:.4g}") for t in titles) == 1
    for site, merging in found.sites.items():
        for value in (merging.cosine, merging.columns[0], merging.rows[0]):
            assert any(t.endswith(f": {site.stack}, layer {site.layer}, {site.name}: {value:.4g}") for t in titles)
    assert len(titles) == len(layers) * len(METHODS) + 3 * len(found.sites)


def test_nothing_lies_outside_the_picture_or_on_another_cell(found):
    root = ET.fromstring(merge_svg(found))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    boxes = []
    for node in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(node.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        boxes += [(x, y, w, h)] if h > 10 else []  # a cell, not the legend
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, _, _ in boxes[:i]:
            assert abs(x - x2) >= w or abs(y - y2) >= h
    for node in root.iter(f"{SVG}text"):
        size, x, y = (float(node.get(name)) for name in ("font-size", "x", "y"))
        wide = 0.62 * size * len(node.text)  # a generous guess
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[node.get("text-anchor")]
        assert 0 <= left <= left + wide <= width
        assert size <= y <= height
        inside = [b for b in boxes if left < b[0] + b[2] and left + wide > b[0] and y > b[1] and y - size < b[1] + b[3]]
        assert len(inside) <= 1


def test_picture_of_strange_reports(found):
    into_english = merge_report(banks.bank(tiny.load("llama")), Recipe(), Direction("deu_Latn", "eng_Latn"))
    merging = next(iter(found.sites.values()))
    hostile = replace(found, sites={Site("tower", 11, '<&"'): merging}, direction=Direction("<x", "&y"))
    for report in (into_english, hostile, replace(found, sites={}, methods=())):
        for standalone in (True, False):
            ET.fromstring(merge_svg(report, standalone=standalone))
    assert re.search(r'fill="currentColor" opacity="0.07"', merge_svg(into_english))
