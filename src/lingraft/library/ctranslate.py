"""Write a direction of an encoder–decoder as a CTranslate2 model, with a README that says how to call it.

A direction is one model there: ΔW is added to a copy of the base. Language tokens that the base lacks have a place in
it, too: CTranslate2 keeps the tables of encoder, decoder and output apart, and the vocabularies of source and target,
so the relative's row is replaced on the side that reads it, and is called by the language's own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch

import lingraft
from lingraft.atoms import ConfigError, Direction, Role, Scope
from lingraft.atoms.languages import name
from lingraft.base import Base
from lingraft.base.seq2seq import language_tokens
from lingraft.delta import Token
from lingraft.direction import Composition
from lingraft.library.export import composed, drafted, merged_copy, require_new
from lingraft.library.mixing import Mixing
from lingraft.library.store import Library

QUANTIZATIONS = ("float32", "bfloat16", "float16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16")
"""How CTranslate2 may store weights; in which it computes is chosen when the model is loaded."""
_MISSING = (
    "`--format ctranslate2` must come with the package ctranslate2, but it is not installed. "
    "Install it with `pip install 'lingraft[ctranslate2]'`."
)
_DECODER = (
    "`--format ctranslate2` must come with an encoder–decoder base (M2M-100 or NLLB), but {base} is decoder-only. Use "
    "--format merged, in which adapters act everywhere, and convert that folder with CTranslate2's own converter, or "
    "serve the library with `lingraft serve` or vLLM."
)
_README = """\
# {source} → {target}

A [CTranslate2](https://github.com/OpenNMT/CTranslate2) model of {direction}, composed by lingraft {lingraft} from a
base and two adapters, and converted by ctranslate2 {ctranslate2}; weights in {stored}.

| | |
|---|---|
| base | `{base}`, fingerprint `{fingerprint}` |
{adapters}
| source prefix | `{first}` |
| target prefix | `{prefix}` |

## How to call it

The source is the prefix, the pieces, `{end}`; the target begins with its prefix, which is taken off again.

```python
import ctranslate2
import transformers

FOLDER = "."  # this folder
translator = ctranslate2.Translator(FOLDER)
tokenizer = transformers.AutoTokenizer.from_pretrained(f"{{FOLDER}}/tokenizer")


def pieces(text):
    line = " ".join(text.strip().splitlines())
    ids = tokenizer(line, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return tokenizer.convert_ids_to_tokens(ids)


def translate(sentences, beam_size=1, **options):
    rows = [["{first}", *pieces(text), "{end}"] for text in sentences]
    prefix = [["{prefix}"]] * len(rows)
    found = translator.translate_batch(rows, target_prefix=prefix, beam_size=beam_size, **options)
    ids = [tokenizer.convert_tokens_to_ids(row.hypotheses[0][1:]) for row in found]
    return [tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip() for row in ids]
```

One sentence at a time: the model was trained on sentences, and the base reads at most {context} tokens. Text of several
sentences must be split before.

With `beam_size=1` and float32 it gives the same translations as `lingraft translate` with the same adapters. Fewer
bits are smaller and faster, and change some translations: measure them. A newer version of an adapter, another recipe
or another direction is another export.
"""


class _Called(NamedTuple):
    """The language tokens by which a model of one direction is called."""

    source: str
    target: str


def export_ctranslate2(
    library: Library,
    direction: Direction,
    folder: Path,
    *,
    quantization: str | None = None,
    made: Mixing | None = None,
) -> str | None:
    """Write a direction of an encoder–decoder as a CTranslate2 model, whole or not at all.

    Args:
        library: The library with its base.
        direction: The pair of languages.
        folder: A new folder.
        quantization: One of `QUANTIZATIONS`; None: the type in which the base was loaded.
        made: How the direction is made; None: as the library has stored it.

    Returns:
        A warning where the model does not translate as the library does, else None.

    Raises:
        ConfigError: The base is decoder-only, CTranslate2 is not installed, or has no such type.
        LibraryError: The direction is not offered or has no adapter, or the folder exists or cannot be written.
    """
    base = library.base
    if base.family.kind != "seq2seq":
        raise ConfigError(_DECODER.format(base=base.id))
    stored = quantization or str(base.dtype).removeprefix("torch.")
    if stored not in QUANTIZATIONS:
        raise ConfigError(f"`quantization` must be one of {', '.join(QUANTIZATIONS)}, but is {stored!r:.40} instead.")
    require_new(library, folder)
    version = _require_ctranslate2()
    flat, warnings = composed(library, direction, made)
    with drafted(folder) as draft:
        called = _convert(base, flat, draft, stored)
        base.tokenizer.save_pretrained(draft / "tokenizer")
        (draft / "README.md").write_text(_readme(library, flat, called, stored, version), encoding="utf-8")
    return " ".join(warnings) or None


def _require_ctranslate2() -> str:
    """Return the version of CTranslate2."""
    try:
        import ctranslate2
    except ImportError:
        raise ConfigError(_MISSING) from None
    return str(ctranslate2.__version__)


def _convert(base: Base, flat: Composition, draft: Path, quantization: str) -> _Called:
    """Write the model's files into a folder that is there; the converter makes folders of its own otherwise."""
    called = _called(base, flat.direction, flat.tokens)
    model = merged_copy(base, flat.updates.get(Scope.EVERYWHERE, {}))
    for role, token in flat.tokens.items():
        _replace_row(model, base.embedding(role), base.token(token.relative), token)
    spec = _loader(base, flat.tokens, called)(model, base.tokenizer)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(draft))
    return called


