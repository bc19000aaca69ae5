"""A second way to find what governance entries come to: from the text of governance.md, a set at a time.

How it works
    Nothing is kept between questions but what each seal made final. For an epoch, all entries below some sizes are
    looked at again and again: whoever is in lets in more feeds, whose entries let in more members, until a round adds
    nothing. Expulsions come first: over all subsets of those with enough votes, as `tests.attacks.oracle` does it.
    A certificate is followed when its signers are a quorum of the voters that this model itself says are left, and
    its frontier is held. It shares no code with `ledger.governance`: bytes are read with `cbor2`.

What it does not do
    It knows no delegations, defaults, colleges, founders that are affiliated, invitation caps, credentials, rival seals
    or other evaluators: the worlds that it is asked about hold none. It is slow.
"""

from __future__ import annotations

from tests.ledger.governance.oracle.chain import Oracle

__all__ = ("Oracle",)
