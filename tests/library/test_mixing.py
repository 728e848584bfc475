"""How a direction is made: stored, found again, and followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import small
from lingraft.atoms import AdapterError, ConfigError, Direction, LibraryError, Site
from lingraft.cli import app
from lingraft.direction import Recipe, attach
from lingraft.direction.methods import Setting, compose_with
from lingraft.library import Library
from lingraft.library.mixing import Mixing, chosen, mixing, named, store, stored_directions
from lingraft.library.mixing_file import parse, text_of
from lingraft.library.using import router, steps, usual_via

DIRECTION = Direction("deu_Latn", "fra_Latn")
TEXTS = ["der kleine Hund", "sieht das Haus", "und trinkt kaltes Wasser"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Library, Path]:
    return small.library(tmp_path_factory.mktemp("mixing"))


@pytest.fixture
def library(folders) -> Library:
    """The library with nothing stored."""
    library, _ = folders
    for path in (library.path / "recipes").glob("*"):
        path.unlink()
    return library


weights = st.floats(-10, 10, allow_nan=False)
pairs = st.tuples(weights, weights)
recipes = st.builds(
    Recipe,
    weights,
    weights,
    st.dictionaries(st.tuples(st.just("decoder"), st.integers(0, 9)), pairs, max_size=3),
    st.dictionaries(st.builds(Site, st.just("decoder"), st.integers(0, 9), st.sampled_from("qkv")), pairs, max_size=3),
)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(lambda text: " ".join(text.split()))


@given(
    st.builds(
        Mixing,
        st.none() | recipes,
        st.sampled_from(["linear", "ties", "svd"]),
        st.fixed_dictionaries(
            {},
            optional={"density": st.floats(0.01, 1), "rank": st.integers(1, 64).map(float), "seed": st.just(7.0)},
        ),
        st.sampled_from(["direct", "pivot"]),
        st.dictionaries(words, words, max_size=3),
    )
)
def test_what_is_written_is_read(made):
    assert parse(text_of(made), "a") == made


def test_a_plain_recipe_is_a_mixing():
    assert parse("source: 0.5\n", "a") == Mixing(Recipe(0.5, 1.0))
    assert parse("via: pivot\n", "a") == Mixing(via="pivot")


def test_every_problem_is_named_at_once():
    text = "vias: direct\nsource: yes\noptions:\n  density: half\nfound: [1]\nvia: [1]\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert all("x.yaml" in line for line in lines)
    assert "Did you mean via?" in lines[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: tie\n", "Did you mean ties"),
        ("via: both\n", "direct or pivot"),
        ("options:\n  densty: 1\n", "density, rank, seed"),
        ("options:\n  density: 2\n", "up to 1"),
        ("options:\n  rank: 1.5\n", "whole number"),
        ("", "mapping"),
    ],
)
def test_what_cannot_be_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "x.yaml")


def test_the_own_file_comes_before_the_default_and_a_single_adapter_has_none(library):
    own, default = Mixing(Recipe(0.5, 2.0), found={"chrf": "1.0"}), Mixing(method="ties")
    into_english = Direction("deu_Latn", "eng_Latn")
    assert mixing(library, DIRECTION) == Mixing()
    store(library, None, default)
    assert mixing(library, DIRECTION) == mixing(library, Direction("fra_Latn", "deu_Latn")) == default
    assert mixing(library, into_english) == Mixing()
    store(library, DIRECTION, own)
    store(library, into_english, own)
    assert mixing(library, DIRECTION) == mixing(library, into_english) == own
    assert mixing(library, Direction("fra_Latn", "deu_Latn")) == default
    assert stored_directions(library) == {DIRECTION: own, into_english: own}
    assert sorted(path.name for path in (library.path / "recipes").iterdir()) == sorted(
        ["default.yaml", "deu_Latn-fra_Latn.yaml", "deu_Latn-eng_Latn.yaml"]
    )
    assert Library.open(library.path).languages() == library.languages()  # the folder disturbs nobody


def test_a_recipe_with_a_name_of_its_own_is_no_direction(library):
    store(library, DIRECTION, Mixing(Recipe(0.5, 2.0)))
    names = ("early-late", "deu_Latn-fra_Latn-old", "deu_Latn-late", "deu_Latn-deu_Latn")
    for name in names:
        (library.path / "recipes" / f"{name}.yaml").write_text("source: 0.5\n")
    assert stored_directions(library) == {DIRECTION: Mixing(Recipe(0.5, 2.0))}
    assert named(library, "early-late") == Mixing(Recipe(0.5))
    assert [path.stem for path in library.places.recipes("deu_Latn")] == [str(DIRECTION)]


def test_the_router_follows_what_is_stored(library):
    store(library, DIRECTION, Mixing(Recipe(0.25, 3.0, {("decoder", 0): (1.0, 0.0)})))
    for term, of in zip(router(library, [DIRECTION])(DIRECTION), (0, 1), strict=True):
        assert {site.layer: weight for site, weight in term.weights.items()} == {0: (1.0, 0.0)[of], 1: (0.25, 3.0)[of]}
    given = router(library, [DIRECTION], Recipe(7.0, 8.0))(DIRECTION)
    assert [set(term.weights.values()) for term in given] == [{7.0}, {8.0}]
    other = Direction("fra_Latn", "deu_Latn")  # of the same languages, but not named
    assert [set(term.weights.values()) for term in router(library, [DIRECTION])(other)] == [{1.0}, {1.0}]


def test_a_method_is_that_of_compose_with(library):
    made = Mixing(Recipe(0.5, 1.5), "ties", {"density": 0.5, "rank": 2})
    routes = router(library, [DIRECTION], made)
    expected = compose_with(library.bank(DIRECTION), Recipe(0.5, 1.5), DIRECTION, "ties", Setting(0.5, 2))
    (term,) = routes(DIRECTION)
    for site, update in expected.updates[term.scope].items():
        torch.testing.assert_close(term.updates[site].delta(), update.delta())
    assert routes(DIRECTION) is routes(DIRECTION)  # made once


def test_layers_that_the_base_lacks_are_refused(library):
    made = Mixing(Recipe(layers={("decoder", 9): (1.0, 0.0)}))
    with pytest.raises(ConfigError, match=r"decoder\.9"):
        store(library, DIRECTION, made)
    (library.path / "recipes").mkdir(exist_ok=True)
    (library.path / "recipes" / f"{DIRECTION}.yaml").write_text(text_of(made))
    with pytest.raises(ConfigError, match=r"decoder\.9"):
        router(library, [DIRECTION])


def test_names_stay_inside_the_library(library, tmp_path):
    for direction in (Direction("../x", "fra_Latn"), Direction("deu_Latn", "a/b"), Direction("deu_Latn", "deu_Latn")):
        with pytest.raises(LibraryError):
            store(library, direction, Mixing())
        with pytest.raises(LibraryError):
            mixing(library, direction)
    outside = tmp_path / "outside.yaml"
    outside.write_text("source: 0.5\n")
    (library.path / "recipes").mkdir(exist_ok=True)
    os.symlink(outside, library.path / "recipes" / f"{DIRECTION}.yaml")
    with pytest.raises((LibraryError, AdapterError), match="link"):
        mixing(library, DIRECTION)


def test_names_on_the_command_line(library, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("source: 0.5\n")
    store(library, None, Mixing(via="pivot"))
    assert named(library, str(file)).recipe == Recipe(0.5)
    assert named(library, "default").via == "pivot"
    assert named(library, "library") == Mixing()
    with pytest.raises(ConfigError, match="library, default"):
        named(library, "mine")
    assert chosen(library, None, None, DIRECTION) is None
    assert chosen(library, None, "ties", DIRECTION) == Mixing(method="ties", via="pivot")


def test_steps():
    assert steps(DIRECTION, "direct") == (DIRECTION,)
    assert steps(DIRECTION, "pivot") == (Direction("deu_Latn", "eng_Latn"), Direction("eng_Latn", "fra_Latn"))
    assert steps(Direction("deu_Latn", "eng_Latn"), "pivot") == (Direction("deu_Latn", "eng_Latn"),)


def test_translate_follows_and_can_be_told(folders, library, tmp_path):
    _, base = folders

    def told(*options: str) -> list[str]:
        command = ["translate", "--from", "deu_Latn", "--to", "fra_Latn", *options]
        command += ["--library", str(library.path), "--base", str(base), "--device", "cpu"]
        outcome = CliRunner().invoke(app, command, input="\n".join(TEXTS), catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout.split("\n")[:-1]

    def by(recipe: Recipe | Mixing | None, *way: Direction) -> list[str]:
        lines = TEXTS
        for step in way:
            with attach(library.base, router(library, [step], recipe)) as translator:
                lines = translator.translate(lines, step)
        return [part for line in lines for part in line.split("\n")]

    recipe = tmp_path / "mine.yaml"
    recipe.write_text("source: 0.2\ntarget: 1.9\n")
    plain, pivot = by(None, DIRECTION), by(None, *steps(DIRECTION, "pivot"))
    mixed, ties = by(Recipe(0.2, 1.9), DIRECTION), by(Mixing(method="ties"), DIRECTION)
    assert len({tuple(each) for each in (plain, pivot, mixed, ties)}) == 4
    assert told() == plain
    assert told("--via", "pivot") == pivot
    assert told("--recipe", str(recipe)) == mixed
    assert told("--method", "ties") == ties
    store(library, DIRECTION, Mixing(Recipe(0.2, 1.9), via="pivot"))
    assert told() == pivot
    assert told("--via", "direct") == mixed
    assert told("--recipe", "library", "--via", "direct") == plain
    recipe.write_text("source: 0.2\ntarget: 1.9\nvia: pivot\n")
    assert told("--recipe", str(recipe)) == pivot
    with pytest.raises(ConfigError, match="`--recipe` must be of a direction"):
        told("--recipe", str(recipe), "--via", "pivot")


def test_a_direction_with_one_adapter_goes_through_english_unless_that_is_asked(folders, library, tmp_path):
    where = Direction("deu_Latn", "ita_Latn")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("source: 0.4\n")

    def told(*options: str) -> str:
        command = ["translate", "--from", "deu", "--to", "ita", "--library", str(library.path)]
        command += ["--base", str(folders[1]), "--device", "cpu", *options]
        return CliRunner().invoke(app, command, input="\n".join(TEXTS), catch_exceptions=False).stdout

    usual, direct = told(), told("--via", "direct")
    assert usual != direct
    assert told("--recipe", "library") == usual
    with pytest.raises(ConfigError, match="goes through English. Drop it, or add --via direct"):
        told("--recipe", str(recipe))
    assert told("--recipe", str(recipe), "--via", "direct") not in (usual, direct)
    store(library, where, Mixing(Recipe(0.4)))  # says nothing of the way
    assert usual_via(library, where) == "pivot"
    assert told() == usual
    recipe.write_text("source: 0.4\nvia: direct\n")
    assert told("--recipe", str(recipe)) not in (usual, direct)


def test_a_recipe_that_nobody_follows_is_named(folders, library):
    (library.path / "recipes").mkdir(exist_ok=True)
    (library.path / "recipes" / "German-fra.yaml").write_text("source: 0.0\n")
    command = ["translate", "--from", "deu", "--to", "fra", "--library", str(library.path), "--base", str(folders[1])]
    outcome = CliRunner().invoke(app, [*command, "--device", "cpu"], input="x", catch_exceptions=False)
    assert "warning: recipes/German-fra.yaml is not followed: its name must be deu_Latn-fra_Latn.yaml" in outcome.stderr
