"""The words of a verification in French: its reasons, and the questions of its checks.

How it works
    A reason is found by its name. A question is found by the words that the verifier itself uses, or by the id of its
    check: the English stands in `proofs` alone.

What it does not do
    What answers a question (entries, times, counts) stays in the verifier's own words, in English.
"""

from __future__ import annotations

from typing import Final

from proofs import additions, chains, conduct, consents, flows, presentation
from proofs.verify import OTHERS_WORD, OWN_WORD, STEPS

_LATER: Final = "Demandez un dossier avec un battement plus proche de ce moment"
_REFUSE: Final = "Refusez le dossier."
_ASK_PERSON: Final = "Tenez ce qui dépasse pour non consenti ; demandez à la personne."
_NOT_PASSED: Final = "Tenez l’appel pour rejeté."
_BOTH: Final = "Demandez un dossier qui divulgue les deux."

REASONS: Final[dict[str, tuple[str, str]]] = {
    "ACTIVE": ("Le consentement était actif au moment demandé et n’est pas retiré.", "Il n’y a rien à faire."),
    "WITHDRAWN_LATER": (
        "Le consentement était actif au moment demandé, et a été retiré ou révoqué ensuite.",
        "Tenez-le pour terminé à partir du retrait.",
    ),
    "SHOWN": (
        "Ce que le dossier dit de la conduite, ou de la période, est étayé par ses pièces.",
        "Lisez les lignes : le verdict porte sur les pièces, les constats portent sur le membre.",
    ),
    "MALFORMED": (
        "Ces octets ne sont pas un dossier de preuve, ou l’une de ses pièces est mal formée.",
        "Redemandez-le.",
    ),
    "WRONG_MESH": (
        "Le dossier, ou une pièce, est d’une autre maille que celle de la genèse fixée.",
        "Comparez l’empreinte de la genèse avec les opérateurs de la maille, par un autre canal.",
    ),
    "BAD_SIGNATURE": (
        "Une signature ne correspond pas à ce qu’elle signe.",
        "Refusez le dossier ; demandez-en un autre à qui l’a fait.",
    ),
    "BAD_INCLUSION": ("Une inscription n’est pas sous le point de contrôle qui est dit la tenir.", _REFUSE),
    "BAD_STATE_PROOF": ("La frontière, une carte ou une attestation ne s’accorde pas aux autres.", _REFUSE),
    "BAD_EPOCH": (
        "Un pas de la chaîne des époques n’est pas certifié par les votants du précédent.",
        "Refusez le dossier ; comparez la dernière époque avec les opérateurs de la maille, par un autre canal.",
    ),
    "UNREFERENCED_ITEM": (
        "Une pièce ne sert à aucune vérification.",
        "Refusez le dossier : rien ne doit y voyager sans être vérifié.",
    ),
    "DISCLOSURE_MISMATCH": (
        "Une valeur divulguée, un compte ou un document n’est pas celui qui a été signé.",
        "Refusez-le, et demandez le vrai à la personne, au détenteur ou au destinataire.",
    ),
    "TRANSFER_MISMATCH": (
        "Un reçu ou un accusé n’est pas de ce transfert, sous ce consentement, par la partie qu’il nomme.",
        "Refusez le dossier ; demandez les leurs au détenteur et au destinataire.",
    ),
    "REVOKED": (
        "Le consentement a été retiré ou révoqué avant le moment demandé.",
        "Cessez d’utiliser les données.",
    ),
    "EXPIRED": (
        "Le moment demandé n’est pas avant la fin du consentement.",
        "Demandez un nouveau consentement à la personne.",
    ),
    "NOT_ACTIVE": (
        "Le consentement n’avait pas d’effet au moment demandé.",
        "Demandez les signatures qui manquent, ou attendez.",
    ),
    "NOT_MEMBER": (
        "Le détenteur ou le destinataire n’était pas membre au moment demandé.",
        "Arrêtez le transfert.",
    ),
    "AGAINST_POLICY": ("Les règles de la maille interdisent un tel consentement.", "Demandez-en un autre."),
    "BEYOND_CONSENT": (
        "Des données ont été envoyées pour un temps que le consentement ne couvre pas.",
        "Faites effacer par le destinataire ce qui dépasse, et demandez au détenteur comment c’est sorti.",
    ),
    "WRONG_AUDIENCE": (
        "Le dossier a été présenté à quelqu’un d’autre, ou avec un autre nonce que le vôtre.",
        "Demandez à qui le présente de le signer pour vous.",
    ),
    "DELEGATION_NOT_YOURS": (
        "Le consentement, ou une délégation au-dessus, est signé d’une autre clé que celle du délégué.",
        "Demandez à la personne ; tenez le consentement pour non donné.",
    ),
    "DELEGATION_TOO_DEEP": (
        "Une délégation est suivie de plus de délégations qu’elle n’en permet.",
        "Demandez à la personne un consentement d’elle-même, ou une chaîne plus courte.",
    ),
    "DELEGATION_WIDER": (
        "Le consentement, ou une délégation au-dessus, va au-delà de ce qui a été délégué.",
        _ASK_PERSON,
    ),
    "DELEGATION_EXPIRED": (
        "Une délégation prend fin avant ce qui repose sur elle.",
        "Demandez une nouvelle délégation à la personne, et un nouveau consentement au délégué.",
    ),
    "DELEGATION_REVOKED": (
        "Une délégation sur laquelle repose le consentement a été révoquée avant le moment demandé.",
        "Cessez d’utiliser les données.",
    ),
    "PARENT_OTHER": (
        "Le consentement transmet des données que son détenteur n’a pas reçues sous celui qu’il nomme, ou sur la "
        "parole d’un autre.",
        "Demandez au détenteur sous quel consentement il a les données.",
    ),
    "SHARING_FORBIDDEN": (
        "Le consentement que celui-ci transmet ne permet pas de l’être ainsi.",
        "Arrêtez le transfert, et faites effacer par le destinataire ce qu’il a reçu.",
    ),
    "PARENT_WIDER": ("Le consentement va au-delà de celui qu’il transmet.", _ASK_PERSON),
    "CALL_OTHER": (
        "La délégation d’un groupe a servi sans un appel de ce groupe même.",
        "Demandez au groupe sous quel appel le consentement a été donné.",
    ),
    "CALL_WIDER": (
        "Le consentement va au-delà de l’appel du groupe.",
        "Tenez ce qui dépasse pour non consenti ; demandez au groupe.",
    ),
    "CALL_OPEN": (
        "Le groupe n’avait pas encore décidé au moment demandé.",
        "Attendez la clôture de l’appel.",
    ),
    "QUORUM_SHORT": ("Trop peu de membres du groupe ont pris part au vote.", _NOT_PASSED),
    "MAJORITY_SHORT": ("Trop peu de ceux qui ont voté étaient d’accord.", _NOT_PASSED),
    "CRITICAL_MASS_SHORT": ("Le groupe était trop petit pour décider.", _NOT_PASSED),
    "CALL_REFUSED": (
        "La personne a refusé pour elle-même, quoi que le groupe ait décidé.",
        "Cessez d’utiliser ses données : le refus d’une personne l’emporte toujours.",
    ),
    "NOTHING_LEFT": (
        "Le consentement a été restreint jusqu’à ce qu’il n’en reste rien.",
        "Tenez-le pour terminé, ou demandez un nouveau consentement à la personne.",
    ),
    "INSUFFICIENT_WITNESSES": (
        "Trop peu des témoins que vous admettez ont attesté cet état.",
        "Faites attester plus de membres (maille tick run), ou demandez un dossier avec leurs attestations.",
    ),
    "EPOCH_NOT_PINNED": (
        "La chaîne des époques ne commence ni à la genèse, ni à l’époque que vous avez fixée, ni ne passe par elle.",
        "Comparez l’empreinte de l’époque avec les opérateurs de la maille et fixez-la, ou demandez une chaîne depuis "
        "la genèse.",
    ),
    "NO_POE": (
        "Rien ne prouve que le consentement existait au moment demandé.",
        "Demandez un dossier avec un battement à ce moment ou avant, et des règles qui veulent au moins un témoin.",
    ),
    "TRY_LATER": (
        "Le dernier battement est plus ancien que l’âge que vous admettez : rien n’est montré du temps depuis.",
        "Demandez un dossier avec un battement plus récent (maille tick run).",
    ),
    "OUT_OF_BOUNDS": (
        "Aucun battement du dossier n’est assez près avant le moment demandé.",
        f"{_LATER}, ou admettez un âge plus grand.",
    ),
    "CONCURRENT_WITHDRAWAL": (
        "Le consentement a été retiré ou révoqué, et on ne peut montrer que ce fut après le moment demandé.",
        "Tenez-le pour terminé, sauf si une autre pièce met les deux dans l’ordre.",
    ),
    "CONTENT_ERASED": (
        "Ce à quoi il a été consenti a été effacé ; la signature et l’état valent encore.",
        "Demandez à ceux qui peuvent encore détenir les divulgations de plein droit.",
    ),
    "CONTENT_WITHHELD": (
        "L’usage, le type de données, ou le compte d’un transfert n’est pas divulgué.",
        "Demandez un dossier qui divulgue au moins purpose et pii_type, et ouvre le compte du détenteur.",
    ),
    "NOT_CARRIED": (
        "Une inscription sur laquelle repose le consentement, ou qui le signe ou le restreint, n’est pas jointe.",
        "Demandez un dossier qui la joint : maille proof make, à un nœud qui la détient.",
    ),
    "DELEGATION_HIDDEN": (
        "Les bornes d’une délégation, ou les champs qu’elles bornent, ne sont pas divulgués.",
        "Demandez un dossier qui ouvre la délégation, et les champs qu’elle borne.",
    ),
    "DELEGATION_UNPROVEN": (
        "La preuve de l’autorité d’un tuteur ou d’un proche n’a pas été vérifiée par le détenteur, ou pas admise.",
        "Demandez au détenteur s’il a vérifié le jugement ou l’acte.",
    ),
    "DELEGATION_NOT_SHOWN": (
        "Aucun battement, au moment demandé ou avant, ne montre la délégation.",
        f"{_LATER}.",
    ),
    "PARENT_HIDDEN": (
        "Le contenu du consentement que celui-ci transmet, ou le sien, n’est pas divulgué : ils ne sont pas comparés.",
        _BOTH,
    ),
    "CALL_HIDDEN": (
        "Les termes de l’appel du groupe, ou ceux du consentement, ne sont pas divulgués : ils ne sont pas comparés.",
        _BOTH,
    ),
    "CALL_NOT_SHOWN": (
        "Aucun battement entre la clôture de l’appel et le moment demandé ne montre son issue, ni qui a refusé.",
        "Demandez un dossier avec un battement après la clôture de l’appel.",
    ),
    "AMENDMENT_HIDDEN": (
        "Un avenant restreint le consentement, et ce qu’il en laisse n’est pas divulgué.",
        "Demandez un dossier qui ouvre l’avenant dans les champs qu’il divulgue du consentement.",
    ),
    "NO_PAPER": (
        "Le consentement est dit transcrit d’un papier signé, et n’en nomme aucun.",
        "Demandez au détenteur le papier signé, et un consentement qui en nomme l’empreinte.",
    ),
    "NOT_ACKNOWLEDGED": (
        "L’accusé de réception du destinataire n’est pas joint.",
        "Demandez au destinataire si les données sont arrivées, et son accusé de réception.",
    ),
    "ACCOUNTS_DIFFER": (
        "Le détenteur et le destinataire ne rendent pas le même compte d’un transfert.",
        "Demandez les paquets aux deux : la chaîne montre quel compte est vrai.",
    ),
    "MEMBERSHIP_NOT_SHOWN": (
        "Une partie est hébergée, ou une classe de destinataires, et ce dossier ne peut en montrer le statut.",
        "Demandez une preuve de qui l’hébergeait.",
    ),
    "NOT_PRESENTED": (
        "Vous avez demandé un dossier signé pour vous, et celui-ci n’est signé pour personne.",
        "Demandez à qui le présente de le signer pour vous, avec votre nonce.",
    ),
    "TIME_IN_FUTURE": (
        "Une heure du dossier est en avance sur votre horloge.",
        "Vérifiez votre horloge, puis recommencez.",
    ),
    "UNSUPPORTED": (
        "Le dossier repose sur une inscription que cette version ne sait pas juger.",
        "Prenez un vérificateur plus récent.",
    ),
}
"""Name of a reason -> what it means, and what to do."""

