"""What a person is told who typed something wrong: which word, what may stand there, where to read on.

How it works
    cyclopts says which word of a command line it cannot place, or read. That becomes one sentence of ours, with the
    option's name as it is typed. Of values out of their bounds `out_of_bounds` speaks (node/shapes.py).

What it does not do
    It judges nothing, and knows no operation.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.argument import Argument
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

_FORMS: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "yes or no",
    "datetime": "a time: write 2026-01-31, or 2026-01-31T12:00:00Z",
}
"""Name of a type -> how a value of it is written."""


def misused(error: CycloptsError) -> str:
    """Return what is wrong with a command line, and which command has the help."""
    told = " ".join(_misused(error).split()).removesuffix(".")
    dot = "" if told.endswith("?") else "."
    return f"{told}{dot} Try: {' '.join(('maille', *(error.command_chain or ()), '--help'))}"


def _misused(error: CycloptsError) -> str:
    match error:
        case UnknownOptionError(token=token):
            return f"There is no option {token.keyword or token.value}{_suggested(error)}"
        case UnknownCommandError(unused_tokens=tokens) if tokens:
            return f'There is no command "{tokens[0]}"{_suggested(error)}'
        case UnusedCliTokensError(unused_tokens=tokens) if tokens:
            return f'Nothing is expected where "{tokens[0]}" stands'
        case CoercionError(argument=argument, token=token, target_type=kind) if argument and token and kind:
            return _unreadable(_name(argument), token.value, kind)
        case MissingArgumentError(argument=argument, keyword=given) if type(error) is MissingArgumentError and argument:
            return f"{given} stands without a value" if given else f"{_name(argument)} is missing"
        case _:
            return str(error)


def _name(argument: Argument) -> str:
    """Return how an argument is named in the help: CONSENT where it stands by itself, else --consent."""
    return argument.name.lstrip("-").upper() if argument.index is not None else argument.name


def _suggested(error: CycloptsError) -> str:
    found = re.search(r'Did you mean "?([^"?]+)"?\?', " ".join(str(error).split()))
    return f"; did you mean {found[1]}?" if found else ""


def _unreadable(name: str, value: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        choices = [str(one) for one in get_args(kind)]
        near = get_close_matches(value, choices, n=1)
        told = f'{name} cannot be "{value}"; it is one of {", ".join(choices)}'
        return f"{told}; did you mean {near[0]}?" if near else told
    form = _FORMS.get(getattr(kind, "__name__", ""), f"of the form {getattr(kind, '__name__', kind)}")
    return f'{name}: "{value}" is not {form}'
