"""Tickets: they survive how people copy them, and nothing else."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import RemoteError
from node.tickets import ADDRESSES_MAX, SECRET_BYTES, TEXT_LENGTH_MAX, Ticket

TICKETS = st.builds(
    Ticket,
    mesh_id=st.binary(min_size=32, max_size=32),
    device=st.binary(min_size=32, max_size=32),
    addresses=st.lists(
        st.text("abcdefghijklmnop.:[]0123456789", min_size=1, max_size=40), min_size=1, max_size=ADDRESSES_MAX
    ).map(tuple),
    expires=st.integers(0, 2**40),
    secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
    bound=st.booleans(),
)
TICKET = Ticket(bytes(32), bytes(range(32)), ("192.0.2.1:7000",), 1_800_000_000, bytes(16), bound=False)


@given(TICKETS, st.integers(1, 60))
def test_a_ticket_comes_back_however_it_is_wrapped(ticket: Ticket, width: int) -> None:
    text = ticket.text()
    wrapped = "\n  ".join(text[at : at + width] for at in range(0, len(text), width)).lower()
    assert Ticket.parse(wrapped) == ticket
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")  # what a QR code holds most densely


@given(st.data())
def test_any_wrong_character_is_noticed(data: st.DataObject) -> None:
    text = TICKET.text()
    at = data.draw(st.integers(0, len(text) - 2))  # the last one carries unused bits
    other = data.draw(st.sampled_from(sorted(set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567890189") - {text[at]})))
    with pytest.raises(RemoteError) as caught:
        Ticket.parse(text[:at] + other + text[at + 1 :])
    assert caught.value.code == "BAD_TICKET"


@given(st.text(max_size=60))
def test_nonsense_is_refused_with_a_sentence(text: str) -> None:
    for tried in (text, "MAILLE1" + text, TICKET.text()[: len(text)]):
        with pytest.raises(RemoteError) as caught:
            Ticket.parse(tried)
        assert caught.value.code == "BAD_TICKET"


def sealed(value: object) -> str:
    """Return a text with a right checksum over any value."""
    body = codec.encode(value)
    check = hashlib.sha256(b"MAILLE1" + body).digest()[:4]
    return "MAILLE1" + base64.b32encode(body + check).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    [
        [bytes(31), bytes(32), ["a:1"], 1, bytes(16), True],
        [bytes(32), bytes(32), [], 1, bytes(16), True],
        [bytes(32), bytes(32), ["a:1"] * (ADDRESSES_MAX + 1), 1, bytes(16), True],
        [bytes(32), bytes(32), [1], 1, bytes(16), True],
        [bytes(32), bytes(32), ["a:1"], -1, bytes(16), True],
        [bytes(32), bytes(32), ["a:1"], True, bytes(16), True],
        [bytes(32), bytes(32), ["a:1"], 1, bytes(15), True],
        [bytes(32), bytes(32), ["a:1"], 1, bytes(16), 1],
        [bytes(32), bytes(32), ["a:1"], 1, bytes(16), True, 0],
        {"mesh": 1},
    ],
)
def test_a_ticket_of_another_shape_is_refused_although_its_checksum_is_right(value: object) -> None:
    with pytest.raises(RemoteError) as caught:
        Ticket.parse(sealed(value))
    assert caught.value.code == "BAD_TICKET"


def test_bytes_that_are_not_our_encoding_are_a_bad_ticket_too() -> None:
    body = b"\xff\xff\xff"
    check = hashlib.sha256(b"MAILLE1" + body).digest()[:4]
    with pytest.raises(RemoteError) as caught:
        Ticket.parse("MAILLE1" + base64.b32encode(body + check).decode().rstrip("="))
    assert caught.value.code == "BAD_TICKET"


def test_a_long_text_is_not_read() -> None:
    with pytest.raises(RemoteError):
        Ticket.parse("MAILLE1" + "A" * TEXT_LENGTH_MAX)
