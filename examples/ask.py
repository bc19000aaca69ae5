"""Ask a person for her daily consumption and wait for her answer: `python examples/ask.py HOLDER HOST POINT`."""

import sys

from ledger.errors import MailleError
from node.client import Client

if len(sys.argv) != 4:
    sys.exit("usage: python ask.py HOLDER HOST POINT (members by name, and a point such as prm:00000000000001)")
holder, host, point = sys.argv[1:]
try:
    with Client() as node:
        asked = node.request_consent(
            holder=holder, to=host, points=[point], kind="daily", purpose="advice", contact="data@example.org"
        )
        print(asked.id, flush=True)
        print(node.wait_for(asked.id, timeout=60).id)
except MailleError as error:
    sys.exit(f"No consent: {error.message} [{error.code}]")
