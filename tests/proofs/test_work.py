"""How much work a bundle can ask of its verifier: no more than grows with its size; counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import pytest

from ledger.checkpoint import Head
from ledger.consent.status import Party
from proofs import reading
from proofs.bundle import Bundle
from proofs.evidence import Evidence
from proofs.policy import MemberQuorum, Witness, earliest
from proofs.reasons import Reason
from proofs.verify import verify
from tests.proofs.mesh import Mesh
from tests.proofs.test_extras import signed_by
from tests.proofs.test_flows import Case


@dataclass(frozen=True, slots=True)
class Counting(MemberQuorum):
    """A quorum that counts how often it is asked."""

    asked: list[int]

    def enough(self, witnesses: AbstractSet[Witness], mesh_id: bytes) -> bool:
        """Count, and answer."""
        self.asked.append(len(witnesses))
        return MemberQuorum.enough(self, witnesses, mesh_id)


def asked_for(transfers: int) -> int:
    """Return how often the quorum is asked where a consent ended that so many transfers were made under."""
    case = Case()
    mesh = case.mesh
    moved = []
    for _ in range(transfers):
        moved.append(case.move())
        mesh.now += 1
    mesh.withdraw(case.grant, mesh.c)
    between = []
    for _ in range(3):
        mesh.now += 5
        between.append(mesh.tick(mesh.a, mesh.b).boundary)
    policy = Counting(2, [])
    bundle = case.prove(*moved, between=between)
    report = verify(bundle, mesh.trust(at=case.first.boundary, policy=policy), mesh.now)
    assert report.reason is Reason.CONCURRENT_WITHDRAWAL
    assert len(report.claims["transfers"]) == transfers
    return len(policy.asked)


def test_more_transfers_under_an_ended_consent_ask_the_quorum_no_more() -> None:
    assert asked_for(1) == asked_for(7)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64])
def test_the_time_of_a_quorum_is_found_in_few_steps(count: int) -> None:
    witnesses = frozenset(Witness(bytes(32), bytes([at]) * 32, 5 * at) for at in range(count))
    for k in (1, count // 2 + 1, count + 1):
        policy = Counting(k, [])
        assert earliest(policy, witnesses, bytes(32)) == (5 * (k - 1) if k <= count else None)
        assert len(policy.asked) <= 7


def cosigned(mesh: Mesh, made: Bundle, time: int) -> Bundle:
    """Return the bundle with a cosignature by Cime on each checkpoint of others."""

    def with_hers(head: Head) -> Iterator[object]:
        if head.feed != mesh.c.device.kid:
            yield signed_by(mesh, mesh.c, head, time)

    listed = tuple(replace(item, cosigned=tuple(with_hers(item.head))) for item in made.checkpoints)  # type: ignore[arg-type]
    return replace(made, checkpoints=listed)


def test_a_witness_is_traced_to_the_genesis_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.b, mesh.c)
    mesh.now += 60
    moved = [mesh.move(grant, first.frontier) for _ in range(5)]
    mesh.now += 10
    mesh.tick(mesh.b, mesh.c)
    made = reading.decode(mesh.prove(grant, first=first.boundary, transfers=moved, witnesses=2))
    made = cosigned(mesh, made, mesh.now)
    assert sum(len(item.cosigned) for item in made.checkpoints) > 2
    traced: list[Party] = []
    inviters = Evidence._inviters

    def counted(self: Evidence, party: Party) -> Iterator[tuple[Party, set[int]]]:
        traced.append(party)
        return inviters(self, party)

    monkeypatch.setattr(Evidence, "_inviters", counted)
    assert verify(made.encode(), mesh.trust(at=first.boundary), mesh.now).reason is Reason.ACTIVE
    assert traced == [(mesh.c.root.kid, 1)]
