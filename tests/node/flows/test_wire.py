"""Messages of family 3: what is said is what is read, and nothing that a peer says breaks a node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossip.messages import DATA, Envelope, seal
from ledger.consent.record import DataKind
from ledger.errors import RemoteError
from node.flows import wire
from node.vaults.transfers import Wanted
from tests.node.flows.world import SHORT, World, terms

T16, H32, S64 = b"t" * 16, b"h" * 32, b"s" * 64
PARTY = (b"p" * 32, 1)
WANTED = Wanted(PARTY, (b"q" * 32, 0), H32, SHORT.key.point, DataKind("a", "b", "c"), "PT30M", (1, 2), "why")
MESSAGES: list[wire.Message] = [
    wire.Disclose(b"entry", b"blob"),
    wire.Register(b"entry"),
    wire.Taken(H32),
    wire.Ask(T16, WANTED),
    wire.Ask(T16, Wanted(PARTY, PARTY)),
    wire.Ask(T16, Wanted(PARTY, PARTY, token=b"token")),
    wire.Redeem(b"s" * 8, "a code", PARTY),
    wire.Redeemed(b"s" * 8, "", b"token"),
    wire.Redeemed(b"s" * 8, "SHARE_OVER", b""),
    wire.Refuse(T16, "NO_CONSENT", final=True),
    wire.Refuse(T16, "STALE", final=False, next=3, chain=H32),
    wire.Refuse(T16, "WITHDRAWN", final=True, at=1, signature=S64),
    wire.Chunk(T16, 7, H32, b"pack", 1, T16, S64),
    wire.Got(T16, 7, H32, final=False),
    wire.Done(T16, 7),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_said_is_read(message: wire.Message) -> None:
    assert wire.decode(Envelope.open(wire.encode(message))) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_wrong_number_of_values_is_refused(message: wire.Message) -> None:
    body = message.body()
    for wrong in (body[:-1], [*body, None], []):
        with pytest.raises(RemoteError) as caught:
            wire.decode(Envelope.open(seal(DATA, wire.VERSION, message.KIND, wrong)))
        assert caught.value.code == "BAD_MESSAGE"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_value_of_another_type_is_refused(message: wire.Message) -> None:
    body = message.body()
    for place, value in enumerate(body):
        wrong = [*body[:place], {} if not isinstance(value, dict) else 0, *body[place + 1 :]]
        with pytest.raises(RemoteError):
            wire.decode(Envelope.open(seal(DATA, wire.VERSION, message.KIND, wrong)))


def test_an_unknown_kind_is_left_alone() -> None:
    assert wire.decode(Envelope.open(seal(DATA, wire.VERSION, 11, [1]))) is None


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 1 << 40)
    | st.sampled_from([T16, H32, b"", b"x" * 33, "PT30M", "prm:12345678901234", "load_curve", "electricity"])
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.integers(16, 23), st.lists(VALUES, max_size=9)), max_size=20))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_nothing_a_member_says_breaks_a_node(said: list[tuple[int, list[Any]]]) -> None:
    world = World()
    for kind, body in said:
        data = seal(DATA, wire.VERSION, kind, body)
        world.recipient.act(lambda turn, data=data: turn.send(world.holder.device.kid, data))  # type: ignore[misc]
    world.pump()
    assert world.holder.look(lambda turn: list(turn.vault.scan("incoming", b""))) == []
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b""))) == []


SMALL = st.sampled_from([0, 1, 2, 7, 8, 9, 1 << 20])


@given(
    st.lists(
        st.one_of(
            st.builds(
                wire.Chunk,
                st.sampled_from([T16, H32[:16]]),
                SMALL,
                st.just(H32),
                st.binary(min_size=1),
                SMALL,
                st.just(T16),
                st.just(S64),
            ),
            st.builds(wire.Got, st.sampled_from([T16, H32[:16]]), SMALL, st.just(H32), st.booleans()),
            st.builds(wire.Done, st.sampled_from([T16, H32[:16]]), SMALL),
            st.builds(wire.Refuse, st.just(T16), st.just("NO"), st.booleans(), SMALL, st.just(H32)),
            st.builds(wire.Taken, st.just(H32)),
            st.builds(wire.Ask, st.just(T16), st.just(WANTED)),
        ),
        max_size=20,
    ),
    st.integers(0, 30),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_well_formed_lies_in_the_middle_of_a_transfer_change_nothing_of_it(said: list[wire.Message], at: int) -> None:
    world = World(3)
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer, _ = world.send(grant=grant.id)
    liar = world.sides[2]
    for plain in said:
        message = plain if isinstance(plain, wire.Taken) else replace(plain, transfer=transfer)  # type: ignore[arg-type]
        liar.say(world.holder, message)
        liar.say(world.recipient, message)
    for number in range(at):
        if ways := world.waiting():
            world.step(ways[number % len(ways)])
    world.pump()
    row = world.recipient.received(transfer)
    assert row is not None
    assert (row.state, row.tally.count) == ("done", len(SHORT))
