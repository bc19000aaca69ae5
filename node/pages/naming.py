"""Names of organisations as a person reads them.

How it works
    A member is called as the ledger calls it. A service that a member hosts has no name there: it is called as the
    terms of a consent call it, and where those are not at hand, by its host.

What it does not do
    It believes no other name that a member gives itself in terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.consent.record import Terms
from ledger.governance.members import Members, Party
from node.naming import member_name
from node.pages.settings import Language

if TYPE_CHECKING:
    from node.core import Turn

DIGITS: Final = 6
"""Of a service's id: enough to tell those of one host apart."""


@dataclass(frozen=True, slots=True)
class Names:
    """See the module. `called`: what terms call each party."""

    members: Members
    lang: Language
    called: Mapping[Party, str]

    def of(self, party: Party) -> str:
        """Return the name of a party."""
        if party[1]:
            return member_name(self.members, party)
        if self.called.get(party):
            return self.called[party]
        fr, which = self.lang == "fr", party[0].hex()[:DIGITS]
        tenancy = self.members.tenants.get(party[0])
        if tenancy is None:
            return f"service {which}, sans hébergeur" if fr else f"service {which}, without a host"
        host = member_name(self.members, tenancy.host)
        return f"service {which}, hébergé par {host}" if fr else f"service {which}, hosted by {host}"

    def ends(self, holder: Party, recipient: Party | None) -> tuple[str, str]:
        """Return the names of who sends and who receives; None: a class of recipients."""
        several = "plusieurs organisations" if self.lang == "fr" else "several organisations"
        return self.of(holder), several if recipient is None else self.of(recipient)


def names(turn: Turn, lang: Language, terms: Terms | None = None) -> Names:
    """Return how parties are called. `terms`: of the consent that is shown."""
    actors = () if terms is None else (*terms.onward_sharing.listed, *terms.recipients, *terms.controllers)
    called = {actor.party: actor.name for actor in actors if actor.party is not None}
    return Names(turn.core.replica.members, lang, called)
