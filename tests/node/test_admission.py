"""The door: who gets in by which ticket, what is refused before it can spoil a feed, and what a stranger may say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gossip import events as gossip
from gossip.knock import GenesisRequest, Knock, KnockAnswer, decode, encode
from gossip.messages import GOSSIP, KNOCK, VERSION, Envelope, seal
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Policy
from ledger.governance.members import possession_message
from ledger.keys import SigningKey, thumbprint
from node.admission import FURTHER_MAX, REQUESTS_MAX, Admission, Welcome
from node.core import Turn
from node.joining import application
from node.mesh import certify
from node.tickets import Ticket
from simulations.founding import POLICY, Persona
from tests.node.sites import NOW, Site, people, sites

DOOR = Admission()


def invite(site: Site, bound_to: bytes | None = None, ttl: int = 3_600) -> Ticket:
    """Let a site make a ticket."""
    return site.act(lambda turn: DOOR.invite(turn, ["a:1"], ttl_seconds=ttl, bound_to=bound_to))


def answers(site: Site, peer: bytes) -> list[KnockAnswer]:
    """Return what the last turn answered a stranger."""
    read = [decode(envelope) for envelope in map(Envelope.open, site.sent(peer)) if envelope.family == KNOCK]
    return [answer for answer in read if isinstance(answer, KnockAnswer)]


def apply(site: Site, who: Persona, now: int = NOW, random: bytes = b"r") -> list[Entry]:
    """Return the two entries of an application to a site."""
    site.tell(gossip.PeerUp(who.device.kid, False), gossip.Message(who.device.kid, encode(GenesisRequest())))
    (shown,) = answers(site, who.device.kid)
    welcome = Welcome.decode(shown.entries[0])
    genesis = site.core.replica.genesis
    assert shown.genesis == genesis.entry.raw
    return application(who.root, who.device, welcome, genesis, "", 1, now, lambda size: (random * size)[:size])


def knock(site: Site, who: Persona, secret: bytes | None, entries: list[Entry]) -> str:
    """Hand an application in and return the code of the answer."""
    told = Knock(secret, tuple(entry.raw for entry in entries), who.device.public)
    site.tell(gossip.Message(who.device.kid, encode(told)))
    (answer,) = answers(site, who.device.kid)
    return answer.code


def is_member(site: Site, who: Persona) -> bool:
    """Say whether the site's ledger holds the persona to be a member."""
    return site.core.replica.members.is_member(who.party)


@pytest.mark.covers("R2")
def test_a_bound_ticket_admits_its_key_at_once_and_promotes_its_channel() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    entries = apply(site, who)
    ticket = invite(site, who.root.kid)
    assert ticket.bound
    assert knock(site, who, ticket.secret, entries) == "ADMITTED"
    assert is_member(site, who)
    assert site.core.member_peers == [who.device.kid]
    assert [Envelope.open(d).family for d in site.sent(who.device.kid)][-1] == GOSSIP  # it is gossiped with at once
    size = site.core.replica.position(site.kid).size
    assert knock(site, who, ticket.secret, entries) == "ADMITTED"  # asked again: no second admission
    assert site.core.replica.position(site.kid).size == size


@pytest.mark.covers("R25", "R28")
def test_an_open_ticket_waits_for_the_operator() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    entries = apply(site, who)
    assert knock(site, who, invite(site).secret, entries) == "PENDING"
    assert not is_member(site, who)
    with site.store.read() as rows:
        (request,) = DOOR.requests(rows)
    assert request.did == who.root.did
    site.act(lambda turn: DOOR.approve(turn, request.id))
    assert is_member(site, who)
    assert knock(site, who, None, entries) == "ADMITTED"
    with site.store.read() as rows:
        assert DOOR.requests(rows) == []
    with pytest.raises(LocalError, match="no application"):
        site.act(lambda turn: DOOR.approve(turn, request.id))


def test_a_denied_application_is_forgotten() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    assert knock(site, who, None, apply(site, who)) == "PENDING"
    with site.store.read() as rows:
        (request,) = DOOR.requests(rows)
    site.act(lambda turn: DOOR.deny(turn, request.id))
    with site.store.read() as rows:
        assert DOOR.requests(rows) == []
    assert not is_member(site, who)


def test_a_ticket_is_used_once_by_its_key_in_its_time() -> None:
    (site,) = sites(1)
    one, two = people(2, first=9)
    first, second = apply(site, one), apply(site, two)
    assert knock(site, one, bytes(16), first) == "TICKET_UNKNOWN"
    ticket = invite(site, one.root.kid)
    assert knock(site, two, ticket.secret, second) == "TICKET_NOT_YOURS"
    assert knock(site, one, ticket.secret, first) == "ADMITTED"
    shared = invite(site)
    assert knock(site, two, shared.secret, second) == "PENDING"
    assert knock(site, two, shared.secret, second) == "PENDING"  # the same key may ask again
    (three,) = people(1, first=11)
    third = apply(site, three)
    assert knock(site, three, shared.secret, third) == "TICKET_USED"
    late = invite(site, three.root.kid, ttl=10)
    site.now_ms += 11_000
    assert knock(site, three, late.secret, third) == "TICKET_EXPIRED"
    revoked = invite(site, three.root.kid)
    with site.store.read() as rows:
        digests = [row.digest for row in DOOR.tickets(rows) if row.bound_to == three.root.kid]
    site.act(lambda turn: [DOOR.revoke(turn, digest) for digest in digests])
    assert knock(site, three, revoked.secret, third) == "TICKET_UNKNOWN"


