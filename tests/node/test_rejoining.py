"""Coming back after having left, on whole nodes over real sockets: a new incarnation, and nothing of the old one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import MailleError
from node.keystore import device_name
from node.mesh import read_standing, rejoining, write_standing
from tests.node.nodes import do, make_home, running, until
from tests.node.test_tenants import come_true, lines_are, mesh_of

WHAT = {"kind": "load_curve", "purpose": "Advice on insulation", "contact": "dpo@city.example"}


async def leave(node: Any, seen_by: Any) -> None:
    """Leave the mesh, and wait until another node knows."""
    kid = node.mesh().core.party[0]
    await do(node, "mesh leave")
    await until(lambda: seen_by.mesh().core.replica.members.members[kid].state == "left")


async def come_back(node: Any, inviter: Any) -> Any:
    """Join anew with a ticket of another node."""
    ticket = await do(inviter, "invite create", to=node.root_key().did)
    return await do(node, "join", ticket=ticket.ticket)


def is_member(node: Any, party: tuple[bytes, int]) -> bool:
    """Say whether a node holds a party to be a member."""
    return bool(node.mesh().core.replica.members.is_member(party))


async def code_of(node: Any, words: str, **values: Any) -> str:
    """Return the code with which an operation is refused."""
    with pytest.raises(MailleError) as caught:
        await do(node, words, **values)
    return caught.value.code


async def test_who_left_comes_back_as_another_incarnation(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob")]
    async with running(homes[0]) as ada:
        async with running(homes[1]) as bob:
            await mesh_of(ada, bob)
            first, device = bob.mesh().core.party, bob.mesh().core.device.kid
            await do(ada, "readings generate", seed=7, days=2)
            (series,) = (await do(ada, "readings list")).series
            await do(ada, "wallet create", name="anna")
            old = await do(ada, "consent grant", wallet="anna", recipient="bob", point=(series.point,), **WHAT)
            assert (await do(ada, "data send", consent=old.id)).state == "done"
            assert (
                await code_of(bob, "join", ticket=(await do(ada, "invite create", open=True)).ticket) == "MESH_EXISTS"
            )

            await leave(bob, ada)
            assert (await do(bob, "mesh list")).meshes[0].state == "left"
            joined = await come_back(bob, ada)
            assert (joined.name, joined.answer) == (bob.mesh().name, "ADMITTED")
            again = (first[0], 2)
            assert bob.mesh().core.party == again
            assert bob.mesh().core.device.kid != device
            await until(lambda: is_member(ada, again) and is_member(bob, again))
            await until(lambda: bob.mesh().core.device.kid in ada.mesh().core.member_peers)
            assert (await do(bob, "mesh list")).meshes[0].state == "member"
            assert (await do(bob, "mesh show")).incarnation == 2

            assert not is_member(ada, first)
            assert not ada.mesh().core.is_member_device(device)
            assert (await do(ada, "link list")).links == ()
            refused = await do(ada, "data send", consent=old.id)
            assert (refused.state, refused.reason) == ("refused", "NOT_MEMBER_RECIPIENT")

            await do(ada, "link offer", member="bob")
            await until(lambda: "offered" in bob.mesh().core.replica.members.links.values())
            await do(bob, "link accept", member="ada")
            await until(lambda: "up" in ada.mesh().core.replica.members.links.values())
            refused = await do(ada, "data send", consent=old.id)
            assert (refused.state, refused.reason) == ("refused", "NOT_MEMBER_RECIPIENT")
            new = await do(ada, "consent grant", wallet="anna", recipient="bob", point=(series.point,), **WHAT)
            assert (await do(ada, "data send", consent=new.id)).state == "done"
            await come_true(lambda: lines_are(bob, 2))

        async with running(homes[1]) as bob:
            assert bob.mesh().core.party == again
            await until(lambda: bob.mesh().core.device.kid in ada.mesh().core.member_peers)
            await leave(bob, ada)
            await come_back(bob, ada)
            await until(lambda: is_member(ada, (first[0], 3)) and is_member(bob, (first[0], 3)))
            await until(lambda: bob.mesh().core.replica.frontier_digest() == ada.mesh().core.replica.frontier_digest())
            assert bob.keys.names() == ["device-street", "root", "static", "vault"]


async def test_an_application_that_waits_can_be_made_again(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "ada")) as ada, running(make_home(tmp_path / "b", "bob")) as bob:
        await mesh_of(ada, bob)
        await leave(bob, ada)
        devices = {bob.mesh().core.device.kid}
        for _ in range(2):
            ticket = await do(ada, "invite create", open=True)
            assert (await do(bob, "join", ticket=ticket.ticket)).answer == "PENDING"
            devices.add(bob.mesh().core.device.kid)
            assert (await do(bob, "mesh list")).meshes[0].state == "joining"
            (waiting,) = (await do(ada, "requests list")).requests
            await do(ada, "requests deny", id=waiting.id)
        assert (await come_back(bob, ada)).answer == "ADMITTED"
        assert bob.mesh().core.device.kid in devices
        assert len(devices) == 2
        await until(lambda: is_member(bob, bob.mesh().core.party) and is_member(ada, (bob.mesh().core.party[0], 2)))


@pytest.mark.parametrize("written", [False, True])
async def test_a_crash_on_the_way_back_is_made_good(tmp_path: Path, written: bool) -> None:
    home = make_home(tmp_path / "b", "bob")
    async with running(make_home(tmp_path / "a", "ada")) as ada:
        async with running(home) as bob:
            await mesh_of(ada, bob)
            party, name = bob.mesh().core.party, bob.mesh().name
            await leave(bob, ada)
            young = bob.keys.new_device(rejoining(name, 2))
        if written:  # killed after the standing was written, before the key took its place
            standing = read_standing(home.mesh(name))
            again = type(standing)(standing.root, 2, standing.mesh_id, standing.guide, standing.addresses)
            write_standing(home.mesh(name), again)
        async with running(home) as bob:
            assert (bob.mesh().core.device.kid == young.kid) == written
            assert (await come_back(bob, ada)).answer == "ADMITTED"
            assert bob.mesh().core.device.kid == young.kid
            assert not bob.keys.has(device_name(rejoining(name, 2)))
            await until(lambda: is_member(ada, (party[0], 2)) and is_member(bob, (party[0], 2)))


async def test_who_lost_the_disk_says_which_incarnation_it_is(tmp_path: Path) -> None:
    home = make_home(tmp_path / "b", "bob")
    async with running(make_home(tmp_path / "a", "ada")) as ada:
        async with running(home) as bob:
            await mesh_of(ada, bob)
            party, name = bob.mesh().core.party, bob.mesh().name
        shutil.rmtree(home.mesh(name))
        (home.keys / f"{device_name(name)}.key").unlink()
        async with running(home) as bob:
            ticket = (await do(ada, "invite create", to=bob.root_key().did)).ticket
            assert await code_of(bob, "join", ticket=ticket) == "APPLICATION_WRONG"
            assert (await do(bob, "join", ticket=ticket, incarnation=2)).answer == "ADMITTED"
            await until(lambda: is_member(ada, (party[0], 2)) and is_member(bob, (party[0], 2)))
            assert not is_member(ada, party)
