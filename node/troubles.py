"""The problems that `maille node status` shows first, by code: what it is, why it matters, what mends it.

How it works
    As node/amiss.py. The status says what and how to mend it; the doctor, which shows them too, adds why.

What it does not do
    It finds none of them: node/ops/node.py does.
"""

from __future__ import annotations

from typing import Final

from node.amiss import ROOM, ROTATE, WHOEVER_READS, Amiss, command
from node.saying import Pair

_STATUS: Final[Pair] = ("See the help of `maille node status`.", "Voir l’aide de `maille node status`.")
_SEALING_FIX: Final = (
    "maille epoch show; consents and data go on meanwhile.",
    "maille epoch show ; les consentements et les données continuent entre-temps.",
)
_AHEAD: Final[Pair] = (
    "If the machine's clock is right, it was ahead when the node signed: wait until that time, or leave the mesh and "
    "join it anew: maille join TICKET",
    "Si l’horloge de la machine est juste, elle avançait quand le nœud a signé : attendez cette heure-là, ou quittez "
    "la maille et revenez-y : maille join TICKET",
)
_SEAL: Final = Amiss(
    (
        "The next epoch of {mesh!r} is not agreed on: {reason}",
        "Pas d’accord encore sur la prochaine époque de « {mesh} » : {reason}",
    ),
    _STATUS,
    _SEALING_FIX,
)

