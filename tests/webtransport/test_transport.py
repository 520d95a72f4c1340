"""The transport on a link that is the test."""

from __future__ import annotations

from typing import Any

from nuncio.engine.transport import Flusher, PacketSink
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol.bytestream import encode_packet
from nuncio.protocol.engineio import Message
from nuncio.webtransport.transport import WebTransportTransport
from tests.support.clock import FakeLoop


class Sink(PacketSink):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.on_text: Any = None

    def text(self, transport: Any, data: bytes) -> None:
        self.heard.append(data)
        if self.on_text is not None:
            self.on_text()

    def binary(self, transport: Any, data: bytes) -> None:
        self.heard.append((data,))

    def drained(self, transport: Any) -> None:
        self.heard.append("drained")

    def ended(self, transport: Any, reason: str, description: str) -> None:
        self.heard.append((reason, description))


class Wire:
    """A transport, what is below, and what is above."""

    def __init__(self, limit: int = 1000, high_water: int = 100) -> None:
        self.loop = FakeLoop()
        self.written: list[bytes] = []
        self.unsent = 0
        self.delivered = False
        self.held: list[int] = []
        self.closes: list[tuple[int, str]] = []
        self.sink = Sink()
        self.transport = WebTransportTransport(
            self, Flusher(self.loop), TimerWheel(self.loop), limit, high_water, 10.0
        )
        self.transport.sink = self.sink
        self.transport.resume_reading()
        self.loop.advance(0)

    def write(self, data: bytes, end: bool) -> None:
        if data:
            self.written.append(data)
            self.unsent += len(data)
        if end:
            self.written.append(b"END")

    def used(self, held: int) -> None:
        self.held.append(held)

    def close(self, code: int, reason: str) -> None:
        self.closes.append((code, reason))

    def acknowledge(self) -> None:
        self.unsent = 0
        self.delivered = True
        self.transport.acknowledged()


def text(size: int) -> Message:
    return Message(b"4" + b"x" * (size - 2))


def test_what_is_sent_in_one_turn_is_written_at_once() -> None:
    wire = Wire()
    for word in (b"4a", b"4b", b"4c"):
        wire.transport.send(Message(word))
    assert wire.written == []
    wire.loop.advance(0)
    assert wire.written == [b"\x024a\x024b\x024c"]


def test_answers_leave_when_what_came_was_handled() -> None:
    wire = Wire()
    wire.sink.on_text = lambda: wire.transport.send(Message(b"4y"))
    wire.transport.received(b"\x024a\x024b")
    assert wire.written == [b"\x024y\x024y"]


def test_it_is_writable_until_so_much_is_under_way_and_again_at_half() -> None:
    wire = Wire(high_water=100)
    wire.transport.send(text(60))
    assert wire.transport.writable
    wire.loop.advance(0)
    wire.transport.send(text(60))
    assert not wire.transport.writable
    wire.loop.advance(0)
    wire.unsent = 51
    wire.transport.acknowledged()
    assert not wire.transport.writable
    wire.unsent = 50
    wire.transport.acknowledged()
    assert wire.transport.writable and wire.sink.heard == ["drained"]


def test_much_is_not_gathered() -> None:
    wire = Wire(high_water=10**9)
    wire.transport.send(text(100_000))
    assert len(wire.written) == 1
    wire.loop.advance(0)
    assert len(wire.written) == 1


def test_while_reading_is_paused_what_came_waits_and_counts_as_unused() -> None:
    wire = Wire()
    transport = wire.transport
    wire.sink.on_text = transport.pause_reading
    transport.received(b"\x024a\x024b\x844444\x024c")
    assert wire.sink.heard == [b"4a"]
    assert wire.held[-1] == 8
    transport.received(b"\x024d")
    assert wire.sink.heard == [b"4a"] and wire.held[-1] == 11
    wire.sink.on_text = None
    transport.resume_reading()
    wire.loop.advance(0)
    assert wire.sink.heard == [b"4a", b"4b", (b"4444",), b"4c", b"4d"]
    assert wire.held[-1] == 0


def test_it_may_pause_again_before_it_went_on() -> None:
    wire = Wire()
    wire.transport.pause_reading()
    wire.transport.received(b"\x024a")
    wire.transport.resume_reading()
    wire.transport.pause_reading()
    wire.loop.advance(0)
    assert wire.sink.heard == []


def test_text_must_be_utf_8() -> None:
    wire = Wire()
    wire.transport.received(encode_packet("4é".encode(), False))
    assert wire.sink.heard == ["4é".encode()]
    wire.transport.received(b"\x034\xc3\x28")
    assert wire.sink.heard[1:] == [("transport error", "a text packet is not UTF-8")]
    assert wire.closes == [(0, "a text packet is not UTF-8")]


def test_a_packet_over_the_limit_is_refused_before_it_comes() -> None:
    wire = Wire(limit=1000)
    wire.transport.received(b"\x7e\x03\xe9")
    assert wire.sink.heard == [
        ("transport error", "a packet of 1001 bytes is over the limit of 1000")
    ]
    wire.transport.received(b"\x024a")
    assert len(wire.sink.heard) == 1


def test_the_end_waits_until_everything_has_arrived() -> None:
    wire = Wire()
    wire.transport.send(Message(b"4a"))
    wire.transport.close()
    assert wire.written == [b"\x024a", b"END"] and wire.closes == []
    wire.transport.acknowledged()
    assert wire.closes == []
    wire.acknowledge()
    assert wire.closes == [(0, "")] and wire.sink.heard == [("transport close", "")]
    wire.loop.advance(60)
    assert wire.closes == [(0, "")]


def test_but_not_for_ever() -> None:
    wire = Wire()
    wire.transport.close()
    wire.loop.advance(9)
    assert wire.closes == []
    wire.loop.advance(2)
    assert wire.closes == [(0, "")]


def test_after_the_end_nothing_is_sent_or_heard() -> None:
    wire = Wire()
    wire.transport.abort()
    wire.transport.send(Message(b"4a"))
    wire.transport.received(b"\x024a")
    wire.transport.close()
    wire.transport.discard()
    wire.transport.abort()
    wire.loop.advance(20)
    assert (wire.written, wire.sink.heard, wire.closes) == ([], [], [(0, "")])


def test_a_lost_link_is_told_once() -> None:
    wire = Wire()
    wire.transport.lost("gone")
    wire.transport.lost("gone")
    assert wire.sink.heard == [("transport close", "gone")] and not wire.transport.writable
