"""The reference pages of the documentation, made from the code when mkdocs builds: a page cannot drift from it.

How it works
    A hook of mkdocs. `PAGES` names each page and the function that writes it: from the table of operations, the
    settings, the metrics, the codes, the kinds of entries, the tables of a scenario, and the README files that stand
    beside the code.

What it does not do
    It writes nothing to the disk, and explains nothing that the code does not say.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from msgspec.inspect import StructType, type_info

from ledger import kinds
from ledger.consent import reasons as gate_reasons
from ledger.consent.reasons import Reason as GateReason
from node import exits
from node.config import Config
from node.examples import example
from node.metrics import NAMES
from node.openapi import API_VERSION
from node.operation import Operation, fields
from node.operations import ALONE, NOUNS, OPERATIONS
from node.shapes import shape, table_of
from proofs.reasons import Reason as ProofReason

ROOT: Final = Path(__file__).resolve().parents[2]


def _cell(text: object) -> str:
    """Return a text for one cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# Commands


def _option(name: str, marks: Any) -> str:
    if "positional" in marks:
        return f"`{name.upper()}`"
    option = "--" + name.replace("_", "-") + ("-file" if "secret" in marks else "")
    return f"`{option}`"


def _kind(row: Any) -> str:
    kind = row.plain
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return " / ".join(filter(None, choices))
    name = getattr(kind, "__name__", str(kind))
    return {"str": "text", "bytes": "file", "int": "number", "bool": "switch", "tuple": "several"}.get(name, name)


def _command(operation: Operation) -> str:
    parts = [f"### `maille {operation.name}` {{ #{operation.name.replace(' ', '-')} }}", operation.help]
    rows = list(fields(operation.args))
    if rows:
        head = ("argument", "what", "kind", "needed")
        body = [(_option(r.name, r.marks), r.text, _kind(r), "yes" if r.required else "") for r in rows]
        parts.append(_table(head, body))
    if shown := example(operation.name):
        parts.append(f"```sh\n{shown}\n```")
    answers = [(f"`{r.name}`", r.text) for r in fields(operation.result)]
    parts.append("Answers, with `--json`:\n\n" + _table(("field", "what"), answers))
    notes = [f"Permission: {operation.permission}."]
    notes.append("Needs no running node." if operation.local else f"In the API: `POST {operation.path}`.")
    if operation.confirm:
        notes.append("Asks first, unless `--yes` is given.")
    return "\n\n".join([*parts, " ".join(notes)])


def commands() -> str:
    """Return the page of the commands."""
    parts = ["# Commands", "Every command takes `--data-dir` and `--json`; `maille man` prints this as a manual page."]
    for noun, line in NOUNS.items():
        parts += [f"## {noun}", line]
        parts += [_command(operation) for operation in OPERATIONS if operation.noun == noun]
    parts.append("## Commands of one word")
    parts += [_command(operation) for operation in OPERATIONS if operation.verb in ALONE and operation.noun is None]
    table = re.findall(r"^    \| (\d+) \| (\S+) +\| (.*) \|$", exits.__doc__ or "", re.MULTILINE)
    parts += ["## Exit codes", _table(("exit", "HTTP status", "meaning"), table)]
    return "\n\n".join(parts)


def api() -> str:
    """Return the page of the control API."""
    rows = [
        (f"`{'GET, ' if o.reads else ''}POST {o.path}`", o.summary, o.permission) for o in OPERATIONS if not o.local
    ]
    return (
        "# The control API\n\nEvery operation over HTTP and JSON: on the node's unix socket `control.sock` (mode 0600, "
        "no token), and on TCP with tokens where `[api]` in `config.toml` says so. Arguments are a JSON object; a "
        "refusal is `{code, message, field, theirs, exit}`. `/openapi.json` describes every field. The header "
        f"`maille-api: {API_VERSION}` names the version that the caller speaks; another one is refused. "
        "`/livez`, `/readyz` and `/metrics` answer on the socket, and where `[metrics]` says so.\n\n"
        + _table(("path", "what", "permission of a token"), rows)
    )


# Settings, metrics, codes


