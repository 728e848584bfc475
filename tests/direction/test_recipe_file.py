"""Recipes as files: read∘write ≡ identity, the paper's indexing, and everything that can be wrong at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import ConfigError, Role, Site
from lingraft.direction import Recipe
from lingraft.direction.recipe_file import parse, read, write

RECIPES = Path(__file__).parents[2] / "recipes"
floats = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-3, 3)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
layers = st.integers(0, 999)
pairs = st.tuples(floats, floats)
recipes = st.builds(
    Recipe,
    floats,
    floats,
    st.dictionaries(st.tuples(names, layers), pairs, max_size=4),
    st.dictionaries(st.builds(Site, names, layers, names), pairs, max_size=4),
)


@given(recipes, st.text(max_size=40))
def test_read_gives_back_what_was_written(tmp_path_factory, recipe, comment):
    path = tmp_path_factory.mktemp("recipe") / "x.yaml"
    write(recipe, path, comment)
    assert read(path) == recipe
    assert [each.name for each in path.parent.iterdir()] == ["x.yaml"]


def test_the_papers_indexing_is_one_hot_in_all_24_layers():
    path = RECIPES / "lslo-m2m124.yaml"
    recipe = read(path)
    names = {"encoder": ("q", "fc2"), "decoder": ("q", "cross_k", "fc2")}
    sites = [Site(stack, layer, name) for stack in names for layer in range(12) for name in names[stack]]
    for site, mix in recipe.resolve(sites).items():
        source = site.stack == "encoder" and site.layer <= 8
        assert mix == {Role.SOURCE: float(source), Role.TARGET: float(not source)}
    with pytest.raises(ConfigError, match=r"names decoder\.6"):
        recipe.check(site for site in sites if site.layer < 6)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_names_its_source_on_line_1(path):
    assert path.read_text(encoding="utf-8").startswith("# https://")
    read(path)


def test_a_range_and_single_places_say_the_same():
    text = "layers: {encoder.0-2: [1, 0]}\nsites: {decoder.9-10.q: [0, 1.5]}"
    assert parse(text, "x") == Recipe(
        layers={("encoder", layer): (1, 0) for layer in range(3)},
        sites={("decoder", 9, "q"): (0, 1.5), ("decoder", 10, "q"): (0, 1.5)},
    )
    assert parse("{}", "x") == Recipe()
    assert parse("source: 1e-3\ntarget: -.5", "x") == Recipe(0.001, -0.5)


LINES = [
    ("", "`the recipe` in x must be a mapping of names to weights, but is empty"),
    ("- 1", "but is a list of 1"),
    ("source: [", "must be YAML"),
    ("a: &a [*a, *a", "must be YAML"),
    ("--- {}\n--- {}", "must be YAML"),
    ("[" * 100_000, "must be YAML"),
    ("\0", "must be YAML"),
    ("sorce: 1", "`sorce` in x, line 1 must be one of source, target, layers, sites, but is none instead. Did you"),
    ("<<: {source: 1}", "must be one of"),
    ("source: 1\nsource: 1", "`source` in x, line 2 must be named once"),
    ("layers: {e.0: [1, 0], e.0: [1, 0]}", "must be named once"),
    ("layers:\n  e.0-3: [1, 0]\n  e.3: [0, 1]", "line 3 must be about what nothing else names, but names layer 3"),
    ("sites: {e.0-3.q: [1, 0], e.1.q: [0, 1]}", "names layer 1 again"),
    ("layers: {e.3-0: [1, 0]}", "a range that goes up"),
    ("layers:", "`layers` in x, line 1 must be a mapping of names to weights, but is '' instead"),
    ("layers: {[1]: [1, 0]}", "plain keys"),
    *((f"layers: {{{name}: [1, 0]}}", "must be named like encoder.0 or encoder.0-8, but is not")
      for name in ("e", "e.01", "e.-1", "e.0.q", "'.0'", "e.٣", "e.0-", "e.1000", "' e.0'", '"e.0\\n"')),
    *((f"sites: {{{name}: [1, 0]}}", "must be named like encoder.0.q or")
      for name in ("e.0", "e.q.0", "e.0.", "e.0.q.r")),
    *((f"source: {value}", "must be a number, but is")
      for value in ("'1'", "yes", "null", "1_000", "0x10", "1:30", ".inf", "-.inf", ".nan", "1e999", "٣", "", "{}",
                    "[1]", "!!float 1", "!!python/object/apply:os.getcwd []", "|\n  1")),
    *((f"layers: {{e.0: {value}}}", "must be a pair [source, target]") for value in ("1", "[1]", "[1, 0, 0]", "{}")),
    ("layers: {e.0: [1, a]}", "`layers.e.0` in x, line 1 must be a number, but is 'a' instead"),
    ("layers: {" + ", ".join(f"s{i}.0-999: [1, 0]" for i in range(50)) + "}", "at most 20000 places"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), LINES, ids=[repr(text)[:40] for text, _ in LINES])
def test_what_is_no_recipe_is_refused_with_its_place(text, words):
    with pytest.raises(ConfigError) as caught:
        parse(text, "x")
    assert words in str(caught.value)
    assert " must " in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_all_problems_are_said_at_once():
    text = "source: a\ntraget: 1\nlayers:\n  e.0: [1, b]\n  f: [1, 0]\nsites: [1]\nlayers: {}"
    with pytest.raises(ConfigError) as caught:
        parse(text, "x")
    lines = str(caught.value).splitlines()
    assert sorted(line.split("line ")[1].split(" ")[0] for line in lines) == ["1", "2", "4", "5", "6", "7"]


def test_an_alias_is_no_bomb():
    bomb = "layers: &a {e.0: [1, 0]}\nsites: *a\n"
    with pytest.raises(ConfigError, match=r"sites\.e\.0"):
        parse(bomb, "x")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(math.nan),
        Recipe(layers={("e", 0): (math.inf, 0)}),
        Recipe(layers={("a b", 0): (1, 0)}),
        Recipe(sites={("e", 0, "q: 1"): (1, 0)}),
        Recipe(sites={("e", -1, "q"): (1, 0)}),
    ],
)
def test_what_read_would_refuse_is_not_written(recipe, tmp_path):
    (tmp_path / "x.yaml").write_text("source: 1.0")
    with pytest.raises(ConfigError):
        write(recipe, tmp_path / "x.yaml")
    assert read(tmp_path / "x.yaml") == Recipe()


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"source: \xff")
    (tmp_path / "long.yaml").write_bytes(b"#" * 1_000_001)
    for name in ("nowhere.yaml", "latin.yaml", "long.yaml", "."):
        with pytest.raises(ConfigError, match=" must "):
            read(tmp_path / name)
    with pytest.raises(ConfigError, match="must be writable"):
        write(Recipe(), tmp_path / "nowhere" / "x.yaml")
