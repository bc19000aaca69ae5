"""The committed maps of README.md: places in them, their values, and ticks as they are once checked.

How it works
    `in_map` holds a place to a map's root; `consent` and `member` read values. What does not fit is BAD_STATE_PROOF.

What it does not do
    It does not say who vouched for a map (evidence).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from tests.proofs.second import cbor
from tests.proofs.second.container import Place
from tests.proofs.second.curve import key_id
from tests.proofs.second.entries import Entry, Head, Refused, leaf_hash, need, root_of
from tests.proofs.second.shapes import STANDING


class Witness(NamedTuple):
    """Who vouched for something, and when. `voice`: the one that counts for a member and its affiliates."""

    key: bytes
    voice: bytes
    time: int
    rooted: bool


class Standing(NamedTuple):
    """What the map says of a consent: state, ids that decide, its end, what narrowed it, who signed, who has it."""

    state: int
    decided: list[bytes]
    until: int
    amended: list[bytes]
    signed: list[bytes]
    key: bytes | None
    contested: bytes | None


class Tick(NamedTuple):
    """A tick that was checked. `grants`, `delegations`, `calls`: by number; `people`: key id -> (inc, in, feeds)."""

    boundary: int
    frontier: dict[bytes, Head]
    digest: bytes
    root: bytes
    grants: dict[int, Standing]
    people: dict[bytes, tuple[int, bool, list[bytes]]]
    witnesses: set[Witness]
    delegations: dict[int, Any]
    calls: dict[int, Any]

    def holds(self, head: Head) -> bool:
        """Say whether this very head is in the frontier."""
        return self.frontier.get(head[0]) == head


def in_map(ident: bytes, place: Place, root: bytes) -> None:
    """Hold a place to a map's root."""
    key = sha256(ident).digest()
    inner = root_of(leaf_hash(key + place.value), place.at, place.size, place.path)
    need(inner, "BAD_STATE_PROOF", "a place in a bucket")
    bucket = int.from_bytes(key[:2], "big") >> 4
    above = root_of(leaf_hash(place.size.to_bytes(4, "big") + (inner or b"")), bucket, 4_096, place.top)
    need(above == root, "BAD_STATE_PROOF", "a place in a map")


def consent(value: bytes, grant: Entry) -> Standing:
    """Read what a map says of a consent."""
    told = of_map(value)
    kinds = [type(each) for each in told] if type(told) is list else []
    need(
        kinds[:5] == [int, bytes, int, list, list] and len(kinds) < 7 and 0 < told[0] < 5, "BAD_STATE_PROOF", "a value"
    )
    state, record, until, decided, _ = told[:5]
    more = told[5] if len(kinds) > 5 else {}
    good = type(more) is dict and more.keys() <= STANDING.keys() and (more or len(kinds) == 5)
    need(good and all(STANDING[name](held) for name, held in more.items()), "BAD_STATE_PROOF", "what else it says")
    ends, narrowed = grant.payload["valid_until"], "amended" in more
    fits = record == grant.thing[1] and (until == ends or (narrowed and until < ends))
    fits = fits and not ("key" in more and "contested" in more)
    fits = fits and decided != [] and all(type(each) is bytes for each in decided)
    need(fits and (state > 2 or decided == [grant.id]), "BAD_STATE_PROOF", "a consent's value")
    keys = {key_id(key) for key in grant.payload.get("required_parties", [])}
    needed = min(grant.payload.get("required_quorum", len(keys)), len(keys))
    signed = more.get("signed", [])
    need(state != 1 or len(keys & set(signed)) >= needed, "BAD_STATE_PROOF", "a signature is missing")
    return Standing(state, decided, until, more.get("amended", []), signed, more.get("key"), more.get("contested"))


def member(value: bytes) -> tuple[int, bool, list[bytes]]:
    """Read what a map says of a member: incarnation, whether it is one, its feeds."""
    told = of_map(value)
    kinds = [type(each) for each in told] if type(told) is list else []
    need(kinds == [int, bool, bool, list], "BAD_STATE_PROOF", "a member's value")
    need(all(type(each) is bytes for each in told[3]), "BAD_STATE_PROOF", "a member's value")
    return told[0], told[1], told[3]


def of_map(value: bytes) -> Any:
    """Read a value of a map."""
    try:
        return cbor.read(value)
    except cbor.BadBytes:
        raise Refused("BAD_STATE_PROOF", "a value of a map") from None
