"""The errors of maille: two families, ours and theirs, each with a stable code and a sentence.

How it works
    Every error a person or a peer can meet carries a `code` (UPPER_SNAKE, never renamed) and a message that
    says what happened, which field or line, and what to do. `LocalError` means that the caller or the operator
    asked for something that cannot be; `RemoteError` means that bytes which came from elsewhere (a peer, a
    file, a ticket) are wrong. Commands print `str(error)`; a peer is sent the code alone.

What it does not do
    It holds no catalogue: a code is defined where it is raised. It never carries secrets or personal data.
"""

from __future__ import annotations


class MailleError(Exception):
    """What every error of maille is.

    `code`: stable, UPPER_SNAKE. `message`: a sentence for a person. `field`: the field, line or item that is
    wrong, where there is one.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        """Return the sentence, with its field in front and its code behind."""
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error cross a process boundary (worker processes verify signatures)."""
        return (_rebuild, (type(self), self.code, self.message, self.field))


def _rebuild(kind: type[MailleError], code: str, message: str, field: str | None) -> MailleError:
    return kind(code, message, field=field)


class LocalError(MailleError):
    """Ours: the caller or the operator asked for something that cannot be done."""


class RemoteError(MailleError):
    """Theirs: bytes that came from a peer, a file or a ticket are wrong, and were refused whole."""
