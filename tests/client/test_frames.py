from __future__ import annotations

from typing import Any

import pytest

from nuncio.client.frames import ClientWebSocket
from nuncio.client.keys import Keys
from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol.deflate import (
    Deflate,
    DeflateConfig,
    accept_client,
    negotiate_server,
    offer_client,
)
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import (
    BINARY,
    CLOSE,
    NEED_DATA,
    PING,
    PONG,
    TEXT,
    FrameReader,
    encode,
    encode_close,
    encode_masked,
)
from tests.support.clock import FakeLoop

CLOSE_SECONDS = 10.0


class IO:
    """An asyncio transport: writes down what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.writes = 0
        self.reading = True
        self.ending: list[str] = []

    def write(self, data: bytes) -> None:
        self.data += data
        self.writes += 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.ending.append("close")

    def abort(self) -> None:
        self.ending.append("abort")


class Heard(PacketSink):
    """Takes what the transport tells, as a session does."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[Any] = []
        self.ends: list[tuple[str, str]] = []
        self.drains = 0

    def text(self, transport: Transport, data: bytes) -> None:
        self.packets.append(data.decode())

    def binary(self, transport: Transport, data: bytes) -> None:
        self.packets.append(data)

    def drained(self, transport: Transport) -> None:
        self.drains += 1

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        self.ends.append((reason, description))


class Bench:
    """A WebSocket of a client; the server is the test."""

    def __init__(self, deflate: DeflateConfig | None = None) -> None:
        self.loop = FakeLoop()
        self.wheel = TimerWheel(self.loop)
        self.io = IO()
        self.heard = Heard()
        self.servers: Deflate | None = None
        agreed: Deflate | None = None
        if deflate is not None:
            # As it is negotiated with a server.
            self.servers, answer = _negotiated(deflate)
            agreed = accept_client(answer, deflate)
        self.transport = ClientWebSocket(
            self.io,
            Flusher(self.loop),
            self.wheel,
            FrameReader(100_000, False, inflater=agreed),
            CLOSE_SECONDS,
            agreed,
            0 if deflate is None else deflate.threshold,
            Keys(),
        )
        self.reader = FrameReader(100_000, True, inflater=self.servers)
        self.transport.sink = self.heard

    def begin(self) -> Bench:
        """Let it read."""
        self.transport.resume_reading()
        self.loop.turn()
        return self

    def sent(self) -> list[tuple[int, bytes]]:
        """The frames written since the last time: opcodes and payloads. They must be masked."""
        self.loop.turn()
        data, self.io.data = self.io.data, b""
        self.reader.feed(data)
        frames = []
        while (opcode := self.reader.next()) != NEED_DATA:
            frames.append((opcode, self.reader.payload))
            if opcode == CLOSE:
                break
        return frames


def _negotiated(config: DeflateConfig) -> tuple[Deflate, str]:
    agreed = negotiate_server(offer_client(config), DeflateConfig())
    assert agreed is not None
    deflate, answer = agreed
    return deflate, answer


def text(data: str, **options: Any) -> Message:
    return Message(data.encode(), **options)


# Sending.


def test_every_frame_is_masked_with_a_key_of_its_own() -> None:
    bench = Bench().begin()
    for _ in range(2):
        bench.transport.send(text("4same"))
    bench.loop.turn()
    first, second = bench.io.data[:11], bench.io.data[11:]
    assert first[:2] == second[:2] == b"\x81\x85"
    assert first[2:6] != second[2:6]
    assert first[6:] != second[6:]
    assert bench.sent() == [(TEXT, b"4same"), (TEXT, b"4same")]


def test_what_is_sent_in_one_turn_leaves_in_one_write() -> None:
    bench = Bench().begin()
    bench.transport.send(text("4a"))
    bench.transport.send(Message(b"451-", [b"x", b"y"]))
    bench.transport.send(Message(None, [b"z"]))
    bench.transport.send(Message(None))
    bench.loop.turn()
    assert bench.io.writes == 1
    assert bench.sent() == [
        (TEXT, b"4a"),
        (TEXT, b"451-"),
        (BINARY, b"x"),
        (BINARY, b"y"),
        (BINARY, b"z"),
        (TEXT, b""),
    ]


