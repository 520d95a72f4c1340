"""How packets are written into the body of a response that stays open: `stream`, `sse`. [compiled]

What is the same for all of them is in `nuncio.engine.downstream`; `forever` has a file of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec
from mypy_extensions import mypyc_attr

from nuncio.protocol.bytestream import encode_packet, message_stream
from nuncio.protocol.engineio import NOOP_PACKET, SEPARATOR, Message

# A noop with data is a noop to everybody; this one says that nothing of the response is missing.
END_PACKET: Final = NOOP_PACKET + b"end"

# Against proxies and browsers that hold back what comes first.
PADDING: Final = 2048

# What keeps proxies from changing the body or holding it back. Some compress whatever does not say
# how it is encoded, and then send it when it is complete.
PASS_ON: Final = [
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Encoding", "identity"),
]


@mypyc_attr(allow_interpreted_subclasses=True)
class Framing:
    """How the packets of one response are written.

    Attributes:
        headers: of the response.
        prologue: what the body begins with.
        noop: a packet without meaning, which shows that nothing holds the response back.
        beat: what is written when there was nothing to write for a while.
        end: the mark of a complete response.
    """

    __slots__ = ("beat", "end", "headers", "noop", "prologue")

    def __init__(
        self, headers: list[tuple[str, str]], prologue: bytes, noop: bytes, beat: bytes, end: bytes
    ) -> None:
        self.headers = headers
        self.prologue = prologue
        self.noop = noop
        self.beat = beat
        self.end = end

    def packets(self, messages: list[Message], last: int) -> bytes:
        """Messages as they are written.

        Args:
            messages: at least one.
            last: the number of their last packet.
        """
        raise NotImplementedError


class StreamFraming(Framing):
    """Packets as in `nuncio.protocol.bytestream`; the client counts them."""

    __slots__ = ()

    def __init__(self) -> None:
        noop = encode_packet(NOOP_PACKET, False)
        super().__init__(
            [("Content-Type", "application/octet-stream"), *PASS_ON],
            b"",
            noop,
            noop,
            encode_packet(END_PACKET, False),
        )

    def packets(self, messages: list[Message], last: int) -> bytes:
        """See `Framing.packets`."""
        if len(messages) == 1:
            return message_stream(messages[0])
        return b"".join([message_stream(message) for message in messages])


class SSEFraming(Framing):
    """Events of an event stream (HTML, "Server-sent events"), with a payload each.

    A payload with line breaks, which JSON never has, is written as a JSON string.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(
            [("Content-Type", "text/event-stream; charset=utf-8"), *PASS_ON],
            b":" + b" " * PADDING + b"\nretry:1000\n\n",
            b"data:" + NOOP_PACKET + b"\n\n",
            b":\n\n",
            b"data:" + END_PACKET + b"\n\n",
        )

    def packets(self, messages: list[Message], last: int) -> bytes:
        """See `Framing.packets`."""
        payload = joined(messages)
        number = str(last).encode()
        if b"\n" in payload or b"\r" in payload:
            payload = msgspec.json.encode(payload.decode("utf-8", "replace"))
            return b"event:j\nid:" + number + b"\ndata:" + payload + b"\n\n"
        return b"id:" + number + b"\ndata:" + payload + b"\n\n"


def joined(messages: list[Message]) -> bytes:
    """Messages as one payload of long-polling."""
    if len(messages) == 1:
        return messages[0].payload()
    return SEPARATOR.join([message.payload() for message in messages])


STREAM: Final = StreamFraming()
SSE: Final = SSEFraming()
