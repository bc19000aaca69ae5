"""The wallet: fresh keys for each consent, honest times, and a withdrawal that nothing can take away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.disclosure import hide
from ledger.consent.grant import request_payload
from ledger.consent.record import Rights
from ledger.consent.slip import Slip, parse_slip
from ledger.consent.standing import carried_grant
from ledger.consent.wallet import OpenRequest, OwnConsent, Wallet, make_refusal, make_withdrawal, subject_iat
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY
from tests.ledger.consent.cases import (
    HEAD,
    HOLDER,
    MESH,
    NOTICE,
    NOW,
    POLICY,
    RECIPIENT,
    TERMS,
    but,
    device,
    grant,
    seeded,
    wallet,
)

GRANT, _ = grant()


def _request(expires: int = NOW + DAY) -> OpenRequest:
    slots, _ = hide(TERMS, seeded(8))
    payload = request_payload(
        holder=HOLDER,
        recipient=RECIPIENT,
        notice=NOTICE,
        slots=slots,
        valid_until=NOW + 200 * DAY,
        expires=expires,
    )
    entry = sign_entry(
        device(4),
        "consent.request",
        ("consent", b"q" * 16),
        payload,
        iat=NOW - 60,
        cti=b"c" * 16,
        seen=[HEAD],
        mesh_id=MESH,
    )
    return OpenRequest(entry, TERMS)


REQUEST = _request()


def test_a_grant_is_sound_and_answers_its_request() -> None:
    entry, disclosed = grant(but(granularity="PT1H"), request=REQUEST, closure_iat=REQUEST.entry.iat)
    assert Entry.decode(entry.raw) == entry
    assert entry.payload["request"] == REQUEST.entry.id
    assert entry.iat == REQUEST.entry.iat
    assert entry.thing == ("consent", entry.thing[1])
    assert len(entry.thing[1]) == 16
    assert disclosed.terms().granularity == "PT1H"
    assert "required_parties" not in entry.payload


@pytest.mark.covers("R114")
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_two_grants_share_no_key_id_or_salt(one: int, two: int) -> None:
    first, opened = grant(seed=2 * one)
    second, opened_too = grant(seed=2 * two + 1)
    for name in ("id", "signer", "kid", "cti", "thing", "signature"):
        assert getattr(first, name) != getattr(second, name)
    keys = {first.signer, second.signer, first.payload["withdraw_key"], second.payload["withdraw_key"]}
    assert len(keys) == 4
    salts = {salt for salt, _ in opened.fields.values()}
    assert salts.isdisjoint(salt for salt, _ in opened_too.fields.values())


def test_two_wallets_share_nothing_even_from_one_source_of_randomness() -> None:
    other, _ = grant(by=wallet(2))
    assert other.thing == GRANT.thing
    assert other.signer != GRANT.signer
    assert other.payload["withdraw_key"] != GRANT.payload["withdraw_key"]


@pytest.mark.covers("R71", "system:CNIL + 2012/2015 texts + compliance pack")
def test_every_item_she_was_not_told_is_named() -> None:
    terms = but(purpose="", recipients=(), rights=Rights(), withdrawal_method="")
    with pytest.raises(LocalError) as error:
        grant(terms, valid_until=NOW, notice=replace(NOTICE, dated=NOW + 1))
    assert error.value.code == "CONSENT_NOT_INFORMED"
    assert error.value.field == ("purpose, recipients, access, rectification, objection, duration, withdrawal, notice")


@pytest.mark.covers("R48")
@pytest.mark.parametrize(
    ("purpose", "category"), [("  selling THE data ", "dpv:Service"), ("Fine words", "DPV:marketing")]
)
def test_a_forbidden_purpose_is_refused_at_grant_time(purpose: str, category: str) -> None:
    with pytest.raises(LocalError) as error:
        grant(but(purpose=purpose, purpose_category=category), policy=POLICY)
    assert error.value.code == "FORBIDDEN_PURPOSE"


def test_a_grant_beyond_the_longest_is_refused() -> None:
    grant(valid_until=NOW + POLICY.consent_days_max * DAY)
    with pytest.raises(LocalError) as error:
        grant(valid_until=NOW + (POLICY.consent_days_max + 1) * DAY)
    assert error.value.code == "TOO_LONG"


@pytest.mark.covers("R85")
def test_a_grant_wider_than_its_request_is_refused() -> None:
    with pytest.raises(LocalError) as error:
        grant(but(granularity="PT10M"), request=REQUEST)
    assert (error.value.code, error.value.field) == ("GRANT_WIDER", "granularity")
    with pytest.raises(LocalError) as late:
        grant(request=_request(expires=NOW - 1))
    assert late.value.code == "REQUEST_EXPIRED"


@given(st.integers(0, 2**35), st.lists(st.integers(0, 2**35), max_size=3))
def test_times_are_whole_hours_unless_the_closure_forbids(now: int, closure: list[int]) -> None:
    iat = subject_iat(now, *closure)
    assert iat >= now - now % 3_600
    assert all(iat >= time for time in closure)
    assert iat in closure or (iat % 3_600 == 0 and iat <= now)


def test_a_grant_is_dated_by_the_hour_the_closure_and_the_notice() -> None:
    hour = NOW - NOW % 3_600
    assert hour < NOW
    assert grant()[0].iat == hour
    assert grant(closure_iat=hour + 7)[0].iat == hour + 7
    assert grant(notice=replace(NOTICE, dated=NOW - 1))[0].iat == NOW - 1
    assert grant(closure_iat=NOW + 500)[0].iat == NOW + 500  # someone's clock is ahead: the rule is the rule


def test_a_refusal_needs_no_reason_and_no_link_to_anything() -> None:
    common = {"head": HEAD, "closure_iat": NOW - 60, "now": NOW, "mesh_id": MESH}
    refusal = make_refusal(wallet(), REQUEST.entry, **common, random_bytes=seeded(1))  # type: ignore[arg-type]
    assert Entry.decode(refusal.raw).payload == {"request": REQUEST.entry.id}
    assert refusal.iat >= REQUEST.entry.iat
    assert refusal.thing == REQUEST.entry.thing
    assert refusal.signer != GRANT.signer
    told = make_refusal(wallet(), REQUEST.entry, **common, random_bytes=seeded(2), reason="no")  # type: ignore[arg-type]
    assert told.payload["reason"] == "no"


def _withdraw(by: Wallet | Slip, entry: Entry = GRANT, closure_iat: int = 0) -> Entry:
    return make_withdrawal(by, entry, head=HEAD, closure_iat=closure_iat, now=NOW + 10, random_bytes=seeded(3))


def test_a_withdrawal_carries_its_grant_and_is_signed_by_the_key_that_can_only_withdraw() -> None:
    withdrawal = Entry.decode(_withdraw(wallet()).raw)
    assert carried_grant(withdrawal) == GRANT
    assert withdrawal.signer == GRANT.payload["withdraw_key"] != GRANT.signer
    assert withdrawal.thing == GRANT.thing
    assert withdrawal.iat == NOW + 10  # to the second: it goes out at once
    assert _withdraw(wallet(), closure_iat=NOW + 50).iat == NOW + 50


@pytest.mark.covers("R78", "R90")
def test_paper_alone_withdraws() -> None:
    """A lost wallet or a dead custodian never traps her: the typed code is enough."""
    slip = wallet().slip(GRANT)
    typed = parse_slip(slip.code().lower())
    assert GRANT.id.startswith(typed.grant_prefix)
    assert carried_grant(_withdraw(typed)) == GRANT


def test_no_other_wallet_or_slip_withdraws() -> None:
    other, _ = grant(seed=2)
    for by, entry in ((wallet(2), GRANT), (wallet().slip(other), GRANT), (wallet(), REQUEST.entry)):
        with pytest.raises(LocalError) as error:
            _withdraw(by, entry)
        assert error.value.code == "NOT_YOUR_CONSENT"
    with pytest.raises(LocalError):
        wallet(2).slip(GRANT)


def test_the_list_of_consents_comes_back_without_the_seed() -> None:
    other, _ = grant(seed=2)
    own = wallet().with_grant(GRANT).with_grant(other).with_grant(GRANT)
    withdrawal = _withdraw(wallet())
    own = own.with_withdrawal(withdrawal)
    assert own.consents == (OwnConsent(GRANT.thing[1], GRANT.id, withdrawal.id), OwnConsent(other.thing[1], other.id))
    assert Wallet.decode(wallet().seed, own.encode()) == own
    assert wallet().seed not in own.encode()
    assert wallet().seed.hex() not in repr(own)


def test_a_wallet_lists_only_its_own() -> None:
    with pytest.raises(LocalError) as error:
        wallet(2).with_grant(GRANT)
    assert error.value.code == "NOT_YOUR_CONSENT"
    with pytest.raises(LocalError):
        wallet(1).with_withdrawal(_withdraw(wallet()))


ROWS = st.lists(st.none() | st.binary(max_size=40) | st.integers(), max_size=4)


@given(st.integers() | st.lists(st.integers(0, 2) | st.lists(ROWS, max_size=2), max_size=3))
def test_a_broken_list_is_refused(value: object) -> None:
    if value == [1, []]:
        return
    try:
        data = codec.encode(value)
    except LocalError:
        return  # an integer beyond the data model
    with pytest.raises(RemoteError) as error:
        Wallet.decode(wallet().seed, data)
    assert error.value.code == "WALLET_MALFORMED"
