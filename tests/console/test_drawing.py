"""The map: everybody is on it once, inside the drawing, and the lines are the links."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.console.drawing import MEMBERS_DRAWN_MAX, RADIUS, draw
from node.ops.link import LinkRow
from node.ops.member import MemberRow

STATES = ("member", "suspended", "left", "expelled", "revoked")


def row(number: int, name: str, state: str = "member") -> MemberRow:
    """Return a member."""
    return MemberRow(name, f"{number:064x}", "did", 1, state, False, number == 0, False, (), ())


@given(st.lists(st.tuples(st.text(max_size=60), st.sampled_from(STATES)), min_size=1, max_size=80), st.data())
def test_a_map_has_every_member_once_inside_it(people: list[tuple[str, str]], data: st.DataObject) -> None:
    members = [row(number, name, state) for number, (name, state) in enumerate(people)]
    ends = st.sampled_from([one.id for one in members])
    pairs = data.draw(st.lists(st.tuples(ends, ends, st.sampled_from(["up", "offered", "refused", "severed"]))))
    links = [LinkRow("", "", state, one, other) for one, other, state in pairs if one != other]
    inside = {one.id for one in members if one.state in ("member", "suspended")}
    drawn = draw(members, links)
    assert {spot.row.id for spot in drawn.spots} == inside
    assert [spot.number for spot in drawn.spots] == list(range(1, len(inside) + 1))
    for spot in drawn.spots:
        up = sum(link.state == "up" and spot.row.id in (link.one_id, link.other_id) for link in links)
        assert spot.links == up
    if len(inside) > MEMBERS_DRAWN_MAX:
        assert (drawn.height, drawn.lines) == (0, ())
        return
    for spot in drawn.spots:
        assert RADIUS <= spot.x <= drawn.width - RADIUS
        assert RADIUS <= spot.y <= drawn.height - RADIUS
    shown = [link for link in links if link.state != "refused" and {link.one_id, link.other_id} <= inside]
    assert [line.state for line in drawn.lines] == [link.state for link in shown]


def test_two_members_never_stand_on_one_spot() -> None:
    for count in range(1, MEMBERS_DRAWN_MAX + 1):
        drawn = draw([row(number, "x") for number in range(count)], [])
        spots = drawn.spots
        for one in spots:
            for other in spots:
                apart = (one.x - other.x) ** 2 + (one.y - other.y) ** 2
                assert one is other or apart > (2 * RADIUS) ** 2
