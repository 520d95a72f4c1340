from __future__ import annotations

import pytest

from nuncio.engine.dialect import DialectWebSocketTransport, receive_binary
from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol.deflate import Deflate, DeflateConfig, accept_client, negotiate_server
from nuncio.protocol.dialects import V3, V3_TEXT, V4_TEXT, Dialect
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import BINARY, NEED_DATA, TEXT, FrameReader
from tests.support.clock import FakeLoop
from tests.support.fakes import FakeTransport

LONG = b"x" * 200


class IO:
    """An asyncio transport: keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport.write`."""
        self.written += data


def sent(dialect: Dialect, message: Message, deflate: bool) -> list[tuple[int, bytes]]:
    """What a peer reads, compressed or not."""
    loop = FakeLoop()
    own: Deflate | None = None
    peer: Deflate | None = None
    if deflate:
        negotiated = negotiate_server("permessage-deflate", DeflateConfig(threshold=100))
        assert negotiated is not None
        own, answer = negotiated
        peer = accept_client(answer, DeflateConfig())
    io = IO()
    socket = DialectWebSocketTransport(
        io,
        b"",
        Flusher(loop),
        TimerWheel(loop),
        FrameReader(1 << 20, True, 10, own),
        5.0,
        own,
        100,
        None,
        dialect,
    )
    socket.send(message)
    socket.flush()
    assert (len(io.written) < len(LONG)) is deflate
    reader = FrameReader(1 << 20, False, 10, peer)
    reader.feed(io.written)
    found = []
    while (opcode := reader.next()) != NEED_DATA:
        found.append((opcode, reader.payload))
    return found


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(
    ("dialect", "binary"),
    [
        (V3, (BINARY, b"\x04" + LONG)),
        (V3_TEXT, (TEXT, b"b4" + b"eHh4" * 66 + b"eHg=")),
        (V4_TEXT, (TEXT, b"b" + b"eHh4" * 66 + b"eHg=")),
    ],
)
def test_frames_are_written_in_the_dialect(
    dialect: Dialect, binary: tuple[int, bytes], deflate: bool
) -> None:
    message = Message(b"4hello", [LONG])
    assert sent(dialect, message, deflate) == [(TEXT, b"4hello"), binary]


@pytest.mark.parametrize(
    ("dialect", "data", "packet"),
    [
        (V3, b"\x04abc", ("binary", b"abc")),
        (V3, b"\x04", ("binary", b"")),
        (V3_TEXT, b"\x04abc", ("binary", b"abc")),
        (V3, b"\x02probe", ("text", b"2probe")),
        (V3, b"", ("text", b"")),
        (V3, b"4abc", ("text", b"")),
        (V4_TEXT, b"\x04abc", ("binary", b"\x04abc")),
        (V4_TEXT, b"", ("binary", b"")),
    ],
)
def test_binary_frames_are_read_in_the_dialect(
    dialect: Dialect, data: bytes, packet: tuple[str, bytes]
) -> None:
    heard: list[tuple[str, bytes]] = []

    class Sink(PacketSink):
        def text(self, transport: Transport, data: bytes) -> None:
            heard.append(("text", data))

        def binary(self, transport: Transport, data: bytes) -> None:
            heard.append(("binary", data))

    receive_binary(dialect, FakeTransport(), Sink(), data)
    assert heard == [packet]
