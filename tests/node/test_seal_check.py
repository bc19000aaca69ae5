"""What a voter asks of a proposed seal before it prepares: pace, clock, expulsions, silence, its own ledger's seal.

A traitor may propose anything; each of these lies would pass if a voter did not look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ledger.checkpoint import Head
from ledger.governance.certificate import Seal
from ledger.governance.rounds import Timing
from ledger.schema import DAY
from node.core import Turn
from node.seal_instance import Instance
from node.sealable import CLOCK_SECONDS_MAX
from tests.node.electorates import PACE, Electorate
from tests.node.sites import NOW, Site, sites

EARLIEST = NOW + PACE.least_seconds


class Voter:
    """A voter's part in the agreement after the first epoch, in a turn of its own. `silent_seconds`: see Electorate."""

    def __init__(self, turn: Turn, silent_seconds: int = DAY) -> None:
        self.turn, self.ledger = turn, Electorate(turn.core.replica, silent_seconds=silent_seconds)
        self.instance = Instance(self.ledger, self.ledger.epoch_context(), turn, PACE, Timing())

    def seal(self, as_of: int, silent: Sequence[int] = ()) -> Seal:
        """Return what this voter's own ledger yields of all that it holds, whose list it keeps."""
        frontier: dict[bytes, Head] = dict(self.ledger.heads_now())
        self.instance.lists.add(self.turn, frontier)
        found = self.ledger.next_seal(self.turn.rows, frontier, as_of, silent)
        assert found is not None
        return found

    def takes(self, seal: Seal, *, fresh: bool = True) -> bool:
        """Say whether it would prepare the seal now. `fresh`: no polka shows that others have looked."""
        return self.instance._check(seal, self.turn.now_ms, fresh)


def ask(site: Site, at: int, question: Callable[[Turn], bool]) -> bool:
    """Ask a voter something at a time (unix seconds)."""
    site.now_ms = at * 1_000
    return site.act(question)


@pytest.mark.parametrize(
    ("as_of", "clock", "fresh", "polka"),
    [
        (EARLIEST, EARLIEST, True, True),
        (EARLIEST - 1, EARLIEST, False, False),  # sooner after the last seal than the pace
        (EARLIEST + CLOCK_SECONDS_MAX, EARLIEST, True, True),
        (EARLIEST + CLOCK_SECONDS_MAX + 1, EARLIEST, False, True),  # ahead of our clock: a quorum may have seen it
        (EARLIEST, EARLIEST + CLOCK_SECONDS_MAX, True, True),
        (EARLIEST, EARLIEST + CLOCK_SECONDS_MAX + 1, False, True),
    ],
)
def test_a_voter_refuses_a_seal_before_its_time_or_off_its_own_clock(
    as_of: int, clock: int, fresh: bool, polka: bool
) -> None:
    site, *_ = sites(4)

    def question(turn: Turn) -> bool:
        voter = Voter(turn)
        seal = voter.seal(as_of)
        assert voter.takes(seal, fresh=False) is polka
        return voter.takes(seal)

    assert ask(site, clock, question) is fresh


def test_a_voter_refuses_a_fresh_seal_that_omits_an_expulsion_it_holds() -> None:
    site, _, other, _ = sites(4)

    def question(turn: Turn) -> bool:
        voter = Voter(turn)
        before = voter.seal(EARLIEST)
        assert voter.takes(before)
        payload = {"act": "expel", "deadline": NOW + DAY, "target": list(other.who.party)}
        turn.state("proposal", ("ballot", bytes(16)), payload)  # which counts at once in these simple rules
        assert voter.takes(before, fresh=False)  # a quorum may be locked on it
        return voter.takes(before)

    assert not ask(site, EARLIEST, question)


@pytest.mark.parametrize("silent_seconds", [1, DAY])
def test_a_voter_lets_no_vote_be_taken_of_whom_it_has_heard(silent_seconds: int) -> None:
    site, *_ = sites(4)

    def question(turn: Turn) -> bool:
        voter = Voter(turn, silent_seconds)
        seal = voter.seal(EARLIEST, silent=(2,))
        assert voter.takes(seal, fresh=False)
        return voter.takes(seal)

    assert ask(site, EARLIEST, question) is (silent_seconds == 1)


def test_a_voter_refuses_what_its_own_ledger_does_not_yield_and_waits_for_what_it_lacks() -> None:
    site, *_ = sites(4)

    def question(turn: Turn) -> bool:
        voter = Voter(turn)
        seal = voter.seal(EARLIEST)
        unknown = Seal(voter.seal(EARLIEST + 1).epoch, left=(1,))
        assert not voter.takes(unknown)
        assert voter.instance.obstacles.differs
        return voter.takes(seal)

    assert ask(site, EARLIEST, question)
