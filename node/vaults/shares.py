"""Tokens made here, shares that wait for their code, and tokens received from others.

| table | key | value |
|---|---|---|
| outgoing | "K", token id (16) | `Minted`: its key, its grant, its end |
| outgoing | "S", share id (8) | `Share` (ledger.consent.token) with the token it is for, until it is long over |
| incoming | "K", token id | `Held`: a token that this node may show, and to whom |

How it works
    The key of a token is drawn for it alone and lies in its row: to end a token is to delete the key, after which
    nothing made from it, however narrowed, opens anything. Rows are sealed like all of the vault.

What it does not do
    It judges no token (node.flows.sharing) and keeps no code: only its salted digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.token import ID_BYTES, KEY_BYTES, Share
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop

OUTGOING: Final = "outgoing"
INCOMING: Final = "incoming"
SHARE_ID_BYTES: Final = 8
_TOKEN: Final = b"K"
_SHARE: Final = b"S"
_ROW_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Minted:
    """A token that was made here. `share`: the share it was made for, or b"". Times in unix seconds."""

    id: bytes
    key: bytes
    grant: bytes
    made: int
    expires: int
    share: bytes

    def __repr__(self) -> str:
        """Show no key: it must not reach a log by accident."""
        return f"Minted({self.id.hex()})"


@dataclass(frozen=True, slots=True)
class Held:
    """A token that was given to this node. `holder`: whom it is shown to."""

    id: bytes
    holder: Party
    grant: bytes
    token: bytes
    received: int

    def __repr__(self) -> str:
        """Show no token: it must not reach a log by accident."""
        return f"Held({self.id.hex()})"


class ShareRows:
    """The rows of this module."""

    def mint(self, vault: Writer, row: Minted) -> None:
        """Keep the key of a token."""
        value = codec.encode([1, row.key, row.grant, row.made, row.expires, row.share])
        vault.put(OUTGOING, _TOKEN + row.id, value)

    def minted(self, vault: Reader, token: bytes) -> Minted | None:
        """Return what is kept of a token made here; None once it was ended, or if it never was ours."""
        return _minted(token, vault.get(OUTGOING, _TOKEN + token))

    def listing(self, vault: Reader) -> Iterator[Minted]:
        """Yield the tokens made here and not ended."""
        for key, value in vault.scan(OUTGOING, _TOKEN, prefix_stop(_TOKEN)):
            row = _minted(key[1:], value)
            if row is not None and len(key) == 1 + ID_BYTES:
                yield row

    def end(self, vault: Writer, row: Minted) -> None:
        """Delete a token's key, and its share: nothing made of it opens anything from now on."""
        vault.delete(OUTGOING, _TOKEN + row.id)
        if row.share:
            vault.delete(OUTGOING, _SHARE + row.share)

    def put_share(self, vault: Writer, share: Share) -> None:
        """Keep a share as it is now."""
        tries = -1 if share.tries is None else share.tries
        value = [1, share.token, share.salt, share.digest, share.ends, tries, share.state]
        vault.put(OUTGOING, _SHARE + share.id, codec.encode(value))

    def share(self, vault: Reader, share: bytes) -> Share | None:
        """Return a share, or None."""
        value = vault.get(OUTGOING, _SHARE + share)
        if value is None:
            return None
        fields: Any = codec.decode(value, max_bytes=_ROW_MAX)
        _, token, salt, digest, ends, tries, state = fields
        return Share(share, token, salt, digest, ends, None if tries < 0 else tries, state)

    def hold(self, vault: Writer, row: Held) -> None:
        """Keep a token that was given to us."""
        value = [1, list(row.holder), row.grant, row.token, row.received]
        vault.put(INCOMING, _TOKEN + row.id, codec.encode(value))

    def held(self, vault: Reader) -> Iterator[Held]:
        """Yield the tokens that were given to us."""
        for key, value in vault.scan(INCOMING, _TOKEN, prefix_stop(_TOKEN)):
            fields: Any = codec.decode(value, max_bytes=_ROW_MAX)
            _, holder, grant, token, received = fields
            yield Held(key[1:], (holder[0], holder[1]), grant, token, received)


def _minted(token: bytes, value: bytes | None) -> Minted | None:
    if value is None:
        return None
    fields: Any = codec.decode(value)
    _, key, grant, made, expires, share = fields
    return Minted(token, key, grant, made, expires, share) if len(key) == KEY_BYTES else None
