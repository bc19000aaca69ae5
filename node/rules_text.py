"""The rules of a mesh as people write them: JSON, the same that `policy show --json` prints under "rules".

    {"frame": "weak",
     "admission": {"all": [{"bilateral": true}, {"charter": "9f2c…"}]},
     "ballot_days": 14, "shares": {"policy": "2/3"}}

| predicate | who gets in |
|---|---|
| {"bilateral": true} | whom one member accepts |
| {"sponsors": 3} | whom three members with different voices endorse |
| {"charter": "HEX"} | who accepts this very version of the charter |
| {"authority": {"keys": ["did:key:…"], "revoked": ["HEX"]}} | who has a credential by one of these keys |
| {"ballot": "1/2"} | on whom a ballot won more than this part of the electorate |
| {"all": […]}, {"any": […]}, {"threshold": {"k": 2, "parts": […]}} | combinations |

How it works
    Fields that are left out have their defaults. What is refused names the field, by its path.

What it does not do
    It judges no rules: `ledger.governance.rules` holds every bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, assert_never

from ledger.errors import LocalError, MailleError
from ledger.governance.policy import (
    AllOf,
    AnyOf,
    Authority,
    Ballot,
    Bilateral,
    Charter,
    Predicate,
    Share,
    Sponsors,
    Threshold,
)
from ledger.governance.rules import College, Rules
from ledger.keys import did_key, public_from_did_key

TEXT_BYTES_MAX: Final = 262_144
_PLAIN: Final = ("frame", "invitations_a_day", "ballot_days", "suspenders", "suspension_days")


def _wrong(told: str, field: str) -> LocalError:
    return LocalError("BAD_POLICY", told, field=field)


def rules_of(text: str) -> Rules:
    """Read rules from JSON. Raises LocalError BAD_POLICY with the field."""
    try:
        form = json.loads(text[:TEXT_BYTES_MAX])
    except (ValueError, RecursionError) as error:
        raise _wrong(f"this is no JSON: {error}", "rules") from None
    if not isinstance(form, dict):
        raise _wrong('rules are an object such as {"frame": "none"}', "rules")
    known = {*_PLAIN, "admission", "forbidden_purposes", "colleges", "affiliations", "shares"}
    for name in form:
        if name not in known:
            raise _wrong(f"there is no such setting; there are {', '.join(sorted(known))}", str(name))
    try:
        fields: dict[str, Any] = {name: form[name] for name in _PLAIN if name in form}
        if "admission" in form:
            fields["admission"] = _predicate(form["admission"], "admission")
        if "forbidden_purposes" in form:
            fields["forbidden_purposes"] = tuple(form["forbidden_purposes"])
        if "colleges" in form:
            fields["colleges"] = tuple(College(name, weight) for name, weight in form["colleges"].items())
        if "affiliations" in form:
            groups = form["affiliations"]
            fields["affiliations"] = tuple(tuple(bytes.fromhex(kid) for kid in group) for group in groups)
        if "shares" in form:
            fields["shares"] = tuple((act, share_of(share, f"shares.{act}")) for act, share in form["shares"].items())
        return Rules(**fields)
    except (TypeError, ValueError, AttributeError, RecursionError):
        raise _wrong("a setting is not of the form that `maille policy show --json` prints", "rules") from None


def share_of(text: Any, field: str) -> Share:
    """Read a part such as "2/3". Raises LocalError BAD_POLICY."""
    above, _, below = str(text).partition("/")
    if not (above.isdecimal() and below.isdecimal() and len(text) <= 9):
        raise _wrong('a share is a part such as "1/2" or "2/3"', field)
    return int(above), int(below)


def _predicate(form: Any, field: str) -> Predicate:
    if not isinstance(form, dict) or len(form) != 1:
        raise _wrong('a predicate is an object with one field, such as {"sponsors": 2}', field)
    ((name, said),) = form.items()
    here = f"{field}.{name}"
    match name, said:
        case "bilateral", True:
            return Bilateral()
        case "sponsors", int(k):
            return Sponsors(k)
        case "charter", str(version):
            return Charter(version_of(version, here))
        case "ballot", str(share):
            return Ballot(share_of(share, here))
        case "authority", {"keys": [*keys]}:
            valid = {k: said[k] for k in ("valid_from", "valid_until") if k in said}
            window = (valid.get("valid_from", 0), valid.get("valid_until", Authority((bytes(32),)).valid[1]))
            return Authority(
                tuple(key_of(key, here) for key in keys), window, tuple(map(bytes.fromhex, said.get("revoked", ())))
            )
        case "all", [*parts]:
            return AllOf(tuple(_predicate(part, here) for part in parts))
        case "any", [*parts]:
            return AnyOf(tuple(_predicate(part, here) for part in parts))
        case "threshold", {"k": int(k), "parts": [*parts]}:
            return Threshold(k, tuple(_predicate(part, here) for part in parts))
    raise _wrong("this is no predicate; `maille policy show --json` prints one", here)


def version_of(text: str, field: str) -> bytes:
    """Read the 64 digits that pin a version of a charter. Raises LocalError BAD_POLICY."""
    try:
        version = bytes.fromhex(text)
    except ValueError:
        version = b""
    if len(version) != 32:
        raise _wrong("a version of a charter is named by 64 hexadecimal digits", field)
    return version


def key_of(text: str, field: str) -> bytes:
    """Read the key of an authority, a did:key. Raises LocalError BAD_POLICY."""
    try:
        return public_from_did_key(text)
    except MailleError:
        raise _wrong("the key of an authority is a did:key", field) from None


def form_of(rules: Rules) -> dict[str, Any]:
    """Return rules as JSON values, as `rules_of` reads them."""
    return {
        **{name: getattr(rules, name) for name in _PLAIN},
        "admission": _form(rules.admission),
        "forbidden_purposes": list(rules.forbidden_purposes),
        "colleges": {college.name: college.weight for college in rules.colleges},
        "affiliations": [[kid.hex() for kid in group] for group in rules.affiliations],
        "shares": {act: f"{share[0]}/{share[1]}" for act, share in rules.shares},
    }


def _form(predicate: Predicate) -> dict[str, Any]:
    match predicate:
        case Bilateral():
            return {"bilateral": True}
        case Sponsors(k):
            return {"sponsors": k}
        case Charter(version):
            return {"charter": version.hex()}
        case Ballot(share):
            return {"ballot": f"{share[0]}/{share[1]}"}
        case Authority(keys, valid, revoked):
            listed = {"keys": [did_key(key) for key in keys], "revoked": [serial.hex() for serial in revoked]}
            return {"authority": {**listed, "valid_from": valid[0], "valid_until": valid[1]}}
        case AllOf(parts):
            return {"all": [_form(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [_form(part) for part in parts]}
        case Threshold(k, parts):
            return {"threshold": {"k": k, "parts": [_form(part) for part in parts]}}
        case never:
            assert_never(never)


def said_in_words(predicate: Predicate) -> str:
    """Return a predicate as a sentence's part: who gets in."""
    match predicate:
        case Bilateral():
            return "one member's acceptance"
        case Sponsors(k):
            return f"{k} sponsors"
        case Charter(version):
            return f"acceptance of charter {version.hex()[:12]}"
        case Ballot(share):
            return f"a ballot won by more than {share[0]}/{share[1]}"
        case Authority(keys, _, _):
            return f"a credential by one of {len(keys)} authority key(s)"
        case AllOf(parts):
            return " and ".join(map(_inner, parts))
        case AnyOf(parts):
            return " or ".join(map(_inner, parts))
        case Threshold(k, parts):
            return f"{k} of: " + ", ".join(map(_inner, parts))
        case never:
            assert_never(never)


