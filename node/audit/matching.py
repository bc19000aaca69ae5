"""Every transfer matched to its consent: what this node keeps, and what others state, one finding each.

How it works
    Accounts, statements and proven faults that name one transfer become one `Access`, held against the consent that
    it names (`judging`). Anybody may name somebody else's transfer on the ledger: statements of strangers are noted
    and change nothing.

What it does not do
    It reads nothing, and no order of the rows changes what it says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ledger.consent.grant import plain
from ledger.consent.record import Terms
from ledger.governance.members import Party
from node.audit.findings import Access, Who, moment
from node.audit.judging import Gathered, Span, grant_of, judge, span_of
from node.audit.rows import Account, Consent, Frame, Proven, Question, Rows, Statement

PROGRESS_EVERY: Final = 1_000

Tell = Callable[[int, int], None]
"""Is told how many of how many transfers are matched."""


class Names:
    """Parties as they are shown; each is made once."""

    def __init__(self, frame: Frame) -> None:
        self._names = {party[0]: name for party, name in sorted(frame.names)}
        self._made: dict[Party, Who] = {}

    def who(self, party: Party) -> Who:
        """Return a party with its name."""
        found = self._made.get(party)
        if found is None:
            found = self._made[party] = Who(self._names.get(party[0], ""), party[0].hex(), party[1])
        return found


def gather(rows: Rows) -> dict[bytes, Gathered]:
    """Return all that names each transfer, by the transfer's id, in no matter which order the rows came."""
    found: dict[bytes, Gathered] = defaultdict(lambda: Gathered([], [], [], []))
    for account in rows.accounts:
        if account.records:
            found[account.transfer].accounts.append(account)
    for statement in rows.statements:
        found[statement.transfer].statements.append(statement)
    for fault in rows.proven:
        found[fault.transfer].proven.append(fault)
    for one in found.values():
        one.accounts.sort(key=_account_order)
        one.statements.sort(key=_statement_order)
        one.proven.sort(key=lambda fault: (fault.at, fault.entry, fault.wrong, fault.grant, fault.member))
    return found


def _account_order(row: Account) -> tuple[Any, ...]:
    return row.role, row.digest, row.grant, row.began, row.ended, row.records, row.gaps, row.window, row.series


def _statement_order(row: Statement) -> tuple[Any, ...]:
    return row.role, row.dated, row.entry, row.signer, row.grant or b"", row.digest


def match(rows: Rows, question: Question, consents: Mapping[bytes, Consent], tell: Tell) -> Iterator[Access | None]:
    """Yield one finding for each transfer that the question is about; None where it cannot be told whether it is."""
    names, gathered = Names(rows.frame), gather(rows)
    for number, transfer in enumerate(sorted(gathered), 1):
        one = believed(gathered[transfer], consents)
        grant = grant_of(one)
        consent = consents.get(grant) if grant is not None else None
        span = span_of(one)
        if span.high >= question.since and (span.high if span.low is None else span.low) < question.until:
            asked = is_asked(question, consent, one)
            if asked is None:
                yield None
            elif asked:
                yield _access(transfer, one, grant, consent, span, rows.frame, names)
        if number % PROGRESS_EVERY == 0 or number == len(gathered):
            tell(number, len(gathered))


def believed(one: Gathered, consents: Mapping[bytes, Consent]) -> Gathered:
    """Return the same with the statements of strangers apart: anybody may name a transfer of others on the ledger.

    A statement counts where our own account names its signer, else where the consent does. Where no receipt is by the
    holder of the consent that it names, the receipts are taken at their word, against whoever gave it.
    """
    parts: set[tuple[str, Party]] = set()
    for account in one.accounts:
        parts |= {("holder", account.holder), ("recipient", account.recipient)}
    if not parts:
        receipts = [row for row in one.statements if row.grant is not None]
        sound = [row for row in receipts if (c := consents.get(row.grant or b"")) and c.holder == row.signer]
        for row in (sound or receipts)[:1]:
            named = consents.get(row.grant or b"")
            parts.add(("holder", row.signer))
            if named is not None and named.recipient is not None:
                parts.add(("recipient", named.recipient))
    if not parts:
        return one
    believed = [row for row in one.statements if (row.role, row.signer) in parts]
    strangers = [row for row in one.statements if (row.role, row.signer) not in parts]
    return Gathered(one.accounts, believed, one.proven, strangers)


def is_asked(question: Question, consent: Consent | None, one: Gathered) -> bool | None:
    """Say whether a transfer is what the question is about; None where what is known of it does not tell."""
    if question.party is not None and question.party not in _parties(consent, one):
        return False
    if question.subject and (consent is None or not is_subject(question.subject, consent)):
        return False
    if not question.sealed:
        return True
    points = {series.point for account in one.accounts for series in account.series}
    if consent is None or consent.terms is None:
        if question.purpose or not points:
            return None
        return question.point in points
    return has_terms(question, consent.terms, points)


def has_terms(question: Question, terms: Terms, points: Iterable[str] = ()) -> bool:
    """Say whether terms are about the point and the purpose asked for. `points`: where others came, too."""
    if question.point and question.point not in terms.points and question.point not in points:
        return False
    wanted = plain(question.purpose)
    return not wanted or wanted in (plain(terms.purpose), plain(terms.purpose_category))


