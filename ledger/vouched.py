"""Certificates that this very store saw verified, so that no start has to verify them again.

How it works
    Whenever the fold verifies the certificate of an epoch, a row in `meta` names its entry, within the transaction that
    brought it. A start reads these rows and takes the signatures of those entries as checked; what an epoch says is
    composed from the entries anew, whoever vouches. An entry's id is the hash of its bytes, and these name the epoch
    whose voters signed: a row cannot come to speak of anything else.

What it does not do
    It takes nobody else's word: rows are written by this node alone, and `ledger verify` holds each to the signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger.governance.chain import Chain
from ledger.governance.roster import View
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import VOUCHED_KEY


def vouched(rows: Reader) -> frozenset[bytes]:
    """Return the ids of the certificates' entries that were verified."""
    return frozenset(key[len(VOUCHED_KEY) :] for key, _ in rows.scan("meta", VOUCHED_KEY, prefix_stop(VOUCHED_KEY)))


def vouch(rows: Writer, idents: Iterable[bytes]) -> None:
    """Keep that these were verified."""
    for ident in idents:
        rows.put("meta", VOUCHED_KEY + ident, b"")


def disown(rows: Writer, idents: Iterable[bytes]) -> None:
    """Forget entries that were given up."""
    for ident in idents:
        rows.delete("meta", VOUCHED_KEY + ident)


def unfounded(rows: Reader, chain: Chain, view: View) -> Iterator[bytes]:
    """Yield what a row vouches for and a chain that trusts none does not verify. `chain`: fresh; `view`: all held."""
    chain.live(view)
    verified = set(chain.verified())
    for key, value in rows.scan("meta", VOUCHED_KEY, prefix_stop(VOUCHED_KEY)):
        if value or key[len(VOUCHED_KEY) :] not in verified:
            yield key[len(VOUCHED_KEY) :]
