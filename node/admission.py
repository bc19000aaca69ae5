"""The door of a mesh: tickets, applications, and what a member does with them (governance.md §3).

How it works
    A stranger's channel carries the knock family alone. It asks for the genesis and is shown what an application
    must name (`Welcome`: a head, the epoch, the inviter). It then hands in two entries signed by its root key: the
    application and the certificate of its first device. With a ticket bound to that key it is admitted in the same
    turn; otherwise the request waits until the operator, who compares fingerprints, approves or denies it. Tickets
    are kept as hashes, used once, and expire. A member whose device is new hands in the certificate of the successor
    the same way: after a restore, and whenever a channel comes up (`introduce`), since the other end may know nothing
    of it yet. Where it does not hold the feed that is succeeded that far, it lets the device gossip, and so learns.

What it does not do
    It draws no conclusion from silence, and no request is ever approved by time alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gossip import events as gossip
from gossip.knock import GenesisRequest, Knock, KnockAnswer, decode, encode
from gossip.messages import Envelope
from ledger import codec
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, FEED_LEAVES_MAX
from ledger.governance.members import Party, possession_message
from ledger.governance.policy import Charter, requires
from ledger.governance.rules import Rules
from ledger.keys import check_public_key, did_key, thumbprint, verify
from ledger.rows import Reader, prefix_stop
from ledger.schema import DAY
from ledger.view import HeldView
from node.rules_text import leaves
from node.tickets import SECRET_BYTES, Ticket

if TYPE_CHECKING:
    from node.core import Turn

REQUESTS_MAX: Final = 64  # applications that wait; more are told to come back, but for those with a ticket
TICKETS_MAX: Final = 1_000
VOUCHED_MAX: Final = 64  # devices that may gossip before the ledger knows them
FURTHER_MAX: Final = 8  # entries of one root key that may stand in our feed and be unsealed when it asks for one more
_TICKET: Final = b"ticket"
_REQUEST: Final = b"request"

ADMITTED: Final = "ADMITTED"
PENDING: Final = "PENDING"
GENESIS: Final = "GENESIS"
CERTIFIED: Final = "CERTIFIED"


@dataclass(frozen=True, slots=True)
class Welcome:
    """What an applicant needs in order to sign: a head to name as seen, the epoch, and who invites.

    `charter`: the version that it must accept, or None.
    """

    head: Head
    epoch: bytes
    inviter: Party
    closure_iat: int
    charter: bytes | None = None

    def encode(self) -> bytes:
        """Return the bytes that travel in a KnockAnswer."""
        head = [self.head.feed, self.head.size, self.head.root]
        return codec.encode([head, self.epoch, list(self.inviter), self.closure_iat, self.charter])

    @classmethod
    def decode(cls, data: bytes) -> Welcome:
        """Read what a member answered. Raises RemoteError BAD_WELCOME."""
        match codec.decode(data):
            case [
                [bytes(feed), int(size), bytes(root)],
                bytes(epoch),
                [bytes(kid), int(incarnation)],
                int(iat),
                charter,
            ]:
                if charter is None or type(charter) is bytes:
                    hashes = all(len(value) == 32 for value in (feed, root, epoch, kid, charter or kid))
                    if hashes and 0 <= size < FEED_LEAVES_MAX and incarnation > 0 and iat >= 0:
                        return cls(Head(feed, size, root), epoch, (kid, incarnation), iat, charter)
        raise RemoteError("BAD_WELCOME", "the member's answer is not of this version")


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket as the inviter keeps it. `bound_to`: a root key id or b""; `used_by`: likewise."""

    digest: bytes
    expires: int
    bound_to: bytes
    used_by: bytes

    def encode(self) -> bytes:
        """Return the row."""
        return codec.encode([self.expires, self.bound_to, self.used_by])


@dataclass(frozen=True, slots=True)
class Request:
    """An application that waits. `did`: the applicant's root key; `name`: as it calls itself."""

    id: bytes
    did: str
    name: str
    received: int
    entries: tuple[bytes, ...]
    device: bytes


