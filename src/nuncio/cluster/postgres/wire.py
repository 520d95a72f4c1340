"""Messages as notifications, which are text and short, and as attachments, which are neither.

What is binary or too long is a row of a table, as MessagePack; the notification says which. The
official emitter leaves out which namespace it means: that is the channel's then.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nuncio.cluster import envelope
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Envelope, Kind
from nuncio.cluster.signing import Signer
from nuncio.cluster.values import converted, from_bytes, from_msgpack, may_hold_dates
from nuncio.errors import OptionError, PacketError
from nuncio.protocol.json import dumps

# What PostgreSQL takes is shorter than this.
LIMIT: Final = 8000

# Beyond that PostgreSQL refuses a channel's name, or listens to another one.
LONGEST_CHANNEL: Final = 63

_MOST_ID: Final = 2**63 - 1


class Header(msgspec.Struct, rename={"id": "attachmentId"}):
    """What a notification says of an attachment."""

    uid: str
    type: int
    id: str | int

    @property
    def row(self) -> int:
        """The row's id.

        Raises:
            PacketError: when it cannot be one.
        """
        id = self.id
        if isinstance(id, str):
            # No other way to write a number is meant, nor a number that is long to read.
            if not (id.isascii() and id.isdecimal() and len(id) <= 19):
                raise PacketError("an attachment's id that is no number")
            id = int(id)
        if not 0 < id <= _MOST_ID:
            raise PacketError("an attachment's id that no row has")
        return id


class Wire:
    """Writes and reads messages.

    Args:
        signer: signs them.
        threshold: notifications are shorter, in bytes.
    """

    def __init__(self, signer: Signer, threshold: int) -> None:
        self._signer = signer
        self._threshold = threshold

    def encode(self, message: ClusterMessage) -> tuple[str, bytes | None]:
        """A message as a notification; or as an attachment, if it must be one.

        Returns:
            The text and None; or what `header` completes, and the attachment.
        """
        if message.type == Kind.FETCH_SOCKETS_RESPONSE:
            # The one that holds binary and yet is no attachment, as in Node.
            data = envelope.encode_plain(message)
        else:
            data = envelope.encode(message)
        if data[:1] == b"{":
            signed = self._signer.sign(data)
            if len(signed) < self._threshold:
                return signed.decode(), None
            data = envelope.encode_packed(message)
        return "", self._signer.sign(data)

    def header(self, message: ClusterMessage, row: int) -> str:
        """The notification of an attachment."""
        header = Header(message.uid, message.type, str(row))
        return self._signer.sign(dumps(header)).decode()

    def ending(self, uid: str, nsp: str) -> str:
        """With what all notifications of one adapter end, but for attachments."""
        whole = envelope.encode_plain(ClusterMessage(uid, nsp, Kind.HEARTBEAT)).decode()
        return whole[whole.index(',"uid":') :]

    def decode(self, text: str, nsp: str) -> ClusterMessage | Header:
        """What a notification says.

        Args:
            text: the notification.
            nsp: the channel's namespace.

        Raises:
            PacketError: when it is no message.
        """
        data = self._signer.verify(text.encode())
        if data[:1] != b"{":
            raise PacketError("a notification that is no JSON object")
        value = from_bytes(data)
        if value.get("attachmentId") is not None:
            return converted(value, Header)
        return _message(value, nsp, dated=False)

    def decode_attachment(self, payload: bytes, nsp: str) -> ClusterMessage:
        """What an attachment says.

        Args:
            payload: the attachment.
            nsp: the channel's namespace.

        Raises:
            PacketError: when it is no message.
        """
        data = self._signer.verify(payload)
        return _message(from_msgpack(data), nsp, dated=may_hold_dates(data))


def _message(value: Any, nsp: str, dated: bool) -> ClusterMessage:
    if isinstance(value, dict) and value.get("nsp") is None:
        value["nsp"] = nsp
    return envelope.opened(converted(value, Envelope), dated)


def channel_of(prefix: str, nsp: str) -> str:
    """The name of a namespace's channel.

    Raises:
        OptionError: when PostgreSQL cannot have it.
    """
    name = f"{prefix}#{nsp}"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= LONGEST_CHANNEL or "\0" in name:
        raise OptionError(
            f"the namespace {nsp!r} cannot have a channel in PostgreSQL: with channel_prefix"
            f" {prefix!r} its name may have {LONGEST_CHANNEL} bytes and no surrogates or NUL"
        )
    return name
