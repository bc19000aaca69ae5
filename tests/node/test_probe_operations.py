"""Probes by their operations on whole nodes, an honest and a turned holder; and that no honest node can turn."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError, MailleError
from node.actors import Actor
from node.actors import until as wait_until
from node.config import Config, Home
from node.daemon import Node
from node.operations import find
from node.turncoat import TurnedNode, main
from tests.node.nodes import do, make_home, running, until
from tests.node.test_data_operations import PERIOD, WHAT, ada_key, exit_code, pair, state_of

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Street:
    """Three nodes: ada holds data, bob is a recipient, eve looks on. `ended`, `valid`: consents to bob."""

    ada: Node
    bob: Node
    eve: Node
    ended: str
    valid: str


@asynccontextmanager
async def street(path: Path, kind: type[Node]) -> AsyncIterator[Street]:
    """Run three nodes; ada is of a kind, has readings, and has consents to bob: one in force, and one withdrawn."""
    homes = {name: make_home(path / name, name) for name in ("ada", "bob", "eve")}
    async with running(homes["ada"], kind=kind) as ada, running(homes["bob"]) as bob, running(homes["eve"]) as eve:
        await pair(ada, bob)
        ticket = await do(ada, "invite create", to=ada_key(eve))
        assert (await do(eve, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"wallet": "anna", "recipient": "bob", "point": (series.point,), **WHAT, **PERIOD}
        ended, valid = [(await do(ada, "consent grant", **args)).id for _ in range(2)]
        await until(lambda: state_of(bob, ended) == state_of(bob, valid) == "GRANTED")
        await do(ada, "consent withdraw", id=ended)
        await until(lambda: state_of(bob, ended) == state_of(eve, ended) == "WITHDRAWN")
        await until(lambda: ada.mesh().core.device.kid in eve.mesh().engine.connected)
        yield Street(ada, bob, eve, ended, valid)


async def ended_can_be_probed(bob: Node) -> Any:
    """Probe ada under the consent that has ended, as soon as bob has seen that she knows."""
    with trio.fail_after(10):
        while True:
            try:
                return await do(bob, "probe run", member="ada", way="ended")
            except LocalError as error:
                if error.code != "NOTHING_TO_PROBE":
                    raise
                await trio.sleep(0.05)


async def test_an_honest_holder_passes(tmp_path: Path) -> None:
    async with street(tmp_path, Node) as at:
        done = await ended_can_be_probed(at.bob)
        assert (done.member, done.asked, done.way) == ("ada", "unconsented", "ended")
        assert (done.outcome, done.code, done.conforms, done.fault) == ("refused", "WITHDRAWN", True, "")
        assert exit_code("probe run", done) == 0
        served = await do(at.bob, "probe run", member="ada", consented=at.valid[:12])
        assert (served.asked, served.outcome, served.conforms) == ("consented", "served", True)
        other = await do(at.eve, "probe run", member="ada", way="recipient", unconsented=True)
        assert (other.outcome, other.code, other.conforms) == ("refused", "NO_LINK", True)
        await until(
            lambda: at.ada.mesh().core.replica.frontier_digest() == at.eve.mesh().core.replica.frontier_digest()
        )
        listed = await do(at.ada, "probe list", member="ada")
        assert sorted((one.prober, one.outcome, one.evidence) for one in listed.results) == [
            ("bob", "refused", "verified"),
            ("bob", "served", "none"),
            ("eve", "refused", "verified"),
        ]
        assert listed.faults == 0
        shown = await do(at.ada, "probe show", entry=done.entry)
        assert (shown.signer, shown.grant, shown.digest, shown.line.fault) == ("ada", at.ended, "", "")
        assert shown.why == "It refused, as it must: WITHDRAWN."
        for values in ({"consented": at.valid, "way": "ended"}, {"consented": at.valid, "unconsented": True}):
            with pytest.raises(MailleError) as wrong:
                await do(at.bob, "probe run", member="ada", **values)
            assert wrong.value.code == "USAGE"
        with pytest.raises(LocalError) as missing:
            await do(at.bob, "probe show", entry=at.valid)
        assert missing.value.code == "NOT_FOUND"


async def a_court_sees_it(at: Street, path: Path) -> None:
    """Let an onlooker make the file about ada's conduct, and verify it as an outsider does."""
    await do(at.eve, "tick run")
    conduct = await do(at.eve, "proof conduct", member="ada")
    file = path / "conduct.mailleproof"
    file.write_bytes(conduct.proof)
    row = find("proof", "verify")
    assert row is not None
    told = row.handler(None, row.args(proof=(str(file),), genesis=conduct.genesis))
    assert (told.reason, len(told.report["claims"]["findings"])) == ("SHOWN", 3)
    words = sorted(finding["words"].partition(":")[0] for finding in told.report["claims"]["findings"])
    assert words == ["NO_SUCH_GRANT", "OTHER_RECIPIENT", "WITHDRAWN"]
    assert any(check.name.endswith(".acknowledged") and check.outcome == "passed" for check in told.checks)


