from __future__ import annotations

import pytest

from nuncio.engine.session import MOST_OVERDUE
from nuncio.engine.session3 import Session3
from nuncio.protocol.engineio import Message
from tests.support.fakes import PING_INTERVAL, PING_TIMEOUT, Bench, FakeTransport, a_request

TICKS = 0.1
PATIENCE = PING_INTERVAL + PING_TIMEOUT


class Wire3(Bench):
    """A session of revision 3 on a frame transport; the open packet is read already."""

    def __init__(self, **overrides: float) -> None:
        super().__init__(None, **overrides)
        self.wire = FakeTransport()
        self.session = Session3(self.engine, self.config, "sid", self.wire, a_request())
        self.session.start([Message(b"0{}", control=True)])
        self.session.listener = self.above
        assert self.wire.take() == [b"0{}"]

    @property
    def ended(self) -> str | None:
        """Why the session ended."""
        return self.above.ends[0][0] if self.above.ends else None


def test_it_says_which_revision_it_is() -> None:
    assert Wire3().session.protocol == 3


def test_a_ping_is_answered_without_what_it_holds() -> None:
    bench = Wire3()
    beats: list[None] = []
    bench.session.on("heartbeat", lambda: beats.append(None))
    for ping in (b"2", b"2probe", b"2hello", b"b2", b"b2AQ=="):
        bench.wire.receive(ping)
        assert bench.wire.take() == [b"3"]
    assert len(beats) == 5


def test_silence_ends_the_session_after_interval_and_timeout() -> None:
    bench = Wire3()
    bench.loop.advance(PATIENCE - TICKS)
    assert bench.ended is None
    bench.loop.advance(TICKS)
    assert bench.ended == "ping timeout"
    assert bench.wire.take() == []
    bench.no_timer_is_left()


def test_pings_keep_it_alive_and_messages_do_not() -> None:
    bench = Wire3()
    for _ in range(5):
        bench.loop.advance(PATIENCE - TICKS)
        bench.wire.receive(b"2")
    bench.loop.advance(PATIENCE - TICKS)
    bench.wire.receive(b"4a")
    assert bench.ended is None
    bench.loop.advance(2 * TICKS)
    assert bench.ended == "ping timeout"


@pytest.mark.parametrize("pong", [b"3", b"3probe", b"b3"])
def test_a_pong_from_the_client_ends_the_session(pong: bytes) -> None:
    bench = Wire3()
    bench.wire.receive(pong)
    assert bench.above.ends == [("transport error", "invalid heartbeat direction")]


def test_messages_may_come_as_base64() -> None:
    bench = Wire3()
    bench.wire.receive(b"b4AQID")
    bench.wire.receive(b"b4")
    assert bench.above.heard == [b"\x01\x02\x03", b""]


@pytest.mark.parametrize("packet", [b"", b"7", b"b", b"b7", b"bAQID", b"b4A"])
def test_garbage_ends_the_session(packet: bytes) -> None:
    bench = Wire3()
    bench.wire.receive(packet)
    assert bench.above.ends == [("parse error", "")]


def test_a_client_that_pings_and_does_not_read_is_dropped() -> None:
    bench = Wire3(outgoing_bytes=1000)
    bench.wire.writable = False
    for _ in range(1000):
        bench.wire.receive(b"2")
    assert bench.ended == "slow consumer"
    bench.no_timer_is_left()


def test_who_is_not_read_from_is_not_blamed_for_silence_but_not_kept_for_ever() -> None:
    bench = Wire3()
    bench.session.pause_reading()
    bench.loop.advance(PATIENCE + (MOST_OVERDUE - 1) * PING_TIMEOUT)
    assert bench.ended is None
    bench.session.resume_reading()
    bench.wire.receive(b"2")
    bench.session.pause_reading()
    bench.loop.advance(PATIENCE + (MOST_OVERDUE + 1) * PING_TIMEOUT)
    assert bench.ended == "ping timeout"


def test_text_over_polling_may_hold_a_separator() -> None:
    bench = Bench()
    polling = FakeTransport("polling")
    session = Session3(bench.engine, bench.config, "sid", polling, a_request())
    session.start([])
    session.send("a\x1eb")
    assert polling.take() == [b"4a\x1eb"]
