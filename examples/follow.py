"""Follow what happens to consents and data, under asyncio: `python examples/follow.py`. It ends with Ctrl-C."""

import asyncio
from contextlib import suppress

from node.client import AsyncClient


async def main() -> None:
    """Print each change as it comes; what has arrived is read."""
    async with AsyncClient() as node:
        async for change in node.changes(0):
            print(change.number, change.kind, change.consent[:12], change.reason, flush=True)
            if change.kind == "data.arrived":
                for series in await node.received(transfer=change.transfer):
                    print(f"  {len(series)} readings of {series.key.point}", flush=True)


with suppress(KeyboardInterrupt):
    asyncio.run(main())
