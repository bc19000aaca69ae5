"""What people do with consents that were given, and with delegations and groups, each inside one turn.

How it works
    A wallet kept here signs (ledger.consent.acts), the entry is registered in our feed, and what is sealed in it is
    kept in the vault and sent to those who must read it: an amendment to holder and recipient, a delegation to the node
    of the delegate, a call to the members named. Whoever grants under a delegation or a call passes the content of both
    on to holder and recipient, who could not judge the grant without it.

What it does not do
    It prompts nobody. Keys of people on other nodes are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ledger.consent import acts
from ledger.consent.bounds import Bounds
from ledger.consent.disclosure import Disclosures, hide
from ledger.consent.grant import Notice, day_before
from ledger.consent.heir import Heir, heir_of
from ledger.consent.record import Terms
from ledger.consent.standing import handed
from ledger.consent.status import Party
from ledger.consent.wallet import Rests, Wallet, make_grant
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.groups import asking, called, refusals
from ledger.index import resting_on
from ledger.keys import SigningKey
from ledger.rows import prefix_stop
from ledger.schema import TIME_MAX
from ledger.tables import CONSENT, FactRow
from node.flows.compiling import RESTED_ON
from node.flows.consenting import Offer
from node.flows.custody import entrust, had_here, handing_of, in_force, links_of, narrowing, rekeys_of, shown
from node.flows.disclosing import Disclosing, parties_of
from node.flows.door import Door
from node.flows.passing import Passing
from node.flows.registering import Registering
from node.tenants import Tenants
from node.vaults.calls import CallRows, Pending
from node.vaults.consents import ConsentRow, ConsentRows, wallet_of
from node.vaults.wallets import HostedWallet, WalletRows

if TYPE_CHECKING:
    from node.core import Turn


class Living:
    """See the module. One for each mesh."""

    def __init__(
        self,
        wallets: WalletRows,
        consents: ConsentRows,
        disclosing: Disclosing,
        registering: Registering,
        door: Door,
        tenants: Tenants,
        passing: Passing,
    ) -> None:
        self._wallets, self._consents, self._disclosing = wallets, consents, disclosing
        self._registering, self._door, self._tenants, self._passing = registering, door, tenants, passing

        self.calls = CallRows()
        self.acted: Callable[[Turn, str], None] = lambda _turn, _wallet: None
        """Remembers that a wallet has an entry in our feed from now (node.flows.spreading)."""

    # What all acts need

    def wallet(self, turn: Turn, name: str) -> Wallet:
        """Return a wallet kept here. Raises LocalError NOT_FOUND."""
        return self._wallets.get(turn.vault, name).wallet

    def content(self, turn: Turn, entry_id: bytes) -> Disclosures:
        """Return what is sealed in an entry. Raises LocalError CONTENT_MISSING."""
        row = self._consents.get(turn.vault, entry_id)
        if row is None:
            raise LocalError("CONTENT_MISSING", "what is sealed in this entry is not known here", field="id")
        return row.disclosures

    def _keep(self, turn: Turn, entry: Entry, told: Disclosures, parties: Sequence[Party], wallet: str = "") -> Entry:
        turn.register(entry)
        row = ConsentRow(entry.id, RESTED_ON, wallet, turn.now, told)
        self._consents.put(turn.vault, row, turn.core.party, None)
        self._door.forget(entry.id)
        self._disclosing.tell(turn, entry, told, parties)
        return entry

    def import_wallet(self, turn: Turn, name: str, seed: bytes) -> HostedWallet:
        """Begin a wallet with a seed from elsewhere; find the consents that it gave, was handed, or signed with others.

        Raises LocalError WALLET_EXISTS.
        """
        hosted, replica = self._wallets.create(turn.vault, name, seed, turn.now), turn.core.replica
        found, acting = set[bytes](), hosted.wallet.delegate_key()
        for key, value in turn.rows.scan("things", CONSENT, prefix_stop(CONSENT)):
            ident, row = key[len(CONSENT) : len(CONSENT) + 32], FactRow.decode(value)
            if row.kind == "consent.sign" and row.kid == acting.kid:
                self._wallets.sign(turn.vault, acting.public, ident)
            if ident in found or row.kind not in {"consent.grant", "consent.withdraw"}:
                continue
            found.add(ident)
            grant = replica.grant(turn.rows, ident)
            if grant is None:
                continue
            own = hosted.wallet.consent_key(grant.thing[1]).public
            if grant.signer == acting.public or handed(grant, rekeys_of(turn, ident), own) is not None:
                hosted = entrust(turn, self._wallets, self._consents, hosted, grant)
        return hosted

    # Consents

    def amend(self, turn: Turn, grant: Entry, narrow: Callable[[Terms], Terms], valid_until: int | None) -> Entry:
        """Narrow a consent of a wallet kept here. Raises LocalError NOT_YOUR_CONSENT and as make_amendment."""
        found = narrowing(turn, self._wallets, grant)
        if found is None:
            raise LocalError("NOT_YOUR_CONSENT", "no wallet kept here has the key of this consent", field="id")
        hosted, key = found
        terms = self.content(turn, grant.id).terms()
        entry, told = acts.make_amendment(key, grant, terms, narrow(terms), shown(turn), valid_until=valid_until)
        parties = [party for party in parties_of(grant) if party is not None]
        self._keep(turn, entry, told, parties, hosted.name)
        self.acted(turn, hosted.name)
        self._door.forget(grant.id)
        return entry

    def sign(self, turn: Turn, grant: Entry, wallet: str) -> Entry:
        """Sign a consent as a required party: by a wallet, else by our device or a tenant.

        Raises LocalError NOT_REQUIRED.
        """
        if wallet:
            keys = [self.wallet(turn, wallet).delegate_key()]
            self._wallets.sign(turn.vault, keys[0].public, grant.id)
        else:
            keys = [turn.core.device, *self._tenants.keys().values()]
        required = grant.payload.get("required_parties", ())
        key = next((key for key in keys if key.public in required), keys[0])
        return turn.register(acts.make_signature(key, grant, shown(turn)))

    def leave(self, turn: Turn, grant: Entry, wallet: str, why: str = "subject_request", reason: str = "") -> Entry:
        """Leave a consent that a wallet kept here had to sign; other members are asked to register it as well.

        Raises LocalError NOT_REQUIRED, PAYLOAD_SHAPE.
        """
        key = self.wallet(turn, wallet).delegate_key()
        entry = turn.register(acts.make_leaving(key, grant, shown(turn), why, reason))
        self._registering.spread(turn, entry)
        return entry

    def rekey(self, turn: Turn, grant: Entry, to: str | Heir, host: Party | None) -> Entry:
        """Hand a consent on to another wallet kept here, by its name, or to keys from elsewhere.

        A wallet kept here lists it from then on. `host`: who keeps the keys, by default as the heir names it. Raises
        LocalError NOT_YOUR_CONSENT, CONTESTED, HANDED_ON, OTHER_CONSENT, UNKNOWN_HOST.
        """
        key = self._key_to_hand_on(turn, grant)
        heir = to if isinstance(to, Heir) else heir_of(self.wallet(turn, to), grant)
        host = host or heir.host
        if host is not None and not turn.core.replica.members.is_member(host):
            raise LocalError("UNKNOWN_HOST", "the host that the text names is no member of this mesh", field="heir")
        entry = turn.register(acts.make_rekey(key, grant, heir, shown(turn), host=host))
        if former := wallet_of(turn.vault, grant.id):
            self.acted(turn, former)
        self._disclosing.hand_on(turn, grant.id)
        if not self.take_on(turn, grant):
            row = self._consents.get(turn.vault, grant.id)
            if row is not None:  # it is nobody's of this node any more
                self._consents.put(turn.vault, replace(row, wallet=""), *parties_of(grant))
        return entry

    def _key_to_hand_on(self, turn: Turn, grant: Entry) -> SigningKey:
        """Return the key in force, if it has not handed the consent on before: twice is for nobody (C7)."""
        if handing_of(turn, grant).contested is not None:
            told = "it was handed on twice, to different keys, so nobody hands it on; withdraw it, and give it anew"
            raise LocalError("CONTESTED", told, field="id")
        found = in_force(turn, self._wallets, grant)
        if found is None and had_here(turn, self._wallets, grant) is not None:
            told = (
                "it was handed on from here to other keys: they alone hand it on; a wallet here may still withdraw it"
            )
            raise LocalError("HANDED_ON", told, field="id")
        if found is None:
            raise LocalError("NOT_YOUR_CONSENT", "no wallet kept here has the key of this consent", field="id")
        if any(entry.kid == found[1].kid for entry in rekeys_of(turn, grant.id)):
            told = "this key has handed the consent on before; a second time nobody would have it; withdraw it, "
            raise LocalError("HANDED_ON", f"{told}give it anew", field="id")
        return found[1]

    def take_on(self, turn: Turn, grant: Entry) -> bool:
        """List a consent in the wallet kept here that has its key in force; False where none has."""
        found = in_force(turn, self._wallets, grant)
        if found is not None:
            entrust(turn, self._wallets, self._consents, found[0], grant)
        return found is not None

    def named_host(self, turn: Turn, rekey: Entry) -> None:
        """A consent was handed on: list it here, if the person named this node as the host of her keys."""
        status = turn.core.replica.consent(turn.rows, rekey.payload["grant"])
        grant = turn.core.replica.grant(turn.rows, rekey.payload["grant"])
        if status is not None and status.host == turn.core.party and grant is not None:
            self.take_on(turn, grant)

    # Delegations

    def delegate(
        self, turn: Turn, wallet: str, delegate: bytes, role: str, bounds: Bounds, *, to: Sequence[Party], **more: Any
    ) -> Entry:
        """Let a key consent for a wallet's owner; `to`: whose nodes are told; `more`: see make_delegation."""
        hosted = self._wallets.get(turn.vault, wallet)
        entry, told = acts.make_delegation(hosted.wallet, delegate, role, bounds, shown(turn), **more)
        return self._keep(turn, entry, told, to, wallet)

    def links(self, turn: Turn, delegation: Entry) -> list[Entry]:
        """Return a delegation and those above it, as far as they are held."""
        return [delegation, *links_of(turn, delegation.payload.get("parent"))]

    def revoke(self, turn: Turn, delegation: Entry, reason: str | None) -> Entry:
        """End a delegation with any key kept here that may. Raises LocalError REVOKE_NOT_YOURS."""
        links = self.links(turn, delegation)
        for hosted in self._wallets.listing(turn.vault):
            wallet = hosted.wallet
            if delegation.payload["delegate"] == wallet.delegate_key().public:
                return self._revoke(turn, wallet.delegate_key(), links[:1], reason)
            for count, link in enumerate(links, start=1):
                for key in (wallet.consent_key(link.thing[1]), wallet.delegate_key()):
                    if key.public == link.signer:
                        return self._revoke(turn, key, links[:count], reason)
        raise LocalError("REVOKE_NOT_YOURS", "no wallet kept here may end this delegation", field="id")

    def _revoke(self, turn: Turn, key: SigningKey, links: Sequence[Entry], reason: str | None) -> Entry:
        entry = turn.register(acts.make_revocation(key, links, shown(turn), reason=reason))
        self._registering.spread(turn, entry)
        return entry

    def rests_until(self, turn: Turn, rests: Rests) -> int:
        """Return when the first of what a grant would rest on ends, unix seconds, as far as that is held."""
        named = (ident for ident in (rests.delegation, rests.parent, rests.call) if ident is not None)
        held = (turn.core.replica.entry(turn.rows, ident) for ident in named)
        return min((entry.payload["valid_until"] for entry in held if entry is not None), default=TIME_MAX)

    def grant(self, turn: Turn, wallet: str, offer: Offer, notice: Notice, rests: Rests) -> Entry:
        """Grant under a delegation, or a delegation and a call.

        Raises LocalError OUTLIVES for a grant that would end after what it rests on (every gate would deny it for
        ever), and as make_grant.
        """
        ends = self.rests_until(turn, rests)
        if day_before(offer.valid_until) > ends or ends <= turn.now:
            why = f"what this consent would rest on ends on {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}, 00:00 UTC"
            raise LocalError("OUTLIVES", f"{why}; it may last no longer than that", field="valid_until")
        hosted = self._wallets.get(turn.vault, wallet)
        seen = shown(turn)
        entry, told = make_grant(
            hosted.wallet,
            offer.terms,
            holder=offer.holder,
            recipient=offer.recipient,
            valid_until=offer.valid_until,
            notice=notice,
            request=None,
            head=seen.head,
            closure_iat=seen.closure_iat,
            now=turn.now,
            mesh_id=seen.mesh_id,
            policy=turn.core.policy,
            random_bytes=turn.core.random_bytes,
            rests=rests,
        )
        turn.register(entry)
        self._wallets.put(turn.vault, replace(hosted, wallet=hosted.wallet.with_grant(entry)))
        self._disclosing.publish(turn, entry, told, wallet=wallet)
        self._passing.tell(turn, entry)
        return entry

    # Groups

    def say(self, turn: Turn, wallet: str, kind: str, payload: dict[str, Any]) -> Entry:
        """State something as a group, whose key is the delegate key of a wallet kept here."""
        key = self.wallet(turn, wallet).delegate_key()
        return turn.register(shown(turn).sign(key, kind, ("group", key.kid), payload, exact=True))

    def call(
        self, turn: Turn, wallet: str, offer: Offer, notice: Notice, title: str, days: int, to: list[Party]
    ) -> Entry:
        """Ask a group's members whether it shall share this; when it has passed, it is carried out (carrying).

        `offer`: its points stand for each member's own, its holder has the data of all.
        """
        key = self.wallet(turn, wallet).delegate_key()
        slots, told = hide(offer.terms, turn.core.random_bytes)
        recipient = [offer.recipient.name] if not isinstance(offer.recipient, tuple) else list(offer.recipient)
        payload = {
            "title": title,
            "opens": turn.now,
            "closes": turn.now + days * 86_400,
            "recipient": recipient,
            "valid_until": offer.valid_until - offer.valid_until % 86_400,
            "notice": notice.value(),
            "slots": slots,
        }
        entry = shown(turn).sign(key, "group.call", ("group", key.kid), payload, exact=True)
        self.calls.put(turn.vault, Pending(entry.id, wallet, offer.holder))
        return self._keep(turn, entry, told, to, wallet)

    def joined(self, turn: Turn, call: Entry, wallet: str) -> list[SigningKey]:
        """Return the keys by which wallets kept here (or the one named) joined a call's group; voters first.

        Raises LocalError NOT_A_MEMBER.
        """
        replica, found = turn.core.replica, called(turn.core.replica, turn.rows, call.id)
        hosted = [self._wallets.get(turn.vault, wallet)] if wallet else self._wallets.listing(turn.vault)
        given = (replica.entry(turn.rows, ident) for ident in asking(replica, turn.rows, call.kid))
        keys = [
            key
            for entry in given
            for each in (hosted if entry is not None else ())
            if entry is not None and (key := each.wallet.consent_key(entry.thing[1])).public == entry.signer
        ]
        if not keys:
            raise LocalError("NOT_A_MEMBER", "no such wallet kept here has joined the group that calls", field="id")
        voters = found.members if found is not None else {}
        return sorted(keys, key=lambda key: key.kid not in voters)

    def vote(self, turn: Turn, call: Entry, choice: str, wallet: str) -> Entry:
        """Vote on a call. Raises LocalError NOT_A_MEMBER, SEVERAL_MEMBERS, CALL_OVER."""
        return turn.register(acts.make_vote(self._only(turn, call, wallet), call, choice, shown(turn)))

    def refuse(self, turn: Turn, call: Entry, reason: str | None, wallet: str) -> Entry:
        """Leave a member out of what a call decides. Raises LocalError NOT_A_MEMBER, SEVERAL_MEMBERS."""
        key = self._only(turn, call, wallet)
        entry = turn.register(acts.make_group_refusal(key, call, shown(turn), reason=reason))
        self._registering.spread(turn, entry)
        return entry

    def _only(self, turn: Turn, call: Entry, wallet: str) -> SigningKey:
        keys = self.joined(turn, call, wallet)
        if len(keys) > 1 and not wallet:
            raise LocalError("SEVERAL_MEMBERS", "several wallets kept here are of this group; name one", field="wallet")
        return keys[0]

    def carry(self, turn: Turn, wallet: str, call: Entry, holder: Party) -> list[Entry]:
        """After a call has passed, grant for each member whose points are known here and who has not refused.

        Each grant is for the points in the bounds of her delegation, made once. Raises LocalError CALL_NOT_PASSED.
        """
        replica = turn.core.replica
        found = called(replica, turn.rows, call.id)
        if found is None or turn.now <= call.payload["closes"] or not found.outcome.passed:
            raise LocalError("CALL_NOT_PASSED", "the call is still open, or has not passed", field="call")
        terms, made = self.content(turn, call.id).terms(), list[Entry]()
        for delegation in found.members.values():
            told = replica.delegations.now(replica, turn.rows, delegation.id)
            row = self._consents.get(turn.vault, delegation.id)
            points = row.disclosures.bounds().points if row is not None else None
            if told is None or not told.live or not points or refusals(replica, turn.rows, call, delegation):
                continue
            if self._carried(turn, call.id, delegation.id):
                continue
            ends = min(call.payload["valid_until"], delegation.payload["valid_until"])
            recipient = tuple(call.payload["recipient"])
            offer = Offer(holder, recipient, replace(terms, points=tuple(sorted(points))), ends)
            rests = Rests(delegation=delegation.id, call=call.id)
            made.append(self.grant(turn, wallet, offer, Notice.read(call.payload["notice"]), rests))
        return made

    def _carried(self, turn: Turn, call: bytes, delegation: bytes) -> bool:
        replica = turn.core.replica
        for fact in resting_on(turn.rows, call, replica.by_number, replica.size):
            entry = replica.entry(turn.rows, fact.row.entry_id)
            if entry is not None and entry.payload.get("delegation") == delegation:
                return True
        return False
