"""Golden files: bytes that were decided once and stay for ever.

How it works
    `samples()` makes one entry of each kind, and a few derived values, from fixed seeds. Beside this module stand the
    files with the bytes as they were decided: `<kind>.cbor` (entries; `<kind>.2.cbor` where a kind was given a field
    later), `checkpoint.txt`, `epoch.cbor`, `derived.txt` (one `name hex` a line). tests/ledger/test_golden.py holds the
    two together. `python -m tests.golden` writes the files that are missing, and only those: what is there is never
    written again. Each sample is dated a second after the one before: new kinds are signed last.

What it does not do
    The entries need not count: they are samples of bytes, not a history.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger import codec, fork, keys, maps
from ledger.checkpoint import Checkpoint, Head, cosignature, origin, sign_head
from ledger.consent.status import State, Status
from ledger.entry import Entry
from ledger.governance.epoch import Epoch
from ledger.governance.members import Member, link_id, possession_message
from ledger.kinds import KINDS
from ledger.merkle import EMPTY_ROOT, root_of
from ledger.replica import digest_of
from ledger.ticks import committed_member
from tests.golden.documents import sign_documents
from tests.golden.governance import sign_governance, sign_later
from tests.golden.lifecycle import sign_later_consents, sign_lifecycle
from tests.worlds import NOW, World, grant_payload, key, octets

FOLDER: Final = Path(__file__).parent


def samples() -> dict[str, Entry]:
    """Return one entry of each kind."""
    world = World("golden")
    alice, bob = world.members
    root, scribe = alice.root, alice.scribe
    heads = (scribe.head(), bob.scribe.head())
    tenant = key("golden", "tenant")
    link = ("link", link_id(alice.party, bob.party))
    edge = {"from": list(alice.party), "to": list(bob.party)}
    hosting = {"host": list(alice.party), "serial": 1}
    heir = key("golden", "heir")
    found = {"genesis": world.genesis.entry}

    def sign(kind: str, thing: tuple[str, bytes], payload: dict[str, Any], signer: keys.SigningKey) -> Entry:
        found[kind] = world.sign(signer, kind, thing, payload, seen=heads, iat=NOW + len(found))
        return found[kind]

    device = scribe.device
    sign("genesis.accept", ("member", root.kid), {"name": "Ville d’Essai"}, device)
    certificate = {
        "device": heir.public,
        "incarnation": 1,
        "possession": heir.sign(possession_message(world.mesh_id, root.kid, 1)),
        "predecessor": [scribe.feed, 2, octets("root")],
    }
    sign("device.certify", ("device", heir.kid), certificate, root)
    sign("device.retire", ("device", scribe.feed), {"final": [scribe.feed, 2, octets("root")]}, root)
    application = {
        "incarnation": 1,
        "inviter": list(alice.party),
        "device": heir.kid,
        "expires": NOW + 3_600,
        "name": "Coopérative d’électricité",
        "charter": octets("charter"),
    }
    apply = sign("member.apply", ("member", tenant.kid), application, tenant)
    sign("member.admit", ("member", tenant.kid), {"application": apply.id, "incarnation": 1}, device)
    sign("member.leave", ("member", root.kid), {"reason": "moved"}, device)
    sign("link.offer", link, {**edge, "reason": "neighbours"}, device)
    sign("link.accept", link, edge, device)
    sign("link.refuse", link, {**edge, "reason": "not now"}, device)
    sign("link.sever", link, {**edge, "reason": "ended"}, device)
    terms = {"green_button": True, "tariff": "none", "storage_bytes": 10**9, "requests_a_minute": 60}
    sign("tenant.host", ("tenant", tenant.kid), {**hosting, "terms": terms}, tenant)
    sign("tenant.unhost", ("tenant", tenant.kid), {**hosting, "reason": "ended"}, tenant)
    twin = scribe.branch(1)
    twin.add(b"another leaf")
    proof = fork.prove_branches(device.public, scribe.sign(NOW), scribe.leaves, twin.sign(NOW), twin.leaves)
    sign("fork.proof", ("feed", scribe.feed), proof, bob.scribe.device)
    _consents(sign, world, device)
    attested = {"boundary": NOW, "frontier": octets("frontier"), "state_root": octets("state")}
    sign("state.attestation", ("tick", NOW.to_bytes(8, "big")), attested, device)
    sign_governance(sign, world, epoch())
    sign_documents(sign, world)
    sign_lifecycle(sign, world)
    return {kind: found[kind] for kind in KINDS if kind in found}


def later_samples() -> dict[str, Entry]:
    """Return a second entry of the kinds that were given a field after their first sample was decided."""
    world, found = World("golden later"), dict[str, Entry]()

    def sign(kind: str, thing: tuple[str, bytes], payload: dict[str, Any], signer: keys.SigningKey) -> Entry:
        heads = tuple(member.scribe.head() for member in world.members)
        found[kind] = world.sign(signer, kind, thing, payload, seen=heads, iat=NOW + len(found))
        return found[kind]

    sign_later(sign, world)
    sign_later_consents(sign, world)
    return found


def _consents(sign: Callable[..., Entry], world: World, device: keys.SigningKey) -> None:
    """Sign the samples that are about a consent and its transfers."""
    alice, bob = world.members
    subject, withdraw = key("golden", "subject"), key("golden", "withdraw")
    consent = ("consent", octets("golden", "record", size=16))
    full = {
        **grant_payload(alice.party, bob.party, withdraw.public),
        "notice": {"sha256": octets("notice"), "dated": NOW, "document": bytes(16), "heads": [octets("heads")]},
        "evidence": [octets("evidence")],
    }
    asked = {name: value for name, value in full.items() if name != "withdraw_key"}
    request = sign("consent.request", consent, {**asked, "expires": NOW + 86_400}, device)
    granted = {
        **full,
        "request": request.id,
        "supersedes": octets("old"),
        "delegation": octets("delegation"),
        "parent": octets("parent"),
        "required_parties": [octets("party")],
    }
    grant = sign("consent.grant", consent, granted, subject)
    sign("consent.refuse", consent, {"request": request.id, "reason": "no"}, subject)
    sign("consent.acknowledge", consent, {"grant": grant.id, "entry": grant.id}, device)
    sign("consent.withdraw", consent, {"grant": grant.raw}, withdraw)
    sign("consent.revoke", consent, {"grant": grant.id, "reason_code": "error", "reason": "wrong meter"}, device)
    receipts = [[bytes(16), grant.id, octets("receipt"), octets("tick")], [bytes(16), grant.id, octets("r"), None]]
    sign("transfer.receipt", ("transfers", b"\x01"), {"receipts": receipts}, device)
    sign("transfer.ack", ("transfers", b"\x01"), {"acks": [[bytes(16), octets("ack")]]}, device)


def checkpoint_note() -> str:
    """Return a checkpoint signed by its owner and by a witness."""
    world = World("golden")
    owner, witness = world.members[0].scribe, world.members[1].scribe
    head, mesh = owner.head(), world.mesh_id
    lines = tuple(
        cosignature(
            mesh, scribe.feed, scribe.device.public, time, sign_head(scribe.device, mesh, head, time, scribe.feed)
        )
        for scribe, time in ((owner, NOW + 60), (witness, NOW + 61))
    )
    return Checkpoint(origin(mesh, owner.feed), head.size, head.root, tuple(lines)).text()


def epoch() -> Epoch:
    """Return a first sealed epoch."""
    return Epoch(
        n=1,
        prev=World("golden").mesh_id,
        as_of=NOW,
        members_digest=octets("members"),
        voters_digest=octets("voters"),
        frontier_digest=octets("frontier"),
        cuts_digest=octets("cuts"),
        state_root=octets("state"),
        policy_digest=octets("policy"),
        charter=None,
        thresholds=(2, 3),
        evaluator_version=1,
        open_proposals=(octets("proposal"),),
    )


def derived() -> dict[str, bytes]:
    """Return values that follow from the rules, by name."""
    world = World("golden")
    alice, bob = world.members
    heads = [Head(octets("b"), 2, octets("root")), Head(octets("a"), 0, EMPTY_ROOT)]
    member = Member(alice.party, alice.root.public, "", "member", True, (alice.scribe.feed,), ())
    ids = (octets("grant"), bytes(16), octets("kid"), octets("decided"))
    status = Status(
        ids[0], ids[1], State.WITHDRAWN, ids[2], alice.party, None, NOW, NOW, (ids[3],), (bob.party,)
    ).committed()
    return {
        "mesh-id": world.mesh_id,
        "kid": alice.root.kid,
        "did": alice.root.did.encode(),
        "epoch-reference": epoch().reference(),
        "link-id": link_id(bob.party, alice.party),
        "possession-message": possession_message(world.mesh_id, alice.root.kid, 1),
        "frontier-digest": digest_of(heads),
        "feed-root": root_of(alice.scribe.leaves),
        "map-key": maps.map_key(alice.root.kid),
        "map-leaf": maps.leaf_of(maps.map_key(alice.root.kid), committed_member(member)),
        "map-top-leaf": maps.top_leaf(1, octets("bucket")),
        "state-root": maps.state_root((1, octets("members")), (2, octets("consents")), 1),
        "committed-member": committed_member(member),
        "committed-status": status,
        "policy": codec.encode(world.genesis.policy.payload()),
    }


def files() -> dict[str, bytes]:
    """Return the content of every golden file, by name."""
    lines = "".join(f"{name} {value.hex()}\n" for name, value in derived().items())
    return {
        **{f"{kind}.cbor": entry.raw for kind, entry in samples().items()},
        **{f"{kind}.2.cbor": entry.raw for kind, entry in later_samples().items()},
        "checkpoint.txt": checkpoint_note().encode(),
        "epoch.cbor": epoch().encode(),
        "derived.txt": lines.encode(),
    }
