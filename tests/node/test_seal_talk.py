"""The talk of sealing is bounded: what is passed on, what a peer may ask for, and what ends its channel."""

from __future__ import annotations

import pytest

from gossip import events as gossip
from gossip.messages import SEALS, Envelope, seal
from gossip.seals import Ask, Have, Message, Part, Sealed, Word, decode, encode
from ledger.governance.certificate import EpochContext, Step
from ledger.governance.rounds import Message as Said
from ledger.governance.rounds import sign_message
from ledger.keys import SigningKey
from node.seal_talk import ANSWER_BURST, FAULTS_MAX, VOTER_BURST, WORK_BURST, WORK_RATE, Talk, tells_more
from node.sealable import CLOCK_SECONDS_MAX, Pace
from node.sealing import Sealer
from tests.node.electorates import PACE, Electorate
from tests.node.sites import NOW, Site, sites


def mesh(count: int, pace: Pace = PACE) -> list[Site]:
    """Return founders that know each other's channels, at the time when a seal is due."""
    found = sites(count)
    for site in found:
        site.core.sealing = Sealer(Electorate(site.core.replica), pace=pace)
        site.now_ms = (NOW + pace.least_seconds) * 1_000
        site.tell(*(gossip.PeerUp(other.kid, False) for other in found if other is not site))
    return found


def context_of(site: Site) -> EpochContext:
    return Electorate(site.core.replica).epoch_context()


def voted(context: EpochContext, key: SigningKey, round_: int, digest: bytes | None, step: Step = Step.COMMIT) -> Said:
    """Sign a vote with the device of a voter."""
    voter = next(place for place, (_, public) in enumerate(context.voters) if public == key.public)
    return sign_message(key.sign, context, Said(voter, round_, step, digest, -1, b""))


def said(site: Site, peer: Site) -> list[Message | None]:
    """Return what of seals the last turn told a peer."""
    envelopes = map(Envelope.open, site.sent(peer.kid))
    return [decode(envelope) for envelope in envelopes if envelope.family == SEALS]


def hear(site: Site, peer: Site, *told: Message) -> None:
    site.tell(*(gossip.Message(peer.kid, encode(one)) for one in told))


def test_a_sound_message_opens_the_agreement_and_is_passed_on_once_and_never_back() -> None:
    one, two, three = mesh(3)
    context = context_of(one)
    word = Word(0, voted(context, two.who.device, 0, None).encode(context))
    hear(one, two, word, word)
    assert word not in said(one, two)
    assert said(one, three).count(word) == 1
    hear(one, three, word)
    assert said(one, two) == said(one, three) == []


def test_a_message_that_comes_much_too_early_opens_nothing() -> None:
    one, two, three = mesh(3, Pace(least_seconds=1_000))
    context = context_of(one)
    word = Word(0, voted(context, two.who.device, 0, None).encode(context))
    one.now_ms = (NOW + 1_000 - CLOCK_SECONDS_MAX) * 1_000 - 1
    hear(one, two, word)
    assert said(one, three) == []
    one.now_ms += 1
    hear(one, two, word)
    assert word in said(one, three)


def test_one_voter_cannot_make_others_send_without_end() -> None:
    one, two, three = mesh(3)
    context = context_of(one)
    many = [
        Word(0, voted(context, two.who.device, round_, bytes([step.value]) * 32, step).encode(context))
        for round_ in range(200)
        for step in (Step.PREPARE, Step.COMMIT)
    ]
    passed = 0
    for word in many:
        hear(one, two, word)
        passed += word in said(one, three)
    assert 0 < passed <= VOTER_BURST
    sealer = one.core.sealing
    assert isinstance(sealer, Sealer)
    assert sealer._instance is not None
    assert len(sealer._instance.held()) < 12


def test_what_no_honest_member_passes_on_ends_the_channel() -> None:
    one, two, three = mesh(3)
    context = context_of(one)
    forged = [
        Word(0, voted(context, two.who.device, 0, bytes([number]) * 32).encode(context)[:-1] + b"\x00")
        for number in range(FAULTS_MAX)
    ]
    for word in forged[:-1]:
        hear(one, two, word)
    assert not any(isinstance(effect, gossip.Disconnect) for effect in one.effects)
    hear(one, two, forged[-1])
    assert [e.code for e in one.effects if isinstance(e, gossip.Disconnect)] == ["BAD_SEALS"]
    assert said(one, three) == []
    one.tell(gossip.Message(two.kid, seal(SEALS, 1, 1, [0])))
    assert [e.code for e in one.effects if isinstance(e, gossip.Disconnect)] == ["BAD_MESSAGE"]


