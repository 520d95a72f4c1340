from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import SHAPES
from nuncio.cluster.redis import classic_wire as wire
from nuncio.errors import PacketError
from tests.cluster import captures

CAPTURED = captures.wire("redis-classic", "redis-classic-specific")


def typed(message: ClusterMessage) -> ClusterMessage:
    """The message as the server has it that sends it."""
    if message.type in SHAPES:
        message.data = msgspec.convert(message.data, SHAPES[message.type])
    return message


def again(captured: dict[str, Any]) -> bytes:
    """What is read, written again."""
    data = bytes.fromhex(captured["payload_hex"])
    kind, nsp = captured["channel"].split("#")[:2]
    if kind == "socket.io":
        message = typed(wire.decode_broadcast(data))
        assert message.nsp == nsp
        return wire.encode_broadcast(message.uid, nsp, message.data)
    if kind == "socket.io-request":
        message = typed(wire.decode_request(data, nsp))
        if message.type == wire.LIST_ROOMS:
            message.data = message.data["requestId"]
        return wire.encode_request(message)
    return wire.encode_response(typed(wire.decode_response(data, nsp)))


def test_every_captured_message_is_read_and_written_byte_for_byte() -> None:
    mine = [one for one in CAPTURED if not one["action"].startswith("emitter_")]
    assert len(mine) > 100
    for captured in mine:
        assert again(captured).hex() == captured["payload_hex"], captured


def test_channels_are_those_of_the_captures() -> None:
    for captured in CAPTURED:
        kind, nsp = captured["channel"].split("#")[:2]
        channels = wire.Channels("socket.io", nsp)
        if kind == "socket.io":
            data = bytes.fromhex(captured["payload_hex"])
            rooms = typed(wire.decode_broadcast(data)).data.opts.rooms
            assert channels.for_rooms(rooms) == captured["channel"]
            expected = str(rooms[0]) if len(rooms) == 1 else None
            assert channels.room_of(captured["channel"]) == expected


def test_a_channel_of_another_namespace_is_none_of_ours() -> None:
    with pytest.raises(PacketError):
        wire.Channels("socket.io", "/a*b").room_of("socket.io#/axb#")
    assert wire.Channels("socket.io", "/a*b").pattern == "socket.io#/a\\*b#*"


def test_ids_are_as_nodes() -> None:
    found = wire.new_uid()
    assert len(found) == 6
    assert found != wire.new_uid()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\x93",
        b"[1,2,3]",
        b"\x91\x01",
        b"\x93\x01\x80\x80",
        b"\x93\xa1x\x01\x80",
        b"\x80",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b'cos\nsystem\n(S"true"\ntR.',
    ],
)
def test_what_is_no_broadcast_is_told(data: bytes) -> None:
    with pytest.raises(PacketError):
        wire.decode_broadcast(data)


@pytest.mark.parametrize(
    "data",
    [b"", b" {}", b"{", b"{}", b'{"type":99}', b'{"type":null}', b'{"uid":5,"type":1}', b"\x90"],
)
def test_what_is_no_request_or_answer_is_told(data: bytes) -> None:
    with pytest.raises(PacketError):
        wire.decode_request(data, "/")
    with pytest.raises(PacketError):
        wire.decode_response(data, "/")
