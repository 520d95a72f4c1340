from __future__ import annotations

import pytest

from nuncio.engine.polling import PollingTransport
from nuncio.protocol.engineio import Message
from tests.support.fakes import (
    PING_INTERVAL,
    PING_TIMEOUT,
    UPGRADE_TIMEOUT,
    Bench,
    FakeExchange,
    FakeTransport,
    Recorder,
    Wire,
    a_request,
)

TICKS = 0.1


def text(data: str) -> Message:
    return Message(b"4" + data.encode())


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


def test_awaiting_what_was_sent_goes_on_across_the_move() -> None:
    bench = Upgrade()
    bench.session.push(text("a"))
    bench.wire.receive(b"2probe")
    sent = bench.session.push(text("b"))
    waiting = bench.session.drain()
    assert not sent.taken and not waiting.done()
    bench.wire.receive(b"5")
    assert sent.taken and waiting.done()
    assert bench.wire.take() == [b"3probe", b"4a", b"4b"]


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


class Slow(Recorder):
    """A layer above that pauses reading with each message."""

    def __init__(self, bench: Upgrade) -> None:
        super().__init__()
        self.bench = bench

    def text(self, data: bytes) -> None:
        super().text(data)
        self.bench.session.pause_reading()

    binary = text


def test_what_still_waits_of_a_payload_when_the_client_moves_is_handled_first() -> None:
    # Its request was answered, so the client may move, and believes that it was received.
    bench = Upgrade()
    above = Slow(bench)
    bench.session.listener = above
    assert bench.post(b"4a\x1ebYg==\x1e4c").answer == (200, b"ok")
    assert above.heard == [b"4a"]
    bench.wire.receive(b"5")
    assert not bench.wire.reading
    for expected in (b"4a", b"b", b"4c"):
        assert above.heard[-1] == expected
        assert not bench.wire.reading
        bench.session.resume_reading()
        bench.loop.turn()
    assert bench.wire.reading
    bench.wire.receive(b"4d")
    assert above.heard == [b"4a", b"b", b"4c", b"4d"]


def test_reading_may_be_resumed_just_before_the_client_moves() -> None:
    bench = Upgrade()
    above = Slow(bench)
    bench.session.listener = above
    bench.post(b"4a\x1e4b")
    bench.session.resume_reading()
    bench.wire.receive(b"5")
    assert not bench.wire.reading
    bench.loop.turn()
    assert above.heard == [b"4a", b"4b"]
    bench.session.resume_reading()
    bench.loop.turn()
    assert bench.wire.reading


def test_what_waits_of_a_payload_is_dropped_with_the_session() -> None:
    bench = Upgrade()
    above = Slow(bench)
    bench.session.listener = above
    bench.post(b"4a\x1e4b")
    bench.wire.receive(b"5")
    bench.wire.lose()
    bench.session.resume_reading()
    bench.loop.turn()
    assert above.heard == [b"4a"]
    assert [reason for reason, _ in above.ends] == ["transport close"]
    bench.no_timer_is_left()


# Away from a WebSocket, where something may always be under way.


class Leaving(Wire):
    """A session over a WebSocket whose client opens another frame transport."""

    def __init__(self, **overrides: float) -> None:
        super().__init__(**overrides)
        self.other = FakeTransport("webrtc")
        self.session.probe(self.other)

    def ask(self) -> None:
        """The client asks whether the other one works, and is answered on both."""
        self.other.receive(b"2probe")
        assert self.other.take() == [b"3probe"]
        assert self.wire.take() == [b"6"]


def test_nothing_follows_the_last_packet_over_a_websocket_that_is_left() -> None:
    bench = Leaving()
    bench.session.push(text("a"))
    assert bench.wire.take() == [b"4a"]
    bench.ask()
    sent = bench.session.push(text("b"))
    bench.session.push(text("c"))
    assert bench.wire.take() == []
    assert not sent.taken and bench.session.congested
    bench.wire.receive(b"6")
    bench.other.receive(b"5")
    assert bench.other.take() == [b"4b", b"4c"]
    assert sent.taken
    assert bench.wire.ending == ["discard"]


