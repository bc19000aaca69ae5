"""Why proposals, votes, instructions and seals count or not."""

from __future__ import annotations

from dataclasses import replace

from ledger.governance.explain import explain
from ledger.governance.rules import Rules
from tests.ledger.governance.explaining import apply, ledger_of, parsed_last, said, why
from tests.ledger.governance.polity import Polity
from tests.worlds import octets


def test_votes_while_a_ballot_is_open_and_after_it_was_closed() -> None:
    polity = Polity()
    ada, bob, cyd, dan = polity.members
    guest = polity.join(ada)
    rules = Rules(invitations_a_day=3)
    proposal = polity.propose(ada, "policy", rules=rules.encode(), days=2)
    assert said(why(polity, proposal)) == "waits G4.11"
    polity.seal()
    first, second = polity.vote([ada, bob], proposal)
    again, stranger = polity.vote([ada, guest], proposal, "no")
    expected = [(first, "counts G4"), (second, "counts G4"), (again, "void G4.3"), (stranger, "void G4.1")]
    assert [(entry, said(why(polity, entry))) for entry, _ in expected] == expected
    assert why(polity, again).why == (first.id,)
    third = polity.vote([cyd], proposal)[0]
    account = why(polity, proposal)
    assert said(account) == "counts G4.11"
    assert "next seal" in account.words
    assert {first.id, second.id, third.id} <= set(account.why)
    after = polity.seal()
    assert after.rules == rules
    assert [(entry, said(why(polity, entry))) for entry, _ in expected] == expected
    assert said(why(polity, proposal)) == "counts G4.11"
    (late,) = polity.vote([dan], proposal)
    assert said(why(polity, late)) == "void G4.2"
    for _ in range(2):
        polity.link("link.offer", ada, bob)
        polity.seal()
    assert [(entry, said(why(polity, entry))) for entry, _ in expected] == expected


def test_a_ballot_that_fails() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    proposal = polity.propose(ada, "charter", charter=octets("charter"), days=1)
    polity.vote([ada, bob], proposal)
    polity.seal(hours=30)
    account = why(polity, proposal)
    assert said(account) == "void G4.11"
    assert "2 of 4" in account.words


def test_proposals_that_are_none() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    guest = polity.join(ada)
    assert said(why(polity, polity.propose(ada, "policy", rules=b"none"))) == "void G4.11"
    long = polity.propose(ada, "charter", charter=octets("charter"), days=60)
    assert "14 days" in why(polity, long).words
    assert "no voter" in why(polity, polity.propose(guest, "expel", target=list(bob.party))).words
    made = [polity.propose(ada, "charter", charter=octets("charter", number)) for number in range(9)]
    assert [said(why(polity, each)) for each in made] == ["waits G4.11"] * 8 + ["void G4.11"]
    polity.seal()
    assert "no voter" in why(polity, polity.propose(guest, "expel", target=list(bob.party))).words
    assert "14 days" in why(polity, long).words


def test_an_expulsion_and_what_it_cuts() -> None:
    polity = Polity()
    ada, bob, cyd, dan = polity.members
    joined = polity.join(dan)
    kept = polity.link("link.offer", dan, ada)
    proposal = polity.expel(ada, dan)
    revenge = polity.expel(dan, ada)
    assert said(why(polity, proposal)) == "waits G4.6"
    votes = polity.vote([ada, bob, cyd], proposal)
    (target,) = polity.vote([dan], proposal, "no")
    hers = polity.vote([dan], revenge)[0]
    account = why(polity, proposal)
    assert said(account) == "counts G4.7"
    assert {vote.id for vote in votes} <= set(account.why)
    beyond = polity.link("link.offer", dan, bob)
    assert said(why(polity, beyond)) == "void M2"
    assert why(polity, beyond).why == (proposal.id,)
    assert said(why(polity, target)) == "void G4.1"
    assert said(why(polity, hers)) == "void G4.5"
    assert said(why(polity, kept)) == "superseded M4"
    accepted = next(
        r.entry for r in polity.registrations() if (r.entry.kind, r.feed) == ("genesis.accept", dan.scribe.feed)
    )
    assert said(why(polity, accepted)) == "superseded M5"
    assert polity.governed().members[joined.party[0]].state == "member"
    polity.seal(by=[ada, bob, cyd])
    assert said(why(polity, proposal)) == "counts G4.7"
    assert said(why(polity, beyond)) == "void M2"
    assert said(why(polity, votes[0])) == "counts G4"


