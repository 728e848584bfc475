"""The vLLM plugin against stand-ins with the signatures of vLLM 0.32, and PEFT as the reference for what it writes."""

from __future__ import annotations

import asyncio
import copy
import fcntl
import json
import logging
import os
import shutil
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import tiny
from library import shelf
from lingraft.atoms import ENGLISH, ConfigError, Direction, LibraryError, Role, Scope
from lingraft.base import load
from lingraft.delta import Routing, Update
from lingraft.direction import Recipe
from lingraft.library import Library
from lingraft.library.mixing import Mixing, store
from lingraft.library.using import router
from lingraft.serve import vllm_plugin
from lingraft.serve.vllm_cache import Cache
from lingraft.serve.vllm_names import Asked, Settings, read_name
from lingraft.serve.vllm_plugin import Composer, padded, register, resolver

PAIR = Direction("deu_Latn", "epo_Latn")
OPTIONS = {"ranks": (2, 3), "alphas": (2.0, 1.0)}


class LoRAResolver(ABC):
    @abstractmethod
    async def resolve_lora(self, base_model_name: str, lora_name: str): ...


@dataclass
class Registry:
    resolvers: dict[str, LoRAResolver] = field(default_factory=dict)

    def get_supported_resolvers(self):
        return self.resolvers.keys()

    def register_resolver(self, resolver_name: str, resolver: LoRAResolver) -> None:
        self.resolvers[resolver_name] = resolver


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
    base_model_name: str | None = None
    load_inplace: bool = False
    is_3d_lora_weight: bool = False

    def __post_init__(self) -> None:
        assert 1 <= self.lora_int_id < 2**63
        assert self.lora_path


@pytest.fixture
def registry(monkeypatch) -> Registry:
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.resolver", "vllm.lora.request")}
    found = Registry()
    modules["vllm.lora.resolver"].__dict__.update(LoRAResolver=LoRAResolver, LoRAResolverRegistry=found)
    modules["vllm.lora.request"].__dict__.update(LoRARequest=LoRARequest)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


