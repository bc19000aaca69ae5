"""Family 2: what a stranger says comes back as it went, and is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import knock
from gossip.knock import GenesisRequest, Knock, KnockAnswer, KnockMessage
from gossip.messages import Envelope, seal
from ledger.errors import RemoteError

entries = st.lists(st.binary(min_size=1, max_size=50), max_size=4).map(tuple)
messages: st.SearchStrategy[KnockMessage] = st.one_of(
    st.builds(Knock, st.none() | st.binary(min_size=1, max_size=64), entries, st.binary(min_size=32, max_size=32)),
    st.builds(
        KnockAnswer,
        st.from_regex(r"[A-Z][A-Z0-9_]{0,47}", fullmatch=True),
        st.none() | st.binary(min_size=1, max_size=99),
        entries,
    ),
    st.just(GenesisRequest()),
)


@given(messages)
def test_messages_come_back(message: KnockMessage) -> None:
    envelope = Envelope.open(knock.encode(message))
    assert (envelope.family, envelope.version) == (2, 1)
    assert knock.decode(envelope) == message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (1, [b"", [], bytes(32)]),
        (1, [bytes(65), [], bytes(32)]),
        (1, [None, [b"x"] * 17, bytes(32)]),
        (1, [None, [b""], bytes(32)]),
        (1, [None, ["text"], bytes(32)]),
        (1, [None, [], bytes(31)]),
        (2, ["lower", None, []]),
        (2, ["A" * 49, None, []]),
        (2, ["OK\n", None, []]),
        (2, ["OK", b"", []]),
        (2, ["OK", bytes(65_537), []]),
        (3, [1]),
    ],
)
def test_bad_bodies_are_refused(kind: int, body: list[Any]) -> None:
    with pytest.raises(RemoteError) as caught:
        knock.decode(Envelope.open(seal(2, 1, kind, body)))
    assert caught.value.code == "BAD_MESSAGE"


def test_unknown_kinds_are_none() -> None:
    assert knock.decode(Envelope.open(seal(2, 1, 9, []))) is None
