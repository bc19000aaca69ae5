"""Negatives about what is passed on, narrowed, or must be signed by others.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `PARENTS` is the table.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ledger.consent.record import Actor, OnwardSharing
from ledger.entry import Entry
from ledger.schema import DAY
from proofs import reading
from proofs.bundle import Bundle, Selection
from proofs.make import Moved
from proofs.reasons import Reason
from tests.proofs.mesh import START
from tests.proofs.negatives import Made, Negative
from tests.proofs.negatives_rests import Bend, as_made, ended_later, lying, rewritten, told, without_kind
from tests.proofs.rests import CLOSES, Chains, line, passed_on, shareable
from tests.proofs.test_selections import period

# Parents


def shared(
    child: Any = None,
    parent: Any = None,
    bend: Bend = as_made,
    *,
    signer: str = "",
    recipient: str = "b",
    generations: int = 1,
    parent_until: int | None = None,
    **grant: Any,
) -> Made:
    """Mia consents to Brume, who passes the data on to Cime, by its device."""
    mesh = Chains()
    above: dict[str, Any] = {} if parent_until is None else {"valid_until": parent_until}
    consent = mesh.consent("mia", parent, recipient=getattr(mesh, recipient), **above)
    for _ in range(generations):
        own: dict[str, Any] = {"holder": mesh.b, "recipient": mesh.c, "parent": consent.entry.id, **grant}
        own |= {} if signer else {"key": mesh.b.device, "at": mesh.b}
        consent = mesh.consent(signer, child or passed_on(), **own)
    return told(mesh, consent, bend)


def handed_down(generations: int) -> Made:
    """Data go round between Brume and Cime, each time by a consent that rests on the one before; all may share."""
    mesh = Chains()
    sharing = OnwardSharing("listed", 0, tuple(actor(party.name, party.root.kid) for party in (mesh.b, mesh.c)))
    content = shareable(onward_sharing=sharing)
    consent = mesh.consent("mia", content)
    for step in range(generations):
        giver, taker = (mesh.b, mesh.c) if step % 2 == 0 else (mesh.c, mesh.b)
        own: dict[str, Any] = {"parent": consent.entry.id, "key": giver.device, "at": giver}
        consent = mesh.consent("", content, holder=giver, recipient=taker, **own)
    return told(mesh, consent)


def actor(name: str, kid: bytes) -> Actor:
    """Return a member as one with whom data may be shared."""
    return Actor(name, "recipient", "", (kid, 1))


def parent_ended(*, after: int | None, asked: int = 0) -> Made:
    """The parent is withdrawn, before the tick, or after it."""
    mesh = Chains()
    parent = mesh.consent("mia")
    own: dict[str, Any] = {"holder": mesh.b, "recipient": mesh.c, "key": mesh.b.device, "at": mesh.b}
    child = mesh.consent("", passed_on(), parent=parent.entry.id, **own)
    if after is None:
        mesh.withdraw(parent, mesh.a)
        return told(mesh, child)
    return ended_later(mesh, child, lambda: mesh.withdraw(parent, mesh.a), after=after, asked=asked)


def parent_hidden(made: Bundle) -> Bundle:
    """Withhold all of the parent but what every bundle discloses."""
    grants = [Entry.parse(item.raw) for item in made.entries]
    kept = []
    for at, shown in made.disclosures:
        narrow = tuple(each for each in shown if each[2] in ("purpose", "pii_type"))
        kept.append((at, shown if "parent" in grants[at].payload else narrow))
    return replace(made, disclosures=tuple(kept))


def parent_lied(made: Bundle) -> Bundle:
    """Disclose another purpose of the parent than the one that was signed."""
    grants = [Entry.parse(item.raw) for item in made.entries]
    changed = tuple(
        (at, shown if "parent" in grants[at].payload else rewritten(((at, shown),), purpose="Another")[0][1])
        for at, shown in made.disclosures
    )
    return replace(made, disclosures=changed)


def two_first() -> Made:
    """Two consents that do not rest on one another stand in a bundle of one."""
    mesh = Chains()
    one, other = mesh.consent("mia"), mesh.consent("noa")
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(period(mesh, [one, other], [], []))
    return replace(made, selection=Selection.CONSENT, about=None).encode(), mesh.trust(), mesh.now


# Amendments and signatures


def amended(content: Any = None, bend: Bend = as_made, **how: Any) -> Made:
    """Mia narrows her consent."""
    mesh = Chains()
    consent = mesh.consent("mia")
    mesh.amend("mia", consent, content or shareable(data_period=((START - 10 * DAY, START),)))
    return told(mesh, consent, bend, **how)


def amended_hidden(made: Bundle) -> Bundle:
    """Withhold one field of the amendment that the grant discloses."""
    grants = {at for at, item in enumerate(made.entries) if Entry.parse(item.raw).kind == "consent.grant"}
    kept = tuple(
        (at, shown if at in grants else tuple(each for each in shown if each[2] != "data_period"))
        for at, shown in made.disclosures
    )
    return replace(made, disclosures=kept)


def sent_under(content: Any, *, first: bool) -> Made:
    """Data of two days ago are sent, after the consent was narrowed, or before."""
    mesh = Chains()
    consent = mesh.consent("mia")
    if not first:
        mesh.amend("mia", consent, content)
    mesh.now += 5
    tick = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    moved: Moved = mesh.move(consent, tick.frontier)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    if first:
        mesh.now += 20
        mesh.amend("mia", consent, content)
        mesh.now += 5
        mesh.tick(mesh.a, mesh.b)
    data = mesh.prove(consent, first=tick.boundary, transfers=[moved])
    return data, mesh.trust(at=tick.boundary), mesh.now


def passed_on_under(
    sharing: OnwardSharing, bend: Bend = as_made, *, first: bool = False, links: int = 1, sent: bool = True
) -> Made:
    """Aube sends on what came to it over `links` consents, before Mia narrows hers (`first`), or after."""
    mesh = Chains()
    grant = mesh.consent("mia", holder=mesh.b, recipient=mesh.c if links > 1 else mesh.a)
    child = grant
    if links > 1:
        own: dict[str, Any] = {"parent": grant.entry.id, "key": mesh.c.device, "at": mesh.c}
        listed = shareable(onward_sharing=OnwardSharing("depth", 1))
        child = mesh.consent("", listed, holder=mesh.c, recipient=mesh.a, **own)
    child = mesh.consent("", passed_on(), parent=child.entry.id, key=mesh.a.device)
    content = (passed_on if sharing.mode == "none" else shareable)(onward_sharing=sharing)
    if not first:
        mesh.amend("mia", grant, content)
    mesh.now += 5
    tick = mesh.tick(mesh.a, mesh.b, mesh.c)
    mesh.now += 60
    moved = [mesh.move(child, tick.frontier)] if sent else []
    if first:
        mesh.amend("mia", grant, content)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b, mesh.c)
    made = reading.decode(mesh.prove(child, first=tick.boundary, transfers=moved))
    return bend(made).encode(), mesh.trust(at=tick.boundary), mesh.now


def passed_on_twice() -> Made:
    """Aube sends on what came from Brume; Mia lets nobody pass her data on any more; Aube sends again."""
    mesh = Chains()
    grant = mesh.consent("mia", holder=mesh.b, recipient=mesh.a)
    child = mesh.consent("", passed_on(), parent=grant.entry.id, key=mesh.a.device)
    ticks, moved = [], []
    for narrowed in (False, True):
        if narrowed:
            mesh.amend("mia", grant, passed_on())
        mesh.now += 5
        ticks.append(mesh.tick(mesh.a, mesh.b, mesh.c))
        mesh.now += 60
        moved.append(mesh.move(child, ticks[-1].frontier))
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b, mesh.c)
    first, second = (tick.boundary for tick in ticks)
    return mesh.prove(child, first=first, between=[second], transfers=moved), mesh.trust(at=first), mesh.now


def sharing_hidden(made: Bundle) -> Bundle:
    """Withhold of every amendment whether it lets data be passed on, as makers did once."""
    amendments = {at for at, item in enumerate(made.entries) if Entry.parse(item.raw).kind == "consent.amend"}
    kept = tuple(
        (at, tuple(each for each in shown if at not in amendments or each[2] != "onward_sharing"))
        for at, shown in made.disclosures
    )
    return replace(made, disclosures=kept)


def sent_without(what: str) -> Made:
    """Data are sent under a delegation that is revoked, a parent that is withdrawn, a call that she refuses after."""
    mesh = Chains()
    end: Callable[[], object]
    if what == "delegation":
        (given,) = line(mesh, ("mia", "noa"))
        consent = mesh.consent("noa", delegation=given.id)
        end = partial(mesh.revoke_delegation, "mia", given)
    else:
        joined = mesh.group("mia", "noa", "ola")
        call = mesh.call()
        mesh.vote(call, mia="yes", noa="yes")
        mesh.now = CLOSES + 10
        consent = mesh.consent("group", delegation=joined[0].id, call=call.id)
        end = partial(mesh.refuse, "mia", call)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 20
    end()
    mesh.now += 5
    second = mesh.tick(mesh.a, mesh.b)
    mesh.now += 10
    moved = mesh.move(consent, second.frontier)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    between = [second.boundary]
    data = mesh.prove(consent, first=first.boundary, between=between, transfers=[moved])
    return data, mesh.trust(at=first.boundary, max_age=600), mesh.now


def sent_before_its_parent() -> Made:
    """Data are sent under a child whose parent is registered only after the tick that speaks for the transfer."""
    mesh, twin = Chains(), Chains()
    parent = twin.consent("mia", holder=twin.c, recipient=twin.a)
    mesh.contents.update(twin.contents)
    consent = mesh.consent("", passed_on(), parent=parent.entry.id, key=mesh.a.device)
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 20
    moved = mesh.move(consent, first.frontier)
    mesh.log(mesh.a, parent.entry)
    mesh.sign(mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh.prove(consent, first=first.boundary, transfers=[moved]), mesh.trust(), mesh.now


def signed(*names: str, bend: Bend = as_made, **grant: Any) -> Made:
    """A consent that the organiser of a loop and the grid must sign too."""
    mesh = Chains()
    consent = mesh.consent("mia", required_parties=[mesh.key(each).public for each in ("pmo", "grid")], **grant)
    for name in names:
        mesh.cosign(name, consent)
    return told(mesh, consent, bend)


def signatures_made_up() -> Made:
    """Witnesses state that a consent stands for which nobody else has signed."""
    mesh = Chains()
    consent = mesh.consent("mia", required_parties=[mesh.key("pmo").public])

    def change(value: list[Any]) -> None:
        value[0] = 1

    with lying(lambda: consent.entry.id, change):
        return told(mesh, consent)


GAP: Final = 300
"""Seconds between a tick and a later one, where an end lies in between."""
OURS, R = "ledger.md §7", Reason
NARROW: Final = shareable(data_period=((START - 10 * DAY, START),))
LONG_AGO: Final = shareable(data_period=((START - 90 * DAY, START - 30 * DAY),))
LISTED: Final = OnwardSharing("listed", 0, (actor("Dune", bytes(32)),))
GONE: Final = (
    shareable(purpose="Another purpose"),
    shareable(points=("prm:99999999999999",)),
    shareable(data_period=((START - 400 * DAY, START - 300 * DAY),)),
)
PARENTS: Final = [
    Negative("a child of another's data", OURS, R.PARENT_OTHER, partial(shared, recipient="c")),
    Negative("a child by a stranger", OURS, R.PARENT_OTHER, partial(shared, signer="eve")),
    Negative(
        "no onward sharing",
        OURS,
        R.SHARING_FORBIDDEN,
        partial(shared, parent=shareable(onward_sharing=OnwardSharing(), recipients=(Actor("Brume", "recipient"),))),
    ),
    Negative(
        "aggregates alone may go on",
        OURS,
        R.SHARING_FORBIDDEN,
        partial(shared, parent=shareable(onward_sharing=OnwardSharing("depth", 2, aggregate_only=True))),
    ),
    Negative(
        "another contract than the source's",
        OURS,
        R.SHARING_FORBIDDEN,
        partial(shared, parent=shareable(onward_sharing=OnwardSharing("depth", 2, source_contract="a loop"))),
    ),
    Negative("sent before its parent was known", OURS, R.NO_POE, sent_before_its_parent),
    Negative("shared as deep again", OURS, R.SHARING_FORBIDDEN, partial(shared, shareable())),
    Negative(
        "shared with one who is not listed",
        OURS,
        R.SHARING_FORBIDDEN,
        partial(shared, parent=shareable(onward_sharing=OnwardSharing("listed", 0, (actor("Dune", bytes(32)),)))),
    ),
    Negative("passed on without end", OURS, R.MALFORMED, partial(handed_down, 17)),
    Negative("passed on nine times", OURS, R.SHARING_FORBIDDEN, partial(handed_down, 9)),
    *(
        Negative(
            f"a child wider than its parent: {name}", OURS, R.PARENT_WIDER, partial(shared, passed_on(**{name: value}))
        )
        for name, value in {
            "purpose": "Another purpose",
            "granularity": "PT10M",
            "points": ("prm:12345678901234", "prm:99999999999999"),
            "data_period": ((START - 91 * DAY, START),),
            "retention": "P2Y",
        }.items()
    ),
    Negative(
        "a child that outlives its parent",
        OURS,
        R.PARENT_WIDER,
        partial(shared, parent_until=(START // DAY + 20) * DAY),
    ),
    Negative("a parent withheld", OURS, R.PARENT_HIDDEN, partial(shared, bend=parent_hidden)),
    Negative("a parent's purpose made up", OURS, R.DISCLOSURE_MISMATCH, partial(shared, bend=parent_lied)),
    Negative("a parent withdrawn", OURS, R.REVOKED, partial(parent_ended, after=None)),
    Negative("a parent withdrawn, and long known", OURS, R.REVOKED, partial(parent_ended, after=5, asked=100)),
    Negative("a parent withdrawn beside", OURS, R.CONCURRENT_WITHDRAWAL, partial(parent_ended, after=20, asked=22)),
    Negative("two consents of which none rests on the other", OURS, R.MALFORMED, two_first),
    *(
        Negative(f"nothing is left ({at})", OURS, R.NOTHING_LEFT, partial(amended, content))
        for at, content in enumerate(GONE)
    ),
    Negative("an amendment withheld", OURS, R.AMENDMENT_HIDDEN, partial(amended, bend=amended_hidden)),
    Negative("an amendment left out", OURS, R.NOT_CARRIED, partial(amended, bend=without_kind("consent.amend"))),
    Negative(
        "an amendment's end of access", OURS, R.EXPIRED, partial(amended, shareable(access_period=(0, START - DAY)))
    ),
    Negative(
        "an amendment's beginning", OURS, R.NOT_ACTIVE, partial(amended, shareable(access_period=(START + DAY, None)))
    ),
    Negative("sent beyond what was left", OURS, R.BEYOND_CONSENT, partial(sent_under, LONG_AGO, first=False)),
    *(
        Negative(f"passed on after its parent was narrowed: {name}", OURS, R.SHARING_FORBIDDEN, case)
        for name, case in {
            "to nobody else": partial(passed_on_under, OnwardSharing()),
            "to others": partial(passed_on_under, LISTED),
            "two above": partial(passed_on_under, OnwardSharing("depth", 1), links=2),
            "once before, once after": partial(passed_on_twice),
            "nothing was sent": partial(passed_on_under, OnwardSharing(), sent=False),
        }.items()
    ),
    Negative(
        "passed on after its parent was narrowed, withheld how",
        OURS,
        R.AMENDMENT_HIDDEN,
        partial(passed_on_under, OnwardSharing(), sharing_hidden),
    ),
    Negative("sent after a delegation ended", OURS, R.DELEGATION_REVOKED, partial(sent_without, "delegation")),
    Negative("sent after she refused", OURS, R.CALL_REFUSED, partial(sent_without, "call")),
    Negative(
        "a signature left out", OURS, R.NOT_CARRIED, partial(signed, "pmo", "grid", bend=without_kind("consent.sign"))
    ),
    Negative("one of two signed", OURS, R.NOT_ACTIVE, partial(signed, "pmo")),
    Negative("signatures made up", OURS, R.BAD_STATE_PROOF, signatures_made_up),
]
"""The part of the catalogue that is made here."""
HONEST: Final[tuple[Callable[[], Made], ...]] = (
    shared,
    partial(handed_down, 8),
    partial(parent_ended, after=GAP),
    amended,
    partial(sent_under, LONG_AGO, first=True),
    partial(sent_under, NARROW, first=False),
    partial(passed_on_under, OnwardSharing(), first=True),
    partial(passed_on_under, OnwardSharing("depth", 1)),
    partial(passed_on_under, OnwardSharing("depth", 1), sharing_hidden, sent=False),
    partial(passed_on_under, OnwardSharing("depth", 1), links=2, first=True),
    partial(signed, "pmo", "grid"),
    partial(signed, "grid", required_quorum=1),
)
"""The same, with nothing wrong: each passes."""
