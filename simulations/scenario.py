"""Scenarios: stories of organisations, people, consents and flows, one TOML file each, and how such a file is read.

How it works
    A file names its parties and links, then its steps in order: what a person or node does, and what must come of it.

        title = "A household asks for advice"
        about = "One sentence or two."
        covers = ["R118", "system:BMHS"]          # rows of simulations/cover.toml, which the matrix counts

        party = [
            {name = "operator", readings = [{seeds = [1], days = 30}]},   # an organisation, with a node of its own
            {name = "adviser"},
            {name = "anna", kind = "person", at = "operator"},            # her wallet is kept there
        ]
        links = [["operator", "adviser"]]

        # A step is one of the classes below, by the name `act`; meter:1 is the fictitious household with seed 1.
        step = [
          {act = "consent", name = "c", by = "anna", holder = "operator", recipient = "adviser", points = ["meter:1"]},
            {act = "flow", holder = "operator", recipient = "adviser", consent = "c", expect = "allowed"},
            {act = "withdraw", consent = "c"},
            {act = "flow", holder = "operator", recipient = "adviser", consent = "c", expect = "refused",
             reason = "WITHDRAWN"},                                              # in a file: all on one line
        ]

    A step may also be a table of its own, `[[step]]`. `do` runs any operation of the command line at a party's node.
    Texts in its arguments may name what former steps returned: `{c}` is the id of the consent, `{adviser.did}` a key,
    `{asked.requests.0.id}` a field of a result saved as `asked`, `{day:-30}` the day thirty days before the play.

What it does not do
    It plays nothing: simulations/scenario_play.py does. An unknown key, act or party is refused, with its line.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias, get_args

import msgspec

from ledger.errors import LocalError

PLACE: Final = Path(__file__).parent / "scenarios"
"""Where the scenarios that come with maille are."""
FILE_BYTES_MAX: Final = 1 << 18
PARTIES_MAX: Final = 60
STEPS_MAX: Final = 200
PURPOSE: Final = "advice on saving energy"

Kind: TypeAlias = Literal["load_curve", "daily", "index", "max_power", ""]
Energy: TypeAlias = Literal["electricity", "gas", "water", "heat"]
Direction: TypeAlias = Literal["consumption", "production"]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a scenario: every key must be known."""


class Readings(Strict, frozen=True, kw_only=True):
    """Readings of fictitious households, up to now. `seeds`: one, or the first and the last."""

    seeds: tuple[int, ...]
    days: int = 30
    kind: Literal["load_curve", "daily"] = "daily"


class Party(Strict, frozen=True, kw_only=True):
    """Somebody in the story.

    An organisation has a node. A person has a wallet, `at` somebody's node or, without `at`, on a node of her own.
    A service is a tenant of the member `at`. An auditor has files and a mesh's id, and no node. A moral body has a key
    that signs credentials. `later`: its node joins by a step.
    """

    name: str
    kind: Literal["organisation", "person", "service", "auditor", "moral body"] = "organisation"
    at: str = ""
    readings: tuple[Readings, ...] = ()
    later: bool = False

    @property
    def has_node(self) -> bool:
        """Whether a node runs for it."""
        return self.kind == "organisation" or (self.kind == "person" and not self.at)


class MeshTable(Strict, frozen=True, kw_only=True):
    """How the mesh begins. `founders`: nodes that found it together, the first alone by default.

    `strong`: the moral body that contracts with every member. `options`: arguments of `mesh create`.
    """

    founders: tuple[str, ...] = ()
    strong: str = ""
    options: dict[str, Any] = {}


class Step(Strict, frozen=True, kw_only=True, tag_field="act", tag=str.lower):
    """What happens. `say`: in the words of the story; without it, the step's own plain sentence."""

    say: str = ""


class Consent(Step, frozen=True, kw_only=True):
    """A person consents. `terms`: further fields of a file of terms (node/flows/offers.py). `code`: refused so."""

    name: str
    by: str
    holder: str
    recipient: str
    points: tuple[str, ...] = ()
    kind: Kind = "daily"
    energy: Energy = "electricity"
    direction: Direction = "consumption"
    granularity: str = ""
    purpose: str = PURPOSE
    days: int = 365
    request: str = ""
    require: tuple[str, ...] = ()
    computation: str = ""
    terms: dict[str, Any] = {}
    code: str = ""


