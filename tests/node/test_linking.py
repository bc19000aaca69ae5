"""Links that a node accepts by its own rule, on whole nodes over real sockets: a charter's version, a list of keys."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from ledger.errors import LocalError
from node.config import as_toml, read_config
from node.linking import accepts
from node.tables import Links
from tests.node.nodes import do, make_home, running, until


def at_home(node: Any, first: Any) -> bool:
    """Say whether a node is a member, and connected to the first one."""
    core = node.mesh().core
    return core.replica.members.is_member(core.party) and core.device.kid in first.mesh().engine.connected


def state_of(node: Any) -> str:
    """Return how the one link stands that a node knows of; "" for none."""
    return next(iter(node.mesh().core.replica.members.links.values()), "")


async def join(first: Any, other: Any) -> None:
    """Let a node into the mesh of the first one."""
    ticket = await do(first, "invite create", to=other.root_key().did)
    assert (await do(other, "join", ticket=ticket.ticket)).answer == "ADMITTED"
    await until(partial(at_home, other, first))


def obey(node: Any, **rule: Any) -> None:
    """Have a running node obey another rule, as if it had been started with it."""
    flows = node.mesh().flows
    flows.linking = type(flows.linking)(Links(**rule))


@pytest.mark.covers("R41", "R25", "system:PrestaLibre charter")
async def test_an_offer_is_accepted_from_who_stands_by_the_charter(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob")]
    async with running(homes[0]) as ada, running(homes[1]) as bob:
        await do(ada, "mesh create", name="street")
        made = await do(ada, "document open", title="Charter", type="charter", file=b"Be kind.\n")
        await join(ada, bob)
        obey(ada, charter=made.version)
        await do(bob, "link offer", member="ada")
        await until(lambda: state_of(ada) == "offered")
        await trio.sleep(0)
        assert await ada.mesh().engine.act(ada.mesh().flows.linking.look) == []  # bob stands by no charter
        assert state_of(ada) == "offered"
        adopted = await do(bob, "document adopt", document="Charter")
        assert adopted.version == made.version
        await until(lambda: state_of(ada) == state_of(bob) == "up")
        party = bob.mesh().core.party
        assert await ada.mesh().engine.read(lambda turn: accepts(turn, party, bytes.fromhex(made.version)))
        assert not await ada.mesh().engine.read(lambda turn: accepts(turn, party, bytes(32)))
        await do(ada, "link sever", member="bob")
        await until(lambda: state_of(bob) == "severed")
        size = ada.mesh().core.replica.size(bob.mesh().core.device.kid)
        await do(bob, "link offer", member="ada")
        await until(lambda: ada.mesh().core.replica.size(bob.mesh().core.device.kid) > size)
        assert await ada.mesh().engine.act(ada.mesh().flows.linking.look) == []  # once severed, a rule opens nothing
        assert state_of(ada) != "up"


@pytest.mark.covers("R41")
async def test_an_offer_is_accepted_from_who_is_listed(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob", "cyd")]
    async with running(homes[0]) as ada, running(homes[1]) as bob, running(homes[2]) as cyd:
        await do(ada, "mesh create", name="street")
        await join(ada, bob)
        await join(ada, cyd)
        obey(ada, members=(bob.root_key().did,))
        for node in (cyd, bob):
            await do(node, "link offer", member="ada")
        await until(lambda: sorted(ada.mesh().core.replica.members.links.values()) == ["offered", "up"])
        up = {ends for ends, state in ada.mesh().core.replica.members.links.items() if state == "up"}
        assert bob.mesh().core.party in next(iter(up))
        obey(ada, members=(cyd.root_key().did,), charter="ab" * 32)
        assert await ada.mesh().engine.act(ada.mesh().flows.linking.look) == []  # with both, both must hold


def test_the_rule_is_a_table_of_the_settings() -> None:
    from node.config import Config

    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    config = Config("ada", links=Links(charter="ab" * 32, members=(did,)))
    assert read_config(as_toml(config).encode(), "config.toml") == config
    for wrong in ('charter = "abc"', 'members = ["bob"]', "anybody = true"):
        with pytest.raises(LocalError) as error:
            read_config(f'name = "ada"\n[links]\n{wrong}\n'.encode(), "config.toml")
        assert error.value.code == "CONFIG_INVALID"
    assert msgspec.structs.asdict(Links()) == {"charter": "", "members": ()}
