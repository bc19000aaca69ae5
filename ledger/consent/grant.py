"""The clear half of a consent record: parties, notice and end; payloads; and what the person had to be told.

How it works
    `request_payload` and `grant_payload` build what kinds.KINDS describes. `missing_information` lists what the
    person was not told before she granted (CNIL 2012 and 2015, consent.md §1); a grant with anything on that
    list is invalid, and `check_informed` refuses it, naming every item. `wider_fields` compares two sets of
    terms: a grant may narrow what was requested, never widen it. The same rule serves onward sharing (child
    within parent) and narrowing by amendment.

What it does not do
    It seals nothing (disclosure) and signs nothing (wallet). Whether a grant is in force is the fold's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import SCHEMA, SERIES_KINDS, OnwardSharing, Terms, Window
from ledger.consent.status import Party
from ledger.errors import LocalError
from ledger.schema import DAY


@dataclass(frozen=True, slots=True)
class RecipientClass:
    """A class of recipients with a rule, by name. The gate refuses it until a rule can be evaluated."""

    name: str


Recipient: TypeAlias = Party | RecipientClass
"""A party is (key id, incarnation): members count from 1; a tenant, which has no node, is (key id, 0)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The privacy notice the person was shown: its SHA-256, its date (unix seconds), the document's id and heads."""

    sha256: bytes
    dated: int
    document: bytes | None = None
    heads: tuple[bytes, ...] = ()

    def value(self) -> dict[str, Any]:
        """Return it as a CBOR map."""
        value: dict[str, Any] = {"sha256": self.sha256, "dated": self.dated}
        if self.document is not None:
            value["document"] = self.document
        if self.heads:
            value["heads"] = list(self.heads)
        return value

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Notice:
        """Read the notice of a payload that kinds has checked."""
        return cls(value["sha256"], value["dated"], value.get("document"), tuple(value.get("heads", ())))


def plain(purpose: str) -> str:
    """Return a purpose as it is compared with forbidden ones: folded case, single spaces."""
    return " ".join(purpose.split()).casefold()


@lru_cache(maxsize=64)
def forbidden_names(purposes: tuple[str, ...]) -> frozenset[str]:
    """Return the forbidden purposes of a policy as `purpose_names` spells them."""
    return frozenset(map(plain, purposes))


def purpose_names(terms: Terms) -> frozenset[str]:
    """Return the names under which a mesh may have forbidden the purpose of these terms."""
    return frozenset((plain(terms.purpose), plain(terms.purpose_category)))


def read_party(value: Sequence[Any]) -> Party:
    """Read [key id, incarnation] from a payload that kinds has checked."""
    return value[0], value[1]


def read_recipient(value: Sequence[Any]) -> Recipient:
    """Read a recipient, a party or a class, from a payload that kinds has checked."""
    return read_party(value) if len(value) == 2 else RecipientClass(value[0])


def day_before(time: int) -> int:
    """Round unix seconds down to a UTC day: an end may come early, never late."""
    return time - time % DAY


def request_payload(
    *,
    holder: Party,
    recipient: Recipient,
    valid_until: int,
    notice: Notice,
    slots: bytes,
    expires: int,
    evidence: Sequence[bytes] = (),
) -> dict[str, Any]:
    """Return the payload of a `consent.request`. `slots`: from disclosure.hide; `expires`: of the request itself."""
    return {**_clear(holder, recipient, valid_until, notice, slots, evidence), "expires": expires}


def grant_payload(
    *,
    holder: Party,
    recipient: Recipient,
    valid_until: int,
    notice: Notice,
    slots: bytes,
    withdraw_key: bytes,
    request: bytes | None = None,
    supersedes: bytes | None = None,
    delegation: bytes | None = None,
    parent: bytes | None = None,
    call: bytes | None = None,
    required_parties: Sequence[bytes] = (),
    required_quorum: int | None = None,
    transcribed: bool = False,
    evidence: Sequence[bytes] = (),
) -> dict[str, Any]:
    """Return the payload of a `consent.grant`. `withdraw_key`: a public key. `valid_until` is rounded down to a day.

    `request`, `supersedes`, `delegation`, `parent`, `call`: entry ids. `required_parties`: keys that must sign too,
    all or `required_quorum` of them. `transcribed`: from a signed paper.
    """
    payload = _clear(holder, recipient, valid_until, notice, slots, evidence)
    payload["withdraw_key"] = withdraw_key
    links = {"request": request, "supersedes": supersedes, "delegation": delegation, "parent": parent, "call": call}
    payload.update({name: link for name, link in links.items() if link is not None})
    if required_parties:
        payload["required_parties"] = list(required_parties)
        if required_quorum is not None:
            payload["required_quorum"] = required_quorum
    if transcribed:
        payload["transcribed"] = True
    return payload


def _clear(
    holder: Party,
    recipient: Recipient,
    valid_until: int,
    notice: Notice,
    slots: bytes,
    evidence: Sequence[bytes],
) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "schema": SCHEMA,
        "holder": list(holder),
        "recipient": [recipient.name] if isinstance(recipient, RecipientClass) else list(recipient),
        "valid_until": day_before(valid_until),
        "notice": notice.value(),
        "slots": slots,
    }
    if evidence:
        payload["evidence"] = list(evidence)
    return payload


NOT_TOLD: Final = {
    "purpose": "the purpose",
    "categories": "the categories of data",
    "recipients": "the recipients or their categories",
    "access": "the right of access and how to use it",
    "rectification": "the right of rectification and how to use it",
    "objection": "the right of objection and how to use it",
    "duration": "the duration",
    "withdrawal": "how to withdraw",
    "notice": "a notice dated before the grant",
}
"""What a person must have been told before she grants: item -> words (CNIL 2012 and 2015; consent.md §1)."""


