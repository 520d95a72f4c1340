"""Engine.IO payloads and frames of revision 3, which Socket.IO 2.x clients speak. [compiled]

What is different from revision 4: a binary packet has a type byte in front, or as text `b4` and
base64. Long-polling's payloads are either text, each packet behind its length in UTF-16 units and a
colon; or binary, each packet behind a byte for its kind (0 text, 1 binary), the digits of its
length in bytes as numbers 0 to 9, and 255 (Engine.IO protocol v3, "Encoding").

What leaves is kept with its `Message`, so that a broadcast encodes each form once. What arrives is
split in one pass whose cost is that of its bytes, whatever they are.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

from nuncio.errors import PacketError
from nuncio.protocol.engineio import MESSAGE, Message

# The first byte of a binary message, in a frame or a binary payload.
MESSAGE_BYTE: Final = 4
_MOST_TYPE: Final = 6

# What cannot be read: no packet is empty, so whoever handles packets takes it for garbage.
GARBAGE: Final = b""

# Lengths beyond this have no payload to belong to.
MAX_DIGITS: Final = 15

TEXT_PAYLOAD: Final = 0
BINARY_PAYLOAD: Final = 1

_STRING: Final = 0
_BINARY: Final = 1
_END_OF_LENGTH: Final = 255
_ZERO: Final = 48
_COLON: Final = 58


# What leaves.


def text_payload(message: Message) -> bytes:
    """A message's packets as they stand in a text payload."""
    payload = message.kept(TEXT_PAYLOAD)
    if payload is None:
        parts: list[bytes] = []
        if message.text is not None:
            _put_text(parts, message.text)
        if message.attachments is not None:
            for attachment in message.attachments:
                _put_text(parts, encode_base64(attachment))
        payload = b"".join(parts)
        message.keep(TEXT_PAYLOAD, payload)
    return payload


def binary_payload(message: Message) -> bytes:
    """A message's packets as they stand in a binary payload."""
    payload = message.kept(BINARY_PAYLOAD)
    if payload is None:
        parts: list[bytes] = []
        if message.text is not None:
            parts.append(_binary_head(_STRING, len(message.text)))
            parts.append(message.text)
        if message.attachments is not None:
            for attachment in message.attachments:
                parts.append(_binary_head(_BINARY, len(attachment) + 1))
                parts.append(encode_binary(attachment))
        payload = b"".join(parts)
        message.keep(BINARY_PAYLOAD, payload)
    return payload


def _put_text(parts: list[bytes], packet: bytes) -> None:
    parts.append(str(utf16_length(packet)).encode())
    parts.append(b":")
    parts.append(packet)


def _binary_head(kind: int, length: int) -> bytes:
    digits = [int(digit) for digit in str(length)]
    return bytes([kind, *digits, _END_OF_LENGTH])


def utf16_length(text: bytes) -> int:
    """The length in UTF-16 units of what is UTF-8."""
    if text.isascii():
        return len(text)
    return len(text.decode("utf-8", "replace").encode("utf-16-le")) // 2


def encode_binary(data: bytes) -> bytes:
    """A binary message with its type byte."""
    return b"\x04" + data


def encode_base64(data: bytes) -> bytes:
    """A binary message as a text packet."""
    return b"b4" + b2a_base64(data, newline=False)


# What arrives.


def decode_base64(packet: bytes) -> bytes:
    """A text packet that begins with `b`, as a binary packet: type byte first.

    Raises:
        PacketError: when it has no type, or what follows cannot be base64.
    """
    if len(packet) < 2 or not _ZERO <= packet[1] <= _ZERO + _MOST_TYPE:
        raise PacketError("parser error")
    try:
        return bytes([packet[1] - _ZERO]) + a2b_base64(packet[2:] + b"==")
    except ValueError as error:
        raise PacketError("parser error") from error


def as_text(packet: bytes) -> bytes:
    """A binary packet that is no message, as the text packet it would have been."""
    if not packet or packet[0] > _MOST_TYPE or packet[0] == MESSAGE_BYTE:
        return GARBAGE
    return bytes([_ZERO + packet[0]]) + packet[1:]


def split_text(body: bytes, max_packets: int) -> list[bytes]:
    """The packets of a text payload; what cannot be read ends the list, as `GARBAGE`.

    Args:
        body: the request body, valid UTF-8.
        max_packets: how many packets one payload may hold.

    Raises:
        PacketError: when there are more.
    """
    if body.isascii():
        return _split(body, 1, max_packets)
    pieces = _split(body.decode("utf-8", "replace").encode("utf-16-le"), 2, max_packets)
    # A length that cuts a pair of surrogates in two leaves something that is no text.
    return [piece.decode("utf-16-le", "replace").encode() for piece in pieces]


def _split(data: bytes, width: int, max_packets: int) -> list[bytes]:
    """Split data whose characters are `width` bytes wide."""
    packets: list[bytes] = []
    size = len(data)
    position = 0
    while position < size:
        length = 0
        digits = 0
        while True:
            code = -1 if position >= size else data[position]
            if width == 2 and code >= 0 and data[position + 1] != 0:
                code = -1
            position += width
            if code == _COLON and digits:
                break
            digits += 1
            if not _ZERO <= code <= _ZERO + 9 or digits > MAX_DIGITS:
                packets.append(GARBAGE)
                return packets
            length = length * 10 + code - _ZERO
        end = position + length * width
        if end > size:
            packets.append(GARBAGE)
            return packets
        if length:
            if len(packets) >= max_packets:
                raise PacketError("too many packets in one payload")
            packets.append(data[position:end])
        position = end
    if not size:
        packets.append(GARBAGE)
    return packets


def split_binary(body: bytes, max_packets: int) -> list[bytes]:
    """The packets of a binary payload; what cannot be read ends the list, as `GARBAGE`.

    A binary packet begins with its type as a byte below 7, a text packet with a character.

    Args:
        body: the request body.
        max_packets: how many packets one payload may hold.

    Raises:
        PacketError: when there are more.
    """
    packets: list[bytes] = []
    size = len(body)
    position = 0
    while position < size:
        kind = body[position]
        position += 1
        length = 0
        digits = 0
        while position < size and body[position] <= 9 and digits < MAX_DIGITS:
            length = length * 10 + body[position]
            digits += 1
            position += 1
        whole = digits > 0 and position < size and body[position] == _END_OF_LENGTH
        position += 1
        end = position + length
        if not whole or kind > _BINARY or end > size:
            packets.append(GARBAGE)
            return packets
        if len(packets) >= max_packets:
            raise PacketError("too many packets in one payload")
        packet = _checked(body[position:end], kind)
        packets.append(packet)
        if packet == GARBAGE:
            return packets
        position = end
    if not size:
        packets.append(GARBAGE)
    return packets


def _checked(packet: bytes, kind: int) -> bytes:
    if kind == _BINARY:
        return packet if packet and packet[0] <= _MOST_TYPE else GARBAGE
    if not packet.isascii():
        packet = packet.decode("utf-8", "replace").encode()
    # Text that begins like a binary packet is neither.
    return packet if packet and packet[0] > _MOST_TYPE else GARBAGE


assert MESSAGE == _ZERO + MESSAGE_BYTE
