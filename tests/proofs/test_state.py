"""Values of committed maps: what the ledger writes of a delegation, the verifier reads, up to a limit that fits."""

from __future__ import annotations

import pytest

from ledger.consent.delegation import Delegation
from ledger.consent.status import Checked
from proofs import bundle
from proofs.state import WORDS_MAX, Refused, delegation_value
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
