"""What an audit is made of: plain rows, read by `gathering` from a node, or written by a test.

How it works
    Each row is one fact as this node knows it: an account of its own vault, a statement on the ledger, a consent with
    what is known of its end, the fault that a probe proves, an adopted version of a document. Times are unix seconds,
    ids bytes. They travel as JSON (bytes in base64) between the node and the command.

What it does not do
    A row judges nothing (`matching`, `duties`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ledger.consent.grant import Notice
from ledger.consent.record import Terms, Window
from ledger.governance.members import Party

Role: TypeAlias = Literal["holder", "recipient"]
"""At which end of a transfer."""
Ended: TypeAlias = Literal["withdrawn", "revoked"]
"""How a consent was ended."""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """What was received: a point, its kind of data, and its step ("" for data that are no series)."""

    point: str
    kind: tuple[str, str, str]
    granularity: str


@dataclass(frozen=True, slots=True)
class Account:
    """One end's own account of a transfer, from this node's vault.

    `began`, `ended`: of the first and the last pack, by this node's clock. `digest`: what must stand on the ledger;
    `stated`: the entry that should say so. `held`: the packs are still here. `series`: what came, where we received.
    """

    role: Role
    transfer: bytes
    grant: bytes
    holder: Party
    recipient: Party
    began: int
    ended: int
    records: int
    gaps: int
    window: Window
    digest: bytes
    stated: bytes | None = None
    held: bool = False
    series: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """What the ledger says of one transfer: a salted digest by one end.

    `grant`: None in an acknowledgement, which names none. `dated`: the entry's own date. `since`: boundary of the tick
    that the transfer rests on, so it is not older; None where that is not known here.
    """

    role: Role
    transfer: bytes
    grant: bytes | None
    digest: bytes
    entry: bytes
    signer: Party
    dated: int
    since: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A withdrawal or a revocation of a consent.

    `claimed`: the entry's own date (older withdrawals rounded it down to the hour). `registered`: time of the first
    checkpoint kept here that covers it: it existed by then. `told`: parties -> time by which their own feed says that
    they know.
    """

    entry: bytes
    kind: Ended
    signer: Party
    claimed: int
    registered: int
    told: tuple[tuple[Party, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Amendment:
    """An entry that narrows a consent: what is left is what both allow.

    `claimed`, `registered`: as of an end. `valid_until`: an earlier end, None where it sets none. `terms`: None where
    they are not known here, or erased.
    """

    entry: bytes
    claimed: int
    registered: int
    valid_until: int | None = None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent: clear fields from the ledger, and its terms where this node holds them.

    `recipient`: None for a class of recipients. `state`: of the ledger (status.State in small letters), "" where it
    says nothing yet. `ends`: earliest first. `acknowledged`: who acknowledged what decided. `terms`: None where they
    are not known here, or erased; `wallet`: name of the wallet here that gave it. `above`: when the first consent that
    it rests on ends or has ended, unix seconds; None: none that is known here. `amendments`: what narrows it.
    """

    id: bytes
    record: bytes
    holder: Party
    recipient: Party | None
    granted: int
    valid_until: int
    state: str
    notice: Notice
    chained: bool = False
    ends: tuple[End, ...] = ()
    acknowledged: tuple[Party, ...] = ()
    terms: Terms | None = None
    wallet: str = ""
    above: int | None = None
    amendments: tuple[Amendment, ...] = ()


@dataclass(frozen=True, slots=True)
class Adoption:
    """A version of a document that a member adopted."""

    document: bytes
    heads: tuple[bytes, ...]
    text: bytes
    dated: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """A fault that a probe's result proves to anybody (ledger.consent.fault). `wrong`: its stable code."""

    entry: bytes
    wrong: str
    member: Party
    holder: Party
    recipient: Party
    grant: bytes
    transfer: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What all the rest is read against.

    `now`: when it was read. `own`: the parties that speak here, tenants included. `staleness`: seconds within which a
    withdrawal must be known everywhere; `days_max`: the longest a consent may stand.
    """

    mesh: bytes
    now: int
    own: tuple[Party, ...]
    names: tuple[tuple[Party, str], ...]
    staleness: int
    days_max: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything an audit looks at. The order of the rows means nothing."""

    frame: Frame
    consents: tuple[Consent, ...] = ()
    accounts: tuple[Account, ...] = ()
    statements: tuple[Statement, ...] = ()
    proven: tuple[Proven, ...] = ()
    adoptions: tuple[Adoption, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is audited: [since, until) in unix seconds, and of whom. "" and None leave it open.

    `subject`: a wallet's name, or the beginning of a consent's or a record's id, in hexadecimal.
    """

    since: int
    until: int
    point: str = ""
    party: Party | None = None
    purpose: str = ""
    subject: str = ""

    @property
    def sealed(self) -> bool:
        """Whether it asks for what only the terms of a consent tell."""
        return bool(self.point or self.purpose)
