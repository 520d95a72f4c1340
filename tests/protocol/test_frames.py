"""The frame reader and the frame builders, rule by rule, and their properties."""

from __future__ import annotations

import sys
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NEED_DATA,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    encode,
    encode_close,
    encode_masked,
    is_close_code,
    mask,
)

KEY = b"\x9a\x01\xfe\x37"
LIMIT = 1000

Event = tuple[int, bytes]
Outcome = tuple[list[Event], tuple[int, str] | None]


def slow_mask(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    wide: int = 0,
) -> bytes:
    """Build any frame, also a wrong one; `wide` forces a length field of 2 or 8 bytes."""
    size = len(payload)
    wide = wide or (0 if size <= 125 else 2 if size <= 65535 else 8)
    short = {0: size, 2: 126, 8: 127}[wide]
    head = bytes([fin << 7 | rsv << 4 | opcode, (key is not None) << 7 | short])
    head += size.to_bytes(wide, "big") if wide else b""
    return head + payload if key is None else head + key + slow_mask(payload, key)


def read(reader: FrameReader, *chunks: bytes) -> Outcome:
    """Feed the chunks; return every event, and the error that ended it."""
    events: list[Event] = []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (opcode := reader.next()) != NEED_DATA:
                events.append((opcode, reader.payload))
    except FrameError as error:
        return events, (error.code, error.reason)
    return events, None


def server_reader(max_size: int = LIMIT, max_fragments: int = 4096) -> FrameReader:
    return FrameReader(max_size, True, max_fragments)


def code_of(data: bytes, max_size: int = LIMIT, max_fragments: int = 4096) -> int | None:
    """The close code that the data earns, whole and byte by byte."""
    whole = read(server_reader(max_size, max_fragments), data)
    single = [data[index : index + 1] for index in range(len(data))]
    assert read(server_reader(max_size, max_fragments), *single) == whole
    return None if whole[1] is None else whole[1][0]


class Reverser:
    """Stands in for a compression extension."""

    def inflate(self, payload: bytes, max_size: int) -> bytes:
        if payload == b"big":
            raise FrameError(1009, "inflated message too big")
        return payload[::-1]


# Messages


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 64, 125, 126, 127, 65535, 65536, 70001])
@pytest.mark.parametrize("masked", [True, False])
def test_whole_messages_of_every_length_form(size: int, masked: bool) -> None:
    payload = bytes(index % 251 for index in range(size))
    reader = FrameReader(100_000, masked)
    data = frame(BINARY, payload, key=KEY if masked else None)
    assert read(reader, data) == ([(BINARY, payload)], None)
    assert reader.next() == NEED_DATA
    assert reader.payload == b""


def test_many_messages_in_one_chunk() -> None:
    payloads = [b"message %d" % index for index in range(16)]
    data = b"".join(frame(TEXT, payload) for payload in payloads)
    assert read(server_reader(), data) == ([(TEXT, payload) for payload in payloads], None)


def test_text_stays_bytes() -> None:
    text = "grüße 👋".encode()
    assert read(server_reader(), frame(TEXT, text)) == ([(TEXT, text)], None)


def test_every_split_of_a_stream_gives_the_same() -> None:
    data = (
        frame(TEXT, b"one")
        + frame(BINARY, b"x" * 300)
        + frame(TEXT, b"a", fin=False)
        + frame(PING, b"?")
        + frame(CONTINUATION, b"b")
        + frame(CLOSE, encode_close(1001, "bye"))
    )
    expected = read(server_reader(), data)
    assert [opcode for opcode, _ in expected[0]] == [TEXT, BINARY, PING, TEXT, CLOSE]
    for split in range(len(data) + 1):
        assert read(server_reader(), data[:split], data[split:]) == expected


def test_feeding_more_than_once_between_calls_of_next() -> None:
    reader = server_reader()
    data = frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"x" * 400)
    for index in range(0, 200, 3):
        reader.feed(data[index : min(index + 3, 200)])
    assert reader.next() == TEXT and reader.payload == b"one"
    reader.feed(data[200:300])
    assert reader.next() == TEXT and reader.payload == b"two"
    reader.feed(data[300:] + frame(TEXT, b"last"))
    assert reader.next() == TEXT and reader.payload == b"x" * 400
    assert reader.next() == TEXT and reader.payload == b"last"
    assert reader.next() == NEED_DATA


