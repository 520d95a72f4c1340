"""Clients that send exactly the bytes they are told, right or wrong.

`Connection` is a TCP connection, `WebSocket` and `Polling` speak Engine.IO over it, and `Peer` is a
well-behaved Socket.IO client. None of them uses Nuncio's own code, except that a client's frames
are so simple that they are built here.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

from tests.support.aio import within

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

Headers = list[tuple[str, str]]


@dataclass
class Response:
    """An HTTP response."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """One header; repeated ones joined."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Refused(Exception):
    """A WebSocket handshake that was answered by something else than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.text}")
        self.response = response


class Connection:
    """A TCP connection to a server on this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def write(self, data: bytes) -> None:
        """Send bytes without waiting."""
        self.writer.write(data)

    async def send(self, data: bytes) -> None:
        """Send bytes; a server that hung up meanwhile is no failure here."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except (ConnectionError, RuntimeError):
            pass  # uvloop's word for a closed connection is the latter

    async def response(self, method: str = "GET") -> Response:
        """Read one response."""
        return await within(self._response(method))

    async def _response(self, method: str) -> Response:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in map(_split, lines)]
        response = Response(int(first.split(" ")[1]), headers, b"")
        if method == "HEAD" or response.status in (101, 204):
            return response
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            response.body = await self._chunks()
        else:
            response.body = await self.reader.readexactly(
                int(response.header("content-length") or 0)
            )
        return response

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self.reader.readline(), 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readline()
        await self.reader.readline()
        return b"".join(parts)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset is an end, too."""
        return await within(self._rest())

    async def _rest(self) -> bytes:
        parts = []
        try:
            while data := await self.reader.read(65536):
                parts.append(data)
        except ConnectionError:
            pass
        return b"".join(parts)

    def reset(self) -> None:
        """End the connection at once, by a TCP reset."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """End the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


def _split(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def request(
    target: str, method: str = "GET", headers: Headers | None = None, body: bytes | None = None
) -> bytes:
    """The bytes of a request; nothing is checked or escaped."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers or []]
    if body is not None and "content-length" not in {name.lower() for name, _ in headers or []}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


async def fetch(
    port: int,
    target: str,
    method: str = "GET",
    headers: Headers | None = None,
    body: bytes | None = None,
) -> Response:
    """One request on a connection of its own."""
    async with await Connection.open(port) as connection:
        await connection.send(request(target, method, headers, body))
        return await connection.response(method)


def handshake(target: str, headers: Headers | None = None) -> bytes:
    """The request for a WebSocket; given headers replace the usual ones of the same name."""
    usual = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    given = {name.lower() for name, _ in headers or []}
    kept = [(name, value) for name, value in usual.items() if name.lower() not in given]
    return request(target, "GET", kept + (headers or []))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    size: int | None = None,
) -> bytes:
    """One frame as a client sends it, or should not.

    Args:
        opcode: any.
        payload: what it carries.
        fin: whether it ends its message.
        rsv: the reserved bits, 1 for RSV3, 2 for RSV2, 4 for RSV1.
        masked: whether it is masked.
        size: the length it claims, when that is a lie.
    """
    length = len(payload) if size is None else size
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 65536:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    # Four bytes of key, repeated, as one number.
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + number.to_bytes(len(payload), "big")


class Closed(Exception):
    """The WebSocket ended while something was expected."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    """A WebSocket as a client has it.

    Attributes:
        head: what the server answered.
        sid: of the session, once its open packet was received.
    """

    def __init__(self, connection: Connection, head: Response) -> None:
        self.connection = connection
        self.head = head
        self.sid = ""

    @classmethod
    async def open(cls, port: int, target: str, headers: Headers | None = None) -> WebSocket:
        """Connect and shake hands.

        Raises:
            Refused: when the server answers otherwise.
        """
        connection = await Connection.open(port)
        try:
            await connection.send(handshake(target, headers))
            head = await connection.response()
            if head.status != 101:
                raise Refused(head)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, head)

    async def __aenter__(self) -> WebSocket:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def send(self, *messages: str | bytes) -> None:
        """Send messages in one write."""
        await self.raw(
            *(
                frame(BINARY, one) if isinstance(one, bytes) else frame(TEXT, one.encode())
                for one in messages
            )
        )

    async def raw(self, *frames: bytes) -> None:
        """Send frames as they are, in one write."""
        await self.connection.send(b"".join(frames))

    async def receive_frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        return await within(self._receive_frame())

    async def _receive_frame(self) -> tuple[int, bytes]:
        reader = self.connection.reader
        first, length = await reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8), "big")
        return first & 0x0F, await reader.readexactly(length)

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            Closed: when there is none.
        """
        while True:
            try:
                opcode, payload = await self.receive_frame()
            except (asyncio.IncompleteReadError, ConnectionError):
                raise Closed(1006) from None
            if opcode == TEXT:
                if payload.startswith(b'0{"sid":'):
                    self.sid = json.loads(payload[1:])["sid"]
                return payload.decode()
            if opcode == BINARY:
                return payload
            if opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big") if payload else 1005)

    async def closed(self) -> int:
        """Skip what comes until the server closes; its close code, 1006 without a close frame."""
        while True:
            try:
                await self.receive()
            except Closed as closed:
                return closed.code

    async def close(self, code: int | None = 1000) -> None:
        """Send a close frame and wait for the answer and the end."""
        await self.raw(frame(CLOSE, b"" if code is None else code.to_bytes(2, "big")))
        await self.closed()
        await self.connection.close()


def websocket_target(path: str = "/socket.io/", sid: str | None = None) -> str:
    """The usual target of a WebSocket."""
    return f"{path}?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")


