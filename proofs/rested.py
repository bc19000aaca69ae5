"""What a bundle carries beside its grants: what they rest on, what was added to them, and the states of both.

How it works
    `Rested.take` follows a grant upwards, as the verifier will: delegations, the call of a group, the parent and what
    that rests on. `take_stated` reads the states of the ticks and takes in every entry that they name: revocations,
    refusals by the person, amendments, signatures, the group's word on how it decides. What is sealed goes in opened
    as far as the verifier compares it, where its content is held and the grant itself is disclosed.

What it does not do
    It refuses nothing: what is not held or stands below no tick is left out, and the verdict says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from ledger.consent import bounds
from ledger.consent.disclosure import Disclosures
from ledger.consent.record import FIELDS, SLOTS
from ledger.entry import Entry
from ledger.index import facts_of
from proofs.bundle import Disclosure
from proofs.gather import Gathering
from proofs.resting import keys_of
from proofs.state import call_value, consent_value, delegation_value
from proofs.within import NARROWED, OF_CALL, OF_PARENT

PARENT_FIELDS: Final = (frozenset(FIELDS) - OF_PARENT - {"principal_role"}) | {"onward_sharing"}
CALL_FIELDS: Final = frozenset(FIELDS) - OF_CALL - {"principal_role"}

Contents = Callable[[bytes], Disclosures | None]
Shown = tuple[Disclosure, ...]


class Rested:
    """What goes in beside the grants of one bundle. `stated`: delegations and calls, whose state the ticks show.

    `bounds`, `terms`: what opens delegations, and amendments and calls, by id.
    """

    def __init__(self, gathering: Gathering, contents: Contents) -> None:
        """Begin with nothing."""
        self._gathering, self._contents = gathering, contents
        self.stated: list[Entry] = []
        self.bounds: dict[bytes, Shown] = {}
        self.terms: dict[bytes, Shown] = {}

    def take(self, grant: Entry, *, opened: bool) -> dict[bytes, Shown]:
        """Take in what a grant rests on; return its parents with what is disclosed of them. `opened`: disclose."""
        parents: dict[bytes, Shown] = {}
        known: Entry | None = grant
        while known is not None:
            self._take_links(known, opened=opened)
            parent = known.payload.get("parent")
            known = self._found(parent, "consent.grant")
            if known is not None:
                fields = PARENT_FIELDS | CALL_FIELDS if "call" in known.payload else PARENT_FIELDS
                parents[known.id] = self._open(known.id, fields, SLOTS) if opened else ()
        return parents

    def _take_links(self, grant: Entry, *, opened: bool) -> None:
        above = self._found(grant.payload.get("delegation"), "delegation.give")
        while above is not None:
            self._state(above)
            if opened:
                self._keep(self.bounds, above.id, frozenset(bounds.FIELDS), bounds.SLOTS)
            above = self._found(above.payload.get("parent"), "delegation.give")
        call = self._found(grant.payload.get("call"), "group.call")
        if call is not None:
            self._state(call)
            if opened:
                self._keep(self.terms, call.id, CALL_FIELDS, SLOTS)

    def _state(self, entry: Entry) -> None:
        if all(each.id != entry.id for each in self.stated):
            self.stated.append(entry)

    def _found(self, ident: bytes | None, kind: str) -> Entry | None:
        """Take in an entry whose state some tick shows; None where none does."""
        if ident is None or all(self.value(number, ident) is None for number in range(len(self._gathering.views))):
            return None
        entry = self._gathering.log_below(ident)
        return entry if entry is not None and entry.kind == kind else None

    def value(self, number: int, ident: bytes) -> bytes | None:
        """Return what the consent map of tick `number` holds of a thing."""
        view = self._gathering.views[number]
        return view.ticker.consents.value(view.rows, ident)

    # What the states name

    def take_stated(self, grants: Sequence[Entry], opened: Mapping[bytes, Collection[str]]) -> None:
        """Take in every entry that the states of grants, delegations and calls name. `opened`: fields by grant."""
        parents = {grant.payload.get("parent") for grant in grants}
        for number in range(len(self._gathering.views)):
            for entry in self.stated:
                value = self.value(number, entry.id)
                if value is None:
                    continue
                if entry.kind == "group.call":
                    self._take_call(number, value, [grant for grant in grants if grant.payload.get("call") == entry.id])
                else:
                    told = delegation_value(value, entry)
                    self._take_ends(number, told.decided_by if told.ended else ())
            for grant in grants:
                value = self.value(number, grant.id)
                if value is not None:
                    narrowed = {*NARROWED, "onward_sharing"} if grant.id in parents else set(NARROWED)
                    self._take_added(number, grant, value, narrowed & set(opened.get(grant.id, ())))

    def _take_call(self, number: int, value: bytes, grants: Sequence[Entry]) -> None:
        told = call_value(value)
        self._gathering.log_below(told.opened, last=number)
        near = {grant.payload["delegation"] for grant in grants if "delegation" in grant.payload}
        keys = {key for entry in self.stated if entry.id in near for key in keys_of(entry)}
        self._take_ends(number, [ident for kid, ident in told.refused if kid in keys])

    def _take_ends(self, number: int, named: Sequence[bytes]) -> None:
        for ident in named:
            ending = self._gathering.log_below(ident, last=number)
            for head in ending.seen if ending is not None else ():
                self._gathering.show_published(head)

    def _take_added(self, number: int, grant: Entry, value: bytes, fields: Collection[str]) -> None:
        gathering, told = self._gathering, consent_value(value, grant)
        for ident in told.amended:
            if gathering.log_below(ident, last=number) is not None and fields:
                self._keep(self.terms, ident, fields, SLOTS)
        if told.signed:
            replica = gathering.replica
            for fact in facts_of(gathering.rows, grant.id, replica.by_number, replica.size):
                if fact.row.kind == "consent.sign" and fact.row.kid in told.signed:
                    gathering.log_below(fact.row.entry_id, last=number)

    # What is opened

    def _keep(self, kept: dict[bytes, Shown], ident: bytes, names: Collection[str], slots: Mapping[str, int]) -> None:
        shown = self._open(ident, names, slots)
        if shown:
            kept[ident] = shown

    def _open(self, ident: bytes, names: Collection[str], slots: Mapping[str, int]) -> Shown:
        held = self._contents(ident)
        fields = {} if held is None else held.fields
        listed = sorted((name for name in names if name in fields), key=lambda name: slots[name])
        return tuple((*fields[name], name) for name in listed)
