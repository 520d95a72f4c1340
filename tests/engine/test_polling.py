from __future__ import annotations

import gzip
import tracemalloc

import pytest

from nuncio.engine.compression import HttpCompression
from nuncio.engine.polling import CLOSE_SECONDS, WRITE_THROUGH, PollingTransport
from nuncio.protocol.engineio import Message
from tests.support.fakes import Bench, FakeExchange, Recorder, a_request

MAX_SIZE = 1000
MAX_PACKETS = 20
TICKS = 0.1


class Polling(Bench):
    """A session over long-polling; the open packet is fetched already."""

    def __init__(self, *, compression: object = None, decorate: object = None) -> None:
        super().__init__()
        self.polling = PollingTransport(
            self.flusher, self.wheel, MAX_SIZE, MAX_PACKETS, compression, decorate
        )
        self.first = FakeExchange()
        self.polling.open(self.first)
        self.begin(self.polling)
        self.polling.flush()

    def poll(self, *headers: tuple[bytes, bytes]) -> FakeExchange:
        """A poll arrives."""
        exchange = FakeExchange(a_request(headers=list(headers)))
        self.polling.get(exchange)
        return exchange

    def begin_post(self, content_type: str | None = "text/plain;charset=UTF-8") -> FakeExchange:
        """The head of a request with packets arrives."""
        headers = [] if content_type is None else [(b"content-type", content_type.encode())]
        exchange = FakeExchange(a_request(method="POST", headers=headers))
        self.polling.post(exchange)
        return exchange

    def post(self, *chunks: bytes) -> FakeExchange:
        """A request with packets arrives."""
        exchange = self.begin_post()
        exchange.deliver(*chunks)
        return exchange

    @property
    def reasons(self) -> list[str]:
        """Why the session ended, if it did."""
        return [reason for reason, _ in self.above.ends]


def text(data: str) -> Message:
    return Message(b"4" + data.encode())


def header(exchange: FakeExchange, name: str) -> str | None:
    return {key.lower(): value for key, value in exchange.sent}.get(name)


# Polls.


def test_the_first_request_is_answered_with_the_open_packet() -> None:
    bench = Polling()
    assert bench.first.answer == (200, b"0{}")


def test_a_poll_waits_for_the_next_message() -> None:
    bench = Polling()
    poll = bench.poll()
    assert poll.answer is None
    bench.session.push(text("a"))
    bench.loop.turn()
    assert poll.answer == (200, b"4a")


def test_much_data_answers_a_poll_before_the_turn_ends() -> None:
    bench = Polling()
    poll = bench.poll()
    bench.session.push(text("x" * WRITE_THROUGH))
    assert poll.status == 200
    # What comes now waits where it is counted.
    bench.session.push(text("a"))
    assert bench.session.buffered_bytes > 0
    assert bench.poll().answer == (200, b"4a")


def test_a_poll_takes_what_waits_at_once() -> None:
    bench = Polling()
    for data in ("a", "é"):
        bench.session.push(text(data))
    bench.session.push(Message(b"451-", [b"\x01\x02"]))
    assert bench.poll().answer == (200, "4a\x1e4é\x1e451-\x1ebAQI=".encode())
    assert bench.poll().answer is None


def test_everything_of_one_turn_answers_one_poll() -> None:
    bench = Polling()
    poll = bench.poll()
    for data in ("a", "b", "c"):
        bench.session.push(text(data))
    assert poll.answer is None
    bench.loop.turn()
    assert poll.answer == (200, b"4a\x1e4b\x1e4c")


def test_responses_say_what_they_are_and_are_not_kept() -> None:
    bench = Polling()
    for exchange in (bench.first, bench.poll()):
        bench.session.push(text("a"))
        bench.loop.turn()
        assert header(exchange, "content-type") == "text/plain; charset=UTF-8"
        assert header(exchange, "cache-control") == "no-store"
    post = bench.post(b"4a")
    assert header(post, "content-type") == "text/html"
    assert header(post, "cache-control") == "no-store"


