"""A socket that is connected to another server of the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.messages import RemoteDetails
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import plain, unmarked
from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import AckTimeout, Disconnected
from nuncio.handlers.callbacks import bind_callback
from nuncio.handlers.handler import Handler
from nuncio.options import seconds as checked_seconds
from nuncio.server.operator import BroadcastOperator, check_event, check_farewell

if TYPE_CHECKING:
    from nuncio.server.broadcasting import Broadcaster

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

    Attributes:
        nsp: its namespace, on this server.
        id: its public id.
        handshake: what was known when it connected.
        rooms: the rooms it was in when the other server was asked.
        data: the application's own, a copy; None when it cannot be sent.
        mark: what its server tells admin pages of its connection; None where it tells nothing.
    """

    def __init__(self, nsp: Broadcaster, details: RemoteDetails) -> None:
        """Made by the adapter.

        Args:
            nsp: the namespace on this server.
            details: what the other server told.
        """
        self.nsp = nsp
        self.id = details.id
        self.handshake = RemoteHandshake(details.handshake)
        self.rooms: set[Room] = set(details.rooms)
        self.data, self.mark = unmarked(details.data)

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id!r} of {self.nsp.name!r}>"

    def _options(self) -> BroadcastOptions:
        options = BroadcastOptions(frozenset((self.id,)))
        options.single = True
        return options

    def _operator(self) -> BroadcastOperator:
        return BroadcastOperator(self.nsp, self._options())

    def emit(self, event: str, *args: object) -> Sent:
        """Send it an event; see `Socket.emit`, whose callback it takes, too."""
        if args and callable(args[-1]):
            return self.emit_callback(event, args[:-1], args[-1], 0.0)
        return self._operator().emit(event, *args)

    def emit_with_ack(
        self, event: str, *args: object, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send it an event and wait for its answer.

        Args:
            event: its name.
            args: see `Socket.emit`.
            timeout: seconds to wait; None for as long as a dead connection can go unnoticed, which
                is `ping_interval` and `ping_timeout` together.

        Returns:
            The first value of the answer; other servers tell no more.

        Raises:
            AckTimeout: when it did not come in time, be it that the client has left meanwhile.
            Disconnected: when the client was not connected.
        """
        check_event(event)
        limit = 0.0 if timeout is None else checked_seconds("timeout", timeout)
        return asyncio.ensure_future(self._ask(event, args, limit))

    async def _ask(self, event: str, args: tuple[object, ...], timeout: float) -> Any:
        if not timeout:
            options = self.nsp.server.engine.options
            timeout = options.ping_interval + options.ping_timeout
        answers = await self._operator().timeout(timeout).emit_with_ack(event, *args)
        if not answers:
            raise Disconnected("not connected")
        return answers[0]

    def emit_callback(
        self, event: str, args: tuple[object, ...], callback: Any, timeout: float
    ) -> Sent:
        """See `Socket.emit` with a callable; with a time-out its first argument is an error."""
        handler = bind_callback(callback)
        check_event(event)
        self.nsp.server.spawn(self._call_back(event, args, handler, timeout))
        return TAKEN

    async def _call_back(
        self, event: str, args: tuple[object, ...], callback: Handler, timeout: float
    ) -> None:
        try:
            values: list[Any] = [await self._ask(event, args, timeout)]
            if timeout:
                values.insert(0, None)
        except (AckTimeout, Disconnected) as error:
            if not timeout:
                return
            values = [error]
        given = callback.with_answer(values)
        self.nsp.server.guard(callback.function, given, None, "ack")

    def timeout(self, seconds: float) -> RemoteOperator:
        """How long what is emitted with it waits for the acknowledgement.

        Args:
            seconds: above 0.

        Raises:
            OptionError: for what is no such number.
        """
        return RemoteOperator(self, checked_seconds("timeout", seconds))

    def join(self, rooms: Room | Iterable[Room]) -> Sent:
        """Put it into rooms; see `Socket.join`."""
        self._operator().sockets_join(rooms)
        return TAKEN

    def leave(self, room: Room) -> Sent:
        """Take it out of a room; see `Socket.leave`."""
        self._operator().sockets_leave(room)
        return TAKEN

    def disconnect(
        self, close: bool = False, *, reason: str | None = None, data: object = None
    ) -> None:
        """Disconnect it; see `Socket.disconnect`.

        Raises:
            OptionError: for a reason that is no text, and data without a reason.
        """
        check_farewell(reason, data)
        options = self._options()
        options.reason = reason
        options.data = data
        self.nsp.disconnect_many(options, close)


class RemoteOperator:
    """`remote.timeout(5).emit_with_ack(...)`: one answer, not a list."""

    def __init__(self, socket: RemoteSocket, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds

    def emit(self, event: str, *args: object) -> Sent:
        """See `RemoteSocket.emit`; a callback's first argument is an error or None."""
        if args and callable(args[-1]):
            return self._socket.emit_callback(event, args[:-1], args[-1], self._seconds)
        return self._socket.emit(event, *args)

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
        data = plain(socket.data)
    except (TypeError, ValueError, RecursionError) as error:
        # All the other sockets are to be found none the less.
        logger.debug("the data of socket %r stays on its server: %r", socket.id, error)
        data = None
    admin = socket.nsp.server.admin
    if admin is not None:
        data = admin.marked(socket, data)
    return RemoteDetails(socket.id, told, list(socket.rooms), data)
