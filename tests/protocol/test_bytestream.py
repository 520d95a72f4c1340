"""Packets in a stream of bytes: the encoder, the reader, and what official clients make of both."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
from nuncio.protocol.bytestream import StreamReader, encode_packet, message_stream
from nuncio.protocol.engineio import Message

LIMIT = 1_000_000


def read(data: bytes, limit: int = LIMIT) -> list[tuple[bytes, bool]]:
    return [(packet.data, packet.binary) for packet in StreamReader(limit).feed(data)]


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (1, b"\x01"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_headers(size: int, head: bytes) -> None:
    data = b"x" * size
    assert encode_packet(data, False) == head + data
    assert encode_packet(data, True) == bytes((head[0] | 0x80,)) + head[1:] + data
    assert read(encode_packet(data, False)) == [(data, False)]
    assert read(encode_packet(data, True)) == [(data, True)]


def test_an_empty_binary_packet_is_text() -> None:
    # Official clients take an empty frame for an error.
    assert encode_packet(b"", True) == b"\x01b"


def test_an_empty_frame_is_read_as_what_it_says() -> None:
    assert read(b"\x80") == [(b"", True)]
    assert read(b"\x00") == [(b"", False)]


def test_a_message_is_encoded_once() -> None:
    message = Message(b"451-", [b"\x00\x01", b""])
    assert message_stream(message) == b"\x04451-" + b"\x82\x00\x01" + b"\x01b"
    assert message_stream(message) is message_stream(message)
    assert message.payload() == b"451-\x1ebAAE=\x1eb"


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.booleans()), max_size=8),
    st.lists(st.integers(1, 200), min_size=1, max_size=8),
)
def test_pieces_of_any_size(packets: list[tuple[bytes, bool]], cuts: list[int]) -> None:
    stream = b"".join([encode_packet(data, binary) for data, binary in packets])
    reader = StreamReader(LIMIT)
    found = []
    at = index = 0
    while at < len(stream):
        size = cuts[index % len(cuts)]
        found += reader.feed(stream[at : at + size])
        at += size
        index += 1
    assert [(packet.data, packet.binary) for packet in found] == packets
    assert reader.pending == 0


@pytest.mark.parametrize(
    "head", [b"\x7f" + b"\xff" * 8, b"\x7f\0\0\0\0\0\x10\0\0", b"\xfe\xff\xff"]
)
def test_too_long_a_packet_is_refused_before_it_is_gathered(head: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PacketError, match="over the limit of 1000"):
            StreamReader(1000).feed(head)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_long_packet_in_small_pieces_is_copied_once() -> None:
    reader = StreamReader(LIMIT)
    stream = encode_packet(b"x" * LIMIT, True)
    found = []
    for at in range(0, len(stream), 100):
        found += reader.feed(stream[at : at + 100])
    assert [len(packet.data) for packet in found] == [LIMIT]