def test_messages_of_all_lengths() -> None:
    bench = Bench().begin()
    for size in (0, 125, 126, 65535, 65536, 90_000):
        bench.transport.send(Message(b"x" * size))
        assert bench.sent() == [(TEXT, b"x" * size)]


def test_after_the_end_nothing_is_sent() -> None:
    bench = Bench().begin()
    bench.transport.close()
    bench.sent()
    bench.transport.send(text("4late"))
    assert bench.sent() == []


# Receiving.


def test_nothing_is_told_before_somebody_is_there_to_take_it() -> None:
    bench = Bench()
    bench.transport.data_received(encode(TEXT, b"0{}"))
    bench.loop.turn()
    assert bench.heard.packets == []
    bench.begin()
    assert bench.heard.packets == ["0{}"]
    bench.transport.data_received(encode(TEXT, "4ü".encode()) + encode(BINARY, b"\x01"))
    assert bench.heard.packets[1:] == ["4ü", b"\x01"]


def test_frames_that_arrive_while_reading_is_paused_wait() -> None:
    bench = Bench().begin()
    bench.transport.pause_reading()
    assert not bench.io.reading
    bench.transport.data_received(encode(TEXT, b"4a") + encode(TEXT, b"4b"))
    assert bench.heard.packets == []
    bench.transport.resume_reading()
    bench.loop.turn()
    assert bench.heard.packets == ["4a", "4b"]
    assert bench.io.reading


def test_pings_are_answered_masked() -> None:
    bench = Bench().begin()
    bench.transport.data_received(encode(PING, b"beat"))
    assert bench.sent() == [(PONG, b"beat")]


def test_a_masked_frame_of_a_server_s_is_an_error() -> None:
    bench = Bench().begin()
    bench.transport.data_received(encode_masked(TEXT, b"4a", b"abcd"))
    assert bench.heard.ends == [("transport error", "masked frame")]
    assert bench.sent() == [(CLOSE, encode_close(1002))]
    assert bench.io.ending == ["close"]


@pytest.mark.parametrize(
    ("data", "words", "code"),
    [
        (encode(TEXT, b"\xff"), "text is not UTF-8", 1007),
        (b"\xc1\x01x", "reserved bits set", 1002),
        (b"\x83\x00", "unknown opcode", 1002),
        (b"\x80\x00", "continuation of no message", 1002),
        (b"\x81\x7f" + (200_000).to_bytes(8, "big"), "message too big", 1009),
        (b"\x89\x7e\x00\xff", "control frame longer than 125 bytes", 1002),
    ],
)
def test_garbage_of_the_server_s(data: bytes, words: str, code: int) -> None:
    bench = Bench().begin()
    bench.transport.data_received(data)
    assert bench.heard.ends == [("transport error", words)]
    assert bench.sent() == [(CLOSE, encode_close(code))]
    bench.transport.data_received(encode(TEXT, b"4late"))
    assert bench.heard.packets == []


# A server that is behind.


def test_a_server_that_is_behind() -> None:
    bench = Bench().begin()
    bench.transport.pause_writing()
    assert not bench.transport.writable
    # Pings are not answered then: they must not pile up.
    bench.transport.data_received(encode(PING, b"beat"))
    assert bench.sent() == []
    bench.transport.resume_writing()
    assert bench.transport.writable
    assert bench.heard.drains == 1


# Ending.


def test_a_goodbye_has_no_code_and_is_waited_for() -> None:
    bench = Bench().begin()
    bench.transport.close()
    assert bench.sent() == [(CLOSE, b"")]
    assert bench.io.ending == []
    bench.transport.data_received(encode(CLOSE, b""))
    assert bench.io.ending == ["close"]
    assert bench.heard.ends == [("transport close", "the peer closed with code 1005")]
    bench.transport.connection_lost(None)
    assert len(bench.heard.ends) == 1
    bench.loop.advance(2 * CLOSE_SECONDS)
    assert bench.io.ending == ["close"]


