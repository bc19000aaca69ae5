"""What the node says, in French, on the operator pages: findings, reasons, refusals, errors, names of events.

How it works
    A row that keeps its French sentences (node/saying.py) is put together here, each value escaped. Words that are not
    ours (the place `error`), and whatever has no French, are marked as English: screen readers then read them right.
    Errors and events have their French here, by code or name; in English they say it themselves.

What it does not do
    No command line uses it: `maille` speaks English. Codes, commands, names and log lines stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from node.ops.data import refusal_words
from node.pages.rendering import unbroken
from node.pages.settings import Language
from node.saying import ERROR, French, Value, french_of

if TYPE_CHECKING:
    from proofs.reasons import Reason

_ENGLISH: Final = Markup('<span lang="en">{}</span>')


def tell(row: object, field: str, lang: Language) -> Markup:
    """Return what a row of an operation says in a field, in a language."""
    kept = french_of(row, field) if lang == "fr" else None
    return _put(kept) if kept is not None else foreign(str(getattr(row, field)), lang)


def foreign(words: str, lang: Language) -> Markup:
    """Return English words, marked as such on a page that is in French."""
    return _ENGLISH.format(words) if lang == "fr" and words else escape(words)


def _put(said: French) -> Markup:
    values = {name: _value(name, value) for name, value in said.values.items()}
    return Markup(unbroken(said.template)).format(**values)


def _value(name: str, value: Value) -> Value:
    if isinstance(value, list):
        return Markup("\u00a0; ").join(_put(one) for one in value)
    return foreign(str(value), "fr") if name == ERROR else value


def refusal(code: str, lang: Language) -> str:
    """Return why a flow was refused or stopped, by its code; empty where the code has no sentence."""
    english, french = refusal_words(code)
    return unbroken(french) if lang == "fr" else english


def failure(code: str, told: str, lang: Language) -> Markup:
    """Return the sentence of an error. `told`: its own, in English."""
    if lang == "fr" and code in ERRORS:
        return escape(unbroken(ERRORS[code]))
    return foreign(told, lang)


def event(name: str) -> str:
    """Return what an event of the log is, in French; empty where it has no words here."""
    return unbroken(EVENTS.get(name, ""))


def verdict(reason: Reason, lang: Language) -> tuple[str, str]:
    """Return what a reason of a verification means, and what to do."""
    from node.console.proof_words import REASONS

    if lang != "fr":
        return reason.meaning, reason.advice
    meaning, advice = REASONS[reason.name]
    return unbroken(meaning), unbroken(advice)


def question(ident: str, what: str, lang: Language) -> Markup:
    """Return what a check of a verification asks. `ident`: of the check; `what`: its own words, in English."""
    from node.console.proof_words import asked

    found = asked(ident, what) if lang == "fr" else ""
    return escape(unbroken(found)) if found else foreign(what, lang)


def in_language(lang: Language) -> dict[str, Callable[..., object]]:
    """Return what templates call, for a language."""
    return {
        "event": event,
        "tell": partial(tell, lang=lang),
        "foreign": partial(foreign, lang=lang),
        "refusal": partial(refusal, lang=lang),
        "failure": partial(failure, lang=lang),
        "verdict_of": partial(verdict, lang=lang),
        "question": partial(question, lang=lang),
    }


ERRORS: Final[dict[str, str]] = {
    "ALREADY_VOTED": "Ce nœud a déjà voté ; un vote n’est jamais repris.",
    "BALLOT_CLOSED": "Un sceau a clos ce scrutin.",
    "BUSY": "Un audit tourne déjà ; attendez sa fin.",
    "DEVICE_NOT_GOVERNING": "L’appareil de ce nœud ne peut pas parler dans la gouvernance.",
    "DISK_FULL": "Le disque est plein : rien n’a été gardé.",
    "EPOCH_STALE": "La dernière époque connue de ce nœud est trop ancienne. Réessayez quand il a rattrapé les autres.",
    "EPOCH_UNKNOWN": "Aucune époque ne porte cette référence ici.",
    "GOVERNANCE_FORKED": "La gouvernance a bifurqué : choisissez d’abord une branche (maille epoch list).",
    "GOVERNANCE_HALTED": "Ce nœud ne décide rien : il ne peut pas suivre la gouvernance de la maille.",
    "KEY_LOCKED": "Une clé est scellée : il manque la phrase de passe.",
    "LOGIN_NEEDED": "Connectez-vous d’abord.",
    "MESH_RESTORED": "Cette maille vient d’une sauvegarde et n’est pas lancée (maille device recover).",
    "NAME_UNCLEAR": "Plusieurs répondent à ce nom : donnez plus de caractères de l’identifiant.",
    "NOT_A_MEMBER": "Ce nœud, ou celui dont il s’agit, n’est pas membre de la maille à présent.",
    "NOT_A_VOTER": "Ce membre n’a pas de vote.",
    "NOT_FOUND": "Il n’y a rien de ce nom ici, ou il n’y est plus.",
    "NOT_IN_ELECTORATE": "Ce nœud n’est pas parmi les votants de ce scrutin.",
    "NOT_PERMITTED": "Il faut un jeton qui permet davantage.",
    "NO_FILE": "Choisissez le fichier d’une preuve.",
    "NO_MESH": "Ce nœud ne fait tourner aucune maille : `maille mesh create`, ou `maille join`.",
    "NO_SUCH_REQUEST": "Aucune candidature de cet identifiant n’attend ici.",
    "NODE_STOPPING": "Le nœud s’arrête.",
    "STORE_BUSY": "Le stockage est occupé ; réessayez.",
    "SUSPENDED": "Ce nœud est suspendu et n’a pas de voix dans la gouvernance jusqu’à la fin de la suspension.",
    "TARGET_SELF": "Un membre ne peut pas se désigner lui-même.",
    "TEMPORARY": "Pas maintenant ; la même demande peut réussir plus tard.",
    "USAGE": "Une valeur de l’adresse ou du formulaire n’est pas de la forme attendue.",
    "VOTE_OWN_CASE": "Personne ne vote sur sa propre exclusion ou suspension.",
    "FORM_FOREIGN": "Le formulaire ne vient pas de l’une de nos pages.",
    "FORM_MALFORMED": "Le formulaire ne peut pas être lu.",
    "FORM_OLD": "Le formulaire est d’une autre session.",
    "FORM_TOO_LARGE": "Le formulaire est trop gros.",
    "TOO_OFTEN": "Trop d’essais depuis une même adresse.",
    "WAITS": "Ce consentement attend d’être publié ; d’ici là, on peut seulement le montrer ou le retirer.",
}
"""Code -> the sentence in French, of errors that an operator page can end in."""

EVENTS: Final[dict[str, str]] = {
    # Names
    "accesses not checked": "des accès n’ont pas été vérifiés",
    "address not announced": "l’adresse de ce nœud n’a pas pu être annoncée",
    "audit failed": "un audit a échoué",
    "channel ended": "un canal a pris fin",
    "clock behind what was signed": "l’horloge est en retard sur ce qui a été signé",
    "control API": "l’API de contrôle est servie",
    "hook failed": "un crochet a échoué",
    "hooks wait": "des crochets attendent",
    "machine not looked at": "la machine n’a pas pu être examinée",
    "mesh not run": "une maille n’est pas lancée",
    "no discovery": "la recherche de pairs proches ne tourne pas",
    "nobody dialed": "aucun membre n’a été appelé : le registre ne peut pas être lu",
    "not announced": "ce nœud n’est pas annoncé à ses voisins",
    "operation failed": "une opération a échoué par notre faute",
    "operator logged in": "un opérateur s’est connecté",
    "operator pages served": "les pages de l’opérateur sont servies",
    "page failed": "une page a échoué par notre faute",
    "page refused": "une page a été refusée",
    "pages served": "les pages des personnes sont servies",
    "ready": "le nœud est prêt",
    "results wait": "des résultats attendent",
    "settings not taken over": "des réglages n’ont pas été repris",
    "stopping": "le nœud s’arrête",
    "systemd not told": "systemd n’a pas pu être prévenu",
    "TURNED": "ce nœud joue un membre malhonnête (pour un essai)",
    "turn refused": "un tour de travail a été refusé",
    "unknown effect": "effet inconnu",
    "wrong token": "un jeton faux a été montré",
    # Codes that the mesh notes
    "ADDRESSES": "de nouvelles adresses de membres sont connues",
    "APPLICATION_WAITS": "une candidature attend une réponse",
    "BAD_CARD": "une carte d’adresse a été refusée",
    "BRANCH_DROPPED": "une branche d’un fil qui a bifurqué a été abandonnée",
    "CALL_CARRIED": "un appel d’un groupe a été mis en œuvre",
    "CALL_NOT_CARRIED": "un appel d’un groupe n’a pas pu être mis en œuvre",
    "CHANGED": "des relevés détenus ont changé",
    "DATA_KIND_UNKNOWN": "un message de données d’un type inconnu est arrivé",
    "DATA_REFUSED": "un message de données a été refusé",
    "DISCLOSURES_KEPT": "une divulgation a été gardée",
    "DISCLOSURES_REFUSED": "une divulgation a été refusée",
    "ERASED": "le contenu d’un consentement a été effacé",
    "FEED_FORKED": "un fil a bifurqué",
    "FLOW_REFUSED": "la porte a refusé un transfert",
    "FORK_NOT_PROVEN": "une bifurcation n’a pas pu être prouvée",
    "KNOCK_IGNORED": "une demande d’entrée a été ignorée",
    "KNOCK_REFUSED": "une demande d’entrée a été refusée",
    "LETTER_KEPT": "une lettre scellée a été gardée",
    "LINK_ACCEPTED": "un lien a été accepté",
    "MEMBER_ADMITTED": "un membre a été admis",
    "MEMBER_ENDORSED": "un candidat a été appuyé",
    "NOT_COSIGNED": "un point de contrôle n’a pas été cosigné",
    "OTHER_FACE_COSIGNED": "l’autre face d’une bifurcation a été cosignée",
    "OWN_FEED_FORKED": "notre propre fil a bifurqué",
    "PROBE_ENDED": "un test a pris fin",
    "GRANT_NOT_PUBLISHED": "un consentement qui attendait n’a pas été publié",
    "PROBE_NOT_MADE": "un test n’a pas pu être fait",
    "PROBE_UNSIGNED": "un test n’a pas été signé",
    "RESULT_ASKED": "le résultat d’un calcul est demandé",
    "SEALED": "une époque a été scellée",
    "SEAL_DOUBLE_VOTE": "un votant a voté deux fois pour un sceau",
    "SEAL_MESSAGE_REFUSED": "un message de scellement a été refusé",
    "SEAL_NOT_POSSIBLE": "un sceau n’était pas possible",
    "SEAL_RECORD": "le relevé de notre part au scellement est abîmé",
    "SEAL_RESTATED": "un sceau a été redit",
    "STATE_DIFFERS": "un membre atteste un autre état des mêmes inscriptions",
    "TABLE_HANDED_OVER": "une table a été remise",
    "TICK_NOT_READY": "un battement n’a pas pu être attesté : des inscriptions manquent",
    "TRANSFER_ENDED": "un transfert a pris fin",
}
"""Name of an event in the log, or code that a mesh notes -> what it is, in French."""
