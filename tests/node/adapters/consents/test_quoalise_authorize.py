"""What a Quoalise client asks for: a command or an address, a request and no consent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters.consents.record import Standing
from tests.node.adapters.consents.ours import read, refusal, whole_or_refused

FORM = "quoalise-authorize"
COMMAND = """<iq><command xmlns="http://jabber.org/protocol/commands" node="get_authorize_uri">
 <x xmlns="jabber:x:data" type="submit"><field var="name"><value>City</value></field>
 <field var="logo_url"><value>https://city.example/logo.png</value></field>
 <field var="description"><value>Advice</value></field></x></command></iq>"""
ADDRESS = "https://proxy.example/authorize?id=city&duration=P1Y&redirect_uri=https%3A%2F%2Fcity.example&test_client=8"


def test_a_command_says_who_asks_and_what_for() -> None:
    (one,) = read(FORM, COMMAND.encode())
    assert (one.standing, one.recipient, one.purpose) == (Standing.REQUESTED, "City", "Advice")
    assert {"points", "kinds", "valid_until"} <= set(one.lacks)
    older = COMMAND.replace('"name"', '"service"').replace('"description"', '"processings"')
    assert read(FORM, older.encode())[0].recipient == "City"


@pytest.mark.covers("system:Quoalise / Quolise")
def test_an_address_says_who_asks_and_how_long() -> None:
    (one,) = read(FORM, ADDRESS.encode())
    assert (one.recipient, one.state, one.reason) == ("city", "asked for P1Y", "sandbox client 8")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (COMMAND.replace("get_authorize_uri", "get_history"), "line 1, command"),
        (COMMAND.replace('"logo_url"', '"password"'), "line 3, field"),
        (COMMAND.replace("City", ""), "command"),
        ("<iq/>", "command"),
        (ADDRESS.replace("P1Y", "forever"), "address, duration"),
        (ADDRESS.replace("client=8", "client=12"), "address, test_client"),
        (ADDRESS.replace("id=city&", ""), "address, id"),
        (ADDRESS + "&token=x", "address"),
        ("javascript:alert(1)", "address"),
        ("", "address"),
    ],
)
def test_what_is_wrong_is_refused(data: str, field: str) -> None:
    error = refusal(FORM, data.encode())
    assert (error.code, error.field) == ("BAD_AUTHORIZE", f"file, {field}")


@given(st.sampled_from([COMMAND, ADDRESS]), st.binary(max_size=12), st.integers(0, len(COMMAND)))
def test_broken_requests_are_read_or_refused(text: str, noise: bytes, at: int) -> None:
    data = text.encode()
    assert whole_or_refused(FORM, data[:at] + noise + data[at:])
