"""Responses that stay open, as tests see them: what is in their bodies."""

from __future__ import annotations

import re

from nuncio.client.readings import ForeverReading, Reading, SSEReading, StreamReading
from nuncio.protocol.engineio import decode_binary

READINGS: dict[str, type[Reading]] = {
    "stream": StreamReading,
    "sse": SSEReading,
    "forever": ForeverReading,
}

# All three, for `pytest.mark.parametrize`.
NAMES = tuple(READINGS)


class Body:
    """The body of a response, read as a client does that has `count` packets already.

    Attributes:
        packets: what is new in it, binary ones as bytes.
        ended: whether it is complete.
        count: the number of the last packet.
    """

    def __init__(self, name: str, body: bytes, count: int = 0) -> None:
        reading = READINGS[name](count, 10_000_000)
        self.packets: list[str | bytes] = []
        for packet in reading.feed(body):
            if packet.binary:
                self.packets.append(packet.data)
            elif packet.data[:1] == b"b":
                self.packets.append(decode_binary(packet.data))
            else:
                self.packets.append(packet.data.decode())
        self.ended = reading.ended
        self.count = reading.count


def sid_of(body: bytes) -> str:
    """The session's id in the body of a first response."""
    found = re.search(rb'sid\\?":\\?"([^"\\]+)', body)
    assert found is not None, body
    return found[1].decode()
