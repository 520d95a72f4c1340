from __future__ import annotations

import pytest

from nuncio.engine.backlog import MESSAGE_OVERHEAD
from nuncio.engine.downstream import DownSettings, DownTransport, packets_of, without
from nuncio.engine.forever import ForeverFraming
from nuncio.engine.framing import SSE, STREAM, Framing
from nuncio.engine.polling import CLOSE_SECONDS, WRITE_THROUGH
from nuncio.protocol.bytestream import encode_packet
from nuncio.protocol.engineio import Message
from tests.support.down import NAMES, Body
from tests.support.fakes import Bench, FakeExchange, FakeTransport, a_request

MAX_SIZE = 1000
MAX_PACKETS = 20
UNCONFIRMED = 5000
RESPONSE_BYTES = 12_000
RESPONSE_SECONDS = 60.0
HEARTBEAT = 15.0
ABSENT = 20.0
TICKS = 0.1

every_way = pytest.mark.parametrize("name", NAMES)


def framing_of(name: str) -> Framing:
    return {"stream": STREAM, "sse": SSE}.get(name) or ForeverFraming(7, "nonce", HEARTBEAT)


class Down(Bench):
    """A session over a response that stays open; the open packet, number 1, is written already."""

    def __init__(self, name: str = "stream", decorate: object = None, **limits: float) -> None:
        outgoing = limits.pop("outgoing_bytes", 10_000)
        super().__init__(outgoing_bytes=outgoing)
        self.name = name
        self.settings = DownSettings(
            MAX_SIZE,
            MAX_PACKETS,
            int(limits.get("unconfirmed_bytes", UNCONFIRMED)),
            int(limits.get("response_bytes", RESPONSE_BYTES)),
            RESPONSE_SECONDS,
            HEARTBEAT,
            ABSENT,
        )
        self.down = DownTransport(name, self.flusher, self.wheel, self.settings, decorate)
        self.first = FakeExchange()
        self.down.open(self.first, framing_of(name), RESPONSE_SECONDS)
        self.begin(self.down)
        self.down.flush()
        self.start = len(self.first.body)

    def get(self, ack: int = 0) -> FakeExchange:
        """The client comes back."""
        exchange = FakeExchange()
        assert self.down.get(exchange, framing_of(self.name), ack, RESPONSE_SECONDS)
        return exchange

    def refused(self, ack: int) -> bool:
        """Whether the client cannot come back with this number."""
        exchange = FakeExchange()
        taken = self.down.get(exchange, framing_of(self.name), ack, RESPONSE_SECONDS)
        assert taken or exchange.answer is None
        return not taken

    def begin_post(
        self, ack: int = 0, seq: int = 0, content_type: bytes = b"text/plain;charset=UTF-8"
    ) -> FakeExchange:
        """The head of a request with packets arrives."""
        request = a_request(method="POST", headers=[(b"content-type", content_type)])
        exchange = FakeExchange(request)
        assert self.down.upload(exchange, ack, seq)
        return exchange

    def post(self, *chunks: bytes, ack: int = 0, seq: int = 0) -> FakeExchange:
        """A request with packets arrives."""
        exchange = self.begin_post(ack, seq)
        exchange.deliver(*chunks)
        return exchange

    def post_frames(self, *chunks: bytes) -> FakeExchange:
        """A request with frames arrives."""
        exchange = self.begin_post(content_type=b"application/octet-stream")
        exchange.deliver(*chunks)
        return exchange

    def push(self, *texts: str) -> None:
        """The application sends, and the turn ends."""
        for text in texts:
            self.session.push(Message(b"4" + text.encode()))
        self.loop.turn()

    def new(self, exchange: FakeExchange, count: int = 0) -> list[str | bytes]:
        """The packets of a response beyond those that the client has."""
        return Body(self.name, exchange.body, count).packets

    @property
    def reasons(self) -> list[str]:
        """Why the session ended, if it did."""
        return [reason for reason, _ in self.above.ends]


# One response.


@every_way
def test_a_session_begins_with_its_first_response(name: str) -> None:
    there = Down(name)
    assert there.first.status == 200
    headers = dict(there.first.sent)
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Encoding"] == "identity"
    assert there.new(there.first) == ["0{}"]
    assert there.first.ended == ""


