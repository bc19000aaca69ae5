"""More makers of negatives: presentations, attachments, transfers, consents, and what a missing check would let pass.

How it works
    As in `negatives`: one fault each, everything else sound and signed.

What it does not do
    It has no table: `test_negatives` has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ledger import codec
from ledger.checkpoint import Head, sign_head
from ledger.consent.disclosure import slot_digest
from ledger.errors import RemoteError
from ledger.schema import DAY
from proofs import reading
from proofs.bundle import Attachment, Bundle, Selection, SignedCheckpoint, Stamp
from proofs.policy import MemberQuorum
from proofs.presentation import present
from tests.proofs.forge import NOW, Forge
from tests.proofs.mesh import START, Mesh
from tests.proofs.negatives import Made, cosigned, first_of, moved, plain, step_of, tick_of
from tests.proofs.test_flows import Case
from tests.proofs.test_forgery import renumbered as renumber
from tests.proofs.test_selections import conduct_of, forked, period, two_consents

# Presentations and attachments


def presented(audience: str = "cnil.example", nonce: bytes | None = b"nonce", **bundle: Any) -> Made:
    """Aube presents to the CNIL; somebody else reads it."""
    mesh, _, made = plain()
    shown = present(replace(made, **bundle).encode(), mesh.a.device, "cnil.example", b"nonce", mesh.now)
    return shown, mesh.trust(audience=audience, nonce=nonce), mesh.now


def presentation_moved() -> Made:
    """The presentation of one bundle stands in another, narrower one."""
    mesh, _, made = plain()
    shown = reading.decode(present(made.encode(), mesh.a.device, "cnil.example", b"nonce", mesh.now))
    ((grant, listed),) = made.disclosures
    moved_to = replace(shown, disclosures=((grant, listed[:-1]),))
    return moved_to.encode(), mesh.trust(audience="cnil.example", nonce=b"nonce"), mesh.now


def presenter_of_small_order() -> Made:
    """Somebody presents with a key under which anything is signed."""
    mesh, _, made = plain()
    shown = reading.decode(present(made.encode(), mesh.a.device, "cnil.example", b"nonce", mesh.now))
    assert shown.presentation is not None
    weak = bytes([1, *bytes(31)])
    false = replace(shown.presentation, public=weak, signature=weak + bytes(32))
    return replace(shown, presentation=false).encode(), mesh.trust(), mesh.now


def attached(swap: bool, *, stray: bool = False) -> Made:
    """A notice and a scan are attached; their contents are swapped, or a third document is there."""
    mesh, texts = Mesh(), (b"the notice", b"the scan")
    digests = [sha256(text).digest() for text in texts]
    grant = mesh.grant(notice={"sha256": digests[0], "dated": mesh.now}, evidence=[digests[1]])
    mesh.tick(mesh.a, mesh.b)
    listed = [*digests, sha256(b"stray").digest()] if stray else digests
    carried = [*(texts[::-1] if swap else texts), b"stray"]
    attachments = [Attachment(digest, "text/plain", text) for digest, text in zip(listed, carried, strict=False)]
    ordered = tuple(sorted(attachments, key=lambda each: each.sha256))
    return replace(reading.decode(mesh.prove(grant)), attachments=ordered).encode(), mesh.trust(), mesh.now


# Transfers


def transferred(bend: Callable[[Bundle], Bundle] = lambda made: made, **trust: Any) -> Made:
    """Bend the bundle with a transfer."""
    case, made = moved()
    return bend(made).encode(), case.mesh.trust(**{"at": case.first.boundary, **trust}), case.mesh.now


def told(*, access: bool = False, **other: Any) -> Made:
    """The holder's account, and so its receipt, says something else. `access`: the consent has a beginning."""
    case = Case()
    if access:
        case.grant = case.mesh.grant(access=(START - DAY, None))
        case.first = case.mesh.tick(case.mesh.a, case.mesh.b)
    bundle = case.prove(case.move(**other))
    return bundle, case.mesh.trust(at=case.first.boundary), case.mesh.now


def opened(made: Bundle, **account: Any) -> Bundle:
    """Return the bundle with the holder's opened account changed."""
    (transfer,) = made.transfers
    assert transfer.receipt.account is not None
    receipt = replace(transfer.receipt, account=replace(transfer.receipt.account, **account))
    return replace(made, transfers=(replace(transfer, receipt=receipt),))


def withheld(made: Bundle) -> Bundle:
    """Withhold the holder's account."""
    (transfer,) = made.transfers
    return replace(made, transfers=(replace(transfer, receipt=replace(transfer.receipt, account=None)),))


def unacknowledged() -> Made:
    """The recipient's acknowledgement is missing."""
    case = Case()
    return case.prove(case.move(acked=False)), case.mesh.trust(at=case.first.boundary), case.mesh.now


def of_another_grant() -> Made:
    """The receipt is for another consent of the same parties."""
    case = Case()
    other = case.mesh.grant()
    wrong = case.mesh.move(other, case.first.frontier)
    return case.prove(wrong), case.mesh.trust(at=case.first.boundary), case.mesh.now