def settings() -> str:
    """Return the page of the settings."""
    parts = [
        "# Settings",
        "`config.toml` in the data directory. `maille config check` holds it against these; `maille config set` "
        "changes one; `maille config reload` has the running node take over what it can.",
    ]

    def part(title: str, struct: type[msgspec.Struct]) -> None:
        rows: list[tuple[object, ...]] = []
        inner: list[tuple[str, type[msgspec.Struct]]] = []
        kind = type_info(struct)
        for field in kind.fields if isinstance(kind, StructType) else ():
            if (found := table_of(field)) is not None:
                inner.append((f"{title.strip('[]')}.{field.name}".removeprefix("the top."), found))
                continue
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            shown = "needed" if default is msgspec.NODEFAULT else f"`{msgspec.json.encode(default).decode()}`"
            rows.append((f"`{field.name}`", shape(field.type), shown))
        heading = "## At the top" if title == "the top" else f"## `[{title}]`"
        parts.extend(
            [heading, (struct.__doc__ or "").replace("\n", " "), _table(("setting", "what it is", "default"), rows)]
        )
        for name, table in inner:
            part(name, table)

    part("the top", Config)
    return "\n\n".join(parts)


def metrics() -> str:
    """Return the page of the metrics."""
    return (
        "# Metrics\n\n`/metrics`, in Prometheus' text format. Alerts: `deploy/prometheus/alerts.yml`; a dashboard: "
        "`deploy/grafana/maille.json`.\n\n"
        + _table(("metric", "what"), [(f"`{name}`", text) for name, text in NAMES.items()])
    )


def codes() -> str:
    """Return the page of the codes: of the gate, of proofs."""
    parts = [
        "# Codes",
        "Codes are stable: they are never renamed, and never used for something else.",
        "## Why data flow or do not",
    ]
    said = gate_reasons.sentence
    rows = [(f"`{one.name}`", said(one, "en"), said(one, "fr")) for one in GateReason]
    parts.append(_table(("code", "in English", "en français"), rows))
    parts += ["## What a verification may end in", "`maille proof explain CODE` says the same."]
    verdicts = [(f"`{one.name}`", one.value[0].value, one.value[1], one.value[2]) for one in ProofReason]
    parts.append(_table(("code", "verdict", "what it means", "what to do"), verdicts))
    return "\n\n".join(parts)


# Entries


def entry_kinds() -> str:
    """Return the page of the kinds of entries, with their CDDL."""
    rows = [
        (f"`{name}`", kind.thing, kind.signer.value, "yes" if kind.restrictive else "", kind.since)
        for name, kind in kinds.KINDS.items()
    ]
    envelope = (ROOT / "ledger" / "entry.cddl").read_text(encoding="utf-8")
    return "\n\n".join(
        [
            "# Kinds of entries",
            "Restrictive ones only take rights away: they count wherever they are found, however late.",
            _table(("kind", "about", "signed by", "restrictive", "since evaluator"), rows),
            f"## The envelope\n\n```\n{envelope}\n```",
            f"## The payloads\n\n```\n{kinds.cddl()}\n```",
        ]
    )


def beside(path: str, title: str) -> Callable[[], str]:
    """Return what makes a page of a README that stands beside the code."""

    def page() -> str:
        text = (ROOT / path).read_text(encoding="utf-8")
        text = re.sub(r"^# .*", f"# {title}", text, count=1, flags=re.MULTILINE)
        return re.sub(r"\]\((?!http)[^)]*\)", "]", text)

    return page


def module(name: str) -> Callable[[], str]:
    """Return what makes the page of a module beside this one (mkdocs loads a hook by its path)."""
    return lambda: str(runpy.run_path(str(Path(__file__).with_name(name)))["page"]())


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/commands.md": commands,
    "reference/api.md": api,
    "reference/settings.md": settings,
    "reference/scenarios.md": module("scenarios.py"),
    "reference/metrics.md": metrics,
    "reference/codes.md": codes,
    "reference/kinds.md": entry_kinds,
    "reference/states.md": module("states.py"),
    "reference/ledger.md": beside("ledger/README.md", "The ledger: modules, rules, envelope"),
    "reference/gossip.md": beside("gossip/README.md", "Gossip on the wire"),
    "reference/bundle.md": beside("proofs/README.md", "The proof bundle, byte by byte"),
}
"""Every page that is made, and what makes it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages (a hook of mkdocs)."""
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files