@every_way
def test_what_is_sent_in_one_turn_leaves_together(name: str) -> None:
    there = Down(name)
    there.session.push(Message(b"4a"))
    there.session.push(Message(b"4b", [b"\x00\xff", b""]))
    assert there.new(there.first) == ["0{}"]
    there.loop.turn()
    assert there.new(there.first) == ["0{}", "4a", "4b", b"\x00\xff", b""]
    assert Body(name, there.first.body).count == 5


@every_way
def test_a_broadcast_is_encoded_once(name: str) -> None:
    one, other = Down(name), Down(name)
    message = Message(b"4" + b"x" * 500)
    for there in (one, other):
        there.session.push(message)
        there.loop.turn()
        assert there.new(there.first)[-1] == "4" + "x" * 500
    form = {"stream": 6, "forever": 7}.get(name)
    if form is not None:
        assert message.kept(form) is message.kept(form) is not None


@every_way
def test_much_does_not_wait_for_the_end_of_the_turn(name: str) -> None:
    there = Down(name, unconfirmed_bytes=10**6, response_bytes=10**6)
    there.session.push(Message(b"4" + b"x" * WRITE_THROUGH))
    assert there.new(there.first)[-1] == "4" + "x" * WRITE_THROUGH


@every_way
def test_listeners_of_headers_see_each_response(name: str) -> None:
    seen: list[FakeExchange] = []
    there = Down(name, decorate=seen.append)
    again = there.get()
    assert seen == [there.first, again]
    posted = there.post(b"4a")
    assert seen[-1] is posted


@every_way
def test_something_is_written_when_nothing_was_for_a_while(name: str) -> None:
    there = Down(name)
    size = len(there.first.body)
    # Before the first ping, which would be something.
    there.loop.advance(5)
    assert len(there.first.body) == size
    there.push("a")
    there.loop.advance(HEARTBEAT - 1)
    assert there.new(there.first)[-1] == "4a"
    size = len(there.first.body)
    there.loop.advance(1 + TICKS)
    assert len(there.first.body) > size
    # It is no packet, and has no number.
    assert Body(name, there.first.body).count == 2


# What is lost comes again.


@every_way
def test_who_comes_back_gets_what_it_does_not_have(name: str) -> None:
    there = Down(name)
    there.push("a", "b", "c")
    there.first.lose()
    assert there.new(there.get(ack=2), 2) == ["4b", "4c"]
    assert there.reasons == []


@every_way
def test_what_was_not_written_yet_is_not_written_twice(name: str) -> None:
    there = Down(name)
    there.session.push(Message(b"4a"))
    again = there.get(ack=1)
    there.loop.turn()
    there.push("b")
    assert there.new(again, 1) == ["4a", "4b"]


@every_way
def test_a_message_may_be_lost_between_its_packets(name: str) -> None:
    there = Down(name)
    there.session.push(Message(b"4a", [b"one", b"two", b"three"]))
    there.push("b")
    assert there.new(there.get(ack=3), 3) == [b"two", b"three", "4b"]
    assert there.new(there.get(ack=4), 4) == [b"three", "4b"]
    assert there.new(there.get(ack=6), 6) == []


@every_way
def test_between_two_responses_messages_wait(name: str) -> None:
    there = Down(name)
    there.first.lose()
    there.push("a", "b")
    assert not there.down.writable
    assert there.session.congested
    again = there.get(ack=1)
    assert there.new(again, 1) == ["4a", "4b"]
    assert not there.session.congested
    there.push("c")
    assert there.new(again, 1) == ["4a", "4b", "4c"]


@every_way
def test_volatile_messages_do_not_wait_for_the_next_response(name: str) -> None:
    there = Down(name)
    there.first.lose()
    there.session.push(Message(b"4a"), volatile=True)
    assert there.new(there.get(ack=1), 1) == []
    assert there.session.dropped == 1


@every_way
def test_a_second_response_takes_the_place_of_the_first(name: str) -> None:
    there = Down(name)
    again = there.get(ack=1)
    assert there.first.ended == "complete"
    # It does not say that it is complete, for the client may have lost some of it.
    assert not Body(name, there.first.body).ended
    there.push("a")
    assert there.new(again, 1) == ["4a"]
    assert there.reasons == []
    # What becomes of the first one does not matter any more.
    there.down.aborted(there.first)
    assert there.down.writable


