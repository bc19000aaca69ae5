"""Changes that are told: the end of a consent is looked at once, whatever has become of its content."""

from __future__ import annotations

from ledger.schema import DAY
from node.core import Turn
from tests.ledger.consent.cases import NOTICE
from tests.node.flows.test_living import UNTIL, Scene


def test_the_end_of_a_consent_whose_content_was_erased_first_is_looked_at_once() -> None:
    scene = Scene("anna")
    changing, vault = scene.ada.flows.changing, scene.ada.flows.consents
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    end = scene.ada.look(changing.next_end)
    assert end is not None
    assert UNTIL - DAY < end <= UNTIL
    scene.world.pass_time(301 * DAY)

    def erase_then_expire(turn: Turn) -> None:
        vault.erase(turn.vault, grant.id, scene.ada.party, scene.world.recipient.party)
        changing.expire(turn)

    scene.act(erase_then_expire)
    assert scene.ada.look(changing.next_end) is None  # or whoever waits for it would be woken at once, for ever
