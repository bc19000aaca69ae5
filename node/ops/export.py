"""The operation `proof export`: what a proof shows, in the formats of other systems (proofs/exports).

How it works
    A grant is proven first, as `proof make --transfers` does; a bundle in a file is taken as it is. Either is verified
    with what this node knows of its mesh, and only what the verification bears out is exported. `cose-receipt` and
    `tlog-proof` say where the grant is logged, as this node holds it: the first is signed by its device, the second
    has the newest checkpoint of that feed that members cosign, with their lines.

What it does not do
    It decides nothing: a consent that has ended is exported as one that has ended.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from ledger import tree, witnessing
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from node.exits import not_found, usage
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from proofs.exports.shown import Shown

Format = Literal["cose-receipt", "tlog-proof", "iso27560", "kantara", "odrl", "prov"]

MEDIA_TYPES: Final[dict[str, str]] = {
    "cose-receipt": "application/scitt-statement+cose",
    "tlog-proof": "text/plain; charset=utf-8",
    "iso27560": "application/json",
    "kantara": "application/json",
    "odrl": "application/ld+json",
    "prov": "application/ld+json",
}
"""The media type of each format."""
MAX_AGE: Final = 86_400
"""Age of the newest tick, in seconds, up to which the verdict that goes along is no TRY_LATER."""


class ProofExportArgs(Args, frozen=True):
    """Which consent, and in which format."""

    consent: Annotated[str, said("The grant's id, or the beginning of it.", positional=True)] = ""
    as_: Annotated[Format, said("The format.")] = "iso27560"
    bundle: Annotated[bytes | None, said("A proof in a file, instead of a grant.", content=True)] = None
    field: Annotated[tuple[str, ...], said("A field to disclose; without any, all that are known.")] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class ProofExported(Result, frozen=True):
    """An export."""

    consent: Annotated[str, said("The grant's id.")]
    format: Annotated[str, said("The format.")]
    media_type: Annotated[str, said("Its media type.")]
    verdict: Annotated[str, said("What the verification of the proof said.")]
    reason: Annotated[str, said("The stable code of the reason.")]
    content: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


@operation("proof", "export", permission="operate")
async def proof_export(node: Node, args: ProofExportArgs) -> ProofExported:
    """Export a consent for other systems: where it is logged, a consent record, an agreement, what flowed.

    cose-receipt: the signed entry with an RFC 9942 receipt. tlog-proof: C2SP, for any tool that reads cosigned
    checkpoints. iso27560, kantara: consent records in JSON. odrl: an ODRL agreement with DPV terms. prov: the transfers
    in PROV-O.
    """
    from node.ops.proof import MakeArgs, proof_make

    mesh = node.mesh(args.mesh)
    if (args.bundle is None) == (not args.consent):
        raise usage("Name a grant, or a proof with --bundle FILE.", "consent")
    data = args.bundle
    if data is None:
        wanted = MakeArgs(args.consent, mesh=args.mesh, field=args.field, transfers=True)
        data = (await proof_make.handler(node, wanted)).proof

    def look(turn: Turn) -> ProofExported:
        shown, verdict, reason = _verified(turn, data)
        if args.as_ in ("cose-receipt", "tlog-proof"):
            content = _logged(turn, bytes.fromhex(shown.claims["grant"]), args.as_)
        else:
            content = json.dumps(_said(shown, args.as_), indent=2, ensure_ascii=False).encode() + b"\n"
        return ProofExported(shown.claims["grant"], args.as_, MEDIA_TYPES[args.as_], verdict, reason, content)

    return await mesh.engine.read(look)


def _verified(turn: Turn, data: bytes) -> tuple[Shown, str, str]:
    """Return what a bundle shows by what we know of the mesh, the verdict, and the code of its reason."""
    from proofs.exports.shown import Shown
    from proofs.policy import MemberQuorum
    from proofs.trust import Trust
    from proofs.verify import verify

    mesh_id, quorum = turn.core.replica.mesh_id, turn.core.policy.attestation_quorum
    report = verify(data, Trust(mesh_id, MemberQuorum(quorum), None, MAX_AGE), turn.now)
    if not report.claims:
        raise RemoteError(report.reason.name, f"This proof is refused: {report.message}", field="bundle")
    shown = Shown.of(report.claims, mesh_id.hex(), report.bundle["sha256"])
    return shown, report.indication.value, report.reason.name


def _said(shown: Shown, form: str) -> dict[str, Any]:
    from proofs.exports import odrl, prov, records

    made = {"iso27560": records.iso27560, "kantara": records.kantara, "odrl": odrl.odrl, "prov": prov.prov}
    return made[form](shown)


def _logged(turn: Turn, entry_id: bytes, form: str) -> bytes:
    """Return where an entry is logged, under the newest head of its feed that members cosign, else that is signed."""
    from proofs.exports.receipts import cose_receipt, transparent_statement
    from proofs.exports.tlog import note_of, tlog_proof

    replica, device = turn.core.replica, turn.core.device
    for number, index in replica.places(turn.rows, entry_id):
        feed = replica.feed_of(number)
        newest = witnessing.newest_of(turn.rows, feed)
        cosigned = newest.signed if newest is not None and newest.signed.size > index else None
        signed = cosigned or replica.signed_head(feed)
        if signed is None or signed.size <= index:
            continue
        head = Head(feed, signed.size, signed.root)
        raw, path = replica.leaf(turn.rows, feed, index).raw, tree.inclusion(turn.rows, number, index, head.size)
        if form == "cose-receipt":
            receipt = cose_receipt(device, replica.mesh_id, entry_id, head, index, path, turn.now)
            return transparent_statement(raw, [receipt])
        lines = [(feed, signed.time, signed.signature), *witnessing.cosignatures(turn.rows, feed, head)]
        keys = {kid: key for kid, _, _ in lines if (key := replica.feed_key(kid)) is not None}
        return tlog_proof(raw, entry_id, index, path, note_of(replica.mesh_id, head, lines, keys)).encode()
    raise not_found(f"No checkpoint is held here that covers entry {entry_id.hex()[:12]}.", "consent")
