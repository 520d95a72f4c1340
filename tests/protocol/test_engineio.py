from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
from nuncio.protocol.engineio import (
    SEPARATOR,
    Message,
    decode_binary,
    encode_binary,
    split_payload,
)
from nuncio.protocol.frames import BINARY, NEED_DATA, TEXT, FrameReader

# Observed with engine.io-parser 5.2.3.
OFFICIAL_BASE64 = [
    (b"b", b""),
    (b"bAQID", b"\x01\x02\x03"),
    (b"bAQI=", b"\x01\x02"),
    (b"bAQI", b"\x01\x02"),
    (b"bAQ==", b"\x01"),
    (b"b_-8=", b"\xff\xef"),
    (b"bAQ==ID", b"\x01"),
    (b"b4AQI", b"\xe0\x04\x08"),
    (b"b=", b""),
    (b"b+/+/", b"\xfb\xff\xbf"),
    ("bé!AQID".encode(), b"\x01\x02\x03"),
]


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    reader = FrameReader(1 << 24, False)
    reader.feed(data)
    found = []
    while (opcode := reader.next()) != NEED_DATA:
        found.append((opcode, reader.payload))
    return found


def packets_of(payload: bytes) -> list[str | bytes]:
    return [
        decode_binary(packet) if packet.startswith(b"b") else packet.decode()
        for packet in split_payload(payload, 1 << 20)
    ]


texts = st.text().filter(lambda text: "\x1e" not in text).map(lambda text: "4" + text)


@pytest.mark.parametrize(("packet", "data"), OFFICIAL_BASE64)
def test_base64_is_read_as_the_reference_reads_it(packet: bytes, data: bytes) -> None:
    assert decode_binary(packet) == data


def test_a_single_base64_character_is_no_packet() -> None:
    with pytest.raises(PacketError):
        decode_binary(b"bA")


def test_binary_has_no_type_digit_even_where_base64_begins_with_4() -> None:
    assert encode_binary(b"\xe0\x04\x08") == b"b4AQI"
    assert encode_binary(b"") == b"b"
    assert encode_binary(b"\x01") == b"bAQ=="


@given(st.binary())
def test_binary_survives_base64(data: bytes) -> None:
    packet = encode_binary(data)
    assert packet == b"b" + base64.b64encode(data)
    assert decode_binary(packet) == data


@given(st.binary())
def test_any_base64_packet_is_bytes_or_a_packet_error(data: bytes) -> None:
    try:
        assert isinstance(decode_binary(b"b" + data), bytes)
    except PacketError:
        pass


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        (b"4", [b"4"]),
        (b"4a\x1e4b", [b"4a", b"4b"]),
        (b"", [b""]),
        (b"4a\x1e", [b"4a", b""]),
        (b"\x1e4a", [b"", b"4a"]),
        (b"4h\xc3\xa9\x1ebAQID\x1e4\x1eb", [b"4h\xc3\xa9", b"bAQID", b"4", b"b"]),
    ],
)
def test_a_payload_is_split_at_its_separators(payload: bytes, packets: list[bytes]) -> None:
    assert split_payload(payload, 10) == packets


def test_a_payload_may_hold_as_many_packets_as_the_limit_and_no_more() -> None:
    assert len(split_payload(SEPARATOR.join([b"4"] * 10), 10)) == 10
    with pytest.raises(PacketError):
        split_payload(SEPARATOR.join([b"4"] * 11), 10)


def test_a_payload_of_nothing_but_separators_is_refused() -> None:
    with pytest.raises(PacketError):
        split_payload(SEPARATOR * 1_000_000, 10_000)


@given(st.binary(), st.integers(1, 20))
def test_any_payload_is_packets_or_a_packet_error(body: bytes, most: int) -> None:
    try:
        packets = split_payload(body, most)
    except PacketError:
        assert body.count(SEPARATOR) >= most
    else:
        assert len(packets) <= most
        assert SEPARATOR.join(packets) == body


@given(st.lists(st.one_of(texts, st.binary()), min_size=1, max_size=8))
def test_what_messages_carry_over_polling_comes_out_again(contents: list[str | bytes]) -> None:
    messages = [
        Message(None, [one]) if isinstance(one, bytes) else Message(one.encode())
        for one in contents
    ]
    assert packets_of(SEPARATOR.join([one.payload() for one in messages])) == contents


@given(texts, st.lists(st.binary(), min_size=1, max_size=4))
def test_attachments_follow_their_text_on_every_transport(
    text: str, attachments: list[bytes]
) -> None:
    message = Message(text.encode(), attachments)
    assert packets_of(message.payload()) == [text, *attachments]
    frames = [(TEXT, text.encode()), *[(BINARY, one) for one in attachments]]
    assert frames_of(message.frames()) == frames


def test_text_and_pure_binary_messages_on_a_websocket() -> None:
    assert Message(b"4a").frames() == b"\x81\x024a"
    assert Message(None, [b"\x01\x02"]).frames() == b"\x82\x02\x01\x02"
    assert Message(None, [b""]).frames() == b"\x82\x00"


def test_an_empty_binary_message_over_polling() -> None:
    assert Message(None, [b""]).payload() == b"b"


def test_a_message_is_encoded_once_for_all_its_recipients() -> None:
    message = Message(b"4" + b"a" * 200, [b"b"])
    assert message.frames() is message.frames()
    assert message.payload() is message.payload()


def test_size_counts_text_and_attachments() -> None:
    assert Message(b"4abc").size == 4
    assert Message(b"4abc", [b"12", b"345"]).size == 9
    assert Message(None, [b"12"]).size == 2
