"""Published tables between live nodes: only what was checked goes, held to thresholds and recorded at both ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.thresholds import PROFILES, STRICTEST
from ledger.entry import Entry
from ledger.errors import RemoteError
from node.aggregates.handing import Table, differences, fault
from node.core import Turn
from node.flows import releasing
from node.flows.wire import AskTable, Tabled
from node.vaults.releases import Figure, Release, Source
from node.vaults.tables import IN, OUT, Handed
from tests.node.flows.world import NOW, Side, World

DAY = (NOW - 86_400, NOW)
HOURS = [(DAY[0] + hour * 3_600, DAY[0] + (hour + 1) * 3_600) for hour in range(3)]
WINDOW = (HOURS[0][0], HOURS[-1][1])
SOURCE = Source("electricity", "consumption", "load_curve", "PT30M", "Wh", fictitious=True)
NUMBERS = tuple((name, one.value, one.source, one.confidence) for name, one in STRICTEST.numbers().items())


def figures(*without: tuple[str, int]) -> tuple[Figure, ...]:
    """Return a table of two groups over three hours with all totals, but for values of (group, hour) kept back."""
    found = []
    for group in ("", "north", "south"):
        for place, window in enumerate([*HOURS, WINDOW]):
            out = (group, place) not in without
            check = "RELEASED" if out else "FEW_HOLDERS"
            found.append(Figure(group, window, "123.5" if out else "", check, ()))
    return tuple(found)


def release(lines: tuple[Figure, ...] = figures(), **changes: Any) -> Release:
    """Return a release that passed, but for what is changed."""
    what = (b"r" * 16, "our street", NOW, SOURCE, "Wh", "PT60M", WINDOW, "strictest", NUMBERS)
    return replace(Release(*what, (), (), lines, ()), **changes)


class Scene:
    """A holder with a published table, and a recipient."""

    def __init__(self, published: Release | None = None, count: int = 2) -> None:
        self.world = World(count)
        self.ada, self.bob = self.world.sides[:2]
        self.published = published or release()
        self.ada.act(lambda turn: self.ada.flows.releases.add(turn.vault, self.published))

    def offer(self) -> Handed:
        """Have the holder hand it over; return the recipient's row, or the holder's where none came."""
        row = self.ada.act(lambda turn: self.ada.flows.releasing.offer(turn, self.published, self.bob.party))
        self.world.pump()
        return row

    def row(self, side: Side, role: bytes, transfer: bytes) -> Handed | None:
        """Return how a table stands at a side."""
        return side.look(lambda turn: side.flows.releasing.rows.get(turn.vault, role, transfer))


def recorded(side: Side, row: Handed) -> tuple[Entry, Any]:
    """Return the entry of a record as a side's ledger has it, and what the side keeps of it."""
    entry = side.entry(row.entry)
    assert entry is not None
    return entry, side.look(lambda turn: side.flows.letters.read(turn, row.entry))


@pytest.mark.covers("R111", "system:Eegle")
def test_a_table_goes_to_a_peer_with_a_record_at_both_ends() -> None:
    scene = Scene()
    transfer = scene.offer().transfer
    out, came = scene.row(scene.ada, OUT, transfer), scene.row(scene.bob, IN, transfer)
    assert out is not None
    assert came is not None
    assert (out.state, came.state) == ("done", "done")
    assert Table.decode(came.data) == Table.of(scene.published)
    digest = hashlib.sha256(came.data).digest()
    for side, row, place in ((scene.ada, out, 6), (scene.bob, came, 5)):
        entry, ((ident, *rest),) = recorded(side, row)
        assert entry.payload["records"][0][0] == ident == transfer
        assert [ident, *rest][place] == [digest]
        other = scene.bob if side is scene.ada else scene.ada
        assert other.entry(row.entry) is not None  # the other end sees that it was stated
    again = Tabled(transfer, came.data, scene.world.now, bytes(64))
    scene.ada.say(scene.bob, again)
    scene.world.pump()
    assert len(scene.bob.look(lambda turn: list(scene.bob.flows.releasing.rows.listing(turn.vault, IN)))) == 1


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [("our street", "done", ""), ("72" * 16, "done", ""), ("another", "refused", "NO_SUCH_TABLE")],
)
def test_a_table_is_asked_for_by_name_and_comes(name: str, state: str, reason: str) -> None:
    scene = Scene()
    asked = scene.bob.act(lambda turn: scene.bob.flows.releasing.ask(turn, scene.ada.party, name))
    scene.world.pump()
    row = scene.row(scene.bob, IN, asked.transfer)
    assert row is not None
    assert (row.state, row.reason) == (state, reason)


