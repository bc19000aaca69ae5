"""The catalogue of negatives: each isolates one fault and expects one code, from both verifiers.

Modelled case by case on sigstore-conformance (bundle-verify), tuf-conformance (the attacks of the TUF specification)
and the C2SP texts (tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-proof), and on ledger.md §7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

import pytest

from ledger.schema import DAY
from proofs.bundle import Bundle, EpochProof
from proofs.policy import MemberQuorum
from proofs.reasons import Reason as R
from tests.proofs import negatives as n
from tests.proofs import negatives_alternatives as a
from tests.proofs import negatives_calls as calls
from tests.proofs import negatives_conduct as c
from tests.proofs import negatives_early as early
from tests.proofs import negatives_flows as f
from tests.proofs import negatives_handed as handed
from tests.proofs import negatives_members as members
from tests.proofs import negatives_parents as parents
from tests.proofs import negatives_rests as rests
from tests.proofs import negatives_told as told
from tests.proofs.both import verify
from tests.proofs.mesh import START
from tests.proofs.negatives import FORGED, Negative

TUF, SIG, C2SP, OURS = "tuf-conformance", "sigstore-conformance", "C2SP", "ledger.md §7"


def put(key: int, item: Any) -> Any:
    """Return a change that sets one key of the container."""
    return lambda value: value.__setitem__(key, item)


def without_size(value: Any) -> None:
    """Leave the size out of a checkpoint."""
    del value[6][0][1]


def twice(key: int) -> Any:
    """Return a change that doubles the first item of a list."""
    return lambda value: value[key].insert(0, value[key][0])


def in_tick(key: int, change: Any) -> Any:
    """Return a change of one list of the tick."""
    return lambda value: value[7][0].__setitem__(key, change(value[7][0][key]))


def reversed_(listed: list[Any]) -> list[Any]:
    """Return a list backwards."""
    return listed[::-1]


def other_root(made: Bundle) -> Bundle:
    """Name another root in a checkpoint's stead: the tick's map root."""
    head = made.checkpoints[0].head
    return n.first_of(made, head=replace(head, root=made.ticks[0].member_map[1]))


def bare_first(made: Bundle) -> Bundle:
    """Leave out the first step of the chain."""
    return replace(made, epochs=made.epochs[1:])


def voter_key(made: Bundle) -> Bundle:
    """Put another key in a voter's place."""
    mesh, *_ = n.sealed()
    voters = made.epochs[1].voters
    changed = (replace(voters[0], public=mesh.c.root.public), *voters[1:])
    return n.step_of(made, 1, voters=changed)


def null_certificate(made: Bundle) -> Bundle:
    """Put bytes that are no certificate."""
    return replace(made, epochs=(made.epochs[0], EpochProof(None, b"\x80", made.epochs[1].voters)))


def bare_of(pin: int | None, root: int) -> n.Made:
    """Return a bundle whose chain begins at epoch `root`, for an auditor who pinned epoch `pin`."""
    mesh, grant, references, _ = n.sealed()
    pinned = None if pin is None else references[pin]
    return mesh.prove(grant, epoch=references[root], witnesses=3), mesh.trust(epoch=pinned), mesh.now


def pinned_elsewhere() -> n.Made:
    """Return the plain bundle, without epochs, for an auditor who pinned one."""
    return n.trusted(epoch=bytes(32))


def other_genesis() -> n.Made:
    """Pin another mesh."""
    data, trust, now = n.trusted()
    return data, replace(trust, genesis=bytes(32)), now