def is_subject(text: str, consent: Consent) -> bool:
    """Say whether a consent is of the subject that is named: by a wallet here, or the beginning of an id."""
    digits = text.lower()
    return text == consent.wallet or consent.id.hex().startswith(digits) or consent.record.hex().startswith(digits)


def _parties(consent: Consent | None, one: Gathered) -> set[Party | None]:
    rows: tuple[Account | Proven, ...] = (*one.accounts, *one.proven)
    named: set[Party | None] = {party for row in rows for party in (row.holder, row.recipient)}
    named |= {statement.signer for statement in one.statements}
    if consent is not None:
        named |= {consent.holder, consent.recipient}
    return named


# Findings


def _access(
    transfer: bytes,
    one: Gathered,
    grant: bytes | None,
    consent: Consent | None,
    span: Span,
    frame: Frame,
    names: Names,
) -> Access:
    verdict, code = judge(consent, one, span, frame)
    own = one.accounts[0] if one.accounts else None
    terms = consent.terms if consent is not None else None
    points = sorted({series.point for account in one.accounts for series in account.series})
    holder, recipient = _ends(consent, one)
    kind = terms.pii_type if terms is not None else None
    since, until = own.window if own is not None else (None, None)
    return Access(
        verdict,
        code,
        transfer.hex(),
        grant.hex() if grant is not None else "",
        names.who(holder) if holder is not None else None,
        names.who(recipient) if recipient is not None else None,
        moment(span.low) if span.low is not None else None,
        moment(span.high),
        tuple(sorted(_seen(one))),
        own.records if own is not None else None,
        own.gaps if own is not None else None,
        moment(since) if since is not None else None,
        moment(until) if until is not None else None,
        terms.purpose if terms is not None else "",
        tuple(points) or (terms.points if terms is not None else ()),
        "/".join(kind) if kind is not None else "",
        (terms.granularity or "") if terms is not None else "",
        tuple(_notes(one)),
        tuple(sorted({row.entry.hex() for row in (*one.statements, *one.strangers)})),
        _proof(transfer, one, consent, span),
    )


def _ends(consent: Consent | None, one: Gathered) -> tuple[Party | None, Party | None]:
    """Return holder and recipient: as our account, a probe, the statements or the consent name them."""
    rows: tuple[Account | Proven, ...] = (*one.accounts, *one.proven)
    if rows:
        return rows[0].holder, rows[0].recipient
    said: dict[str, Party] = {}
    for statement in one.statements:
        said.setdefault(statement.role, statement.signer)
    clear = (consent.holder, consent.recipient) if consent is not None else (None, None)
    return said.get("holder", clear[0]), said.get("recipient", clear[1])


def _seen(one: Gathered) -> set[str]:
    said = {"holder": "receipt", "recipient": "acknowledgement"}
    here = {"holder": "sent-here", "recipient": "received-here"}
    found = {here[row.role] for row in one.accounts} | {said[row.role] for row in one.statements}
    return found | ({"probe"} if one.proven else set())


def _notes(one: Gathered) -> Iterator[str]:
    if one.strangers:
        yield "CLAIMED_BY_OTHER"
    if not one.statements and not one.accounts:
        return
    stated = {role: [row for row in one.statements if row.role == role] for role in ("holder", "recipient")}
    for account in one.accounts:
        party = account.holder if account.role == "holder" else account.recipient
        mine = [row for row in stated[account.role] if row.signer == party]
        if mine and account.digest not in {row.digest for row in mine}:
            yield "DIGEST_DIFFERS"
        if account.stated is None and not mine:
            yield "NOT_STATED"
    if len({(row.grant, row.records, row.gaps, row.window) for row in one.accounts}) > 1:
        yield "ACCOUNTS_DIFFER"
    known = {row.role for row in one.accounts} | {row.role for row in one.statements}
    if "holder" not in known:
        yield "NO_RECEIPT"
    if "recipient" not in known:
        yield "NOT_ACKNOWLEDGED"


def _proof(transfer: bytes, one: Gathered, consent: Consent | None, span: Span) -> str:
    if one.proven:
        return f"maille probe show {one.proven[0].entry.hex()}"
    if consent is None or not consent.state:
        if one.statements:
            return f"maille entry show {one.statements[0].entry.hex()}"
        return "maille data receipts --json"
    return proof_at(consent.id, span.high, transfer.hex()[:12])


def proof_at(grant: bytes, at: int, name: str) -> str:
    """Return the command that makes the proof of a consent as it stood at a time."""
    return f"maille proof make {grant.hex()} --at {moment(at):%Y-%m-%dT%H:%M:%SZ} --to {name}.mailleproof"


def only(rows: Rows, question: Question) -> tuple[Consent, ...]:
    """Return the consents that the question is about, in order of their ids; unreadable ones where that may be."""
    chosen = []
    for consent in sorted(rows.consents, key=lambda one: one.id):
        if question.party is not None and question.party not in (consent.holder, consent.recipient):
            continue
        if question.subject and not is_subject(question.subject, consent):
            continue
        if question.sealed and consent.terms is not None and not has_terms(question, consent.terms):
            continue
        ends = tuple(sorted(consent.ends, key=lambda end: (end.claimed, end.entry)))
        chosen.append(replace(consent, ends=ends))
    return tuple(chosen)
