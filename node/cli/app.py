"""From the table of operations to commands: options from the fields of a Struct, one way to run each.

How it works
    Each operation becomes a cyclopts command whose signature is made from its argument Struct, with the options
    that every command has (--data-dir, --json) and those its marks ask for (--yes, --passphrase-file, --to). The
    command collects the arguments, runs the operation here or in the node, shows the result and returns the exit code.
    An error is one sentence on standard error, with its code.

What it does not do
    No operation is written here.
"""

from __future__ import annotations

import errno
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from cyclopts import App, CycloptsError, Parameter

from ledger.errors import MailleError
from node.cli.terminal import Terminal, ask_secret, read_content, read_secret, write_new
from node.cli.there import ELSEWHERE, at
from node.cli.wording import misused
from node.config import data_directory, socket_path
from node.examples import example
from node.exits import OK, USAGE, exit_of, usage
from node.operation import Args, FieldRow, Operation, Result, fields
from node.operations import NOUNS, OPERATIONS, SHORT
from node.shapes import out_of_bounds

ABOUT: Final = """A mesh of peers in which energy data flows only under a consent that anyone can verify.

To see it work: maille demo. A node of your own: maille node init, maille node run, then maille mesh create or
maille join. How it is: maille status, and maille doctor says what to mend. Each command has its own --help.
"""
PASSPHRASE: Final = "File whose first line is the passphrase of the keys."
TO: Final = "The file to write. Default: standard output, if that is no terminal."
_COMMON: Final = "every command"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CANCELLED: Final = 130  # as the shell reports a command ended by Ctrl-C


@dataclass(frozen=True, slots=True)
class Common:
    """The options that commands share."""

    data_dir: Path | None = None
    as_json: bool = False
    yes: bool = False
    passphrase_file: Path | None = None
    to: Path | None = None


def build(operations: Iterable[Operation] = OPERATIONS, version: str | None = None) -> App:
    """Return the whole command line."""
    app = App(name="maille", help=ABOUT, version=version or _version, version_flags=["--version"])
    groups: dict[str, App] = {}
    for operation in operations:
        command, shown = _command(operation), example(operation.name)
        after = f"Example: {shown}" if shown else None
        if operation.noun is None:
            app.command(command, name=operation.verb, help_epilogue=after)
            continue
        if operation.noun not in groups:
            groups[operation.noun] = App(name=operation.noun, help=NOUNS.get(operation.noun, ""), version_flags=[])
            app.command(groups[operation.noun])
        groups[operation.noun].command(command, name=operation.verb, help_epilogue=after)
        for short, names in SHORT.items():
            if names == (operation.noun, operation.verb):
                app.command(command, name=short)
    return app


