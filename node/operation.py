"""What an operation is: the one description from which command, control API and reference are made (design.md §7).

How it works
    An operation is a function with a typed argument and a typed result, both msgspec Structs:

        class ShowArgs(Args, frozen=True):
            \"\"\"Which mesh to show.\"\"\"

            mesh: Annotated[str, said("Its name or id.", positional=True)] = ""

        @operation("mesh", "show", permission="read")
        async def mesh_show(node: Node, args: ShowArgs) -> MeshShown:
            \"\"\"Show a mesh: policy, members, links.\"\"\"

    The first line of the docstring is the summary, the rest its long help. `said(...)` documents a field, on the
    command line and in the JSON schema alike; it stands outermost in the Annotated. The module is named in
    `node/operations.py`, and that is all: `maille mesh show`, `POST /v1/mesh/show`, its OpenAPI, its reference.

    An operation runs inside the node (`operation`: async, given the Node), or in the command's own process without
    a node (`local_operation`: a plain function, given the command's surroundings, `Local`).

What it does not do
    It runs nothing and knows no other layer: it is imported by every command line, so it imports little.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from node.exits import OK

Permission = Literal["read", "operate", "admin"]
"""Who may: whoever may look, whoever runs the node from day to day, whoever owns it."""


class Args(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operation is asked. Required fields stand before those with a default."""


class Result(msgspec.Struct, frozen=True):
    """What an operation answers. Fields may be added later; none goes away."""


class Nothing(Args, frozen=True):
    """No arguments."""


A = TypeVar("A", bound=Args)
R = TypeVar("R", bound=Result)


class Local(Protocol):
    """The surroundings of an operation that runs in the command's own process."""

    data_dir: Path

    def say(self, sentence: str) -> None:
        """Tell a person what goes on; silent where a machine reads the result."""

    def tell(self, sentence: str) -> None:
        """Tell a sentence that is itself the result, as a story is; silent where a machine reads the result."""

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Show on a terminal how long `what` takes; silent where a machine reads the result."""

    def emit(self, row: Result, drawn: str) -> None:
        """Print one part of a result that never ends: as a line of JSON for a machine, else as `drawn`."""

    def passphrase(self, *, new: bool = False) -> str | None:
        """Return the passphrase of the keys: from its file, a credential, or a prompt (twice when `new`).

        None where the person chose unsealed keys. Raises LocalError KEY_LOCKED when there is nobody to ask.
        """


def always_ok(_: Any) -> int:
    """Return 0: an answer is a success, unless the operation says otherwise."""
    return OK


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table. `noun` is None for a command of one word (`maille join`).

    `confirm`: asked before it runs, as it cannot be undone. `keys`: it opens keys, so the command offers
    --passphrase-file. `exit_of`: the exit code of a result that is an answer and no error. `render`: the result for a
    person, where the general rendering will not do.
    """

    noun: str | None
    verb: str
    args: type[Args]
    result: type[Result]
    handler: Callable[..., Any]
    permission: Permission
    local: bool = False
    keys: bool = False
    confirm: str | None = None
    exit_of: Callable[[Any], int] = always_ok
    render: Callable[[Any], str] | None = None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.permission == "read"

    @property
    def name(self) -> str:
        """What one types after `maille`."""
        return f"{self.noun} {self.verb}" if self.noun else self.verb

    @property
    def path(self) -> str:
        """Its path in the control API."""
        return f"/v1/{self.noun}/{self.verb}" if self.noun else f"/v1/{self.verb}"

    @property
    def help(self) -> str:
        """The whole help text: the docstring of its function."""
        return inspect.cleandoc(self.handler.__doc__ or "")

    @property
    def summary(self) -> str:
        """The first line of its help."""
        return self.help.partition("\n")[0]


def operation(
    noun: str | None,
    verb: str,
    *,
    permission: Permission,
    confirm: str | None = None,
    exit_of: Callable[[Any], int] = always_ok,
    render: Callable[[Any], str] | None = None,
) -> Callable[[Callable[[Any, A], Awaitable[R]]], Operation]:
    """Make an operation of an async function (node, args) -> result, which runs inside the node."""

    def make(handler: Callable[[Any, A], Awaitable[R]]) -> Operation:
        args, result = _types(handler)
        return Operation(noun, verb, args, result, handler, permission, confirm=confirm, exit_of=exit_of, render=render)

    return make


def local_operation(
    noun: str | None,
    verb: str,
    *,
    permission: Permission,
    keys: bool = False,
    confirm: str | None = None,
    exit_of: Callable[[Any], int] = always_ok,
    render: Callable[[Any], str] | None = None,
) -> Callable[[Callable[[Local, A], R]], Operation]:
    """Make an operation of a function (local, args) -> result, which needs no running node."""

    def make(handler: Callable[[Local, A], R]) -> Operation:
        args, result = _types(handler)
        return Operation(noun, verb, args, result, handler, permission, True, keys, confirm, exit_of, render)

    return make


def _types(handler: Callable[..., Any]) -> tuple[type[Args], type[Result]]:
    # A handler's module names the Node for the type checker alone: the command line must not import it.
    hints = get_type_hints(handler, localns={"Node": object})
    return hints["args"], hints["return"]


def said(
    text: str,
    *,
    positional: bool = False,
    content: bool = False,
    path: bool = False,
    secret: bool = False,
    beside: str = "",
    coarse: bool = False,
) -> Meta:
    """Document a field. The rest says how the command line fills an argument.

    `positional`: without an option's name. `content`: the value is what a file holds; the command takes the file's
    name, or - for standard input (of a text field, also the text itself). On a bytes field of a result: the command
    writes it to the file named by --to. `path`: the name of a file or directory of this machine, made absolute.
    `secret`: never on the command line; from a file (--NAME-file), or asked for: always when the field is required,
    else when the argument `beside` is given. `coarse`: a time of a result that is rounded on purpose; how long ago it
    was is not shown, as that would be wrong.
    """
    extra = {"positional": positional, "content": content, "path": path, "secret": secret, "beside": beside}
    marks = {name: mark for name, mark in {**extra, "coarse": coarse}.items() if mark}
    return Meta(description=textwrap.dedent(text).strip(), extra=marks)


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of a Struct: its name, bare type, default (NODEFAULT when required), text, and marks of `said`."""

    name: str
    type: Any
    default: Any
    text: str
    marks: Mapping[str, Any]

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is msgspec.NODEFAULT

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return type(None) in get_args(self.type)

    @property
    def plain(self) -> Any:
        """The type without null and without constraints."""
        kind = self.type
        if get_origin(kind) in (Union, UnionType):
            kind = next(one for one in get_args(kind) if one is not type(None))
        return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def fields(struct: type[msgspec.Struct]) -> Iterator[FieldRow]:
    """Yield the fields of a Struct with what `said` says of them."""
    for field in msgspec.structs.fields(struct):
        kind: Any = field.type
        notes: tuple[Meta, ...] = ()
        if get_origin(kind) is Annotated:
            kind, *found = get_args(kind)
            notes = tuple(note for note in found if isinstance(note, Meta))
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        text = next((note.description for note in notes if note.description), "")
        marks = {name: on for note in notes for name, on in (note.extra or {}).items()}
        yield FieldRow(field.name, kind, default, text, marks)
