"""Why an entry counts or not: for every rule, an entry that breaks it, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.explained import explain_entry
from ledger.governance.chain import Chain
from ledger.governance.epoch import Policy
from ledger.governance.explain import Ledger, explain
from ledger.governance.register import Register
from ledger.governance.rules import Rules, strong, weak
from ledger.merkle import EMPTY_ROOT
from ledger.verdict import Account, Verdict
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.polity import Polity, Whole
from tests.worlds import LATER, Member, Node, Scribe, deliver_all, key, octets

RULES = {
    *("F1", "M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", "G1.1", "G1.2", "G1.3", "G1.4"),
    *("G2", "G2.1", "G2.2", "G2.3", "G2.4", "G4", *(f"G4.{number}" for number in range(1, 13))),
}


def ledger_of(polity: Polity, pins: tuple[bytes, ...] = ()) -> Ledger:
    """Return everything that a polity has registered."""
    register = Register(polity.registrations())
    return Ledger(polity.genesis, register, Chain(polity.genesis, register, pins), Whole(polity))


def why(polity: Polity, entry: Entry) -> Account:
    """Return the account of an entry at the first place where it stands."""
    ledger = ledger_of(polity)
    place = next(each for each in ledger.register if each.entry.id == entry.id)
    account = explain(ledger, place)
    assert account.rule in RULES
    return account


def said(account: Account) -> str:
    """Return verdict and rule."""
    return f"{account.verdict.value} {account.rule}"


def policy_of(rules: Rules) -> Policy:
    """Return a policy with these rules."""
    return Policy(frame=rules.frame, rules=rules.encode())


def apply(polity: Polity, inviter: Member, name: str = "new", **payload: object) -> tuple[Member, Entry]:
    """Let somebody apply; application and certificate stand in the inviter's feed."""
    root, device = key(polity.label, "root", name), key(polity.label, "device", name)
    member = Member(root, (root.kid, 1), [Scribe(device, polity.mesh_id)])
    fields = {
        "incarnation": 1,
        "inviter": list(inviter.party),
        "device": device.kid,
        "expires": LATER,
        **payload,
    }
    thing = ("member", root.kid)
    application = polity.sign(root, "member.apply", thing, fields, seen=(Head(device.kid, 0, EMPTY_ROOT),))
    inviter.scribe.add(application.raw, polity.certificate(member, device).raw)
    return member, application


def test_every_entry_of_a_quiet_mesh_counts() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    polity.join(ada)
    polity.link("link.offer", ada, bob)
    polity.link("link.accept", bob, ada)
    polity.seal()
    ledger = ledger_of(polity)
    for place in ledger.register:
        account = explain(ledger, place)
        assert account.verdict is Verdict.COUNTS, (place.entry.kind, account)
        assert account.rule in RULES
        assert account.words
    accounts = {place.entry.kind: said(explain(ledger, place)) for place in ledger.register}
    assert accounts["genesis"] == "counts F1"
    assert accounts["genesis.accept"] == "counts M3"
    assert accounts["device.certify"] == "counts M1"
    assert accounts["member.admit"] == accounts["member.apply"] == "counts G1.1"
    assert accounts["seal.certificate"] == "counts G2"
    assert accounts["seal.frontier"] == "counts G2.2"


def test_links() -> None:
    polity = Polity()
    ada, bob, cyd, _ = polity.members
    offered = polity.link("link.offer", ada, bob)
    assert said(why(polity, offered)) == "counts M4"
    severed = polity.link("link.sever", ada, bob)
    account = why(polity, offered)
    assert (said(account), account.why) == ("superseded M4", (severed.id,))
    payload = {"from": list(bob.party), "to": list(cyd.party)}
    stolen = polity.write(ada.scribe, "link.offer", ("link", octets("other")), payload)
    assert said(why(polity, stolen)) == "void M4"
    late = polity.link("link.offer", cyd, bob)
    left = polity.write(bob.scribe, "member.leave", ("member", bob.party[0]), {})
    account = why(polity, late)
    assert (said(account), account.why) == ("superseded M4", (left.id,))
    beyond = polity.link("link.offer", bob, ada)
    account = why(polity, beyond)
    assert (said(account), account.why) == ("void M2", (left.id,))
    assert said(why(polity, polity.link("link.sever", bob, ada))).endswith("M4")
    assert said(why(polity, left)) == "counts M2"


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