class Flow(Step, frozen=True, kw_only=True):
    """Data are asked for, or `by` the holder sent; `reason`: the gate's code when refused.

    `consent`: by name; else what is wanted, as `data request` takes it. `records`: how many must pass. `save`: the name
    under which later steps find the result.
    """

    holder: str
    recipient: str
    expect: Literal["allowed", "refused", "waiting"]
    reason: str = ""
    by: Literal["holder", "recipient"] = "recipient"
    consent: str = ""
    point: str = ""
    kind: Kind = ""
    energy: Energy = "electricity"
    direction: Direction = "consumption"
    granularity: str = ""
    purpose: str = ""
    since: str = ""
    until: str = ""
    token: str = ""
    save: str = ""
    records: int | None = None


class Withdraw(Step, frozen=True, kw_only=True):
    """A person withdraws. `slip_at`: with her paper slip, at that node, and not from her wallet."""

    consent: str
    slip_at: str = ""


class Do(Step, frozen=True, kw_only=True):
    """An operation is run at a party's node.

    `save`: the name under which later steps find its result. `code`: it is refused so. `expect`: path of a field ->
    value, such as {"requests.#" = 2}; # counts. A reading operation is repeated until that holds, for a while.
    """

    at: str
    run: str
    say: str
    args: dict[str, Any] = {}
    save: str = ""
    code: str = ""
    expect: dict[str, Any] = {}


class Join(Step, frozen=True, kw_only=True):
    """A node joins by a ticket of `via`. `answer`: the member's; `code`: it is refused so."""

    node: str
    via: str
    accept_charter: str = ""
    answer: str = "ADMITTED"
    code: str = ""


class Expel(Step, frozen=True, kw_only=True):
    """The other founders vote a member out, on a proposal of `by`."""

    member: str
    by: str
    reason: str


class Wait(Step, frozen=True, kw_only=True):
    """Time passes."""

    days: int = 0
    seconds: int = 0


class Partition(Step, frozen=True, kw_only=True):
    """Nothing passes between groups of nodes any more; those in no group form one."""

    groups: tuple[tuple[str, ...], ...]


class Heal(Step, frozen=True, kw_only=True):
    """Everything passes again."""


class Stop(Step, frozen=True, kw_only=True):
    """A node is switched off, at once. `for_good`: nothing of it comes back, and nobody waits for it."""

    node: str


class Start(Step, frozen=True, kw_only=True):
    """A node that was switched off comes back."""

    node: str


AnyStep: TypeAlias = Consent | Flow | Withdraw | Do | Join | Expel | Wait | Partition | Heal | Stop | Start


class Scenario(Strict, frozen=True, kw_only=True):
    """A whole story."""

    title: str
    about: str
    covers: tuple[str, ...]
    party: tuple[Party, ...]
    step: tuple[AnyStep, ...]
    links: tuple[tuple[str, str], ...] = ()
    mesh: MeshTable = MeshTable()
    auditor: int = 2
    """How many members' attestations are enough for the auditor."""