TABLE: Final[tuple[tuple[str, str, R, Any], ...]] = (
    # Container
    ("not a bundle", SIG, R.MALFORMED, partial(n.raw, lambda value: value.clear())),
    ("another version", SIG, R.MALFORMED, partial(n.raw, put(1, 2))),
    ("unknown selection", SIG, R.MALFORMED, partial(n.raw, put(2, "other"))),
    ("unknown key", SIG, R.MALFORMED, partial(n.raw, put(16, b""))),
    (
        "checkpoint without its size",
        SIG + ": rekor2-checkpoint-missing-size",
        R.MALFORMED,
        partial(n.raw, without_size),
    ),
    ("empty list", SIG, R.MALFORMED, partial(n.raw, put(9, []))),
    ("idle hash", SIG, R.UNREFERENCED_ITEM, partial(n.raw, lambda v: put(3, v[3] + b"\xff" * 32)(v))),
    ("checkpoint twice", SIG, R.MALFORMED, partial(n.raw, twice(6))),
    ("tick twice", TUF, R.MALFORMED, partial(n.raw, twice(7))),
    ("members out of order", SIG, R.MALFORMED, partial(n.raw, in_tick(7, reversed_))),
    ("attestations out of order", SIG, R.MALFORMED, partial(n.raw, in_tick(8, reversed_))),
    ("frontier out of order", SIG, R.MALFORMED, partial(n.raw, in_tick(2, reversed_))),
    ("same witness twice", C2SP + ": tlog-cosignature", R.MALFORMED, partial(n.raw, in_tick(8, lambda v: [v[0], *v]))),
    ("disclosures out of order", OURS, R.MALFORMED, partial(n.raw, lambda v: v[8][0][1].reverse())),
    ("a time stamp over nothing", C2SP, R.MALFORMED, partial(n.raw, put(12, [[0, 9, b"x"]]))),
    ("a consent that is about somebody", OURS, R.MALFORMED, partial(n.raw, put(14, [bytes(32), 1]))),
    # Mesh and entries
    ("another trust root", SIG + ": wrong trusted root", R.WRONG_MESH, other_genesis),
    ("deprecated algorithm", SIG, R.MALFORMED, partial(n.bent, n.unknown_algorithm)),
    ("signer of small order", SIG, R.BAD_SIGNATURE, partial(n.bent, n.weak_signer)),
    ("entries out of order", SIG, R.MALFORMED, partial(n.raw, lambda v: v[5].reverse())),
    # Checkpoints and inclusion
    ("checkpoint by another key", SIG + ": checkpoint-wrong-key", R.BAD_SIGNATURE, partial(n.bent, n.other_signature)),
    ("checkpoint with another root", SIG, R.BAD_SIGNATURE, partial(n.bent, other_root)),
    ("another place in the log", SIG + ": inclusion proof", R.BAD_INCLUSION, partial(n.bent, n.other_entry)),
    ("cosignature of another time", C2SP + ": tlog-cosignature", R.BAD_SIGNATURE, partial(n.bent, n.cosigned(START))),
    ("owner as its own witness", C2SP, R.BAD_SIGNATURE, partial(n.bent, n.cosigned(START + 6, own=True))),
    (
        "cosigner unknown",
        C2SP + ": unknown keys",
        R.BAD_SIGNATURE,
        partial(n.bent, n.cosigned(START + 6, stranger=True)),
    ),
    # Ticks
    ("rollback", TUF + ": rollback attack", R.BAD_STATE_PROOF, n.rolled_back),
    ("end taken back", TUF + ": rollback attack", R.BAD_STATE_PROOF, n.end_taken_back),
    ("freeze", TUF + ": indefinite freeze", R.TRY_LATER, partial(n.trusted, 10_000)),
    ("future times", TUF + ": fast-forward", R.TIME_IN_FUTURE, partial(n.trusted, -10_000)),
    ("mix and match: members", TUF + ": mix-and-match", R.BAD_STATE_PROOF, partial(n.mixed, "member_map")),
    ("mix and match: consents", TUF + ": mix-and-match", R.BAD_STATE_PROOF, partial(n.mixed, "consent_map")),
    ("mix and match: frontier", TUF + ": mix-and-match", R.BAD_SIGNATURE, partial(n.mixed, "frontier")),
    ("mix and match: attestations", TUF + ": mix-and-match", R.BAD_SIGNATURE, partial(n.mixed, "attestations")),
    ("attestations of another tick", TUF, R.BAD_SIGNATURE, n.swapped_attestations),
    ("a tick dated otherwise", TUF, R.BAD_SIGNATURE, partial(n.bent, n.shifted)),
    ("a value that the map does not hold", OURS, R.BAD_STATE_PROOF, partial(n.bent, n.moved_place)),
    ("later tick silent", TUF + ": freeze", R.BAD_STATE_PROOF, n.later_tick_silent),
    # Witnesses
    (
        "threshold short by one",
        TUF + ": threshold",
        R.INSUFFICIENT_WITNESSES,
        partial(n.trusted, policy=MemberQuorum(3)),
    ),
    (
        "group short by one",
        C2SP + ": tlog-policy",
        R.INSUFFICIENT_WITNESSES,
        partial(n.under_policy, "group g 3 A B C | quorum g"),
    ),
    (
        *("affiliated witnesses", C2SP + ": tlog-policy", R.INSUFFICIENT_WITNESSES),
        partial(n.under_policy, "group coop any A B | group two 2 coop C | quorum two"),
    ),
    ("another witness asked for", C2SP, R.INSUFFICIENT_WITNESSES, partial(n.under_policy, "quorum C")),
    ("no witness asked for", C2SP + ": quorum none", R.NO_POE, partial(n.under_policy, "quorum none")),
    ("another log", C2SP + ": log line", R.INSUFFICIENT_WITNESSES, partial(n.under_policy, "log {B} | quorum A")),
    ("two devices of one member", TUF + ": duplicate keys", R.INSUFFICIENT_WITNESSES, n.two_devices),
    # Epochs
    ("first step left out", TUF + ": root chain", R.BAD_EPOCH, partial(n.in_chain, bare_first)),
    ("voter's key replaced", TUF, R.BAD_EPOCH, partial(n.in_chain, voter_key)),
    ("no certificate", TUF, R.BAD_EPOCH, partial(n.in_chain, null_certificate)),
    ("quorum short by one", TUF + ": threshold", R.BAD_EPOCH, partial(n.in_chain, n.resealed("Aube", "Brume"))),
    ("epoch dated back", TUF, R.BAD_EPOCH, partial(n.in_chain, n.resealed("Aube", "Brume", "Cime", change=n.older))),
    (
        "epoch number taken",
        TUF + ": rollback",
        R.BAD_EPOCH,
        partial(n.in_chain, n.resealed("Aube", "Brume", "Cime", change=n.renumbered)),
    ),
    (
        "a voter declared gone",
        OURS,
        R.BAD_EPOCH,
        partial(n.in_chain, n.resealed("Brume", "Cime", "Aube", change=n.gone)),
    ),
    ("another epoch pinned", TUF + ": wrong root", R.EPOCH_NOT_PINNED, partial(bare_of, 1, 2)),
    ("a bare epoch for nobody", TUF, R.EPOCH_NOT_PINNED, partial(bare_of, None, 2)),
    ("a chain from before the pinned one", TUF, R.EPOCH_NOT_PINNED, partial(bare_of, 2, 0)),
    ("no epochs at all", TUF, R.EPOCH_NOT_PINNED, pinned_elsewhere),
    # Presentation, attachments
    ("replayed for another audience", SIG, R.WRONG_AUDIENCE, partial(f.presented, "court.example")),
    ("replayed with another nonce", SIG, R.WRONG_AUDIENCE, partial(f.presented, nonce=b"other")),
    ("presentation of another bundle", SIG, R.BAD_SIGNATURE, f.presentation_moved),
    ("presenter of small order", SIG, R.BAD_SIGNATURE, f.presenter_of_small_order),
    ("presented by nobody", SIG, R.NOT_PRESENTED, partial(n.trusted, audience="cnil.example")),
    ("attachments swapped", SIG, R.DISCLOSURE_MISMATCH, partial(f.attached, swap=True)),
    ("attachment that nothing names", SIG, R.UNREFERENCED_ITEM, partial(f.attached, swap=False, stray=True)),
    # Transfers
    ("transfer of another grant", OURS, R.TRANSFER_MISMATCH, f.of_another_grant),
    ("account changed", OURS, R.DISCLOSURE_MISMATCH, partial(f.transferred, lambda made: f.opened(made, count=49))),
    ("account of another transfer", OURS, R.TRANSFER_MISMATCH, partial(f.told, transfer=bytes(16))),
    ("account of another holder", OURS, R.TRANSFER_MISMATCH, partial(f.told, holder=(bytes(32), 1))),
    ("account of another tick", OURS, R.TRANSFER_MISMATCH, partial(f.told, frontier=bytes(32))),
    ("receipt by another member", OURS, R.TRANSFER_MISMATCH, partial(f.signed_by_another, acked=False)),
    ("account withheld", OURS, R.CONTENT_WITHHELD, partial(f.transferred, f.withheld)),
    ("not acknowledged", OURS, R.NOT_ACKNOWLEDGED, f.unacknowledged),
    ("accounts differ", OURS, R.ACCOUNTS_DIFFER, partial(f.told, count=47)),
    ("data of another time", OURS, R.BEYOND_CONSENT, partial(f.told, window=(START - 200 * DAY, START - 100 * DAY))),
    ("transfer after the end", OURS, R.EXPIRED, partial(f.told, ended=START + 100 * DAY)),
    ("transfer before any tick", OURS, R.NO_POE, partial(f.told, ended=START - 1)),
    ("stale frontier", OURS + ", tuf: freeze", R.OUT_OF_BOUNDS, f.stale_transfer),
    ("transfer beside a withdrawal", OURS, R.CONCURRENT_WITHDRAWAL, f.concurrent_transfer),
    # The consent
    ("before any tick", OURS, R.NO_POE, partial(n.trusted, at=START)),
    ("long after the tick", OURS, R.OUT_OF_BOUNDS, partial(n.trusted, 60, at=START + 50, max_age=10)),
    ("content erased", OURS, R.CONTENT_ERASED, partial(f.shown, erased=True)),
    ("purpose withheld", OURS, R.CONTENT_WITHHELD, partial(f.shown, fields=["points", "pii_type"])),
    ("signatures missing", OURS, R.NOT_ACTIVE, lambda: f.granted(required_parties=[bytes(31) + b"\x01"])),
    ("not begun", OURS, R.NOT_ACTIVE, partial(f.granted, access=(START + DAY, None))),
    ("run out", OURS, R.EXPIRED, partial(f.granted, access=(START - DAY, START - 5))),
    ("on a delegation", OURS, R.NOT_CARRIED, partial(f.granted, delegation=bytes(32))),
    ("to a tenant", OURS, R.MEMBERSHIP_NOT_SHOWN, partial(f.granted, recipient=[bytes(32), 0])),
    ("holder left", OURS, R.NOT_MEMBER, partial(f.left, "holder")),
    ("recipient left", OURS, R.NOT_MEMBER, partial(f.left, "recipient")),
    (
        "forbidden purpose",
        OURS,
        R.AGAINST_POLICY,
        partial(f.granted, policy={"forbidden_purposes": ("Advice on Shifting consumption",)}),
    ),
    ("too long a consent", OURS, R.AGAINST_POLICY, partial(f.granted, policy={"consent_days_max": 10})),
    ("notice of later", OURS, R.AGAINST_POLICY, partial(f.granted, notice={"sha256": bytes(32), "dated": START + 60})),
    ("withdrawn before", OURS, R.REVOKED, partial(f.ended, 100)),
    ("revoked before", OURS, R.REVOKED, partial(f.ended, 100, revoked=True)),
    ("withdrawn beside", OURS, R.CONCURRENT_WITHDRAWAL, partial(f.ended, 33)),
    # What only passes where a check is missing
    ("two consents in one bundle", OURS, R.MALFORMED, partial(f.of_period, "consent")),
    ("a member twice among the voters", TUF + ": duplicate keys", R.BAD_EPOCH, partial(n.in_chain, f.voter_twice)),
    ("a leave that is not carried", OURS, R.BAD_EPOCH, f.leave_left_out),
    ("transfer twice", OURS, R.TRANSFER_MISMATCH, partial(f.transferred, f.transfer_twice)),
    ("the acknowledgement of another", OURS, R.TRANSFER_MISMATCH, f.ack_of_another),
    ("acknowledged by another member", OURS, R.TRANSFER_MISMATCH, partial(f.signed_by_another, acked=True)),
    ("a row that is not there", OURS, R.TRANSFER_MISMATCH, partial(f.transferred, f.no_such_row)),
    ("a transfer of a revoked consent", OURS, R.REVOKED, f.revoked_transfer),
    ("a transfer of an incomplete consent", OURS, R.NOT_ACTIVE, f.incomplete_transfer),
    (
        "a transfer before the beginning",
        OURS,
        R.NOT_ACTIVE,
        partial(f.told, began=START - 40 * DAY, ended=START + 65, access=True),
    ),
    ("a fork of another member", OURS, R.BAD_STATE_PROOF, f.other_accused),
    ("a disclosure made up", SIG, R.DISCLOSURE_MISMATCH, partial(n.bent, f.made_up)),
    ("a false time stamp", C2SP + ", RFC 3161", R.BAD_SIGNATURE, f.false_stamp),
    ("a party without its proof", OURS, R.MEMBERSHIP_NOT_SHOWN, f.party_not_shown),
    ("long after the end, by the newest tick", OURS, R.REVOKED, partial(f.ended, 45, gap=20)),
    ("a checkpoint that holds nothing", SIG, R.UNREFERENCED_ITEM, f.idle_checkpoint),
    ("entries of one kind out of order", SIG, R.MALFORMED, partial(n.bent, f.entries_turned)),
    ("no tick shows the consent", OURS, R.BAD_STATE_PROOF, partial(n.bent, lambda made: n.tick_of(made, consents=()))),
    ("a table out of order", SIG, R.MALFORMED, f.table_turned),
    ("a time below zero", SIG, R.MALFORMED, partial(n.raw, lambda v: v[6][0].__setitem__(3, -1))),
    ("a table cut short", SIG, R.MALFORMED, partial(n.raw, lambda v: put(3, v[3] + b"\xff")(v))),
    ("disclosures twice", SIG, R.MALFORMED, partial(n.raw, twice(8))),
    ("disclosures of no grant", SIG, R.MALFORMED, partial(n.raw, lambda v: v[8][0].__setitem__(0, 1))),
    ("a time stamp twice", C2SP, R.MALFORMED, partial(n.raw, put(12, [[0, 0, b"x"], [0, 0, b"x"]]))),
    ("an unknown key in a tick", SIG, R.MALFORMED, partial(n.raw, lambda v: v[7][0].__setitem__(9, 0))),
    ("a consent twice in a tick", SIG, R.MALFORMED, partial(n.raw, in_tick(6, lambda v: v + v))),
    ("a tick of no grant", SIG, R.MALFORMED, partial(n.raw, lambda v: v[7][0][6][0].__setitem__(0, 1))),
    ("cosigner twice", C2SP + ": tlog-cosignature", R.MALFORMED, partial(n.bent, f.cosigner_twice)),
    ("voters turned round", TUF, R.MALFORMED, partial(n.in_chain, f.voters_turned)),
    ("a bare epoch in the middle", TUF, R.MALFORMED, partial(n.in_chain, f.bare_in_the_middle)),
    ("a transfer's line twice", OURS, R.MALFORMED, partial(f.transferred, f.line_twice)),
    ("one transfer stated twice", OURS, R.TRANSFER_MISMATCH, f.stated_twice),
    ("an account of another form", OURS, R.MALFORMED, partial(f.transferred, lambda b: f.opened(b, chain=bytes(31)))),
    ("an attachment twice", SIG, R.MALFORMED, f.attachment_twice),
    ("status frozen", TUF + ": indefinite freeze", R.TRY_LATER, partial(n.trusted, 10_000, at=START + 6)),
)


