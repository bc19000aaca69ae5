"""What an auditor brings, and the card on which a mesh hands it to her: nothing in a bundle stands in for it.

How it works
    `Trust` is the auditor's: pinned genesis, quorum, time asked for, age allowed; maybe a pinned recent epoch, the
    audience and nonce that she gave a presenter, and a way to judge time stamps. A `Card` is what a member gives her
    on another channel, with a fingerprint of twenty characters that two people can read to each other by telephone.

What it does not do
    It verifies nothing. A card is as good as the channel it came by.
"""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NoReturn

from ledger.errors import LocalError, RemoteError
from ledger.shapes import text
from proofs.policy import POLICY_BYTES_MAX, Policy, parse_policy

CARD_FORMAT: Final = "maille-trust/1"
CARD_BYTES_MAX: Final = POLICY_BYTES_MAX + 4_096
_NAME: Final = text(200)  # as a genesis has it
_FINGERPRINT_DOMAIN: Final = b"maille/trust-card/v1\x00"

StampJudge = Callable[[bytes, bytes], int]
"""(token, SHA-256 that it must cover) -> unix seconds. Raises RemoteError BAD_STAMP."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor brings: the genesis hash, her quorum, the time T asked for (None: now), the age Δ allowed.

    Times in unix seconds, `max_age` in seconds. `epoch`: hash of a recent epoch that she pins, or None. `audience`,
    `nonce`: what a presenter must have signed, or None. `stamps`: how she judges time stamps; None: not at all.
    Raises LocalError BAD_TRUST.
    """

    genesis: bytes
    policy: Policy
    at: int | None
    max_age: int
    epoch: bytes | None = None
    audience: str | None = None
    nonce: bytes | None = None
    stamps: StampJudge | None = None

    def __post_init__(self) -> None:
        """Refuse inputs that could never be met."""
        if len(self.genesis) != 32 or self.max_age < 0 or (self.at is not None and self.at < 0):
            raise LocalError("BAD_TRUST", "pin a genesis hash of 32 bytes; times and ages are not negative")
        if self.epoch is not None and len(self.epoch) != 32:
            raise LocalError("BAD_TRUST", "a pinned epoch is a hash of 32 bytes", field="epoch")
        if self.nonce is not None and self.audience is None:
            raise LocalError("BAD_TRUST", "a nonce goes with an audience", field="nonce")

    def echo(self, now: int) -> dict[str, Any]:
        """Return the inputs as a report shows them, first of all."""
        return {
            "genesis": self.genesis.hex(),
            "epoch": None if self.epoch is None else self.epoch.hex(),
            "policy": self.policy.words(),
            "at": self.at,
            "max_age_seconds": self.max_age,
            "audience": self.audience,
            "time_stamps": self.stamps is not None,
            "now": now,
        }


@dataclass(frozen=True, slots=True)
class Card:
    """What a member hands an auditor: the mesh's name and genesis, a recent epoch, and a policy text or ""."""

    mesh: str
    genesis: bytes
    epoch: bytes
    epoch_number: int
    epoch_as_of: int
    policy: str

    def fingerprint(self) -> str:
        """Return twenty characters (100 bits) in groups of four: of everything that a verdict rests on."""
        parts = (self.genesis, self.epoch, sha256(self.policy.encode()).digest())
        text = b32encode(sha256(_FINGERPRINT_DOMAIN + b"".join(parts)).digest()).decode()[:20]
        return "-".join(text[at : at + 4] for at in range(0, 20, 4))

    def encode(self) -> str:
        """Return the card as JSON text."""
        value = {
            "format": CARD_FORMAT,
            "fingerprint": self.fingerprint(),
            "mesh": self.mesh,
            "genesis": self.genesis.hex(),
            "epoch": {"hash": self.epoch.hex(), "number": self.epoch_number, "as_of": self.epoch_as_of},
            "policy": self.policy,
        }
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def decode(cls, text: str | bytes) -> Card:
        """Read what `encode` wrote. Raises RemoteError BAD_CARD (its fingerprint included), BAD_POLICY."""
        if len(text) > CARD_BYTES_MAX:
            _bad("it is too long")
        try:
            value: Any = json.loads(text)
            epoch = value["epoch"]
            genesis, pinned = bytes.fromhex(value["genesis"]), bytes.fromhex(epoch["hash"])
            card = cls(value["mesh"], genesis, pinned, epoch["number"], epoch["as_of"], value["policy"])
            told, own = value["fingerprint"], card.fingerprint()  # which no lone surrogate of JSON can have
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            _bad("it is not the JSON of a card")
        kinds = [type(each) for each in (value["mesh"], value["policy"], epoch["number"], epoch["as_of"])]
        if not _NAME.ok(value["mesh"]):
            _bad("the mesh's name is no name")  # it is printed beside the fingerprint, which does not cover it
        if value.get("format") != CARD_FORMAT or kinds != [str, str, int, int] or {len(genesis), len(pinned)} != {32}:
            _bad("a field is missing or of another form")
        if told != own:
            _bad("its fingerprint is of another card")
        if card.policy:
            parse_policy(card.policy)
        return card


def _bad(message: str) -> NoReturn:
    raise RemoteError("BAD_CARD", f"this is not a trust card: {message}; ask for it again")
