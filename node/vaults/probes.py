"""Conformance probes that this node has made, in the vault's table `incoming`.

| key | value |
|---|---|
| "p", transfer (16) | `Probe`: what was asked, and what came of it |
| "o", transfer | empty: no answer has come yet |

How it works
    A probe is kept by the transfer that it asks for, so that an answer is known for what it is. What a faulty holder
    served is not here: only the salt that opens the digest it signed, and the kinds of data in words.

What it does not do
    It signs and sends nothing. Rows older than KEPT_DAYS go; the ledger has the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.answer import Challenge, challenge_of
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults.transfers import INCOMING, TRANSFER_BYTES, Wanted

KEPT_DAYS: Final = 30
_PROBE: Final = b"p"
_OPEN: Final = b"o"


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe. `probe`: its id on the ledger. `member`: who was asked, through its device `peer`.

    `way`: what kind of request it was (node.flows.probing). `until`: after which silence is the answer, unix seconds.
    `outcome`: "" while it is open, then served, refused, silent, or away (nothing was learned). `entry`: the result on
    the ledger. `salt`, `kinds`: open the digest of what was served, and say what kinds of data it was. `evidence`: what
    the result carries, b"" for none: it is all there is to state it again from.
    """

    probe: bytes
    transfer: bytes
    member: Party
    peer: bytes
    way: str
    wanted: Wanted
    challenge: Challenge | None
    created: int
    until: int
    outcome: str = ""
    code: str = ""
    entry: bytes = b""
    salt: bytes = b""
    kinds: tuple[str, ...] = ()
    evidence: bytes = b""

    def encode(self) -> bytes:
        """Return the row."""
        challenge = self.challenge.value() if self.challenge is not None else None
        asked = [1, self.probe, self.transfer, list(self.member), self.peer, self.way, self.wanted.value(), challenge]
        times = [self.created, self.until]
        came = [self.outcome, self.code, self.entry, self.salt, list(self.kinds), self.evidence]
        return codec.encode([*asked, *times, *came])

    @classmethod
    def decode(cls, data: bytes) -> Probe:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data)
        _, probe, transfer, member, peer, way, wanted, challenge, *rest = fields
        created, until, outcome, code, entry, salt, kinds, *evidence = rest  # rows of the first form have none
        party, times = (member[0], member[1]), (created, until)
        asked = (probe, transfer, party, peer, way, Wanted.read(wanted), challenge_of(challenge), *times)
        return cls(*asked, outcome, code, entry, salt, tuple(kinds), *evidence)


class ProbeRows:
    """The rows of this module."""

    def get(self, vault: Reader, transfer: bytes) -> Probe | None:
        """Return the probe that asked for a transfer, or None."""
        found = vault.get(INCOMING, _PROBE + transfer)
        return Probe.decode(found) if found is not None else None

    def put(self, vault: Writer, probe: Probe) -> None:
        """Keep a probe as it stands."""
        vault.put(INCOMING, _PROBE + probe.transfer, probe.encode())
        if probe.outcome:
            vault.delete(INCOMING, _OPEN + probe.transfer)
        else:
            vault.put(INCOMING, _OPEN + probe.transfer, b"\x00")

    def delete(self, vault: Writer, transfer: bytes) -> None:
        """Forget a probe."""
        vault.delete(INCOMING, _PROBE + transfer)
        vault.delete(INCOMING, _OPEN + transfer)

    def open(self, vault: Reader) -> list[Probe]:
        """Return the probes that have no answer yet."""
        keys = [key for key, _ in vault.scan(INCOMING, _OPEN, prefix_stop(_OPEN))]
        found = (self.get(vault, key[-TRANSFER_BYTES:]) for key in keys)
        return [probe for probe in found if probe is not None]

    def listing(self, vault: Reader) -> Iterator[Probe]:
        """Yield every probe that is kept, by transfer."""
        return (Probe.decode(value) for _, value in vault.scan(INCOMING, _PROBE, prefix_stop(_PROBE)))