_BY_WORDS: Final[dict[str, str]] = {
    STEPS["container"]: "le fichier est un dossier bien formé, dans ses limites",
    STEPS["mesh"]: "la genèse est celle qui a été fixée",
    STEPS["entries"]: "chaque inscription est bien formée et signée, dans cette maille",
    STEPS["epochs"]: "chaque pas de la chaîne des époques est certifié par les votants du précédent",
    STEPS["keys"]: "chaque clé d’appareil est certifiée par la clé racine de son membre",
    STEPS["checkpoints"]: "chaque point de contrôle et chaque cosignature est signé par un appareil prouvé",
    STEPS["inclusion"]: "chaque inscription est dans son fil, sous un point de contrôle",
    STEPS["state"]: "les cartes, frontières et attestations de chaque battement se tiennent",
    STEPS[
        "accounts"
    ]: "ce qui est ouvert est ce qui a été signé ; reçus et accusés sont de ces consentements et parties",
    STEPS["findings"]: "chaque constat est étayé par les signatures du membre lui-même",
    STEPS["presenter"]: "la signature de qui présente porte sur ce dossier même",
    STEPS["references"]: "chaque pièce du dossier sert à une vérification",
    consents.GRANT: "la personne a consenti : sa propre clé a signé le consentement",
    consents.TRANSCRIBED: "un papier signé a été transcrit : qui l’a fait signe le consentement, et nomme le papier",
    consents.DELEGATED: "qui a signé à la place de la personne, les lignes de ce sur quoi il repose le disent",
    consents.CONTENT: "quoi, pour quoi, combien de temps : les valeurs divulguées sont celles qu’elle a signées",
    consents.RULES: "les règles de la maille permettent un tel consentement",
    consents.ACTIVE: "le consentement était actif au moment demandé, pour ce qu’en savaient les témoins",
    consents.STATUS: "le consentement n’a pas pris fin depuis",
    flows.COVERED: "le transfert a été fait pendant que le consentement valait",
    flows.WITHIN: "les données sont d’un temps que le consentement couvre",
    flows.ACKNOWLEDGED: "le destinataire a accusé réception du même transfert",
    conduct.KNEW: "le membre a signé qu’il savait la fin du consentement",
    presentation.PRESENTED: "le dossier est signé pour vous, avec le nonce que vous avez donné, s’il y en a un",
    OWN_WORD: "ce que montrent les signatures du membre lui-même",
    OTHERS_WORD: "ce qu’un autre dit du membre, et qu’aucune signature de celui-ci ne confirme",
    chains.GIVEN: "la délégation a été donnée à la clé qui a signé en dessous, et permet tout ce qui repose sur elle",
    chains.CALLED: "le consentement a été donné sous un appel du groupe qui l’a signé, et dans ses bornes",
    chains.PASSED_ON: "le consentement tient dans celui qu’il transmet, qui le permet",
    chains.STOOD: "la délégation valait au moment demandé, pour ce qu’en savaient les témoins",
    chains.SINCE: "la délégation n’a pas été révoquée depuis",
    chains.LEFT: (
        "le consentement qu’il transmet, tel que restreint alors, permettait de l’être ainsi au moment demandé"
    ),
    chains.AGREED: "le groupe était d’accord, et la personne n’avait pas refusé, au moment demandé",
    chains.STILL: "la personne n’a pas refusé depuis, et l’issue n’a pas changé",
    chains.TOLD: "ce qu’en dit le dernier battement",
    additions.AMENDED: "ce que des avenants restreignent est ouvert, et laisse quelque chose",
    additions.SIGNED: "les autres dont le consentement veut la signature ont signé",
}
_BY_ID: Final[dict[str, str]] = {
    "acknowledged": "le membre a signé qu’il savait la fin du consentement",
    "attachment": "le document nommé est celui qui est joint",
    "clock": "aucune heure du dossier n’est en avance sur l’horloge",
    "content": "cette valeur est celle qu’elle a signée",
    "epoch": "la chaîne des époques commence à la genèse fixée, ou passe par l’époque que vous avez fixée",
    "holder": "le détenteur était membre",
    "log": "le fil qui tient le consentement est un que vous admettez",
    "presentation": "qui présente le dossier ; vous n’avez nommé aucun public",
    "recipient": "le destinataire était membre",
    "stamp": "un horodatage est d’une autorité que vous admettez",
    "status": "ce que le dernier battement dit du consentement",
    "transfer": "le destinataire a accusé réception du transfert ; il ne dit pas ici ce qui est arrivé",
    "transfers": "les transferts faits sous le consentement",
    "witnesses": "assez de ceux que vous admettez ont attesté l’état",
}


def asked(ident: str, what: str) -> str:
    """Return what a check asks, in French; empty where there are no words for it."""
    words, bracket, kind = what.partition(" (")  # the kind of a finding
    if words in _BY_WORDS and bracket:
        return f"{_BY_WORDS[words]} ({kind}"
    known = (part for part in ident.split(".") if part in _BY_ID)  # before it: which of several consents
    return _BY_WORDS.get(what) or _BY_ID.get(next(known, ""), "")