CATALOGUE: Final = [
    *(Negative(*line) for line in (*TABLE, *members.ROWS)),
    *FORGED,
    *a.ALTERNATIVES,
    *c.CONDUCT,
    *rests.DELEGATIONS,
    *parents.PARENTS,
    *calls.CALLS,
    *told.TOLD,
    *early.EARLY,
    *handed.HANDED,
]
HONEST: Final[tuple[Callable[[], n.Made], ...]] = (
    *a.HONEST,
    *c.HONEST,
    *rests.HONEST,
    *parents.HONEST,
    *calls.HONEST,
    *told.HONEST,
    *early.HONEST,
    *handed.HONEST,
)
"""What nobody bent, made as the negatives are."""


@cache
def made(case: Negative) -> n.Made:
    """Return what a case makes; it is asked for here, and for each mutant."""
    return case.make()


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
def test_a_negative_has_one_code(case: Negative) -> None:
    report = verify(*made(case))
    assert report.reason is case.reason, report.as_text()
    assert report.exit_code != 0


def test_the_honest_bundles_pass() -> None:
    for made in (n.trusted(), f.transferred(), f.attached(swap=False), f.presented(), n.in_chain(lambda made: made)):
        assert verify(*made).exit_code == 0
    assert all(verify(*make()).exit_code == 0 for make in HONEST)
    assert verify(*n.under_policy("group two 2 A B C | quorum two")).exit_code == 0


def test_names_are_one_each() -> None:
    assert len({case.name for case in CATALOGUE}) == len(CATALOGUE) >= 120
