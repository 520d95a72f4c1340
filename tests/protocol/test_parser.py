"""Parsers: the default's hook, and what is made of those that people write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nuncio import JSONParser, Packet, Parser
from nuncio.errors import PacketError
from nuncio.protocol.parser import PART_OVERHEAD
from nuncio.protocol.socketio import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    encode_event,
    is_packet_valid,
)

# The default.


def test_json_packets_are_those_of_the_protocol() -> None:
    parser = JSONParser()
    prefix = parser.prefix("/admin")
    assert parser.encode_event(prefix, 5, ["x", b"1"]).text == (
        b'451-/admin,5["x",{"_placeholder":true,"num":0}]'
    )
    assert parser.encode_ack(prefix, 5, []).text == b"43/admin,5[]"
    assert parser.encode_connect(prefix, {"sid": "1"}).text == b'40/admin,{"sid":"1"}'
    assert parser.encode_connect_error(prefix, "no", 1).text == (
        b'44/admin,{"message":"no","data":1}'
    )
    assert parser.encode_disconnect(prefix).text == b"41/admin,"


def test_a_reader_of_json_is_shared_and_knows_its_limit() -> None:
    parser = JSONParser()
    reader = parser.reader(2, 100, 100)
    assert parser.reader(2, 100, 100) is reader
    packet = reader.text(b'452-["x"]')
    assert packet is not None and packet.attachments == 2
    with pytest.raises(PacketError, match="too many attachments"):
        reader.text(b'453-["x"]')
    with pytest.raises(PacketError, match="binary data"):
        reader.binary(b"1")
    assert parser.reader(3, 100, 100).text(b'453-["x"]') is not None


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def hook(value: Any) -> Any:
    if isinstance(value, Money):
        return {"cents": value.cents, "seal": b"seal"}
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"no way to send {value!r}")


def test_a_hook_sends_what_is_unknown_and_bytes_in_it_are_attachments() -> None:
    parser = JSONParser(enc_hook=hook)
    message = parser.encode_event(b"", -1, ["x", 1j, [Money(5)]])
    assert message.attachments == [b"seal"]
    assert message.text == (
        b'451-["x",[0.0,1.0],[{"cents":5,"seal":{"_placeholder":true,"num":0}}]]'
    )
    assert parser.encode_connect_error(b"", "no", 1j).text == (
        b'44{"message":"no","data":[0.0,1.0]}'
    )
    assert parser.encode_ack(b"", 1, ["\ud800", 1j]).text == b'431["\\ud800",[0.0,1.0]]'
    with pytest.raises(TypeError, match="no way to send"):
        parser.encode_event(b"", -1, ["x", object()])
    with pytest.raises(TypeError, match="'complex' cannot be sent"):
        encode_event(b"", -1, ["x", 1j])


# Somebody else's.


class Decoder:
    """Takes a packet in two messages: its head, and its data."""

    def __init__(self) -> None:
        self.head: str | None = None
        self.destroyed = 0

    def add(self, data: str | bytes) -> Packet | None:
        if isinstance(data, str):
            self.head = data
            return None
        assert self.head is not None
        head, self.head = json.loads(self.head), None
        return Packet(head["type"], head["nsp"], head["id"], json.loads(data))

    def destroy(self) -> None:
        self.destroyed += 1


class Halves(Parser):
    """Sends a packet in two messages."""

    def __init__(self) -> None:
        self.decoders: list[Decoder] = []

    def encode(self, packet: Packet) -> list[str | bytes]:
        head = {"type": packet.type, "nsp": packet.nsp, "id": packet.id}
        return [json.dumps(head), json.dumps(packet.data).encode()]

    def decoder(self) -> Decoder:
        self.decoders.append(Decoder())
        return self.decoders[-1]


def test_each_kind_of_packet_goes_through_encode() -> None:
    parser = Halves()
    prefix = parser.prefix("/é")
    reader = parser.reader(10, 10_000, 100)
    for message, expected in (
        (parser.encode_event(prefix, -1, ["x", 1]), (EVENT, -1, ["x", 1])),
        (parser.encode_event(prefix, 3, ["x"]), (EVENT, 3, ["x"])),
        (parser.encode_ack(prefix, 3, []), (ACK, 3, [])),
        (parser.encode_connect(prefix, None), (CONNECT, -1, None)),
        (parser.encode_connect(prefix, {"sid": "1"}), (CONNECT, -1, {"sid": "1"})),
        (parser.encode_connect_error(prefix, "no", None), (CONNECT_ERROR, -1, {"message": "no"})),
        (
            parser.encode_connect_error(prefix, "no", 1),
            (CONNECT_ERROR, -1, {"message": "no", "data": 1}),
        ),
        (parser.encode_disconnect(prefix), (DISCONNECT, -1, None)),
    ):
        assert message.text is not None and message.attachments is not None
        assert reader.text(message.text) is None
        packet = reader.binary(message.attachments[0])
        assert packet is not None
        assert (packet.type, packet.id, packet.data) == expected
        assert packet.nsp == "/é"


def test_whether_it_may_be_compressed_is_kept() -> None:
    assert Halves().encode_event(b"/", -1, ["x"]).compress
    assert not Halves().encode_event(b"/", -1, ["x"], False).compress


def test_a_decoder_is_made_when_something_arrives_and_destroyed_once() -> None:
    parser = Halves()
    reader = parser.reader(10, 1000, 100)
    reader.destroy()
    assert parser.decoders == []
    reader.text(b"4{}")
    parser.reader(10, 1000, 100).text(b"4{}")
    assert len(parser.decoders) == 2
    reader.destroy()
    reader.destroy()
    assert [decoder.destroyed for decoder in parser.decoders] == [1, 0]


class Given(Parser):
    """Sends and receives what the test says."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def encode(self, packet: Packet) -> Any:
        return self.given

    def decoder(self) -> Any:
        return self

    def add(self, data: str | bytes) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def test_parts_are_one_text_and_bytes() -> None:
    message = Given(["text"]).encode_disconnect(b"/")
    assert (message.text, message.attachments) == (b"4text", None)
    message = Given([b"1", bytearray(b"2"), memoryview(b"3")]).encode_disconnect(b"/")
    assert (message.text, message.attachments) == (None, [b"1", b"2", b"3"])
    message = Given(("é", b"1")).encode_disconnect(b"/")
    assert (message.text, message.attachments) == ("4é".encode(), [b"1"])


