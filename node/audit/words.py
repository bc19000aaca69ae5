"""The words of a report, in English and French: titles, columns, and one sentence for each code.

How it works
    Codes of the gate have their sentences in `ledger.consent.reasons`; those that only an audit, a probe or a duty
    knows have them here. `TEXT` holds everything else that a page prints.

What it does not do
    It lays nothing out. What parties wrote themselves (purposes, contacts, storage) is printed as they wrote it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from ledger.consent.reasons import Reason, sentence

Language: TypeAlias = Literal["en", "fr"]
Pair: TypeAlias = tuple[str, str]
"""The same words in English and in French."""

CODES: Final[dict[str, Pair]] = {
    "CLEAR_FIELDS": (
        "A consent between these parties stood then. What passed is hidden from this node.",
        "Un consentement entre ces parties était en vigueur. Ce qui a été transmis est caché à ce nœud.",
    ),
    "CONCURRENT_WITHDRAWAL": (
        "It happened around the withdrawal: which came first cannot be shown.",
        "La transmission est contemporaine du retrait : l'ordre des deux ne peut être établi.",
    ),
    "CONCURRENT_AMENDMENT": (
        "It happened around an amendment that does not allow it: which came first cannot be shown.",
        "La transmission est contemporaine d'un avenant qui ne la permet pas : l'ordre des deux ne peut être établi.",
    ),
    "TIME_UNKNOWN": (
        "The consent ended, and when this transfer was is not known closely enough.",
        "Le consentement a pris fin, et la date de cette transmission n'est pas connue assez précisément.",
    ),
    "NO_RECEIPT": (
        "The recipient acknowledged it; no receipt of a holder says under which consent.",
        "Le destinataire en a accusé réception ; aucun reçu d'un détenteur ne dit sous quel consentement.",
    ),
    "NO_SUCH_GRANT": (
        "A probe proves it: it served data under a consent that cannot exist.",
        "Un test le prouve : des données ont été servies sous un consentement qui ne peut exister.",
    ),
    "NOT_ACKNOWLEDGED": ("The recipient has not acknowledged it.", "Le destinataire n'en a pas accusé réception."),
    "NOT_STATED": (
        "This node has not put its digest on the ledger yet.",
        "Ce nœud n'a pas encore inscrit son empreinte au registre.",
    ),
    "DIGEST_DIFFERS": (
        "The digest on the ledger is of another account than the one kept here.",
        "L'empreinte inscrite au registre est celle d'un autre compte que celui gardé ici.",
    ),
    "ACCOUNTS_DIFFER": (
        "Holder and recipient, both kept here, count differently.",
        "Le détenteur et le destinataire, tous deux tenus ici, ne comptent pas la même chose.",
    ),
    "CLAIMED_BY_OTHER": (
        "A party that has no part in it states this transfer too.",
        "Une partie qui n'y participe pas déclare aussi cette transmission.",
    ),
    "RETENTION_PASSED": (
        "The time for which the data may be kept has passed, and they are still here.",
        "La durée de conservation est dépassée, et les données sont toujours ici.",
    ),
    "RETENTION_UNKNOWN": (
        "The consent has ended, its terms are not known here, and the data are still here.",
        "Le consentement a pris fin, ses termes ne sont pas connus ici, et les données sont toujours ici.",
    ),
    "NOTICE_AFTER_GRANT": (
        "The notice is dated after the consent: the person was not told beforehand.",
        "La notice est postérieure au consentement : la personne n'a pas été informée au préalable.",
    ),
    "NOTICE_SUPERSEDED": (
        "Another version of the notice has been adopted since: the person has not seen it.",
        "Une autre version de la notice a été adoptée depuis : la personne ne l'a pas vue.",
    ),
    "NOTICE_TOO_OLD": (
        "The notice is older than the longest time for which a consent may stand.",
        "La notice est plus ancienne que la plus longue durée permise pour un consentement.",
    ),
    "OFF_LEDGER": (
        "That no data travelled outside this mesh.",
        "Qu'aucune donnée n'a circulé hors de cette maille.",
    ),
    "OTHERS_HIDDEN": (
        "What passed between others: the ledger holds salted digests of their receipts, no counts, points or purposes.",
        "Ce qui est passé entre d'autres : le registre tient des empreintes salées de leurs reçus, sans nombre, point "
        "ni finalité.",
    ),
    "DELETION_ELSEWHERE": (
        "That data were deleted at other nodes.",
        "Que des données ont été effacées sur d'autres nœuds.",
    ),
    "FREELY_GIVEN": (
        "That a consent was freely given, or who holds a key.",
        "Qu'un consentement a été donné librement, ni qui détient une clé.",
    ),
    "CONSENT_DATES": (
        "That a consent was given on its date, which is its signer's word: its proof shows by when the ledger held it.",
        "Qu'un consentement a été donné à sa date, qui est la parole de qui l'a signé : sa preuve montre depuis quand "
        "au plus tard le registre le tient.",
    ),
    "OWN_WORD": (
        "That this node kept an account of everything: only a proof, verified elsewhere, stands against it.",
        "Que ce nœud a tout noté : seule une preuve, vérifiée ailleurs, lui est opposable.",
    ),
}
"""Codes that are not the gate's -> (English, French)."""

