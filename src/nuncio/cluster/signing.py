"""Signed messages, for a bus that others can write to.

A signature stands before the message it vouches for, or beside it: 32 characters of ASCII, so that
what was text stays text. It holds for one place, such as a channel: elsewhere it is worth nothing.
It proves that the sender knows the secret, not that the message is new: who can write to the bus
may say again, where it was said, what was once said there.
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

    Attributes:
        signs: whether it does.

    Raises:
        OptionError: for what is too short, or no secret at all.
    """

    signs = True

    def __init__(self, secret: str | bytes) -> None:
        key = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(key, bytes) or len(key) < LEAST_SECRET:
            raise OptionError(
                f"secret must be a str or bytes of at least {LEAST_SECRET} characters, such as"
                " secrets.token_hex(), and the same on all servers"
            )
        self._key = key if len(key) <= _MOST_KEY else hashlib.blake2b(key).digest()

    def signature(self, data: bytes, context: bytes = b"") -> bytes:
        """What vouches for a message that stands beside it.

        Args:
            data: the message.
            context: where it is said, such as the name of a channel.
        """
        digest = hashlib.blake2b(framed(context), digest_size=_BYTES, key=self._key)
        digest.update(data)
        return urlsafe_b64encode(digest.digest())

    def check(self, signature: bytes, data: bytes, context: bytes = b"") -> None:
        """Look whether it does.

        Args:
            signature: what is said to be one.
            data: see `signature`, as `context`.

        Raises:
            PacketError: when it does not.
        """
        if not hmac.compare_digest(signature, self.signature(data, context)):
            raise PacketError("a message that is not signed with this cluster's secret")

    def sign(self, data: bytes, context: bytes = b"") -> bytes:
        """A message with its signature in front; see `signature`."""
        return self.signature(data, context) + data

    def verify(self, data: bytes, context: bytes = b"") -> bytes:
        """The message without its signature.

        Raises:
            PacketError: when it has none, one that somebody else made, or that of another place.
        """
        message = data[LENGTH:]
        self.check(data[:LENGTH], message, context)
        return message


class NoSigner(Signer):
    """Where there is no secret: messages are as official adapters write them."""

    signs = False

    def __init__(self) -> None:
        """Nothing is needed."""

    def signature(self, data: bytes, context: bytes = b"") -> bytes:
        """None."""
        return b""

    def check(self, signature: bytes, data: bytes, context: bytes = b"") -> None:
        """Anything will do."""

    def sign(self, data: bytes, context: bytes = b"") -> bytes:
        """The message as it is."""
        return data

    def verify(self, data: bytes, context: bytes = b"") -> bytes:
        """The message as it is."""
        return data


UNSIGNED: Final = NoSigner()


def framed(*parts: bytes) -> bytes:
    """Several things as one, so that no other things make the same."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def signer(secret: str | bytes | None) -> Signer:
    """What signs with an adapter's option `secret`; None for nothing.

    Raises:
        OptionError: see `Signer`.
    """
    return UNSIGNED if secret is None else Signer(secret)
