"""The attacks: for each, what our rule makes of it, and what a textbook rule makes of it.

How it works
    An `Attack` pairs two functions that return whether the defence held: `ours` stages it with values of
    `ledger.governance`, `theirs` tells the same story in ops to a textbook rule. Held means the same in both: the
    traitor is out where honest people put it out, no honest member is, and what these did in good time stands.

What it does not do
    Attacks on sealing, heartbeats and channels are tried where those are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import permutations

from ledger.governance.ballots import Choice, Rule, Sealed
from ledger.governance.rules import endorsements_for_voter, new_voters_max
from ledger.schema import DAY
from tests.attacks.scene import NOON, SEALED, START, Scene, feed, party
from tests.attacks.textbook import Op, Textbook, seniority, strong_removal


@dataclass(frozen=True, slots=True)
class Attack:
    """A named attack on both kinds of rules; `ours` and `theirs` say whether the defence held."""

    name: str
    ours: Callable[[], bool]
    theirs: Callable[[Textbook], bool]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    attack: str
    rule: str
    held: bool


def past(*ops: Op) -> frozenset[str]:
    """Return the ids of these ops and of all they have seen."""
    return frozenset(op.id for op in ops).union(*(op.after for op in ops))


# Revenge of the expelled


def _expelled_tom() -> Scene:
    """Four members, three of whom expelled tom, cut where his feed ended."""
    scene = Scene("ann bob cyd tom")
    scene.vote("ann bob cyd", scene.expel("tom"))
    return scene


def _old_head_ours() -> bool:
    scene = _expelled_tom()
    for target in ("ann", "bob"):
        scene.vote("tom", scene.expel(target, cut=0))
    return scene.out() == {"tom": START}


def _old_head_theirs(rule: Textbook) -> bool:
    ops = [
        Op("a", "ann", "remove", "tom"),
        Op("b", "tom", "remove", "ann"),
        Op("c", "tom", "remove", "cyd", frozenset("b")),
    ]
    return rule({"tom": 0, "ann": 1, "bob": 2, "cyd": 3}, ops).members == {"ann", "bob", "cyd"}


def _counter_ours() -> bool:
    """Two of five turn, and both sign the counter-removal; one of them was expelled before, the other is not yet."""
    scene = Scene("ann bob cyd tim tom")
    counter = scene.expel("ann", cut=0)
    scene.vote("tim", counter)
    scene.vote("ann bob cyd", scene.expel("tom"))
    scene.vote("tom", counter)
    return scene.out() == {"tom": START}


def _counter_theirs(rule: Textbook) -> bool:
    ops = [Op("a", "ann", "remove", "tom"), Op("b", "tom", "remove", "ann")]
    return rule({"tom": 0, "ann": 1}, ops).members == {"ann"}


def _ancient_ours() -> bool:
    """One signature moves nothing; with T of them the cut still stops at what is sealed."""
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("ann", cut=0)
    scene.vote("tom", removal)
    alone = scene.out() == {}
    scene.vote("bob cyd", removal)
    return alone and scene.out() == {"ann": SEALED}


def _ancient_theirs(rule: Textbook) -> bool:
    first = Op("a", "ann", "act", "charter")
    second = Op("b", "ann", "add", "dan", past(first))
    return {"a", "b"} <= rule({"tom": 0, "ann": 1}, [first, second, Op("c", "tom", "remove", "ann")]).ops


def _senior_ours() -> bool:
    scene = Scene("tom ann bob cyd")  # tom founded the mesh
    removal = scene.expel("tom")
    scene.vote("ann bob cyd", removal)
    scene.vote("tom", scene.expel("cyd", cut=0), at=SEALED)  # backdated as far as a feed allows
    return scene.out() == {"tom": START}


def _senior_theirs(rule: Textbook) -> bool:
    add = Op("a", "tom", "add", "ann")
    removal, revenge = Op("r", "ann", "remove", "tom", past(add)), Op("s", "tom", "remove", "ann", past(add))
    return rule({"tom": 0}, [add, removal, revenge]).members == {"ann"}


# Ties, old electorates, double votes


def _grinding_ours() -> bool:
    """Two expulsions cut each other's votes: whatever ids tom grinds, both apply."""
    outcomes = set()
    for salt in range(32):
        scene = Scene("ann bob cyd tom")
        first, second = scene.expel("tom"), scene.expel("ann", salt=salt)
        scene.vote("ann bob cyd", first, salt=salt)
        scene.vote("tom bob cyd", second, salt=salt)
        outcomes.add(tuple(sorted(scene.out().items())))
    return outcomes == {(("ann", START), ("tom", START))}


