"""Why a governance entry counts or not: the verdict, the rule by number, and the entries that decided it.

How it works
    `explain` folds as every node does, and looks up what became of one entry. What the fold drops without a word is
    asked for again here, by the same functions. The rules by number, with the module that holds each:
      M1 a device's feed counts; M2 how far; M3 who is in; M4 links and tenants; M5 ballots that act at once
           (`members`);
      M6 the epoch that a statement names is known, and the heads that it has seen are held as named;
      M7 it names no older epoch than anything that it has seen;
      M8 the epoch's evaluator knows the kind;
      G1.1 the predicate of the rules holds for the application (`policy`); G1.2 a member endorses no more than
           `invitations_a_day`; G1.3 an endorsement fits its application; G1.4 an application is sound (`growth`);
      G2.1 to G2.3 a certificate is followed; G2.4 rivals (`chain`);
      G4.1 to G4.5 votes (`ballots`); G4.6 to G4.10 expulsions (`expulsion`); G4.11 a proposal is sound, and passes or
           not (`voting`, `tally`); G4.12 delegations and defaults (`tally`).
    A leaf below the sealed frontier is looked at as it stands now; only a closed ballot is folded again as its seal
    closed it. An entry that stands in several places has the best of their verdicts; where seals are rivals, the worst
    of the branches'.

What it does not do
    It decides nothing, and knows no consent (`consent.explain`). It takes as long as a fold: it is for people who ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger.feed import Registration
from ledger.governance import edges, explain_ballots
from ledger.governance.growth import APPLICATIONS, ENDORSEMENTS
from ledger.governance.members import state_of
from ledger.governance.register import Sighting
from ledger.governance.roster import UNBOUNDED, Party, edge, link_id
from ledger.governance.scene import Ledger, Scene
from ledger.governance.state import Base
from ledger.kinds import KINDS, is_governance
from ledger.schema import DAY
from ledger.verdict import Account, counts, superseded, void, waits

__all__ = ("Ledger", "explain")


def explain(ledger: Ledger, registration: Registration) -> Account:
    """Say what became of a governance entry at a leaf where it is sound, and why."""
    tips = ledger.chain.tips(ledger.view)
    found = [_Case(ledger, tip, registration).account() for tip in tips]
    worst = min(found, key=lambda each: each.rank)
    if len({each.verdict for each in found}) > 1:
        told = f"{worst.words}; rival seals disagree on it, and only what both permit holds"
        return Account(worst.verdict, "G2.4", told, worst.why)
    return worst


class _Case(Scene):
    """One entry at one leaf, in one branch."""

    def __init__(self, ledger: Ledger, tip: Base, registration: Registration) -> None:
        super().__init__(ledger, tip)
        self._at, self._entry, self._feed = registration, registration.entry, registration.feed

    def account(self) -> Account:
        """Return what became of the entry."""
        kind = self._entry.kind
        if kind == "genesis":
            return counts("F1", "it is the genesis: the mesh begins with it", self._entry.id)
        if not is_governance(kind) or KINDS[kind].since > self.base.evaluator:
            return waits("M8", f"evaluator {self.base.evaluator}, by which the epoch works, does not know its kind")
        about: dict[str, Callable[[], Account]] = {
            "genesis.accept": self._accept,
            "device.certify": self._certify,
            "member.credential": self._credential,
            "fork.proof": self._proof,
            "seal.evidence": self._evidence,
            "device.retire": self._retire,
            "member.leave": self._leave,
            "seal.frontier": self._frontier,
            "seal.certificate": self._certificate,
            **dict.fromkeys(APPLICATIONS, self._apply),
            **dict.fromkeys(ENDORSEMENTS, self._endorse),
            **dict.fromkeys(edges.LINKS, self._link),
            **dict.fromkeys(edges.TENANTS, self._tenant),
        }
        return about[kind]() if kind in about else explain_ballots.explain(self, self._at)

    # Who is in

    def _accept(self) -> Account:
        owner = next((p for p, found in self.base.found.items() if self._entry.id in found.why), None)
        if owner is not None:
            return self.ended(owner) or counts("M3", "a founder accepted, and is in", self._entry.id)
        return self.permissive(self._at) or void(
            "M3", "its signer is no founder that the genesis lists, or accepted before"
        )

    def _certify(self) -> Account:
        entry, base = self._entry, self.base
        device, party = entry.thing[1], (entry.kid, entry.payload["incarnation"])
        if all(each.id != entry.id for each in base.certificates.get(device, ())):
            return self.permissive(self._at) or waits("M1", "the feed that it stands in does not count yet")
        if self.reaches.owners.get(device) != party:
            return void("M1", "another party's certificate names the same device")
        if device in base.active:
            told = "the device acts for its member"
            return superseded("M2", *self.reach(device)) if self._is_over(device) else counts("M1", told, entry.id)
        if party not in base.found:
            return waits("M1", "its member is not in")
        claim = entry.payload.get("predecessor")
        if claim is None:
            return void("M1", "the device is not its member's first, and the certificate names no predecessor")
        if claim[0] not in base.active:
            return waits("M1", "the device that it succeeds does not count")
        return void(
            "M1", "it claims more of its predecessor than a leave, a fork or a cut left", *self.reach(claim[0])[1:]
        )

    def _is_over(self, device: bytes) -> bool:
        return self.reaches.reach(device) != UNBOUNDED

    def _apply(self) -> Account:
        entry, base = self._entry, self.base
        party = (entry.kid, entry.payload["incarnation"])
        found = base.found.get(party)
        if found is not None and found.application == entry.id:
            return self.ended(party) or counts("G1.1", "the applicant is in", *found.why)
        if entry.thing[1] != entry.kid:
            return void("G1.4", "an application is about the key that signs it")
        if entry.id not in base.applications:
            told = "the fork that it names is not proven here of an earlier incarnation of this member"
            return self.permissive(self._at) or waits("G1.4", told)
        if found is not None:
            return superseded("G1.1", "another application let this incarnation in", *found.why)
        verdict = self.folded.growth.verdicts[entry.id]
        told = "; ".join(leaf.words for leaf in verdict.why)
        if entry.payload["expires"] < base.as_of:
            return void("G1.1", f"it expired before the rules held for it: {told}", *verdict.ids)
        return waits("G1.1", f"the rules do not hold for it yet: {told}", entry.id, *verdict.ids)

    def _endorse(self) -> Account:
        entry, base = self._entry, self.base
        ident = entry.payload["application"]
        party = (entry.thing[1], entry.payload["incarnation"])
        if all(each.id != entry.id for _, each in base.endorsements.get(ident, ())):
            return self.permissive(self._at) or self._not_endorsed()
        application = base.applications.get(ident)
        if application is None:
            return waits("G1.3", "the application that it names is not held, or does not count", ident)
        endorser = self.reaches.owners[self._feed]
        fits = (application.kid, application.payload["incarnation"]) == party
        if not fits or (entry.kind == "member.admit" and tuple(application.payload["inviter"]) != endorser):
            return void("G1.3", "it does not fit the application that it names", ident)
        found = base.found.get(party)
        if found is None and application.payload["expires"] < entry.iat:
            return void("G1.3", "the application had expired when it was endorsed", ident)
        if found is None:
            verdict = self.folded.growth.verdicts[ident]
            return waits("G1.1", "; ".join(leaf.words for leaf in verdict.why), *verdict.ids)
        if entry.id in found.why:
            return self.ended(party) or counts("G1.1", "it let the applicant in", *found.why)
        told = "the applicant is in without it; it counts among those that a member needs to become a voter"
        return self.ended(party) or counts("G1.3", told, entry.id)

    def _not_endorsed(self) -> Account:
        base, entry = self.base, self._entry
        owner = self.reaches.owners[self._feed]
        if owner in base.suspended:
            return waits("M5", "its signer is suspended", base.suspended[owner][1])
        as_of = base.known[entry.epoch or b""][1]
        taken = {place for day in {as_of // DAY, entry.iat // DAY} for place in base.days.get((owner, day), ())}
        used = (r.entry.id for r in self.ledger.register if (r.feed, r.index) in taken)
        told = f"its signer had endorsed {base.rules.invitations_a_day} on that day already"
        return void("G1.2", told, *used)

    def _credential(self) -> Account:
        entry, base = self._entry, self.base
        credential = next((c for c in base.credentials.get(entry.thing[1], ()) if c.id == entry.id), None)
        if credential is None:
            return self.permissive(self._at) or waits("M1", "the feed that it stands in does not count yet")
        for party, found in base.found.items():
            if entry.id in found.why:
                state, why = state_of(self.folded, party)
                return self.ended(party) or (
                    superseded("G1.1", "its serial was revoked", *why)
                    if state == "revoked"
                    else counts("G1.1", "it let its holder in", *found.why)
                )
        for application in base.applications.values():
            verdict = self.folded.growth.verdicts.get(application.id)
            if application.kid == entry.thing[1] and verdict is not None:
                told = "; ".join(leaf.words for leaf in verdict.why)
                return waits("G1.1", f"its holder's application is not let in: {told}", application.id)
        return waits("G1.1", "no application of its holder waits for it")

    # How far feeds count

    def _proof(self) -> Account:
        feed = self._entry.thing[1]
        return counts("M2", f"the feed is held at {self.reaches.forks[feed]} leaves: it forked there", self._entry.id)

    def _evidence(self) -> Account:
        guilty = self.reaches.proofs.get(self._entry.id)
        if guilty is not None:
            told = f"the voter signed against itself, and its feed is held at {self.reaches.forks[guilty]} leaves"
            return counts("M2", told, self._entry.id)
        if self._entry.payload["epoch"] not in self.base.history:
            return waits("M2", "it is about an epoch that is not known here, or over too long")
        return void("M2", "the two messages do not convict anybody, or another than it names")

    def _retire(self) -> Account:
        feed, owner = self._entry.thing[1], self.reaches.owners.get(self._entry.thing[1])
        if owner is None:
            return waits("M2", "no certificate held here says whose device it is")
        if owner[0] != self._entry.kid or self._entry.payload["final"][0] != feed:
            return void("M2", "it is not signed by the root key of the device's member, or names another feed")
        return counts("M2", f"the feed counts for its first {self.reaches.reach(feed)} leaves alone", self._entry.id)

    def _leave(self) -> Account:
        owner = self.reaches.owners.get(self._feed)
        if owner is None:
            return waits("M2", "no certificate held here says whose device wrote it")
        if owner[0] != self._entry.thing[1]:
            return void("M2", "a device speaks for its own member alone")
        return counts("M2", "the member left by it, for good in this incarnation", self._entry.id)

    # Links and tenants

    def _link(self) -> Account:
        entry, base = self._entry, self.base
        owner = self.reaches.owners.get(self._feed)
        source: Party = tuple(entry.payload["from"])
        target: Party = tuple(entry.payload["to"])
        if owner is None:
            return waits("M1", "no certificate held here says whose device wrote it")
        if owner != source or entry.thing[1] != link_id(source, target) or source == target:
            return void("M4", "it does not speak for its signer's end of the link that it names")
        beyond = self._at.index >= (self.reaches.reach(self._feed) if self._feed in base.active else 0)
        if entry.kind in edges.POSITIVE and (account := self.permissive(self._at)) is not None:
            return account
        pair = edge(source, target)
        ends = base.links.get(pair, {})
        newest = ends.get(source)
        if not beyond and newest is not None and newest[0] > (base.active[self._feed], self._at.index):
            return superseded("M4", "its end of the link said something newer", *self._said_at(newest[0]))
        lost = next((end for end in pair if not self.belongs(end)), None)
        if lost is not None and (over := self.ended(lost)) is not None:
            return Account(over.verdict, "M4", f"one end of the link is no member: {over.words}", over.why)
        state = edges.links(base, self.belongs).get(pair, "offered")
        others = (self._said_at(place) for end, (place, _) in ends.items() if end != source)
        return counts("M4", f"the link is {state}", entry.id, *(ident for said in others for ident in said))

    def _said_at(self, place: tuple[int, int]) -> Iterable[bytes]:
        rank, index = place
        return [r.entry.id for r in self.ledger.register if r.index == index and self.base.active.get(r.feed) == rank]

    def _tenant(self) -> Account:
        entry, base = self._entry, self.base
        tenant, host = entry.thing[1], tuple(entry.payload["host"])
        if entry.kind == "tenant.host" and (account := self.permissive(self._at)) is not None:
            return account
        owner = self.reaches.owners.get(entry.kid)
        if entry.kid == tenant:
            best = base.tenants.get(tenant)
            if best is not None and best.id != entry.id:
                return superseded("M4", "the tenant said something with a higher serial", best.id)
            said = base.hosts.get((tenant, host))
            if entry.kind == "tenant.host" and (said is None or said.payload.get("terms") != entry.payload["terms"]):
                return waits(
                    "M4", "the host does not say the same, or has ended it", said.id if said is not None else b""
                )
        elif owner is None:
            return waits("M1", "no certificate held here says whose device signed it")
        elif owner != host or (entry.kind == "tenant.host" and self._feed != entry.kid):
            return void("M4", "neither the tenant nor the host that it names signed it, in its own feed")
        elif (newest := base.hosts.get((tenant, owner))) is not None and newest.id != entry.id:
            return superseded("M4", "the host said something newer, or has ended it for good", newest.id)
        if not self.belongs(host) and (over := self.ended(host)) is not None:
            return Account(over.verdict, "M4", f"the host is no member: {over.words}", over.why)
        return counts(
            "M4", "it says who hosts the tenant" if entry.kind == "tenant.host" else "it ends the hosting", entry.id
        )

    # Seals

    def _frontier(self) -> Account:
        digest = self._entry.payload["digest"]
        used = [
            s
            for ref in self.base.known
            for s in self.ledger.register.after(ref)
            if s.seal.epoch.frontier_digest == digest
        ]
        if used:
            return counts(
                "G2.2", "a certificate rests on the frontier that it lists", *(s.registration.entry.id for s in used)
            )
        return waits("G2.2", "no certificate held here names the frontier that it lists")

    def _certificate(self) -> Account:
        sighting = self._sighting()
        if sighting is None:
            return void("G2.1", "it holds no certificate")
        epoch = sighting.seal.epoch
        if epoch.reference() in self.base.known:
            return counts("G2", f"epoch {epoch.n} rests on it", self._entry.id)
        line = self.ledger.chain.line(self.tip, self.ledger.view)
        before = next((base for base in line if base.reference == epoch.prev), None)
        if before is None:
            return waits("G2.2", f"the epoch before {epoch.n} is not known here")
        rule = self.ledger.chain.assess(sighting, before, self.ledger.view)
        match rule:
            case "G2.1":
                return void(rule, f"no quorum of epoch {before.n} signed it")
            case "G2.2":
                return waits(rule, "not all that lies below its frontier is held here")
            case "G2.3":
                return void(rule, "the entries below its frontier do not give this epoch: other rules made it")
            case _:
                return superseded("G2.4", "a rival seal of the same epoch is followed here")

    def _sighting(self) -> Sighting | None:
        for reference in {self._entry.epoch or b"", *self.base.known}:
            for sighting in self.ledger.register.after(reference):
                if sighting.registration.entry.id == self._entry.id:
                    return sighting
        return None
