"""Why the gate decided as it did: a closed list of stable codes, each with one plain sentence in two languages.

How it works
    `Reason` lists the reasons in the order in which the gate checks them: the later one stands in the list, the
    nearer the flow was to being allowed. `SENTENCES` is the only place where they are put into words.

What it does not do
    It carries no personal data: no sentence names a person, a point or a purpose.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Reason(Enum):
    """A reason of the gate. `value` is the code: it is never renamed, and goes into receipts and replies."""

    # About the flow itself.
    BAD_FLOW = "BAD_FLOW"
    DOOR_CLOSED = "DOOR_CLOSED"
    NOT_MEMBER_HOLDER = "NOT_MEMBER_HOLDER"
    NOT_MEMBER_RECIPIENT = "NOT_MEMBER_RECIPIENT"
    NO_LINK = "NO_LINK"
    NO_CONSENT = "NO_CONSENT"
    # About one consent: is it about this flow at all?
    OTHER_HOLDER = "OTHER_HOLDER"
    OTHER_RECIPIENT = "OTHER_RECIPIENT"
    CLASS_RECIPIENT = "CLASS_RECIPIENT"
    OTHER_POINT = "OTHER_POINT"
    OTHER_KIND = "OTHER_KIND"
    OTHER_PURPOSE = "OTHER_PURPOSE"
    BAD_TERMS = "BAD_TERMS"
    DISCLOSURE_MISSING = "DISCLOSURE_MISSING"
    # It is: does its content allow it?
    NOT_INFORMED = "NOT_INFORMED"
    CHAINED = "CHAINED"
    FORBIDDEN_PURPOSE = "FORBIDDEN_PURPOSE"
    COMPUTATION_ONLY = "COMPUTATION_ONLY"
    STAGE_OFF = "STAGE_OFF"
    OTHER_GRANULARITY = "OTHER_GRANULARITY"
    OTHER_PERIOD = "OTHER_PERIOD"
    # It does: is it in force, now, as far as can be known?
    UNREGISTERED = "UNREGISTERED"
    INCOMPLETE = "INCOMPLETE"
    WITHDRAWN = "WITHDRAWN"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET = "NOT_YET"
    TOO_LONG = "TOO_LONG"
    STALE = "STALE"
    ALLOWED = "ALLOWED"


SENTENCES: Final[dict[Reason, tuple[str, str]]] = {
    Reason.BAD_FLOW: (
        "The request is malformed: its period, granularity or kind of data makes no sense.",
        "La demande est mal formée : sa période, son pas ou son type de données n'a pas de sens.",
    ),
    Reason.DOOR_CLOSED: (
        "This node lets data out under a consent only; checked aggregates are not available.",
        "Ce nœud ne laisse sortir de données que sous consentement ; les agrégats contrôlés n'y existent pas.",
    ),
    Reason.NOT_MEMBER_HOLDER: (
        "The holder of the data is not a member of the mesh now, nor hosted by one.",
        "Le détenteur des données n'est pas membre de la maille en ce moment, ni hébergé par un membre.",
    ),
    Reason.NOT_MEMBER_RECIPIENT: (
        "The recipient is not a member of the mesh now, nor hosted by one.",
        "Le destinataire n'est pas membre de la maille en ce moment, ni hébergé par un membre.",
    ),
    Reason.NO_LINK: (
        "The holder and the recipient have no link that both have accepted.",
        "Le détenteur et le destinataire n'ont pas de lien accepté par les deux.",
    ),
    Reason.NO_CONSENT: (
        "No consent from this holder to this recipient is known here.",
        "Aucun consentement de ce détenteur vers ce destinataire n'est connu ici.",
    ),
    Reason.OTHER_HOLDER: (
        "The consent is for data held by someone else.",
        "Le consentement porte sur les données d'un autre détenteur.",
    ),
    Reason.OTHER_RECIPIENT: (
        "The consent is for another recipient.",
        "Le consentement vise un autre destinataire.",
    ),
    Reason.CLASS_RECIPIENT: (
        "The consent is for a class of recipients, which this version cannot evaluate.",
        "Le consentement vise une catégorie de destinataires, que cette version ne sait pas évaluer.",
    ),
    Reason.OTHER_POINT: (
        "The consent is for another point of measurement.",
        "Le consentement porte sur un autre point de mesure.",
    ),
    Reason.OTHER_KIND: (
        "The consent is for another kind of data.",
        "Le consentement porte sur un autre type de données.",
    ),
    Reason.OTHER_PURPOSE: (
        "The consent is for another purpose.",
        "Le consentement a été donné pour un autre usage.",
    ),
    Reason.BAD_TERMS: (
        "The content of the consent breaks its schema.",
        "Le contenu du consentement ne respecte pas son schéma.",
    ),
    Reason.DISCLOSURE_MISSING: (
        "The content of the consent is not known here, or was erased.",
        "Le contenu du consentement n'est pas connu ici, ou a été effacé.",
    ),
    Reason.NOT_INFORMED: (
        "The consent is invalid: the person was not told all she must be told beforehand.",
        "Le consentement n'est pas valable : la personne n'a pas reçu toute l'information préalable.",
    ),
    Reason.CHAINED: (
        "The consent rests on a delegation or on another consent, which this version cannot follow.",
        "Le consentement repose sur une délégation ou un autre consentement, que cette version ne sait pas suivre.",
    ),
    Reason.FORBIDDEN_PURPOSE: (
        "The mesh forbids this purpose.",
        "La maille interdit cet usage.",
    ),
    Reason.COMPUTATION_ONLY: (
        "The consent lets out the result of a named computation only, not the data.",
        "Le consentement ne laisse sortir que le résultat d'un calcul nommé, pas les données.",
    ),
    Reason.STAGE_OFF: (
        "The person has switched off the transmission of these data.",
        "La personne a désactivé la transmission de ces données.",
    ),
    Reason.OTHER_GRANULARITY: (
        "The consent allows only coarser readings.",
        "Le consentement ne permet que des relevés moins détaillés.",
    ),
    Reason.OTHER_PERIOD: (
        "The consent does not cover the whole of this period.",
        "Le consentement ne couvre pas toute cette période.",
    ),
    Reason.UNREGISTERED: (
        "The consent is not registered in any feed known here.",
        "Le consentement n'est inscrit dans aucun journal connu ici.",
    ),
    Reason.INCOMPLETE: (
        "The consent still lacks a signature that it requires.",
        "Il manque encore au consentement une signature requise.",
    ),
    Reason.WITHDRAWN: (
        "The person has withdrawn her consent.",
        "La personne a retiré son consentement.",
    ),
    Reason.REVOKED: (
        "The consent was revoked by a party other than the person.",
        "Le consentement a été révoqué par une autre partie que la personne.",
    ),
    Reason.EXPIRED: (
        "The consent has ended.",
        "Le consentement est arrivé à son terme.",
    ),
    Reason.NOT_YET: (
        "The consent has not begun yet.",
        "Le consentement n'a pas encore commencé.",
    ),
    Reason.TOO_LONG: (
        "The consent ends later than the mesh's policy allows.",
        "Le consentement dure plus longtemps que les règles de la maille ne le permettent.",
    ),
    Reason.STALE: (
        "This node has not heard from enough of the mesh lately to know that the consent still stands.",
        "Ce nœud n'a pas reçu assez de nouvelles de la maille pour savoir si le consentement tient toujours.",
    ),
    Reason.ALLOWED: (
        "A consent in force allows it.",
        "Un consentement en vigueur le permet.",
    ),
}
"""Reason -> (English, French)."""


def sentence(reason: Reason, lang: str = "en") -> str:
    """Return the plain sentence of a reason in "fr", or else in English."""
    return SENTENCES[reason][1 if lang == "fr" else 0]
