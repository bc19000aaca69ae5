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
    PERSONAL_POINT = "PERSONAL_POINT"
    OTHER_RELEASE = "OTHER_RELEASE"
    NOT_MEMBER_HOLDER = "NOT_MEMBER_HOLDER"
    NOT_MEMBER_RECIPIENT = "NOT_MEMBER_RECIPIENT"
    NO_LINK = "NO_LINK"
    RELEASE_REFUSED = "RELEASE_REFUSED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    TOKEN_NARROWER = "TOKEN_NARROWER"
    NO_CONSENT = "NO_CONSENT"
    # About one consent: is it about this flow at all?
    OTHER_TOKEN = "OTHER_TOKEN"
    OTHER_HOLDER = "OTHER_HOLDER"
    OTHER_RECIPIENT = "OTHER_RECIPIENT"
    CLASS_RECIPIENT = "CLASS_RECIPIENT"
    NOT_IN_CLASS = "NOT_IN_CLASS"
    OTHER_POINT = "OTHER_POINT"
    OTHER_KIND = "OTHER_KIND"
    OTHER_PURPOSE = "OTHER_PURPOSE"
    BAD_TERMS = "BAD_TERMS"
    DISCLOSURE_MISSING = "DISCLOSURE_MISSING"
    # It is: does its content allow it?
    NOT_INFORMED = "NOT_INFORMED"
    CHAINED = "CHAINED"
    DELEGATION_HIDDEN = "DELEGATION_HIDDEN"
    DELEGATION_NOT_YOURS = "DELEGATION_NOT_YOURS"
    DELEGATION_WIDER = "DELEGATION_WIDER"
    PARENT_HIDDEN = "PARENT_HIDDEN"
    PARENT_OTHER = "PARENT_OTHER"
    SHARING_FORBIDDEN = "SHARING_FORBIDDEN"
    PARENT_WIDER = "PARENT_WIDER"
    FORBIDDEN_PURPOSE = "FORBIDDEN_PURPOSE"
    COMPUTATION_ONLY = "COMPUTATION_ONLY"
    OTHER_COMPUTATION = "OTHER_COMPUTATION"
    STAGE_OFF = "STAGE_OFF"
    OTHER_GRANULARITY = "OTHER_GRANULARITY"
    OTHER_PERIOD = "OTHER_PERIOD"
    NOT_ENTITLED = "NOT_ENTITLED"
    MOVED_OUT = "MOVED_OUT"
    # It does: is it in force, now, as far as can be known?
    UNREGISTERED = "UNREGISTERED"
    INCOMPLETE = "INCOMPLETE"
    WITHDRAWN = "WITHDRAWN"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET = "NOT_YET"
    TOO_LONG = "TOO_LONG"
    EVIDENCE_REJECTED = "EVIDENCE_REJECTED"
    EVIDENCE_PENDING = "EVIDENCE_PENDING"
    DELEGATION_UNREGISTERED = "DELEGATION_UNREGISTERED"
    DELEGATION_REVOKED = "DELEGATION_REVOKED"
    DELEGATION_UNPROVEN = "DELEGATION_UNPROVEN"
    DELEGATION_EXPIRED = "DELEGATION_EXPIRED"
    PARENT_UNREGISTERED = "PARENT_UNREGISTERED"
    PARENT_ENDED = "PARENT_ENDED"
    PARENT_EXPIRED = "PARENT_EXPIRED"
    CALL_UNREGISTERED = "CALL_UNREGISTERED"
    CALL_OPEN = "CALL_OPEN"
    CALL_NOT_PASSED = "CALL_NOT_PASSED"
    CALL_REFUSED = "CALL_REFUSED"
    STALE = "STALE"
    ALLOWED = "ALLOWED"