def run(argv: list[str], operations: Iterable[Operation] = OPERATIONS) -> int:
    """Run one command and return its exit code. Nothing but the result goes to standard output."""
    there = _given(argv)
    try:
        found = build(operations)(argv, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return found if isinstance(found, int) else OK
    except CycloptsError as error:
        return _complain(misused(error), "USAGE", USAGE)
    except MailleError as error:
        where = f"{error.field}: " if error.field else ""
        return _complain(at(there, where + error.message), error.code, exit_of(error.code))
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of the result goes nowhere
        told = f"The result could not be written: {error.strerror}; make room, or send it elsewhere."
        return _complain(told, "DISK_FULL", exit_of("DISK_FULL"))
    except KeyboardInterrupt:
        return _CANCELLED


def _complain(sentence: str, code: str, exit_code: int) -> int:
    print(f"maille: {sentence} [{code}]", file=sys.stderr)
    return exit_code


def _given(argv: list[str]) -> str:
    """Return the data directory that a command names by its option, or nothing."""
    for place, word in enumerate(argv):
        if word == "--data-dir" and place + 1 < len(argv):
            return argv[place + 1]
        if word.startswith("--data-dir="):
            return word.partition("=")[2]
    return ""


def _version() -> str:
    from importlib.metadata import version

    return version("maille")


# Signatures


def _command(operation: Operation) -> Callable[..., int]:
    signature = _signature(operation, fields(operation.args))

    def command(*given: Any, **named: Any) -> int:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        values = dict(bound.arguments)
        common = Common(
            values.pop("data_dir_", None),
            values.pop("json_", False),
            values.pop("yes_", False),
            values.pop("passphrase_file_", None),
            values.pop("to_", None),
        )
        return perform(operation, values, common)

    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__name__ = operation.name.replace(" ", "_")
    command.__doc__ = operation.help
    return command


def _signature(operation: Operation, rows: Iterable[FieldRow]) -> inspect.Signature:
    own = [_parameter(row) for row in rows]
    own.sort(key=lambda parameter: (parameter.kind, parameter.default is not inspect.Parameter.empty))
    shared = [
        _option("data_dir_", Path | None, None, "The node's directory.", name="--data-dir", env_var="MAILLE_DATA_DIR"),
        _option("json_", bool, False, "Print the result as JSON.", name="--json"),
    ]
    if operation.confirm:
        shared.append(_option("yes_", bool, False, "Do it without being asked.", name="--yes"))
    if operation.keys:
        shared.append(_option("passphrase_file_", Path | None, None, PASSPHRASE, name="--passphrase-file"))
    if content_field(operation.result) is not None:
        shared.append(_option("to_", Path | None, None, TO, name=("--to", "--output")))
    return inspect.Signature([*own, *shared])


def _option(field: str, kind: Any, default: Any, text: str, **more: Any) -> inspect.Parameter:
    parameter = Parameter(help=text, negative="", group=_COMMON, **more)
    annotation = Annotated[kind, parameter]
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parameter(row: FieldRow) -> inspect.Parameter:
    name, kind, text = row.name, row.type, row.text
    if "secret" in row.marks:
        name, kind = f"{row.name}_file", Path | None
        text = f"{row.text} First line of this file; asked for if there is a terminal."
    elif "content" in row.marks:
        kind = str | None if row.optional else str
        if get_origin(row.plain) is tuple:
            kind = list[str] | None  # given once for each file
        text = f"{row.text} A file, or - for standard input" + (", or the text itself." if row.plain is str else ".")
    elif get_origin(row.plain) is tuple:
        kind = list[get_args(row.plain)[0]] | None  # type: ignore[misc] # given once for each item
    elif get_origin(row.plain) is Literal and "" in get_args(row.plain):
        kind = Literal[tuple(filter(None, get_args(row.plain)))]  # nothing is said by leaving it out
    positional = "positional" in row.marks
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD if positional else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if row.required and "secret" not in row.marks else row.default
    if default is msgspec.NODEFAULT or default == ():
        default = None
    hyphen = "content" in row.marks  # "-" is standard input
    marks = Parameter(
        help=text,
        negative="",
        allow_leading_hyphen=hyphen,
        show_default=default not in (None, "", False, inspect.Parameter.empty),
    )
    return inspect.Parameter(name, place, default=default, annotation=Annotated[kind, marks])


# Running


def perform(operation: Operation, values: dict[str, Any], common: Common) -> int:
    """Run one operation with what the command line gave, show its result, and return the exit code."""
    data_dir = data_directory(common.data_dir)
    named = str(common.data_dir or "")
    if operation.name in ELSEWHERE or named == os.environ.get("MAILLE_DATA_DIR"):
        named = ""  # the next command finds it too
    terminal = Terminal(data_dir, named, quiet=common.as_json, passphrase_file=common.passphrase_file, yes=common.yes)
    args = collect(operation, values)
    to = _destination(operation, common)
    if operation.confirm:
        terminal.confirm(operation.confirm)
    if operation.local:
        result = operation.handler(terminal, args)
    else:
        from node.client import Client

        with terminal.waiting(_task(operation, args)):
            result = Client(socket_path(data_dir)).call(operation, args)
    _show(operation, result, common.as_json, to, named)
    return operation.exit_of(result)


def _task(operation: Operation, args: Args) -> str:
    """Return what a command is busy with: its name, and the size of the file that it sends."""
    sizes = [len(value) for row in fields(operation.args) if isinstance(value := getattr(args, row.name), bytes)]
    return f"{operation.name}, {sum(sizes) / 2**20:.1f} MiB" if sizes else operation.name


def collect(operation: Operation, values: dict[str, Any]) -> Args:
    """Return the argument Struct: files read, secrets asked for, everything checked. Raises LocalError USAGE."""
    given: dict[str, Any] = {}
    for row in fields(operation.args):
        if "secret" in row.marks:
            path = values.get(f"{row.name}_file")
            if path is not None:
                given[row.name] = read_secret(path)
            elif row.required or (values.get(row.marks.get("beside", "")) and sys.stdin.isatty()):
                given[row.name] = ask_secret(row.text, f"--{row.name.replace('_', '-')}-file FILE")
            continue
        value = values.get(row.name)
        if value is None:
            continue
        if "content" in row.marks:
            value = _contents(row, value)
        elif "path" in row.marks and value:  # an empty one is a default, and no place
            value = str(Path(value).absolute())
        given[row.name] = value
    try:
        return msgspec.convert(given, operation.args)
    except msgspec.ValidationError as error:
        raise out_of_bounds(error, operation.args) from None


def _contents(row: FieldRow, given: Any) -> Any:
    """Return what a file holds, as the field has it; of each file where it may be given several times."""
    if isinstance(given, list):
        return tuple(read_content(each, text=False, field=row.name) for each in given)
    raw = read_content(given, text=row.plain is str, field=row.name)
    return _as_text(raw, row.name) if row.plain is str else raw


def _as_text(raw: bytes, field: str) -> str:
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise usage("This is not UTF-8 text.", field) from None


def content_field(result: type[Result]) -> FieldRow | None:
    """Return the field of a result that a command writes to a file, if there is one."""
    return next((row for row in fields(result) if "content" in row.marks), None)


def _destination(operation: Operation, common: Common) -> Path | None:
    if content_field(operation.result) is None or common.to is not None or common.as_json:
        return common.to
    if sys.stdout.isatty():
        raise usage("The result is a file; name it with --to FILE, or send standard output somewhere.")
    return None


def _show(operation: Operation, result: Any, as_json: bool, to: Path | None, data_dir: str) -> None:
    row = content_field(operation.result)
    if row is not None:
        content = getattr(result, row.name)
        data = content.encode() if isinstance(content, str) else content
        if to is not None:
            write_new(to, data)
            if not as_json and len(result.__struct_fields__) == 1:
                print(f"Written to {to}.", file=sys.stderr)
                return
            result = msgspec.structs.replace(result, **{row.name: type(content)()})
            if "verify" in result.__struct_fields__:  # the command that it names: of this very file
                told = result.verify.replace(" FILE ", f" {shlex.quote(str(to))} ")
                result = msgspec.structs.replace(result, verify=told)
        elif not as_json:
            sys.stdout.buffer.write(data)
            _hint(result, data_dir)
            return
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
        return
    from node.cli.render import drawn, show

    show(at(data_dir, operation.render(result) if operation.render else drawn(result)))
    if operation.render:
        _hint(result, data_dir)


def _hint(result: Any, data_dir: str) -> None:
    """Tell on standard error what a person should know besides a result that goes to standard output alone."""
    if told := getattr(result, "hint", ""):
        print(f"maille: {at(data_dir, told)}", file=sys.stderr)
