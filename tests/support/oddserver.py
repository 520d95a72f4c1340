"""A server that answers as a test wants it to, however wrong: HTTP and WebSocket, byte by byte.

async def answer(request: Request, wire: Wire) -> None:
    wire.reply(302, headers={"Location": request.target})

async with OddServer(answer) as odd:
    ...                             # connect to odd.url; look at odd.requests
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.aio import within
from tests.support.ports import free_port

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

# A handshake as it should be, with a heartbeat that does not disturb.
OPEN = '0{"sid":"odd","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

# For `Wire.upgrade`: each message is compressed for itself.
DEFLATE = {
    "Sec-WebSocket-Extensions": "permessage-deflate; "
    "server_no_context_takeover; client_no_context_takeover"
}


@dataclass(frozen=True)
class Request:
    """What a client has asked.

    Attributes:
        method: `GET` and so on.
        target: path and query, as they came.
        headers: by names in small letters.
        body: what followed.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The parameters in its address."""
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def handshake(self) -> bool:
        """Whether it asks for a session."""
        return "sid" not in self.query


@dataclass(frozen=True)
class Frame:
    """A frame of WebSocket.

    Attributes:
        opcode: what it is.
        data: what is in it, unmasked, but still compressed if it is.
        compressed: whether it is.
    """

    opcode: int
    data: bytes
    compressed: bool


class Wire:
    """A connection of a client.

    Attributes:
        upgraded: whether it is a WebSocket now.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.upgraded = False

    async def request(self) -> Request | None:
        """Read the next request; None at the end."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, target, headers, body)

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def reply(
        self, status: int = 200, body: str | bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer a request."""
        data = body.encode() if isinstance(body, str) else body
        given = {"Content-Length": str(len(data)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        phrase = HTTPStatus(status).phrase
        self.raw(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode() + data)

    def upgrade(self, request: Request, headers: Mapping[str, str] | None = None) -> None:
        """Let a WebSocket be one."""
        key = request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()
        given = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept,
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.upgraded = True
        self.raw(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())

    def frame(self, data: str | bytes, opcode: int | None = None, *, fin: bool = True) -> None:
        """Send a frame of WebSocket: text for `str`, binary for `bytes`, or as told."""
        payload = data.encode() if isinstance(data, str) else data
        if opcode is None:
            opcode = TEXT if isinstance(data, str) else BINARY
        first = opcode | (0x80 if fin else 0)
        if len(payload) < 126:
            head = bytes([first, len(payload)])
        elif len(payload) < 1 << 16:
            head = struct.pack("!BBH", first, 126, len(payload))
        else:
            head = struct.pack("!BBQ", first, 127, len(payload))
        self.raw(head + payload)

    async def receive(self) -> Frame:
        """Read one frame of WebSocket."""
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        mask = await self._reader.readexactly(4)
        payload = await self._reader.readexactly(size)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        return Frame(first & 0x0F, data, bool(first & 0x40))

    async def gone(self) -> None:
        """Wait until the client has closed the connection, or said that it will."""
        try:
            if self.upgraded:
                while (await within(self.receive())).opcode != CLOSE:
                    pass
            else:
                while await within(self._reader.read(1 << 16)):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    @property
    def at_end(self) -> bool:
        """Whether the client has closed the connection, and nothing of it is left to read."""
        return self._reader.at_eof() or self.writer.is_closing()

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


Answer = Callable[[Request, Wire], Awaitable[None]]


class OddServer:
    """The server.

    Args:
        answer: is called for each request, one after the other on each connection. One that
            has upgraded is closed when it returns.

    Attributes:
        port: where it listens.
        requests: what has been asked so far.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = free_port()
        self.requests: list[Request] = []
        self._serving: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        for result in await asyncio.gather(*self._serving, return_exceptions=True):
            # What went wrong in an answer is the test's fault, or what it found.
            if isinstance(result, Exception):
                raise result

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.ensure_future(self._serve(Wire(reader, writer))))

    async def _serve(self, wire: Wire) -> None:
        try:
            while not wire.upgraded and (request := await wire.request()) is not None:
                self.requests.append(request)
                await self._answer(request, wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            wire.close()
