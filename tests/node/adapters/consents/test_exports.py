"""SGE's declaration, ODRL and DSP, Solid, Cozy's sharings: what has a place is written, and read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.record import DataKind
from ledger.errors import LocalError
from node.adapters.adapter import Source
from node.adapters.consents import cozy_sharing, formats, odrl, sge_declaration, solid
from node.adapters.consents.record import DPV, Ours, Standing
from tests.node.adapters.consents.ours import GRANTED, UNTIL, ours, read, refusal, whole_or_refused

COZY: dict[str, Any] = {"points": ("pce:23000000000000",), "pii_type": DataKind("gas", "consumption", "daily")}


def refused(write: Any, consent: Ours) -> str:
    with pytest.raises(LocalError) as error:
        write(consent)
    return error.value.code


def test_every_standing_has_its_own_term() -> None:
    assert set(DPV) == set(Standing)
    assert len(set(DPV.values())) == len(DPV)


def test_a_format_is_named_and_lists_the_others() -> None:
    assert len({form.name for form in formats.FORMATS}) == len(formats.FORMATS)
    assert all(form.read or form.write for form in formats.FORMATS)
    with pytest.raises(LocalError, match="droit-acces") as error:
        formats.find("paper")
    assert error.value.code == "UNKNOWN_FORMAT"
    with pytest.raises(LocalError) as error:
        formats.read(b"", Source(), "solid-acl")
    assert error.value.code == "WRITE_ONLY"
    with pytest.raises(LocalError) as error:
        formats.write(ours(), "data-connect")
    assert error.value.code == "READ_ONLY"


@pytest.mark.covers("system:consometers/sge-tiers")
def test_a_declaration_has_civility_name_and_days() -> None:
    data = sge_declaration.write(ours())
    assert b"<civilite>Mme</civilite><nom>Durand &amp; fils</nom>" in data
    assert b"<dateDebut>2023-11-14</dateDebut><dateFin>2024-11-14</dateFin>" in data
    (one,) = read("sge-declaration", data)
    assert (one.standing, one.subject, one.points) == (Standing.GIVEN, "Durand & fils", ("prm:12345678901234",))
    company = sge_declaration.write(ours(principal_role="organisation", details={"name": "City"}))
    assert b"<personneMorale><denominationSociale>City<" in company
    denied = read("sge-declaration", data.replace(b"<accord>true", b"<accord>false"))
    assert denied[0].standing is Standing.REFUSED


def test_a_declaration_of_what_sge_does_not_take_is_not_written() -> None:
    assert refused(sge_declaration.write, ours(Standing.REVOKED)) == "NO_PLACE"
    assert refused(sge_declaration.write, ours(details={"name": "x"})) == "NO_PLACE"
    assert refused(sge_declaration.write, ours(details={})) == "DETAIL_MISSING"
    assert refused(sge_declaration.write, ours(**COZY)) == "NO_PLACE"
    two = ("prm:12345678901234", "prm:12345678901235")
    assert refused(sge_declaration.write, ours(points=two)) == "NO_PLACE"


@pytest.mark.covers("system:IDS / Eclipse Dataspace")
def test_an_agreement_comes_back_with_its_constraints() -> None:
    (one,) = read("odrl", odrl.write(ours()))
    assert (one.state, one.standing) == ("AGREED", Standing.GIVEN)
    assert (one.purpose, one.granularity, one.valid_until) == ('Advice on "insulation"', "P1D", UNTIL)
    assert (one.subject, one.recipient, one.valid_from) == ("ada", "city", GRANTED)


@pytest.mark.covers("system:IDS / Eclipse Dataspace")
@pytest.mark.parametrize("standing", odrl.CODES)
def test_a_termination_says_why(standing: Standing) -> None:
    message = json.loads(odrl.write(ours(standing)))
    assert message["@type"] == "ContractNegotiationTerminationMessage"
    assert (message["state"], message["code"]) == ("TERMINATED", odrl.CODES[standing])
    assert message["reason"] == ["she said so"]


def test_our_own_export_is_read() -> None:
    own = {
        "@context": {"odrl": "http://www.w3.org/ns/odrl/2/"},
        "id": "urn:maille:entry:ab",
        "type": ["odrl:Agreement", "dpv:ConsentRecord"],
        "odrl:uid": {"id": "urn:maille:entry:ab"},
        "dct:issued": {"@value": "2024-01-01T00:00:00Z", "@type": "xsd:dateTime"},
        "dct:valid": {"@value": "2025-01-01T00:00:00Z", "@type": "xsd:dateTime"},
        "odrl:assigner": {"id": "did:key:z6"},
        "odrl:assignee": {"id": "urn:maille:party:1"},
        "odrl:permission": {
            "odrl:target": {"id": "urn:maille:entry:ab#data"},
            "odrl:action": {"id": "odrl:use"},
            "odrl:constraint": [
                {
                    "odrl:leftOperand": {"id": "odrl:purpose"},
                    "odrl:operator": {"id": "odrl:eq"},
                    "odrl:rightOperand": "Advice",
                }
            ],
        },
        "dpv:hasConsentStatus": {"id": "dpv:ConsentWithdrawn"},
        "dpv:hasPersonalData": {
            "id": "urn:maille:entry:ab#data",
            "rdfs:label": "electricity consumption load_curve",
            "dct:identifier": ["prm:12345678901234"],
        },
    }
    (one,) = read("odrl", json.dumps(own).encode())
    assert (one.standing, one.state) == (Standing.WITHDRAWN, "ConsentWithdrawn")
    assert (one.points, one.kinds) == (("prm:12345678901234",), ("electricity/consumption/load_curve",))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": "MAYBE"}, "state"),
        ({"agreement": {"@type": "Wish"}}, "agreement, type"),
        ({"agreement": {"@type": "Agreement"}}, "agreement, permission"),
        ({"agreement": {"@type": "Agreement", "prohibition": [{}]}}, "agreement, prohibition"),
        (
            {"agreement": {"@type": "Agreement", "permission": [{"action": "sell"}]}},
            "agreement, permission 1, action",
        ),
        (
            {
                "agreement": {
                    "@type": "Agreement",
                    "permission": [{"action": "use", "constraint": [{"leftOperand": "mood", "rightOperand": "x"}]}],
                }
            },
            "agreement, permission 1, constraint 1, leftOperand",
        ),
    ],
)
def test_odrl_that_is_not_understood_is_refused(change: dict[str, Any], field: str) -> None:
    error = refusal("odrl", json.dumps(json.loads(odrl.write(ours())) | change).encode())
    assert (error.code, error.field) == ("BAD_ODRL", f"file, record 1, {field}")


@pytest.mark.covers("system:Inrupt/Solid")
def test_solid_keeps_access_apart_from_consent() -> None:
    acl, grant = solid.acl(ours()).decode(), solid.data_grant(ours()).decode()
    assert "acl:agent <https://city.example/profile#me>" in acl
    assert "insulation" not in acl
    assert 'rdfs:label "Advice on \\"insulation\\""' in grant
    assert "dpv:ConsentWithdrawn" in solid.data_grant(ours(Standing.WITHDRAWN)).decode()
    assert refused(solid.data_grant, ours(purpose="")) == "NO_PURPOSE"
    assert refused(solid.acl, ours(Standing.WITHDRAWN)) == "NO_PLACE"
    assert refused(solid.acl, ours(details={})) == "DETAIL_MISSING"
    assert refused(solid.acl, ours(details={"webid": "https://a> . <b", "container": "https://b/"})) == "DETAIL_MISSING"


@pytest.mark.covers("system:Cozy Cloud")
def test_a_sharing_has_its_members_rules_and_status() -> None:
    (one,) = read("cozy-sharing", cozy_sharing.write(ours(**COZY)))
    assert (one.standing, one.state, one.kinds) == (Standing.GIVEN, "ready", ("gas/consumption/daily",))
    assert (one.recipient, one.valid_until, one.granularity) == ("city", UNTIL, "P1D")
    (ended,) = read("cozy-sharing", cozy_sharing.write(ours(Standing.WITHDRAWN, **COZY)))
    assert (ended.standing, ended.ended_at) == (Standing.REVOKED, GRANTED + 86_400)
    half_hours: dict[str, Any] = {
        "pii_type": DataKind("electricity", "consumption", "load_curve"),
        "granularity": "PT10M",
    }
    assert refused(cozy_sharing.write, ours(**half_hours)) == "NO_PLACE"


@pytest.mark.covers("system:Cozy Cloud")
@pytest.mark.parametrize(("status", "standing"), cozy_sharing.STATUSES.items())
def test_each_status_of_a_member_is_told(status: str, standing: Standing) -> None:
    sharing = json.loads(cozy_sharing.write(ours(**COZY)))
    sharing["members"] += [{"status": status, "public_name": "Bob"}]
    first, second = read("cozy-sharing", json.dumps(sharing).encode())
    assert (first.recipient, second.recipient) == ("city", "Bob")
    assert (second.state, second.standing) == (status, standing)
    sharing["active"] = False
    found = read("cozy-sharing", json.dumps(sharing).encode())
    assert Standing.GIVEN not in {one.standing for one in found}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"members": []}, "members"),
        ({"members": [{"status": "ready"}, {"status": "ready"}]}, "members"),
        ({"members": [{"status": "owner"}, {"status": "friend"}]}, "members 2, status"),
        ({"rules": []}, "rules"),
        ({"created_at": 5}, "created_at"),
    ],
)
def test_a_sharing_that_is_wrong_is_refused(change: dict[str, Any], field: str) -> None:
    sharing = json.loads(cozy_sharing.write(ours(**COZY))) | change
    error = refusal("cozy-sharing", json.dumps(sharing).encode())
    assert (error.code, error.field) == ("BAD_SHARING", f"file, record 1, {field}")


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "@value", "status"]), inner),
)


@given(
    st.sampled_from(["odrl", "cozy-sharing"]),
    st.dictionaries(
        st.sampled_from(["@type", "state", "agreement", "members", "rules", "active", "attributes"]), VALUES
    ),
)
def test_any_object_is_read_or_refused(name: str, change: dict[str, Any]) -> None:
    whole = odrl.write(ours()) if name == "odrl" else cozy_sharing.write(ours(**COZY))
    assert whole_or_refused(name, json.dumps(json.loads(whole) | change).encode())


@given(st.sampled_from([form.name for form in formats.FORMATS if form.read]), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    assert whole_or_refused(name, data)
