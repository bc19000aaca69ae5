"""Records of consent of other systems, kept as evidence: in the vault's table `receipts`.

| key | value |
|---|---|
| "f", digest (32) | [1, the evidence with its salt, format, name of the file, the records] |

How it works
    The digest is the evidence's salted digest (ledger.consent.disclosure.Evidence), as it stands in a grant that names
    it. The records are what the file said, in the normal form of `node.adapters.consents.record`; the file itself is
    not kept: its SHA-256 is part of the evidence, and whoever has the file can show that it is the one.

What it does not do
    It is no consent, and the gate never looks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.disclosure import Evidence
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.adapters.consents.record import Foreign, Standing

TABLE: Final = "receipts"
ROW_MAX: Final = 32 << 20
"""Bytes of one row."""
_FOREIGN: Final = b"f"


@dataclass(frozen=True, slots=True)
class Imported:
    """One file of foreign records. `evidence`: its hash, salt and type; `form`: the name of its format."""

    evidence: Evidence
    form: str
    file: str
    records: tuple[Foreign, ...]

    @property
    def id(self) -> bytes:
        """The evidence's salted digest, 32 bytes."""
        return self.evidence.digest()


class ForeignRows:
    """The rows of this module."""

    def put(self, vault: Writer, imported: Imported) -> None:
        """Keep a file's records. Raises LocalError EVIDENCE_TOO_LARGE."""
        one = imported.evidence
        evidence = [one.salt, one.kind, one.sha256, one.media_type, one.captured_at]
        records = [_plain(record) for record in imported.records]
        row = codec.encode([1, evidence, imported.form, imported.file, records])
        if len(row) > ROW_MAX:
            told = f"The records have more than {ROW_MAX} bytes; import them in several files"
            raise LocalError("EVIDENCE_TOO_LARGE", told, field="file")
        vault.put(TABLE, _FOREIGN + imported.id, row)

    def get(self, vault: Reader, digest: bytes) -> Imported | None:
        """Return what is kept under a digest, or None."""
        found = vault.get(TABLE, _FOREIGN + digest)
        return None if found is None else _read(found)

    def listing(self, vault: Reader) -> Iterator[Imported]:
        """Yield every file, by its digest."""
        for _, data in vault.scan(TABLE, _FOREIGN, prefix_stop(_FOREIGN)):
            yield _read(data)

    def erase(self, vault: Writer, digest: bytes) -> None:
        """Destroy what is kept under a digest."""
        vault.delete(TABLE, _FOREIGN + digest)


def _plain(record: Foreign) -> Any:
    lists = {"points": list(record.points), "kinds": list(record.kinds)}
    return {**asdict(record), "standing": record.standing.value, **lists}


def _read(data: bytes) -> Imported:
    fields: Any = codec.decode(data, max_bytes=ROW_MAX)
    _, (salt, kind, sha256, media_type, captured_at), form, file, records = fields
    found = [
        Foreign(
            **{
                **record,
                "standing": Standing(record["standing"]),
                "points": tuple(record["points"]),
                "kinds": tuple(record["kinds"]),
            }
        )
        for record in records
    ]
    return Imported(Evidence(kind, sha256, media_type, captured_at, salt), form, file, tuple(found))
