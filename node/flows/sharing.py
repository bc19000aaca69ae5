"""Tokens and one-time shares: made at the holder, fetched with a code, shown with a request (consent.md §2).

How it works
    `make` derives a token from a consent under which this node, or a tenant of it, holds data, and sets it aside for
    whoever shows the code first. `redeem` shows a code to the holder over the members' channel; the token comes back
    bound to the party that fetched it. `limits` opens a token that was shown: the door judges the flow under the
    consent, and by these limits.

What it does not do
    It grants nothing: when the consent ends, so does every token made of it. It tells who tries a wrong code no more
    than that it did not open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ledger.consent.reasons import Reason
from ledger.consent.token import (
    CAVEATS_MAX,
    ID_BYTES,
    KEY_BYTES,
    Limits,
    Share,
    Token,
    make_code,
    make_share,
    mint,
    redeem,
    verify,
)
from ledger.errors import LocalError, RemoteError
from ledger.governance.members import Party
from node.flows.door import Door, node_of
from node.flows.wire import Redeem, Redeemed, encode
from node.vaults.shares import SHARE_ID_BYTES, Held, Minted, ShareRows

if TYPE_CHECKING:
    from node.core import Turn

SHARES_MAX: Final = 1_000
"""Tokens made here that have not ended."""
ASKED_MAX: Final = 64
"""Codes that were shown to others and not answered yet."""


class Sharing:
    """See the module. One for each mesh."""

    def __init__(self, door: Door, rows: ShareRows) -> None:
        self._door, self.rows = door, rows
        self._asked: dict[bytes, Party] = {}  # share id -> the holder it was shown to
        self.answers: dict[bytes, str] = {}
        """Share id -> "" once its token is here, or the code with which the holder refused."""

    # At the holder

    def make(
        self,
        turn: Turn,
        grant: bytes,
        caveats: Sequence[tuple[str, Any]],
        *,
        expires: int,
        short: bool = False,
        token_expires: int | None = None,
    ) -> tuple[Share, str]:
        """Make a token of a consent and a share for it; return the share and its code, shown this once.

        `expires`: of the share, and of the token unless `token_expires` says so; unix seconds. Raises LocalError
        NOT_FOUND, NOT_THE_HOLDER, TOO_MANY_SHARES, BAD_TIME, BAD_CAVEAT, TOKEN_FULL, TOKEN_TOO_LARGE.
        """
        entry = self._door.grant_entry(turn, grant)
        if entry is None:
            raise LocalError("NOT_FOUND", "no consent with this id is known here", field="consent")
        holder: Party = (entry.payload["holder"][0], entry.payload["holder"][1])
        if node_of(holder, turn.core.replica.members) != turn.core.party:
            told = "tokens are made where the data are held; this consent names another holder"
            raise LocalError("NOT_THE_HOLDER", told, field="consent")
        ends = token_expires or expires
        if min(expires, ends) <= turn.now:
            raise LocalError("BAD_TIME", "the end lies in the past; give a later one", field="until")
        if sum(1 for _ in self.rows.listing(turn.vault)) >= SHARES_MAX:
            raise LocalError("TOO_MANY_SHARES", f"{SHARES_MAX} tokens have not ended; end some first")
        if len(caveats) > CAVEATS_MAX - 2:  # our end, and later the party that fetches it
            raise LocalError("TOKEN_FULL", f"a token is made with at most {CAVEATS_MAX - 2} limits", field="limits")
        draw = turn.core.random_bytes
        share_id, key, code = draw(SHARE_ID_BYTES), draw(KEY_BYTES), make_code(draw, short=short)
        token = mint(key, draw(ID_BYTES), grant, holder, expires=ends, caveats=caveats)
        share = make_share(share_id, token, code, ends=expires, random_bytes=draw)
        self.rows.mint(turn.vault, Minted(token.id, key, grant, turn.now, ends, share_id))
        self.rows.put_share(turn.vault, share)
        return share, code

    def end(self, turn: Turn, row: Minted) -> None:
        """End a token and its share, at once and for good."""
        self.rows.end(turn.vault, row)

    def shown(self, turn: Turn, peer: bytes, message: Redeem) -> None:
        """Answer a member that shows a code: with the token, once, or with why not."""
        members = turn.core.replica.members
        share = self.rows.share(turn.vault, message.share)
        code, token = "SHARE_OVER", b""
        if node_of(message.party, members) != members.party_of(peer):
            code = Reason.OTHER_RECIPIENT.value
        elif share is not None:
            share, code = redeem(share, message.code, turn.now)
            self.rows.put_share(turn.vault, share)
            if not code:  # who fetched it is who may show it; a copy is of no use to anybody else
                token = Token.decode(share.token).narrowed("recipient", list(message.party)).encode()
        turn.send(peer, encode(Redeemed(message.share, code, token)))

    def limits(self, turn: Turn, data: bytes) -> Limits:
        """Return what a token that was shown allows. Raises RemoteError BAD_TOKEN, UNKNOWN_CAVEAT, TOKEN_FORGED."""
        token = Token.decode(data)
        minted = self.rows.minted(turn.vault, token.id)
        if minted is None or minted.grant != token.grant:
            raise RemoteError("TOKEN_FORGED", "this token was not made here, or was ended")
        return verify(token, minted.key)

    # At whoever was given a code

    def redeem(self, turn: Turn, holder: Party, share: bytes, code: str, party: Party) -> None:
        """Show a code to the holder, for ourselves or a tenant of ours. Raises LocalError NOT_CONNECTED."""
        members = turn.core.replica.members
        node = node_of(holder, members)
        peer = next((kid for kid in turn.core.member_peers if members.party_of(kid) == node), None)
        if peer is None:
            raise LocalError("NOT_CONNECTED", "the holder's node is not connected now; try again later", field="holder")
        if len(self._asked) >= ASKED_MAX:
            self._asked.pop(next(iter(self._asked)))
        self._asked[share] = holder
        self.answers.pop(share, None)
        turn.send(peer, encode(Redeem(share, code, party)))

    def answered(self, turn: Turn, peer: bytes, message: Redeemed) -> None:
        """Keep a token that came for a code of ours. Raises RemoteError for one that is not what was asked for."""
        holder = self._asked.get(message.share)
        members = turn.core.replica.members
        if holder is None or node_of(holder, members) != members.party_of(peer):
            raise RemoteError("NOT_ASKED", "a token came that nobody here asked for")
        del self._asked[message.share]
        if len(self.answers) >= ASKED_MAX:
            self.answers.pop(next(iter(self.answers)))
        if not message.code:
            token = Token.decode(message.token)
            if token.holder != holder:
                raise RemoteError("BAD_TOKEN", "the token names another holder", field="holder")
            self.rows.hold(turn.vault, Held(token.id, holder, token.grant, message.token, turn.now))
        self.answers[message.share] = message.code