@every_way
def test_an_acknowledgement_may_come_with_a_request_with_packets(name: str) -> None:
    there = Down(name)
    there.push("a", "b")
    there.post(b"4x", ack=2)
    assert there.refused(1)
    assert there.new(there.get(ack=2), 2) == ["4b"]


@pytest.mark.parametrize("ack", [3, 99, 10**15 - 1])
def test_what_was_never_sent_cannot_be_acknowledged(ack: int) -> None:
    there = Down()
    there.push("a")
    assert there.refused(ack)
    assert not there.down.upload(FakeExchange(a_request(method="POST")), ack, 0)
    # No harm was done.
    there.push("b")
    assert there.new(there.first) == ["0{}", "4a", "4b"]
    assert there.new(there.get(ack=1), 1) == ["4a", "4b"]


def test_who_acknowledged_more_cannot_come_back_for_less() -> None:
    there = Down()
    there.push("a")
    there.get(ack=2)
    assert there.refused(1)
    assert there.refused(0)
    assert not there.refused(2)


def test_an_older_acknowledgement_of_a_late_request_means_nothing() -> None:
    there = Down()
    there.push("a")
    there.get(ack=2)
    assert there.post(b"4x", ack=1).answer == (200, b"ok")
    assert there.above.heard == [b"4x"]


# Responses end, complete.


@every_way
def test_a_long_response_ends_and_the_next_goes_on(name: str) -> None:
    there = Down(name, unconfirmed_bytes=10**6)
    texts = [f"{number}" + "x" * 1000 for number in range(40)]
    got: list[str | bytes] = []
    exchange = there.first
    count = 0
    responses = 1
    for text in texts:
        there.push(text)
        if exchange.ended:
            body = Body(name, exchange.body, count)
            assert body.ended
            assert len(exchange.body) < 2 * RESPONSE_BYTES + there.start
            got += body.packets
            count = body.count
            exchange = there.get(ack=count)
            responses += 1
    got += there.new(exchange, count)
    assert got == ["0{}", *("4" + text for text in texts)]
    assert responses > 2


@every_way
def test_a_response_ends_when_it_has_been_open_for_long(name: str) -> None:
    there = Down(name)
    for _ in range(6):
        there.loop.advance(RESPONSE_SECONDS / 6 - 1)
        there.push("a")
        there.post(b"3")
    assert there.first.ended == ""
    there.loop.advance(7)
    assert there.first.ended == "complete"
    assert Body(name, there.first.body).ended
    assert there.reasons == []


@every_way
def test_a_client_may_ask_for_a_shorter_response(name: str) -> None:
    there = Down(name)
    exchange = FakeExchange()
    there.down.get(exchange, framing_of(name), 1, 5.0)
    there.loop.advance(5 + TICKS)
    assert exchange.ended == "complete"


@every_way
def test_a_response_ends_when_an_acknowledgement_is_wanted(name: str) -> None:
    there = Down(name, response_bytes=10**6)
    for number in range(5):
        there.push(f"{number}" + "x" * 1000)
    assert there.first.ended == "complete"
    body = Body(name, there.first.body)
    assert body.ended
    there.push("late")
    # Whoever does not acknowledge gets the same again, and nothing more.
    for _ in range(3):
        again = there.get(ack=0)
        assert Body(name, again.body).packets == body.packets
        assert again.ended == "complete"
    more = there.get(ack=body.count)
    assert there.new(more, body.count)[-1] == "4late"
    assert more.ended == ""


