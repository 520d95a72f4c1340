"""WebSocket frames (RFC 6455): from bytes to messages and back, without I/O. [compiled]

Nuncio has its own frame reader because it is on the path of every message: the bytes of one read
from the network are walked once, where they lie, and a message is handed on as the bytes it came
as (text is checked to be UTF-8, never decoded to ``str``). Sizes are judged by a frame's header,
before anything is stored, and an idle reader stores nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, Protocol, final

try:
    # XOR with the key, in C: big integers cost 3 times as much for 64 bytes and 16 times for 1 KiB.
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which there is no compiled websockets
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from mypy_extensions import i64

mask: Final = apply_mask
"""XOR of a payload with a key of four bytes (section 5.3)."""

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

NEED_DATA: Final = -1
"""What `FrameReader.next` returns when the bytes fed so far hold no further message."""

PROTOCOL_ERROR: Final = 1002
INVALID_PAYLOAD: Final = 1007
TOO_BIG: Final = 1009
NO_STATUS: Final = 1005

_FIN: Final = 0x80
_RSV: Final = 0x70
_RSV1: Final = 0x40
_CONTROL: Final = 0x08
_MASK: Final = 0x80
_WHOLE_TEXT: Final = 0x81
_WHOLE_BINARY: Final = 0x82
_SHORT: Final = 125  # the longest length the second byte holds by itself, and any control frame's
_MAX_MAX_SIZE: Final = 1 << 60  # keeps every sum of offsets within 64 bits

_SHORT_TEXTS: Final = tuple(bytes((_WHOLE_TEXT, size)) for size in range(_SHORT + 1))

_from_bytes: Final = int.from_bytes  # looked up once: compiled code would do it at each call


class FrameError(Exception):
    """The peer broke the rules of RFC 6455; the connection is to be closed with `code`.

    Attributes:
        code: the close code for the peer: 1002 (protocol error), 1007 (data that does not fit its
            type) or 1009 (too big).
        reason: what was wrong, in a few words, without any of the peer's data.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code: int = code
        self.reason: str = reason


class Inflater(Protocol):
    """What the reader needs of an extension that compresses messages (RFC 7692)."""

    def inflate(self, payload: bytes, max_size: int) -> bytes:
        """Return the inflated message; raise `FrameError` when it is corrupt or too big."""


@final
class _Message:
    """The fragments of one message, joined as they come."""

    __slots__ = ("compressed", "data", "fragments", "opcode")

    def __init__(self, opcode: int, compressed: bool, data: bytes) -> None:
        self.opcode: int = opcode
        self.compressed: bool = compressed
        self.fragments: int = 1
        self.data: bytearray = bytearray(data)