@pytest.mark.covers("R42", "R47")
async def test_a_turned_holder_is_found_and_everybody_can_verify_it(tmp_path: Path) -> None:
    async with street(tmp_path, TurnedNode) as at:
        done = await ended_can_be_probed(at.bob)
        assert (done.outcome, done.conforms, done.fault) == ("served", False, "WITHDRAWN")
        assert exit_code("probe run", done) == 1
        other = await do(at.eve, "probe run", member="ada", way="recipient")
        assert other.fault == "OTHER_RECIPIENT"
        imagined = await do(at.eve, "probe run", member="ada", way="imagined")
        assert imagined.fault == "NO_SUCH_GRANT"
        await until(
            lambda: at.bob.mesh().core.replica.frontier_digest() == at.eve.mesh().core.replica.frontier_digest()
        )
        listed = await do(at.eve, "probe list")
        assert (len(listed.results), listed.faults) == (3, 3)
        shown = await do(at.eve, "probe show", entry=done.entry[:16])
        assert (shown.signer, shown.line.evidence, shown.line.fault) == ("ada", "verified", "WITHDRAWN")
        assert shown.decided_by[0] == at.ended
        assert 0 < shown.bytes < 1_024
        assert shown.kinds == ()
        assert (await do(at.bob, "probe show", entry=done.entry)).kinds == ("electricity/consumption/load_curve/PT30M",)
        await a_court_sees_it(at, tmp_path)
        with pytest.raises(LocalError) as nothing:
            await do(at.bob, "data export", consent=at.ended)
        assert nothing.value.code == "NOT_FOUND"
        assert at.ada.mesh().core.replica.members.is_member(at.ada.mesh().core.party)  # found, and not expelled


def test_a_turned_process_is_started_by_the_demo_and_found(tmp_path: Path) -> None:
    actors = [Actor(name, tmp_path / name) for name in ("holder", "prober")]
    try:
        for actor in actors:
            actor.init()
            actor.made()
            actor.start()
        for actor in actors:
            actor.ready()
        holder, prober = actors
        holder.call("mesh", "create", name="demo")
        prober.call(None, "join", ticket=holder.call("invite", "create", to=prober.did).ticket)
        holder.call("readings", "generate", seed=1, days=2)
        honest = _probed(prober, holder.did)
        assert (honest.outcome, honest.code, honest.fault) == ("refused", "NO_LINK", "")
        holder.kill()
        holder.start(turned=True)
        holder.ready()
        assert "TURNED" in (holder.path / "node.log").read_text()
        found = _probed(prober, holder.did)
        assert (found.outcome, found.fault) == ("served", "NO_SUCH_GRANT")
        assert prober.call("probe", "show", entry=found.entry).line.evidence == "verified"
    finally:
        for actor in actors:
            actor.stop()
        for actor in actors:
            actor.join()


def _probed(prober: Actor, member: str) -> Any:
    """Probe a member as soon as it is connected."""

    def asked() -> Any:
        try:
            return prober.probe(member, "imagined")
        except MailleError as error:
            if error.code not in ("MEMBER_AWAY", "NOT_FOUND"):
                raise
            return None

    return wait_until(asked, "the member is not connected")


# No honest node can turn


def test_only_the_demo_starts_a_turned_node() -> None:
    for path in sorted((ROOT / "node").rglob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        imported |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        assert "node.turncoat" not in imported, path
        named = any(isinstance(n, ast.Constant) and n.value == "node.turncoat" for n in ast.walk(tree))
        assert named <= (path.name in ("actors.py", "turncoat.py")), path
    assert not any("way_out" in name or "turn" in name for name in Config.__struct_fields__)


@pytest.mark.parametrize("changes", [{"listen": ("0.0.0.0:0",)}, {"advertise": ("town.example:8470",)}])
def test_a_node_that_others_can_reach_does_not_turn(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    home = make_home(tmp_path / "ada", "ada")
    home.config_file.unlink()
    _configure(home, changes)
    with home.lock():
        pass
    _has_a_mesh(home)
    assert main(["--data-dir", str(home.path)]) == 1
    assert "NOT_A_DEMO" in capsys.readouterr().err


def test_a_node_with_sealed_keys_does_not_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(tmp_path / "ada", "ada", passphrase="correct horse")
    assert main(["--data-dir", str(home.path)]) != 0
    assert capsys.readouterr().err


def _configure(home: Home, changes: dict[str, Any]) -> None:
    from node.config import as_toml

    settings = {"name": "ada", "listen": ("127.0.0.1:0",), "workers": 0, "log_level": "error", **changes}
    home.config_file.write_text(as_toml(Config(**settings)))


def _has_a_mesh(home: Home) -> None:
    """Make a mesh in a node that does not run."""

    async def make() -> None:
        async with running(home) as node:
            await do(node, "mesh create", name="street")

    trio.run(make)
