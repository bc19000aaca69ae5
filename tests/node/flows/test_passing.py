"""Passing on, on live nodes: what came under a parent goes on under a child, and no further than both allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.acts import make_rekey
from ledger.consent.record import Actor, OnwardSharing, Terms
from ledger.consent.wallet import Wallet
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.schema import DAY
from node.audit.duties import overdue
from node.audit.gathering import page
from node.audit.rows import Rows
from node.core import Turn
from node.flows.compiling import RESTED_ON
from node.flows.custody import shown
from node.flows.standing import standing_of
from node.tenants import Voice
from node.vaults.transfers import Wanted
from tests.ledger.consent.cases import NOTICE
from tests.node.flows.world import LONG, SHORT, Side, World, terms

DEPTH = OnwardSharing("depth", 2)
POINT, OTHER = SHORT.key.point, "prm:98765432109876"


class Scene:
    """A holder (with anna's wallet), a recipient, another to whom it passes on, and a stranger; all linked."""

    def __init__(self, *, series: Any = SHORT, sharing: OnwardSharing = DEPTH, **above: Any) -> None:
        self.world = World(4)
        self.series = series
        self.world.import_series(series)
        self.ada, self.bob, self.cyd, self.eve = self.world.sides
        self.parent, self.slip = self.world.grant(terms(series, onward_sharing=sharing, **above))

    def receive(self) -> None:
        """Have the recipient ask for all of it."""
        transfer = self.world.ask(grant=self.parent.id)
        self.world.pump()
        row = self.bob.received(transfer)
        assert row is not None
        assert row.state == "done"

    def terms(self, **changes: Any) -> Terms:
        """Return terms of a child for the third node."""
        to = (Actor("Cyd", "recipient", "dpo@cyd.example", self.cyd.party),)
        own = {"recipients": to, "controllers": (replace(to[0], role="controller"),), **changes}
        return terms(self.series, **own)

    def pass_on(
        self, *, at: Side | None = None, to: Side | None = None, parent: Entry | None = None, **changes: Any
    ) -> Entry:
        """Have a recipient pass on what it received (bob to cyd unless told)."""
        side, above = at or self.bob, parent or self.parent
        until = self.world.now + 100 * DAY
        recipient = (to or self.cyd).party

        def act(turn: Turn) -> Entry:
            by = Voice(side.party)
            content = self.terms(**changes)
            return side.flows.passing.pass_on(turn, above, content, recipient, NOTICE, until=until, by=by)

        entry = side.act(act)
        self.world.pump()
        return entry

    def flows(self, child: Entry, *, source: Side | None = None, to: Side | None = None) -> tuple[int, str]:
        """Have the child's recipient ask; return how many records came, and why not more."""
        source, to = source or self.bob, to or self.cyd
        wanted = Wanted(source.party, to.party, child.id)
        transfer = to.act(lambda turn: to.flows.receiving.ask(turn, wanted))
        self.world.pump()
        row, waits = to.received(transfer), source.sent(transfer)
        assert row is not None
        return row.tally.count, row.reason or (waits.reason if waits is not None else "")


def test_what_came_under_a_parent_goes_on_under_its_child() -> None:
    scene = Scene(series=LONG)
    scene.receive()
    child = scene.pass_on()
    assert scene.flows(child) == (len(LONG.starts), "")
    row = scene.cyd.look(lambda turn: scene.cyd.flows.consents.get(turn.vault, scene.parent.id))
    assert row is not None
    assert row.kind == RESTED_ON  # known, and no consent of its own
    grants = scene.cyd.look(lambda turn: list(scene.cyd.flows.consents.listing(turn.vault, "grant")))
    assert [one.entry_id for one in grants] == [child.id]


def test_a_child_of_fewer_days_carries_those_alone() -> None:
    scene = Scene()
    scene.receive()
    begin = SHORT.starts[0] + 2 * DAY
    child = scene.pass_on(data_period=((begin, begin + DAY),))
    assert scene.flows(child) == (48, "")


def test_what_was_received_twice_goes_on_once() -> None:
    scene = Scene()
    scene.receive()
    scene.world.pass_time(5)
    scene.receive()
    assert scene.flows(scene.pass_on()) == (len(SHORT.starts), "")


def test_what_was_erased_is_not_passed_on() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on()
    (transfer,) = scene.bob.look(lambda turn: scene.bob.flows.incoming.under(turn.vault, scene.parent.id))
    assert scene.bob.act(lambda turn: scene.bob.flows.incoming.drop_packs(turn.vault, transfer, 99))
    assert scene.flows(child) == (0, "NO_READINGS")


@pytest.mark.covers("R66")
@pytest.mark.parametrize(
    ("sharing", "changes", "code"),
    [
        (OnwardSharing(), {}, "SHARING_FORBIDDEN"),
        (OnwardSharing("depth", 1, aggregate_only=True), {}, "SHARING_FORBIDDEN"),
        (DEPTH, {"points": (OTHER,)}, "PARENT_WIDER"),
        (DEPTH, {"granularity": "PT10M"}, "PARENT_WIDER"),
        (DEPTH, {"purpose": "Advertising"}, "PARENT_WIDER"),
        (DEPTH, {"onward_sharing": OnwardSharing("depth", 2)}, "SHARING_FORBIDDEN"),
    ],
)
def test_a_child_beyond_its_parent_is_not_signed(sharing: OnwardSharing, changes: dict[str, Any], code: str) -> None:
    scene = Scene(sharing=sharing)
    with pytest.raises(LocalError) as error:
        scene.pass_on(**changes)
    assert error.value.code == code


def test_only_the_recipient_or_the_person_passes_on() -> None:
    scene = Scene()
    with pytest.raises(LocalError, match="NOT_A_PARTY"):
        scene.pass_on(at=scene.eve)
    child = scene.ada.act(lambda turn: by_anna(scene, turn))
    scene.world.pump()
    scene.receive()
    assert scene.flows(child) == (len(SHORT.starts), "")
    with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
        scene.eve.act(lambda turn: by_anna(scene, turn, scene.eve))


def by_anna(scene: Scene, turn: Turn, side: Side | None = None) -> Entry:
    passing = (side or scene.ada).flows.passing
    until = scene.world.now + 100 * DAY
    return passing.pass_on(turn, scene.parent, scene.terms(), scene.cyd.party, NOTICE, until=until, by=None)


def test_the_parents_content_is_refused_where_no_child_covers_it() -> None:
    scene = Scene()
    row = scene.ada.look(lambda turn: scene.ada.flows.consents.get(turn.vault, scene.parent.id))
    assert row is not None

    def tell(turn: Turn) -> None:
        scene.ada.flows.disclosing.tell(turn, scene.parent, row.disclosures, [scene.eve.party, scene.cyd.party])

    scene.pass_on(to=scene.cyd)
    scene.ada.act(tell)
    scene.world.pump()
    assert not scene.eve.look(lambda turn: scene.eve.flows.consents.holds(turn.vault, scene.parent.id))
    refused = [note for note in scene.eve.notes if note.code == "DATA_REFUSED"]
    assert [dict(note.fields).get("code") for note in refused] == ["DISCLOSURE_NOT_FOR_YOU"]
    assert scene.cyd.look(lambda turn: scene.cyd.flows.consents.holds(turn.vault, scene.parent.id))


@pytest.mark.covers("R66")
def test_the_end_of_the_parent_stops_a_child_in_the_midst_and_for_good() -> None:
    scene = Scene(series=LONG)
    scene.receive()
    child = scene.pass_on()
    wanted = Wanted(scene.bob.party, scene.cyd.party, child.id)
    transfer = scene.cyd.act(lambda turn: scene.cyd.flows.receiving.ask(turn, wanted))
    scene.world.step((scene.cyd.device.kid, scene.bob.device.kid))
    assert scene.bob.sent(transfer) is not None
    scene.world.withdraw(scene.parent)
    scene.world.pump()
    row = scene.cyd.received(transfer)
    assert row is not None
    assert row.tally.count < len(LONG.starts)
    assert scene.flows(child) == (0, "PARENT_ENDED")


def test_a_grandchild_ends_with_the_first_parent() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on(onward_sharing=OnwardSharing("depth", 1))
    assert scene.flows(child) == (len(SHORT.starts), "")
    grandchild = scene.pass_on(at=scene.cyd, to=scene.eve, parent=child)
    assert scene.flows(grandchild, source=scene.cyd, to=scene.eve) == (len(SHORT.starts), "")
    scene.world.withdraw(scene.parent, scene.slip, at=scene.eve)
    scene.world.pump()
    assert scene.flows(grandchild, source=scene.cyd, to=scene.eve) == (0, "PARENT_ENDED")


@pytest.mark.parametrize("by_slip", [False, True])
def test_the_person_ends_a_child_alone_from_her_wallet_or_with_her_slip(by_slip: bool) -> None:
    scene = Scene()
    scene.receive()
    child, kept = scene.pass_on(), scene.pass_on()
    by = replace(scene.slip, grant_prefix=child.id[:5]) if by_slip else "anna"
    scene.ada.act(lambda turn: scene.ada.flows.acts.withdraw(turn, child, by))
    scene.world.pump()
    assert scene.flows(child) == (0, "WITHDRAWN")
    assert scene.flows(kept)[1] == ""


def test_a_parent_that_was_handed_on_is_passed_on_by_its_new_keys() -> None:
    scene = Scene()
    scene.receive()
    scene.ada.act(lambda turn: scene.ada.flows.acts.create_wallet(turn, "ben"))
    before = scene.ada.act(lambda turn: by_anna(scene, turn))
    scene.ada.act(lambda turn: scene.ada.flows.life.rekey(turn, scene.parent, "ben", None))
    scene.world.pump()
    after = scene.ada.act(lambda turn: by_anna(scene, turn))
    scene.world.pump()
    assert after.signer != before.signer
    for child in (before, after):  # a new key asks nobody for consent again
        assert scene.flows(child) == (len(SHORT.starts), "")
    thief = Wallet(b"t" * 32)
    key = thief.consent_key(scene.parent.thing[1])
    claimed = scene.eve.act(lambda turn: turn.register(make_rekey(key, scene.parent, thief, shown(turn))))
    scene.world.pump()
    assert scene.ada.status(scene.parent.id) is not None
    child = scene.eve.act(lambda turn: turn.register(forged(scene, turn, key)))
    scene.world.pump()
    assert scene.flows(child)[1] in ("DISCLOSURE_MISSING", "PARENT_OTHER")
    assert claimed.id != child.id
    scene.world.withdraw(scene.parent, "ben")
    scene.world.pump()
    assert scene.flows(after) == (0, "PARENT_ENDED")


def forged(scene: Scene, turn: Turn, key: Any) -> Entry:
    from ledger.consent.disclosure import hide
    from ledger.consent.grant import grant_payload

    slots, told = hide(scene.terms(), turn.core.random_bytes)
    payload = grant_payload(
        holder=scene.bob.party,
        recipient=scene.cyd.party,
        valid_until=scene.world.now + 100 * DAY,
        notice=NOTICE,
        slots=slots,
        withdraw_key=scene.parent.payload["withdraw_key"],
        parent=scene.parent.id,
    )
    entry = shown(turn).sign(key, "consent.grant", ("consent", b"f" * 16), payload)
    scene.eve.flows.disclosing.publish(turn, entry, told)
    return entry


def changes(side: Side, grant: bytes) -> list[tuple[str, str]]:
    """Return what a side was told of a consent: (kind, reason)."""
    rows = side.flows.changing.rows
    return [
        (one.kind, one.reason) for one in side.look(lambda turn: rows.after(turn.vault, 0, 99)) if one.grant == grant
    ]


def test_that_a_parent_ended_is_told_of_every_consent_that_rests_on_it() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on(onward_sharing=OnwardSharing("depth", 1))
    scene.flows(child)
    grandchild = scene.pass_on(at=scene.cyd, to=scene.eve, parent=child)
    told = [("consent.began", "")]
    assert changes(scene.bob, child.id) == told
    assert [one for one in changes(scene.eve, grandchild.id) if one[0] != "data.arrived"] == told
    scene.world.withdraw(scene.parent)
    scene.world.pump()
    ended = ("consent.ended", "PARENT_ENDED")
    assert changes(scene.bob, child.id)[-1] == changes(scene.cyd, child.id)[-1] == ended
    assert changes(scene.eve, grandchild.id)[-1] == ended
    assert changes(scene.bob, scene.parent.id)[-1] == ("consent.ended", "WITHDRAWN")


def test_a_child_ends_when_its_narrowed_parent_does() -> None:
    scene = Scene()
    child = scene.pass_on()
    until = scene.world.now + 30 * DAY
    scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, lambda terms: terms, until))
    scene.world.pump()
    ends = until - until % DAY

    def look(turn: Turn) -> tuple[str, int]:
        status = turn.core.replica.consent(turn.rows, child.id)
        assert status is not None
        return standing_of(turn, status)

    state, end = scene.cyd.look(look)
    assert (state, ends <= end <= until) == ("active", True)
    assert changes(scene.cyd, child.id)[-1] == ("consent.changed", "")
    scene.world.pass_time(31 * DAY)
    assert scene.cyd.look(look)[0] == "expired"


