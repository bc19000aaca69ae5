"""Computations that are known here, by their hash, and the modules they need: the vault's table `computations`.

| key | value |
|---|---|
| "d", hash (32) | the canonical description (node.compute.computation) |
| "w", SHA-256 (32) | a WASM module |

How it works
    Both are kept under the hash of their bytes, so a row cannot be something else than what a consent names.

What it does not do
    It runs nothing. That a computation is known here permits nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.compute.computation import Brought, Computation, read_computation

TABLE: Final = "computations"
COMPUTATIONS_MAX: Final = 1_000
"""Computations known to one mesh of a node."""
_DESCRIPTION, _MODULE = b"d", b"w"


class ComputationRows:
    """The rows of this module."""

    def add(self, vault: Writer, computation: Computation, wasm: bytes = b"") -> None:
        """Keep a computation; of one that was brought, its module too. Raises LocalError TOO_MANY_COMPUTATIONS."""
        if self.get(vault, computation.hash) is None and vault.count(TABLE) >= 2 * COMPUTATIONS_MAX:
            told = f"at most {COMPUTATIONS_MAX} computations are kept; forget some with `maille compute forget`"
            raise LocalError("TOO_MANY_COMPUTATIONS", told)
        vault.put(TABLE, _DESCRIPTION + computation.hash, computation.encode())
        if isinstance(computation, Brought):
            vault.put(TABLE, _MODULE + hashlib.sha256(wasm).digest(), wasm)

    def get(self, vault: Reader, digest: bytes) -> Computation | None:
        """Return a computation by its hash, or None."""
        found = vault.get(TABLE, _DESCRIPTION + digest)
        return read_computation(found) if found is not None else None

    def module(self, vault: Reader, computation: Brought) -> bytes:
        """Return the module of a computation. Raises LocalError NOT_FOUND."""
        found = vault.get(TABLE, _MODULE + computation.sha256)
        if found is None:
            raise LocalError("NOT_FOUND", "the module of this computation is not here", field="computation")
        return found

    def listing(self, vault: Reader) -> Iterator[Computation]:
        """Yield every computation, by hash."""
        scan = vault.scan(TABLE, _DESCRIPTION, prefix_stop(_DESCRIPTION))
        return (read_computation(value) for _, value in scan)

    def forget(self, vault: Writer, computation: Computation) -> None:
        """Forget a computation, and its module if no other needs it."""
        vault.delete(TABLE, _DESCRIPTION + computation.hash)
        if isinstance(computation, Brought):
            others = (one for one in self.listing(vault) if isinstance(one, Brought))
            if all(one.sha256 != computation.sha256 for one in others):
                vault.delete(TABLE, _MODULE + computation.sha256)