def signed_by_another(*, acked: bool) -> Made:
    """Cime signs what Aube should, or acknowledges what Brume should."""
    case = Case()
    mesh = case.mesh
    if acked:
        mesh.b, mesh.c = mesh.c, mesh.b
        wrong = case.move(recipient=(mesh.c.root.kid, 1))
        wrong = replace(wrong, received=None)
        mesh.b, mesh.c = mesh.c, mesh.b
    else:
        mesh.a, mesh.c = mesh.c, mesh.a
        wrong = case.move(holder=(mesh.c.root.kid, 1))
        mesh.a, mesh.c = mesh.c, mesh.a
    return case.prove(wrong), mesh.trust(at=case.first.boundary), mesh.now


def stale_transfer() -> Made:
    """The transfer leaves long after the tick that its receipt names."""
    case = Case()
    case.mesh.now += 600
    return case.prove(case.move()), case.mesh.trust(at=case.first.boundary), case.mesh.now


def concurrent_transfer() -> Made:
    """No witness had the receipt before the withdrawal."""
    case = Case()
    shown = case.move()
    case.mesh.now += 30
    case.mesh.grant()
    case.mesh.withdraw(case.grant, case.mesh.c, seen=case.mesh.a)
    return case.prove(shown), case.mesh.trust(at=case.first.boundary), case.mesh.now


# Consents


