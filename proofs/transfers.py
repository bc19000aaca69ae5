"""Transfers in a bundle: the holder's receipt and the recipient's acknowledgement, held to the grant and the ledger.

How it works
    On the ledger stand salted digests in daily batches. A bundle names an entry and a position in it, and may open the
    digest with the account that it hides. What is opened must give the digest, and name the transfer, the grant and
    the parties that the ledger names. A receipt is signed by a device of the holder, as some tick shows it, or by the
    holder's own key where it is a tenant; an acknowledgement likewise by the recipient.

What it does not do
    It does not say whether the consent was active then (flows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.consent.disclosure import slot_digest
from ledger.consent.status import Party
from proofs.bundle import Account, Statement
from proofs.evidence import Evidence
from proofs.reasons import Reason
from proofs.state import Refused


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that the ledger states. `grant`: number of the grant; `receipt`, `ack`: numbers of entries.

    `frontier`: digest of the tick that the receipt names, None where it names none. `sent`, `received`: the accounts.
    """

    ident: bytes
    grant: int
    receipt: int
    ack: int | None
    frontier: bytes | None
    sent: Account | None
    received: Account | None


def check_transfers(evidence: Evidence) -> tuple[Transfer, ...]:
    """Check every transfer of a bundle. Raises Refused."""
    numbers = {grant.id: at for at, grant in enumerate(evidence.grants)}
    found = []
    taken: set[bytes] = set()
    for at, proof in enumerate(evidence.bundle.transfers):
        what = f"transfer {at}"
        ident, grant_id, digest, frontier = _row(evidence, proof.receipt, "transfer.receipt", "receipts", what)
        if grant_id not in numbers:
            raise Refused(Reason.TRANSFER_MISMATCH, f"{what} was made under another consent")
        if ident in taken:
            raise Refused(Reason.TRANSFER_MISMATCH, f"{what} stands there twice")
        taken.add(ident)
        grant = evidence.grants[numbers[grant_id]]
        holder, recipient = grant.payload["holder"], grant.payload["recipient"]
        sent = _opened(proof.receipt, "transfer.receipt", digest, what)
        _fits(sent, (ident, grant_id, holder, recipient), what)
        if sent is not None and sent.frontier != frontier:
            raise Refused(Reason.TRANSFER_MISMATCH, f"{what}: account and ledger name different ticks")
        _check_signer(evidence, proof.receipt.entry, (holder[0], holder[1]), f"{what}: the receipt")
        ack, received = None, None
        if proof.ack is not None:
            acked, ack_digest = _row(evidence, proof.ack, "transfer.ack", "acks", what)
            if acked != ident:
                raise Refused(Reason.TRANSFER_MISMATCH, f"{what}: the acknowledgement is of another transfer")
            received = _opened(proof.ack, "transfer.ack", ack_digest, what)
            _fits(received, (ident, grant_id, holder, recipient), what)
            if len(recipient) != 2:
                raise Refused(Reason.TRANSFER_MISMATCH, f"{what}: nobody speaks for a class of recipients")
            _check_signer(evidence, proof.ack.entry, (recipient[0], recipient[1]), f"{what}: the acknowledgement")
            ack = proof.ack.entry
        found.append(Transfer(ident, numbers[grant_id], proof.receipt.entry, ack, frontier, sent, received))
    return tuple(found)


def _row(evidence: Evidence, statement: Statement, kind: str, field: str, what: str) -> list[Any]:
    """Return the row of a batch that a statement names."""
    entry = evidence.entries[statement.entry]
    rows: list[Any] = entry.payload[field] if entry.kind == kind else []
    if statement.position >= len(rows):
        raise Refused(Reason.TRANSFER_MISMATCH, f"{what}: entry {statement.entry} has no such row")
    evidence.use(statement.entry)
    return rows[statement.position]  # type: ignore[no-any-return]


def _opened(statement: Statement, kind: str, digest: bytes, what: str) -> Account | None:
    account = statement.account
    if account is not None and slot_digest(account.salt, account.value(), kind) != digest:
        raise Refused(Reason.DISCLOSURE_MISMATCH, f"{what}: the account of the {kind} is not the one that was signed")
    return account


def _fits(account: Account | None, told: tuple[bytes, bytes, Sequence[Any], Sequence[Any]], what: str) -> None:
    if account is None:
        return
    ident, grant, holder, recipient = told
    same = (account.transfer, account.grant, list(account.holder)) == (ident, grant, list(holder))
    if not same or (len(recipient) == 2 and list(account.recipient) != list(recipient)):
        raise Refused(Reason.TRANSFER_MISMATCH, f"{what}: the account is of another transfer, consent or party")


def _check_signer(evidence: Evidence, at: int, party: Party, what: str) -> None:
    kid = evidence.entries[at].kid
    if party[1] == 0 and kid == party[0]:
        return
    for number, tick in enumerate(evidence.ticks):
        member = tick.members.get(party[0])
        if party[1] and member is not None and member.incarnation == party[1] and kid in member.feeds:
            evidence.shown.add((number, party[0]))
            return
    raise Refused(Reason.TRANSFER_MISMATCH, f"{what} is not signed by whom the consent names")
