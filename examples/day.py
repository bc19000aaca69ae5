"""Print a household's consumption of its last day, as a home automation asks for it: `python examples/day.py CONSENT`.

It fails closed: once the consent has ended nothing is printed but why, and the exit code is 1 (75: not now).
"""

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from ledger.errors import MailleError
from node.client import Client
from node.exits import exit_of

if len(sys.argv) != 2:
    sys.exit("usage: python day.py CONSENT (an id, by `maille consent list`)")
try:
    with Client() as node:  # MAILLE_DATA_DIR names its directory; or MAILLE_URL and MAILLE_TOKEN_FILE
        found = node.fetch(sys.argv[1])
except MailleError as error:
    print(f"No data: {error.message} [{error.code}]", file=sys.stderr)
    sys.exit(exit_of(error.code))
if not found:
    sys.exit("No data: the consent stands, and the holder has no readings of it yet.")
series = found[0]
last = list(series)[-1]
day = datetime.fromtimestamp(last.start, ZoneInfo("Europe/Paris"))  # where the meter stands: its day begins there
print(f"{day:%Y-%m-%d} {last.value} {series.key.unit}")