@pytest.fixture(scope="module")
def base_id(tmp_path_factory) -> str:
    return str(tiny.base("llama", tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def shelved(base_id, tmp_path_factory) -> Path:
    base = load(base_id)
    library = Library.create(tmp_path_factory.mktemp("lib") / "x", base, scope="everywhere")
    library.add({language: shelf.module(base, language, scoped=False, **OPTIONS) for language in PAIR})
    return library.path


@pytest.fixture
def library(base_id, shelved, tmp_path) -> Library:
    return Library.open(shutil.copytree(shelved, tmp_path / "lib"), load(base_id))


def composer_of(library: Library, **options) -> Composer:
    return Composer(Settings(library.path, library.path.parent / "cache", **options))


@torch.no_grad()
def logits(model, base, where: Direction) -> torch.Tensor:
    (row,) = base.format.encode(where, ["das Haus"], ["la domo"])
    return model(input_ids=torch.tensor([row.source + row.target + row.answer])).logits


def routed(library: Library, where: Direction, made: Recipe | None = None) -> torch.Tensor:
    with Routing(library.base) as routing:
        routing.set([(router(library, [where], made)(where), 1)])
        return logits(library.base.model, library.base, where)


def through_peft(library: Library, folder: Path, where: Direction) -> torch.Tensor:
    from peft import PeftModel

    model = PeftModel.from_pretrained(copy.deepcopy(library.base.model), str(folder)).eval()
    return logits(model, library.base, where)


@pytest.mark.parametrize(
    ("name", "where", "made"),
    [
        ("deu_Latn-epo_Latn", PAIR, None),
        ("in.deu_Latn+out.epo_Latn", PAIR, None),
        ("in.deu_Latn", Direction("deu_Latn", ENGLISH), None),
        ("eng_Latn-epo_Latn", Direction(ENGLISH, "epo_Latn"), None),
        ("in.deu_Latn+out.epo_Latn@half", PAIR, Recipe(0.5, 0.25)),
        ("deu_Latn-epo_Latn@library", PAIR, Recipe()),
    ],
)
def test_what_peft_loads_is_what_the_library_computes(name, where, made, base_id, library):
    store(library, None, Mixing(Recipe(0.5, 0.25)))
    (library.path / "recipes" / "default.yaml").rename(library.path / "recipes" / "half.yaml")
    folder = composer_of(library).folder(base_id, name)
    wanted = routed(library, where, made)
    assert (wanted - logits(library.base.model, library.base, where)).abs().max() > 0.05
    torch.testing.assert_close(through_peft(library, folder, where), wanted, rtol=1e-4, atol=1e-4)


def test_the_folder_is_as_vllm_takes_it(base_id, library):
    """One rank that vLLM has, the scale 1, no patterns, and the names that vLLM reads."""
    folder = composer_of(library).folder(base_id, str(PAIR))
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["rank_pattern"], config["alpha_pattern"]) == (8, 8, {}, {})
    for name, tensor in load_file(folder / "adapter_model.safetensors").items():
        assert name.startswith("base_model.model.model.layers.")
        assert name.endswith(("lora_A.weight", "lora_B.weight"))
        assert tensor.shape[0 if "lora_A" in name else 1] == 8


@pytest.mark.parametrize(("rank", "wanted"), [(1, 8), (8, 8), (9, 16), (33, 64), (257, 320), (512, 512)])
def test_padding_changes_nothing_but_the_rank(rank, wanted):
    generator = torch.Generator().manual_seed(rank)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    updates = {"a": Update(draw(rank, 6), draw(5, rank), 0.5), "b": Update(draw(1, 6), draw(5, 1), 3.0)}
    for name, update in padded(updates).items():
        assert (update.rank, update.scale) == (wanted, 1.0)
        torch.testing.assert_close(update.delta(), updates[name].delta(), rtol=1e-5, atol=1e-5)


def test_a_rank_that_vllm_does_not_take_is_refused():
    with pytest.raises(LibraryError, match="must be at most 512 for vLLM, but is 513"):
        padded({"a": Update(torch.zeros(513, 2), torch.zeros(2, 513))})


def test_equal_content_has_one_folder_and_other_content_another(base_id, library):
    composer = composer_of(library)
    first = composer.folder(base_id, str(PAIR))
    before = shelf.picture(first)
    assert composer.folder(base_id, "in.deu_Latn+out.epo_Latn") == first
    assert composer_of(library).folder(base_id, str(PAIR)) == first  # after a restart
    assert composer.folder(base_id, "in.deu_Latn") != first
    store(library, PAIR, Mixing(Recipe(1.0, 0.5)))
    mixed = composer.folder(base_id, str(PAIR))
    assert mixed not in (first, composer.folder(base_id, f"{PAIR}@library"))
    library.add({"deu_Latn": shelf.module(library.base, "deu_Latn", scoped=False, seed=1, **OPTIONS)})
    assert composer.folder(base_id, str(PAIR)) not in (first, mixed)
    assert shelf.picture(first) == before
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: composer.folder(base_id, "out.epo_Latn"), range(16)))) == 1


