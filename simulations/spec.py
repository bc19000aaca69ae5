"""What a scenario is: a TOML file with defaults for everything, and how it is read, changed, named and written.

How it works
    A `Scenario` and its tables are msgspec Structs: an unknown name, a wrong type or a number that makes no sense is
    refused with its place. A scenario without a seed is a question; with one, a run. `changed` sets single fields by
    dotted names, as `--set network.loss=0.1` does. `params_hash` names what matters: two scenarios with equal fields,
    and equal files where they name some, have equal hashes, whatever they are called. `to_toml` writes what was
    resolved, so that a run's spec.toml runs again.

What it does not do
    It builds nothing: simulations.setting does. It knows no seeds: runs do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Meta

from ledger.errors import LocalError
from ledger.schema import DAY
from node.shapes import refused, toml_value
from simulations.sense import faults

STUDIES: Final = Path(__file__).resolve().parent / "studies"
"""Where the named scenarios are."""
HASH_DIGITS: Final = 12

_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
}

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
"""A part of all, or a probability."""
Span: TypeAlias = Annotated[float, Meta(ge=0, le=10**7)]
"""Seconds or milliseconds, as the field's name or table says."""
Number: TypeAlias = Annotated[int, Meta(ge=0, le=10**6)]
Node: TypeAlias = Annotated[int, Meta(ge=0)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all tables share: an unknown field is an error."""


class NetworkSpec(_Table, frozen=True):
    """What lies between nodes.

    `latency`: constant (low_ms), uniform (low_ms to high_ms), exponential (at least low_ms, mean high_ms beyond),
    matrix (a CSV `file` of one-way ms; `rtt` if it holds round trips), gml (a `file` whose edges have `latency` in ms),
    topohub (`graph`, by kilometres), regions (`regions`: libp2p or simblock). `jitter`: sigma of a lognormal factor.
    `capacity`: messages that may be on their way between two nodes, 0: any number; beyond it the next are lost.
    `uplink_mbit` 0: no limit. `behind_nat`: part of the nodes that nobody can dial. `skew_ms`: clocks are wrong by up
    to so much. Probabilities are of each message. `file`: its path from the current directory.
    """

    latency: Literal["constant", "uniform", "exponential", "matrix", "gml", "topohub", "regions"] = "uniform"
    low_ms: Span = 10.0
    high_ms: Span = 50.0
    file: str = ""
    rtt: bool = False
    graph: str = ""
    regions: str = ""
    ms_per_km: Annotated[float, Meta(ge=0, le=1_000)] = 0.0075
    access_ms: Span = 5.0
    jitter: Annotated[float, Meta(ge=0, le=5)] = 0.0
    loss: Share = 0.0
    replay: Share = 0.0
    replay_ms: Span = 0.0
    reorder: bool = False
    clog: Share = 0.0
    clog_ms: Span = 0.0
    capacity: Number = 0
    uplink_mbit: Annotated[float, Meta(ge=0, le=10**6)] = 0.0
    burst_kib: Annotated[float, Meta(ge=0, le=10**6)] = 64.0
    behind_nat: Share = 0.0
    skew_ms: Annotated[int, Meta(ge=0, le=1_000 * DAY)] = 0


class OverlaySpec(_Table, frozen=True):
    """Who has a channel to whom.

    `dials`: each dials `degree` others. `regular`, `random` (Erdos-Renyi), `small-world`, `scale-free`: mean `degree`.
    """

    kind: Literal["dials", "regular", "complete", "ring", "random", "small-world", "scale-free"] = "dials"
    degree: Annotated[int, Meta(ge=1, le=10**6)] = 8


class FaultSpec(_Table, frozen=True):
    """Something that goes wrong `at` a second, and ends at `until` (0: never).

    `partition`: `share` of the nodes are cut off (`mode`: one group of that size; halves chosen node by node; one node
    alone; the nodes named). `crash`: `share` of the nodes, or those named, end; `storage` says what their disk keeps:
    all that was committed, a write torn in the middle, or not the last `lost` commits. `churn`: `rate` nodes a minute
    crash and come back after about `down` seconds. `trace`: as a CSV `file` of `second,node,up|down` says. `chaos`: the
    ranges of TigerBeetle's VOPR, drawn from the seed.
    """

    kind: Literal["partition", "crash", "churn", "trace", "chaos"]
    at: Span = 0.0
    until: Span = 0.0
    share: Share = 0.5
    nodes: tuple[Node, ...] = ()
    mode: Literal["uniform_size", "uniform_partition", "isolate_single", "named"] = "uniform_size"
    one_way: bool = False
    storage: Literal["kept", "torn", "lost"] = "kept"
    lost: Number = 0
    rate: Annotated[float, Meta(ge=0, le=10**5)] = 0.0
    down: Span = 30.0
    file: str = ""


class LoadSpec(_Table, frozen=True):
    """What happens in the mesh: `count` publications from `start` on, one `every` so many seconds.

    In the world of real nodes each is a person's consent; a share of `withdraw` of them is withdrawn `withdraw_after`
    seconds later, at `withdraw_at` (where it was granted, or anywhere). With `data` set, node 1 asks node 0 for data
    under each consent every `every_ask` seconds, through the real gate: `home` and `quorum` are the measures of
    freshness. What is measured of packs is no finer than that. `never_flowed` counts consents under which none left.
    In the light world each is a payload of `payload_bytes`. What would come after the scenario's end does not happen,
    and a publication finds a node that is up or does not happen either: `not_published` in the summary's counts.
    """

    start: Span = 5.0
    count: Number = 20
    every: Span = 1.0
    payload_bytes: Annotated[int, Meta(ge=1, le=2**24)] = 256
    publishers: tuple[Node, ...] = ()
    withdraw: Share = 0.0
    withdraw_after: Span = 10.0
    withdraw_at: Literal["home", "anywhere"] = "home"
    data: Literal["", "home", "quorum"] = ""
    every_ask: Annotated[float, Meta(ge=0.001, le=10**7)] = 20.0


class AdversarySpec(_Table, frozen=True):
    """Some nodes act against the others, from `at` on until `until` (0: to the end). `kind`: simulations.adversaries.

    `share` of all nodes, or those named. `target`: the node that is attacked, where the attack has one.
    """

    kind: str
    at: Span = 0.0
    until: Span = 0.0
    share: Share = 0.2
    nodes: tuple[Node, ...] = ()
    target: Node = 0


class PolicySpec(_Table, frozen=True):
    """The mesh's rules (ledger.governance.epoch.Policy), in seconds."""

    tick_seconds: Annotated[int, Meta(ge=1, le=DAY)] = 60
    heartbeat_seconds: Annotated[int, Meta(ge=1, le=3_600)] = 20
    max_staleness_seconds: Annotated[int, Meta(ge=1, le=DAY)] = 600
    seal_seconds: Annotated[int, Meta(ge=1, le=DAY)] = 600
    invitations_a_day: Annotated[int, Meta(ge=1, le=1_000)] = 1_000


class ChecksSpec(_Table, frozen=True):
    """What must hold. Within `settle` seconds after the last fault all honest nodes that are up must agree.

    `expect`: names of checks that this scenario is meant to break (an attack that wins, say); they are reported, and
    the run fails when they hold.
    """

    settle: Span = 120.0
    expect: tuple[str, ...] = ()


class Scenario(_Table, frozen=True):
    """A named question. `world`: real nodes of maille, or `protocol` at light nodes. `signatures`: how verified."""

    name: Annotated[str, Meta(pattern=r"\A\w[\w .-]*\Z", max_length=100)]
    about: str = ""
    world: Literal["maille", "light"] = "maille"
    nodes: Annotated[int, Meta(ge=2, le=10**6)] = 20
    seconds: Annotated[float, Meta(gt=0, le=10**7)] = 120.0
    signatures: Literal["memoised", "real"] = "memoised"
    protocol: str = "flood"
    protocol_options: dict[str, Any] = {}
    network: NetworkSpec = NetworkSpec()
    overlay: OverlaySpec = OverlaySpec()
    policy: PolicySpec = PolicySpec()
    load: LoadSpec = LoadSpec()
    faults: tuple[FaultSpec, ...] = ()
    adversaries: tuple[AdversarySpec, ...] = ()
    checks: ChecksSpec = ChecksSpec()


TABLES: Final[dict[str, type[_Table]]] = {
    "network": NetworkSpec,
    "overlay": OverlaySpec,
    "policy": PolicySpec,
    "load": LoadSpec,
    "faults": FaultSpec,
    "adversaries": AdversarySpec,
    "checks": ChecksSpec,
}
"""The tables of a scenario; of faults and adversaries there may be several."""


def names() -> list[str]:
    """Return the names of the scenarios that come with maille."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def load(name: str) -> Scenario:
    """Return a scenario by its name, or from the file of that name. Raises LocalError NO_SCENARIO, BAD_SCENARIO."""
    path = STUDIES / f"{name}.toml" if name in names() else Path(name)
    try:
        raw = path.read_bytes()
    except OSError:
        told = f"{name!r} is neither a scenario (`maille sim scenarios`) nor a file that can be read"
        raise LocalError("NO_SCENARIO", told, field="scenario") from None
    return parse(raw)


def parse(raw: bytes) -> Scenario:
    """Read a scenario from TOML. Raises LocalError BAD_SCENARIO with the place."""
    try:
        return _checked(msgspec.toml.decode(raw, type=Scenario))
    except msgspec.ValidationError as error:
        raise _refused(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LocalError("BAD_SCENARIO", f"the scenario does not read: {error}", field="scenario") from None


def _refused(error: msgspec.ValidationError) -> LocalError:
    """Return the refusal that names the field, as `--set` would, and what may stand there."""
    told, path = refused(error)
    place = re.sub(r"\[(\d+)\]", r".\1", path.removeprefix("."))
    for kind, words in _WORDS.items():
        told = told.replace(f"`{kind}`", words)
    table: type[msgspec.Struct] = TABLES.get(place.split(".")[0], Scenario)
    if "unknown field" in told:
        told += f"; there are {', '.join(table.__struct_fields__)}"
    elif "enum value" in told:
        told += f"; it may be {', '.join(get_args(get_type_hints(table)[place.rpartition('.')[2]]))}"
    return LocalError("BAD_SCENARIO", told, field=place or "scenario")


def changed(scenario: Scenario, settings: Mapping[str, Any]) -> Scenario:
    """Return the scenario with fields set by dotted names (`network.loss`, `faults.0.until`). Raises BAD_SCENARIO.

    A value that is text is read as TOML would read it: 0.1, true, [1, 2]; what is neither stays text.
    """
    built = msgspec.to_builtins(scenario)
    for name, value in settings.items():
        place: Any = built
        *above, last = name.split(".")
        try:
            for part in above:
                place = place[int(part)] if isinstance(place, list | tuple) else place[part]
            if not isinstance(place, dict) or (last not in place and place is not built["protocol_options"]):
                raise KeyError(last)
        except (KeyError, IndexError, ValueError):
            known = ", ".join(place) if isinstance(place, dict) else "there is no such table"
            raise LocalError(
                "BAD_SCENARIO", f"a scenario has no field {name!r}; here are {known}", field=name
            ) from None
        place[last] = _read(value) if isinstance(value, str) else value
    try:
        return _checked(msgspec.convert(built, Scenario))
    except msgspec.ValidationError as error:
        raise _refused(error) from None


def _read(text: str) -> Any:
    try:
        return msgspec.toml.decode(f"value = {text}")["value"]
    except msgspec.DecodeError:
        return text


def _checked(scenario: Scenario) -> Scenario:
    """Return the scenario if its fields make sense together; each alone is of its type."""
    for field, told in faults(scenario):
        raise LocalError("BAD_SCENARIO", told, field=field)
    return scenario


def params_hash(scenario: Scenario) -> str:
    """Return what names the parameters: digits of SHA-256 over every field but name and about, in order of name.

    A file that a field names counts by its path and its bytes.
    """
    built = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(scenario), Scenario))  # 40 seconds are 40.0 seconds
    del built["name"], built["about"]
    files = {path: _digest(path) for path in (scenario.network.file, *(one.file for one in scenario.faults)) if path}
    if files:
        built["files"] = files
    return hashlib.sha256(json.dumps(built, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""  # whoever reads it says so


# Writing


def to_toml(scenario: Scenario, *, short: bool = False) -> str:
    """Return the scenario as TOML. `short`: without what is as by default."""
    built = msgspec.to_builtins(scenario)
    usual = msgspec.to_builtins(Scenario(name=""))
    if short:
        built = {name: value for name, value in built.items() if value != usual[name]}
        for name, table in built.items():
            if isinstance(table, dict) and name != "protocol_options":
                built[name] = {field: value for field, value in table.items() if value != usual[name][field]}
        for name, kind in (("faults", FaultSpec(kind="crash")), ("adversaries", AdversarySpec(kind=""))):
            normal = msgspec.to_builtins(kind)
            rows = [{f: v for f, v in row.items() if f == "kind" or v != normal[f]} for row in built.get(name, ())]
            built |= {name: rows} if rows else {}
    return "\n".join(_lines(built)) + "\n"


def _lines(built: Mapping[str, Any]) -> Iterator[str]:
    tables = {name: value for name, value in built.items() if _is_table(value)}
    yield from (f"{name} = {toml_value(value)}" for name, value in built.items() if name not in tables)
    for name, value in tables.items():
        for table in value if isinstance(value, list | tuple) else (value,):
            yield ""
            yield f"[[{name}]]" if isinstance(value, list | tuple) else f"[{name}]"
            yield from (f"{field} = {toml_value(one)}" for field, one in table.items())


def _is_table(value: Any) -> bool:
    rows = isinstance(value, list | tuple) and value and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict) or bool(rows)


@dataclass(frozen=True, slots=True)
class RunName:
    """What names one run: its scenario as resolved, and its seed."""

    scenario: Scenario
    seed: int

    @property
    def folder(self) -> Path:
        """Where it lies below the folder of all runs."""
        return Path(self.scenario.name, params_hash(self.scenario), str(self.seed))
