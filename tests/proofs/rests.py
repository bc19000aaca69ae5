"""Consents that rest on others, in the tests' mesh: delegations, a guardian, onward sharing, calls of a group.

How it works
    `Chains` is a `Mesh` that remembers what opens each entry, so that `prove` finds it. Whoever acts has a key by name;
    every entry stands in Aube's feed unless told otherwise. What is wrong is made as easily as what is right.

What it does not do
    It ticks nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from itertools import pairwise
from typing import Any

from ledger.consent.bounds import Bounds
from ledger.consent.disclosure import Disclosures, hide, hide_bounds
from ledger.consent.record import Actor, OnwardSharing
from ledger.consent.record import Terms as ConsentTerms
from ledger.entry import Entry
from ledger.keys import SigningKey
from ledger.schema import DAY
from tests.proofs.mesh import START, Grant, Mesh, Party, terms

UNTIL = (START // DAY + 300) * DAY
OPENS, CLOSES = START + 100, START + 200
SHARED = OnwardSharing("depth", 2)


class Chains(Mesh):
    """See the module. `contents`: what opens each entry, by id."""

    def __init__(self, seed: int = 40, **policy: Any) -> None:
        super().__init__(seed, **policy)
        self.contents: dict[bytes, Disclosures] = {}

    def key(self, name: str) -> SigningKey:
        """Return somebody's key; the same name gives the same one."""
        return SigningKey.from_seed(sha256(name.encode()).digest())

    def state(
        self,
        name: str,
        kind: str,
        payload: Mapping[str, Any],
        about: bytes | None = None,
        at: Party | None = None,
        key: SigningKey | None = None,
    ) -> Entry:
        """Let somebody state something, in Aube's feed or `at` another's."""
        thing = (kind.partition(".")[0], about if about is not None else self.random.randbytes(16))
        party = at or self.a
        entry = self._sign(key or self.key(name), kind, thing, dict(payload), party.device.kid)
        self.log(party, entry)
        self.sign(party)
        return entry

    # Delegations

    def give(
        self, giver: str, delegate: str, bounds: Bounds | None = None, parent: Entry | None = None, **more: Any
    ) -> Entry:
        """Let somebody delegate; within no bounds, until far ahead, unless told otherwise."""
        slots, content = hide_bounds(bounds or Bounds(), self.random.randbytes)
        payload = {
            "delegate": self.key(delegate).public,
            "withdraw_key": self.key(f"slip of {giver}").public,
            "role": "delegate",
            "valid_until": UNTIL,
            "depth": 0,
            "slots": slots,
            **({} if parent is None else {"parent": parent.id}),
            **more,
        }
        entry = self.state(giver, "delegation.give", payload)
        self.contents[entry.id] = content
        return entry

    def revoke_delegation(self, name: str, *links: Entry, at: Party | None = None) -> Entry:
        """Let somebody revoke the first of these links."""
        return self.state(name, "delegation.revoke", {"links": [each.raw for each in links]}, links[0].thing[1], at)

    def check_paper(self, about: Entry, paper: bytes, status: str = "checked_ok", by: Party | None = None) -> Entry:
        """Let the holder, Aube, say what it found of a paper that a delegation names."""
        payload = {"grant": about.id, "evidence": paper, "status": status}
        party = by or self.a
        return self.state("", "consent.evidence", payload, about.thing[1], party, party.device)

    # Consents

    def consent(
        self,
        signer: str,
        content: ConsentTerms | None = None,
        *,
        holder: Party | None = None,
        recipient: Party | None = None,
        key: SigningKey | None = None,
        at: Party | None = None,
        **more: Any,
    ) -> Grant:
        """Let somebody consent that data go from Aube to Brume, unless told otherwise."""
        slots, opened = hide(content or shareable(), self.random.randbytes)
        withdraw = self.key(f"slip of {signer}")
        payload = {
            "schema": 1,
            "holder": [(holder or self.a).root.kid, 1],
            "recipient": [(recipient or self.b).root.kid, 1],
            "valid_until": (START // DAY + 30) * DAY,
            "notice": {"sha256": self.random.randbytes(32), "dated": START},
            "slots": slots,
            "withdraw_key": withdraw.public,
            **more,
        }
        entry = self.state(signer, "consent.grant", payload, at=at, key=key)
        self.contents[entry.id] = opened
        return Grant(entry, withdraw, opened)

    def amend(self, signer: str, grant: Grant, content: ConsentTerms, **more: Any) -> Entry:
        """Let somebody narrow a consent."""
        slots, opened = hide(content, self.random.randbytes)
        payload = {"grant": grant.entry.id, "slots": slots, **more}
        entry = self.state(signer, "consent.amend", payload, grant.entry.thing[1])
        self.contents[entry.id] = opened
        return entry

    def cosign(self, name: str, grant: Grant) -> Entry:
        """Let somebody sign a grant that asks for it."""
        return self.state(name, "consent.sign", {"grant": grant.entry.id}, grant.entry.thing[1])

    # Groups

    def group(self, *joining: str, **rules: Any) -> list[Entry]:
        """Open a group, let people join, and admit them; return their delegations."""
        kid = self.key("group").kid
        payload = {
            "name": "loop",
            "decides": "persons",
            "majority_percent": 50,
            "quorum_percent": 60,
            "critical_mass": 2,
            **rules,
        }
        self.state("group", "group.open", payload, kid)
        joined = [self.give(name, "group", role="group") for name in joining]
        self.state("group", "group.admit", {"delegations": [each.id for each in joined]}, kid)
        return joined

    def call(self, content: ConsentTerms | None = None, signer: str = "group", **more: Any) -> Entry:
        """Let the group call to share with Brume."""
        slots, opened = hide(content or shareable(), self.random.randbytes)
        payload = {
            "title": "shall we?",
            "opens": OPENS,
            "closes": CLOSES,
            "recipient": [self.b.root.kid, 1],
            "valid_until": UNTIL,
            "notice": {"sha256": self.random.randbytes(32), "dated": START},
            "slots": slots,
            **more,
        }
        entry = self.state(signer, "group.call", payload, self.key(signer).kid)
        self.contents[entry.id] = opened
        return entry

    def vote(self, call: Entry, **choices: str) -> None:
        """Let people vote, by name."""
        self.now = max(self.now, OPENS + 1)
        for name, choice in choices.items():
            self.state(name, "group.vote", {"call": call.id, "choice": choice}, self.key("group").kid)

    def refuse(self, name: str, call: Entry, at: Party | None = None) -> Entry:
        """Let somebody refuse a call for herself."""
        return self.state(name, "group.refuse", {"call": call.id}, self.key("group").kid, at)

    # Proofs

    def prove(self, grant: Grant, **how: Any) -> bytes:
        """Make the bundle, with all that opens what the consent rests on."""
        return super().prove(grant, **{"contents": self.contents.get, **how})


def shareable(**changed: Any) -> ConsentTerms:
    """Return the plain terms, with onward sharing and what else is told."""
    base = terms(START)
    both = (*base.recipients, Actor("partners", "category"))
    return replace(base, **{"onward_sharing": SHARED, "recipients": both, **changed})


def passed_on(**changed: Any) -> ConsentTerms:
    """Return terms of a consent that passes on what came under the shareable ones."""
    return shareable(**{"onward_sharing": OnwardSharing(), "recipients": (Actor("Cime", "recipient"),), **changed})


def line(mesh: Chains, names: Sequence[str], bounds: Bounds | None = None, **nearest: Any) -> list[Entry]:
    """Let each of these delegate to the next; return the links, the nearest to the consent first."""
    links: list[Entry] = []
    for place, (giver, delegate) in enumerate(pairwise(names)):
        left = len(names) - 2 - place
        more = {"depth": left, **({} if left else nearest)}
        links.insert(0, mesh.give(giver, delegate, bounds, links[0] if links else None, **more))
    return links


@cache
def everything() -> tuple[Chains, Grant, dict[str, Any]]:
    """Return a consent that rests on all there is, with what flowed: how to prove it, at the first of its ticks.

    Mia joins a group; it decides, and its key consents for her under the call, with the signature of the organiser. The
    consent is narrowed. Brume passes the data on to Cime. Later she revokes her delegation. Made once: change nothing.
    """
    mesh = Chains(44)
    joined = mesh.group("mia", "noa", "ola")
    call = mesh.call()
    mesh.vote(call, mia="yes", noa="yes", ola="no")
    mesh.now = CLOSES + 10
    rests: dict[str, Any] = {"delegation": joined[0].id, "call": call.id}
    parent = mesh.consent("group", required_parties=[mesh.key("pmo").public], **rests)
    mesh.cosign("pmo", parent)
    windows = ((START - 10 * DAY, START),)
    mesh.amend("group", parent, shareable(data_period=windows))
    own: dict[str, Any] = {"holder": mesh.b, "recipient": mesh.c, "key": mesh.b.device, "at": mesh.b}
    child = mesh.consent("", passed_on(data_period=windows), parent=parent.entry.id, **own)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b, mesh.c)
    mesh.now += 60
    moved = [mesh.move(parent, first.frontier)]
    mesh.now += 10
    second = mesh.tick(mesh.a, mesh.b)
    mesh.now += 30
    mesh.grant()
    mesh.revoke_delegation("mia", joined[0])
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh, child, {"first": first.boundary, "between": [second.boundary], "transfers": moved}
