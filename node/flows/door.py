"""The door: the only place of a node where the gate is asked, at both ends and for every pack (consent.md §3).

How it works
    `decide` holds one flow against the consents that may cover it; `judge` finds a consent for what is wanted, and
    fills in from its terms what was left open. Both build the gate's context from the ledger as it stands in the open
    turn: membership and links, policy, and how fresh the voters' (or the homes') checkpoints are. Candidates come from
    the vault's index, compiled with all that they rest on (compiling), what the ledger says looked up anew each time.
    Where no consent covers a flow, the newest ones between the two parties explain why.

    A flow is made from a series itself (contents): what leaves or enters is judged by what it is, not by what is said.

What it does not do
    It moves nothing. `sending` and `receiving` do, after `decide`; tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.consent.flow import NO_REGISTER, Entitled
from ledger.consent.gate import Candidate, Context, Decision, Flow, Freshness, Scope, freshness, permit
from ledger.consent.reasons import Reason
from ledger.consent.record import DataKind, Window
from ledger.consent.scope import limited
from ledger.consent.status import State
from ledger.consent.token import Limits
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.members import Members, Party
from ledger.index import named_consents
from ledger.rows import prefix_stop
from ledger.tables import CONSENT, FactRow
from node.flows.compiling import Compiling
from node.readings import Series
from node.series_key import SeriesKey
from node.vaults.consents import ConsentRows
from node.vaults.transfers import Wanted

if TYPE_CHECKING:
    from node.core import Turn

INDEX_MAX: Final = 20_000
"""Answers of the vault's index kept in memory."""
HOLDERS_SCAN_MAX: Final = 50_000
"""Rows about consents that are looked through for one under which a party holds data."""
LATER: Final = frozenset(
    {
        Reason.STALE,
        Reason.UNREGISTERED,
        Reason.DISCLOSURE_MISSING,
        Reason.CHAINED,
        Reason.DELEGATION_HIDDEN,
        Reason.DELEGATION_UNREGISTERED,
        Reason.PARENT_HIDDEN,
        Reason.PARENT_UNREGISTERED,
        Reason.CALL_UNREGISTERED,
    }
)
"""Reasons that may pass by themselves soon: a transfer waits for them instead of ending."""

_DIRECTION: Final = {"consumption": "consumption", "injection": "production"}
_RANK: Final = {reason: rank for rank, reason in enumerate(Reason)}
_NEVER: Final[Window] = (0, 1)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found for something wanted: the decision, and the terms it rests on where it is allowed."""

    decision: Decision
    scope: Scope | None


def kind_of(key: SeriesKey) -> DataKind:
    """Return the category of data that a series belongs to, in the words of consents."""
    return DataKind(key.energy, _DIRECTION[key.direction], key.kind)


def window_of(series: Series) -> Window:
    """Return the window that a series covers; an instant takes a second."""
    return series.starts[0], max(series.stop, series.starts[-1] + 1)


def flow_of(series: Series, holder: Party, recipient: Party, purpose: str) -> Flow:
    """Return the flow that handing over this series would be."""
    key = series.key
    return Flow(holder, recipient, key.point, kind_of(key), key.granularity, window_of(series), purpose)


def node_of(party: Party, members: Members) -> Party | None:
    """Return the member on whose node a party lives: itself, or a tenant's host; None for nobody."""
    if party[1] == 0:
        tenancy = members.tenants.get(party[0])
        return tenancy.host if tenancy is not None else None
    return party


def device_at(party: Party, turn: Turn) -> bytes | None:
    """Return a device of the node on which a party lives that can be told something now: connected, or our own.

    One that showed two faces, or was retired, speaks for nobody, though its channel may be open.
    """
    members = turn.core.replica.members
    node = node_of(party, members)
    if node == turn.core.party:
        return turn.core.device.kid
    here = (kid for kid in turn.core.member_peers if members.speaks(kid))
    return next((kid for kid in here if members.party_of(kid) == node), None)


def parties_at(party: Party, members: Members) -> list[Party]:
    """Return who lives on a member's node: itself and its tenants."""
    return [party, *((tenant, 0) for tenant, held in members.tenants.items() if held.host == party)]


ENDED_TOKEN: Final = Limits(b"", 0)
"""What a token allows that is none of ours."""


def _none_made(turn: Turn, token: bytes) -> Limits:  # noqa: ARG001 (a Door.open_token)
    raise RemoteError("TOKEN_FORGED", "no tokens are made here")


