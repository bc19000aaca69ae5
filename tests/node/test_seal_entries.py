"""What of sealing enters the ledger is dated so that it counts: no certificate before its epoch."""

from __future__ import annotations

from ledger.feed import AHEAD_SECONDS_MAX
from node import seal_entries
from node.core import Turn
from node.seal_lists import Lists
from tests.ledger.governance.polity import Polity
from tests.node.sites import NOW, sites


def test_a_voter_whose_clock_is_behind_dates_a_certificate_as_its_epoch() -> None:
    polity = Polity("published")
    seal, before, _, heads = polity.compose()
    certificate = polity.certify(seal, before, polity.members)
    (site,) = sites(1)

    def publish(turn: Turn) -> bool:
        lists = Lists(before.context, before.frontier, turn.rows)
        lists.add(turn, heads)
        return seal_entries.publish(turn, before.context, certificate, lists)

    assert site.act(publish)
    (said,) = (r.entry for r in site.core.replica.registrations if r.entry.kind == "seal.certificate")
    assert said.iat == seal.epoch.as_of > NOW
    assert seal_entries.early_until(certificate) == seal.epoch.as_of - AHEAD_SECONDS_MAX
