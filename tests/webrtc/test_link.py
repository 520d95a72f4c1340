"""Two links, each the other's peer: how they open, carry a stream, hold back, and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio.errors import PacketError, TransportError
from nuncio.webrtc.link import Link, Owner
from nuncio.webrtc.sdp import Offer, read_offer
from tests.support.aio import eventually, run_async
from tests.webrtc.offers import chromium
from tests.webrtc.peer import descriptors


class Ear(Owner):
    """Keeps what a link tells."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.rooms = 0
        self.ends: list[tuple[str, str]] = []

    def arrived(self, data: bytes) -> None:
        self.data += data

    def room(self) -> None:
        self.rooms += 1

    def lost(self, reason: str, words: str) -> None:
        self.ends.append((reason, words))


class Pair:
    """Two links that are open, and who listens to them."""

    def __init__(self, *, close_seconds: float = 5.0) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.close_seconds = close_seconds
        self.one, self.two = self.link(), self.link()
        self.here, self.there = Ear(), Ear()

    def link(self) -> Link:
        return Link(
            self.spawn, (), ["127.0.0.1"], loopback=True, low=1000, close_seconds=self.close_seconds
        )

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open(self) -> None:
        answer = await self.two.answer(read(await self.one.offer()))
        await self.one.accept(read(answer))
        await asyncio.gather(self.one.opened, self.two.opened)
        self.one.owner, self.two.owner = self.here, self.there
        self.one.resume()
        self.two.resume()


def read(text: str) -> Offer:
    return read_offer(text.encode(), 64, loopback=True)


@asynccontextmanager
async def pair(*, opened: bool = True, **options: Any) -> AsyncIterator[Pair]:
    """Two links; at the end neither sockets nor tasks of theirs are left."""
    tasks, before = asyncio.all_tasks(), descriptors()
    both = Pair(**options)
    if opened:
        await both.open()
    yield both
    both.one.abort()
    both.two.abort()
    await eventually(lambda: not both.tasks, "both are closed")
    await eventually(lambda: asyncio.all_tasks() <= tasks, "every task has ended")
    await eventually(lambda: descriptors() <= before, "the sockets are closed")


@run_async
async def test_a_stream_arrives_as_it_was_sent() -> None:
    async with pair() as both:
        sent = bytes(range(256)) * 1500
        both.one.send(sent)
        both.one.send(b"end")
        both.two.send(b"back")
        await eventually(lambda: both.there.data.endswith(b"end"))
        assert both.there.data == sent + b"end"
        await eventually(lambda: both.here.data == b"back")


@run_async
async def test_messages_are_no_longer_than_the_peer_takes() -> None:
    async with pair(opened=False) as both:
        offer = read((await both.one.offer()).replace("message-size:262144", "message-size:2000"))
        await both.one.accept(read(await both.two.answer(offer)))
        await asyncio.gather(both.one.opened, both.two.opened)
        sizes: list[int] = []
        both.one._channel.on("message", lambda data: sizes.append(len(data)))
        both.two.send(bytes(5000))
        await eventually(lambda: sizes == [2000, 2000, 1000])


@run_async
async def test_what_waits_to_be_sent_is_counted_and_room_is_told() -> None:
    async with pair() as both:
        both.one.send(bytes(500_000))
        assert both.one.waiting == 500_000
        await eventually(lambda: both.here.rooms == 1)
        assert both.one.waiting <= 1000


@run_async
async def test_nothing_is_handed_on_while_it_is_paused() -> None:
    async with pair() as both:
        both.two.pause()
        both.one.send(b"a")
        await eventually(lambda: both.two._arrived)
        assert both.there.data == b""
        both.two.resume()
        # In the next turn, and not if it was paused again by then.
        both.two.pause()
        await asyncio.sleep(0)
        assert both.there.data == b""
        both.two.resume()
        await eventually(lambda: both.there.data == b"a")


@run_async
async def test_what_comes_before_anybody_listens_waits() -> None:
    async with pair(opened=False) as both:
        await both.one.accept(read(await both.two.answer(read(await both.one.offer()))))
        await both.one.opened
        both.one.send(b"early")
        await eventually(lambda: both.two._arrived)
        both.two.owner = both.there
        both.two.resume()
        await eventually(lambda: both.there.data == b"early")


@run_async
async def test_a_close_lets_the_peer_have_what_was_sent_and_tells_both() -> None:
    async with pair() as both:
        both.one.send(bytes(300_000) + b"end")
        both.one.close()
        # Nothing more is taken.
        both.one.send(b"late")
        await eventually(lambda: both.here.ends and both.there.ends)
        assert both.there.data == bytes(300_000) + b"end"
        assert both.here.ends == both.there.ends == [("transport close", "")]


@run_async
async def test_a_peer_that_does_not_read_is_not_waited_for_for_ever() -> None:
    async with pair(close_seconds=0.1) as both:

        async def nothing(data: bytes) -> None:
            """The peer is there, and does nothing."""

        both.two._connection.sctp._handle_data = nothing
        both.one.send(bytes(300_000))
        both.one.close()
        await eventually(lambda: both.here.ends == [("transport close", "")])


@run_async
async def test_an_abort_is_at_once_and_not_told() -> None:
    async with pair() as both:
        both.one.abort()
        await eventually(lambda: both.there.ends)
        assert both.there.ends[0][0] == "transport close"
        assert both.here.ends == []
        await eventually(lambda: not both.tasks)


@run_async
async def test_who_fails_to_handle_what_arrives_loses_the_link() -> None:
    async with pair() as both:

        def fail(data: bytes) -> None:
            raise RuntimeError("no")

        both.there.arrived = fail  # type: ignore[method-assign]
        both.one.send(b"a")
        await eventually(lambda: both.there.ends)
        assert both.there.ends == [("transport error", "it failed: RuntimeError('no')")]


@run_async
async def test_an_offer_that_cannot_be_answered_and_an_answer_to_nothing() -> None:
    async with pair(opened=False) as both:
        await both.one.offer()
        # An answer that says what only an offer may say.
        with pytest.raises(PacketError, match="the answer is none"):
            await both.one.accept(read_offer(chromium(), 64, loopback=True))
        both.two.abort()
        with pytest.raises(PacketError, match="given up"):
            await both.two.answer(read_offer(chromium(), 64, loopback=True))
        with pytest.raises(TransportError, match="closed"):
            await both.two.opened


@run_async
async def test_who_gives_up_while_addresses_are_looked_for_leaves_no_socket() -> None:
    for turns in range(8):
        async with pair(opened=False) as both:
            offering = asyncio.ensure_future(both.one.offer())
            for _ in range(turns):
                await asyncio.sleep(0)
            offering.cancel()
            await asyncio.wait((offering,))