def granted(*, at: int | None = None, seal: bool = False, policy: dict[str, Any] | None = None, **grant: Any) -> Made:
    """A grant that says something else, in an honest bundle."""
    mesh = Mesh(**(policy or {}))
    given = mesh.grant(**grant)
    if seal:
        mesh.seal(mesh.a, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(given), mesh.trust(at=at), mesh.now


def shown(**how: Any) -> Made:
    """A bundle that shows less of the content."""
    mesh, grant, _ = plain()
    return mesh.prove(grant, **how), mesh.trust(), mesh.now


def left(name: str) -> Made:
    """A party has left before the tick."""
    mesh = Mesh()
    grant = mesh.grant()
    party = mesh.a if name == "holder" else mesh.b
    mesh.log(party, mesh.govern(party.device, "member.leave", ("member", party.root.kid), {}))
    mesh.sign(party)
    mesh.tick(*(each for each in (mesh.a, mesh.b, mesh.c) if each is not party))
    return mesh.prove(grant), mesh.trust(), mesh.now


def ended(at: int, *, gap: int = 30, revoked: bool = False) -> Made:
    """The consent ends `gap` seconds after the first tick; asked for `at` seconds after it."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += gap
    if revoked:
        mesh.revoke(grant, mesh.b)
    else:
        mesh.withdraw(grant, mesh.c, seen=mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh.prove(grant, first=first), mesh.trust(at=first + at, max_age=10 if at > 60 else 600), mesh.now


def of_period(selection: str) -> Made:
    """A period of two consents that says to be a single consent."""
    mesh, bundle = two_consents()
    made = replace(reading.decode(bundle), selection=Selection(selection), about=None)
    return made.encode(), mesh.trust(), mesh.now


def voter_twice(made: Bundle) -> Bundle:
    """List a voter of the last step twice, under two incarnations."""
    voters = made.epochs[1].voters
    return step_of(made, 1, voters=(voters[0], replace(voters[0], incarnation=2), *voters[1:]))


def leave_left_out() -> Made:
    """A voter left, and its own word is not carried."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.log(mesh.c, mesh.govern(mesh.c.device, "member.leave", ("member", mesh.c.root.kid), {}))
    mesh.sign(mesh.c)
    mesh.seal(mesh.a, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(mesh.prove(grant))
    kept = [item for item in made.entries if b"member.leave" not in item.raw]
    assert len(kept) < len(made.entries)
    held = sorted({item.checkpoint for item in kept})
    entries = tuple(replace(item, checkpoint=held.index(item.checkpoint)) for item in kept)
    shorn = replace(made, entries=entries, checkpoints=tuple(made.checkpoints[at] for at in held))
    feeds = {item.head.feed for item in shorn.checkpoints}
    needed = {mesh.a.root.kid, mesh.b.root.kid} | {mesh.c.root.kid for _ in feeds & {mesh.c.device.kid}}
    members = tuple(each for each in made.ticks[0].members if each[0] in needed)
    return tick_of(shorn, members=members).encode(), mesh.trust(), mesh.now


def transfer_twice(made: Bundle) -> Bundle:
    """State one transfer twice: the second time withheld, by another position of the same batch."""
    (transfer,) = made.transfers
    return replace(made, transfers=(transfer, replace(transfer, receipt=replace(transfer.receipt, position=2))))


def no_such_row(made: Bundle) -> Bundle:
    """Name a row that the batch does not have."""
    (transfer,) = made.transfers
    return replace(made, transfers=(replace(transfer, receipt=replace(transfer.receipt, position=9)),))


def ack_of_another() -> Made:
    """Two transfers; the acknowledgements stand in each other's place, withheld."""
    case = Case()
    bundle = case.prove(*(replace(case.move(), received=None) for _ in range(2)))
    one, other = reading.decode(bundle).transfers
    swapped = (replace(one, ack=other.ack), replace(other, ack=one.ack))
    return (
        replace(reading.decode(bundle), transfers=swapped).encode(),
        case.mesh.trust(at=case.first.boundary),
        case.mesh.now,
    )


def revoked_transfer() -> Made:
    """The tick that the receipt names knows the withdrawal."""
    case = Case()
    case.mesh.withdraw(case.grant, case.mesh.c)
    end = case.mesh.tick(case.mesh.a, case.mesh.b)
    case.mesh.now += 20
    shown = case.mesh.move(case.grant, end.frontier)
    bundle = case.prove(shown, between=[end.boundary])
    return bundle, case.mesh.trust(at=case.first.boundary), case.mesh.now


def incomplete_transfer() -> Made:
    """In a period, a transfer under a grant that others have yet to sign."""
    mesh = Mesh()
    grant = mesh.grant(required_parties=[mesh.c.root.public])
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    shown = mesh.move(grant, first.frontier)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    return period(mesh, [grant], [shown], [first.boundary]), mesh.trust(), mesh.now


def other_accused() -> Made:
    """A fork is held against another member."""
    mesh = Mesh()
    made = reading.decode(conduct_of(mesh, mesh.b, forked(mesh, mesh.b)))
    return replace(made, about=(mesh.a.root.kid, 1)).encode(), mesh.trust(), mesh.now


def made_up(made: Bundle) -> Bundle:
    """Disclose another purpose."""
    ((grant, ((salt, _, name), *rest)),) = made.disclosures
    return replace(made, disclosures=((grant, ((salt, "Marketing", name), *rest)),))


def false_stamp() -> Made:
    """An authority that she trusts does not vouch for the token."""
    mesh, _, made = plain()

    def judge(token: bytes, covered: bytes) -> int:
        raise RemoteError("BAD_STAMP", f"{token!r} does not cover {covered.hex()}")

    return replace(made, stamps=(Stamp(0, 0, b"x"),)).encode(), mesh.trust(stamps=judge), mesh.now


def party_not_shown() -> Made:
    """The recipient's place in the member map is left out."""
    forge = Forge()
    forge.shown = [forge.mesh.a.root.kid]
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def idle_checkpoint() -> Made:
    """A checkpoint of a proven device holds nothing."""
    forge = Forge()
    made = forge.parts()
    device, head = forge.mesh.a.device, Head(forge.mesh.a.device.kid, 9, bytes(32))
    signature = sign_head(device, forge.mesh_id, head, NOW, device.kid)
    made = replace(made, checkpoints=(*made.checkpoints, SignedCheckpoint(head, NOW, signature)))
    return made.encode(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def entries_turned(made: Bundle) -> Bundle:
    """Turn the order of the entries behind the grant."""
    return replace(made, entries=(made.entries[0], *made.entries[:0:-1]))


def table_turned() -> Made:
    """The table of hashes is turned round, and every number with it."""
    forge = Forge()
    value: Any = codec.decode(forge.bundle(), max_bytes=1 << 20)
    table = [value[3][at : at + 32] for at in range(0, len(value[3]), 32)]
    value[3] = b"".join(reversed(table))
    renumber(value, lambda at: len(table) - 1 - at)
    return codec.encode(value), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def cosigner_twice(made: Bundle) -> Bundle:
    """List one good cosignature twice."""
    mesh, _, _ = plain()
    whole = cosigned(mesh.now)(made)
    first = whole.checkpoints[0]
    return first_of(whole, cosigned=(*first.cosigned, *first.cosigned))


def voters_turned(made: Bundle) -> Bundle:
    """Turn the voters of a step round."""
    return step_of(made, 1, voters=made.epochs[1].voters[::-1])


def bare_in_the_middle(made: Bundle) -> Bundle:
    """Leave the certificate of the second step out, and keep its epoch."""
    certificate: Any = codec.decode(made.epochs[1].certificate or b"")
    seal: Any = codec.decode(certificate[1])
    return step_of(made, 1, certificate=None, epoch=seal[0])


def line_twice(made: Bundle) -> Bundle:
    """List one transfer twice."""
    return replace(made, transfers=(*made.transfers, *made.transfers))


def stated_twice() -> Made:
    """The holder states one transfer in two receipts."""
    case = Case()
    shown = case.move()
    assert shown.sent is not None
    digest = slot_digest(shown.sent.salt, shown.sent.value(), "transfer.receipt")
    again = [shown.transfer, case.grant.entry.id, digest, shown.sent.frontier]
    receipt = case.mesh._state(case.mesh.a, "receipts", [again])
    bundle = case.prove(shown, replace(shown, receipt=receipt.id))
    return bundle, case.mesh.trust(at=case.first.boundary), case.mesh.now


def attachment_twice() -> Made:
    """List one attachment twice."""
    data, trust, now = attached(swap=False)
    made = reading.decode(data)
    return replace(made, attachments=(made.attachments[0], *made.attachments)).encode(), trust, now
