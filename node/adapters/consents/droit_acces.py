"""GRDF ADICT: rights of access to gas data (`droit_acces`), NDJSON both ways, and the body of a declaration.

How it works
    A line is one right of a third party to one PCE, with its state (six of them) and the state of its proof. Names of
    older versions of the API are read as what they became. The trailer of a list must say that it is whole. What is
    read is an `AccessRight`, whose fields are those of the newest names; `write` gives the same lines back.
    Several rights may stand for one PCE; data may flow while one of them is active (`usable`).

What it does not do
    It calls no API. A right at GRDF says that GRDF will deliver; what a person consented to here is the ledger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from node.adapters.adapter import Source, refused
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours, Standing, no_place
from node.adapters.enedis_time import DAY, midnight
from node.adapters.stamps import clock_of, day_of, exact, shown, with_offset
from node.adapters.strict_json import Fields, encoded, lines

SYSTEM: Final = "grdf-adict"
CODE: Final = "BAD_DROIT_ACCES"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
SUCCESS: Final = "0000000000"
TRAILER: Final = {"code_statut_traitement": SUCCESS, "message_retour_traitement": "Liste complète."}

ROLES: Final = tuple(
    f"{role}_CONTRAT_{what}" for role in ("AUTORISE", "DETENTEUR") for what in ("FOURNITURE", "INJECTION")
)
"""The four roles of a third party."""
STATES: Final = {
    "Active": Standing.GIVEN,
    "A valider": Standing.REQUESTED,
    "Révoquée": Standing.REVOKED,
    "A revérifier": Standing.UNKNOWN,
    "Obsolète": Standing.EXPIRED,
    "Refusée": Standing.REFUSED,
}
"""The six states of a right, and how a consent stands then; one to one."""
PROOFS: Final = {
    "Preuve en attente": "pending",
    "Preuve en cours de vérification": "pending",
    "Preuve Vérifiée OK": "checked_ok",
    "Preuve Vérifiée KO": "checked_ko",
}
_OLDER: Final = {
    "date_consentement_declaree": "date_debut_droit_acces",
    "date_fin_autorisation_demandee": "date_fin_droit_acces",
    "date_fin_autorisation": "date_fin_droit_acces",
    "pce": "id_pce",
}
_TRUTH: Final = {"Vrai": True, "Faux": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRight:
    """One right of access, under the names of ADICT. Texts as they stand; "" where nothing is said."""

    id_droit_acces: str = ""
    id_pce: str
    role_tiers: str
    raison_sociale_du_tiers: str = ""
    nom_titulaire: str = ""
    raison_sociale_du_titulaire: str = ""
    code_postal: str = ""
    courriel_titulaire: str = ""
    numero_telephone_mobile_titulaire: str = ""
    date_debut_droit_acces: str = ""
    date_fin_droit_acces: str = ""
    perim_donnees_conso_debut: str = ""
    perim_donnees_conso_fin: str = ""
    perim_donnees_inj_debut: str = ""
    perim_donnees_inj_fin: str = ""
    perim_donnees_contractuelles: str = ""
    perim_donnees_techniques: str = ""
    perim_donnees_informatives: str = ""
    perim_donnees_publiees: str = ""
    perim_donnees_techniques_et_contractuelles: str = ""
    perim_historique_de_donnees: str = ""
    perim_flux_de_donnees: str = ""
    date_creation: str = ""
    etat_droit_acces: str = ""
    date_revocation: str = ""
    source_revocation: str = ""
    date_passage_a_obsolete: str = ""
    source_passage_a_obsolete: str = ""
    date_passage_a_refuse: str = ""
    source_passage_a_refuse: str = ""
    parcours: str = ""
    statut_controle_preuve: str = ""
    date_limite_transmission_preuve: str = ""

    def foreign(self) -> Foreign:
        """Return it in normal form."""
        injects = self.role_tiers.endswith("INJECTION")
        direction, scope = ("production", "inj") if injects else ("consumption", "conso")
        first, last = (getattr(self, f"perim_donnees_{scope}_{side}") for side in ("debut", "fin"))
        kinds = []
        if "Vrai" in (self.perim_donnees_informatives, self.perim_flux_de_donnees, self.perim_historique_de_donnees):
            kinds.append(f"gas/{direction}/daily")
        if self.perim_donnees_publiees == "Vrai":
            kinds.append(f"gas/{direction}/index")
        if "Vrai" in (self.perim_donnees_contractuelles, self.perim_donnees_techniques_et_contractuelles):
            kinds.append(f"gas/{direction}/contract")
        if "Vrai" in (self.perim_donnees_techniques, self.perim_donnees_techniques_et_contractuelles):
            kinds.append(f"gas/{direction}/technical")
        ended = self.date_revocation or self.date_passage_a_obsolete or self.date_passage_a_refuse
        reason = self.source_revocation or self.source_passage_a_obsolete or self.source_passage_a_refuse
        return Foreign(
            system=SYSTEM,
            reference=self.id_droit_acces,
            state=self.etat_droit_acces,
            standing=STATES.get(self.etat_droit_acces, Standing.REQUESTED),
            proof=PROOFS.get(self.statut_controle_preuve, ""),
            points=(f"pce:{self.id_pce}",),
            kinds=tuple(kinds),
            granularity="P1D" if self.perim_donnees_informatives == "Vrai" else "P1M" if kinds else "",
            data_from=_seconds(first),
            data_until=_after(last),
            valid_from=_seconds(self.date_debut_droit_acces or self.date_creation),
            valid_until=_after(self.date_fin_droit_acces),
            subject=self.nom_titulaire or self.raison_sociale_du_titulaire,
            recipient=self.raison_sociale_du_tiers,
            ended_at=_seconds(ended),
            reason=reason,
        )


_NAMES: Final = tuple(field.name for field in fields(AccessRight))
_DATES: Final = tuple(name for name in _NAMES if name.startswith("date_") or name.endswith(("_debut", "_fin")))


def usable(rights: Iterable[AccessRight], pce: str) -> bool:
    """Say whether GRDF delivers data of a PCE: one active right suffices, unless its proof was found wanting."""
    return any(
        right.id_pce == pce
        and right.etat_droit_acces == "Active"
        and PROOFS.get(right.statut_controle_preuve) != "checked_ko"
        for right in rights
    )


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the rights of a list in normal form. Raises RemoteError BAD_DROIT_ACCES, naming line and field."""
    return (right.foreign() for right in rights(data, source))


