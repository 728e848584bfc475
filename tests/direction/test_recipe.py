"""Law 5 for recipes of every shape, and what is wrong with a recipe is said with what there is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import ConfigError, Role, Site
from lingraft.direction import Recipe

NAMES = {"encoder": ("q", "v", "fc1"), "decoder": ("q", "cross_q")}
SITES = [Site(stack, layer, name) for stack, names in NAMES.items() for layer in range(12) for name in names]
LAYERS = sorted({(site.stack, site.layer) for site in SITES})
weights = st.sampled_from([0.0, 1.0, -0.5, 0.25])
pairs = st.tuples(weights, weights)
recipes = st.builds(
    Recipe,
    weights,
    weights,
    st.dictionaries(st.sampled_from(LAYERS), pairs),
    st.dictionaries(st.sampled_from(SITES) | st.sampled_from([tuple(site) for site in SITES]), pairs),
)


@given(recipes)
def test_law_5_every_site_is_mixed_once_and_the_narrowest_rule_counts(recipe):
    mixes = recipe.resolve(SITES)
    assert list(mixes) == SITES
    for site, mix in mixes.items():
        pair = (recipe.source, recipe.target)
        for (stack, layer), other in recipe.layers.items():
            if (stack, layer) == (site.stack, site.layer):
                pair = other
        for place, other in recipe.sites.items():
            if tuple(place) == tuple(site):
                pair = other
        assert (mix[Role.SOURCE], mix[Role.TARGET]) == pair
        assert {role: recipe.weight(site, role) for role in Role} == mix
        assert recipe.roles(site) == {role for role, weight in mix.items() if weight}


def test_a_pair_of_zeros_is_an_override_too():
    recipe = Recipe(layers={("encoder", 0): (0, 0)}, sites={("decoder", 1, "q"): (0, 0)})
    assert recipe.roles(Site("encoder", 0, "v")) == set()
    assert recipe.roles(Site("decoder", 1, "q")) == set()
    assert recipe.roles(Site("decoder", 1, "cross_q")) == set(Role)


def test_strange_names_are_all_said_with_what_there_is():
    recipe = Recipe(
        layers={("encoder", 12): (1, 0), ("coder", 1): (1, 0), ("encoder", 1): (1, 0)},
        sites={("encoder", 1, "cross_q"): (1, 0), Site("decoder", 12, "q"): (1, 0), ("decoder", 1, "q"): (1, 0)},
    )
    with pytest.raises(ConfigError) as caught:
        recipe.resolve(SITES)
    layers, sites = str(caught.value).splitlines()
    assert "names coder.1, encoder.12 instead. It has decoder 0-11, encoder 0-11." in layers
    assert "names decoder.12.q, encoder.1.cross_q instead." in sites
    assert "decoder 0-11 with cross_q, q; encoder 0-11 with fc1, q, v" in sites


def test_of_many_strange_names_some_are_said_and_gaps_are_seen():
    recipe = Recipe(layers={("encoder", layer): (1, 0) for layer in range(20, 30)})
    some = [site for site in SITES if site.layer not in (3, 5)]
    with pytest.raises(ConfigError, match=r"encoder\.25 and 4 more .* decoder 0-2, 4, 6-11"):
        recipe.check(some)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(math.nan),
        Recipe(1, math.inf),
        Recipe(1e30),
        Recipe(layers={("encoder", 0): (1, math.nan)}),
        Recipe(layers={("encoder", 0): (1,)}),  # type: ignore[dict-item]
        Recipe(sites={SITES[0]: (1, "1")}),  # type: ignore[dict-item]
    ],
)
def test_weights_that_are_no_numbers_are_refused(recipe):
    with pytest.raises(ConfigError, match="must be two numbers from -1000 to 1000"):
        recipe.check(SITES)
