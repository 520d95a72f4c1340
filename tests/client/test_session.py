from __future__ import annotations

from typing import Any

import pytest

import nuncio.client.session as sessions
from nuncio.client.session import ClientSession
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.wheel import NEVER, TimerWheel
from nuncio.errors import LimitExceeded
from nuncio.protocol.engineio import Message
from nuncio.slow import SlowConsumer, policy_of
from tests.support.clock import FakeLoop
from tests.support.fakes import FakeTransport, Recorder

INTERVAL = 25.0
TIMEOUT = 20.0
OUTGOING_BYTES = 1000
TICKS = 0.1


class Owner:
    """What a session tells its client."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.session: ClientSession | None = None

    def handshake(self, data: bytes) -> None:
        self.told.append(data)

    def pinged(self) -> None:
        self.told.append("ping")

    def packet(self, data: bytes) -> None:
        self.told.append(("packet", data))

    def drained(self) -> None:
        self.told.append("drain")

    def ended(self, reason: str, description: str) -> None:
        assert self.session is not None
        self.told.append((reason, description))
        assert self.session.ready_state == "closed"

    def gone(self) -> None:
        self.told.append("gone")

    def take(self) -> list[Any]:
        taken, self.told = self.told, []
        return taken


class Above(Recorder):
    """The layer above."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[Message] = []

    def dropped(self, message: Message) -> None:
        self.lost.append(message)


class Bench:
    """A session with everything around it, on a loop whose clock the test moves."""

    def __init__(self, transport: FakeTransport | None = None, *, silence: float = 45.0) -> None:
        self.loop = FakeLoop()
        self.wheel = TimerWheel(self.loop)
        self.owner = Owner()
        self.above = Above()
        self.wire = FakeTransport() if transport is None else transport
        self.wire.reading = False
        self.session = ClientSession(self.owner, self.loop, self.wheel, OUTGOING_BYTES)
        self.owner.session = self.session
        self.session.attach(self.wire)
        self.session.listener = self.above
        if silence >= 0:
            self.session.begin(silence)

    @property
    def ended(self) -> tuple[str, str] | None:
        """How it ended."""
        ends = [one for one in self.owner.told if isinstance(one, tuple) and one[0] != "packet"]
        assert len(ends) <= 1
        assert ends == self.above.ends
        return ends[0] if ends else None

    def no_timer_is_left(self) -> None:
        assert self.session.tick == NEVER
        self.loop.advance(1000)
        assert self.loop.scheduled == []
        assert self.loop.failures == []


def text(data: str = "x") -> Message:
    return Message(b"4" + data.encode())


# Opening.


def test_it_reads_from_when_it_has_a_transport() -> None:
    bench = Bench(silence=-1)
    assert bench.session.ready_state == "opening"
    assert not bench.session.is_open
    assert bench.wire.reading
    assert bench.wire.sink is bench.session
    bench.wire.receive(b'0{"sid":"a"}')
    assert bench.owner.take() == [b'0{"sid":"a"}']


@pytest.mark.parametrize("packet", [b"2", b"3", b"4early", b"5", b"6", b"bAQ=="])
def test_a_session_begins_with_a_handshake(packet: bytes) -> None:
    bench = Bench(silence=-1)
    bench.wire.receive(packet)
    assert bench.ended == ("transport error", "what the server sent first is no handshake")
    assert (bench.above.heard, bench.wire.take(), bench.wire.ending) == ([], [], ["abort"])


def test_a_session_does_not_begin_with_bytes() -> None:
    bench = Bench(silence=-1)
    bench.wire.receive_binary(b"early")
    assert bench.ended == ("transport error", "what the server sent first is no handshake")
    assert (bench.above.heard, bench.wire.ending) == ([], ["abort"])


