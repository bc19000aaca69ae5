"""Assembling a bundle: what is missing is said with the command that helps, and the bytes are as specified."""

from __future__ import annotations

import re
from pathlib import Path

import pycddl
import pytest

from ledger import codec
from ledger.checkpoint import Checkpoint, verify_cosignature
from ledger.errors import LocalError
from ledger.replica import Replica
from ledger.ticks import Ticker
from proofs import reading
from proofs.bundle import BUNDLE_BYTES_MAX
from proofs.make import make
from proofs.past import view_at
from storage.memory import MemoryStore
from tests.proofs.both import verify
from tests.proofs.golden import FOLDER
from tests.proofs.mesh import Mesh

README = Path(__file__).resolve().parents[2] / "proofs" / "README.md"


def check_refused(mesh: Mesh, grant_id: bytes, code: str, hint: str) -> None:
    """Hold `make` to an error with a hint."""
    with mesh.store.read() as rows, pytest.raises(LocalError) as caught:
        make(rows, mesh.replica, mesh.ticker, grant_id, None)
    assert caught.value.code == code
    assert hint in str(caught.value)


def test_what_is_missing_is_said() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    check_refused(mesh, grant.entry.id, "NO_TICK", "maille tick run")
    mesh.tick(mesh.a)
    check_refused(mesh, grant.entry.id, "NOT_ATTESTED", "1 of 2 members")
    check_refused(mesh, grant.entry.id, "NOT_ATTESTED", "maille tick")
    mesh.now += 5
    fresh = mesh.grant()
    check_refused(mesh, fresh.entry.id, "GRANT_NOT_IN_TICK", "maille tick")
    check_refused(mesh, bytes(32), "GRANT_NOT_IN_TICK", "maille tick")
    check_refused(mesh, mesh.genesis.mesh_id, "GRANT_NOT_IN_TICK", "name a grant")


def test_a_party_that_never_was_a_member() -> None:
    mesh = Mesh()
    grant = mesh.grant(recipient=[bytes(32), 1])
    mesh.tick(mesh.a, mesh.b)
    check_refused(mesh, grant.entry.id, "NOT_A_MEMBER", "00000000")


def test_fields_are_chosen_with_care() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    for fields, code in (([], "NO_FIELDS"), (["salary"], "DISCLOSURE_MISSING")):
        with pytest.raises(LocalError) as caught:
            mesh.prove(grant, fields=fields)
        assert caught.value.code == code
    with pytest.raises(LocalError, match="later boundary"):
        mesh.prove(grant, first=mesh.now - 1)


def test_the_maps_of_an_earlier_tick_are_rebuilt_alike() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    first = newest = mesh.tick(mesh.a, mesh.b)
    for _ in range(3):
        mesh.now += 10
        mesh.withdraw(grant, mesh.c)
        mesh.grant()
        newest = mesh.tick(mesh.a, mesh.b)
    with mesh.store.read() as rows:
        for tick in (first, newest):
            view = view_at(rows, mesh.replica, tick.boundary)
            assert view.ticker.tick == tick == view_at(rows, mesh.replica, tick).ticker.tick
            assert view.ticker.members.prove(view.rows, mesh.b.root.kid)[0] is not None
            assert view.rows.count("maps") == len(list(view.rows.scan("maps", b"")))
            assert view.rows.last("maps", b"c") == next(view.rows.scan("maps", b"c", b"d", limit=1, reverse=True))
        before = Ticker(mesh.replica)
        before.load(rows)
        assert before.tick == newest, "the store itself did not move"


def test_equal_contents_are_equal_bytes() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    bundle = mesh.prove(grant)
    assert reading.decode(bundle).encode() == bundle == mesh.prove(grant)


def test_the_checkpoints_are_c2sp_notes() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    bundle = reading.decode(mesh.prove(grant))
    publics = {party.device.kid: party.device.public for party in (mesh.a, mesh.b)}
    for item in bundle.checkpoints:
        note = Checkpoint.parse(item.note(mesh.genesis.mesh_id, publics[item.head.feed]))
        assert verify_cosignature(note, note.cosignatures[0], publics[item.head.feed])


def test_the_bytes_are_as_the_specification_says() -> None:
    match = re.search(r"```cddl\n(.*?)```", README.read_text(), re.DOTALL)
    assert match is not None
    schema = pycddl.Schema(match[1])
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.b, mesh.c).boundary
    mesh.now += 10
    mesh.withdraw(grant, mesh.a)
    mesh.tick(mesh.a, mesh.b)
    for bundle in (mesh.prove(grant), mesh.prove(grant, first=first), mesh.prove(grant, erased=True)):
        schema.validate_cbor(bundle)
        assert verify(bundle, mesh.trust(), mesh.now).as_json()["claims"]
        value = codec.decode(bundle, max_bytes=BUNDLE_BYTES_MAX)
        assert isinstance(value, dict)
        with pytest.raises(pycddl.ValidationError):
            schema.validate_cbor(codec.encode({**value, 2: "other"}))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.mailleproof")), ids=lambda path: path.stem)
def test_golden_bundles_are_as_the_specification_says(path: Path) -> None:
    match = re.search(r"```cddl\n(.*?)```", README.read_text(), re.DOTALL)
    assert match is not None
    pycddl.Schema(match[1]).validate_cbor(path.read_bytes())
    assert reading.decode(path.read_bytes()).encode() == path.read_bytes()


def test_a_second_store_makes_the_same_proof() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    bundle = mesh.prove(grant)
    copy = MemoryStore()
    with mesh.store.read() as rows, copy.write() as into:
        for table in ("meta", "feeds", "entries", "ids", "heads", "things", "nodes", "maps"):
            for key, value in rows.scan(table, b""):
                into.put(table, key, value)
    with copy.read() as rows:
        replica = type(mesh.replica).load(rows)
        ticker = Ticker(replica)
        ticker.load(rows)
        assert make(rows, replica, ticker, grant.entry.id, grant.disclosures) == bundle


def test_a_certificate_from_before_its_epoch_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh()
    mesh.now -= 1
    early = mesh.certify(mesh.b)
    mesh.now += 1
    with monkeypatch.context() as lax:  # Aube's node lets pass what others hold to have no effect
        lax.setattr(Replica, "closure_iat", lambda *_: 0)
        mesh.log(mesh.a, early)
    grant = mesh.grant()
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    kinds = [each.entry for each in mesh.replica.registrations if each.entry.thing == early.thing]
    assert kinds[0].id == early.id, "it is the first that is found"
    bundle = mesh.prove(grant)
    assert early.id not in {item.id for item in reading.decode(bundle).entries}
    assert verify(bundle, mesh.trust(), mesh.now).exit_code == 0
