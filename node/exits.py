"""Exit codes of the command, and which error ends in which; the control API's statuses follow from them.

How it works
    An error's stable code selects the exit code, by the three sets below; every other refusal is 1. Scripts can so
    tell "no" from "not now". Doing nothing because nothing was to be done is success.

    | exit | status | meaning |
    |---|---|---|
    | 0 | 200 | done, or nothing to do |
    | 1 | 409 | refused, or a check failed; for `proof verify`: the proof is invalid |
    | 2 | 422 | used wrongly: unknown option, malformed value, a question that nobody can answer |
    | 3 | -   | no node answers on the control socket; for `proof verify`: it cannot be decided |
    | 4 | 423 | a key is locked: wrong or no passphrase |
    | 5 | 404 | what was named is not there |
    | 75 | 503 | not now; the same command may work later |

What it does not do
    It prints nothing.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import LocalError, MailleError

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
LOCKED: Final = 4
NOT_FOUND: Final = 5
TEMPORARY: Final = 75

STATUS: Final = {REFUSED: 409, USAGE: 422, UNREACHABLE: 502, LOCKED: 423, NOT_FOUND: 404, TEMPORARY: 503}
"""The HTTP status that goes with an exit code."""

_EXITS: Final = {
    "USAGE": USAGE,
    "NEEDS_YES": USAGE,
    "NODE_UNREACHABLE": UNREACHABLE,
    "KEY_LOCKED": LOCKED,
    "NOT_FOUND": NOT_FOUND,
    "NO_SUCH_LEAF": NOT_FOUND,
    "UNKNOWN_FEED": NOT_FOUND,
    "BACKUP_MISSING": NOT_FOUND,
    "STORE_MISSING": NOT_FOUND,
    "KEY_MISSING": NOT_FOUND,
    "TEMPORARY": TEMPORARY,
    "STORE_BUSY": TEMPORARY,
    "DISK_FULL": TEMPORARY,
    "NODE_STOPPING": TEMPORARY,
    "UNREACHABLE": TEMPORARY,
    "NO_MEMBER_REACHED": TEMPORARY,
    "NO_SUCH_REQUEST": NOT_FOUND,
    "TOO_MANY_TRIES": TEMPORARY,
    "TENANT_RATE": TEMPORARY,
}


def exit_of(code: str) -> int:
    """Return the exit code of an error by its stable code."""
    return _EXITS.get(code, REFUSED)


def usage(message: str, field: str | None = None) -> MailleError:
    """Return the error of a command that was used wrongly; it ends with exit code 2."""
    return LocalError("USAGE", message, field=field)


def not_found(what: str, field: str | None = None) -> LocalError:
    """Return the error of a name that names nothing here; it ends with exit code 5. `what` is a sentence."""
    return LocalError("NOT_FOUND", what, field=field)


def first_of(error: BaseException) -> BaseException:
    """Return the first error within a group of a nursery, however deep it lies; one that is no group, itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