def test_a_second_poll_ends_the_session() -> None:
    bench = Polling()
    first = bench.poll()
    second = bench.poll()
    assert first.answer == (200, b"1")
    assert second.answer == (400, b"")
    assert bench.above.ends == [("transport error", "overlap from client")]


def test_a_poll_whose_client_goes_away_ends_the_session() -> None:
    bench = Polling()
    bench.poll().lose()
    assert bench.above.ends == [("transport error", "poll connection closed prematurely")]
    bench.no_timer_is_left()


def test_a_poll_that_was_answered_may_be_lost() -> None:
    bench = Polling()
    poll = bench.poll()
    bench.session.push(text("a"))
    bench.loop.turn()
    bench.polling.aborted(poll)
    assert bench.above.ends == []


def test_the_ping_answers_a_poll_and_silence_is_told_to_the_next() -> None:
    bench = Polling()
    poll = bench.poll()
    bench.loop.advance(25 + TICKS)
    assert poll.answer == (200, b"2")
    poll = bench.poll()
    bench.loop.advance(20 + TICKS)
    assert poll.answer == (200, b"1")
    assert bench.reasons == ["ping timeout"]


def test_volatile_messages_need_a_poll_that_waits() -> None:
    bench = Polling()
    bench.session.push(text("lost"), volatile=True)
    poll = bench.poll()
    assert poll.answer is None
    bench.session.push(text("now"), volatile=True)
    bench.loop.turn()
    assert poll.answer == (200, b"4now")


# Payloads.


def test_a_payload_is_handled_before_it_is_answered() -> None:
    bench = Polling()
    assert bench.post(b"4a\x1ebAQI=\x1e4").answer == (200, b"ok")
    assert bench.above.heard == [b"4a", b"\x01\x02", b"4"]


def test_a_payload_may_come_in_pieces_of_any_size() -> None:
    body = "4hé\x1ebAQI=\x1e4€".encode()
    bench = Polling()
    assert bench.post(*[body[index : index + 1] for index in range(len(body))]).answer == (
        200,
        b"ok",
    )
    assert bench.above.heard == ["4hé".encode(), b"\x01\x02", "4€".encode()]


def test_what_is_not_utf8_is_replaced() -> None:
    bench = Polling()
    bench.post(b"4a\xff\x1e4\xed\xa0\x80")
    assert bench.above.heard == ["4a\ufffd".encode(), "4\ufffd\ufffd\ufffd".encode()]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/json", "image/png"])
def test_any_kind_of_text_will_do(content_type: str | None) -> None:
    bench = Polling()
    exchange = bench.begin_post(content_type)
    exchange.deliver(b"4a")
    assert exchange.answer == (200, b"ok")
    assert bench.above.heard == [b"4a"]


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "Application/Octet-Stream; charset=x"]
)
def test_bytes_end_the_session_and_are_not_read(content_type: str) -> None:
    bench = Polling()
    poll = bench.poll()
    exchange = bench.begin_post(content_type)
    assert exchange.answer == (400, b"")
    assert header(exchange, "connection") == "close"
    assert poll.answer == (200, b"1")
    assert bench.above.ends == [("transport error", "invalid content")]


@pytest.mark.parametrize(
    ("body", "before"),
    [
        (b"", []),
        (b"\x1e4a", []),
        (b"4a\x1e", [b"4a"]),
        (b"4a\x1e7\x1e4b", [b"4a"]),
        (b"abc", []),
        (b"4a\x1ebA\x1e4b", [b"4a"]),
        (b"\x1e" * 10, []),
    ],
)
def test_garbage_ends_the_session_after_what_came_before_it(
    body: bytes, before: list[bytes]
) -> None:
    bench = Polling()
    poll = bench.poll()
    assert bench.post(body).answer == (200, b"ok")
    assert bench.above.heard == before
    assert bench.reasons == ["parse error"]
    assert poll.answer == (200, b"1")


