"""Consents that are handed on between live nodes: who lists, narrows and ends them; what a second hand-over undoes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ledger.consent.acts import Shown, make_rekey
from ledger.consent.heir import Heir, heir_of, parse_heir
from ledger.consent.status import Party
from ledger.consent.wallet import Wallet
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.explained import explain_entry
from ledger.keys import SigningKey
from ledger.schema import DAY
from ledger.verdict import Account, Verdict
from node.core import Turn
from node.flows.custody import rekeys_of, shown
from tests.ledger.consent.cases import NOTICE
from tests.node.flows.test_living import UNTIL, Scene
from tests.node.flows.test_passing import Scene as Passing
from tests.node.flows.test_passing import by_anna, forged
from tests.node.flows.world import NOW, SHORT, Side


def handed_on(scene: Scene, **more: Any) -> Entry:
    """Return a consent of anna's that ben's wallet was handed."""
    grant: Entry = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, "ben", None))
    return grant


def test_whoever_a_consent_was_handed_to_lists_it_and_ends_it() -> None:
    scene = Scene("anna", "ben", "zoe")
    acts = scene.ada.flows.acts
    grant = handed_on(scene)
    scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, "zoe", None))
    assert scene.flows(grant.id) == ""
    listed = scene.ada.look(lambda turn: scene.ada.flows.consents.get(turn.vault, grant.id))
    assert listed is not None
    assert listed.wallet == "zoe"
    assert scene.ada.look(lambda turn: acts.wallet_of(turn, grant)) == "zoe"
    ended = scene.act(lambda turn: acts.withdraw(turn, grant, "zoe"))
    assert len(ended.payload["via"]) == 2
    assert scene.flows(grant.id) == "WITHDRAWN"
    own = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "zoe")).consents
    assert [(one.grant_id, one.withdrawal_id) for one in own] == [(grant.id, ended.id)]


@pytest.mark.parametrize("name", ["anna", "ben"])
def test_old_keys_end_what_was_handed_on_and_strangers_do_not(name: str) -> None:
    scene = Scene("anna", "ben", "zoe", "eve")
    grant = handed_on(scene)
    scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, "zoe", None))
    with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
        scene.act(lambda turn: scene.ada.flows.acts.withdraw(turn, grant, "eve"))
    scene.act(lambda turn: scene.ada.flows.acts.withdraw(turn, grant, name))
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_the_slip_of_a_consent_that_was_handed_on_ends_it() -> None:
    scene = Scene("anna", "ben")
    grant = handed_on(scene)
    (rekey,) = scene.ada.look(lambda turn: rekeys_of(turn, grant.id))
    slip = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "ben")).slip(grant, [rekey])
    bob = scene.world.recipient
    assert bob.look(lambda turn: bob.flows.acts.find_by_slip(turn, slip)) == grant
    bob.act(lambda turn: bob.flows.acts.withdraw(turn, grant, slip))
    scene.world.pump()
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_a_wallet_that_was_handed_a_consent_has_it_after_an_import_and_at_its_new_host() -> None:
    scene = Scene("anna", "ben", nodes=3)
    grant = handed_on(scene)
    seed = scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "ben").seed)
    cyd = scene.world.sides[2]
    taken = cyd.act(lambda turn: cyd.flows.life.import_wallet(turn, "his", seed))
    assert [own.grant_id for own in taken.wallet.consents] == [grant.id]
    assert cyd.look(lambda turn: cyd.flows.consents.get(turn.vault, grant.id)) is None  # no party of it, nor its host
    cyd.act(lambda turn: cyd.flows.acts.create_wallet(turn, "newer"))
    scene.world.pass_time(10)
    cyd.act(lambda turn: cyd.flows.life.rekey(turn, grant, "newer", cyd.party))
    scene.world.pump()
    row = cyd.look(lambda turn: cyd.flows.consents.get(turn.vault, grant.id))
    assert row is not None
    assert row.wallet == "newer"
    assert scene.flows(grant.id) == ""  # nobody was asked again
    cyd.act(lambda turn: cyd.flows.acts.withdraw(turn, grant, "newer"))
    scene.world.pump()
    assert scene.flows(grant.id) == "WITHDRAWN"


def stolen(scene: Scene, grant: Entry, seed: bytes, early: Shown) -> tuple[Side, Entry]:
    """With a seed that somebody stole, hand a consent to the thief's own wallet at the third node, dated back."""
    cyd = scene.world.sides[2]
    cyd.act(lambda turn: cyd.flows.acts.create_wallet(turn, "thief"))
    to = cyd.look(lambda turn: heir_of(cyd.flows.life.wallet(turn, "thief"), grant, cyd.party))
    entry = make_rekey(Wallet(seed).consent_key(grant.thing[1]), grant, to, early)
    cyd.act(lambda turn: turn.register(entry))
    scene.world.pump()
    return cyd, entry


