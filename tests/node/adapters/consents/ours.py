"""A consent of ours for the tests of writers, and how their records are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.record import Actor, DataKind, Rights, Stages, Terms
from ledger.errors import MailleError
from node.adapters.adapter import Source
from node.adapters.consents import formats
from node.adapters.consents.record import Foreign, Ours, Standing

GRANTED, UNTIL = 1_700_000_000, 1_731_542_400
TERMS = Terms(
    purpose='Advice on "insulation"',
    purpose_category="dpv:ServiceProvision",
    legal_basis="consent",
    points=("prm:12345678901234",),
    pii_type=DataKind("electricity", "consumption", "daily"),
    granularity="P1D",
    data_period=((1_672_527_600, UNTIL),),
    access_period=(GRANTED, None),
    controllers=(Actor("City", "controller"),),
    recipients=(Actor("City", "recipient"),),
    retention="P1Y",
    storage="at the recipient",
    jurisdiction="FR",
    withdrawal_method="with the slip",
    rights=Rights("write", "write", "write"),
    authority="CNIL",
    dpo_contact="dpo@city.example",
    stages=Stages(True, True, True),
    principal_role="contract_holder",
)
DETAILS = {
    "name": "Durand & fils",
    "civility": "Mme",
    "postcode": "35000",
    "email": "a@example.org",
    "jid": "city@xmpp.example",
    "webid": "https://city.example/profile#me",
    "container": "https://pod.example/energy/",
}


def ours(standing: Standing = Standing.GIVEN, details: dict[str, str] | None = None, **terms: Any) -> Ours:
    """A consent, with other terms where they are given."""
    ended = standing not in {Standing.GIVEN, Standing.REQUESTED}
    return Ours(
        grant="ab" * 32,
        record="2734291b-3df4-4aef-92de-ad0186e0be6b",
        terms=replace(TERMS, **terms),
        holder="ada",
        recipient="city",
        principal="did:key:z6Mk",
        granted_at=GRANTED,
        valid_until=UNTIL,
        standing=standing,
        ended_at=GRANTED + 86_400 if ended else None,
        reason="she said so" if ended else "",
        details=tuple((DETAILS if details is None else details).items()),
        calls=((GRANTED + 3_600, 48, "consumption/energy/active/daily", "OK"),),
    )


def read(name: str, data: bytes) -> list[Foreign]:
    """Return the records of a file of a format."""
    return formats.read(data, Source(), name)


def refusal(name: str, data: bytes) -> MailleError:
    """Return the error with which a file is refused."""
    with pytest.raises(MailleError) as error:
        read(name, data)
    return error.value


def whole_or_refused(name: str, data: bytes) -> bool:
    """Say whether bytes are read as records, or refused by a code with a sentence: nothing else."""
    try:
        found = read(name, data)
    except MailleError as error:
        return error.code.isupper() and bool(error.message)
    return bool(found) and all(one.system for one in found)
