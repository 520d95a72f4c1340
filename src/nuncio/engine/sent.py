"""What an emit returns. [compiled]

Nearly always the transport takes a message at once, and then every emit returns the same object.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Generator
from typing import Any, Final, Protocol, cast


class Congestible(Protocol):
    """Who may have to be waited for: a session, of a server or a client."""

    @property
    def congested(self) -> bool:
        """Whether the peer is behind."""

    def drain(self) -> Future[None]:
        """Wait until it is not."""


class Sent:
    """What an emit returns: await it to wait until the connection has taken the bytes."""

    __slots__ = ("_session",)

    def __init__(self, session: Congestible | None) -> None:
        self._session = session

    def __await__(self) -> Generator[Any, None, None]:
        session = self._session
        if session is None or not session.congested:
            return cast("Generator[Any, None, None]", iter(()))
        return session.drain().__await__()

    @property
    def taken(self) -> bool:
        """Whether there is nothing to wait for."""
        session = self._session
        return session is None or not session.congested


TAKEN: Final = Sent(None)
