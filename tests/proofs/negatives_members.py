"""More makers of negatives, about members: devices that succeed one another in the epoch chain.

How it works
    As in `negatives`: one fault each, everything else sound and signed. `ROWS` are lines of the catalogue.

What it does not do
    It verifies nothing: `test_negatives` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from typing import Any, Final

from ledger import codec, tree
from ledger.entry import Entry
from ledger.governance.rules import Rules
from ledger.keys import SigningKey
from ledger.schema import DAY
from proofs import reading
from proofs.bundle import Bundle, EpochProof, Logged
from proofs.make import Chosen, Extras, make_conduct
from proofs.policy import MemberQuorum
from proofs.reasons import Reason as R
from tests.proofs.forge import NOW, Forge
from tests.proofs.mesh import Grant, Mesh, Party
from tests.proofs.negatives import Made, step_of
from tests.proofs.negatives_flows import granted
from tests.proofs.test_selections import views

OURS: Final = "ledger.md §7"
TUF: Final = "tuf-conformance"
SIG: Final = "sigstore-conformance"
C2SP: Final = "C2SP: tlog-policy"


# Successors


def inherited(times: int = 1) -> tuple[Mesh, Grant]:
    """Brume loses its device so many times, and seals with the last successor; then all three attest."""
    mesh = Mesh(31)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    for _ in range(times):
        mesh.succeed(mesh.b, mesh.a)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    return mesh, grant


@cache
def succeeded(times: int) -> tuple[Mesh, Bundle]:
    """The bundle of `inherited`."""
    mesh, grant = inherited(times)
    return mesh, reading.decode(mesh.prove(grant, witnesses=3))


def of_heirs(bend: Callable[[Mesh, Bundle], Bundle], times: int = 2) -> Made:
    """Bend the bundle in whose chain a successor signed."""
    mesh, made = succeeded(times)
    return bend(mesh, made).encode(), mesh.trust(policy=MemberQuorum(3)), mesh.now


def line_of(made: Bundle) -> list[int]:
    """Return the numbers of the certificates that lead from the successor that signed back to the voter's device."""
    found = {Entry.parse(item.raw).thing[1]: at for at, item in enumerate(made.entries) if b"predecessor" in item.raw}
    line = [made.epochs[-1].heirs[0][1]]
    while (before := Entry.parse(made.entries[line[-1]].raw).payload["predecessor"][0]) in found:
        line.append(found[before])
    return line


def place_of(made: Bundle, party: Party) -> int:
    """Return a party's place among the voters of the first step."""
    return [voter.kid for voter in made.epochs[0].voters].index(party.root.kid)


def nobody_named(_: Mesh, made: Bundle) -> Bundle:
    """Name nobody: the signature is not the voter's device's."""
    return step_of(made, 1, heirs=())


def one_too_many(mesh: Mesh, made: Bundle) -> Bundle:
    """Name an heir for Aube too, whose own device signed."""
    (mine,) = made.epochs[1].heirs
    return step_of(made, 1, heirs=tuple(sorted([mine, (place_of(made, mesh.a), mine[1])])))


def in_another_stead(mesh: Mesh, made: Bundle) -> Bundle:
    """Say that Brume's successor signed for Aube."""
    return step_of(made, 1, heirs=((place_of(made, mesh.a), made.epochs[1].heirs[0][1]),))


def the_one_before(mesh: Mesh, made: Bundle) -> Bundle:
    """Name the certificate of the device in the middle of the line: it did not sign."""
    return step_of(made, 1, heirs=((place_of(made, mesh.b), line_of(made)[1]),))


def not_a_certificate(mesh: Mesh, made: Bundle) -> Bundle:
    """Name the grant."""
    return step_of(made, 1, heirs=((place_of(made, mesh.b), 0),))


def gap_in_the_line(_: Mesh, made: Bundle) -> Bundle:
    """Leave the certificate in the middle of the line out."""
    middle, ((place, last),) = line_of(made)[1], made.epochs[1].heirs
    kept = tuple(item for at, item in enumerate(made.entries) if at != middle)
    return replace(step_of(made, 1, heirs=((place, last - (last > middle)),)), entries=kept)


def heirs_twice(_: Mesh, made: Bundle) -> Bundle:
    """Name one heir twice."""
    (mine,) = made.epochs[1].heirs
    return step_of(made, 1, heirs=(mine, mine))


def bare_with_heirs(_: Mesh, made: Bundle) -> Bundle:
    """Give a bare epoch heirs: nobody signed it."""
    certificate: Any = codec.decode(made.epochs[1].certificate or b"")
    seal: Any = codec.decode(certificate[1])
    return replace(made, epochs=(EpochProof(seal[0], None, made.epochs[1].voters, made.epochs[1].heirs),))


