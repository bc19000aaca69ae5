"""How pages tell times: as the clocks show them where people live, summer and winter."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest

from ledger.errors import LocalError
from node.pages.wording import date, moment
from tests.pages.test_application import SETTINGS

PARIS = ZoneInfo("Europe/Paris")


def test_times_are_those_of_the_zone() -> None:
    summer, winter = 1_782_597_000, 1_767_135_600  # 2026-06-27T21:50Z, 2025-12-30T23:00Z
    assert moment(summer, "en", PARIS) == "27 June 2026 at 23:50"
    assert moment(winter, "fr", PARIS) == "31 décembre 2025 à 00:00"
    assert (date(winter, "en", PARIS), date(winter, "en", None)) == ("31 December 2025", "30 December 2025")
    assert moment(winter, "en", None) == "30 December 2025 at 23:00 UTC"
    settings = msgspec.structs.replace(SETTINGS, time_zone="Europe/Nowhere")
    with pytest.raises(LocalError, match=r"no such time zone.*PAGES_INVALID"):
        settings.check()
