"""Identities: a digest opens with its salt alone, and only whom one trusts counts, at no more than one believes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, kinds
from ledger.consent.identity import Attested, digest, payload, strongest
from ledger.consent.kinds import IDENTITY_LEVELS
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError

PROVIDER: Party = (b"\x01" * 32, 1)
STRANGER: Party = (b"\x02" * 32, 1)
KID = b"\x03" * 32
SALT = bytes(range(16))
ANNA = {"family_name": "MARTIN", "given_name": "Anna", "birthdate": "1980-02-29"}
TRUST = {(PROVIDER, "franceconnect"): "substantial"}


def attested(
    level: str, at: int, by: Party = PROVIDER, issuer: str = "franceconnect", entry: bytes = bytes(32)
) -> Attested:
    return Attested(entry, by, KID, issuer, level, at, digest(ANNA, SALT))


@pytest.mark.covers("R149", "system:France Connect")
def test_an_identity_opens_with_its_salt_and_fields_alone() -> None:
    said = payload("franceconnect", "substantial", 100, ANNA, SALT)
    kinds.check("identity.attest", ("identity", KID), codec.decode(codec.encode(said)), has_epoch=False)
    assert all(value not in str(said) for value in ANNA.values())
    one = attested("substantial", 100)
    one.check(dict(reversed(ANNA.items())), SALT)
    for fields, salt in (({**ANNA, "given_name": "Ann"}, SALT), (ANNA, bytes(16))):
        with pytest.raises(RemoteError) as refused:
            one.check(fields, salt)
        assert refused.value.code == "DISCLOSURE_MISMATCH"


@pytest.mark.parametrize("fields", [{}, {"nickname": "A"}, {"sub": ""}, {"sub": "x" * 201}])
def test_what_is_no_identity_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(LocalError) as refused:
        payload("franceconnect", "weak", 1, fields, SALT)
    assert refused.value.code == "BAD_IDENTITY"
    with pytest.raises(LocalError, match="a level is one of"):
        payload("franceconnect", "certain", 1, ANNA, SALT)


@pytest.mark.covers("system:Facebook Connect")
def test_whom_nobody_trusts_says_nothing() -> None:
    assert strongest([attested("high", 5, STRANGER)], KID, TRUST, 10) is None
    assert strongest([attested("high", 5, issuer="mail")], KID, TRUST, 10) is None
    assert strongest([attested("weak", 5)], b"\x09" * 32, TRUST, 10) is None
    assert strongest([attested("weak", 11)], KID, TRUST, 10) is None


@pytest.mark.covers("R149", "system:Facebook Connect")
def test_a_provider_is_believed_up_to_its_level() -> None:
    boasting = attested("high", 5, entry=b"\x01" * 32)
    plain = attested("substantial", 6, entry=b"\x02" * 32)
    assert strongest([boasting, plain], KID, TRUST, 10) == plain, "both count as substantial: the newer one"
    assert strongest([boasting, attested("weak", 9)], KID, TRUST, 10) == boasting


ATTESTED = st.lists(
    st.builds(
        attested,
        st.sampled_from(IDENTITY_LEVELS),
        st.integers(0, 20),
        st.sampled_from([PROVIDER, STRANGER]),
        st.sampled_from(["franceconnect", "mail"]),
        st.binary(min_size=32, max_size=32),
    ),
    max_size=6,
    unique_by=lambda one: one.entry,
)


@given(ATTESTED, st.integers(0, 25), st.randoms(use_true_random=False))
def test_order_and_duplicates_do_not_matter(found: list[Attested], now: int, source: random.Random) -> None:
    shuffled = [*found, *found]
    source.shuffle(shuffled)
    assert strongest(shuffled, KID, TRUST, now) == strongest(found, KID, TRUST, now)