@pytest.mark.parametrize("packet", [b"", b"x", b"7", b"<html>"])
def test_garbage_before_the_handshake_ends_it_without_a_goodbye(packet: bytes) -> None:
    bench = Bench(silence=-1)
    bench.wire.receive(packet)
    assert bench.ended == ("transport error", "the server sent what is no Engine.IO packet")
    # There is no session that anybody could be told of.
    assert bench.wire.ending == ["abort"]


def test_a_close_before_the_handshake() -> None:
    bench = Bench(FakeTransport("polling"), silence=-1)
    bench.wire.receive(b"1")
    assert bench.ended == ("transport close", "transport closed by the server")


def test_a_transport_that_brought_no_session_is_given_up() -> None:
    bench = Bench(silence=-1)
    bench.session.detach()
    assert bench.wire.ending == ["abort"]
    assert bench.wire.sink is None
    assert bench.session.transport is None
    bench.session.detach()


def test_only_the_first_handshake_counts() -> None:
    bench = Bench()
    bench.wire.receive(b'0{"sid":"b"}')
    assert bench.owner.take() == []
    assert bench.session.is_open


# Messages.


def test_messages_go_up_as_they_came() -> None:
    bench = Bench()
    bench.wire.receive(b"4hello")
    bench.wire.receive_binary(b"\x00")
    bench.wire.receive(b"4")
    bench.wire.receive(b"bAQID")
    assert bench.above.heard == [b"4hello", b"\x00", b"4", b"\x01\x02\x03"]


@pytest.mark.parametrize("packet", [b"", b"7", b"x", b"\xff", b" 4", b"-", b"b!A"])
def test_garbage_ends_the_session(packet: bytes) -> None:
    bench = Bench()
    bench.wire.receive(packet)
    bench.wire.receive(b"4late")
    assert bench.ended == ("transport error", "the server sent what is no Engine.IO packet")
    assert bench.above.heard == []
    assert bench.wire.ending == ["close"]
    bench.wire.lose()
    bench.no_timer_is_left()


@pytest.mark.parametrize("packet", [b"3", b"3probe", b"5", b"6", b"6x"])
def test_packets_without_meaning_here_are_harmless(packet: bytes) -> None:
    bench = Bench()
    bench.wire.receive(packet)
    assert bench.session.is_open
    assert bench.wire.take() == []


def test_a_websocket_closes_by_itself_and_long_polling_by_a_packet() -> None:
    bench = Bench()
    bench.wire.receive(b"1")
    assert bench.session.is_open
    bench = Bench(FakeTransport("polling"))
    bench.wire.receive(b"1")
    assert bench.ended == ("transport close", "transport closed by the server")
    # It polls no more.
    assert bench.wire.ending == ["abort"]
    bench.no_timer_is_left()


def test_packets_of_another_transport_are_ignored() -> None:
    bench = Bench()
    other = FakeTransport()
    other.sink = bench.session
    other.receive(b"4x")
    other.receive_binary(b"x")
    other.receive(b"7")
    other.drain()
    other.lose()
    assert bench.session.is_open
    assert bench.above.heard == []


def test_who_watches_sees_each_packet_once() -> None:
    bench = Bench()
    bench.session.watched = True
    bench.wire.receive(b"2")
    bench.wire.receive(b"4a")
    bench.wire.receive(b"bAQ==")
    bench.wire.receive_binary(b"\x02")
    assert bench.owner.take() == [
        ("packet", b"2"),
        "ping",
        ("packet", b"4a"),
        ("packet", b"\x01"),
        ("packet", b"\x02"),
    ]


# Sending.


def test_what_is_sent_leaves_at_once_while_the_server_reads() -> None:
    bench = Bench()
    assert bench.session.writable
    assert not bench.session.congested
    assert bench.session.push(text("a")) is TAKEN
    assert bench.session.push(Message(None, [b"\x01"])) is TAKEN
    assert bench.wire.take() == [b"4a", b"bAQ=="]


