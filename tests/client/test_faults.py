"""The proxy that makes networks go wrong, before anybody relies on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.aio import eventually, run_async, within
from tests.support.faults import BOTH, DOWN, UP, FaultProxy, flip

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Peer:
    """A server that hands each connection to the test, and the proxy in front of it."""

    def __init__(self, proxy: FaultProxy, accepted: asyncio.Queue[Streams]) -> None:
        self.proxy = proxy
        self._accepted = accepted
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[Streams, Streams]:
        """A connection through the proxy: the client's end and the server's."""
        own = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        other = await within(self._accepted.get())
        self.writers += [own[1], other[1]]
        return own, other


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    """A server behind a proxy."""
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait((reader, writer)), "127.0.0.1", 0
    )
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        found = Peer(proxy, accepted)
        try:
            yield found
        finally:
            for writer in found.writers:
                writer.close()
    await eventually(lambda: proxy.open == 0)


async def silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing has come by now: a turn of the other connection's bytes has been and gone."""
    try:
        async with asyncio.timeout(0.05):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


@run_async
async def test_bytes_go_through_both_ways() -> None:
    async with peer() as there:
        (reader, writer), (their_reader, their_writer) = await there.connect()
        writer.write(b"question")
        assert await within(their_reader.readexactly(8)) == b"question"
        their_writer.write(b"answer" * 100_000)
        assert await within(reader.readexactly(600_000)) == b"answer" * 100_000
        assert (there.proxy.passed(UP), there.proxy.passed(DOWN)) == (8, 600_000)
        assert (there.proxy.open, there.proxy.counts.connections) == (1, 1)


@run_async
async def test_an_end_goes_through_and_the_other_direction_goes_on() -> None:
    async with peer() as there:
        (reader, writer), (their_reader, their_writer) = await there.connect()
        writer.write(b"last")
        writer.write_eof()
        assert await within(their_reader.read()) == b"last"
        their_writer.write(b"late")
        their_writer.write_eof()
        assert await within(reader.read()) == b"late"
        await eventually(lambda: there.proxy.open == 0)


@run_async
async def test_a_cut_ends_every_connection_on_both_sides() -> None:
    async with peer() as there:
        connections = [await there.connect() for _ in range(3)]
        assert there.proxy.open == 3
        there.proxy.cut()
        assert there.proxy.open == 0
        for (reader, _), (their_reader, _) in connections:
            assert await within(reader.read()) == b""
            assert await within(their_reader.read()) == b""
        # New ones are let through.
        await there.connect()
        assert there.proxy.counts.connections == 4


@run_async
async def test_a_reset_is_an_error() -> None:
    async with peer() as there:
        (reader, _), (their_reader, _) = await there.connect()
        there.proxy.cut(rst=True)
        for side in (reader, their_reader):
            with pytest.raises(ConnectionResetError):
                await within(side.read())


@run_async
async def test_a_stall_holds_bytes_back_until_it_ends() -> None:
    async with peer() as there:
        (reader, writer), (their_reader, their_writer) = await there.connect()
        there.proxy.stall(DOWN)
        their_writer.write(b"held")
        # The other direction is not held.
        writer.write(b"through")
        assert await within(their_reader.readexactly(7)) == b"through"
        assert await silent(reader)
        there.proxy.resume(DOWN)
        assert await within(reader.readexactly(4)) == b"held"


@run_async
async def test_during_a_stall_nobody_is_told_of_an_end_and_new_connections_stall_too() -> None:
    async with peer() as there:
        _, (_, their_writer) = first = await there.connect()
        there.proxy.stall(BOTH)
        their_writer.close()
        (_, writer), (their_reader, _) = await there.connect()
        writer.write(b"new")
        assert await silent(their_reader)
        assert await silent(first[0][0])
        there.proxy.resume(BOTH)
        assert await within(their_reader.readexactly(3)) == b"new"
        assert await within(first[0][0].read()) == b""


@run_async
async def test_half_a_close() -> None:
    async with peer() as there:
        (reader, writer), (their_reader, their_writer) = await there.connect()
        there.proxy.half_close(DOWN)
        assert await within(reader.read()) == b""
        # What is said now is heard by nobody.
        their_writer.write(b"late")
        writer.write(b"still")
        assert await within(their_reader.readexactly(5)) == b"still"
        there.proxy.half_close(UP)
        assert await within(their_reader.read()) == b""


@run_async
async def test_bytes_are_changed_in_one_direction() -> None:
    async with peer() as there:
        (reader, writer), (their_reader, their_writer) = await there.connect()
        there.proxy.corrupt(flip)
        their_writer.write(b"\x00\xfe")
        assert await within(reader.readexactly(2)) == b"\xff\x01"
        writer.write(b"\x00\xfe")
        assert await within(their_reader.readexactly(2)) == b"\x00\xfe"
        there.proxy.corrupt(None)
        their_writer.write(b"\x00\xfe")
        assert await within(reader.readexactly(2)) == b"\x00\xfe"


@run_async
async def test_connections_are_refused_until_they_are_accepted_again() -> None:
    async with peer() as there:
        (reader, _), (_, their_writer) = await there.connect()
        await there.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", there.proxy.port)
        # What is open stays open.
        their_writer.write(b"here")
        assert await within(reader.readexactly(4)) == b"here"
        await there.proxy.accept()
        await there.connect()


@run_async
async def test_a_server_that_is_not_there() -> None:
    async with FaultProxy(1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await within(reader.read()) == b""
        writer.close()
        await eventually(lambda: proxy.open == 0)


@run_async
async def test_requests_are_counted_however_they_are_cut_into_pieces() -> None:
    async with peer() as there:
        (_, writer), (their_reader, _) = await there.connect()
        first = b"GET /first?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
        second = b"POST /second HTTP/1.1\r\nContent-Length: 7\r\n\r\nGET /no"
        for data in (first[:10], first[10:] + second[:5], second[5:]):
            writer.write(data)
            await within(their_reader.readexactly(len(data)))
        assert there.proxy.requests() == ["GET /first?a=1 HTTP/1.1", "POST /second HTTP/1.1"]
        assert there.proxy.requests("POST") == ["POST /second HTTP/1.1"]
        await there.proxy.requested(1, "GET")


@run_async
async def test_who_does_not_read_makes_the_sender_wait() -> None:
    async with peer() as there:
        (reader, _), (_, their_writer) = await there.connect()
        there.proxy.stall(DOWN)
        data = bytes(32 << 20)
        their_writer.write(data)
        drained = asyncio.ensure_future(their_writer.drain())
        await asyncio.sleep(0.05)
        assert not drained.done()
        there.proxy.resume(DOWN)
        assert await within(reader.readexactly(len(data))) == data
        await within(drained)
