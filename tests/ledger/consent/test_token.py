"""Tokens: narrowed by anybody, widened by nobody; codes that are tried too often are dead."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.record import DATE_MAX
from ledger.consent.token import (
    CAVEATS_MAX,
    CODE_ALPHABET,
    CODE_BITS,
    SHORT_CODE_LETTERS,
    SHORT_TRIES,
    Limits,
    Token,
    as_coarse,
    make_code,
    make_share,
    mint,
    redeem,
    verify,
)
from ledger.errors import LocalError, RemoteError
from tests.ledger.consent.cases import HOLDER, NOW, OTHER, POINT, POINT_TOO, RECIPIENT, seeded

KEY = b"k" * 32
GRANT = b"g" * 32
ID = b"i" * 16
END = NOW + 86_400
TOKEN = mint(KEY, ID, GRANT, HOLDER, expires=END)

POINTS = (POINT, POINT_TOO, "prm:12345678901236")
STEPS = ("PT10M", "PT30M", "P1D", "P30D", "P1M")
DATES = st.integers(0, 100)
CAVEATS = st.one_of(
    st.tuples(st.just("points"), st.lists(st.sampled_from(POINTS), max_size=3)),
    st.tuples(st.just("windows"), st.lists(st.tuples(DATES, DATES).map(sorted), max_size=3)),
    st.tuples(st.just("granularity"), st.sampled_from(STEPS)),
    st.tuples(st.just("aggregation"), st.sampled_from(["sum", "mean"])),
    st.tuples(st.just("recipient"), st.sampled_from([list(RECIPIENT), list(OTHER)])),
    st.tuples(st.just("expires"), st.integers(0, END)),
)


def _built(caveats: list[tuple[str, Any]]) -> Token:
    token = TOKEN
    for name, value in caveats:
        token = token.narrowed(name, value)
    return token


def _allows(limits: Limits, point: str, hour: int, step: str, computed: str | None, recipient: Any, now: int) -> bool:
    return (
        now < limits.expires
        and (limits.points is None or point in limits.points)
        and (limits.windows is None or any(a <= hour < b for a, b in limits.windows))
        and (limits.granularity is None or as_coarse(step, limits.granularity))
        and limits.aggregation in (None, computed)
        and limits.recipient in (None, recipient)
    )


@pytest.mark.covers("R58", "system:Sandstorm", "system:Warp 10")
@given(st.lists(CAVEATS, max_size=6), CAVEATS, st.data())
def test_a_caveat_only_takes_away(caveats: list[tuple[str, Any]], more: tuple[str, Any], data: st.DataObject) -> None:
    before = verify(_built(caveats), KEY)
    after = verify(_built([*caveats, more]), KEY)
    what = (
        data.draw(st.sampled_from(POINTS)),
        data.draw(DATES),
        data.draw(st.sampled_from(STEPS)),
        data.draw(st.sampled_from(["sum", "mean", None])),
        data.draw(st.sampled_from([RECIPIENT, OTHER])),
        data.draw(st.integers(0, END)),
    )
    assert not _allows(after, *what) or _allows(before, *what)
    if _allows(after, *what):
        assert _met(more, *what)


def _met(caveat: tuple[str, Any], *what: Any) -> bool:
    """Whether one caveat, read by itself, is met."""
    name, value = caveat
    point, hour, step, computed, recipient, now = what
    met = {
        "points": point in value if name == "points" else None,
        "windows": any(a <= hour < b for a, b in value) if name == "windows" else None,
        "granularity": as_coarse(step, value) if name == "granularity" else None,
        "aggregation": computed == value,
        "recipient": list(recipient) == value,
        "expires": now < value if name == "expires" else None,
    }
    return met[name] is True


@pytest.mark.covers("R58", "system:Sandstorm")
@given(st.lists(CAVEATS, max_size=5), st.data())
def test_nothing_that_was_done_to_a_token_can_be_undone(caveats: list[tuple[str, Any]], data: st.DataObject) -> None:
    token = _built(caveats)
    own: list[tuple[str, Any]] = list(token.caveats)
    others = [
        replace(token, caveats=tuple(own[:-1])),
        replace(token, caveats=tuple(own[1:])),
        replace(token, caveats=(*own, ("points", list(POINTS)))),
        replace(token, grant=b"h" * 32),
        replace(token, holder=OTHER),
        replace(token, id=b"j" * 16),
        replace(token, seal=bytes(32)),
    ]
    if len(own) > 1:
        at = data.draw(st.integers(0, len(own) - 2))
        swapped = [*own[:at], own[at + 1], own[at], *own[at + 2 :]]
        others += [replace(token, caveats=tuple(swapped))] if swapped != own else []
    for other in others:
        with pytest.raises(RemoteError) as refused:
            verify(other, KEY)
        assert refused.value.code == "TOKEN_FORGED"
    with pytest.raises(RemoteError):
        verify(token, b"l" * 32)


@given(st.lists(CAVEATS, max_size=5))
def test_tokens_survive_the_way(caveats: list[tuple[str, Any]]) -> None:
    token = _built(caveats)
    back = Token.decode(token.encode())
    assert verify(back, KEY) == verify(token, KEY)
    assert back.encode() == token.encode()
    assert token.seal.hex() not in repr(token)


def test_a_token_without_an_end_is_none_of_ours() -> None:
    bare = mint(KEY, ID, GRANT, HOLDER, expires=END)
    endless = replace(bare, caveats=(), seal=bytes(32))
    with pytest.raises(RemoteError):
        verify(endless, KEY)
    assert verify(TOKEN.narrowed("expires", DATE_MAX), KEY).expires == END


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("series", [POINT]),
        ("points", POINT),
        ("granularity", "often"),
        ("granularity", 30),
        ("expires", -1),
        ("expires", True),
        ("recipient", [b"x", 1]),
        ("windows", [[1, 2, 3]]),
        ("aggregation", ""),
    ],
)
def test_a_caveat_that_is_not_known_or_out_of_shape_is_refused(name: str, value: Any) -> None:
    with pytest.raises(LocalError) as refused:
        TOKEN.narrowed(name, value)
    assert refused.value.code == "BAD_CAVEAT"
    odd = replace(TOKEN, caveats=(*TOKEN.caveats, (name, value))).encode()
    with pytest.raises(RemoteError) as unread:
        Token.decode(odd)
    assert unread.value.code == "UNKNOWN_CAVEAT"


def test_a_token_is_bounded() -> None:
    token = _built([("expires", END)] * (CAVEATS_MAX - 1))
    with pytest.raises(LocalError) as full:
        token.narrowed("expires", END)
    assert full.value.code == "TOKEN_FULL"
    long = TOKEN.narrowed("points", [f"prm:{number:014}" for number in range(1_000)])
    with pytest.raises(LocalError) as large:
        long.encode()
    assert large.value.code == "TOKEN_TOO_LARGE"
    for data in (b"", codec.encode([1]), codec.encode([2, ID, GRANT, list(HOLDER), [], bytes(32)])):
        with pytest.raises(RemoteError):
            Token.decode(data)


# Codes


def test_codes_are_long_enough_and_even() -> None:
    assert CODE_BITS >= 64
    assert SHORT_TRIES <= 5
    source = seeded(1)
    codes = [make_code(source) for _ in range(500)]
    assert {len(code) * 5 for code in codes} == {CODE_BITS}
    assert len(set(codes)) == 500
    assert {letter for code in codes for letter in code} == set(CODE_ALPHABET)
    assert len(make_code(source, short=True)) == SHORT_CODE_LETTERS


@pytest.mark.covers("R82")
def test_a_code_opens_once() -> None:
    code = make_code(seeded(1))
    share = make_share(b"s" * 8, TOKEN, code, ends=END, random_bytes=seeded(2))
    assert code.encode() not in share.digest
    typed = f" {code[:8].upper()}-{code[8:]} "
    after, why = redeem(share, typed, NOW)
    assert (after.state, why) == ("redeemed", "")
    assert verify(Token.decode(after.token), KEY).grant == GRANT
    assert redeem(after, code, NOW) == (after, "SHARE_OVER")
    assert redeem(share, code, END)[1] == "SHARE_OVER"


def test_a_short_code_dies_of_five_tries_and_a_long_one_of_none() -> None:
    short, long = make_code(seeded(1), short=True), make_code(seeded(1))
    share = make_share(b"s" * 8, TOKEN, short, ends=END, random_bytes=seeded(2))
    for left in range(SHORT_TRIES - 1, -1, -1):
        share, why = redeem(share, "wrong", NOW)
        assert (share.tries, why) == (left, "SHARE_WRONG_CODE")
    assert share.state == "dead"
    assert redeem(share, short, NOW) == (share, "SHARE_OVER")
    lasting = make_share(b"s" * 8, TOKEN, long, ends=END, random_bytes=seeded(2))
    for _ in range(50):
        lasting, why = redeem(lasting, "wrong", NOW)
    assert redeem(lasting, long, NOW)[1] == ""


@given(st.integers(0, 2**32), st.lists(st.booleans(), max_size=12))
def test_no_more_than_one_token_leaves_a_share_whatever_is_tried(seed: int, tries: list[bool]) -> None:
    source = random.Random(seed)
    code = make_code(source.randbytes, short=True)
    share = make_share(b"s" * 8, TOKEN, code, ends=END, random_bytes=source.randbytes)
    given_out = wrong = 0
    for right in tries:
        share, why = redeem(share, code if right else make_code(source.randbytes, short=True), NOW)
        given_out += why == ""
        wrong += why == "SHARE_WRONG_CODE"
    assert given_out <= 1
    assert wrong <= SHORT_TRIES
    if True in tries and tries.index(True) < SHORT_TRIES:
        assert given_out == 1
