from __future__ import annotations

from typing import Any

import pytest

from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.session import MOST_OVERDUE
from nuncio.errors import DisconnectReason
from nuncio.protocol.engineio import Message
from tests.support.fakes import (
    OUTGOING_BYTES,
    PING_INTERVAL,
    PING_TIMEOUT,
    Bench,
    FakeTransport,
    Wire,
)

TICKS = 0.1


def text(data: str) -> Message:
    return Message(b"4" + data.encode())


# Messages.


def test_text_and_binary_messages_go_up_as_they_came() -> None:
    bench = Wire()
    bench.wire.receive(b"4hello")
    bench.wire.receive_binary(b"\x00\x01")
    bench.wire.receive(b"4")
    bench.wire.receive(b"bAQID")
    assert bench.above.heard == [b"4hello", b"\x00\x01", b"4", b"\x01\x02\x03"]


def test_what_is_sent_leaves_at_once_while_the_peer_reads() -> None:
    bench = Wire()
    assert bench.session.push(text("a")) is TAKEN
    assert bench.session.send("é").taken
    assert bench.session.send(b"\x01").taken
    assert bench.session.send("").taken
    assert bench.wire.take() == [b"4a", "4é".encode(), b"bAQ==", b"4"]


@pytest.mark.parametrize("data", [5, None, ["a"], {"a": 1}])
def test_only_text_and_bytes_can_be_sent(data: Any) -> None:
    with pytest.raises(TypeError, match="data must be str or bytes, not"):
        Wire().session.send(data)