def explained(entry: Entry, turn: Turn) -> Account:
    """Return what is said of an entry."""
    return explain_entry(turn.core.replica, turn.rows, entry.id)


@pytest.mark.parametrize("by", ["anna", "ben"])
def test_whoever_stole_an_old_key_takes_nothing_back_by_a_date(by: str) -> None:
    scene = Scene("anna", "ben", nodes=3)
    ada, life = scene.ada, scene.ada.flows.life
    grant: Entry = scene.act(lambda turn: ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    early, seed = ada.look(shown), ada.look(lambda turn: life.wallet(turn, "anna").seed)
    scene.world.pass_time(7_200)
    honest = scene.act(lambda turn: life.rekey(turn, grant, "ben", ada.party))
    cyd, theirs = stolen(scene, grant, seed, early)
    assert theirs.iat < honest.iat
    for side in (ada, cyd):
        status = side.status(grant.id)
        assert status is not None
        assert (status.key, status.host, status.contested) == (None, None, grant.kid)
        for entry in (honest, theirs):
            told = side.look(partial(explained, entry))
            assert (told.verdict, told.rule) == (Verdict.VOID, "C7")
            assert "handed the consent on to different keys" in told.words
        with pytest.raises(LocalError, match="CONTESTED"):
            side.act(partial(side.flows.life.rekey, grant=grant, to="ben", host=None))
    assert not cyd.look(lambda turn: cyd.flows.consents.holds(turn.vault, grant.id))  # the thief learns nothing by it
    assert not cyd.act(lambda turn: cyd.flows.life.take_on(turn, grant))
    assert scene.flows(grant.id) == ""  # what she granted goes on
    scene.act(lambda turn: life.amend(turn, grant, lambda terms: terms, NOW + 30 * DAY))
    narrowed = cyd.status(grant.id)
    assert narrowed is not None
    assert (len(narrowed.amended), narrowed.valid_until < UNTIL) == (1, True)
    scene.act(lambda turn: ada.flows.acts.withdraw(turn, grant, by))
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_a_key_hands_a_consent_on_once() -> None:
    scene = Scene("anna", "ben", "zoe")
    life, grant = scene.ada.flows.life, handed_on(scene)
    scene.act(lambda turn: life.rekey(turn, grant, "anna", None))  # back
    for to in ("zoe", "ben"):
        with pytest.raises(LocalError, match="HANDED_ON"):
            scene.ada.act(partial(life.rekey, grant=grant, to=to, host=None))
    status = scene.ada.status(grant.id)
    assert status is not None
    assert (status.key, status.contested) == (None, None)


def heir(scene: Scene, side: Side, wallet: str, grant: Entry, host: Party | None) -> Heir:
    """Return the keys that a wallet at a side has for a consent."""
    return parse_heir(side.look(lambda turn: heir_of(side.flows.life.wallet(turn, wallet), grant, host)).code())


def test_a_consent_is_handed_to_a_wallet_at_another_node_which_learns_what_it_says() -> None:
    scene = Scene("anna", nodes=3)
    cyd = scene.world.sides[2]
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    cyd.act(lambda turn: cyd.flows.acts.create_wallet(turn, "hers"))
    to = heir(scene, cyd, "hers", grant, cyd.party)
    other = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    with pytest.raises(LocalError, match="OTHER_CONSENT"):
        scene.act(lambda turn: scene.ada.flows.life.rekey(turn, other, to, None))
    stranger = replace(to, host=(b"s" * 32, 1))
    with pytest.raises(LocalError, match="UNKNOWN_HOST"):
        scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, stranger, None))
    scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, to, None))
    row = cyd.look(lambda turn: cyd.flows.consents.get(turn.vault, grant.id))
    assert row is not None
    assert row.wallet == "hers"
    assert [own.grant_id for own in cyd.look(lambda turn: cyd.flows.life.wallet(turn, "hers")).consents] == [grant.id]
    with pytest.raises(LocalError, match="HANDED_ON"):  # by the wallet that had it before
        scene.ada.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, "anna", None))
    bob = scene.world.recipient
    with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
        bob.act(lambda turn: bob.flows.life.rekey(turn, grant, "nobody's", None))
    left = scene.ada.look(lambda turn: scene.ada.flows.consents.get(turn.vault, grant.id))
    assert left is not None
    assert left.wallet == ""  # anna's host has it as the holder alone
    with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
        scene.act(lambda turn: scene.ada.flows.life.amend(turn, grant, lambda terms: terms, NOW + 30 * DAY))
    cyd.act(lambda turn: cyd.flows.life.amend(turn, grant, lambda terms: terms, NOW + 30 * DAY))
    scene.world.pump()
    assert scene.flows(grant.id) == ""  # nobody was asked again
    cyd.act(lambda turn: cyd.flows.acts.withdraw(turn, grant, "hers"))
    scene.world.pump()
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_a_consent_is_handed_to_words_that_no_node_keeps() -> None:
    scene = Scene("anna", nodes=3)
    cyd, seed = scene.world.sides[2], b"w" * 32
    grant = scene.act(lambda turn: scene.ada.flows.acts.grant(turn, "anna", scene.offer(), NOTICE))[0]
    scene.act(lambda turn: scene.ada.flows.life.rekey(turn, grant, heir_of(Wallet(seed), grant), None))
    status = cyd.status(grant.id)
    assert status is not None
    assert status.host is None
    taken = cyd.act(lambda turn: cyd.flows.life.import_wallet(turn, "hers", seed))
    assert [own.grant_id for own in taken.wallet.consents] == [grant.id]
    cyd.act(lambda turn: cyd.flows.acts.withdraw(turn, grant, "hers"))
    scene.world.pump()
    assert scene.flows(grant.id) == "WITHDRAWN"


