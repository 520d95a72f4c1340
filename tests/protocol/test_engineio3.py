from __future__ import annotations

import tracemalloc
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.engineio3 import (
    GARBAGE,
    MAX_DIGITS,
    as_text,
    binary_payload,
    decode_base64,
    split_binary,
    split_text,
    text_payload,
    utf16_length,
)

MANY = 1 << 20

texts = st.text().map(lambda text: b"4" + text.encode())
messages = st.lists(
    st.builds(Message, texts | st.none(), st.lists(st.binary(), min_size=1) | st.none()).filter(
        lambda message: message.text is not None or message.attachments is not None
    ),
    min_size=1,
)


def packets_of(message: Message, binary: bool) -> list[bytes]:
    """What a payload of a message holds, as the splitters give it."""
    packets = [] if message.text is None else [message.text]
    for data in message.attachments or []:
        packets.append(b"\x04" + data if binary else b"b4" + b64encode(data))
    return packets


# What leaves.


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("€", 1), ("🎉", 2), ("a🎉é", 4)]
)
def test_lengths_are_those_of_javascript(text: str, length: int) -> None:
    assert utf16_length(text.encode()) == length


def test_text_payloads_are_as_observed() -> None:
    # With engine.io 6.6.11 and engine.io-client 3.5.
    assert text_payload(Message('42["é"]'.encode())) == '7:42["é"]'.encode()
    assert text_payload(Message(None, [b"\x01\x02\x03"])) == b"6:b4AQID"
    assert text_payload(Message(b"451-[]", [b""])) == b"6:451-[]2:b4"
    assert text_payload(Message(b"6", control=True)) == b"1:6"


def test_binary_payloads_are_as_observed() -> None:
    message = Message(b'451-["x"]', [b"\x01\x02\x03"])
    expected = b"\x00\x09\xff" + b'451-["x"]' + b"\x01\x04\xff\x04\x01\x02\x03"
    assert binary_payload(message) == expected
    long = binary_payload(Message("4é".encode(), [bytes(119)]))
    assert long.startswith(b"\x00\x03\xff4" + "é".encode() + b"\x01\x01\x02\x00\xff\x04")


def test_each_form_is_made_once() -> None:
    message = Message(b"4a", [b"b"])
    assert text_payload(message) is text_payload(message)
    assert binary_payload(message) is binary_payload(message)


@given(messages)
def test_text_payloads_come_back(sent: list[Message]) -> None:
    payload = b"".join([text_payload(message) for message in sent])
    expected = [packet for message in sent for packet in packets_of(message, False)]
    assert split_text(payload, MANY) == expected


@given(messages)
def test_binary_payloads_come_back(sent: list[Message]) -> None:
    payload = b"".join([binary_payload(message) for message in sent])
    expected = [packet for message in sent for packet in packets_of(message, True)]
    assert split_binary(payload, MANY) == expected


# What arrives.


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        ("", [GARBAGE]),
        ("0:", []),
        ("0:1:2", [b"2"]),
        ("007:4abcdef", [b"4abcdef"]),
        ("1", [GARBAGE]),
        (":", [GARBAGE]),
        (":4", [GARBAGE]),
        ("a:4", [GARBAGE]),
        ("-1:4", [GARBAGE]),
        ("1.0:4", [GARBAGE]),
        (" 1:4", [GARBAGE]),
        ("3:4a", [GARBAGE]),
        ("2:4a1", [b"4a", GARBAGE]),
        ("2:4a9:4b", [b"4a", GARBAGE]),
        ("2:4a2:4bx", [b"4a", b"4b", GARBAGE]),
        ("2:4é3:4🎉", ["4é".encode(), "4🎉".encode()]),
        ("2:4é٣:4ab", ["4é".encode(), GARBAGE]),
        ("2:4🎉", ["4\ufffd".encode(), GARBAGE]),
        ("4:4🎉", [GARBAGE]),
    ],
)
def test_text_payloads_are_split(payload: str, packets: list[bytes]) -> None:
    assert split_text(payload.encode(), MANY) == packets


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        (b"", [GARBAGE]),
        (b"\x00", [GARBAGE]),
        (b"\x00\xff", [GARBAGE]),
        (b"\x00\x01", [GARBAGE]),
        (b"\x00\x01\xff", [GARBAGE]),
        (b"\x00\x01\xff4", [b"4"]),
        (b"\x00\x02\xff4", [GARBAGE]),
        (b"\x00\x00\xff", [GARBAGE]),
        (b"\x01\x00\xff", [GARBAGE]),
        (b"\x02\x01\xff4", [GARBAGE]),
        (b"\x00\x0a\xff4", [GARBAGE]),
        (b"\x00\x001\xff4", [GARBAGE]),
        (b"\x01\x02\xff\x04\xff", [b"\x04\xff"]),
        (b"\x01\x01\xff\x04", [b"\x04"]),
        (b"\x01\x01\xff\x07", [GARBAGE]),
        (b"\x00\x02\xff\x04a", [GARBAGE]),
        (b"\x00\x02\xff4\xff", ["4\ufffd".encode()]),
        (b"\x00\x01\xff2\x00\x03\xff4", [b"2", GARBAGE]),
        (b"\x00\x00\xff\x00", [GARBAGE]),
        (b"\x01\x01\xff\x07\x00\x01\xff4", [GARBAGE]),
    ],
)
def test_binary_payloads_are_split(payload: bytes, packets: list[bytes]) -> None:
    assert split_binary(payload, MANY) == packets