def test_the_weights_of_the_base_are_not_kept(base_id, library):
    composer = composer_of(library)
    composer.folder(base_id, str(PAIR))
    (opened,) = composer._opened.values()
    assert sum(parameter.numel() for parameter in opened.base.model.parameters()) == 0
    assert composer.folder(base_id, "in.deu_Latn")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fra_Latn-epo_Latn", "fra_Latn must be in the library or known to its base"),
        ("in.fra_Latn", "`fra_Latn` must be a language of"),
        ("in.ita_Latn+out.epo_Latn", "`ita_Latn` must be a language of"),
        ("ita_Latn-spa_Latn", "must have an adapter"),
        ("deu_Latn-deu_Latn", "must have two languages"),
        ("deu_Latn-epo_Latn@none", "`none` must be a recipe of the library"),
        ("epo_Latn-deu_Latn", "Ask for in.epo_Latn and then out.deu_Latn"),
        ("epo_Latn-deu_Latn@broken", "must be"),
    ],
)
def test_what_cannot_be_had_is_not_found_and_said_in_the_log(name, said, base_id, library, registry, caplog):
    store(library, Direction("epo_Latn", "deu_Latn"), Mixing(via="pivot"))
    (library.path / "recipes" / "broken.yaml").write_text("source: one\n")
    with caplog.at_level(logging.WARNING, vllm_plugin.log.name):
        found = asyncio.run(resolver(composer_of(library)).resolve_lora(base_id, name))
    assert found is None
    assert said in caplog.text


def test_a_damaged_adapter_costs_its_own_directions_alone(base_id, library, registry, caplog):
    version = library.pointer("deu_Latn").source
    weights = library.places.folder("deu_Latn", Role.SOURCE) / version / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    found = resolver(composer_of(library))
    assert asyncio.run(found.resolve_lora(base_id, str(PAIR))) is None
    assert "altered" in caplog.text
    assert asyncio.run(found.resolve_lora(base_id, "out.epo_Latn"))


def test_another_base_is_refused_once_for_all(library, registry, tmp_path, caplog, monkeypatch):
    other, composer = str(tiny.base("llama", tmp_path, seed=1)), composer_of(library)
    loads: list[str] = []
    monkeypatch.setattr(vllm_plugin, "load", lambda base, **options: loads.append(base) or load(base, **options))
    for _ in range(2):
        assert asyncio.run(resolver(composer).resolve_lora(other, str(PAIR))) is None
    assert "must be for the base" in caplog.text
    assert loads == [other]
    assert not (tmp_path / "cache").exists()


def test_adapters_of_spans_are_refused_unless_that_is_meant(base_id, tmp_path):
    base = load(base_id)
    library = Library.create(tmp_path / "lib", base)
    library.add({language: shelf.module(base, language, **OPTIONS) for language in PAIR})
    with pytest.raises(LibraryError, match="LINGRAFT_VLLM_SPANS=everywhere for worse"):
        composer_of(library).folder(base_id, str(PAIR))
    folder = composer_of(library, everywhere=True).folder(base_id, str(PAIR))
    terms = [term._replace(scope=Scope.EVERYWHERE) for term in router(library, [PAIR])(PAIR)]
    with Routing(base) as routing:
        routing.set([(tuple(terms), 1)])
        wanted = logits(base.model, base, PAIR)
    torch.testing.assert_close(through_peft(library, folder, PAIR), wanted, rtol=1e-4, atol=1e-4)


def test_vllm_gets_a_resolver_once_and_a_request_of_its_own_kind(base_id, library, registry, monkeypatch):
    monkeypatch.delenv("LINGRAFT_LIBRARY", raising=False)
    register()
    assert not registry.resolvers
    monkeypatch.setenv("LINGRAFT_LIBRARY", str(library.path / "no"))
    with pytest.raises(LibraryError, match="must be a library"):
        register()
    monkeypatch.setenv("LINGRAFT_LIBRARY", str(library.path))
    monkeypatch.setenv("LINGRAFT_VLLM_CACHE", str(library.path.parent / "cache"))
    register()
    first = dict(registry.resolvers)
    register()  # vLLM may load plugins several times
    assert registry.resolvers == first
    (found,) = first.values()
    assert isinstance(found, LoRAResolver)
    requests = [asyncio.run(found.resolve_lora(base_id, name)) for name in (str(PAIR), "in.deu_Latn")]
    assert [request.lora_name for request in requests] == [str(PAIR), "in.deu_Latn"]
    assert len({request.lora_int_id for request in requests}) == 2
    assert all((Path(request.lora_path) / "adapter_config.json").is_file() for request in requests)
    assert asyncio.run(found.resolve_lora(base_id, "somebody/else")) is None


