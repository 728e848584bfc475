"""Searching for recipes: spaces, samplers, resuming, what candidates are worth, and the verb."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import small
import tiny
from lingraft.atoms import ConfigError, DataError, Direction, LanguageError, LibraryError
from lingraft.cli import app
from lingraft.corpus.profile import Identifier, Profile
from lingraft.delta import Routing
from lingraft.direction import Recipe, attach, compose
from lingraft.fit.batch import collate, losses
from lingraft.library.mixing import Mixing, mixing, store
from lingraft.library.using import router, steps
from lingraft.measure.scores import score as score_texts
from lingraft.probe.search import Plan, Trial, best, search
from lingraft.probe.search_found import Gain
from lingraft.probe.search_gradient import Learning, learn
from lingraft.probe.search_judge import Judge, Lines, Verdict
from lingraft.probe.search_space import Space
from lingraft.probe.surface import field

DIRECTION = Direction("deu_Latn", "fra_Latn")
SITES = tuple(tiny.load("m2m_100").sites)


class Bowl:
    """An objective with one top, and a memory of what it was asked."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[Recipe] = []
        self.stop_after = stop_after

    def __call__(self, recipes) -> list[Verdict]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += recipes
        return [Verdict(self.value(each.source, each.target), 1.0, 2.0) for each in recipes]

    @staticmethod
    def value(a: float, b: float) -> float:
        return 30 - 9 * (a - 0.8) ** 2 - 6 * (b - 1.3) ** 2 - 3 * (a - 0.8) * (b - 1.3)


@pytest.mark.parametrize("over", ["ratio", "pair", "layers"])
def test_a_space_covers_every_layer_and_gives_points_back(over):
    space = Space.of(SITES, over, 0)
    point = {name: low + (high - low) * 0.3 for name, (low, high) in space.bounds.items()}
    recipe = space.recipe(point)
    assert space.point(recipe) == pytest.approx(point)
    recipe.check(SITES)
    assert sorted(layer for layers in space.units.values() for layer in layers) == sorted(
        {(site.stack, site.layer) for site in SITES}
    )
    assert len(space.bounds) == {"ratio": 1, "pair": 2, "layers": 2 * 4}[over]


def test_spaces():
    assert Space.of(SITES, "ratio").recipe({"ratio": 0.3}) == Recipe.ratio(0.3)
    assert Space.of(SITES, "pair").point(Recipe(5.0, -1.0)) == {"all source": 2.0, "all target": 0.0}
    assert list(Space.of(SITES, "layers", 1).units) == ["decoder.0-1", "encoder.0-1"]
    assert Space.of(SITES, "ratio").point(Recipe(0.0, 0.0)) == {"ratio": 0.5}
    assert len(Space.of(SITES, "pair").grid(30)) == 25
    assert [each["ratio"] for each in Space.of(SITES, "ratio").grid(3)] == [0.0, 0.5, 1.0]
    with pytest.raises(ConfigError, match="at least 256"):
        Space.of(SITES, "layers", 0).grid(30)


@pytest.mark.parametrize(("sampler", "gap"), [("gp", 0.3), ("tpe", 1.5), ("grid", 1.5)])
def test_samplers_find_the_top(sampler, gap):
    trials = search(Space.of(SITES, "pair"), Bowl(), Plan(sampler, 25))
    fine = max(Bowl.value(a, b) for a in np.linspace(0, 2, 41) for b in np.linspace(0, 2, 41))
    assert len(trials) == 25
    assert best(trials).verdict.value > fine - gap


def test_the_first_ones_are_tried_first_and_once():
    bowl = Bowl()
    first = [Recipe(), Recipe(0.5, 1.0), Recipe()]
    trials = search(Space.of(SITES, "pair"), bowl, Plan("tpe", 4, batch=2), first)
    assert bowl.asked[:2] == [Recipe(), Recipe(0.5, 1.0)]
    assert len(bowl.asked) == len(trials) == 4
    assert len(search(Space.of(SITES, "pair"), Bowl(), Plan("tpe", 1), first)) == 1


@pytest.mark.parametrize(("sampler", "after"), [("gp", 9), ("tpe", 9), ("grid", 8)])
def test_a_stopped_search_goes_on_as_if_it_had_not(tmp_path, sampler, after):
    space, first = Space.of(SITES, "pair"), [Recipe(), Recipe(0.4, 0.6)]
    plan = lambda name: Plan(sampler, 16, batch=3, seed=5, store=tmp_path / name)
    whole = search(space, Bowl(), plan("whole"), first)
    stopped, rest, told = Bowl(stop_after=after), Bowl(), []
    with pytest.raises(KeyboardInterrupt):
        search(space, stopped, plan("parts"), first)
    assert search(space, rest, plan("parts"), first, told.append) == whole
    assert len(stopped.asked) + len(rest.asked) == 16
    assert told == [len(stopped.asked)]
    again = Bowl()
    assert search(space, again, plan("parts"), first) == whole
    assert again.asked == []
    fewer = Plan(sampler, 9, batch=3, seed=5, store=tmp_path / "parts")  # of which there are more already
    if sampler != "grid":
        assert search(space, again, fewer, [*first, Recipe(0.1, 0.1)]) == whole
        assert again.asked == []


