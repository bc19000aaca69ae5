"""What a consent says, in pieces that a page lays out: the same words as everywhere (ledger.consent.words).

How it works
    `facets` takes terms and clear fields and returns short texts, each about one thing. Points are masked to their
    last four characters: enough to tell one's meters apart, and nothing for whoever looks over the shoulder.

What it does not do
    No markup: templates escape and lay out. What parties wrote stays in their own language.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from ledger.consent import words
from ledger.consent.kinds import RIGHTS
from ledger.consent.record import Actor, Terms
from ledger.schema import DAY
from node.flows.offers import terms_in_language
from node.pages.settings import Language

POINTS_SHOWN: Final = 3
TIME_SHOWN_MAX: Final = 253_000_000_000
"""Later times (year 9987) have no zone."""
POINT_TAIL: Final = 4
_RIGHT: Final[dict[str, tuple[str, str]]] = {
    "access": ("See your data", "Voir vos données"),
    "rectification": ("Have them corrected", "Les faire corriger"),
    "objection": ("Object to their use", "Vous opposer à leur usage"),
    "erasure": ("Have them erased", "Les faire effacer"),
    "portability": ("Take them elsewhere", "Les emporter ailleurs"),
}
_ENERGY_OF_SCHEME: Final[dict[str, tuple[str, str]]] = {
    "prm": ("electricity meter", "compteur d'électricité"),
    "pce": ("gas meter", "compteur de gaz"),
    "water": ("water meter", "compteur d'eau"),
    "heat": ("heat meter", "compteur de chaleur"),
}


@dataclass(frozen=True, slots=True)
class Facets:
    """One consent or request in pieces. `computation`: what leaves instead of data, in a sentence.

    `only_result`: nothing but the result of a computation leaves. `sentences`: the whole of it, as
    ledger.consent.words says it.
    """

    purpose: str
    data: str
    energy: str
    step: str
    points: tuple[str, ...]
    points_more: int
    periods: tuple[str, ...]
    access: str
    retention: str
    storage: str
    controllers: tuple[str, ...]
    receivers: tuple[str, ...]
    onward: str
    basis: str
    principal: str
    jurisdiction: str
    withdrawal: str
    rights: tuple[tuple[str, str], ...]
    authority: str
    dpo: str
    only_result: bool
    computation: str
    sentences: tuple[str, ...]


def facets(terms: Terms, parties: words.Parties, lang: Language) -> Facets:
    """Return a consent in pieces."""
    terms, fr = own_words(terms, lang), lang == "fr"
    data, energy = ("?", "") if terms.pii_type is None else words.kind_in_words(terms.pii_type, lang)
    begins, until = terms.access_period
    ends = parties.valid_until if until is None else min(until, parties.valid_until)
    sentences = tuple(words.in_words(terms, parties, lang))
    chain = [*terms.processors, *terms.onward_sharing.listed]
    return Facets(
        purpose=terms.purpose,
        data=data,
        energy=energy,
        step="" if terms.granularity is None else words.duration_in_words(terms.granularity, lang),
        points=tuple(masked(point, lang) for point in terms.points[:POINTS_SHOWN]),
        points_more=max(0, len(terms.points) - POINTS_SHOWN),
        periods=tuple(words.window_in_words(window, lang) for window in terms.data_period),
        access=words.window_in_words((begins, max(ends, begins + 1)), lang),
        retention=words.duration_in_words(terms.retention, lang),
        storage=terms.storage,
        controllers=tuple(_actor(actor) for actor in terms.controllers),
        receivers=tuple(f"{actor.name} ({words.role_in_words(actor.role, lang)})" for actor in chain),
        onward=_onward(terms, lang),
        basis=words.basis_in_words(terms.legal_basis, lang),
        principal=words.principal_in_words(terms.principal_role, lang),
        jurisdiction=terms.jurisdiction,
        withdrawal=terms.withdrawal_method,
        rights=tuple((_RIGHT[name][fr], how) for name in RIGHTS if (how := getattr(terms.rights, name))),
        authority=terms.authority,
        dpo=terms.dpo_contact,
        only_result=terms.computation is not None,
        computation=parties.computation,
        sentences=sentences,
    )


def own_words(terms: Terms, lang: Language) -> Terms:
    """Return terms with the words that maille put in by itself said in a language; words of parties stay theirs."""
    return terms_in_language(terms, lang) if lang == "fr" else terms


def duration(text: str, lang: Language) -> str:
    """Return an ISO 8601 duration in words."""
    return words.duration_in_words(text, lang)


def masked(point: str, lang: Language) -> str:
    """Return a point as it is shown: which meter, and how its number ends."""
    scheme, _, name = point.partition(":")
    which = _ENERGY_OF_SCHEME[scheme][lang == "fr"]
    tail = name[-POINT_TAIL:]
    ends = "se terminant par" if lang == "fr" else "ending in"
    return f"{which} {ends} {tail}" if len(name) > POINT_TAIL else which


def _actor(actor: Actor) -> str:
    return f"{actor.name} — {actor.contact}" if actor.contact else actor.name


def _onward(terms: Terms, lang: Language) -> str:
    sharing = terms.onward_sharing
    fr = lang == "fr"
    form = (" Seulement sous forme d'agrégats." if fr else " Only as aggregates.") if sharing.aggregate_only else ""
    match sharing.mode:
        case "listed":
            return ("Seulement aux organisations ci-dessus." if fr else "Only to the organisations above.") + form
        case "depth":
            told = (
                f"Oui, au plus {sharing.depth} fois de suite."
                if fr
                else f"Yes, at most {sharing.depth} times in a row."
            )
            return told + form
        case _:
            return "Personne d'autre." if fr else "Nobody else."


def day(time: int, lang: Language) -> str:
    """Return the day of a time as consents count days (UTC), in words."""
    return words.moment_in_words(time - time % DAY, lang)


def date(time: int, lang: Language, zone: ZoneInfo | None) -> str:
    """Return the day on which something happened where people live, in words. `zone`: None for UTC."""
    return day(_there(time, zone), lang)


def moment(time: int, lang: Language, zone: ZoneInfo | None) -> str:
    """Return a time, in words, to the minute; in a zone, which the page names once, or else in UTC, and says so."""
    if zone is None:
        return words.moment_in_words(time, lang)
    there = _there(time, zone)
    clock = f"{there % DAY // 3600:02}:{there % 3600 // 60:02}"
    return f"{day(there, lang)} à {clock}" if lang == "fr" else f"{day(there, lang)} at {clock}"


def _there(time: int, zone: ZoneInfo | None) -> int:
    """Return a time as the clocks of a zone show it, as if they showed UTC."""
    offset = None if zone is None else datetime.fromtimestamp(min(time, TIME_SHOWN_MAX), zone).utcoffset()
    return time + (int(offset.total_seconds()) if offset is not None else 0)


def left(until: int, now: int, lang: Language) -> str:
    """Return how long it is until a time: "in 3 days", "today"."""
    days = (until - now) // DAY
    fr = lang == "fr"
    if days < 1:
        return "aujourd'hui" if fr else "today"
    if days == 1:
        return "demain" if fr else "tomorrow"
    if days < 60:
        return f"dans {days} jours" if fr else f"in {days} days"
    months = days * 12 // 365
    if months < 24:
        return f"dans {months} mois" if fr else f"in {months} months"
    return f"dans {months // 12} ans" if fr else f"in {months // 12} years"
