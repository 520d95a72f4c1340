from __future__ import annotations

from typing import Any

import pytest

from nuncio.engine.polling import PollingTransport
from nuncio.engine.session import MOST_OVERDUE, TAKEN, Sent
from nuncio.errors import DisconnectReason
from nuncio.protocol.engineio import Message
from tests.support.fakes import (
    OUTGOING_BYTES,
    PING_INTERVAL,
    PING_TIMEOUT,
    UPGRADE_TIMEOUT,
    Bench,
    FakeExchange,
    FakeTransport,
    a_request,
)

TICKS = 0.1


class Wire(Bench):
    """A session on a frame transport; the open packet is read already."""

    def __init__(self, **overrides: float) -> None:
        self.wire = FakeTransport()
        super().__init__(self.wire, **overrides)
        assert self.wire.take() == [b"0{}"]

    @property
    def ended(self) -> str | None:
        """Why the session ended."""
        assert len(self.above.ends) <= 1
        return self.above.ends[0][0] if self.above.ends else None


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
    assert len(beats) == 10


def test_an_unsolicited_pong_begins_the_interval_anew() -> None:
    bench = Wire()
    bench.loop.advance(PING_INTERVAL / 2)
    bench.wire.receive(b"3")
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


# Upgrades.


class Upgrade(Bench):
    """A session over long-polling whose client opens a WebSocket."""

    def __init__(self, **overrides: float) -> None:
        super().__init__(None, **overrides)
        self.polling = PollingTransport(self.flusher, self.wheel, 1000, 100, None, None)
        first = FakeExchange()
        self.polling.open(first)
        self.begin(self.polling)
        self.polling.flush()
        assert first.answer == (200, b"0{}")
        self.wire = FakeTransport()
        self.session.probe(self.wire)

    def poll(self) -> FakeExchange:
        """A poll arrives."""
        exchange = FakeExchange()
        self.polling.get(exchange)
        return exchange

    def post(self, body: bytes) -> FakeExchange:
        """A payload arrives."""
        exchange = FakeExchange(a_request(method="POST"))
        self.polling.post(exchange)
        exchange.deliver(body)
        return exchange


def test_an_upgrade() -> None:
    bench = Upgrade()
    told: list[tuple[str, str]] = []
    for name in ("upgrading", "upgrade"):
        bench.session.on(name, lambda transport, name=name: told.append((name, transport.name)))
    poll = bench.poll()
    assert bench.session.upgrading and not bench.session.upgraded
    bench.wire.receive(b"2probe")
    assert bench.wire.take() == [b"3probe"]
    assert poll.answer == (200, b"6")
    assert bench.session.transport.name == "polling"
    bench.wire.receive(b"5")
    assert bench.session.transport is bench.wire
    assert bench.session.upgraded and not bench.session.upgrading
    assert told == [("upgrading", "websocket"), ("upgrade", "websocket")]
    bench.session.push(text("a"))
    assert bench.wire.take() == [b"4a"]
    bench.wire.receive(b"4b")
    assert bench.above.heard == [b"4b"]
    assert bench.wire.ending == []
    assert bench.polling.sink is None


def test_polls_are_released_again_and_again_while_the_client_prepares() -> None:
    bench = Upgrade()
    bench.wire.receive(b"2probe")
    for _ in range(5):
        poll = bench.poll()
        assert poll.answer is None
        bench.loop.advance(0.2)
        assert poll.answer == (200, b"6")


def test_messages_go_on_over_polling_until_the_client_has_moved() -> None:
    bench = Upgrade()
    bench.wire.receive(b"2probe")
    bench.wire.take()
    bench.session.push(text("a"))
    assert bench.poll().answer == (200, b"4a")
    assert bench.post(b"4b").answer == (200, b"ok")
    assert bench.above.heard == [b"4b"]
    bench.session.push(text("c"))
    bench.wire.receive(b"5")
    assert bench.wire.take() == [b"4c"]


def test_a_poll_that_waits_when_the_client_moves_is_closed() -> None:
    bench = Upgrade()
    poll = bench.poll()
    bench.wire.receive(b"5")
    assert poll.answer == (200, b"1")
    assert bench.session.transport is bench.wire


def test_what_waits_leaves_in_order_after_the_move_without_losing_attachments() -> None:
    bench = Upgrade()
    bench.session.push(Message(b"452-", [b"1", b"2"]))
    bench.session.push(text("b"))
    bench.wire.receive(b"2probe")
    bench.wire.receive(b"5")
    bench.session.push(text("c"))
    assert bench.wire.take() == [b"3probe", b"452-\x1ebMQ==\x1ebMg==", b"4b", b"4c"]


@pytest.mark.parametrize(
    "packet", [b"", b"4foo", b"2", b"2wrong", b"3probe", b"1", b"6", b"0", b"9", b"probe", b"b"]
)
def test_a_wrong_probe_ends_the_attempt_alone(packet: bytes) -> None:
    bench = Upgrade()
    bench.wire.receive(packet)
    assert bench.wire.ending == ["discard"]
    assert bench.above.ends == []
    assert not bench.session.upgrading
    again = FakeTransport()
    bench.session.probe(again)
    again.receive(b"2probe")
    again.receive(b"5")
    assert bench.session.upgraded
    assert again.sink is bench.session