def test_messages_of_a_rival_epoch_or_of_another_number_are_nobodys_fault() -> None:
    one, two, three = mesh(3)
    context = context_of(one)
    rival = EpochContext(context.mesh_id, b"x" * 32, context.n, context.as_of, context.voters)
    raw = voted(rival, two.who.device, 0, None).encode(rival)
    for _ in range(2 * FAULTS_MAX):
        hear(one, two, Word(0, raw), Word(1, raw), Word(7, raw), Have(0, rival.reference, 0, ((0, 2, b"\x07"),)))
        assert not any(isinstance(e, gossip.Disconnect) for e in one.effects)
        assert said(one, two) == said(one, three) == []


def test_a_peer_is_told_what_it_lacks_and_not_too_often() -> None:
    one, two, three = mesh(3)
    context = context_of(one)
    vote = voted(context, three.who.device, 0, None)
    hear(one, three, Word(0, vote.encode(context)))
    empty = Have(0, context.reference, 0, ())
    answers = 0
    for _ in range(ANSWER_BURST + 5):
        hear(one, two, empty)
        answers += Word(0, vote.encode(context)) in said(one, two)
    assert answers == ANSWER_BURST
    one.now_ms += 1_000
    hear(one, two, Have(0, context.reference, 0, ((0, 2, (1 << vote.voter).to_bytes(1, "little")),)))
    assert Word(0, vote.encode(context)) not in said(one, two)


def test_a_peer_that_has_more_is_told_what_we_have() -> None:
    one, two, _ = mesh(3)
    context = context_of(one)
    hear(one, two, Have(0, context.reference, 0, ((0, 1, b"\x02"),)))
    assert said(one, two) == [Have(0, context.reference, 0, ())]
    hear(one, two, Have(0, context.reference, 0, ((0, 1, b"\x02"),)))
    assert said(one, two) == []  # a moment ago


def test_lists_and_certificates_that_are_false_count_as_faults() -> None:
    one, two, _ = mesh(3)
    context = context_of(one)
    hear(one, two, Part(0, b"d" * 32, 0, 1, ()), Ask(0, b"d" * 32))
    assert said(one, two) == []
    hear(one, two, *(Sealed(0, bytes([number + 1])) for number in range(FAULTS_MAX)))
    assert [e.code for e in one.effects if isinstance(e, gossip.Disconnect)] == ["BAD_SEALS"]
    assert context_of(one) == context


def test_a_mesh_that_has_sealed_answers_the_late_with_the_certificate() -> None:
    (one,) = mesh(1)
    stranger = sites(2)[1]
    one.tell(gossip.TimerFired("seal:look"))
    assert context_of(one).n == 1
    one.core.peers[stranger.kid] = True
    envelope = Envelope.open(encode(Word(0, b"anything")))
    one.act(lambda turn: turn.core.sealing.handle(turn, stranger.kid, envelope))  # type: ignore[union-attr]
    (told,) = said(one, stranger)
    assert isinstance(told, Sealed)
    assert told.n == 0


def test_a_peer_pays_for_what_has_to_be_verified() -> None:
    one, two = mesh(2)
    talk = Talk(context_of(one))
    paid = one.act(lambda turn: [talk.pays(turn, two.kid, 1) for _ in range(WORK_BURST + 10)])
    assert paid.count(True) == WORK_BURST
    one.now_ms += 1_000
    paid = one.act(lambda turn: [talk.pays(turn, two.kid, 1) for _ in range(WORK_BURST)])
    assert paid.count(True) == WORK_RATE
    talk.down(two.kid)
    assert one.act(lambda turn: talk.pays(turn, two.kid, WORK_BURST))  # a new channel


@pytest.mark.parametrize(
    ("round_", "step", "own", "expected"),
    [(5, 1, 5, True), (4, 1, 5, False), (4, 2, 5, True), (3, 2, 5, True), (2, 2, 5, False), (9, 0, 5, True)],
)
def test_only_what_a_round_still_takes_is_worth_having(round_: int, step: int, own: int, expected: bool) -> None:
    told = Have(0, bytes(32), round_, ((round_, step, b"\x01"),))
    assert tells_more(told, [], own, 4) is expected
    assert not tells_more(Have(0, bytes(32), 9, ((9, 0, b"\x10"),)), [], own, 4)  # no such voter