def test_a_grid_is_whole_though_the_store_holds_another(tmp_path):
    space, plan = Space.of(SITES, "pair"), lambda trials: Plan("grid", trials, store=tmp_path / "store")
    for count in (25, 36, 9):
        alone = search(space, Bowl(), Plan("grid", count))
        found = search(space, Bowl(), plan(count))
        assert len(found) == count
        assert {tuple(each.point.items()) for each in found} == {tuple(each.point.items()) for each in alone}
        assert best(found).verdict == best(alone).verdict


def test_a_store_that_is_none(tmp_path):
    (tmp_path / "store").write_text("this is no journal\n" * 3)
    with pytest.raises(LibraryError, match="store of trials"):
        search(Space.of(SITES, "ratio"), Bowl(), Plan(store=tmp_path / "store"))


@pytest.fixture(scope="module", params=["llama", "m2m_100"])
def judge(request, tmp_path_factory) -> Judge:
    library, _ = small.library(tmp_path_factory.mktemp("judge"), request.param, scoped=request.param == "llama")
    identifier = Identifier({code: Profile.train(code, [text]) for code, text in small.TEXTS.items()})
    made = Judge(library, DIRECTION, identifier, batch=7)
    made.library = library  # kept for the tests
    return made


LINES = Lines(tuple(small.lines("deu_Latn", 9)), tuple(small.lines("fra_Latn", 9)))
RECIPES = [Recipe(), Recipe(0.3, 1.6), Recipe(0.0, 0.5)]


def test_candidates_in_one_batch_are_what_each_is_alone(judge):
    found = judge.scores([Mixing(recipe) for recipe in RECIPES], LINES)
    for recipe, verdict in zip(RECIPES, found, strict=True):
        with attach(judge.base, compose(judge.bank, recipe, DIRECTION)) as translator:
            outputs = translator.translate(LINES.sources)
        assert verdict.outputs == tuple(outputs)
        assert verdict.chrf == pytest.approx(score_texts(outputs, LINES.references)[0].value)
        assert verdict.value == pytest.approx(verdict.chrf * (1 - verdict.off_target / 100))
    assert len({verdict.outputs for verdict in found}) > 1


def test_losses_are_those_of_each_alone(judge):
    found = judge.losses([Mixing(recipe) for recipe in RECIPES], LINES)
    rows = judge.rows(LINES)
    for recipe, verdict in zip(RECIPES, found, strict=True):
        batch = collate(judge.base, [(0, row) for row in rows])
        with torch.no_grad(), Routing(judge.base) as routing:
            routing.set([(compose(judge.bank, recipe, DIRECTION).route(), len(rows))], batch.span)
            (whole,) = losses(judge.base, batch)
        assert -verdict.value == pytest.approx(float(whole) / sum(batch.answers), rel=1e-4)


def test_gradients_lower_the_loss_that_the_judge_sees(judge):
    space = Space.of(judge.base.sites, "layers", 0)
    trials = learn(space, judge, LINES, Recipe(), Learning(epochs=8, rate=0.1))
    assert trials[0].point == pytest.approx(space.point(Recipe()))
    assert len(trials) == 1 + 8
    before, after = judge.losses([Mixing(space.recipe(trial.point)) for trial in (trials[0], best(trials))], LINES)
    assert after.value > before.value + 0.05
    for trial, verdict in ((trials[0], before), (best(trials), after)):
        assert trial.verdict.value == pytest.approx(verdict.value, rel=1e-5)
    one = learn(space, judge, LINES, Recipe(), Learning(epochs=1, rate=0.1))
    assert one == trials[:2]
    assert best(one) is one[1]  # what an epoch has learned is not lost


def test_what_single_sites_have_stays_and_has_no_gradient(judge):
    site = next(site for site in sorted(judge.base.sites) if site.name == "q")
    kept = {site: (0.0, 0.5)}
    space = Space.of(judge.base.sites, "pair", kept=kept)
    assert space.recipe(space.point(Recipe(sites=kept))) == Recipe(sites=kept)
    trials = learn(space, judge, LINES, Recipe(sites=kept), Learning(epochs=2))
    (verdict,) = judge.losses([Mixing(Recipe(sites=kept))], LINES)
    assert trials[0].verdict.value == pytest.approx(verdict.value, rel=1e-5)
    assert verdict.value != pytest.approx(judge.losses([Mixing()], LINES)[0].value, rel=1e-5)