def missing_information(terms: Terms, *, valid_until: int, notice: Notice | None, granted_at: int) -> tuple[str, ...]:
    """Return the items of `NOT_TOLD` that are missing, in its order. Times in unix seconds."""
    series = terms.pii_type is None or terms.pii_type.kind in SERIES_KINDS
    told = {
        "purpose": _told(terms.purpose),
        "categories": terms.pii_type is not None and (terms.granularity is not None or not series),
        "recipients": bool(terms.recipients),
        "access": _told(terms.rights.access),
        "rectification": _told(terms.rights.rectification),
        "objection": _told(terms.rights.objection),
        "duration": valid_until > granted_at,
        "withdrawal": _told(terms.withdrawal_method),
        # The grant's `iat` may have been rounded down to the notice's very second (wallet), hence not "<".
        "notice": notice is not None and notice.dated <= granted_at,
    }
    return tuple(item for item in NOT_TOLD if not told[item])


def _told(words: str) -> bool:
    return words.strip() != ""


def check_informed(terms: Terms, *, valid_until: int, notice: Notice | None, granted_at: int) -> None:
    """Refuse a grant of which the person was not fully told. Raises LocalError CONSENT_NOT_INFORMED, naming all."""
    missing = missing_information(terms, valid_until=valid_until, notice=notice, granted_at=granted_at)
    if missing:
        words = "; ".join(NOT_TOLD[item] for item in missing)
        raise LocalError(
            "CONSENT_NOT_INFORMED",
            f"the person must be told beforehand of: {words}. Complete the request before asking",
            field=", ".join(missing),
        )


_EQUAL_FIELDS: Final = (
    *("purpose", "purpose_category", "legal_basis", "pii_type", "controllers", "recipients", "storage"),
    *("jurisdiction", "withdrawal_method", "rights", "authority", "dpo_contact"),
)


OWN_INFORMATION: Final = frozenset(
    {
        *("recipients", "controllers", "processors", "onward_sharing", "storage"),
        *("withdrawal_method", "rights", "authority", "dpo_contact"),
    }
)
"""Fields in which a child differs from its parent by its nature: who receives now, and what she is told about them."""


def wider_fields(inner: Terms, outer: Terms) -> tuple[str, ...]:
    """Return the fields in which `inner` allows anything that `outer` does not. Empty: it lies within.

    Purpose, kind of data, parties and what the person was told must be the same; points, windows, times,
    granularity, stages, onward sharing, retention and processors may only shrink; freshness and computation
    may only become stricter. `principal_role` is the person's own to state.
    """
    wider = [name for name in _EQUAL_FIELDS if getattr(inner, name) != getattr(outer, name)]
    within = {
        "points": set(inner.points) <= set(outer.points),
        "granularity": _as_coarse(inner.granularity, outer.granularity),
        "data_period": all(window_within(window, outer.data_period) for window in inner.data_period),
        "access_period": _access_within(inner.access_period, outer.access_period),
        "processors": set(inner.processors) <= set(outer.processors),
        "onward_sharing": _sharing_within(inner.onward_sharing, outer.onward_sharing),
        "retention": _as_coarse(outer.retention, inner.retention),
        "stages": inner.stages.local <= outer.stages.local
        and inner.stages.upload <= outer.stages.upload
        and inner.stages.transmit <= outer.stages.transmit,
        "freshness": set(outer.freshness) <= set(inner.freshness),
        "computation": outer.computation is None or inner.computation == outer.computation,
    }
    return (*wider, *(name for name, inside in within.items() if not inside))


def window_within(window: Window, windows: Sequence[Window]) -> bool:
    """Say whether all of `window` lies in `windows`, which are in order; windows that touch count as one."""
    reached, stop = window
    for begin, end in windows:
        if begin <= reached < end:
            reached = end
        if reached >= stop:
            return True
    return False


def _as_coarse(asked: str | None, finest: str | None) -> bool:
    if asked is None or finest is None:
        return asked == finest
    return covers(parse_duration(finest), parse_duration(asked))


def _access_within(inner: tuple[int, int | None], outer: tuple[int, int | None]) -> bool:
    # An open end is the grant's own; where the outer one is set, the inner one must be set too.
    ends = outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])
    return inner[0] >= outer[0] and ends


def _sharing_within(inner: OnwardSharing, outer: OnwardSharing) -> bool:
    if inner.mode == "none":
        return True
    return (
        inner.mode == outer.mode
        and inner.depth <= outer.depth
        and set(inner.listed) <= set(outer.listed)
        and inner.aggregate_only >= outer.aggregate_only
        and inner.source_contract == outer.source_contract
    )


def check_grant_against_request(
    grant: Mapping[str, Any], terms: Terms, request: Mapping[str, Any], asked: Terms, *, now: int
) -> None:
    """Refuse a grant that goes beyond the request it answers. `grant`, `request`: payloads; `asked`: its terms.

    Raises LocalError REQUEST_EXPIRED, or GRANT_WIDER with every field that is wider or another.
    """
    if now > request["expires"]:
        raise LocalError("REQUEST_EXPIRED", "the request is no longer open; ask for a new one", field="expires")
    clear = [name for name in ("schema", "holder", "recipient", "notice") if grant[name] != request[name]]
    if grant["valid_until"] > request["valid_until"]:
        clear.append("valid_until")
    wider = (*clear, *wider_fields(terms, asked))
    if wider:
        names = ", ".join(wider)
        raise LocalError("GRANT_WIDER", "a grant may narrow what was requested, never widen it", field=names)
