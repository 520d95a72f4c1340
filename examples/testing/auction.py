"""An auction: a lot goes to whoever has bid the most when nobody has bid more for thirty seconds.

    python examples/testing/auction.py

`test_auction.py` tests it without a network, and without waiting for half a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import nuncio

SECONDS = 30.0


@dataclass
class Lot:
    """Something that is sold.

    Attributes:
        bidder: who has bid the most, if anybody.
        amount: how much that is.
        hammer: falls when time is up.
        sold: whether it has.
    """

    bidder: str = ""
    amount: int = 0
    hammer: asyncio.Task[None] | None = None
    sold: bool = False

    def status(self) -> dict[str, Any]:
        """What bidders are told."""
        return {"bidder": self.bidder, "amount": self.amount, "sold": self.sold}


def make_auction(*names: str) -> nuncio.Server:
    """A server that sells these lots; tests make one each."""
    io = nuncio.Server(connection_state_recovery={"max_disconnection_duration": 60.0})
    lots = {name: Lot() for name in names}

    @io.use
    def introduce(socket: nuncio.Socket) -> None:
        name = socket.handshake.auth.get("name")
        if not isinstance(name, str) or not name:
            raise nuncio.ConnectError("who are you?")
        socket.data["name"] = name

    @io.event
    def watch(socket: nuncio.Socket, lot: str) -> dict[str, Any]:
        """Be told of every bid for a lot."""
        if lot not in lots:
            return {"error": "no such lot"}
        socket.join(lot)
        return lots[lot].status()

    @io.event
    def bid(socket: nuncio.Socket, lot: str, amount: int) -> dict[str, Any]:
        """Offer so much for a lot."""
        found = lots.get(lot)
        if found is None or found.sold:
            return {"error": "not for sale"}
        if amount <= found.amount:
            return {"error": "too low", **found.status()}
        found.bidder, found.amount = socket.data["name"], amount
        io.to(lot).emit("bid", lot, found.bidder, amount)
        if found.hammer is not None:
            found.hammer.cancel()
        found.hammer = asyncio.create_task(going_going(lot))
        return found.status()

    async def going_going(lot: str) -> None:
        await asyncio.sleep(SECONDS)
        found = lots[lot]
        found.sold = True
        io.to(lot).emit("sold", lot, found.bidder, found.amount)

    return io


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        make_auction("chair", "clock").run(port=3004)
