from __future__ import annotations

import random
from typing import Any

import pytest

from nuncio.engine.session import Session
from nuncio.engine.websocket import WRITE_THROUGH, WebSocketTransport
from nuncio.protocol.deflate import (
    Deflate,
    DeflateConfig,
    Direction,
    accept_client,
    negotiate_server,
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
from tests.support.fakes import Bench, Recorder
from tests.support.rawclient import frame

MAX_SIZE = 100_000
MAX_FRAGMENTS = 10
CLOSE_SECONDS = 5.0
KEY = b"\x01\x02\x03\x04"
TICKS = 0.1


class FakeIO:
    """An asyncio transport: writes down what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.reading = True
        # Pauses the protocol when more than this has been written since the peer last read.
        self.high_water: int | None = None
        self.protocol: Any = None
        self._unread = 0

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport.write`."""
        self.writes.append(data)
        self._unread += len(data)
        if self.high_water is not None and self._unread > self.high_water:
            self.protocol.pause_writing()

    def peer_reads(self) -> None:
        """Everything written has been read."""
        self._unread = 0
        self.protocol.resume_writing()

    def close(self) -> None:
        """See `asyncio.Transport.close`."""
        self.closed = True

    def abort(self) -> None:
        """See `asyncio.Transport.abort`."""
        self.aborted = True

    def pause_reading(self) -> None:
        """See `asyncio.Transport.pause_reading`."""
        self.reading = False

    def resume_reading(self) -> None:
        """See `asyncio.Transport.resume_reading`."""
        self.reading = True


class Wire(Bench):
    """A session over a WebSocket on a fake connection; the open packet is read already."""

    def __init__(self, head: bytes = b"", *, deflate: Any = None, threshold: int = 0) -> None:
        super().__init__()
        self.io = FakeIO()
        self.connections: set[object] = set()
        self.socket = WebSocketTransport(
            self.io,
            head,
            self.flusher,
            self.wheel,
            FrameReader(MAX_SIZE, True, MAX_FRAGMENTS, deflate),
            CLOSE_SECONDS,
            deflate,
            threshold,
            self.connections,
        )
        self.io.protocol = self.socket
        self.begin(self.socket)
        self.socket.flush()
        self.opening = self.take_bytes()

    def take_bytes(self) -> bytes:
        """What was written since the last call, in however many writes."""
        writes, self.io.writes = self.io.writes, []
        return b"".join(writes)

    def take(self) -> list[tuple[int, bytes]]:
        """The frames written since the last call."""
        return frames(self.take_bytes())

    def receive(self, *messages: tuple[int, bytes]) -> None:
        """Frames arrive in one read."""
        self.socket.data_received(
            b"".join(encode_masked(opcode, payload, KEY) for opcode, payload in messages)
        )

    @property
    def ends(self) -> list[tuple[str, str]]:
        """How the session ended, if it did."""
        return self.above.ends


class Echo(Recorder):
    """Sends every text back."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        self.session.push(Message(data))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    reader = FrameReader(1 << 24, False)
    reader.feed(data)
    found = []
    while (opcode := reader.next()) != NEED_DATA:
        found.append((opcode, reader.payload))
    return found


def text(data: str) -> Message:
    return Message(b"4" + data.encode())


# Messages.


def test_the_response_of_the_handshake_leaves_with_the_open_packet_in_one_write() -> None:
    bench = Wire(b"HTTP/1.1 101\r\n\r\n")
    assert bench.opening == b"HTTP/1.1 101\r\n\r\n\x81\x030{}"


def test_messages_arrive() -> None:
    bench = Wire()
    bench.receive((TEXT, b"4a"), (BINARY, b"\x01"), (TEXT, "4é".encode()), (BINARY, b""))
    assert bench.above.heard == [b"4a", b"\x01", "4é".encode(), b""]


def test_messages_arrive_whole_however_they_are_cut() -> None:
    data = encode_masked(TEXT, b"4a", KEY) + encode_masked(BINARY, b"x" * 300, KEY)
    for size in (1, 2, 7, 100):
        bench = Wire()
        for index in range(0, len(data), size):
            bench.socket.data_received(data[index : index + size])
        assert bench.above.heard == [b"4a", b"x" * 300]


def test_what_is_sent_in_a_turn_leaves_in_one_write_at_its_end() -> None:
    bench = Wire()
    for data in ("a", "b"):
        bench.session.push(text(data))
    bench.session.push(Message(b"451-", [b"x"]))
    assert bench.io.writes == []
    bench.loop.turn()
    assert len(bench.io.writes) == 1
    assert bench.take() == [(TEXT, b"4a"), (TEXT, b"4b"), (TEXT, b"451-"), (BINARY, b"x")]


def test_answers_leave_in_one_write_when_the_input_is_handled() -> None:
    bench = Wire()
    bench.session.listener = Echo(bench.session)
    bench.receive((TEXT, b"4a"), (TEXT, b"4b"))
    assert len(bench.io.writes) == 1
    assert bench.take() == [(TEXT, b"4a"), (TEXT, b"4b")]
    bench.loop.turn()
    assert bench.io.writes == []


def test_much_data_leaves_before_the_turn_ends() -> None:
    bench = Wire()
    bench.session.push(text("x" * WRITE_THROUGH))
    assert len(bench.io.writes) == 1
    bench.session.push(text("a"))
    bench.loop.turn()
    assert [len(payload) for _, payload in bench.take()] == [WRITE_THROUGH + 1, 2]


def test_a_peer_that_does_not_read_makes_messages_wait() -> None:
    bench = Wire()
    bench.io.high_water = 1000
    big = "x" * WRITE_THROUGH
    assert not bench.session.push(text(big)).taken
    assert not bench.socket.writable
    assert not bench.session.push(text("waits")).taken
    bench.loop.turn()
    assert [payload[:3] for _, payload in bench.take()] == [b"4xx"]
    bench.io.peer_reads()
    bench.loop.turn()
    assert bench.take() == [(TEXT, b"4waits")]


def test_a_peer_that_never_reads_is_cut_off() -> None:
    bench = Wire()
    bench.io.high_water = 0
    while bench.session.is_open:
        bench.session.push(text("x" * 1000))
        bench.loop.turn()
    assert bench.ends == [("slow consumer", "the peer does not read")]
    assert bench.io.aborted
    # What the connection still reports changes nothing.
    bench.socket.resume_writing()
    bench.socket.connection_lost(None)
    assert len(bench.ends) == 1
    bench.no_timer_is_left()


# Control frames.


def test_a_ping_is_answered_with_its_own_bytes() -> None:
    bench = Wire()
    bench.receive((PING, b""), (PING, b"abc"), (PING, bytes(range(125))))
    assert bench.take() == [(PONG, b""), (PONG, b"abc"), (PONG, bytes(range(125)))]


def test_a_pong_nobody_asked_for_is_nothing() -> None:
    bench = Wire()
    bench.receive((PONG, b"abc"), (TEXT, b"4a"))
    assert bench.take() == []
    assert bench.above.heard == [b"4a"]


def test_who_pings_and_does_not_read_gets_no_heap_of_pongs() -> None:
    bench = Wire()
    bench.io.high_water = 1000
    for _ in range(10_000):
        bench.receive((PING, b"x" * 125))
    assert len(bench.take_bytes()) < 2000
    bench.io.peer_reads()
    bench.receive((PING, b"again"))
    assert bench.take() == [(PONG, b"again")]


# The peer closes.


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 3000, 4999])
def test_a_close_frame_is_answered_with_its_code_and_words(code: int) -> None:
    bench = Wire()
    bench.receive((CLOSE, encode_close(code, "words")))
    assert bench.take() == [(CLOSE, encode_close(code, "words"))]
    assert bench.io.closed
    assert bench.ends == [("transport close", f"the peer closed with code {code}: 'words'")]
    bench.socket.connection_lost(None)
    bench.no_timer_is_left()


def test_a_close_frame_without_code_is_answered() -> None:
    bench = Wire()
    bench.receive((CLOSE, b""))
    assert bench.take() == [(CLOSE, b"")]
    assert bench.ends == [("transport close", "the peer closed with code 1005")]


def test_nothing_after_a_close_frame_counts() -> None:
    bench = Wire()
    bench.receive((CLOSE, b""), (TEXT, b"4late"), (CLOSE, b""))
    bench.receive((TEXT, b"4later"))
    assert bench.above.heard == []
    assert len(bench.take()) == 1


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
def test_a_lost_connection_ends_the_session(error: Exception | None) -> None:
    bench = Wire()
    bench.session.push(text("a"))
    bench.socket.connection_lost(error)
    assert bench.ends == [("transport close", "" if error is None else "reset by peer")]
    bench.loop.turn()
    assert bench.io.writes == []
    assert bench.connections == set()
    bench.no_timer_is_left()


def test_there_is_no_half_closed_websocket() -> None:
    assert Wire().socket.eof_received() is False


# The server closes.


def test_closing_says_goodbye_without_a_code_after_what_was_sent() -> None:
    bench = Wire()
    bench.session.push(text("a"))
    bench.session.close()
    assert bench.take() == [(TEXT, b"4a"), (CLOSE, b"")]
    assert not bench.io.closed
    assert bench.ends == [("forced close", "")]
    bench.receive((CLOSE, b""))
    assert bench.io.closed
    assert bench.take() == []
    bench.socket.connection_lost(None)
    assert len(bench.ends) == 1
    bench.no_timer_is_left()


def test_a_peer_that_does_not_say_goodbye_is_cut_off() -> None:
    bench = Wire()
    bench.session.close()
    bench.loop.advance(CLOSE_SECONDS - TICKS)
    assert not bench.io.aborted
    bench.loop.advance(2 * TICKS)
    assert bench.io.aborted


def test_what_comes_after_our_goodbye_means_nothing() -> None:
    bench = Wire()
    bench.session.close()
    bench.take()
    bench.receive((TEXT, b"4a"), (BINARY, b"a"), (PING, b"a"), (TEXT, b"junk"))
    bench.session.push(text("a"))
    bench.socket.send(text("a"))
    bench.loop.turn()
    assert bench.above.heard == []
    assert bench.take() == []


def test_garbage_after_our_goodbye_ends_the_connection() -> None:
    bench = Wire()
    bench.session.close()
    bench.take()
    bench.socket.data_received(frame(TEXT, b"4", rsv=2))
    assert bench.io.closed
    assert bench.take() == []
    assert bench.ends == [("forced close", "")]


def test_a_peer_that_closes_and_does_not_read_is_cut_off() -> None:
    for last in (frame(CLOSE), frame(TEXT, b"4", rsv=1)):
        bench = Wire()
        bench.io.high_water = 0
        bench.session.push(text("a"))
        bench.loop.turn()
        bench.socket.data_received(last)
        assert bench.io.closed
        bench.loop.advance(CLOSE_SECONDS + TICKS)
        assert bench.io.aborted


def test_closing_while_reading_is_paused_reads_the_answer() -> None:
    bench = Wire()
    bench.session.pause_reading()
    assert not bench.io.reading
    bench.session.close()
    bench.loop.turn()
    assert bench.io.reading


def test_a_session_that_ends_says_goodbye() -> None:
    bench = Wire()
    bench.receive((TEXT, b"junk"))
    assert bench.take() == [(CLOSE, b"")]
    assert bench.ends == [("parse error", "")]


def test_the_host_that_stops_is_passed_on() -> None:
    bench = Wire()
    bench.socket.shutdown()
    assert bench.engine.stopping == 1
    bench.session.close()
    bench.socket.shutdown()
    assert bench.engine.stopping == 1


def test_the_host_knows_its_connections() -> None:
    bench = Wire()
    assert bench.connections == {bench.socket}
    bench.socket.connection_lost(None)
    assert bench.connections == set()


# Broken frames. The session's reason and its words, and the close code on the wire.


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"4a", rsv=1), 1002),
        (frame(TEXT, b"4a", rsv=2), 1002),
        (frame(TEXT, b"4a", rsv=4), 1002),
        (frame(TEXT, b"4a", masked=False), 1002),
        (frame(3, b"4a"), 1002),
        (frame(11, b"4a"), 1002),
        (frame(0, b"4a"), 1002),
        (frame(PING, b"a", fin=False), 1002),
        (frame(PING, b"a" * 126), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (frame(TEXT, b"4a", fin=False) + frame(TEXT, b"4b"), 1002),
        (frame(TEXT, b"4\xff"), 1007),
        (frame(TEXT, b"4\xed\xa0\x80"), 1007),
        (frame(TEXT, b"4\xc3", fin=False) + frame(0, b"\x28"), 1007),
        (frame(BINARY, size=MAX_SIZE + 1), 1009),
        (frame(BINARY, size=1 << 62), 1009),
        (frame(BINARY, size=1 << 63), 1002),
        (frame(TEXT, b"4", fin=False) + frame(0, b"a" * MAX_SIZE), 1009),
        (frame(BINARY, b"", fin=False) + frame(0, fin=False) * MAX_FRAGMENTS, 1009),
    ],
)
def test_a_broken_frame_ends_the_connection(data: bytes, code: int) -> None:
    for size in (len(data), 1):
        bench = Wire()
        for index in range(0, len(data), size):
            bench.socket.data_received(data[index : index + size])
        assert bench.take() == [(CLOSE, encode_close(code))]
        assert bench.io.closed
        assert [reason for reason, _ in bench.ends] == ["transport error"]
        assert bench.ends[0][1]
        # Whatever else comes changes nothing.
        bench.socket.data_received(b"\xff" * 1000)
        bench.socket.connection_lost(None)
        assert bench.take() == []
        assert len(bench.ends) == 1
        bench.no_timer_is_left()


def test_messages_before_a_broken_frame_are_delivered() -> None:
    bench = Wire()
    bench.socket.data_received(frame(TEXT, b"4a") + frame(TEXT, b"4b", rsv=1))
    assert bench.above.heard == [b"4a"]


def test_the_largest_message_is_taken_whole_and_in_fragments() -> None:
    bench = Wire()
    data = b"4" + b"a" * (MAX_SIZE - 1)
    bench.receive((TEXT, data))
    half = MAX_SIZE // 2
    bench.socket.data_received(
        frame(TEXT, data[:half], fin=False) + frame(PING, b"between") + frame(0, data[half:])
    )
    assert bench.above.heard == [data, data]
    assert bench.take() == [(PONG, b"between")]


# Reading.


def test_reading_can_be_paused() -> None:
    bench = Wire()
    bench.session.pause_reading()
    bench.session.pause_reading()
    assert not bench.io.reading
    bench.session.resume_reading()
    bench.loop.turn()
    assert bench.io.reading


def test_frames_that_have_arrived_wait_while_reading_is_paused() -> None:
    bench = Wire()
    bench.session.pause_reading()
    bench.receive((TEXT, b"4a"), (TEXT, b"4b"))
    assert bench.above.heard == []
    bench.session.resume_reading()
    bench.loop.turn()
    assert bench.above.heard == [b"4a", b"4b"]


# Compression.


def compressing(
    threshold: int = 10, offer: str = "permessage-deflate", **changes: Any
) -> tuple[Wire, Any]:
    """A session whose WebSocket compresses, and a peer's reader."""
    negotiated = negotiate_server(offer, DeflateConfig(threshold=threshold, **changes))
    assert negotiated is not None
    deflate, answer = negotiated
    peer = accept_client(answer, DeflateConfig(server_no_context_takeover=False))
    assert peer is not None
    return Wire(deflate=deflate, threshold=threshold), peer


def test_long_messages_are_compressed_and_short_ones_are_not() -> None:
    bench, peer = compressing()
    reader = FrameReader(MAX_SIZE, False, 10, peer)
    long = "abc" * 100
    bench.session.push(text("short"))
    bench.session.push(text(long))
    bench.session.push(Message(b"4" + long.encode(), None, False))
    bench.session.push(Message(b"451-" + long.encode(), [b"\x00" * 500]))
    bench.loop.turn()
    data = bench.take_bytes()
    assert len(data) < 5 * len(long)
    assert (data[0], data[8]) == (0x81, 0xC1)
    reader.feed(data)
    found = []
    while reader.next() != NEED_DATA:
        found.append(reader.payload)
    packet = b"4" + long.encode()
    assert found == [b"4short", packet, packet, b"451-" + long.encode(), b"\x00" * 500]


def test_what_is_shorter_than_the_threshold_is_left_as_it_is_beside_long_attachments() -> None:
    bench, peer = compressing(threshold=100)
    reader = FrameReader(MAX_SIZE, False, 10, peer)
    bench.session.push(Message(b"452-short", [b"\x00" * 500, b"short"]))
    bench.loop.turn()
    data = bench.take_bytes()
    assert data.startswith(encode(TEXT, b"452-short"))
    assert data.endswith(encode(BINARY, b"short"))
    reader.feed(data)
    found = [reader.payload for _ in range(3) if reader.next() != NEED_DATA]
    assert found == [b"452-short", b"\x00" * 500, b"short"]


def test_what_does_not_become_shorter_is_sent_as_it_is() -> None:
    noise = random.Random(1).randbytes(500)
    bench, _ = compressing()
    bench.session.push(Message(None, [noise]))
    bench.loop.turn()
    assert bench.take_bytes() == encode(BINARY, noise)


def test_with_context_everything_that_was_compressed_is_sent() -> None:
    noise = random.Random(1).randbytes(500)
    bench, peer = compressing(server_no_context_takeover=False)
    reader = FrameReader(MAX_SIZE, False, 10, peer)
    for _ in range(2):
        bench.session.push(Message(None, [noise]))
        bench.loop.turn()
    data = bench.take_bytes()
    # The second refers to the first.
    assert 500 < len(data) < 600
    reader.feed(data)
    assert [reader.next() and reader.payload for _ in range(2)] == [noise, noise]


def test_the_transports_own_packets_are_never_compressed() -> None:
    bench, _ = compressing(threshold=0)
    bench.loop.advance(26)
    assert (TEXT, b"2") in bench.take()


@pytest.mark.parametrize("takeover", [False, True])
def test_a_broadcast_is_compressed_once_where_no_context_matters(takeover: bool) -> None:
    way = Direction(12, takeover)
    ends = [_Counting(DeflateConfig(threshold=10), way, way) for _ in range(3)]
    message = Message(b"4" + b"abc" * 100, [b"\x00" * 500])
    for end in ends:
        bench = Wire(deflate=end, threshold=10)
        bench.session.push(message)
        bench.loop.turn()
        reader = FrameReader(MAX_SIZE, False, 10, Deflate(DeflateConfig(), way, way))
        reader.feed(bench.take_bytes())
        found = [reader.payload for _ in range(2) if reader.next() != NEED_DATA]
        assert found == [message.text, b"\x00" * 500]
    assert [end.calls for end in ends] == ([2, 2, 2] if takeover else [2, 0, 0])


def test_a_broadcast_fits_each_recipients_window() -> None:
    text = b"4" + random.Random(2).randbytes(700).hex().encode() * 2
    message = Message(text)
    seen = set()
    for bits in (9, 15, 9):
        offer = f"permessage-deflate; server_max_window_bits={bits}"
        bench, peer = compressing(offer=offer)
        reader = FrameReader(MAX_SIZE, False, 10, peer)
        bench.session.push(message)
        bench.loop.turn()
        data = bench.take_bytes()
        seen.add((bits, data))
        reader.feed(data)
        assert reader.next() == TEXT
        assert reader.payload == text
    assert len(seen) == len({data for _, data in seen}) == 2


class _Counting(Deflate):
    """Counts what it compresses."""

    calls = 0

    def compress(self, payload: bytes) -> bytes:
        """See `Deflate.compress`."""
        self.calls += 1
        return super().compress(payload)


def test_compressed_messages_arrive() -> None:
    bench, peer = compressing()
    packed = peer.compress(b"4" + b"x" * 1000)
    bench.socket.data_received(frame(TEXT, packed, rsv=4))
    assert bench.above.heard == [b"4" + b"x" * 1000]


def test_a_small_message_that_inflates_too_far_ends_the_connection() -> None:
    bench, peer = compressing()
    packed = peer.compress(b"4" + b"x" * (MAX_SIZE + 1000))
    assert len(packed) < 1000
    bench.socket.data_received(frame(TEXT, packed, rsv=4))
    assert bench.take() == [(CLOSE, encode_close(1009))]
    assert [reason for reason, _ in bench.ends] == ["transport error"]


def test_what_does_not_inflate_ends_the_connection() -> None:
    bench, _ = compressing()
    bench.socket.data_received(frame(TEXT, b"\xff" * 50, rsv=4))
    assert [opcode for opcode, _ in bench.take()] == [CLOSE]
    assert [reason for reason, _ in bench.ends] == ["transport error"]
