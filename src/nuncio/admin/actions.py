"""What an admin page may do: emit, move sockets between rooms, and disconnect them.

All of it goes through the namespaces' adapters, so it concerns the sockets of all servers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

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
        self._act(page, f"joins {room!r}", nsp, filter, lambda who: who.sockets_join(room))

    def leave(self, page: Any, nsp: Any = None, room: Any = None, filter: Any = None) -> None:
        """Take sockets out of a room."""
        self._act(page, f"leaves {room!r}", nsp, filter, lambda who: who.sockets_leave(room))

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
        where = "all" if filter in (None, "") else repr(filter)
        logger.info("the admin page %s %s: %s in %s", page.id, what, where, nsp.name)
        try:
            action(nsp if filter in (None, "") else nsp.to(filter))
        except (LimitExceeded, OptionError, TypeError, ValueError) as error:
            logger.info("the admin page %s could not do that: %s", page.id, error)
