"""What the items of a bundle prove by themselves and about each other, before anybody's policy or clock is asked.

How it works
    `Evidence` is built in steps, in this order; a step that fails raises `Refused`, and the bundle is refused:
      mesh         the genesis has the pinned hash
      entries      every entry is well formed, signed, of this mesh, and of a kind that the selection may carry
      epochs       each step of the chain is certified by the voters of the one before (epochs)
      keys         a device's key is certified by its member's root key, and shows possession
      checkpoints  each is signed by the feed's own key, each cosignature by another proven device
      inclusion    each entry is a leaf under its checkpoint
                   what grants rest on is found among them (resting)
      state        each tick: maps, frontier and attestations bind one another; the ticks extend each other (frontiers)
      transfers    receipts and acknowledgements fit the grants, and what is opened the digests (transfers, resting)
      references   each item was used by one of these steps
    Every look-up marks the item it used. What was never marked serves nothing, and refuses the bundle.
    A member is *rooted* when the genesis lists its root key (unless the chain begins at an epoch that the auditor
    pinned), it votes under an epoch of the chain, or a rooted member's device admitted its signed application; and not
    from the epoch on that counts it as left or expelled. Nobody who was never let in, or is gone, poses as a witness.
    A certificate, application or admission that is dated before the epoch it names proves and roots nobody (M6).

What it does not do
    It does not say how many witnesses are enough, what time it is, or what the person consented to (verify).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

from ledger import keys, merkle
from ledger.checkpoint import Head, verify_head
from ledger.consent.status import Party
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.epoch import Genesis
from ledger.governance.register import HEIRS_MAX
from ledger.governance.roster import possession_message
from proofs.bundle import Bundle, Selection, SignedCheckpoint, Voter
from proofs.epochs import Step, follow, times_of
from proofs.policy import Witness
from proofs.reasons import Reason
from proofs.resting import Rests, ended_by, follow_rests
from proofs.rules import known_rules
from proofs.state import Refused, TickEvidence

GRANT: Final = "consent.grant"
ENDINGS: Final = ("consent.withdraw", "consent.revoke", "delegation.revoke", "group.refuse")
FINDINGS: Final = ("fork.proof", "seal.evidence", "probe.result")
"""Entries that tell of a member's conduct."""
STATED: Final = (GRANT, "delegation.give", "group.call")
"""Entries whose state stands in the consent map."""
_SERVING: Final = {
    *("device.certify", "member.apply", "member.admit", "member.leave"),
    *("delegation.give", "group.call", "group.open", "consent.amend", "consent.sign"),
}
_OPENED: Final = (GRANT, "consent.amend", "group.call")
"""Entries that the disclosures of a bundle may open; bounds open delegations."""
_SIGNATURE_CODES: Final = frozenset({"BAD_SIGNATURE", "WEAK_KEY", "WITHDRAW_NOT_YOURS", "REVOKE_NOT_YOURS"})


@dataclass(frozen=True, slots=True)
class Keyed:
    """A device whose key is proven: its public key and whose it is."""

    public: bytes
    party: Party