@pytest.mark.parametrize("kind", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
def test_all_kinds_of_bytes_can_be_sent(kind: Any) -> None:
    bench = Wire()
    bench.session.send(kind)
    assert bench.wire.sent[0].attachments == [b"bytes"]


def test_a_separator_cannot_be_sent_as_text_over_polling() -> None:
    bench = Bench(FakeTransport("polling"))
    with pytest.raises(ValueError, match=r"U\+001E"):
        bench.session.send("a\x1eb")
    bench.session.send(b"a\x1eb")
    Wire().session.send("a\x1eb")


@pytest.mark.parametrize("packet", [b"", b"7", b"9x", b"x", b"\xff", b" 4", b"-", b"b!A"])
def test_garbage_ends_the_session(packet: bytes) -> None:
    bench = Wire()
    bench.wire.receive(packet)
    bench.wire.receive(b"4late")
    assert bench.above.ends == [("parse error", "")]
    assert bench.above.heard == []
    assert bench.session.ready_state == "closed"
    assert bench.engine.closed == [bench.session]
    assert bench.wire.ending == ["discard"]


@pytest.mark.parametrize("packet", [b"0", b"0{}", b"1", b"1x", b"5", b"6", b"3", b"3probe"])
def test_packets_without_meaning_here_are_harmless(packet: bytes) -> None:
    bench = Wire()
    for _ in range(3):
        bench.wire.receive(packet)
    bench.wire.receive(b"4a")
    assert bench.above.heard == [b"4a"]
    assert bench.session.is_open


def test_a_ping_from_the_client_ends_the_session() -> None:
    for packet in (b"2", b"2probe"):
        bench = Wire()
        bench.wire.receive(packet)
        assert bench.above.ends == [("transport error", "invalid heartbeat direction")]
        assert bench.wire.ending == ["discard"]


# The heartbeat.


def test_silence_ends_the_session_after_interval_and_timeout() -> None:
    bench = Wire()
    bench.loop.advance(PING_INTERVAL - TICKS)
    assert bench.wire.take() == []
    bench.loop.advance(2 * TICKS)
    assert bench.wire.take() == [b"2"]
    bench.loop.advance(PING_TIMEOUT - 3 * TICKS)
    assert bench.ended is None
    bench.loop.advance(4 * TICKS)
    assert bench.ended == "ping timeout"
    assert bench.wire.ending == ["discard"]
    bench.no_timer_is_left()


def test_pongs_keep_it_alive() -> None:
    bench = Wire()
    beats: list[None] = []
    bench.session.on("heartbeat", lambda: beats.append(None))
    for _ in range(10):
        bench.loop.advance(PING_INTERVAL + TICKS)
        assert bench.wire.take() == [b"2"]
        bench.wire.receive(b"3")
    assert bench.ended is None
    assert len(beats) == bench.above.beats == 10


def test_an_unsolicited_pong_begins_the_interval_anew() -> None:
    bench = Wire()
    bench.loop.advance(PING_INTERVAL / 2)
    bench.wire.receive(b"3")
    assert bench.above.beats == 0
    bench.loop.advance(PING_INTERVAL - TICKS)
    assert bench.wire.take() == []
    bench.loop.advance(2 * TICKS)
    assert bench.wire.take() == [b"2"]


def test_ten_thousand_unsolicited_pongs_keep_one_timer() -> None:
    bench = Wire()
    for _ in range(10_000):
        bench.loop.advance(0.01)
        bench.wire.receive(b"3")
    assert len(bench.loop.scheduled) == 1
    bench.loop.advance(PING_INTERVAL + TICKS)
    assert bench.wire.take() == [b"2"]


def test_messages_alone_do_not_put_the_ping_off() -> None:
    bench = Wire()
    for _ in range(10):
        bench.loop.advance(PING_INTERVAL / 10)
        bench.wire.receive(b"4a")
    bench.loop.advance(TICKS)
    assert bench.wire.take() == [b"2"]


@pytest.mark.parametrize("binary", [False, True])
def test_the_first_message_after_a_ping_moves_the_deadline_once(binary: bool) -> None:
    # engine.io 6.6.11: interval = timeout = 100: ping at 100, message at 150, end at 250.
    bench = Wire(ping_interval=100.0, ping_timeout=100.0)

    def message() -> None:
        if binary:
            bench.wire.receive_binary(b"a")
        else:
            bench.wire.receive(b"4a")

    bench.loop.advance(150)
    assert bench.wire.take() == [b"2"]
    message()
    bench.loop.advance(80)
    message()
    bench.loop.advance(19)
    assert bench.ended is None
    bench.loop.advance(2)
    assert bench.ended == "ping timeout"


def test_the_deadline_can_move_again_in_the_next_cycle() -> None:
    bench = Wire(ping_interval=100.0, ping_timeout=100.0)
    for _ in range(3):
        bench.loop.advance(101)
        bench.wire.receive(b"4a")
        bench.loop.advance(99)
        bench.wire.receive(b"3")
    assert bench.ended is None
    assert bench.wire.take() == [b"2"] * 3


def test_a_server_that_stalled_does_not_blame_its_peers() -> None:
    bench = Wire()
    bench.loop.stall(PING_INTERVAL + 10 * PING_TIMEOUT)
    bench.loop.advance(0)
    assert bench.wire.take() == [b"2"]
    bench.loop.advance(PING_TIMEOUT - 3 * TICKS)
    assert bench.ended is None
    bench.wire.receive(b"3")
    bench.loop.advance(PING_INTERVAL - TICKS)
    assert bench.ended is None


def test_a_timeout_shorter_than_a_tick_still_waits_for_the_pong() -> None:
    bench = Wire(ping_timeout=0.001)
    bench.loop.advance(PING_INTERVAL + 0.05)
    assert bench.wire.take() == [b"2"] or bench.ended == "ping timeout"


def test_who_is_not_read_from_is_not_blamed_for_silence() -> None:
    bench = Wire()
    bench.session.pause_reading()
    bench.loop.advance(PING_INTERVAL + MOST_OVERDUE * PING_TIMEOUT)
    assert bench.ended is None
    assert bench.wire.take() == [b"2"] * MOST_OVERDUE
    bench.session.resume_reading()
    bench.loop.advance(PING_TIMEOUT + TICKS)
    assert bench.ended == "ping timeout"


def test_of_several_pings_nobody_knows_which_was_answered() -> None:
    bench = Wire()
    bench.session.pause_reading()
    bench.loop.advance(PING_INTERVAL + 2 * PING_TIMEOUT)
    bench.session.resume_reading()
    bench.wire.receive(b"3")
    bench.wire.receive(b"3")
    assert bench.ended is None
    assert bench.above.beats == 0


def test_who_is_not_read_from_is_not_kept_for_ever() -> None:
    bench = Wire()
    bench.session.pause_reading()
    bench.loop.advance(PING_INTERVAL + (MOST_OVERDUE + 2) * PING_TIMEOUT)
    assert bench.ended == "ping timeout"


def test_the_ping_waits_in_the_buffer_of_a_peer_that_does_not_read() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.loop.advance(PING_INTERVAL + TICKS)
    assert bench.wire.take() == []
    bench.wire.drain()
    assert bench.wire.take() == [b"2"]


def test_a_ping_that_overflows_the_buffer_leaves_no_timer_behind() -> None:
    bench = Wire(outgoing_bytes=150)
    bench.wire.writable = False
    bench.session.push(text("a" * 40))
    bench.loop.advance(PING_INTERVAL + TICKS)
    assert bench.ended == "slow consumer"
    bench.no_timer_is_left()


# The buffer.


def test_what_cannot_leave_waits_in_order() -> None:
    bench = Wire()
    bench.wire.full_after = 1
    for word in ("a", "b", "c"):
        bench.session.push(text(word))
    assert bench.wire.take() == [b"4a"]
    assert bench.session.congested
    assert bench.session.buffered_bytes > 4
    bench.wire.full_after = 1
    bench.wire.drain()
    assert bench.wire.take() == [b"4b"]
    bench.session.push(text("d"))
    bench.wire.drain()
    assert bench.wire.take() == [b"4c", b"4d"]
    assert bench.session.buffered_bytes == 0
    assert not bench.session.congested


def test_a_peer_that_does_not_read_is_dropped_when_the_buffer_is_full() -> None:
    bench = Wire()
    bench.wire.writable = False
    size = 900
    count = 0
    while bench.ended is None:
        bench.session.push(text("x" * size))
        count += 1
        assert count < 100
    assert bench.above.ends == [(DisconnectReason.SLOW_CONSUMER, "the peer does not read")]
    assert count == OUTGOING_BYTES // (size + 1 + 100) + 1
    assert bench.wire.ending == ["abort"]
    assert bench.session.buffered_bytes == 0
    bench.no_timer_is_left()


def test_many_empty_messages_fill_the_buffer_too() -> None:
    bench = Wire()
    bench.wire.writable = False
    for _ in range(OUTGOING_BYTES // 100):
        bench.session.push(text(""))
    assert bench.ended == "slow consumer"


def test_attachments_count_in_the_buffer() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(Message(b"451-", [b"x" * OUTGOING_BYTES]))
    assert bench.ended == "slow consumer"


def test_volatile_messages_never_wait() -> None:
    bench = Wire()
    assert bench.session.push(text("now"), volatile=True) is TAKEN
    bench.wire.writable = False
    for _ in range(1000):
        assert bench.session.push(text("x" * 100), volatile=True) is TAKEN
    assert bench.session.buffered_bytes == 0
    bench.wire.drain()
    assert bench.wire.take() == [b"4now"]


def test_a_volatile_message_does_not_overtake_what_waits() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    # Writable again, but what waits has not left yet.
    bench.wire.writable = True
    bench.session.push(text("v"), volatile=True)
    bench.session.push(text("b"))
    bench.wire.drain()
    assert bench.wire.take() == [b"4a", b"4b"]


def test_a_volatile_message_and_its_attachments_are_sent_or_dropped_together() -> None:
    bench = Wire()
    bench.wire.full_after = 1
    bench.session.push(Message(b"452-", [b"1", b"2"]), volatile=True)
    bench.session.push(Message(b"452-", [b"3", b"4"]), volatile=True)
    bench.wire.drain()
    bench.session.push(text("b"))
    assert bench.wire.take() == [b"452-\x1ebMQ==\x1ebMg==", b"4b"]


def test_attachments_are_never_separated_from_their_text() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(Message(b"452-", [b"1", b"2"]))
    bench.session.push(text("b"))
    bench.wire.full_after = 1
    bench.wire.drain()
    assert bench.wire.take() == [b"452-\x1ebMQ==\x1ebMg=="]


def test_drain_tells_listeners() -> None:
    bench = Wire()
    told: list[None] = []
    bench.session.on("drain", lambda: told.append(None))
    bench.wire.writable = False
    bench.session.push(text("a"))
    assert told == []
    bench.wire.drain()
    assert told == [None]


def step(sent: Sent) -> bool:
    """Whether awaiting what an emit returned ends at once."""
    waiting = sent.__await__()
    try:
        next(waiting)
    except StopIteration:
        return True
    return False


def test_what_has_left_need_not_be_awaited() -> None:
    bench = Wire()
    sent = bench.session.push(text("a"))
    assert sent.taken
    assert step(sent)


def test_awaiting_lasts_until_the_peer_has_caught_up() -> None:
    bench = Wire()
    bench.wire.full_after = 1
    first = bench.session.push(text("a"))
    second = bench.session.push(text("b"))
    assert not first.taken and not second.taken
    assert not step(first) and not step(second)
    waiting = bench.session.drain()
    assert not waiting.done()
    bench.wire.full_after = 1
    bench.wire.drain()
    assert not waiting.done()
    bench.wire.drain()
    assert waiting.done()
    assert first.taken and step(second)


def test_awaiting_ends_when_the_connection_does() -> None:
    bench = Wire()
    bench.wire.writable = False
    sent = bench.session.push(text("a"))
    waiting = bench.session.drain()
    bench.wire.lose()
    assert waiting.done() and waiting.exception() is None
    assert sent.taken
    assert bench.session.drain().done()


def test_awaiting_ends_for_a_peer_that_is_dropped() -> None:
    bench = Wire()
    bench.wire.writable = False
    waiting = bench.session.drain()
    bench.session.push(text("x" * OUTGOING_BYTES))
    assert waiting.done()


def test_an_await_that_was_given_up_does_no_harm() -> None:
    bench = Wire()
    bench.wire.writable = False
    waiting = bench.session.drain()
    waiting.cancel()
    bench.wire.drain()
    assert waiting.cancelled()


# Ending.


def test_close_with_nothing_waiting_is_at_once() -> None:
    bench = Wire()
    bench.session.close()
    assert bench.above.ends == [("forced close", "")]
    assert bench.wire.ending == ["close"]
    assert bench.engine.closed == [bench.session]
    bench.no_timer_is_left()


def test_close_sends_what_waits_first() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close()
    assert bench.session.ready_state == "closing"
    assert bench.ended is None
    bench.session.push(text("too late"))
    bench.wire.receive(b"4too late, too")
    bench.wire.drain()
    assert bench.wire.take() == [b"4a"]
    assert bench.wire.ending == ["close"]
    assert bench.ended == "forced close"
    assert bench.above.heard == []


def test_discard_drops_what_waits() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close(discard=True)
    assert bench.ended == "forced close"
    assert bench.wire.take() == []
    assert bench.wire.ending == ["discard"]


def test_discard_ends_a_session_that_is_closing() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close()
    bench.session.close()
    bench.session.close(discard=True)
    bench.session.close(discard=True)
    assert bench.above.ends == [("forced close", "")]


def test_a_closing_session_whose_peer_never_reads_is_ended_by_the_heartbeat() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close()
    bench.loop.advance(PING_INTERVAL + PING_TIMEOUT + TICKS)
    assert bench.ended == "ping timeout"


def test_a_lost_connection_while_closing_counts_as_closed() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close()
    bench.wire.lose("transport error", "reset")
    assert bench.ended == "forced close"


@pytest.mark.parametrize("reason", ["transport close", "transport error"])
def test_a_lost_connection_ends_the_session(reason: str) -> None:
    bench = Wire()
    ends: list[object] = []
    bench.session.on("close", lambda *args: ends.append(args))
    bench.wire.lose(reason, "words")
    assert bench.above.ends == [(reason, "words")]
    assert ends == [(reason, "words")]
    assert bench.session.push(text("a")) is TAKEN
    assert bench.wire.take() == []
    bench.no_timer_is_left()


def test_what_waited_can_still_be_read_in_the_close_handler() -> None:
    bench = Wire()
    bench.wire.writable = False
    bench.session.push(text("a"))
    seen: list[int] = []
    bench.session.on("close", lambda *_: seen.append(bench.session.buffered_bytes))
    bench.wire.lose()
    assert seen == [2 + 100]
    assert bench.session.buffered_bytes == 0


def test_the_host_that_stops_is_passed_on() -> None:
    bench = Wire()
    bench.session.host_stopping()
    assert bench.engine.stopping == 1


def test_the_secret_id_is_not_in_the_representation() -> None:
    bench = Wire()
    assert repr(bench.session) == "<Session open over websocket>"
    assert bench.session.remote_address == "192.0.2.1"