def test_a_binary_probe_ends_the_attempt_alone() -> None:
    bench = Upgrade()
    bench.wire.receive_binary(b"2probe")
    assert bench.wire.ending == ["discard"]
    assert not bench.session.upgrading


def test_garbage_between_probe_and_upgrade_ends_the_attempt_alone() -> None:
    bench = Upgrade()
    bench.wire.receive(b"2probe")
    bench.wire.receive(b"4early")
    bench.wire.receive(b"5")
    assert bench.session.transport is bench.polling
    assert bench.above.heard == []


def test_an_upgrade_packet_alone_is_enough_and_its_data_ignored() -> None:
    bench = Upgrade()
    bench.wire.receive(b"5whatever")
    assert bench.session.transport is bench.wire


def test_several_probes_are_each_answered() -> None:
    bench = Upgrade()
    for _ in range(3):
        bench.wire.receive(b"2probe")
    assert bench.wire.take() == [b"3probe"] * 3


def test_an_attempt_that_takes_too_long_is_given_up() -> None:
    bench = Upgrade()
    bench.loop.advance(UPGRADE_TIMEOUT + TICKS)
    assert bench.wire.ending == ["discard"]
    assert not bench.session.upgrading
    assert bench.session.is_open


def test_probing_again_and_again_is_no_way_to_stay() -> None:
    bench = Upgrade()
    poll = bench.poll()
    for _ in range(int(UPGRADE_TIMEOUT / 0.02) + 10):
        bench.wire.receive(b"2probe")
        bench.loop.advance(0.02)
    assert bench.wire.ending == ["discard"]
    assert not bench.session.upgrading
    assert poll.answer is not None
    assert bench.session.is_open


def test_a_probe_whose_connection_is_lost_leaves_the_session() -> None:
    bench = Upgrade()
    bench.wire.receive(b"2probe")
    bench.wire.lose("transport error", "reserved bits set")
    assert not bench.session.upgrading
    assert bench.session.is_open
    bench.loop.advance(UPGRADE_TIMEOUT + TICKS)
    assert bench.session.is_open


@pytest.mark.parametrize("probed", [False, True])
def test_a_session_that_ends_takes_its_probe_with_it(probed: bool) -> None:
    bench = Upgrade()
    if probed:
        bench.wire.receive(b"2probe")
    bench.post(b"1")
    assert [reason for reason, _ in bench.above.ends] == ["transport close"]
    assert bench.wire.ending == ["discard"]
    assert bench.wire.sink is None
    bench.no_timer_is_left()


def test_a_session_that_is_closing_ends_when_the_client_has_moved() -> None:
    bench = Upgrade()
    bench.session.close()
    assert bench.session.ready_state == "closing"
    bench.wire.receive(b"2probe")
    bench.wire.receive(b"5")
    assert [reason for reason, _ in bench.above.ends] == ["forced close"]
    assert bench.wire.ending[0] == "close"


def test_a_closing_session_sends_its_rest_over_the_new_transport() -> None:
    bench = Upgrade()
    bench.session.push(text("a"))
    bench.session.close()
    bench.wire.receive(b"5")
    assert bench.wire.take() == [b"4a"]
    assert bench.wire.ending == ["close"]
    assert [reason for reason, _ in bench.above.ends] == ["forced close"]


def test_the_heartbeat_goes_on_across_the_move() -> None:
    bench = Upgrade()
    bench.loop.advance(PING_INTERVAL / 2)
    # A new attempt, for the first has run out of time by now.
    wire = FakeTransport()
    bench.session.probe(wire)
    wire.receive(b"5")
    bench.loop.advance(PING_INTERVAL / 2 + TICKS)
    assert wire.take() == [b"2"]
    bench.loop.advance(PING_TIMEOUT + TICKS)
    assert [reason for reason, _ in bench.above.ends] == ["ping timeout"]


def test_a_ping_that_was_out_when_the_client_moved_is_still_waited_for() -> None:
    # The reference forgets it, and then never notices that such a peer is gone.
    bench = Upgrade()
    bench.loop.advance(PING_INTERVAL + TICKS)
    assert bench.poll().answer == (200, b"2")
    wire = FakeTransport()
    bench.session.probe(wire)
    wire.receive(b"5")
    bench.loop.advance(PING_TIMEOUT + TICKS)
    assert [reason for reason, _ in bench.above.ends] == ["ping timeout"]


def test_a_paused_session_stays_paused_on_its_new_transport() -> None:
    bench = Upgrade()
    bench.session.pause_reading()
    bench.wire.receive(b"5")
    assert not bench.wire.reading
    bench.session.resume_reading()
    assert bench.wire.reading


def test_packets_of_a_transport_that_was_left_mean_nothing() -> None:
    bench = Upgrade()
    bench.wire.receive(b"5")
    bench.session.text(bench.polling, b"4old")
    bench.session.binary(bench.polling, b"old")
    bench.session.drained(bench.polling)
    bench.session.ended(bench.polling, "transport close", "")
    assert bench.above.heard == []
    assert bench.session.is_open
