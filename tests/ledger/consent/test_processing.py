"""Records of processing: what is stated opens with its own record alone; malformed ones are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger import codec, kinds
from ledger.consent.processing import HASHES_MAX, Record, payload
from ledger.errors import LocalError, RemoteError

RECORD = Record(bytes(16), b"\x07" * 16, 1_800_000_000, "monthly sums", (bytes(32),), (b"\x01" * 32,), (b"\x02" * 32,))


@pytest.mark.covers("R96")
def test_a_record_opens_its_statement_and_no_other() -> None:
    said = payload([RECORD])
    kinds.check("processing.record", ("transfers", bytes(32)), codec.decode(codec.encode(said)), has_epoch=False)
    assert Record.read(codec.decode(codec.encode(RECORD.value()))) == RECORD
    assert said["records"] == [[RECORD.id, RECORD.digest()]]
    changes: list[dict[str, Any]] = [{"operation": "sums"}, {"at": 1}, {"consents": ()}, {"inputs": RECORD.outputs}]
    for change in [*changes, {"salt": bytes(16)}, {"outputs": ()}, {"id": b"\x01" * 16}]:
        assert replace(RECORD, **change).digest() != RECORD.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "  "},
        {"operation": "x" * 501},
        {"inputs": (b"short",)},
        {"inputs": (bytes(32),) * (HASHES_MAX + 1)},
        {"inputs": (), "outputs": ()},
    ],
)
def test_what_is_no_record_is_not_stated_nor_read(change: dict[str, Any]) -> None:
    wrong = replace(RECORD, **change)
    with pytest.raises(LocalError) as refused:
        payload([wrong])
    assert refused.value.code == "BAD_RECORD"
    with pytest.raises(RemoteError):
        Record.read(wrong.value())


@pytest.mark.parametrize(
    "value", [None, [], [bytes(16)], [bytes(15), *RECORD.value()[1:]], [*RECORD.value()[:-1], [1]]]
)
def test_malformed_values_are_refused(value: Any) -> None:
    with pytest.raises(RemoteError) as refused:
        Record.read(value)
    assert refused.value.code == "BAD_RECORD"