def test_length_of_one_frame_does_not_hold_up_the_next() -> None:
    reader = server_reader()
    data = frame(TEXT, b"x" * 900) + frame(TEXT, b"one") + frame(TEXT, b"two")
    for chunk in (data[:500], data[500:]):
        reader.feed(chunk)
        opcode = reader.next()
    assert opcode == TEXT and reader.payload == b"x" * 900
    reader.feed(frame(TEXT, b"three"))
    assert read(reader, b"") == ([(TEXT, b"one"), (TEXT, b"two"), (TEXT, b"three")], None)


def test_big_frame_in_many_chunks() -> None:
    # A quarter of a million chunks: copying what is there at each of them would take minutes.
    payload = bytes(range(256)) * 65536
    data = frame(BINARY, b"") + encode_masked(BINARY, payload, KEY) + frame(TEXT, b"after")
    reader = server_reader(len(payload))
    chunks = [data[index : index + 64] for index in range(0, len(data), 64)]
    assert read(reader, *chunks) == ([(BINARY, b""), (BINARY, payload), (TEXT, b"after")], None)


# Fragments


def test_fragments_are_joined_and_control_frames_come_between() -> None:
    data = (
        frame(TEXT, b"gr", fin=False)
        + frame(PING, b"p")
        + frame(CONTINUATION, "ü".encode()[:1], fin=False)
        + frame(PONG, b"q")
        + frame(CONTINUATION, "ü".encode()[1:] + b"n")
        + frame(BINARY, b"\xff")
    )
    expected = [(PING, b"p"), (PONG, b"q"), (TEXT, "grün".encode()), (BINARY, b"\xff")]
    assert read(server_reader(), data) == (expected, None)


def test_empty_fragments() -> None:
    data = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION)
    assert read(server_reader(), data) == ([(TEXT, b"")], None)


def test_close_within_a_fragmented_message() -> None:
    reader = server_reader()
    data = frame(TEXT, b"x", fin=False) + frame(CLOSE, encode_close(1000))
    assert read(reader, data) == ([(CLOSE, b"\x03\xe8")], None)
    assert reader.close_code == 1000


@pytest.mark.parametrize(
    "data",
    [
        frame(CONTINUATION, b"x"),
        frame(CONTINUATION, b"x", fin=False),
        frame(TEXT, b"x") + frame(CONTINUATION, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(TEXT, b"x", fin=False) + frame(BINARY, b"y", fin=False),
        frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"") + frame(CONTINUATION, b""),
    ],
)
def test_fragments_out_of_order(data: bytes) -> None:
    assert code_of(data) == 1002


def test_number_of_fragments_is_limited() -> None:
    start = frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"x", fin=False) * 8
    assert code_of(start + frame(CONTINUATION, b"x"), max_fragments=10) is None
    assert code_of(start + frame(CONTINUATION, b"x"), max_fragments=9) == 1009
    # The count starts again with each message.
    assert code_of((start + frame(CONTINUATION, b"x")) * 3, max_fragments=10) is None


def test_flood_of_tiny_fragments_ends_by_default() -> None:
    data = frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"x", fin=False) * 1_000_000
    outcome = read(server_reader(10_000_000), data)
    assert outcome == ([], (1009, "too many fragments"))