def _inner(predicate: Predicate) -> str:
    told = said_in_words(predicate)
    return f"({told})" if isinstance(predicate, AllOf | AnyOf | Threshold) else told


def leaves(predicate: Predicate) -> Iterator[Bilateral | Sponsors | Authority | Charter | Ballot]:
    """Yield every leaf of a predicate."""
    match predicate:
        case AllOf(parts) | AnyOf(parts) | Threshold(_, parts):
            for part in parts:
                yield from leaves(part)
        case leaf:
            yield leaf


def revoking(predicate: Predicate, serials: tuple[bytes, ...]) -> Predicate:
    """Return a predicate whose authorities' credentials with these serials are revoked too."""
    match predicate:
        case Authority(_, _, revoked):
            return replace(predicate, revoked=(*revoked, *serials))
        case AllOf(parts):
            return AllOf(tuple(revoking(part, serials) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(revoking(part, serials) for part in parts))
        case Threshold(k, parts):
            return Threshold(k, tuple(revoking(part, serials) for part in parts))
        case leaf:
            return leaf


def framed(
    frame: str, charter: str, authorities: tuple[str, ...], sponsors: int, settings: Mapping[str, Any] | None = None
) -> Rules:
    """Return the ready rules of a frame, with other settings. Raises LocalError BAD_POLICY, USAGE by field."""
    way = Sponsors(sponsors) if sponsors else Bilateral()
    parts: list[Predicate] = []
    if charter:
        parts.append(Charter(version_of(charter, "charter")))
    if authorities:
        parts.append(Authority(tuple(key_of(key, "authority") for key in authorities)))
    if not authorities or sponsors:
        parts.append(way)
    if frame == "weak" and not charter:
        raise _wrong("the frame weak asks for adherence to a charter; give its version with --charter", "charter")
    if frame == "strong" and not authorities:
        raise _wrong("the frame strong asks for a credential; give the authority's key with --authority", "authority")
    return Rules(frame=frame, admission=parts[0] if len(parts) == 1 else AllOf(tuple(parts)), **dict(settings or {}))
