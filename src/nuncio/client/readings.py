"""How packets stand in the body of a response that stays open: `stream`, `sse` and `forever`.

Each response is read by a reading of its own, which counts on from the packets that came in earlier
ones. See `nuncio.engine.downstream` for the numbers, and for the mark of a complete response.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

import msgspec

from nuncio.errors import PacketError
from nuncio.protocol.bytestream import Packet, StreamReader
from nuncio.protocol.engineio import NOOP, SEPARATOR

_END: Final = b"6end"

# Base64 and escapes make packets longer than they are.
_LONGER: Final = 2

_CALL: Final = re.compile(rb'<script nonce="[^"]*">p\((-?[0-9]{1,15}),"(.*)"\)</script>')


class Reading:
    """Reads one response.

    Args:
        count: how many packets have come in earlier ones.
        limit: bytes of the longest packet.

    Attributes:
        media: the type of such responses.
        parameters: what their requests have in the query.
        count: how many packets have come altogether.
        ended: whether the response was complete.
    """

    media: ClassVar[str] = ""
    parameters: ClassVar[str] = ""

    def __init__(self, count: int, limit: int) -> None:
        self.count = count
        self.ended = False
        self._limit = limit

    def feed(self, data: bytes) -> list[Packet]:
        """Take some of the body.

        Returns:
            The packets that are complete now, and are new.

        Raises:
            PacketError: when it is no such body.
        """
        raise NotImplementedError

    def _take(self, packet: Packet, taken: list[Packet]) -> None:
        """Count a packet, if it is one that is counted."""
        data = packet.data
        if packet.binary or not data or data[0] != NOOP:
            self.count += 1
            taken.append(packet)
        elif data == _END:
            self.ended = True


class StreamReading(Reading):
    """Packets one after the other."""

    media = "application/octet-stream"

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(count, limit)
        self._reader = StreamReader(limit)

    def feed(self, data: bytes) -> list[Packet]:
        """See `Reading.feed`."""
        taken: list[Packet] = []
        for packet in self._reader.feed(data):
            self._take(packet, taken)
        return taken


class LineReading(Reading):
    """Reads lines; their payloads come with the number of their last packet."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(count, limit * _LONGER)
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Packet]:
        """See `Reading.feed`."""
        taken: list[Packet] = []
        if b"\n" not in data:
            self._keep(data)
            return taken
        lines = b"".join([*self._parts, data]).split(b"\n")
        self._parts = []
        self._size = 0
        self._keep(lines.pop())
        for line in lines:
            self._line(line[:-1] if line.endswith(b"\r") else line, taken)
        return taken

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise PacketError(f"a line of more than {self._limit} bytes")
        if data:
            self._parts.append(data)

    def _line(self, line: bytes, taken: list[Packet]) -> None:
        raise NotImplementedError

    def _payload(self, payload: bytes, number: int, taken: list[Packet]) -> None:
        """Take the packets of a payload.

        Args:
            payload: as in long-polling.
            number: of its last packet.
            taken: where they go.
        """
        if payload[:1] == b"6":
            self._take(Packet(payload, False), taken)
            return
        packets = payload.split(SEPARATOR)
        # Those that have come before are not new.
        known = self.count - (number - len(packets))
        if known < 0:
            raise PacketError(f"packets are missing before number {number}")
        for packet in packets[known:]:
            self._take(Packet(packet, False), taken)


class SSEReading(LineReading):
    """Events of an event stream (HTML, "Interpreting an event stream")."""

    media = "text/event-stream"

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(count, limit)
        self._data: list[bytes] = []
        self._event = b""
        self._id = 0

    def _line(self, line: bytes, taken: list[Packet]) -> None:
        if not line:
            self._dispatch(taken)
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if not value.isdigit() or len(value) > 15:
                raise PacketError("an event whose id is no number")
            self._id = int(value)

    def _dispatch(self, taken: list[Packet]) -> None:
        data, self._data = self._data, []
        event, self._event = self._event, b""
        if data:
            payload = b"\n".join(data)
            self._payload(_unquoted(payload) if event == b"j" else payload, self._id, taken)


class ForeverReading(LineReading):
    """Scripts that call one function."""

    media = "text/html"
    parameters = "&k=0"

    def _line(self, line: bytes, taken: list[Packet]) -> None:
        call = _CALL.fullmatch(line)
        # What is no call is the document around them, and number -1 tells settings.
        if call is not None and call[1] != b"-1":
            self._payload(_unquoted(b'"' + call[2] + b'"'), int(call[1]), taken)


def _unquoted(string: bytes) -> bytes:
    try:
        return msgspec.json.decode(string, type=str).encode()
    except (ValueError, msgspec.DecodeError) as error:
        raise PacketError("a payload that is no string") from error