def test_a_server_that_is_behind_has_it_kept_in_order() -> None:
    bench = Bench()
    bench.wire.writable = False
    sent = bench.session.push(text("a"))
    assert not sent.taken
    bench.session.push(text("b"))
    assert (bench.session.congested, bench.session.writable) == (True, False)
    assert bench.wire.take() == []
    assert bench.session.buffered_bytes > 0
    bench.wire.drain()
    assert bench.wire.take() == [b"4a", b"4b"]
    assert sent.taken
    assert bench.session.buffered_bytes == 0
    assert not bench.session.congested


def test_a_server_that_is_behind_again_keeps_the_rest() -> None:
    bench = Bench()
    bench.wire.writable = False
    for name in "abcd":
        bench.session.push(text(name))
    bench.wire.full_after = 2
    bench.wire.drain()
    assert bench.wire.take() == [b"4a", b"4b"]
    # What comes now does not overtake.
    bench.session.push(text("e"))
    bench.wire.drain()
    assert bench.wire.take() == [b"4c", b"4d", b"4e"]


def test_the_message_that_fills_the_transport_is_one_to_wait_for() -> None:
    bench = Bench()
    bench.wire.full_after = 1
    sent = bench.session.push(text())
    assert isinstance(sent, Sent)
    assert not sent.taken
    bench.wire.drain()
    assert sent.taken


def test_what_may_wait_has_a_limit() -> None:
    bench = Bench()
    bench.wire.writable = False
    with pytest.raises(LimitExceeded, match=r"ClientLimits\(outgoing_bytes=…\)") as told:
        for _ in range(100):
            bench.session.push(text("x" * 100))
    assert "bytes wait for a server that does not read" in str(told.value)
    kept = bench.session.buffered_bytes
    assert 0 < kept <= OUTGOING_BYTES
    assert bench.session.is_open
    bench.wire.drain()
    bench.session.push(text("room again"))


def test_what_waited_for_the_connection_is_kept_beyond_the_limit() -> None:
    bench = Bench()
    bench.session.push_kept(text("at once"))
    assert bench.wire.take() == [b"4at once"]
    bench.wire.writable = False
    for index in range(20):
        bench.session.push_kept(text(f"{index}".rjust(100)))
    bench.wire.drain()
    assert [one.decode()[1:].strip() for one in bench.wire.take()] == [str(n) for n in range(20)]
    bench.session.close()
    bench.session.push_kept(text("late"))
    assert bench.wire.take() == []


def test_volatile_messages_are_dropped_when_they_cannot_leave_at_once() -> None:
    bench = Bench()
    assert bench.session.push(text("now"), True) is TAKEN
    bench.wire.writable = False
    assert bench.session.push(text("never"), True) is TAKEN
    bench.wire.drain()
    assert bench.wire.take() == [b"4now"]
    assert bench.session.dropped == 1


def test_policies_of_messages_hold_here_too_and_lost_acknowledgements_are_told() -> None:
    bench = Bench()
    bench.wire.writable = False
    policy = policy_of("drop_oldest", "slow")
    assert isinstance(policy, SlowConsumer)
    messages = []
    for index in range(20):
        message = text("x" * 100)
        message.slow = policy.with_ack("/", index)
        bench.session.push(message)
        messages.append(message)
    assert bench.above.lost == messages[: len(bench.above.lost)]
    assert bench.session.dropped == len(bench.above.lost) > 0


def test_after_the_end_nothing_is_sent() -> None:
    bench = Bench()
    bench.session.cut("forced close", "")
    bench.wire.take()
    assert bench.session.push(text()) is TAKEN
    assert bench.wire.take() == []
    assert not bench.session.congested
    assert bench.session.drain().done()


def test_whoever_waits_for_the_server_is_told_when_it_has_read_or_is_gone() -> None:
    bench = Bench()
    assert bench.session.drain().done()
    bench.wire.writable = False
    bench.session.push(text())
    first, second = bench.session.drain(), bench.session.drain()
    second.cancel()
    assert not first.done()
    bench.wire.drain()
    assert first.done()
    bench.wire.writable = False
    bench.session.push(text())
    third = bench.session.drain()
    bench.wire.lose()
    assert third.done()


