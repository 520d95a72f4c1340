"""What an emit returns. [compiled]

Nearly always the transport takes a message at once, and then every emit returns the same object.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop, shield
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


class SentLater(Sent):
    """What an emit returns whose event cannot be sent yet."""

    __slots__ = ("_behind", "_given", "_waiting")

    def __init__(self) -> None:
        super().__init__(None)
        self._given = False
        self._behind: list[Sent] = []
        self._waiting: Future[None] | None = None

    def given(self, behind: list[Sent]) -> None:
        """It was sent.

        Args:
            behind: those of its recipients who are behind.
        """
        self._given = True
        self._behind = behind
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    @property
    def taken(self) -> bool:
        """See `Sent.taken`."""
        if not self._given:
            return False
        for sent in self._behind:
            if not sent.taken:
                return False
        return True

    def __await__(self) -> Generator[Any, None, None]:
        if not self._given:
            if self._waiting is None:
                self._waiting = get_running_loop().create_future()
            yield from shield(self._waiting).__await__()
        for sent in self._behind:
            yield from sent.__await__()