def resign(key: SigningKey, entry: Entry, **changes: Any) -> Entry:
    """Sign an entry again with another payload, `iat`, `thing`, `seen` or mesh."""
    return sign_entry(
        key,
        entry.kind,
        changes.get("thing", entry.thing),
        {**entry.payload, **changes.get("payload", {})},
        iat=changes.get("iat", entry.iat),
        cti=entry.cti,
        seen=changes.get("seen", entry.seen),
        mesh_id=changes.get("mesh_id", entry.mesh_id),
        epoch=entry.epoch,
    )


def _other_possession(who: Persona, mesh_id: bytes) -> dict[str, Any]:
    return {"possession": who.device.sign(possession_message(mesh_id, who.root.kid, 2))}


FAULTS: dict[str, Callable[[Persona, Entry, Entry], tuple[Entry, Entry]]] = {
    "far future": lambda w, a, c: (resign(w.root, a, iat=NOW + 10_000), c),
    "certificate in the future": lambda w, a, c: (a, resign(w.root, c, iat=NOW + 10_000)),
    "backdated": lambda w, a, c: (resign(w.root, a, iat=1), c),
    "certificate backdated": lambda w, a, c: (a, resign(w.root, c, iat=1)),
    "lapsed": lambda w, a, c: (resign(w.root, a, payload={"expires": NOW - 1}), c),
    "another inviter": lambda w, a, c: (resign(w.root, a, payload={"inviter": [bytes(32), 1]}), c),
    "another mesh": lambda w, a, c: (resign(w.root, a, mesh_id=bytes(32)), c),
    "certificate of another mesh": lambda w, a, c: (a, resign(w.root, c, mesh_id=bytes(32))),
    "another member": lambda w, a, c: (resign(w.root, a, thing=("member", bytes(32))), c),
    "another incarnation": lambda w, a, c: (a, resign(w.root, c, payload={"incarnation": 2})),
    "another device": lambda w, a, c: (resign(w.root, a, payload={"device": bytes(32)}), c),
    "certificate about nothing": lambda w, a, c: (a, resign(w.root, c, thing=("device", bytes(32)))),
    "no possession": lambda w, a, c: (a, resign(w.root, c, payload={"possession": bytes(64)})),
    "possession of another incarnation": lambda w, a, c: (
        a,
        resign(w.root, c, payload=_other_possession(w, c.mesh_id or b"")),
    ),
    "another signer": lambda w, a, c: (a, resign(w.device, c)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_application_that_would_not_count_is_refused_whole(fault: str) -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    first, second = apply(site, who)
    ticket = invite(site, who.root.kid)
    before = site.core.replica.position(site.kid)
    spoilt = list(FAULTS[fault](who, first, second))
    assert knock(site, who, ticket.secret, spoilt) == "APPLICATION_WRONG"
    assert site.core.replica.position(site.kid) == before
    assert not is_member(site, who)
    assert knock(site, who, ticket.secret, [first, second]) == "ADMITTED"  # the ticket was not spent


def test_a_weak_device_key_is_refused() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    first, second = apply(site, who)
    weak = bytes(31) + b"\x80"
    payload = {"device": weak}
    spoilt = resign(who.root, second, payload=payload, thing=("device", thumbprint(weak)))
    assert knock(site, who, invite(site, who.root.kid).secret, [first, spoilt]) in {"APPLICATION_WRONG", "WEAK_KEY"}
    assert not is_member(site, who)


def test_only_the_device_itself_may_hand_its_application_in() -> None:
    (site,) = sites(1)
    who, thief = people(2, first=9)
    entries = apply(site, who)
    ticket = invite(site, who.root.kid)
    site.tell(gossip.PeerUp(thief.device.kid, False))
    assert knock(site, thief, ticket.secret, entries) == "APPLICATION_WRONG"
    told = Knock(ticket.secret, tuple(entry.raw for entry in entries), who.device.public)
    site.tell(gossip.Message(thief.device.kid, encode(told)))
    (answer,) = answers(site, thief.device.kid)
    assert answer.code == "APPLICATION_WRONG"


@pytest.mark.parametrize("entries", [[], [b"\x00"], [b"\xd2\x84"]])
def test_an_application_of_another_shape_is_refused(entries: list[bytes]) -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    site.tell(gossip.PeerUp(who.device.kid, False))
    site.tell(gossip.Message(who.device.kid, encode(Knock(None, tuple(entries), who.device.public))))
    (answer,) = answers(site, who.device.kid)
    assert answer.code.isupper()
    assert not is_member(site, who)


def test_a_member_admits_no_more_than_the_policy_counts() -> None:
    (site,) = sites(1, Policy(invitations_a_day=2))
    for number, who in enumerate(people(3, first=9)):
        entries = apply(site, who, random=bytes((number + 1,)))
        code = knock(site, who, invite(site, who.root.kid).secret, entries)
        assert code == ("ADMITTED" if number < 2 else "INVITATIONS_USED_UP")
        assert is_member(site, who) == (number < 2)
    site.now_ms += 86_400_000
    assert knock(site, who, invite(site, who.root.kid).secret, apply(site, who, now=NOW + 86_400)) == "ADMITTED"


def test_waiting_applications_are_bounded() -> None:
    (site,) = sites(1)
    codes = [
        knock(site, who, None, apply(site, who, random=bytes((at,))))
        for at, who in enumerate(people(REQUESTS_MAX + 1, first=100))
    ]
    assert codes == ["PENDING"] * REQUESTS_MAX + ["TOO_MANY_REQUESTS"]


def test_a_crowd_of_strangers_keeps_nobody_out_who_was_invited_and_nobody_who_waits_from_applying_again() -> None:
    (site,) = sites(1)
    crowd = people(REQUESTS_MAX + 1, first=100)
    for at, who in enumerate(crowd[:-1]):
        assert knock(site, who, None, apply(site, who, random=bytes((at,)))) == "PENDING"
    ticket = invite(site).secret
    assert knock(site, crowd[-1], ticket, apply(site, crowd[-1], random=b"i")) == "PENDING"
    assert knock(site, crowd[0], None, apply(site, crowd[0], random=b"a")) == "PENDING"
    (more,) = people(1, first=300)
    assert knock(site, more, None, apply(site, more, random=b"m")) == "TOO_MANY_REQUESTS"
    assert knock(site, more, ticket, apply(site, more, random=b"m")) == "TICKET_USED"


def test_a_stranger_can_say_nothing_but_knock() -> None:
    one, two = sites(2)
    (who,) = people(1, first=9)
    one.tell(gossip.PeerUp(who.device.kid, False), gossip.PeerUp(two.kid, False))
    for family, kind in ((GOSSIP, 5), (3, 1), (0, 9), (9, 1)):
        one.tell(gossip.Message(who.device.kid, seal(family, VERSION, kind, [])))
        assert one.sent(who.device.kid) == []
    one.tell(gossip.Message(who.device.kid, encode(KnockAnswer("ADMITTED", None, ()))))
    assert one.sent(who.device.kid) == []


def test_a_further_device_is_certified_for_a_member_alone() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    (heir,) = people(1, first=40)
    replica = site.core.replica

    def certificate(predecessor: bytes | None) -> Entry:
        with site.store.read() as rows:
            return certify(who.root, heir.device, replica, rows, 1, NOW, bytes, predecessor)

    site.tell(gossip.PeerUp(heir.device.kid, False))
    assert knock(site, heir, None, [certificate(who.device.kid)]) == "NOT_A_MEMBER"
    entries = apply(site, who)
    assert knock(site, who, invite(site, who.root.kid).secret, entries) == "ADMITTED"
    assert knock(site, heir, None, [certificate(None)]) == "APPLICATION_WRONG"
    assert knock(site, heir, None, [certificate(who.device.kid)]) == "CERTIFIED"
    assert heir.device.kid in replica.members.devices
    assert site.core.peers[heir.device.kid]


def test_a_member_has_few_further_devices_registered_here_until_the_next_seal() -> None:
    (site,) = sites(1)
    (who,) = people(1, first=9)
    replica = site.core.replica
    assert knock(site, who, invite(site, who.root.kid).secret, apply(site, who)) == "ADMITTED"
    size, codes = replica.size(site.kid), []
    for heir in people(FURTHER_MAX + 1, first=40):
        with site.store.read() as rows:
            certificate = certify(who.root, heir.device, replica, rows, 1, NOW, bytes, who.device.kid)
        site.tell(gossip.PeerUp(heir.device.kid, False))
        codes.append(knock(site, heir, None, [certificate]))
    fresh = FURTHER_MAX - 2  # its application and first certificate stand here, too
    assert codes == ["CERTIFIED"] * fresh + ["TOO_MANY_REQUESTS"] * 3
    assert replica.size(site.kid) == size + fresh


def test_an_invitation_needs_an_address() -> None:
    (site,) = sites(1)

    def without(turn: Turn) -> Ticket:
        return DOOR.invite(turn, [], ttl_seconds=1, bound_to=None)

    with pytest.raises(LocalError, match="address"):
        site.act(without)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x84\x83\x40\x00\x40\x40\x82\x40\x01\x00", b"\xff"])
def test_a_welcome_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError):
        Welcome.decode(data)


def test_the_default_policy_of_simulations_is_the_mesh_s_own_but_for_its_size() -> None:
    assert Policy(invitations_a_day=POLICY.invitations_a_day) == POLICY
