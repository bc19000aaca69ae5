"""The governance entries that a node holds, in the order a fold needs them.

How it works
    Registrations are kept by feed, in the feed's order, so that those beyond a frontier are found without looking at
    the rest. Certificates are kept by the epoch that they follow, and parts of frontiers by digest.

What it does not do
    It judges nothing: a certificate in it may be forged (`chain` verifies), a statement void.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.certificate import CERTIFICATE_BYTES_MAX, EpochContext, Seal
from ledger.keys import thumbprint

HEIRS_MAX: Final = 8  # devices that may follow one another in an epoch, and still seal: so long is a line of heirs


@dataclass(frozen=True, slots=True)
class Sighting:
    """A certificate at a leaf: not yet verified."""

    registration: Registration
    seal: Seal


class Register:
    """Every sound governance registration held, each leaf once."""

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._by_feed: dict[bytes, list[Registration]] = defaultdict(list)
        self._certificates: dict[bytes, list[Sighting]] = defaultdict(list)
        self._parts: dict[bytes, list[Registration]] = defaultdict(list)
        self._evidence: dict[bytes, list[Registration]] = defaultdict(list)
        self._contested: set[bytes] = set()
        self._leaves: dict[bytes, list[Registration]] = defaultdict(list)  # by the member that they are about
        self._devices: set[tuple[bytes, bytes]] = set()  # (feed, root key that certified it)
        self._successors: dict[bytes, list[Registration]] = defaultdict(list)  # by the feed that they follow
        self._seen: dict[bytes, int] = {}  # by feed: how far an entry of another feed has seen it
        self._order: list[Registration] = []  # as they came
        self.disorder = 0  # how often one came that is not the last of its feed, or some were forgotten
        for registration in registrations:
            self.add(registration)

    def add(self, registration: Registration) -> None:
        """Keep one more; a leaf that is kept already is not kept twice."""
        feed = self._by_feed[registration.feed]
        place = bisect_left(feed, registration.index, key=_index)
        if place < len(feed) and feed[place].index == registration.index:
            return
        self.disorder += place < len(feed)
        feed.insert(place, registration)
        self._order.append(registration)
        entry = registration.entry
        for head in entry.seen:
            if head.feed != registration.feed:
                self._seen[head.feed] = max(head.size, self._seen.get(head.feed, 0))
        self._sort(registration, entry)

    def _sort(self, registration: Registration, entry: Entry) -> None:
        match entry.kind:
            case "seal.frontier":
                self._parts[entry.payload["digest"]].append(registration)
            case "seal.certificate" if (seal := seal_of(entry)) is not None:
                known = self._certificates[seal.epoch.prev]
                if known and known[0].seal != seal:
                    self._contested.add(seal.epoch.prev)
                known.append(Sighting(registration, seal))
            case "seal.evidence":
                self._evidence[entry.payload["epoch"]].append(registration)
            case "member.leave":
                self._leaves[entry.thing[1]].append(registration)
            case "device.certify":
                self._devices.add((entry.thing[1], entry.kid))
                if "predecessor" in entry.payload:
                    self._successors[entry.payload["predecessor"][0]].append(registration)
            case _:
                pass

    def __iter__(self) -> Iterator[Registration]:
        """Yield every registration, feed by feed."""
        for feed in self._by_feed.values():
            yield from feed

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._order)

    def since(self, count: int) -> list[Registration]:
        """Return those that came after the first `count`."""
        return self._order[count:]

    def beyond(
        self, frontier: Mapping[bytes, Head], sizes: Mapping[bytes, int] | None = None
    ) -> Iterator[Registration]:
        """Yield the registrations that do not lie below a frontier; `sizes`: those that lie below these sizes alone."""
        for feed in self._by_feed if sizes is None else sizes:
            head, registrations = frontier.get(feed), self._by_feed.get(feed)
            first = head.size if head is not None else 0
            if not registrations or registrations[-1].index < first:
                continue
            start = bisect_left(registrations, first, key=_index)
            stop = len(registrations) if sizes is None else bisect_left(registrations, sizes[feed], key=_index)
            yield from registrations[start:stop]

    def unseen(self) -> Iterator[bytes]:
        """Yield the feeds whose last governance entry no governance entry of another feed has seen."""
        for feed, registrations in self._by_feed.items():
            if registrations and self._seen.get(feed, 0) <= registrations[-1].index:
                yield feed

    def truncate(self, size: Callable[[bytes], int]) -> None:
        """Forget what lies at or beyond each feed's size: its leaves were never committed."""
        kept = [each for each in self if each.index < size(each.feed)]
        if len(kept) < len(self):
            for table in (self._by_feed, self._certificates, self._parts, self._evidence, self._leaves, self._seen):
                table.clear()
            self._successors.clear()
            self._contested.clear()
            self._devices.clear()
            self._order.clear()
            self.disorder += 1
            for registration in kept:
                self.add(registration)

    def after(self, reference: bytes) -> list[Sighting]:
        """Return the certificates of epochs that say they follow this one."""
        return self._certificates.get(reference, [])

    def contested(self) -> Iterator[bytes]:
        """Yield the epochs after which more than one seal is said to come."""
        yield from self._contested

    def evidence(self, reference: bytes) -> list[Registration]:
        """Return what is said to convict voters of an epoch."""
        return self._evidence.get(reference, [])

    def has_left(self, member: bytes, size: Callable[[bytes], int]) -> bool:
        """Say whether a device of a member (root key id) says, below the feeds' sizes, that the member leaves."""
        return any(
            each.index < size(each.feed) and (each.feed, member) in self._devices
            for each in self._leaves.get(member, ())
        )

    def heirs(self, context: EpochContext, size: Callable[[bytes], int]) -> EpochContext:
        """Return the context with the successors of its voters' devices that are certified below the feeds' sizes.

        A line of heirs is bounded, not their number: more certificates never take an heir away, and so no seal that it
        signed.
        """
        found: list[tuple[int, bytes]] = []
        if self._successors:
            for place, (kid, public) in enumerate(context.voters):
                last, known = {thumbprint(public)}, dict[bytes, bytes]()
                for _ in range(HEIRS_MAX):
                    heirs = (each for feed in last for each in self._successors.get(feed, ()))
                    held = (each.entry for each in heirs if each.entry.kid == kid and each.index < size(each.feed))
                    fresh = {entry.thing[1]: entry.payload["device"] for entry in held}
                    last = fresh.keys() - known.keys()
                    known.update(fresh)
                    if not last:
                        break
                found.extend((place, heir) for heir in sorted(known.values()))
        return replace(context, heirs=tuple(found))

    def parts(self, digest: bytes) -> list[Registration]:
        """Return the parts held of a frontier with this digest."""
        return self._parts.get(digest, [])


def _index(registration: Registration) -> int:
    return registration.index


def seal_of(entry: Entry) -> Seal | None:
    """Return the seal that a `seal.certificate` carries, whoever signed it; None where there is none."""
    try:
        match codec.decode(entry.payload["certificate"], max_bytes=CERTIFICATE_BYTES_MAX):
            case [int(), bytes(seal), *_]:
                return Seal.decode(seal)
    except RemoteError:
        return None
    return None
