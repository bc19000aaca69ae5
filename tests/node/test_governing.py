"""Governance by its operations, on whole nodes over real sockets: found together, vote, admit, expel, look back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.epochs import Epochs
from ledger.errors import MailleError
from ledger.keys import did_key
from node.cli.render import lines
from node.governing import why_no_vote
from node.keyfile import KeyFile, Wrapping
from node.keystore import device_name
from node.operations import find
from node.ops.epoch import Governed, SealingRow
from node.ops.node import governance_problems
from tests.ledger.governance.test_seats import declare, organised
from tests.node.nodes import LIGHT, do, make_home, running, until

CHARTER = hashlib.sha256(b"a charter").hexdigest()
NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ("ada", "bob", "cyd", "dan")


async def ask(node: Any, words: str, **values: Any) -> Any:
    """Run an operation; hold its result to its schema, and render it."""
    result = await do(node, words, **values)
    noun, _, verb = words.rpartition(" ")
    row = find(noun or None, verb)
    assert row is not None
    text = msgspec.json.encode(result)
    assert msgspec.json.decode(text, type=row.result) == result
    properties = msgspec.json.schema(row.result)["$defs"][row.result.__name__]["properties"]
    assert set(json.loads(text)) == set(properties)
    rendered = (row.render or (lambda found: "\n".join(lines(found))))(result)
    assert rendered or not any(getattr(result, name) for name in properties)
    return result


async def refused(node: Any, words: str, **values: Any) -> str:
    """Return the code with which an operation is refused."""
    with pytest.raises(MailleError) as caught:
        await do(node, words, **values)
    assert caught.value.message
    return caught.value.code


@asynccontextmanager
async def founders(path: Path, count: int = 4, *, seals: bool = True, **options: Any) -> AsyncIterator[list[Any]]:
    """Run nodes that found a mesh together, and wait until all are in everywhere. Seals follow within seconds."""
    options["seal_seconds"] = 1 if seals else 86_400
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running(make_home(path / name, name))) for name in NAMES[:count]]
        others = [(await ask(node, "mesh prepare", name="coop")).founder for node in nodes[1:]]
        await ask(nodes[0], "mesh create", name="coop", founder=tuple(others), **options)
        for node in nodes[1:]:
            ticket = await do(nodes[0], "invite create", open=True)
            assert (await do(node, "join", ticket=ticket.ticket)).answer == "FOUNDER"
        await until(lambda: all(len(members(node)) == count for node in nodes))
        await until(lambda: not seals or all(node.mesh().core.replica.chain.newest.n for node in nodes))
        yield nodes


def members(node: Any) -> list[str]:
    """Return the names of the members, as a node has them."""
    found = node.mesh().core.replica.members.members.values()
    return sorted(member.name for member in found if member.state == "member")


async def all_hold(nodes: list[Any], proposal: str) -> None:
    """Wait until every node has a proposal."""
    ident = bytes.fromhex(proposal)

    def held(node: Any) -> bool:
        registrations = node.mesh().core.replica.registrations
        return any(registration.entry.id == ident for registration in registrations)

    await until(lambda: all(map(held, nodes)))


async def vote(nodes: list[Any], proposal: str, choice: str = "yes") -> Any:
    """Let nodes vote; return the last answer."""
    await all_hold(nodes, proposal)
    return [await ask(node, "vote cast", proposal=proposal[:12], choice=choice) for node in nodes][-1]


def rules(node: Any) -> Any:
    """Return the rules in force at a node."""
    return node.mesh().core.replica.chain.newest.rules


@pytest.mark.covers("R37", "R38", "R39")
async def test_a_mesh_votes_itself_a_charter_and_admits_under_it(tmp_path: Path) -> None:
    async with founders(tmp_path) as nodes, running(make_home(tmp_path / "eve", "eve")) as eve:
        ada, bob, cyd, _ = nodes
        shown = await ask(ada, "policy show")
        assert (shown.frame, shown.voters, shown.rules["admission"]) == ("none", 4, {"bilateral": True})
        assert await refused(ada, "policy propose") == "USAGE"
        assert await refused(ada, "policy propose", frame="weak") == "BAD_POLICY"
        assert await refused(ada, "policy propose", frame="none", days=90) == "USAGE"
        made = await ask(ada, "policy propose", frame="weak", charter=CHARTER, invitations_a_day=3, reason="as agreed")
        assert (made.state, made.of, made.needs, made.reason) == ("open", 4, "more than 1/2", "as agreed")
        assert (await ask(ada, "proposal list")).proposals[0].id == made.id
        await vote([ada, bob], made.id)
        assert await refused(ada, "vote cast", proposal=made.id, choice="no") == "ALREADY_VOTED"
        assert await refused(ada, "vote cast", proposal="0000", choice="no") == "NOT_FOUND"
        cast = await vote([cyd], made.id)
        assert cast.entry
        assert (await ask(cyd, "explain", id=cast.entry)).rule == "G4"
        await until(lambda: all(rules(node).frame == "weak" for node in nodes))
        assert (await ask(bob, "policy show")).rules["admission"] == {
            "all": [{"bilateral": True}, {"charter": CHARTER}]
        }
        assert (await ask(bob, "policy show", epoch="0")).frame == "none"
        assert (await ask(bob, "mesh show")).policy.invitations_a_day == 3
        assert not (await ask(bob, "proposal list")).proposals
        assert (await ask(bob, "proposal list", all=True)).proposals[0].state == "passed"
        closed = await ask(bob, "proposal show", id=made.id)
        assert [row.rule for row in closed.votes] == ["G4"] * 3
        assert (await ask(bob, "explain", id=made.id)).verdict == "counts"
        assert await refused(bob, "vote cast", proposal=made.id, choice="no") == "BALLOT_CLOSED"
        assert await refused(bob, "policy propose", frame="weak", charter=CHARTER) == "USAGE"

        ticket = (await do(bob, "invite create", to=eve.root_key().did)).ticket
        assert await refused(eve, "join", ticket=ticket) == "CHARTER_NOT_ACCEPTED"
        assert (await do(eve, "join", ticket=ticket, accept_charter=CHARTER)).answer == "ADMITTED"
        await until(lambda: "eve" in members(eve) and all("eve" in members(node) for node in nodes))
        assert await refused(eve, "policy propose", frame="none") == "NOT_A_VOTER"

        first = await ask(ada, "member sponsor", who="eve")
        assert (first.voter, first.endorsed_by, first.to_vote) == (False, 2, 2)  # bob's acceptance counts too
        assert await refused(ada, "member sponsor", who="eve") == "ALREADY_ENDORSED"
        assert await refused(ada, "member sponsor", who="bob") == "FOUNDER"
        assert await refused(ada, "member sponsor", who="nobody") == "NOT_FOUND"
        party = eve.mesh().core.party
        await until(lambda: all(party in node.mesh().core.replica.chain.newest.voters for node in [*nodes, eve]))
        row = (await ask(eve, "member show", member="eve")).member
        assert (row.voter, row.founder) == (True, False)

        listed = await ask(eve, "member list", epoch="0")
        assert listed.epoch == 0
        assert {row.name for row in (await ask(eve, "member list")).members} == {*NAMES, "eve"}
        exported = json.loads((await do(eve, "member export")).file)
        assert {row["name"] for row in exported["members"]} == {*NAMES, "eve"}
        assert all(row["devices"][0]["did"].startswith("did:key:") for row in exported["members"])
        epochs = (await ask(ada, "epoch list")).epochs
        assert [row.n for row in epochs] == list(range(len(epochs)))
        assert (await ask(ada, "epoch show", epoch="0")).epoch.voters == 4
        assert (await ask(ada, "epoch show")).sealing is not None
        assert await refused(ada, "epoch show", epoch="999") == "EPOCH_UNKNOWN"
        assert await refused(ada, "epoch choose", epoch="0000") == "EPOCH_UNKNOWN"
        assert (await ask(ada, "epoch choose", epoch=epochs[1].reference)).epoch.n >= epochs[-1].n
        await ask(ada, "node status")


@pytest.mark.covers("R3", "R43")
async def test_a_member_is_expelled_and_out_everywhere(tmp_path: Path) -> None:
    async with founders(tmp_path) as nodes:
        ada, bob, cyd, dan = nodes
        assert await refused(ada, "proposal expel", member="ada", reason="r") == "TARGET_SELF"
        assert await refused(ada, "proposal expel", member="dan", reason="r", cut=("00:1",)) == "USAGE"
        feed = dan.mesh().core.device.kid.hex()
        await until(lambda: ada.mesh().core.replica.chain.newest.floor(dan.mesh().core.device.kid) > 0)
        assert await refused(ada, "proposal expel", member="dan", reason="r", cut=(f"{feed}:9999",)) == "CUT_BEYOND"
        assert await refused(ada, "proposal expel", member="dan", reason="r", cut=(f"{feed}:0",)) == "CUT_SEALED"
        made = await ask(ada, "proposal expel", member="dan", reason="it served without consent")
        assert (made.state, made.about, made.needs) == ("open", "dan", "3 of 3")
        await all_hold(nodes, made.id)
        assert await refused(dan, "vote cast", proposal=made.id, choice="no") == "VOTE_OWN_CASE"
        await vote([ada, bob, cyd], made.id)
        honest = nodes[:3]
        await until(lambda: all(members(node) == ["ada", "bob", "cyd"] for node in honest))
        kid = dan.mesh().core.device.kid
        await until(lambda: all(kid not in node.mesh().core.member_peers for node in honest))
        explained = await ask(bob, "entry explain", id=made.id)
        assert explained.rule == "G4.7"
        assert {row.kind for row in explained.decided_by} == {"proposal", "vote"}
        row = (await ask(bob, "member show", member="dan")).member
        assert (row.state, made.id in row.decided_by) == ("expelled", True)
        assert (await ask(bob, "device list", member="dan")).devices[0].state == "ended"
        assert await refused(bob, "proposal suspend", member="dan", reason="again") == "NOT_A_MEMBER"
        await until(lambda: all(len(node.mesh().core.replica.chain.newest.voters) == 3 for node in honest))
        await ask(ada, "node status")
        assert (await ask(bob, "explain", id=made.id)).verdict == "counts"

        ticket = (await do(ada, "invite create", to=dan.root_key().did)).ticket
        assert (await do(dan, "join", ticket=ticket, incarnation=2)).answer == "ADMITTED"
        again = (dan.mesh().core.party[0], 2)
        await until(lambda: all(node.mesh().core.replica.members.is_member(again) for node in nodes))
        assert not (await ask(bob, "member show", member="dan")).member.voter

        assert (await ask(ada, "proposal suspend", member="cyd", reason="for now")).needs == "at least 1"
        assert (await ask(ada, "proposal charter", version=CHARTER)).about == f"charter {CHARTER[:12]}"
        assert (await ask(ada, "proposal evaluator", version=2)).about == "evaluator 2"
        assert await refused(ada, "proposal evaluator", version=1) == "USAGE"
        await until(lambda: len(ada.mesh().core.replica.chain.newest.proposals) == 3)
        waiting = (await ask(ada, "proposal list")).proposals
        lapse = Epochs(ada.mesh().core.replica, ada.mesh().core.ticker).lapses_at()
        assert lapse == min(row.deadline.timestamp() for row in waiting)
        assert (await ask(bob, "vote delegate", member="ada")).told == "ada is followed"
        assert (await ask(bob, "vote delegate", revoke=True)).entry
        assert await refused(bob, "vote delegate", member="bob") == "TARGET_SELF"
        assert await refused(bob, "vote delegate") == "USAGE"
        assert (await ask(bob, "vote default", choice="abstain")).told.startswith("abstain")
        assert await refused(bob, "vote default") == "USAGE"


async def test_two_cannot_expel_each_other(tmp_path: Path) -> None:
    async with founders(tmp_path, 2) as (ada, _):
        assert await refused(ada, "proposal expel", member="bob", reason="r") == "TOO_FEW_VOTERS"


@pytest.mark.covers("R33", "R34")
async def test_an_authority_lets_in_and_revokes(tmp_path: Path) -> None:
    secret = os.urandom(32)
    wrapping = Wrapping.derive("the authority's", LIGHT, os.urandom(16))
    file = KeyFile.make("authority", secret, wrapping, os.urandom)
    key = {"authority_key": file.encode(), "authority_passphrase": "the authority's"}
    strong: dict[str, Any] = {"frame": "strong", "authority": (did_key(file.public),)}
    async with founders(tmp_path, 1, **strong) as (ada,), running(make_home(tmp_path / "eve", "eve")) as eve:
        ticket = await do(ada, "invite create", to=eve.root_key().did)
        assert (await do(eve, "join", ticket=ticket.ticket)).answer == "PENDING"
        assert "eve" not in members(ada)
        (row,) = [row for row in (await ask(ada, "member list", applicants=True)).members if row.state == "applicant"]
        assert "no credential" in (await ask(ada, "explain", id=row.decided_by[0])).why[0]
        other = KeyFile.make("authority", os.urandom(32), None, os.urandom).encode()
        assert await refused(ada, "member credential", who="eve", authority_key=other) == "AUTHORITY_UNLISTED"
        tenant = KeyFile.make("tenant", os.urandom(32), None, os.urandom).encode()
        assert await refused(ada, "member credential", who="eve", authority_key=tenant) == "KEY_WRONG"
        given = await ask(ada, "member credential", who="eve", **key)
        assert given.member
        await until(lambda: "eve" in members(eve))
        assert (await ask(ada, "member show", member="eve")).serials == (given.serial,)
        made = await ask(ada, "policy propose", revoke=(given.serial,))
        assert (await ask(ada, "vote cast", proposal=made.id, choice="yes")).proposal.state == "passed"
        await until(lambda: "eve" not in members(ada))
        assert (await ask(ada, "member show", member="eve")).member.state == "revoked"


async def test_a_ballot_lets_in_where_the_rules_say_so(tmp_path: Path) -> None:
    text = json.dumps({"admission": {"any": [{"ballot": "1/2"}, {"sponsors": 2}]}})
    async with founders(tmp_path, 1, rules=text) as (ada,), running(make_home(tmp_path / "eve", "eve")) as eve:
        ticket = await do(ada, "invite create", open=True)
        assert (await do(eve, "join", ticket=ticket.ticket)).answer == "PENDING"
        made = await ask(ada, "proposal admit", application="eve")
        assert (made.about, made.state) == ("eve", "open")
        assert len((await ask(ada, "requests list")).requests) == 1
        assert not (await ask(ada, "member sponsor", who="eve")).member
        assert (await ask(ada, "vote cast", proposal=made.id, choice="yes")).proposal.state == "passed"
        await until(lambda: members(eve) == ["ada", "eve"])
        assert not (await ask(ada, "requests list")).requests
        (row,) = [row for row in (await ask(eve, "member list")).members if row.name == "eve"]
        assert made.id in row.decided_by


async def test_a_device_is_replaced_and_an_old_one_retired(tmp_path: Path) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(make_home(tmp_path / "bob", "bob")) as bob:
        async with running(home) as ada:
            founder = (await do(bob, "mesh prepare", name="coop")).founder
            await do(ada, "mesh create", name="coop", founder=(founder,), seal_seconds=1)
            ticket = await do(ada, "invite create", open=True)
            await do(bob, "join", ticket=ticket.ticket)
            await until(lambda: members(ada) == members(bob) == ["ada", "bob"])
            old = ada.mesh().core.device.kid
            assert await refused(ada, "device retire", device=old.hex()) == "DEVICE_IN_USE"
            certified = await ask(ada, "device certify")
            assert certified.predecessor == old.hex()
            assert ada.mesh().core.device.kid.hex() == certified.device
            await until(lambda: bob.mesh().core.replica.members.speaks(ada.mesh().core.device.kid))
            states = {row.id: row.state for row in (await ask(bob, "device list", member="ada")).devices}
            assert states == {old.hex(): "ended", certified.device: "speaks"}
            await ask(ada, "link offer", member="bob")
            await until(lambda: "offered" in bob.mesh().core.replica.members.links.values())
            assert (await ask(ada, "device retire", device=old.hex())).device.state == "ended"
            assert await refused(ada, "device retire", device="00000000") == "NOT_FOUND"
        async with running(home) as ada:
            assert ada.mesh().core.device.kid.hex() == certified.device
            assert not ada.keys.has(device_name("succeeding-coop"))


async def test_a_mesh_is_founded_anew(tmp_path: Path) -> None:
    async with founders(tmp_path, 2, frame="weak", charter=CHARTER) as (ada, bob):
        old = ada.mesh().mesh_id.hex()
        founder = (await do(bob, "mesh prepare", name="again")).founder
        assert await refused(ada, "mesh refound", mesh="coop", name="again", founder=("nobody",)) == "USAGE"
        row = await ask(ada, "mesh refound", mesh="coop", name="again", founder=(founder,))
        shown = await ask(ada, "mesh show", mesh="again")
        assert (shown.parent, shown.policy.frame) == (old, "weak")
        ticket = await do(ada, "invite create", open=True, mesh="again")
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "FOUNDER"
        assert bob.mesh("again").mesh_id.hex() == row.mesh_id
        await until(lambda: len(ada.mesh("again").core.replica.members.members) == 2)


async def test_rules_come_from_a_file_and_are_held_to_their_bounds(tmp_path: Path) -> None:
    text = json.dumps({"frame": "none", "admission": {"sponsors": 2}, "ballot_days": 3, "shares": {"policy": "2/3"}})
    async with founders(tmp_path, 1, rules=text) as (ada,):
        shown = await ask(ada, "policy show")
        assert shown.who_gets_in == "2 sponsors"
        assert shown.rules["shares"] == {"policy": "2/3"}
        same = json.dumps(shown.rules)
        assert await refused(ada, "policy propose", file=same) == "USAGE"
        for form in ("[]", "{", '{"frames": 1}', '{"admission": {"sponsors": "2"}}', '{"ballot_days": 1000}'):
            assert await refused(ada, "policy propose", file=form) == "BAD_POLICY"
        assert await refused(ada, "policy propose", file=same, frame="none") == "USAGE"
        for _ in range(8):
            await do(ada, "proposal charter", version=CHARTER)
        assert await refused(ada, "proposal charter", version=CHARTER) == "TOO_MANY_PROPOSALS"


async def test_a_node_that_was_set_back_repairs_its_fork(tmp_path: Path) -> None:
    home = make_home(tmp_path / "bob", "bob")
    async with founders(tmp_path / "first", 1, seals=False) as (ada,):
        async with running(home) as bob:
            ticket = (await do(ada, "invite create", to=bob.root_key().did)).ticket
            await do(bob, "join", ticket=ticket)
            await until(lambda: members(ada) == members(bob) == ["ada", "bob"])
            assert await refused(bob, "member repair", ticket=ticket) == "NOT_FORKED"
            name, old = bob.mesh().name, bob.mesh().core.device.kid
        shutil.copytree(home.mesh(name), tmp_path / "earlier")
        async with running(home) as bob:
            await do(bob, "link offer", member="ada")
            await until(lambda: "offered" in ada.mesh().core.replica.members.links.values())
        shutil.rmtree(home.mesh(name))
        shutil.copytree(tmp_path / "earlier", home.mesh(name))
        async with running(home) as bob:
            await do(bob, "vote default", choice="no")
            await until(lambda: old in ada.mesh().core.replica.members.forks)
            await until(lambda: old in bob.mesh().core.replica.members.forks)
            assert await refused(bob, "vote default", choice="yes") == "DEVICE_NOT_GOVERNING"
            ticket = (await do(ada, "invite create", to=bob.root_key().did)).ticket
            assert await refused(bob, "join", ticket=ticket) == "MESH_EXISTS"
            assert (await do(bob, "member repair", ticket=ticket)).answer == "ADMITTED"
            party = (bob.mesh().core.party[0], 2)
            await until(lambda: all(node.mesh().core.replica.members.is_member(party) for node in (ada, bob)))
            await until(lambda: bob.mesh().core.device.kid in ada.mesh().core.member_peers)
            assert (await ask(bob, "member show", member="bob")).member.incarnation == 2


async def test_another_state_of_the_same_entries_is_never_silent(tmp_path: Path) -> None:
    async with founders(tmp_path, 2, seals=False) as (ada, bob):
        await ask(ada, "tick run")
        tick = ada.mesh().core.ticker.tick
        assert "STATE_DIFFERS" not in {one.code for one in (await ask(ada, "node status")).problems}
        payload = {"boundary": tick.boundary, "frontier": tick.frontier, "state_root": bytes(32)}
        thing = ("tick", tick.boundary.to_bytes(8, "big"))
        lie = await bob.mesh().engine.act(lambda turn: turn.state("state.attestation", thing, payload))
        await until(
            lambda: ada.mesh().core.replica.signed_head(lie.kid) == bob.mesh().core.replica.signed_head(lie.kid)
        )
        told = {one.code: one.message for one in (await ask(ada, "node status")).problems}
        assert "bob" in told["STATE_DIFFERS"]
        assert (await ask(ada, "ledger root")).contradicted_by == ("bob",)


def test_status_says_loudly_what_is_wrong() -> None:
    sealing = SealingRow("NO_QUORUM", "2 of 4 voters were heard; 3 must agree.", 1, (), ("dan",), 3, NOW)
    calm = Governed(
        3, NOW, 4, voter=True, open=0, silent=(), expelled=(), provable=2, branches=(), halted="", sealing=None
    )
    assert governance_problems("coop", calm) == []
    wrong = msgspec.structs.replace(
        calm, silent=("dan",), expelled=("eve",), branches=("aa", "bb"), halted="upgrade it", sealing=sealing
    )
    found = governance_problems("coop", wrong)
    assert [one.code for one in found] == [
        *("GOVERNANCE_FORKED", "UPGRADE", "SILENT_VOTERS", "SEAL_NO_QUORUM", "SEAL_WEAKER"),
    ]
    assert all(one.message and one.fix for one in found)
    disputed = msgspec.structs.replace(calm, halted="epoch 4 is certified, and this node's own fold gives another one")
    assert [one.code for one in governance_problems("coop", disputed)] == ["GOVERNANCE_DISPUTED"]


def test_a_member_without_a_vote_hears_why_and_what_gives_it_one() -> None:
    world, (_, second, _), others = organised()
    told = why_no_vote(world.tip(), world.governed(), second.party)
    assert "has the one vote of their group" in told
    guest = world.join(others[0])
    assert "member sponsor" in why_no_vote(world.tip(), world.governed(), guest.party)
    for resting in declare(world).resting:
        assert "comes back" in why_no_vote(world.tip(), world.governed(), resting)