def test_who_hands_a_parent_on_twice_lets_no_heir_pass_it_on() -> None:
    scene = Passing()
    scene.receive()
    ada, seed = scene.ada, scene.ada.look(lambda turn: scene.ada.flows.life.wallet(turn, "anna").seed)
    ada.act(lambda turn: ada.flows.acts.create_wallet(turn, "ben"))
    first = ada.act(lambda turn: by_anna(scene, turn))
    ada.act(lambda turn: ada.flows.life.rekey(turn, scene.parent, "ben", None))
    scene.world.pump()
    second = ada.act(lambda turn: by_anna(scene, turn))
    scene.world.pump()
    thief, old = Wallet(b"t" * 32), Wallet(seed).consent_key(scene.parent.thing[1])
    assert scene.flows(second)[1] == ""
    scene.eve.act(lambda turn: turn.register(make_rekey(old, scene.parent, thief, shown(turn))))
    scene.world.pump()
    theirs = scene.eve.act(lambda turn: turn.register(forged(scene, turn, thief.consent_key(scene.parent.thing[1]))))
    scene.world.pump()
    assert scene.flows(theirs)[1] in ("DISCLOSURE_MISSING", "PARENT_OTHER")
    assert scene.flows(second) == (0, "PARENT_OTHER")
    for child in (first, scene.pass_on()):  # by the key that gave it, and by its recipient
        assert scene.flows(child) == (len(SHORT.starts), "")
    with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
        ada.act(lambda turn: by_anna(scene, turn))


def test_what_passes_on_names_the_slip_of_whom_it_was_handed_to_and_no_strangers() -> None:
    scene = Passing()
    scene.receive()
    scene.ada.act(lambda turn: scene.ada.flows.acts.create_wallet(turn, "ben"))
    scene.ada.act(lambda turn: scene.ada.flows.life.rekey(turn, scene.parent, "ben", None))
    scene.world.pump()
    ben = scene.ada.look(lambda turn: heir_of(scene.ada.flows.life.wallet(turn, "ben"), scene.parent))
    for number in range(4):  # whatever the order of ids
        thief = Wallet(bytes([number]) * 32)
        to, by = replace(heir_of(thief, scene.parent), key=ben.key), thief.consent_key(scene.parent.thing[1])
        scene.eve.act(partial(_handed_on, scene.parent, by, to))
    scene.world.pump()
    assert scene.pass_on().payload["withdraw_key"] == ben.withdraw_key


def _handed_on(grant: Entry, by: SigningKey, to: Heir, turn: Turn) -> Entry:
    return turn.register(make_rekey(by, grant, to, shown(turn)))