def holds(side: Side, *entries: Entry) -> list[bool]:
    """Say of each entry whether a side has its content."""
    return side.look(lambda turn: [side.flows.consents.holds(turn.vault, entry.id) for entry in entries])


def erase_content(side: Side, grant: Entry) -> None:
    """Destroy what a side received under a grant, and what the grant says."""
    side.act(lambda turn: side.flows.erasing.erase(turn, grant, Voice(side.party), content=True))


def test_with_the_last_child_goes_what_its_parents_say() -> None:
    scene = Scene()
    scene.receive()
    first, second = scene.pass_on(), scene.pass_on()
    until = scene.world.now + 90 * DAY
    narrowed = scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, lambda terms: terms, until))
    scene.world.pump()
    with pytest.raises(LocalError) as refused:
        erase_content(scene.cyd, first)
    assert refused.value.code == "IN_FORCE"
    scene.world.withdraw(scene.parent)  # ends both children, too
    scene.world.pump()
    everything = (scene.parent, narrowed)
    erase_content(scene.cyd, first)
    assert holds(scene.cyd, first, second, *everything) == [False, True, True, True]
    erase_content(scene.cyd, second)
    assert holds(scene.cyd, second, *everything) == [False, False, False]
    erase_content(scene.bob, first)  # the passer's own consent is no child's
    assert holds(scene.bob, first, *everything) == [False, True, True]
    erase_content(scene.bob, scene.parent)
    assert holds(scene.bob, *everything) == [False, False]