def test_too_many_packets_are_refused_as_a_whole() -> None:
    bench = Polling()
    assert bench.post(b"\x1e".join([b"4"] * MAX_PACKETS)).answer == (200, b"ok")
    assert len(bench.above.heard) == MAX_PACKETS
    assert bench.post(b"\x1e".join([b"4"] * (MAX_PACKETS + 1))).answer == (200, b"ok")
    assert len(bench.above.heard) == MAX_PACKETS
    assert bench.reasons == ["parse error"]


def test_a_close_packet_ends_the_session_and_lets_the_poll_go() -> None:
    bench = Polling()
    poll = bench.poll()
    assert bench.post(b"4a\x1e1\x1e4b").answer == (200, b"ok")
    assert poll.answer == (200, b"6")
    assert bench.above.heard == [b"4a"]
    assert bench.above.ends == [("transport close", "")]


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    bench = Polling()
    body = b"4" + b"a" * (MAX_SIZE - 1)
    assert bench.post(body[:400], body[400:]).answer == (200, b"ok")
    assert bench.above.heard == [body]


@pytest.mark.parametrize("chunk", [1, 7, 400, MAX_SIZE + 1])
def test_a_larger_body_is_refused_and_the_session_lives_on(chunk: int) -> None:
    bench = Polling()
    body = b"4" + b"a" * MAX_SIZE
    chunks = [body[index : index + chunk] for index in range(0, len(body), chunk)]
    exchange = bench.post(*chunks)
    assert exchange.answer == (413, b"")
    assert header(exchange, "connection") == "close"
    assert bench.above.heard == []
    assert bench.session.is_open
    assert bench.post(b"4a").answer == (200, b"ok")
    assert bench.above.heard == [b"4a"]
    assert bench.poll().answer is None


