"""A library that was trained jointly is a library like any other, and grows by languages trained alone."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny
from lingraft.atoms import ENGLISH, AdapterName, ConfigError, Direction, LibraryError, Role
from lingraft.cli import app
from lingraft.direction import Recipe, attach, recipe_file
from lingraft.fit import Joint, Material, Modular
from lingraft.library import Library
from lingraft.library.grow import grow
from lingraft.library.joint import grow_joint, learn_indexing, plan_joint
from lingraft.library.plan import plan
from lingraft.library.using import router

LANGUAGES = ("deu_Latn", ENGLISH, "fra_Latn")
REGIME = Joint(rank=2, epochs=2, rows=16, tokens=400, precision="fp32", learning_rate=1e-2)


def write(folder: Path, *languages: str, count: int = 30) -> str:
    for a in languages:
        for b in languages:
            if a < b:
                rows = "".join(f"{a[:3]} {i} a\t{b[:3]} {i} b\n" for i in range(count))
                (folder / f"{a}-{b}.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    return str(folder / "{a}-{b}.tsv.gz")


def files(path: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in sorted(path.rglob("*"))
        if p.is_file() and ".runs" not in p.parts
    }


def test_what_was_learned_is_written_before_its_checkpoints_go(tmp_path):
    base, path = tiny.load("m2m_100"), tmp_path / "learned"
    wanted = plan_joint(
        base, LANGUAGES, write(tmp_path, *LANGUAGES), None, REGIME.model_copy(update={"learn": "layer"})
    )
    weights = path / "indexing.json"
    weights.mkdir(parents=True)  # in the way of the file
    with pytest.raises(LibraryError, match=r"`.*indexing\.json` must be writable"):
        learn_indexing(base, path, wanted)
    assert list(path.glob(".runs/*/step-*"))
    weights.rmdir()
    found = learn_indexing(base, path, wanted)
    assert recipe_file.read(path / "indexing.yaml") == found.recipe()
    assert json.loads(weights.read_text()) == found.to_json()
    assert not list(path.glob(".runs/*"))


@pytest.fixture(params=["llama", "m2m_100"])
def base(request):
    return tiny.load(request.param)


def test_a_joint_library_is_used_and_grows_like_any_other(base, tmp_path):
    wanted = plan_joint(base, LANGUAGES, write(tmp_path, *LANGUAGES), None, REGIME)
    assert "6 for 3 languages" in wanted.describe(base)
    path = tmp_path / "library"
    grow_joint(base, path, wanted)
    library = Library.open(path, base)
    assert library.languages() == tuple(sorted(LANGUAGES))
    assert library.recipe.resolve(base.sites) == REGIME.recipe(base).resolve(base.sites)
    assert not list(path.glob(".runs/*"))
    version = library.pointer("deu_Latn").source
    card = (path / "adapters" / "deu_Latn.source" / version / "README.md").read_text()
    assert "together with those of English, French" in card
    where = Direction("deu_Latn", "fra_Latn")
    with attach(base, router(library, [where])) as translator:
        before = translator.translate(["deu 3 a"], where, max_tokens=6)
    old = files(path)

    # A language that comes later is trained by itself, with the same recipe, beside English's own adapters.
    pattern = write(tmp_path, ENGLISH, "epo_Latn")
    regime = Modular(rank=2, epochs=1, rows=16, tokens=400, precision="fp32", scope="everywhere")
    later = plan(base, ["epo_Latn"], pattern, regime=regime, library=library)
    assert {name.language for name in later.context.bank} == {ENGLISH}
    grow(base, path, later)
    library = Library.open(path, base)
    for role in Role:
        sites = library.load("epo_Latn", role).updates
        assert set(sites) == {site for site in base.sites if role in library.recipe.roles(site)}
    new = files(path)
    assert {key: new[key] for key in old} == old
    with attach(base, router(library, [where])) as translator:
        assert translator.translate(["deu 3 a"], where, max_tokens=6) == before


def test_english_takes_part_where_it_has_adapters(base, tmp_path):
    path = tmp_path / "library"
    grow_joint(base, path, plan_joint(base, LANGUAGES, write(tmp_path, *LANGUAGES), None, REGIME))
    library = Library.open(path, base)
    pattern = write(tmp_path, ENGLISH, "epo_Latn")
    regime = Modular(rank=2, epochs=1, rows=16, tokens=400, precision="fp32", scope="everywhere")
    later = plan(base, ["epo_Latn"], pattern, regime=regime, library=library)
    into, out = regime.learners(base, Material(later.corpus, later.dev, context=later.context))
    (route,) = into.routes([Direction("epo_Latn", ENGLISH)])
    english = later.context.bank[AdapterName(ENGLISH, Role.TARGET)]
    assert [term.updates for term in route[1:]] == [english.updates]
    assert not any(update.A.requires_grad for update in english.updates.values())
    (route,) = out.routes([Direction(ENGLISH, "epo_Latn")])
    assert [term.updates for term in route[1:]] == [later.context.bank[AdapterName(ENGLISH, Role.SOURCE)].updates]


def test_without_dev_text_it_is_judged_on_no_sentence_that_it_trains_on(tmp_path):
    """The text is parallel line by line, as much text between many languages is."""
    base = tiny.load("llama", layers=1)
    for a, b in combinations(sorted(LANGUAGES), 2):
        rows = "".join(f"{a[:3]} {i} c\t{b[:3]} {i} c\n" for i in range(60))
        (tmp_path / f"{a}-{b}.tsv").write_text(rows + (f"{a[:3]} 1 c\tmore {b}\n" * (a == "deu_Latn")))
    pattern = str(tmp_path / "{a}-{b}.tsv")
    seed = next(n for n in range(200) if _holds(pattern, base, n, "deu 1 c"))
    wanted = plan_joint(base, LANGUAGES, pattern, None, REGIME.model_copy(update={"seed": seed}))
    for language in wanted.languages:
        trained, judged = (
            {line for text in texts if language in (text.a, text.b) for line in text.of(language)}
            for texts in (wanted.corpus, wanted.dev)
        )
        assert (bool(judged), trained & judged) == (True, set())
    assert any("left out 1 that share a sentence with rows held out for dev" in note for note in wanted.notes)
    given = plan_joint(base, LANGUAGES[:2], pattern, pattern, REGIME)
    assert any("the training text and its dev text" in note for note in given.notes)


def _holds(pattern: str, base, seed: int, line: str) -> bool:
    wanted = plan_joint(base, LANGUAGES, pattern, None, REGIME.model_copy(update={"seed": seed}))
    return any(line in text.left for text in wanted.dev)


def test_what_is_no_library_is_refused_before_training(base, tmp_path):
    pattern = write(tmp_path, *LANGUAGES)
    one_sided = tmp_path / "one.yaml"
    recipe_file.write(Recipe(0.0, 1.0), one_sided)
    for change, message in (({"shared": True}, r"fit\.shared"), ({"indexing": str(one_sided)}, r"fit\.indexing")):
        wanted = plan_joint(base, LANGUAGES, pattern, None, REGIME.model_copy(update=change))
        with pytest.raises(ConfigError, match=message):
            grow_joint(base, tmp_path / "none", wanted)
    assert not (tmp_path / "none").exists()
    Library.create(tmp_path / "other", base)
    with pytest.raises(LibraryError, match="new folder"):
        grow_joint(base, tmp_path / "other", plan_joint(base, LANGUAGES, pattern, None, REGIME))


def test_the_command_learns_an_indexing_and_trains_with_it(tmp_path, monkeypatch):
    base = tiny.load("m2m_100")
    monkeypatch.setattr("lingraft.library.cli_joint.open_base", lambda *_: base)
    config = tmp_path / "joint.yaml"
    config.write_text(f"""
