"""The play that every language's client acts: the server's part, and what must come of it.

A client takes the server's URL and the name of a transport, acts the steps below in order, and
prints a line for each:

    connected              it has connected, with the auth payload {"name": LANGUAGE}
    text ["Grüße, 世界",…]  it emitted `text` with this and more; what came back, as JSON
    sum 13                 the answer to `sum` of 6 and 7
    heard 42               `question` had it asked `multiply`; the server tells what it answered
    binary ff0100          it emitted `binary` with the bytes 00 01 ff; they come back reversed
    blob ff0100            the same, as an acknowledgement
    news for the lobby     it asked to `join` a room, and got what the server told that room
    disconnected           it asked for the connection to be cut
    connected              it came back by itself
    sum 3                  the answer to `sum` of 1 and 2
    done                   it leaves; it ends when its standard input does
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from nuncio import Server, Socket
from tests.support.aio import eventually, within
from tests.support.live import listening

TRANSPORTS = ("polling", "websocket", "upgrade")
TEXT = 'text ["Grüße, 世界",42,{"nested":[1,null]}]'
LINES = (
    "connected",
    TEXT,
    "sum 13",
    "heard 42",
    "binary ff0100",
    "blob ff0100",
    "news for the lobby",
    "disconnected",
    "connected",
    "sum 3",
    "done",
)
# What the server must have seen.
SEEN: tuple[tuple[Any, ...], ...] = (
    ("connection", "{language}"),
    ("text", "Grüße, 世界", 42, {"nested": [1, None]}),
    ("sum", 6, 7),
    ("multiply", 42),
    ("binary", b"\x00\x01\xff"),
    ("blob", b"\x00\x01\xff"),
    ("join", "lobby"),
    ("disconnect", "forced close"),
    ("connection", "{language}"),
    ("sum", 1, 2),
)
# How a client may leave: with a packet that says so, or by closing the connection.
# Some do both, and close before the packet has left.
FAREWELLS = ("client namespace disconnect", "transport close")

# For the clients; a proxy that the machine uses is not for them.
ENVIRONMENT = {"PYTHONIOENCODING": "utf-8", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


class Line:
    """What clients reach the server through, and what fails.

    A server that closes a connection says goodbye where it can, and a client may stay away then.
    Here the connection is lost, as when a machine dies.
    """

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._upstream = 0

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[int]:
        """Lead from a free port to another.

        Yields:
            the free port.
        """
        self._upstream = port
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            self.cut()

    def cut(self) -> None:
        """Lose all connections there are, and what is under way on them."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        ends = {writer, back}
        self._writers |= ends
        await asyncio.gather(self._carry(reader, back), self._carry(away, writer))
        self._writers -= ends

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


class Stage:
    """The server's part.

    Attributes:
        io: the server.
        line: what leads to it.
        seen: what clients did, in order.
    """

    def __init__(self) -> None:
        self.io = Server()
        self.line = Line()
        self.seen: list[tuple[Any, ...]] = []
        self._listen()

    def _listen(self) -> None:
        io, seen = self.io, self.seen

        @io.on("connection")
        def connection(socket: Socket) -> None:
            seen.append(("connection", socket.handshake.auth.get("name")))

        @io.on("disconnect")
        def disconnect(socket: Socket, reason: str) -> None:
            seen.append(("disconnect", reason))

        @io.event
        def text(socket: Socket, *args: Any) -> None:
            seen.append(("text", *args))
            socket.emit("text", *args)

        @io.on("sum")
        def add(socket: Socket, a: int, b: int) -> int:
            seen.append(("sum", a, b))
            return a + b

        @io.event
        async def question(socket: Socket, *args: Any) -> None:
            answer = await socket.timeout(30).emit_with_ack("multiply", 6, 7)
            seen.append(("multiply", answer))
            socket.emit("heard", answer)

        @io.event
        def binary(socket: Socket, data: bytes) -> None:
            seen.append(("binary", data))
            socket.emit("binary", data[::-1])

        @io.event
        def blob(socket: Socket, data: bytes) -> bytes:
            seen.append(("blob", data))
            return data[::-1]

        @io.event
        def join(socket: Socket, room: str) -> None:
            seen.append(("join", room))
            socket.join(room)
            io.to("elsewhere").emit("news", "for others")
            io.to(room).emit("news", f"for the {room}")

        @io.event
        def cut(socket: Socket, *args: Any) -> None:
            self.line.cut()
            # Long-polling would notice with its next request only, if none waits.
            socket.conn.close(discard=True)


async def act(language: str, command: Sequence[str], transport: str, cannot: set[str]) -> None:
    """Have a client act the play, and compare what it and the server saw.

    Args:
        language: the client's name.
        command: runs the client; its arguments are added.
        transport: one of TRANSPORTS.
        cannot: the first words of lines that this client is not able to bring about.
    """
    stage = Stage()
    async with listening(stage.io) as direct, stage.line.to(direct) as port:
        process = await asyncio.create_subprocess_exec(
            *command,
            f"http://127.0.0.1:{port}",
            transport,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT},
        )
        assert process.stdin and process.stdout and process.stderr
        complaints = asyncio.ensure_future(process.stderr.read())
        try:
            printed = await _read(process.stdout)
            left = asyncio.ensure_future(eventually(lambda: not stage.io.sockets.sockets))
            await asyncio.wait([left])
            # Only now, for some clients have yet to send their goodbye.
            process.stdin.close()
            status = await within(process.wait())
        finally:
            if process.returncode is None:
                process.kill()
        errors = (await complaints).decode()[-2000:]
        told = f"{printed}\n{errors}\nthe server saw {stage.seen}"
        assert printed == [line for line in LINES if line.split()[0] not in cannot], told
        assert status == 0, told
        assert left.exception() is None, f"the client did not leave: {told}"
        await eventually(lambda: not stage.io.engine.sessions, "the session has ended")
    *seen, (last, reason) = stage.seen
    assert (last, reason in FAREWELLS) == ("disconnect", True), stage.seen
    skipped = {"multiply"} if "heard" in cannot else set()
    assert seen == [
        tuple(language if value == "{language}" else value for value in event)
        for event in SEEN
        if event[0] not in skipped | cannot
    ]


async def _read(output: asyncio.StreamReader) -> list[str]:
    """The lines a client prints, until it is done, ends or says nothing for too long."""
    printed: list[str] = []
    try:
        while not printed or printed[-1] != LINES[-1]:
            line = await within(output.readline(), 35)
            if not line:
                break
            printed.append(line.decode().rstrip())
    except TimeoutError:
        pass
    return printed
