"""Shares by their operations, on two whole nodes: a code, a token, data within it, and its end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.errors import LocalError
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import CURVE, PERIOD, WHAT, exit_code, pair
from tests.shared import shared


@pytest.mark.covers("R58", "R82")
async def test_a_share_is_made_redeemed_used_and_ended(tmp_path: Path) -> None:
    data = shared(CURVE).read_bytes()
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "readings import", file=data)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)

        day = {"since": datetime(2010, 1, 1, tzinfo=UTC), "until": datetime(2030, 1, 1, tzinfo=UTC)}
        share = await do(ada, "share make", consent=made.id, lasts="2h", point=(series.point,), short=True, **day)
        assert len(share.code) == 8
        (row,) = (await do(ada, "share list")).shares
        assert (row.role, row.state, row.consent) == ("made", "open", made.id)

        wrong = await do(bob, "share redeem", share=share.share, code="00000000", holder="ada")
        assert (wrong.token, wrong.reason, exit_code("share redeem", wrong)) == ("", "SHARE_WRONG_CODE", 1)
        redeemed = await do(bob, "share redeem", share=share.share, code=share.code.upper(), holder="ada")
        assert (redeemed.token, redeemed.reason) == (share.token, "")
        (held,) = (await do(bob, "share list")).shares
        assert (held.role, held.other) == ("held", "ada")

        got = await do(bob, "data request", holder="ada", token=share.token[:8])
        assert (got.state, got.consent, got.reason) == ("done", made.id, "")
        assert got.records > 0
        beyond = await do(bob, "data request", holder="ada", token=share.token, point="prm:99999999999999")
        assert (beyond.state, beyond.records) == ("refused", 0)

        assert (await do(ada, "share end", token=share.token[:8])).token == share.token
        assert (await do(ada, "share list")).shares == ()
        refused = await do(bob, "data request", holder="ada", token=share.token)
        assert (refused.state, refused.reason) == ("refused", "TOKEN_EXPIRED")
        for words, what in (
            ("share end", {"token": share.token}),
            ("share redeem", {"share": "x", "code": "y", "holder": "bob"}),
        ):
            with pytest.raises(LocalError):
                await do(ada, words, **what)


@pytest.mark.covers("R72", "R87")
async def test_a_consent_for_a_class_opens_to_who_is_of_it(tmp_path: Path) -> None:
    data = shared(CURVE).read_bytes()
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "readings import", file=data)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
        refused = await do(bob, "data request", holder="ada", point=series.point, kind="load_curve")
        assert (refused.state, refused.reason) == ("refused", "NO_CONSENT")
        await do(ada, "consent grant", wallet="anna", recipient="class:college:towns", **args)
        refused = await do(bob, "data request", holder="ada", point=series.point, kind="load_curve")
        assert (refused.state, refused.reason) == ("refused", "NOT_IN_CLASS")
        made = await do(ada, "consent grant", wallet="anna", recipient="class:linked", **args)
        got = await do(bob, "data request", holder="ada", point=series.point, kind="load_curve")
        assert (got.state, got.reason, got.consent) == ("done", "", made.id)
        assert got.records > 0
