"""What an admin page may do: emit, move sockets between rooms, and disconnect them.

All of it goes through the namespaces' adapters, so it concerns the sockets of all servers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.rooms import Room, is_room
from nuncio.errors import LimitExceeded, OptionError

logger = logging.getLogger("nuncio.admin")

FEATURES: Final = ("EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")


class Actions:
    """The handlers of the admin namespace.

    In each, `filter` is a room or a socket's id; without one, the whole namespace is meant.

    Args:
        io: the server.
    """

    def __init__(self, io: Any) -> None:
        self._io = io

    def register(self, nsp: Any) -> None:
        """Let the pages of the admin namespace do it."""
        nsp.on("emit", self.emit)
        nsp.on("join", self.join)
        nsp.on("leave", self.leave)
        nsp.on("_disconnect", self.disconnect)

    def emit(
        self, page: Any, nsp: Any = None, filter: Any = None, event: Any = None, *args: Any
    ) -> None:
        """Send an event."""
        self._act(page, f"emits {event!r}", nsp, filter, lambda who: who.emit(event, *args))

    def join(self, page: Any, nsp: Any = None, room: Any = None, filter: Any = None) -> None:
        """Put sockets into a room."""
        self._act(page, f"joins {room!r}", nsp, filter, lambda who: who.sockets_join(_room(room)))

    def leave(self, page: Any, nsp: Any = None, room: Any = None, filter: Any = None) -> None:
        """Take sockets out of a room."""
        self._act(page, f"leaves {room!r}", nsp, filter, lambda who: who.sockets_leave(_room(room)))

    def disconnect(
        self, page: Any, nsp: Any = None, close: Any = False, filter: Any = None
    ) -> None:
        """Disconnect sockets; with `close` their connections, too."""
        closes = close is True
        self._act(page, "disconnects", nsp, filter, lambda who: who.disconnect_sockets(closes))

    def _act(
        self, page: Any, what: str, name: Any, filter: Any, action: Callable[[Any], object]
    ) -> None:
        # A name that nobody knows makes no namespace.
        nsp = self._io.find_namespace(name) if isinstance(name, str) else None
        if nsp is None:
            logger.info("the admin page %s %s in %r, which is not there", page.id, what, name)
            return
        everybody = filter is None or filter == ""
        where = "all" if everybody else repr(filter)
        logger.info("the admin page %s %s: %s in %s", page.id, what, where, nsp.name)
        try:
            action(nsp if everybody else nsp.to(_room(filter)))
        except (LimitExceeded, OptionError, TypeError, ValueError) as error:
            logger.info("the admin page %s could not do that: %s", page.id, error)


def _room(value: Any) -> Room:
    """One room. Applications may give several, but a list of none would mean everybody."""
    if not is_room(value):
        raise OptionError(f"a room is a str or an int, not {value!r}")
    found: Room = value
    return found