def test_instructions() -> None:
    polity = Polity()
    ada, bob, cyd, _ = polity.members
    thing = ("member", ada.party[0])
    first = polity.write(ada.scribe, "vote.delegate", thing, {"to": list(bob.party)})
    assert said(why(polity, first)) == "waits G4.12"
    polity.seal()
    assert said(why(polity, first)) == "counts G4.12"
    second = polity.write(ada.scribe, "vote.delegate", thing, {"to": list(cyd.party)})
    account = why(polity, first)
    assert (said(account), account.why) == ("superseded G4.12", (second.id,))
    polity.seal()
    assert said(why(polity, first)) == "superseded G4.12"
    other = polity.write(bob.scribe, "vote.default", thing, {"choice": "yes"})
    assert said(why(polity, other)) == "void G4.12"


def test_a_suspension_and_its_lapse() -> None:
    polity = Polity()
    ada, bob, cyd, dan = polity.members
    proposal = polity.propose(ada, "suspend", target=list(dan.party), days=1)
    polity.vote([ada, bob], proposal)
    assert said(why(polity, proposal)) == "counts G4.11"
    _, application = apply(polity, dan)
    admit = polity.admission(dan.scribe, application)
    account = why(polity, admit)
    assert (said(account), account.why) == ("waits M5", (proposal.id,))
    polity.seal(by=[ada, bob, cyd], hours=24)
    polity.link("link.offer", ada, bob)
    polity.seal(by=[ada, bob, cyd], hours=15 * 24)
    assert said(why(polity, proposal)) == "superseded G4.11"


def test_certificates_that_are_not_followed() -> None:
    polity = Polity()
    ada, bob, cyd, _ = polity.members
    seal, before, _, heads = polity.compose()
    few = polity.certify(seal, before, [ada, bob])
    polity.publish(ada.scribe, few, before, heads)
    forged = parsed_last(polity, ada)
    assert said(why(polity, forged)) == "void G2.1"
    payload = {"certificate": b"nothing"}
    empty = polity.write(bob.scribe, "seal.certificate", ("epoch", octets("epoch")), payload)
    assert said(why(polity, empty)) == "void G2.1"
    whole = polity.certify(seal, before, polity.members)
    encoded = {"certificate": whole.encode(before.context.size)}
    thing = ("epoch", whole.epoch.reference())
    bare = polity.write(cyd.scribe, "seal.certificate", thing, encoded)
    assert said(why(polity, bare)) == "counts G2"  # the frontier was listed beside the forged one
    assert said(why(polity, forged)) == "counts G2"  # it names the epoch that is followed now


def test_rival_seals_permit_what_both_do() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    one, before, _, heads = polity.compose()
    polity.publish(ada.scribe, polity.certify(one, before, polity.members), before, heads)
    later = replace(one, epoch=replace(one.epoch, as_of=one.epoch.as_of + 1))
    other = polity.certify(later, before, polity.members, round_=1)
    polity.publish(bob.scribe, other, before, heads)
    ledger = ledger_of(polity)
    assert len(ledger.chain.tips(ledger.view)) == 2
    certificate = next(r for r in ledger.register if r.entry.kind == "seal.certificate")
    assert said(explain(ledger, certificate)) == "superseded G2.4"
    pinned = ledger_of(polity, (one.epoch.reference(),))
    assert said(explain(pinned, certificate)) == "counts G2"
