"""The steps of README.md ("What is checked, in order") up to `state`: the bundle by itself, without an auditor.

How it works
    `Evidence` runs them in its constructor; the first that fails raises Refused with the code. What an item is used
    for is noted, and what stays unused is refused at the end (`unused`).

What it does not do
    Transfers, findings and the presentation are in `flows`, the auditor's questions in `questions`.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

from tests.proofs.second import cbor, curve, rests
from tests.proofs.second.chain import Epoch, first_voters, follow, form, own_rules
from tests.proofs.second.container import Attestation, Bundle, Checkpoint, Voter
from tests.proofs.second.container import Tick as Carried
from tests.proofs.second.entries import Entry, Head, Refused, is_signed, leaf_hash, need, read_entry, root_of
from tests.proofs.second.state import Tick, Witness, consent, in_map, member

Party = tuple[bytes, int]
_ENDS: Final = {3: "consent.withdraw", 4: "consent.revoke"}
_ENDING: Final = {*_ENDS.values(), "delegation.revoke", "group.refuse"}
_STATED: Final = ("consent.grant", "delegation.give", "group.call")
_SERVING: Final = {"device.certify", "member.apply", "member.admit", "member.leave", "transfer.receipt", "transfer.ack"}
_RESTING: Final = {"delegation.give", "group.call", "group.open", "consent.amend", "consent.sign"}
_OF_CONDUCT: Final = {"fork.proof", "seal.evidence", "probe.result", "consent.acknowledge"}


class Evidence:
    """A bundle of which the first eight steps have passed."""

    def __init__(self, bundle: Bundle, pinned: bytes) -> None:
        self.bundle = bundle
        self.used: set[int] = set()
        self.people_used: set[tuple[int, bytes]] = set()
        self.ticks: list[Tick] = []
        self.contents: dict[int, dict[str, Any]] = {}
        self.cosigners: dict[Head, set[Witness]] = {}
        need(sha256(bundle.genesis).digest() == pinned, "WRONG_MESH")
        self.genesis = read_entry(bundle.genesis)
        need(self.genesis.kind == "genesis", "MALFORMED")
        self.mesh = pinned
        self._entries()
        listed = self.genesis.payload["founders"]
        self.founders = {curve.key_id(root) for root, _ in listed}
        self.first = first_voters(self.genesis.payload)
        self.chain: list[Epoch] = follow(pinned, self.genesis.iat, self.first, bundle.epochs, self)
        if bundle.epochs and bundle.epochs[0].epoch is not None:
            self.founders = set()
        self._rules()
        self._keys()
        self._checkpoints()
        for at, item in enumerate(bundle.entries):
            under = bundle.checkpoints[item.under]
            root = root_of(leaf_hash(self.entries[at].id), item.at, under.size, item.path)
            need(root == under.root, "BAD_INCLUSION", f"entry {at}")
        for at, tick in enumerate(bundle.ticks):
            self.ticks.append(self._tick(at, tick))
        self._ticks_extend()
        for at, entry in enumerate(self.entries):
            if entry.kind in _STATED:
                self._stated(at)
        for at in range(self.grants):
            self.used.add(at)
            self._added(at)
        self._owners()

    # Entries

    def _entries(self) -> None:
        self.entries: list[Entry] = []
        for item in self.bundle.entries:
            entry = read_entry(item.raw)
            need(entry.mesh == self.mesh, "WRONG_MESH")
            self.entries.append(entry)
        kinds, selection = [entry.kind for entry in self.entries], self.bundle.selection
        self.grants = kinds.count("consent.grant")
        need(set(kinds[: self.grants]) <= {"consent.grant"}, "MALFORMED", "grants come first")
        for listed in (self.entries[: self.grants], self.entries[self.grants :]):
            need(all(one.id < other.id for one, other in pairwise(listed)), "MALFORMED", "entries ascend")
        self.rests = [rests.follow(self, grant) for grant in self.entries[: self.grants]]
        self.main = rests.first_of(self.rests, selection)
        need(selection != "period" or self.grants, "MALFORMED", "a period has a grant")
        serving = _SERVING | _RESTING | _ENDING | (_OF_CONDUCT if selection == "conduct" else set())
        need(set(kinds[self.grants :]) <= serving, "UNREFERENCED_ITEM", "a kind that serves no check")
        terms, bounds = ({kinds[at] for at, _ in listed} for listed in (self.bundle.disclosed, self.bundle.bounds))
        need(terms <= {"consent.grant", "consent.amend", "group.call"}, "MALFORMED", "disclosures of something else")
        need(bounds <= {"delegation.give"}, "MALFORMED", "bounds of something else")
        self.ends: dict[int, bytes] = {}
        for at, entry in enumerate(self.entries):
            if entry.kind in _ENDING:
                self.ends[at] = rests.ended(entry)
                named = {each.id for each in self.entries if each.kind in _STATED}
                need(self.ends[at] in named, "UNREFERENCED_ITEM", "it ends nothing that is carried")
        self._certificates = {e.thing[1]: at for at, e in enumerate(self.entries) if e.kind == "device.certify"}

    def left(self, voter: Voter) -> bool:
        """Say whether a voter's device, or another that its root key certified, says that it leaves."""
        for at, entry in enumerate(self.entries):
            if (entry.kind, entry.thing[1]) != ("member.leave", voter.kid):
                continue
            other = self._certificates.get(entry.kid)
            if entry.kid == curve.key_id(voter.key):
                self.used.add(at)
                return True
            if other is not None and self.entries[other].kid == voter.kid:
                self.used |= {at, other}
                return True
        return False

    def heir(self, voter: Voter, at: int) -> bytes:
        """Return the key that an entry certifies at the end of a line of at most eight successors."""
        line, feed = [at], b""
        while feed != curve.key_id(voter.key):
            entry = self.entries[line[-1]]
            good = entry.kind == "device.certify" and entry.kid == voter.kid and "predecessor" in entry.payload
            need(good and len(line) <= 8, "BAD_EPOCH", "no line of successors")
            feed = entry.payload["predecessor"][0]
            line.append(self._certificates.get(feed, at))
        self.used.update(line[:-1])
        key: bytes = self.entries[at].payload["device"]
        return key

    def _rules(self) -> None:
        """Find the rules that are known: purposes that are forbidden, and who is affiliated to whom."""
        known = own_rules(self.genesis.payload)
        for digest, _, content in self.bundle.attachments:
            newest = self.chain[-1].policy if self.chain else None
            if digest == newest and content is not None and sha256(content).digest() == digest:
                known = form(content, known)
        self.forbidden: list[str] = known["forbidden_purposes"]
        self.voices = {kid: min(group) for group in known.get("affiliations", []) for kid in group}

    # Keys

    def _early(self, entry: Entry) -> bool:
        """Say whether an entry is older than the epoch that it names, if that one is here."""
        return entry.iat < self.times.get(entry.epoch, 0)

    def _keys(self) -> None:
        self.times: dict[bytes | None, int] = {step.reference: step.as_of for step in self.chain}
        self.times[self.mesh] = self.genesis.iat
        self.proving: dict[bytes, int] = {}
        self.voters: dict[bytes, tuple[bytes, Party]] = {}
        for step in self.chain:
            for each in step.voters:
                self.voters[curve.key_id(each.key)] = (each.key, (each.kid, each.incarnation))
        for at, entry in enumerate(self.entries):
            if entry.kind != "device.certify":
                continue
            device, incarnation = entry.payload["device"], entry.payload["incarnation"]
            said = b"maille-device-possession-v1" + self.mesh + entry.kid + incarnation.to_bytes(4, "big")
            good = curve.is_sound_key(device) and curve.verify(device, said, entry.payload["possession"])
            need(good and entry.thing[1] == curve.key_id(device), "BAD_SIGNATURE", "possession")
            if not self._early(entry):
                self.proving[entry.thing[1]] = at
        self._admitted: dict[Party, list[tuple[int, int]]] = {}
        ids = {entry.id: at for at, entry in enumerate(self.entries)}
        for at, entry in enumerate(self.entries):
            found = ids.get(entry.payload["application"]) if entry.kind == "member.admit" else None
            if found is None or self.entries[found].kind != "member.apply":
                continue
            applied = self.entries[found]
            party = (applied.kid, applied.payload["incarnation"])
            if (entry.thing[1], entry.payload["incarnation"]) == party:
                self._admitted.setdefault(party, []).append((at, found))

    def key(self, feed: bytes) -> tuple[bytes, Party] | None:
        """Return the proven key of a device and whose it is, if the bundle proves it."""
        if feed in self.voters:
            return self.voters[feed]
        at = self.proving.get(feed)
        if at is None:
            return None
        self.used.add(at)
        entry = self.entries[at]
        return entry.payload["device"], (entry.kid, entry.payload["incarnation"])

    def keyed(self, feed: bytes) -> tuple[bytes, Party]:
        """Do the same; refuse where nothing proves it."""
        found = self.key(feed)
        if found is None:
            raise Refused("BAD_SIGNATURE", "nothing proves a device's key")
        return found

    def is_rooted(self, party: Party, time: int) -> bool:
        """Say whether a party descends from the genesis or the chain, and is not gone; what shows it has served."""
        away = [step.as_of for step in self.chain if party in step.gone]
        voting = {(each.kid, each.incarnation) for step in self.chain for each in step.voters}
        met: set[Party] = {party}
        served: set[int] = set()
        while party not in voting and not (party[1] == 1 and party[0] in self.founders):
            step = self._inviter(party)
            if step is None or step[0] in met:
                return False
            party = step[0]
            met.add(party)
            served.update(step[1:])
        self.used |= served
        return not away or time < away[0]

    def _inviter(self, party: Party) -> tuple[Party, int, int] | None:
        for admit, apply in self._admitted.get(party, ()):
            applied, admitted = self.entries[apply], self.entries[admit]
            early = self._early(applied) or self._early(admitted)
            good = applied.payload["expires"] >= admitted.iat and not early
            found = self.key(admitted.kid) if good else None
            if found is not None and tuple(applied.payload["inviter"]) == found[1]:
                return found[1], admit, apply
        return None

    def _checkpoints(self) -> None:
        for item in self.bundle.checkpoints:
            good = is_signed(self.keyed(item.feed)[0], self.mesh, item.head, item.time, item.signature)
            need(good, "BAD_SIGNATURE", "a checkpoint")
            witnesses = set()
            for each in item.others:
                key, party = self.keyed(each.feed)
                good = is_signed(key, self.mesh, item.head, each.time, each.signature)
                need(good and each.feed != item.feed, "BAD_SIGNATURE", "a cosignature")
                witnesses.add(
                    Witness(key, self.voices.get(party[0], party[0]), each.time, self.is_rooted(party, each.time))
                )
            self.cosigners[item.head] = witnesses

    # Ticks

    def _tick(self, number: int, tick: Carried) -> Tick:
        need(tick.evaluator == self.genesis.payload["evaluator_version"] == 1, "BAD_STATE_PROOF", "evaluator")
        grants, people, delegations, calls = {}, {}, {}, {}
        for at, place in tick.grants:
            entry = self.entries[at]
            need(entry.kind in _STATED, "MALFORMED", "a tick shows a grant, a delegation or a call")
            in_map(entry.id, place, tick.consents[1])
            if entry.kind == "delegation.give":
                delegations[at] = rests.delegation(place.value, entry)
            elif entry.kind == "group.call":
                calls[at] = rests.call(place.value)
            else:
                grants[at] = consent(place.value, entry)
        for kid, place in tick.people:
            in_map(kid, place, tick.members[1])
            people[kid] = member(place.value)
        frontier = {head[0]: head for head in tick.frontier}
        for item in self.bundle.checkpoints:
            late = frontier.get(item.feed) == item.head and item.time > tick.boundary
            need(not late, "BAD_STATE_PROOF", "a checkpoint dated after the tick that counts it")
        digest = sha256(b"".join(cbor.write(list(head)) for head in tick.frontier)).digest()
        sizes = [size.to_bytes(8, "big") + root for size, root in (tick.members, tick.consents)]
        root = sha256(b"".join(sizes) + tick.evaluator.to_bytes(4, "big")).digest()
        made = Tick(tick.boundary, frontier, digest, root, grants, people, set(), delegations, calls)
        for each in tick.attestations:
            made.witnesses.add(self._attested(number, each, made))
        return made

    def _attested(self, number: int, item: Attestation, tick: Tick) -> Witness:
        key, party = self.keyed(item.feed)
        read_entry(self._attestation(item, key, tick))
        own = any(head[0] == item.feed for head in item.seen)
        need(own and item.iat >= tick.boundary, "BAD_STATE_PROOF", "an attestation's time and place")
        self._owner(number, item.feed, tick)
        need(tick.people[party[0]][1], "BAD_STATE_PROOF", "a witness that was no member")
        return Witness(key, self.voices.get(party[0], party[0]), item.iat, self.is_rooted(party, tick.boundary))

    def _attestation(self, item: Attestation, key: bytes, tick: Tick) -> bytes:
        boundary = tick.boundary.to_bytes(8, "big").hex()
        claims = {1: curve.did(key), 2: f"urn:maille:tick:{boundary}", 6: item.iat, 7: item.cti}
        seen: list[Any] = [list(head) for head in item.seen]
        typ = "application/vnd.maille.state.attestation+cose"
        header = {1: -19, 4: item.feed, 15: claims, 16: typ, -70000: seen, -70001: self.mesh}
        payload = {"boundary": tick.boundary, "frontier": tick.digest, "state_root": tick.root}
        return b"\xd2" + cbor.write([cbor.write(header), {}, cbor.write(payload), item.signature])

    def _owner(self, number: int, feed: bytes, tick: Tick) -> None:
        kid, incarnation = self.keyed(feed)[1]
        person = tick.people.get(kid)
        need(person and person[0] == incarnation and feed in person[2], "BAD_STATE_PROOF", "whose feed it is")
        self.people_used.add((number, kid))

    def _ticks_extend(self) -> None:
        for older, newer in pairwise(self.ticks):
            for feed, head in older.frontier.items():
                later = newer.frontier.get(feed)
                good = later is not None and (later == head or later[1] > head[1])
                need(good, "BAD_STATE_PROOF", "a feed shrank or changed")
            for at, (state, *_) in older.grants.items():
                undone = state in _ENDS and at in newer.grants and newer.grants[at][0] not in _ENDS
                need(not undone, "BAD_STATE_PROOF", "an end is taken back")
            for at, (ended, *_) in older.delegations.items():
                undone = ended and at in newer.delegations and not newer.delegations[at][0]
                need(not undone, "BAD_STATE_PROOF", "the end of a delegation is taken back")

    def parties(self, at: int) -> list[Party]:
        """Return the holder and the recipient of a grant, without a class of recipients."""
        told = (self.entries[at].payload["holder"], self.entries[at].payload["recipient"])
        return [(party[0], party[1]) for party in told if len(party) == 2]

    def under(self, at: int) -> Checkpoint:
        """Return the checkpoint above an entry."""
        return self.bundle.checkpoints[self.bundle.entries[at].under]

    def _below(self, at: int, number: int) -> bool:
        return any(tick.holds(self.under(at).head) for tick in self.ticks[: number + 1])

    def _stated(self, at: int) -> None:
        ident = self.entries[at].id
        showing = [n for n, tick in enumerate(self.ticks) if at in {*tick.grants, *tick.delegations, *tick.calls}]
        need(showing, "BAD_STATE_PROOF", "no tick shows it")
        need(self._below(at, showing[0]), "BAD_INCLUSION", "above its tick")
        need(showing == list(range(showing[0], len(self.ticks))), "BAD_STATE_PROOF", "a later tick does not show it")
        for number in showing:
            kind, decided = self._decided(number, at)
            found = set()
            for place, named in self.ends.items():
                entry = self.entries[place]
                if named != ident or entry.kind != kind or entry.id not in decided:
                    continue
                need(self._below(place, number), "BAD_INCLUSION", "an end above its tick")
                revokes = kind == "consent.revoke"
                need(not revokes or self._may_revoke(number, entry, at), "BAD_STATE_PROOF", "a stranger revokes")
                self.used.add(place)
                found.add(entry.id)
            need(found == set(decided), "BAD_STATE_PROOF", "an end that is not carried")

    def _decided(self, number: int, at: int) -> tuple[str, list[bytes]]:
        """Return the kind and the ids of the ends that a tick names of an entry."""
        tick = self.ticks[number]
        if at in tick.calls:
            firsts = [each.delegations[0] for each in self.rests if each.call == at and each.delegations]
            keys = set().union(*(rests.keys_of(self.entries[first]) for first in firsts))
            return "group.refuse", [ident for kid, ident in tick.calls[at].refused if kid in keys]
        if at in tick.delegations:
            ended, decided, _ = tick.delegations[at]
            return "delegation.revoke", decided if ended else []
        state, decided, *_ = tick.grants[at]
        return _ENDS.get(state, ""), decided if state in _ENDS else []

    def _added(self, at: int) -> None:
        """Let amendments, signatures and a group's rules serve where a tick names them."""
        number, ident = self.rests[at].call, self.entries[at].id
        for nth, tick in enumerate(self.ticks):
            value, called = tick.grants.get(at), tick.calls.get(number) if number is not None else None
            for place, entry in enumerate(self.entries):
                of_it = value is not None and entry.payload.get("grant") == ident
                named = entry.kind == "consent.amend" and of_it and value is not None and entry.id in value.amended
                signs = entry.kind == "consent.sign" and of_it and value is not None and entry.kid in value.signed
                opens = entry.kind == "group.open" and called is not None and entry.id == called.opened
                if opens and number is not None and called is not None:
                    rests.fits_rules(called, entry, self.entries[number])
                if named or signs or opens:
                    need(self._below(place, nth), "BAD_INCLUSION", "above its tick")
                    self.used.add(place)

    def _may_revoke(self, number: int, entry: Entry, at: int) -> bool:
        for party in self.parties(at):
            person = self.ticks[number].people.get(party[0])
            if entry.kid == party[0] or (person is not None and entry.kid in person[2]):
                return True
        return entry.kid in map(curve.key_id, self.entries[at].payload.get("required_parties", ()))

    def _owners(self) -> None:
        for number, tick in enumerate(self.ticks):
            for at in tick.grants:
                self.people_used.update((number, party[0]) for party in self.parties(at))
        for item in self.bundle.checkpoints:
            counting = [number for number, tick in enumerate(self.ticks) if tick.holds(item.head)]
            if not counting and self.ticks:
                kid = self.keyed(item.feed)[1][0]
                counting = [number for number, tick in enumerate(self.ticks) if kid in tick.people][-1:]
                need(counting, "BAD_STATE_PROOF", "no tick shows whose checkpoint it is")
            for number in counting:
                self._owner(number, item.feed, self.ticks[number])

    def unused(self) -> None:
        """Refuse what served no check."""
        bundle = self.bundle
        need(self.used == set(range(len(self.entries))), "UNREFERENCED_ITEM", "an entry")
        holding = {item.under for item in bundle.entries}
        seen = {head for at in self.ends for head in self.entries[at].seen}
        idle = [at for at, item in enumerate(bundle.checkpoints) if at not in holding and item.head not in seen]
        need(not idle, "UNREFERENCED_ITEM", "a checkpoint")
        shown = {(number, kid) for number, tick in enumerate(self.ticks) for kid in tick.people}
        need(shown <= self.people_used, "UNREFERENCED_ITEM", "a member's proof")
        payloads = [entry.payload for entry in self.entries if entry.kind in _STATED]
        named = {payload["notice"]["sha256"] for payload in payloads if "notice" in payload}
        named.update(digest for payload in payloads for digest in payload.get("evidence", ()))
        named.update(step.policy for step in self.chain[-1:])
        for digest, _, content in bundle.attachments:
            need(digest in named, "UNREFERENCED_ITEM", "an attachment")
            need(content is None or sha256(content).digest() == digest, "DISCLOSURE_MISMATCH", "an attachment")
