"""A Socket.IO client in its barest form: `nuncio.protocol` between two asyncio streams.

The protocol core turns bytes into packets and back and does no input or output of its own, so any
program can put it to work. This one has just what the demo needs; it is no client library.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from nuncio.protocol import frames, handshake, socketio
from nuncio.protocol.engineio import Message

MAX_SIZE = 1_000_000
ENGINE_OPEN, ENGINE_PING, ENGINE_PONG, ENGINE_MESSAGE = b"0", b"2", b"3", b"4"


class Refused(Exception):
    """The server answered, but not as the protocol says."""


async def http(port: int, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
    """Make one HTTP request to this machine; returns the status and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        status, headers = await read_head(reader)
        if "content-length" not in headers:
            raise Refused("the answer has no Content-Length")
        return status, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the status and the headers, by lower-case name, of an HTTP answer."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


class RawClient:
    """One WebSocket connection that speaks Engine.IO and Socket.IO."""

    def __init__(self) -> None:
        self._frames = frames.FrameReader(MAX_SIZE, masked=False)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, port: int) -> dict[str, Any]:
        """Open the WebSocket; returns what the Engine.IO open packet says."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        key = handshake.make_key()
        target = "/socket.io/?EIO=4&transport=websocket"
        self._writer.write(handshake.request(f"127.0.0.1:{port}", target, key))
        status, headers = await read_head(self._reader)
        handshake.check_response(status, headers, key)
        packet = await self._next_packet()
        if packet[:1] != ENGINE_OPEN:
            raise Refused(f"the first packet is {packet[:20]!r}, not the open packet")
        opened: dict[str, Any] = json.loads(packet[1:])
        return opened

    async def connect(self, namespace: str) -> str:
        """Join a namespace; returns the Socket.IO id that the server gives."""
        self._send(socketio.encode_connect(socketio.namespace_prefix(namespace), None))
        answer = await self.receive()
        if answer.type != socketio.CONNECT or not isinstance(answer.data, dict):
            raise Refused(f"the server refused {namespace}: {answer.data!r}")
        return str(answer.data["sid"])

    async def receive(self) -> socketio.Packet:
        """Wait for the next Socket.IO packet, answering pings meanwhile."""
        while True:
            packet = await self._next_packet()
            if packet[:1] == ENGINE_MESSAGE:
                return socketio.decode(packet, 1, max_attachments=0, max_containers=1000)
            if packet[:1] == ENGINE_PING:
                self._send(Message(ENGINE_PONG))

    def acknowledge(self, packet: socketio.Packet, *values: object) -> None:
        """Answer an event that asked for it."""
        prefix = socketio.namespace_prefix(packet.nsp)
        self._send(socketio.encode_ack(prefix, packet.id, list(values)))

    def close(self) -> None:
        """Say goodbye and let the connection go."""
        if self._writer is not None:
            self._writer.write(frames.encode_masked(frames.CLOSE, b"\x03\xe8", os.urandom(4)))
            self._writer.close()

    async def _next_packet(self) -> bytes:
        assert self._reader is not None
        while True:
            opcode = self._frames.next()
            if opcode == frames.TEXT:
                return self._frames.payload
            if opcode == frames.CLOSE:
                raise Refused("the server closed the WebSocket")
            if opcode == frames.NEED_DATA:
                data = await self._reader.read(65536)
                if not data:
                    raise Refused("the server closed the connection")
                self._frames.feed(data)

    def _send(self, message: Message) -> None:
        assert self._writer is not None
        assert message.text is not None
        self._writer.write(frames.encode_masked(frames.TEXT, message.text, os.urandom(4)))
