"""A bidder: it bids for one lot, as little as it can, and not more than it may.

    python examples/testing/bidder.py chair 100

It is a program that connects to a server by itself. `test_bidder.py` tests it with a server that
does what the test wants.
"""

from __future__ import annotations

import asyncio
import sys

import nuncio

URL = "http://localhost:3004"
STEP = 5


async def buy(lot: str, limit: int, *, url: str = URL, name: str = "robot") -> int | None:
    """Bid until the lot is sold.

    Returns:
        what was paid for it; None when somebody else got it.
    """
    async with nuncio.connect(url, auth={"name": name}, retry=True) as socket:
        events = socket.events("bid", "sold")
        status = await socket.emit_with_ack("watch", lot)
        best, bidder = status["amount"], status["bidder"]
        while True:
            if bidder != name and best + STEP <= limit:
                await socket.emit_with_ack("bid", lot, best + STEP)
            event = await anext(events)
            _, bidder, best = event.args[:3]
            if event.name == "sold":
                return best if bidder == name else None


if __name__ == "__main__":
    print(asyncio.run(buy(sys.argv[1], int(sys.argv[2]))))
