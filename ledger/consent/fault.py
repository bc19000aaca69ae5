"""When a holder's own signature proves that it served data without consent: a pure judgement (consent.md §3).

How it works
    `check_fault` holds evidence (answer) against what a ledger knows of the grant it names (`Known`, read by `know`
    from any node's rows), and returns the `Fault` that it proves. A fault never goes away by more entries, and an
    honest holder cannot be shown to have one, whoever colludes:

    | wrong           | proven when the holder signed that it served                                              |
    |-----------------|-------------------------------------------------------------------------------------------|
    | NO_SUCH_GRANT   | under an id that is the hash of a nonce (NoGrant): there is no such entry, ever            |
    | OTHER_HOLDER    | under a grant for data that another party holds                                           |
    | OTHER_RECIPIENT | under a grant to another recipient                                                        |
    | EXPIRED         | at a time, by its own clock, past the end of the grant                                    |
    | WITHDRAWN,      | after a checkpoint of its own feed (After), below which this very feed registers or        |
    | REVOKED         | acknowledges the entry that ended the grant: it had signed that it knew                    |

What it does not do
    It punishes nobody: people read results and vote. It proves no refusal wrong, since what a grant says is sealed.
    That data of another kind, point or period were served than granted is no matter of clear fields: only those who
    hold the disclosures can show it, to whom they choose. A holder that never says that it knows of a withdrawal
    proves nothing against itself here; its missing acknowledgement is listed instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ledger.checkpoint import Head
from ledger.consent.answer import After, Evidence, NoGrant, open_evidence
from ledger.consent.grant import RecipientClass, read_party, read_recipient
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.roster import Party
from ledger.index import facts_of
from ledger.keys import thumbprint
from ledger.rows import Reader, prefix_stop
from ledger.tables import PROBE, read_position

if TYPE_CHECKING:
    from ledger.held import Held


class Wrong(Enum):
    """What was wrong with serving. `value` is a stable code."""

    NO_SUCH_GRANT = "NO_SUCH_GRANT"
    OTHER_HOLDER = "OTHER_HOLDER"
    OTHER_RECIPIENT = "OTHER_RECIPIENT"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    REVOKED = "REVOKED"


WORDS: Final = {
    Wrong.NO_SUCH_GRANT: "It served data under a consent that cannot exist.",
    Wrong.OTHER_HOLDER: "It served data under a consent for what another party holds.",
    Wrong.OTHER_RECIPIENT: "It served data to another recipient than the consent names.",
    Wrong.EXPIRED: "It served data after the consent had ended, by its own clock.",
    Wrong.WITHDRAWN: "It served data after it had signed that it knew of the withdrawal.",
    Wrong.REVOKED: "It served data after it had signed that it knew of the revocation.",
}
"""Each wrong in one sentence, which names no person and no point."""
_WRONG: Final = {"consent.withdraw": Wrong.WITHDRAWN, "consent.revoke": Wrong.REVOKED}


@dataclass(frozen=True, slots=True)
class Fault:
    """Device `device` of `member` served pack `number` of `transfer` under `grant` at `at`, and that was `wrong`.

    `at`: unix seconds, by the device's own clock. `decided_by`: the entries that make it wrong: the grant, and what
    ended it.
    """

    wrong: Wrong
    device: bytes
    member: Party
    holder: Party
    recipient: Party
    grant: bytes
    transfer: bytes
    number: int
    at: int
    decided_by: tuple[bytes, ...]

    def sentence(self) -> str:
        """Return what it did, in plain words."""
        return WORDS[self.wrong]


@dataclass(frozen=True, slots=True)
class Known:
    """What a ledger knows about evidence. `member`: whose device signed it; None: of nobody here.

    `grant`: the grant it names. `ends`: entry that ended the grant -> its kind. `told`: such an entry -> the smallest
    leaf of the device's own feed that registers or acknowledges it. `head_held`: the challenge's checkpoint is of the
    branch of that feed which is held.
    """

    member: Party | None
    grant: Entry | None
    ends: Mapping[bytes, str]
    told: Mapping[bytes, int]
    head_held: bool


def check_fault(evidence: bytes, mesh_id: bytes, known: Known) -> Fault:
    """Return the fault that the evidence proves.

    Raises RemoteError as `open_evidence` does; EVIDENCE_DEVICE (a device of no member), NOT_SERVED (it refused),
    NO_FAULT (nothing is wrong with it, as far as the ledger can show).
    """
    return judge(open_evidence(evidence, mesh_id), known)


def judge(found: Evidence, known: Known) -> Fault:
    """Do what `check_fault` does with evidence that is open."""
    if known.member is None:
        raise RemoteError("EVIDENCE_DEVICE", "the device that signed is of no member of this mesh", field="evidence")
    answer = found.answer
    if answer.code or answer.grant is None:
        raise RemoteError("NOT_SERVED", f"the holder refused: {answer.code}", field="evidence")
    wrong, decided = _wrong(found, known)
    parties = (known.member, answer.holder, answer.recipient)
    return Fault(wrong, found.device, *parties, answer.grant, answer.transfer, answer.number, answer.at, decided)


def _wrong(found: Evidence, known: Known) -> tuple[Wrong, tuple[bytes, ...]]:
    answer, challenge = found.answer, found.challenge
    if isinstance(challenge, NoGrant):
        return Wrong.NO_SUCH_GRANT, ()
    grant = known.grant
    if grant is None:
        raise RemoteError("NO_FAULT", "the grant is not held here; it may still come", field="evidence")
    if read_party(grant.payload["holder"]) != answer.holder:
        return Wrong.OTHER_HOLDER, (grant.id,)
    recipient = read_recipient(grant.payload["recipient"])
    if not isinstance(recipient, RecipientClass) and recipient != answer.recipient:
        return Wrong.OTHER_RECIPIENT, (grant.id,)
    if answer.at >= grant.payload["valid_until"]:
        return Wrong.EXPIRED, (grant.id,)
    if isinstance(challenge, After) and known.head_held:
        kind, index = known.ends.get(challenge.ended), known.told.get(challenge.ended)
        if kind is not None and index is not None and index < challenge.head.size:
            return _WRONG[kind], (grant.id, challenge.ended)
    raise RemoteError("NO_FAULT", "the ledger does not show that this grant forbade it", field="evidence")


def know(held: Held, rows: Reader, found: Evidence) -> Known:
    """Return what a ledger knows about evidence. `held`: of a replica, in whose `rows` it is looked up."""
    device, challenge = found.device, found.challenge
    owner = held.members.devices.get(device)
    member = owner.party if owner is not None else None
    grant = held.grant(rows, found.answer.grant) if found.answer.grant is not None else None
    if grant is None:
        return Known(member, None, {}, {}, head_held=False)
    ends, told = endings(held, rows, grant, device)
    held_so = False
    if isinstance(challenge, After):
        head = Head(challenge.feed, challenge.head.size, challenge.head.root)
        held_so = held.held_iat(rows, head) is not None
    return Known(member, grant, ends, told, held_so)


def endings(held: Held, rows: Reader, grant: Entry, device: bytes) -> tuple[dict[bytes, str], dict[bytes, int]]:
    """Return what ended a grant, and since which leaf of its feed a device has told that it knew (`Known`)."""
    ends: dict[bytes, str] = {}
    told: dict[bytes, int] = {}
    for fact in facts_of(rows, grant.id, held.by_number, held.size):
        if fact.row.kind in _WRONG and _may_end(held, grant, fact.row.kind, fact.row.kid):
            ends[fact.row.entry_id] = fact.row.kind
        about = fact.row.about or fact.row.entry_id
        for feed, index in fact.places:
            if feed == device and (fact.row.kind != "consent.revoke" or _is_plain(held, fact.row.kid, device)):
                told[about] = min(index, told.get(about, index))
    return ends, told


def _is_plain(held: Held, kid: bytes, device: bytes) -> bool:
    """Say whether whoever registers a revocation by this signer knows whose word it is.

    Whose device another one is may come to be said later: an honest holder, brought to register a stranger's word (as
    nodes do beyond a fork), would be made to look guilty. What it acknowledges, it knows.
    """
    return kid == device or kid not in held.members.devices


def _may_end(held: Held, grant: Entry, kind: str, kid: bytes) -> bool:
    """Say whether this signer may end the grant (rules C2 and C3 of status)."""
    if kind == "consent.withdraw":
        return kid in (grant.kid, thumbprint(grant.payload["withdraw_key"]))
    payload: Any = grant.payload
    recipient = read_recipient(payload["recipient"])
    parties = (read_party(payload["holder"]), None if isinstance(recipient, RecipientClass) else recipient)
    return held.members.party_of(kid) in parties


@dataclass(frozen=True, slots=True)
class Examined:
    """What a probe's result is worth. `evidence`: open and verified, or None. `fault`: what it proves, if anything.

    `code`: why it proves nothing; "" where it does.
    """

    evidence: Evidence | None
    code: str
    fault: Fault | None


def examine(held: Held, rows: Reader, result: Entry) -> Examined:
    """Verify the evidence of a probe's result, with what a ledger knows, as anybody may.

    Codes, where there is no good evidence: NO_EVIDENCE, those of `open_evidence`, EVIDENCE_DEVICE, and EVIDENCE_OTHER
    (it is about another member, or says another outcome than the result). Where there is, and it proves no fault:
    NOT_SERVED, NO_FAULT.
    """
    data = result.payload.get("evidence")
    if data is None:
        return Examined(None, "NO_EVIDENCE", None)
    try:
        found = open_evidence(data, held.mesh_id)
    except RemoteError as error:
        return Examined(None, error.code, None)
    known = know(held, rows, found)
    said = "refused" if found.answer.code else "served"
    if known.member is None:
        return Examined(None, "EVIDENCE_DEVICE", None)
    if known.member[0] != result.thing[1] or said != result.payload["outcome"]:
        return Examined(None, "EVIDENCE_OTHER", None)
    try:
        return Examined(found, "", judge(found, known))
    except RemoteError as error:
        return Examined(found, error.code, None)


def results(held: Held, rows: Reader, member: bytes = b"") -> list[Entry]:
    """Return the results of probes of one member (by its root key's id), or of all, oldest first by their own dates."""
    prefix = PROBE + member
    entries: dict[bytes, Entry] = {}
    for key, _ in rows.scan("things", prefix, prefix_stop(prefix)):
        number, index = read_position(key)
        entry = held.leaf_entry(rows, held.feed_of(number), index)
        entries[entry.id] = entry
    return sorted(entries.values(), key=lambda entry: (entry.iat, entry.id))
