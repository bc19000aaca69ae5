"""Golden samples of the rest of a consent's life: signatures, amendments, keys, delegations, groups, rights, facts.

How it works
    Beside these, a second grant and a second withdrawal with the fields that came with them. As in the package:
    samples of bytes, not a history.

What it does not do
    It writes no file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.consent.kinds import BOUND_COUNT, SLOT_COUNT
from ledger.entry import Entry
from ledger.schema import DAY
from tests.worlds import NOW, World, grant_payload, key, octets

Sign = Callable[..., Entry]
"""sign(kind, thing, payload, signer): signs a sample and keeps it."""

_NOTICE = {"sha256": octets("notice"), "dated": NOW}
_UNTIL = (NOW // DAY + 365) * DAY


def sign_lifecycle(sign: Sign, world: World) -> None:
    """Sign a sample of each kind that came with consents in full."""
    device = world.members[0].scribe.device
    subject, heir = key("golden", "subject"), key("golden", "subject's next key")
    consent = ("consent", octets("golden", "record", size=16))
    grant = octets("grant")
    sign("consent.remind", consent, {"request": octets("request")}, device)
    sign("consent.sign", consent, {"grant": grant}, key("golden", "party"))
    slots = octets("slots", size=32 * SLOT_COUNT)
    sign("consent.amend", consent, {"grant": grant, "slots": slots, "valid_until": _UNTIL}, subject)
    host = list(world.members[1].party)
    keys = {"key": heir.public, "withdraw_key": key("golden", "slip").public, "host": host}
    sign("consent.rekey", consent, {"grant": grant, **keys}, subject)
    evidence = {"grant": grant, "evidence": octets("evidence"), "status": "checked_ok"}
    sign("consent.evidence", consent, evidence, device)
    _delegations(sign)
    _groups(sign, world)
    _others(sign, world)


def _delegations(sign: Sign) -> None:
    person = key("golden", "person")
    delegation = ("delegation", octets("golden", "delegation", size=16))
    given = sign(
        "delegation.give",
        delegation,
        {
            "delegate": key("golden", "daughter").public,
            "withdraw_key": key("golden", "person's slip").public,
            "role": "carer",
            "valid_until": _UNTIL,
            "depth": 1,
            "slots": octets("bounds", size=32 * BOUND_COUNT),
            "parent": octets("parent"),
            "college": "résidents",
            "evidence": [octets("evidence")],
        },
        person,
    )
    sign("delegation.revoke", delegation, {"links": [given.raw], "reason": "moved"}, person)


def _groups(sign: Sign, world: World) -> None:
    group = key("golden", "group")
    about = ("group", group.kid)
    opened = {
        "name": "Boucle d’autoconsommation",
        "decides": "colleges",
        "colleges": [["résidents", 2], ["commerces", 1]],
        "majority_percent": 50,
        "quorum_percent": 30,
        "critical_mass": 11,
    }
    sign("group.open", about, opened, group)
    sign("group.admit", about, {"delegations": [octets("delegation")]}, group)
    called = {
        "title": "Partager la courbe de charge avec la commune",
        "opens": NOW,
        "closes": NOW + 14 * DAY,
        "recipient": list(world.members[1].party),
        "valid_until": _UNTIL,
        "notice": _NOTICE,
        "slots": octets("offered", size=32 * SLOT_COUNT),
    }
    call = sign("group.call", about, called, group)
    person = key("golden", "person")
    sign("group.vote", about, {"call": call.id, "choice": "yes"}, person)
    sign("group.refuse", about, {"call": call.id, "reason": "not mine"}, person)


def _others(sign: Sign, world: World) -> None:
    alice, bob = world.members
    device = alice.scribe.device
    shares = {"version": 1, "effective": _UNTIL, "digest": octets("shares")}
    sign("allocation.state", ("allocation", octets("allocation", size=16)), shares, device)
    rights = ("rights", octets("rights", size=16))
    asked = {"grant": octets("grant"), "right": "rectification", "to": list(bob.party), "slots": octets("details")}
    request = sign("rights.request", rights, asked, key("golden", "subject"))
    answer = {"request": request.id, "outcome": "done", "slots": octets("answer")}
    sign("rights.answer", rights, answer, bob.scribe.device)
    person = key("golden", "person")
    linked = {"issuer": "FranceConnect", "level": "substantial", "at": NOW, "digest": octets("identity")}
    sign("identity.attest", ("identity", person.kid), linked, device)
    fact = ("fact", octets("fact", size=16))
    stated = {"subject": person.kid, "valid_until": _UNTIL, "slots": octets("facts", size=32 * 4)}
    attested = sign("fact.attest", fact, stated, device)
    sign("fact.revoke", fact, {"fact": attested.id}, device)
    sign("processing.record", ("transfers", b"\x01"), {"records": [[bytes(16), octets("record")]]}, device)
    consent = ("consent", octets("golden", "record", size=16))
    erased = sign("erasure.state", consent, {"grant": octets("grant"), "digest": octets("erased")}, device)
    sign("erasure.ack", consent, {"grant": octets("grant"), "entry": erased.id}, bob.scribe.device)


def sign_later_consents(sign: Sign, world: World) -> None:
    """Sign a grant, its withdrawal and a group with the fields that came after their first samples."""
    alice, bob = world.members
    subject, slip, heir = key("golden", "subject"), key("golden", "withdraw"), key("golden", "subject's next key")
    consent = ("consent", octets("golden later", "record", size=16))
    payload: dict[str, Any] = {
        **grant_payload(alice.party, bob.party, slip.public),
        "required_parties": [octets("party"), octets("other party")],
        "required_quorum": 1,
        "call": octets("call"),
        "transcribed": True,
    }
    grant = sign("consent.grant", consent, payload, subject)
    keys = {"grant": grant.id, "key": heir.public, "withdraw_key": key("golden", "slip").public}
    rekey = world.sign(subject, "consent.rekey", consent, keys, seen=[alice.scribe.head()], iat=NOW)
    sign("consent.withdraw", consent, {"grant": grant.raw, "via": [rekey.raw]}, heir)
    group = key("golden", "trust")
    trust = {"trustees": ["notaire", "commune"], "beneficiaries": ["habitants du bourg"]}
    shares = {"majority_percent": 50, "quorum_percent": 30, "critical_mass": 2}
    opened = {"name": "Fiducie du bourg", "decides": "persons", **shares, "trust": trust}
    sign("group.open", ("group", group.kid), opened, group)
