"""Zip archives: every member by its own content, one after another, and no bomb, no cipher, no archive within."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import RemoteError
from node.adapters import archive, registry
from node.adapters.adapter import Parsed, Source
from tests.node.adapters.test_enedis_layouts import ROWS, curve
from tests.node.adapters.test_enedis_services import POINT, ROW, r50


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for name, content in files:
            made.writestr(name, content)
    return stream.getvalue()


CURVES = [(f"p{n}.csv", curve(f"1234567890{n:04}", *ROWS).encode()) for n in range(3)]


def test_an_account_comes_as_a_zip_of_files_each_in_its_format() -> None:
    data = packed(*CURVES, ("flow/", b""), ("flow/r50.xml", r50((POINT, ROW))))
    found = [one.series.key.point for one in registry.read(data, Source()) if isinstance(one, Parsed)]
    assert found == [f"prm:1234567890{n:04}" for n in range(3)] + [f"prm:{POINT}"]


def test_a_fault_names_the_member_and_refuses_all() -> None:
    broken = CURVES[1][1].replace(b"+01:00;3", b"+01:00;x")
    with pytest.raises(RemoteError) as error:
        list(registry.read(packed(CURVES[0], ("p1.csv", broken)), Source("a.zip")))
    assert error.value.field == "a.zip: p1.csv, line 6, Valeur"


def test_a_member_without_a_name_is_read_by_its_content() -> None:
    changed = bytearray(packed(("x", CURVES[0][1])))
    changed[30] = changed[changed.index(b"PK\x01\x02") + 46] = 0  # the name ends before it begins
    nameless = bytes(changed)
    assert zipfile.ZipFile(io.BytesIO(nameless)).infolist()[0].filename == ""
    assert len(list(registry.read(nameless, Source()))) == 1


def encrypted(data: bytes) -> bytes:
    """Return an archive that says that its member is encrypted."""
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (packed(), "NOTHING_READ"),
        (packed(("readme.txt", b"hello")), "UNKNOWN_FORMAT"),
        (packed(("within.zip", packed(CURVES[0]))), "BAD_ZIP"),
        (packed(("[Content_Types].xml", b"<Types/>")), "BAD_ZIP"),
        (packed(CURVES[0], method=zipfile.ZIP_BZIP2), "BAD_ZIP"),
        (packed(CURVES[0])[:-10], "BAD_ZIP"),
        (encrypted(packed(CURVES[0])), "BAD_ZIP"),
        (packed(("big", b"0" * (archive.MAX_MEMBER_BYTES + 1))), "BAD_ZIP"),
        (packed(*((str(n), b"") for n in range(archive.MAX_MEMBERS + 1))), "BAD_ZIP"),
    ],
)
def test_what_is_no_such_archive_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(RemoteError) as error:
        list(registry.read(data, Source()))
    assert error.value.code == code


def test_all_members_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(RemoteError, match="together"):
        list(registry.read(packed(*CURVES), Source()))
    monkeypatch.setattr(registry, "MAX_TOTAL_RECORDS", 4)
    monkeypatch.undo()
    monkeypatch.setattr(registry, "MAX_TOTAL_RECORDS", 4)
    with pytest.raises(RemoteError) as error:
        list(registry.read(packed(*CURVES), Source()))
    assert error.value.code == "TOO_MANY_RECORDS"


@given(st.data())
def test_a_changed_byte_is_an_error_or_changes_nothing_but_names(data: st.DataObject) -> None:
    whole = packed(*CURVES)
    wanted = [one for one in registry.read(whole, Source()) if isinstance(one, Parsed)]
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = [one for one in registry.read(bytes(changed), Source()) if isinstance(one, Parsed)]
    except RemoteError:
        return
    assert found == wanted
