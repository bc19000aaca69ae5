"""Values of committed maps: what the ledger writes of a delegation, the verifier reads, up to a limit that fits."""

from __future__ import annotations

import pytest

from ledger.consent.delegation import WORDS_MAX, Delegation, resolve
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import Checked, Fact
from ledger.tables import FactRow
from proofs import bundle
from proofs.state import Refused, delegation_value
from tests.ledger.consent.chains import Book, key


def _committed(words: int) -> bytes:
    said = (Checked(bytes(32), (number.to_bytes(32, "big"), 2**31), "checked_ok") for number in range(words))
    given = Book().delegation(key(1), key(2))
    return Delegation(given.id, True, given.payload["valid_until"], (given.id,), tuple(said)).committed()


def test_the_words_of_many_members_on_a_delegation_are_read() -> None:
    given = Book().delegation(key(1), key(2))
    value = _committed(WORDS_MAX)
    assert len(value) <= bundle.VALUE_BYTES_MAX
    assert len(delegation_value(value, given).checked) == WORDS_MAX
    with pytest.raises(Refused):
        delegation_value(_committed(WORDS_MAX + 1), given)


def test_however_many_words_were_said_the_verifier_reads_what_the_ledger_keeps_and_early_ones_stay() -> None:
    papers = [bytes([number]) * 32 for number in range(16)]
    given = Book().delegation(key(1), key(2), evidence=papers)

    def word(member: int, at: int, paper: bytes, state: int) -> Fact:
        kid = member.to_bytes(32, "big")
        about = at.to_bytes(8, "big") + paper + bytes((state,))
        return Fact(FactRow("consent.evidence", bytes(32), kid, about), ((kid, 0),))

    holder = 2**200  # whose key sorts after all others
    facts = [Fact(FactRow("delegation.give", given.id, given.kid), ((bytes(32), 0),)), word(holder, 5, papers[-1], 0)]
    facts += [word(member, 6, paper, 1) for member in range(60) for paper in papers]
    told = resolve(given, facts, lambda _: 1, lambda kid: (kid, 1), lambda *_: True)
    assert told is not None
    assert Checked(papers[-1], (holder.to_bytes(32, "big"), 1), EVIDENCE_STATES[0]) in told.checked
    assert len(delegation_value(told.committed(), given).checked) == WORDS_MAX
