"""Socket.IO packets, revision 5. [compiled]

    <type>[<attachments>-][<namespace>,][<id>][<JSON payload>]

Packets travel in Engine.IO messages; binary values are taken out of the payload, replaced by
placeholders and follow as attachments (Socket.IO protocol v5, "Packet encoding").

Decoding is stateless: `decode` reads a text packet; when it announces attachments, the caller
keeps a `Pending` until they have come.
"""

from __future__ import annotations

from typing import Final

from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.json import JSON, Codec, loads

CONNECT: Final = 0
DISCONNECT: Final = 1
EVENT: Final = 2
ACK: Final = 3
CONNECT_ERROR: Final = 4
BINARY_EVENT: Final = 5
BINARY_ACK: Final = 6

RESERVED_EVENTS: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

# The reference prints 2^53 at most; twenty digits hold every id a peer may reasonably send.
MAX_ID_DIGITS: Final = 20
MAX_DEPTH: Final = 900

TOO_DEEP: Final = "the value to send is nested too deeply, or contains itself"

_ZERO: Final = 48
_NINE: Final = 57
_SIX: Final = 54
_SLASH: Final = 47
_DASH: Final = 45
_BRACKET: Final = 91


class Packet:
    """One packet.

    Attributes:
        type: `CONNECT` … `CONNECT_ERROR`; binary types are folded into `EVENT` and `ACK`.
        nsp: the namespace's name.
        id: the acknowledgement's id, -1 when there is none.
        data: the payload, None when there is none.
        attachments: how many binary messages are still to come; 0 once it is complete.
    """

    __slots__ = ("attachments", "data", "id", "nsp", "type")

    def __init__(
        self, type: int, nsp: str, id: int = -1, data: object = None, attachments: int = 0
    ) -> None:
        self.type = type
        self.nsp = nsp
        self.id = id
        self.data = data
        self.attachments = attachments

    def __repr__(self) -> str:
        return f"Packet({self.type}, {self.nsp!r}, {self.id}, {self.data!r})"


def decode(data: bytes, start: int, max_attachments: int, max_containers: int) -> Packet:
    """Read one text packet.

    Args:
        data: the bytes of an Engine.IO message, valid UTF-8.
        start: where the packet begins in them.
        max_attachments: how many binary attachments it may announce.
        max_containers: how many lists and objects it may hold.

    Raises:
        PacketError: with the reference's words.
    """
    size = len(data)
    if size <= start:
        raise PacketError("unknown packet type")
    kind = data[start] - _ZERO
    position = start + 1
    # The everyday packet: an event of the default namespace without acknowledgement.
    if kind == EVENT and position < size and data[position] == _BRACKET:
        return Packet(EVENT, "/", -1, _event_payload(loads(data[position:], max_containers)), 0)
    if kind < CONNECT or kind > BINARY_ACK:
        said = str(kind) if BINARY_ACK < kind <= 9 else repr(chr(data[start]))
        raise PacketError(f"unknown packet type {said}")
    attachments = 0
    if kind >= BINARY_EVENT:
        end = data.find(b"-", position, position + 12)
        attachments = _attachment_count(data[position:end] if end > 0 else b"", max_attachments)
        position = end + 1
    nsp = "/"
    if position < size and data[position] == _SLASH:
        end = data.find(b",", position)
        if end < 0:
            end = size
        nsp = data[position:end].decode("utf-8", "replace")
        position = end + 1
    id = -1
    end = position
    while end < size and _ZERO <= data[end] <= _NINE:
        end += 1
        if end - position > MAX_ID_DIGITS:
            raise PacketError("invalid packet id")
    if end > position:
        id = int(data[position:end])
        position = end
    if position < size:
        payload = _checked(kind, loads(data[position:], max_containers))
    else:
        payload = _absent(kind)
    if kind >= BINARY_EVENT:
        kind -= 3
    if kind == ACK and id < 0:
        raise PacketError("invalid packet id")
    return Packet(kind, nsp, id, payload, attachments)