def read(data: bytes, file: str) -> Scenario:
    """Read a scenario. `file`: its name, for messages.

    Raises LocalError BAD_SCENARIO with the file, the line and the key at fault.
    """
    if len(data) > FILE_BYTES_MAX:
        raise LocalError("BAD_SCENARIO", f"{file}: a scenario has at most {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode()
        table = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise LocalError("BAD_SCENARIO", f"{file}: this is not TOML in UTF-8: {error}") from None
    try:
        found = msgspec.convert(table, Scenario)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        _refuse(file, text, path.rstrip("`"), message)
    _check(found, file, text)
    return found


def load(name: str) -> Scenario:
    """Return a scenario that comes with maille, or the one in a file. Raises LocalError NOT_FOUND, BAD_SCENARIO."""
    path = Path(name) if name.endswith(".toml") else PLACE / f"{name}.toml"
    if not path.is_file():
        raise LocalError(
            "NOT_FOUND", f"There is no scenario {name!r}; `maille scenario list` shows them.", field="name"
        )
    return read(path.read_bytes(), path.name)


def names() -> list[str]:
    """Return the names of the scenarios that come with maille."""
    return sorted(path.stem for path in PLACE.glob("*.toml"))


def _check(found: Scenario, file: str, text: str) -> None:
    """Refuse what types cannot say: unknown parties, names given twice, stories without a flow of each kind."""
    if len(found.party) > PARTIES_MAX or not 1 <= len(found.step) <= STEPS_MAX:
        _refuse(file, text, "party", f"at most {PARTIES_MAX} parties, and 1 to {STEPS_MAX} steps")
    known: dict[str, Party] = {}
    for at, party in enumerate(found.party):
        if party.name in known:
            _refuse(file, text, f"party[{at}].name", f"there are two parties called {party.name!r}")
        known[party.name] = party
    nodes = {party.name for party in found.party if party.has_node}
    for at, party in enumerate(found.party):
        if (party.kind == "service" or party.at) and party.at not in nodes:
            _refuse(file, text, f"party[{at}].at", f"{party.at!r} is nobody with a node")
    for at, pair in enumerate(found.links):
        if not set(pair) <= nodes:
            _refuse(file, text, f"links[{at}]", f"{pair} are not both nodes")
    for at, step in enumerate(found.step):
        for field, allowed in _NAMING:
            named = getattr(step, field, "")
            if isinstance(named, str) and named and named not in (nodes if allowed == "node" else known):
                _refuse(file, text, f"step[{at}].{field}", f"{named!r} is no {allowed} of this story")
        if isinstance(step, Flow) and {"refused": not step.reason, "allowed": bool(step.reason)}.get(step.expect):
            _refuse(file, text, f"step[{at}].reason", "a refused flow names its reason, and an allowed one has none")
    for wanted in ("allowed", "refused"):
        if not any(isinstance(step, Flow) and step.expect == wanted for step in found.step):
            _refuse(file, text, "step", f"a scenario has at least one {wanted} flow")


_NAMING: Final = (
    *((field, "party") for field in ("by_person", "holder")),
    *((field, "node") for field in ("at", "node", "via", "member", "slip_at")),
)


def _refuse(file: str, text: str, path: str, message: str) -> NoReturn:
    where = f"line {_line(text, path)}, {path}" if path else "the file as a whole"
    raise LocalError("BAD_SCENARIO", f"{file}, {where}: {message}", field=path or None)


def _line(text: str, path: str) -> int:
    """Return the line where a path such as step[3].reason begins, or where its table does."""
    lines, at = text.splitlines(), 0
    found = re.match(r"(\w+)\[(\d+)\]\.?(\w*)", path)
    if found is None:
        key = re.match(r"\w*", path)
        return _find(lines, 0, key[0] if key else "") + 1
    table, number, key_name = found[1], int(found[2]), found[3]
    begins = _find(lines, 0, table)
    if table == "links":
        return begins + 1
    headers = [place for place, line in enumerate(lines) if line.strip() == f"[[{table}]]"]
    headers = headers or [place for place in range(begins, len(lines)) if lines[place].lstrip().startswith(("{", "["))]
    if number < len(headers):
        at = headers[number]
        ends = next((place for place in range(at + 1, len(lines)) if lines[place].startswith("[")), len(lines))
        ends = ends if lines[at].startswith("[[") else at + 1
        return _find(lines[:ends], at, key_name) + 1
    return _find(lines, 0, table) + 1


def _find(lines: list[str], begin: int, key: str) -> int:
    pattern = re.compile(rf"\s*\[*{re.escape(key)}\b") if key else None
    return next((at for at in range(begin, len(lines)) if pattern and pattern.match(lines[at])), begin)


ACTS: Final = tuple(step.__name__.lower() for step in get_args(AnyStep))
"""What a step may be."""
