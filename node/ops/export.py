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

import io
import json
import zipfile
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from ledger import tree, witnessing
from ledger.checkpoint import Head
from ledger.errors import RemoteError
from node.exits import not_found, usage
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
LOGGED: Final = ("cose-receipt", "tlog-proof")
"""The formats that are about where an entry is logged."""
OF_CONDUCT: Final = (*LOGGED, "prov")
"""The formats of a file about a conduct."""
SUFFIXES: Final = {"cose-receipt": "cose", "tlog-proof": "tlog-proof", "odrl": "jsonld", "prov": "jsonld"}
ARCHIVE: Final = "application/zip"


class ProofExportArgs(Args, frozen=True):
    """Which consent, and in which format."""

    consent: Annotated[str, said("The grant's id, or the beginning of it.", positional=True)] = ""
    as_: Annotated[Format, said("The format.")] = "iso27560"
    bundle: Annotated[bytes | None, said("A proof in a file, instead of a grant.", content=True)] = None
    field: Annotated[tuple[str, ...], said("A field to disclose; without any, all that are known.")] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class ProofExported(Result, frozen=True):
    """An export."""

    consent: Annotated[str, said("The grant's id; empty where the proof is not about one consent.")]
    format: Annotated[str, said("The format.")]
    media_type: Annotated[str, said("Its media type.")]
    verdict: Annotated[str, said("What the verification of the proof said.")]
    reason: Annotated[str, said("The stable code of the reason.")]
    content: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]
    items: Annotated[int, said("Consents or entries that it holds.")] = 1


@operation("proof", "export", permission="operate")
async def proof_export(node: Node, args: ProofExportArgs) -> ProofExported:
    """Export a consent for other systems: where it is logged, a consent record, an agreement, what flowed.

    cose-receipt: the signed entry with an RFC 9942 receipt. tlog-proof: C2SP, for any tool that reads cosigned
    checkpoints. iso27560, kantara: consent records in JSON. odrl: an ODRL agreement with DPV terms. prov: the transfers
    in PROV-O. Of a period's proof all but prov give an archive; a conduct's has cose-receipt, tlog-proof and prov.
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
        shown, selection, verdict = _verified(turn, data)
        if selection == "conduct" and args.as_ not in OF_CONDUCT:
            told = f"{args.as_} is of what somebody consented to, and this is a file about a member's conduct"
            raise usage(f"{told}; {', '.join(OF_CONDUCT)} work for it, every format for a consent or a period.", "as")
        if selection == "consent" or args.as_ == "prov":
            grant = shown[0].claims["grant"] if selection == "consent" else ""
            content = _whole(turn, shown, args.as_)
            return ProofExported(grant, args.as_, MEDIA_TYPES[args.as_], *verdict, content, len(shown))
        files = _each(turn, shown, data, args.as_)
        return ProofExported("", args.as_, ARCHIVE, *verdict, _archive(files), len(files))

    return await mesh.engine.read(look)


def _verified(turn: Turn, data: bytes) -> tuple[list[Shown], str, tuple[str, str]]:
    """Return the consents that a bundle shows by what we know of the mesh, its selection, and (verdict, reason)."""
    from proofs.exports.shown import Shown
    from proofs.policy import MemberQuorum
    from proofs.trust import Trust
    from proofs.verify import verify

    mesh_id, quorum = turn.core.replica.mesh_id, turn.core.policy.attestation_quorum
    report = verify(data, Trust(mesh_id, MemberQuorum(quorum), None, MAX_AGE), turn.now)
    if not report.claims:
        raise RemoteError(report.reason.name, f"This proof is refused: {report.message}", field="bundle")
    selection = str(report.bundle["selection"])
    consents = [report.claims] if selection == "consent" else report.claims["consents"]
    shown = [Shown.of(claims, mesh_id.hex(), report.bundle["sha256"]) for claims in consents]
    return shown, selection, (report.indication.value, report.reason.name)


def _whole(turn: Turn, shown: Sequence[Shown], form: str) -> bytes:
    """Return the one file of a consent, or the transfers of all."""
    from proofs.exports.prov import prov

    if form in LOGGED:
        return _logged(turn, bytes.fromhex(shown[0].claims["grant"]), form)
    return _json(prov(*shown) if form == "prov" else _said(shown[0], form))


def _each(turn: Turn, shown: Sequence[Shown], data: bytes, form: str) -> dict[str, bytes]:
    """Return a file for each consent, or, of what is logged, for each entry of the bundle."""
    from ledger.entry import Entry
    from proofs import reading

    suffix = SUFFIXES.get(form, "json")
    if form not in LOGGED:
        return {f"{each.claims['grant']}.{suffix}": _json(_said(each, form)) for each in shown}
    entries = [Entry.parse(item.raw) for item in reading.decode(data).entries]
    return {f"{entry.kind}-{entry.id.hex()}.{suffix}": _logged(turn, entry.id, form) for entry in entries}


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return files as a ZIP archive whose bytes follow from theirs."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content)  # of 1980: an archive has no time of its own
    return made.getvalue()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _said(shown: Shown, form: str) -> dict[str, Any]:
    from proofs.exports import odrl, records

    made = {"iso27560": records.iso27560, "kantara": records.kantara, "odrl": odrl.odrl}
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
