"""Entries: what is taken, what is refused and with which code, and that not one bit can be changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.kinds import GRANT_BYTES_MAX
from ledger.entry import Entry, kind_of_typ, parse_subject, sign_entry, typ_of_kind
from ledger.errors import LocalError, RemoteError
from ledger.header import Header, read_header, read_thoroughly
from ledger.keys import SigningKey
from tests.golden import samples
from tests.worlds import NOW, grant_payload, key, octets

SAMPLES = samples()
SIGNER = key("signer")
HEAD = Head(octets("feed"), 3, octets("root"))
MESH = octets("mesh")


def leave(**changes: Any) -> Entry:
    """Sign a small entry."""
    parts: dict[str, Any] = {
        "key": SIGNER,
        "kind": "member.leave",
        "thing": ("member", octets("member")),
        "payload": {"reason": "moved"},
        "iat": NOW,
        "cti": octets("cti", size=16),
        "seen": (HEAD,),
        "mesh_id": MESH,
        "epoch": MESH,
    }
    return sign_entry(**{**parts, **changes})


def resigned(
    change: Callable[[dict[Any, Any]], object] = dict,
    *,
    payload: Any = None,
    signer: SigningKey = SIGNER,
    unprotected: Any = None,
    tail: bytes = b"",
) -> bytes:
    """Return a rightly signed COSE_Sign1 whose header or payload was changed as no signer of ours would."""
    protected, _, body, _ = codec.decode_sign1(leave().raw)
    assert isinstance(protected, bytes)
    assert isinstance(body, bytes)
    header = codec.decode(protected)
    assert isinstance(header, dict)
    change(header)
    protected = codec.encode(header)
    body = body if payload is None else codec.encode(payload)
    signature = signer.sign(codec.encode(["Signature1", protected, b"", body]))
    return codec.encode_sign1([protected, unprotected or {}, body, signature + tail])


def refusal(raw: bytes) -> RemoteError:
    """Return the error with which these bytes are refused."""
    with pytest.raises(RemoteError) as caught:
        Entry.decode(raw)
    return caught.value


@pytest.mark.parametrize("kind", SAMPLES)
def test_decoding_gives_what_was_signed(kind: str) -> None:
    entry = SAMPLES[kind]
    assert Entry.decode(entry.raw) == entry == Entry.parse(entry.raw)
    assert entry.known
    assert entry.signature == entry.raw[-64:]


def test_the_forging_tool_makes_sound_entries() -> None:
    assert Entry.decode(resigned()).kind == "member.leave"


@pytest.mark.parametrize("kind", ["member.leave", "consent.grant"])
def test_every_single_bit_flipped_is_refused(kind: str) -> None:
    raw = SAMPLES[kind].raw
    for at in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(RemoteError):
            Entry.decode(bytes(flipped))


def test_every_truncation_and_every_extension_is_refused() -> None:
    raw = leave().raw
    for size in range(len(raw)):
        refusal(raw[:size])
    for byte in range(256):
        refusal(raw + bytes((byte,)))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_refused_with_a_remote_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        Entry.decode(data)
    with pytest.raises(RemoteError):
        Entry.decode(b"\xd2\x84" + data)


def test_another_signature_is_refused_and_parse_does_not_look() -> None:
    raw = leave().raw[:-64] + key("other").sign(b"x")
    assert refusal(raw).code == "BAD_SIGNATURE"
    assert Entry.parse(raw).kind == "member.leave"


HEADERS: list[tuple[str, Callable[[dict[Any, Any]], object]]] = [
    ("ENTRY_ALGORITHM", lambda h: h.update({1: -8})),
    ("ENTRY_ALGORITHM", lambda h: h.pop(1)),
    ("ENTRY_TYPE", lambda h: h.update({16: "application/cose"})),
    ("ENTRY_TYPE", lambda h: h.update({16: "application/vnd.maille.+cose"})),
    ("ENTRY_TYPE", lambda h: h.update({16: "application/vnd.maille.A B+cose"})),
    ("ENTRY_TYPE", lambda h: h.update({16: "application/vnd.maille.a..b+cose"})),
    ("ENTRY_TYPE", lambda h: h.update({16: "application/vnd.maille." + "a" * 99 + "+cose"})),
    ("ENTRY_TYPE", lambda h: h.pop(16)),
    ("ENTRY_KID", lambda h: h.update({4: octets("kid")})),
    ("ENTRY_KID", lambda h: h.pop(4)),
    ("ENTRY_CLAIMS", lambda h: h.pop(15)),
    ("ENTRY_CLAIMS", lambda h: h[15].pop(7)),
    ("ENTRY_CLAIMS", lambda h: h[15].update({8: 1})),
    ("ENTRY_CLAIMS", lambda h: h[15].update({7: bytes(15)})),
    ("ENTRY_CLAIMS", lambda h: h[15].update({6: -1})),
    ("ENTRY_CLAIMS", lambda h: h[15].update({6: 2**40})),
    ("ENTRY_CLAIMS", lambda h: h[15].update({6: True})),
    ("ENTRY_CLAIMS", lambda h: h[15].update({1: b"did"})),
    ("BAD_DID_KEY", lambda h: h[15].update({1: "did:key:z6Mk"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: "urn:maille:member:AA"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: "urn:maille:member:"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: "urn:maille:member:aa bb"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: "urn:maille:member:aa:bb"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: f"urn:maille:member:{'aa' * 31}"})),
    ("ENTRY_SUBJECT", lambda h: h[15].update({2: f"urn:maille:link:{'aa' * 32}"})),
    ("ENTRY_SEEN", lambda h: h.pop(-70000)),
    ("ENTRY_SEEN", lambda h: h.update({-70000: []})),
    ("ENTRY_SEEN", lambda h: h.update({-70000: [[bytes((i,)) * 32, 1, bytes(32)] for i in range(9)]})),
    ("ENTRY_SEEN", lambda h: h.update({-70000: h[-70000] * 2})),
    ("ENTRY_SEEN", lambda h: h[-70000][0].append(1)),
    ("ENTRY_SEEN", lambda h: h.update({-70000: [[bytes(31), 1, bytes(32)]]})),
    ("ENTRY_SEEN", lambda h: h.update({-70000: [[bytes(32), -1, bytes(32)]]})),
    ("ENTRY_SEEN", lambda h: h.update({-70000: [[bytes(32), True, bytes(32)]]})),
    ("ENTRY_SEEN", lambda h: h.update({-70000: [[bytes(32), 2**48, bytes(32)]]})),
    ("ENTRY_MESH", lambda h: h.pop(-70001)),
    ("ENTRY_MESH", lambda h: h.update({-70001: bytes(31)})),
    ("ENTRY_HEADER", lambda h: h.update({-70001: None})),
    ("ENTRY_EPOCH", lambda h: h.pop(-70002)),
    ("ENTRY_EPOCH", lambda h: h.update({-70002: bytes(31)})),
    ("ENTRY_HEADER", lambda h: h.update({-70002: None})),
    ("ENTRY_HEADER", lambda h: h.update({-70003: 1})),
    ("ENTRY_HEADER", lambda h: h.update({3: "text/plain"})),
]


@pytest.mark.parametrize(("code", "change"), HEADERS)
def test_a_wrong_header_is_refused_however_well_signed(code: str, change: Callable[[dict[Any, Any]], object]) -> None:
    assert refusal(resigned(change)).code == code


def test_a_genesis_has_seen_nothing_and_names_no_mesh() -> None:
    genesis = SAMPLES["genesis"]
    extras: list[dict[str, Any]] = [{"seen": (HEAD,)}, {"mesh_id": MESH}, {"epoch": MESH}]
    for extra in extras:
        parts: dict[str, Any] = {"seen": (), "mesh_id": None, **extra}
        with pytest.raises(LocalError):
            sign_entry(SIGNER, "genesis", genesis.thing, genesis.payload, iat=NOW, cti=bytes(16), **parts)


def test_the_envelope_is_tag_18_around_four_byte_strings_and_an_empty_map() -> None:
    assert refusal(resigned(unprotected={1: 2})).code == "ENTRY_UNPROTECTED"
    assert refusal(resigned(tail=b"x")).code == "ENTRY_MALFORMED"
    protected, _, body, signature = codec.decode_sign1(leave().raw)
    wrong: list[list[codec.Value]] = [[1, {}, body, signature], [protected, {}, 1, signature], [protected, {}, body, 1]]
    for parts in wrong:
        assert refusal(codec.encode_sign1(parts)).code == "ENTRY_MALFORMED"
    assert refusal(codec.encode_sign1([codec.encode([1]), {}, body, signature])).code == "ENTRY_MALFORMED"
    assert refusal(leave().raw[1:]).code == "CBOR_MODEL"


def test_a_payload_that_breaks_its_schema_is_refused_with_the_field() -> None:
    error = refusal(resigned(payload={"reason": 1}))
    assert (error.code, error.field) == ("PAYLOAD_SHAPE", "reason")
    assert refusal(resigned(payload=[1])).code == "PAYLOAD_SHAPE"
    assert refusal(resigned(payload={1: 1})).code == "PAYLOAD_SHAPE"


def test_signing_refuses_what_others_would_refuse() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"payload": {"reason": ""}}, "PAYLOAD_SHAPE"),
        ({"iat": -1}, "ENTRY_CLAIMS"),
        ({"cti": b"short"}, "ENTRY_CLAIMS"),
        ({"seen": ()}, "ENTRY_SEEN"),
        ({"epoch": None}, "ENTRY_EPOCH"),
        ({"kind": "A"}, "ENTRY_TYPE"),
        ({"payload": {"reason": 1.5}}, "UNENCODABLE"),
        ({"payload": {"padding": bytes(codec.MAX_BYTES)}}, "ENTRY_TOO_LARGE"),
    ]
    for changes, code in cases:
        with pytest.raises(LocalError) as caught:
            leave(**changes)
        assert caught.value.code == code


def test_an_entry_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    room = codec.MAX_BYTES - len(leave(payload={"padding": bytes(60_000)}).raw) + 60_000
    assert len(Entry.decode(leave(payload={"padding": bytes(room)}).raw).raw) == codec.MAX_BYTES
    with pytest.raises(LocalError, match="ENTRY_TOO_LARGE"):
        leave(payload={"padding": bytes(room + 1)})


def test_a_grant_is_never_too_large_to_be_withdrawn() -> None:
    def grant(padding: int) -> Entry:
        payload = {**grant_payload((bytes(32), 1), (bytes(32), 1), SIGNER.public), "padding": bytes(padding)}
        return leave(kind="consent.grant", thing=("consent", bytes(16)), payload=payload, epoch=None)

    room = GRANT_BYTES_MAX - len(grant(1_000).raw) + 1_000
    largest = grant(room)
    payload = {"grant": largest.raw}
    assert leave(kind="consent.withdraw", thing=largest.thing, payload=payload, epoch=None).known
    with pytest.raises(LocalError, match="ENTRY_TOO_LARGE"):
        grant(room + 1)


def test_a_kind_of_tomorrow_is_kept_with_whatever_it_holds() -> None:
    entry = leave(kind="future.kind-2", thing=("future", b"\x01"), payload={"a": [1, None]}, epoch=None)
    again = Entry.decode(entry.raw)
    assert not again.known
    assert again.payload == {"a": [1, None]}
    assert Entry.decode(resigned(payload={"reason": "moved", "tomorrow": 1})).payload["tomorrow"] == 1


def test_a_weak_key_signs_nothing() -> None:
    weak = bytes(32)  # a point of order 4

    def change(header: dict[Any, Any]) -> None:
        from ledger.keys import did_key, thumbprint

        header[4] = thumbprint(weak)
        header[15][1] = did_key(weak)

    assert refusal(resigned(change)).code == "WEAK_KEY"


@given(st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,3}", fullmatch=True))
def test_kind_and_media_type_are_one_to_one(kind: str) -> None:
    assert kind_of_typ(typ_of_kind(kind)) == kind


@given(st.binary(min_size=1, max_size=40))
def test_subjects_have_one_spelling(ident: bytes) -> None:
    text = f"urn:maille:thing:{ident.hex()}"
    assert parse_subject(text) == ("thing", ident)
    for other in (text.replace("urn", "URN"), text + " ", text.replace("thing", ""), text.replace("thing", "thíng")):
        with pytest.raises(RemoteError):
            parse_subject(other)


# Two ways to read a header must give one answer


def both_ways(protected: bytes) -> None:
    """Hold the quick way to the thorough one: the same header, or both refuse."""
    try:
        thorough: Header | None = read_thoroughly(protected)
    except RemoteError:
        thorough = None
    try:
        quick: Header | None = read_header(protected)
    except RemoteError:
        quick = None
    assert quick == thorough


def protected_of(raw: bytes) -> bytes:
    """Return the protected header of an entry."""
    protected, *_ = codec.decode_sign1(raw)
    assert isinstance(protected, bytes)
    return protected


@pytest.mark.parametrize("kind", SAMPLES)
def test_both_ways_agree_on_every_sample_and_every_bit_of_it(kind: str) -> None:
    protected = protected_of(SAMPLES[kind].raw)
    assert read_header(protected) == read_thoroughly(protected) == read_header(protected)
    for at in range(len(protected) * 8):
        flipped = bytearray(protected)
        flipped[at // 8] ^= 1 << at % 8
        both_ways(bytes(flipped))
    for size in range(len(protected)):
        both_ways(protected[:size])
        both_ways(protected[:size] + protected[size + 1 :])
        both_ways(protected[:size] + b"\x00" + protected[size:])


@pytest.mark.parametrize(("code", "change"), HEADERS)
def test_both_ways_agree_on_wrong_headers(code: str, change: Callable[[dict[Any, Any]], object]) -> None:
    both_ways(protected_of(leave().raw))
    both_ways(protected_of(resigned(change)))


SIZES = [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**48 - 1]


@given(
    iat=st.sampled_from([0, 23, 24, 0xFF, 0x100, 0xFFFF, 0x1_0000, 2**32 - 1, 2**32, 2**40 - 1]),
    sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=8),
    ident=st.integers(1, 64),
    governance=st.booleans(),
    at=st.integers(0, 10**6),
    byte=st.integers(0, 255),
)
def test_both_ways_agree_on_lengths_of_every_kind(
    iat: int, sizes: list[int], ident: int, governance: bool, at: int, byte: int
) -> None:
    seen = tuple(Head(octets("feed", i), size, octets("root", i)) for i, size in enumerate(sizes))
    kind = "future.governance" if governance else "future.thing"
    thing = ("t", octets("id", size=ident))
    entry = leave(kind=kind, thing=thing, payload={}, iat=iat, seen=seen, epoch=MESH if governance else None)
    assert (entry.iat, entry.seen, entry.thing) == (iat, seen, thing)
    protected = protected_of(entry.raw)
    both_ways(protected)
    at %= len(protected)
    both_ways(protected[:at] + bytes((byte,)) + protected[at + 1 :])


@pytest.mark.parametrize("unprotected", [b"\xa0", b"\xa1\x01\x02", b"\xf6"])
@pytest.mark.parametrize("head", [b"\x58\x40", b"\x59\x00\x40", b"\x5a\x00\x00\x00\x40", b"\x5f"])
def test_the_envelope_has_one_spelling(unprotected: bytes, head: bytes) -> None:
    entry = leave()
    protected, _, payload, signature = codec.decode_sign1(entry.raw)
    assert isinstance(protected, bytes)
    assert isinstance(payload, bytes)
    assert isinstance(signature, bytes)
    size = bytes((len(payload),))
    for one in (b"\x59" + len(protected).to_bytes(2, "big"), b"\x5a" + len(protected).to_bytes(4, "big")):
        for two in (bytes((0x40 + len(payload),)), b"\x58" + size, b"\x59\x00" + size):
            raw = b"\xd2\x84" + one + protected + unprotected + two + payload + head + signature
            if raw == entry.raw:
                assert Entry.decode(raw) == entry
            else:
                refusal(raw)


def test_what_was_vouched_for_reads_the_same() -> None:
    decoded = [Entry.decode(entry.raw) for entry in samples().values()]
    assert decoded
    assert [Entry.vouched(entry.raw, entry.id) for entry in decoded] == decoded
    assert [Entry.kept(entry.raw, entry.id) for entry in decoded] == decoded


@given(st.data())
def test_a_leaf_with_a_flipped_bit_is_checked_as_if_it_had_come_from_outside(data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(sorted(samples().values(), key=lambda one: one.id)))
    at, bit = data.draw(st.integers(0, len(entry.raw) - 1)), data.draw(st.integers(0, 7))
    raw = bytes(byte ^ (1 << bit if place == at else 0) for place, byte in enumerate(entry.raw))

    def outcome(read: Callable[[], Entry]) -> Entry | str:
        try:
            return read()
        except RemoteError as error:
            return error.code

    assert outcome(lambda: Entry.kept(raw, entry.id)) == outcome(lambda: Entry.parse(raw))
