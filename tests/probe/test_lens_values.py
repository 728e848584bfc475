"""The lens as a value, as JSON and as a picture, and `lingraft probe lens`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import glass
import pruned
import pytest
from click.testing import CliRunner

from lingraft.atoms import ConfigError, DataError, Direction, LanguageError, Role
from lingraft.base import load
from lingraft.cli import app
from lingraft.corpus import read_testset
from lingraft.delta import Bank
from lingraft.direction import Recipe, route
from lingraft.library import Library
from lingraft.library.mixing import Mixing, store
from lingraft.probe import Curve, Lens, Reading, lens_svg, logit_lens
from lingraft.probe.lens_cli import _only, library_systems

SVG = "{http://www.w3.org/2000/svg}"


def reading(name: str, own: list[float], english: list[float], source: list[float] | None = None) -> Reading:
    """A system with these probabilities."""
    curve = lambda values: Curve(tuple(values), tuple(float(10**n) for n in range(len(values), 0, -1)))
    curves = {"fra_Latn": curve(own), "eng_Latn": curve(english), "deu_Latn": curve(source or own)}
    some = tuple(n / 10 for n in range(len(own)))
    top = {"fra_Latn": some, "eng_Latn": some, "deu_Latn": (0.0,) * len(own), "und": tuple(1 - 2 * x for x in some)}
    return Reading(name, curves, some, top)


def made(*systems: Reading) -> Lens:
    systems = systems or (
        reading("base", [0.01, 0.02, 0.03], [0.02, 0.03, 0.04]),
        reading("both", [0.01, 0.05, 0.4], [0.02, 0.03, 0.1], [0.001, 0.002, 0.003]),
    )
    return Lens(glass.WHERE, systems, 120, 30, 1, "demo", "dev")


@pytest.mark.parametrize(
    ("own", "english", "layer"),
    [
        ([1, 2, 3], [0, 1, 2], 0),
        ([1, 2, 3], [1, 1, 2], 1),  # as likely is not likelier
        ([1, 0, 3], [0, 1, 2], 2),  # ahead once, and for good later
        ([1, 2, 1], [0, 1, 2], None),
        ([1, 2, 2], [0, 1, 2], None),
        ([1], [0], 0),
    ],
)
def test_crossing(own, english, layer):
    assert reading("x", own, english).crossing == layer


def test_json():
    lens = made()
    assert Lens.from_json(lens.to_json()) == lens
    data = json.loads(lens.to_json())
    assert [system["crossing"] for system in data["systems"]] == [None, 1]
    assert data["direction"] == ["deu_Latn", "fra_Latn"]
    assert [len(made().notes), len(Lens(glass.WHERE, lens.systems, 99, 9).notes)] == [2, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(format=2),
        lambda data: data.update(more=1),
        lambda data: data.update(positions=-1),
        lambda data: data.update(base=None),
        lambda data: data.update(direction=["deu_Latn"]),
        lambda data: data.update(systems=[]),
        lambda data: data["systems"][0].pop("ahead"),
        lambda data: data["systems"][0].update(ahead=[]),
        lambda data: data["systems"][0].update(curves={}),
        lambda data: data["systems"][0]["curves"]["fra_Latn"]["rank"].pop(),
        lambda data: data["systems"][0]["curves"]["fra_Latn"].update(rank=["1", "2", "3"]),
        lambda data: data["systems"][0]["curves"]["fra_Latn"].update(probability=[float("nan")] * 3),
        lambda data: data["systems"][0]["curves"].pop("deu_Latn"),
        lambda data: data["systems"][0]["top"].pop("und"),
    ],
)
def test_damaged_json_is_refused(change):
    data = json.loads(made().to_json())
    change(data)
    with pytest.raises(DataError, match="Write it anew"):
        Lens.from_json(json.dumps(data))


def test_picture_shows_every_value_once_and_frames_the_crossing():
    lens = made()
    root = ET.fromstring(lens_svg(lens))
    titles = [node.text for node in root.iter(f"{SVG}title")]
    assert len([t for t in titles if "median rank" in t]) == 2 * 3 * 3  # systems, languages, layers
    assert "both, layer 2, French: 40 %, median rank 10" in titles
    assert len([t for t in titles if ": rank " in t]) == 2 * 3 * 3
    assert len(list(root.iter(f"{SVG}polyline"))) == 2 * (3 + 3 + 4)
    frames = [
        group.find(f"{SVG}title").text
        for group in root.iter(f"{SVG}g")
        if any(rect.get("stroke") for rect in group.iter(f"{SVG}rect"))
    ]
    assert frames == ["both, layer 1, French: 5 %, median rank 100"]


def test_nothing_lies_outside_the_picture():
    deep = [reading(name, [0.9 / n for n in range(1, 34)], [0.5] * 33) for name in ("both", "multi-parallel, all")]
    for lens in (made(), made(*deep)):
        root = ET.fromstring(lens_svg(lens))
        width, height = (float(root.get(side)) for side in ("width", "height"))
        for node in root.iter(f"{SVG}rect"):
            x, y, wide, high = (float(node.get(name)) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + wide <= width
            assert 0 <= y <= y + high <= height
        for node in root.iter(f"{SVG}circle"):
            assert 0 <= float(node.get("cx")) <= width
            assert 0 <= float(node.get("cy")) <= height
        for node in root.iter(f"{SVG}text"):
            size, x, y = (float(node.get(name)) for name in ("font-size", "x", "y"))
            wide = 0.6 * size * len(node.text)
            left = x - {"start": 0, "middle": wide / 2, "end": wide}[node.get("text-anchor")]
            assert left >= 0, node.text
            assert left + wide <= width, node.text
            assert size <= y <= height


def test_picture_of_strange_lenses():
    hostile = reading('<x y="&', [0.0], [0.0])
    into = Reading("base", {"eng_Latn": Curve((0.0, 1.0), (9.0, 1.0))}, (), {"zxx": (1.0, 1.0)})
    for lens in (made(hostile), Lens(Direction("deu_Latn", "eng_Latn"), (into,), 1, 1)):
        for standalone in (True, False):
            ET.fromstring(lens_svg(lens, standalone=standalone))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path, str]:
    folder = tmp_path_factory.mktemp("lens")
    return *pruned.library(folder), glass.files(folder)


def run(folders: tuple[Path, Path, str], direction: str, *words: str, testset: str = "") -> object:
    library, base, pattern = folders
    command = ["probe", "lens", direction, "--library", str(library), "--base", str(base), "--device", "cpu"]
    return CliRunner().invoke(app, [*command, "--testset", testset or pattern, *words], catch_exceptions=False)


def test_command(folders, tmp_path):
    tuned = ["--tuned", str(folders[1]), "--limit", "5"]
    outcome = run(folders, "de-fr", *tuned, "--json", str(tmp_path / "lens.json"), "--svg", str(tmp_path / "lens.svg"))
    assert outcome.exit_code == 0, outcome.output
    found = Lens.from_json((tmp_path / "lens.json").read_bytes())
    library = Library.open(folders[0], load(str(folders[1])))
    bank = library.bank(glass.WHERE)
    alone = lambda code, role: route(Bank([bank[code, role]]), Recipe(), glass.WHERE)
    systems = {
        "base": (),
        "source": alone("deu_Latn", Role.SOURCE),
        "target": alone("fra_Latn", Role.TARGET),
        "both": route(bank, Recipe(), glass.WHERE),
        "tuned": (),
    }
    assert found == logit_lens(library.base, read_testset(folders[2]), glass.WHERE, systems, limit=5)
    assert len({each.curves["fra_Latn"].probability for each in found.systems}) == 4
    assert (tmp_path / "lens.svg").read_text(encoding="utf-8") == lens_svg(found)
    last = [line.split()[0] for line in outcome.stdout.splitlines() if line.split()[0] in systems]
    assert last == list(systems)


def test_systems_of_a_library(folders):
    library = Library.open(folders[0], load(str(folders[1])))
    assert list(library_systems(library, Direction("deu_Latn", "eng_Latn"))) == ["base", "source"]
    assert list(library_systems(library, Direction("spa_Latn", "fra_Latn"))) == ["base", "target"]
    where = Direction("deu_Latn", "fra_Latn")
    file = store(library, where, Mixing(Recipe(0.5, 0.7)))
    found = library_systems(library, where)
    weights = {name: {weight for term in route for weight in term.weights.values()} for name, route in found.items()}
    assert weights == {"base": set(), "source": {0.5}, "target": {0.7}, "both": {0.5, 0.7}}
    file.unlink()
    mix = Recipe(0.5, 2.0, {("decoder", 0): (1.0, 3.0)}, {("decoder", 1, "q"): (4.0, 5.0)})
    only = _only(mix, Role.TARGET)
    assert only == Recipe(0.0, 2.0, {("decoder", 0): (0.0, 3.0)}, {("decoder", 1, "q"): (0.0, 5.0)})


def test_command_refuses(folders, tmp_path):
    for direction, error, words in (
        ("deu_Latn", LanguageError, "hyphen"),
        ("de-deu_Latn", LanguageError, "two languages"),
        ("eng_Latn-spa_Latn", ConfigError, "takes part"),
    ):
        with pytest.raises(error, match=words):
            run(folders, direction)
    with pytest.raises(DataError, match="lacks epo_Latn"):
        run(folders, "deu_Latn-epo_Latn")
    with pytest.raises(DataError, match="folder that exists"):
        run(folders, "deu_Latn-fra_Latn", "--svg", str(tmp_path / "no" / "x.svg"))
    assert run(folders, "deu_Latn-fra_Latn", "--limit", "0").exit_code == 2
