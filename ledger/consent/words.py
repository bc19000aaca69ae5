"""A consent in plain words, in English or French: what the person reads before she says yes, and afterwards.

How it works
    `in_words` turns terms and the clear fields into short sentences, one fact each, always in the same order:
    who gets it, what, what for, when, who else, how to end it, her rights. Dates are UTC.

What it does not do
    It lays nothing out: pages and terminals do. What parties wrote themselves (purpose, notice texts) is
    printed as they wrote it, in their language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from ledger.consent.granularity import Unit, parse_duration
from ledger.consent.kinds import RIGHTS
from ledger.consent.record import DATE_MAX, Actor, DataKind, Terms, Window

POINTS_SHOWN_MAX: Final = 5
_DAY: Final = 86_400

Pair: TypeAlias = tuple[str, str]
"""The same words in English and in French."""

COMPUTATION_DIGITS: Final = 16
"""Of a computation's hash, by which it is named."""


@dataclass(frozen=True, slots=True)
class Parties:
    """What is not in the terms, as the person reads it: names of holder and recipient, and the end (unix seconds).

    `computation`: what the computation that the terms name gives, in a sentence; "" where it is not known here.
    """

    holder: str
    recipient: str
    valid_until: int
    computation: str = ""


_MONTHS: Final = (
    (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    (
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
)
_ENERGY: Final[dict[str, Pair]] = {
    "electricity": ("electricity", "électricité"),
    "gas": ("gas", "gaz"),
    "water": ("water", "eau"),
    "heat": ("heat", "chaleur"),
}
_DIRECTION: Final[dict[str, Pair]] = {
    "consumption": ("consumption", "consommation"),
    "production": ("production", "production"),
}
_KIND: Final[dict[str, Pair]] = {
    "index": ("meter index", "index du compteur"),
    "daily": ("daily totals", "totaux journaliers"),
    "load_curve": (
        "load curve (it can show when you are at home)",
        "courbe de charge (elle peut révéler vos absences)",
    ),
    "max_power": ("maximum power", "puissance maximale"),
    "contract": ("contract data", "données du contrat"),
    "technical": ("technical data", "données techniques"),
}
_BASIS: Final[dict[str, Pair]] = {
    "consent": ("your consent", "votre consentement"),
    "contract": ("a contract with you", "un contrat avec vous"),
    "legal_obligation": ("a legal obligation", "une obligation légale"),
    "vital_interests": ("vital interests", "des intérêts vitaux"),
    "public_interest": ("the public interest", "l'intérêt public"),
    "legitimate_interest": ("a legitimate interest", "un intérêt légitime"),
}
_ROLE: Final[dict[str, Pair]] = {
    "controller": ("controller", "responsable du traitement"),
    "joint_controller": ("joint controller", "responsable conjoint"),
    "processor": ("processor", "sous-traitant"),
    "sub_processor": ("sub-processor", "sous-traitant ultérieur"),
    "recipient": ("recipient", "destinataire"),
    "category": ("category of recipients", "catégorie de destinataires"),
}
_PRINCIPAL: Final[dict[str, Pair]] = {
    "contract_holder": ("holder of the contract", "titulaire du contrat"),
    "household_member": ("member of the household", "membre du foyer"),
    "organisation": ("organisation", "organisation"),
    "guardian": ("guardian", "tuteur ou tutrice"),
    "carer": ("carer", "aidant ou aidante"),
    "trustee": ("trustee", "fiduciaire"),
}
_RIGHT: Final[dict[str, Pair]] = {
    "access": ("Your right of access", "Votre droit d'accès"),
    "rectification": ("Your right of rectification", "Votre droit de rectification"),
    "objection": ("Your right to object", "Votre droit d'opposition"),
    "erasure": ("Your right of erasure", "Votre droit à l'effacement"),
    "portability": ("Your right of portability", "Votre droit à la portabilité"),
}
_UNIT: Final[dict[str, Pair]] = {
    "year": ("year", "an"),
    "month": ("month", "mois"),
    "day": ("day", "jour"),
    "hour": ("hour", "heure"),
    "minute": ("minute", "minute"),
    "second": ("second", "seconde"),
}


def in_words(terms: Terms, parties: Parties, lang: str = "en") -> list[str]:
    """Return a consent as short sentences in "fr", or else in English. It holds personal data: never log it."""
    fr = lang == "fr"

    def say(english: str, french: str) -> str:
        return french if fr else english

    sentences = [
        say(
            f"{parties.holder} may send your data to {parties.recipient}.",
            f"{parties.holder} pourra transmettre vos données à {parties.recipient}.",
        ),
        say(f"What for: {_said(terms.purpose, fr)}.", f"Pour quoi faire : {_said(terms.purpose, fr)}."),
        *_data(terms, parties.computation, fr),
        *_times(terms, parties, fr),
        *_others(terms, say, fr),
        say(
            f"After the end, the data are kept for at most {_duration(terms.retention, fr)}: {terms.storage}.",
            f"Après la fin, les données sont gardées au plus {_duration(terms.retention, fr)} : {terms.storage}.",
        ),
        say(f"Law that applies: {terms.jurisdiction}.", f"Droit applicable : {terms.jurisdiction}."),
        say(
            f"You can withdraw at any time, in one act: {_said(terms.withdrawal_method, fr)}.",
            f"Vous pouvez retirer votre accord à tout moment, en un geste : {_said(terms.withdrawal_method, fr)}.",
        ),
    ]
    for name in RIGHTS:
        how = getattr(terms.rights, name)
        if how:
            sentences.append(f"{_RIGHT[name][fr]}{say(': ', ' : ')}{how}.")
    sentences.append(
        say(
            f"Complaints: {terms.authority}. Data protection officer: {terms.dpo_contact}.",
            f"Réclamations : {terms.authority}. Délégué à la protection des données : {terms.dpo_contact}.",
        )
    )
    # A text that parties wrote may bring its own full stop.
    return [sentence.removesuffix(".") if sentence.endswith("..") else sentence for sentence in sentences]


def kind_in_words(kind: DataKind, lang: str = "en") -> tuple[str, str]:
    """Return a kind of data as two short texts: what it is, and of which energy."""
    fr = lang == "fr"
    return _KIND[kind.kind][fr], f"{_ENERGY[kind.energy][fr]}, {_DIRECTION[kind.direction][fr]}"


def role_in_words(role: str, lang: str = "en") -> str:
    """Return the role of an actor, such as "processor"."""
    return _ROLE[role][lang == "fr"]


def principal_in_words(role: str, lang: str = "en") -> str:
    """Return the role in which the person decides, such as "contract_holder"."""
    return _PRINCIPAL[role][lang == "fr"]


def basis_in_words(basis: str, lang: str = "en") -> str:
    """Return a legal basis."""
    return _BASIS[basis][lang == "fr"]


def duration_in_words(text: str, lang: str = "en") -> str:
    """Return an ISO 8601 duration. Raises as parse_duration."""
    return _duration(text, lang == "fr")


def moment_in_words(time: int, lang: str = "en") -> str:
    """Return unix seconds as a day, with the time of day (UTC) unless it is midnight."""
    return _moment(time, lang == "fr")


def window_in_words(window: Window, lang: str = "en") -> str:
    """Return [start, stop) in unix seconds as "from ... to ..."."""
    return _window(window, lang == "fr")


def _said(words: str, fr: bool) -> str:
    return words.strip() or ("(non précisé)" if fr else "(not said)")


def _data(terms: Terms, computation: str, fr: bool) -> list[str]:
    if terms.pii_type is None:
        which = _said("", fr)
    else:
        kind, energy = _KIND[terms.pii_type.kind][fr], _ENERGY[terms.pii_type.energy][fr]
        which = f"{kind}, {energy}, {_DIRECTION[terms.pii_type.direction][fr]}"
    sentences = [f"Which data: {which}." if not fr else f"Quelles données : {which}."]
    if terms.granularity is not None:
        step = _duration(terms.granularity, fr)
        sentences.append(
            f"Pas de mesure le plus fin : {step}, jamais plus détaillé."
            if fr
            else f"The finest step: {step}, never more detailed."
        )
    shown = ", ".join(point.replace(":", " ").upper() for point in terms.points[:POINTS_SHOWN_MAX])
    more = len(terms.points) - POINTS_SHOWN_MAX
    if more > 0:
        shown += f" et {more} autres" if fr else f" and {more} more"
    sentences.append(f"Points de mesure : {shown}." if fr else f"Points of measurement: {shown}.")
    if terms.computation is not None:
        name = terms.computation.hex()[:COMPUTATION_DIGITS]
        what = f"{computation.rstrip('.')} ({name})" if computation else name
        sentences.append(
            f"Seul le résultat d'un calcul sera transmis, pas ces données : {what}."
            if fr
            else f"Only the result of a computation is sent, not these data: {what}."
        )
    off = [
        words[fr]
        for on, words in (
            (terms.stages.local, ("recording in the meter", "l'enregistrement dans le compteur")),
            (terms.stages.upload, ("upload to the grid operator", "la remontée au gestionnaire de réseau")),
            (terms.stages.transmit, ("transmission to others", "la transmission à des tiers")),
        )
        if not on
    ]
    if off:
        sentences.append(f"Désactivé : {', '.join(off)}." if fr else f"Switched off: {', '.join(off)}.")
    return sentences


def _times(terms: Terms, parties: Parties, fr: bool) -> list[str]:
    of = "Données de la période" if fr else "Data of the period"
    data = [f"{of}{' : ' if fr else ': '}{_window(window, fr)}." for window in terms.data_period]
    begins, until = terms.access_period
    ends = parties.valid_until if until is None else min(until, parties.valid_until)
    # The end is excluded: a right that ends at midnight is last valid the day before.
    access = _window((begins, max(ends, begins + 1)), fr)
    if fr:
        return [*data, f"Transmission permise {access}, puis tout s'arrête."]
    return [*data, f"Sending is allowed {access}; then everything stops."]


def _others(terms: Terms, say: Callable[[str, str], str], fr: bool) -> list[str]:
    def names(actors: tuple[Actor, ...]) -> str:
        return ", ".join(f"{actor.name} ({_ROLE[actor.role][fr]})" for actor in actors)

    basis = _BASIS[terms.legal_basis][fr]
    sentences = [
        say(f"Who answers for it: {names(terms.controllers)}.", f"Qui en répond : {names(terms.controllers)}."),
        say(f"Legal basis: {basis}.", f"Base légale : {basis}."),
        say(
            f"You decide as: {_PRINCIPAL[terms.principal_role][0]}.",
            f"Vous décidez en tant que : {_PRINCIPAL[terms.principal_role][1]}.",
        ),
    ]
    if terms.recipients:
        who = names(terms.recipients)
        sentences.append(say(f"Who receives the data: {who}.", f"Qui reçoit les données : {who}."))
    if terms.processors:
        chain = names(terms.processors)
        sentences.append(say(f"Who works for them: {chain}.", f"Qui travaille pour eux : {chain}."))
    sentences.append(_onward(terms, say, names))
    if terms.freshness:
        sentences.append(
            say(
                "Sending stops whenever the home you chose is silent.",
                "La transmission s'arrête dès que l'hébergeur que vous avez choisi ne répond plus.",
            )
        )
    return sentences


def _onward(terms: Terms, say: Callable[[str, str], str], names: Callable[[tuple[Actor, ...]], str]) -> str:
    sharing = terms.onward_sharing
    form = say("only as aggregates", "seulement sous forme d'agrégats") if sharing.aggregate_only else ""
    form = f", {form}" if form else ""
    if sharing.mode == "listed":
        listed = names(sharing.listed)
        return say(f"They may be passed on to: {listed}{form}.", f"Elles peuvent être transmises à : {listed}{form}.")
    if sharing.mode == "depth":
        return say(
            f"They may be passed on, through at most {sharing.depth} further hands{form}.",
            f"Elles peuvent être repartagées, au plus {sharing.depth} fois de suite{form}.",
        )
    return say("They may not be passed on to anyone else.", "Elles ne peuvent être repartagées avec personne.")


def _window(window: Window, fr: bool) -> str:
    start, stop = window
    first = _moment(start, fr)
    last = _moment(stop - _DAY, fr) if stop % _DAY == 0 and stop - _DAY >= start else _moment(stop, fr)
    return f"du {first} au {last}" if fr else f"from {first} to {last}"


def _moment(time: int, fr: bool) -> str:
    moment = datetime.fromtimestamp(min(time, DATE_MAX), UTC)
    number = "1er" if fr and moment.day == 1 else str(moment.day)
    day = f"{number} {_MONTHS[fr][moment.month - 1]} {moment.year}"
    if time % _DAY == 0:
        return day
    return f"{day} à {moment:%H:%M} UTC" if fr else f"{day} at {moment:%H:%M} UTC"


def _duration(text: str, fr: bool) -> str:
    duration = parse_duration(text)
    count, unit = duration.count, duration.unit.value
    larger = {Unit.MONTH: (("year", 12),), Unit.DAY: (), Unit.SECOND: (("hour", 3_600), ("minute", 60))}
    for name, factor in larger[duration.unit]:
        if count % factor == 0:
            count, unit = count // factor, name
            break
    words = _UNIT[unit][fr]
    return f"{count} {words}" if count == 1 or words.endswith("s") else f"{count} {words}s"