@every_way
def test_who_never_acknowledges_is_a_slow_consumer(name: str) -> None:
    there = Down(name)
    size = 1000 + MESSAGE_OVERHEAD
    for _ in range((UNCONFIRMED + 10_000) // size + 2):
        there.get(ack=0)
        there.push("x" * 999)
    assert there.reasons == ["slow consumer"]
    assert there.config.counters.slow_consumers == 1
    there.no_timer_is_left()


# A client that does not read.


@every_way
def test_messages_wait_for_a_client_that_is_behind(name: str) -> None:
    there = Down(name)
    there.first.slow = True
    there.push("a")
    assert there.session.congested
    there.push("b", "c")
    assert there.new(there.first) == ["0{}", "4a"]
    there.first.catch_up()
    there.loop.turn()
    assert there.new(there.first) == ["0{}", "4a", "4b", "4c"]
    assert not there.session.congested


@every_way
def test_a_client_that_stays_behind_is_cut_off(name: str) -> None:
    there = Down(name)
    there.first.slow = True
    for _ in range(20):
        there.push("x" * 999)
    assert there.reasons == ["slow consumer"]
    assert there.first.ended == "cut"
    there.no_timer_is_left()


def test_no_heartbeats_pile_up_for_who_does_not_read() -> None:
    there = Down()
    there.first.slow = True
    there.push("a")
    size = len(there.first.body)
    there.loop.advance(HEARTBEAT * 1.5)
    assert len(there.first.body) == size


def test_behind_and_then_lost() -> None:
    there = Down()
    there.first.slow = True
    there.push("a", "b")
    there.push("c")
    there.first.lose()
    assert there.new(there.get(ack=1), 1) == ["4a", "4b", "4c"]


# What the client sends.


def test_packets_of_a_request_are_handled_before_it_is_answered() -> None:
    there = Down()
    exchange = there.begin_post()
    exchange.deliver(b"4a\x1e4b", b"\x1ebAAH/")
    assert there.above.heard == [b"4a", b"4b", b"\x00\x01\xff"]
    assert exchange.answer == (200, b"ok")


def test_frames_in_a_request() -> None:
    there = Down()
    frames = [
        encode_packet(b"4a\x1eb", False),
        encode_packet(b"\x00\xff", True),
        encode_packet(b"", True),
        encode_packet("4é".encode(), False),
        # What is no UTF-8 does not become a binary message.
        encode_packet(b"4\xff", False),
    ]
    there.post_frames(*frames)
    assert there.above.heard == [
        b"4a\x1eb",
        b"\x00\xff",
        b"",
        "4é".encode(),
        b"4\xef\xbf\xbd",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"\x05abc",
        b"\x7e\x00",
        b"\x7f\x00\x00\x00\x00\x00\x00\x00",
        b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00" * (MAX_PACKETS + 1),
        b"\x00",
        b"\x019",
    ],
)
def test_frames_that_are_none_end_the_session(body: bytes) -> None:
    there = Down()
    assert there.post_frames(body).done
    assert there.reasons == ["parse error"]
    assert there.first.ended == "complete"


def test_an_empty_request_only_acknowledges() -> None:
    there = Down()
    there.push("a")
    assert there.post(ack=2).answer == (200, b"ok")
    assert there.reasons == []
    assert there.new(there.get(ack=2), 2) == []


def test_too_many_packets_in_one_request() -> None:
    there = Down()
    there.post(b"\x1e".join([b"4a"] * (MAX_PACKETS + 1)))
    assert there.reasons == ["parse error"]
    assert there.above.heard == []


def test_a_body_that_is_too_long_is_refused_before_it_is_kept() -> None:
    there = Down()
    exchange = there.begin_post(seq=1)
    assert exchange.receiver is not None
    exchange.receiver.body_chunk(exchange, b"4" + b"x" * (MAX_SIZE - 1))
    assert exchange.answer is None
    exchange.receiver.body_chunk(exchange, b"x")
    assert exchange.answer == (413, b"")
    # The session lives on, and the number is not used up.
    assert there.post(b"4a", seq=1).answer == (200, b"ok")
    assert there.above.heard == [b"4a"]


def test_a_request_that_comes_twice_is_handled_once() -> None:
    there = Down()
    for seq in (1, 1, 2, 1, 2, 3):
        assert there.post(f"4{seq}".encode(), seq=seq).answer == (200, b"ok")
    assert there.above.heard == [b"41", b"42", b"43"]


def test_a_gap_in_the_numbers_of_requests_is_refused() -> None:
    there = Down()
    there.post(b"4a", seq=1)
    assert not there.down.upload(FakeExchange(a_request(method="POST")), 0, 3)
    there.post(b"4b", seq=2)
    assert there.above.heard == [b"4a", b"4b"]