def _attachment_count(digits: bytes, limit: int) -> int:
    if not digits.isdigit():
        raise PacketError("Illegal attachments")
    count = int(digits)
    if count < 1:
        raise PacketError("Illegal attachments")
    if count > limit:
        raise PacketError("too many attachments")
    return count


def _absent(kind: int) -> object:
    if kind == CONNECT or kind == DISCONNECT:
        return None
    # The reference lets a bare "42" through with no name at all; no handler can be meant.
    raise PacketError("invalid payload")


def _checked(kind: int, payload: object) -> object:
    if kind == EVENT or kind == BINARY_EVENT:
        return _event_payload(payload)
    if kind == ACK or kind == BINARY_ACK:
        if isinstance(payload, list):
            return payload
    elif kind == CONNECT:
        if isinstance(payload, dict):
            return payload
    elif kind == CONNECT_ERROR and isinstance(payload, (str, dict)):
        return payload
    raise PacketError("invalid payload")


def _event_payload(payload: object) -> object:
    if isinstance(payload, list) and payload:
        name = payload[0]
        if isinstance(name, str):
            if name not in RESERVED_EVENTS:
                return payload
        elif isinstance(name, (int, float)) and not isinstance(name, bool):
            return payload
    raise PacketError("invalid payload")


def checked_payload(kind: int, payload: object) -> object:
    """The payload of a complete packet, for encodings that tell absence by None.

    Args:
        kind: `CONNECT` … `CONNECT_ERROR`.
        payload: as it came.

    Raises:
        PacketError: when such a packet cannot hold it.
    """
    if payload is None:
        return _absent(kind)
    return _checked(kind, payload)


def is_packet_valid(packet: Packet) -> bool:
    """Whether a packet is what the Socket.IO protocol allows, whoever decoded it."""
    kind = packet.type
    # Attributes may hold anything where nothing is compiled.
    if not isinstance(kind, int) or kind < CONNECT or kind > CONNECT_ERROR:
        return False
    if not isinstance(packet.nsp, str) or not isinstance(packet.id, int):
        return False
    if packet.id < -1 or packet.attachments or (kind == ACK and packet.id < 0):
        return False
    try:
        checked_payload(kind, packet.data)
        # An answer may have to name it.
        packet.nsp.encode()
    except (PacketError, UnicodeEncodeError):
        return False
    return True


class Pending:
    """A packet that waits for its attachments.

    Args:
        packet: as `decode` gave it, with `attachments` of at least one.
        max_size: how many bytes its attachments may have together.
    """

    __slots__ = ("_buffers", "_left", "packet")

    def __init__(self, packet: Packet, max_size: int) -> None:
        self.packet = packet
        self._buffers: list[bytes] = []
        self._left = max_size

    def add(self, data: bytes) -> bool:
        """Take the next attachment; True when the packet is complete and its data filled in.

        Raises:
            PacketError: when the attachments are too large, or a placeholder is wrong.
        """
        self._left -= len(data)
        if self._left < 0:
            raise PacketError("attachments too large")
        self._buffers.append(data)
        packet = self.packet
        if len(self._buffers) < packet.attachments:
            return False
        unused: list[bytes | None] = list(self._buffers)
        try:
            packet.data = _fill(packet.data, unused, 0)
        except RecursionError as error:
            raise PacketError("invalid payload") from error
        for buffer in unused:
            if buffer is not None:
                raise PacketError("illegal attachments")
        packet.attachments = 0
        return True


def _fill(value: object, unused: list[bytes | None], depth: int) -> object:
    """Put the attachments where their placeholders stand, in place; each exactly once."""
    if depth > MAX_DEPTH:
        raise PacketError("invalid payload")
    if isinstance(value, list):
        for index in range(len(value)):
            item = value[index]
            if isinstance(item, (list, dict)):
                value[index] = _fill(item, unused, depth + 1)
        return value
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            number = value.get("num")
            if isinstance(number, int) and not isinstance(number, bool):
                if 0 <= number < len(unused):
                    buffer = unused[number]
                    if buffer is not None:
                        unused[number] = None
                        return buffer
            raise PacketError("illegal attachments")
        for key, item in value.items():
            if isinstance(item, (list, dict)):
                value[key] = _fill(item, unused, depth + 1)
    return value


