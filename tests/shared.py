"""Where tests find the material that others wrote: the folder `shared` beside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def shared(relative: str) -> Path:
    """Return the path of `../shared/RELATIVE`, or skip the calling test, naming what is missing.

    Called at the head of a test or a fixture; at the head of a module it skips the whole module.
    """
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which is not beside this checkout", allow_module_level=True)
    return path