def test_the_end_of_a_parent_makes_what_came_under_its_child_due() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on(retention="P10D")
    assert scene.flows(child)[1] == ""

    def look() -> Rows:
        def gather(turn: Turn) -> Rows:
            pages = [
                page(turn, scene.cyd.flows, what, "", 0, turn.now + 1)[0] for what in ("frame", "consents", "accounts")
            ]
            return replace(pages[0], consents=pages[1].consents, accounts=pages[2].accounts)

        return scene.cyd.look(gather)

    def due() -> list[str]:
        rows = look()
        return [one.consent for one in overdue(rows, rows.consents)]

    until = scene.world.now + DAY
    scene.ada.act(lambda turn: scene.ada.flows.life.amend(turn, scene.parent, lambda terms: terms, until))
    scene.world.pump()
    scene.world.pass_time(10 * DAY)
    assert due() == []
    scene.world.pass_time(2 * DAY)
    assert due() == [child.id.hex()]
    assert {one.id: one.above for one in look().consents}[scene.parent.id] is None


def test_a_withdrawal_above_is_an_end_for_audits() -> None:
    scene = Scene()
    child = scene.pass_on()

    def end() -> int | None:
        consents = scene.cyd.look(lambda turn: page(turn, scene.cyd.flows, "consents", "", 0, turn.now)[0]).consents
        return {one.id: one.above for one in consents}[child.id]

    assert end() == scene.parent.payload["valid_until"]
    scene.world.withdraw(scene.parent)
    scene.world.pump()
    assert end() == scene.world.now  # known for sure from now on