def namespace_prefix(nsp: str) -> bytes:
    """What a packet of this namespace has between its type and its id."""
    return b"" if nsp == "/" else nsp.encode() + b","


def encode_event(
    prefix: bytes, id: int, args: list[object], compress: bool = True, codec: Codec = JSON
) -> Message:
    """An event, name first; binary values anywhere in it travel as attachments.

    Args:
        prefix: see `namespace_prefix`.
        id: the acknowledgement's id, -1 for none.
        args: the event's name and its arguments; never changed.
        compress: whether the transport may compress it.
        codec: how values become JSON.

    Raises:
        TypeError: for a value that JSON cannot hold.
        ValueError: for one that is nested too deeply or contains itself.
    """
    return _encode(b"42", b"45", prefix, id, args, compress, codec)


def encode_ack(prefix: bytes, id: int, args: list[object], codec: Codec = JSON) -> Message:
    """The answer to an event; see `encode_event`."""
    return _encode(b"43", b"46", prefix, id, args, True, codec)


def _encode(
    kind: bytes,
    binary_kind: bytes,
    prefix: bytes,
    id: int,
    args: list[object],
    compress: bool,
    codec: Codec,
) -> Message:
    attachments: list[bytes] | None = None
    for index in range(len(args)):
        value = args[index]
        if not (
            isinstance(value, (str, int, float)) or value is None
        ):  # everything else may hold bytes
            found: list[bytes] = []
            args = _extract_all(args, found, codec)
            if found:
                attachments = found
                kind = binary_kind + str(len(found)).encode() + b"-"
            break
    head = kind + prefix
    if id >= 0:
        head += str(id).encode()
    return Message(head + codec.dumps(args), attachments, compress)


def _extract_all(args: list[object], found: list[bytes], codec: Codec) -> list[object]:
    try:
        return [_extract(item, found, 0, codec) for item in args]
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _extract(value: object, found: list[bytes], depth: int, codec: Codec) -> object:
    """The value with placeholders for its bytes, which are added to `found` in document order.

    What holds no bytes is returned as it is; nothing is changed in place.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        found.append(bytes(value))
        return {"_placeholder": True, "num": len(found) - 1}
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    if isinstance(value, (list, tuple)):
        before = len(found)
        # A comprehension would take a second frame of the recursion limit at each level.
        items: list[object] = []
        for item in value:
            items.append(_extract(item, found, depth + 1, codec))
        return items if len(found) > before or _changed(items, value) else value
    if isinstance(value, dict):
        before = len(found)
        entries: dict[object, object] = {}
        changed = False
        for key, item in value.items():
            replaced = _extract(item, found, depth + 1, codec)
            changed = changed or replaced is not item
            entries[key] = replaced
        return entries if changed else value
    return _extract(codec.simplify(value), found, depth + 1, codec)


def _changed(items: list[object], value: list[object] | tuple[object, ...]) -> bool:
    for index in range(len(items)):
        if items[index] is not value[index]:
            return True
    return False


def encode_connect(prefix: bytes, data: object, codec: Codec = JSON) -> Message:
    """A CONNECT packet: the client's auth, or the server's `{"sid": …}`."""
    return Message(b"40" + prefix + (b"" if data is None else codec.dumps(data)))


def encode_connect_error(prefix: bytes, message: str, data: object, codec: Codec = JSON) -> Message:
    """A CONNECT_ERROR packet; `data` is left out when it is None."""
    return Message(b"44" + prefix + codec.dumps(refusal(message, data)))


def encode_error(prefix: bytes, data: object, codec: Codec = JSON) -> Message:
    """An ERROR packet of revision 4 and before, which holds a string or whatever was raised."""
    return Message(b"44" + prefix + codec.dumps(data))


def refusal(message: str, data: object) -> dict[str, object]:
    """What a CONNECT_ERROR packet holds."""
    payload: dict[str, object] = {"message": message}
    if data is not None:
        payload["data"] = data
    return payload


def encode_disconnect(prefix: bytes) -> Message:
    """A DISCONNECT packet."""
    return Message(b"41" + prefix)
