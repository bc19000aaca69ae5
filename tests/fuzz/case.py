"""One row of the table: a parser, and good bytes to start from.

How it works
    `Case.seeds` is called when the seeds are needed, and not when the table is read: some are made by a whole mesh.
    `asked` is for what an operator or a person hands in, whose refusals are LocalError; `text` and `raw` turn bytes
    into the text that a terminal or a page would have made of them, and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ledger.errors import LocalError, RemoteError

Parser = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Case:
    """A parser, and a function that gives good bytes for it."""

    parse: Parser
    seeds: Callable[[], tuple[bytes, ...]]


def asked(parse: Parser) -> Parser:
    """Let a LocalError count as a refusal too: the bytes are of somebody who asks us, in a file or a form."""

    def read(data: bytes) -> object:
        try:
            return parse(data)
        except LocalError as error:
            raise RemoteError(error.code, error.message, field=error.field) from error

    return read


def text(data: bytes) -> str:
    """Return bytes as a terminal hands them in: what is no UTF-8 comes as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def raw(given: str) -> bytes:
    """Return the bytes that `text` turns into this."""
    return given.encode("utf-8", "surrogateescape")