class Evidence:
    """A bundle under examination; the steps are called in the order of the table above."""

    def __init__(self, bundle: Bundle) -> None:
        """Begin with a decoded bundle, nothing checked."""
        self.bundle = bundle
        self.entries: tuple[Entry, ...] = ()
        self.grants: tuple[Entry, ...] = ()
        self.ticks: tuple[TickEvidence, ...] = ()
        self.chain: tuple[Step, ...] = ()
        self.main = 0  # number of the grant that a consent is about
        self.rests: tuple[Rests, ...] = ()  # by number of the grant
        self.contents: dict[int, dict[str, Any]] = {}  # what is opened beside grants, by number of the entry
        self.ended: dict[int, bytes] = {}  # number of an ending -> id of the grant, delegation or call
        self.shown: set[tuple[int, bytes]] = set()  # (tick, member) proofs that served
        self._voters: dict[bytes, Voter] = {}  # by the id of the device's key
        self._voting: set[Party] = set()
        self._gone: dict[Party, int] = {}  # voters that a step counts as left or expelled -> its time
        self._certificates: dict[bytes, int] = {}
        self._proving: dict[bytes, int] = {}  # those of them that have an effect
        self._admissions: dict[Party, list[tuple[int, int]]] = {}
        self._used: set[int] = set()
        self._seen_by_endings: set[Head] = set()
        self._cosigners: dict[Head, tuple[tuple[Witness, bool], ...]] = {}
        self._roots: dict[Party, bool] = {}  # who was asked for, and whether it is rooted
        self.invited: set[bytes] = set()  # root key ids of those who are rooted by admissions
        self.numbers: dict[bytes, int] = {}  # of entries, by id
        self.published = {item.head: item for item in bundle.checkpoints}
        self.reached: dict[
            Head | int, int | None
        ] = {}  # by when the quorum covered a head, or attested a tick (brackets)

    def use(self, at: int) -> Entry:
        """Note that entry `at` serves a check, and return it."""
        self._used.add(at)
        return self.entries[at]

    def endings(self, ident: bytes) -> list[int]:
        """Return the numbers of what ends a grant or a delegation, or refuses a call; carried, and each checked."""
        return [at for at, named in self.ended.items() if named == ident]

    def line(self) -> list[int]:
        """Return the numbers of the grant that a consent is about, and of those that it passes on, upwards."""
        found, at = list[int](), self.main if self.grants else None
        while at is not None:
            found.append(at)
            at = self.rests[at].parent
        return found

    def checkpoint_of(self, at: int) -> SignedCheckpoint:
        """Return the checkpoint that holds entry `at`."""
        return self.bundle.checkpoints[self.bundle.entries[at].checkpoint]

    # mesh, entries, epochs

    def check_mesh(self, pinned: bytes) -> None:
        """Read the genesis, which must have the pinned hash."""
        raw = self.bundle.genesis
        if sha256(raw).digest() != pinned:
            raise Refused(Reason.WRONG_MESH, f"the genesis is {sha256(raw).digest().hex()}, pinned is {pinned.hex()}")
        try:
            self.genesis = Genesis.read(Entry.decode(raw))
        except RemoteError as error:
            raise refusal(error, "genesis") from None
        self._founders = {keys.thumbprint(root) for root, _ in self.genesis.founders}

    def check_entries(self) -> None:
        """Decode every entry, the signature included; grants come first. Find what they rest on."""
        entries = []
        for at, item in enumerate(self.bundle.entries):
            try:
                entry = Entry.decode(item.raw)
            except RemoteError as error:
                raise refusal(error, f"entry {at}") from None
            if entry.mesh_id != self.genesis.mesh_id:
                raise Refused(Reason.WRONG_MESH, f"entry {at} was made for another mesh")
            entries.append(entry)
        self.entries = tuple(entries)
        self.numbers = {entry.id: at for at, entry in enumerate(entries)}
        self.grants = tuple(entry for entry in entries if entry.kind == GRANT)
        if any(entry.kind != GRANT for entry in entries[: len(self.grants)]):  # from here on they go by number
            raise Refused(Reason.MALFORMED, "grants come before all other entries")
        self.rests = follow_rests(self)
        self._check_order()
        for at, entry in enumerate(entries):
            if entry.kind in ENDINGS:
                self._check_ending(at, entry)
            elif entry.kind == "device.certify":
                self._certificates[entry.thing[1]] = at  # a second one of the same device leaves the first without use

    def _check_order(self) -> None:
        count, selection = len(self.grants), self.bundle.selection
        for listed in (self.entries[:count], self.entries[count:]):
            if any(one.id >= other.id for one, other in pairwise(listed)):
                raise Refused(Reason.MALFORMED, "grants, then the other entries, stand in the order of their ids")
        parents = {rests.parent for rests in self.rests}
        first = [at for at in range(count) if at not in parents]
        if (selection is Selection.CONSENT and len(first) != 1) or (selection is Selection.PERIOD and not count):
            raise Refused(Reason.MALFORMED, f"a bundle of selection {selection.value} has not {len(first)} grants")
        self.main = first[0] if first else 0
        for at, entry in enumerate(self.entries[count:], count):
            finding = entry.kind in (*FINDINGS, "consent.acknowledge") and selection is Selection.CONDUCT
            flow = entry.kind in ("transfer.receipt", "transfer.ack")
            if not (finding or flow or entry.kind in ENDINGS or entry.kind in _SERVING):
                raise Refused(Reason.UNREFERENCED_ITEM, f"entry {at}: no check asks for a {entry.kind}")
        if any(self.entries[at].kind not in _OPENED for at, _ in self.bundle.disclosures):
            raise Refused(Reason.MALFORMED, "disclosures open a grant, an amendment or a call")
        if any(self.entries[at].kind != "delegation.give" for at, _ in self.bundle.bounds):
            raise Refused(Reason.MALFORMED, "bounds open a delegation")

    def _check_ending(self, at: int, entry: Entry) -> None:
        try:
            named = ended_by(entry)
        except RemoteError as error:
            raise refusal(error, f"entry {at}") from None
        if named not in {each.id for each in self.entries if each.kind in STATED}:
            raise Refused(Reason.UNREFERENCED_ITEM, f"entry {at} ends nothing that is carried")
        self.ended[at] = named
        self._seen_by_endings.update(entry.seen)

    def check_epochs(self) -> None:
        """Follow the chain of epochs; its voters' devices are proven by it."""
        self.chain = follow(self.genesis, self.bundle.epochs, self)
        self._times = times_of(self.genesis, self.chain)
        self.rules = known_rules(self.genesis, self.chain, self.bundle.attachments)
        if self.bundle.epochs and self.bundle.epochs[0].epoch is not None:
            self._founders = set()  # whoever pins an epoch believes those who vote under it, and nobody from before
        for step in self.chain:
            for party in step.gone:
                self._gone.setdefault(party, step.epoch.as_of)
            self._voting.update((voter.kid, voter.incarnation) for voter in step.voters)
            self._voters.update({keys.thumbprint(voter.public): voter for voter in step.voters})

    def has_left(self, voter: Voter) -> bool:
        """Say whether a voter's own device, or one that its root key certified, says that it left."""
        device = keys.thumbprint(voter.public)
        for at, entry in enumerate(self.entries):
            if entry.kind != "member.leave" or entry.thing[1] != voter.kid:
                continue
            if entry.kid != device:
                certificate = self._certificates.get(entry.kid)
                if certificate is None or self.entries[certificate].kid != voter.kid:
                    continue
                self.use(certificate)
            self.use(at)
            return True
        return False

    def heir(self, voter: Voter, at: int) -> bytes:
        """Return the key of the device that entry `at` certifies as a successor of a voter's device.

        The line of certificates between the two serves by it. Raises RemoteError BAD_HEIR.
        """
        first, line = keys.thumbprint(voter.public), [at]
        for _ in range(HEIRS_MAX):
            entry = self.entries[line[-1]]
            if entry.kind != "device.certify" or entry.kid != voter.kid or "predecessor" not in entry.payload:
                break
            before = entry.payload["predecessor"][0]
            if before == first:
                self._used.update(line)
                public: bytes = self.entries[at].payload["device"]
                return public
            if before not in self._certificates:
                break
            line.append(self._certificates[before])
        raise RemoteError(
            "BAD_HEIR", "no line of certificates leads from the voter's device to this one", field="heirs"
        )

    # keys, checkpoints, inclusion

    def check_keys(self) -> None:
        """Check every device certificate, and sort the admissions."""
        applications: dict[bytes, int] = {}
        for at, entry in enumerate(self.entries):
            if entry.kind == "device.certify":
                self._certify(at, entry)
            elif entry.kind == "member.apply":
                applications[entry.id] = at
        admissions: dict[Party, list[tuple[int, int]]] = defaultdict(list)
        for at, entry in enumerate(self.entries):
            if entry.kind == "member.admit" and entry.payload["application"] in applications:
                found = applications[entry.payload["application"]]
                application = self.entries[found]
                party = (application.kid, application.payload["incarnation"])
                if entry.thing[1] == party[0] and entry.payload["incarnation"] == party[1]:
                    admissions[party].append((at, found))
        self._admissions = dict(admissions)

    def _certify(self, at: int, entry: Entry) -> None:
        device = entry.payload["device"]
        feed = keys.thumbprint(device)
        message = possession_message(self.genesis.mesh_id, entry.kid, entry.payload["incarnation"])
        try:
            keys.check_public_key(device)
        except RemoteError as error:
            raise refusal(error, f"entry {at}") from None
        if entry.thing[1] != feed or not keys.verify(device, message, entry.payload["possession"]):
            raise Refused(Reason.BAD_SIGNATURE, f"entry {at} certifies a device key that did not agree to it")
        if not self._is_early(entry):
            self._proving[entry.thing[1]] = at

    def _is_early(self, entry: Entry) -> bool:
        """Say whether an entry is dated before the epoch that it names, as far as that is carried: then it is void."""
        return entry.iat < self._times.get(entry.epoch or b"", 0)

    def find_key(self, feed: bytes) -> Keyed | None:
        """Return the key of a feed's device, as an epoch's voters or a certificate prove it; None when none does."""
        voter = self._voters.get(feed)
        if voter is not None:
            return Keyed(voter.public, (voter.kid, voter.incarnation))
        at = self._proving.get(feed)
        if at is None:
            return None
        entry = self.use(at)
        return Keyed(entry.payload["device"], (entry.kid, entry.payload["incarnation"]))

    def keyed(self, feed: bytes) -> Keyed:
        """Return the key of a feed's device. Refuses when nothing proves it."""
        found = self.find_key(feed)
        if found is None:
            raise Refused(Reason.BAD_SIGNATURE, f"nothing proves the key of feed {feed.hex()[:16]}")
        return found

    def check_checkpoints(self) -> None:
        """Check the owner's signature of every checkpoint, and those of its cosigners."""
        mesh_id = self.genesis.mesh_id
        for at, item in enumerate(self.bundle.checkpoints):
            head = item.head
            told = (mesh_id, head.feed, head.size, head.root)
            if not verify_head(self.keyed(head.feed).public, *told, item.time, item.signature):
                raise Refused(Reason.BAD_SIGNATURE, f"checkpoint {at} is not signed by its feed's key")
            witnesses = []
            for each in item.cosigned:
                keyed = self.keyed(each.feed)
                if each.feed == head.feed or not verify_head(keyed.public, *told, each.time, each.signature):
                    raise Refused(Reason.BAD_SIGNATURE, f"checkpoint {at} has a cosignature that is none")
                witnesses.append((self.witness(keyed, each.time), self.is_rooted(keyed.party, each.time)))
            self._cosigners[head] = tuple(witnesses)

    def witness(self, keyed: Keyed, time: int) -> Witness:
        """Return a device that vouched at a time as a witness."""
        return Witness(keyed.public, keyed.party[0], time, self.rules.voice(keyed.party[0]))

    def cosigners(self, head: Head) -> tuple[tuple[Witness, bool], ...]:
        """Return who cosigned a checkpoint, each with whether it is rooted."""
        return self._cosigners.get(head, ())

    def check_inclusion(self) -> None:
        """Check every entry's path."""
        for at, (item, entry) in enumerate(zip(self.bundle.entries, self.entries, strict=True)):
            head = self.checkpoint_of(at).head
            leaf = merkle.leaf_hash(entry.id)
            if not merkle.verify_inclusion(leaf, item.index, head.size, item.path, head.root):
                raise Refused(Reason.BAD_INCLUSION, f"entry {at} ({entry.kind}) is not under its checkpoint")

    # roots

    def is_rooted(self, party: Party, at: int) -> bool:
        """Say whether genesis, epochs, or a chain of admissions from them made the party a member; marks the chain.

        From a step of the chain on that counts it as left or expelled it is none. `at`: unix seconds.
        """
        if party not in self._roots:  # thousands of cosigners may be let in one by the other
            self._roots[party] = self._is_rooted(party)
        return self._roots[party] and at < self._gone.get(party, at + 1)

    def _is_rooted(self, party: Party) -> bool:
        asked, chain, visited = party, set[int](), {party}
        while not (party in self._voting or (party[1] == 1 and party[0] in self._founders)):
            step = next(iter(self._inviters(party)), None)
            if step is None or step[0] in visited:
                return False
            party, used = step
            visited.add(party)
            chain.update(used)
        self._used |= chain
        self.invited |= {asked[0]} if chain else set()
        return True

    def _inviters(self, party: Party) -> Iterator[tuple[Party, set[int]]]:
        for admit_at, application_at in self._admissions.get(party, ()):
            admit, application = self.entries[admit_at], self.entries[application_at]
            if application.payload["expires"] < admit.iat or self._is_early(application) or self._is_early(admit):
                continue
            keyed = self.find_key(admit.kid)
            if keyed is not None and tuple(application.payload["inviter"]) == keyed.party:
                yield keyed.party, {admit_at, application_at}

    # references

    def check_references(self) -> None:
        """Refuse what no step used: entries, checkpoints, member proofs, attachments."""
        for at, entry in enumerate(self.entries):
            if at not in self._used:
                raise Refused(Reason.UNREFERENCED_ITEM, f"entry {at}: this {entry.kind} serves no check")
        holding = {item.checkpoint for item in self.bundle.entries}
        for at, item in enumerate(self.bundle.checkpoints):
            if at not in holding and item.head not in self._seen_by_endings:
                raise Refused(Reason.UNREFERENCED_ITEM, f"checkpoint {at} holds no entry")
        for number, tick in enumerate(self.ticks):
            for kid in tick.members:
                if (number, kid) not in self.shown:
                    raise Refused(Reason.UNREFERENCED_ITEM, f"tick {number}: member {kid.hex()[:16]} serves no check")
        stated = [entry.payload for entry in self.entries if entry.kind in STATED]
        named = {payload["notice"]["sha256"] for payload in stated if "notice" in payload}
        named.update(digest for payload in stated for digest in payload.get("evidence", ()))
        named.update(step.epoch.policy_digest for step in self.chain[-1:])
        for attached in self.bundle.attachments:
            if attached.sha256 not in named:
                raise Refused(Reason.UNREFERENCED_ITEM, f"attachment {attached.sha256.hex()[:16]}: nothing names it")
            if attached.content is not None and sha256(attached.content).digest() != attached.sha256:
                raise Refused(Reason.DISCLOSURE_MISMATCH, f"attachment {attached.sha256.hex()[:16]} has another hash")


def refusal(error: RemoteError, item: str) -> Refused:
    """Return the refusal that a fault of an item leads to."""
    reason = Reason.BAD_SIGNATURE if error.code in _SIGNATURE_CODES else Reason.MALFORMED
    return Refused(reason, f"{item}: {error}")
