"""The content of consents and requests: delivered sealed to the named readers, opened, checked and kept by them.

How it works
    Whoever hosts the wallet (of a request: whoever asks) seals the disclosures once for the devices of holder and
    recipient, and keeps the blob until each has answered. A reader takes it in once the entry itself has come
    through the ledger; one that comes sooner waits in memory, bounded, and is sent again otherwise. Every value is
    held to its slot before anything is kept. A node that is a party of a grant, and has its content, acknowledges
    the grant once, and each withdrawal or revocation of it once; so it does for the tenants whose keys it keeps.
    When a tenant has a new host, whoever has the content of its consents seals it for that host: nobody is asked again.
    So it is when a person hands a consent on to keys at another host, and when a reader has another device by the time
    it comes.

What it does not do
    It does not judge the content: the gate does. It keeps nothing that the ledger does not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ledger.consent.disclosure import READERS_MAX, Disclosures, open_sealed, seal, seal_bytes, sealed_for
from ledger.consent.grant import RecipientClass, read_party, read_recipient
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.members import Members, Party
from ledger.index import facts_of
from node.flows.compiling import RESTED_ON
from node.flows.door import Door, node_of
from node.flows.wire import Disclose, Taken, encode
from node.tenants import Tenants, Voice, state
from node.vaults.consents import GRANT, REQUEST, ConsentRow, ConsentRows
from node.vaults.deliveries import DeliveryRows
from node.vaults.points import PointRows
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn

EARLY_MAX: Final = 256
"""Blobs that wait in memory for their entry."""
EARLY_PEER_MAX: Final = 64
"""Of one peer."""
BATCH: Final = 64
"""Blobs sent to one reader before it has answered."""
HOSTS_MAX: Final = 10_000
"""Tenants whose host is remembered."""
NOT_FOR_YOU: Final = "DISCLOSURE_NOT_FOR_YOU"
Taker: TypeAlias = Callable[["Turn", Entry, bytes], None]
"""Opens a blob that belongs to an entry, and keeps what is in it. Raises RemoteError for what is wrong."""
_KIND: Final = {"consent.grant": GRANT, "consent.request": REQUEST}
_ENDS: Final = frozenset({"consent.withdraw", "consent.revoke"})


def parties_of(entry: Entry) -> tuple[Party, Party | None]:
    """Return the holder and the recipient of a grant or a request; None for a class of recipients."""
    recipient = read_recipient(entry.payload["recipient"])
    return read_party(entry.payload["holder"]), None if isinstance(recipient, RecipientClass) else recipient


def devices_of(party: Party, members: Members) -> list[bytes]:
    """Return the devices that speak now for the node where a party lives, by id."""
    node = node_of(party, members)
    if node is None or not members.is_member(node):
        return []
    return sorted(kid for kid, device in members.devices.items() if device.party == node and members.speaks(kid))


class Disclosing:
    """See the module. One for each mesh."""

    def __init__(
        self,
        door: Door,
        rows: ConsentRows,
        deliveries: DeliveryRows,
        tenants: Tenants,
        points: PointRows,
        wallets: WalletRows,
    ) -> None:
        self._door, self._rows, self._deliveries, self._tenants, self._points = door, rows, deliveries, tenants, points
        self._wallets = wallets
        self._early: dict[bytes, tuple[bytes, bytes]] = {}  # entry id -> (peer, blob)
        self._hosts: dict[bytes, Party] = {}  # tenant -> the host that was last sent its consents
        self.plain: Callable[[Turn, Entry], bytes | None] = lambda _turn, _entry: None
        """Gives the bytes that were sealed for an entry whose content is kept elsewhere (node.flows.letters)."""
        self.takers: dict[str, Taker] = {}
        """Who takes in what is sealed for entries of other kinds than grants and requests."""
        self.concerns: Callable[[Turn, Entry], bool] = lambda _turn, _grant: False
        """Says whether this node is a party of a consent that rests on a grant."""
        self.is_erased: Callable[[Turn, Entry], bool] = lambda _turn, _entry: False
        """Says whether what a grant or an amendment says was destroyed here for good (node.flows.erasing)."""

    # Sending

    def publish(
        self, turn: Turn, entry: Entry, disclosures: Disclosures, *, wallet: str = "", also: Sequence[Party] = ()
    ) -> None:
        """Keep the content of one's own grant or request, and send it to holder, recipient and `also`."""
        holder, recipient = parties_of(entry)
        row = ConsentRow(entry.id, _KIND[entry.kind], wallet, turn.now, disclosures)
        self._rows.put(turn.vault, row, holder, recipient)
        if wallet:
            self._points.link(turn.vault, entry.kid, wallet)
        self._door.forget(entry.id)
        parties = [holder, *([recipient] if recipient is not None else []), *also]
        self.tell(turn, entry, disclosures, parties)

    def content_for(self, turn: Turn, grant: bytes, recipient: Party) -> None:
        """Send the content of a consent for a class of recipients to one of them, to whom data are about to go."""
        entry, row = turn.core.replica.grant(turn.rows, grant), self._rows.get(turn.vault, grant)
        if entry is not None and row is not None and parties_of(entry)[1] is None:
            self.tell(turn, entry, row.disclosures, [recipient])

    def tell(self, turn: Turn, entry: Entry, disclosures: Disclosures, parties: Sequence[Party]) -> None:
        """Send the content of an entry that has slots to the nodes where these parties live."""
        self._deliver(turn, entry, parties, lambda keys: seal(disclosures, entry, keys, turn.core.random_bytes))

    def tell_bytes(self, turn: Turn, entry: Entry, plaintext: bytes, parties: Iterable[Party]) -> None:
        """Send any bytes that belong to an entry, sealed, to the nodes where these parties live."""
        self._deliver(turn, entry, parties, lambda keys: seal_bytes(plaintext, entry, keys, turn.core.random_bytes))

    def _deliver(
        self, turn: Turn, entry: Entry, parties: Iterable[Party], sealed: Callable[[Sequence[bytes]], bytes]
    ) -> None:
        """Send the blob that `sealed` makes for the devices where these parties live, now or when they come."""
        members, own = turn.core.replica.members, turn.core.device.kid
        readers = sorted({kid for party in parties for kid in devices_of(party, members)} - {own})[:READERS_MAX]
        if not readers:
            return
        blob = sealed([members.devices[kid].public for kid in readers])
        for kid in readers:
            self._deliveries.disclose(turn.vault, kid, entry.id, blob)
            if kid in turn.core.member_peers:
                turn.send(kid, encode(Disclose(entry.raw, blob)))

    def send(self, turn: Turn, peer: bytes) -> bool:
        """Send a reader what waits for it; say whether anything does."""
        self._follow_device(turn, peer)
        waiting = self._deliveries.blobs(turn.vault, peer, BATCH)
        for entry_id, blob in waiting:
            entry = turn.core.replica.entry(turn.rows, entry_id)
            if entry is not None:
                turn.send(peer, encode(Disclose(entry.raw, blob)))
        return bool(waiting)

    def _follow_device(self, turn: Turn, peer: bytes) -> None:
        """Seal for a reader what waits for a device of its member that it has taken the place of."""
        members = turn.core.replica.members
        party = members.party_of(peer)
        if not members.speaks(peer):
            return
        ended = (kid for kid, device in members.devices.items() if device.party == party and not members.speaks(kid))
        for former in sorted(ended):
            for entry_id, _ in self._deliveries.blobs(turn.vault, former, BATCH):
                entry = turn.core.replica.entry(turn.rows, entry_id)
                if entry is not None and self._tell_again(turn, entry, party):
                    self._deliveries.disclosed(turn.vault, former, entry_id)

    def _tell_again(self, turn: Turn, entry: Entry, party: Party) -> bool:
        """Seal the content of an entry once more, for the devices that a party has now; False where it is not here."""
        row = self._rows.get(turn.vault, entry.id)
        if row is not None:
            self.tell(turn, entry, row.disclosures, [party])
            return True
        plain = self.plain(turn, entry)
        if plain is not None:
            self.tell_bytes(turn, entry, plain, [party])
        return plain is not None

    def taken(self, turn: Turn, peer: bytes, entry_id: bytes) -> bool:
        """A reader has it; say whether that was news."""
        return self._deliveries.disclosed(turn.vault, peer, entry_id)

    def erase(self, turn: Turn, entry: Entry) -> bool:
        """Destroy the content of a grant or request here, and of the grant's amendments; False when there was none.

        The gate is closed from then. What is sealed and waits for other readers goes too.
        """
        erased = self._rows.erase(turn.vault, entry.id, *parties_of(entry))
        status = turn.core.replica.consent(turn.rows, entry.id)
        amended = status.amended if status is not None else ()
        for ident in amended:
            self._rows.erase(turn.vault, ident, turn.core.party, None)
            self._door.forget(ident)
        self._deliveries.drop_of(turn.vault, {entry.id, *amended})
        self._rows.forget_notice(turn.vault, entry.payload["notice"]["sha256"])  # it says the same in words
        self._door.forget(entry.id)
        return erased

    # Receiving

    def received(self, turn: Turn, peer: bytes, message: Disclose) -> None:
        """Take a blob in: now, or when its entry comes. Raises RemoteError for a blob that is wrong."""
        entry_id, _ = sealed_for(message.blob)
        entry = turn.core.replica.entry(turn.rows, entry_id)
        if entry is not None:
            try:
                self._take(turn, peer, entry, message.blob)
            except RemoteError as error:
                if error.code == NOT_FOR_YOU:  # unless the consent comes that makes it ours
                    self._wait(peer, entry_id, message.blob)
                raise
        else:
            self._wait(peer, entry_id, message.blob)

    def _wait(self, peer: bytes, entry_id: bytes, blob: bytes) -> None:
        if sum(source == peer for source, _ in self._early.values()) >= EARLY_PEER_MAX:
            return  # it will be sent again
        self._early.pop(entry_id, None)
        if len(self._early) >= EARLY_MAX:
            del self._early[next(iter(self._early))]
        self._early[entry_id] = (peer, blob)

    def _take(self, turn: Turn, peer: bytes, entry: Entry, blob: bytes) -> None:
        kind = _KIND.get(entry.kind)
        if self.is_erased(turn, entry):
            turn.send(peer, encode(Taken(entry.id)))
            return
        if (taker := self.takers.get(entry.kind)) is not None:
            taker(turn, entry, blob)
            turn.send(peer, encode(Taken(entry.id)))
            return
        if kind is None:
            raise RemoteError("SEALED_OTHER_ENTRY", "only grants and requests have sealed content", field="entry")
        holder, recipient = parties_of(entry)
        if not self._rows.holds(turn.vault, entry.id):
            disclosures = open_sealed(blob, entry, turn.core.device)
            members = turn.core.replica.members
            here = {node_of(party, members) for party in (holder, recipient) if party is not None}
            offered = recipient is None and members.party_of(peer) == node_of(holder, members)  # to one of a class
            if kind == GRANT and turn.core.party not in here and not offered and not self._keeps(turn, entry):
                if not self.concerns(turn, entry):
                    told = "this node is no party of the grant, nor of one that rests on it"
                    raise RemoteError(NOT_FOR_YOU, told, field="readers")
                kind = RESTED_ON
            wallet = self._wallets.came(turn.vault, entry.id)  # of what a wallet here gave itself it was written then
            row = ConsentRow(entry.id, kind, wallet, turn.now, disclosures)
            self._rows.put(turn.vault, row, holder, recipient)
            self._door.forget(entry.id)
            turn.note("DISCLOSURES_KEPT", entry=entry.id.hex())
        turn.send(peer, encode(Taken(entry.id)))
        if kind == GRANT:
            self._acknowledge_all(turn, entry)

    # Entries

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """New entries: open what waited for them, acknowledge what began or ended."""
        for entry in entries:
            self._take_early(turn, entry)
            if entry.kind == "consent.grant" and "parent" in entry.payload:
                for ident in list(self._early):  # what its parents say may have come before it
                    above = turn.core.replica.entry(turn.rows, ident)
                    if above is not None and above.kind == "consent.grant":
                        self._take_early(turn, above)
            if entry.kind == "consent.grant":
                self._acknowledge_all(turn, entry)
            elif entry.kind in _ENDS:
                grant = turn.core.replica.grant(turn.rows, ended_grant(entry))
                if grant is not None:
                    self._acknowledge_all(turn, grant)
            elif entry.kind == "tenant.host":
                self._follow(turn, (entry.thing[1], 0))
            elif entry.kind == "consent.rekey" and "host" in entry.payload:
                grant = turn.core.replica.grant(turn.rows, entry.payload["grant"])
                if grant is not None:  # what it says may have come before the word that makes us its host
                    self._take_early(turn, grant)
                self.hand_on(turn, entry.payload["grant"])

    def _take_early(self, turn: Turn, entry: Entry) -> None:
        """Take in what came before its entry, or before it was ours."""
        peer, blob = self._early.pop(entry.id, (b"", b""))
        if not blob:
            return
        try:
            self._take(turn, peer, entry, blob)
        except RemoteError as error:
            if error.code == NOT_FOR_YOU:
                self._wait(peer, entry.id, blob)
            turn.note("DISCLOSURES_REFUSED", peer=peer.hex(), code=error.code)

    def hand_on(self, turn: Turn, grant_id: bytes) -> None:
        """Send the host that a consent's person named what it says and what narrows it, so that she sees it there."""
        status, replica = turn.core.replica.consent(turn.rows, grant_id), turn.core.replica
        grant = replica.grant(turn.rows, grant_id)
        if status is None or status.host is None or grant is None:
            return
        for entry in (grant, *(replica.entry(turn.rows, ident) for ident in status.amended)):
            row = self._rows.get(turn.vault, entry.id) if entry is not None else None
            if entry is not None and row is not None:
                self.tell(turn, entry, row.disclosures, [status.host])

    def _keeps(self, turn: Turn, grant: Entry) -> bool:
        """Say whether the person of a consent named this node as the host of her keys."""
        status = turn.core.replica.consent(turn.rows, grant.id)
        return status is not None and status.host == turn.core.party

    def _follow(self, turn: Turn, tenant: Party) -> None:
        """Send a tenant's host what we have of the tenant's consents, if it is another node than at our last look."""
        tenancy = turn.core.replica.members.tenants.get(tenant[0])
        if tenancy is None or tenancy.host in (turn.core.party, self._hosts.get(tenant[0])):
            return
        if len(self._hosts) >= HOSTS_MAX:
            del self._hosts[next(iter(self._hosts))]
        self._hosts[tenant[0]] = tenancy.host
        for grant_id in self._rows.of_tenant(turn.vault, tenant):
            status = turn.core.replica.consent(turn.rows, grant_id)
            if status is None or status.state is not State.GRANTED or status.valid_until <= turn.now:
                continue  # what has ended is no business of the new host
            row, grant = self._rows.get(turn.vault, grant_id), turn.core.replica.entry(turn.rows, grant_id)
            if row is not None and grant is not None:
                self.tell(turn, grant, row.disclosures, [tenant])

    def _acknowledge_all(self, turn: Turn, grant: Entry) -> None:
        """Acknowledge a grant, and what ended it, once each, for those of its parties who live here."""
        parties = parties_of(grant)
        if not self._rows.holds(turn.vault, grant.id) or not turn.core.replica.members.is_member(turn.core.party):
            return
        for voice in self._tenants.voices(turn):
            if voice.party in parties:
                self._acknowledge(turn, grant, voice)

    def _acknowledge(self, turn: Turn, grant: Entry, voice: Voice) -> None:
        replica, party = turn.core.replica, voice.party
        facts = facts_of(turn.rows, grant.id, replica.by_number, _all)
        said = {
            fact.row.about
            for fact in facts
            if fact.row.kind == "consent.acknowledge" and replica.members.party_of(fact.row.kid) == party
        }
        status = replica.consent(turn.rows, grant.id)
        if status is None:
            return
        for about in dict.fromkeys((grant.id, *status.decided_by)):
            if about not in said:
                state(turn, voice, "consent.acknowledge", grant.thing, {"grant": grant.id, "entry": about})


def ended_grant(entry: Entry) -> bytes:
    """Return the id of the grant that a withdrawal or revocation ends."""
    carried = entry.payload["grant"]
    return hashlib.sha256(carried).digest() if entry.kind == "consent.withdraw" else carried


def _all(_feed: bytes) -> int:
    return 1 << 62
