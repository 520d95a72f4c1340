"""The bidder meets an auctioneer who does what the test wants."""

from __future__ import annotations

import asyncio

import nuncio
from auction import make_auction
from bidder import URL, buy
from nuncio.testing import Clock, Stage, serve

NOBODY = {"bidder": "", "amount": 0, "sold": False}


def make_auctioneer(sold_to: str, at: int) -> nuncio.Server:
    """A server where somebody bids ten more each time, until it sells.

    Args:
        sold_to: who gets the lot, `robot` or `bob`.
        at: when the highest bid is so much.
    """
    io = nuncio.Server()

    @io.event
    def watch(socket: nuncio.Socket, lot: str) -> dict[str, object]:
        return NOBODY

    @io.event
    def bid(socket: nuncio.Socket, lot: str, amount: int) -> None:
        if sold_to == "robot" and amount >= at:
            socket.emit("sold", lot, "robot", amount)
            return
        socket.emit("bid", lot, "bob", amount + 10)
        if amount + 10 >= at:
            socket.emit("sold", lot, "bob", amount + 10)

    return io


async def test_it_bids_until_it_gets_the_lot(nuncio_clock: Clock) -> None:
    with serve(make_auctioneer("robot", 50), URL):
        assert await buy("chair", 100) == 50


async def test_it_does_not_pay_more_than_it_may(nuncio_clock: Clock) -> None:
    with serve(make_auctioneer("bob", 60), URL):
        assert await buy("chair", 50) is None


async def test_it_waits_for_a_server_that_is_not_there_yet(nuncio_clock: Clock) -> None:
    with serve(make_auctioneer("robot", 5), URL) as network:
        network.refuse()
        buying = asyncio.create_task(buy("chair", 100))
        await nuncio_clock.advance(60)
        assert not buying.done()
        network.accept()
        await nuncio_clock.advance(10)
        assert buying.result() == 5


async def test_two_of_them_and_the_real_auction(nuncio_client: Stage, nuncio_clock: Clock) -> None:
    nuncio_clock.autojump = True
    with serve(make_auction("chair"), URL):
        prices = await asyncio.gather(buy("chair", 60, name="ada"), buy("chair", 40, name="bob"))
    # The one who may pay more gets it, for what the other cannot.
    assert prices[0] in (40, 45)
    assert prices[1] is None
