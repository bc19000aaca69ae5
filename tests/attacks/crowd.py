"""Random worlds of expulsions: voters who turn on each other, with every irregularity that the rules know.

How it works
    `crowd` draws a whole world from a random source; `traitors` draws one in which an honest quorum expels traitors,
    and then lets these say whatever they like. Hypothesis hands in a source whose choices it can shrink.
    A place is drawn from 0 to 9; a vote on the n-th proposal stands at leaf 8·place + n, so that two votes meet at one
    leaf only where a fork is meant.

What it does not do
    It decides nothing: tests do.
"""

from __future__ import annotations

from random import Random

from ledger.checkpoint import Head
from ledger.governance.ballots import Act, Bound, Choice, Proposal, Sealed, Vote
from ledger.governance.expulsion import Cut, Resolution
from ledger.schema import DAY
from tests.attacks.scene import NOON, Scene, digest, feed, party

STEP = 8
PLACES = 10
HANDOVER = 5 * STEP
FLOOR = 2 * STEP


def _some(rng: Random, one_in: int) -> bool:
    return rng.randrange(one_in) == one_in - 1  # shrinks to False


def propose(scene: Scene, rng: Random, target: str, epoch: bytes, sizes: dict[int, int] | None = None) -> Proposal:
    """Add an expulsion with a cut that names some of the target's feeds."""
    if sizes is None:
        sizes = {device: STEP * rng.randrange(PLACES) for device in range(2) if not _some(rng, 4)}
    heads = tuple(Head(feed(target, device), size, bytes(32)) for device, size in sizes.items())
    deadline = scene.electorates[epoch].as_of + (15 if _some(rng, 40) else 14) * DAY
    number = len(scene.proposals)
    proposal = Proposal(digest("p", number), epoch, Act.EXPEL, deadline, party(target), heads)
    scene.proposals.append(proposal)
    return proposal


def cast(
    scene: Scene, rng: Random, name: str, number: int, *, device: int = 0, index: int | None = None, odd: bool = True
) -> Vote:
    """Add a vote of a member on a proposal, by number; `odd` votes may say no or come late."""
    proposal = scene.proposals[number]
    index = STEP * rng.randrange(PLACES) + number if index is None else index
    choice = Choice.NO if odd and _some(rng, 25) else Choice.YES
    as_of = proposal.deadline if odd and _some(rng, 40) else NOON
    ident = digest("v", name, number, device, index, choice, as_of)
    vote = Vote(ident, proposal.id, party(name), feed(name, device), index, choice, as_of)
    scene.votes.append(vote)
    return vote


def crowd(rng: Random) -> Scene:
    """Draw a world of 2 to 7 voters and 1 to 5 expulsions."""
    names = [f"m{n}" for n in range(rng.randint(2, 7))]
    affiliated = [f"{names[0]} {names[-1]}"] if _some(rng, 5) else []
    scene = Scene(" ".join(names), affiliated=affiliated)
    scene.floor = {feed(name, device): FLOOR for name in names for device in range(1)}
    scene.electorates.clear()
    epochs = [scene.seal(0, names, [[party(n)[0] for n in group.split()] for group in affiliated])]
    if _some(rng, 5):
        epochs.append(scene.seal(1, names[: rng.randint(1, len(names))]))
    for name in names:
        if _some(rng, 6):
            scene.follow(name, HANDOVER)
        if _some(rng, 12):
            scene.forks[feed(name)] = Bound(STEP * rng.randrange(PLACES), (digest("fork", name),))
    for number in range(rng.randint(1, 5)):
        proposal = propose(scene, rng, names[rng.randrange(len(names))], epochs[rng.randrange(len(epochs))])
        for name in names:
            if not _some(rng, 8):
                follows = len(scene.chains[party(name)]) > 1
                cast(scene, rng, name, number, device=int(follows and not _some(rng, 3)))
            if _some(rng, 15):
                cast(scene, rng, name, number, device=int(_some(rng, 2)))
        if _some(rng, 12):
            frontier = {feed(name): STEP * rng.randrange(PLACES) for name in names}
            scene.closed[proposal.id] = Sealed(digest("seal"), proposal.deadline, frontier)
    for vote in list(scene.votes):
        if _some(rng, 60):  # the other branch of a fork
            scene.votes.append(
                Vote(
                    digest("twin", vote.id),
                    scene.proposals[rng.randrange(len(scene.proposals))].id,
                    vote.voter,
                    vote.feed,
                    vote.index,
                    Choice.YES,
                    NOON,
                )
            )
    if _some(rng, 8):
        name = names[rng.randrange(len(names))]
        why = scene.proposals[0].id if _some(rng, 2) and scene.proposals[0].target == party(name) else digest("sealed")
        scene.settled = {party(name): Cut({feed(name): STEP * rng.randrange(PLACES)}, (why,), sealed=True)}
    return scene


def betrayed(rng: Random) -> tuple[Scene, list[str], list[str]]:
    """Draw a world in which at least T honest voters expel each of f ≤ n - T traitors; return honest, traitors too."""
    n = rng.randint(3, 10)
    quorum = 2 * (n - 1) // 3 + 1
    f = rng.randint(1, n - quorum)
    names = [f"m{k}" for k in range(n)]
    honest, traitors = names[f:], names[:f]
    scene = Scene(" ".join(names))
    scene.floor = {feed(name): FLOOR for name in names}
    scene.electorates.clear()
    scene.epoch = scene.seal(0, names)
    for number, target in enumerate([*traitors, *(t for t in traitors if _some(rng, 3))]):
        propose(scene, rng, target, scene.epoch, {0: STEP * rng.randrange(PLACES)})
        scene.proposals[-1] = _in_time(scene.proposals[-1])
        least = quorum if number < f else 0  # each is expelled once for certain; further proposals may fall short
        voters = rng.sample(honest, rng.randint(least, len(honest)))
        for name in voters:
            cast(scene, rng, name, number, odd=False)
    return scene, honest, traitors


def _in_time(p: Proposal) -> Proposal:
    return Proposal(p.id, p.epoch, p.act, NOON + 14 * DAY, p.target, p.cut, p.subject)


def revenge(scene: Scene, rng: Random, names: list[str], traitors: list[str], beyond: Resolution | None) -> None:
    """Let traitors add proposals and votes: beyond their cuts (`beyond` has them), or anywhere, forks included."""
    for _ in range(rng.randint(1, 3)):
        target = names[rng.randrange(len(names))]
        propose(scene, rng, target, scene.epoch, {0: STEP * rng.randrange(PLACES)})
        scene.proposals[-1] = _in_time(scene.proposals[-1])
    for traitor in traitors:
        for number in range(len(scene.proposals)):
            if _some(rng, 5):
                continue
            index = None
            if beyond is not None:
                bound = beyond.bound(party(traitor), feed(traitor))
                assert bound is not None
                index = -(-bound.size // STEP) * STEP + STEP * rng.randrange(PLACES) + number
            cast(scene, rng, traitor, number, index=index)