def _grinding_theirs(rule: Textbook) -> bool:
    """Equals remove each other: does the smaller id win?"""
    members = {
        rule({"tom": 0, "ann": 0}, [Op("m", "ann", "remove", "tom"), Op(ident, "tom", "remove", "ann")]).members
        for ident in ("a", "z")
    }
    return len(members) == 1


def _old_electorate_ours() -> bool:
    """Two of three founders, long outnumbered, sign for ever under the first epoch: dated late, and dated early."""
    scene = Scene("ann tim tom bob cyd dan eve fay gus")
    old = scene.seal(-60, ("ann", "tim", "tom"))
    removal = scene.expel("ann", cut=0, epoch=old)
    closing = Sealed(b"seal", NOON - 40 * DAY, dict(scene.floor))
    scene.vote("tim tom", removal)  # their closure holds later seals
    late = scene.out() == {}
    scene.votes.clear()
    scene.closed[removal.id] = closing
    scene.vote("tim tom", removal, as_of=NOON - 60 * DAY)  # feeds that have named no seal since
    return late and scene.out() == {}


def _old_electorate_theirs(rule: Textbook) -> bool:
    founded = [Op(f"a{name}", "ann", "add", name) for name in ("bob", "cyd", "dan", "eve", "fay", "gus")]
    later = Op("later", "ann", "act", "charter", past(*founded))
    revenge = [Op(f"r{name}", name, "remove", "ann") for name in ("tim", "tom")]
    return "ann" in rule({"tim": 0, "tom": 0, "ann": 0}, [*founded, later, *revenge]).members


def _double_ours() -> bool:
    """tom votes yes on one branch and no on another, at one place: either alone, and both, must not make three."""
    scene = Scene("ann bob cyd dan tom")
    removal = scene.expel("dan")
    scene.vote("ann", removal)
    scene.vote("bob", removal)
    scene.vote("tom", removal, at=12)
    if set(scene.out()) != {"dan"}:  # what one half of the mesh would see
        return False
    scene.vote("tom", removal, Choice.NO, at=12)
    rules = {vote.id: scene.resolve().votes[vote.id].rule for vote in scene.votes}
    toms = [rules[vote.id] for vote in scene.votes if vote.voter == party("tom")]
    twice = Scene("ann bob cyd dan tom")  # and yes twice is not two
    again = twice.expel("dan")
    twice.vote("ann", again)
    twice.vote("tom", again)
    twice.vote("tom", again)
    return scene.out() == {} and toms == [Rule.FORK, Rule.FORK] and twice.out() == {}


def _double_theirs(rule: Textbook) -> bool:
    """Two branches of one author, at one height: does each carry an op of its own?"""
    group = rule({"ann": 0, "bob": 0, "tom": 0}, [Op("a", "tom", "remove", "ann"), Op("b", "tom", "remove", "bob")])
    return not {"a", "b"} <= group.ops


# Time and number


def _sybil_ours() -> bool:
    """A third of the voters invite all they can for a hundred days; invited members also vote at once."""
    honest, traitors = 7, 3
    for _ in range(100):
        voters = honest + traitors
        if traitors >= endorsements_for_voter(voters):
            traitors += new_voters_max(voters)
    scene = Scene("ann bob cyd tom sue sid sal")
    scene.epoch = scene.seal(1, ("ann", "bob", "cyd", "tom"))
    scene.vote("tom sue sid sal", scene.expel("ann"))
    return traitors == 3 and scene.out() == {}


def _sybil_theirs(rule: Textbook) -> bool:
    add = Op("a", "tom", "add", "sue")
    removals = [Op(f"r{name}", "sue", "remove", name, past(add)) for name in ("ann", "bob")]
    return {"ann", "bob"} <= rule({"ann": 0, "bob": 0, "tom": 0}, [add, *removals]).members


def _starving_ours() -> bool:
    """A seal a minute between any two votes: the ballot keeps its electorate and its votes."""
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("tom")
    for day, name in enumerate(("ann", "bob", "cyd")):
        scene.vote(name, removal, as_of=NOON + day * DAY)
        scene.seal(day + 1, scene.names)
        scene.floor = {feed(each): size for each, size in scene.sizes.items() if each != "tom"} | {feed("tom"): START}
    return scene.out() == {"tom": START}


def _starving_theirs(rule: Textbook) -> bool:
    """These know no epochs: one signature is enough, and no seal comes between."""
    return rule({"ann": 0, "tom": 1}, [Op("a", "ann", "remove", "tom")]).members == {"ann"}


