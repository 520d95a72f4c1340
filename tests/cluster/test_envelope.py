from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from nuncio.cluster import envelope
from nuncio.cluster.glance import rooms_of_entry, rooms_of_message
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    SHAPES,
    Broadcast,
    FetchSockets,
    Kind,
    Options,
    ServerAnswer,
    SocketsRooms,
)
from nuncio.errors import PacketError
from tests.cluster import captures

SHARDED = captures.wire(
    "redis-sharded-static", "redis-sharded-dynamic", "redis-sharded-dynamic-private"
)
STREAMS = captures.wire("redis-streams", "redis-streams-sharded")


def typed(message: ClusterMessage) -> ClusterMessage:
    """The message as the server has it that sends it."""
    message.data = msgspec.convert(message.data, SHAPES[message.type])
    return message


def test_every_captured_message_is_read_and_written_byte_for_byte() -> None:
    assert len(SHARDED) > 150
    for captured in SHARDED:
        message = typed(envelope.decode(bytes.fromhex(captured["payload_hex"])))
        assert envelope.encode(message).hex() == captured["payload_hex"], captured


def test_every_captured_request_of_streams_is_read_and_written_byte_for_byte() -> None:
    published = [one for one in STREAMS if one["command"] in ("PUBLISH", "SPUBLISH")]
    assert len(published) > 50
    for captured in published:
        message = typed(envelope.decode_packed(bytes.fromhex(captured["payload_hex"])))
        assert envelope.encode_packed(message).hex() == captured["payload_hex"], captured


# Notable differences of @msgpack/msgpack: what is undefined stays, as null.
@pytest.mark.parametrize("file", ["redis-streams", "redis-streams-sharded"])
def test_every_captured_entry_is_read_and_written_byte_for_byte(file: str) -> None:
    entries = [one for one in STREAMS if one["file"] == file and one["command"] == "XADD"]
    assert len(entries) > 30
    for captured in entries:
        told: dict[str, str] = captured["fields"]
        fields = {name.encode(): value.encode() for name, value in told.items()}
        read = envelope.from_fields(fields)
        if told["uid"] == "emitter":
            continue
        written = envelope.to_fields(typed(read))
        assert dict(zip(written[::2], written[1::2], strict=True)) == fields
        assert written[::2] == list(fields)


def test_binary_may_be_written_as_text() -> None:
    message = ClusterMessage("u", "/", Kind.SERVER_SIDE_EMIT_RESPONSE, ServerAnswer("r", b"ab"))
    data = envelope.to_fields(message, plain_only=True)[-1]
    assert data == b'{"requestId":"r","packet":{"type":"Buffer","data":[97,98]}}'


GARBAGE: list[Any] = [b"", b" {}", b"{", b"{}", b"\xc1", b"\x91" * 100_000, b'{"uid":1}', b"null"]


@pytest.mark.parametrize("data", GARBAGE)
def test_what_is_no_message_is_told(data: bytes) -> None:
    for decode in (envelope.decode, envelope.decode_packed):
        with pytest.raises(PacketError):
            decode(data)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"uid": b"u", b"nsp": b"/"},
        {b"uid": b"u", b"nsp": b"/", b"type": b"x"},
        {b"uid": b"\xff", b"nsp": b"/", b"type": b"3"},
        {b"uid": b"u", b"nsp": b"/", b"type": b"3", b"data": b"*"},
        {b"uid": b"u", b"nsp": b"/", b"type": b"3", b"data": b"{"},
    ],
)
def test_what_is_no_entry_is_told(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(PacketError):
        envelope.from_fields(fields)


def entry(message: ClusterMessage) -> dict[bytes, bytes]:
    """A message as an entry that was read."""
    fields = envelope.to_fields(message)
    return dict(zip(fields[::2], fields[1::2], strict=True))


def glance(message: ClusterMessage) -> list[Any]:
    """Whom a message is for, which is the same in all forms."""
    (found,) = {
        json.dumps(rooms)
        for rooms in (
            rooms_of_entry(entry(message)),
            rooms_of_message(envelope.encode(message)),
            rooms_of_message(envelope.encode_packed(message)),
        )
    }
    rooms: list[Any] = json.loads(found)
    return rooms


@pytest.mark.parametrize("argument", [1, b"\x00"])
def test_whom_a_message_is_for_is_seen_at_a_glance(argument: Any) -> None:
    packet = {"type": 2, "data": ["e", argument, {"opts": {"rooms": ["not this"]}}]}
    several: list[str | int] = ["a", 5, "☃"]
    for rooms in (several, []):
        told = Broadcast(packet=packet, opts=Options(list(rooms), ["x"]))
        assert glance(ClusterMessage("u", "/", Kind.BROADCAST, told)) == rooms
        # Who is asked has to answer, whoever is there.
        told.request = "r"
        assert glance(ClusterMessage("u", "/", Kind.BROADCAST, told)) == []
    joins = SocketsRooms(Options(["a"]), ["b"])
    assert glance(ClusterMessage("u", "/", Kind.SOCKETS_JOIN, joins)) == ["a"]
    asked = FetchSockets(Options(["a"]), "r")
    assert glance(ClusterMessage("u", "/", Kind.FETCH_SOCKETS, asked)) == []
    assert glance(ClusterMessage("u", "/", Kind.SERVER_SIDE_EMIT_RESPONSE, ServerAnswer("r"))) == []


@pytest.mark.parametrize(
    "change",
    [
        {b"type": b"9"},
        {b"type": b""},
        {b"type": b"-3"},
        {b"type": b"3" * 10_000},
        {b"data": b""},
        {b"data": b"*"},
        {b"data": b"{"},
        {b"data": b'{"opts":{"rooms":[[]]}}'},
        {b"data": b'{"opts":{"rooms":null}}'},
        {b"data": b'{"opts":null}'},
        {b"data": b"{}"},
        {b"data": b'{"opts":{"rooms":["x"]},"packet":' + b"[" * 100_000},
        {b"data": b"gA=="},
        {b"data": b"wQ=="},
    ],
)
def test_what_a_glance_does_not_tell_is_read(change: dict[bytes, bytes]) -> None:
    told = Broadcast(packet={"type": 2, "data": ["e"]}, opts=Options(["a"]))
    fields = entry(ClusterMessage("u", "/", Kind.BROADCAST, told))
    assert rooms_of_entry(fields) == ["a"]
    assert rooms_of_entry(fields | change) == []


@pytest.mark.parametrize("data", [*GARBAGE, b'{"type":"3"}', b'{"type":3,"data":5}'])
def test_what_is_no_message_is_for_nobody_known(data: bytes) -> None:
    assert rooms_of_message(data) == []