def another_device() -> Made:
    """A device that Brume's root key certified, but as nobody's successor, signs the last seal for it."""
    mesh = Mesh(32)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    kept, mesh.b.device = mesh.b.device, SigningKey.from_seed(mesh.random.randbytes(32))
    false = mesh.certify(mesh.b)
    mesh.log(mesh.a, false)
    mesh.sign(mesh.a)
    other, mesh.b.device = mesh.b.device, kept
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    made = with_entry(mesh, reading.decode(mesh.prove(grant, witnesses=3)), false)
    number = next(at for at, item in enumerate(made.entries) if item.raw == false.raw)
    place = place_of(made, mesh.b)
    mesh.b.device = other
    bent = step_of(made, 1, certificate=signed_by(mesh, made, place), heirs=((place, number),))
    return bent.encode(), mesh.trust(policy=MemberQuorum(3)), mesh.now


def with_entry(mesh: Mesh, made: Bundle, entry: Entry) -> Bundle:
    """Carry one more entry that is logged in Aube's feed; no step of the chain may have heirs."""
    feed = mesh.a.device.kid
    own = [at for at, item in enumerate(made.checkpoints) if item.head.feed == feed]
    with mesh.store.read() as rows:
        number, index = next(place for place in mesh.replica.places(rows, entry.id))
        checkpoint = next(at for at in own if made.checkpoints[at].head.size > index)
        path = tree.inclusion(rows, number, index, made.checkpoints[checkpoint].head.size)
    more = Logged(entry.raw, checkpoint, index, tuple(path))
    grants = sum(Entry.parse(item.raw).kind == "consent.grant" for item in made.entries)
    others = sorted([*made.entries[grants:], more], key=lambda item: item.id)
    return replace(made, entries=(*made.entries[:grants], *others))


def signed_by(mesh: Mesh, made: Bundle, place: int) -> bytes:
    """Return the last certificate with the signature at a place made anew by Brume's present device."""
    value: Any = codec.decode(made.epochs[1].certificate or b"")
    seal: Any = codec.decode(value[1])
    epoch: Any = codec.decode(seal[0])
    digest = sha256(b"maille/seal/value/v1\x00" + value[1]).digest()
    said = [1, mesh.genesis.mesh_id, epoch["prev"], epoch["n"] - 1, value[2], 2, digest, -1]
    signature = mesh.b.device.sign(b"maille/seal/vote/v1\x00" + codec.encode(said))
    nth = (int.from_bytes(value[3], "little") & ((1 << place) - 1)).bit_count()
    signatures = value[4][: 64 * nth] + signature + value[4][64 * nth + 64 :]
    return codec.encode([*value[:4], signatures])


def departed(strange: bool = False) -> tuple[Mesh, Grant, Entry]:
    """Cime, who votes, loses its device, and leaves by the word of the successor.

    The third is that device's certificate, or what Brume's root key says of it.
    """
    mesh = Mesh(33)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    first = mesh.c.device.kid
    mesh.succeed(mesh.c, mesh.a)
    mesh.log(mesh.c, mesh.govern(mesh.c.device, "member.leave", ("member", mesh.c.root.kid), {}))
    mesh.sign(mesh.c)
    liar = Party("Cime", random.Random(1))
    liar.root, liar.device = (mesh.b.root if strange else mesh.c.root), mesh.c.device
    mesh.seal(mesh.a, mesh.b)
    said = mesh.certify(liar, first)
    mesh.log(mesh.a, said)
    mesh.sign(mesh.a)
    mesh.tick(mesh.a, mesh.b)
    return mesh, grant, said


def left_by_a_stranger() -> Made:
    """The device that says that Cime leaves is certified by Brume's root key alone."""
    mesh, grant, said = departed(strange=True)
    made = reading.decode(mesh.prove(grant))
    kept = tuple(item for item in made.entries if b"predecessor" not in item.raw)
    assert len(kept) == len(made.entries) - 1
    return with_entry(mesh, replace(made, entries=kept), said).encode(), mesh.trust(), mesh.now


# Affiliates


def pairs(seed: int, *numbers: int) -> Rules:
    """Return rules under which some of the parties of a mesh with this seed are one group."""
    rng = random.Random(seed)
    kids = [Party(name, rng).root.kid for name in ("Aube", "Brume", "Cime")]
    return Rules(affiliations=(tuple(kids[number] for number in numbers),))


def affiliated(*, dissolved: bool = False, two: bool = False) -> tuple[Mesh, Grant]:
    """Aube and Brume are affiliated by the genesis; all attest, or these `two`. `dissolved`: by a ballot since."""
    mesh = Mesh(34, rules=pairs(34, 0, 1).encode())
    grant = mesh.grant()
    if dissolved:
        voter = min(mesh.a, mesh.b, key=lambda each: each.root.kid)  # who has the vote of both
        mesh.resolve(Rules(), voter)
        mesh.seal(voter)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, *([] if two else [mesh.c]))
    return mesh, grant


