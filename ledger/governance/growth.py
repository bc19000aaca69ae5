"""How membership grows: which feeds count, and who is in (rules M1 and M3 of `members`).

How it works
    With the reach of every feed fixed (`reaches`), growth takes the permissive statements of each feed that counts:
    certificates and applications, then endorsements and credentials. An applicant is in when the predicate of the
    rules holds (`policy.admissible`), and so its feed counts as well. Each feed is read once; whatever the order, the
    same feeds are reached. Growth goes on from what a `Base` holds, and tells which statements need no second look.

What it does not do
    It does not look at links and tenants (`edges`), and takes nobody out: a feed's reach does that.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from fractions import Fraction
from typing import Final

from ledger import keys
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.epoch import Genesis
from ledger.governance.policy import Credential, Endorsement, Evidence, Outcome, Verdict, admissible
from ledger.governance.roster import Party
from ledger.governance.rules import voices
from ledger.governance.state import Base, Found
from ledger.schema import DAY

Counts = Callable[[Registration], bool]
"""Whether a permissive statement counts now: inside its feed's reach, its epoch known, what it has seen held."""

APPLICATIONS: Final = frozenset({"member.apply", "member.repair"})
ENDORSEMENTS: Final = frozenset({"member.admit", "member.sponsor"})


def endorses(entry: Entry, endorser: Party, party: Party) -> bool:
    """Say whether an endorsement is of this very party. An earlier incarnation is no voice for a later one."""
    return (entry.thing[1], entry.payload["incarnation"]) == party and endorser[0] != party[0]


