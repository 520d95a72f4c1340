"""Engine.IO packets and payloads, revision 4. [compiled]

A text packet is a type digit and its data; a binary packet is always a message and has no digit.
Frame transports carry one packet a frame. HTTP long-polling joins packets with the record
separator and writes binary ones as `b` and base64 (Engine.IO protocol v4, "Packet encoding").

`Message` is what the layers above hand down: one upper-layer message with its binary
attachments, encoded once for each kind of transport however many connections receive it.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

from nuncio.errors import PacketError
from nuncio.protocol.frames import BINARY, TEXT, encode
from nuncio.slow import SlowConsumer

OPEN: Final = 48
CLOSE: Final = 49
PING: Final = 50
PONG: Final = 51
MESSAGE: Final = 52
UPGRADE: Final = 53
NOOP: Final = 54
BINARY_MARK: Final = 98

SEPARATOR: Final = b"\x1e"

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

OPEN_PACKET: Final = b"0"
CLOSE_PACKET: Final = b"1"
PING_PACKET: Final = b"2"
PONG_PACKET: Final = b"3"
MESSAGE_PACKET: Final = b"4"
UPGRADE_PACKET: Final = b"5"
NOOP_PACKET: Final = b"6"
PROBE_PING: Final = b"2probe"
PROBE_PONG: Final = b"3probe"


class Message:
    """One message and its attachments, encoded for every transport at most once.

    Args:
        text: a whole text packet with its type digit, or None for a purely binary message.
        attachments: binary packets that follow the text; they are never separated from it.
        compress: whether the transport may compress it.
        control: whether this is the transport's own packet (open, ping), which is never compressed
            and does not count as the application's.

    Attributes:
        slow: what becomes of it for a peer that is behind; None when it must not be dropped.
    """

    __slots__ = (
        "_deflated",
        "_frames",
        "_others",
        "_payload",
        "attachments",
        "compress",
        "control",
        "size",
        "slow",
        "text",
    )

    def __init__(
        self,
        text: bytes | None,
        attachments: list[bytes] | None = None,
        compress: bool = True,
        control: bool = False,
    ) -> None:
        self.text = text
        self.attachments = attachments
        self.compress = compress
        self.control = control
        self.slow: SlowConsumer | None = None
        self._frames: bytes | None = None
        self._payload: bytes | None = None
        self._deflated: dict[int, bytes] | None = None
        self._others: dict[int, bytes] | None = None
        size = 0 if text is None else len(text)
        if attachments is not None:
            for attachment in attachments:
                size += len(attachment)
        self.size = size

    def frames(self) -> bytes:
        """Its WebSocket frames, unmasked and joined: the same bytes for every recipient."""
        frames = self._frames
        if frames is None:
            text = self.text
            if text is not None and self.attachments is None:
                frames = encode(TEXT, text)
            else:
                frames = self._join_frames(text)
            self._frames = frames
        return frames

    def _join_frames(self, text: bytes | None) -> bytes:
        attachments = self.attachments
        if attachments is None:
            return encode(TEXT, b"")
        parts = [] if text is None else [encode(TEXT, text)]
        for attachment in attachments:
            parts.append(encode(BINARY, attachment))
        return b"".join(parts)

    def deflated(self, shared: int) -> bytes | None:
        """What `keep_deflated` was given under this number; see `Deflate.shared`."""
        deflated = self._deflated
        return None if deflated is None else deflated.get(shared)

    def keep_deflated(self, shared: int, frames: bytes) -> None:
        """Keep compressed frames for the next recipient that compresses in the same way.

        There are no more ways than sizes of a window, so what is kept is bounded.
        """
        deflated = self._deflated
        if deflated is None:
            deflated = {}
            self._deflated = deflated
        deflated[shared] = frames

    def payload(self) -> bytes:
        """Its packets as long-polling carries them, joined by the record separator."""
        payload = self._payload
        if payload is None:
            payload = self._build_payload()
            self._payload = payload
        return payload

    def _build_payload(self) -> bytes:
        text = self.text
        attachments = self.attachments
        if attachments is None:
            return b"" if text is None else text
        parts = [] if text is None else [text]
        for attachment in attachments:
            parts.append(encode_binary(attachment))
        return SEPARATOR.join(parts)

    def kept(self, form: int) -> bytes | None:
        """What `keep` was given for a form; None when nothing yet."""
        others = self._others
        return None if others is None else others.get(form)

    def keep(self, form: int, data: bytes) -> None:
        """Keep it in another form, of `engineio3` or `dialects`, for its other recipients."""
        others = self._others
        if others is None:
            others = {}
            self._others = others
        others[form] = data


def encode_binary(data: bytes) -> bytes:
    """A binary packet for a transport that carries text only."""
    return b"b" + b2a_base64(data, newline=False)


def decode_binary(packet: bytes) -> bytes:
    """The bytes of a text packet that begins with `b`.

    Both alphabets of base64 are known, other characters are skipped, and missing padding is
    forgiven, as the reference does.

    Raises:
        PacketError: when what is left cannot be base64 at all.
    """
    data = packet[1:]
    if b"-" in data or b"_" in data:
        data = data.translate(_URL_SAFE)
    try:
        return a2b_base64(data + b"==")
    except ValueError as error:
        raise PacketError("parser error") from error


def split_payload(body: bytes, max_packets: int) -> list[bytes]:
    """The packets of a long-polling payload.

    Args:
        body: the request body, valid UTF-8.
        max_packets: how many packets one payload may hold, checked before the body is split.

    Raises:
        PacketError: when there are more.
    """
    if body.count(SEPARATOR) >= max_packets:
        raise PacketError("too many packets in one payload")
    return body.split(SEPARATOR)