def test_admission_under_a_charter() -> None:
    charter = octets("charter")
    polity = Polity(policy=policy_of(weak(charter)))
    ada, bob, *_ = polity.members
    _, bare = apply(polity, ada, "bare")
    admit = polity.admission(ada.scribe, bare)
    account = why(polity, bare)
    assert said(account) == "waits G1.1"
    assert "charter" in account.words
    assert said(why(polity, admit)) == "waits G1.1"
    guest, fair = apply(polity, ada, "fair", charter=charter)
    wrong = polity.sponsor(bob, fair.id, Member(guest.root, (guest.party[0], 2)))
    assert said(why(polity, wrong)) == "void G1.3"
    stranger = polity.admission(bob.scribe, fair)  # not who was named as inviter
    assert said(why(polity, stranger)) == "void G1.3"
    right = polity.admission(ada.scribe, fair)
    assert said(why(polity, fair)) == said(why(polity, right)) == "counts G1.1"
    more = polity.sponsor(bob, fair.id, guest)
    assert said(why(polity, more)) == "counts G1.3"
    unheld = polity.sponsor(bob, octets("no application"), guest)
    assert said(why(polity, unheld)) == "waits G1.3"
    _, old = apply(polity, ada, "old", charter=charter, expires=polity.now)
    assert said(why(polity, polity.admission(ada.scribe, old))) == "void G1.3"


def test_admission_by_an_authority() -> None:
    authority, other = key("authority"), key("another authority")
    polity = Polity(policy=policy_of(strong([authority.public])))
    ada, *_ = polity.members

    def credential(guest: Member, signer: object, serial: bytes = b"1") -> Entry:
        payload = {"serial": serial, "valid": [0, 2 * LATER]}
        thing = ("member", guest.party[0])
        entry = polity.sign(signer, "member.credential", thing, payload, seen=(ada.scribe.head(),))  # type: ignore[arg-type]
        ada.scribe.add(entry.raw)
        return entry

    guest, application = apply(polity, ada)
    false = credential(guest, other)
    assert said(why(polity, false)) == "waits G1.1"
    assert "no listed authority" in why(polity, false).words
    true = credential(guest, authority)
    assert said(why(polity, true)) == said(why(polity, application)) == "counts G1.1"
    lone, _ = apply(polity, ada, "lone")
    idle = credential(Member(key("nobody"), (key("nobody").kid, 1)), authority, b"2")
    assert said(why(polity, idle)) == "waits G1.1"
    assert lone.party[0] not in polity.governed().members


def test_a_member_invites_no_more_than_it_may() -> None:
    polity = Polity(policy=Policy(invitations_a_day=2))
    ada, *_ = polity.members
    made = [apply(polity, ada, name)[1] for name in "abc"]
    admits = [polity.admission(ada.scribe, application) for application in made]
    accounts = [why(polity, admit) for admit in admits]
    assert [said(account) for account in accounts] == ["counts G1.1", "counts G1.1", "void G1.2"]
    assert set(accounts[2].why) == {admits[0].id, admits[1].id}


def test_what_is_not_held_or_names_another_epoch_waits_or_is_void() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    unknown = Head(bob.scribe.feed, 900, octets("root"))
    payload = polity.link("link.offer", ada, bob).payload
    thing = polity.link("link.offer", ada, bob).thing
    waits = polity.write(ada.scribe, "link.offer", thing, payload, unknown)
    account = why(polity, waits)
    assert said(account) == "waits M6"
    assert bob.scribe.feed.hex()[:12] in account.words
    other = polity.write(ada.scribe, "link.offer", thing, payload, Head(bob.scribe.feed, 1, octets("root")))
    assert said(why(polity, other)) == "void M6"
    older, polity.epoch = polity.epoch, octets("an epoch of nobody")
    assert said(why(polity, polity.link("link.offer", ada, bob))) == "waits M6"
    polity.epoch = older
    polity.seal()
    polity.link("link.offer", ada, bob)
    polity.epoch = older
    assert said(why(polity, polity.link("link.offer", ada, bob))) == "void M7"


def test_feeds_that_do_not_count() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    guest, application = apply(polity, ada)
    offer = polity.link("link.offer", guest, ada)
    polity.members.append(guest)
    assert said(why(polity, offer)) == "waits M1"
    device = key("spare")
    spare = polity.certificate(bob, device)
    bob.scribe.add(spare.raw)
    assert said(why(polity, spare)) == "void M1"
    heir = polity.succeed(bob, ada.scribe)
    certificate = next(r.entry for r in polity.registrations() if r.entry.thing == ("device", heir.feed))
    assert said(why(polity, certificate)) == "counts M1"
    old = next(r.entry for r in polity.registrations() if r.entry.thing == ("device", bob.scribes[0].feed))
    account = why(polity, old)
    assert (said(account), account.why) == ("superseded M2", (certificate.id,))
    polity.admission(ada.scribe, application)
    assert said(why(polity, offer)) == "counts M4"


