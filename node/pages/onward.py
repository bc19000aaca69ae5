"""Passing on: who else gets what came under a person's consent, from whom, and under which consent.

How it works
    A recipient that may passes data on under a consent of its own, which rests on hers (node.flows.passing).
    `onward_of` reads these, those that rest on them in turn, and how each stands; `steps_of` says what became of them:
    decided, sent, ended. What names another holder than the recipient of the consent above it, or comes from anybody
    but that recipient or the person, is left out: no gate obeys it. All this stands on the ledger, so that she sees it
    wherever her pages are; only how much passed needs an account.

What it does not do
    It passes nothing on: a recipient does, or her host for her (`maille consent pass-on`); the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.consent.grant import read_party
from ledger.consent.status import Party
from ledger.entry import Entry
from ledger.index import facts_of
from node.flows.custody import links_of
from node.flows.disclosing import parties_of
from node.flows.passing import PARENTS_MAX, children_of, withdraw_key_of
from node.flows.trail import Passed, trail
from node.pages.contents import terms_now, terms_of
from node.pages.naming import Names, names
from node.pages.reading import ACTIVE, HANDED_ON, Line, Step, confirmations, line_of
from node.pages.settings import Language

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

ONWARD_MAX: Final = 200
"""Consents that pass on from one, shown on its page; the nearest to it first."""
_ENDS: Final = {"consent.withdraw": "onward_withdrawn", "consent.revoke": "onward_revoked"}


@dataclass(frozen=True, slots=True)
class Onward:
    """A consent that passes on what came under another. `by`, `to`: who passes on, to whom, by name.

    `hers`: the person's own keys decided it, and not `by`. `runs`: it stands, all that it rests on does, and the
    person's consent allows passing on now.
    `stoppable`: the keys that decide on her consent now end it alone. `sent`, `last`: how many times data passed, and
    when last (unix seconds; 0: never). `confirmed`, `missing`: who has acknowledged what stands; who not.
    """

    entry: Entry
    line: Line
    by: str
    to: str
    hers: bool
    runs: bool
    stoppable: bool
    uses: tuple[Passed, ...]
    confirmed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def sent(self) -> int:
        """How many times data passed."""
        return len(self.uses)

    @property
    def last(self) -> int:
        """When data passed last, unix seconds; 0: never."""
        return max((use.at for use in self.uses), default=0)


def called(turn: Turn, flows: Flows, own: bytes, child: bytes, lang: Language) -> Names:
    """Return how the parties of a consent that passes on are called: by its terms, else by those of the person's."""
    return names(turn, lang, terms_of(turn, flows, child) or terms_of(turn, flows, own))


def passed_on_from(turn: Turn, flows: Flows, own: Entry) -> Iterator[tuple[Entry, Entry]]:
    """Yield the consents that pass on from one, and from those in turn, with the one above each; the nearest first."""
    level = [own]
    for _ in range(PARENTS_MAX):
        below = [(child, above) for above in level for child in children_of(turn, above.id)]
        fitting = [(child, above) for child, above in below if _may_speak(turn, flows, child, above)]
        yield from fitting
        level = [child for child, _ in fitting]


def _may_speak(turn: Turn, flows: Flows, child: Entry, above: Entry) -> bool:
    """Say whether a consent comes from the recipient of the one above it, or from whose that one is (as chain does)."""
    holder: Party = read_party(child.payload["holder"])
    if holder != parties_of(above)[1]:
        return False
    return turn.core.replica.members.party_of(child.kid) == holder or _is_hers(turn, flows, child, above)


def _is_hers(turn: Turn, flows: Flows, child: Entry, above: Entry) -> bool:
    links = (link.kid for link in links_of(turn, above.payload.get("delegation")))
    return child.kid in {above.kid, *links, *flows.door.compiling.source(turn, above.id).keys(above.id)}


def onward_of(turn: Turn, flows: Flows, line: Line, lang: Language) -> list[Onward]:
    """Return the consents that pass on from a person's, the nearest first."""
    own = turn.core.replica.grant(turn.rows, line.id)
    if own is None:
        return []
    below = [pair for _, pair in zip(range(ONWARD_MAX), passed_on_from(turn, flows, own), strict=False)]
    uses = uses_of(turn, flows, [own]) if below else {}
    terms, key, found = terms_now(turn, flows, own.id), withdraw_key_of(turn, own), list[Onward]()
    forbidden = terms is not None and terms.onward_sharing.mode == "none"  # narrowed to that since, or never allowed
    runs = {own.id: (line.current or line.state == HANDED_ON) and not forbidden}
    for child, above in below:
        now = line_of(turn, child.id)
        if now is None:
            continue
        called_here = called(turn, flows, own.id, child.id, lang)
        runs[child.id] = runs.get(above.id, False) and now.state == ACTIVE
        found.append(
            Onward(
                child,
                now,
                *called_here.ends(now.holder, now.recipient),
                _is_hers(turn, flows, child, above),
                runs[child.id],
                runs[child.id] and line.current and child.payload["withdraw_key"] == key,
                tuple(uses.get(child.id, ())),
                *confirmations(turn, child.id, called_here),
            )
        )
    return found


def uses_of(turn: Turn, flows: Flows, grants: Iterable[Entry]) -> dict[bytes, list[Passed]]:
    """Return what passed under these consents, and under those that pass on from them, by the consent it rests on."""
    found: dict[bytes, list[Passed]] = {}
    for one in trail(turn, flows.stated, flows.receipts, flows.incoming, grants):
        found.setdefault(one.grant.id, []).append(one)
    return found


def steps_of(turn: Turn, flows: Flows, line: Line, further: Iterable[Onward], lang: Language) -> list[Step]:
    """Return what became of the consents that pass on from one, as steps of its timeline."""
    replica, steps = turn.core.replica, list[Step]()
    for one in further:
        ident, called_here = one.line.id.hex(), called(turn, flows, line.id, one.line.id, lang)
        decided = "onward_allowed" if one.hers else "onward_decided"
        steps.append(Step(one.entry.iat, decided, one.to, entry=ident, by=one.by))
        for use in one.uses:
            by, to = called_here.ends(*use.parties)
            records = use.account.tally.count if use.account is not None else None
            steps.append(Step(use.at, "onward", to, records, ident, by))
        for fact in facts_of(turn.rows, one.line.id, replica.by_number, replica.size):
            what = _ENDS.get(fact.row.kind)
            entry = replica.entry(turn.rows, fact.row.entry_id) if what is not None else None
            if entry is None or what is None:
                continue
            party = replica.members.party_of(entry.kid)
            if what == "onward_withdrawn":
                steps.append(Step(entry.iat, what, one.to, entry=ident, by=one.by))
            elif party in parties_of(one.entry):
                steps.append(Step(entry.iat, what, one.to, entry=ident, by=called_here.of(party)))
    return steps