@pytest.mark.parametrize("role", [OUT, IN])
def test_a_record_that_the_ledger_lost_is_stated_again(role: bytes) -> None:
    scene = Scene()
    transfer = scene.offer().transfer
    side = scene.ada if role == OUT else scene.bob
    row = scene.row(side, role, transfer)
    assert row is not None
    lost = replace(row, entry=b"l" * 32)
    side.act(lambda turn: side.flows.releasing.rows.put(turn.vault, lost))
    scene.world.pass_time(2 * 86_400)
    again = scene.row(side, role, transfer)
    assert again is not None
    entry, ((ident, *_),) = recorded(side, again)
    assert entry.payload["records"][0][0] == ident == transfer
    kept = side.core.replica.size(side.device.kid)
    side.act(side.flows.releasing.state_again)
    assert side.core.replica.size(side.device.kid) == kept, "once"


def test_a_table_waits_for_a_peer_that_is_away() -> None:
    scene = Scene()
    scene.world.leave(scene.bob)
    transfer = scene.offer().transfer
    assert scene.row(scene.ada, OUT, transfer).state == "open"  # type: ignore[union-attr]
    scene.world.come_back(scene.bob)
    scene.world.pump()
    assert scene.row(scene.ada, OUT, transfer).state == "done"  # type: ignore[union-attr]


@pytest.mark.covers("R108", "R111", "system:Eegle")
@pytest.mark.parametrize(
    "changes",
    [
        {"numbers": tuple((n, v, s, c) for n, v, s, c in NUMBERS if n != "min_points")},
        {"numbers": tuple((n, 3 if n == "min_holders" else v, s, c) for n, v, s, c in NUMBERS)},
        {"numbers": tuple((n, 99 if n == "dominance_percent" else v, s, c) for n, v, s, c in NUMBERS)},
        {"lines": figures(*((group, place) for group in ("", "north", "south") for place in range(4)))},
        {"lines": figures(("north", 1))},
        {"lines": figures(("", 1), ("north", 1))},
        {"name": "prm:12345678901234"},
    ],
)
def test_a_holder_sends_nothing_that_does_not_pass(changes: dict[str, Any]) -> None:
    scene = Scene(release(**changes))
    row = scene.offer()
    assert row.state == "refused"
    assert scene.row(scene.bob, IN, row.transfer) is None


def signed(scene: Scene, table: Table, transfer: bytes, **changes: Any) -> Tabled:
    """Return a table as a holder without scruples would send it: signed, and not checked."""
    from node.flows.releasing import _said

    data = table.encode()
    at = changes.get("at", scene.world.now)

    def sign(turn: Turn) -> bytes:
        return scene.ada.device.sign(_said(turn, transfer, scene.ada.party, scene.bob.party, at, data))

    return Tabled(transfer, data, at, changes.get("signature") or scene.ada.look(sign))


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (Table.of(release(numbers=NUMBERS[:1])), "THRESHOLDS_WEAKER"),
        (Table.of(release(figures(("south", 2)))), "KEPT_BACK_FOLLOWS"),
        (Table.of(release(name="12345678901234")), "PERSONAL_POINT"),
        (replace(Table.of(release()), lines=(("", (0, 3_600), "5"),)), "BAD_TABLE"),
        (replace(Table.of(release()), lines=(("", WINDOW, ""),)), "RELEASE_REFUSED"),
    ],
)
def test_a_recipient_keeps_nothing_that_does_not_pass(table: Table, code: str) -> None:
    scene = Scene()
    scene.ada.say(scene.bob, signed(scene, table, b"t" * 16))
    scene.world.pump()
    row = scene.row(scene.bob, IN, b"t" * 16)
    assert row is not None
    assert (row.state, row.reason, row.data) == ("refused", code, b"")
    assert [one.code for one in scene.bob.refusals()] == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"at": 1 << 60},
        {"at": -1},
        {"window": (0, 1 << 60)},
        {"lines": (("", (0, 1 << 60), "5"),)},
        {"lines": (("south\r\nnorth", WINDOW, "5"),)},
        {"name": "street\n# thresholds: all"},
        {"numbers": (("min_holders", 100, "x" * 301, "own"),)},
    ],
)
def test_what_could_not_be_shown_is_not_read(changes: dict[str, Any]) -> None:
    data = replace(Table.of(release()), **changes).encode()
    with pytest.raises(RemoteError, match="BAD_TABLE"):
        Table.decode(data)


def rows(side: Side, role: bytes) -> list[Handed]:
    """Return all rows of one role."""
    return side.look(lambda turn: list(side.flows.releasing.rows.listing(turn.vault, role)))


