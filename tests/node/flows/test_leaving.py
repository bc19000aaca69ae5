"""Who had to sign somebody else's consent leaves it by herself, and no host keeps that to itself."""

from __future__ import annotations

import pytest

from ledger.consent.acts import make_leaving
from ledger.consent.reasons import Reason
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import Turn
from node.flows import wire
from node.flows.consenting import Formalities, Offer
from node.flows.custody import shown
from tests.node.flows.world import NOW, SHORT, Side, World, terms

SEED = b"b" * 32


def given(world: World, home: Side, *, quorum: int | None = None, others: tuple[bytes, ...] = ()) -> Entry:
    """Return a consent of anna's at the holder, which bob, whose wallet is at `home`, has to sign, and has signed."""
    side = world.holder
    bob = home.act(lambda turn: home.flows.life.import_wallet(turn, "bob", SEED).wallet.delegate_key().public)
    offer = Offer(side.party, world.recipient.party, terms(SHORT), NOW + 90 * DAY)

    def give(turn: Turn) -> Entry:
        acts = side.flows.acts
        acts.create_wallet(turn, "anna")
        formal = Formalities(required=(bob, *others), quorum=quorum)
        return acts.grant(turn, "anna", offer, acts.notice(turn, offer, ("a", "b")), formal=formal)[0]

    grant = side.act(give)
    world.pump()
    home.act(lambda turn: home.flows.life.sign(turn, grant, "bob"))
    world.pump()
    return grant


def leave(home: Side, grant: Entry, wallet: str = "bob") -> Entry:
    """Have a wallet leave a consent."""
    return home.act(lambda turn: home.flows.life.leave(turn, grant, wallet, "subject_request"))


def feeds_with(world: World, entry: Entry) -> int:
    """Return in how many feeds an entry is registered, as the holder sees it."""
    return len(world.holder.look(lambda turn: world.holder.core.replica.places(turn.rows, entry.id)))


def test_a_wallet_that_had_to_sign_leaves_alone_and_others_register_it() -> None:
    world = World(5)
    world.import_series(SHORT)
    home = world.sides[2]
    grant = given(world, home)
    assert world.send(grant=grant.id)[1].reason is Reason.ALLOWED
    left = leave(home, grant)
    world.pump()
    assert world.send(grant=grant.id)[1].reason is Reason.REVOKED
    assert all(side.status(grant.id).state is State.REVOKED for side in world.sides)  # type: ignore[union-attr]
    world.pass_time(2)
    assert feeds_with(world, left) >= 3, "in the feeds of half of the voters"


def test_where_a_quorum_suffices_it_ends_when_none_is_left() -> None:
    world = World(3)
    home, third = world.sides[1], world.sides[2]
    grant = given(world, home, quorum=1, others=(third.device.public,))
    leave(home, grant)
    world.pump()
    assert world.holder.status(grant.id).state is State.INCOMPLETE  # type: ignore[union-attr]
    third.act(lambda turn: third.flows.life.sign(turn, grant, ""))
    world.pump()
    assert world.holder.status(grant.id).state is State.GRANTED  # type: ignore[union-attr]


def test_who_did_not_have_to_sign_has_nothing_to_leave() -> None:
    world = World(3)
    home = world.sides[2]
    grant = given(world, home)
    home.act(lambda turn: home.flows.acts.create_wallet(turn, "eve"))
    with pytest.raises(LocalError, match="NOT_REQUIRED"):
        leave(home, grant, "eve")
    with pytest.raises(LocalError, match="NOT_REQUIRED"):
        leave(world.holder, grant, "anna")


def test_what_a_wallet_signed_is_listed_wherever_its_seed_is() -> None:
    world = World(4)
    home, other = world.sides[2], world.sides[3]
    grant = given(world, home)

    def signed(side: Side, name: str = "bob") -> list[bytes]:
        return side.look(lambda turn: side.flows.wallets.signed(turn.vault, name))

    assert signed(home) == [grant.id]
    home.act(lambda turn: home.flows.wallets.rename(turn.vault, "bob", "robert"))
    home.act(lambda turn: home.flows.wallets.take_away(turn.vault, "robert"))
    assert signed(home, "robert") == [grant.id]
    other.act(lambda turn: other.flows.life.import_wallet(turn, "bob", SEED))
    assert signed(other) == [grant.id], "found on the ledger"
    assert b"bob" not in b"".join(key for key, _ in other.look(lambda turn: list(turn.vault.scan("wallets", b"s"))))


def test_nobody_registers_the_leaving_of_who_did_not_have_to_sign() -> None:
    world = World(4)
    home, hostile = world.sides[2], world.sides[3]
    grant = given(world, home)
    stranger = SigningKey.from_seed(b"e" * 32)

    def forged(turn: Turn) -> Entry:
        said = {"grant": grant.id, "reason_code": "error"}
        return shown(turn).sign(stranger, "consent.revoke", grant.thing, said, after=grant.iat)

    before = world.holder.core.replica.size(world.holder.device.kid)
    hostile.say(world.holder, wire.Register(hostile.look(forged).raw))
    world.pump()
    assert world.holder.core.replica.size(world.holder.device.kid) == before
    assert "DATA_REFUSED" in world.holder.codes()

    # Two who had to sign leave: each leaving is registered, and each once.
    bob = home.look(lambda turn: home.flows.life.wallet(turn, "bob").delegate_key())
    own = hostile.look(lambda turn: make_leaving(bob, grant, shown(turn), "error"))
    for _ in range(2):
        hostile.say(world.holder, wire.Register(own.raw))
        world.pump()
    assert world.holder.core.replica.size(world.holder.device.kid) > before
    assert feeds_with(world, own) == 1
