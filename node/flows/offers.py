"""The terms of a consent from a plain mapping: a TOML or JSON file, or options of a command.

How it works
    Every field has the name that it has in the record (ledger.consent.record). Times are ISO 8601 dates or moments,
    in UTC unless they say otherwise; the kind of data is "electricity/consumption/load_curve". What may be left out
    takes the default below; each is printed in plain words before anyone consents. The four things that only the
    asker knows have no default: purpose, points, kind of data, and a contact for the person's rights.

What it does not do
    It invents no fact about the recipient: where it stores the data is "at the recipient" unless it says more.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from ledger.consent.kinds import RIGHTS
from ledger.consent.record import Actor, DataKind, OnwardSharing, Rights, Stages, Terms, Window
from ledger.errors import LocalError
from ledger.schema import DAY
from node.naming import unix_of

FILE_BYTES_MAX: Final = 1 << 18
PAST_DAYS: Final = 1_096
"""Data of so many days back are meant unless the terms say otherwise: three years."""
GRANULARITY: Final = {"load_curve": "PT30M", "daily": "P1D", "index": "P1D", "max_power": "P1D"}
WITHDRAWAL: Final = "at the member that keeps your wallet, or with the paper slip at any member of the mesh"
STORAGE: Final = "at the recipient"
WRITE_TO: Final = "write to "
_FRENCH: Final = {
    WITHDRAWAL: "chez le membre qui garde votre portefeuille, ou avec le bon en papier chez tout membre de la maille",
    STORAGE: "chez le destinataire",
}
_WRITE_TO_FRENCH: Final = "écrire à "
_REQUIRED: Final = ("purpose", "points", "pii_type", "contact")
_SIMPLE: Final = {
    "purpose_category": "dpv:ServiceProvision",
    "legal_basis": "consent",
    "retention": "P1Y",
    "storage": STORAGE,
    "jurisdiction": "FR",
    "withdrawal_method": WITHDRAWAL,
    "authority": "CNIL",
    "principal_role": "contract_holder",
}
_KNOWN: Final = frozenset(
    {
        *(*_REQUIRED, *_SIMPLE, "granularity", "data_period", "access_period", "controllers", "processors"),
        *("recipients", "onward_sharing", "rights", "dpo_contact", "stages", "freshness", "computation"),
    }
)


def read_file(data: bytes) -> dict[str, Any]:
    """Read a file of terms, TOML or JSON (one object). Raises LocalError BAD_TERMS_FILE."""
    if len(data) > FILE_BYTES_MAX:
        raise LocalError("BAD_TERMS_FILE", f"a file of terms has at most {FILE_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LocalError("BAD_TERMS_FILE", f"the file is neither TOML nor JSON in UTF-8 ({error})") from None
    if not isinstance(found, dict):
        raise LocalError("BAD_TERMS_FILE", "the file must hold one table of fields")
    return found


def in_language(text: str, lang: str) -> str:
    """Return words of a record in "fr", where they are a default of this module; all others as they are.

    What was consented to stays as it was signed: this is for showing it.
    """
    if lang != "fr":
        return text
    contact = text.removeprefix(WRITE_TO)
    return _FRENCH.get(text, text if contact == text else f"{_WRITE_TO_FRENCH}{contact}")


def terms_in_language(terms: Terms, lang: str) -> Terms:
    """Return terms with the defaults of this module said in a language; words of parties stay theirs."""
    rights = Rights(*(in_language(getattr(terms.rights, name), lang) for name in RIGHTS))
    storage, method = in_language(terms.storage, lang), in_language(terms.withdrawal_method, lang)
    return replace(terms, rights=rights, storage=storage, withdrawal_method=method)


def terms_of(values: Mapping[str, Any], recipient: Actor, *, now: int, valid_until: int) -> Terms:
    """Return the terms that a mapping says. Raises LocalError TERMS_INVALID, naming the field."""
    for name in values:
        if name not in _KNOWN:
            raise _bad(name, f"no such field; there are {', '.join(sorted(_KNOWN))}")
    missing = [name for name in _REQUIRED if not values.get(name) and not (name == "contact" and "rights" in values)]
    if missing:
        raise _bad(", ".join(missing), "this must be said: nobody can consent to what she is not told")
    try:
        return Terms(**_fields(values, recipient, now, valid_until))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise LocalError("TERMS_INVALID", f"a field does not have the form that it must have ({error})") from None


def _fields(values: Mapping[str, Any], recipient: Actor, now: int, valid_until: int) -> dict[str, Any]:
    kind = DataKind(*str(values["pii_type"]).split("/"))
    contact = str(values.get("contact", ""))
    how = f"{WRITE_TO}{contact}" if contact else ""
    rights = dict.fromkeys(("access", "rectification", "objection", "erasure", "portability"), how)
    simple = {name: str(values.get(name, default)) for name, default in _SIMPLE.items()}
    today, last = now - now % DAY, valid_until - valid_until % DAY
    period = values.get("data_period") or [[today - PAST_DAYS * DAY, last]]
    begins, ends = values.get("access_period") or (today, None)
    computation = values.get("computation")
    return {
        **simple,
        "purpose": str(values["purpose"]),
        "points": tuple(str(point) for point in values["points"]),
        "pii_type": kind,
        "granularity": values.get("granularity") or GRANULARITY.get(kind.kind),
        "data_period": tuple(_window(window) for window in period),
        "access_period": (_seconds(begins), None if ends is None else _seconds(ends)),
        "controllers": _actors(values, "controllers", "controller") or (_as(recipient, "controller", contact),),
        "processors": _actors(values, "processors", "processor"),
        "recipients": _actors(values, "recipients", "recipient") or (_as(recipient, recipient.role, contact),),
        "onward_sharing": _sharing(values.get("onward_sharing", {})),
        "rights": Rights(**{**rights, **values.get("rights", {})}),
        "dpo_contact": str(values.get("dpo_contact", contact)),
        "stages": Stages(**{"local": True, "upload": True, "transmit": True, **values.get("stages", {})}),
        "freshness": tuple(bytes.fromhex(feed) for feed in values.get("freshness", ())),
        "computation": None if computation is None else bytes.fromhex(computation),
    }


def _as(recipient: Actor, role: str, contact: str) -> Actor:
    return Actor(recipient.name, role, contact, recipient.party)


def _actors(values: Mapping[str, Any], name: str, role: str) -> tuple[Actor, ...]:
    return tuple(Actor(**{"role": role, **actor}) for actor in values.get(name, ()))


def _sharing(value: Mapping[str, Any]) -> OnwardSharing:
    listed = tuple(Actor(**{"role": "recipient", **actor}) for actor in value.get("listed", ()))
    return OnwardSharing(**{**value, "listed": listed})


def _window(window: Any) -> Window:
    start, stop = window
    return _seconds(start), _seconds(stop)


def _seconds(value: Any) -> int:
    """Return unix seconds of a number, a date, or a moment; without an offset it is UTC."""
    match value:
        case bool():
            raise ValueError("a time is a date, a moment or unix seconds")
        case int():
            return value
        case datetime():
            moment = value
        case date():
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str():
            moment = datetime.fromisoformat(value)
        case _:
            raise ValueError("a time is a date, a moment or unix seconds")
    return unix_of(moment)


def _bad(field: str, why: str) -> LocalError:
    return LocalError("TERMS_INVALID", why, field=field)
