"""A socket that is connected to another server of the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.messages import RemoteDetails
from nuncio.cluster.rooms import Room
from nuncio.engine.sent import Sent
from nuncio.protocol.json import simplify

if TYPE_CHECKING:
    from nuncio.server.broadcasting import Broadcaster
    from nuncio.server.operator import BroadcastOperator

logger = logging.getLogger("nuncio")


class RemoteHandshake:
    """What the other server told of a handshake; see `Handshake`.

    Args:
        told: under the official names, `issued` in milliseconds.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.headers: dict[str, str] = told.get("headers") or {}
        self.query: dict[str, str] = told.get("query") or {}
        self.auth: dict[str, Any] = told.get("auth") or {}
        self.address: str = told.get("address") or ""
        self.url: str = told.get("url") or ""
        self.time: str = told.get("time") or ""
        self.issued: float = (told.get("issued") or 0) / 1000
        self.secure: bool = bool(told.get("secure"))
        self.xdomain: bool = bool(told.get("xdomain"))


class RemoteSocket:
    """One client of another server; what `fetch_sockets` returns for it.

    Args:
        nsp: the namespace on this server.
        details: what the other server told.

    Attributes:
        id: its public id.
        handshake: what was known when it connected.
        rooms: the rooms it was in when the other server was asked.
        data: the application's own, a copy; None when it cannot be sent.
    """

    def __init__(self, nsp: Broadcaster, details: RemoteDetails) -> None:
        self.nsp = nsp
        self.id = details.id
        self.handshake = RemoteHandshake(details.handshake)
        self.rooms: set[Room] = set(details.rooms)
        self.data = details.data

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id!r} of {self.nsp.name!r}>"

    def _operator(self) -> BroadcastOperator:
        return self.nsp.to(self.id)

    def emit(self, event: str, *args: object) -> Sent:
        """Send it an event; see `Socket.emit`."""
        return self._operator().emit(event, *args)

    def emit_with_ack(self, event: str, *args: object, timeout: float) -> Awaitable[Any]:
        """Send it an event and wait for its answer.

        Raises:
            AckTimeout: when it did not come in time.
        """
        return asyncio.ensure_future(self._ask(event, args, timeout))

    async def _ask(self, event: str, args: tuple[object, ...], timeout: float) -> Any:
        answers = await self._operator().timeout(timeout).emit_with_ack(event, *args)
        return answers[0] if answers else None

    def timeout(self, seconds: float) -> RemoteOperator:
        """How long what is emitted with it waits for the acknowledgement."""
        return RemoteOperator(self, seconds)

    def join(self, rooms: Room | Iterable[Room]) -> None:
        """Put it into rooms."""
        self._operator().sockets_join(rooms)

    def leave(self, room: Room) -> None:
        """Take it out of a room."""
        self._operator().sockets_leave(room)

    def disconnect(self, close: bool = False) -> None:
        """Disconnect it; with `close` its whole connection."""
        self._operator().disconnect_sockets(close)


class RemoteOperator:
    """`remote.timeout(5).emit_with_ack(...)`: one answer, not a list."""

    def __init__(self, socket: RemoteSocket, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[Any]:
        """See `RemoteSocket.emit_with_ack`."""
        return self._socket.emit_with_ack(event, *args, timeout=self._seconds)


def details_of(socket: Any) -> RemoteDetails:
    """What other servers are told of a socket of this one."""
    handshake = socket.handshake
    told = {
        "headers": handshake.headers,
        "time": handshake.time,
        "address": handshake.address,
        "xdomain": handshake.xdomain,
        "secure": handshake.secure,
        "issued": round(handshake.issued * 1000),
        "url": handshake.url,
        "query": handshake.query,
        "auth": handshake.auth,
    }
    try:
        data = simplify(socket.data)
    except (TypeError, ValueError, RecursionError) as error:
        # All the other sockets are to be found none the less.
        logger.debug("the data of socket %r stays on its server: %r", socket.id, error)
        data = None
    return RemoteDetails(socket.id, told, list(socket.rooms), data)
