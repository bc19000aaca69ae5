"""Tables of config.toml about room, reach and wallets: [storage], [relay], [discovery], [links], [wallets].

How it works
    Each table is a Struct with its bounds; node/config.py holds them, all off by default but [wallets]. `as_tables`
    writes what an operator has set, or the sample that `init` leaves in the file, as comments.

What it does not do
    It acts on nothing: node/room.py, node/relaying.py, node/nearby.py, node/linking.py and node/flows/spreading.py do.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from node.shapes import toml_value

RELAYS_MAX: Final = 3
"""Members that may pass on to us; each takes one place of an address card."""

MemberName = Annotated[
    str,
    Meta(min_length=1, max_length=128, description="a member, by its name or key", examples=["cooperative"]),
]
"""A member as operators name it: its name, did:key, or the beginning of its id."""


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Room on the disk (node/room.py). `quota_bytes`: for ledgers and vaults of all meshes together; 0: no quota."""

    quota_bytes: Annotated[int, Meta(ge=0, examples=[10_000_000_000])] = 0


class Relay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sealed frames passed on (node/relaying.py). `serve`: for others. `use`: members that do so for us.

    Of what is served: `circuits` at once, `circuits_a_member`, `bytes_a_second` for one member, `seconds` a circuit.
    """

    serve: bool = False
    use: Annotated[tuple[MemberName, ...], Meta(max_length=RELAYS_MAX)] = ()
    circuits: Annotated[int, Meta(ge=1, le=1_024)] = 64
    circuits_a_member: Annotated[int, Meta(ge=1, le=64)] = 8
    bytes_a_second: Annotated[int, Meta(ge=1_024)] = 262_144
    seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3_600


class Discovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members in the same local network (node/nearby.py). `lan`: whether to announce ourselves there and to listen."""

    lan: bool = False


_Did = Annotated[
    str,
    Meta(
        pattern="^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$",
        description="a member's did:key",
        examples=["did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"],
    ),
]


class Links(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Offers of links that are accepted without asking (node/linking.py); where both are given, both must hold.

    `charter`: the version that the other must have accepted, 64 hexadecimal digits. `members`: did:keys of those alone.
    """

    charter: Annotated[
        str, Meta(pattern="^([0-9a-f]{64})?$", description="64 hexadecimal digits", examples=["ab" * 32])
    ] = ""
    members: Annotated[tuple[_Did, ...], Meta(max_length=256)] = ()


class Wallets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wallets kept here. `spread_seconds`: within which a person's consents are published apart; 0: all at once.

    A wallet's first consent goes at once, each further one after a random time of at most so long, so that their times
    do not tell that they are one person's (node/flows/spreading.py). What ends a consent never waits.
    """

    spread_seconds: Annotated[int, Meta(ge=0, le=3_600, examples=[600])] = 600


SAMPLE: Final = """
# Room on the disk for all ledgers and vaults, in bytes; at 100 % no more data are taken in (`maille storage show`).
# [storage]
# quota_bytes = 10000000000

# Behind a router that lets nobody in: a member that serves as a relay, by name. Or: serve as one.
# [relay]
# use = ["MEMBER"]
# serve = false

# Find members in the same local network (mDNS); what that shows of us: docs/explanation/threats.md.
# [discovery]
# lan = true

# Offers of links that are accepted without asking: from members who accepted this very version of a charter
# (`document list`), or from these keys alone; with both, both.
# [links]
# charter = "64 HEXADECIMAL DIGITS"
# members = ["did:key:z..."]

# Consents that one wallet gives one after the other are published apart, each after a random time of at most so long:
# side by side, they would tell whoever reads the ledger that they are one person's. 0: all at once, as for a trial.
# [wallets]
# spread_seconds = 600
"""


def as_tables(**tables: msgspec.Struct) -> str:
    """Return tables as TOML, each with what differs from its defaults; the sample where nothing does."""
    found = []
    for name, table in tables.items():
        fields = msgspec.structs.fields(table)
        lines = [f"{f.name} = {toml_value(v)}" for f in fields if (v := getattr(table, f.name)) != f.default]
        found += [f"\n[{name}]\n" + "\n".join(lines) + "\n"] if lines else []
    return "".join(found) or SAMPLE
