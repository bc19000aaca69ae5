"""What the texts of a scenario name: consents, keys, points, days, and what former steps returned.

How it works
    `Names` keeps what steps have saved and fills it into the arguments of later ones, which are then converted to the
    types that the operation takes: a file's content from text or a table, a moment from `{day:-30}`.

What it does not do
    It runs nothing. A name that no step before has saved is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ledger.errors import LocalError
from node.operation import fields
from simulations.meters import Meter
from simulations.scenario import Do
from simulations.scenario_stage import Stage, operation_of


@dataclass(slots=True)
class Names:
    """The names of one play. `began`: when it began, unix seconds. `saved`: name -> result."""

    stage: Stage
    began: int
    saved: dict[str, Any] = field(default_factory=dict)

    def id_of(self, name: str) -> str:
        """Return the id of a consent by its name. Raises LocalError NOT_FOUND."""
        if name.startswith("{"):
            return str(self.fill(name))
        if name not in self.saved:
            raise LocalError("NOT_FOUND", f"no step before this one gave a consent {name!r}")
        return str(self.saved[name].id)

    def points(self, points: tuple[str, ...]) -> tuple[str, ...]:
        """Return points with `meter:1` and `meter:1-200` written out."""
        found: list[str] = []
        for point in points:
            if not point.startswith("meter:"):
                found.append(point)
                continue
            first, _, last = point.removeprefix("meter:").partition("-")
            found += [Meter(seed).point for seed in range(int(first), int(last or first) + 1)]
        return tuple(found)

    def arguments(self, step: Do) -> dict[str, Any]:
        """Return a step's arguments as the operation takes them: names filled in, and converted to their types."""
        row = operation_of(step.run)
        rows = {one.name: one for one in fields(row.args)}
        found: dict[str, Any] = {}
        for name, value in step.args.items():
            filled = self.fill(value)
            if name in rows and rows[name].plain is bytes and not isinstance(filled, bytes):
                filled = filled.encode() if isinstance(filled, str) else json.dumps(filled).encode()
            if name in rows and rows[name].plain is datetime:
                filled = _time(str(filled), self.began)
            if isinstance(filled, list):
                filled = tuple(filled)
                filled = self.points(filled) if name == "point" else filled
            elif name == "point":
                filled = self.points((str(filled),))[0]
            found[name] = filled
        unknown = found.keys() - rows.keys()
        if unknown:
            raise LocalError("BAD_SCENARIO", f"`{step.run}` has no argument {', '.join(sorted(unknown))}")
        plain = {name: value for name, value in found.items() if not isinstance(value, bytes | datetime)}
        kinds = {name: rows[name].type for name in plain}
        try:
            return found | {name: msgspec.convert(value, kinds[name], strict=False) for name, value in plain.items()}
        except msgspec.ValidationError as error:
            raise LocalError("BAD_SCENARIO", f"`{step.run}` does not take these arguments: {error}") from None

    def fill(self, value: Any) -> Any:
        """Fill in what texts name: `{consent}`, `{party.did}`, `{party.key_file}`, `{result.field}`, `{day:-30}`."""
        if isinstance(value, dict):
            return {key: self.fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if not isinstance(value, str):
            return value
        whole = re.fullmatch(r"\{([^{}]+)\}", value)
        if whole is not None:
            return self._named(whole[1])
        return re.sub(r"\{([\w .:#-]+)\}", lambda found: str(self._named(found[1])), value)

    def _named(self, text: str) -> Any:
        name, _, path = text.partition(".")
        if text.startswith(("day:", "meter:")):
            points = self.points((text,))
            return points[0] if text.startswith("meter:") else _day(text, self.began)
        if name in self.saved:
            return look(self.saved[name], path or "id")
        if path == "did":
            return self.stage.did(name)
        if path == "key_file":
            return self.stage.keys[name]
        raise LocalError("BAD_SCENARIO", f"{{{text}}}: no step before this one saved {name!r}")

    def time(self, text: str) -> datetime:
        """Return a moment: an ISO 8601 one, or `day:-30`."""
        return _time(str(self.fill(text)), self.began)


def _day(text: str, began: int) -> str:
    days = int(text.removeprefix("day:"))
    return (datetime.fromtimestamp(began - began % 86_400, UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str, began: int) -> datetime:
    found = datetime.fromisoformat(_day(text, began) if text.startswith("day:") else text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def look(result: Any, path: str) -> Any:
    """Return what stands at a path of a result: fields and places by dots, # counts; None where there is nothing."""
    for part in path.split("."):
        if result is None:
            return None
        if part == "#":
            result = len(result)
        elif part.isdigit():
            result = result[int(part)] if int(part) < len(result) else None
        elif isinstance(result, Mapping):
            result = result.get(part)
        else:
            result = getattr(result, part, None)
    return result