TEXT: Final[dict[str, Pair]] = {
    "title": ("Audit of data flows", "Audit des flux de données"),
    "period": ("Period", "Période"),
    "made": ("Made", "Établi le"),
    "mesh": ("Mesh", "Maille"),
    "asked": ("Asked for", "Demande"),
    "whole": ("everything this node may see", "tout ce que ce nœud peut voir"),
    "point": ("point", "point"),
    "party": ("party", "partie"),
    "subject": ("subject", "personne"),
    "result": ("Result", "Résultat"),
    "found": ("Access without consent was found.", "Des accès sans consentement ont été trouvés."),
    "clean": ("No access without consent was found.", "Aucun accès sans consentement n'a été trouvé."),
    "private": (
        "This report holds personal data where the vault of this node does. Keep it as you keep the vault.",
        "Ce rapport contient des données personnelles, celles du coffre de ce nœud. Conservez-le de même.",
    ),
    "none": ("None.", "Aucun."),
    "more": (
        "{} more lines are in the JSON and CSV forms of this report.",
        "{} autres lignes figurent dans les formes JSON et CSV de ce rapport.",
    ),
    "linked": (
        "Proofs beside this page: {} of {} lines link to theirs. Of {} lines it could not be made: they keep the "
        "command. {} lines come after the first {} proofs, the most that are made with one page: they keep it too.",
        "Preuves jointes à cette page : {} lignes sur {} renvoient à la leur. Pour {} lignes elle n'a pu être établie "
        ": elles gardent la commande. {} lignes viennent après les {} premières preuves, le plus qu'une page en "
        "reçoive : elles la gardent aussi.",
    ),
    "counts": ("Counts", "Nombres"),
    "transfers": ("transfers", "transmissions"),
    "without_consent": ("Access without consent", "Accès sans consentement"),
    "overdue": ("Overdue deletions", "Effacements en retard"),
    "notices": ("Expired notices", "Notices périmées"),
    "unacknowledged": ("Unacknowledged withdrawals", "Retraits sans accusé de réception"),
    "undecided": ("Undecided transfers", "Transmissions indécises"),
    "consented": ("Transfers with a consent", "Transmissions consenties"),
    "clear": ("of these, by the clear fields alone", "dont, par les seuls champs en clair"),
    "consents": ("consents", "consentements"),
    "unreadable": ("consents whose terms are not known here", "consentements dont les termes ne sont pas connus ici"),
    "left_out": (
        "transfers left out: what is asked for cannot be told of them",
        "transmissions écartées : la demande ne peut leur être appliquée",
    ),
    "register": ("Register of processing (GDPR art. 30)", "Registre des traitements (RGPD art. 30)"),
    "security": ("Security measures", "Mesures de sécurité"),
    "not_shown": ("What this report does not show", "Ce que ce rapport ne montre pas"),
    "reason": ("reason", "motif"),
    "holder": ("holder", "détenteur"),
    "recipient": ("recipient", "destinataire"),
    "when": ("when (UTC)", "quand (UTC)"),
    "purpose": ("purpose", "finalité"),
    "points": ("points", "points"),
    "data": ("data", "données"),
    "records": ("records", "relevés"),
    "consent": ("consent", "consentement"),
    "transfer": ("transfer", "transmission"),
    "proof": ("proof", "preuve"),
    "seen": ("known from", "connu par"),
    "ended": ("ended (UTC)", "fin (UTC)"),
    "due": ("due (UTC)", "échéance (UTC)"),
    "days": ("days late", "jours de retard"),
    "retention": ("retention", "conservation"),
    "dated": ("notice of (UTC)", "notice du (UTC)"),
    "since": ("since (UTC)", "depuis (UTC)"),
    "kind": ("how it ended", "fin"),
    "waiting": ("waiting for", "en attente depuis"),
    "controllers": ("controllers", "responsables du traitement"),
    "processors": ("processors, in their chain", "sous-traitants, dans l'ordre de la chaîne"),
    "basis": ("purpose and legal basis", "finalité et base légale"),
    "categories": ("categories of data", "catégories de données"),
    "subjects": ("categories of persons", "catégories de personnes"),
    "recipients": ("recipients, onward sharing", "destinataires, repartage"),
    "storage": ("storage, jurisdiction, transfers abroad", "stockage, droit applicable, transferts à l'étranger"),
    "volume": ("volume", "volume"),
    "day": ("d", "j"),
    "unread": ("narrowed in a way not known here", "restreints d'une façon non connue ici"),
    "in_force": ("in force", "en vigueur"),
    "withdrawn": ("withdrawn", "retiré"),
    "revoked": ("revoked", "révoqué"),
}
"""Everything else that a report prints -> (English, French)."""

