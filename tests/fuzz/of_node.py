"""What of the node, the storage and the simulations reads bytes of others: files, forms, texts, answers, packs.

How it works
    Whatever checks a sum first is tried behind it as well: the sum is mended here, as somebody who makes such a file
    would. Files whose reader opens them itself are written to a folder of this process.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from starlette.requests import Request

from ledger.checkpoint import Head
from ledger.consent.record import Actor
from ledger.errors import RemoteError
from node import hooks, network, readings, rules_text, seed_words, settings, upkeep
from node.admission import Welcome
from node.aggregates.handing import Table
from node.audit import findings, gathering
from node.audit.auditing import audit
from node.audit.rows import Frame, Question, Rows
from node.client import exchange
from node.compute.computation import brought, read_computation
from node.compute.operations import OPERATIONS as COMPUTATIONS
from node.compute.operations import reviewed
from node.compute.result import read_result
from node.config import Config, as_toml, read_config
from node.console import upload
from node.flows import contents, offers
from node.keyfile import KeyFile
from node.mesh import Standing, read_standing
from node.naming import root_kid
from node.operation import Nothing
from node.operations import OPERATIONS
from node.pages import dashboard, door, forms
from node.tickets import Ticket
from node.tokens import Tokens
from simulations import scenario, spec
from storage import backup, journal
from tests.fuzz.case import Case, Parser, asked, text

_ID: Final = bytes(range(32))
_UPLOAD: Final = (
    b'--edge\r\nContent-Disposition: form-data; name="at"\r\n\r\nnow\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="proof"; filename="a.mailleproof"\r\n\r\nbytes\r\n--edge--\r\n'
)
_ROWS: Final = Rows(Frame(_ID, 5, ((_ID, 1),), (((_ID, 1), "Ada"),), 60, 365))
_TICKET: Final = Ticket(bytes(32), _ID, ("192.0.2.1:7000",), 1_800_000_000, bytes(16), bound=False)


def _typed(parse: Callable[[str], Any]) -> Parser:
    return asked(lambda data: parse(text(data)))


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="maille-fuzz-files-"))


def _as_file(name: str, read: Callable[[Path], Any]) -> Parser:
    """Give a reader of a file the bytes as that file; it is told the folder."""

    def parse(data: bytes) -> object:
        path = _folder() / name
        path.write_bytes(data)
        path.chmod(0o600)
        return [read(path.parent)]

    return asked(parse)


# Texts


def _ticket(data: bytes) -> object:
    """Read a ticket whose checksum is mended."""
    check = hashlib.sha256(b"MAILLE1" + data).digest()[:4]
    return Ticket.parse("MAILLE1" + base64.b32encode(data + check).decode().rstrip("="))


def _ticket_body() -> bytes:
    plain = _TICKET.text().removeprefix("MAILLE1")
    return base64.b32decode(plain + "=" * (-len(plain) % 8))[:-4]


def _address(data: bytes) -> object:
    try:
        host, port = network.split_address(text(data))
    except OSError:
        return "no address"
    assert 0 <= port <= 65_535
    return host, port


def _hook(data: bytes) -> object:
    hooks.check_url(text(data))
    return "an address"


def _link(data: bytes) -> object:
    kind, _, rest = text(data).partition(":")
    read = {"party": dashboard.read_party, "id": dashboard.read_id}.get(kind, door.read_code)
    return read(rest)


def _links() -> tuple[bytes, ...]:
    return (
        f"party:{_ID.hex()}.1".encode(),
        f"id:{_ID.hex()}".encode(),
        f"code:{door.code_text(bytes(door.CODE_BYTES))}".encode(),
    )


# Files


def _tokens(data: bytes) -> object:
    """Read a file of tokens; then show the bytes as a token."""
    path = _folder() / "tokens.json"
    path.write_bytes(data)
    path.chmod(0o600)
    tokens = Tokens(path, bytes)
    return tokens.listing(), tokens.bearer(text(data)[:80], 1_800_000_000), "read"


def _token_files() -> tuple[bytes, ...]:
    path = _folder() / "made.json"
    path.unlink(missing_ok=True)
    Tokens(path, bytes).make("app", "read", 1_800_000_000, 5)
    return (path.read_bytes(), b'{"tokens":[],"version":1}')


def _manifests() -> tuple[bytes, ...]:
    return (
        b'{"format":1,"created":5,"files":[{"name":"ledger.mdb","size":4,"sha256":"' + b"0" * 64 + b'","schema":1,'
        b'"rows":[["meta",1]]},{"name":"extra-root.key","size":1,"sha256":"'
        + b"0" * 64
        + b'","schema":null,"rows":[]}]}',
    )


def _journal(folder: Path) -> object:
    return journal.left_behind(folder, 3)


def _journals() -> tuple[bytes, ...]:
    """Return a journal of two records."""
    found = b""
    for body in (journal.pack([("meta", b"k", b"v"), ("ids", b"k", None)]), journal.pack([("ids", b"k", b"")])):
        sealed = journal._HEAD.pack(3, len(found), len(body)) + body
        found += hashlib.sha256(sealed).digest()[: journal._DIGEST_BYTES] + sealed
    return (found,)


def _standings() -> tuple[bytes, ...]:
    return (msgspec.json.encode(Standing("00" * 32, 1, "00" * 32)),)


def _setting(data: bytes) -> object:
    """Read a name, a value and a file: a line each, and the rest."""
    name, _, rest = text(data).partition("\n")
    value, _, file = rest.partition("\n")
    return read_config(settings.with_setting(file.encode("utf-8", "surrogateescape"), name, value, "config.toml"), "x")


def _settings() -> tuple[bytes, ...]:
    file = as_toml(Config(name="Ada")).encode()
    return (b"name\nBob\n" + file, b'listen\n["127.0.0.1:1"]\n' + file, b"metrics.listen\n127.0.0.1:9\n" + file)


def _terms(data: bytes) -> object:
    found = offers.read_file(data)
    return offers.terms_of(found, Actor("City of Lyon", "recipient"), now=1_800_000_000, valid_until=1_801_000_000)


# What another node or program answers


def _answers(data: bytes) -> object:
    """Read an answer of the control API: the first byte chooses the operation, the second the status."""
    operation = OPERATIONS[data[0] % len(OPERATIONS)] if data else OPERATIONS[0]
    status = 200 if len(data) < 2 or data[1] % 4 else 409
    return [exchange.read_answer(exchange.Call(operation, Nothing()), status, data[2:])]


def _answer_seeds() -> tuple[bytes, ...]:
    plain = [row.name for row in OPERATIONS].index("mesh list")
    return (bytes((plain, 1)) + b'{"meshes":[]}', bytes((plain, 0)) + b'{"code":"X","message":"m","exit":3}')


def _report(data: bytes) -> object:
    try:
        return findings.read_json(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # as it says
        raise RemoteError("BAD_REPORT", str(error)) from error


def _reports() -> tuple[bytes, ...]:
    return (findings.as_json(audit(_ROWS, Question(0, 5))),)


def _pack(data: bytes) -> object:
    return contents.read_pack(data)


def _series(data: bytes) -> object:
    found = readings.decode(data)
    assert readings.encode(found) == data
    return [found]


# Forms


def _form(data: bytes) -> object:
    kind = b"application/x-www-form-urlencoded"
    pieces = [data[: len(data) // 2], data[len(data) // 2 :]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def read() -> object:
        form = await forms.read_form(Request({"type": "http", "headers": [(b"content-type", kind)]}, receive))
        return form, [form.one(name) for name, _ in form.fields], form.all("b")

    return trio.run(read)


def _computations() -> tuple[bytes, ...]:
    made = (
        reviewed(name, {key: at for at, key in enumerate(one.parameters, 1)}, "P1D")
        for name, one in COMPUTATIONS.items()
    )
    return (*(each.encode() for each in made), brought(b"x", "P1M", fuel=5, memory_bytes=6, output_bytes=7).encode())


def _results() -> tuple[bytes, ...]:
    from tests.node.flows.test_results import result_of

    return (result_of().encode(),)


def _tables() -> tuple[bytes, ...]:
    from tests.node.flows.test_releasing import release

    return (Table.of(release()).encode(),)


def _all_series() -> tuple[bytes, ...]:
    from tests.fuzz.seeds import SERIES

    return tuple(map(readings.encode, SERIES))


def _packs() -> tuple[bytes, ...]:
    from node.adapters import senml
    from tests.fuzz.seeds import SERIES

    return (*map(senml.encode_cbor, SERIES), *_results())


def _seed_words() -> tuple[bytes, ...]:
    return tuple(seed_words.words_of_seed(_ID, language).encode() for language in seed_words.LANGUAGES)


def _rules() -> tuple[bytes, ...]:
    return (
        b'{"frame": "none", "admission": {"any": [{"sponsors": 2}, {"ballot": "1/2"}]}, "colleges": {"city": 2}}',
        b'{"shares": {"charter": "2/3"}, "forbidden_purposes": ["x"], "ballot_days": 7}',
    )


def _all(folder: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: tuple(path.read_bytes() for path in sorted((Path(scenario.__file__).parent / folder).glob("*.toml")))


CASES: Final[Mapping[str, Case]] = {
    "node-ticket": Case(_typed(Ticket.parse), lambda: (_TICKET.text().encode(),)),
    "node-ticket-body": Case(_ticket, lambda: (_ticket_body(),)),
    "node-welcome": Case(Welcome.decode, lambda: (Welcome(Head(_ID, 3, _ID), _ID, (_ID, 1), 5, None).encode(),)),
    "node-key-file": Case(KeyFile.decode, lambda: (KeyFile.make("root", _ID, None, os.urandom).encode(),)),
    "node-config": Case(
        asked(lambda data: read_config(data, "config.toml")), lambda: (as_toml(Config(name="Ada")).encode(),)
    ),
    "node-setting": Case(asked(_setting), _settings),
    "node-standing": Case(_as_file("standing.json", read_standing), _standings),
    "node-upkeep": Case(_as_file(upkeep.FILE, upkeep.read_upkeep), lambda: (b'{"backups":{"m":5},"drills":{}}',)),
    "node-tokens": Case(asked(_tokens), _token_files),
    "node-words": Case(_typed(seed_words.seed_of_words), _seed_words),
    "node-terms": Case(
        asked(_terms),
        lambda: (
            b'purpose = "x"\npoints = ["prm:00000000000001"]\n'
            b'pii_type = "electricity/consumption/daily"\ncontact = "c"\n',
        ),
    ),
    "node-rules": Case(_typed(rules_text.rules_of), _rules),
    "node-address": Case(_address, lambda: (b"a.example:1", b"[::1]:65535")),
    "node-hook": Case(asked(_hook), lambda: (b"https://a.example:8443/path?x=1",)),
    "node-did": Case(_typed(root_kid), lambda: (b"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",)),
    "node-link": Case(asked(_link), _links),
    "node-form": Case(_form, lambda: (b"a=1&b=%C3%A9&c=", b"")),
    "node-upload": Case(lambda data: upload.read_parts(data, b"edge"), lambda: (_UPLOAD,)),
    "node-answer": Case(asked(_answers), _answer_seeds),
    "node-audit-report": Case(_report, _reports),
    "node-audit-rows": Case(gathering.read, lambda: (gathering.write(_ROWS),)),
    "node-series": Case(_series, _all_series),
    "node-pack": Case(_pack, _packs),
    "node-result": Case(read_result, _results),
    "node-computation": Case(read_computation, _computations),
    "node-table": Case(Table.decode, _tables),
    "storage-manifest": Case(
        _as_file("manifest.json", lambda folder: backup._read_manifest(folder / backup.MANIFEST)), _manifests
    ),
    "storage-journal": Case(_as_file(journal.JOURNAL_FILE, _journal), _journals),
    "simulations-scenario": Case(asked(lambda data: scenario.read(data, "x.toml")), _all("scenarios")),
    "simulations-study": Case(asked(spec.parse), _all("studies")),
}
"""Name -> parser and seeds."""