@final
class FrameReader:
    """Reads the frames of one connection (RFC 6455, sections 5 and 7).

    Feed it what arrived, then call `next` until it answers `NEED_DATA`:

        reader.feed(data)
        while reader.more and (opcode := reader.next()) != NEED_DATA:
            use(opcode, reader.payload)

    Asking for `more` is not needed; it saves a call when frames come one by one.

    The fragments of a message are joined; control frames come out between them, as they arrived.
    After a close frame everything else is ignored (section 5.5.1), and so it is after an error.
    Bytes that are left over are copied by the next `feed`, so feeding much while not calling
    `next` costs time.

    Lengths that are not written in the shortest form are accepted for data frames, as the
    reference server does: they are harmless, and some small devices send them.

    Attributes:
        payload: the bytes of what `next` returned; empty after `NEED_DATA`.
        close_code: the code of the close frame, 1005 when it had none; 0 before one arrived.
        close_reason: the reason of the close frame.
        more: whether something is left that `next` has not looked at.
    """

    __slots__ = (
        "_data",
        "_done",
        "_error",
        "_gather",
        "_inflater",
        "_masked",
        "_max_fragments",
        "_max_size",
        "_message",
        "_need",
        "_pos",
        "close_code",
        "close_reason",
        "more",
        "payload",
    )

    def __init__(
        self,
        max_size: int,
        masked: bool,
        max_fragments: int = 4096,
        inflater: Inflater | None = None,
    ) -> None:
        """Make a reader.

        Args:
            max_size: the largest message in bytes, summed over its fragments and also after
                inflating.
            masked: whether frames must be masked (the peer is a client) or must not be (it is a
                server); section 5.1.
            max_fragments: the largest number of frames in one message.
            inflater: inflates messages whose first frame has RSV1 set; without one that bit is an
                error.

        Raises:
            ValueError: if `max_size` or `max_fragments` is out of range.
        """
        if not 0 <= max_size <= _MAX_MAX_SIZE:
            raise ValueError(f"max_size must be between 0 and {_MAX_MAX_SIZE}, not {max_size}")
        if max_fragments < 1:
            raise ValueError(f"max_fragments must be at least 1, not {max_fragments}")
        self.payload: bytes = b""
        self.close_code: int = 0
        self.close_reason: str = ""
        self.more: bool = False
        self._max_size: i64 = max_size
        self._masked: bool = masked
        self._max_fragments: int = max_fragments
        self._inflater: Inflater | None = inflater
        self._data: bytes = b""  # bytes not yet read, from _pos on
        self._pos: i64 = 0
        self._gather: bytearray | None = None  # instead of _data: what is there of a long frame
        self._need: i64 = 0  # how long _gather must be before looking at it pays
        self._message: _Message | None = None
        self._done: bool = False
        self._error: FrameError | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the network.

        Args:
            data: any part of the stream; kept as it is, not copied, when nothing is left over
                from before. Ignored after a close frame or an error.
        """
        if self._done:
            return
        self.more = True
        if self._gather is not None:
            self._gather += data
        elif not self._data:
            self._data = data
        else:
            gather = bytearray(self._data[self._pos :])
            gather += data
            self._gather = gather
            self._data = b""
            self._pos = 0

    def next(self) -> int:
        """Read on to the end of the next message or control frame.

        Returns:
            `TEXT`, `BINARY`, `CLOSE`, `PING` or `PONG`, with its bytes in `payload`; `NEED_DATA`
            when the rest of it has not arrived.

        Raises:
            FrameError: if the peer broke a rule; every later call raises the same again.
        """
        if self._done:
            return self._after_end()
        if self._gather is not None and not self._take_gathered():
            self.more = False
            return NEED_DATA
        masked = self._masked
        while True:
            data = self._data
            pos: i64 = self._pos
            size: i64 = len(data)
            have: i64 = size - pos
            if have < 2:
                return self._wait(2)
            first: i64 = data[pos]
            length: i64 = data[pos + 1]
            if (length >= _MASK) != masked:
                self._fail(PROTOCOL_ERROR, "unmasked frame" if masked else "masked frame")
            length &= 0x7F
            plain = self._message is None and first in (_WHOLE_TEXT, _WHOLE_BINARY)
            if not plain:
                self._check_header(first, length)
            start: i64 = pos + 2
            if length > _SHORT:
                start += 2 if length == 126 else 8
                if start - pos > have:
                    return self._wait(start - pos)
                length = self._long_length(data[pos + 2 : start])
            if length > self._max_size or not plain:
                self._check_size(first, length)
            if masked:
                start += 4
            end: i64 = start + length
            if end - pos > have:
                return self._wait(end - pos)
            payload = data[start:end]
            if masked:
                payload = mask(payload, data[start - 4 : start])
            if end == size:
                self._data = b""
                self._pos = 0
                self.more = False
            else:
                self._pos = end
            if plain:
                if first == _WHOLE_TEXT and not payload.isascii():
                    self._check_text(payload)
                self.payload = payload
                return first & 0x0F
            opcode = self._complete(first, payload)
            if opcode != NEED_DATA:
                return opcode

    def _wait(self, need: i64) -> int:
        """Keep what is left of the input until there are `need` bytes of it."""
        if self._pos:
            self._data = self._data[self._pos :]
            self._pos = 0
        self._need = need
        self.more = False
        self.payload = b""
        return NEED_DATA

    def _take_gathered(self) -> bool:
        gather = self._gather
        assert gather is not None
        if len(gather) < self._need:
            return False
        self._data = bytes(gather)
        self._gather = None
        self._need = 0
        return True

    def _check_header(self, first: i64, short_length: i64) -> None:
        """Judge the first byte of a frame that is not an ordinary message in one frame."""
        opcode = first & 0x0F
        reserved = first & _RSV
        if reserved and (reserved != _RSV1 or self._inflater is None or opcode not in (1, 2)):
            self._fail(PROTOCOL_ERROR, "reserved bits set")
        if opcode > PONG or BINARY < opcode < CLOSE:
            self._fail(PROTOCOL_ERROR, "unknown opcode")
        if opcode >= CLOSE:
            if not first & _FIN:
                self._fail(PROTOCOL_ERROR, "fragmented control frame")
            if short_length > _SHORT:
                self._fail(PROTOCOL_ERROR, "control frame longer than 125 bytes")
        elif opcode == CONTINUATION:
            message = self._message
            if message is None:
                self._fail(PROTOCOL_ERROR, "continuation of no message")
            if message.fragments >= self._max_fragments:
                self._fail(TOO_BIG, "too many fragments")
        elif self._message is not None:
            self._fail(PROTOCOL_ERROR, "new message within a fragmented one")

    def _long_length(self, field: bytes) -> int:
        length = _from_bytes(field, "big")
        if length >> 63:
            self._fail(PROTOCOL_ERROR, "length above 63 bits")
        return length

    def _check_size(self, first: i64, length: i64) -> None:
        room: i64 = self._max_size
        if self._message is not None:
            room -= len(self._message.data)
        if length > room and not first & _CONTROL:
            self._fail(TOO_BIG, "message too big")

    def _complete(self, first: i64, payload: bytes) -> int:
        """Take a frame that is not an ordinary message; return what it completes, if anything."""
        opcode: int = first & 0x0F
        if opcode >= CLOSE:
            self.payload = payload
            if opcode == CLOSE:
                self._read_close(payload)
            return opcode
        compressed = first & _RSV1 != 0
        message = self._message
        if message is not None:
            message.data += payload
            message.fragments += 1
            if not first & _FIN:
                return NEED_DATA
            self._message = None
            opcode = message.opcode
            compressed = message.compressed
            payload = bytes(message.data)
        elif not first & _FIN:
            self._message = _Message(opcode, compressed, payload)
            return NEED_DATA
        if compressed:
            payload = self._inflate(payload)
        if opcode == TEXT and not payload.isascii():
            self._check_text(payload)
        self.payload = payload
        return opcode

    def _inflate(self, payload: bytes) -> bytes:
        inflater = self._inflater
        assert inflater is not None
        try:
            return inflater.inflate(payload, self._max_size)
        except FrameError as error:
            self._fail(error.code, error.reason)

    def _check_text(self, payload: bytes) -> None:
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError:
            self._fail(INVALID_PAYLOAD, "text is not UTF-8")

    def _read_close(self, payload: bytes) -> None:
        code = NO_STATUS
        reason = ""
        if payload:
            if len(payload) == 1:
                self._fail(PROTOCOL_ERROR, "close frame of one byte")
            code = payload[0] << 8 | payload[1]
            if not is_close_code(code):
                self._fail(PROTOCOL_ERROR, "invalid close code")
            try:
                reason = payload[2:].decode("utf-8")
            except UnicodeDecodeError:
                self._fail(INVALID_PAYLOAD, "close reason is not UTF-8")
        self._end()
        self.payload = payload
        self.close_code = code
        self.close_reason = reason

    def _end(self) -> None:
        self._done = True
        self._data = b""
        self._pos = 0
        self._gather = None
        self._message = None
        self.more = False
        self.payload = b""

    def _after_end(self) -> int:
        if self._error is not None:
            raise FrameError(self._error.code, self._error.reason)
        self.payload = b""
        return NEED_DATA

    def _fail(self, code: int, reason: str) -> NoReturn:
        self._end()
        # The one kept is never raised: its traceback would keep frames and their buffers alive.
        self._error = FrameError(code, reason)
        raise FrameError(code, reason)


def is_close_code(code: int) -> bool:
    """Tell whether a close frame may carry `code` (RFC 6455, section 7.4, and the registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def encode(opcode: int, payload: bytes, rsv1: bool = False) -> bytes:
    """Build a whole, unmasked frame, as a server sends it (RFC 6455, section 5.2).

    Args:
        opcode: `TEXT`, `BINARY`, `CLOSE`, `PING` or `PONG`.
        payload: the bytes it carries; for `TEXT` they must be UTF-8.
        rsv1: sets RSV1, the mark of a compressed message (RFC 7692, section 6).

    Returns:
        the frame.

    Raises:
        ValueError: if `opcode` is none of these, or `payload` is longer than 125 bytes in a
            control frame.
    """
    size = len(payload)
    if opcode == TEXT and size <= _SHORT and not rsv1:
        return _SHORT_TEXTS[size] + payload
    return _head(opcode, size, rsv1, 0) + payload


def encode_masked(opcode: int, payload: bytes, key: bytes, rsv1: bool = False) -> bytes:
    """Build a whole, masked frame, as a client sends it (RFC 6455, sections 5.2 and 5.3).

    Args:
        opcode: `TEXT`, `BINARY`, `CLOSE`, `PING` or `PONG`.
        payload: the bytes it carries; for `TEXT` they must be UTF-8.
        key: four bytes, fresh for each frame from a source nobody can predict.
        rsv1: sets RSV1, the mark of a compressed message (RFC 7692, section 6).

    Returns:
        the frame.

    Raises:
        ValueError: as `encode`, and if `key` is not four bytes.
    """
    if len(key) != 4:
        raise ValueError(f"key must be 4 bytes, not {len(key)}")
    return _head(opcode, len(payload), rsv1, _MASK) + key + mask(payload, key)


def _head(opcode: int, size: int, rsv1: bool, masked: int) -> bytes:
    if opcode != TEXT and opcode != BINARY:
        if opcode < CLOSE or opcode > PONG:
            raise ValueError(f"opcode must be a data or control opcode, not {opcode}")
        if size > _SHORT:
            raise ValueError(f"payload of a control frame must be at most 125 bytes, not {size}")
    first = _FIN | _RSV1 | opcode if rsv1 else _FIN | opcode
    if size <= _SHORT:
        return (first << 8 | masked | size).to_bytes(2, "big")
    if size < 65536:
        return (first << 24 | (masked | 126) << 16 | size).to_bytes(4, "big")
    return ((first << 8 | masked | 127) << 64 | size).to_bytes(10, "big")


def encode_close(code: int, reason: str = "") -> bytes:
    """Build the payload of a close frame (RFC 6455, section 5.5.1).

    Args:
        code: why; 1005 stands for "no code" and gives an empty payload.
        reason: words for the log of the other side, at most 123 bytes as UTF-8.

    Returns:
        the payload, for `encode` or `encode_masked`.

    Raises:
        TypeError: if `reason` is not a ``str``.
        ValueError: if `code` may not be sent, or `reason` is too long, not encodable as UTF-8, or
            comes with code 1005.
    """
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, not {type(reason).__name__}")
    try:
        words = reason.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("reason must be encodable as UTF-8") from None
    if len(words) > 123:
        raise ValueError(f"reason must be at most 123 bytes as UTF-8, not {len(words)}")
    if code == NO_STATUS:
        if words:
            raise ValueError("reason must be empty with code 1005, which sends none")
        return b""
    if not is_close_code(code):
        raise ValueError(f"code must be a close code that may be sent, not {code}")
    return code.to_bytes(2, "big") + words