VALUES: Final[dict[str, Pair]] = {
    "sent-here": ("sent here", "envoyé ici"),
    "received-here": ("received here", "reçu ici"),
    "receipt": ("receipt on the ledger", "reçu au registre"),
    "acknowledgement": ("acknowledgement on the ledger", "accusé au registre"),
    "probe": ("probe", "test"),
    "contract_holder": ("contract holders", "titulaires de contrat"),
    "household_member": ("members of the household", "membres du foyer"),
    "organisation": ("organisations", "organisations"),
    "guardian": ("persons under guardianship", "personnes sous tutelle"),
    "carer": ("persons with a carer", "personnes aidées"),
    "trustee": ("persons with a trustee", "personnes représentées par un fiduciaire"),
    "consent": ("consent", "consentement"),
    "contract": ("contract", "contrat"),
    "legal_obligation": ("legal obligation", "obligation légale"),
    "vital_interests": ("vital interests", "intérêts vitaux"),
    "public_interest": ("public interest", "intérêt public"),
    "legitimate_interest": ("legitimate interest", "intérêt légitime"),
}
"""Closed values of findings -> (English, French)."""

SECURITY: Final[tuple[Pair, ...]] = (
    (
        "Data leave and enter only through a gate that both ends ask, pack by pack; it denies by default.",
        "Les données ne sortent et n'entrent que par une porte consultée aux deux bouts, lot par lot ; elle refuse par "
        "défaut.",
    ),
    (
        "Members speak over mutually authenticated, encrypted channels (Noise).",
        "Les membres communiquent par des canaux chiffrés et mutuellement authentifiés (Noise).",
    ),
    (
        "Personal data are kept in a vault apart from the ledger, each row sealed with its own key "
        "(XChaCha20-Poly1305); erasing destroys the key.",
        "Les données personnelles sont dans un coffre séparé du registre, chaque ligne scellée par sa propre clé "
        "(XChaCha20-Poly1305) ; effacer détruit la clé.",
    ),
    (
        "The ledger holds signed statements, salted digests and pseudonymous keys: no readings, points or purposes.",
        "Le registre tient des déclarations signées, des empreintes salées et des clés pseudonymes : ni relevé, ni "
        "point, ni finalité.",
    ),
    (
        "Every transfer leaves a receipt at both ends; what was refused is counted. Keys are sealed at rest.",
        "Chaque transmission laisse un reçu aux deux bouts ; les refus sont comptés. Les clés sont scellées au repos.",
    ),
    (
        "Measures of organisation and premises are the controller's to add here.",
        "Les mesures d'organisation et de locaux sont à compléter ici par le responsable du traitement.",
    ),
)
"""What this software does to protect the data (art. 30 (1) (g)), as the register prints it."""


def told(key: str, language: Language) -> str:
    """Return a text of the page."""
    return TEXT[key][language == "fr"]


def explained(code: str, language: Language) -> str:
    """Return the sentence of a code; a code that has none stands for itself."""
    if code in CODES:
        return CODES[code][language == "fr"]
    return sentence(Reason[code], language) if code in Reason.__members__ else code


def valued(value: str, language: Language) -> str:
    """Return a closed value in words; any other value as it is."""
    return VALUES[value][language == "fr"] if value in VALUES else value
