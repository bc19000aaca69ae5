"""What the table of kinds is written with: its rows, who may sign, and the shapes that several kinds share.

How it works
    `kinds` and `consent.kinds` hold the rows; both import from here, so that neither needs the other.

What it does not do
    It names no kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ledger.shapes import Field, Shape, either, integer, octets, one_of, text, tuple_of

DAY: Final = 86_400  # seconds
INCARNATION_MAX: Final = 2**31
TIME_MAX: Final = 2**40  # seconds


class Signer(Enum):
    """Whose key signs a kind."""

    ROOT = "a member's root key"
    DEVICE = "a member's device key"
    SUBJECT = "a person's per-consent key, or the key that can only withdraw"
    DEVICE_OR_TENANT = "a member's device key, or a tenant's key"
    AUTHORITY = "the key of an authority that the policy lists"
    NAMED = "a key that the entry it rests on names"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table: kind of thing it is about, who signs, payload fields, and how it is treated.

    `governance`: it may name an epoch and takes part in the membership fold. `restrictive`: it only takes
    rights away, so it counts however late it comes (ledger.md §6). `since`: the evaluator version that knows it:
    under an older one it has no effect (governance.md §2).
    """

    thing: str
    signer: Signer
    fields: dict[str, Field]
    governance: bool = False
    restrictive: bool = False
    since: int = 1


HASH: Final = octets(32)
KEY: Final = octets(32)
TIME: Final = integer(0, TIME_MAX)
HEAD: Final = tuple_of(HASH, integer(0, 2**48), HASH)
MEMBER: Final = tuple_of(HASH, integer(1, INCARNATION_MAX))
PARTY: Final = tuple_of(HASH, integer(0, INCARNATION_MAX))
CLASS: Final = tuple_of(text(100))  # a class of recipients with a rule, by name
NULL: Final = Shape(lambda v: v is None, "null", "null")
CHOICE: Final = one_of("yes", "no", "abstain")
NAMED_CHOICES: Final = {  # rules of their own: validators stumble on choices inside arrays and maps
    "recipient": either(PARTY, CLASS),
    "frontier-digest": either(HASH, NULL),  # null: no tick was there yet
    "voter-or-null": either(MEMBER, NULL),  # null: the delegation is revoked
    "default-choice": either(CHOICE, NULL),
}
DELEGATE: Final = replace(NAMED_CHOICES["voter-or-null"], cddl="voter-or-null")
DEFAULT_CHOICE: Final = replace(NAMED_CHOICES["default-choice"], cddl="default-choice")
RECIPIENT: Final = replace(NAMED_CHOICES["recipient"], cddl="recipient")
FRONTIER: Final = replace(NAMED_CHOICES["frontier-digest"], cddl="frontier-digest")
REASON: Final = Field(text(500), optional=True)
SIGNED_HEAD: Final = tuple_of(integer(0, 2**48), HASH, TIME, octets(64))  # size, root, time, signature
COLLEGE: Final = Field(text(100), optional=True)  # whose electorate's settings give a weight (governance.rules)