def allied(*, two: bool = False) -> tuple[Mesh, Grant]:
    """Aube and Brume are affiliated by a ballot, and sealed; all three attest, or these `two`."""
    mesh = Mesh(35)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.resolve(pairs(35, 0, 1), mesh.a, mesh.b)
    mesh.seal(mesh.a, mesh.b, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, *([] if two else [mesh.c]))
    return mesh, grant


def of_affiliates(*, by_ballot: bool) -> Made:
    """Two affiliated members attest, where any two members are asked for."""
    mesh, grant = allied(two=True) if by_ballot else affiliated(two=True)
    return mesh.prove(grant), mesh.trust(), mesh.now


# What a member knew


class Accused:
    """Aube holds data; the consent ends, she says that she knows, and serves, or sends, nevertheless.

    `late`: she says so after the checkpoint that the probe names. `revoked`: Brume ends it, and Aube's node registers
    Brume's word without a word of its own. `probed`: Cime asks for data; else Aube sends some to Brume.
    """

    def __init__(
        self, *, acknowledges: bool = True, late: bool = False, probed: bool = True, revoked: bool = False
    ) -> None:
        mesh = self.mesh = Mesh(36)
        self.grant = mesh.grant()
        self.first = mesh.tick(mesh.a, mesh.b)
        mesh.now += 60
        self.end = mesh.revoke(self.grant, mesh.b) if revoked else mesh.withdraw(self.grant, mesh.c)
        if revoked:
            mesh.log(mesh.a, self.end)
            mesh.sign(mesh.a)
        self.others = [self._said(mesh.b, self.end), self._said(mesh.a, self.grant.entry)]
        self.acknowledged = self.end
        if acknowledges and not late:
            self.acknowledged = mesh.acknowledge(self.grant, self.end, mesh.a)
        mesh.now += 10
        self.probes: list[Entry] = []
        if probed:
            self.probes = [mesh.probe(self.grant, self.end, mesh.a, mesh.c)]
        if acknowledges and late:
            self.acknowledged = mesh.acknowledge(self.grant, self.end, mesh.a)
        ended = mesh.tick(mesh.a, mesh.b)
        mesh.now += 20
        self.boundaries = [self.first.boundary, ended.boundary]
        self.moved = [] if probed else [mesh.move(self.grant, ended.frontier)]
        mesh.now += 10
        mesh.tick(mesh.a, mesh.b)

    def _said(self, party: Party, about: Entry) -> Entry:
        """Log in Aube's feed that a party acknowledges an entry."""
        payload, mesh = {"grant": self.grant.entry.id, "entry": about.id}, self.mesh
        own = mesh.a.device.kid
        entry = mesh._sign(party.device, "consent.acknowledge", self.grant.entry.thing, payload, own)
        mesh.log(mesh.a, entry)
        return entry

    def bundle(self, *, transfers: bool = False) -> bytes:
        """Return what a court gets; what was consented to is disclosed only where transfers are shown."""
        mesh = self.mesh
        chosen = Chosen(self.grant.entry.id, self.grant.disclosures if transfers else None)
        found, extras = [entry.id for entry in self.probes], Extras(transfers=self.moved if transfers else ())
        with mesh.store.read() as rows:
            shown = views(mesh, rows, self.boundaries)
            return make_conduct(rows, mesh.replica, shown, (mesh.a.root.kid, 1), found, [chosen], extras)


def of_conduct(bend: Callable[[Accused], Bundle]) -> Made:
    """Bend the bundle about what Aube did."""
    case = Accused()
    return bend(case).encode(), case.mesh.trust(), case.mesh.now


def acknowledged_by_another(case: Accused) -> Bundle:
    """Carry what Brume acknowledged, in a file about Aube."""
    return with_entry(case.mesh, reading.decode(case.bundle()), case.others[0])


def grant_acknowledged(case: Accused) -> Bundle:
    """Carry that Aube acknowledged the grant: that is no end."""
    return with_entry(case.mesh, reading.decode(case.bundle()), case.others[1])


def end_left_out(case: Accused) -> Bundle:
    """Leave the withdrawal out of which the finding and the tick speak."""
    made = reading.decode(case.bundle())
    kept = tuple(item for item in made.entries if item.raw not in (case.end.raw, case.acknowledged.raw))
    held = sorted({item.checkpoint for item in kept})
    entries = tuple(replace(item, checkpoint=held.index(item.checkpoint)) for item in kept)
    return replace(made, entries=entries, checkpoints=tuple(made.checkpoints[at] for at in held))