class Admission:
    """Answers the knock family for one mesh (node.core.Stranger)."""

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Act on one message from a peer that may be a stranger."""
        try:
            message = decode(envelope)
            match message:
                case GenesisRequest():
                    self._answer(turn, peer, GENESIS, welcome=True)
                case Knock():
                    self._answer(turn, peer, self._knock(turn, peer, message))
                case _:
                    turn.note("KNOCK_IGNORED", peer=peer.hex())
        except RemoteError as error:
            turn.note("KNOCK_REFUSED", peer=peer.hex(), code=error.code, reason=error.message)
            self._answer(turn, peer, error.code)

    def _answer(self, turn: Turn, peer: bytes, code: str, *, welcome: bool = False) -> None:
        genesis = turn.core.replica.genesis.entry.raw
        told = (self.welcome(turn).encode(),) if welcome else ()
        turn.send(peer, encode(KnockAnswer(code, genesis if welcome else None, told)))

    def welcome(self, turn: Turn) -> Welcome:
        """Return what an applicant must name, if we are to admit it."""
        replica, head = turn.core.replica, turn.shown_head()
        iat = replica.closure_iat(turn.rows, [head], replica.members.epoch)
        return Welcome(head, replica.members.epoch, turn.core.party, iat, charter_asked(replica.chain.newest.rules))

    def _knock(self, turn: Turn, peer: bytes, knock: Knock) -> str:
        entries = [Entry.decode(raw) for raw in knock.entries]
        if thumbprint(knock.device) != peer:
            raise RemoteError("APPLICATION_WRONG", "the device of the application is not the one that knocks")
        match [entry.kind for entry in entries]:
            case ["member.apply" | "member.repair", "device.certify"]:
                return self._apply(turn, peer, knock, entries[0], entries[1])
            case ["device.certify"]:
                return self._successor(turn, peer, entries[0])
            case _:
                raise RemoteError("APPLICATION_WRONG", "an application is member.apply and device.certify")

    def _apply(self, turn: Turn, peer: bytes, knock: Knock, application: Entry, certificate: Entry) -> str:
        members = turn.core.replica.members
        party: Party = (application.kid, application.payload["incarnation"])
        if members.is_member(party) and members.party_of(peer) == party:
            return ADMITTED
        _check_application(turn, peer, application, certificate)
        ticket = self._ticket(turn, knock.ticket, application.kid) if knock.ticket is not None else None
        if ticket is not None:
            used = TicketRow(ticket.digest, ticket.expires, ticket.bound_to, application.kid)
            turn.rows.put("outbox", _TICKET + ticket.digest, used.encode())
            if ticket.bound_to:
                self.admit(turn, peer, application, certificate)
                return ADMITTED if turn.core.replica.members.is_member(party) else PENDING
        name = application.payload.get("name", "")
        request = Request(
            application.id, did_key(application.signer), name, turn.now, tuple(knock.entries), knock.device
        )
        if ticket is None and self._is_crowded(turn.rows, application.kid):
            raise RemoteError("TOO_MANY_REQUESTS", "too many applications wait here; ask the operator, then try again")
        row = codec.encode([request.received, list(request.entries), request.device])
        turn.rows.put("outbox", _REQUEST + application.kid, row)
        turn.note("APPLICATION_WAITS", request=request.id.hex())
        return PENDING

    @staticmethod
    def _is_crowded(rows: Reader, kid: bytes) -> bool:
        """Say whether too many wait for one more without a ticket; who waits already may apply again."""
        waiting = [key for key, _ in rows.scan("outbox", _REQUEST, prefix_stop(_REQUEST))]
        return len(waiting) >= REQUESTS_MAX and _REQUEST + kid not in waiting

    def _ticket(self, turn: Turn, secret: bytes, kid: bytes) -> TicketRow:
        ticket = _read_ticket(turn.rows, hashlib.sha256(secret).digest())
        if ticket is None:
            raise RemoteError("TICKET_UNKNOWN", "this ticket was not made here, or was revoked")
        if ticket.used_by and ticket.used_by != kid:
            raise RemoteError("TICKET_USED", "this ticket was used before; ask for another")
        if ticket.expires < turn.now:
            raise RemoteError("TICKET_EXPIRED", "this ticket has expired; ask for another")
        if ticket.bound_to and ticket.bound_to != kid:
            raise RemoteError("TICKET_NOT_YOURS", "this ticket was made for another key")
        return ticket

    def admit(self, turn: Turn, device: bytes, application: Entry, certificate: Entry) -> None:
        """Register an application and its certificate, and admit. `device`: id of the device that applies.

        Raises RemoteError APPLICATION_WRONG (with the field), INVITATIONS_USED_UP; nothing is registered then.
        """
        _check_application(turn, device, application, certificate)
        check_invitations(turn)
        turn.register(application)
        turn.register(certificate)
        payload = {"application": application.id, "incarnation": application.payload["incarnation"]}
        turn.state("member.admit", ("member", application.kid), payload)
        party: Party = (application.kid, application.payload["incarnation"])
        code = "MEMBER_ADMITTED" if turn.core.replica.members.is_member(party) else "MEMBER_ENDORSED"
        turn.note(code, member=did_key(application.signer))

    def _successor(self, turn: Turn, peer: bytes, certificate: Entry) -> str:
        members = turn.core.replica.members
        if not members.is_member((certificate.kid, certificate.payload["incarnation"])):
            raise RemoteError("NOT_A_MEMBER", "only a member's root key certifies a further device")
        claim = certificate.payload.get("predecessor")
        if claim is None:
            raise RemoteError("APPLICATION_WRONG", "a further device names its predecessor", field="predecessor")
        if certificate.thing[1] in members.devices:
            return CERTIFIED
        _check_certificate(turn, certificate)
        if certificate.thing[1] != peer:
            raise RemoteError("APPLICATION_WRONG", "the certificate is not of the device that knocks", field="device")
        if claim[0] in members.devices and turn.core.replica.size(claim[0]) >= claim[1]:
            own, replica = turn.core.device.kid, turn.core.replica
            fresh = replica.registrations.beyond(replica.chain.newest.frontier, {own: replica.size(own)})
            if sum(each.entry.kid == certificate.kid for each in fresh) >= FURTHER_MAX:
                raise RemoteError("TOO_MANY_REQUESTS", "too many devices of this member stand here; try again later")
            turn.register(certificate)
        elif len(turn.core.vouched) < VOUCHED_MAX:
            # What it succeeds is news here, which the device itself brings: its member's root key vouches for it.
            turn.core.vouched.add(peer)
            turn.handle(gossip.PeerUp(peer, member=True))
        return CERTIFIED

    def introduce(self, turn: Turn, peer: bytes) -> None:
        """Show a member the certificate of our own device, if it took another's place: the news may not be there."""
        own, members = turn.core.device, turn.core.replica.members
        if own.kid in members.devices and members.devices[own.kid].party == turn.core.party:
            certificate = _certificate_of(turn, own.kid)
            if certificate is not None and "predecessor" in certificate.payload:
                turn.send(peer, encode(Knock(None, (certificate.raw,), own.public)))

    # What the operator does

    def invite(self, turn: Turn, addresses: Sequence[str], *, ttl_seconds: int, bound_to: bytes | None) -> Ticket:
        """Make a ticket; `bound_to`: a root key's id, or None for one that must be approved."""
        if len(self.tickets(turn.rows)) >= TICKETS_MAX:
            raise LocalError("TOO_MANY_TICKETS", "revoke tickets that are no longer needed first")
        if not addresses:
            raise LocalError("NO_ADDRESS", "this node has no address that others can reach; set one in its config")
        secret = turn.core.random_bytes(SECRET_BYTES)
        row = TicketRow(hashlib.sha256(secret).digest(), turn.now + ttl_seconds, bound_to or b"", b"")
        turn.rows.put("outbox", _TICKET + row.digest, row.encode())
        replica, device = turn.core.replica, turn.core.device
        return Ticket(replica.mesh_id, device.kid, tuple(addresses)[:4], row.expires, secret, bound_to is not None)

    def tickets(self, rows: Reader) -> list[TicketRow]:
        """Return every ticket kept."""
        scan = rows.scan("outbox", _TICKET, prefix_stop(_TICKET))
        return [_ticket_row(key[len(_TICKET) :], row) for key, row in scan]

    def revoke(self, turn: Turn, digest: bytes) -> bool:
        """Forget a ticket; False when there is none."""
        known = turn.rows.get("outbox", _TICKET + digest) is not None
        turn.rows.delete("outbox", _TICKET + digest)
        return known

    def requests(self, rows: Reader) -> list[Request]:
        """Return every application that waits."""
        found = []
        for _, row in rows.scan("outbox", _REQUEST, prefix_stop(_REQUEST)):
            fields: Any = codec.decode(row, max_bytes=len(row))
            received, entries, device = fields
            entry = Entry.parse(entries[0])
            name = entry.payload.get("name", "")
            found.append(Request(entry.id, did_key(entry.signer), name, received, tuple(entries), device))
        return found

    def waiting(self, turn: Turn) -> list[Request]:
        """Return the applications that wait for us, without those whose applicants others have let in since."""
        members = turn.core.replica.members
        read = ((request, Entry.parse(request.entries[0])) for request in self.requests(turn.rows))
        return [request for request, a in read if not members.is_member((a.kid, a.payload["incarnation"]))]

    def approve(self, turn: Turn, request_id: bytes) -> Request:
        """Admit a waiting applicant. Raises LocalError NO_SUCH_REQUEST; APPLICATION_WRONG when it has lapsed."""
        request = self._request(turn.rows, request_id)
        application, certificate = (Entry.parse(raw) for raw in request.entries)
        self.admit(turn, thumbprint(request.device), application, certificate)
        turn.rows.delete("outbox", _REQUEST + application.kid)
        return request

    def register(self, turn: Turn, request_id: bytes) -> Entry:
        """Register a waiting application without admitting, so that others can endorse it. Raises as `approve`."""
        request = self._request(turn.rows, request_id)
        application, certificate = (Entry.parse(raw) for raw in request.entries)
        _check_application(turn, thumbprint(request.device), application, certificate)
        turn.register(application)
        turn.register(certificate)
        return application

    def deny(self, turn: Turn, request_id: bytes) -> Request:
        """Forget a waiting application."""
        request = self._request(turn.rows, request_id)
        turn.rows.delete("outbox", _REQUEST + Entry.parse(request.entries[0]).kid)
        return request

    def _request(self, rows: Reader, request_id: bytes) -> Request:
        for request in self.requests(rows):
            if request.id == request_id:
                return request
        raise LocalError("NO_SUCH_REQUEST", "no application with this id waits here")


