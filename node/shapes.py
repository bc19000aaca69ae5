"""What a setting of config.toml must look like, and what is wrong with one, in our words.

How it works
    Each table is a Struct whose fields bear their bounds. Where the type alone does not show what to write, `Meta` has
    a `description` ("host:port") and `examples` too; else the example is the default, or made from the type. `fault`
    takes what msgspec refused, finds the field by its path, and says which table, which field, what it must look like,
    and a line that may stand there: one mechanism for all tables.

What it does not do
    It checks nothing: msgspec does, and the tables' own `check`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from node.exits import usage

if TYPE_CHECKING:
    from msgspec.inspect import Field, StructType, Type

    from ledger.errors import MailleError

Address = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
        r":([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$",
        max_length=128,
        description="host:port, or [v6]:port; a port is at most 65535",
        examples=["127.0.0.1:8470"],
    ),
]
"""host:port, or [v6]:port."""
FilePath = Annotated[str, Meta(description="a file, seen from the data directory")]
"""The path of a file."""
Certificate = Annotated[FilePath, Meta(examples=["tls/fullchain.pem"])]
"""The path of a TLS certificate, with its chain."""
PrivateKey = Annotated[FilePath, Meta(examples=["tls/privkey.pem"])]
"""The path of its key."""

_TOLD: Final = re.compile(r"(?s)(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN: Final = re.compile(r"(?s)Object contains unknown field `(.*)`")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_GOT: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number with a point",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a time",
    "date": "a date",
    "time": "a time of day",
}
"""What msgspec calls a kind of value -> what we call it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a setting. `path`: its tables and its name; `told`: a sentence without its full stop."""

    path: tuple[str, ...]
    told: str


def fault(error: msgspec.ValidationError, whole: type[msgspec.Struct]) -> Fault:
    """Return what is wrong with the settings, of type `whole`, that msgspec refused."""
    what, place = refused(error)
    path = tuple(re.findall(r"\.(\w+)", place))
    if (missing := _MISSING.fullmatch(what)) is not None:
        return _missing((*path, missing[1]), whole)
    if (unknown := _UNKNOWN.fullmatch(what)) is not None:
        return _unknown(path, unknown[1], whole)
    field = _field(path, whole)
    item = re.search(r"\[(\d+)\]$", place)
    kind = _bare(field.type)[0]
    got = re.search(r"got `(\w+)`$", what)
    but = f", not {_GOT[got[1]]}" if got is not None and got[1] in _GOT else ""
    if item is not None:
        name, kind = f"Item {int(item[1]) + 1} of {_named(path, the='the')}", _item_of(kind)
    else:
        name, kind = _named(path), field.type
    return Fault(path, f"{name} must be {shape(kind)}{but}: {_advice(path, field)}")


def out_of_bounds(error: msgspec.ValidationError, whole: type[msgspec.Struct]) -> MailleError:
    """Return the refusal of an option's value, of which a field of `whole` is made: which option, what it must be."""
    place = refused(error)[1]
    name = re.match(r"\.(\w+)", place)
    if name is None:
        return usage(f"{error}.")
    kind = _field((name[1],), whole).type
    form = shape(_item_of(_bare(kind)[0]) if "[" in place else kind)
    return usage(f"This must be {form}.", f"--{name[1].replace('_', '-')}")


