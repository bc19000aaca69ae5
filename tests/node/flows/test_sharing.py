"""Tokens and one-time shares between live nodes: fetched once, shown by who fetched it, never more than the consent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ledger.consent.record import Window
from ledger.consent.token import SHORT_TRIES, Share, Token
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.schema import DAY
from node.adapters import senml
from node.flows import wire
from node.vaults.shares import Held
from tests.node.flows.world import SHORT, Side, World, terms

START = SHORT.starts[0]
NARROW: Window = (START + DAY, START + 2 * DAY)


def _made(
    world: World, caveats: Sequence[tuple[str, Any]] = (("windows", [list(NARROW)]),), *, short: bool = False
) -> tuple[Entry, Share, str]:
    grant, _ = world.grant(terms(SHORT))
    until = world.now + DAY
    holder = world.holder
    share, code = holder.act(lambda t: holder.flows.sharing.make(t, grant.id, caveats, expires=until, short=short))
    return grant, share, code


def _redeem(world: World, share: Share, code: str, side: Side | None = None) -> str | None:
    side = side or world.recipient
    sharing, to = side.flows.sharing, world.holder.party
    side.act(lambda turn: sharing.redeem(turn, to, share.id, code, side.party))
    world.pump()
    return sharing.answers.get(share.id)


def _held(side: Side) -> list[Held]:
    return side.look(lambda turn: list(side.flows.sharing.rows.held(turn.vault)))


def _fetched(world: World, **what: Any) -> tuple[list[int], str]:
    transfer = world.ask(**what)
    world.pump()
    starts = [at for pack in world.recipient.packs(transfer) for one in senml.decode_cbor(pack) for at in one.starts]
    row = world.recipient.received(transfer)
    return starts, row.reason if row is not None else "?"


def test_a_share_is_fetched_once_and_its_token_opens_what_it_says() -> None:
    world = World()
    world.import_series(SHORT)
    grant, share, code = _made(world)
    assert _redeem(world, share, "not the code") == "SHARE_WRONG_CODE"
    assert _redeem(world, share, code) == ""
    (held,) = _held(world.recipient)
    assert (held.grant, held.holder) == (grant.id, world.holder.party)
    assert _redeem(world, share, code) == "SHARE_OVER"
    assert len(_held(world.recipient)) == 1
    starts, reason = _fetched(world, token=held.token)
    assert reason == ""
    assert starts
    assert all(NARROW[0] <= at < NARROW[1] for at in starts)
    # Beside it, the consent itself goes on.
    assert len(_fetched(world, grant=grant.id)[0]) == len(SHORT.starts)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"window": (START, START + DAY)}, "TOKEN_NARROWER"),
        ({"point": "prm:99999999999999"}, "OTHER_POINT"),
        ({"granularity": "PT10M"}, "OTHER_GRANULARITY"),
        ({"purpose": "Research"}, "OTHER_PURPOSE"),
    ],
)
def test_a_token_is_no_wider_than_itself_or_its_consent(what: dict[str, Any], reason: str) -> None:
    world = World()
    world.import_series(SHORT)
    _, share, code = _made(world)
    _redeem(world, share, code)
    (held,) = _held(world.recipient)
    assert _fetched(world, token=held.token, **what) == ([], reason)


@pytest.mark.covers("R82", "system:DigiPoste")
@pytest.mark.parametrize(
    ("end", "reason"), [("withdrawn", "WITHDRAWN"), ("ended", "TOKEN_EXPIRED"), ("late", "TOKEN_EXPIRED")]
)
def test_a_token_ends_with_its_consent_with_its_time_and_at_the_holders_word(end: str, reason: str) -> None:
    world = World()
    world.import_series(SHORT)
    grant, share, code = _made(world)
    _redeem(world, share, code)
    (held,) = _held(world.recipient)
    sharing = world.holder.flows.sharing
    if end == "withdrawn":
        world.withdraw(grant)
        world.pump()
    elif end == "ended":
        (minted,) = world.holder.look(lambda turn: list(sharing.rows.listing(turn.vault)))
        world.holder.act(lambda turn: sharing.end(turn, minted))
    else:
        world.pass_time(DAY)
    assert _fetched(world, token=held.token) == ([], reason)


def test_who_holds_a_token_narrows_it_and_cannot_widen_it() -> None:
    world = World()
    world.import_series(SHORT)
    _, share, code = _made(world)
    _redeem(world, share, code)
    (held,) = _held(world.recipient)
    token = Token.decode(held.token)
    half = token.narrowed("windows", [[NARROW[0], NARROW[0] + DAY // 2]]).encode()
    starts, _ = _fetched(world, token=half)
    assert 0 < len(starts) <= 24
    wider = Token(token.id, token.grant, token.holder, token.caveats[:1], token.seal).encode()
    assert _fetched(world, token=wider) == ([], "TOKEN_EXPIRED")


def test_a_token_is_of_no_use_to_another_member() -> None:
    world = World(3)
    world.import_series(SHORT)
    _, share, code = _made(world)
    _redeem(world, share, code)
    (held,) = _held(world.recipient)
    third = world.sides[2]
    stolen = world.wanted(token=held.token)
    third.say(world.holder, wire.Ask(b"x" * 16, stolen))
    world.pump()
    assert [one.code for one in world.holder.refusals()][:1] == ["OTHER_RECIPIENT"]
    assert third.packs(b"x" * 16) == []


def test_a_short_code_dies_after_five_tries_of_anybody() -> None:
    world = World(3)
    _, share, code = _made(world, short=True)
    for number in range(SHORT_TRIES):
        assert _redeem(world, share, f"wrong{number}", world.sides[1 + number % 2]) == "SHARE_WRONG_CODE"
    assert _redeem(world, share, code) == "SHARE_OVER"
    assert _held(world.recipient) == []


def test_a_code_shown_for_somebody_else_costs_nothing() -> None:
    world = World(3)
    _, share, code = _made(world)
    thief = world.sides[2]
    thief.say(world.holder, wire.Redeem(share.id, code, world.recipient.party))
    world.pump()
    assert _held(thief) == []
    assert _redeem(world, share, code) == ""


def test_what_nobody_asked_for_is_not_kept() -> None:
    world = World()
    _, share, _ = _made(world)
    world.holder.say(world.recipient, wire.Redeemed(share.id, "", share.token))
    world.pump()
    assert _held(world.recipient) == []
    assert "DATA_REFUSED" in world.recipient.codes()


def test_tokens_are_made_by_the_holder_alone() -> None:
    world = World()
    grant, _ = world.grant(terms(SHORT))
    recipient = world.recipient
    with pytest.raises(LocalError) as refused:
        recipient.act(lambda turn: recipient.flows.sharing.make(turn, grant.id, (), expires=world.now + DAY))
    assert refused.value.code == "NOT_THE_HOLDER"
    make = world.holder.flows.sharing.make
    for code, consent, ends in [("NOT_FOUND", bytes(32), DAY), ("BAD_TIME", grant.id, 0)]:
        with pytest.raises(LocalError) as refused:
            world.holder.act(lambda turn, c=consent, e=ends: make(turn, c, (), expires=world.now + e))  # type: ignore[misc]
        assert refused.value.code == code
