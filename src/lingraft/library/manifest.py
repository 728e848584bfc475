"""What is written beside the weights: the manifest of an adapter, and the pointer of a language."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from lingraft.atoms import LibraryError, Role, Scope
from lingraft.atoms.config import Settings
from lingraft.library.refusal import MAX_RANK, refuse
from lingraft.library.strict_json import dump, parse_object

VERSION: Literal[1] = 1
CODE = r"^[a-z]{3}_[A-Z][a-z]{3}$"
"""Language codes; only these ever become names of files."""
_SHA256 = r"^[0-9a-f]{64}$"
_SHORT = r"^[0-9a-f]{16}$"

M = TypeVar("M", bound="Stored")


class Stored(Settings):
    """A value that is stored as JSON."""

    later: ClassVar[tuple[str, ...]] = ()
    """Fields that were added later. They are left out where they say nothing, so that files without them stay as
    they were: equal hashes, and earlier versions can read them."""

    def to_json(self) -> bytes:
        """Return the value as JSON; equal values give equal bytes."""
        return dump(self.model_dump(mode="json"))

    @model_serializer(mode="wrap")
    def _lean(self, dump_fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = dump_fields(self)
        empty = {name for name in self.later if not fields[name]}
        return {name: value for name, value in fields.items() if name not in empty}

    @classmethod
    def from_json(cls: type[M], data: bytes | bytearray) -> M:
        """Return the value that ``to_json`` wrote.

        Args:
            data: JSON in UTF-8, from anyone.

        Returns:
            The value, with every field checked.

        Raises:
            ValueError: It is no strict JSON, or a field is missing, unknown or wrong: all of them.
        """
        parse_object(data)
        try:
            return cls.model_validate_json(bytes(data))
        except ValidationError as error:
            found = (f"`{'.'.join(map(str, e['loc'])) or 'it'}`: {e['msg']}" for e in error.errors(include_url=False))
            raise ValueError("is not: " + "; ".join(found)) from None


class BaseIdentity(Stored):
    """Which base an adapter belongs to, and how that base is asked."""

    id: str = Field(min_length=1)
    """Hub id or folder, as the base was loaded."""
    revision: str | None
    """Commit on the hub."""
    fingerprint: str = Field(pattern=_SHA256)
    """sha256 of the weights cast to bf16."""
    tokenizer_hash: str = Field(pattern=_SHA256)
    format: dict[str, Any]
    """The prompt's description."""
    format_hash: str = Field(pattern=_SHA256)


class DataSource(Stored):
    """One text that an adapter was trained on."""

    origin: str
    pairs: int = Field(ge=0)
    """Sentence pairs used."""
    licence: str | None = None
    sha256: str | None = Field(default=None, pattern=_SHA256)


class Training(Stored):
    """How an adapter was trained."""

    later = ("together", "cause")

    seed: int
    settings: dict[str, Any]
    steps: int = Field(ge=0)
    best_epoch: int = Field(ge=0)
    dev_loss: float | None
    """Mean cross-entropy per target token on the dev rows, in nats."""
    lingraft: str
    """Version of this package."""
    torch: str
    """Version of PyTorch."""
    command: str | None = None
    together: tuple[str, ...] = ()
    """Languages whose adapters were trained jointly with this one, its own included; none: it was trained alone."""
    cause: str | None = Field(default=None, pattern=_SHA256)
    """sha256 of all that decided the result: text, dev text, settings, base, frozen adapters. The same again would be
    the same training."""


class Scored(Stored):
    """One measured number."""

    direction: str = Field(pattern=r"^[a-z]{3}_[A-Z][a-z]{3}-[a-z]{3}_[A-Z][a-z]{3}$")
    metric: str
    value: float
    signature: str
    """sacreBLEU's signature."""


class Record(Stored):
    """How an adapter came to be; the manifest adds what base, adapter and files say themselves."""

    data: tuple[DataSource, ...]
    training: Training
    scores: tuple[Scored, ...] = ()


class Hashes(Stored):
    """sha256 of the files beside the manifest."""

    config: str = Field(pattern=_SHA256)
    weights: str = Field(pattern=_SHA256)
    profile: str = Field(pattern=_SHA256)


class Manifest(Stored):
    """Everything about one adapter except its values."""

    later = ("packed", "like")

    format_version: Literal[1]
    language: str = Field(pattern=CODE)
    role: Role
    scope: Scope
    base: BaseIdentity
    rank: int = Field(ge=1, le=MAX_RANK)
    """Rank of most sites; the PEFT config has the others."""
    alpha: float
    """The scale of most sites is alpha / rank."""
    sites: dict[str, tuple[str, ...]]
    """Stack → names of the linear maps that carry updates in it."""
    modules: tuple[str, ...] = Field(min_length=1)
    """Paths of those linear maps in the base, in network order."""
    record: Record
    sha256: Hashes
    packed: bool = False
    """Whether the weights are stored without their zeros (see ``packed.py``), else the folder is a PEFT folder."""
    like: str | None = Field(default=None, pattern=CODE)
    """The language whose token this one borrows, having none in the base; the weights hold what is read instead."""


class Versions(Stored):
    """The two adapters that a language had at one time."""

    later = ("like",)

    source: str = Field(pattern=_SHORT)
    target: str = Field(pattern=_SHORT)
    like: str | None = Field(default=None, pattern=CODE)
    """The language whose token it borrows, as the manifests say."""

    def of(self, role: Role) -> str:
        """Return the version of the adapter of one role."""
        return self.source if role is Role.SOURCE else self.target


class Pointer(Versions):
    """Which versions of a language are installed; the language is installed iff its pointer is there."""

    format_version: Literal[1]
    language: str = Field(pattern=CODE)
    history: tuple[Versions, ...] = ()
    """What was installed before, the oldest first."""

    def past(self) -> Versions:
        """Return the two adapters by themselves, as they stand in a history."""
        return Versions(source=self.source, target=self.target, like=self.like)

    def earlier(self) -> Pointer | None:
        """Return the pointer to what was installed before, with this as its oldest history; None: nothing was."""
        if not self.history:
            return None
        *others, before = self.history
        return self.model_copy(update={**dict(before), "history": (self.past(), *others)})

    def versions(self, role: Role) -> set[str]:
        """Return every version of one role that the pointer names."""
        return {each.of(role) for each in (self, *self.history)}

    def likes(self, role: Role, version: str) -> set[str | None]:
        """Return what is said of a version about whose token it borrows."""
        return {each.like for each in (self, *self.history) if each.of(role) == version}


def read_manifest(data: bytes | bytearray) -> Manifest:
    """Return an adapter's manifest.

    Args:
        data: ``manifest.json``, from anyone.

    Returns:
        The manifest; whether it tells the truth is for `decode` to check.

    Raises:
        AdapterError: It is not exactly a manifest.
    """
    try:
        return Manifest.from_json(data)
    except ValueError as error:
        raise refuse("manifest", f"`manifest.json` must be an adapter's manifest, but {error}. Get it again.") from None


def read_stored(kind: type[M], data: bytes | bytearray, place: str) -> M:
    """Return a pointer or a library's card.

    Args:
        kind: `Pointer` or `Card`.
        data: The file's content.
        place: Where it lies, for the message.

    Returns:
        The value, of that kind.

    Raises:
        LibraryError: It is not exactly that.
    """
    try:
        return kind.from_json(data)
    except ValueError as error:
        failure = LibraryError(
            f"`{place}` must be the {kind.__name__.lower()} that Lingraft wrote, but {error}. "
            "Restore it from a backup, or add again what it describes."
        )
        failure.code = "library.damaged"
        raise failure from None
