"""The node's log: one line an event on standard error, JSON for machines, coloured text on a terminal.

How it works
    structlog, set at start and when the settings are read again. Fields are an event's name, codes, ids of meshes and
    devices, counts. hypercorn and other libraries log through the standard library; only their warnings are let
    through, in the same format. Each line also goes to `keep` (node/event_log.py), for `maille events`. Of a fault of
    the program stands there what it was and where; its words may quote what it failed at, so they are left out.

What it does not do
    No personal data: no meter, no reading, no payload, no name of a person. Those who log must keep to that.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from traceback import extract_tb
from typing import Final

import structlog
from structlog.typing import EventDict, Processor

PLACES_MAX: Final = 12
"""Places of a fault that are told."""
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up(form: str, level: str, keep: Processor | None = None) -> None:
    """Set the log for this process. `form`: auto, json or console; `level`: one of LEVELS. `keep`: sees every line."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")
    merge = structlog.contextvars.merge_contextvars
    shared: list[Processor] = [merge, structlog.processors.add_log_level, stamp, where_it_failed]
    if keep is not None:
        shared.append(keep)
    last: Processor = (
        structlog.dev.ConsoleRenderer(timestamp_key="ts", colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[Forward()], force=True)


def where_it_failed(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Say of an exception its type and the places it came through, the innermost first, and never its words."""
    if event.pop("exc_info", None):
        kind, _, trace = sys.exc_info()
        places = [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in extract_tb(trace)[-PLACES_MAX:]]
        event["fault"] = " < ".join([kind.__qualname__ if kind is not None else "?", *reversed(places)])
    return event


class Forward(logging.Handler):
    """Hands a library's warnings to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one on."""
        structlog.get_logger(record.name).warning(record.getMessage())
