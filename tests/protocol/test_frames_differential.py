"""The frame reader beside two other people's: websockets and wsproto, without I/O all three.

Each reads the same streams: valid ones, valid ones with some bytes changed, and random ones. They
must deliver the same messages and control frames, and agree on whether the stream is to be
refused. Where they are known to differ, the difference has a test of its own below that shows
both sides of it, with the reason for ours, and streams that meet it are not compared:

websockets, `differs_from_websockets`
    1. accepts control frames whose length is written in a longer form;
    2. refuses a close frame within a fragmented message;
    3. counts control frames within a fragmented message against the size limit.
    It also leaves the UTF-8 of text to its caller, so the harness here does what its callers do,
    and judges a frame only when all of it is there.
wsproto, `differs_from_wsproto`
    4. refuses lengths that are not written in the shortest form;
    5. refuses the close code 1014;
    6. has no size limit.
    It also judges UTF-8 as it arrives, not at the end of the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol
from wsproto.frame_protocol import FrameProtocol, ParseFailed

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
)

LIMIT = 200
KEY = b"\x21\xc4\x00\x9f"


@dataclass
class Outcome:
    """What a parser made of a stream: what it delivered, and the close code if it refused."""

    events: list[tuple[int, bytes]] = field(default_factory=list)
    refused: int | None = None


def by_nuncio(data: bytes, masked: bool) -> Outcome:
    reader = FrameReader(LIMIT, masked, max_fragments=1_000_000)
    outcome = Outcome()
    try:
        reader.feed(data)
        while (opcode := reader.next()) != NEED_DATA:
            outcome.events.append((opcode, reader.payload))
    except FrameError as error:
        outcome.refused = error.code
    return outcome


def by_websockets(data: bytes, masked: bool) -> Outcome:
    protocol = Protocol(SERVER if masked else CLIENT, max_size=LIMIT)
    protocol.receive_data(data)
    outcome = Outcome()
    opcode, parts = 0, b""
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        payload = bytes(frame.data)
        if frame.opcode >= CLOSE:
            outcome.events.append((int(frame.opcode), payload))
            continue
        if frame.opcode is not Opcode.CONT:
            opcode, parts = int(frame.opcode), b""
        parts += payload
        if frame.fin:
            try:
                if opcode == TEXT:
                    parts.decode()
            except UnicodeDecodeError:
                outcome.refused = 1007
                return outcome
            outcome.events.append((opcode, parts))
    error = protocol.parser_exc
    if error is not None:
        if isinstance(error, PayloadTooBig):
            outcome.refused = 1009
        else:
            outcome.refused = 1007 if isinstance(error, UnicodeDecodeError) else 1002
    return outcome


def by_wsproto(data: bytes, masked: bool) -> Outcome:
    protocol = FrameProtocol(client=not masked, extensions=[])
    protocol.receive_bytes(data)
    outcome = Outcome()
    parts = b""
    try:
        for frame in protocol.received_frames():
            payload = frame.payload
            if isinstance(payload, tuple):
                code, reason = payload
                words = b"" if code == 1005 else int(code).to_bytes(2, "big") + reason.encode()
                outcome.events.append((CLOSE, words))
                continue
            whole = payload.encode() if isinstance(payload, str) else bytes(payload)
            if frame.opcode.iscontrol():
                outcome.events.append((int(frame.opcode), whole))
                continue
            parts += whole
            if frame.message_finished:
                outcome.events.append((int(frame.opcode), parts))
                parts = b""
    except ParseFailed as error:
        outcome.refused = int(error.code)
    return outcome


@dataclass
class Seen:
    """One frame as its bytes say, right or wrong."""

    first: int
    short: int
    length: int
    room: int
    payload: bytes
    complete: bool
    in_text: bool  # after it, a text message is unfinished
    in_message: bool  # before it, a message was

    @property
    def control(self) -> bool:
        return bool(self.first & 8)

    @property
    def opcode(self) -> int:
        return self.first & 15


def walk(data: bytes) -> Iterator[Seen]:
    """Take a stream apart without judging it, up to a close frame or the end."""
    position, held, message = 0, 0, 0
    while position < len(data):
        first, second = data[position], (data + b"\0")[position + 1]
        short = second & 127
        wide = {126: 2, 127: 8}.get(short, 0)
        start = position + 2 + wide
        length = int.from_bytes(data[position + 2 : start], "big") if wide else short
        key = data[start : start + 4] if second & 128 else b""
        start += 4 if second & 128 else 0
        end = start + length
        payload = data[start:end]
        if len(key) == 4:
            payload = unmask(payload, key)
        before, room = message, LIMIT - held
        if not first & 8:
            message = 0 if first & 128 else message or first & 15
            held = 0 if first & 128 else held + length
        yield Seen(
            first, short, length, room, payload, end <= len(data), message == TEXT, before != 0
        )
        if first & 15 == CLOSE:
            return
        position = end


def unmask(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def differs_from_websockets(frame: Seen) -> bool:
    return frame.control and (
        frame.short > 125
        or (frame.opcode == CLOSE and frame.in_message)
        or (frame.in_message and frame.length > frame.room)
    )


def differs_from_wsproto(frame: Seen) -> bool:
    return (
        (frame.short == 126 and frame.length < 126)
        or (frame.short == 127 and frame.length < 65536)
        or (frame.opcode == CLOSE and frame.payload[:2] == (1014).to_bytes(2, "big"))
        or (not frame.control and frame.length > frame.room)
    )


def compare(data: bytes, masked: bool) -> None:
    ours = by_nuncio(data, masked)
    frames = list(walk(data))
    waits = bool(frames) and not frames[-1].complete

    theirs = by_websockets(data, masked)
    if not any(differs_from_websockets(frame) for frame in frames):
        assert theirs.events == ours.events
        if not (waits and theirs.refused is None):
            assert bool(theirs.refused) == bool(ours.refused)

    theirs = by_wsproto(data, masked)
    if not any(differs_from_wsproto(frame) for frame in frames):
        if theirs.refused == 1007:
            assert ours.refused or frames[-1].in_text or waits
            assert ours.events[: len(theirs.events)] == theirs.events
        else:
            assert theirs.events == ours.events
            if not (waits and theirs.refused is None):
                assert bool(theirs.refused) == bool(ours.refused)


# Streams


def build(
    opcode: int,
    payload: bytes,
    masked: bool = True,
    fin: bool = True,
    rsv: int = 0,
    wide: int = 0,
) -> bytes:
    size = len(payload)
    wide = wide or (0 if size <= 125 else 2 if size <= 65535 else 8)
    short = {0: size, 2: 126, 8: 127}[wide]
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | short])
    head += size.to_bytes(wide, "big") if wide else b""
    return head + KEY + unmask(payload, KEY) if masked else head + payload


texts = st.text("aü€👋", max_size=6).map(str.encode)
binaries = st.one_of(st.binary(max_size=8), st.binary(min_size=120, max_size=130))
close_payloads = st.one_of(
    st.just(b""),
    st.builds(
        lambda code, reason: code.to_bytes(2, "big") + reason,
        st.sampled_from([1000, 1001, 1003, 1007, 1013, 3000, 4999]),
        texts,
    ),
)


@st.composite
def valid_streams(draw: st.DrawFn, masked: bool) -> bytes:
    """Whole and fragmented messages with control frames between, and perhaps a close frame."""
    stream = b""
    for _ in range(draw(st.integers(min_value=0, max_value=5))):
        opcode, payload = draw(
            st.one_of(st.tuples(st.just(TEXT), texts), st.tuples(st.just(BINARY), binaries))
        )
        cuts = sorted(draw(st.lists(st.integers(min_value=0, max_value=len(payload)), max_size=3)))
        edges = [0, *cuts, len(payload)]
        for index in range(len(edges) - 1):
            part = payload[edges[index] : edges[index + 1]]
            fin = index == len(edges) - 2
            stream += build(CONTINUATION if index else opcode, part, masked, fin)
            for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
                control = draw(st.sampled_from([PING, PONG]))
                stream += build(control, draw(st.binary(max_size=5)), masked)
    if draw(st.booleans()):
        stream += build(CLOSE, draw(close_payloads), masked) + draw(st.binary(max_size=3))
    return stream


edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "insert", "delete", "cut"]),
        st.integers(min_value=0, max_value=200),
        st.integers(min_value=0, max_value=255),
    ),
    min_size=1,
    max_size=3,
)


def edited(stream: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(stream)
    for kind, where, value in changes:
        if not data:
            break
        index = where % len(data)
        if kind == "set":
            data[index] = value
        elif kind == "flip":
            data[index] ^= 1 << value % 8
        elif kind == "insert":
            data.insert(index, value)
        elif kind == "delete":
            del data[index]
        else:
            del data[index:]
    return bytes(data)


any_frames = st.builds(
    build,
    st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3, 11]),
    st.one_of(texts, st.binary(max_size=6), st.binary(min_size=120, max_size=210)),
    st.sampled_from([True, True, True, True, True, True, False]),
    st.booleans(),
    st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 4]),
    st.sampled_from([0, 0, 0, 0, 2, 8]),
)


@pytest.mark.parametrize("masked", [True, False])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_valid_streams(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(valid_streams(masked))
    assert by_nuncio(stream, masked).refused is None
    compare(stream, masked)


@pytest.mark.parametrize("masked", [True, False])
@settings(max_examples=200, deadline=None)
@given(data=st.data(), changes=edits)
def test_changed_streams(
    masked: bool, data: st.DataObject, changes: list[tuple[str, int, int]]
) -> None:
    compare(edited(data.draw(valid_streams(masked)), changes), masked)


@settings(max_examples=200, deadline=None)
@given(frames=st.lists(any_frames, max_size=5))
def test_frames_of_every_kind(frames: list[bytes]) -> None:
    compare(b"".join(frames), True)


@pytest.mark.parametrize("masked", [True, False])
@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([b"", b"\x81", b"\x81\x81", b"\x01\x00", b"\x88\x82", b"\x88\x02"]),
    rest=st.binary(max_size=40),
)
def test_random_streams(masked: bool, start: bytes, rest: bytes) -> None:
    compare(start + rest, masked)


@pytest.mark.parametrize("second", [0x00, 0x01, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0xFD, 0xFE, 0xFF])
def test_every_first_byte(second: int) -> None:
    tail = b"\0" * 300
    for first in range(256):
        for before in (b"", build(TEXT, b"x", second > 127, fin=False)):
            for masked in (True, False):
                compare(before + bytes([first, second]) + tail, masked)


@pytest.mark.parametrize("masked", [True, False])
def test_every_close_code(masked: bool) -> None:
    for code in range(65536) if masked else range(900, 5100):
        payload = code.to_bytes(2, "big")
        expected = by_nuncio(build(CLOSE, payload, masked), masked)
        assert by_websockets(build(CLOSE, payload, masked), masked) == expected
        if code != 1014:
            assert by_wsproto(build(CLOSE, payload, masked), masked) == expected


# The known differences


def test_1_longer_forms_of_length_in_control_frames() -> None:
    # Section 5.5 limits control frames to 125 bytes, which the short form holds.
    stream = build(PING, b"x", wide=2)
    assert by_nuncio(stream, True) == Outcome([], 1002)
    assert by_wsproto(stream, True) == Outcome([], 1002)
    assert by_websockets(stream, True) == Outcome([(PING, b"x")])


def test_2_close_within_a_fragmented_message() -> None:
    # Section 5.4: control frames may come in the middle of a fragmented message.
    stream = build(TEXT, b"x", fin=False) + build(CLOSE, b"\x03\xe8")
    assert by_nuncio(stream, True) == Outcome([(CLOSE, b"\x03\xe8")])
    assert by_wsproto(stream, True) == Outcome([(CLOSE, b"\x03\xe8")])
    assert by_websockets(stream, True).refused == 1002


def test_3_control_frames_and_the_size_limit() -> None:
    # The limit is that of messages, and control frames are no part of one.
    stream = build(BINARY, b"x" * 195, fin=False) + build(PING, b"p" * 10)
    assert by_nuncio(stream, True) == Outcome([(PING, b"p" * 10)])
    assert by_wsproto(stream, True) == Outcome([(PING, b"p" * 10)])
    assert by_websockets(stream, True) == Outcome([], 1009)


@pytest.mark.parametrize("wide", [2, 8])
def test_4_longer_forms_of_length_in_data_frames(wide: int) -> None:
    # Section 5.2 binds who writes them; the reference server reads them, and so do we.
    stream = build(TEXT, b"x", wide=wide)
    assert by_nuncio(stream, True) == Outcome([(TEXT, b"x")])
    assert by_websockets(stream, True) == Outcome([(TEXT, b"x")])
    assert by_wsproto(stream, True) == Outcome([], 1002)


def test_5_close_code_1014() -> None:
    # It was registered after RFC 6455, for gateways; the reference server takes it too.
    stream = build(CLOSE, (1014).to_bytes(2, "big"))
    assert by_nuncio(stream, True) == Outcome([(CLOSE, b"\x03\xf6")])
    assert by_websockets(stream, True) == Outcome([(CLOSE, b"\x03\xf6")])
    assert by_wsproto(stream, True) == Outcome([], 1002)


def test_6_size_limit() -> None:
    stream = build(BINARY, b"x" * (LIMIT + 1))
    assert by_nuncio(stream, True) == Outcome([], 1009)
    assert by_websockets(stream, True) == Outcome([], 1009)
    assert by_wsproto(stream, True) == Outcome([(BINARY, b"x" * (LIMIT + 1))])
