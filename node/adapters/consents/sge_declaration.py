"""Enedis SGE: the declared agreement of a customer (`declarationAccordClient`), read as evidence and written for ours.

How it works
    A request to SGE carries the declaration (`node.adapters.sge_accord` reads it). As evidence it is a record whose
    state is the accord, for its point and its days. Written, it is the part of a request that SGE asks for: civility
    and name of a natural person, or the name of a legal one, and the days, the last one excluded.

What it does not do
    It sends no request. A declaration is a third party's word, not the person's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from node.adapters import sge_accord
from node.adapters.adapter import Source, refused
from node.adapters.consents.record import Foreign, Ours, Standing, no_place
from node.adapters.enedis_time import midnight
from node.adapters.stamps import with_offset

SYSTEM: Final = "enedis-sge"
CODE: Final = "BAD_DECLARATION"
CIVILITIES: Final = ("M", "Mme")
_TYPES: Final = {"load_curve": "CDC", "index": "IDX", "daily": "ENERGIE", "max_power": "PMAX"}


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the declaration of a request. Raises RemoteError BAD_XML, NO_ACCORD, BAD_DECLARATION."""
    found = sge_accord.read(data, source)
    if found.last <= found.first:
        raise refused(CODE, source, "dateFin", "The declaration ends before it begins")
    yield Foreign(
        system=SYSTEM,
        reference="",
        state="true" if found.accord else "false",
        standing=Standing.GIVEN if found.accord else Standing.REFUSED,
        points=(f"prm:{found.point}",) if found.point else (),
        valid_from=midnight(found.first),
        valid_until=midnight(found.last),
        subject=found.name,
    )


def write(consent: Ours) -> bytes:
    """Return a consent of ours as the declaration of a request. Raises LocalError NO_PLACE, DETAIL_MISSING."""
    point, kind = consent.only_point("prm", "point of electricity"), consent.terms.pii_type
    if consent.standing is not Standing.GIVEN:
        raise no_place("Only a consent that stands is declared")
    if kind is None or kind.kind not in _TYPES:
        raise no_place("SGE delivers load curves, registers, energies and peaks")
    name = escape(consent.detail("name", "the name of the customer"))
    civility = dict(consent.details).get("civility", "")
    if consent.terms.principal_role == "organisation":
        person = f"<personneMorale><denominationSociale>{name}</denominationSociale></personneMorale>"
    elif civility in CIVILITIES:
        person = f"<personnePhysique><civilite>{civility}</civilite><nom>{name}</nom></personnePhysique>"
    else:
        raise no_place("SGE wants the civility of a natural person: --detail civility=M or civility=Mme")
    drawn = "true" if kind.direction == "consumption" else "false"
    injected = "false" if drawn == "true" else "true"
    fields = (
        f"<pointId>{point}</pointId><mesuresTypeCode>{_TYPES[kind.kind]}</mesuresTypeCode>"
        f"<soutirage>{drawn}</soutirage><injection>{injected}</injection>"
        f"<dateDebut>{with_offset(consent.granted_at)[:10]}</dateDebut>"
        f"<dateFin>{with_offset(consent.valid_until)[:10]}</dateFin>"
        f"<declarationAccordClient><accord>true</accord>{person}</declarationAccordClient>"
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<demande>{fields}</demande>\n'.encode()
