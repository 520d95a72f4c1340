"""A peer made of aiortc alone: the other side of a server, which need not keep its rules."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from nuncio.protocol.bytestream import StreamReader, encode_packet
from nuncio.webrtc.library import choose_addresses
from tests.support.rawclient import Headers, Response, fetch

TARGET = "/socket.io/?EIO=4&transport=webrtc"
SDP: Headers = [("Content-Type", "application/sdp")]


class RawPeer:
    """One peer connection with one data channel.

    Attributes:
        packets: text and binary packets that arrived.
        ended: whether the channel was closed.
    """

    def __init__(self, **channel: Any) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("any name", **channel)
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self._reader = StreamReader(2**40)
        self.channel.on("open", self.opened.set)
        self.channel.on("close", self.ended.set)
        self.channel.on("message", self._take)

    def _take(self, data: bytes) -> None:
        for packet in self._reader.feed(data):
            self.packets.put_nowait(packet.data)

    async def offer(self) -> bytes:
        """A complete offer."""
        choose_addresses(self.connection, None, loopback=True)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp.encode()

    async def post(self, port: int, more: str = "", body: bytes | None = None) -> Response:
        """Send the offer, and take the answer if there is one."""
        offer = await self.offer() if body is None else body
        response = await fetch(port, TARGET + more, "POST", SDP, offer)
        if response.status == 201:
            answer = RTCSessionDescription(response.body.decode(), "answer")
            await self.connection.setRemoteDescription(answer)
        return response

    async def connect(self, port: int, more: str = "") -> None:
        """Open the channel."""
        response = await self.post(port, more)
        assert response.status == 201, response.body
        await self.opened.wait()

    def send(self, *packets: bytes) -> None:
        """Send text packets in one message."""
        self.channel.send(b"".join(encode_packet(packet, False) for packet in packets))

    async def close(self) -> None:
        """End it."""
        await self.connection.close()


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
