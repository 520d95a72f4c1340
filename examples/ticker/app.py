"""A ticker for readers of every speed, and a till that takes so many orders and no more.

    python examples/ticker/app.py

Prices change a thousand times a second. A page on a slow link never gets old ones: of each symbol
only the latest price waits for it. Orders are limited, to three in ten seconds for each page; who
goes on in spite of ten refusals is shown out. Once a second the server prints what it had to drop
and to refuse.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import nuncio

HERE = Path(__file__).parent
CLIENT = HERE.parent / "chat" / "node_modules" / "socket.io-client" / "dist"

SYMBOLS = ("EUR", "USD", "GBP", "JPY", "CHF")
PRICES_IN_A_SECOND = 1000

io = nuncio.Server(
    serve_client=CLIENT if CLIENT.is_dir() else "auto",
    limits=nuncio.Limits(
        # Whatever a page does, it sends no more than this; what is too much waits in its browser.
        events_per_connection=nuncio.Rate(20, burst=50),
        # Who does not take no for an answer.
        refusals_per_connection=nuncio.Rate(10, per=60),
        # All pages of a household or a small office.
        connections_per_address=200,
    ),
)
io.sockets.slow_consumer = nuncio.conflate(lambda event, *args: (event, args[0]))

orders = itertools.count(1)


@io.event(rate=nuncio.Rate(3, per=10))
def order(socket: nuncio.Socket, symbol: str, amount: int) -> dict[str, Any]:
    """Somebody buys; beyond the rate the client is told when to try again."""
    number = next(orders)
    # An order is no price: it has to arrive.
    io.when_slow("disconnect").emit("ordered", number, symbol, amount)
    return {"number": number}


def tick() -> None:
    """One price changes."""
    io.emit("price", random.choice(SYMBOLS), round(random.uniform(0.5, 2.0), 4))


async def tick_again_and_again() -> None:
    """Change prices until the server ends."""
    while True:
        for _ in range(PRICES_IN_A_SECOND // 50):
            tick()
        await asyncio.sleep(1 / 50)


async def tell() -> None:
    """Say once a second what was too much for somebody."""
    before: dict[str, int] = {}
    while True:
        stats = io.stats()
        changed = {name: stats[name] for name in stats if stats[name] != before.get(name, 0)}
        if changed:
            print(changed)
        before = stats
        await asyncio.sleep(1)


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": (HERE / "index.html").read_bytes()})


async def main() -> None:
    """Serve, and tick."""
    async with await io.listen(3002, app=page) as listening:
        print("open http://localhost:3002; Ctrl-C stops")
        await asyncio.gather(listening.wait(), tick_again_and_again(), tell())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