def test_lines_are_parted_without_overlap():
    seen, unseen = Lines(tuple("abcdefg"), tuple("ABCDEFG")).parted()
    assert (seen.sources, unseen.sources) == (tuple("abdeg"), tuple("cf"))
    assert [text.lower() for text in seen.references] == list(seen.sources)
    doubled = Lines(tuple("abcdefgabcdefgxyc"), tuple("ABCDEFGABCDEFGFYX"))
    seen, unseen = doubled.parted()
    for side in ("sources", "references"):
        assert not set(getattr(seen, side)) & set(getattr(unseen, side))
    assert sorted(seen.sources + unseen.sources) == sorted(doubled.sources)
    assert unseen.sources == tuple("cfcfxc")  # x shares a reference with f


def test_the_field_goes_through_its_points():
    points = np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.9]])
    values = np.array([1.0, 5.0, 3.0])
    assert field(points, values, points) == pytest.approx(values, abs=0.4)
    assert field(points, values, np.array([[9.0, 9.0]])) == pytest.approx([3.0])


class Stage:
    """A library on disk, and the verb on it."""

    def __init__(self, folder: Path) -> None:
        self.library, self.base = small.library(folder, scoped=True)
        self.pattern = small.testset(folder, 90)

    def run(self, *words: str, testset: str | None = None) -> str:
        command = ["search", *words, "--library", str(self.library.path), "--base", str(self.base)]
        command += ["--device", "cpu", "--testset", testset or self.pattern]
        outcome = CliRunner(env={"COLUMNS": "140"}).invoke(app, command, catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return outcome.output


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Stage:
    return Stage(tmp_path_factory.mktemp("search"))


def test_the_verb_finds_stores_and_goes_on(stage, tmp_path, monkeypatch):
    files = [tmp_path / "a.json", tmp_path / "a.svg"]
    words = ["deu_Latn-French", "--trials", "9", "--save", "--json", str(files[0]), "--svg", str(files[1])]
    # Random adapters gain nothing on purpose; what is stored is asked of a gain that is put there.
    monkeypatch.setattr("lingraft.probe.search_run.gain", lambda *_: Gain(1.5, 0.5, 2.5, 0.01, 30, 0.01))
    output = stage.run(*words)
    assert "+1.50 (+0.5 … +2.5)" in output
    (data,) = json.loads(files[0].read_text())["directions"]
    assert len(data["trials"]) == 9
    assert data["lines"] == {"seen": 60, "unseen": 30}
    assert data["trials"][0]["point"] == {"all source": 1.0, "all target": 1.0}  # what is there comes first
    ET.parse(files[1])
    stored = mixing(stage.library, DIRECTION)
    assert (stored.recipe.source, stored.recipe.target) == tuple(data["best"].values())
    assert "9 trials, 60 lines" in stored.found["search"]
    assert stage.library.pointer("deu_Latn").source in stored.found["adapters"]
    monkeypatch.setattr("lingraft.probe.search_judge.fill", None)  # nothing but the unseen lines may be translated
    monkeypatch.setattr(Judge, "scores", lambda self, made, lines, _: [Verdict(1.0, 1.0, 0.0, ("x",))] * len(made))
    again = [*words[:3], "--json", str(files[0])]
    stage.run(*again)
    assert json.loads(files[0].read_text())["directions"][0]["trials"][:9] == data["trials"]


@pytest.mark.parametrize(("difference", "p"), [(1.5, 0.2), (-1.5, 0.01), (0.0, 1.0)])
def test_what_may_be_chance_is_not_stored(stage, monkeypatch, difference, p):
    monkeypatch.setattr("lingraft.probe.search_run.gain", lambda *_: Gain(difference, -2.5, 2.5, p, 12, p))
    output = stage.run("epo_Latn-fra_Latn", "--trials", "2", "--save")
    assert "may be chance" in output
    assert not (stage.library.path / "recipes" / "epo_Latn-fra_Latn.yaml").exists()


def test_more_directions_ask_for_more_certainty(stage, monkeypatch):
    monkeypatch.setattr("lingraft.probe.search_run.gain", lambda *_: Gain(1.5, 0.1, 2.5, 0.03, 12, 0.03))
    output = stage.run("epo_Latn-fra_Latn", "fra_Latn-epo_Latn", "--trials", "2", "--save")
    assert output.count("may be chance (p 0.060") == 2
    assert "wrote" in stage.run("epo_Latn-fra_Latn", "--trials", "2", "--save")
    (stage.library.path / "recipes" / "epo_Latn-fra_Latn.yaml").unlink()


def test_what_went_through_english_is_compared_as_it_was_and_goes_at_once_if_that_is_better(stage, monkeypatch):
    direction = Direction("fra_Latn", "deu_Latn")
    store(stage.library, direction, Mixing(via="pivot"))
    heard = []

    def gain(before, after, lines):
        heard.append((before.outputs, lines.sources))
        return Gain(1.5, 0.5, 2.5, 0.01, len(lines), 0.01)

    monkeypatch.setattr("lingraft.probe.search_run.gain", gain)
    stage.run(str(direction), "--trials", "2", "--save")
    ((outputs, sources),) = heard
    legs = steps(direction, "pivot")
    with attach(stage.library.base, router(stage.library, legs)) as translator:
        english = translator.translate(list(sources), legs[0])
        assert tuple(translator.translate(english, legs[1])) == outputs
    assert mixing(stage.library, direction).via == "direct"


@pytest.mark.parametrize("over", ["ratio", "layers"])
def test_other_spaces_and_objectives(stage, tmp_path, over):
    picture = tmp_path / "a.svg"
    stage.run("deu_Latn-epo_Latn", "--over", over, "--objective", "loss", "--trials", "3", "--svg", str(picture))
    ET.parse(picture)
    stage.run("deu_Latn-epo_Latn", "--over", over, "--sampler", "gradient", "--trials", "2", "--svg", str(picture))
    ET.parse(picture)


def test_what_others_found_is_tried_early(stage, tmp_path):
    store(stage.library, Direction("epo_Latn", "deu_Latn"), Mixing(Recipe(0.25, 1.75)))
    file = tmp_path / "a.json"
    stage.run("fra_Latn-deu_Latn", "--trials", "3", "--objective", "loss", "--json", str(file))
    points = [trial["point"] for trial in json.loads(file.read_text())["directions"][0]["trials"]]
    assert {"all source": 0.25, "all target": 1.75} in points


def test_bad_input(stage, tmp_path, monkeypatch):
    with pytest.raises(LanguageError, match="hyphen"):
        stage.run("deu_Latn")
    with pytest.raises(LanguageError, match="two languages, but is 'de-deu_Latn'"):
        stage.run("de-deu_Latn")
    same = tmp_path / "same"
    same.mkdir()
    for code in ("deu_Latn", "fra_Latn"):
        (same / f"test.{code}.txt").write_text("one\ntwo\n" * 20)
    with pytest.raises(DataError, match=r"at least 30 lines .* of 40 it leaves 0: .* count as one"):
        stage.run("deu_Latn-fra_Latn", testset=str(same / "test.{lang}.txt"))
    (same / "test.deu_Latn.txt").write_text("".join(f"{i}\n" for i in range(90)))  # all different, but for one side
    (same / "test.fra_Latn.txt").write_text("".join(f"{max(i, 3)}\n" for i in range(90)))
    with pytest.raises(DataError, match="of 90 it leaves 29:"):
        stage.run("deu_Latn-fra_Latn", testset=str(same / "test.{lang}.txt"))
    monkeypatch.setattr("lingraft.probe.search_cli.search_direction", None)  # all are looked at before the first
    with pytest.raises(LibraryError, match="two languages of .*, but deu_Latn-eng_Latn has eng_Latn"):
        stage.run("deu_Latn-fra_Latn", "deu_Latn-eng_Latn")
    with pytest.raises(LanguageError, match="each direction once"):
        stage.run("deu_Latn-fra_Latn", "German-French")
    with pytest.raises(DataError, match="`-` must be where JSON goes"):
        stage.run("deu_Latn-fra_Latn", "--svg", "-")
    with pytest.raises(DataError, match="folder that exists"):
        stage.run("deu_Latn-fra_Latn", "--svg", str(tmp_path / "no" / "x.svg"))
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(DataError, match="Give 90 different ones or more"):
        stage.run("deu_Latn-fra_Latn", testset=small.testset(few, 12))
    store(stage.library, Direction("deu_Latn", "fra_Latn"), Mixing(method="ties"))
    with pytest.raises(ConfigError, match="linear"):
        stage.run("deu_Latn-fra_Latn", "--sampler", "gradient", "--trials", "1")


def test_best_is_the_first_of_equals():
    trials = [Trial({"ratio": x}, Verdict(value)) for x, value in ((0.1, 1.0), (0.2, 2.0), (0.3, 2.0))]
    assert best(trials).point == {"ratio": 0.2}
