"""Checkpoints: the examples of C2SP, exact spelling, and no bit of a note that can change unseen."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import (
    MAX_COSIGNATURES,
    MAX_TIME,
    Checkpoint,
    Cosignature,
    Head,
    cosignature,
    cosigned_message,
    key_id,
    origin,
    parse_origin,
    parse_vkey,
    sign_head,
    verify_cosignature,
    verify_head,
    vkey,
)
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey, verify
from ledger.merkle import EMPTY_ROOT, MAX_SIZE

MESH = hashlib.sha256(b"mesh").digest()
OWNER = SigningKey.from_seed(hashlib.sha256(b"owner").digest())
WITNESS = SigningKey.from_seed(hashlib.sha256(b"witness").digest())
ROOT = hashlib.sha256(b"root").digest()
HEAD = Head(OWNER.kid, 20_852_163, ROOT)
TIME = 1_679_315_147

WITNESS_LINE = (
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
    "xUe+mbIUBkBIfZ+qnA=="
)
C2SP_EXAMPLE = f"""\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

{WITNESS_LINE}
"""
C2SP_OWN_LINE = (
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def signed(head: Head = HEAD, time: int = TIME, *keys: SigningKey) -> Checkpoint:
    """Return a checkpoint of `head` that `keys` (the owner alone, if none are given) cosigned."""
    lines = tuple(
        cosignature(MESH, key.kid, key.public, time, sign_head(key, MESH, head, time, key.kid))
        for key in keys or (OWNER,)
    )
    return Checkpoint(origin(MESH, head.feed), head.size, head.root, lines)


NOTE = signed(HEAD, TIME, OWNER, WITNESS)


def refused(text: str) -> str | None:
    """Return the field at which `parse` refuses."""
    with pytest.raises(RemoteError) as caught:
        Checkpoint.parse(text)
    assert caught.value.code == "BAD_CHECKPOINT"
    return caught.value.field


def test_the_example_of_tlog_cosignature() -> None:
    note = Checkpoint.parse(C2SP_EXAMPLE)
    assert (note.origin, note.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert note.root == base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    (line,) = note.cosignatures
    assert (line.key_name, line.time, line.key_id.hex()) == ("witness.example.com/w1", TIME, "8d66cf3f")
    assert note.body().decode() == "".join(C2SP_EXAMPLE.splitlines(keepends=True)[:3])
    assert note.text() == C2SP_EXAMPLE
    assert refused(C2SP_EXAMPLE + C2SP_OWN_LINE) == "signature 2"  # an Ed25519 note signature, without a time


def test_the_key_of_signed_note() -> None:
    """The text gives a key of type 1 and a note; the layout of key ids and of notes is the same for type 4."""
    public = base64.b64decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")[1:]
    assert key_id("example.com/foo", public, 0x01).hex() == "530d903a"
    blob = base64.b64decode(
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    )
    assert blob[:4] == key_id("example.com/foo", public, 0x01)
    assert verify(public, b"This is an example message.\n", blob[4:])
    assert key_id("example.com/foo", public) != blob[:4]


def test_the_signed_message() -> None:
    name = f"maille/{MESH.hex()}/{OWNER.kid.hex()}"
    message = cosigned_message(MESH, OWNER.kid, HEAD.size, ROOT, TIME).decode()
    assert message == (f"cosignature/v1\ntime 1679315147\n{name}\n20852163\n{base64.b64encode(ROOT).decode()}\n")
    assert origin(MESH, OWNER.kid) == name
    assert message.endswith(NOTE.body().decode())


def test_a_note_as_it_is_written() -> None:
    assert Checkpoint.parse(NOTE.text()) == NOTE
    owner, witness = NOTE.cosignatures
    assert (owner.key_name, witness.key_name) == (NOTE.origin, origin(MESH, WITNESS.kid))
    assert parse_origin(witness.key_name) == (MESH, WITNESS.kid)
    assert verify_cosignature(NOTE, owner, OWNER.public)
    assert verify_cosignature(NOTE, witness, WITNESS.public)
    assert not verify_cosignature(NOTE, owner, WITNESS.public)
    assert not verify_cosignature(NOTE, replace(owner, key_name=witness.key_name), OWNER.public)


IDS = st.binary(min_size=32, max_size=32)
NAMES = st.from_regex(r"[!-*,-~]{1,40}", fullmatch=True)
LINES = st.builds(
    Cosignature,
    NAMES,
    st.binary(min_size=4, max_size=4),
    st.integers(0, MAX_TIME),
    st.binary(min_size=64, max_size=64),
)
NOTES = st.builds(
    Checkpoint,
    NAMES,
    st.integers(1, MAX_SIZE),
    IDS,
    st.lists(LINES, min_size=1, max_size=4, unique=True).map(tuple),
)


@given(NOTES)
def test_round_trip(note: Checkpoint) -> None:
    assert Checkpoint.parse(note.text()) == note


@given(IDS, st.integers(1, MAX_SIZE), IDS, st.integers(0, MAX_TIME), st.booleans())
def test_signed_heads_verify(feed: bytes, size: int, root: bytes, time: int, own: bool) -> None:
    head = Head(OWNER.kid if own else feed, size, root)
    signature = sign_head(OWNER, MESH, head, time, OWNER.kid)
    assert verify_head(OWNER.public, MESH, head.feed, size, root, time, signature)
    assert not verify_head(OWNER.public, WITNESS.kid, head.feed, size, root, time, signature)
    assert not verify_head(OWNER.public, MESH, WITNESS.kid, size, root, time, signature)
    assert not verify_head(OWNER.public, MESH, head.feed, size - 1, root, time, signature)
    assert not verify_head(OWNER.public, MESH, head.feed, size, WITNESS.kid, time, signature)
    assert not verify_head(OWNER.public, MESH, head.feed, size, root, time + 1, signature)
    assert not verify_head(WITNESS.public, MESH, head.feed, size, root, time, signature)
    assert not verify_head(OWNER.public, MESH, head.feed, size, root, time, signature[:-1])
    note = signed(head, time)
    assert note.cosignatures[0].signature == signature
    assert verify_cosignature(Checkpoint.parse(note.text()), note.cosignatures[0], OWNER.public)


def accepted(text: str) -> bool:
    """Do as a careful reader does: every line is by a known key under its name, and is good."""
    try:
        note = Checkpoint.parse(text)
    except RemoteError:
        return False
    known = {origin(MESH, key.kid): key.public for key in (OWNER, WITNESS)}
    return note.origin == origin(MESH, OWNER.kid) and all(
        line.key_name in known and verify_cosignature(note, line, known[line.key_name]) for line in note.cosignatures
    )


def test_no_bit_of_a_note_can_change() -> None:
    data = NOTE.text().encode()
    assert accepted(NOTE.text())
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not accepted(flipped.decode(errors="surrogateescape")), bit


def test_no_byte_of_a_note_can_go_or_come() -> None:
    text = NOTE.text()
    for at in range(len(text)):
        assert not accepted(text[:at] + text[at + 1 :]), at
        for extra in "\n \r0=A\u2014\u2028\x00":
            assert not accepted(text[:at] + extra + text[at:]), (at, extra)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("\n20852163\n", "\n020852163\n", "size"),
        ("\n20852163\n", "\n+20852163\n", "size"),
        ("\n20852163\n", "\n-1\n", "size"),
        ("\n20852163\n", "\n20_852\n", "size"),
        ("\n20852163\n", "\n２０\n", "size"),
        ("\n20852163\n", "\n²\n", "size"),
        ("\n20852163\n", "\n\n", "size"),
        ("\n20852163\n", "\n9223372036854775808\n", "size"),
        ("\n20852163\n", "\n" + "9" * 20_000 + "\n", "size"),
        ("\n20852163\n", "\n0\n", "root"),
        ("\n20852163\n", "\r\n20852163\n", "origin"),
        ("q2I=\n\n", "q2J=\n\n", "root"),  # bits beyond the data
        ("q2I=\n\n", "q2I\n\n", "root"),
        ("q2I=\n\n", "q2I= \n\n", "root"),
        ("CsUY", "C sUY", "root"),
        ("/Xaj", "_Xaj", "root"),
        ("CsUY", "CsUYCsUY", "root"),
        ("q2I=\n\n", "q2I=\nextension\n\n", "note"),
        ("q2I=\n\n", "q2I=\n", "note"),
        ("q2I=\n\n", "q2I=\n\n\n", "signature 1"),
        ("— ", "- ", "signature 1"),
        ("— ", "—", "signature 1"),
        ("— ", "—  ", "signature 1"),
        ("— witness", "— wit+ness", "signature 1"),
        ("— witness", "— wit\u00a0ness", "signature 1"),
        ("— witness", "— wit\tness", "signature 1"),
        (" jWbP", "  jWbP", "signature 1"),
        (" jWbP", "", "signature 1"),
        ("jWbPPwAAAABk", "jWbPP4AAAABk", "signature 1"),  # time 2^63 and more
        ("qnA==\n", "qnA==", "note"),
        ("qnA==\n", "qnA==\n\n", "signature 2"),
        ("qnA==\n", "qnA==\n" + WITNESS_LINE + "\n", "signatures"),
        ("example.com/behind", " example.com/behind", "origin"),
        ("example.com/behind-the-sofa\n", "\n", "origin"),
        ("example.com/behind-the-sofa", "e" * 256, "origin"),
        ("example.com/behind-the-sofa", "e" * 40_000, "note"),
        (C2SP_EXAMPLE, "", "note"),
    ],
)
def test_strictness(old: str, new: str, field: str) -> None:
    assert C2SP_EXAMPLE.count(old) == 1
    assert refused(C2SP_EXAMPLE.replace(old, new)) == field


def test_limits() -> None:
    lines = tuple(Cosignature("w", bytes(4), time, bytes(64)) for time in range(MAX_COSIGNATURES + 1))
    full = Checkpoint("o", 1, ROOT, lines[:-1])
    assert Checkpoint.parse(full.text()) == full
    assert refused(Checkpoint("o", 1, ROOT, lines).text()) == "note"
    assert refused(Checkpoint("o", 1, ROOT).text()) == "note"  # unsigned
    size = len(NOTE.text().encode())
    assert Checkpoint.parse(NOTE.text(), max_bytes=size) == NOTE
    with pytest.raises(RemoteError, match="BAD_CHECKPOINT"):
        Checkpoint.parse(NOTE.text(), max_bytes=size - 1)


def test_the_empty_tree() -> None:
    head = Head(OWNER.kid, 0, EMPTY_ROOT)
    assert Checkpoint.parse(signed(head).text()).size == 0
    with pytest.raises(LocalError, match="BAD_HEAD"):
        sign_head(OWNER, MESH, replace(head, root=ROOT), TIME, OWNER.kid)


@pytest.mark.parametrize(
    ("head", "time"),
    [
        (replace(HEAD, size=-1), TIME),
        (replace(HEAD, size=MAX_SIZE + 1), TIME),
        (replace(HEAD, root=ROOT[:-1]), TIME),
        (replace(HEAD, feed=b""), TIME),
        (HEAD, -1),
        (HEAD, MAX_TIME + 1),
    ],
)
def test_heads_that_no_note_can_carry(head: Head, time: int) -> None:
    with pytest.raises(LocalError, match="BAD_HEAD"):
        sign_head(OWNER, MESH, head, time, OWNER.kid)
    forced = OWNER.sign(cosigned_message(MESH, head.feed, head.size, head.root, time))
    assert not verify_head(OWNER.public, MESH, head.feed, head.size, head.root, time, forced)


def test_a_key_signs_for_its_own_feed_alone() -> None:
    with pytest.raises(LocalError, match="WRONG_KEY"):
        sign_head(WITNESS, MESH, HEAD, TIME, OWNER.kid)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "maille",
        "maille//",
        NOTE.origin.upper(),
        NOTE.origin.replace("maille", "Maille"),
        NOTE.origin[:-1],
        NOTE.origin + "0",
        NOTE.origin + "/",
        NOTE.origin[:-2] + " 0",
        NOTE.origin[:-1] + "g",
        NOTE.origin[:-1] + "é",
    ],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(RemoteError, match="BAD_CHECKPOINT"):
        parse_origin(text)


@given(NAMES, IDS)
def test_verifier_keys(name: str, public: bytes) -> None:
    text = vkey(name, public)
    assert text.split("+", 2)[:2] == [name, key_id(name, public).hex()]
    assert parse_vkey(text) == (name, public)


def test_no_character_of_a_verifier_key_can_change() -> None:
    text = vkey(NOTE.origin, OWNER.public)
    for at in range(len(text)):
        wrong = [text[:at] + text[at + 1 :], *(text[:at] + mark + text[at + 1 :] for mark in "+ A0=\n_é")]
        for other in wrong:
            if other != text:
                with pytest.raises(RemoteError, match="BAD_VKEY"):
                    parse_vkey(other)


def test_a_verifier_key_of_another_type() -> None:
    with pytest.raises(RemoteError, match="BAD_VKEY"):
        parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    with pytest.raises(RemoteError, match="BAD_VKEY"):
        parse_vkey("a" * 100_000)