def _certificate_of(turn: Turn, device: bytes) -> Entry | None:
    """Return the certificate of a device, as the ledger here holds it."""
    replica = turn.core.replica
    for registration in replica.registrations:
        entry = registration.entry
        if entry.kind == "device.certify" and entry.thing[1] == device:
            return entry
    return None


def _check_application(turn: Turn, device: bytes, application: Entry, certificate: Entry) -> None:
    """Refuse what would have no effect, or would spoil our feed, before anything of it is registered."""
    replica, payload = turn.core.replica, application.payload
    incarnation = payload["incarnation"]
    current = replica.members.members.get(application.kid)
    faults = {
        "mesh": application.mesh_id != replica.mesh_id,
        "signer": certificate.signer != application.signer or application.thing != ("member", application.kid),
        "incarnation": certificate.payload["incarnation"] != incarnation
        or (current is not None and incarnation <= current.party[1]),
        "device": payload["device"] != device or thumbprint(certificate.payload["device"]) != device,
        "inviter": tuple(payload["inviter"]) != turn.core.party,
        "expires": payload["expires"] < turn.now,
        "iat": _misdated(turn, application),
    }
    for field, wrong in faults.items():
        if wrong:
            raise RemoteError("APPLICATION_WRONG", "the application and its certificate do not fit here", field=field)
    charter = charter_asked(replica.chain.newest.rules)
    if charter is not None and payload.get("charter") != charter:
        raise RemoteError("CHARTER_NOT_ACCEPTED", f"members accept charter {charter.hex()} here", field="charter")
    _check_certificate(turn, certificate)