def rights(data: bytes, source: Source) -> list[AccessRight]:
    """Return the rights of a list. Raises RemoteError BAD_DROIT_ACCES, naming line and field."""
    found = []
    trailer = False
    for line in lines(data, source, CODE, MAX_BYTES, RECORDS_MAX):
        if trailer:
            raise line.bad("", "A line follows the trailer")
        if "code_statut_traitement" in line.values and "id_pce" not in line.values:
            if line.text("code_statut_traitement") != SUCCESS:
                raise line.bad("code_statut_traitement", "GRDF says that the request failed; its list is not whole")
            trailer = True
            continue
        found.append(_right(line))
    if not found and not trailer:
        raise refused(CODE, source, "file", "The file has no line")
    return found


def _right(line: Fields) -> AccessRight:
    values = {_OLDER.get(name, name): value for name, value in line.values.items()}
    if len(values) != len(line.values):
        raise line.bad("", "The line has the old and the new name of one field")
    line = Fields(values, line.where, line.source, line.code)
    line.only({*_NAMES, "raison_sociale", "message_retour_traitement", "code_statut_traitement"})
    texts = {name: line.text(name, "") for name in _NAMES}
    if line.has("raison_sociale") and not texts["raison_sociale_du_titulaire"]:
        texts["raison_sociale_du_titulaire"] = line.text("raison_sociale")
    texts["etat_droit_acces"] = texts["etat_droit_acces"].replace("À", "A")
    right = AccessRight(**texts)
    if right.etat_droit_acces and right.etat_droit_acces not in STATES:
        raise line.bad("etat_droit_acces", f"A state is one of {', '.join(STATES)}")
    if right.statut_controle_preuve and right.statut_controle_preuve not in PROOFS:
        raise line.bad("statut_controle_preuve", f"A proof is one of {', '.join(PROOFS)}")
    if right.role_tiers not in ROLES:
        raise line.bad("role_tiers", f"A role is one of {', '.join(ROLES)}")
    if not (len(right.id_pce) == 14 and right.id_pce.isascii() and right.id_pce.isdecimal()):
        raise line.bad("id_pce", "A point of 14 digits was expected; others are not known here")
    for name in _DATES:
        if getattr(right, name):
            line.moment(name, _any_time)
    for name in _NAMES:
        if name.startswith("perim_donnees_") and name not in _DATES and getattr(right, name) not in {"", *_TRUTH}:
            raise line.bad(name, "Vrai or Faux was expected")
    _scope(right, line)
    return right


