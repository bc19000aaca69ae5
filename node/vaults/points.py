"""The register of points: who may speak for which point of measurement, in the vault's table `pseudonyms`.

| key | value |
|---|---|
| "t", blind(point) | [1, point, rule, [[person, role, since, until, represented by], …]] |
| "u", blind(key id) | [1, person]: a key that was found to be this person's |
| "l", blind(person), blind(point) | the point: the person stands in its register |

How it works
    Persons are wallets kept here, by name, or whatever name the operator gave to someone whose keys were checked.

What it does not do
    It decides nothing: ledger.consent.tenure does, and the gate asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger import codec
from ledger.consent.tenure import Register, Tenure
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults import Blind

TABLE: Final = "pseudonyms"
_POINT: Final = b"t"
_KEY: Final = b"u"
_LIVES: Final = b"l"
_ROW_MAX: Final = 1 << 16


class PointRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def get(self, vault: Reader, point: str) -> Register | None:
        """Return what is registered of a point, or None."""
        found = vault.get(TABLE, self._point(point))
        return _read(found)[1] if found is not None else None

    def put(self, vault: Writer, point: str, register: Register) -> None:
        """Keep what is registered of a point."""
        self._unlist(vault, point)
        for person in {one.person for one in register.tenures}:
            vault.put(TABLE, self._lives(person) + self._blind(b"tenure" + point.encode()), codec.encode(point))
        rows = [[one.person, one.role, one.since, one.until, list(one.represented_by)] for one in register.tenures]
        vault.put(TABLE, self._point(point), codec.encode([1, point, register.rule, rows]))

    def forget(self, vault: Writer, point: str) -> None:
        """Take a point off the register."""
        self._unlist(vault, point)
        vault.delete(TABLE, self._point(point))

    def listing(self, vault: Reader) -> Iterator[tuple[str, Register]]:
        """Yield every registered point."""
        return (_read(value) for _, value in vault.scan(TABLE, _POINT, prefix_stop(_POINT)))

    def of_person(self, vault: Reader, person: str, at: int) -> list[str]:
        """Return the points behind which a person lives at a time, as the register says, in order."""
        prefix = self._lives(person)
        named = [str(codec.decode(value)) for _, value in vault.scan(TABLE, prefix, prefix_stop(prefix))]
        return sorted(point for point in named if self.lives(vault, point, person, at))

    def lives(self, vault: Reader, point: str, person: str, at: int) -> bool | None:
        """Say whether a person lives behind a point at a time; None: the point is not registered."""
        register = self.get(vault, point)
        return None if register is None else any(one.person == person and one.covers(at) for one in register.tenures)

    def _unlist(self, vault: Writer, point: str) -> None:
        register = self.get(vault, point)
        for person in {one.person for one in register.tenures} if register is not None else ():
            vault.delete(TABLE, self._lives(person) + self._blind(b"tenure" + point.encode()))

    def person_of(self, vault: Reader, kid: bytes) -> str:
        """Return whose a key was found to be; "" for an unknown one."""
        found = vault.get(TABLE, _KEY + self._blind(b"key" + kid))
        if found is None:
            return ""
        fields: Any = codec.decode(found)
        return str(fields[1])

    def link(self, vault: Writer, kid: bytes, person: str) -> None:
        """Remember whose a key is."""
        vault.put(TABLE, _KEY + self._blind(b"key" + kid), codec.encode([1, person]))

    def _lives(self, person: str) -> bytes:
        return _LIVES + self._blind(b"lives" + person.encode())

    def _point(self, point: str) -> bytes:
        return _POINT + self._blind(b"tenure" + point.encode())


def _read(data: bytes) -> tuple[str, Register]:
    fields: Any = codec.decode(data, max_bytes=_ROW_MAX)
    _, point, rule, rows = fields
    tenures = (Tenure(person, role, since, until, tuple(by)) for person, role, since, until, by in rows)
    return point, Register(rule, tuple(tenures))
