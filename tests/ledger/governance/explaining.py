"""Ways to ask, in a polity, why an entry counts or not.

How it works
    `why` explains an entry with all that is registered, and holds the rule to the list of those that are documented.

What it does not do
    It expects nothing: the tests do.
"""

from __future__ import annotations

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.chain import Chain
from ledger.governance.epoch import Policy
from ledger.governance.explain import Ledger, explain
from ledger.governance.register import Register
from ledger.governance.rules import Rules
from ledger.merkle import EMPTY_ROOT
from ledger.verdict import Account
from tests.ledger.governance.polity import Polity, Whole
from tests.worlds import LATER, Member, Scribe, key

RULES = {
    *("F1", "M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", "G1.1", "G1.2", "G1.3", "G1.4"),
    *("G2", "G2.1", "G2.2", "G2.3", "G2.4", "G4", *(f"G4.{number}" for number in range(1, 13))),
}


def ledger_of(polity: Polity, pins: tuple[bytes, ...] = ()) -> Ledger:
    """Return everything that a polity has registered."""
    register = Register(polity.registrations())
    return Ledger(polity.genesis, register, Chain(polity.genesis, register, pins), Whole(polity))


def why(polity: Polity, entry: Entry) -> Account:
    """Return the account of an entry at the first place where it stands."""
    ledger = ledger_of(polity)
    place = next(each for each in ledger.register if each.entry.id == entry.id)
    account = explain(ledger, place)
    assert account.rule in RULES
    return account


def said(account: Account) -> str:
    """Return verdict and rule."""
    return f"{account.verdict.value} {account.rule}"


def policy_of(rules: Rules) -> Policy:
    """Return a policy with these rules."""
    return Policy(frame=rules.frame, rules=rules.encode())


def apply(polity: Polity, inviter: Member, name: str = "new", **payload: object) -> tuple[Member, Entry]:
    """Let somebody apply; application and certificate stand in the inviter's feed."""
    root, device = key(polity.label, "root", name), key(polity.label, "device", name)
    member = Member(root, (root.kid, 1), [Scribe(device, polity.mesh_id)])
    fields = {
        "incarnation": 1,
        "inviter": list(inviter.party),
        "device": device.kid,
        "expires": LATER,
        **payload,
    }
    thing = ("member", root.kid)
    application = polity.sign(root, "member.apply", thing, fields, seen=(Head(device.kid, 0, EMPTY_ROOT),))
    inviter.scribe.add(application.raw, polity.certificate(member, device).raw)
    return member, application


def parsed_last(polity: Polity, member: Member) -> Entry:
    """Return the last entry of a member."""
    return [r.entry for r in polity.registrations() if r.feed == member.scribe.feed][-1]
