"""The closed list of consent formats: which system's record is read, and into which a consent of ours is written.

How to add one
    Write a module beside this with `read(bytes, Source) -> Iterator[Foreign]` or a writer `(Ours) -> bytes`, and give
    it a line in `FORMATS`. `maille consent import` and `maille consent export` list it by themselves.

What it does not do
    It recognises no record by its content: a consent is important enough to be named (--as).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ledger.errors import LocalError
from node.adapters.adapter import Source, refused
from node.adapters.consents import (
    cozy_sharing,
    data_connect_access,
    droit_acces,
    eddie,
    odrl,
    quoalise_authorize,
    sge_declaration,
    sge_proxy,
    solid,
)
from node.adapters.consents.record import RECORDS_MAX, Foreign, Ours


@dataclass(frozen=True, slots=True)
class Format:
    """One format of records of consent. `media_type`: of what is written."""

    name: str
    title: str
    read: Callable[[bytes, Source], Iterator[Foreign]] | None = None
    write: Callable[[Ours], bytes] | None = None
    media_type: str = "application/json"


FORMATS: Final = (
    Format("droit-acces", "GRDF ADICT, rights of access (NDJSON)", droit_acces.read, droit_acces.declaration),
    Format("data-connect", "Enedis Data Connect, subscribed services, tokens, notices", data_connect_access.read),
    Format(
        "sge-declaration",
        "Enedis SGE, declarationAccordClient",
        sge_declaration.read,
        sge_declaration.write,
        "application/xml",
    ),
    Format("sge-proxy", "sge-tiers-proxy, its tables", sge_proxy.read, sge_proxy.write, "application/zip"),
    Format("eddie", "EDDIE, permission requests", eddie.read, eddie.write),
    Format("odrl", "ODRL, and DSP's contract messages", odrl.read, odrl.write, "application/ld+json"),
    Format("cozy-sharing", "Cozy, io.cozy.sharings", cozy_sharing.read, cozy_sharing.write),
    Format("quoalise-authorize", "Quoalise, get_authorize_uri and the address it gives", quoalise_authorize.read),
    Format("solid-acl", "Solid, access control list (Turtle)", None, solid.acl, "text/turtle"),
    Format("solid-data-grant", "Solid, Data Grant (Turtle)", None, solid.data_grant, "text/turtle"),
)
"""Every format, once."""


def read(data: bytes, source: Source, name: str) -> list[Foreign]:
    """Return the records of a file. Raises LocalError UNKNOWN_FORMAT, WRITE_ONLY, and the format's codes."""
    form = find(name)
    if form.read is None:
        raise LocalError("WRITE_ONLY", f"{form.name} is written here, not read", field="as")
    found = list(form.read(data, source))
    if not 1 <= len(found) <= RECORDS_MAX:
        told = f"The file says nothing of any consent, or has more than {RECORDS_MAX} records"
        raise refused("NOTHING_READ", source, "content", told)
    return found


def write(consent: Ours, name: str) -> bytes:
    """Return a consent of ours in a format. Raises LocalError UNKNOWN_FORMAT, READ_ONLY, NO_PLACE, DETAIL_MISSING."""
    form = find(name)
    if form.write is None:
        raise LocalError(
            "READ_ONLY", f"{form.name} is read here, not written: it has no place for our consents", field="as"
        )
    return form.write(consent)


def find(name: str) -> Format:
    """Return a format by its name. Raises LocalError UNKNOWN_FORMAT, which lists the names."""
    for form in FORMATS:
        if form.name == name:
            return form
    known = ", ".join(form.name for form in FORMATS)
    raise LocalError("UNKNOWN_FORMAT", f"there is no such format; there are {known}", field="as")
