"""What the doctor can find amiss, by code: what it is, why it matters, what mends it.

How it works
    `AMISS` is the one place of these sentences, in English and in French with the same named places. A key is a
    finding's code; where one code has more than one sentence, `CODE.case`. The problems of the status are in
    node/troubles.py, in the same form.

What it does not do
    It finds nothing: node/checkup.py and node/ops/doctor.py do.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from node.saying import Pair


class Amiss(NamedTuple):
    """The sentences of one finding."""

    message: Pair
    why: Pair
    fix: Pair


def command(line: str) -> Pair:
    """Return a command, which is the same in both languages."""
    return line, line


WHOEVER_READS: Final = (
    "Whoever reads the files, or a copy of the disk, can act as this node.",
    "Qui lit les fichiers, ou une copie du disque, peut agir à la place de ce nœud.",
)
ROTATE: Final = (
    "Stop the node, then: maille key rotate-passphrase",
    "Arrêtez le nœud, puis : maille key rotate-passphrase",
)
_CERTIFICATE: Final = (
    "Browsers and programs refuse to talk to us when it has run out.",
    "Les navigateurs et les programmes refusent de nous parler quand il est échu.",
)
_RENEW: Final = ("Renew {path}, then restart the node.", "Renouvelez {path}, puis redémarrez le nœud.")
_REACHED_BY_OTHERS: Final = (
    "Entries and data reach this member by others, or not at all.",
    "Les inscriptions et les données atteignent ce membre par d’autres, ou pas du tout.",
)
ROOM: Final = Amiss(
    (
        "Ledgers and vaults take {used} MiB, {share:.0%} of the quota.",
        "Les registres et les coffres prennent {used} Mio, soit {share:.0%} du quota.",
    ),
    (
        "At the quota the node takes in no more readings, its own or others'; withdrawals and votes still pass.",
        "Au quota, le nœud ne prend plus de relevés, ni les siens ni ceux des autres ; les retraits et les votes "
        "passent encore.",
    ),
    (
        "maille erasure run --due; stop the node; maille storage compact. Or more: maille config set "
        "storage.quota_bytes",
        "maille erasure run --due ; arrêtez le nœud ; maille storage compact. Ou davantage : maille config set "
        "storage.quota_bytes",
    ),
)
"""Of QUOTA_NEAR and QUOTA_FULL; refusals say it too."""

AMISS: Final[dict[str, Amiss]] = {
    "CONFIG_INVALID": Amiss(
        ("{error}", "La configuration ne va pas : {error}"),
        (
            "The node refuses to start on settings that it does not understand.",
            "Le nœud refuse de démarrer avec des réglages qu’il ne comprend pas.",
        ),
        command("maille config check"),
    ),
    "FILE_MODE": Amiss(
        (
            "{path} has mode {mode:04o}: others on this machine can reach it.",
            "{path} a le mode {mode:04o} : d’autres utilisateurs de cette machine y ont accès.",
        ),
        (
            "Whoever reads the keys and the vault can act as this node and read personal data.",
            "Qui lit les clés et le coffre peut agir à la place de ce nœud et lire des données personnelles.",
        ),
        ("chmod {most:o} {path}   (or: maille doctor --fix)", "chmod {most:o} {path}   (ou : maille doctor --fix)"),
    ),
    "FILE_OWNER": Amiss(
        (
            "{path} belongs to user {owner}, and this command runs as {runner}.",
            "{path} appartient à l’utilisateur {owner}, et cette commande tourne comme {runner}.",
        ),
        (
            "The node must own its files, or it cannot read or write them.",
            "Le nœud doit posséder ses fichiers, sinon il ne peut ni les lire ni les écrire.",
        ),
        (
            "Run maille as the user who owns the data directory.",
            "Lancez maille sous l’utilisateur à qui appartient le répertoire de données.",
        ),
    ),
    "KEY_UNREADABLE": Amiss(
        ("{error}", "Une clé ne peut pas être lue : {error}"),
        (
            "Without this key the node cannot sign or read what it keeps.",
            "Sans cette clé, le nœud ne peut ni signer ni lire ce qu’il garde.",
        ),
        (
            "Restore the key from your copy or from a backup.",
            "Restaurez la clé depuis votre copie ou une sauvegarde.",
        ),
    ),
    "KEYS_UNSEALED.files": Amiss(
        ("Keys without a passphrase: {names}.", "Clés sans phrase de passe : {names}."), WHOEVER_READS, ROTATE
    ),
    "DEVICE_KEY_OLD": Amiss(
        ("The key {name!r} is {days} days old.", "La clé « {name} » a {days} jours."),
        (
            "A key that signs all day long should not be the same for ever. A successor goes on in its place.",
            "Une clé qui signe toute la journée ne devrait pas rester la même pour toujours. Une autre lui succède.",
        ),
        command("maille device certify"),
    ),
    "ROOT_KEY_HERE": Amiss(
        ("The root key lies on this machine.", "La clé racine est sur cette machine."),
        (
            "It certifies devices; kept elsewhere, whoever takes the machine cannot become you.",
            "Elle certifie les appareils ; gardée ailleurs, qui prend la machine ne peut pas devenir vous.",
        ),
        command("maille key detach-root DIRECTORY"),
    ),
    "DISK_FULL": Amiss(
        (
            "{free} MiB are free on the disk of {path}; a start needs up to {need} MiB, to take in {journals}.",
            "Il reste {free} Mio sur le disque de {path} ; un démarrage en demande jusqu’à {need}, pour reprendre "
            "{journals}.",
        ),
        (
            "What the node made durable last stands there, and a start takes it in first: without room it is refused "
            "(exit code 75). Nothing is lost: it stays there until there is room.",
            "Ce que le nœud a gardé en dernier s’y trouve, et un démarrage le reprend d’abord : faute de place, il est "
            "refusé (code de sortie 75). Rien n’est perdu : cela y reste jusqu’à ce qu’il y ait de la place.",
        ),
        (
            "Free {lack} MiB on that disk, then: maille node run",
            "Libérez {lack} Mio sur ce disque, puis : maille node run",
        ),
    ),
    "DISK_LOW": Amiss(
        (
            "{free} MiB are free on the disk of {path}, of {total}.",
            "Il reste {free} Mio sur le disque de {path}, sur {total}.",
        ),
        (
            "On a full disk the node refuses whatever it would have to keep.",
            "Sur un disque plein, le nœud refuse tout ce qu’il devrait garder.",
        ),
        (
            "Make room, or move the data directory (--data-dir).",
            "Faites de la place, ou déplacez le répertoire de données (--data-dir).",
        ),
    ),
    "DISK_REFUSES": Amiss(
        ("Nothing can be written to {path}.", "Rien ne peut être écrit dans {path}."),
        (
            "Nothing can be acknowledged that cannot be kept.",
            "Ce qui ne peut pas être gardé ne peut pas recevoir d’accusé.",
        ),
        (
            "See the system's log: the disk may be full, read-only or broken.",
            "Voyez le journal du système : le disque est peut-être plein, en lecture seule ou en panne.",
        ),
    ),
    "DISK_SLOW": Amiss(
        (
            "The disk takes {ms:.0f} ms to make one page durable.",
            "Le disque met {ms:.0f} ms à garder une page pour de bon.",
        ),
        (
            "Every entry waits for that before it is passed on.",
            "Chaque inscription attend cela avant d’être transmise.",
        ),
        (
            "Use a disk of its own for the data directory.",
            "Donnez au répertoire de données un disque pour lui seul.",
        ),
    ),
    "FILES_LIMIT": Amiss(
        (
            "At most {soft} files may be open at once.",
            "Au plus {soft} fichiers peuvent être ouverts à la fois.",
        ),
        (
            "Each channel needs one; at the limit nobody new is answered.",
            "Chaque canal en demande un ; à la limite, plus aucun nouveau venu n’a de réponse.",
        ),
        (
            "ulimit -n {least}; for a service: LimitNOFILE=65536",
            "ulimit -n {least} ; pour un service : LimitNOFILE=65536",
        ),
    ),
    "BACKUP_OLD": Amiss(
        ("The mesh {mesh!r} was last backed up: {since}.", "Dernière sauvegarde de la maille « {mesh} » : {since}."),
        (
            "What only this node knows (keys, contents of consents, readings) is lost with its disk.",
            "Ce que ce nœud est seul à savoir (clés, contenu des consentements, relevés) se perd avec son disque.",
        ),
        command("maille backup create DIRECTORY --mesh {mesh}"),
    ),
    "DRILL_OLD": Amiss(
        (
            "The mesh {mesh!r} was last restored from a backup as an exercise: {since}.",
            "Dernier exercice de restauration de la maille « {mesh} » depuis une sauvegarde : {since}.",
        ),
        (
            "A backup that was never restored may turn out to be none.",
            "Une sauvegarde jamais restaurée peut se révéler sans valeur.",
        ),
        command("maille backup drill DIRECTORY"),
    ),
    "QUOTA_NEAR": ROOM,
    "QUOTA_FULL": ROOM,
    "CERTIFICATE_BAD": Amiss(
        (
            "The certificate of [{table}] cannot be used: {error}.",
            "Le certificat de [{table}] est inutilisable : {error}.",
        ),
        _CERTIFICATE,
        ("Put a valid certificate and its key at {path}.", "Mettez un certificat valable et sa clé à {path}."),
    ),
    "CERTIFICATE_ENDS": Amiss(
        (
            "The certificate of [{table}] ends in {days} days.",
            "Le certificat de [{table}] prend fin dans {days} jours.",
        ),
        _CERTIFICATE,
        _RENEW,
    ),
    "CERTIFICATE_ENDS.ended": Amiss(
        ("That of [{table}] has ended.", "Le certificat de [{table}] a pris fin."), _CERTIFICATE, _RENEW
    ),
    "RESTART_DUE": Amiss(
        (
            "The node runs release {running}, and {installed} is installed.",
            "Le nœud tourne en version {running}, et la {installed} est installée.",
        ),
        ("The node goes on with the old program.", "Le nœud continue avec l’ancien programme."),
        ("Restart the node.", "Redémarrez le nœud."),
    ),
    "PEER_UNREACHABLE": Amiss(
        ("{member}: {error}", "{member} : {error}"), _REACHED_BY_OTHERS, ("{advice}", "{advice}")
    ),
    "PEER_ADDRESS": Amiss(
        ("{address}, dialed from here: no answer ({error}).", "{address}, appelée d’ici : pas de réponse ({error})."),
        _REACHED_BY_OTHERS,
        ("Ask its operator to run: maille doctor", "Demandez à son opérateur de lancer : maille doctor"),
    ),
    "PEER_ADDRESS.answers": Amiss(
        (
            "{address}, dialed from here: it answers after {ms:.0f} ms.",
            "{address}, appelée d’ici : elle répond après {ms:.0f} ms.",
        ),
        _REACHED_BY_OTHERS,
        command("maille peers why {peer!r}"),
    ),
    "PEERS_AWAY": Amiss(
        (
            "Devices of {mesh!r} without a channel ({count}): {names}.",
            "Appareils de « {mesh} » sans canal ({count}) : {names}.",
        ),
        (
            "What they hold reaches us through others; data for them waits.",
            "Ce qu’ils détiennent nous arrive par d’autres ; les données pour eux attendent.",
        ),
        command("maille doctor --peer {first!r}"),
    ),
    "MAP_USED": Amiss(
        (
            "The ledger of {mesh!r} uses {share:.0%} of its address space.",
            "Le registre de « {mesh} » occupe {share:.0%} de son espace d’adressage.",
        ),
        ("When it is full, entries are refused.", "Quand il est plein, les inscriptions sont refusées."),
        (
            "Restart the node: it takes more at its start.",
            "Redémarrez le nœud : il en prend davantage au démarrage.",
        ),
    ),
    "TICK_ALONE": Amiss(
        (
            "Nobody else attests our state of {mesh!r} at the tick of {tick:%Y-%m-%dT%H:%M:%SZ}.",
            "Personne d’autre n’atteste notre état de « {mesh} » au battement du {tick:%Y-%m-%dT%H:%M:%SZ}.",
        ),
        (
            "Proofs rest on several members that computed the same state.",
            "Les preuves reposent sur plusieurs membres qui ont calculé le même état.",
        ),
        ("maille tick run, then: maille ledger verify", "maille tick run, puis : maille ledger verify"),
    ),
    "NEVER_DIALED": Amiss(
        (
            "No member of {mesh!r} has dialed this node: perhaps {addresses} leads nowhere.",
            "Aucun membre de « {mesh} » n’a appelé ce nœud : {addresses} ne mène peut-être nulle part.",
        ),
        (
            "Whoever cannot be dialed cannot let others in by ticket.",
            "Qui ne peut être appelé ne peut faire entrer personne par ticket.",
        ),
        (
            "Have a member try the address: maille doctor --peer with this node's name",
            "Faites essayer l’adresse par un membre : maille doctor --peer avec le nom de ce nœud",
        ),
    ),
    "CLOCK_SKEW": Amiss(
        (
            "A peer's newest head is {ahead:.0f} s ahead of this machine's clock.",
            "La dernière tête d’un pair a {ahead:.0f} s d’avance sur l’horloge de cette machine.",
        ),
        (
            "Entries dated wrongly are refused or count too late; a withdrawal must not.",
            "Une inscription mal datée est refusée ou compte trop tard ; cela ne doit pas arriver à un retrait.",
        ),
        command("timedatectl set-ntp true"),
    ),
}
"""Key -> sentences. First what is seen on the machine, then, from RESTART_DUE on, what the running node finds."""