def test_a_server_that_does_not_answer_the_goodbye_is_cut_off() -> None:
    bench = Bench().begin()
    bench.transport.close()
    bench.loop.advance(CLOSE_SECONDS + 1)
    assert bench.io.ending == ["abort"]


def test_the_server_s_goodbye_is_answered_with_its_own_words() -> None:
    bench = Bench().begin()
    bench.transport.data_received(encode(TEXT, b"4a") + encode(CLOSE, encode_close(1001, "bye")))
    assert bench.heard.packets == ["4a"]
    assert bench.sent() == [(CLOSE, encode_close(1001, "bye"))]
    assert bench.heard.ends == [("transport close", "the peer closed with code 1001: 'bye'")]
    assert bench.io.ending == ["close"]


def test_a_lost_connection() -> None:
    bench = Bench().begin()
    bench.transport.send(text("4unsent"))
    bench.transport.connection_lost(ConnectionResetError("reset by peer"))
    assert bench.heard.ends == [("transport close", "reset by peer")]
    assert not bench.transport.writable
    bench.loop.turn()
    assert bench.io.writes == 0


def test_cutting_it_off() -> None:
    bench = Bench().begin()
    bench.transport.send(text("4unsent"))
    bench.transport.abort()
    bench.transport.abort()
    bench.loop.turn()
    assert (bench.io.ending, bench.io.writes) == (["abort"], 0)
    bench.transport.connection_lost(None)
    assert bench.heard.ends == []


# Compression.

DEFLATE = DeflateConfig(threshold=10)


def test_long_messages_are_compressed_and_short_ones_and_control_are_not() -> None:
    bench = Bench(DEFLATE).begin()
    long = "4" + "x" * 1000
    bench.transport.send(text(long))
    bench.loop.turn()
    assert len(bench.io.data) < 100
    assert bench.io.data[0] == 0xC1
    assert bench.sent() == [(TEXT, long.encode())]
    bench.transport.send(text("4short"))
    bench.loop.turn()
    assert bench.io.data[0] == 0x81
    assert bench.sent() == [(TEXT, b"4short")]
    for message in (text(long, compress=False), text(long, control=True)):
        bench.transport.send(message)
        bench.loop.turn()
        assert len(bench.io.data) > 1000
        assert bench.sent() == [(TEXT, long.encode())]


def test_attachments_are_compressed_each_for_itself() -> None:
    bench = Bench(DEFLATE).begin()
    bench.transport.send(Message(b"45" * 20, [b"a" * 500, b"b", b"c" * 500]))
    assert bench.sent() == [
        (TEXT, b"45" * 20),
        (BINARY, b"a" * 500),
        (BINARY, b"b"),
        (BINARY, b"c" * 500),
    ]
    bench.transport.send(Message(None, [b"d" * 500]))
    assert bench.sent() == [(BINARY, b"d" * 500)]


def test_one_message_after_another_uses_what_went_before() -> None:
    bench = Bench(DEFLATE).begin()
    for index in range(50):
        message = f"4{index}" + "the same words again and again " * 5
        bench.transport.send(text(message))
        assert bench.sent() == [(TEXT, message.encode())]


def test_what_the_server_compresses_is_inflated() -> None:
    bench = Bench(DEFLATE).begin()
    assert bench.servers is not None
    for index in range(5):
        payload = f"4{index}".encode() + b"x" * 1000
        bench.transport.data_received(encode(TEXT, bench.servers.compress(payload), True))
        assert bench.heard.packets[-1] == payload.decode()
    # Up to the limit of one message.
    bench.transport.data_received(encode(TEXT, bench.servers.compress(b"x" * 200_000), True))
    assert bench.heard.ends[0][0] == "transport error"


def test_without_an_agreement_compressed_frames_are_an_error() -> None:
    bench = Bench().begin()
    bench.transport.data_received(encode(TEXT, b"x", True))
    assert bench.heard.ends == [("transport error", "reserved bits set")]
