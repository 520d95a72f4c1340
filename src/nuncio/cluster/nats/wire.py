"""Messages of a cluster over NATS as bytes: MessagePack, signed where there is a secret.

A signature holds for one subject.

The format is Nuncio's own, for there is no official adapter: the official cluster adapters' map of
`type`, `data`, `uid` and `nsp`. In the log there is `n`, too: an entry's number at the server that
added it, which knows its own by that.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nuncio.cluster import envelope
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.nats.parts import MARK, Parts, split
from nuncio.cluster.signing import LENGTH, Signer
from nuncio.cluster.values import converted, from_msgpack, may_hold_dates, to_msgpack


class _Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message of the log."""

    type: int
    data: Any = None
    uid: str
    nsp: str
    n: int = 0


class Wire:
    """Encodes and decodes.

    Args:
        signer: signs.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._overhead = LENGTH if signer.signs else 0

    def encode(self, message: ClusterMessage, subject: str, most: int) -> list[bytes]:
        """A message for a subject, in parts if it has more than so many bytes.

        Raises:
            LimitExceeded: when it is too large even so.
        """
        data = envelope.encode_packed(message)
        sign, place = self._signer.sign, subject.encode()
        if len(data) + self._overhead <= most:
            return [sign(data, place)]
        return [sign(part, place) for part in split(data, most - self._overhead)]

    def decode(self, data: bytes, subject: bytes, parts: Parts) -> ClusterMessage | None:
        """What arrived; None when more parts belong to it.

        Raises:
            PacketError: when it is no message, or nobody of this cluster has signed it.
        """
        found = self._signer.verify(data, subject)
        if found[:1] == bytes((MARK,)):
            whole = parts.take(found)
            if whole is None:
                return None
            found = whole
        return envelope.decode_packed(found)

    def encode_entry(self, message: ClusterMessage, subject: str, number: int = 0) -> bytes:
        """A message for the log."""
        entry = _Entry(
            type=message.type, data=message.data, uid=message.uid, nsp=message.nsp, n=number
        )
        return self._signer.sign(to_msgpack(entry), subject.encode())

    def decode_entry(self, data: bytes, subject: str) -> tuple[ClusterMessage, int]:
        """A message of the log, and its number.

        Raises:
            PacketError: when it is none, or nobody of this cluster has signed it.
        """
        packed = self._signer.verify(data, subject.encode())
        entry = converted(from_msgpack(packed), _Entry)
        dated = may_hold_dates(packed)
        return ClusterMessage(entry.uid, entry.nsp, entry.type, entry.data, dated), entry.n
