"""The words of states, in both languages, and which sign stands beside each: never the colour alone.

How it works
    A state of whatever kind (of a member, a link, a ballot, a consent, a check) has one word here, and is `good`,
    `bad`, `warn` or nothing of these.

What it does not do
    A state that has no word here is shown as it is.
"""

from __future__ import annotations

from typing import Final

from node.pages.settings import Language

_WORDS: Final[dict[str, tuple[str, str, str]]] = {
    "connected": ("Connected", "Joint", "good"),
    "unreachable": ("Not connected", "Non joint", "warn"),
    "member": ("Member", "Membre", "good"),
    "suspended": ("Suspended", "Suspendu", "warn"),
    "left": ("Has left", "Parti", ""),
    "expelled": ("Expelled", "Exclu", "bad"),
    "applicant": ("Applicant", "Candidat", ""),
    "joining": ("Joining", "En cours d’entrée", ""),
    "restored": ("Restored, not run", "Restauré, arrêté", "warn"),
    "up": ("Up", "Actif", "good"),
    "offered": ("Offered", "Proposé", ""),
    "refused": ("Refused", "Refusé", "bad"),
    "severed": ("Severed", "Coupé", "bad"),
    "open": ("Open", "Ouvert", ""),
    "passed": ("Passed", "Adopté", "good"),
    "failed": ("Failed", "Rejeté", "bad"),
    "active": ("Active", "Actif", "good"),
    "expired": ("Expired", "Expiré", ""),
    "withdrawn": ("Withdrawn", "Retiré", ""),
    "revoked": ("Revoked", "Révoqué", "bad"),
    "incomplete": ("Incomplete", "Incomplet", "warn"),
    "unregistered": ("Not registered", "Non enregistré", "warn"),
    "done": ("Done", "Terminé", "good"),
    "stopped": ("Stopped", "Arrêté", "bad"),
    "sending": ("Sending", "Envoi en cours", ""),
    "receiving": ("Receiving", "Réception en cours", ""),
    "error": ("Error", "Erreur", "bad"),
    "warning": ("Warning", "Avertissement", "warn"),
    "note": ("Note", "Remarque", ""),
    "info": ("Information", "Information", ""),
    "passed-check": ("Passed", "Passé", "good"),
    "failed-check": ("Failed", "Échoué", "bad"),
    "not-looked": ("Not looked at", "Non examiné", ""),
    "erased": ("Erased", "Effacé", ""),
}


def word(state: str, lang: Language) -> tuple[str, str]:
    """Return the word of a state, and its sign: good, bad, warn or ""."""
    english, french, sign = _WORDS.get(state, (state, state, ""))
    return french if lang == "fr" else english, sign
