"""Signed messages, for a bus that others can write to.

A signature stands before the message it vouches for: 32 characters of ASCII, so that what was text
stays text. It proves that the sender knows the secret, not that the message is new: who can write
to the bus may send again what was once said.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

from nuncio.errors import OptionError, PacketError

LENGTH: Final = 32
_BYTES: Final = 24

# Shorter ones can be guessed by who has one signed message.
LEAST_SECRET: Final = 16
_MOST_KEY: Final = hashlib.blake2b.MAX_KEY_SIZE


class Signer:
    """Signs what goes out, and takes the signature off what comes in.

    Args:
        secret: what all servers of the cluster, and nobody else, know.

    Raises:
        OptionError: for what is too short, or no secret at all.
    """

    def __init__(self, secret: str | bytes) -> None:
        key = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(key, bytes) or len(key) < LEAST_SECRET:
            raise OptionError(
                f"secret must be a str or bytes of at least {LEAST_SECRET} characters, such as"
                " secrets.token_hex(), and the same on all servers"
            )
        self._key = key if len(key) <= _MOST_KEY else hashlib.blake2b(key).digest()

    def _signature(self, data: bytes) -> bytes:
        digest = hashlib.blake2b(data, digest_size=_BYTES, key=self._key).digest()
        return urlsafe_b64encode(digest)

    def sign(self, data: bytes) -> bytes:
        """A message with its signature in front."""
        return self._signature(data) + data

    def verify(self, data: bytes) -> bytes:
        """The message without its signature.

        Raises:
            PacketError: when it has none, or one that somebody else made.
        """
        message = data[LENGTH:]
        if not hmac.compare_digest(data[:LENGTH], self._signature(message)):
            raise PacketError("a message that is not signed with this cluster's secret")
        return message


class NoSigner(Signer):
    """Where there is no secret: messages are as official adapters write them."""

    def __init__(self) -> None:
        """Nothing is needed."""

    def sign(self, data: bytes) -> bytes:
        """The message as it is."""
        return data

    def verify(self, data: bytes) -> bytes:
        """The message as it is."""
        return data


UNSIGNED: Final = NoSigner()


def signer(secret: str | bytes | None) -> Signer:
    """What signs with an adapter's option `secret`; None for nothing.

    Raises:
        OptionError: see `Signer`.
    """
    return UNSIGNED if secret is None else Signer(secret)
