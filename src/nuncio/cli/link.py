"""What the tool needs of a connection. The client is behind it; in tests something smaller is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Facts:
    """How a connection is, for `status`.

    Attributes:
        state: `open`, `opening` or `closed`.
        transport: its name, or None.
        ids: of each namespace, None for one that is not connected.
        latency: seconds that the latest round trip took, or None.
        measured: what was measured then.
        heartbeat: seconds since the server last asked whether the tool is alive, or None.
        reconnecting: whether attempts to connect are going on.
    """

    state: str
    transport: str | None
    ids: dict[str, str | None]
    latency: float | None = None
    measured: str = ""
    heartbeat: float | None = None
    reconnecting: bool = False


class Link(Protocol):
    """A connection to a server, with several namespaces.

    What happens on it is told to the journal it was made with, also what the methods begin.
    """

    def namespaces(self) -> list[str]:
        """Those that were asked for, in that order."""

    def connect(self, namespace: str) -> None:
        """Begin to connect a namespace; nothing if it is, or is about to be."""

    async def connected(self, namespace: str) -> None:
        """Wait until a namespace is connected.

        Raises:
            NotConnected: when it is refused, or the server is not reached and that is the end.
        """

    async def ready(self, namespace: str) -> None:
        """Wait until events can be sent; a namespace that is new is connected first.

        Raises:
            NotConnected: when the namespace was left, or cannot be connected.
        """

    def is_connected(self, namespace: str) -> bool:
        """Whether a namespace is connected."""

    def is_alive(self) -> bool:
        """Whether any namespace is connected, or may yet be by itself."""

    def disconnect(self, namespace: str) -> None:
        """Leave a namespace."""

    def set_auth(self, namespace: str, auth: Mapping[str, Any] | None) -> None:
        """Use other credentials from the next connection of a namespace on."""

    def emit(self, namespace: str, name: str, args: Sequence[Any]) -> None:
        """Send an event.

        Raises:
            Problem: when it cannot be sent.
        """

    async def ask(
        self, namespace: str, name: str, args: Sequence[Any], timeout: float | None
    ) -> tuple[Any, ...]:
        """Send an event and wait for its acknowledgement.

        Returns:
            The values of the answer.

        Raises:
            TimedOut: when none came in time.
            NotConnected: when the connection ended before.
            Problem: when it cannot be sent.
        """

    def answer(self, question: int | None, args: Sequence[Any]) -> None:
        """Acknowledge an event.

        Args:
            question: its number; None for the latest that was not answered.
            args: the values of the answer.

        Raises:
            WrongUse: when there is no such question.
        """

    def facts(self) -> Facts:
        """How it is."""

    async def drained(self) -> None:
        """Wait until the connection has taken what was sent."""

    async def close(self) -> None:
        """Send what waits, and end."""
