"""Wallets that this node keeps for people, in the vault's table `wallets`.

| key | value |
|---|---|
| "w", blind(name) | [1, name, created (unix seconds), seed, list of consents (Wallet.encode)] |
| "x", blind(name) | [1, name, created, public delegate key, list of consents]: the person alone has the seed |
| "g", grant id | name of the wallet that lists a consent whose content has not come yet |
| "s", blind(public delegate key), grant id | empty: a consent of somebody else's that the wallet signed |

How it works
    Custody: whoever runs the node could use the seed. Every listing says so (`CUSTODY`), and the withdrawal slip
    that is printed with each grant works without the wallet. `take_away` erases the seed here and leaves the list of
    consents, so that the person can still be shown them; `bring_back` takes a wallet in again by its seed. Brought back
    and taken away within one transaction, it signs, and the seed is never stored.

What it does not do
    It signs nothing (ledger.consent.wallet) and shows no seed. It cannot prove that no copy of a seed is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec
from ledger.consent.wallet import WALLET_MAX, OwnConsent, Wallet
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults import Blind

TABLE: Final = "wallets"
NAME_MAX: Final = 100
"""Longest name of a wallet, in characters."""
CUSTODY: Final = "kept by this node for the person"
"""What every listing says of a wallet whose seed lies here."""
CUSTODY_AWAY: Final = "kept by the person alone; this node has the list of consents"
"""The same, of a wallet that was taken away."""
_WALLET: Final = b"w"
_AWAY: Final = b"x"
_EXPECTING: Final = b"g"
_SIGNED: Final = b"s"
_NO_SEED: Final = bytes(32)
"""Stands for the seed while a list of consents without one is read; it leaves this module nowhere."""


@dataclass(frozen=True, slots=True)
class HostedWallet:
    """A person's wallet, kept here under a name."""

    name: str
    created: int
    wallet: Wallet


@dataclass(frozen=True, slots=True)
class AwayWallet:
    """A wallet whose seed the person alone has. `key`: its public delegate key, by which the seed is known again."""

    name: str
    created: int
    key: bytes
    consents: tuple[OwnConsent, ...]


class WalletRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def create(self, vault: Writer, name: str, seed: bytes, now: int) -> HostedWallet:
        """Begin a wallet. Raises LocalError WALLET_EXISTS, BAD_NAME."""
        if not name.isprintable() or not 1 <= len(name) <= NAME_MAX:
            raise LocalError("BAD_NAME", f"a wallet's name has 1 to {NAME_MAX} printable characters", field="name")
        if vault.get(TABLE, self._key(name)) is not None or self.away(vault, name) is not None:
            raise LocalError("WALLET_EXISTS", "a wallet of this name is kept here; choose another name", field="name")
        hosted = HostedWallet(name, now, Wallet(seed))
        self.put(vault, hosted)
        return hosted

    def put(self, vault: Writer, hosted: HostedWallet) -> None:
        """Keep a wallet as it is now."""
        wallet = hosted.wallet
        value = codec.encode([1, hosted.name, hosted.created, wallet.seed, wallet.encode()])
        vault.put(TABLE, self._key(hosted.name), value)

    def get(self, vault: Reader, name: str) -> HostedWallet:
        """Return a wallet. Raises LocalError NOT_FOUND."""
        found = self.find(vault, name)
        if found is None:
            raise LocalError(
                "NOT_FOUND", "No wallet of this name is kept here; `maille wallet list` shows them.", field="name"
            )
        return found

    def find(self, vault: Reader, name: str) -> HostedWallet | None:
        """Return a wallet, or None where none of this name is kept here."""
        found = vault.get(TABLE, self._key(name))
        return _read(found) if found is not None else None

    def listing(self, vault: Reader) -> list[HostedWallet]:
        """Return every wallet kept here, by name."""
        found = [_read(value) for _, value in vault.scan(TABLE, _WALLET, prefix_stop(_WALLET))]
        return sorted(found, key=lambda hosted: hosted.name)

    def rename(self, vault: Writer, name: str, new: str) -> HostedWallet:
        """Call a wallet by another name. Raises LocalError NOT_FOUND, WALLET_EXISTS, BAD_NAME."""
        hosted = self.get(vault, name)
        vault.delete(TABLE, self._key(name))
        self.create(vault, new, hosted.wallet.seed, hosted.created)
        renamed = replace(hosted, name=new)
        self.put(vault, renamed)
        return renamed

    def drop(self, vault: Writer, name: str, grant: bytes) -> None:
        """Strike a grant off a wallet's list, wherever its seed is: it was never published."""
        hosted, gone = self.find(vault, name), self.away(vault, name)
        if hosted is not None:
            left = tuple(own for own in hosted.wallet.consents if own.grant_id != grant)
            self.put(vault, replace(hosted, wallet=replace(hosted.wallet, consents=left)))
        elif gone is not None:
            left = tuple(own for own in gone.consents if own.grant_id != grant)
            self._put_away(vault, replace(gone, consents=left))

    def expect(self, vault: Writer, grant: bytes, name: str) -> None:
        """Remember which wallet the content of a grant belongs to, until it comes."""
        vault.put(TABLE, _EXPECTING + grant, name.encode())

    def came(self, vault: Writer, grant: bytes) -> str:
        """Return the wallet for which the content of a grant was expected, or ""; it is expected no more."""
        found = vault.get(TABLE, _EXPECTING + grant)
        if found is not None:
            vault.delete(TABLE, _EXPECTING + grant)
        return found.decode() if found is not None else ""

    def sign(self, vault: Writer, key: bytes, grant: bytes) -> None:
        """Remember that the wallet with this public delegate key signed somebody else's consent."""
        vault.put(TABLE, self._signs(key) + grant, b"\x00")

    def signed(self, vault: Reader, name: str) -> list[bytes]:
        """Return the consents of others that a wallet signed, wherever its seed is. Raises LocalError NOT_FOUND."""
        prefix = self._signs(self.acting_key(vault, name))
        return [row[len(prefix) :] for row, _ in vault.scan(TABLE, prefix, prefix_stop(prefix))]

    def acting_key(self, vault: Reader, name: str) -> bytes:
        """Return the public delegate key of a wallet, wherever its seed is. Raises LocalError NOT_FOUND."""
        gone = self.away(vault, name)
        return gone.key if gone is not None else self.get(vault, name).wallet.delegate_key().public

    def _signs(self, key: bytes) -> bytes:
        return _SIGNED + self._blind(b"signs" + key)

    # Wallets whose seed the person alone has

    def take_away(self, vault: Writer, name: str) -> AwayWallet:
        """Erase a wallet's seed here; its list of consents stays. Raises LocalError NOT_FOUND."""
        hosted = self.get(vault, name)
        wallet = hosted.wallet
        gone = AwayWallet(name, hosted.created, wallet.delegate_key().public, wallet.consents)
        vault.delete(TABLE, self._key(name))
        self._put_away(vault, gone)
        return gone

    def _put_away(self, vault: Writer, gone: AwayWallet) -> None:
        value = [1, gone.name, gone.created, gone.key, Wallet(_NO_SEED, gone.consents).encode()]
        vault.put(TABLE, self._key(gone.name, _AWAY), codec.encode(value))

    def away(self, vault: Reader, name: str) -> AwayWallet | None:
        """Return a wallet whose seed is not here, or None."""
        found = vault.get(TABLE, self._key(name, _AWAY))
        return None if found is None else _read_away(found)

    def all_away(self, vault: Reader) -> list[AwayWallet]:
        """Return every wallet whose seed is not here, by name."""
        found = [_read_away(value) for _, value in vault.scan(TABLE, _AWAY, prefix_stop(_AWAY))]
        return sorted(found, key=lambda gone: gone.name)

    def bring_back(self, vault: Writer, name: str, seed: bytes) -> HostedWallet:
        """Keep a wallet here again, by its seed. Raises LocalError NOT_FOUND, NOT_THIS_WALLET."""
        gone = self.away(vault, name)
        if gone is None:
            raise LocalError("NOT_FOUND", "no wallet of this name was taken away from here", field="name")
        wallet = Wallet(seed, gone.consents)
        if wallet.delegate_key().public != gone.key:
            raise LocalError("NOT_THIS_WALLET", "these words are of another wallet; check each of them", field="words")
        vault.delete(TABLE, self._key(name, _AWAY))
        hosted = HostedWallet(name, gone.created, wallet)
        self.put(vault, hosted)
        return hosted

    def consents(self, vault: Reader, name: str) -> tuple[OwnConsent, ...]:
        """Return the consents of a wallet, wherever its seed is. Raises LocalError NOT_FOUND."""
        gone = self.away(vault, name)
        return gone.consents if gone is not None else self.get(vault, name).wallet.consents

    def _key(self, name: str, kind: bytes = _WALLET) -> bytes:
        return kind + self._blind(b"wallet" + name.encode())


def _read(data: bytes) -> HostedWallet:
    fields: Any = codec.decode(data, max_bytes=WALLET_MAX + 1_024)
    _, name, created, seed, consents = fields
    return HostedWallet(name, created, Wallet.decode(seed, consents))


def _read_away(data: bytes) -> AwayWallet:
    fields: Any = codec.decode(data, max_bytes=WALLET_MAX + 1_024)
    _, name, created, key, consents = fields
    return AwayWallet(name, created, key, Wallet.decode(_NO_SEED, consents).consents)