def test_the_limit_counts_bytes_not_characters() -> None:
    bench = Polling()
    assert bench.post(("4" + "é" * (MAX_SIZE // 2)).encode()).answer == (413, b"")


def test_a_refused_body_is_not_kept() -> None:
    bench = Polling()
    exchange = bench.begin_post()
    tracemalloc.start()
    try:
        exchange.deliver(b"4" + b"a" * 999)
        for _ in range(100):
            exchange = bench.begin_post()
            exchange.deliver(b"4" * 600, b"4" * 600)
            assert exchange.status == 413
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 50_000


def test_a_second_payload_at_once_ends_the_session() -> None:
    bench = Polling()
    first = bench.begin_post()
    assert first.receiver is not None
    first.receiver.body_chunk(first, b"4")
    second = bench.begin_post()
    assert first.answer == (400, b"")
    assert second.answer == (400, b"")
    assert bench.above.ends == [("transport error", "data request overlap from client")]
    assert bench.above.heard == []


def test_a_payload_whose_client_goes_away_ends_the_session() -> None:
    bench = Polling()
    exchange = bench.begin_post()
    assert exchange.receiver is not None
    exchange.receiver.body_chunk(exchange, b"4a")
    exchange.lose()
    assert bench.above.ends == [("transport error", "data request connection closed prematurely")]
    assert bench.above.heard == []


def test_a_payload_under_way_when_the_session_ends_is_answered() -> None:
    bench = Polling()
    exchange = bench.begin_post()
    bench.poll().lose()
    assert exchange.answer == (400, b"")


def test_a_body_waits_while_reading_is_paused() -> None:
    bench = Polling()
    bench.session.pause_reading()
    exchange = bench.begin_post()
    told: list[None] = []
    receiver = exchange.receiver
    assert receiver is not None
    assert not receiver.when_ready(lambda: told.append(None))
    assert told == []
    bench.session.resume_reading()
    bench.loop.turn()
    assert told == [None]
    assert receiver.when_ready(lambda: told.append(None))
    exchange.deliver(b"4a")
    assert bench.above.heard == [b"4a"]


class Pausing(Recorder):
    """Pauses reading at every message."""

    def __init__(self, bench: Polling) -> None:
        super().__init__()
        self.bench = bench

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        super().text(data)
        self.bench.session.pause_reading()


def test_packets_wait_in_order_while_reading_is_paused() -> None:
    bench = Polling()
    above = bench.session.listener = Pausing(bench)
    assert bench.post(b"4a\x1e4b\x1e4c").answer == (200, b"ok")
    assert above.heard == [b"4a"]
    # The next payload comes between the end of the pause and the turn in which the rest is handled.
    bench.session.resume_reading()
    exchange = bench.begin_post()
    receiver = exchange.receiver
    assert receiver is not None
    ready: list[None] = []
    assert not receiver.when_ready(lambda: ready.append(None))
    for expected in ([b"4a", b"4b"], [b"4a", b"4b", b"4c"]):
        bench.loop.turn()
        assert above.heard == expected
        assert ready == []
        bench.session.resume_reading()
    bench.loop.turn()
    assert ready == [None]
    exchange.deliver(b"4d")
    assert above.heard == [b"4a", b"4b", b"4c", b"4d"]
    assert exchange.answer == (200, b"ok")


def test_a_body_that_comes_all_the_same_does_not_overtake() -> None:
    bench = Polling()
    above = bench.session.listener = Pausing(bench)
    bench.post(b"4a\x1e4b")
    bench.post(b"4c")
    assert above.heard == [b"4a"]
    for _ in range(3):
        bench.session.resume_reading()
        bench.loop.turn()
    assert above.heard == [b"4a", b"4b", b"4c"]


def test_packets_that_wait_are_dropped_when_the_session_ends() -> None:
    bench = Polling()
    above = bench.session.listener = Pausing(bench)
    bench.post(b"4a\x1e4b")
    bench.session.close(discard=True)
    bench.loop.turn()
    assert above.heard == [b"4a"]


def test_a_body_that_waits_is_let_go_when_the_session_ends() -> None:
    bench = Polling()
    bench.session.pause_reading()
    exchange = bench.begin_post()
    told: list[None] = []
    assert exchange.receiver is not None
    exchange.receiver.when_ready(lambda: told.append(None))
    bench.session.close(discard=True)
    assert exchange.answer == (400, b"")
    bench.loop.turn()
    assert told == [None]


# Closing.


def test_a_waiting_poll_brings_the_goodbye_at_once() -> None:
    bench = Polling()
    poll = bench.poll()
    bench.session.close()
    assert poll.answer == (200, b"1")
    assert bench.reasons == ["forced close"]


def test_without_a_poll_the_goodbye_waits_for_the_next() -> None:
    bench = Polling()
    bench.session.close()
    assert bench.session.ready_state == "closing"
    assert bench.reasons == []
    assert bench.poll().answer == (200, b"6\x1e1")
    assert bench.reasons == ["forced close"]
    bench.no_timer_is_left()


def test_what_waits_is_fetched_before_the_goodbye() -> None:
    bench = Polling()
    bench.session.push(text("a"))
    bench.session.push(text("b"))
    bench.session.close()
    assert bench.poll().answer == (200, b"4a\x1e4b")
    assert bench.reasons == []
    assert bench.poll().answer == (200, b"6\x1e1")
    assert bench.reasons == ["forced close"]


def test_a_goodbye_that_is_not_fetched_is_given_up() -> None:
    bench = Polling()
    bench.session.close()
    bench.loop.advance(CLOSE_SECONDS - TICKS)
    assert bench.reasons == []
    bench.loop.advance(2 * TICKS)
    assert bench.reasons == ["forced close"]
    bench.no_timer_is_left()


@pytest.mark.parametrize("body", [b"3", b"4a", b"2", b"junk", b"\x1e"])
def test_what_comes_while_the_goodbye_waits_means_nothing(body: bytes) -> None:
    bench = Polling()
    bench.session.close()
    assert bench.post(body).answer == (200, b"ok")
    assert bench.above.heard == []
    assert bench.session.ready_state == "closing"
    assert bench.poll().answer == (200, b"6\x1e1")
    assert bench.reasons == ["forced close"]
    bench.no_timer_is_left()


def test_a_close_packet_while_the_goodbye_waits_ends_it() -> None:
    bench = Polling()
    bench.session.close()
    assert bench.post(b"1").answer == (200, b"ok")
    assert bench.reasons == ["forced close"]
    bench.no_timer_is_left()


def test_a_closed_session_is_discarded_at_once() -> None:
    bench = Polling()
    bench.session.close()
    bench.session.close(discard=True)
    assert bench.reasons == ["forced close"]
    bench.no_timer_is_left()


def test_a_peer_that_never_polls_is_dropped_when_its_buffer_is_full() -> None:
    bench = Polling()
    while bench.session.is_open:
        bench.session.push(text("a" * 1000))
    assert bench.reasons == ["slow consumer"]


# Compression and headers.


def compressing(threshold: int = 1024) -> Polling:
    return Polling(compression=HttpCompression.parse({"threshold": threshold}))


GZIP = (b"accept-encoding", b"gzip, deflate")


@pytest.mark.parametrize(("size", "compressed"), [(1023, False), (1024, True), (5000, True)])
def test_long_answers_are_compressed(size: int, compressed: bool) -> None:
    bench = compressing()
    poll = bench.poll(GZIP)
    data = b"4" + b"a" * (size - 1)
    bench.session.push(Message(data))
    bench.loop.turn()
    assert header(poll, "content-encoding") == ("gzip" if compressed else None)
    assert (gzip.decompress(poll.body) if compressed else poll.body) == data


def test_what_must_not_be_compressed_is_not() -> None:
    bench = compressing()
    poll = bench.poll(GZIP)
    bench.session.push(Message(b"4" + b"a" * 5000, None, False))
    bench.loop.turn()
    assert header(poll, "content-encoding") is None


def test_one_packet_that_may_be_compressed_is_enough() -> None:
    bench = compressing()
    bench.session.push(Message(b"4" + b"a" * 5000, None, False))
    bench.session.push(Message(b"4b"))
    poll = bench.poll(GZIP)
    assert header(poll, "content-encoding") == "gzip"
    assert gzip.decompress(poll.body) == b"4" + b"a" * 5000 + b"\x1e4b"


def test_the_transports_own_packets_are_never_compressed() -> None:
    bench = compressing(threshold=1)
    poll = bench.poll(GZIP)
    bench.loop.advance(25 + TICKS)
    assert poll.answer == (200, b"2")
    poll = bench.poll(GZIP)
    bench.session.close()
    assert poll.answer == (200, b"1")


def test_who_did_not_ask_gets_plain_bytes() -> None:
    bench = compressing()
    poll = bench.poll()
    bench.session.push(Message(b"4" + b"a" * 5000))
    bench.loop.turn()
    assert header(poll, "content-encoding") is None


def test_the_engine_may_decorate_every_good_answer() -> None:
    seen: list[FakeExchange] = []

    def decorate(exchange: FakeExchange) -> None:
        seen.append(exchange)
        exchange.set_header("X-Seen", str(len(seen)))

    bench = Polling(decorate=decorate)
    poll = bench.poll()
    bench.session.push(text("a"))
    bench.loop.turn()
    post = bench.post(b"4a")
    assert [header(one, "x-seen") for one in (bench.first, poll, post)] == ["1", "2", "3"]
    overlapping = bench.begin_post("application/octet-stream")
    assert header(overlapping, "x-seen") is None
