"""The dozen calls, each once, sans-IO: a generator that asks for exchanges and pauses, and returns what they come to.

How it works
    `yield Call(operation, args)` comes back with the result, or raises what the node refused with; `yield Pause(s)`
    comes back later. The clients make methods of these functions, so `self` is what a client was made with. Whatever
    is sent or received is refused by raising: a program that does not look at anything fails closed.

What it does not do
    It opens no connection. Operations beyond these are called with `client.call(operation, args)`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from ledger.errors import LocalError
from node.client.exchange import Call
from node.operation import Nothing
from node.ops import consent as consents_
from node.ops import data as data_
from node.ops import readings as readings_
from node.ops.changes import ChangeList, ChangesArgs, changes_list
from node.ops.consent_line import ConsentLine
from node.ops.node import Status, node_status

if TYPE_CHECKING:
    from node.readings import Series

LOOK_FIRST_SECONDS: Final = 0.05
"""How long is waited before `wait_for` looks again; then longer each time, at most LOOK_SECONDS_MAX."""
LOOK_SECONDS_MAX: Final = 2.0

Kind = Literal["", "load_curve", "daily", "index", "max_power", "contract", "technical"]
DataKind = Literal["", "load_curve", "daily", "index", "max_power"]
Energy = Literal["electricity", "gas", "water", "heat"]
Direction = Literal["consumption", "production"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Come back after so many seconds."""

    seconds: float


T = TypeVar("T")
Flow: TypeAlias = Generator[Call | Pause, Any, T]
"""A call under way; it returns T."""


class Settings:
    """What a client gives along with every call."""

    def __init__(self, mesh: str = "", as_tenant: str = "") -> None:
        """`mesh`: its local name, where the node is in several. `as_tenant`: speak for this tenant of the node."""
        self.mesh, self.as_tenant = mesh, as_tenant


def status(_: Settings) -> Flow[Status]:
    """Return how the node is: problems first."""
    found: Status = yield Call(node_status, Nothing())
    return found


# Consents


def consents(self: Settings, *, state: str = "") -> Flow[tuple[ConsentLine, ...]]:
    """Return the consents whose content is known there; `state`: such as "active", those alone."""
    found: consents_.ConsentLines = yield Call(
        consents_.consent_list, consents_.ListArgs(mesh=self.mesh, as_tenant=self.as_tenant)
    )
    return tuple(line for line in found.consents if state in ("", line.state))


def requests(self: Settings, *, state: str = "") -> Flow[tuple[ConsentLine, ...]]:
    """Return the requests for consents; `state`: pending, refused or expired."""
    args = consents_.ListArgs(mesh=self.mesh, requests=True, as_tenant=self.as_tenant)
    found: consents_.ConsentLines = yield Call(consents_.consent_list, args)
    return tuple(line for line in found.consents if state in ("", line.state))


def consent(self: Settings, id: str) -> Flow[consents_.ConsentShown]:
    """Return how a consent or a request stands, and all that it says in words. Raises LocalError NOT_FOUND."""
    found: consents_.ConsentShown = yield Call(
        consents_.consent_show, consents_.ConsentArgs(id=id, mesh=self.mesh, as_tenant=self.as_tenant)
    )
    return found


def request_consent(
    self: Settings,
    *,
    points: Sequence[str],
    kind: Kind,
    purpose: str,
    contact: str,
    holder: str = "",
    recipient: str = "",
    to: str = "",
    energy: Energy = "electricity",
    direction: Direction = "consumption",
    granularity: str = "",
    days: int | None = None,
    open_days: int = 30,
) -> Flow[consents_.Requested]:
    """Ask a person for a consent; `wait_for` waits for her answer.

    `holder`, `recipient`: members by name, did:key or id (default: this node). `to`: the member that keeps her wallet.
    Raises what the node refuses with: purposes that the mesh forbids, unknown members, missing information.
    """
    args = consents_.AskConsentArgs(
        holder=holder,
        recipient=recipient,
        point=tuple(points),
        kind=kind,
        energy=energy,
        direction=direction,
        granularity=granularity,
        purpose=purpose,
        contact=contact,
        days=days,
        mesh=self.mesh,
        to=to,
        open_days=open_days,
        as_tenant=self.as_tenant,
    )
    found: consents_.Requested = yield Call(consents_.consent_request, args)
    return found


def wait_for(self: Settings, id: str, *, timeout: float = 3_600) -> Flow[ConsentLine]:
    """Wait until a consent is active, or a request was answered with one; return that consent.

    `id`: whole. `timeout`: seconds. Raises LocalError NO_CONSENT when it was refused, withdrawn or has expired,
    TEMPORARY when the time is over.
    """
    left, pause = timeout, LOOK_FIRST_SECONDS
    while True:
        lines = yield from consents(self)
        found = next((line for line in lines if id in (line.id, line.request)), None)
        if found is None:
            asked = yield from requests(self)
            found = next((line for line in asked if line.id == id), None)
        if found is not None and found.state == "active":
            return found
        if found is not None and found.state in ("refused", "expired", "withdrawn", "revoked"):
            raise LocalError("NO_CONSENT", f"There is no consent to rest on: it is {found.state}.", field=id)
        if left <= 0:
            raise LocalError("TEMPORARY", f"No answer to {id[:12]} within {timeout:g} s; it may still come.")
        yield Pause(min(pause, left))
        left -= pause
        pause = min(2 * pause, LOOK_SECONDS_MAX)


def withdraw(self: Settings, id: str = "", *, slip: str = "") -> Flow[consents_.Stated]:
    """Withdraw a consent of a wallet that the node keeps (`id`), or any one by its withdrawal slip. It is final."""
    args = consents_.WithdrawArgs(id=id, slip=slip, mesh=self.mesh)
    found: consents_.Stated = yield Call(consents_.consent_withdraw, args)
    return found