def test_a_request_that_breaks_off_may_be_repeated() -> None:
    there = Down()
    exchange = there.begin_post(seq=1)
    assert exchange.receiver is not None
    exchange.receiver.body_chunk(exchange, b"4half")
    exchange.lose()
    assert there.reasons == []
    there.post(b"4whole", seq=1)
    assert there.above.heard == [b"4whole"]


def test_a_request_is_repeated_before_the_first_is_known_to_be_lost() -> None:
    there = Down()
    first = there.begin_post(seq=1)
    assert first.receiver is not None
    first.receiver.body_chunk(first, b"4half")
    there.post(b"4whole", seq=1)
    assert first.answer == (400, b"")
    assert there.above.heard == [b"4whole"]
    first.lose()
    assert there.reasons == []


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 0), (0, 1)])
def test_two_requests_at_once_end_the_session(one: int, other: int) -> None:
    there = Down()
    first = there.begin_post(seq=one)
    second = there.begin_post(seq=other)
    assert first.answer == second.answer == (400, b"")
    assert there.reasons == ["transport error"]
    assert there.first.ended == "complete"
    there.no_timer_is_left()


def test_a_request_without_a_number_that_breaks_off_ends_the_session() -> None:
    there = Down()
    there.begin_post().lose()
    assert there.reasons == ["transport error"]


def test_the_client_says_goodbye() -> None:
    there = Down()
    there.push("a")
    assert there.post(b"1", seq=1).answer == (200, b"ok")
    assert there.reasons == ["transport close"]
    assert there.first.ended == "complete"
    there.no_timer_is_left()


def test_while_reading_is_paused_bodies_wait() -> None:
    there = Down()
    there.session.pause_reading()
    exchange = there.begin_post()
    assert exchange.receiver is not None
    ready: list[bool] = []
    assert not exchange.receiver.when_ready(lambda: ready.append(True))
    there.session.resume_reading()
    there.loop.turn()
    assert ready == [True]


# The end.


@every_way
def test_the_server_says_goodbye(name: str) -> None:
    there = Down(name)
    there.session.push(Message(b"4last"))
    there.session.close()
    assert there.new(there.first) == ["0{}", "4last", "1"]
    assert there.first.ended == "complete"
    assert there.reasons == ["forced close"]
    there.no_timer_is_left()


@every_way
def test_without_a_response_the_goodbye_waits_for_the_next(name: str) -> None:
    there = Down(name)
    there.push("a")
    there.first.lose()
    there.push("b")
    there.session.close()
    assert there.reasons == []
    again = there.get(ack=1)
    assert there.new(again, 1) == ["4a", "4b", "1"]
    assert again.ended == "complete"
    assert there.reasons == ["forced close"]
    there.no_timer_is_left()


def test_a_goodbye_that_nobody_fetches_is_given_up() -> None:
    there = Down()
    there.first.lose()
    there.session.close()
    there.loop.advance(CLOSE_SECONDS + TICKS)
    assert there.reasons == ["forced close"]
    there.no_timer_is_left()


@every_way
def test_who_does_not_come_back_has_left(name: str) -> None:
    there = Down(name)
    there.push("a")
    there.first.lose()
    there.loop.advance(ABSENT - 1)
    assert there.reasons == []
    there.loop.advance(1 + TICKS)
    assert there.reasons == ["transport close"]
    assert there.engine.closed == [there.session]
    there.no_timer_is_left()


def test_who_does_not_come_back_after_a_complete_response_has_left() -> None:
    there = Down()
    there.down.release()
    assert there.first.ended == "complete"
    # Requests with packets are no sign that anything arrives there.
    there.post(b"4a", seq=1)
    there.loop.advance(ABSENT + TICKS)
    assert there.reasons == ["transport close"]


def test_who_reads_and_never_answers_a_ping_is_gone() -> None:
    there = Down()
    there.loop.advance(25 + 20 + TICKS)
    assert there.reasons == ["ping timeout"]
    assert there.first.ended == "complete"
    there.no_timer_is_left()


@every_way
def test_cutting_it_off_forgets_everything(name: str) -> None:
    there = Down(name)
    there.push("a")
    there.session.close()
    there = Down(name)
    post = there.begin_post()
    there.down.abort()
    assert there.first.ended == "cut"
    assert post.answer == (400, b"")