def _check_certificate(turn: Turn, certificate: Entry) -> None:
    payload, mesh_id = certificate.payload, turn.core.replica.mesh_id
    check_public_key(payload["device"])
    shown = possession_message(mesh_id, certificate.kid, payload["incarnation"])
    faults = {
        "mesh": certificate.mesh_id != mesh_id,
        "device": certificate.thing != ("device", thumbprint(payload["device"])),
        "possession": not verify(payload["device"], shown, payload["possession"]),
        "iat": _misdated(turn, certificate),
    }
    for field, wrong in faults.items():
        if wrong:
            raise RemoteError("APPLICATION_WRONG", "the device's certificate does not hold here", field=field)


def _misdated(turn: Turn, entry: Entry) -> bool:
    """Say whether the entry would be void in our feed, or would keep others from taking our feed."""
    early = entry.iat < turn.core.replica.closure_iat(turn.rows, entry.seen, entry.epoch)
    return early or entry.iat > turn.now + AHEAD_SECONDS_MAX


def check_invitations(turn: Turn) -> None:
    """Refuse an endorsement beyond the rules' number a day: the ledger would not count it (G1.2)."""
    replica = turn.core.replica
    base = replica.chain.open(replica.chain.newest, HeldView(replica, turn.rows)).base
    day = (base.as_of if base.n else turn.now) // DAY
    if len(base.days.get((turn.core.party, day), ())) >= base.rules.invitations_a_day:
        raise RemoteError("INVITATIONS_USED_UP", "this member admits nobody else today; try again tomorrow")


def charter_asked(rules: Rules) -> bytes | None:
    """Return the version of the charter without which nobody gets in; None where there is none, or a choice."""
    versions = {leaf.version for leaf in leaves(rules.admission) if isinstance(leaf, Charter)}
    return versions.pop() if len(versions) == 1 and requires(rules.admission, Charter) else None


def _ticket_row(digest: bytes, row: bytes) -> TicketRow:
    fields: Any = codec.decode(row)
    expires, bound_to, used_by = fields
    return TicketRow(digest, expires, bound_to, used_by)


def _read_ticket(rows: Reader, digest: bytes) -> TicketRow | None:
    row = rows.get("outbox", _TICKET + digest)
    return _ticket_row(digest, row) if row is not None else None
