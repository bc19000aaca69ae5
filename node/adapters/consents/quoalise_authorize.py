"""Quoalise: what a client asks for with `get_authorize_uri`, and the address it gets: a request for consent.

How it works
    The command is XML (XEP-0050 with a form of XEP-0004): name, logo_url and description of who asks, or service and
    processings in the older form. The address is that of the consent page: `id`, `duration` (P1Y), `redirect_uri`, and
    `test_client` 0 to 9 in the sandbox. Both become a record that stands as requested: who asks, what for, how long.

What it does not do
    The command says neither points nor kinds of data, and nobody has agreed to anything: it lacks what a grant needs.
    No address is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from ledger.consent.granularity import is_duration
from node.adapters.adapter import Head, Source, refused
from node.adapters.consents.record import Foreign, Standing
from node.adapters.xml_events import elements

SYSTEM: Final = "quoalise"
CODE: Final = "BAD_AUTHORIZE"
MAX_BYTES: Final = 1 << 16
"""Largest file, in bytes."""
COMMAND: Final = "get_authorize_uri"
_FIELDS: Final = frozenset({"name", "logo_url", "description", "service", "processings", "redirect_uri"})
_PARAMETERS: Final = frozenset(
    {"id", "client_id", "duration", "redirect_uri", "state", "test_client", "response_type", "user_type"}
)
_TEST_CLIENTS: Final = frozenset("0123456789")


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the request of a command or of an address. Raises RemoteError BAD_AUTHORIZE, BAD_XML."""
    if len(data) > MAX_BYTES:
        raise refused(CODE, source, "file", f"A request has at most {MAX_BYTES} bytes")
    head = Head.of(data)
    yield from _command(data, source) if head.kind == "xml" else _address(head.text.strip(), source)


def _command(data: bytes, source: Source) -> Iterator[Foreign]:
    said: dict[str, str] = {}
    commands = 0
    for one in elements(data, source, frozenset({"command"})):
        if one.attributes.get("node") != COMMAND:
            raise refused(CODE, source, f"line {one.line}, command", f"Only {COMMAND} asks for a consent")
        commands += 1
        for form in one.children:
            for field in form.children:
                name = field.attributes.get("var", "")
                if field.name == "field" and (name not in _FIELDS or name in said):
                    raise refused(CODE, source, f"line {field.line}, field", "A field is not known, or stands twice")
                if field.name == "field":
                    said[name] = field.said("value") or field.text
    asks = said.get("name") or said.get("service", "")
    if commands != 1 or not asks:
        raise refused(CODE, source, "command", "One command that says who asks was expected")
    purpose = said.get("description") or said.get("processings", "")
    yield Foreign(
        system=SYSTEM, reference="", state="asked", standing=Standing.REQUESTED, purpose=purpose, recipient=asks
    )


def _address(text: str, source: Source) -> Iterator[Foreign]:
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        raise refused(CODE, source, "address", "This is no address of a consent page") from None
    said = dict(pairs)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.netloc
        or len(said) != len(pairs)
        or said.keys() - _PARAMETERS
    ):
        raise refused(
            CODE, source, "address", f"An address has the parameters {', '.join(sorted(_PARAMETERS))}, each once"
        )
    duration = said.get("duration", "")
    if not is_duration(duration):
        raise refused(CODE, source, "address, duration", "A duration such as P1Y was expected")
    if said.get("test_client", "0") not in _TEST_CLIENTS:
        raise refused(CODE, source, "address, test_client", "A sandbox client is 0 to 9")
    client = said.get("client_id") or said.get("id", "")
    if not client:
        raise refused(CODE, source, "address, id", "The address does not say who asks")
    yield Foreign(
        system=SYSTEM,
        reference=said.get("state", ""),
        state=f"asked for {duration}",
        standing=Standing.REQUESTED,
        recipient=client,
        reason=f"sandbox client {said['test_client']}" if "test_client" in said else "",
    )
