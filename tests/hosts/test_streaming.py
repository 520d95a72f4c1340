"""Answers whose bodies come in pieces, on the native path and under plain ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import Limits
from nuncio.engine import Engine
from nuncio.engine.request import Exchange, Receiver
from tests.support.aio import eventually, run_async, within
from tests.support.live import HOSTS, listening
from tests.support.rawclient import Connection, request

TARGET = "/engine.io/?EIO=4&transport=polling"

every_host = pytest.mark.parametrize("host", HOSTS)


class Told(Receiver):
    """Writes down what becomes of an answer."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def when_ready(self, callback: Any) -> bool:
        """See `Receiver.when_ready`."""
        return True

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """See `Receiver.body_chunk`."""

    def body_end(self, exchange: Exchange) -> None:
        """See `Receiver.body_end`."""

    def aborted(self, exchange: Exchange) -> None:
        """See `Receiver.aborted`."""
        self.events.append("aborted")

    def caught_up(self, exchange: Exchange) -> None:
        """See `Receiver.caught_up`."""
        self.events.append("caught up")


class Scene:
    """A server that leaves all answers to the test."""

    def __init__(self, port: int, inbox: asyncio.Queue[Exchange]) -> None:
        self.port = port
        self._inbox = inbox

    async def next(self) -> tuple[Exchange, Told]:
        """The next request; its answer has begun."""
        exchange = await within(self._inbox.get())
        told = Told()
        exchange.receiver = told
        exchange.begin(200, [("Content-Type", "text/plain")])
        return exchange, told


@asynccontextmanager
async def scene(host: str, **limits: Any) -> AsyncIterator[Scene]:
    engine = Engine(limits=Limits(**limits))
    inbox: asyncio.Queue[Exchange] = asyncio.Queue()
    open_: list[Exchange] = []

    @engine.use
    async def take(_: Any, exchange: Exchange) -> None:
        open_.append(exchange)
        inbox.put_nowait(exchange)
        await eventually(lambda: exchange.done)

    async with listening(engine, host) as port:
        yield Scene(port, inbox)
        for exchange in open_:
            exchange.finish()


async def head(connection: Connection) -> str:
    """The head of a response."""
    data = await within(connection.reader.readuntil(b"\r\n\r\n"))
    return data.decode().lower()


async def chunk(connection: Connection) -> bytes:
    """The next chunk; empty for the last."""
    size = int(await within(connection.reader.readline()), 16)
    data = await within(connection.reader.readexactly(size))
    assert await within(connection.reader.readline()) == b"\r\n"
    return data


@every_host
@run_async
async def test_pieces_leave_as_they_come(host: str) -> None:
    async with scene(host) as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET))
        exchange, told = await there.next()
        answer = await head(connection)
        assert answer.startswith("http/1.1 200")
        assert "transfer-encoding: chunked" in answer
        assert "content-length" not in answer
        for data in (b"one", b"x" * 40_000, b"\x00\r\n0\r\n\r\n"):
            exchange.chunk(data)
            got = b""
            while len(got) < len(data):
                got += await chunk(connection)
            assert got == data
        # An empty piece would be the end.
        exchange.chunk(b"")
        exchange.chunk(b"last")
        assert await chunk(connection) == b"last"
        exchange.finish()
        assert await chunk(connection) == b""
        exchange.chunk(b"late")
        exchange.finish()
        assert told.events == []


@every_host
@run_async
async def test_the_connection_serves_again(host: str) -> None:
    async with scene(host) as there, await Connection.open(there.port) as connection:
        for word in (b"one", b"two", b"three"):
            await connection.send(request(TARGET))
            exchange, _ = await there.next()
            exchange.chunk(word)
            exchange.finish()
            response = await connection.response()
            assert (response.status, response.body) == (200, word)


@every_host
@run_async
async def test_nothing_else_answers_any_more(host: str) -> None:
    async with scene(host) as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET))
        exchange, _ = await there.next()
        exchange.respond(500, [], b"no")
        exchange.begin(500, [])
        exchange.chunk(b"yes")
        exchange.finish()
        assert (await connection.response()).body == b"yes"


@every_host
@run_async
async def test_who_goes_away_is_noticed(host: str) -> None:
    async with scene(host) as there:
        for reset in (False, True):
            connection = await Connection.open(there.port)
            await connection.send(request(TARGET))
            exchange, told = await there.next()
            exchange.chunk(b"one")
            await head(connection)
            if reset:
                connection.reset()
            else:
                await connection.close()
            await eventually(lambda told=told: told.events)  # type: ignore[misc]
            assert told.events == ["aborted"]
            assert not exchange.streaming
            exchange.chunk(b"into the void")
            exchange.finish()


