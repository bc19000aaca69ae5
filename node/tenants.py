"""Tenants whose keys this node keeps, and how it speaks for them (governance.md §3, row tenant.host).

How it works
    A tenant is a service with a key and no node. A member hosts it once both have said so; what the tenant states is
    signed by its own key and registered in its host's feed. `Tenants` holds the keys that lie in this node's keystore,
    for all its meshes. `state` signs and registers; `Voice` is a party together with the key that signs for it, and
    `voices` are those for whom this node may speak now: itself, and the tenants that it hosts and whose keys it keeps.

    What its terms allow in a minute is counted here, in memory, over all that is asked in its name at this node.

What it does not do
    It decides no hosting: the fold does (ledger/governance/members.py). A key that is kept here is in the hands of
    this node's operator; a tenant that does not want that keeps its key on another member's node.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.members import Party
from ledger.keys import SigningKey
from node.exits import not_found
from node.stating import statement

if TYPE_CHECKING:
    from node.core import Turn

MINUTE: Final = 60
"""Seconds over which the requests of a tenant are counted."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A party for whom this node speaks. `key`: of a tenant; None: our own device signs."""

    party: Party
    key: SigningKey | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What was last stated of a tenant, by itself and by each host. `serial`: the tenant's next one that is free."""

    by_tenant: Entry | None
    by_hosts: Mapping[Party, Entry]
    serial: int


class Tenants:
    """The tenants' keys that this node keeps, by the names that they have here."""

    def __init__(self, keys: Mapping[str, SigningKey] | None = None) -> None:
        self._keys = dict(keys or {})
        self._said: dict[bytes, deque[int]] = {}  # tenant -> when it asked for something in the last minute

    def __contains__(self, name: str) -> bool:
        """Whether a key of that name is kept."""
        return name in self._keys

    def add(self, name: str, key: SigningKey) -> None:
        """Keep one more key."""
        self._keys[name] = key

    def keys(self) -> dict[str, SigningKey]:
        """Return the keys by name."""
        return dict(sorted(self._keys.items()))

    def key_of(self, kid: bytes) -> SigningKey | None:
        """Return the key of a tenant, if it is kept here."""
        return next((key for key in self._keys.values() if key.kid == kid), None)

    def name_of(self, kid: bytes) -> str:
        """Return what a tenant is called here; "" if its key is not kept here."""
        return next((name for name, key in sorted(self._keys.items()) if key.kid == kid), "")

    def kid_of(self, name: str) -> bytes | None:
        """Return the id of the tenant that is called so here, or None."""
        key = self._keys.get(name)
        return key.kid if key is not None else None

    def voices(self, turn: Turn) -> list[Voice]:
        """Return those for whom this node speaks now."""
        core = turn.core
        hosted = core.replica.members.tenants
        found = [Voice(core.party)]
        for key in self._keys.values():
            tenancy = hosted.get(key.kid)
            if tenancy is not None and tenancy.host == core.party:
                found.append(Voice((key.kid, 0), key))
        return found

    def voice(self, turn: Turn, name: str) -> Voice:
        """Return ourselves (""), or a tenant by its name here. Raises LocalError NOT_FOUND, TENANT_NOT_HOSTED,

        TENANT_RATE.
        """
        if not name:
            return Voice(turn.core.party)
        key = self._keys.get(name)
        if key is None:
            raise not_found(f"No key of a tenant {name!r} is kept here; `maille tenant list` shows them.", "as_tenant")
        found = next((voice for voice in self.voices(turn) if voice.key is key), None)
        if found is None:
            told = f"The tenant {name!r} is not hosted by this node; run `maille tenant host {name}` first."
            raise LocalError("TENANT_NOT_HOSTED", told, field="as_tenant")
        self._spend(turn, key.kid)
        return found

    def _spend(self, turn: Turn, kid: bytes) -> None:
        """Count one request in a tenant's name. Raises LocalError TENANT_RATE beyond what was agreed for a minute."""
        limit = turn.core.replica.members.tenants[kid].terms.get("requests_a_minute")
        if limit is None:
            return
        said = self._said.setdefault(kid, deque())
        while said and said[0] <= turn.now - MINUTE:
            said.popleft()
        if len(said) >= limit:
            told = f"This tenant agreed to {limit} requests a minute, and has made them; try again in a minute."
            raise LocalError("TENANT_RATE", told, field="as_tenant")
        said.append(turn.now)


def state(turn: Turn, voice: Voice, kind: str, thing: tuple[str, bytes], payload: Mapping[str, Any]) -> Entry:
    """Sign a statement as `voice` and register it in our feed. A tenant's names what our own would name as seen."""
    return turn.register(statement(turn, voice.key or turn.core.device, kind, thing, payload))


def said_of(turn: Turn, tenant: bytes) -> Said:
    """Return what was stated of a tenant, whether or not it counts."""
    replica = turn.core.replica
    own: list[tuple[int, bool, int, bytes, Entry]] = []
    hosts: dict[Party, list[tuple[bool, int, int, bytes, Entry]]] = defaultdict(list)
    serial = 0
    for registration in replica.registrations:
        entry = registration.entry
        if entry.thing != ("tenant", tenant) or entry.kind not in ("tenant.host", "tenant.unhost"):
            continue
        number, ends = entry.payload["serial"], entry.kind == "tenant.unhost"
        if entry.kid == tenant:
            serial = max(serial, number)
            own.append((number, ends, entry.iat, entry.id, entry))
        elif (host := replica.members.party_of(entry.kid)) == tuple(entry.payload["host"]):
            hosts[host].append((ends, number, entry.iat, entry.id, entry))  # a host's end is final, as in the fold
    return Said(max(own)[-1] if own else None, {host: max(found)[-1] for host, found in hosts.items()}, serial + 1)
