"""Which certificates of the epoch that comes next are worth following (rule G2.1 of `chain`).

How it works
    A certificate says itself which voters left, and so how many signatures it needs. Nobody else's word is good for
    that: a voter counts as gone only where its own `member.leave` is held, else one traitor could certify alone that
    everybody else had left. Expulsions need no such look: fewer than half of the voters can be expelled by one seal,
    and more than half of all must then have signed.
    Two seals of one epoch are rivals. Voters who committed to both in one round, or whom evidence convicts, are
    struck from both; a seal stands where the commits of one round still make its quorum.

What it does not do
    It folds nothing: whether a seal is what the entries yield is for `chain` to see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from ledger import keys
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.certificate import Certificate, EpochContext, Seal, Signatures, joined, unsigned
from ledger.governance.register import Register, Sighting
from ledger.governance.roster import View
from ledger.governance.rounds import guilty


class _Doubt:
    """A certificate with commits that its voters' own devices did not make; each heir's key is tried on them once."""

    def __init__(self, certificate: Certificate, commits: Signatures) -> None:
        self.certificate, self._commits = certificate, commits
        self._tried: dict[tuple[int, bytes], bool] = {}  # (voter, heir's key) -> whether it made the voter's commit

    def is_cleared(self, context: EpochContext) -> bool:
        """Say whether heirs, as the context has them, made every doubtful commit."""
        return all(
            any(self._made(context, place, public, signature) for public in context.keys_of(place)[1:])
            for place, signature in self._commits
        )

    def _made(self, context: EpochContext, place: int, public: bytes, signature: bytes) -> bool:
        key = (place, public)
        if key not in self._tried:
            self._tried[key] = keys.verify(public, self.certificate.message(context), signature)
        return self._tried[key]


class Certified:
    """The certificates in a register, each verified once, by the epoch that they follow."""

    def __init__(self, register: Register, genesis: EpochContext) -> None:
        self._register = register
        self._contexts = {genesis.reference: genesis}
        self._before: dict[bytes, bytes] = {}  # epoch -> the one before
        self._verified: dict[bytes, Certificate | None] = {}  # by entry: one a registered certificate at most
        self._doubts: dict[bytes, _Doubt] = {}  # by entry: of those that are None above, and may yet be verified
        self._guilty: dict[bytes, int | None] = {}  # by entry, of evidence
        self.trusted: frozenset[bytes] = frozenset()  # entries whose signatures this node's own store saw verified
        self.fresh: list[bytes] = []  # entries verified since somebody took them from here

    def enter(self, context: EpochContext, before: EpochContext) -> None:
        """Note an epoch that is followed: certificates of the next one can be verified from now on."""
        if context.reference not in self._contexts:
            same = context.voters == before.voters
            kept = EpochContext(
                context.mesh_id,
                context.reference,
                context.n,
                context.as_of,
                before.voters if same else context.voters,
            )
            self._contexts[context.reference] = kept
            self._before[context.reference] = before.reference

    def verify(self, sighting: Sighting, view: View | None = None) -> Certificate | None:
        """Return a certificate that the voters of the epoch before signed, or None.

        `view`: inside which a voter's device may have a successor, which then signs for it.
        """
        entry, context = sighting.registration.entry, self._contexts.get(sighting.seal.epoch.prev)
        if context is None:
            return None
        if entry.id not in self._verified:
            self._verified[entry.id] = self._look(entry, context)
        found, doubt = self._verified[entry.id], self._doubts.get(entry.id)
        if found is not None or doubt is None or view is None:
            return found
        return doubt.certificate if doubt.is_cleared(self._register.heirs(context, view.size)) else None

    def _look(self, entry: Entry, context: EpochContext) -> Certificate | None:
        """Verify a certificate by the voters' own devices; what these did not sign, their heirs may have."""
        is_trusted = entry.id in self.trusted
        try:
            certificate = Certificate.decode(entry.payload["certificate"], context.size)
            doubtful = () if is_trusted else unsigned(certificate, context)
        except RemoteError:
            return None
        if doubtful:
            self._doubts[entry.id] = _Doubt(certificate, doubtful)
            return None
        if not is_trusted:
            self.fresh.append(entry.id)
        return certificate

    def after(self, reference: bytes, view: View, excused: Collection[bytes] = ()) -> dict[bytes, list[Certificate]]:
        """Return the certificates of what follows an epoch, by the digest of their seal, as far as a view reaches.

        `excused`: voters whose leave need not be held.
        """
        found: dict[bytes, list[Certificate]] = {}
        for sighting in self._register.after(reference):
            if sighting.registration.index < view.size(sighting.registration.feed):
                certificate = self.verify(sighting, view)
                if certificate is not None and self._is_plausible(certificate, view, excused):
                    found.setdefault(certificate.seal.digest(), []).append(certificate)
        return dict(sorted(found.items()))

    def _is_plausible(self, certificate: Certificate, view: View, excused: Collection[bytes]) -> bool:
        """Say whether every voter that the seal calls gone has said so itself."""
        context = self._contexts[certificate.epoch.prev]
        left = (context.voters[place][0] for place in certificate.seal.left)
        return all(voter in excused or self._register.has_left(voter, view.size) for voter in left)

    def is_contested(self, reference: bytes, view: View) -> bool:
        """Say whether more than one seal of an epoch is certified inside a view."""
        return len(self.after(reference, view)) > 1

    def holds(self, reference: bytes, view: View) -> bool:
        """Say whether a view holds the certificate of an epoch that was followed once; the genesis needs none."""
        before = self._before.get(reference)
        if before is None:
            return reference in self._contexts
        found = self.after(before, view).values()
        return any(each.epoch.reference() == reference for listed in found for each in listed[:1])

    def entry(self, reference: bytes, view: View) -> Entry | None:
        """Return an entry that certifies an epoch which was followed."""
        for sighting in self._register.after(self._before.get(reference, b"")):
            if sighting.seal.epoch.reference() == reference and self.verify(sighting, view) is not None:
                return sighting.registration.entry
        return None

    def standing(self, rivals: Mapping[bytes, list[Certificate]], view: View) -> list[bytes]:
        """Return which of several seals of one epoch stand once voters who signed two of them are struck from all."""
        context = self._contexts[next(iter(rivals.values()))[0].epoch.prev]
        struck, rounds = self._convicted(context, view), defaultdict[tuple[int, int], set[bytes]](set)
        for digest, certificates in rivals.items():
            for each in certificates:
                for place, _ in each.commits:
                    rounds[place, each.round].add(digest)
        struck |= {place for (place, _), digests in rounds.items() if len(digests) > 1}
        return [
            digest
            for digest, certificates in rivals.items()
            if any(
                sum(place not in struck for place, _ in each.commits) >= each.seal.quorum(context.size)
                for each in _by_round(certificates)
            )
        ]

    def _convicted(self, context: EpochContext, view: View) -> set[int]:
        """Return the voters whom evidence inside a view convicts of contradicting themselves in this epoch."""
        found = set()
        for registration in self._register.evidence(context.reference):
            if registration.index < view.size(registration.feed):
                entry = registration.entry
                if entry.id not in self._guilty:
                    self._guilty[entry.id] = guilty(entry.payload["messages"], context)
                found.add(self._guilty[entry.id])
        return {place for place in found if place is not None}


def has_quorum(certificates: Iterable[Certificate], seal: Seal, context: EpochContext) -> bool:
    """Say whether enough of the voters that remain by `seal` signed one of the certificates, whatever it says."""
    remaining = seal.remaining(context.size)
    return any(
        sum(place in remaining for place, _ in each.commits) >= seal.quorum(context.size)
        for each in _by_round(certificates)
    )


def _by_round(certificates: Iterable[Certificate]) -> list[Certificate]:
    """Return one certificate a round, each with all its commits that are known."""
    found: dict[int, Certificate] = {}
    for each in certificates:
        found[each.round] = joined(found[each.round], each) if each.round in found else each
    return list(found.values())
