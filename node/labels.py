"""What a data set is called when it leaves as a file: four levels, and none of them is "anonymous".

How it works
    identified                        it names points of measurement, and a point is a home;
    pseudonymised                     points are replaced by random ids of one recipient, and the table that leads back
                                      is kept here;
    aggregated, threshold-checked     sums over several people that passed a profile of thresholds;
    open data                         about no person.
    An export carries its level and a sentence on what that means.

What it does not do
    It judges no data: who makes an export says which it is. Once the table of a recipient's pseudonyms is erased,
    exports made before keep their label: load curves can be recognised without any table.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ledger.consent.thresholds import LABEL


class Level(Enum):
    """How near a data set is to persons. `value` is the label."""

    IDENTIFIED = "identified"
    PSEUDONYMISED = "pseudonymised"
    AGGREGATED = LABEL
    OPEN = "open data"


MEANINGS: Final[dict[Level, str]] = {
    Level.IDENTIFIED: "Personal data: the points of measurement are named.",
    Level.PSEUDONYMISED: "Personal data still: whoever holds the table, or knows a load curve, finds the person.",
    Level.AGGREGATED: "Sums that passed the thresholds named with them. That is a test, and no proof of anonymity.",
    Level.OPEN: "About no person.",
}
"""What each label means, in a sentence."""
