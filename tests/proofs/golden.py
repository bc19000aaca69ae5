"""Golden bundles: proofs that were made once with version 1, and that every later verifier must judge the same.

How it works
    `made` makes bundles of each selection from fixed seeds, in sets: what came later is a set of its own. In
    tests/golden/proofs stand the files as they were made, and for each set the verdicts: what an auditor brings, what
    she is told, and the hash of the file. `python -m tests.proofs.golden` writes the files that are missing, and only
    those: what is there is never written again.

What it does not do
    A later maker may give other bytes: the files are held to their verdicts, not to the maker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from proofs.bundle import Attachment
from proofs.make import Chosen, Extras, make_conduct
from proofs.policy import MemberQuorum
from proofs.presentation import present
from proofs.trust import Card, Trust
from proofs.verify import verify
from tests.proofs import negatives_calls, negatives_parents, negatives_rests
from tests.proofs.findings import every_finding, withdrawn_early
from tests.proofs.mesh import MAX_AGE, Mesh
from tests.proofs.negatives_members import Accused, allied, departed, inherited
from tests.proofs.rests import everything
from tests.proofs.test_selections import forked, period, two_consents, views

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "proofs"
SUFFIX = ".mailleproof"


@cache
def made() -> Mapping[str, bytes]:
    """Return the content of every golden file, by name."""
    return {**first(), **second(), **third(), **fourth()}


def first() -> dict[str, bytes]:
    """Return the set that was made with version 1."""
    mesh = Mesh(20)
    one, other = mesh.grant(), mesh.grant()
    pinned = mesh.seal(mesh.a, mesh.b)
    newest = mesh.seal(mesh.a, mesh.b, mesh.c)
    first = mesh.tick(mesh.a, mesh.b, mesh.c)
    mesh.now += 60
    moved = [mesh.move(one, first.frontier), mesh.move(other, first.frontier)]
    mesh.now += 10
    second = mesh.tick(mesh.a, mesh.b)
    mesh.now += 30
    mesh.grant()
    mesh.withdraw(other, mesh.c, seen=mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b, mesh.c)
    ticks = [first.boundary, second.boundary]
    both: dict[str, Any] = {"first": ticks[0], "between": ticks[1:]}
    bundles = {
        "active": mesh.prove(one),
        "pinned": mesh.prove(one, epoch=newest, witnesses=3, fields=["purpose", "pii_type", "points"]),
        "chain": mesh.prove(one, epoch=pinned, first=ticks[0]),
        "erased": mesh.prove(one, erased=True),
        "withdrawn": mesh.prove(other, **both),
        "transfers": mesh.prove(one, transfers=moved[:1], **both),
        "transfers.withdrawn": mesh.prove(other, transfers=moved[1:], **both),
        "presented": present(mesh.prove(one), mesh.a.device, "cnil.example", b"nonce", mesh.now),
        "period": period(mesh, [one, other], moved, ticks),
    }
    finding = forked(mesh, mesh.c)
    with mesh.store.read() as rows:
        chosen, extras = [Chosen(other.entry.id, other.disclosures)], Extras(transfers=moved[1:])
        party, shown = (mesh.c.root.kid, 1), views(mesh, rows, ticks)
        bundles["conduct"] = make_conduct(rows, mesh.replica, shown, party, [finding.id], chosen, extras)
    asked: dict[str, dict[str, Any]] = {
        "withdrawn": {"at": ticks[0]},
        "transfers": {"at": ticks[0]},
        "transfers.withdrawn": {"at": ticks[0]},
        "pinned": {"epoch": newest.hex()},
        "chain": {"epoch": pinned.hex()},
        "presented": {"audience": "cnil.example", "nonce": b"nonce".hex()},
    }
    card = Card(mesh.genesis.name, mesh.genesis.mesh_id, newest, 2, mesh.replica.chain.newest.as_of, "")
    verdicts = {name: verdict(mesh, data, **asked.get(name, {})) for name, data in bundles.items()}
    return {**files(bundles, verdicts, "verdicts.json"), "card.json": card.encode().encode()}


def second() -> dict[str, bytes]:
    """Return the set with successors, affiliates, acknowledgements and papers."""
    scan = b"%PDF- a signed mandate"
    paper = Mesh(37)
    signed = paper.grant(transcribed=True, evidence=[sha256(scan).digest()])
    paper.tick(paper.a, paper.b)
    scanned = [Attachment(sha256(scan).digest(), "application/pdf", scan)]
    succeeded, gone, ballot = inherited(2), departed()[:2], allied()
    probed, sent = Accused(), Accused(probed=False)
    pinned = succeeded[0].replica.chain.newest.reference
    of_mesh = {
        "successor": (succeeded[0], succeeded[0].prove(succeeded[1], witnesses=3), {}),
        "successor.pinned": (succeeded[0], succeeded[0].prove(succeeded[1], epoch=pinned), {"epoch": pinned.hex()}),
        "successor.left": (gone[0], gone[0].prove(gone[1]), {}),
        "affiliates": (ballot[0], ballot[0].prove(ballot[1], witnesses=3), {}),
        "conduct.probed": (probed.mesh, probed.bundle(), {}),
        "conduct.sent": (sent.mesh, sent.bundle(transfers=True), {}),
        "transcribed": (paper, paper.prove(signed, attachments=scanned), {}),
    }
    verdicts = {name: verdict(mesh, data, **asked) for name, (mesh, data, asked) in of_mesh.items()}
    return files({name: data for name, (_, data, _) in of_mesh.items()}, verdicts, "verdicts.2.json")


def third() -> dict[str, bytes]:
    """Return the set with every finding, a presented period, an end that cosigners knew early, and a class."""
    sealing, early, to_class = Mesh(21), Mesh(22), Mesh(23)
    findings = every_finding(sealing, sealing.c)
    ended, at = withdrawn_early(early, 1_000)
    whole, bundle = two_consents()
    presented = present(bundle, whole.a.device, "cnil.example", b"nonce", whole.now)
    given = to_class.grant(recipient=["balance responsible parties"])
    tick = to_class.tick(to_class.a, to_class.b)
    to_class.now += 60
    moved = to_class.move(given, tick.frontier, acked=False)
    to_class.now += 60
    to_class.tick(to_class.a, to_class.b)
    of_class = to_class.prove(given, first=tick.boundary, transfers=[moved])
    of_mesh: dict[str, tuple[Mesh, bytes, dict[str, Any]]] = {
        "conduct.findings": (sealing, findings, {}),
        "period.presented": (whole, presented, {"audience": "cnil.example", "nonce": b"nonce".hex()}),
        "cosigned": (early, ended, {"at": at}),
        "class": (to_class, of_class, {"at": tick.boundary}),
    }
    verdicts = {name: verdict(mesh, data, **asked) for name, (mesh, data, asked) in of_mesh.items()}
    return files({name: data for name, (_, data, _) in of_mesh.items()}, verdicts, "verdicts.3.json")


def fourth() -> dict[str, bytes]:
    """Return the set with what consents rest on, and what was added to them."""
    honest = {
        "delegated": negatives_rests.chained(("mia", "noa", "ola"), negatives_rests.BELOW),
        "delegated.revoked": negatives_rests.revoked(after=300),
        "guardian": negatives_rests.guarded("checked_ok"),
        "shared": negatives_parents.shared(),
        "amended": negatives_parents.sent_under(negatives_parents.NARROW, first=False),
        "signed": negatives_parents.signed("pmo", "grid"),
        "collective": negatives_calls.decided(refused="noa"),
        "collective.refused": negatives_calls.decided(refused="mia"),
    }
    mesh, child, how = everything()
    honest["rested"] = mesh.prove(child, **how), mesh.trust(at=how["first"]), mesh.now
    verdicts = {}
    for name, (data, trust, now) in honest.items():
        brought = {"at": trust.at, "epoch": None, "audience": None, "nonce": None, "genesis": trust.genesis.hex()}
        verdicts[name] = judged(data, brought, now)
    return files({name: data for name, (data, _, _) in honest.items()}, verdicts, "verdicts.4.json")


def judged(data: bytes, brought: dict[str, Any], now: int) -> dict[str, Any]:
    """Return what an auditor brings at a time, and what she is told."""
    report = verify(data, trusted(brought), now)
    told = {"now": now, "reason": report.reason.name, "checks": rows_of(report)}
    return {**brought, **told, "sha256": sha256(data).hexdigest()}


def verdict(mesh: Mesh, data: bytes, **asked: Any) -> dict[str, Any]:
    """Return what an auditor brings, and what she is told."""
    brought = {"at": None, "epoch": None, "audience": None, "nonce": None, **asked}
    brought["genesis"] = mesh.genesis.mesh_id.hex()
    return judged(data, brought, mesh.now)


def files(bundles: Mapping[str, bytes], verdicts: Mapping[str, Any], name: str) -> dict[str, bytes]:
    """Return the files of a set."""
    told = (json.dumps(verdicts, indent=1) + "\n").encode()
    return {**{f"{each}{SUFFIX}": data for each, data in bundles.items()}, name: told}


def trusted(brought: Mapping[str, Any]) -> Trust:
    """Return what the auditor of a golden bundle brings."""
    epoch, nonce = (bytes.fromhex(brought[name]) if brought[name] else None for name in ("epoch", "nonce"))
    genesis = bytes.fromhex(brought["genesis"])
    return Trust(genesis, MemberQuorum(2), brought["at"], MAX_AGE, epoch, brought["audience"], nonce)


def rows_of(report: Any) -> list[list[str | None]]:
    """Return the rows of a report that later verifiers must give alike: id, status, reason."""
    return [[row.id, row.status.value, row.reason.name if row.reason else None] for row in report.checks]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, content in made().items():
        if not (FOLDER / file).exists():
            (FOLDER / file).write_bytes(content)
            print("written:", file)
