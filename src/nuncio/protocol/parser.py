"""What turns Socket.IO packets into messages and back: the server's `parser` option. [compiled]

A `Parser` encodes for a whole server. What arrives on one connection is read by its `Reader`; for
parsers that remember nothing between messages, all connections share one.

`JSONParser` is the Socket.IO protocol's own encoding. A parser of somebody else's derives from
`Parser` and has two methods, `encode(packet)` and `decoder()`: everything else is built on these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from mypy_extensions import mypyc_attr

from nuncio.errors import PacketError
from nuncio.protocol.engineio import MESSAGE_PACKET, SEPARATOR, Message
from nuncio.protocol.json import JSON, Codec
from nuncio.protocol.socketio import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Packet,
    decode,
    encode_ack,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
    encode_error,
    encode_event,
    is_packet_valid,
    namespace_prefix,
    refusal,
)

# What a decoder spends on each part of a packet, beside the part itself.
PART_OVERHEAD: Final = 64


class Reader:
    """Reads what arrives on one connection.

    Both methods return None while a packet is not complete. A packet that announces `attachments`
    is completed by the caller, with a `Pending`.
    """

    __slots__ = ()

    def text(self, data: bytes) -> Packet | None:
        """Take an Engine.IO text message: valid UTF-8, with its type digit.

        Raises:
            PacketError: when that is no packet.
        """
        raise NotImplementedError

    def binary(self, data: bytes) -> Packet | None:
        """Take an Engine.IO binary message.

        Raises:
            PacketError: when that is no packet.
        """
        raise NotImplementedError

    def destroy(self) -> None:
        """The connection has ended."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Parser:
    """How packets are written; one for a server: `Server(parser=…)`.

    All clients must use the same. Derive from it to write your own, with two methods: `encode` and
    `decoder`. The others have what they need in them; the server calls those.
    """

    def encode(self, packet: Packet) -> Sequence[str | bytes]:
        """The messages that make up a packet.

        Args:
            packet: an `EVENT`'s or `ACK`'s data is a list, a `CONNECT`'s and `CONNECT_ERROR`'s a
                dict or None. None of them may be changed.

        Returns:
            At most one `str`, which comes first, and `bytes`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define encode(packet)")

    def decoder(self) -> Any:
        """An object with `add(data: str | bytes) -> Packet | None` and, if it likes, `destroy()`.

        Called for each connection, when its first message arrives. `add` returns None while a
        packet is not complete. Whatever it raises ends that connection.
        """
        raise NotImplementedError(f"{type(self).__name__} must define decoder()")

    def prefix(self, nsp: str) -> bytes:
        """What packets of a namespace have in common, made once; the other methods receive it."""
        return nsp.encode()

    def encode_event(
        self, prefix: bytes, id: int, args: list[object], compress: bool = True
    ) -> Message:
        """An event, name first.

        Args:
            prefix: see `prefix`.
            id: the acknowledgement's id, -1 for none.
            args: the event's name and its arguments; never changed.
            compress: whether the transport may compress it.

        Raises:
            TypeError: for a value that cannot be sent.
            ValueError: for one that is nested too deeply or contains itself.
        """
        return self._message(EVENT, prefix, id, args, compress)

    def encode_ack(self, prefix: bytes, id: int, args: list[object]) -> Message:
        """The answer to an event; see `encode_event`."""
        return self._message(ACK, prefix, id, args, True)

    def encode_connect(self, prefix: bytes, data: object) -> Message:
        """A CONNECT packet: the client's auth, or the server's `{"sid": …}`; None for no data."""
        return self._message(CONNECT, prefix, -1, data, True)

    def encode_connect_error(self, prefix: bytes, message: str, data: object) -> Message:
        """A CONNECT_ERROR packet; `data` is left out when it is None."""
        return self._message(CONNECT_ERROR, prefix, -1, refusal(message, data), True)

    def encode_error(self, prefix: bytes, data: object) -> Message:
        """An ERROR packet, which clients of Socket.IO 2.x get in place of a CONNECT_ERROR."""
        return self._message(CONNECT_ERROR, prefix, -1, data, True)

    def encode_disconnect(self, prefix: bytes) -> Message:
        """A DISCONNECT packet."""
        return self._message(DISCONNECT, prefix, -1, None, True)

    def reader(self, max_attachments: int, max_bytes: int, max_containers: int) -> Reader:
        """What reads one connection.

        Args:
            max_attachments: how many binary attachments a packet may announce.
            max_bytes: what an incomplete packet may hold.
            max_containers: how many lists and objects a packet may hold; a decoder of somebody
                else's sees to that itself.
        """
        return _CustomReader(self, max_bytes)

    def _message(self, kind: int, prefix: bytes, id: int, data: object, compress: bool) -> Message:
        return _join(self.encode(Packet(kind, prefix.decode(), id, data)), compress)


def _join(parts: Sequence[Any], compress: bool) -> Message:
    """What a parser made, as one message to send.

    Raises:
        TypeError: when it is not what `Parser.encode` must return.
        ValueError: for text that cannot travel.
    """
    text: bytes | None = None
    binary: list[bytes] = []
    for part in parts:
        if isinstance(part, str):
            if text is not None or binary:
                raise TypeError("encode() must return at most one str, and that first")
            text = MESSAGE_PACKET + part.encode()
            if SEPARATOR in text:
                raise ValueError("encode() returned a str with a record separator (U+001E) in it")
        elif isinstance(part, (bytes, bytearray, memoryview)):
            binary.append(bytes(part))
        else:
            raise TypeError(f"encode() must return str and bytes, not {type(part).__name__!r}")
    if text is None and not binary:
        raise TypeError("encode() must return at least one message")
    return Message(text, binary or None, compress)


class _CustomReader(Reader):
    """Reads one connection with a decoder of somebody else's, made when something arrives.

    Whatever that decoder does, nothing but a valid packet gets further.
    """

    __slots__ = ("_decoder", "_held", "_max_bytes", "_parser")

    def __init__(self, parser: Parser, max_bytes: int) -> None:
        self._parser = parser
        self._max_bytes = max_bytes
        self._held = 0
        self._decoder: Any = None

    def text(self, data: bytes) -> Packet | None:
        """See `Reader.text`."""
        return self._add(data[1:].decode(), len(data))

    def binary(self, data: bytes) -> Packet | None:
        """See `Reader.binary`."""
        return self._add(data, len(data))

    def _add(self, data: str | bytes, size: int) -> Packet | None:
        try:
            decoder = self._decoder
            if decoder is None:
                decoder = self._parser.decoder()
                self._decoder = decoder
            packet = decoder.add(data)
        except PacketError:
            raise
        except Exception as error:
            raise PacketError("invalid payload") from error
        if packet is None:
            self._held += size + PART_OVERHEAD
            if self._held > self._max_bytes:
                raise PacketError("packet too large")
            return None
        self._held = 0
        if isinstance(packet, Packet) and is_packet_valid(packet):
            return packet
        raise PacketError("invalid packet")

    def destroy(self) -> None:
        """See `Reader.destroy`."""
        decoder = self._decoder
        self._decoder = None
        destroy = getattr(decoder, "destroy", None)
        if destroy is not None:
            destroy()


class JSONParser(Parser):
    """The default: JSON, with binary values as attachments (Socket.IO protocol v5).

    Args:
        enc_hook: called with a value of a type that cannot be sent; returns one that can, or
            raises TypeError. Dataclasses, `msgspec.Struct`, pydantic models, `datetime`, `UUID`,
            `Decimal`, enumerations and sets need none.
    """

    def __init__(self, enc_hook: Callable[[Any], Any] | None = None) -> None:
        self._codec = JSON if enc_hook is None else Codec(enc_hook)
        self._reader: _JSONReader | None = None

    def prefix(self, nsp: str) -> bytes:
        """See `Parser.prefix`."""
        return namespace_prefix(nsp)

    def encode_event(
        self, prefix: bytes, id: int, args: list[object], compress: bool = True
    ) -> Message:
        """See `Parser.encode_event`."""
        return encode_event(prefix, id, args, compress, self._codec)

    def encode_ack(self, prefix: bytes, id: int, args: list[object]) -> Message:
        """See `Parser.encode_ack`."""
        return encode_ack(prefix, id, args, self._codec)

    def encode_connect(self, prefix: bytes, data: object) -> Message:
        """See `Parser.encode_connect`."""
        return encode_connect(prefix, data, self._codec)

    def encode_connect_error(self, prefix: bytes, message: str, data: object) -> Message:
        """See `Parser.encode_connect_error`."""
        return encode_connect_error(prefix, message, data, self._codec)

    def encode_error(self, prefix: bytes, data: object) -> Message:
        """See `Parser.encode_error`."""
        return encode_error(prefix, data, self._codec)

    def encode_disconnect(self, prefix: bytes) -> Message:
        """See `Parser.encode_disconnect`."""
        return encode_disconnect(prefix)

    def reader(self, max_attachments: int, max_bytes: int, max_containers: int) -> Reader:
        """See `Parser.reader`: one for all connections, since `Pending` remembers for it."""
        reader = self._reader
        if (
            reader is None
            or reader.max_attachments != max_attachments
            or reader.max_containers != max_containers
        ):
            reader = _JSONReader(max_attachments, max_containers)
            self._reader = reader
        return reader


class _JSONReader(Reader):
    """Reads the Socket.IO protocol's own packets."""

    __slots__ = ("max_attachments", "max_containers")

    def __init__(self, max_attachments: int, max_containers: int) -> None:
        self.max_attachments = max_attachments
        self.max_containers = max_containers

    def text(self, data: bytes) -> Packet | None:
        """See `Reader.text`."""
        return decode(data, 1, self.max_attachments, self.max_containers)

    def binary(self, data: bytes) -> Packet | None:
        """See `Reader.binary`."""
        raise PacketError("got binary data when not reconstructing a packet")
