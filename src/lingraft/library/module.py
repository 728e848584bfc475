"""A language module: what is added to a library."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lingraft.atoms import LibraryError, Role, Scope
from lingraft.base import Base
from lingraft.corpus.profile import Profile
from lingraft.delta import Adapter
from lingraft.library.folder import encode
from lingraft.library.manifest import CODE, Record


@dataclass(frozen=True, eq=False)
class LanguageModule:
    """Both adapters of a language, how each came to be, and what the language looks like."""

    source: Adapter
    target: Adapter
    source_record: Record
    target_record: Record
    profile: Profile

    @property
    def like(self) -> str | None:
        """The language whose token it borrows; None where the base has one for it."""
        return None if self.source.token is None else self.source.token.relative

    def parts(self) -> dict[Role, tuple[Adapter, Record]]:
        """Return adapter and record of each role."""
        return {Role.SOURCE: (self.source, self.source_record), Role.TARGET: (self.target, self.target_record)}

    def encode(self, language: str, base: Base, scope: str) -> dict[Role, dict[str, bytes]]:
        """Return the files of both adapters, checked.

        Args:
            language: The code that both must have.
            base: The base that they belong to.
            scope: ``span`` or ``everywhere``: where they must act.

        Returns:
            Role → files by name, ready to be written.

        Raises:
            AdapterError: An adapter does not fit the base, or holds what `load` would refuse.
            LibraryError: The language is no code, or an adapter is of another language, role or scope.
        """
        if not re.fullmatch(CODE, language):
            raise LibraryError(f"`language` must be a code such as deu_Latn, but is {language!r:.60} instead.")
        tokens = {adapter.token and adapter.token.relative for adapter in (self.source, self.target)}
        if len(tokens) > 1:
            raise LibraryError(
                f"both adapters of `{language}` must borrow one language's token or none, but borrow "
                f"{' and '.join(sorted(str(relative) for relative in tokens))} instead. Train them together."
            )
        files = {}
        for role, (adapter, record) in self.parts().items():
            if adapter.name != (language, role):
                raise LibraryError(f"the adapter must be {language}.{role.value}, but is {adapter.name} instead.")
            wanted = Scope(role.value) if scope == "span" else Scope.EVERYWHERE
            if adapter.scope is not wanted:
                raise LibraryError(
                    f"`{adapter.name}` must act on `{wanted.value}` as all of its library do, but acts on "
                    f"`{adapter.scope.value}` instead. Train it with fit.scope={scope}, or use another library."
                )
            files[role] = encode(adapter, base, record, self.profile)
        return files
