from __future__ import annotations

import gzip

import pytest

from nuncio.engine.compression import HttpCompression
from nuncio.engine.polling3 import PollingTransport3
from nuncio.engine.session3 import Session3
from nuncio.protocol.engineio import Message
from tests.support.fakes import Bench, FakeExchange, a_request

MAX_SIZE = 1000
MAX_PACKETS = 20
OCTETS = "application/octet-stream"


class OldPolling(Bench):
    """A session of revision 3 over long-polling; the open packet is fetched already."""

    def __init__(
        self,
        *,
        text_only: bool = False,
        callback: bytes | None = None,
        compression: object = None,
    ) -> None:
        super().__init__()
        self.polling = PollingTransport3(
            self.flusher,
            self.wheel,
            MAX_SIZE,
            MAX_PACKETS,
            compression,
            None,
            callback,
            text_only,
        )
        first = FakeExchange()
        self.polling.open(first)
        self.session = Session3(self.engine, self.config, "sid", self.polling, a_request())
        self.session.start([Message(b"0{}", control=True)])
        self.session.listener = self.above
        self.polling.flush()
        self.first = first

    def poll(self, *headers: tuple[bytes, bytes]) -> FakeExchange:
        """A poll arrives."""
        exchange = FakeExchange(a_request(headers=list(headers)))
        self.polling.get(exchange)
        return exchange

    def post(self, body: bytes, content_type: str = "text/plain;charset=UTF-8") -> FakeExchange:
        """A request with packets arrives."""
        headers = [(b"content-type", content_type.encode())]
        exchange = FakeExchange(a_request(method="POST", headers=headers))
        self.polling.post(exchange)
        exchange.deliver(body)
        return exchange

    def answer_to(self, *messages: Message) -> FakeExchange:
        """A poll, and what answers it."""
        poll = self.poll()
        for message in messages:
            self.session.push(message)
        self.loop.turn()
        return poll


TEXT = Message("4é".encode())
BINARY = Message(b"451-", [b"\x01\x02\x03"])


def content_type(exchange: FakeExchange) -> str:
    return dict(exchange.sent)["Content-Type"]


def test_the_open_packet_has_a_length() -> None:
    assert OldPolling().first.answer == (200, b"3:0{}")


def test_a_payload_is_binary_when_something_in_it_is() -> None:
    bench = OldPolling()
    answer = bench.answer_to(TEXT, TEXT)
    assert answer.body == "2:4é2:4é".encode()
    assert content_type(answer) == "text/plain; charset=UTF-8"
    answer = bench.answer_to(TEXT, BINARY)
    expected = b"\x00\x03\xff" + "4é".encode() + b"\x00\x04\xff451-\x01\x04\xff\x04\x01\x02\x03"
    assert answer.body == expected
    assert content_type(answer) == OCTETS


@pytest.mark.parametrize("callback", [None, b"f"])
def test_clients_that_read_no_binary_get_text(callback: bytes | None) -> None:
    bench = OldPolling(text_only=callback is None, callback=callback)
    answer = bench.answer_to(BINARY)
    payload = b"4:451-6:b4AQID"
    assert answer.body == (payload if callback is None else b'f("' + payload + b'");')
    assert content_type(answer) == "text/plain; charset=UTF-8"


def test_requests_may_be_text_or_binary_in_turn() -> None:
    bench = OldPolling()
    bench.post(b"2:4a6:b4AQID")
    bench.post(b"\x00\x02\xff4b\x01\x02\xff\x04\x09", OCTETS)
    bench.post(b"2:4c", OCTETS.upper() + "; x=y")
    assert bench.above.heard == [b"4a", b"\x01\x02\x03", b"4b", b"\x09"]
    # The last was text where binary was announced.
    assert bench.above.ends == [("parse error", "")]


def test_control_packets_may_be_binary() -> None:
    bench = OldPolling()
    bench.post(b"\x01\x01\xff\x02", OCTETS)
    assert bench.poll().body == b"1:3"
    bench.post(b"\x01\x01\xff\x01", OCTETS)
    assert bench.above.ends == [("transport close", "")]


@pytest.mark.parametrize(("kind", "body"), [("text/plain", b"1:4"), (OCTETS, b"\x00\x01\xff4")])
def test_a_request_holds_so_many_packets_and_no_more(kind: str, body: bytes) -> None:
    bench = OldPolling()
    bench.post(body * MAX_PACKETS, kind)
    assert len(bench.above.heard) == MAX_PACKETS
    bench.post(body * (MAX_PACKETS + 1), kind)
    assert len(bench.above.heard) == MAX_PACKETS
    assert bench.above.ends == [("parse error", "")]


def test_a_binary_request_may_be_so_large_and_no_larger() -> None:
    bench = OldPolling()
    body = b"\x01\x09\x09\x05\xff\x04" + bytes(994)
    assert len(body) == MAX_SIZE
    assert bench.post(body, OCTETS).answer == (200, b"ok")
    assert bench.post(body + b"\x00", OCTETS).status == 413
    assert bench.session.is_open
    assert len(bench.above.heard) == 1


def test_binary_answers_are_compressed_too() -> None:
    bench = OldPolling(compression=HttpCompression.parse({"threshold": 100}))
    poll = bench.poll((b"accept-encoding", b"gzip"))
    bench.session.push(Message(None, [bytes(500)]))
    bench.loop.turn()
    assert dict(poll.sent)["Content-Encoding"] == "gzip"
    assert gzip.decompress(poll.body) == b"\x01\x05\x00\x01\xff\x04" + bytes(500)


def test_packets_wait_while_reading_is_paused() -> None:
    bench = OldPolling()
    bench.session.pause_reading()
    exchange = bench.post(b"2:4a2:4b")
    assert bench.above.heard == []
    bench.session.resume_reading()
    bench.loop.turn()
    assert bench.above.heard == [b"4a", b"4b"]
    assert exchange.answer == (200, b"ok")


def test_a_form_without_a_payload_brings_nothing() -> None:
    bench = OldPolling(callback=b"f")
    assert bench.post(b"x=1").answer == (200, b"ok")
    bench.post(b"d=2%3A4a")
    assert bench.above.heard == [b"4a"]
    bench.post(b"d=")
    assert bench.above.ends == [("parse error", "")]