TROUBLES: Final[dict[str, Amiss]] = {
    "GOVERNANCE_FORKED": Amiss(
        (
            "GOVERNANCE HAS FORKED in {mesh!r}: two certified seals contradict each other. Only what every branch "
            "permits holds, until people choose.",
            "LA GOUVERNANCE A BIFURQUÉ dans « {mesh} » : deux sceaux certifiés se contredisent. Seul vaut ce que "
            "chaque branche permet, jusqu’à ce que des personnes choisissent.",
        ),
        ("Members no longer agree on who is in.", "Les membres ne s’accordent plus sur qui est membre."),
        (
            "Agree with the others on a branch, then: maille epoch list; maille epoch choose REFERENCE",
            "Convenez d’une branche avec les autres, puis : maille epoch list ; maille epoch choose REFERENCE",
        ),
    ),
    "UPGRADE": Amiss(
        ("This node PERMITS NOTHING in {mesh!r}: {halted}.", "Ce nœud N’AUTORISE RIEN dans « {mesh} » : {halted}."),
        _STATUS,
        (
            "Install the release that knows it, then restart.",
            "Installez la version qui les connaît, puis redémarrez.",
        ),
    ),
    "GOVERNANCE_DISPUTED": Amiss(
        ("This node PERMITS NOTHING in {mesh!r}: {error}.", "Ce nœud N’AUTORISE RIEN dans « {mesh} » : {error}."),
        ("Without rules that are sure, nothing is permitted.", "Sans règles sûres, rien n’est permis."),
        (
            "maille ledger verify; if it finds faults, restore a backup, else upgrade.",
            "maille ledger verify ; s’il trouve des défauts, restaurez une sauvegarde, sinon mettez à jour.",
        ),
    ),
    "STATE_DIFFERS": Amiss(
        (
            "{names} attested ANOTHER STATE of {mesh!r} than this node, of the same entries, at the tick of "
            "{tick:%Y-%m-%dT%H:%M:%SZ}.",
            "{names} : UN AUTRE ÉTAT de « {mesh} » attesté que celui de ce nœud, des mêmes inscriptions, au battement "
            "du {tick:%Y-%m-%dT%H:%M:%SZ}.",
        ),
        (
            "The same entries have one state: one of the nodes has a fault, or lies.",
            "Les mêmes inscriptions n’ont qu’un état : l’un des nœuds a un défaut, ou ment.",
        ),
        (
            "maille ledger verify; if it finds nothing, have the others run it.",
            "maille ledger verify ; s’il ne trouve rien, faites-le lancer par les autres.",
        ),
    ),
    "SILENT_VOTERS": Amiss(
        (
            "Voters without a sign of life for long: {count} of {voters} ({names}).",
            "Votants longtemps sans signe de vie : {count} sur {voters} ({names}).",
        ),
        ("When too many are silent, nothing can be decided.", "Quand trop se taisent, rien ne peut être décidé."),
        (
            "Ask them. A seal takes a vote that was silent for 30 days.",
            "Demandez-leur. Un sceau retire le vote de qui s’est tu 30 jours.",
        ),
    ),
    **dict.fromkeys(("SEAL_NO_QUORUM", "SEAL_DISAGREES", "SEAL_RECORD_DAMAGED"), _SEAL),
    "SEAL_WEAKER": Amiss(
        (
            "Epoch {epoch} put out {names}: a rival of that seal would convict fewer voters than usual until the next "
            "seal: at most {provable}.",
            "L’époque {epoch} a exclu {names} : un sceau rival y confondrait moins de votants que d’habitude "
            "jusqu’au prochain sceau : au plus {provable}.",
        ),
        _STATUS,
        (
            "Nothing; the next seal has the full bound again.",
            "Rien ; le prochain sceau a de nouveau toute sa garantie.",
        ),
    ),
    "MESH_RESTORED": Amiss(
        (
            "The mesh {mesh!r} came from a backup and is not run: signing on would fork its feed.",
            "La maille « {mesh} » vient d’une sauvegarde et n’est pas lancée : signer à la suite ferait bifurquer son "
            "fil.",
        ),
        (
            "Signing on with an old device would fork its feed.",
            "Signer à la suite avec un ancien appareil ferait bifurquer son fil.",
        ),
        command("maille device recover {mesh}"),
    ),
    "NOT_A_MEMBER": Amiss(
        (
            "This node is no member of {mesh!r} yet: its application waits, or the ledger is on its way.",
            "Ce nœud n’est pas encore membre de « {mesh} » : sa candidature attend, ou le registre est en route.",
        ),
        (
            "Members exchange nothing with a node that is not one.",
            "Les membres n’échangent rien avec un nœud qui n’est pas membre.",
        ),
        (
            "Have the member that gave the ticket approve the request.",
            "Faites approuver la demande par le membre qui a donné le ticket.",
        ),
    ),
    "MESH_LEFT": Amiss(
        (
            "This node has left {mesh!r}; nobody sends it anything.",
            "Ce nœud a quitté « {mesh} » ; personne ne lui envoie plus rien.",
        ),
        _STATUS,
        ("Nothing; or join again with a ticket: maille join", "Rien ; ou revenez avec un ticket : maille join"),
    ),
    "EXPELLED": Amiss(
        (
            "This node was expelled from {mesh!r}; its members end their channels to it.",
            "Ce nœud a été exclu de « {mesh} » ; ses membres ferment leurs canaux vers lui.",
        ),
        _STATUS,
        (
            "maille proposal list --all; or join again with a ticket",
            "maille proposal list --all ; ou revenez avec un ticket",
        ),
    ),
    "SUSPENDED": Amiss(
        (
            "This node is suspended in {mesh!r}: no data flow, and it has no voice.",
            "Ce nœud est suspendu dans « {mesh} » : aucune donnée ne passe, et il n’a pas de voix.",
        ),
        _STATUS,
        ("maille member show, then maille explain ENTRY", "maille member show, puis maille explain ENTRY"),
    ),
    "REVOKED": Amiss(
        (
            "This node is revoked in {mesh!r}: no data flow, and it has no voice.",
            "Ce nœud est révoqué dans « {mesh} » : aucune donnée ne passe, et il n’a pas de voix.",
        ),
        _STATUS,
        ("maille member show, then maille explain ENTRY", "maille member show, puis maille explain ENTRY"),
    ),
    "NO_PEERS": Amiss(
        (
            "No channel to any other member of {mesh!r} ({count}).",
            "Aucun canal vers les autres membres de « {mesh} » ({count}).",
        ),
        (
            "Nothing that happens in the mesh reaches this node, withdrawals included.",
            "Rien de ce qui se passe dans la maille n’atteint ce nœud, pas même les retraits.",
        ),
        command("maille peers list"),
    ),
    "REQUESTS_WAIT": Amiss(
        ("Applications that wait in {mesh!r}: {count}.", "Candidatures en attente dans « {mesh} » : {count}."),
        ("Somebody waits to be let in.", "Quelqu’un attend d’entrer."),
        command("maille requests list"),
    ),
    "CLOCK_HELD": Amiss(
        (
            "The machine's clock jumped by {seconds} s and is not synchronised; the node's time runs on.",
            "L’horloge de la machine a sauté de {seconds} s et n’est pas synchronisée ; le temps du nœud continue.",
        ),
        (
            "What is signed at a wrong time is refused, or counts too late; a withdrawal must not.",
            "Ce qui est signé à une heure fausse est refusé, ou compte trop tard ; un retrait ne le doit pas.",
        ),
        (
            "timedatectl set-ntp true; a node that is restarted believes it.",
            "timedatectl set-ntp true ; un nœud redémarré s’y fie.",
        ),
    ),
    "NO_ADDRESS": Amiss(
        (
            "Others are told no address of this node: it can dial, and nobody can dial it or use its tickets.",
            "Les autres ne reçoivent aucune adresse de ce nœud : il peut appeler, et personne ne peut l’appeler ni "
            "utiliser ses tickets.",
        ),
        ("Others cannot dial it.", "Les autres ne peuvent pas l’appeler."),
        (
            "Set `advertise` in config.toml, then restart the node.",
            "Réglez `advertise` dans config.toml, puis redémarrez le nœud.",
        ),
    ),
    "CLOCK_BEHIND": Amiss(
        (
            "The machine's clock is {seconds} s behind what this node has signed, and is not synchronised. The node "
            "goes on from {moment:%Y-%m-%dT%H:%M:%SZ}; no data leave or enter.",
            "L’horloge de la machine a {seconds} s de retard sur ce que ce nœud a signé, et n’est pas synchronisée. Le "
            "nœud repart du {moment:%Y-%m-%dT%H:%M:%SZ} ; aucune donnée ne sort ni n’entre.",
        ),
        (
            "By a clock that is behind, consents that have ended would still stand.",
            "Avec une horloge en retard, des consentements échus vaudraient encore.",
        ),
        (
            "timedatectl set-ntp true, or set the clock by hand; the node then goes on by itself. " + _AHEAD[0],
            "timedatectl set-ntp true, ou réglez l’horloge à la main ; le nœud reprend alors de lui-même. " + _AHEAD[1],
        ),
    ),
    "SIGNED_AHEAD": Amiss(
        (
            "This node has signed until {until:%Y-%m-%dT%H:%M:%SZ} in {mesh!r}, ahead of now. Nobody takes its entries "
            "before then.",
            "Ce nœud a signé jusqu’au {until:%Y-%m-%dT%H:%M:%SZ} dans « {mesh} », en avance sur l’heure. Personne ne "
            "prend ses inscriptions avant.",
        ),
        (
            "A withdrawal that is registered here reaches nobody before that time.",
            "Un retrait enregistré ici n’atteint personne avant cette heure.",
        ),
        _AHEAD,
    ),
    "QUOTA_NEAR": ROOM,
    "QUOTA_FULL": ROOM,
    "KEYS_UNSEALED": Amiss(
        (
            "The keys are not sealed: whoever reads the files can act as this node.",
            "Les clés ne sont pas scellées : qui lit les fichiers peut agir à la place de ce nœud.",
        ),
        WHOEVER_READS,
        ROTATE,
    ),
}
"""Code -> sentences."""
