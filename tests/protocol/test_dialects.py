from __future__ import annotations

import pytest

from nuncio.protocol.dialects import V3, V3_TEXT, V4_TEXT, Dialect, dialect_of
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import BINARY, NEED_DATA, TEXT, FrameReader

MESSAGE = Message('451-["é"]'.encode(), [b"\x01\x02\x03", b""])
HEAD = (TEXT, '451-["é"]'.encode())


def read(data: bytes) -> list[tuple[int, bytes]]:
    reader = FrameReader(1 << 20, False)
    reader.feed(data)
    found = []
    while (opcode := reader.next()) != NEED_DATA:
        found.append((opcode, reader.payload))
    return found


@pytest.mark.parametrize(
    ("dialect", "frames"),
    [
        (V3, [HEAD, (BINARY, b"\x04\x01\x02\x03"), (BINARY, b"\x04")]),
        (V3_TEXT, [HEAD, (TEXT, b"b4AQID"), (TEXT, b"b4")]),
        (V4_TEXT, [HEAD, (TEXT, b"bAQID"), (TEXT, b"b")]),
    ],
)
def test_each_writes_binary_its_own_way(dialect: Dialect, frames: list[tuple[int, bytes]]) -> None:
    assert dialect.packets(MESSAGE) == frames
    assert read(dialect.frames(MESSAGE)) == frames


def test_frames_are_made_once_for_each_and_never_mixed_up() -> None:
    message = Message(b"4a", [b"b"])
    made = [dialect.frames(message) for dialect in (V3, V3_TEXT, V4_TEXT)]
    assert len({*made, message.frames()}) == 4
    assert all(
        dialect.frames(message) is frames
        for dialect, frames in zip((V3, V3_TEXT, V4_TEXT), made, strict=True)
    )


def test_messages_that_nobody_old_receives_keep_nothing() -> None:
    message = Message(b"4a")
    message.frames()
    message.payload()
    assert message.kept(0) is None
    V3.frames(message)
    assert message.kept(0) is None


def test_the_plain_way_is_no_dialect() -> None:
    assert dialect_of(4, False) is None
    assert dialect_of(4, True) is V4_TEXT
    assert dialect_of(3, False) is V3
    assert dialect_of(3, True) is V3_TEXT
