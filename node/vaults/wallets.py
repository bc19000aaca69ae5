"""Wallets that this node keeps for people, in the vault's table `wallets`.

| key | value |
|---|---|
| "w", blind(name) | [1, name, created (unix seconds), seed, list of consents (Wallet.encode)] |

How it works
    Custody: whoever runs the node could use the seed. Every listing says so (`CUSTODY`), and the withdrawal slip
    that is printed with each grant works without the wallet.

What it does not do
    It signs nothing (ledger.consent.wallet) and shows no seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.wallet import WALLET_MAX, Wallet
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults import Blind

TABLE: Final = "wallets"
NAME_MAX: Final = 100
"""Longest name of a wallet, in characters."""
CUSTODY: Final = "kept by this node for the person"
"""What every listing says of a wallet whose seed lies here."""
_WALLET: Final = b"w"


@dataclass(frozen=True, slots=True)
class HostedWallet:
    """A person's wallet, kept here under a name."""

    name: str
    created: int
    wallet: Wallet


class WalletRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def create(self, vault: Writer, name: str, seed: bytes, now: int) -> HostedWallet:
        """Begin a wallet. Raises LocalError WALLET_EXISTS, BAD_NAME."""
        if not name.isprintable() or not 1 <= len(name) <= NAME_MAX:
            raise LocalError("BAD_NAME", f"a wallet's name has 1 to {NAME_MAX} printable characters", field="name")
        if vault.get(TABLE, self._key(name)) is not None:
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
        found = vault.get(TABLE, self._key(name))
        if found is None:
            raise LocalError("NOT_FOUND", "no wallet of this name is kept here; `wallet list` shows them", field="name")
        return _read(found)

    def listing(self, vault: Reader) -> list[HostedWallet]:
        """Return every wallet kept here, by name."""
        found = [_read(value) for _, value in vault.scan(TABLE, _WALLET, prefix_stop(_WALLET))]
        return sorted(found, key=lambda hosted: hosted.name)

    def _key(self, name: str) -> bytes:
        return _WALLET + self._blind(b"wallet" + name.encode())


def _read(data: bytes) -> HostedWallet:
    fields: Any = codec.decode(data, max_bytes=WALLET_MAX + 1_024)
    _, name, created, seed, consents = fields
    return HostedWallet(name, created, Wallet.decode(seed, consents))