def revoke(self: Settings, id: str, *, why: str, reason: str = "") -> Flow[consents_.Stated]:
    """End a consent as its holder or recipient. `why`: purpose_ended, contract_ended, … (`maille consent revoke`)."""
    args = consents_.RevokeConsentArgs(id=id, why=why, reason=reason, as_tenant=self.as_tenant, mesh=self.mesh)
    found: consents_.Stated = yield Call(consents_.consent_revoke, args)
    return found


# Readings


def import_readings(self: Settings, file: bytes, *, format: str = "auto", point: str = "") -> Flow[readings_.Imported]:
    """Hand readings to a node that holds them, in any format of `maille readings formats`, or a zip of such files.

    `format`: by default as the content shows. `point`: for formats that name none. What is there already is skipped;
    what contradicts it refuses the file. Raises RemoteError with the line.
    """
    args = readings_.ImportArgs(file=file, format=format, point=point, mesh=self.mesh)
    found: readings_.Imported = yield Call(readings_.readings_import, args)
    return found


def series(self: Settings, point: str = "") -> Flow[tuple[readings_.SeriesLine, ...]]:
    """Return which series the node holds itself, of one point or of all."""
    found: readings_.SeriesLines = yield Call(
        readings_.readings_list, readings_.SelectArgs(point=point, mesh=self.mesh)
    )
    return found.series


def readings(self: Settings, point: str) -> Flow[tuple[Series, ...]]:
    """Return the readings of one point that the node holds itself. Raises LocalError NOT_FOUND."""
    args = readings_.ReadingsExportArgs(point=point, format="senml", mesh=self.mesh)
    found: readings_.ExportedReadings = yield Call(readings_.readings_export, args)
    return _series(found)


# Data


def send(self: Settings, consent: str, *, wait: str = "30s") -> Flow[data_.Transferred]:
    """Send what a consent covers to its recipient, and wait until it is there.

    Raises LocalError with the reason's code when the gate refuses at either end, TEMPORARY when it waits.
    """
    args = data_.SendArgs(consent=consent, wait=wait, as_tenant=self.as_tenant, mesh=self.mesh)
    return _done((yield Call(data_.data_send, args)))


def ask(
    self: Settings,
    *,
    consent: str = "",
    holder: str = "",
    point: str = "",
    kind: DataKind = "",
    energy: Energy = "electricity",
    direction: Direction = "consumption",
    granularity: str = "",
    purpose: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    wait: str = "30s",
) -> Flow[data_.Transferred]:
    """Ask a holder for readings and wait for them. Name the consent, or the holder and what is wanted.

    Raises LocalError with the reason's code when the gate refuses at either end, TEMPORARY when no answer has come.
    """
    args = data_.AskArgs(
        consent=consent,
        holder=holder,
        point=point,
        kind=kind,
        energy=energy,
        direction=direction,
        granularity=granularity,
        purpose=purpose,
        since=since,
        until=until,
        wait=wait,
        as_tenant=self.as_tenant,
        mesh=self.mesh,
    )
    return _done((yield Call(data_.data_request, args)))


def received(self: Settings, *, consent: str = "", transfer: str = "", point: str = "") -> Flow[tuple[Series, ...]]:
    """Return what was received under a consent, in a transfer, or of a point. Raises LocalError NOT_FOUND.

    It is what was kept: it says nothing of whether the consent still stands. `fetch` does.
    """
    args = data_.DataExportArgs(
        consent=consent, transfer=transfer, point=point, format="senml", as_tenant=self.as_tenant, mesh=self.mesh
    )
    return _series((yield Call(data_.data_export, args)))


def fetch(
    self: Settings,
    consent: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    wait: str = "30s",
) -> Flow[tuple[Series, ...]]:
    """Ask for what a consent covers, now, and return it; nothing where the holder has no readings of it.

    Raises as `ask`: once the consent has ended, or where anything else stands in the way.
    """
    try:
        moved = yield from ask(self, consent=consent, since=since, until=until, wait=wait)
    except LocalError as error:
        if error.code == "NO_READINGS":  # the consent stands, and there is nothing under it
            return ()
        raise
    return (yield from received(self, transfer=moved.transfer))


def receipts(self: Settings, *, consent: str = "") -> Flow[tuple[data_.ReceiptRow, ...]]:
    """Return the accounts of what was sent and received: who, when, how much, under which consent."""
    args = data_.ReceiptsArgs(consent=consent, as_tenant=self.as_tenant, mesh=self.mesh)
    found: data_.ReceiptRows = yield Call(data_.data_receipts, args)
    return found.receipts


def next_changes(self: Settings, after: int | None = 0, *, wait: str = "30s") -> Flow[ChangeList]:
    """Return what happened to consents and data after a change (its number), waiting for the first if there is none.

    `after` None: from now on. Numbers go up; those too old to be kept are told as lost (`ChangeList.lost`).
    """
    args = ChangesArgs(after=after, wait=wait, as_tenant=self.as_tenant, mesh=self.mesh)
    found: ChangeList = yield Call(changes_list, args)
    return found


def _done(moved: data_.Transferred) -> data_.Transferred:
    """Return a transfer that is done; raise the reason of any other."""
    if moved.state == "done":
        return moved
    if moved.state in ("refused", "stopped"):
        raise LocalError(moved.reason or "REFUSED", moved.message or "It was refused.", field=moved.consent or None)
    raise LocalError("TEMPORARY", moved.message or "The other end has not answered yet; it goes on by itself.")


def _series(found: readings_.ExportedReadings) -> tuple[Series, ...]:
    from node.adapters import senml

    return tuple(senml.decode_json(found.file))
