"""Chains for the tests: delegations, parent consents and calls, signed, with their content at hand.

How it works
    A `Book` keeps what is made, so that it can be asked as a `Source`. What is wrong is made as
    easily as what is right.

What it does not do
    Nothing is registered: what the ledger says of a link is the test's to state.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ledger.checkpoint import Head
from ledger.consent.bounds import Bounds
from ledger.consent.chain import Source
from ledger.consent.disclosure import Disclosures, hide, hide_bounds
from ledger.consent.grant import Recipient, RecipientClass
from ledger.consent.record import Terms
from ledger.consent.status import Party
from ledger.entry import Entry, sign_entry
from ledger.keys import SigningKey
from ledger.schema import DAY
from tests.ledger.consent.cases import HEAD, HOLDER, MESH, NOTICE, NOW, RECIPIENT, TERMS

END = (NOW // DAY + 200) * DAY


def key(number: int) -> SigningKey:
    """Return a key; the same number gives the same one."""
    return SigningKey.from_seed(number.to_bytes(32, "big"))


@dataclass
class Book:
    """Entries and their content, by id."""

    mesh: bytes = MESH
    head: Head = HEAD
    now: int = NOW
    random: random.Random = field(default_factory=lambda: random.Random(5))
    entries: dict[bytes, Entry] = field(default_factory=dict)
    contents: dict[bytes, Disclosures] = field(default_factory=dict)
    amendments: dict[bytes, list[bytes]] = field(default_factory=dict)
    parties: dict[bytes, Party] = field(default_factory=dict)

    def source(self) -> Source:
        """Return it as the place where chains are found."""
        return Source(
            self.entries.get,
            self.contents.get,
            lambda ident: tuple(self.amendments.get(ident, ())),
            lambda kid: self.parties.get(kid, (kid, 0)),
        )

    def sign(
        self,
        signer: SigningKey,
        kind: str,
        payload: dict[str, Any],
        content: Disclosures | None = None,
        about: Entry | None = None,
    ) -> Entry:
        """Sign an entry, about what another one is or something new, and keep it with its content."""
        fresh = signer.kid if kind == "group.call" else self.random.randbytes(16)
        thing = (kind.partition(".")[0], fresh) if about is None else about.thing
        cti = self.random.randbytes(16)
        entry = sign_entry(signer, kind, thing, payload, iat=self.now, cti=cti, seen=[self.head], mesh_id=self.mesh)
        self.entries[entry.id] = entry
        if content is not None:
            self.contents[entry.id] = content
        return entry

    def delegation(
        self,
        giver: SigningKey,
        delegate: SigningKey,
        bounds: Bounds | None = None,
        *,
        parent: Entry | None = None,
        depth: int = 0,
        role: str = "delegate",
        valid_until: int = END,
        **more: Any,
    ) -> Entry:
        """Give a delegation."""
        slots, content = hide_bounds(bounds or Bounds(), self.random.randbytes)
        payload = {
            "delegate": delegate.public,
            "withdraw_key": key(999).public,
            "role": role,
            "valid_until": valid_until,
            "depth": depth,
            "slots": slots,
            **more,
        }
        if parent is not None:
            payload["parent"] = parent.id
        return self.sign(giver, "delegation.give", payload, content)

    def line(self, people: list[SigningKey], bounds: Bounds | None = None, **last: Any) -> Entry:
        """Give a delegation from each of these to the next; return the nearest to the grant."""
        link: Entry | None = None
        for place, (giver, delegate) in enumerate(pairwise(people)):
            below = len(people) - 2 - place
            more = last if not below else {}
            link = self.delegation(giver, delegate, bounds, parent=link, **{"depth": below, **more})
        assert link is not None
        return link

    def grant(
        self,
        signer: SigningKey,
        terms: Terms = TERMS,
        *,
        holder: Party = HOLDER,
        recipient: Recipient = RECIPIENT,
        valid_until: int = END,
        **more: Any,
    ) -> Entry:
        """Grant."""
        slots, content = hide(terms, self.random.randbytes)
        payload = {
            "schema": 1,
            "holder": list(holder),
            "recipient": [recipient.name] if isinstance(recipient, RecipientClass) else list(recipient),
            "valid_until": valid_until,
            "notice": NOTICE.value(),
            "slots": slots,
            "withdraw_key": key(998).public,
            **more,
        }
        return self.sign(signer, "consent.grant", payload, content)

    def amend(self, signer: SigningKey, grant: Entry, terms: Terms, **more: Any) -> Entry:
        """Narrow a grant."""
        slots, content = hide(terms, self.random.randbytes)
        entry = self.sign(signer, "consent.amend", {"grant": grant.id, "slots": slots, **more}, content, grant)
        self.amendments.setdefault(grant.id, []).append(entry.id)
        return entry

    def call(self, signer: SigningKey, terms: Terms, *, recipient: Party = RECIPIENT, valid_until: int = END) -> Entry:
        """Call on a group to share."""
        slots, content = hide(terms, self.random.randbytes)
        payload = {
            "title": "shall we?",
            "opens": NOW,
            "closes": NOW + DAY,
            "recipient": list(recipient),
            "valid_until": valid_until,
            "notice": NOTICE.value(),
            "slots": slots,
        }
        return self.sign(signer, "group.call", payload, content)
