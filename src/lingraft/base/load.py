"""Load a base from a folder, the hub or the package itself, and check that all of it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, PretrainedConfig
from transformers.utils import logging as transformers_logging

from lingraft.atoms import BaseError, ConfigError
from lingraft.base.base import Base
from lingraft.base.card import make_format, read_card
from lingraft.base.families import Family, family_of

DTYPES = ("float32", "bfloat16", "auto")
_MODELS: dict[str, Any] = {"decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}


def load(
    id_or_path: str,
    *,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    revision: str | None = None,
    format: Mapping[str, Any] | None = None,
) -> Base:
    """Load a base, frozen.

    Code that comes with a model is never run, and weights are read from safetensors alone.

    Args:
        id_or_path: ``demo`` for the base in the package, a folder, or a hub id.
        dtype: ``float32``, ``bfloat16``, or ``auto`` for the type in which the weights are stored.
        device: where to put the model.
        revision: commit, tag or branch of a hub id.
        format: spec of a format to use instead of the base's own, e.g. ``{"kind": "chat"}``.

    Returns:
        The base, in eval mode and without a trainable parameter.

    Raises:
        BaseError: there is no such base, its family is not supported, or a part of it is missing.
        ConfigError: the type or the device is not one that there is.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"`dtype` must be one of {', '.join(DTYPES)}, but is {dtype!r} instead.")
    place = _device(device)
    where = str(demo_folder()) if id_or_path == "demo" else _checked(id_or_path)
    with quiet():
        config = _config_dict(where, revision)
        family = family_of(config.get("model_type"))
        card = read_card(where, revision)
        tokenizer = _tokenizer(where, revision)
        model = _model(where, revision, family, dtype).to(place)
    spec = format if format is not None else card.get("format")
    return Base(
        id_or_path,
        model,
        tokenizer,
        family,
        make_format(spec, tokenizer, model.config, family, card.get("names")),
        revision=None if Path(where).is_dir() else getattr(model.config, "_commit_hash", None),
        card=card,
    )


def demo_folder() -> Path:
    """Return the folder of the demo base in the package.

    Returns:
        A path on disk; the package is never run from an archive.

    Raises:
        BaseError: the package was built without it.
    """
    folder = Path(str(resources.files("lingraft"))) / "data" / "demo_base"
    if not (folder / "config.json").is_file():
        raise BaseError(
            "the demo base must be in the package (lingraft/data/demo_base), but is missing instead. "
            "Reinstall lingraft, or train it with runs/demo_base.sh in a clone of the repository."
        )
    return folder


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and load reports of transformers; what they would say is checked here."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _device(device: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"`device` must be one that this machine has, but is {str(device)!r} instead ({reason}). Use `cpu`."
        ) from None


def _checked(id_or_path: str) -> str:
    """Return the folder, or the hub id where it can be one."""
    path = Path(id_or_path).expanduser()
    if id_or_path and path.is_dir():
        if not (path / "config.json").is_file():
            raise BaseError(
                f"`{id_or_path}` must be a model folder with a config.json, but has none. "
                "Give the folder in which the model was saved."
            )
        if not any(path.glob("*.safetensors")):
            raise BaseError(
                f"`{id_or_path}` must hold its weights as *.safetensors, but has none. "
                "Pickled weights can run code and are not read; save the model again with save_pretrained."
            )
        return str(path)
    if path.exists() or id_or_path.startswith((".", "~", "/")) or id_or_path.count("/") != 1:
        raise BaseError(
            f"the base must be `demo`, a model folder or a hub id like `owner/name`, but is {id_or_path!r} instead. "
            "Check the spelling; there is no such folder."
        )
    return id_or_path


def _config_dict(where: str, revision: str | None) -> dict[str, Any]:
    try:
        values, _ = PretrainedConfig.get_config_dict(where, revision=revision)
    except (OSError, ValueError) as error:
        raise BaseError(
            f"`{where}` must be a model folder or a hub id that can be fetched, but its config.json can't be read "
            f"({str(error).splitlines()[0]}). Check the name, the network, and your access."
        ) from error
    return dict(values)


def _tokenizer(where: str, revision: str | None) -> Any:
    try:
        return AutoTokenizer.from_pretrained(where, revision=revision, trust_remote_code=False)
    except Exception as error:  # the libraries behind it raise anything on a damaged or missing file
        raise BaseError(
            f"`{where}` must hold a tokenizer, but none can be loaded ({_first(error)}). "
            "Save the model's tokenizer into the folder with save_pretrained."
        ) from error


def _model(where: str, revision: str | None, family: Family, dtype: str) -> Any:
    try:
        model, report = _MODELS[family.kind].from_pretrained(
            where,
            revision=revision,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, the hub client and torch each have errors of their own
        raise BaseError(
            f"`{where}` must hold the weights of its config.json as safetensors, but they can't be loaded "
            f"({_first(error)}). Fetch or save the model again."
        ) from error
    # transformers fills what is missing with random numbers and drops what it doesn't know.
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if report.get(problem):
            keys = sorted(str(key) for key in report[problem])
            raise BaseError(
                f"the weights of `{where}` must be those of its config.json, but have "
                f"{problem.removesuffix('_keys')} ones instead: {', '.join(keys[:5])}"
                f"{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}. Fetch or save the model again."
            )
    return model


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