@pytest.mark.parametrize("table", [Table.of(release()), Table.of(release(numbers=NUMBERS[:1]))], ids=["good", "bad"])
def test_what_a_member_sends_unasked_is_kept_up_to_a_limit_and_what_we_ask_for_beyond(
    monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    monkeypatch.setattr(releasing, "WISHES_BYTES_MAX", 3 * (releasing.WISH_BYTES + len(table.encode())))
    scene = Scene()
    for number in range(9):
        scene.ada.say(scene.bob, signed(scene, table, bytes([number] * 16)))
        scene.world.pump()
    first = "" if table == Table.of(release()) else "THRESHOLDS_WEAKER"
    assert [row.reason for row in rows(scene.bob, IN)] == [first] * 3
    assert [one.code for one in scene.bob.refusals()[:6]] == ["TOO_MANY_TABLES"] * 6
    asked = scene.bob.act(lambda turn: scene.bob.flows.releasing.ask(turn, scene.ada.party, "our street"))
    scene.world.pump()
    row = scene.row(scene.bob, IN, asked.transfer)
    assert row is not None
    assert row.state == "done"


def test_what_a_member_asks_for_is_recorded_up_to_a_limit_and_what_we_offer_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(releasing, "WISHES_BYTES_MAX", 3 * releasing.WISH_BYTES)
    scene = Scene()
    for _ in range(5):
        scene.bob.act(lambda turn: scene.bob.flows.releasing.ask(turn, scene.ada.party, "our street"))
        scene.world.pump()
    assert len(rows(scene.ada, OUT)) == 3
    assert sorted(row.reason for row in rows(scene.bob, IN)) == ["", "", "", "TOO_MANY_TABLES", "TOO_MANY_TABLES"]
    transfer = scene.offer().transfer
    assert scene.row(scene.ada, OUT, transfer).state == "done"  # type: ignore[union-attr]


def test_a_table_waits_at_its_holder_while_its_recipient_has_no_room() -> None:
    scene = Scene()
    scene.bob.flows.releasing.full = lambda: True
    transfer = scene.offer().transfer
    assert scene.row(scene.bob, IN, transfer) is None
    assert scene.row(scene.ada, OUT, transfer).state == "open"  # type: ignore[union-attr]
    scene.bob.flows.releasing.full = lambda: False
    scene.world.leave(scene.bob)
    scene.world.come_back(scene.bob)
    scene.world.pump()
    assert scene.row(scene.ada, OUT, transfer).state == "done"  # type: ignore[union-attr]


def test_a_table_that_its_sender_did_not_sign_now_is_dropped() -> None:
    scene = Scene()
    good = Table.of(release())
    for message in (
        signed(scene, good, b"t" * 16, signature=bytes(64)),
        signed(scene, good, b"t" * 16, at=scene.world.now - 601),
        replace(signed(scene, good, b"u" * 16), transfer=b"t" * 16),
    ):
        scene.ada.say(scene.bob, message)
        scene.world.pump()
        assert scene.row(scene.bob, IN, b"t" * 16) is None
    assert scene.bob.codes().count("DATA_REFUSED") == 3


def test_a_stranger_neither_takes_over_a_transfer_nor_gets_a_table_without_a_link() -> None:
    scene = Scene(count=3)
    eve = scene.world.sides[2]
    transfer = scene.offer().transfer
    eve.say(scene.ada, AskTable(transfer, "our street"))
    scene.world.pump()
    assert scene.row(eve, IN, transfer) is None
    scene.world.leave(scene.ada)
    scene.world.pass_time(601)
    late = scene.ada.act(lambda turn: scene.ada.flows.releasing.offer(turn, scene.published, scene.bob.party))
    assert late.state == "open"  # stale: a node that is cut off lets nothing out


def test_what_is_checked_is_what_the_thresholds_say() -> None:
    table = Table.of(release())
    assert fault(table, STRICTEST) == ""
    assert fault(table, PROFILES["wealth-tax"]) == "THRESHOLDS_WEAKER"
    assert fault(Table.of(release(figures(("north", 1), ("south", 1)))), STRICTEST) == "KEPT_BACK_FOLLOWS"
    two = figures(("north", 1), ("south", 1), ("north", 2), ("south", 2))
    assert fault(Table.of(release(two)), STRICTEST) == ""
    assert Table.decode(table.encode()) == table


def test_a_table_that_tells_more_with_an_earlier_one_is_marked() -> None:
    first = Table.of(release())
    same, later = replace(first, id=b"s" * 16), replace(first, source=replace(SOURCE, kind="daily"))
    lines = [*first.lines]
    lines[0] = (*lines[0][:2], "120.5")  # somebody left
    lines[5] = (*lines[5][:2], "")  # kept back now, told before
    changed = replace(first, lines=tuple(lines))
    assert differences([first, same, later, changed]) == [0, 0, 0, 2]
    assert differences([changed, first]) == [0, 2]
    assert differences([changed]) == [0]
