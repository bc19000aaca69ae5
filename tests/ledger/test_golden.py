"""Golden files: the bytes of every kind stay what they were, and fit their CDDL."""

from __future__ import annotations

from pathlib import Path

import pycddl
import pytest

from ledger import codec, kinds
from ledger.entry import Entry
from tests.golden import FOLDER, files

CDDL = (Path(kinds.__file__).parent / "entry.cddl").read_text(encoding="utf-8")
FILES = files()


def validate(rule: str, cddl: str, data: bytes) -> None:
    """Hold bytes to one rule of a CDDL text."""
    pycddl.Schema(f"start = {rule}\n{cddl}").validate_cbor(data)


@pytest.mark.parametrize("name", FILES)
def test_bytes_are_those_decided(name: str) -> None:
    assert FILES[name] == (FOLDER / name).read_bytes()


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix in {".cbor", ".txt"}} == set(FILES)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_an_entry_of_each_kind_decodes_and_fits_its_cddl(kind: str) -> None:
    raw = (FOLDER / f"{kind}.cbor").read_bytes()
    entry = Entry.decode(raw)
    protected, _, payload, _ = codec.decode_sign1(raw)
    assert entry.kind == kind
    assert isinstance(protected, bytes)
    assert isinstance(payload, bytes)
    validate("entry", CDDL, raw)
    validate("genesis-header" if kind == "genesis" else "entry-header", CDDL, protected)
    validate(kind.replace(".", "-"), kinds.cddl(), payload)


def test_every_field_of_every_kind_is_in_its_sample() -> None:
    for kind, row in kinds.KINDS.items():
        paths = [path for path in (FOLDER / f"{kind}.cbor", FOLDER / f"{kind}.2.cbor") if path.exists()]
        missing = row.fields.keys() - {name for path in paths for name in Entry.decode(path.read_bytes()).payload}
        assert missing <= ({"parent"} if kind == "genesis" else set()), kind


def test_the_cddl_refuses_other_headers() -> None:
    protected, *_ = codec.decode_sign1((FOLDER / "member.leave.cbor").read_bytes())
    assert isinstance(protected, bytes)
    header = codec.decode(protected)
    assert isinstance(header, dict)
    for label in header:
        without = codec.encode({key: value for key, value in header.items() if key != label})
        if label == -70002:
            validate("entry-header", CDDL, without)
            continue
        with pytest.raises(pycddl.ValidationError):
            validate("entry-header", CDDL, without)
