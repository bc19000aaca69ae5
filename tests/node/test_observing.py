"""What a supervisor sees of a running node: probes, metrics, events, and settings that change while it runs."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from ledger.errors import LocalError
from node.config import Config, Home, Metrics, as_toml, read_config
from node.event_log import COUNTED_MAX, KEPT, EventLog
from node.metrics import NAMES
from node.settings import differences, with_setting
from node.upkeep import note_upkeep, read_upkeep
from tests.node.nodes import command, do, make_home, running


def metrics_home(path: Path) -> Home:
    """A node that serves metrics on a free port."""
    home = make_home(path, "Ours")
    config = msgspec.structs.replace(home.config(), metrics=Metrics("127.0.0.1:0"))
    home.config_file.write_text(as_toml(config), encoding="utf-8")
    assert home.config() == config
    return home


async def get(url: str, host: str = "localhost") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(url, headers={"host": host})


@pytest.mark.covers("R145")
async def test_probes_and_metrics(tmp_path: Path) -> None:
    note_upkeep(tmp_path, "backups", "maillons", 1_700_000_000)
    async with running(metrics_home(tmp_path / "a")) as node:
        assert (await get(f"{node.metrics_address}/livez")).text == "ok\n"
        ready = await get(f"{node.metrics_address}/readyz")
        assert (ready.status_code, ready.json()) == (200, {"live": True, "ready": True, "codes": []})

        await do(node, "mesh create", name="Les Maillons", local_name="maillons")
        note_upkeep(node.home.path, "backups", "maillons", 1_700_000_000)
        note_upkeep(node.home.path, "drills", "maillons", 1_700_000_001)
        node.waiting["restored"] = "RESTORED"
        ready = await get(f"{node.metrics_address}/readyz")
        assert (ready.status_code, ready.json()["codes"]) == (503, ["MESH_RESTORED"])
        assert not (await do(node, "health")).ready
        assert (await do(node, "health", live=True)).ready

        node.events.note(None, "info", {"event": "ready", "level": "info"})
        answer = await get(f"{node.metrics_address}/metrics")
        found = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert {name.removesuffix("_total") for name in NAMES} >= set(found)
        assert set(found) >= {name.removesuffix("_total") for name in NAMES} - {"maille_tick_timestamp_seconds"}
        figures = {(s.name, *s.labels.values()): s.value for family in found.values() for s in family.samples}
        assert figures["maille_ready",] == 0
        assert figures["maille_members", "maillons"] == 1
        assert figures["maille_events_total", "ready", "info"] == 1
        assert figures["maille_problems", "MESH_RESTORED"] == 1
        assert figures["maille_backup_timestamp_seconds", "maillons"] == 1_700_000_000
        assert figures["maille_ledger_entries", "maillons"] >= 2

        assert (await get(f"{node.metrics_address}/livez", host="evil.example")).status_code == 400


async def test_metrics_are_served_on_this_machine_alone(tmp_path: Path) -> None:
    home = make_home(tmp_path / "a", "Ours")
    config = msgspec.structs.replace(home.config(), metrics=Metrics("0.0.0.0:0"))
    home.config_file.write_text(as_toml(config), encoding="utf-8")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(home):
            pass
    assert caught.group_contains(LocalError, match="would be open to others")


def test_no_metric_names_a_person_or_a_point() -> None:
    assert all(name.startswith("maille_") and text.endswith(".") for name, text in NAMES.items())


async def test_events_are_kept_counted_and_waited_for() -> None:
    log = EventLog()
    for number in range(KEPT + 5):
        log.note(None, "info", {"event": "beat", "level": "info", "ts": "t", "n": number})
    assert [event.fields["n"] for event in log.after(KEPT + 3)] == [str(KEPT + 3), str(KEPT + 4)]
    assert len(log.after(0)) == KEPT
    assert log.counts["beat", "info"] == KEPT + 5
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.wait, log.last)
            await trio.testing.wait_all_tasks_blocked()
            log.note(None, "warning", {"event": "late", "level": "warning"})
    for number in range(2 * COUNTED_MAX):
        log.note(None, "info", {"event": f"e{number}", "level": "info"})
    assert len(log.counts) <= COUNTED_MAX + 1
    assert log.counts["other", "info"] > COUNTED_MAX - 5


async def test_events_are_listed_by_level(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "a", "Ours")) as node:
        for level in ("info", "warning", "error"):
            node.events.note(None, level, {"event": f"an {level}", "level": level, "ts": "2026-01-01T00:00:00Z"})
        found = await do(node, "node events", level="warning")
        assert [event.event for event in found.events] == ["an warning", "an error"]
        assert (await do(node, "node events", after=found.last)).events == ()


def test_what_is_noted_of_upkeep_survives_a_damaged_file(tmp_path: Path) -> None:
    note_upkeep(tmp_path, "backups", "a", 5)
    note_upkeep(tmp_path, "drills", "b", 6)
    assert (read_upkeep(tmp_path).backups, read_upkeep(tmp_path).drills) == ({"a": 5}, {"b": 6})
    (tmp_path / "upkeep.json").write_bytes(b"{")
    assert read_upkeep(tmp_path).backups == {}


# Settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "node", "Ours")


def test_a_setting_is_changed_and_the_rest_left_alone(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = home.config_file.read_text()
    home.config_file.write_text(before + "\n# mine\n")
    code, told = command(home, "config", "set", "log_level", "warning", capsys=capsys)
    assert (code, told["before"], told["now"]) == (0, '"error"', '"warning"')
    after = home.config_file.read_text()
    assert after == before.replace('log_level = "error"', 'log_level = "warning"') + "\n# mine\n"
    assert command(home, "config", "set", "metrics.listen", "127.0.0.1:9", capsys=capsys)[0] == 0
    assert home.config().metrics == Metrics("127.0.0.1:9")
    assert command(home, "config", "set", "probes_a_day", "3", capsys=capsys)[1]["now"] == "3"
    assert command(home, "config", "set", "probes_a_day", "", capsys=capsys)[1]["now"] == "0"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("log_level", "loud"),
        ("loglevel", "info"),
        ("name", ""),
        ("name.first", "x"),
        ("workers", "-1"),
        ("name", "\udc80"),
        ("pages.url", "x"),
    ],
)
def test_a_wrong_setting_changes_nothing(
    home: Home, capsys: pytest.CaptureFixture[str], setting: str, value: str
) -> None:
    before = home.config_file.read_bytes()
    code, told = command(home, "config", "set", setting, value, capsys=capsys)
    assert code != 0
    assert setting in told
    assert home.config_file.read_bytes() == before


def test_settings_are_checked_and_shown(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(home, "config", "check", capsys=capsys)[0] == 0
    rows = {row["setting"]: row for row in command(home, "config", "show", capsys=capsys)[1]["settings"]}
    assert rows["probes_a_day"] == {"setting": "probes_a_day", "value": "0", "default": True}
    assert not rows["name"]["default"]
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "a"\nlitsen = []\n')
    code, told = command(home, "config", "check", str(bad), capsys=capsys)
    assert (code, "line 2" in told) == (1, True)
    bad.write_text('name = "a"\n[metrics]\nlisten = "0.0.0.0:9470"\n')  # as the start refuses it
    code, told = command(home, "config", "check", str(bad), capsys=capsys)
    assert (code, "METRICS_OPEN" in told) == (1, True)
    assert command(home, "config", "check", str(tmp_path / "none.toml"), capsys=capsys)[0] == 5


async def test_a_running_node_takes_settings_over(home: Home) -> None:
    async with running(home) as node:
        await do(node, "mesh create", name="Les Maillons")
        wanted = msgspec.structs.replace(
            home.config(), advertise=("mesh.example:1",), probes_a_day=7, listen=("127.0.0.1:0", "[::1]:0"), workers=1
        )
        home.config_file.write_text(as_toml(wanted), encoding="utf-8")
        found = {row.setting: row.takes for row in (await do(node, "config diff")).changes}
        assert found == {"advertise": "reload", "probes_a_day": "reload", "listen": "reload", "workers": "restart"}
        told = await do(node, "config reload")
        assert (set(told.taken), told.restart) == ({"advertise", "probes_a_day", "listen"}, ("workers",))
        assert len(node.net.listening) == 2
        assert node.mesh().flows.probing.a_day == 7
        assert node.addresses == ("mesh.example:1",)
        card = await node.mesh().engine.read(
            lambda turn: turn.core.directory.card(turn.rows, turn.core.device.kid),
        )
        assert card is not None
        assert card.addresses == ("mesh.example:1",)

        home.config_file.write_text("name = 3")
        held = node.config
        with pytest.raises(LocalError, match=r"config\.toml|Expected"):
            await do(node, "config reload")
        assert node.config is held


def test_differences_name_settings_inside_tables() -> None:
    one, two = Config(name="a"), Config(name="a", metrics=Metrics("127.0.0.1:2"))
    assert differences(one, two) == ["metrics.listen"]
    raw = with_setting(as_toml(two).encode(), "metrics.listen", "127.0.0.1:3", "f")
    assert differences(two, read_config(raw, "f")) == ["metrics.listen"]
