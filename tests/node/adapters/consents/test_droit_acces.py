"""GRDF's rights of access: six states, proofs, older names, both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.record import DataKind
from ledger.errors import LocalError
from node.adapters.adapter import Source
from node.adapters.consents import droit_acces
from node.adapters.consents.record import Standing
from tests.node.adapters.consents.ours import ours, read, refusal, whole_or_refused

LINE: dict[str, Any] = {
    "id_droit_acces": "2734291b-3df4-4aef-92de-ad0186e0be6b",
    "id_pce": "23000000000000",
    "role_tiers": "AUTORISE_CONTRAT_FOURNITURE",
    "raison_sociale_du_tiers": "CITY",
    "nom_titulaire": None,
    "raison_sociale_du_titulaire": "John Doe Inc.",
    "courriel_titulaire": "jdoe@example.com",
    "code_postal": "99099",
    "perim_donnees_techniques_et_contractuelles": "Vrai",
    "perim_historique_de_donnees": "Vrai",
    "perim_flux_de_donnees": "Vrai",
    "perim_donnees_informatives": "Vrai",
    "perim_donnees_publiees": "Faux",
    "date_creation": "2021-07-02 16:41:14",
    "etat_droit_acces": "Active",
    "date_revocation": None,
    "source_revocation": None,
    "date_fin_autorisation": "2023-07-02 00:00:00",
    "parcours": "CLIENT_CONNECT",
    "statut_controle_preuve": None,
}
TRAILER = {"code_statut_traitement": "0000000000", "message_retour_traitement": "ok"}


def file(*lines: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in lines)


def test_a_line_is_a_record_with_its_scope_and_its_end() -> None:
    (one,) = read("droit-acces", file(LINE, TRAILER))
    assert (one.standing, one.state, one.points) == (Standing.GIVEN, "Active", ("pce:23000000000000",))
    assert one.kinds == ("gas/consumption/daily", "gas/consumption/contract", "gas/consumption/technical")
    assert (one.granularity, one.subject, one.recipient) == ("P1D", "John Doe Inc.", "CITY")
    assert one.valid_until == 1_688_335_200  # the day of the end is included
    assert one.lacks == ("purpose",)


@pytest.mark.covers("R50", "system:GRDF ADICT")
@pytest.mark.parametrize(("state", "standing"), droit_acces.STATES.items())
def test_each_of_the_six_states_is_one_of_ours(state: str, standing: Standing) -> None:
    ended = {"date_revocation": "2022-01-01 00:00:00", "source_revocation": "CLIENT"} if state == "Révoquée" else {}
    (one,) = read("droit-acces", file(LINE | {"etat_droit_acces": state} | ended))
    assert (one.standing, one.state) == (standing, state)
    assert one.reason == ("CLIENT" if ended else "")
    assert len(set(droit_acces.STATES.values())) == len(droit_acces.STATES) == 6


def test_the_accent_of_the_other_version_is_the_same_state() -> None:
    assert read("droit-acces", file(LINE | {"etat_droit_acces": "À valider"}))[0].standing is Standing.REQUESTED


@pytest.mark.covers("R62")
@pytest.mark.parametrize(("text", "proof"), droit_acces.PROOFS.items())
def test_the_state_of_the_proof_is_told(text: str, proof: str) -> None:
    assert read("droit-acces", file(LINE | {"statut_controle_preuve": text}))[0].proof == proof


@pytest.mark.covers("system:GRDF ADICT")
def test_one_active_right_among_several_suffices() -> None:
    lines = [LINE | {"etat_droit_acces": "Refusée"}, LINE]
    rights = droit_acces.rights(file(*lines), Source())
    assert droit_acces.usable(rights, "23000000000000")
    assert not droit_acces.usable(rights, "23000000000001")
    assert not droit_acces.usable(rights[:1], "23000000000000")
    wanting = replace(rights[1], statut_controle_preuve="Preuve Vérifiée KO")
    assert not droit_acces.usable([rights[0], wanting], "23000000000000")


@pytest.mark.covers("R70", "system:GRDF ADICT")
def test_what_is_written_is_read_back() -> None:
    rights = droit_acces.rights(file(LINE, LINE | {"etat_droit_acces": "Obsolète"}, TRAILER), Source())
    assert droit_acces.rights(droit_acces.write(rights), Source()) == rights


@given(st.sampled_from(list(droit_acces.STATES)), st.sampled_from(["", *droit_acces.PROOFS]), st.text(max_size=20))
def test_any_right_is_read_back(state: str, proof: str, name: str) -> None:
    right = droit_acces.AccessRight(
        id_pce="23000000000000",
        role_tiers=droit_acces.ROLES[0],
        etat_droit_acces=state,
        statut_controle_preuve=proof,
        nom_titulaire=name,
    )
    assert droit_acces.rights(droit_acces.write([right]), Source()) == [right]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"etat_droit_acces": "Inconnue"}, "etat_droit_acces"),
        ({"statut_controle_preuve": "?"}, "statut_controle_preuve"),
        ({"role_tiers": "AMI"}, "role_tiers"),
        ({"id_pce": "GI000000"}, "id_pce"),
        ({"date_creation": "hier"}, "date_creation"),
        ({"perim_donnees_publiees": "Oui"}, "perim_donnees_publiees"),
        ({"perim_donnees_inj_debut": "2021-01-01"}, "perim_donnees_inj_debut"),
        ({"nouveau": "x"}, ""),
        ({"date_fin_droit_acces": "2023-01-01"}, ""),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(change: dict[str, Any], field: str) -> None:
    error = refusal("droit-acces", file(LINE, LINE | change))
    assert (error.code, error.field) == ("BAD_DROIT_ACCES", f"file, line 2{', ' if field else ''}{field}")


def test_a_list_that_failed_or_goes_on_after_its_end_is_refused() -> None:
    failed = TRAILER | {"code_statut_traitement": "1000001"}
    assert refusal("droit-acces", file(LINE, failed)).field == "file, line 2, code_statut_traitement"
    assert refusal("droit-acces", file(TRAILER, LINE)).field == "file, line 2"
    assert refusal("droit-acces", file(TRAILER)).code == "NOTHING_READ"


def test_a_consent_of_ours_is_the_body_of_a_declaration() -> None:
    gas: dict[str, Any] = {"points": ("pce:23000000000000",), "pii_type": DataKind("gas", "consumption", "daily")}
    body = json.loads(droit_acces.declaration(ours(**gas)))
    assert (body["pce"], body["role_tiers"]) == ("23000000000000", "AUTORISE_CONTRAT_FOURNITURE")
    assert body["perim_donnees_informatives"] == "Vrai"
    assert "perim_donnees_inj_debut" not in body
    (again,) = read("droit-acces", json.dumps({"etat_droit_acces": "A valider"} | body).encode())
    assert (again.kinds, again.points) == (("gas/consumption/daily",), ("pce:23000000000000",))
    for consent, code in (
        (ours(), "NO_PLACE"),
        (ours(Standing.WITHDRAWN, **gas), "NO_PLACE"),
        (ours(details={}, **gas), "DETAIL_MISSING"),
    ):
        with pytest.raises(LocalError) as error:
            droit_acces.declaration(consent)
        assert error.value.code == code


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just([]) | st.just({})
)


@given(st.dictionaries(st.sampled_from(list(LINE)), VALUES))
def test_any_line_is_read_or_refused(change: dict[str, Any]) -> None:
    assert whole_or_refused("droit-acces", file(LINE | change))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert whole_or_refused("droit-acces", data)
