"""Consents that rest on others, on live nodes: what ends far up a chain ends the flow with the next pack.

How it works
    Entries are signed by the test and registered at nodes; their content is put into the vaults of holder and
    recipient, as if it had been disclosed. Every attack first warms the caches: something flows. Then one thing
    changes.

What it does not do
    It gives no delegation by operations: their tests do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.consent.bounds import Bounds
from ledger.consent.disclosure import Disclosures, hide_bounds, seal
from ledger.consent.record import OnwardSharing, Terms
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.vaults.consents import GRANT, ConsentRow
from tests.ledger.consent.cases import NOTICE
from tests.ledger.consent.chains import Book, key
from tests.node.flows.world import LONG, SHORT, Side, World, terms

ANNA, BEN, CARL, DORA = (key(number) for number in range(1, 5))


class Scene:
    """A world with three nodes, and a book of entries for it."""

    def __init__(self, *, long: bool = False) -> None:
        self.world = World(3)
        self.series = LONG if long else SHORT
        self.world.import_series(self.series)
        holder = self.world.holder
        head = holder.act(lambda turn: turn.shown_head())
        assert NOTICE.dated < self.world.now
        self.book = Book(holder.core.replica.mesh_id, head, self.world.now)
        self.end = (self.world.now // DAY + 300) * DAY

    def put(self, *entries: Entry, at: Side | None = None, content: bool = True) -> None:
        """Register entries at a node (the third one unless told), and put their content where it belongs."""
        side = at or self.world.sides[2]
        side.act(lambda turn: [turn.register(entry) for entry in entries])
        self.world.pump()
        for entry in entries if content else ():
            self.tell(entry)

    def tell(self, entry: Entry, content: Disclosures | None = None) -> None:
        """Put the content of an entry into the vaults of holder and recipient."""
        found = content or self.book.contents[entry.id]
        for side in self.world.sides[:2]:

            def keep(turn: Turn, side: Side = side) -> None:
                kind = GRANT if entry.kind == "consent.grant" else "other"
                row = ConsentRow(entry.id, kind, "", turn.now, found)
                parties = (self.world.holder.party, self.world.recipient.party)
                side.flows.consents.put(turn.vault, row, *parties)
                side.flows.door.forget(entry.id)

            side.act(keep)

    def delegated(self, bounds: Bounds | None = None) -> tuple[list[Entry], Entry]:
        """Register a chain of three delegations, and a grant under the last one."""
        book = self.book
        first = book.delegation(ANNA, BEN, bounds, depth=2, valid_until=self.end)
        second = book.delegation(BEN, CARL, bounds, parent=first, depth=1, valid_until=self.end)
        third = book.delegation(CARL, DORA, bounds, parent=second, depth=0, valid_until=self.end)
        grant = self.grant(DORA, terms(self.series), delegation=third.id)
        self.put(first, second, third, grant)
        return [first, second, third], grant

    def grant(self, signer: Any, content: Terms, **more: Any) -> Entry:
        """Sign a grant between holder and recipient."""
        parties = {"holder": self.world.holder.party, "recipient": self.world.recipient.party, **more}
        return self.book.grant(signer, content, valid_until=self.end, **parties)

    def asked(self, grant: Entry, **what: Any) -> tuple[int, str]:
        """Have the recipient ask; return how many records came, and why not more."""
        transfer = self.world.ask(grant=grant.id, **what)
        self.world.pump()
        row = self.world.recipient.received(transfer)
        assert row is not None
        waits = self.world.holder.sent(transfer)
        return row.tally.count, row.reason or (waits.reason if waits is not None else "")

    def revoke(self, *links: Entry, by: Any = ANNA) -> Entry:
        """Revoke the first of these; the others show that the signer stands above it."""
        raw = {"links": [link.raw for link in links]}
        entry = self.book.sign(by, "delegation.revoke", raw, about=links[0])
        self.put(entry, content=False)
        return entry


def test_data_flow_under_a_chain_of_three() -> None:
    scene = Scene()
    links, grant = scene.delegated()
    count, reason = scene.asked(grant)
    assert reason == ""
    assert count >= len(SHORT.starts)
    (transfer,) = scene.world.holder.transfers()
    receipt = scene.world.holder.account(b"r", transfer)
    assert receipt is not None
    decision = scene.world.holder.look(
        lambda turn: scene.world.holder.flows.door.judge(turn, scene.world.wanted(grant=grant.id)).decision
    )
    assert decision.entries == (grant.id, *(link.id for link in reversed(links)))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_link_revoked_in_the_midst_of_a_transfer_stops_the_next_pack(place: int) -> None:
    scene = Scene(long=True)
    world = scene.world
    links, grant = scene.delegated()
    transfer = world.ask(grant=grant.id)
    way = (world.recipient.device.kid, world.holder.device.kid)
    world.step(way)
    assert world.holder.sent(transfer) is not None
    scene.book.now = world.now
    raw = {"links": [links[place].raw]}
    giver = (ANNA, BEN, CARL)[place]
    revocation = scene.book.sign(giver, "delegation.revoke", raw, about=links[place])
    world.holder.act(lambda turn: turn.register(revocation))
    sent = world.holder.account(b"r", transfer)
    world.pump()
    row = world.recipient.received(transfer)
    assert row is not None
    assert row.reason == "DELEGATION_REVOKED"
    assert row.tally.count < len(LONG.starts)
    assert sent is not None
    assert scene.asked(grant) == (0, "DELEGATION_REVOKED")


def test_the_delegate_and_who_stands_above_may_end_a_link_and_nobody_else() -> None:
    for by, shown in [(ANNA, (2, 1, 0)), (BEN, (2, 1)), (DORA, (2,))]:
        scene = Scene()
        links, grant = scene.delegated()
        assert scene.asked(grant)[1] == ""
        scene.revoke(*(links[place] for place in shown), by=by)
        assert scene.asked(grant) == (0, "DELEGATION_REVOKED")
    scene = Scene()
    links, grant = scene.delegated()
    with pytest.raises(LocalError):
        scene.revoke(links[2], by=key(77))
    assert scene.asked(grant)[1] == ""


def _bounds_erased(scene: Scene, links: list[Entry], grant: Entry) -> None:
    for side in scene.world.sides[:2]:

        def erase(turn: Turn, side: Side = side) -> None:
            side.flows.consents.erase(turn.vault, links[0].id, scene.world.holder.party, None)
            side.flows.door.forget(links[0].id)

        side.act(erase)


def _amended_unseen(scene: Scene, links: list[Entry], grant: Entry) -> None:
    amendment = scene.book.amend(DORA, grant, terms(SHORT))
    scene.put(amendment, content=False)


def _member_gone(scene: Scene, links: list[Entry], grant: Entry) -> None:
    scene.world.pass_time(301 * DAY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_bounds_erased, "DELEGATION_HIDDEN"),
        (_amended_unseen, "DISCLOSURE_MISSING"),
        (_member_gone, "EXPIRED"),
    ],
)
def test_no_cache_outlives_what_it_was_made_of(
    change: Callable[[Scene, list[Entry], Entry], None], reason: str
) -> None:
    scene = Scene()
    links, grant = scene.delegated()
    assert scene.asked(grant)[1] == ""
    change(scene, links, grant)
    assert scene.asked(grant) == (0, reason)


def test_what_comes_late_completes_the_chain() -> None:
    scene = Scene()
    book = scene.book
    first = book.delegation(ANNA, BEN, depth=1, valid_until=scene.end)
    second = book.delegation(BEN, CARL, parent=first, depth=0, valid_until=scene.end)
    grant = scene.grant(CARL, terms(SHORT), delegation=second.id)
    scene.put(grant)
    assert scene.asked(grant) == (0, "CHAINED")
    scene.put(second)
    assert scene.asked(grant) == (0, "CHAINED")
    scene.put(first, content=False)
    assert scene.asked(grant) == (0, "DELEGATION_HIDDEN")
    scene.tell(first)
    assert scene.asked(grant)[1] == ""


def test_content_that_is_sealed_to_us_completes_the_chain_wherever_it_comes_from() -> None:
    scene = Scene()
    first = scene.book.delegation(ANNA, BEN, valid_until=scene.end)
    grant = scene.grant(BEN, terms(SHORT), delegation=first.id)
    scene.put(grant)
    scene.put(first, content=False)
    assert scene.asked(grant) == (0, "DELEGATION_HIDDEN")
    third, devices = scene.world.sides[2], [side.device.public for side in scene.world.sides[:2]]
    draw = scene.book.random.randbytes
    other = hide_bounds(Bounds(granularity="P1D"), draw)[1]
    with pytest.raises(RemoteError):
        seal(other, first, devices, draw)
    blob = seal(scene.book.contents[first.id], first, devices, draw)
    for side in scene.world.sides[:2]:
        third.say(side, wire.Disclose(first.raw, blob))
    scene.world.pump()
    assert scene.asked(grant)[1] == ""


def test_a_grant_beyond_its_bounds_lets_nothing_out() -> None:
    scene = Scene()
    _, grant = scene.delegated(Bounds(granularity="P1D"))
    assert scene.asked(grant) == (0, "DELEGATION_WIDER")


# Parents: a consent that the holder was itself given, and passes on


def _passed_on(scene: Scene, **above: Any) -> tuple[Entry, Entry]:
    third = scene.world.sides[2].party
    rule = OnwardSharing("depth", 1)
    parties = {"holder": third, "recipient": scene.world.holder.party}
    parent = scene.grant(ANNA, terms(SHORT, onward_sharing=rule, **above), **parties)
    child = scene.grant(ANNA, terms(SHORT), parent=parent.id)
    scene.put(parent, child)
    return parent, child


def test_a_withdrawn_parent_ends_its_children() -> None:
    scene = Scene()
    parent, child = _passed_on(scene)
    assert scene.asked(child)[1] == ""
    scene.put(scene.book.sign(ANNA, "consent.withdraw", {"grant": parent.raw}, about=parent), content=False)
    assert scene.asked(child) == (0, "PARENT_ENDED")


def test_a_parent_that_is_narrowed_narrows_its_children() -> None:
    scene = Scene()
    parent, child = _passed_on(scene)
    assert scene.asked(child)[0] >= len(SHORT.starts)
    half = (SHORT.starts[0], SHORT.starts[0] + 5 * DAY)
    narrower = terms(SHORT, onward_sharing=OnwardSharing("depth", 1), data_period=(half,))
    amendment = scene.book.amend(ANNA, parent, narrower)
    scene.put(amendment, content=False)
    assert scene.asked(child) == (0, "PARENT_HIDDEN")
    scene.tell(amendment)
    count, reason = scene.asked(child)
    assert reason == ""
    assert 0 < count <= 5 * 48


def test_an_amendment_narrows_from_the_next_pack_on() -> None:
    scene = Scene()
    grant = scene.grant(ANNA, terms(SHORT))
    scene.put(grant)
    assert scene.asked(grant)[0] >= len(SHORT.starts)
    half = (SHORT.starts[0], SHORT.starts[0] + 5 * DAY)
    amendment = scene.book.amend(ANNA, grant, terms(SHORT, data_period=(half,)))
    scene.put(amendment)
    count, reason = scene.asked(grant)
    assert (reason, 0 < count <= 5 * 48) == ("", True)
    assert scene.asked(grant, window=(half[0], half[1] + DAY)) == (0, "OTHER_PERIOD")
