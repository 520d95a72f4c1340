"""The auction is tested by real clients, in the same process."""

from __future__ import annotations

import pytest

import nuncio
from auction import make_auction
from nuncio.testing import Clock, Stage


async def test_bids_are_told_to_those_who_watch(nuncio_client: Stage) -> None:
    io = make_auction("chair", "clock")
    ada = await nuncio_client(io, auth={"name": "ada"})
    bob = await nuncio_client(io, auth={"name": "bob"})
    eve = await nuncio_client(io, auth={"name": "eve"})
    for client, lot in ((ada, "chair"), (bob, "chair"), (eve, "clock")):
        assert await client.emit_with_ack("watch", lot) == {
            "bidder": "",
            "amount": 0,
            "sold": False,
        }
    assert (await ada.emit_with_ack("bid", "chair", 10))["bidder"] == "ada"
    await ada.expect("bid", "chair", "ada", 10)
    await bob.expect("bid", "chair", "ada", 10)
    await eve.expect_nothing()


async def test_a_bid_must_be_higher_than_the_last(nuncio_client: Stage) -> None:
    io = make_auction("chair")
    ada = await nuncio_client(io, auth={"name": "ada"})
    await ada.emit_with_ack("watch", "chair")
    await ada.emit_with_ack("bid", "chair", 10)
    await ada.expect("bid", "chair", "ada", 10)
    assert (await ada.emit_with_ack("bid", "chair", 10))["error"] == "too low"
    assert (await ada.emit_with_ack("bid", "table", 10))["error"] == "not for sale"
    # What does not fit the handler's annotations never reaches it.
    answer = await ada.emit_with_ack("bid", "chair", "a lot")
    assert answer["error"]["argument"] == "amount"
    await ada.expect_nothing()


async def test_nobody_bids_without_a_name(nuncio_client: Stage) -> None:
    with pytest.raises(nuncio.ConnectError, match="who are you"):
        await nuncio_client(make_auction("chair"))


async def test_the_hammer_falls_when_nobody_bids_more(
    nuncio_client: Stage, nuncio_clock: Clock
) -> None:
    io = make_auction("chair")
    ada = await nuncio_client(io, auth={"name": "ada"})
    await ada.emit_with_ack("watch", "chair")
    await ada.emit_with_ack("bid", "chair", 10)
    await nuncio_clock.advance(29)
    await ada.emit_with_ack("bid", "chair", 11)
    await ada.expect("bid", "chair", "ada", 11)
    await nuncio_clock.advance(29)
    await ada.expect_nothing("sold")
    await nuncio_clock.advance(1)
    await ada.expect("sold", "chair", "ada", 11)
    assert (await ada.emit_with_ack("bid", "chair", 12))["error"] == "not for sale"


async def test_who_is_cut_off_for_a_while_misses_nothing(
    nuncio_client: Stage, nuncio_clock: Clock
) -> None:
    io = make_auction("chair")
    ada = await nuncio_client(io, auth={"name": "ada"})
    bob = await nuncio_client(io, auth={"name": "bob"})
    for client in (ada, bob):
        await client.emit_with_ack("watch", "chair")
    ada.network.down(40)
    await bob.emit_with_ack("bid", "chair", 10)
    await nuncio_clock.advance(40)
    await ada.expect("disconnect", "transport close")
    # Until she is back she tries again and again, ever more seldom.
    await nuncio_clock.advance(5)
    await ada.expect("connect")
    assert ada.recovered
    await ada.expect("bid", "chair", "bob", 10)
    await ada.expect("sold", "chair", "bob", 10)
