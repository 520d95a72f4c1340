"""Packets in a stream of bytes, over a link that the test plays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.protocol.engineio import Message
from nuncio.webrtc.link import Owner
from nuncio.webrtc.transport import WebRTCTransport
from tests.support.aio import run_async


class FakeLink:
    """As much of a link as a transport uses."""

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.sent: list[bytes] = []
        self.waiting = 0
        self.reading = False
        self.ending: list[str] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        self.waiting += len(data)

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.ending.append("close")

    def abort(self) -> None:
        self.ending.append("abort")


class Sink(PacketSink):
    """Keeps what a transport tells, and may stop it behind a packet."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.stop_behind: Any = None

    def text(self, transport: Transport, data: bytes) -> None:
        self._hear(transport, data.decode())

    def binary(self, transport: Transport, data: bytes) -> None:
        self._hear(transport, data)

    def _hear(self, transport: Transport, what: Any) -> None:
        self.heard.append(what)
        if what == self.stop_behind:
            transport.pause_reading()

    def drained(self, transport: Transport) -> None:
        self.heard.append("drained")

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        self.heard.append((reason, description))


class Bench:
    """A transport between a link and a sink, which reads."""

    def __init__(self) -> None:
        self.link = FakeLink()
        link: Any = self.link
        self.transport = WebRTCTransport(link, Flusher(asyncio.get_running_loop()), 1000, 100)
        self.sink = self.transport.sink = Sink()

    async def begin(self) -> Bench:
        self.transport.resume_reading()
        await asyncio.sleep(0)
        assert self.link.reading
        return self

    def receive(self, data: bytes) -> None:
        assert self.link.owner is not None
        self.link.owner.arrived(data)


async def bench() -> Bench:
    return await Bench().begin()


@run_async
async def test_what_is_sent_in_one_turn_is_written_at_its_end() -> None:
    one = await bench()
    one.transport.send(Message(b"4a"))
    one.transport.send(Message(b"451-", [b"\x00", b""]))
    assert one.link.sent == []
    await asyncio.sleep(0)
    assert one.link.sent == [b"\x024a\x04451-\x81\x00\x01b"]


@run_async
async def test_much_is_written_at_once_and_the_peer_may_be_behind() -> None:
    one = await bench()
    assert one.transport.writable
    one.transport.send(Message(b"4" + bytes(70_000)))
    assert len(one.link.sent) == 1
    assert not one.transport.writable
    assert one.link.owner is not None
    one.link.owner.room()
    assert one.transport.writable
    one.link.owner.room()
    assert one.sink.heard == ["drained"]


@run_async
async def test_packets_are_handed_on_in_order_until_reading_is_paused() -> None:
    one = await bench()
    one.sink.stop_behind = "4b"
    one.receive(b"\x024a\x024b\x81\x07\x024")
    assert one.sink.heard == ["4a", "4b"]
    assert not one.link.reading
    one.transport.resume_reading()
    assert one.sink.heard == ["4a", "4b"]
    await asyncio.sleep(0)
    assert one.sink.heard == ["4a", "4b", b"\x07"]
    assert one.link.reading
    one.receive(b"c")
    assert one.sink.heard[-1] == "4c"


@run_async
async def test_reading_that_is_paused_again_at_once_stays_so() -> None:
    one = await bench()
    one.sink.stop_behind = "4a"
    one.receive(b"\x024a\x024b")
    one.transport.resume_reading()
    one.transport.pause_reading()
    await asyncio.sleep(0)
    assert one.sink.heard == ["4a"]
    assert not one.link.reading


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\xfe\x03\xe9", "over the limit of 1000"), (b"\x024\xff", "a text packet is not UTF-8")],
)
@run_async
async def test_garbage_ends_it(data: bytes, why: str) -> None:
    one = await bench()
    one.receive(b"\x024a" + data)
    reason, words = one.sink.heard[-1]
    assert reason == "transport error"
    assert why in words
    assert one.link.ending == ["abort"]
    assert one.transport.sink is None


@run_async
async def test_a_close_writes_what_was_taken_first() -> None:
    one = await bench()
    one.transport.send(Message(b"4a"))
    one.transport.close()
    one.transport.close()
    one.transport.send(Message(b"4b"))
    await asyncio.sleep(0)
    assert one.link.sent == [b"\x024a"]
    assert one.link.ending == ["close"]
    # The link tells when that is done.
    assert one.link.owner is not None
    one.link.owner.lost("transport close", "")
    assert one.sink.heard == [("transport close", "")]


@run_async
async def test_an_abort_writes_nothing() -> None:
    one = await bench()
    one.transport.send(Message(b"4a"))
    one.transport.abort()
    await asyncio.sleep(0)
    assert one.link.sent == []
    assert one.link.ending == ["abort"]


@run_async
async def test_nothing_is_handed_on_once_nobody_wants_it() -> None:
    one = await bench()
    one.transport.discard()
    one.receive(b"\x024a")
    assert one.sink.heard == []
    assert one.link.ending == ["close"]