base: {base.id}
library: {tmp_path / "learned"}
pairs: {write(tmp_path, *LANGUAGES)}
languages: [German, eng, fra_Latn]
fit:
  rank: 2
  epochs: 1
  rows: 16
  precision: fp32
""")
    run = lambda *words: CliRunner().invoke(app, ["fit-joint", str(config), *words], catch_exceptions=False)
    assert "3 languages" in run("--dry-run").output
    assert not (tmp_path / "learned").exists()
    done = run("fit.learn=layer", "fit.mixing_rate=0.5")
    assert "indexing.yaml" in done.output
    weights = json.loads((tmp_path / "learned" / "indexing.json").read_text())
    assert set(weights["source"]) == {f"{stack}.{i}" for stack in ("encoder", "decoder") for i in (0, 1)}
    recipe = recipe_file.read(tmp_path / "learned" / "indexing.yaml")
    recipe.check(base.sites)
    recipe_file.write(Recipe(0.0, 1.0, {("encoder", 0): (1.0, 0.0)}), tmp_path / "split.yaml")
    done = run(f"fit.indexing={tmp_path / 'split.yaml'}", f"library={tmp_path / 'library'}")
    assert "added German" in done.output
    library = Library.open(tmp_path / "library", base)
    assert {site.stack for site in library.load("deu_Latn", Role.SOURCE).updates} == {"encoder"}
