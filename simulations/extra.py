"""Libraries that only `maille[sim]` installs: imported where they are used, with a plain error where they are not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ledger.errors import LocalError


def needs(module: str, extra: str = "sim") -> Any:
    """Return a module of an optional extra. Raises LocalError EXTRA_MISSING with what to install."""
    try:
        return import_module(module)
    except ImportError:
        told = f"this needs {module}, which is not installed: pip install 'maille[{extra}]'"
        raise LocalError("EXTRA_MISSING", told) from None
