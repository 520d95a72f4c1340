"""Compressed WebSocket messages: the extension permessage-deflate (RFC 7692).

Compression is the costliest thing a WebSocket can do with memory, so it is off unless configured.
When it is on, by default no message refers to another: then a connection holds nothing of zlib's
between messages, and what many receive is compressed once for all of them. Where context is
configured, zlib's objects are made when the first compressed message needs them. Nothing is
inflated beyond the size a message may have.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import Final

from nuncio.options import named_options
from nuncio.protocol.frames import INVALID_PAYLOAD, TOO_BIG, FrameError
from nuncio.protocol.handshake import HandshakeError, Parameter, parse_extensions

NAME: Final = "permessage-deflate"

_TAIL: Final = b"\x00\x00\xff\xff"  # left out of every message: section 7.2.1
_AFTER_FINAL: Final = (_TAIL, b"\x00" + _TAIL)  # all that may follow a final block: 7.2.3.4
_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_BITS: Final = ("server_max_window_bits", "client_max_window_bits")
_BITS_VALUES: Final = {str(bits): bits for bits in range(8, 16)}
_LARGEST: Final = 15


@named_options
@dataclass(frozen=True, slots=True)
class DeflateConfig:
    """How messages are compressed.

    A window of n bits lets a text refer to the last 2**n bytes before it. While a message is
    compressed that takes about 2**(n + 2) + 2**(mem_level + 9) bytes, 192 KiB by default, and
    while one is inflated 2**n + 10,000. By default that memory is free again with the end of the
    message. Where a side keeps its context, every connection holds it for as long as it lasts:
    then smaller windows are advisable, such as 12 bits and `mem_level` 5, which take 32 KiB.

    Attributes:
        threshold: messages shorter than this many bytes are sent as they are.
        level: from 0 (none) and 1 (fast) to 9 (small); -1 is zlib's own choice.
        mem_level: memory for compressing, from 1 to 9.
        server_no_context_takeover: the server compresses each message by itself.
        client_no_context_takeover: the client compresses each message by itself.
        server_max_window_bits: the window of what the server sends, from 9 to 15.
        client_max_window_bits: the window of what the client sends, from 9 to 15. A server that
            asks for less than 15 gets no compression with clients that cannot be asked (Firefox).

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if an argument is out of range.
    """

    threshold: int = 1024
    level: int = 1
    mem_level: int = 7
    server_no_context_takeover: bool = True
    client_no_context_takeover: bool = True
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def __post_init__(self) -> None:
        for field in fields(self):
            expected = bool if field.name in _FLAGS else int
            if type(getattr(self, field.name)) is not expected:
                raise TypeError(f"{field.name} must be of type {expected.__name__}")
        if self.threshold < 0:
            raise ValueError(f"threshold must not be negative, but is {self.threshold}")
        # 8 bits are in RFC 7692, but zlib cannot compress with them.
        for name, low, high in (
            ("level", -1, 9),
            ("mem_level", 1, 9),
            ("server_max_window_bits", 9, _LARGEST),
            ("client_max_window_bits", 9, _LARGEST),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}, not {value}")


@dataclass(frozen=True, slots=True)
class Direction:
    """What was agreed for the messages that go one way.

    Attributes:
        bits: the window, as a power of two.
        takeover: whether a message may refer to those before it.
    """

    bits: int
    takeover: bool


def _shared(config: DeflateConfig, bits: int) -> int:
    """All that decides how a message is compressed by itself, as a number above 0."""
    threshold = min(config.threshold, 1 << 62)
    return threshold << 12 | config.level + 1 << 8 | config.mem_level << 4 | bits


class Deflate:
    """The compressed messages of one connection, both ways (RFC 7692, section 7.2).

    Made by `negotiate_server` and `accept_client`. What `compress` returns goes into a frame with
    RSV1 set; `inflate` is called by the frame reader.

    Attributes:
        threshold: messages shorter than this many bytes are better sent as they are.
        shared: stands for everything that decides how a message is compressed: connections with
            the same number would send the same bytes. 0 where it depends on what was sent before.
    """

    __slots__ = (
        "_compressor",
        "_inflater",
        "_level",
        "_mem_level",
        "_receive",
        "_send",
        "shared",
        "threshold",
    )

    def __init__(self, config: DeflateConfig, send: Direction, receive: Direction) -> None:
        """Make the two directions.

        Args:
            config: the settings of compression that are not negotiated.
            send: what was agreed for messages that are compressed here.
            receive: what was agreed for messages that are inflated here.
        """
        self.threshold = config.threshold
        self._level = config.level
        self._mem_level = config.mem_level
        self._send = send
        self._receive = receive
        self.shared = 0 if send.takeover else _shared(config, send.bits)
        self._compressor: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None

    def compress(self, payload: bytes) -> bytes:
        """Compress one message.

        Args:
            payload: the message. With context takeover, messages must be sent in the order in
                which they were compressed.

        Returns:
            the payload of its frame.
        """
        compressor = self._compressor
        if compressor is None:
            compressor = self._make_compressor()
            if self._send.takeover:
                self._compressor = compressor
        compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return compressed[: -len(_TAIL)]

    def _make_compressor(self) -> zlib._Compress:
        bits, level = self._send.bits, self._level
        if bits < 9:
            # zlib has no such window, but blocks that are merely stored fit in any.
            bits, level = 9, 0
        return zlib.compressobj(level, zlib.DEFLATED, -bits, self._mem_level)

    def inflate(self, payload: bytes, max_size: int) -> bytes:
        """Inflate one message.

        Args:
            payload: its compressed form, of all fragments.
            max_size: the largest size in bytes it may have; nothing is inflated beyond it.

        Returns:
            the message.

        Raises:
            FrameError: with code 1009 if it is larger, 1007 if it is corrupt.
        """
        if not payload:
            return b""  # not what RFC 7692 calls an empty message, but nothing else can be meant
        inflater = self._inflater
        if inflater is None:
            inflater = zlib.decompressobj(-self._receive.bits)
        try:
            message = inflater.decompress(payload + _TAIL, max_size + 1)
        except zlib.error:
            raise FrameError(INVALID_PAYLOAD, "corrupt compressed message") from None
        if len(message) > max_size:
            raise FrameError(TOO_BIG, "inflated message too big")
        if inflater.eof and inflater.unused_data not in _AFTER_FINAL:
            raise FrameError(INVALID_PAYLOAD, "data after the end of a compressed message")
        # A final block ends zlib's stream: the next message begins a new one.
        self._inflater = inflater if self._receive.takeover and not inflater.eof else None
        return message


def negotiate_server(header_value: str, config: DeflateConfig) -> tuple[Deflate, str] | None:
    """Choose among a client's offers (RFC 7692, section 7.1).

    Args:
        header_value: the request's ``Sec-WebSocket-Extensions``.
        config: what this server wants.

    Returns:
        the connection's compression and the response's ``Sec-WebSocket-Extensions``; None if there
        is no offer that can be accepted, and the connection goes on without compression.

    Raises:
        HandshakeError: with status 400, if the header does not follow the grammar.
    """
    for name, parameters in parse_extensions(header_value):
        if name == NAME:
            accepted = _accept_offer(parameters, config)
            if accepted is not None:
                return accepted
    return None


def _accept_offer(parameters: list[Parameter], config: DeflateConfig) -> tuple[Deflate, str] | None:
    try:
        offer = _Agreement(parameters, bare_client_bits=True)
    except HandshakeError:
        return None  # section 7: an offer with unknown or invalid parameters is declined
    server_bits = min(config.server_max_window_bits, offer.server_bits or _LARGEST)
    client_bits = min(config.client_max_window_bits, offer.client_bits or _LARGEST)
    if server_bits < 9 or (client_bits < _LARGEST and not offer.client_bits):
        return None
    server_fresh = config.server_no_context_takeover or offer.server_fresh
    client_fresh = config.client_no_context_takeover or offer.client_fresh
    words = [NAME]
    if server_fresh:
        words.append("server_no_context_takeover")
    if client_fresh:
        words.append("client_no_context_takeover")
    if server_bits < _LARGEST or offer.server_bits:
        words.append(f"server_max_window_bits={server_bits}")
    if client_bits < _LARGEST:
        words.append(f"client_max_window_bits={client_bits}")
    send = Direction(server_bits, not server_fresh)
    receive = Direction(client_bits, not client_fresh)
    return Deflate(config, send, receive), "; ".join(words)


def offer_client(config: DeflateConfig) -> str:
    """Write a client's offer (RFC 7692, section 7.1).

    Args:
        config: what this client wants.

    Returns:
        the request's ``Sec-WebSocket-Extensions``.
    """
    words = [NAME]
    if config.server_no_context_takeover:
        words.append("server_no_context_takeover")
    if config.client_no_context_takeover:
        words.append("client_no_context_takeover")
    if config.server_max_window_bits < _LARGEST:
        words.append(f"server_max_window_bits={config.server_max_window_bits}")
    if config.client_max_window_bits < _LARGEST:
        words.append(f"client_max_window_bits={config.client_max_window_bits}")
    else:
        words.append("client_max_window_bits")
    return "; ".join(words)


def accept_client(header_value: str, config: DeflateConfig) -> Deflate | None:
    """Judge a server's answer to `offer_client` (RFC 7692, sections 5 and 7.1).

    Args:
        header_value: the response's ``Sec-WebSocket-Extensions``; empty if there is none.
        config: as it was offered.

    Returns:
        the connection's compression, or None if the server declined it.

    Raises:
        HandshakeError: if the answer is invalid, or agrees to what was not offered.
    """
    extensions = parse_extensions(header_value)
    if not extensions:
        return None
    if len(extensions) > 1 or extensions[0][0] != NAME:
        raise _refuse("the server chose an extension that was not offered")
    answer = _Agreement(extensions[0][1], bare_client_bits=False)
    if config.server_no_context_takeover and not answer.server_fresh:
        raise _refuse("the server did not agree to server_no_context_takeover")
    server_bits = answer.server_bits or _LARGEST
    if server_bits > config.server_max_window_bits:
        raise _refuse("the server did not agree to server_max_window_bits")
    client_bits = answer.client_bits or config.client_max_window_bits
    if client_bits > config.client_max_window_bits:
        raise _refuse("the server chose a larger client_max_window_bits than was offered")
    client_fresh = config.client_no_context_takeover or answer.client_fresh
    send = Direction(client_bits, not client_fresh)
    receive = Direction(server_bits, not answer.server_fresh)
    return Deflate(config, send, receive)


class _Agreement:
    """The parameters of one offer or answer, checked; 0 bits stand for an absent parameter."""

    __slots__ = ("client_bits", "client_fresh", "server_bits", "server_fresh")

    def __init__(self, parameters: list[Parameter], bare_client_bits: bool) -> None:
        found: dict[str, int] = {}
        for name, value in parameters:
            if name in found:
                raise _refuse("a parameter of permessage-deflate came twice")
            if name in _FLAGS and value is None:
                found[name] = 1
            elif name in _BITS and value in _BITS_VALUES:
                found[name] = _BITS_VALUES[value]
            elif name == _BITS[1] and value is None and bare_client_bits:
                found[name] = _LARGEST
            else:
                raise _refuse("invalid parameter of permessage-deflate")
        self.server_fresh = _FLAGS[0] in found
        self.client_fresh = _FLAGS[1] in found
        self.server_bits = found.get(_BITS[0], 0)
        self.client_bits = found.get(_BITS[1], 0)


def _refuse(message: str) -> HandshakeError:
    return HandshakeError(400, message)