@torch.no_grad()
def _replace_row(model: Any, path: str, index: int, token: Token) -> None:
    """Give one stack an embedding of its own, in which a row is another; the other stack and the output keep theirs."""
    parent, _, attribute = path.rpartition(".")
    table = deepcopy(model.get_submodule(path))
    table.weight[index] = token.row.to(table.weight)
    setattr(model.get_submodule(parent), attribute, table)


def _loader(base: Base, tokens: Mapping[Role, Token], called: _Called) -> Any:
    """Return CTranslate2's loader for M2M-100 and NLLB, told of the base's tokens by id.

    The loader of CTranslate2 itself reads them from tokenizers of one version of transformers, and would call the
    language tokens of others ``madeupword…``.
    """
    from ctranslate2.converters.transformers import M2M100Loader

    class Loader(M2M100Loader):
        def get_vocabulary(self, model: Any, tokenizer: Any) -> list[str]:
            return _vocabulary(base)

        def set_vocabulary(self, spec: Any, vocabulary: Sequence[str]) -> None:
            sides = (
                (Role.SOURCE, called.source, spec.register_source_vocabulary),
                (Role.TARGET, called.target, spec.register_target_vocabulary),
            )
            for role, code, register in sides:
                own = list(vocabulary)
                if role in tokens:
                    own[base.token(tokens[role].relative)] = code
                register(own)

    return Loader()


def _vocabulary(base: Base) -> list[str]:
    """Return the token of each row of the base's embeddings; rows that no token has get names of their own."""
    names = {index: token for token, index in base.tokenizer.get_vocab().items()}
    names |= {index: _written(base, language) for language, index in language_tokens(base.tokenizer).items()}
    rows = base.model.get_input_embeddings().weight.shape[0]
    return [names.get(index, f"<unused {index}>") for index in range(rows)]


def _called(base: Base, direction: Direction, tokens: Mapping[Role, Token]) -> _Called:
    """Return the tokens of both languages: the base's own, or the code of a language that it has none for."""
    sides = ((Role.SOURCE, direction.source), (Role.TARGET, direction.target))
    return _Called(*(language if role in tokens else _written(base, language) for role, language in sides))


def _written(base: Base, language: str) -> str:
    """Return the token of a language as the tokenizer writes it."""
    return str(base.tokenizer.convert_ids_to_tokens(base.token(language)))


def _readme(library: Library, flat: Composition, called: _Called, stored: str, version: str) -> str:
    base, direction = library.base, flat.direction
    sides = ((Role.SOURCE, direction.source), (Role.TARGET, direction.target))
    adapters = [
        f"| {role.value} adapter | {language}, version `{library.pointer(language).of(role)}` |"
        if library.places.installed(language)
        else f"| {role.value} adapter | none: {language} is the base's own |"
        for role, language in sides
    ]
    return _README.format(
        source=name(direction.source),
        target=name(direction.target),
        direction=direction,
        lingraft=lingraft.__version__,
        ctranslate2=version,
        stored=stored,
        base=base.id,
        fingerprint=base.fingerprint[:16],
        adapters="\n".join(adapters),
        first=called.source,
        prefix=called.target,
        end=base.tokenizer.convert_ids_to_tokens(base.format.end),
        context=base.context,
    )