class Growth:
    """One growth over the tables of a fold, which it changes. `done`: (feed, index) of what needs no second look.

    `won`: support of the ballots on an application, by its id. `silenced`: parties that may not endorse now.
    """

    def __init__(
        self,
        genesis: Genesis,
        base: Base,
        by_feed: Mapping[bytes, list[Registration]],
        counts: Counts,
        won: Mapping[bytes, Iterable[tuple[bytes, Fraction]]],
        silenced: Collection[Party],
    ) -> None:
        self.done: set[tuple[bytes, int]] = set()
        self.capped = False  # an invitation came too late on its day, and so it matters which were looked at first
        self.verdicts: dict[bytes, Verdict] = {}  # by application
        self._genesis, self._base, self._by_feed, self._counts = genesis, base, by_feed, counts
        self._won, self._silenced = won, silenced
        self._queue: deque[bytes] = deque()
        self._voices = voices(base.rules.affiliations)
        self._asked: dict[bytes, list[bytes]] | None = None
        self._heirs: dict[bytes, set[bytes]] = defaultdict(set)
        self._borne: dict[bytes, list[Registration]] = defaultdict(list)  # by predecessor: in the heir's own feed
        for feed, registrations in by_feed.items():
            for registration in registrations:
                entry = registration.entry
                if entry.kind == "device.certify" and entry.thing[1] == feed and "predecessor" in entry.payload:
                    self._borne[entry.payload["predecessor"][0]].append(registration)

    def run(self) -> None:
        """Grow until nothing moves."""
        for root, device in sorted(self._genesis.founders):
            if (feed := keys.thumbprint(device)) in self._by_feed:
                self._found_by_genesis(root, feed)
        queued = set(self._queue)
        self._queue.extend(feed for feed in self._base.active if feed in self._by_feed and feed not in queued)
        waiting = [ident for ident, each in self._base.applications.items() if _applicant(each) not in self._base.found]
        for application_id in waiting:  # the rules or a ballot may have let them in
            self._admit(application_id)
        while self._queue:
            self._read(self._queue.popleft())
        for predecessor in [feed for feed in self._borne if feed in self._base.active]:
            self._inherited(predecessor)
        while self._queue:
            self._read(self._queue.popleft())

    def go_on(self) -> None:
        """Read what a growth over these tables has not seen yet; for statements that only add (see `onward`)."""
        self._queue.extend(feed for feed in self._by_feed if feed in self._base.active)
        while self._queue:
            self._read(self._queue.popleft())

    def _take(self, registration: Registration) -> bool:
        """Say whether a statement counts, and if so that it is done with."""
        if not self._counts(registration):
            return False
        self.done.add((registration.feed, registration.index))
        return True

    def _found_by_genesis(self, root: bytes, feed: bytes) -> None:
        """Take in a founder who accepted. The first feed bears its own certificate: nothing came before it."""
        kid, party = keys.thumbprint(root), (keys.thumbprint(root), 1)
        for registration in self._by_feed.get(feed, ()):
            entry = registration.entry
            if entry.thing[1] == feed and entry.kind == "device.certify" and self._take(registration):
                self._certified(entry)
            elif entry.thing[1] == kid and entry.kind == "genesis.accept" and self._take(registration):
                name, college = entry.payload.get("name", ""), entry.payload.get("college", "")
                self._base.found.setdefault(party, Found(root, name, feed, (entry.id,), college=college))
        if party in self._base.found:
            self._try(feed)

    def _read(self, feed: bytes) -> None:
        """Take the permissive statements of a feed that counts."""
        party = self._base.reaches.owners[feed]
        for registration in self._by_feed.get(feed, ()):
            if (registration.feed, registration.index) in self.done:
                continue
            entry = registration.entry
            if entry.kind == "device.certify" and self._take(registration):
                self._certified(entry)
                self._try(entry.thing[1])
            elif entry.kind in APPLICATIONS and self._is_sound(entry) and self._take(registration):
                if self._asked is not None and entry.id not in self._base.applications:
                    self._asked[entry.kid].append(entry.id)
                self._base.applications[entry.id] = entry
                self._admit(entry.id)
            elif entry.kind in ENDORSEMENTS and party not in self._silenced:
                self._endorse(party, registration)
            elif entry.kind == "member.credential" and self._take(registration):
                self._credited(entry)
        self._inherited(feed)

    def _is_sound(self, entry: Entry) -> bool:
        """Say whether an application is by the key it is about, and a repair names a fork of an earlier incarnation."""
        if entry.thing[1] != entry.kid:
            return False
        if entry.kind == "member.apply":
            return True
        reaches = self._base.reaches
        owner = reaches.owners.get(reaches.proofs.get(entry.payload["fork"], b""))
        return owner is not None and owner[0] == entry.kid and owner[1] < entry.payload["incarnation"]

    def _endorse(self, party: Party, registration: Registration) -> None:
        """Take an endorsement, unless the party used up its invitations of that day.

        Days are those of governance time; before the first seal there is none, and the entry's own date stands for it.
        An invitation has its turn whether it counts yet or not: a later arrival never displaces another.
        """
        entry, place = registration.entry, (registration.feed, registration.index)
        as_of = self._base.known.get(entry.epoch or b"", (0, entry.iat))[1] if self._base.n else entry.iat
        day = (party, as_of // DAY)
        taken = self._base.days.get(day, frozenset())
        if place not in taken and len(taken) >= self._base.rules.invitations_a_day:
            self.capped = True
            self.done.add(place)
            return
        self._base.days[day] = taken | {place}
        if self._take(registration):
            application = entry.payload["application"]
            endorsements = self._base.endorsements.get(application, ())
            if all(known.id != entry.id for _, known in endorsements):
                self._base.endorsements[application] = (*endorsements, (party, entry))
            self._admit(application)

    def _credited(self, entry: Entry) -> None:
        kid, valid = entry.thing[1], entry.payload["valid"]
        credential = Credential(entry.id, entry.signer, entry.payload["serial"], (valid[0], valid[1]))
        if all(known.id != entry.id for known in self._base.credentials.get(kid, ())):
            self._base.credentials[kid] = (*self._base.credentials.get(kid, ()), credential)
        for application in list(self._asked_by().get(kid, ())):
            self._admit(application)

    def _asked_by(self) -> dict[bytes, list[bytes]]:
        """Return the applications by whose they are, gathered once."""
        if self._asked is None:
            self._asked = defaultdict(list)
            for each in self._base.applications.values():
                self._asked[each.kid].append(each.id)
        return self._asked

    def _inherited(self, feed: bytes) -> None:
        """Take the certificates that heirs of this feed bear in their own, and try its heirs."""
        for registration in self._borne.get(feed, ()):
            if (registration.feed, registration.index) not in self.done and self._take(registration):
                self._certified(registration.entry)
        for heir in sorted(self._heirs[feed] | {heir for _, heir in self._base.reaches.heirs.get(feed, ())}):
            self._try(heir)

    def _certified(self, entry: Entry) -> None:
        feed = entry.thing[1]
        known = self._base.certificates.get(feed, ())
        if all(each.id != entry.id for each in known):
            self._base.certificates[feed] = (*known, entry)
        claim = entry.payload.get("predecessor")
        if claim is not None:
            self._heirs[claim[0]].add(feed)

    def _try(self, feed: bytes) -> None:
        """Let a feed count if it is certified, its party is in, and it begins or inherits."""
        base, owner = self._base, self._base.reaches.owners.get(feed)
        if feed in base.active or owner is None or owner not in base.found:
            return
        for certificate in base.certificates.get(feed, ()):
            if (certificate.kid, certificate.payload["incarnation"]) == owner and (
                base.found[owner].first == feed or self._inherits(certificate)
            ):
                base.active[feed] = len(base.active)
                self._queue.append(feed)
                return

    def _inherits(self, certificate: Entry) -> bool:
        claim = certificate.payload.get("predecessor")
        if claim is None or claim[0] not in self._base.active:
            return False
        reaches = self._base.reaches
        return reaches.certifies(certificate, claim[0]) and claim[1] <= reaches.heirs_from(claim[0])

    def _admit(self, application_id: bytes) -> None:
        """Take in an applicant as soon as the rules' predicate holds."""
        base, application = self._base, self._base.applications.get(application_id)
        if application is None:
            return
        payload, party = application.payload, _applicant(application)
        if party in base.found:
            return
        verdict = self.verdicts[application_id] = admissible(base.rules.admission, self._evidence(application, party))
        if not verdict.holds:
            return
        serials = tuple(c.serial for c in base.credentials.get(application.kid, ()) if c.id in verdict.ids)
        why = tuple(dict.fromkeys((*verdict.ids, application_id)))
        name, college, device = payload.get("name", ""), payload.get("college", ""), payload["device"]
        base.found[party] = Found(
            application.signer, name, device, why, base.n, application_id, college=college, serials=serials
        )
        self._try(device)

    def _evidence(self, application: Entry, party: Party) -> Evidence:
        base, expires = self._base, application.payload["expires"]
        endorsements = tuple(
            Endorsement(entry.id, endorser)
            for endorser, entry in base.endorsements.get(application.id, ())
            if endorses(entry, endorser, party)
            and expires >= entry.iat
            and (entry.kind == "member.sponsor" or tuple(application.payload["inviter"]) == endorser)
        )
        in_time = expires >= base.as_of
        return Evidence(
            application.id,
            application.payload.get("charter"),
            endorsements,
            base.credentials.get(party[0], ()) if in_time else (),
            tuple(Outcome(ident, support) for ident, support in self._won.get(application.id, ())) if in_time else (),
            base.as_of,
            self._voices,
        )


def _applicant(application: Entry) -> Party:
    return application.kid, application.payload["incarnation"]
