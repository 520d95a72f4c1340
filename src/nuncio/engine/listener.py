"""What a session knows of the layer above it. [compiled]"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from nuncio.protocol.engineio import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Listener:
    """The layer above a session."""

    __slots__ = ()

    def text(self, data: bytes) -> None:
        """A text message: the whole packet, whose message starts at index 1."""
        raise NotImplementedError

    def binary(self, data: bytes) -> None:
        """A binary message."""
        raise NotImplementedError

    def dropped(self, message: Message) -> None:
        """A message whose acknowledgement is waited for was dropped: the peer is behind."""

    def heartbeat(self) -> None:
        """The peer has answered a ping: all that was sent before that has arrived."""

    def closed(self, reason: str, description: str) -> None:
        """The session ended."""
        raise NotImplementedError