SENTENCES: Final[dict[Reason, tuple[str, str]]] = {
    Reason.BAD_FLOW: (
        "The request is malformed: its period, granularity or kind of data makes no sense.",
        "La demande est mal formée : sa période, son pas ou son type de données n'a pas de sens.",
    ),
    Reason.DOOR_CLOSED: (
        "Without a consent only open data and aggregates that were checked may leave, and this was neither.",
        "Sans consentement ne sortent que des données ouvertes et des agrégats contrôlés ; ceci n'en est pas.",
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
        "The consent is for a class of recipients whose rule is not known here.",
        "Le consentement vise une catégorie de destinataires dont la règle n'est pas connue ici.",
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
        "The consent rests on an entry that is not known here.",
        "Le consentement repose sur une inscription qui n'est pas connue ici.",
    ),
    Reason.FORBIDDEN_PURPOSE: (
        "The mesh forbids this purpose.",
        "La maille interdit cet usage.",
    ),
    Reason.COMPUTATION_ONLY: (
        "The consent lets out the result of a named computation only, not the data.",
        "Le consentement ne laisse sortir que le résultat d'un calcul nommé, pas les données.",
    ),
    Reason.OTHER_COMPUTATION: (
        "The consent is for the result of another computation.",
        "Le consentement porte sur le résultat d'un autre calcul.",
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
    Reason.PERSONAL_POINT: (
        "What is called open data or an aggregate names a person's point of measurement.",
        "Ce qui est présenté comme donnée ouverte ou agrégat nomme le point de mesure d'une personne.",
    ),
    Reason.OTHER_RELEASE: (
        "What was checked for this door is something else than what would leave.",
        "Ce qui a été contrôlé pour cette porte n'est pas ce qui sortirait.",
    ),
    Reason.RELEASE_REFUSED: (
        "The check of this aggregate or open data did not pass.",
        "Le contrôle de cet agrégat ou de ces données ouvertes n'a pas abouti.",
    ),
    Reason.TOKEN_EXPIRED: (
        "The token has ended.",
        "Le jeton est arrivé à son terme.",
    ),
    Reason.TOKEN_NARROWER: (
        "The token that was shown allows less than this.",
        "Le jeton présenté permet moins que cela.",
    ),
    Reason.OTHER_TOKEN: (
        "The token was made under another consent.",
        "Le jeton a été établi sous un autre consentement.",
    ),
    Reason.NOT_IN_CLASS: (
        "The recipient is not of the class that the consent names.",
        "Le destinataire n'appartient pas à la catégorie que vise le consentement.",
    ),
    Reason.DELEGATION_HIDDEN: (
        "The bounds of the delegation that the consent rests on are not known here.",
        "Les limites de la délégation sur laquelle repose le consentement ne sont pas connues ici.",
    ),
    Reason.DELEGATION_NOT_YOURS: (
        "The consent, or a delegation above it, was signed by another key than the one delegated to.",
        "Le consentement, ou une délégation dont il dépend, est signé par une autre clé que celle du délégataire.",
    ),
    Reason.DELEGATION_WIDER: (
        "The consent, or a delegation above it, goes beyond what was delegated.",
        "Le consentement, ou une délégation dont il dépend, dépasse ce qui a été délégué.",
    ),
    Reason.PARENT_HIDDEN: (
        "The content of the consent that this one passes on is not known here.",
        "Le contenu du consentement dont celui-ci découle n'est pas connu ici.",
    ),
    Reason.PARENT_OTHER: (
        "The consent passes on data that its holder did not receive under the consent it names.",
        "Le consentement transmet des données que leur détenteur n'a pas reçues sous le consentement qu'il cite.",
    ),
    Reason.SHARING_FORBIDDEN: (
        "The consent that this one passes on does not allow it to be passed on so.",
        "Le consentement dont celui-ci découle ne permet pas cette transmission.",
    ),
    Reason.PARENT_WIDER: (
        "The consent goes beyond the one that it passes on.",
        "Le consentement dépasse celui dont il découle.",
    ),
    Reason.NOT_ENTITLED: (
        "Who gave the consent may not speak for this point of measurement.",
        "Qui a donné le consentement n'a pas qualité pour ce point de mesure.",
    ),
    Reason.MOVED_OUT: (
        "Who gave the consent does not answer for this point during the whole of this period.",
        "Qui a donné le consentement ne répond pas de ce point pendant toute cette période.",
    ),
    Reason.EVIDENCE_REJECTED: (
        "The paper or other evidence of the consent was checked and found wanting.",
        "Le document ou autre preuve du consentement a été contrôlé et n'est pas probant.",
    ),
    Reason.EVIDENCE_PENDING: (
        "The paper or other evidence of the consent has not been checked yet.",
        "Le document ou autre preuve du consentement n'a pas encore été contrôlé.",
    ),
    Reason.DELEGATION_UNREGISTERED: (
        "A delegation that the consent rests on is not registered in any feed known here.",
        "Une délégation sur laquelle repose le consentement n'est inscrite dans aucun journal connu ici.",
    ),
    Reason.DELEGATION_REVOKED: (
        "A delegation that the consent rests on was revoked.",
        "Une délégation sur laquelle repose le consentement a été révoquée.",
    ),
    Reason.DELEGATION_UNPROVEN: (
        "The evidence of a guardian's or carer's authority was not checked, or not found good.",
        "La preuve de l'autorité d'un tuteur ou d'un aidant n'a pas été contrôlée, ou n'est pas probante.",
    ),
    Reason.DELEGATION_EXPIRED: (
        "A delegation that the consent rests on has ended.",
        "Une délégation sur laquelle repose le consentement est arrivée à son terme.",
    ),
    Reason.PARENT_UNREGISTERED: (
        "The consent that this one passes on is not registered in any feed known here.",
        "Le consentement dont celui-ci découle n'est inscrit dans aucun journal connu ici.",
    ),
    Reason.PARENT_ENDED: (
        "The consent that this one passes on was withdrawn or revoked, or lacks a signature.",
        "Le consentement dont celui-ci découle a été retiré ou révoqué, ou il y manque une signature.",
    ),
    Reason.PARENT_EXPIRED: (
        "The consent that this one passes on has ended.",
        "Le consentement dont celui-ci découle est arrivé à son terme.",
    ),
    Reason.CALL_UNREGISTERED: (
        "The call of the group that the consent rests on is not registered in any feed known here.",
        "L'appel du groupe sur lequel repose le consentement n'est inscrit dans aucun journal connu ici.",
    ),
    Reason.CALL_OPEN: (
        "The group has not decided yet.",
        "Le groupe n'a pas encore décidé.",
    ),
    Reason.CALL_NOT_PASSED: (
        "The group did not agree: too few voted, too few agreed, or it is too small.",
        "Le groupe n'a pas donné son accord : trop peu de votants, trop peu de voix pour, ou trop peu de membres.",
    ),
    Reason.CALL_REFUSED: (
        "The person refused for herself, whatever the group decided.",
        "La personne a refusé pour elle-même, quoi que le groupe ait décidé.",
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