def test_tiny_fragments_take_no_more_memory_than_their_bytes() -> None:
    count = 100_000
    reader = server_reader(10_000_000, max_fragments=10_000_000)
    chunk = frame(CONTINUATION, b"x", fin=False) * 1000
    reader.feed(frame(BINARY, b"", fin=False))
    tracemalloc.start()
    try:
        for _ in range(count // 1000):
            reader.feed(chunk)
            assert reader.next() == NEED_DATA
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * count
    assert read(reader, frame(CONTINUATION)) == ([(BINARY, b"x" * count)], None)


# Sizes


@pytest.mark.parametrize("masked", [True, False])
def test_size_is_judged_by_the_header_alone(masked: bool) -> None:
    mark = 0x80 if masked else 0
    for size in (LIMIT + 1, 2**16, 2**40, 2**63 - 1):
        head = bytes([0x82, mark | 127]) + size.to_bytes(8, "big")
        assert read(FrameReader(LIMIT, masked), head) == ([], (1009, "message too big"))
    head = bytes([0x82, mark | 126]) + (LIMIT + 1).to_bytes(2, "big")
    assert read(FrameReader(LIMIT, masked), head) == ([], (1009, "message too big"))


def test_size_limit_is_exact() -> None:
    assert code_of(frame(BINARY, b"x" * LIMIT)) is None
    assert code_of(frame(BINARY, b"x" * (LIMIT + 1))) == 1009
    assert code_of(frame(BINARY, b"xx"), max_size=1) == 1009
    assert code_of(frame(BINARY, b""), max_size=0) is None
    assert code_of(frame(BINARY, b"x"), max_size=0) == 1009


def test_size_limit_is_summed_over_fragments() -> None:
    start = frame(BINARY, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 300, fin=False)
    assert code_of(start + frame(CONTINUATION, b"x" * 100)) is None
    head_only = frame(CONTINUATION, b"x" * 101)[:2]
    assert read(server_reader(), start + head_only) == ([], (1009, "message too big"))


def test_control_frames_do_not_count_as_message_bytes() -> None:
    data = frame(BINARY, b"xx", fin=False) + frame(PING, b"p" * 125) * 3 + frame(CONTINUATION, b"x")
    assert code_of(data, max_size=3) is None


def test_announced_bytes_are_not_allocated() -> None:
    reader = server_reader(1 << 40)
    tracemalloc.start()
    try:
        reader.feed(bytes([0x82, 0xFF]) + (1 << 40).to_bytes(8, "big") + KEY + b"x")
        assert reader.next() == NEED_DATA
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000


def test_length_above_63_bits() -> None:
    for top in (0x80, 0xFF):
        assert code_of(bytes([0x82, 0xFF, top]) + bytes(7)) == 1002


@pytest.mark.parametrize("wide", [2, 8])
def test_lengths_in_a_longer_form_are_accepted_for_data(wide: int) -> None:
    assert read(server_reader(), frame(TEXT, b"hi", wide=wide)) == ([(TEXT, b"hi")], None)


# Headers


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits(opcode: int, rsv: int) -> None:
    assert code_of(frame(opcode, b"", rsv=rsv)) == 1002
    assert code_of(frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"", rsv=rsv)) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcodes(opcode: int) -> None:
    assert code_of(frame(opcode, b"")) == 1002
    assert code_of(frame(TEXT, b"x", fin=False) + frame(opcode, b"")) == 1002


def test_mask_must_be_there_from_clients_and_must_not_from_servers() -> None:
    for opcode in (TEXT, BINARY, PING, CLOSE):
        assert code_of(frame(opcode, b"", key=None)) == 1002
        assert read(FrameReader(LIMIT, False), frame(opcode, b""))[1] == (1002, "masked frame")
        assert read(FrameReader(LIMIT, False), frame(opcode, b"", key=None))[1] is None


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_short_and_whole(opcode: int) -> None:
    payload = encode_close(1000, "x" * 123) if opcode == CLOSE else b"x" * 125
    assert code_of(frame(opcode, payload)) is None
    assert code_of(frame(opcode, payload + b"x")) == 1002
    assert code_of(frame(opcode, b"", fin=False)) == 1002
    assert code_of(frame(opcode, b"", wide=2)) == 1002
    assert code_of(frame(opcode, b"", wide=8)) == 1002


def test_ping_comes_out_exactly() -> None:
    payload = bytes(range(125))
    assert read(server_reader(), frame(PING, payload)) == ([(PING, payload)], None)


# UTF-8


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a" * 80 + b"\x80"],
)
def test_text_must_be_utf_8(data: bytes) -> None:
    assert code_of(frame(TEXT, data)) == 1007
    assert code_of(frame(TEXT, data, fin=False) + frame(CONTINUATION)) == 1007
    assert code_of(frame(BINARY, data)) is None
    assert code_of(frame(CLOSE, b"\x03\xe8" + data)) == 1007


# Close frames


def test_close_code_and_reason() -> None:
    reader = server_reader()
    assert reader.close_code == 0
    payload = encode_close(4001, "später")
    assert read(reader, frame(CLOSE, payload)) == ([(CLOSE, payload)], None)
    assert (reader.close_code, reader.close_reason) == (4001, "später")


def test_close_without_code() -> None:
    reader = server_reader()
    assert read(reader, frame(CLOSE)) == ([(CLOSE, b"")], None)
    assert (reader.close_code, reader.close_reason) == (1005, "")


def test_close_of_one_byte() -> None:
    assert code_of(frame(CLOSE, b"\x03")) == 1002


def test_close_codes() -> None:
    good = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in [*range(990, 1030), *range(2990, 3010), *range(4990, 5010), 0, 65535]:
        data = frame(CLOSE, code.to_bytes(2, "big"))
        assert code_of(data) == (None if code in good else 1002), code
        assert is_close_code(code) == (code in good)


