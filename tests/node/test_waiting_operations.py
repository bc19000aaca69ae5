"""A node by its settings: consents wait by default, no stop waits for them, and a start goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from ledger.errors import LocalError
from node.config import Config, as_toml, read_config
from node.flows.spreading import SECONDS_MAX
from node.tables import Wallets
from tests.node.nodes import WAIT_SECONDS_MAX, do, make_home, running

WHAT: dict[str, Any] = {
    "wallet": "anna",
    "recipient": "advice",
    "point": ("prm:00000000000001",),
    "kind": "daily",
    "contact": "a@b.example",
}


def test_consents_are_published_apart_unless_an_operator_says_otherwise() -> None:
    config = read_config(b'name = "a"', "config.toml")
    assert config.wallets.spread_seconds == 600
    assert "# spread_seconds = 600" in as_toml(config)
    at_once = msgspec.structs.replace(config, wallets=Wallets(0))
    assert "\n[wallets]\nspread_seconds = 0\n" in as_toml(at_once)
    assert read_config(as_toml(at_once).encode(), "config.toml") == at_once
    assert read_config(b'name = "a"\n[wallets]\nspread_seconds = %d' % SECONDS_MAX, "config.toml") != config


@pytest.mark.parametrize("value", ["-1", str(SECONDS_MAX + 1), "true", '"600"', "1.5"])
def test_other_times_are_refused_with_their_line(value: str) -> None:
    with pytest.raises(LocalError) as caught:
        read_config(f'name = "a"\n[wallets]\nspread_seconds = {value}'.encode(), "config.toml")
    assert (caught.value.code, caught.value.field) == ("CONFIG_INVALID", "config.toml, line 3")


async def states(node: Any) -> list[str]:
    """Return how the consents stand."""
    return sorted(line.state for line in (await do(node, "consent list")).consents)


async def test_a_stop_does_not_wait_and_a_start_goes_on(tmp_path: Path) -> None:
    home = make_home(tmp_path / "host", "Host")
    config: Config = msgspec.structs.replace(home.config(), wallets=Wallets(2))
    home.config_file.write_text(as_toml(config))
    async with running(home) as node:
        await do(node, "mesh create", name="street")
        await do(node, "tenant init", name="advice")
        await do(node, "tenant host", tenant="advice")
        await do(node, "wallet create", name="anna")
        given = [await do(node, "consent grant", purpose=purpose, **WHAT) for purpose in ("Attic", "Cellar", "Garden")]
        assert [one.publishes is not None for one in given] == [False, True, True]
        assert "active" in await states(node)
    async with running(home) as node:  # nobody else is there: no peer wakes it
        with trio.fail_after(WAIT_SECONDS_MAX):
            while await states(node) != ["active"] * 3:
                await trio.sleep(0.05)
        found = (await do(node, "consent list")).consents
        assert {line.id for line in found} == {one.id for one in given}
        assert all(line.publishes is None for line in found)
