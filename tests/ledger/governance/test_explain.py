"""Why an entry counts or not: for every rule, an entry that breaks it, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.explained import explain_entry
from ledger.governance.epoch import Policy
from ledger.governance.explain import explain
from ledger.governance.rules import strong, weak
from ledger.verdict import Verdict
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.explaining import RULES, apply, ledger_of, policy_of, said, why
from tests.ledger.governance.polity import Polity
from tests.worlds import LATER, Member, Node, deliver_all, key, octets


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


def test_nothing_permissive_is_dated_before_the_epoch_that_it_names() -> None:
    polity = Polity()
    ada, bob, cyd, dan = polity.members
    polity.seal()
    polity.now = polity.as_of - 2  # a clock that is behind, and an entry is dated a second later
    early = polity.link("link.offer", ada, bob)
    account = why(polity, early)
    assert said(account) == "void M6"
    assert "dated before the time of epoch 1" in account.words
    assert polity.governed().links == {}
    in_time = polity.link("link.offer", cyd, bob)
    assert said(why(polity, in_time)) == "counts M4"
    polity.now -= 100
    severed = polity.link("link.sever", cyd, bob)
    assert said(why(polity, severed)) == "counts M4", "what only restricts counts whenever it was dated"
    polity.now -= 100
    left = polity.write(dan.scribe, "member.leave", ("member", dan.party[0]), {})
    assert said(why(polity, left)).startswith("counts")