def test_drain_is_told_to_who_watches() -> None:
    bench = Bench()
    bench.session.watched = True
    bench.wire.writable = False
    bench.session.push(text())
    bench.wire.drain()
    assert bench.owner.take() == ["drain"]


# The heartbeat.


def test_pings_are_answered_at_once_and_told() -> None:
    bench = Bench()
    bench.wire.receive(b"2")
    assert bench.wire.take() == [b"3"]
    assert bench.owner.take() == ["ping"]


def test_a_pong_waits_its_turn_behind_what_is_buffered() -> None:
    bench = Bench()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.wire.receive(b"2")
    bench.session.push(text("b"))
    bench.wire.drain()
    assert bench.wire.take() == [b"4a", b"3", b"4b"]


def test_a_pong_is_kept_where_nothing_else_has_room() -> None:
    bench = Bench()
    bench.wire.writable = False
    with pytest.raises(LimitExceeded):
        for _ in range(100):
            bench.session.push(text("x" * 10))
    bench.wire.receive(b"2")
    bench.wire.drain()
    assert bench.wire.take()[-1] == b"3"


def test_silence_for_interval_and_timeout_ends_it() -> None:
    bench = Bench(silence=INTERVAL + TIMEOUT)
    bench.loop.advance(INTERVAL + TIMEOUT - TICKS)
    assert bench.ended is None
    bench.loop.advance(2 * TICKS)
    assert bench.ended == ("ping timeout", "")
    # Nobody there to say goodbye to, and nothing to wait for.
    assert bench.wire.ending == ["abort"]
    assert not bench.session.lingering
    bench.no_timer_is_left()


def test_only_pings_keep_it_alive() -> None:
    bench = Bench(silence=INTERVAL + TIMEOUT)
    for _ in range(5):
        bench.loop.advance(INTERVAL)
        bench.wire.receive(b"2")
    assert bench.ended is None
    # Messages, pongs and noops tell nothing of whether the server still expects ours.
    for _ in range(9):
        bench.loop.advance(5)
        for packet in (b"4x", b"3", b"6"):
            bench.wire.receive(packet)
        bench.session.push(text())
    bench.loop.advance(2 * TICKS)
    assert bench.ended == ("ping timeout", "")


def test_without_a_heartbeat_there_is_no_end() -> None:
    bench = Bench(silence=0.0)
    bench.loop.advance(1e6)
    assert bench.session.is_open
    assert bench.loop.scheduled == []
    bench.session.slept(1e6)
    assert bench.session.is_open
    assert not bench.session.expired


def test_a_machine_that_slept_longer_than_the_server_waits() -> None:
    bench = Bench(silence=INTERVAL + TIMEOUT)
    bench.loop.advance(40)
    bench.session.slept(10)
    assert bench.ended == ("ping timeout", "the machine slept")
    assert bench.wire.ending == ["abort"]
    bench.no_timer_is_left()


def test_a_machine_that_slept_a_little_has_less_time_left() -> None:
    bench = Bench(silence=INTERVAL + TIMEOUT)
    bench.loop.advance(20)
    bench.session.slept(10)
    assert bench.session.is_open
    bench.loop.advance(15 - TICKS)
    assert bench.session.is_open
    bench.loop.advance(2 * TICKS)
    assert bench.ended == ("ping timeout", "")
    bench.session.slept(100)


def test_a_ping_after_a_little_sleep_begins_anew() -> None:
    bench = Bench(silence=INTERVAL + TIMEOUT)
    bench.loop.advance(20)
    bench.session.slept(20)
    bench.wire.receive(b"2")
    bench.loop.advance(INTERVAL + TIMEOUT - TICKS)
    assert bench.session.is_open
    bench.loop.advance(2 * TICKS)
    assert bench.ended == ("ping timeout", "")


