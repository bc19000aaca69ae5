"""Bearer tokens of the control API over TCP: who may do what, until when. A file of hashes, mode 0600.

How it works
    A token is `maille_ID_SECRET`: the id finds its row, the secret (32 random bytes) is compared by its SHA-256, in
    constant time, and is kept nowhere. A row says what the bearer may (read < operate < admin), until when, and
    for which tenant or mesh alone. The file is written beside its place, synced and renamed.

What it does not do
    It guards nothing by itself (node/guard.py). A secret of 256 bits needs no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import LocalError
from node.exits import not_found
from node.operation import Permission

TOKENS_MAX: Final = 256
DAYS_MAX: Final = 366
FILE_BYTES_MAX: Final = 256 * 1024
RANK: Final[dict[Permission, int]] = {"read": 0, "operate": 1, "admin": 2}
"""Whoever may operate may read, whoever owns the node may do everything."""
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
_TOKEN: Final = re.compile(r"maille_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOTHING: Final = bytes(32)


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token. `digest`: SHA-256 of the secret, hexadecimal. `tenant`, `mesh`: alone, or "". Times: unix seconds."""

    id: str
    name: str
    digest: str
    permission: Permission
    created: int
    expires: int
    tenant: str = ""
    mesh: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: tuple[Token, ...] = ()
    version: int = 1


class Tokens:
    """The tokens in a file. Nothing is read before it is needed."""

    def __init__(self, path: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._path, self._random = path, random_bytes
        self._held: dict[str, Token] | None = None

    def _rows(self) -> dict[str, Token]:
        if self._held is None:
            self._held = {token.id: token for token in self._read().tokens}
        return self._held

    def _read(self) -> _File:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(FILE_BYTES_MAX)
            if stat.S_IMODE(mode) & 0o077:
                raise LocalError("SECRET_MODE", f"Others can reach {self._path}; run: chmod 600 {self._path}")
            return msgspec.json.decode(raw, type=_File)
        except FileNotFoundError:
            return _File()
        except OSError as error:
            raise LocalError("FILE_READ", f"{self._path} cannot be read: {error.strerror}.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            told = f"{self._path} holds no tokens ({error}); remove it, and make new ones."
            raise LocalError("TOKENS_DAMAGED", told) from None

    def listing(self) -> list[Token]:
        """Return every token, the oldest first, expired ones too. Raises LocalError SECRET_MODE, TOKENS_DAMAGED."""
        return sorted(self._rows().values(), key=lambda token: (token.created, token.id))

    def make(
        self, name: str, permission: Permission, now: int, days: int, *, tenant: str = "", mesh: str = ""
    ) -> tuple[Token, str]:
        """Make a token; return its row, and what its bearer shows: it can be had this once.

        Expired ones are forgotten. Raises LocalError TOO_MANY_TOKENS, SECRET_MODE, TOKENS_DAMAGED, FILE_WRITE.
        """
        kept = {key: token for key, token in self._rows().items() if token.expires > now}
        if len(kept) >= TOKENS_MAX:
            raise LocalError("TOO_MANY_TOKENS", f"There are {TOKENS_MAX} tokens; revoke some first.")
        identity, secret = self._random(_ID_BYTES).hex(), self._random(_SECRET_BYTES)
        digest = hashlib.sha256(secret).hexdigest()
        token = Token(identity, name, digest, permission, now, now + days * 86_400, tenant, mesh)
        self._write(kept | {identity: token})
        return token, f"maille_{identity}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"

    def revoke(self, identity: str) -> Token:
        """Forget a token, at once. Raises LocalError NOT_FOUND."""
        rows = dict(self._rows())
        token = rows.pop(identity, None)
        if token is None:
            raise not_found(f"There is no token {identity!r}; `maille token list` shows them.", "id")
        self._write(rows)
        return token

    def bearer(self, shown: str, now: int) -> Token | None:
        """Return the token that somebody shows, if it is one and has not expired."""
        found = _TOKEN.fullmatch(shown)
        token = self._rows().get(found[1]) if found else None
        secret = base64.urlsafe_b64decode(found[2] + "=") if found else b""
        wanted = bytes.fromhex(token.digest) if token is not None else _NOTHING
        right = hmac.compare_digest(hashlib.sha256(secret).digest(), wanted)
        return token if token is not None and right and now < token.expires else None

    def _write(self, rows: dict[str, Token]) -> None:
        young = self._path.with_name(f".{self._path.name}.partial")
        try:
            young.unlink(missing_ok=True)
            descriptor = os.open(young, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(_File(tuple(rows.values()))))
                file.flush()
                os.fsync(file.fileno())
            young.replace(self._path)
        except OSError as error:
            raise LocalError("FILE_WRITE", f"{self._path} cannot be written: {error.strerror}.") from None
        self._held = rows