def _scope(right: AccessRight, line: Fields) -> None:
    """A right of supply has dates of consumption and none of injection; the other way round for injection."""
    other = "conso" if right.role_tiers.endswith("INJECTION") else "inj"
    if any(getattr(right, f"perim_donnees_{other}_{side}") for side in ("debut", "fin")):
        raise line.bad(f"perim_donnees_{other}_debut", "This role has no such period")


def write(found: Sequence[AccessRight]) -> bytes:
    """Return rights as ADICT lists them, a line each and the trailer; fields that say nothing are null."""
    listed = [{name: getattr(right, name) or None for name in _NAMES} for right in found]
    return b"".join(map(encoded, [*listed, TRAILER]))


def declaration(consent: Ours) -> bytes:
    """Return a consent of ours as the body of `PUT /pce/{pce}/droit_acces`.

    Raises LocalError NO_PLACE, DETAIL_MISSING.
    """
    pce, kind = consent.only_point("pce", "gas point"), consent.terms.pii_type
    if consent.standing is not Standing.GIVEN:
        raise no_place("GRDF is told of consents that stand; what has ended is revoked there")
    if kind is None or kind.kind == "load_curve":
        raise no_place("Gas has no load curve")
    scope = "inj" if kind.direction == "production" else "conso"
    what = "INJECTION" if scope == "inj" else "FOURNITURE"
    holds = "DETENTEUR" if dict(consent.details).get("role") == "holder" else "AUTORISE"
    first, last = consent.terms.data_period[0][0], consent.terms.data_period[-1][1]
    daily = kind.kind == "daily" and consent.terms.granularity == "P1D"
    body: dict[str, Any] = {
        "role_tiers": f"{holds}_CONTRAT_{what}",
        "nom_titulaire": consent.detail("name", "the name of the contract's holder"),
        "code_postal": consent.detail("postcode", "the post code of the point"),
        "courriel_titulaire": consent.detail("email", "an e-mail address of the contract's holder"),
        "date_debut_droit_acces": _date(consent.granted_at),
        "date_fin_droit_acces": _date(consent.valid_until - 1),
        f"perim_donnees_{scope}_debut": _date(first),
        f"perim_donnees_{scope}_fin": _date(last - 1),
        "perim_donnees_contractuelles": _vrai(kind.kind == "contract"),
        "perim_donnees_techniques": _vrai(kind.kind == "technical"),
        "perim_donnees_informatives": _vrai(daily),
        "perim_donnees_publiees": _vrai(kind.kind == "index" or (kind.kind == "daily" and not daily)),
    }
    return encoded({"pce": pce, **body}, indent=1)


def _vrai(truth: bool) -> str:
    return "Vrai" if truth else "Faux"


def _date(at: int) -> str:
    return with_offset(at)[:10]


def _any_time(text: str) -> int:
    """Return UTC seconds of a date, a local time or a stamp. Raises ValueError."""
    if len(text) == len("2021-01-31"):
        return midnight(day_of(text))
    try:
        return exact(text)
    except ValueError:
        clock = clock_of(text)
        return midnight(clock // DAY) + clock % DAY


def _seconds(text: str) -> int | None:
    return _any_time(text) if text else None


def _after(text: str) -> int | None:
    """Return the end of the day that a date names; a time is what it is."""
    if not text:
        return None
    at = _any_time(text)
    whole_day = len(text) == len("2021-01-31") or shown(at) % DAY == 0
    return midnight(shown(at) // DAY + 1) if whole_day else at