class Door:
    """See the module. One for each mesh; `rows`: the vault's disclosures."""

    def __init__(self, rows: ConsentRows) -> None:
        self._rows = rows
        self.open_token: Callable[[Turn, bytes], Limits] = _none_made
        """Opens a token that was made here (node.flows.sharing). Raises RemoteError for any other."""
        self.entitled: Callable[[Turn], Entitled] = lambda _: NO_REGISTER
        """Gives the register of points, as the vault has it in a turn (node.flows.points)."""
        self.unsure: Callable[[], bool] = lambda: False
        """Whether the time is not known (node/clock.py): then what is permitted waits, as with a frontier too old."""
        self.pending_evidence = False
        """Whether this node takes evidence that nobody has checked yet for good; found bad, it denies in any case."""
        self.compiling = Compiling(rows)
        self._context: tuple[Turn, Context] | None = None
        self._holders: dict[Party, bytes] = {}  # a consent in force under which each holds data
        self._ids: dict[tuple[Party, str, DataKind], list[bytes]] = {}  # what the index said, until it changes

    def forget(self, ident: bytes) -> None:
        """Drop what is remembered of a grant, or with another entry: its content came, or was erased."""
        self.compiling.forget(ident)
        self._ids.clear()

    def resting_on(self, ident: bytes) -> set[bytes]:
        """Return the grants that rest on an entry as far as was looked, and itself."""
        return {ident, *self.compiling.under(ident)}

    def came(self, entries: Sequence[Entry]) -> list[bytes]:
        """Take notice of new entries; return the grants for which something has changed that they rest on."""
        moved: set[bytes] = set()
        for entry in entries:
            for ident in {entry.id, *named_consents(entry)}:
                moved |= self.compiling.under(ident)
            self.compiling.forget(entry.id)  # a chain may have been looking for it
            if entry.kind == "consent.rekey":
                self.compiling.forget(entry.payload["grant"])  # whose keys may pass it on has changed
        return sorted(moved)

    # Deciding

    def decide(self, turn: Turn, flow: Flow, grant: bytes | None = None, token: bytes | None = None) -> Decision:
        """Decide one flow, under one named grant or under any. Denies by default. `token`: what was shown with it."""
        limits = self._limits(turn, flow.holder, token)
        if limits is not None:
            flow = replace(flow, limits=limits)
        ids = [grant] if grant is not None else self._covering(turn, flow.holder, flow.recipient, flow)
        decision = permit(flow, self.context(turn), self._candidates(turn, ids), turn.now)
        if grant is not None and decision.reason is Reason.NO_CONSENT:  # named, and not here yet: gossip may bring it
            return Decision(Reason.UNREGISTERED, grant)
        if decision.allowed and self.unsure():
            return Decision(Reason.STALE, decision.consent)
        return decision

    def judge(self, turn: Turn, wanted: Wanted) -> Judged:
        """Find a consent for what is wanted. Refused, the decision is that of the consent that came nearest."""
        context = self.context(turn)
        limits = self._limits(turn, wanted.holder, wanted.token)
        if limits is not None and wanted.grant is None:
            wanted = replace(wanted, grant=limits.grant)
        if wanted.grant is not None:
            ids = [wanted.grant]
        else:
            ids = self._covering(turn, wanted.holder, wanted.recipient, wanted)
        best: tuple[tuple[int, int, bytes], Judged] | None = None
        for candidate in self._candidates(turn, ids):
            content = candidate.content
            if limits is not None and isinstance(content, Scope):
                content = limited(content, limits)
            flow = replace(_filled(wanted, content), limits=limits)
            decision = permit(flow, context, [candidate], turn.now)
            scope = content if decision.allowed and isinstance(content, Scope) else None
            rank = (_RANK[decision.reason], candidate.granted_at, candidate.grant)
            if best is None or rank > best[0]:
                best = (rank, Judged(decision, scope))
        if best is not None:
            return best[1]
        flow = replace(_filled(wanted, Reason.NO_CONSENT), limits=limits)
        return Judged(permit(flow, context, (), turn.now), None)

    def _limits(self, turn: Turn, holder: Party, token: bytes | None) -> Limits | None:
        """Open a token that was shown to us as holder. One that is not ours, or was ended, allows nothing."""
        if token is None or node_of(holder, turn.core.replica.members) != turn.core.party:
            return None
        try:
            return self.open_token(turn, token)
        except RemoteError:
            return ENDED_TOKEN

    def purpose(self, turn: Turn, grant: bytes) -> str:
        """Return the purpose of a consent as its terms say it; "" while they are not known here."""
        found = self._candidates(turn, [grant])
        content = found[0].content if found else None
        return content.purpose if isinstance(content, Scope) else ""

    # What is known

    def context(self, turn: Turn) -> Context:
        """Return what the gate must know, as the ledger stands in the open turn.

        It is made once a turn, unless membership moves within it: the time stands still in a turn, and what is heard
        in it can only make the frontier fresher.
        """
        members = turn.core.replica.members
        if self._context is None or self._context[0] is not turn or self._context[1].members is not members:
            self._context = (turn, self._made(turn))
        return self._context[1]

    def _made(self, turn: Turn) -> Context:
        replica, policy = turn.core.replica, turn.core.policy
        met: dict[tuple[bytes, ...], bool] = {}

        def fresh(home: tuple[bytes, ...]) -> bool:
            if home not in met:
                met[home] = self.freshness(turn, home).fresh
            return met[home]

        colleges = replica.chain.newest.voters
        known = (self.entitled(turn), colleges, lambda party: self._holds(turn, party))
        return Context(
            replica.members,
            policy,
            fresh,
            *known,
            self.pending_evidence,
            lambda party: feeds_of(party, replica.members),
        )

    def _holds(self, turn: Turn, party: Party) -> bool:
        """Say whether a party holds data under a consent in force: the class "holders". The first such one will do."""
        replica = turn.core.replica

        def stands(grant: bytes) -> bool:
            status = replica.consent(turn.rows, grant)
            granted = status is not None and status.state is State.GRANTED and turn.now < status.valid_until
            return status is not None and granted and status.holder == party

        witness = self._holders.get(party)
        if witness is not None and stands(witness):
            return True
        seen = 0
        for _, value in turn.rows.scan("things", CONSENT, prefix_stop(CONSENT)):
            row, seen = FactRow.decode(value), seen + 1
            if row.kind == "consent.grant" and stands(row.entry_id):
                self._holders[party] = row.entry_id
                return True
            if seen >= HOLDERS_SCAN_MAX:
                break
        return False

    def freshness(self, turn: Turn, home: tuple[bytes, ...] = ()) -> Freshness:
        """Measure how fresh the frontier is: by the quorum of the voters' feeds, or by the `home` feeds.

        A home feed that its member's root key has ended is held whole; then its successor's is measured.
        """
        replica = turn.core.replica
        members = replica.members
        home = tuple(_successor(feed, members, replica.size(feed)) for feed in home)
        voters = [members.members[party[0]].feeds or (party[0],) for party in members.voters]
        feeds = [_governing(own, members) for own in voters]
        newest: dict[bytes, int] = {}
        for feed in {*feeds, *home}:
            head = replica.signed_head(feed)
            if head is not None:
                newest[feed] = head.time
        return freshness(
            home,
            turn.core.device.kid,
            feeds,
            newest,
            now=turn.now,
            max_staleness=turn.core.policy.max_staleness_seconds,
        )

    def grant_entry(self, turn: Turn, grant: bytes) -> Entry | None:
        """Return a grant that the ledger holds, or None."""
        return turn.core.replica.grant(turn.rows, grant)

    def _covering(self, turn: Turn, holder: Party, recipient: Party, about: Flow | Wanted) -> list[bytes]:
        kind = about.pii_type if isinstance(about, Flow) else about.kind
        if about.point is not None and kind is not None:
            key = (recipient, about.point, kind)
            found = self._ids.get(key)
            if found is None:
                found = self._rows.covering(turn.vault, recipient, about.point, kind)
                if len(self._ids) >= INDEX_MAX:
                    del self._ids[next(iter(self._ids))]
                self._ids[key] = found
            if found:
                return found
        return self._rows.between(turn.vault, holder, recipient)

    def _candidates(self, turn: Turn, ids: Sequence[bytes]) -> list[Candidate]:
        found = (self.compiling.candidate(turn, grant) for grant in ids)
        return [candidate for candidate in found if candidate is not None]