# Moving to another transport.


@every_way
def test_a_client_leaves_for_another_transport(name: str) -> None:
    there = Down(name)
    there.push("a")
    wire = FakeTransport("websocket")
    there.session.probe(wire)
    wire.receive(b"2probe")
    assert wire.take() == [b"3probe"]
    body = Body(name, there.first.body)
    assert body.ended
    assert there.first.ended == "complete"
    # What is sent from now on waits for the move.
    there.push("b")
    wire.receive(b"5")
    assert wire.take() == [b"4b"]
    assert body.packets == ["0{}", "4a"]
    assert there.session.transport is wire
    wire.lose()
    there.no_timer_is_left()


@every_way
def test_who_has_not_got_everything_asks_again_before_it_leaves(name: str) -> None:
    there = Down(name)
    there.push("a", "b")
    wire = FakeTransport("websocket")
    there.session.probe(wire)
    wire.receive(b"2probe")
    wire.take()
    there.push("c")
    again = there.get(ack=1)
    there.loop.advance(0.1)
    body = Body(name, again.body, 1)
    assert body.packets == ["4a", "4b", "4c"]
    assert body.ended
    there.push("d")
    wire.receive(b"5")
    assert wire.take() == [b"4d"]


@every_way
def test_an_attempt_that_fails_leaves_everything_as_it_was(name: str) -> None:
    there = Down(name)
    wire = FakeTransport("websocket")
    there.session.probe(wire)
    wire.receive(b"2probe")
    there.push("a")
    wire.lose()
    again = there.get(ack=1)
    there.push("b")
    there.loop.advance(1)
    assert there.new(again, 1) == ["4a", "4b"]
    assert again.ended == ""


@every_way
def test_a_client_comes_from_another_transport(name: str) -> None:
    wire = FakeTransport("polling")
    there = Bench(wire)
    settings = Down(name).settings
    down = DownTransport(name, there.flusher, there.wheel, settings, None, True)
    exchange = FakeExchange()
    down.open(exchange, framing_of(name), RESPONSE_SECONDS)
    there.session.probe(down)
    down.flush()
    # At once, to show that nothing holds it back.
    assert len(exchange.body) > 0
    assert Body(name, exchange.body).packets == []
    for packet in (b"2probe", b"5\x1e4over"):
        post = FakeExchange(a_request(method="POST"))
        assert down.upload(post, 0, 0)
        post.deliver(packet)
        assert post.answer == (200, b"ok")
    assert there.session.transport is down
    assert there.above.heard == [b"4over"]
    there.session.push(Message(b"4a"))
    there.loop.turn()
    assert Body(name, exchange.body).packets == ["3probe", "4a"]


def test_an_attempt_that_may_not_be_is_answered() -> None:
    there = Down()
    down = DownTransport("sse", there.flusher, there.wheel, there.settings, None, True)
    exchange = FakeExchange()
    down.open(exchange, SSE, 1.0)
    down.discard()
    assert exchange.answer == (400, b'{"code":3,"message":"Bad request"}')


def test_an_attempt_may_lose_its_response_and_come_back() -> None:
    there = Bench(FakeTransport("polling"))
    down = DownTransport("sse", there.flusher, there.wheel, Down().settings, None, True)
    first = FakeExchange()
    down.open(first, SSE, RESPONSE_SECONDS)
    there.session.probe(down)
    down.flush()
    first.lose()
    post = FakeExchange(a_request(method="POST"))
    assert down.upload(post, 0, 1)
    post.deliver(b"2probe")
    again = FakeExchange()
    assert down.get(again, SSE, 0, RESPONSE_SECONDS)
    assert Body("sse", again.body).packets == ["3probe"]


# Parts of messages.


def test_what_is_left_of_a_message() -> None:
    message = Message(b"4a", [b"1", b"2", b"3"])
    assert packets_of(message) == 4
    assert packets_of(Message(b"4a")) == 1
    assert packets_of(Message(None, [b"1"])) == 1
    assert without(message, 1).payload() == Message(None, [b"1", b"2", b"3"]).payload()
    assert without(message, 3).attachments == [b"3"]
    assert without(Message(None, [b"1", b"2"]), 1).attachments == [b"2"]