def test_what_is_under_way_over_the_websocket_goes_before_all_else() -> None:
    bench = Leaving()
    bench.ask()
    bench.other.receive(b"5")
    assert not bench.other.reading
    bench.wire.receive(b"4a")
    bench.wire.receive_binary(b"b")
    assert bench.wire.ending == []
    bench.wire.receive(b"6")
    assert bench.other.reading
    assert bench.wire.ending == ["discard"]
    bench.other.receive(b"4c")
    assert bench.above.heard == [b"4a", b"b", b"4c"]


def test_the_websocket_may_close_before_the_client_says_that_it_has_moved() -> None:
    bench = Leaving()
    bench.ask()
    bench.wire.receive(b"4a")
    bench.wire.receive(b"6")
    bench.wire.lose()
    assert bench.ended is None
    bench.other.receive(b"5")
    bench.session.push(text("b"))
    assert bench.other.take() == [b"4b"]
    assert bench.other.reading
    assert bench.ended is None


def test_a_websocket_that_is_closed_behind_its_last_packet_was_the_last() -> None:
    bench = Leaving()
    bench.ask()
    bench.wire.receive(b"6")
    bench.wire.lose()
    bench.other.lose()
    assert bench.ended == "transport close"
    bench.no_timer_is_left()


@pytest.mark.parametrize("moved", [False, True])
def test_a_websocket_that_is_cut_while_it_is_left_ends_the_session(moved: bool) -> None:
    bench = Leaving()
    bench.ask()
    if moved:
        bench.other.receive(b"5")
    bench.wire.lose()
    assert bench.ended == "transport close"
    assert bench.other.ending == ["discard"]
    bench.no_timer_is_left()


def test_after_an_attempt_that_came_to_nothing_the_websocket_goes_on() -> None:
    bench = Leaving()
    bench.ask()
    bench.session.push(text("a"))
    waiting = bench.session.drain()
    bench.other.lose()
    assert bench.wire.take() == [b"4a"]
    assert waiting.done() and not bench.session.congested
    bench.session.push(text("b"))
    assert bench.wire.take() == [b"4b"]
    # And another attempt may succeed.
    bench.other = FakeTransport("webrtc")
    bench.session.probe(bench.other)
    bench.ask()
    bench.wire.receive(b"6")
    bench.other.receive(b"5")
    assert bench.session.transport is bench.other


def test_a_websocket_that_is_behind_when_the_attempt_fails_is_not_written_to() -> None:
    bench = Leaving()
    bench.wire.writable = False
    bench.ask()
    bench.session.push(text("a"))
    bench.other.lose()
    assert bench.wire.take() == []
    bench.wire.drain()
    assert bench.wire.take() == [b"4a"]


def test_a_websocket_that_catches_up_while_it_is_left_is_not_written_to() -> None:
    bench = Leaving()
    bench.wire.writable = False
    bench.session.push(text("a"))
    bench.ask()
    bench.wire.drain()
    assert bench.wire.take() == []
    bench.wire.receive(b"6")
    bench.other.receive(b"5")
    assert bench.other.take() == [b"4a"]


def test_a_client_that_asks_again_and_again_gets_one_last_packet() -> None:
    bench = Leaving()
    bench.ask()
    for _ in range(3):
        bench.other.receive(b"2probe")
    assert bench.wire.take() == []


def test_a_client_that_never_moves_costs_what_a_slow_one_costs() -> None:
    bench = Leaving(outgoing_bytes=1000)
    bench.ask()
    for _ in range(20):
        bench.session.push(text("x" * 100))
    assert bench.ended == "slow consumer"
    bench = Leaving()
    bench.ask()
    bench.session.push(text("a"))
    bench.loop.advance(UPGRADE_TIMEOUT + TICKS)
    assert bench.wire.take() == [b"4a"]


def test_reading_that_is_paused_holds_what_is_left_first() -> None:
    bench = Leaving()
    bench.ask()
    bench.session.pause_reading()
    bench.other.receive(b"5")
    assert not bench.wire.reading and not bench.other.reading
    bench.session.resume_reading()
    assert bench.wire.reading and not bench.other.reading
    bench.wire.receive(b"6")
    assert bench.other.reading


def test_a_session_that_closes_while_it_moves_sends_its_rest_first() -> None:
    bench = Leaving()
    bench.ask()
    bench.session.push(text("a"))
    bench.session.close()
    assert bench.ended is None
    bench.wire.receive(b"6")
    bench.other.receive(b"5")
    assert bench.other.take() == [b"4a"]
    assert bench.other.ending[0] == "close"
    assert bench.ended == "forced close"