def _governing(feeds: tuple[bytes, ...], members: Members) -> bytes:
    """Return the feed that speaks for a member now: the one that counts furthest."""
    return max(feeds, key=lambda feed: (members.reach(feed), feed))


def feeds_of(party: Party, members: Members) -> tuple[bytes, ...]:
    """Return the feed that speaks for a member now; () for a party that is none."""
    member = members.members.get(party[0])
    return (_governing(member.feeds, members),) if member is not None and member.party == party and member.feeds else ()


def _successor(feed: bytes, members: Members, size: int) -> bytes:
    """Return the feed in which the member goes on whose home feed this was, once `size` is all of it that counts."""
    device = members.devices.get(feed)
    if device is None or size < device.reach:
        return feed
    return next(iter(feeds_of(device.party, members)), feed)


def _filled(wanted: Wanted, scope: Scope | Reason) -> Flow:
    """Return what is wanted as one flow: what was left open is what the consent grants (of windows, the first)."""
    if not isinstance(scope, Scope):
        kind = wanted.kind or DataKind("", "", "")
        window = wanted.window or _NEVER
        flow = Flow(wanted.holder, wanted.recipient, wanted.point or "", kind, wanted.granularity, window, "")
        return replace(flow, purpose=wanted.purpose or "")
    return Flow(
        wanted.holder,
        wanted.recipient,
        min(scope.points, default="") if wanted.point is None else wanted.point,
        scope.pii_type or DataKind("", "", "") if wanted.kind is None else wanted.kind,
        scope.granularity_text if wanted.granularity is None else wanted.granularity,
        next(iter(scope.windows), _NEVER) if wanted.window is None else wanted.window,
        scope.purpose if wanted.purpose is None else wanted.purpose,
        computation=wanted.computation,
    )