def test_settings_come_from_the_environment_with_all_problems_at_once():
    found = Settings.of({"LINGRAFT_LIBRARY": "lib", "XDG_CACHE_HOME": "c", "LINGRAFT_VLLM_SPANS": "everywhere"})
    assert found == Settings(Path("lib"), Path("c/lingraft/vllm"), 4096, True)
    assert Settings.of({"LINGRAFT_VLLM_CACHE_MB": "x"}) is None
    with pytest.raises(ConfigError, match=r"(?s)CACHE_MB` must be.*SPANS` must be"):
        Settings.of({"LINGRAFT_LIBRARY": "x", "LINGRAFT_VLLM_CACHE_MB": "0", "LINGRAFT_VLLM_SPANS": "yes"})


CODES = st.sampled_from(["deu_Latn", "rus_Cyrl", "eng_Latn"])


@given(CODES, CODES, st.sampled_from(["", "@half", "@v1.2-b"]))
def test_names_say_what_is_asked_for(source, target, recipe):
    both, mixed, pair = (Role.SOURCE, Role.TARGET), recipe[1:] or None, Direction(source, target)
    assert read_name(f"{source}-{target}{recipe}") == Asked(pair, both, False, mixed)
    assert read_name(f"in.{source}+out.{target}{recipe}") == Asked(pair, both, True, mixed)
    assert read_name(f"in.{source}{recipe}") == Asked(Direction(source, ENGLISH), both[:1], True, mixed)
    assert read_name(f"out.{target}{recipe}") == Asked(Direction(ENGLISH, target), both[1:], True, mixed)


@given(st.text() | st.from_regex(r"(in\.|out\.)?[a-z]{3}_[A-Z][a-z]{3}[-+@./]+.{0,12}"))
def test_other_names_are_for_others_and_never_paths(name):
    found = read_name(name)
    assert found is None or not set("/\\\0") & set(name)
    for recipe in ("../x", ".x", "a/b", "", "x" * 65, "é"):
        assert read_name(f"deu_Latn-epo_Latn@{recipe}") is None


def folder_of(size: int):
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "file").write_bytes(bytes(size))

    return write


def test_the_cache_keeps_to_its_budget_and_takes_nothing_from_anyone(tmp_path):
    a, b, c, d, e, f = (letter * 32 for letter in "abcdef")
    (tmp_path / "c" / "photos").mkdir(parents=True)
    (tmp_path / "c" / "photos" / "file").write_bytes(bytes(1000))
    old = Cache(tmp_path / "c", 100)
    for age, key in enumerate((a, b, c)):
        os.utime(old.get(key, folder_of(30)), ns=(age, age))
    os.close(old._held.pop(a))  # as when a process ends
    os.close(old._held.pop(c))
    (tmp_path / "c" / ".lingraft-draft-x").mkdir()
    new = Cache(tmp_path / "c", 100)
    assert new.get(d, folder_of(30)).is_dir()
    names = lambda: sorted(path.name for path in (tmp_path / "c").iterdir() if path.is_dir())
    assert names() == [b, c, d, "photos"]  # the oldest is gone, and what a killed writer left
    new.get(e, folder_of(30))
    assert names() == [b, d, e, "photos"]  # b is older than c, but in use
    with pytest.raises(LibraryError, match="must have room for another adapter"):
        new.get(f, folder_of(30))
    assert names() == [b, d, e, "photos"]
    assert new.get(d, folder_of(0)) == tmp_path / "c" / d
    shutil.rmtree(tmp_path / "c" / d)
    assert (new.get(d, folder_of(7)) / "file").stat().st_size == 7
    handle = os.open(tmp_path / "c" / d, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