@every_host
@run_async
async def test_who_does_not_read_is_behind_until_it_does(host: str) -> None:
    async with (
        scene(host, high_water_bytes=10_000) as there,
        await Connection.open(there.port) as connection,
    ):
        await connection.send(request(TARGET))
        exchange, told = await there.next()
        sent = 0
        while not exchange.behind:
            exchange.chunk(b"x" * 50_000)
            sent += 50_000
            await asyncio.sleep(0)
            assert sent < 100_000_000
        assert told.events == []
        await head(connection)
        got = 0
        while not told.events:
            got += len(await chunk(connection))
        assert told.events == ["caught up"]
        assert not exchange.behind
        exchange.finish()
        while data := await chunk(connection):
            got += len(data)
        assert got == sent


@every_host
@run_async
async def test_an_answer_that_is_cut_is_seen_to_be(host: str) -> None:
    async with scene(host) as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET))
        exchange, told = await there.next()
        exchange.chunk(b"one")
        await head(connection)
        assert await chunk(connection) == b"one"
        exchange.abort()
        assert await connection.rest() == b""
        assert told.events == []


@every_host
@run_async
async def test_head_has_no_body(host: str) -> None:
    async with scene(host) as there, await Connection.open(there.port) as connection:
        for _ in range(2):
            await connection.send(request(TARGET, "HEAD"))
            exchange, _told = await there.next()
            exchange.chunk(b"not sent")
            exchange.finish()
            assert (await connection.response("HEAD")).status == 200


# The native path's own business.


@run_async
async def test_without_chunks_the_end_of_the_connection_ends_the_body() -> None:
    async with scene("native") as there, await Connection.open(there.port) as connection:
        old = request(TARGET).replace(b"HTTP/1.1", b"HTTP/1.0")
        await connection.send(old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
        exchange, _ = await there.next()
        answer = await head(connection)
        assert "transfer-encoding" not in answer
        assert "connection: close" in answer
        exchange.chunk(b"one")
        exchange.chunk(b"two")
        exchange.finish()
        assert await connection.rest() == b"onetwo"


@run_async
async def test_a_client_that_wants_no_other_request() -> None:
    async with scene("native") as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET, headers=[("Connection", "close")]))
        exchange, _ = await there.next()
        answer = await head(connection)
        assert "connection: close" in answer
        exchange.chunk(b"one")
        exchange.finish()
        assert await connection.rest() == b"3\r\none\r\n0\r\n\r\n"


@run_async
async def test_a_request_behind_it_ends_the_connection_with_it() -> None:
    async with scene("native") as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET))
        exchange, told = await there.next()
        await head(connection)
        await connection.send(request(TARGET, "POST", body=b"x" * 5000) * 20)
        exchange.chunk(b"one")
        assert await chunk(connection) == b"one"
        protocol: Any = exchange._protocol  # type: ignore[attr-defined]
        await eventually(lambda: protocol.pipelined, "it has come")
        exchange.chunk(b"two")
        exchange.finish()
        assert await connection.rest() == b"3\r\ntwo\r\n0\r\n\r\n"
        assert told.events == []


@run_async
async def test_a_quiet_answer_outlives_the_timer_for_idle_connections() -> None:
    async with (
        scene("native", header_seconds=0.1) as there,
        await Connection.open(there.port) as connection,
    ):
        await connection.send(request(TARGET))
        exchange, told = await there.next()
        await head(connection)
        wheel_passed = asyncio.get_running_loop().time() + 0.3
        await eventually(lambda: asyncio.get_running_loop().time() > wheel_passed)
        assert told.events == []
        exchange.chunk(b"one")
        assert await chunk(connection) == b"one"


@run_async
async def test_an_answer_that_nobody_reads_to_its_end_is_cut_in_time() -> None:
    async with (
        scene("native", close_seconds=0.1) as there,
        await Connection.open(there.port) as connection,
    ):
        await connection.send(request(TARGET, headers=[("Connection", "close")]))
        exchange, _ = await there.next()
        exchange.chunk(b"x" * 80_000_000)
        exchange.finish()
        protocol: Any = exchange._protocol  # type: ignore[attr-defined]
        await eventually(lambda: protocol not in protocol.connections, "it was cut")
        body = await connection.rest()
        assert len(body) < 80_000_000


@run_async
async def test_statuses_that_are_none() -> None:
    async with scene("native") as there, await Connection.open(there.port) as connection:
        await connection.send(request(TARGET))
        exchange, _ = await there.next()
        with pytest.raises(ValueError, match="status"):
            exchange.begin(99, [])
