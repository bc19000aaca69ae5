"""Certificates are verified once: a restart trusts this store's own rows, and `ledger verify` trusts none."""

from __future__ import annotations

from ledger.replica import Replica
from ledger.tables import VOUCHED_KEY
from ledger.verify import verify_ledger
from ledger.vouched import vouched
from tests.ledger.governance.polity import Polity
from tests.worlds import Node, deliver_all, octets


def sealed() -> tuple[Polity, Node, set[bytes]]:
    """Return a mesh that sealed thrice, a node that holds all of it, and the entries of the certificates."""
    polity = Polity("vouched")
    for _ in range(3):
        polity.join(polity.members[0])
        polity.seal()
    node = Node(polity.genesis)
    deliver_all(node, polity.scribes())
    found = {r.entry.id for r in polity.registrations() if r.entry.kind == "seal.certificate"}
    return polity, node, found


def faults(node: Node) -> set[str]:
    """Return the codes of what `ledger verify` finds."""
    with node.store.read() as rows:
        return {fault.code for fault in verify_ledger(rows, lambda _done, _total: None).faults}


def test_what_was_verified_is_kept_and_not_verified_again() -> None:
    _, node, certificates = sealed()
    with node.store.read() as rows:
        assert vouched(rows) == certificates
        again = Replica.load(rows)
    assert again.members == node.replica.members
    assert again.members.n == 3
    assert again.chain.verified() == []
    assert faults(node) == set()


def test_without_rows_all_is_verified_anew_and_means_the_same() -> None:
    _, node, certificates = sealed()
    node.take(lambda rows: [rows.delete("meta", VOUCHED_KEY + ident) for ident in certificates])
    with node.store.read() as rows:
        again = Replica.load(rows)
    assert again.members == node.replica.members
    assert set(again.chain.verified()) == certificates
    assert faults(node) == set()


def test_a_transaction_that_is_rolled_back_vouches_for_nothing() -> None:
    polity, node, _ = sealed()
    polity.seal()
    with node.store.read() as rows:
        before = vouched(rows)
    scribe = polity.members[0].scribe
    start = node.replica.size(scribe.feed)
    run = scribe.run(start, len(scribe.raws), scribe.sign(polity.now))
    try:
        with node.store.write() as rows:
            node.replica.ingest(rows, run, polity.now)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        with node.store.read() as rows:
            node.replica.reload(rows)
            assert vouched(rows) == before
    assert node.ingest(run) == ""
    assert node.replica.members.n == 4
    assert faults(node) == set()


def test_verify_holds_every_row_to_the_signatures() -> None:
    polity, node, certificates = sealed()
    other = next(r.entry.id for r in polity.registrations() if r.entry.kind == "seal.frontier")
    for ident, value in ((octets("nothing"), b""), (other, b""), (min(certificates), b"\x01"), (b"short", b"")):
        _, node, _ = sealed()
        with node.store.write() as rows:
            rows.put("meta", VOUCHED_KEY + ident, value)
        assert faults(node) == {"VOUCHED_ROW"}