def test_forks_and_retirement() -> None:
    polity = Polity()
    ada, bob, cyd, _ = polity.members
    polity.link("link.offer", bob, ada)
    size = len(bob.scribe.raws)
    late = polity.link("link.offer", bob, cyd)
    proof = prove_fork(polity, ada.scribe, bob.scribe, size)
    assert said(why(polity, proof)) == "counts M2"
    account = why(polity, late)
    assert (said(account), account.why) == ("void M2", (proof.id,))
    head = cyd.scribe.head()
    payload = {"final": [head.feed, head.size, head.root]}
    retired = polity.sign(cyd.root, "device.retire", ("device", cyd.scribe.feed), payload, seen=(head,))
    ada.scribe.add(retired.raw)
    assert said(why(polity, retired)) == "counts M2"
    stolen = polity.sign(ada.root, "device.retire", ("device", cyd.scribe.feed), payload, seen=(head,))
    ada.scribe.add(stolen.raw)
    assert said(why(polity, stolen)) == "void M2"


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


def parsed_last(polity: Polity, member: Member) -> Entry:
    """Return the last entry of a member."""
    return [r.entry for r in polity.registrations() if r.feed == member.scribe.feed][-1]


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


VOID: dict[str, tuple[str, Callable[[Polity], bytes]]] = {
    "VOID_OTHER_MESH": (
        "F1",
        lambda polity: (
            polity.sign(
                polity.members[0].scribe.device,
                "member.leave",
                ("member", polity.members[0].party[0]),
                {},
                seen=(polity.members[0].scribe.head(),),
                mesh_id=octets("x"),
            ).raw
        ),
    ),
    "VOID_NOT_SELF_REGISTERED": (
        "F2",
        lambda polity: (
            polity.sign(
                polity.members[1].scribe.device,
                "member.leave",
                ("member", polity.members[1].party[0]),
                {},
                seen=(polity.members[1].scribe.head(),),
            ).raw
        ),
    ),
    "VOID_WRONG_POSITION": (
        "F2",
        lambda polity: (
            polity.sign(
                polity.members[0].scribe.device,
                "vote.default",
                ("member", polity.members[0].party[0]),
                {"choice": "no"},
                seen=(polity.members[1].scribe.head(),),
            ).raw
        ),
    ),
    "VOID_BACKDATED": (
        "F3",
        lambda polity: (
            polity.sign(
                polity.members[0].scribe.device,
                "vote.default",
                ("member", polity.members[0].party[0]),
                {"choice": "no"},
                seen=(polity.members[0].scribe.head(),),
                iat=polity.genesis.entry.iat - 1,
            ).raw
        ),
    ),
    "VOID_POSSESSION": (
        "F4",
        lambda polity: (
            polity.sign(
                polity.members[0].root,
                "device.certify",
                ("device", key("d").kid),
                {"device": key("d").public, "incarnation": 1, "possession": bytes(64)},
                seen=(polity.members[0].scribe.head(),),
            ).raw
        ),
    ),
    "ENTRY_": ("F0", lambda _: b"nothing at all"),
}


@pytest.mark.parametrize("code", VOID)
def test_a_void_leaf_keeps_its_reason(code: str) -> None:
    polity = Polity()
    ada = polity.members[0]
    rule, make = VOID[code]
    raw = make(polity)
    ada.scribe.add(raw)
    node = Node(polity.genesis)
    deliver_all(node, polity.scribes())
    with node.store.read() as rows:
        account = explain_entry(node.replica, rows, sha256(raw).digest())
    assert said(account) == f"void {rule}"
    assert code in account.words or code == "ENTRY_"


def test_what_is_said_of_a_consent() -> None:
    polity = Polity()
    ada, bob, cyd, _ = polity.members
    consent = polity.grant(ada.party, list(bob.party), (ada.scribe.head(),))
    cyd.scribe.add(consent.grant.raw)
    node = Node(polity.genesis)

    def told(entry: Entry) -> str:
        deliver_all(node, polity.scribes())
        with node.store.read() as rows:
            return said(explain_entry(node.replica, rows, entry.id))

    assert told(consent.grant) == "counts C1"
    payload = {"grant": consent.grant.id, "entry": consent.grant.id}
    seen = polity.write(bob.scribe, "consent.acknowledge", consent.grant.thing, payload)
    assert told(seen) == "counts C4"
    other = polity.write(cyd.scribe, "consent.acknowledge", consent.grant.thing, payload)
    assert told(other) == "void C4"
    reason = {"grant": consent.grant.id, "reason_code": "error"}
    revoked = polity.write(ada.scribe, "consent.revoke", consent.grant.thing, reason)
    assert told(revoked) == "counts C3"
    assert told(consent.grant) == "superseded C3"
    assert told(seen) == "superseded C4"
    withdrawn = polity.withdrawal(consent, (cyd.scribe.head(),))
    cyd.scribe.add(withdrawn.raw)
    assert told(withdrawn) == "counts C2"
    assert told(consent.grant) == told(revoked) == "superseded C2"
    unknown = polity.write(bob.scribe, "consent.acknowledge", consent.grant.thing, {**payload, "grant": octets("no")})
    assert told(unknown) == "waits C4"
