"""Keys of clients: made here, stored as salted hashes, compared in constant time.

A key is ``NAME.SECRET``. The name is no secret: it finds the line of the file, counts the requests, and stands in the
log. The secret has 256 random bits, so one round of SHA-256 hides it as well as a slow hash would.

The file has a line per key, ``NAME SALT HASH``. It is read again when it changes: a line that is deleted is a key that
no longer opens.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lingraft.atoms import ConfigError
from lingraft.serve import logs

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LINE = re.compile(rf"({NAME.pattern}) ([0-9a-f]{{32}}) ([0-9a-f]{{64}})")
_MOST = 200
"""Characters of a key that are looked at."""


@dataclass(frozen=True)
class StoredKey:
    """What is kept of a key."""

    name: str
    salt: str
    hash: str

    @property
    def line(self) -> str:
        """The line of the file."""
        return f"{self.name} {self.salt} {self.hash}"


_NOBODY = StoredKey("", "0" * 32, "0" * 64)


def make_key(name: str) -> tuple[str, StoredKey]:
    """Return a new key, and what is to be kept of it.

    Args:
        name: Whose it is: small letters, digits, hyphens and underscores.

    Returns:
        The key, which exists nowhere else, and its line for the file.

    Raises:
        ConfigError: The name is no name.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"`name` must be 1 to 32 small letters, digits, hyphens or underscores, but is {name!r:.60} instead."
        )
    secret, salt = secrets.token_urlsafe(32), secrets.token_hex(16)
    return f"{name}.{secret}", StoredKey(name, salt, _hash(secret, salt))


class Keys:
    """The keys of one file."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Args:
            path: The file.

        Raises:
            ConfigError: It cannot be read, or a line is no key: all of them.
        """
        self.path = path
        self._lock = threading.Lock()
        self._seen = self._state()
        self._keys = read_keys(path)

    def who(self, key: str | None) -> str | None:
        """Return whose key it is, None where it opens nothing.

        The time that this takes does not depend on whether the name exists or how much of the secret is right.

        Args:
            key: What a client sent, anything.

        Returns:
            The name.
        """
        name, _, secret = (key or "")[:_MOST].partition(".")
        stored = self._current().get(name, _NOBODY)
        right = hmac.compare_digest(_hash(secret, stored.salt), stored.hash)
        return stored.name if right and stored is not _NOBODY else None

    def _current(self) -> Mapping[str, StoredKey]:
        with self._lock:
            if (state := self._state()) != self._seen:
                try:
                    self._keys = read_keys(self.path)
                except ConfigError as error:  # half written, or gone: whom nobody vouches for now stays outside
                    self._keys = {}
                    logs.write("keys not read", level=logging.ERROR, detail=str(error))
                self._seen = state
            return self._keys

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino  # ctime: who may read it, too


def read_keys(path: Path) -> dict[str, StoredKey]:
    """Return the keys of a file by name; blank lines and those that begin with # are skipped.

    Args:
        path: The file.

    Returns:
        Name → key.

    Raises:
        ConfigError: It cannot be read, or a line is no key or names one again: all of them.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` must be a file of keys, but cannot be read: {error}.") from None
    found: dict[str, StoredKey] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in found:
            what = "a line that `lingraft serve-key` wrote" if match is None else "of another name"
            problems.append(f"`{path}`, line {number}, must be {what}, but is not. Delete it and make a new key.")
        else:
            found[match[1]] = StoredKey(*match.groups())
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _hash(secret: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode("utf-8", "surrogatepass")).hexdigest()