@given(st.binary(max_size=200))
def test_any_bytes_are_split_into_no_more_than_there_is(data: bytes) -> None:
    for packets in (
        split_binary(data, MANY),
        split_text(data.decode("utf-8", "replace").encode(), MANY),
    ):
        assert GARBAGE not in packets[:-1]
        assert sum(len(packet) for packet in packets) <= 3 * len(data)


@given(st.text(alphabet="0123456789:4bé🎉", max_size=40))
def test_any_text_is_split_as_javascript_would(payload: str) -> None:
    assert split_text(payload.encode(), MANY) == list(_as_the_reference(payload))


def _as_the_reference(payload: str) -> list[bytes]:
    """The packets by slicing UTF-16, a unit at a time."""
    units = payload.encode("utf-16-le")
    found: list[bytes] = []
    while units:
        digits, colon, rest = _partition(units)
        size = 2 * int(digits) if digits.isdecimal() and len(digits) <= MAX_DIGITS else -1
        if not colon or size < 0 or size > len(rest):
            return [*found, GARBAGE]
        if size:
            found.append(rest[:size].decode("utf-16-le", "replace").encode())
        units = rest[size:]
    return found if payload else [GARBAGE]


def _partition(units: bytes) -> tuple[str, bool, bytes]:
    for index in range(0, len(units), 2):
        if units[index : index + 2] == b":\x00":
            digits = units[:index].decode("utf-16-le", "replace")
            return digits, True, units[index + 2 :]
    return "", False, b""


@pytest.mark.parametrize("split", [split_text, split_binary])
def test_a_payload_holds_so_many_packets_and_no_more(split: object) -> None:
    encode = text_payload if split is split_text else binary_payload
    payload = encode(Message(b"4"))
    assert callable(split)
    assert split(payload * 10, 10) == [b"4"] * 10
    with pytest.raises(PacketError, match="too many packets"):
        split(payload * 11, 10)


def test_lengths_of_many_digits_are_given_up() -> None:
    # The reference would read on; a number of a million digits takes a while to make.
    assert split_text(b"0" * 1_000_000, MANY) == [GARBAGE]
    assert split_text(b"9" * 1_000_000 + b":4", MANY) == [GARBAGE]
    assert split_text(("9" * 1_000_000 + ":é").encode(), MANY) == [GARBAGE]
    assert split_binary(b"\x00" * 1_000_000, MANY) == [GARBAGE]
    assert split_binary(b"\x00" + b"\x09" * 1_000_000 + b"\xff4", MANY) == [GARBAGE]


def test_what_is_announced_takes_no_memory() -> None:
    tracemalloc.start()
    assert split_text(b"999999999999:4", MANY) == [GARBAGE]
    assert split_binary(b"\x01" + b"\x09" * 12 + b"\xff\x04", MANY) == [GARBAGE]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (b"b4", b"\x04"),
        (b"b4AQID", b"\x04\x01\x02\x03"),
        (b"b4AQI", b"\x04\x01\x02"),
        (b"b2", b"\x02"),
    ],
)
def test_base64_is_read(packet: bytes, data: bytes) -> None:
    assert decode_base64(packet) == data


@pytest.mark.parametrize("packet", [b"b", b"b7AQID", b"bAQID", b"b4A", b"b\xff"])
def test_what_is_no_base64_packet_is_refused(packet: bytes) -> None:
    with pytest.raises(PacketError):
        decode_base64(packet)


def test_binary_packets_that_are_no_messages_have_a_text_form() -> None:
    assert as_text(b"\x02probe") == b"2probe"
    assert as_text(b"\x06") == b"6"
    for packet in (b"", b"\x04a", b"\x07", b"4a"):
        assert as_text(packet) == GARBAGE