def test_it_has_expired_when_the_clock_that_goes_on_says_so() -> None:
    bench = Bench(silence=3600.0)
    assert not bench.session.expired
    bench = Bench(silence=1e-9)
    while not bench.session.expired:
        pass
    # Nothing has noticed: the wheel is for that.
    assert bench.session.is_open


# Reading.


def test_reading_can_pause() -> None:
    bench = Bench()
    bench.session.pause_reading()
    bench.session.pause_reading()
    assert not bench.wire.reading
    bench.session.resume_reading()
    assert bench.wire.reading
    bench.session.resume_reading()
    bench.wire.lose()
    # Without a transport there is nothing to pause.
    bench.session.pause_reading()
    bench.session.resume_reading()


# Moving to another transport.


def moving(transport: FakeTransport | None = None) -> tuple[Bench, FakeTransport]:
    bench = Bench(FakeTransport("polling"))
    other = FakeTransport() if transport is None else transport
    other.reading = False
    bench.session.hold_back()
    return bench, other


def test_while_it_moves_everything_waits_and_then_leaves_in_order() -> None:
    bench, other = moving()
    assert (bench.session.writable, bench.session.congested) == (False, True)
    first = bench.session.push(text("a"))
    bench.wire.receive(b"2")
    bench.wire.receive(b"4from the server")
    bench.session.push(text("b"))
    assert bench.session.push(text("volatile"), True) is TAKEN
    assert bench.wire.take() == []
    bench.wire.drain()
    assert bench.wire.take() == []
    bench.session.move_to(other, [text("unsent 1"), text("unsent 2")])
    bench.session.go_on()
    assert other.take() == [b"5", b"4unsent 1", b"4unsent 2", b"4a", b"3", b"4b"]
    assert bench.session.transport is other
    assert other.reading
    assert first.taken
    assert bench.above.heard == [b"4from the server"]
    assert bench.wire.sink is None
    other.receive(b"4more")
    bench.session.push(text("c"))
    assert bench.above.heard[1:] == [b"4more"]
    assert other.take() == [b"4c"]


def test_what_the_new_transport_does_not_take_waits_on() -> None:
    bench, other = moving()
    bench.session.push(text("a"))
    bench.session.push(text("b"))
    other.full_after = 2
    bench.session.move_to(other, [])
    bench.session.go_on()
    assert other.take() == [b"5", b"4a"]
    other.drain()
    assert other.take() == [b"4b"]


def test_a_move_that_fails_lets_everything_leave_as_before() -> None:
    bench, other = moving()
    bench.session.push(text("a"))
    bench.session.stay()
    assert bench.wire.take() == [b"4a"]
    assert bench.session.writable
    assert other.take() == []


def test_reading_that_is_paused_stays_so_on_the_new_transport() -> None:
    bench, other = moving()
    bench.session.pause_reading()
    bench.session.move_to(other, [])
    bench.session.go_on()
    assert not other.reading
    bench.session.resume_reading()
    assert other.reading


def test_closing_while_it_moves_waits_for_the_move() -> None:
    bench, other = moving()
    bench.session.push(text("a"))
    bench.session.close()
    assert bench.session.ready_state == "closing"
    assert bench.wire.ending == []
    bench.session.move_to(other, [])
    bench.session.go_on()
    assert other.take() == [b"5", b"4a"]
    assert other.ending == ["close"]
    assert bench.ended == ("forced close", "")

    bench, other = moving()
    bench.session.push(text("a"))
    bench.session.close()
    bench.session.stay()
    assert bench.wire.take() == [b"4a"]
    assert bench.wire.ending == ["close"]


def test_the_heartbeat_goes_on_over_a_move() -> None:
    bench, other = moving()
    bench.loop.advance(30)
    bench.session.move_to(other, [])
    bench.session.go_on()
    bench.loop.advance(15 - TICKS)
    assert bench.session.is_open
    bench.loop.advance(2 * TICKS)
    assert bench.ended == ("ping timeout", "")
    assert other.ending == ["abort"]