class Polling:
    """Engine.IO over long-polling; each request on a connection of its own."""

    def __init__(self, port: int, path: str, response: Response) -> None:
        self.port = port
        self.path = path
        self.opening = response
        self.open_packet: dict[str, Any] = json.loads(response.text.partition("\x1e")[0][1:])
        self.sid: str = self.open_packet["sid"]

    @classmethod
    async def open(
        cls, port: int, path: str = "/socket.io/", headers: Headers | None = None
    ) -> Polling:
        """Open a session."""
        response = await fetch(port, f"{path}?EIO=4&transport=polling", headers=headers)
        assert response.status == 200, response
        return cls(port, path, response)

    @property
    def target(self) -> str:
        """Of its requests."""
        return f"{self.path}?EIO=4&transport=polling&sid={self.sid}"

    async def get(self) -> Response:
        """One poll."""
        return await fetch(self.port, self.target)

    async def receive(self) -> list[str]:
        """The packets that one poll brings."""
        response = await self.get()
        assert response.status == 200, response
        return response.text.split("\x1e")

    async def post(self, body: str | bytes, headers: Headers | None = None) -> Response:
        """Send a payload."""
        data = body.encode() if isinstance(body, str) else body
        return await fetch(
            self.port, self.target, "POST", headers or [("Content-Type", "text/plain")], data
        )

    async def begin_poll(self) -> Connection:
        """Send a poll and leave it waiting."""
        connection = await Connection.open(self.port)
        await connection.send(request(self.target))
        return connection

    async def probe(self) -> WebSocket:
        """Open a WebSocket for this session; nothing is sent on it yet."""
        return await WebSocket.open(self.port, websocket_target(self.path, self.sid))


class Peer:
    """A Socket.IO client that keeps to the rules, over a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.sid = ""
        self._ids = itertools.count()

    @classmethod
    async def join(
        cls,
        port: int,
        nsp: str = "",
        *,
        path: str = "/socket.io/",
        auth: Any = None,
        headers: Headers | None = None,
    ) -> Peer:
        """Connect to a namespace, `"/admin,"` or `""` for the default one."""
        peer = cls(await WebSocket.open(port, websocket_target(path), headers))
        assert (await peer.receive()).startswith("0{")
        await peer.socket.send(f"40{nsp}" + ("" if auth is None else json.dumps(auth)))
        answer = await peer.receive()
        assert answer.startswith(f"40{nsp}{{"), answer
        peer.sid = json.loads(answer[2 + len(nsp) :])["sid"]
        return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.connection.close()

    async def receive(self) -> str:
        """The next text packet; pings are answered."""
        while True:
            message = await self.socket.receive()
            assert isinstance(message, str)
            if message != "2":
                return message
            await self.socket.send("3")

    async def ask(self, event: str, *args: Any) -> Any:
        """Send an event and return its acknowledgement's values."""
        id = next(self._ids)
        await self.socket.send(f"42{id}{json.dumps([event, *args])}")
        head = f"43{id}"
        while not (answer := await self.receive()).startswith(head):
            pass
        return json.loads(answer[len(head) :])
