"""Connections to a Redis that is not as it should be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import hiredis
import pytest

from nuncio.cluster.redis.commands import Command, Commands
from nuncio.cluster.redis.connection import Connection, Refused
from nuncio.cluster.redis.endpoint import Endpoint
from nuncio.cluster.redis.link import Link
from tests.support.aio import eventually, run_async

MOST_BYTES = 4 << 20


class Impostor:
    """Answers as a test says; what redis-py says at first is taken kindly.

    Attributes:
        answer: makes the answer to a command, given the number of the connection.
        reading: whether it reads.
        heard: the commands of the test.
    """

    def __init__(self) -> None:
        self.answer: Callable[[int, list[bytes]], bytes] = lambda number, command: b"+OK\r\n"
        self.reading = asyncio.Event()
        self.reading.set()
        self.heard: list[list[bytes]] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        number, parser = self.connections, hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    usual = command[0] == b"CLIENT"
                    if not usual:
                        self.heard.append(command)
                    writer.write(b"+OK\r\n" if usual else self.answer(number, command))
                await self.reading.wait()
        writer.close()


class Scene:
    """A link to an impostor, and what became of it."""

    def __init__(self, impostor: Impostor, link: Link, commands: Commands) -> None:
        self.impostor = impostor
        self.link = link
        self.commands = commands

    def ask(self, *args: Any) -> asyncio.Future[Any]:
        """Give a command."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.commands.push(Command("", args, answer))
        return answer


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """An impostor and a link to it."""
    impostor = Impostor()
    server = await asyncio.start_server(impostor.serve, "127.0.0.1", 0)
    impostor.port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(f"redis://127.0.0.1:{impostor.port}")
    commands = Commands(lambda *_: None, lambda _: None, MOST_BYTES)
    link = Link(endpoint.connection, lambda *_: None, commands)
    await link.open()
    try:
        yield Scene(impostor, link, commands)
    finally:
        impostor.reading.set()
        await link.close()
        server.close()


@pytest.mark.parametrize("answer", [b"?!\r\n", b"+OK\r\n+and more\r\n", b"-READONLY a replica\r\n"])
@run_async
async def test_what_it_should_not_say_costs_the_connection(answer: bytes) -> None:
    async with scene() as place:
        place.impostor.answer = lambda number, _: answer if number == 1 else b"+OK\r\n"
        first = place.ask("SET", "a", 1)
        await eventually(lambda: place.link.losses == 1 and place.link.connected)
        assert await place.ask("SET", "a", 2) == b"OK"
        if answer.startswith(b"+"):
            assert await first == b"OK"
        else:
            with pytest.raises(ConnectionError):
                await first


@run_async
async def test_a_refusal_is_its_command_s_alone() -> None:
    async with scene() as place:
        place.impostor.answer = lambda _, command: (
            b"-WRONGTYPE of another kind\r\n" if command[1] == b"bad" else b":7\r\n"
        )
        answers = [place.ask("INCR", key) for key in ("good", "bad", "good")]
        assert await answers[0] == 7
        with pytest.raises(Refused, match="of another kind") as refused:
            await answers[1]
        assert refused.value.word == "WRONGTYPE"
        assert await answers[2] == 7
        assert place.link.losses == 0


@run_async
async def test_what_it_does_not_read_waits_within_the_limit() -> None:
    async with scene() as place:
        place.impostor.answer = lambda _, command: b"$%d\r\n%b\r\n" % (len(command[1]), command[1])
        place.impostor.reading.clear()
        answers = [place.ask("ECHO", b"0")]
        await answers[0]
        block = b"x" * 100_000
        taken, refused = 0, 0
        for number in range(1, 400):
            answer = place.ask("ECHO", b"%d" % number, block)
            await asyncio.sleep(0)
            if answer.done():
                assert isinstance(answer.exception(), ConnectionError)
                refused += 1
            else:
                answers.append(answer)
                taken += 1
        # Some are on their way, in the buffers of the kernel.
        assert refused > 100
        assert taken >= MOST_BYTES // 110_000
        place.impostor.reading.set()
        told = [await answer for answer in answers]
        assert told == [command[1] for command in place.impostor.heard]
        assert len(told) == taken + 1


@run_async
async def test_a_connection_of_an_unknown_redis_py_is_refused() -> None:
    with pytest.raises(ConnectionError, match="install redis 8"):
        Connection(object(), Commands(lambda *_: None, lambda _: None, 1))