def test_everything_after_close_is_ignored() -> None:
    reader = server_reader()
    data = frame(CLOSE, encode_close(1000)) + b"\xff\xff"
    assert read(reader, data, frame(TEXT, b"late"), b"junk") == ([(CLOSE, b"\x03\xe8")], None)
    assert reader.close_code == 1000
    assert reader.payload == b""


# Errors


def test_error_stays_and_what_came_before_it_was_delivered() -> None:
    reader = server_reader()
    data = frame(TEXT, b"fine") + frame(3, b"") + frame(TEXT, b"lost")
    assert read(reader, data) == ([(TEXT, b"fine")], (1002, "unknown opcode"))
    for _ in range(3):
        reader.feed(frame(TEXT, b"more"))
        with pytest.raises(FrameError) as caught:
            reader.next()
        assert (caught.value.code, caught.value.reason) == (1002, "unknown opcode")
        assert str(caught.value) == "1002 unknown opcode"
    assert reader.payload == b""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((-1, True), "max_size"), ((2**61, True), "max_size"), ((1, True, 0), "max_fragments")],
)
def test_wrong_limits_are_refused(arguments: tuple[int, bool], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        FrameReader(*arguments)


# Memory of an idle reader


def test_idle_reader_is_small_and_holds_no_input() -> None:
    reader = server_reader()
    assert sys.getsizeof(reader) <= 160
    data = bytes(bytearray(frame(TEXT, b"one") + frame(BINARY, b"two" * 100)))
    before = sys.getrefcount(data)
    reader.feed(data)
    assert reader.next() == TEXT
    assert reader.next() == BINARY
    payload = reader.payload
    assert reader.next() == NEED_DATA
    assert sys.getrefcount(data) == before
    assert sys.getrefcount(payload) == 2


@pytest.mark.parametrize("tail", [b"\x03\x04" * 50, frame(CLOSE)])
def test_reader_that_has_ended_holds_no_input(tail: bytes) -> None:
    reader = server_reader()
    data = bytes(bytearray(frame(TEXT, b"x", fin=False) + tail + b"x" * 500))
    before = sys.getrefcount(data)
    read(reader, data)
    reader.feed(data)
    assert sys.getrefcount(data) == before


# Compressed messages


def test_rsv1_marks_a_compressed_message() -> None:
    reader = FrameReader(LIMIT, True, inflater=Reverser())
    data = (
        frame(TEXT, b"cba", rsv=4)
        + frame(TEXT, b"plain")
        + frame(BINARY, b"43", rsv=4, fin=False)
        + frame(PING, b"p")
        + frame(CONTINUATION, b"21")
    )
    expected = [(TEXT, b"abc"), (TEXT, b"plain"), (PING, b"p"), (BINARY, b"1234")]
    assert read(reader, data) == (expected, None)


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x", rsv=2),
        frame(TEXT, b"x", rsv=1),
        frame(TEXT, b"x", rsv=6),
        frame(PING, b"x", rsv=4),
        frame(CLOSE, b"", rsv=4),
        frame(TEXT, b"x", rsv=4, fin=False) + frame(CONTINUATION, b"x", rsv=4),
        frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", rsv=4),
    ],
)
def test_reserved_bits_beside_compression(data: bytes) -> None:
    outcome = read(FrameReader(LIMIT, True, inflater=Reverser()), data)
    assert outcome == ([], (1002, "reserved bits set"))


def test_errors_while_inflating_are_the_readers() -> None:
    reader = FrameReader(LIMIT, True, inflater=Reverser())
    expected = (1009, "inflated message too big")
    assert read(reader, frame(BINARY, b"big", rsv=4)) == ([], expected)
    assert read(reader, b"") == ([], expected)


def test_inflated_text_must_be_utf_8() -> None:
    reader = FrameReader(LIMIT, True, inflater=Reverser())
    assert read(reader, frame(TEXT, "ü".encode(), rsv=4)) == ([], (1007, "text is not UTF-8"))


# Building frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_encode_writes_the_shortest_form(size: int) -> None:
    payload = b"x" * size
    for opcode in (TEXT, BINARY):
        assert encode(opcode, payload) == frame(opcode, payload, key=None)
        assert encode(opcode, payload, True) == frame(opcode, payload, key=None, rsv=4)
        assert encode_masked(opcode, payload, KEY) == frame(opcode, payload)
        assert encode_masked(opcode, payload, KEY, rsv1=True) == frame(opcode, payload, rsv=4)


