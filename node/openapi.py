"""The OpenAPI description of the control API, made from the table of operations.

How it works
    msgspec writes the JSON schemas of arguments and results; each operation becomes one path. Descriptions are the
    docstrings and the texts of `said`.

What it does not do
    It serves nothing; node/api.py does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from node.exits import STATUS
from node.operation import Operation, fields, said

API_VERSION: Final = 1
"""The major version of the control API; command and node refuse each other when theirs differ."""

_GUARD: Final = (401, 403, 421, 429, 500)
"""Further statuses: of the door on TCP (node/guard.py), and of a fault of the program."""
_REFERENCE: Final = "#/components/schemas/{name}"


class Refusal(msgspec.Struct, frozen=True):
    """Why an operation was not done."""

    code: Annotated[str, said("Stable, in capital letters.")]
    message: Annotated[str, said("A sentence: what happened, and what to do.")]
    field: Annotated[str | None, said("The field, line or item that is wrong.")] = None
    theirs: Annotated[bool, said("Whether a peer, a file or a ticket is at fault, and not the request.")] = False
    exit: Annotated[int, said("The exit code of the command.")] = 1


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a self-contained JSON schema (2020-12) of a Struct."""
    return msgspec.json.schema(struct)


def describe(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document. `version`: of the program."""
    rows = list(operations)
    structs: list[type[msgspec.Struct]] = [
        Refusal,
        *dict.fromkeys(struct for row in rows for struct in (row.args, row.result)),
    ]
    references, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    by_struct = dict(zip(structs, references, strict=True))
    paths: dict[str, Any] = {}
    for row in rows:
        if not row.local:
            paths[row.path] = _path(row, by_struct)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maille control API",
            "version": version,
            "description": "Every command of `maille` that speaks to a running node: over its unix socket, or over "
            "TCP with a token (`maille token make`).",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _path(row: Operation, by_struct: dict[type[msgspec.Struct], Any]) -> dict[str, Any]:
    answers = {"200": _answer("Done.", by_struct[row.result])}
    answers |= {str(status): _answer("Refused.", by_struct[Refusal]) for status in sorted({*STATUS.values(), *_GUARD})}
    common = {
        "summary": row.summary,
        "description": row.help,
        "tags": [row.noun or row.verb],
        "x-permission": row.permission,
        "responses": answers,
    }
    identity = row.name.replace(" ", "-")
    body = {"required": False, "content": {"application/json": {"schema": by_struct[row.args]}}}
    found: dict[str, Any] = {"post": {"operationId": identity, **common, "requestBody": body}}
    if row.reads:
        found["get"] = {"operationId": f"get-{identity}", **common, "parameters": _query(row)}
    return found


def _answer(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _query(row: Operation) -> list[dict[str, Any]]:
    properties = schema_of(row.args)["$defs"][row.args.__name__]["properties"]
    return [
        {"name": f.name, "in": "query", "required": f.required, "description": f.text, "schema": properties[f.name]}
        for f in fields(row.args)
    ]