def refused(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what msgspec says, and of which place: ".relay.rate", ".faults[0].until"; "" for the whole."""
    found = _TOLD.fullmatch(str(error))
    return (found["what"], found["path"] or "") if found is not None else (str(error), "")


def _missing(path: tuple[str, ...], whole: type[msgspec.Struct]) -> Fault:
    return Fault(path, f"{_named(path)} is missing: {_advice(path, _field(path, whole))}")


def _unknown(table: tuple[str, ...], name: str, whole: type[msgspec.Struct]) -> Fault:
    """Return the fault of a name that no setting has: which it may be, or where it belongs."""
    known, top = _fields(table, whole), _fields((), whole)
    shown = name if _BARE.fullmatch(name) else toml_value(name[:60])
    where = f"The table [{'.'.join(table)}] has no field {shown}" if table else f"There is no setting {shown}"
    near = next(iter(get_close_matches(name, known, n=1)), None)
    if table and name in top:
        home = f"below its own heading [{name}]" if table_of(top[name]) else "above the first table"
        told = f"{where}: it belongs {home}; move it there"
    elif near is not None:
        told = f"{where}: write {f'[{near}]' if table_of(known[near]) and not table else near}, or delete it"
    else:
        told = f"{where}: delete it, or write one of {', '.join(known)}"
    return Fault((*table, name), told)


def shape(kind: Type) -> str:
    """Return what a value of this type looks like: "a whole number from 0 to 64", "text (host:port)"."""
    from msgspec.inspect import BoolType, DictType, FloatType, IntType, LiteralType, StrType, StructType, VarTupleType

    bare, said = _bare(kind)
    match bare:
        case BoolType():
            return "true or false"
        case IntType(ge=least, le=most, gt=above, lt=below) | FloatType(ge=least, le=most, gt=above, lt=below):
            name = "a whole number" if isinstance(bare, IntType) else "a number"
            if least is not None and most is not None:
                return f"{name} from {least} to {most}"
            limits = {"at least": least, "more than": above, "at most": most, "less than": below}
            ends = " and ".join(f"{word} {limit}" for word, limit in limits.items() if limit is not None)
            return f"{name} of {ends}" if ends else name
        case LiteralType(values=values):
            return f"one of {', '.join(map(toml_value, values))}"
        case VarTupleType(item_type=item, max_length=most):
            return f"a list{f' of at most {most}' if most else ''}, each {shape(item)}"
        case StructType() | DictType():
            return "a table"
        case StrType(min_length=least, max_length=most):
            bounds = f"at most {most} characters" if most else ""
            bounds = f"1 to {most} characters" if most and least else bounds
            bounds = f"at least {least} character{'s' if least > 1 else ''}" if least and not most else bounds
            inside = ", ".join(filter(None, (said.get("description", ""), bounds)))
            return f"text ({inside})" if inside else "text"
        case _:
            return str(said.get("description", "of another kind"))


def example(field: Field) -> Any:
    """Return a value that may stand in a field: as it is documented, else its default, else one made from the type."""
    made = _example(field.type)
    documented = _bare(field.type)[1].get("examples")
    return made if documented or field.default in (msgspec.NODEFAULT, None, "", ()) else field.default


def _example(kind: Type) -> Any:
    from msgspec.inspect import BoolType, IntType, LiteralType, VarTupleType

    bare, said = _bare(kind)
    if said.get("examples"):
        return said["examples"][0]
    match bare:
        case BoolType():
            return True
        case IntType(ge=least):
            return max(1, least or 0)
        case LiteralType(values=values):
            return values[0]
        case VarTupleType(item_type=item):
            return [_example(item)]
        case _:
            return "text"


def _advice(path: tuple[str, ...], field: Field) -> str:
    if table_of(field):
        return f"write [{'.'.join(path)}], and its fields on the lines below"
    return f"write, for example: {path[-1]} = {toml_value(example(field))}"


def _named(path: tuple[str, ...], the: str = "The") -> str:
    *tables, name = path
    return f"{the} field {name} of the table [{'.'.join(tables)}]" if tables else f"{the} setting {name}"


def _field(path: tuple[str, ...], whole: type[msgspec.Struct]) -> Field:
    return _fields(path[:-1], whole)[path[-1]]


def _fields(table: tuple[str, ...], whole: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the fields of a table, by name; of the settings themselves for ()."""
    from msgspec.inspect import type_info

    kind: StructType = type_info(whole)  # type: ignore[assignment] # a Struct's, at every step
    for name in table:
        kind = _bare(next(one.type for one in kind.fields if one.name == name))[0]  # type: ignore[assignment]
    return {one.name: one for one in kind.fields}


def table_of(field: Field) -> type[msgspec.Struct] | None:
    """Return the Struct of a field that is a table; None for any other."""
    from msgspec.inspect import StructType

    bare = _bare(field.type)[0]
    return bare.cls if isinstance(bare, StructType) else None


def _item_of(kind: Type) -> Type:
    from msgspec.inspect import VarTupleType

    return kind.item_type if isinstance(kind, VarTupleType) else kind


def _bare(kind: Type) -> tuple[Type, dict[str, Any]]:
    """Return a type by itself, and what is said of it; of "this or nothing", this."""
    from msgspec.inspect import Metadata, NoneType, UnionType

    match kind:
        case Metadata(type=inner, extra_json_schema=said):
            bare, more = _bare(inner)
            return bare, {**more, **(said or {})}
        case UnionType(types=kinds):
            return _bare(next(one for one in kinds if not isinstance(one, NoneType)))
        case _:
            return kind, {}


def toml_value(value: Any) -> str:
    """Return a value as TOML: text, a number, true or false, a list of these."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    # A JSON string is a basic string of TOML; DEL is the one character JSON leaves bare and TOML does not take.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def line_of(path: Sequence[str], text: str) -> int | None:
    """Return the line of a setting in TOML, from 1; else that of its table's heading; None where neither is seen."""
    *tables, name = path
    section, heading = list[str](), None
    for number, line in enumerate(text.splitlines(), start=1):
        if (found := re.match(r"\s*\[+\s*([^\[\]#]+?)\s*\]", line)) is not None:
            section = [part.strip().strip("\"'") for part in found[1].split(".")]
            heading = number if section == [*path][: len(section)] else heading
        elif found := re.match(r"\s*([\w\-.\"' ]+?)\s*=", line):
            key = [part.strip().strip("\"'") for part in found[1].split(".")]
            if [*section, *key] == [*tables, name][: len(section) + len(key)]:
                return number
    return heading
