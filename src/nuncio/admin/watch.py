"""In development: everything that happens to this server's sockets is told to the admin pages.

It listens where applications may listen, too: to the adapters' events, to the lifecycle of sockets,
to their catch-alls and to the sessions' upgrades. What sockets do in the admin namespace itself is
told as well, but not what they are sent there, for that would be told in turn.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec

from nuncio.admin.pages import Pages
from nuncio.admin.rounds import Rounds
from nuncio.admin.shown import shown, timestamp, told_data
from nuncio.admin.stats import served
from nuncio.handlers.binding import bind
from nuncio.server.connection import Connection

# How many sockets' data is looked at, to find what nobody told, at each round.
MOST_LOOKS: Final = 500


class Watch(Rounds):
    """Tells what happens.

    Data is an object of the application's own, which nobody tells of changes. It is looked at after
    each event that the socket has sent, and in rounds.

    Args:
        io: the server.
        pages: the pages.
    """

    def __init__(self, io: Any, pages: Pages) -> None:
        super().__init__(io)
        self._pages = pages
        # What each socket's data was when it was last told; those looked at longest ago in front.
        self._known: dict[Any, int] = {}
        self._touched: set[Any] = set()
        io.engine.on("connection", self._opened)
        for nsp in served(io):
            self._watch(nsp)
        io.on("new_namespace", self._watch)

    def round(self) -> None:
        """See `Rounds.round`."""
        if not self._pages.any:
            return
        for socket in list(islice(self._known, MOST_LOOKS)):
            self._known[socket] = self._known.pop(socket)
            self._look(socket)

    # Where it listens.

    def _watch(self, nsp: Any) -> None:
        # In front of the application's own, which may disconnect the client, join rooms and so on.
        for event, listener in (("connect", self._connected), ("disconnect", self._disconnected)):
            handler = bind(listener, event, takes_socket=True, lifecycle=True)
            nsp.lifecycle[event] = [handler, *nsp.lifecycle.get(event, [])]
        nsp.adapter.on("join_room", partial(self._joined, nsp.name))
        nsp.adapter.on("leave_room", partial(self._left, nsp.name))

    def _opened(self, session: Any) -> None:
        session.on("upgrade", partial(self._upgraded, session))

    # What it hears.

    def _connected(self, socket: Any) -> None:
        nsp = socket.nsp
        self._known[socket] = _fingerprint(told_data(socket))
        if self._pages.any:
            self._pages.tell("socket_connected", shown(socket), timestamp())
        if nsp is not self._pages.nsp:
            socket.on_any(partial(self._received, socket))
            socket.on_any_outgoing(partial(self._sent, socket))
            # Once the application's handlers have seen it.
            self._touch(socket)

    def _disconnected(self, socket: Any, reason: str) -> None:
        self._known.pop(socket, None)
        self._touched.discard(socket)
        self._pages.tell(
            "socket_disconnected", socket.nsp.name, socket.id, str(reason), timestamp()
        )

    def _joined(self, nsp: str, room: Any, id: str) -> None:
        self._pages.tell("room_joined", nsp, room, id, timestamp())

    def _left(self, nsp: str, room: Any, id: str) -> None:
        # Who disconnects leaves its rooms first, which the page wants to know the other way round.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._pages.tell, "room_left", nsp, room, id, timestamp())

    def _upgraded(self, session: Any, transport: Any) -> None:
        connection = session.listener
        if not self._pages.any or not isinstance(connection, Connection):
            return
        for socket in connection.sockets:
            told = {"id": socket.id, "nsp": socket.nsp.name, "transport": transport.name}
            self._pages.tell("socket_updated", told)

    def _received(self, socket: Any, *payload: Any) -> None:
        self._pages.tell("event_received", socket.nsp.name, socket.id, list(payload), timestamp())
        self._touch(socket)

    def _sent(self, socket: Any, *payload: Any) -> None:
        self._pages.tell("event_sent", socket.nsp.name, socket.id, list(payload), timestamp())

    # Data.

    def _touch(self, socket: Any) -> None:
        if not self._touched:
            asyncio.get_running_loop().call_soon(self._look_at_touched)
        self._touched.add(socket)

    def _look_at_touched(self) -> None:
        touched, self._touched = self._touched, set()
        if self._pages.any:
            for socket in touched:
                self._look(socket)

    def _look(self, socket: Any) -> None:
        """Tell the pages of a socket's data, if it is other than they know."""
        if socket not in self._known:
            return
        if not socket.connected:
            # The application has removed all handlers, ours among them.
            del self._known[socket]
            return
        data = told_data(socket)
        fingerprint = _fingerprint(data)
        if fingerprint != self._known[socket]:
            self._known[socket] = fingerprint
            told = {"id": socket.id, "nsp": socket.nsp.name, "data": data}
            self._pages.tell("socket_updated", told)


def _fingerprint(data: Any) -> int:
    try:
        return hash(msgspec.msgpack.encode(data))
    except (TypeError, ValueError, OverflowError):
        # It cannot be shown, either.
        return 0