@pytest.mark.parametrize("parts", [[], ["a", "b"], [b"a", "b"], [5], [None], None, 5])
def test_other_parts_are_the_programmers_mistake(parts: Any) -> None:
    with pytest.raises(TypeError):
        Given(parts).encode_event(b"/", -1, ["x"])


@pytest.mark.parametrize("text", ["a\x1eb", "\ud800"])
def test_text_that_cannot_travel_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Given([text]).encode_event(b"/", -1, ["x"])


@pytest.mark.parametrize(
    "given",
    [
        5,
        "packet",
        {"type": 2, "nsp": "/", "data": ["x"]},
        [Packet(EVENT, "/", -1, ["x"])],
        False,
        Packet(5, "/", -1, ["x"]),
        Packet(-1, "/", -1, ["x"]),
        Packet(EVENT, "/", -2, ["x"]),
        Packet(EVENT, "/", -1, ["x"], 1),
        Packet(EVENT, "/", -1, None),
        Packet(EVENT, "/", -1, []),
        Packet(EVENT, "/", -1, [None]),
        Packet(EVENT, "/", -1, ["disconnect"]),
        Packet(EVENT, "/", -1, ("x",)),
        Packet(EVENT, "/\ud800", -1, ["x"]),
        Packet(ACK, "/", -1, []),
        Packet(ACK, "/", 1, {}),
        Packet(CONNECT, "/", -1, []),
        Packet(DISCONNECT, "/", -1, {}),
        Packet(CONNECT_ERROR, "/", -1, None),
        ValueError("no"),
        KeyError("no"),
        RecursionError(),
        PacketError("in its own words"),
    ],
)
def test_what_a_decoder_says_is_not_believed(given: Any) -> None:
    if isinstance(given, Packet):
        assert not is_packet_valid(given)
    for take in (
        Given(given).reader(10, 1000, 100).text,
        Given(given).reader(10, 1000, 100).binary,
    ):
        with pytest.raises(PacketError):
            take(b"4x")


def test_valid_packets_pass() -> None:
    for packet in (
        Packet(EVENT, "/", -1, [5]),
        Packet(EVENT, "/a", 2**60, ["x"]),
        Packet(ACK, "/", 0, []),
        Packet(CONNECT, "/"),
        Packet(CONNECT, "/", -1, {}),
        Packet(CONNECT_ERROR, "/", -1, "no"),
        Packet(DISCONNECT, "/"),
    ):
        assert is_packet_valid(packet)
        assert Given(packet).reader(10, 1000, 100).text(b"4") is packet
    assert repr(Packet(EVENT, "/", -1, ["x"])) == "Packet(2, '/', -1, ['x'])"


def test_an_incomplete_packet_may_hold_so_much_and_no_more() -> None:
    reader = Given(None).reader(10, 10 * PART_OVERHEAD, 100)
    for _ in range(9):
        assert reader.binary(b"") is None
    assert reader.binary(b"") is None
    with pytest.raises(PacketError, match="too large"):
        reader.binary(b"")
    with pytest.raises(PacketError, match="too large"):
        Given(None).reader(10, 1000, 100).binary(bytes(1000))


def test_a_complete_packet_ends_the_count() -> None:
    parser = Halves()
    reader = parser.reader(10, 4 * PART_OVERHEAD, 100)
    message = parser.encode_event(parser.prefix("/"), -1, ["x"])
    assert message.text is not None and message.attachments is not None
    for _ in range(20):
        assert reader.text(message.text) is None
        assert reader.binary(message.attachments[0]) is not None


def test_a_parser_must_say_what_it_does() -> None:
    with pytest.raises(NotImplementedError, match="encode"):
        Parser().encode_disconnect(b"/")
    with pytest.raises(NotImplementedError, match="decoder"):
        Parser().decoder()
