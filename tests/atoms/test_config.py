"""Settings: strict, frozen, every problem reported at once, and no key ever vanishes."""

from __future__ import annotations

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from lingraft.atoms.config import Settings, override, read
from lingraft.atoms.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Settings):
    rate: float = Field(default=1e-3, gt=0)
    """Learning rate."""
    name: str = "adam"


class Outer(Settings):
    epochs: int = Field(default=3, ge=1)
    rank: int | None = None
    colour: Colour = Colour.RED
    sites: tuple[str, ...] = ("q", "v")
    on: bool = False
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("item", "field", "value"),
    [
        ("fit.epochs=5", "epochs", 5),
        ("fit.rank=16", "rank", 16),
        ("fit.rank=null", "rank", None),
        ("fit.colour=blue", "colour", Colour.BLUE),
        ("fit.sites=[q, k]", "sites", ("q", "k")),
        ('fit.sites=["no"]', "sites", ("no",)),
        ("fit.sites=[no, de]", "sites", ("no", "de")),
        ("fit.on=true", "on", True),
        ("fit.inner.rate=1e-4", "inner", Inner(rate=1e-4)),
        ("fit.inner.rate=2", "inner", Inner(rate=2.0)),
        ("fit.inner.name=a=b", "inner", Inner(name="a=b")),
        ('fit.inner.name="12"', "inner", Inner(name="12")),
        ("fit.inner.name='12'", "inner", Inner(name="12")),
    ],
)
def test_an_item_replaces_its_value_and_no_other(item, field, value):
    changed = override(Outer(), [item], section="fit")
    assert getattr(changed, field) == value
    assert changed == Outer(**{field: value})


def test_no_items_is_the_identity_and_no_section_means_fields_first():
    assert override(Outer(), []) == Outer()
    assert override(Outer(), ["inner.name=x"]).inner.name == "x"


def test_all_problems_come_at_once_with_their_paths():
    items = ["fit.epoch=3", "fit.rank=x", "fit.inner.rate=-1", "fit.inner.nam=x", "fti.epochs=1", "fit.epochs", "fit=3",
             "fit.inner=3", "fit.on.deep=1", "fit.colour=green", "fit.colour=red", "fit.inner.name=7"]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        override(Outer(), items, section="fit")
    lines = str(error.value).splitlines()
    assert len(lines) == len(items)
    for key in [item.partition("=")[0] for item in items]:
        assert any(line.startswith(f"`{key}`") for line in lines), key
    assert "Did you mean epochs?" in str(error.value)
    assert "Did you mean name?" in str(error.value)
    assert "greater than 0, but is -1 instead" in str(error.value)


@pytest.mark.parametrize("value", ["3.5", "1.0", "true", "three", "'3'", "nan", "[3]", ""])
def test_nothing_is_coerced(value):
    with pytest.raises(ConfigError, match=r"`epochs` must be"):
        override(Outer(), [f"epochs={value}"])


@given(st.text(min_size=1, max_size=12))
def test_a_misspelt_key_never_vanishes(key):
    known = set(Outer.model_fields)
    if key.partition("=")[0].strip() in known:
        return
    with pytest.raises(ConfigError):
        override(Outer(), [f"{key}=1"])


@given(st.integers(1, 10**9), st.floats(1e-9, 1e9), st.booleans())
def test_what_is_written_is_what_is_read(epochs, rate, on):
    changed = override(Outer(), [f"epochs={epochs}", f"inner.rate={rate!r}", f"on={on}"])
    assert (changed.epochs, changed.inner.rate, changed.on) == (epochs, rate, on)


def test_settings_are_frozen_and_closed():
    with pytest.raises(ValidationError):
        Outer(epoch=3)
    with pytest.raises(ValidationError):
        Outer().epochs = 4


def test_a_file_of_settings_is_read_without_yamls_surprises(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("epochs: 7  # many\nsites: [no, k]\ninner:\n  rate: 1e-4\n  name: '3'\n")
    found = read(Outer, path)
    assert (found.epochs, found.sites, found.inner.rate, found.inner.name) == (7, ("no", "k"), 1e-4, "3")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epochs: 7\nepochs: 8", "given again in line 2"),
        ("epoch: 7\ninner: {rates: 3}", "inner.rates"),
        ("epochs: '7'", "epochs"),
        ("- 1", "list"),
        ("a: [", "YAML"),
        ("a: &x [1]\nb: *y", "YAML"),
    ],
)
def test_a_file_that_is_not_settings_is_refused_with_the_place(tmp_path, text, named):
    path = tmp_path / "fit.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        read(Outer, path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read(Outer, tmp_path / "none.yaml")