def test_encode_control_frames() -> None:
    for opcode in (CLOSE, PING, PONG):
        assert encode(opcode, b"x" * 125) == frame(opcode, b"x" * 125, key=None)
        for build in (encode, lambda opcode, payload: encode_masked(opcode, payload, KEY)):
            with pytest.raises(ValueError, match="payload"):
                build(opcode, b"x" * 126)


@pytest.mark.parametrize("opcode", [-1, 0, 3, 7, 11, 255])
def test_encode_refuses_other_opcodes(opcode: int) -> None:
    with pytest.raises(ValueError, match="opcode"):
        encode(opcode, b"")
    with pytest.raises(ValueError, match="opcode"):
        encode_masked(opcode, b"", KEY)


@pytest.mark.parametrize("key", [b"", b"123", b"12345"])
def test_encode_masked_refuses_other_keys(key: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        encode_masked(TEXT, b"", key)


def test_encode_close() -> None:
    assert encode_close(1005) == b""
    assert encode_close(1000) == b"\x03\xe8"
    assert encode_close(4999, "ende") == b"\x13\x87ende"
    assert encode_close(1011, "ü" * 61 + "x") == b"\x03\xf3" + "ü".encode() * 61 + b"x"


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 2000, 2999, 5000, 70000])
def test_encode_close_refuses_codes_that_may_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match="code"):
        encode_close(code)


def test_encode_close_refuses_reasons() -> None:
    with pytest.raises(ValueError, match="reason"):
        encode_close(1000, "ü" * 62)
    with pytest.raises(ValueError, match="reason"):
        encode_close(1005, "but why")
    with pytest.raises(ValueError, match="reason"):
        encode_close(1000, "\ud800")
    for reason in (b"bytes", bytearray(200), 5, None):
        with pytest.raises(TypeError):
            encode_close(1000, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 127, 3071, 3072, 3073, 3074, 3075, 9001])
@pytest.mark.parametrize("key", [KEY, bytes(4), b"\xff\xff\xff\xff", b"\x00\x80\x00\x01"])
def test_mask(size: int, key: bytes) -> None:
    payload = bytes(index * 7 % 256 for index in range(size))
    assert mask(payload, key) == slow_mask(payload, key)


# Properties


keys = st.binary(min_size=4, max_size=4)
data_payloads = st.one_of(
    st.binary(max_size=300), st.builds(bytes, st.integers(min_value=0, max_value=70_000))
)


@settings(max_examples=100, deadline=None)
@given(
    messages=st.lists(
        st.one_of(
            st.tuples(st.just(TEXT), st.text(max_size=200).map(str.encode)),
            st.tuples(st.just(BINARY), data_payloads),
            st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
        )
    ),
    key=keys,
)
def test_what_was_encoded_is_read_back(messages: list[Event], key: bytes) -> None:
    plain = b"".join(encode(*message) for message in messages)
    assert read(FrameReader(70_000, False), plain) == (messages, None)
    masked = b"".join(encode_masked(*message, key) for message in messages)
    assert read(FrameReader(70_000, True), masked) == (messages, None)


@settings(max_examples=100, deadline=None)
@given(
    code=st.integers(min_value=1000, max_value=4999).filter(is_close_code),
    reason=st.text(max_size=30),
)
def test_what_was_closed_with_is_read_back(code: int, reason: str) -> None:
    reader = FrameReader(LIMIT, False)
    reader.feed(encode(CLOSE, encode_close(code, reason)))
    assert reader.next() == CLOSE
    assert (reader.close_code, reader.close_reason) == (code, reason)


any_frame = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3]),
    st.binary(max_size=150),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 0, 4, 2]),
    key=keys,
    wide=st.sampled_from([0, 0, 0, 8]),
)
streams = st.lists(st.one_of(any_frame, any_frame, st.binary(max_size=20)), max_size=8).map(
    b"".join
)


@settings(max_examples=150, deadline=None)
@given(data=streams, cuts=st.lists(st.integers(min_value=0, max_value=800), max_size=12))
def test_chunks_do_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = read(FrameReader(200, True, 4, Reverser()), data)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in pairwise(edges)]
    assert read(FrameReader(200, True, 4, Reverser()), *chunks) == whole
    single = [data[index : index + 1] for index in range(len(data))]
    assert read(FrameReader(200, True, 4, Reverser()), *single) == whole
