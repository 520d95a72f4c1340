"""Packets in a stream of bytes: WebTransport, HTTP streaming, data channels. [compiled]

Each packet has a header: one byte whose first bit says that it is binary, and whose others are its
length up to 125; 126 and two bytes, or 127 and eight bytes, for longer ones. That is a WebSocket
frame's header without its opcode and mask, and what official clients speak over WebTransport.

An empty binary packet would be an empty frame, which official clients take for an error. It is
written as the text packet `b`, which means the same: base64 of nothing.
"""

from __future__ import annotations

from typing import Final

from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message

# Where messages keep their stream form; below are `engineio3` and `dialects`.
_KEPT: Final = 6

_BINARY: Final = 0x80
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127

_EMPTY_BINARY: Final = b"\x01b"


def encode_packet(data: bytes, binary: bool) -> bytes:
    """One packet with its header.

    Args:
        data: a whole text packet in UTF-8, or a binary message.
        binary: which of the two.
    """
    size = len(data)
    mark = _BINARY if binary else 0
    if size < _TWO_BYTES:
        if binary and size == 0:
            return _EMPTY_BINARY
        return bytes((mark | size,)) + data
    if size < 1 << 16:
        return bytes((mark | _TWO_BYTES,)) + size.to_bytes(2, "big") + data
    return bytes((mark | _EIGHT_BYTES,)) + size.to_bytes(8, "big") + data


def message_stream(message: Message) -> bytes:
    """A message's packets, the same bytes for every recipient."""
    stream = message.kept(_KEPT)
    if stream is None:
        parts = [] if message.text is None else [encode_packet(message.text, False)]
        if message.attachments is not None:
            for attachment in message.attachments:
                parts.append(encode_packet(attachment, True))
        stream = b"".join(parts)
        message.keep(_KEPT, stream)
    return stream


class Packet:
    """One packet that arrived.

    Attributes:
        data: a text packet, type digit first, or a binary message.
        binary: which of the two.
    """

    __slots__ = ("binary", "data")

    def __init__(self, data: bytes, binary: bool) -> None:
        self.data = data
        self.binary = binary


class StreamReader:
    """Finds the packets in what arrives, in pieces of any size.

    Args:
        limit: bytes of the longest packet; what announces more is refused before it is gathered.
    """

    __slots__ = ("_limit", "_needed", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        # How long the rest must be before another look at it is worth its copy.
        self._needed = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Take some more bytes.

        Returns:
            The packets that are complete now. A text packet is not checked to be UTF-8.

        Raises:
            PacketError: when a packet is longer than the limit.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return []
            data = bytes(rest)
            rest.clear()
        packets: list[Packet] = []
        self._needed = 0
        start = 0
        end = len(data)
        while start < end:
            size = data[start] & 0x7F
            head = start + 1
            if size >= _TWO_BYTES:
                head += 2 if size == _TWO_BYTES else 8
                if head > end:
                    break
                size = int.from_bytes(data[start + 1 : head], "big")
            if size > self._limit:
                raise PacketError(f"a packet of {size} bytes is over the limit of {self._limit}")
            if head + size > end:
                self._needed = head + size - start
                break
            packets.append(Packet(data[head : head + size], data[start] >= _BINARY))
            start = head + size
        if start < end:
            rest += data[start:]
        return packets

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete packet are held."""
        return len(self._rest)


def split_frames(body: bytes, max_packets: int) -> list[Packet]:
    """The packets of a body that is there already, as of a POST.

    Args:
        body: nothing but whole packets.
        max_packets: how many there may be, checked before they are taken out.

    Raises:
        PacketError: when there are more, or the body ends within one.
    """
    count = 0
    start = 0
    end = len(body)
    while start < end:
        size = body[start] & 0x7F
        start += 1
        if size >= _TWO_BYTES:
            head = start + (2 if size == _TWO_BYTES else 8)
            size = int.from_bytes(body[start:head], "big")
            start = head
        start += size
        count += 1
        if count > max_packets:
            raise PacketError("too many packets in one payload")
    if start != end:
        raise PacketError("a payload ends within a packet")
    return StreamReader(end).feed(body)