def other_member(case: Accused) -> Bundle:
    """Hold what Aube's device signed against Brume."""
    return replace(reading.decode(case.bundle()), about=(case.mesh.b.root.kid, 1))


# What a consent's value says beside its state


def standing(*more: Any, until: int = 0) -> Made:
    """The map's value says more, or names another end: so many seconds later."""
    forge = Forge()
    forge.consent = [*forge.consent, *more]
    forge.consent[2] += until
    return forge.bundle(), forge.mesh.trust(policy=MemberQuorum(1)), NOW


def of_type(name: str) -> Made:
    """The rules go along as something else."""
    mesh, grant = allied()
    made = reading.decode(mesh.prove(grant))
    (rules,) = made.attachments
    return replace(made, attachments=(replace(rules, media_type=name),)).encode(), mesh.trust(), mesh.now


ROWS: Final = (
    ("a successor that is not named", OURS, R.BAD_EPOCH, partial(of_heirs, nobody_named)),
    ("a successor of one who signed itself", OURS, R.BAD_EPOCH, partial(of_heirs, one_too_many)),
    ("a successor in another's stead", OURS, R.BAD_EPOCH, partial(of_heirs, in_another_stead)),
    ("a successor that did not sign", OURS, R.BAD_EPOCH, partial(of_heirs, the_one_before)),
    ("a grant for a successor's certificate", OURS, R.BAD_EPOCH, partial(of_heirs, not_a_certificate)),
    ("a gap in the line of successors", TUF + ": root chain", R.BAD_EPOCH, partial(of_heirs, gap_in_the_line)),
    ("a device that succeeds nobody", TUF + ": unauthorised key", R.BAD_EPOCH, another_device),
    ("a leave by a stranger's device", OURS, R.BAD_EPOCH, left_by_a_stranger),
    ("affiliates of the genesis", C2SP, R.INSUFFICIENT_WITNESSES, partial(of_affiliates, by_ballot=False)),
    ("affiliates by a ballot", C2SP, R.INSUFFICIENT_WITNESSES, partial(of_affiliates, by_ballot=True)),
    ("an acknowledgement by another", OURS, R.UNREFERENCED_ITEM, partial(of_conduct, acknowledged_by_another)),
    ("an acknowledgement of the grant", OURS, R.UNREFERENCED_ITEM, partial(of_conduct, grant_acknowledged)),
    ("an end that is not carried", OURS, R.BAD_STATE_PROOF, partial(of_conduct, end_left_out)),
    ("a probe of another member", OURS, R.BAD_STATE_PROOF, partial(of_conduct, other_member)),
    ("on a call of a group", OURS, R.NOT_CARRIED, partial(granted, call=bytes(32))),
    ("on a parent", OURS, R.NOT_CARRIED, partial(granted, parent=bytes(32))),
    ("transcribed from no paper", OURS, R.NO_PAPER, partial(granted, transcribed=True)),
    ("an amended consent", OURS, R.NOT_CARRIED, partial(standing, {"amended": [bytes(32)]})),
    (
        "an end that amendments put before",
        OURS,
        R.EXPIRED,
        partial(standing, {"amended": [bytes(32)]}, until=-40 * DAY),
    ),
    ("an end that amendments put off", OURS, R.BAD_STATE_PROOF, partial(standing, {"amended": [bytes(32)]}, until=1)),
    ("an earlier end by nothing", OURS, R.BAD_STATE_PROOF, partial(standing, {"signed": [bytes(32)]}, until=-1)),
    ("an empty map in a value", OURS, R.BAD_STATE_PROOF, partial(standing, {})),
    ("an unknown name in a value", OURS, R.BAD_STATE_PROOF, partial(standing, {"other": 1})),
    ("a name of another shape in a value", OURS, R.BAD_STATE_PROOF, partial(standing, {"amended": []})),
    (
        "a key in force of a consent that was handed on twice",
        OURS,
        R.BAD_STATE_PROOF,
        partial(standing, {"key": bytes(32), "contested": b"k" * 32}),
    ),
    (
        "a contest of another shape",
        OURS,
        R.BAD_STATE_PROOF,
        partial(standing, {"contested": True}),
    ),
    ("seven items in a value", OURS, R.BAD_STATE_PROOF, partial(standing, {"key": bytes(32)}, 0)),
    ("an unknown media type", SIG, R.MALFORMED, partial(of_type, "application/vnd.maille.rules+cbos")),
    ("a successor named twice", TUF + ": duplicate keys", R.MALFORMED, partial(of_heirs, heirs_twice)),
    ("a bare epoch with successors", OURS, R.MALFORMED, partial(of_heirs, bare_with_heirs)),
)
"""Lines of the catalogue: name, model, code, maker."""
