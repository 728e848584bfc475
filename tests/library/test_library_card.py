"""What ``library.json`` keeps of a recipe, and that cards from before there were layers still open."""

from __future__ import annotations

import json

import pytest
import shelf
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import ConfigError, Direction, LibraryError, Role, Scope, Site
from lingraft.delta import Adapter
from lingraft.direction import Recipe
from lingraft.library import LanguageModule, Library
from lingraft.library.library_card import Weights
from lingraft.library.using import router

BASE = shelf.base()
RECIPE = Recipe(
    0.0, 1.0, {("decoder", 0): (1.0, 0.0)}, {("decoder", 0, "v"): (0.25, 0.75), Site("decoder", 1, "up"): (1.0, 0.5)}
)
weights = st.floats(-1e6, 1e6) | st.integers(0, 1)
pairs = st.tuples(weights, weights)
recipes = st.builds(
    Recipe,
    weights,
    weights,
    st.dictionaries(st.sampled_from([(site.stack, site.layer) for site in BASE.sites]), pairs),
    st.dictionaries(st.sampled_from(list(BASE.sites)), pairs),
)


@given(recipes)
def test_a_recipe_is_stored_and_read_exactly(recipe):
    assert Weights.from_json(Weights.of(recipe).to_json()).recipe() == recipe


def test_a_library_keeps_its_whole_recipe(tmp_path):
    Library.create(tmp_path / "lib", BASE, recipe=RECIPE, scope="everywhere")
    for library in (Library.open(tmp_path / "lib"), Library.ensure(tmp_path / "lib", BASE, recipe=Recipe())):
        assert library.recipe == RECIPE
        assert library.card.scope == "everywhere"
    stored = json.loads((tmp_path / "lib" / "library.json").read_text())["recipe"]
    assert stored["layers"] == {"decoder.0": [1.0, 0.0]}
    assert stored["sites"] == {"decoder.0.v": [0.25, 0.75], "decoder.1.up": [1.0, 0.5]}


def test_a_plain_recipe_is_stored_as_before_there_were_layers(tmp_path):
    library = Library.create(tmp_path / "lib", BASE, recipe=Recipe(0.5, 0.75))
    stored = json.loads((library.path / "library.json").read_text())
    assert stored["recipe"] == {"source": 0.5, "target": 0.75}
    del stored["recipe"]
    (library.path / "library.json").write_text(json.dumps(stored))
    assert Library.open(library.path, BASE).recipe == Recipe()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(layers={("decoder", 2): (1, 0)}), r"names decoder\.2 instead. It has decoder 0-1"),
        (Recipe(layers={("encoder", 0): (1, 0)}), r"names encoder\.0"),
        (Recipe(sites={("decoder", 0, "fc1"): (1, 0)}), r"names decoder\.0\.fc1"),
        (Recipe(float("nan")), "from -1000 to 1000"),
    ],
)
def test_a_recipe_of_another_base_makes_no_library(recipe, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        Library.create(tmp_path / "lib", BASE, recipe=recipe)
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize(
    "recipe",
    [
        {"layers": {"decoder.9": [1, 0]}},
        {"layers": {"decoder.01": [1, 0]}},
        {"layers": {"decoder": [1, 0]}},
        {"layers": {"decoder.0": [1]}},
        {"layers": {"decoder.0": [1, "0"]}},
        {"layers": {"decoder.0": 1}},
        {"layers": []},
        {"sites": {"decoder.0": [1, 0]}},
        {"sites": {"decoder.0.fc1": [1, 0]}},
        {"stacks": {}},
        {"source": None},
    ],
)
def test_a_damaged_recipe_is_refused_with_its_place(recipe, tmp_path):
    library = Library.create(tmp_path / "lib", BASE)
    card = json.loads((library.path / "library.json").read_text())
    card["recipe"] |= recipe
    (library.path / "library.json").write_text(json.dumps(card))
    with pytest.raises(LibraryError, match=r"library\.json.* must ") as caught:
        Library.open(library.path, BASE)
    assert caught.value.code == "library.damaged"


def test_adapters_with_updates_where_the_recipe_uses_them_are_routed_with_its_weights(tmp_path):
    """The joint regime's way: no update where the role's weight is 0, and every language has both adapters."""
    library = Library.create(tmp_path / "lib", BASE, recipe=RECIPE, scope="everywhere")
    for language in ("deu_Latn", "fra_Latn"):
        parts = []
        for role in Role:
            whole = shelf.adapter(BASE, language, role, scoped=False).updates
            some = {site: update for site, update in whole.items() if role in RECIPE.roles(site)}
            parts.append(Adapter(language, role, Scope.EVERYWHERE, some))
        library.add({language: LanguageModule(*parts, shelf.record(), shelf.record(), shelf.profile(language))})
    library.base.languages = ()
    direction = Direction("deu_Latn", "fra_Latn")
    source, target = router(library, [direction])(direction)
    assert len(source.updates) == len([site for site in BASE.sites if site.layer == 0]) + 1
    assert source.weights[Site("decoder", 0, "q")] == 1.0
    assert source.weights[Site("decoder", 0, "v")] == 0.25
    assert target.weights[Site("decoder", 0, "v")] == 0.75
    assert target.weights[Site("decoder", 1, "up")] == 0.5
    assert Site("decoder", 0, "q") not in target.updates