def _withheld_ours() -> bool:
    """tom votes after his expulsion was signed, and before it is delivered: any order, the same end."""
    scene = _expelled_tom()
    scene.vote("tom", scene.expel("bob", cut=0))
    late = scene.votes[-1]
    ends = []
    for order in permutations(range(len(scene.votes))):
        seen = Scene("ann bob cyd tom")
        seen.proposals, seen.votes = scene.proposals, [scene.votes[place] for place in order]
        ends.append((tuple(seen.out().items()), seen.resolve().votes[late.id].rule))
    return set(ends) == {((("tom", START),), Rule.CUT)}


def _withheld_theirs(rule: Textbook) -> bool:
    acts = [Op("a", "tom", "add", "sue"), Op("b", "tom", "act", "charter")]
    group = rule({"tom": 0, "ann": 1}, [*acts, Op("r", "ann", "remove", "tom")])
    return group.members == {"ann"} and group.ops == {"r"}


def _device_ours() -> bool:
    """tom's root key certifies a second device, as the heir of the first, beyond the cut: what it says is void."""
    scene = _expelled_tom()
    scene.follow("tom", START)
    revenge = scene.expel("ann", cut=0)
    scene.vote("tom", revenge, at=0, device=1)
    resolution = scene.resolve()
    bound = resolution.bound(party("tom"), feed("tom", 1))
    return bound is not None and bound.size == 0 and resolution.votes[scene.votes[-1].id].rule is Rule.CUT


def _device_theirs(rule: Textbook) -> bool:
    """A removal names a device; the root key, which is older, names another."""
    ops = [Op("r", "ann", "remove", "tom's phone"), Op("s", "tom's root", "add", "tom's laptop")]
    members = rule({"tom's root": 0, "tom's phone": 1, "ann": 1}, ops).members
    return not any(name.startswith("tom") for name in members)


def _now_ours() -> bool:
    """Whoever reads the members at whatever moment: prefixes differ, the end does not."""
    scene = _expelled_tom()
    revenge = scene.expel("cyd", cut=0)
    scene.vote("tom ann", revenge)
    ends = set()
    for order in permutations(scene.proposals):
        for turn in range(len(scene.votes)):
            seen = Scene("ann bob cyd tom")
            seen.proposals = list(order)
            for vote in (*scene.votes[turn:], *scene.votes[:turn]):
                seen.out()  # reading in between leaves no trace
                seen.votes.append(vote)
            ends.add(tuple(seen.out().items()))
    return ends == {(("tom", START),)}


def _now_theirs(rule: Textbook) -> bool:
    ops = [Op("a", "tom", "add", "sue"), Op("b", "sue", "act", "x", frozenset("a")), Op("r", "ann", "remove", "tom")]
    return len({rule({"tom": 0, "ann": 1}, order) for order in permutations(ops)}) == 1


ATTACKS = (
    Attack("expelled admin appends removals to the old head", _old_head_ours, _old_head_theirs),
    Attack("expelled manager's backdated counter-removal", _counter_ours, _counter_theirs),
    Attack("removal with ancient causes voids the target's history", _ancient_ours, _ancient_theirs),
    Attack("junior honest member against a senior traitor", _senior_ours, _senior_theirs),
    Attack("grinding a hash to win a tie", _grinding_ours, _grinding_theirs),
    Attack("old, small electorate certifies for ever", _old_electorate_ours, _old_electorate_theirs),
    Attack("double vote, fork of a feed at equal height", _double_ours, _double_theirs),
    Attack("votes of the just-admitted", _sybil_ours, _sybil_theirs),
    Attack("epochs sealed fast to starve a ballot", _starving_ours, _starving_theirs),
    Attack("withheld expulsion delivered after the target acted", _withheld_ours, _withheld_theirs),
    Attack("new device certified after the cut", _device_ours, _device_theirs),
    Attack("access list read as of now", _now_ours, _now_theirs),
)
"""Every attack that ballots, expulsions and cuts have to bear."""

TEXTBOOKS: dict[str, Textbook] = {"strong-removal": strong_removal, "seniority": seniority}


def results(attacks: Iterable[Attack] = ATTACKS) -> list[Result]:
    """Try every attack on every rule."""
    found = []
    for attack in attacks:
        found.append(Result(attack.name, "maille", attack.ours()))
        found += [Result(attack.name, name, attack.theirs(rule)) for name, rule in TEXTBOOKS.items()]
    return found
