"""Data Connect: subscribed services of 2026, answers with a token of versions 3 to 5, notices of the proxy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters.consents.data_connect_access import STATES
from node.adapters.consents.record import Standing
from tests.node.adapters.consents.ours import read, refusal, whole_or_refused

SERVICE: dict[str, Any] = {
    "id": "S1",
    "pointId": "16401220101758",
    "serviceCode": "CDC",
    "etatCode": "ACTIF",
    "etatLibelle": "Actif",
    "mesuresTypeCode": "CDC",
    "mesuresPas": "PT30M",
    "periodiciteTransmission": "P1D",
    "dateDebut": "2026-10-01",
    "dateFin": "2029-10-01",
    "sirenTitulaire": None,
    "sirenBeneficiaire": "123456789",
    "soutirage": True,
    "injection": False,
    "publicationDonnees": True,
    "autorisation": {
        "autorisationId": "A-42",
        "autorisationLibelle": "Advice",
        "autorisationType": "EXPLICITE",
        "autorisationStatut": "VALIDE",
    },
}
TOKEN = {
    "access_token": "secret",
    "refresh_token": "secret",
    "token_type": "Bearer",
    "expires_in": 12600,
    "scope": "/v3/metering_data/daily_consumption.read",
    "usage_points_id": "16401220101758,16401220101759",
}
NOTICE = (
    '<x xmlns="https://consometers.org/dataconnect#authorize"><usage-point>16401220101758</usage-point>'
    "<state>abc</state></x>"
)


def file(*services: Any, **more: Any) -> bytes:
    return json.dumps({"nbTotalServices": len(services), "serviceSouscrit": list(services)} | more).encode()


@pytest.mark.covers("R50", "R70", "system:Enedis Data Connect")
def test_a_service_is_a_record_under_its_authorisation() -> None:
    (one,) = read("data-connect", file(SERVICE))
    assert (one.reference, one.standing, one.points) == ("A-42", Standing.GIVEN, ("prm:16401220101758",))
    assert (one.kinds, one.granularity) == (("electricity/consumption/load_curve",), "PT30M")
    assert (one.purpose, one.recipient) == ("Advice", "123456789")
    assert one.lacks == ()


@pytest.mark.parametrize(("state", "standing"), [*STATES.items(), ("RESILIE", Standing.UNKNOWN)])
def test_each_state_is_told_and_others_are_kept_as_unknown(state: str, standing: Standing) -> None:
    (one,) = read("data-connect", file(SERVICE | {"etatCode": state}))
    assert (one.standing, one.state) == (standing, state)


def test_an_answer_with_a_token_names_points_and_keeps_no_secret() -> None:
    found = read("data-connect", json.dumps(TOKEN).encode())
    assert [one.points for one in found] == [("prm:16401220101758",), ("prm:16401220101759",)]
    assert "secret" not in repr(found)
    assert "granularity" in found[0].lacks


def test_a_notice_of_the_proxy_names_a_point() -> None:
    (one,) = read("data-connect", f"<message>{NOTICE}</message>".encode())
    assert (one.points, one.state) == (("prm:16401220101758",), "authorised")


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        (file(SERVICE | {"etatCode": "?"}), "BAD_SUBSCRIBED_SERVICES", "file, file, serviceSouscrit 1, etatCode"),
        (file(SERVICE | {"pointId": "1"}), "BAD_SUBSCRIBED_SERVICES", "file, file, serviceSouscrit 1, pointId"),
        (file(SERVICE | {"dateFin": "x"}), "BAD_SUBSCRIBED_SERVICES", "file, file, serviceSouscrit 1, dateFin"),
        (file(SERVICE, nbTotalServices=9), "BAD_SUBSCRIBED_SERVICES", "file, file, nbTotalServices"),
        (file(serviceSouscrit=None), "NOTHING_READ", "file, content"),
        (b"{}", "BAD_SUBSCRIBED_SERVICES", "file, file, serviceSouscrit"),
        (b'{"usage_points_id": ""}', "BAD_SUBSCRIBED_SERVICES", "file, file, usage_points_id"),
        (b"<x/>", "BAD_SUBSCRIBED_SERVICES", "file, line 1, x"),
        (b"<x><usage-point>5</usage-point></x>", "BAD_SUBSCRIBED_SERVICES", "file, line 1, usage-point"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, code: str, field: str) -> None:
    error = refusal("data-connect", data)
    assert (error.code, error.field) == (code, field)


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just([]) | st.just({})
)


@given(st.dictionaries(st.sampled_from(list(SERVICE)), VALUES))
def test_any_service_is_read_or_refused(change: dict[str, Any]) -> None:
    assert whole_or_refused("data-connect", file(SERVICE | change))


@given(st.binary(max_size=12), st.integers(0, len(NOTICE)))
def test_any_notice_is_read_or_refused(noise: bytes, at: int) -> None:
    data = NOTICE.encode()
    assert whole_or_refused("data-connect", data[:at] + noise + data[at:])
