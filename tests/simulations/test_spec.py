"""Scenarios: each named one reads and writes back, what is wrong is refused with its place, equal ones hash alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import LocalError
from simulations.adversaries import KNOWN
from simulations.spec import NetworkSpec, Scenario, changed, load, names, params_hash, parse, to_toml


def test_there_are_about_two_dozen_named_scenarios_and_each_says_what_it_asks() -> None:
    found = [load(name) for name in names()]
    assert len(found) >= 25
    assert [one.name for one in found] == names()
    assert all(len(one.about) > 25 for one in found)


@pytest.mark.parametrize("name", names())
def test_a_scenario_reads_back_what_it_writes(name: str) -> None:
    scenario = load(name)
    for short in (False, True):
        again = parse(to_toml(scenario, short=short).encode())
        assert again == scenario
        assert params_hash(again) == params_hash(scenario)


def test_adversaries_of_the_named_scenarios_are_known() -> None:
    assert {one.kind for name in names() for one in load(name).adversaries} <= KNOWN.keys()


def test_the_hash_is_of_what_matters() -> None:
    one = load("baseline")
    assert params_hash(changed(one, {"name": "other", "about": "else"})) == params_hash(one)
    assert params_hash(Scenario(name="a", seconds=40)) == params_hash(Scenario(name="a", seconds=40.0))
    seen = {params_hash(changed(one, {name: value})) for name, value in CHANGES.items()}
    assert len(seen) == len(CHANGES)
    assert params_hash(one) not in seen


CHANGES = {"nodes": "21", "network.loss": "0.2", "load.publishers": "[1, 2]", "overlay.kind": "ring", "seconds": 99}


def test_fields_are_set_by_their_names() -> None:
    scenario = changed(load("eclipse"), {**CHANGES, "adversaries.0.share": "0.4", "network.reorder": "true"})
    assert scenario.nodes == 21
    assert scenario.load.publishers == (1, 2)
    assert scenario.overlay.kind == "ring"
    assert scenario.adversaries[0].share == 0.4
    assert scenario.network.reorder
    light = changed(load("rumor"), {"protocol_options.fanout": "7", "protocol_options.new": "x"})
    assert light.protocol_options == {"fanout": 7, "new": "x"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("none", "1"),
        ("network.none", "1"),
        ("network", "1"),
        ("faults.0.at", "1"),
        ("nodes", "many"),
        ("nodes", "1"),
        ("seconds", "0"),
        ("seconds", "inf"),
        ("network.loss", "1.5"),
        ("network.loss", "nan"),
        ("load.publishers", "[20]"),
        ("world", "flat"),
        ("", "1"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(LocalError) as caught:
        changed(load("baseline"), {name: value})
    assert caught.value.code == "BAD_SCENARIO"


@pytest.mark.parametrize(
    ("text", "field", "word"),
    [
        ("nodes = 1", "nodes", ">= 2"),
        ("nodes = 513", "nodes", "512 at most"),
        ("none = 1", "scenario", "there are name, about"),
        ("seconds = 'long'", "seconds", "a number, got text"),
        ("[overlay]\nkind = 'star'", "overlay.kind", "dials, regular"),
        ("[[faults]]\nkind = 'storm'", "faults.0.kind", "partition, crash"),
        ("[checks]\nexpect = ['convergance']", "checks.expect", "one-state, convergence"),
        ("world = 'light'\n[checks]\nexpect = ['status']", "checks.expect", "real nodes"),
        ("[network]\nlos = 0.1", "network", "loss, replay"),
        ("[network]\nlow_ms = -1", "network.low_ms", ">= 0"),
        ("[network]\nlow_ms = 60", "network.high_ms", "below low_ms"),
        ("[network]\njitter = inf", "network.jitter", "<= 5"),
        ("[load]\nevery_ask = 0", "load.every_ask", ">= 0.001"),
        ("[load]\ndata = 'home'\nwithdraw_at = 'anywhere'", "load.withdraw_at", "at home"),
        ("[policy]\ntick_seconds = 0", "policy.tick_seconds", ">= 1"),
        ("[[faults]]\nkind = 'churn'\nrate = -1", "faults.0.rate", ">= 0"),
        ("[[faults]]\nkind = 'crash'\n[[faults]]\nkind = 'crash'\nshare = 2", "faults.1.share", "<= 1"),
        ("[[faults]]\nkind = 'crash'\nat = 9\nuntil = 5", "faults.0.until", "before it begins"),
        ("[[faults]]\nkind = 'crash'\nnodes = [20]", "faults.0.nodes", "0 to 19"),
        ("[[adversaries]]\nkind = 'collude'\ntarget = 20", "adversaries.0.target", "0 to 19"),
        ("protocol = 'mine:Own'", "protocol", "world = 'light'"),
        ("world = 'light'\n[load]\nwithdraw = 1.0", "load.withdraw", "real nodes"),
        ("world = 'light'\n[network]\nskew_ms = 1", "network.skew_ms", "real nodes"),
        ("world = 'light'\n[[faults]]\nkind = 'crash'\nstorage = 'torn'", "faults.0.storage", "real nodes"),
    ],
)
def test_a_refusal_names_the_field_as_set_would(text: str, field: str, word: str) -> None:
    with pytest.raises(LocalError, match=word) as caught:
        parse(f'name = "a"\n{text}'.encode())
    assert (caught.value.code, caught.value.field) == ("BAD_SCENARIO", field)


def test_a_name_is_fit_for_a_folder() -> None:
    for name in ("", "..", "a/b", "/tmp", "a\n", ".hidden"):
        with pytest.raises(LocalError) as caught:
            changed(Scenario(name="a"), {"name": name})
        assert caught.value.field == "name"
    assert changed(Scenario(name="a"), {"name": "my mesh-2.1"}).name == "my mesh-2.1"


def test_a_world_has_one_partition_at_a_time() -> None:
    cut = "[[faults]]\nkind = 'partition'\nat = {}\nuntil = {}\n"
    for second in (cut.format(15, 40), "[[faults]]\nkind = 'chaos'\nat = 19\n"):
        with pytest.raises(LocalError, match="one at a time") as caught:
            parse(('name = "a"\n' + second + cut.format(10, 20)).encode())
        assert caught.value.field == "faults.0.at"
    assert len(parse(('name = "a"\n' + cut.format(20, 40) + cut.format(10, 20)).encode()).faults) == 2


def test_a_file_counts_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    one = Scenario(name="a", network=NetworkSpec(latency="matrix", file=str(path)))
    seen = {params_hash(one)}
    for text in ("0,1\n1,0\n", "0,2\n2,0\n"):
        path.write_text(text)
        seen.add(params_hash(one))
    assert len(seen) == 3
    path.write_text("0,1\n1,0\n")
    assert params_hash(one) in seen


@pytest.mark.parametrize(
    "raw", [b"", b"name = 1", b"\xff", b'name = "a"\nnone = 1', b'name = "a"\n[network]\nloss = 2.0']
)
def test_a_file_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(LocalError) as caught:
        parse(raw)
    assert caught.value.code == "BAD_SCENARIO"


def test_a_light_world_has_no_adversaries() -> None:
    with pytest.raises(LocalError, match="world of real nodes"):
        changed(load("eclipse"), {"world": "light"})


def test_a_name_that_names_nothing_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="neither a scenario"):
        load("no-such-scenario")
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nnodes = 3\n')
    assert load(str(path)).nodes == 3
