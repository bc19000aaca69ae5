"""Joining a mesh with a ticket: the applicant's side of the door, in trio.

How it works
    `apply` dials the device the ticket names, over the encrypted channel, which proves that it is that device. It
    asks for the genesis, checks it against the ticket's mesh id, signs the application and the certificate of its
    device with the root key, and hands them in. The member's answer is a code: ADMITTED, PENDING or a refusal.

What it does not do
    It writes nothing: the node stores the genesis once it was admitted. It never sends a private key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import trio

from gossip import knock
from gossip.channel import Channel, Closed, Established, Identity, Received, Transmit
from gossip.knock import GenesisRequest, Knock, KnockAnswer
from gossip.messages import KNOCK, Envelope
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, MailleError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.epoch import Genesis
from ledger.governance.members import possession_message
from ledger.keys import SigningKey
from node.admission import Welcome
from node.core import RandomBytes
from node.network import Network
from node.tickets import Ticket

ANSWER_SECONDS_MAX: Final = 20.0
APPLICATION_SECONDS: Final = 7 * 86_400  # how long an application may wait for approval


FOUNDER: Final = "FOUNDER"
"""Instead of a member's answer: the genesis lists our root key, and we accept instead of applying."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an application says beside who applies. `charter`: the version accepted; `fork`: the proof to repair."""

    charter: bytes = b""
    college: str = ""
    fork: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the member answered: a code, the genesis of the mesh, and the newest epoch that the member holds.

    Whoever invites vouches for that epoch: a newcomer cannot tell by itself which of two old branches is alive
    (governance.md §4, Rivals).
    """

    code: str
    genesis: Genesis
    epoch: bytes


class Visit:
    """One channel at somebody's door: send a knock, wait for the answer."""

    def __init__(self, stream: trio.abc.Stream, channel: Channel) -> None:
        self._stream, self._channel = stream, channel
        self._answers: list[KnockAnswer] = []
        self._open = False

    async def begin(self) -> None:
        """Run the handshake. Raises LocalError with the channel's code when it fails."""
        await self._carry_out(self._channel.start(_now_ms()))
        while not self._open:
            await self._pump()

    async def ask(self, message: GenesisRequest | Knock) -> KnockAnswer:
        """Send one message and return its answer."""
        await self._carry_out(self._channel.send([knock.encode(message)]))
        while not self._answers:
            await self._pump()
        return self._answers.pop(0)

    async def leave(self) -> None:
        """End the channel politely."""
        await self._carry_out(self._channel.close("DONE", "the visit is over"), ended=True)
        await self._stream.aclose()

    async def abandon(self) -> None:
        """Drop the stream at once, if it is still there."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(self._stream)

    async def _pump(self) -> None:
        try:
            data = await self._stream.receive_some(65_536)
        except trio.BrokenResourceError:
            data = b""
        received = self._channel.receive(bytes(data), _now_ms()) if data else self._channel.end_of_stream()
        await self._carry_out(received)

    async def _carry_out(self, effects: Sequence[Any], *, ended: bool = False) -> None:
        for effect in effects:
            match effect:
                case Transmit(data):
                    with suppress(trio.BrokenResourceError):  # what the other end said last is still to be read
                        await self._stream.send_all(data)
                case Established():
                    self._open = True
                case Received(message):
                    envelope = Envelope.open(message)
                    answer = knock.decode(envelope) if envelope.family == KNOCK else None
                    if isinstance(answer, KnockAnswer) and not self._answers:
                        self._answers.append(answer)
                case Closed(code, message) if not ended:
                    raise LocalError(code, f"the channel to the member ended: {message}")


async def apply(
    network: Network,
    ticket: Ticket,
    identity: Identity,
    root: SigningKey,
    *,
    name: str,
    incarnation: int,
    now: int,
    random_bytes: RandomBytes,
    claim: Claim | None = None,
) -> Outcome:
    """Apply for membership with a ticket. `now`: unix seconds. Whom the genesis lists as a founder need not apply.

    Raises LocalError UNREACHABLE, TICKET_EXPIRED, CHARTER_NOT_ACCEPTED or a channel code; RemoteError WRONG_GENESIS,
    BAD_WELCOME, and what decoding raises.
    """
    if ticket.expires < now:
        raise LocalError("TICKET_EXPIRED", "this ticket has expired; ask for another")
    with trio.move_on_after(ANSWER_SECONDS_MAX):
        visit = await _visit(network, ticket.addresses, identity, ticket.mesh_id, ticket.device, random_bytes)
        try:
            await visit.begin()
            genesis, welcome = _shown(await visit.ask(GenesisRequest()), ticket, now)
            if incarnation == 1 and root.public in {founder for founder, _ in genesis.founders}:
                await visit.leave()
                return Outcome(FOUNDER, genesis, welcome.epoch)
            _check_charter(claim or Claim(), welcome)
            entries = application(
                root, identity.device, welcome, genesis, name, incarnation, now, random_bytes, claim=claim
            )
            answer = await visit.ask(Knock(ticket.secret, tuple(e.raw for e in entries), identity.device.public))
            await visit.leave()
        finally:
            await visit.abandon()
        return Outcome(answer.code, genesis, welcome.epoch)
    raise LocalError("UNREACHABLE", f"no answer within {ANSWER_SECONDS_MAX:.0f} s; is the inviter's node running?")


def _shown(shown: KnockAnswer, ticket: Ticket, now: int) -> tuple[Genesis, Welcome]:
    """Check what the member showed before anything is signed on the strength of it."""
    if shown.genesis is None or len(shown.entries) != 1:
        raise RemoteError("WRONG_GENESIS", "the member did not show the genesis of the mesh")
    genesis = Genesis.read(Entry.decode(shown.genesis))
    if genesis.mesh_id != ticket.mesh_id:
        raise RemoteError("WRONG_GENESIS", "the genesis shown is not that of the ticket's mesh; do not join")
    welcome = Welcome.decode(shown.entries[0])
    if welcome.closure_iat > now + AHEAD_SECONDS_MAX:
        raise RemoteError("BAD_WELCOME", "the member's clock is minutes ahead of ours; set the one that is wrong")
    return genesis, welcome


def _check_charter(claim: Claim, welcome: Welcome) -> None:
    if welcome.charter is not None and claim.charter != welcome.charter:
        told = (
            f"Members accept charter {welcome.charter.hex()} here. Read it; if you agree, join with "
            f"--accept-charter {welcome.charter.hex()}"
        )
        raise LocalError("CHARTER_NOT_ACCEPTED", told, field="accept_charter")


async def _visit(
    network: Network,
    addresses: Sequence[str],
    identity: Identity,
    mesh_id: bytes,
    device: bytes,
    random_bytes: RandomBytes,
) -> Visit:
    faults = []
    for address in addresses:
        try:
            stream = await network.dial(address)
        except OSError as error:
            faults.append(f"{address}: {error}")
            continue
        return Visit(stream, Channel.initiator(identity, mesh_id, random_bytes, expected_device_kid=device))
    raise LocalError("UNREACHABLE", "the inviter's node cannot be reached: " + "; ".join(faults))


async def hand_in(
    network: Network,
    doors: Mapping[bytes, Sequence[str]],
    identity: Identity,
    mesh_id: bytes,
    entries: Sequence[Entry],
    wanted: str,
    random_bytes: RandomBytes,
) -> bytes:
    """Hand entries in at the first member that takes them, and return its device. `doors`: addresses by device.

    `wanted`: the code of success. Raises LocalError NO_MEMBER_REACHED with what each one answered.
    """
    knocking = Knock(None, tuple(entry.raw for entry in entries), identity.device.public)
    faults = []
    for device, addresses in doors.items():
        code = "UNREACHABLE"
        try:
            with trio.move_on_after(ANSWER_SECONDS_MAX):
                visit = await _visit(network, addresses, identity, mesh_id, device, random_bytes)
                try:
                    await visit.begin()
                    code = (await visit.ask(knocking)).code
                    await visit.leave()
                finally:
                    await visit.abandon()
        except MailleError as error:
            code = error.code
        if code == wanted:
            return device
        faults.append(f"{device.hex()[:12]}: {code}")
    told = "; ".join(faults) or "no other member's address is known"
    raise LocalError("NO_MEMBER_REACHED", f"No member has taken it ({told}); try again when one can be reached.")


def application(
    root: SigningKey,
    device: SigningKey,
    welcome: Welcome,
    genesis: Genesis,
    name: str,
    incarnation: int,
    now: int,
    random_bytes: RandomBytes,
    *,
    claim: Claim | None = None,
) -> list[Entry]:
    """Return the two entries of an application (member.apply or .repair, device.certify), signed by the root key."""
    claim = claim or Claim()
    common: dict[str, Any] = {
        "iat": max(now, welcome.closure_iat),
        "seen": (welcome.head,),
        "mesh_id": genesis.mesh_id,
        "epoch": welcome.epoch,
    }
    applied: dict[str, Any] = {
        "incarnation": incarnation,
        "inviter": list(welcome.inviter),
        "device": device.kid,
        "expires": now + APPLICATION_SECONDS,
    }
    said = {"name": name, "charter": claim.charter, "college": claim.college, "fork": claim.fork}
    applied.update({field: value for field, value in said.items() if value})
    kind = "member.repair" if claim.fork else "member.apply"
    certified = {
        "device": device.public,
        "incarnation": incarnation,
        "possession": device.sign(possession_message(genesis.mesh_id, root.kid, incarnation)),
    }
    return [
        sign_entry(root, kind, ("member", root.kid), applied, cti=random_bytes(16), **common),
        sign_entry(root, "device.certify", ("device", device.kid), certified, cti=random_bytes(16), **common),
    ]


def _now_ms() -> int:
    return round(trio.current_time() * 1_000)  # rounded down, a deadline just reached would not be due yet