def test_the_end_of_the_old_transport_after_the_move_does_not_matter() -> None:
    bench, other = moving()
    bench.session.move_to(other, [])
    bench.session.go_on()
    bench.session.ended(bench.wire, "transport close", "")
    bench.session.text(bench.wire, b"4late")
    assert bench.session.is_open
    assert bench.above.heard == []


# Ending.


@pytest.mark.parametrize("reason", ["transport close", "transport error"])
def test_a_lost_transport_ends_it_with_its_words(reason: str) -> None:
    bench = Bench()
    bench.wire.lose(reason, "details")
    assert bench.ended == (reason, "details")
    assert bench.session.ready_state == "closed"
    assert bench.session.transport is None
    assert bench.owner.take() == [(reason, "details")]
    bench.no_timer_is_left()


def test_closing_says_goodbye_and_tells_when_that_is_done() -> None:
    bench = Bench()
    bench.session.close()
    assert bench.ended == ("forced close", "")
    assert bench.wire.ending == ["close"]
    assert bench.session.lingering
    assert bench.owner.take() == [("forced close", "")]
    # What comes meanwhile is nobody's.
    bench.wire.receive(b"4late")
    bench.wire.receive(b"2")
    bench.wire.receive(b"7")
    assert bench.above.heard == []
    bench.wire.lose("transport error", "whatever")
    assert bench.owner.take() == ["gone"]
    assert not bench.session.lingering
    bench.no_timer_is_left()


def test_closing_sends_what_is_buffered_first() -> None:
    bench = Bench()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.session.close()
    bench.session.close()
    assert bench.session.ready_state == "closing"
    # Nothing more is taken, and nothing more is told.
    assert bench.session.push(text("late")) is TAKEN
    bench.wire.receive(b"4late")
    assert (bench.wire.ending, bench.ended, bench.above.heard) == ([], None, [])
    bench.wire.drain()
    assert bench.wire.take() == [b"4a"]
    assert bench.wire.ending == ["close"]
    assert bench.ended == ("forced close", "")


def test_while_it_closes_a_lost_or_silent_server_is_no_other_reason() -> None:
    bench = Bench()
    bench.wire.writable = False
    bench.session.push(text())
    bench.session.close()
    bench.wire.lose()
    assert bench.ended == ("forced close", "")

    bench = Bench(silence=45)
    bench.wire.writable = False
    bench.session.push(text())
    bench.session.close()
    bench.loop.advance(50)
    assert bench.ended == ("forced close", "")
    assert bench.wire.ending == ["abort"]


def test_cutting_does_not_wait_for_the_buffer_but_says_goodbye() -> None:
    bench = Bench()
    bench.wire.writable = False
    bench.session.push(text())
    bench.session.cut("parse error", "what it was")
    bench.session.cut("parse error", "again")
    assert bench.ended == ("parse error", "what it was")
    assert bench.wire.ending == ["close"]
    assert bench.session.lingering
    bench.wire.lose()
    assert bench.owner.take()[-1] == "gone"


def test_a_server_that_has_given_it_up_is_not_said_goodbye_to() -> None:
    bench = Bench()
    bench.session.cut("ping timeout", "")
    assert bench.ended == ("ping timeout", "")
    assert bench.wire.ending == ["abort"]
    assert not bench.session.lingering


def test_a_listener_that_ends_it_again_does_no_harm() -> None:
    bench = Bench()

    class Again(Recorder):
        def closed(self, reason: str, description: str) -> None:
            super().closed(reason, description)
            bench.session.close()
            bench.session.cut("forced close", "")
            bench.session.push(text())

    bench.session.listener = again = Again()
    bench.wire.lose()
    assert again.ends == [("transport close", "")]


def test_hosts_are_nothing_to_a_client() -> None:
    bench = Bench()
    bench.session.host_stopping()
    assert bench.session.is_open


def test_states_have_names() -> None:
    assert sessions.STATE_NAMES == ("opening", "open", "closing", "closed")
    assert Bench().session.loop is not None
