"""Who a client is, and until when. [compiled]

A socket has none of this until somebody sets its user or its expiry. How a user is found is not
known here: `nuncio.auth` does that, or the application.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from nuncio.cluster.recovery import SavedAccess
from nuncio.cluster.rooms import Room
from nuncio.engine.wheel import TICK, Timer
from nuncio.errors import DisconnectReason
from nuncio.options import MOST_SECONDS

if TYPE_CHECKING:
    from nuncio.server.socket import Socket

# How often is looked whether a client whose time is up has been let in at last.
ADMISSION_SECONDS: Final = 0.1


class Access(Timer):
    """The user of a socket, and the timer that ends it.

    Attributes:
        user: the application's, None for a guest.
        key: what tells users apart, None when nobody said.
        rooms: those that the user brought along.
        authentication: what can check new credentials, see `Socket.refresh_auth`.
        attempts: how many times credentials were checked.
        adopted: which of these attempts the user comes from.
        expires_at: seconds since the epoch, None for never.
    """

    __slots__ = (
        "_end",
        "_event",
        "_notice",
        "_socket",
        "_told",
        "adopted",
        "attempts",
        "authentication",
        "expires_at",
        "key",
        "rooms",
        "user",
    )

    def __init__(self, socket: Socket) -> None:
        super().__init__()
        self.user: Any = None
        self.key: Any = None
        self.rooms: tuple[Room, ...] = ()
        self.authentication: Any = None
        self.attempts = 0
        self.adopted = 0
        self.expires_at: float | None = None
        self._socket: Socket | None = socket
        self._end = 0.0
        self._event = ""
        self._notice = 0.0
        self._told = False

    @property
    def seconds_left(self) -> float | None:
        """How long it still holds, None for ever."""
        if self.expires_at is None:
            return None
        return max(self.expires_at - time.time(), 0.0)

    def until(self, timestamp: float | None, notice: float, event: str) -> None:
        """See `Socket.expire_at`; without notice when `notice` is 0."""
        socket = self._socket
        if socket is None:
            return
        wheel = socket._connection.wheel
        wheel.cancel(self)
        self.expires_at = timestamp
        if timestamp is None:
            return
        # From here on by the loop's clock, which nobody sets back.
        left = min(max(timestamp - time.time(), 0.0), MOST_SECONDS)
        self._end = wheel.now() + left
        self._event = event
        self._notice = notice
        self._told = notice <= 0
        wheel.arm(self, max(left - notice, 0.0))

    def expire(self, now: float) -> None:
        """See `Timer.expire`: first the notice, then the end."""
        socket = self._socket
        if socket is None:
            return
        left = self._end - now
        if not socket.connected:
            # A middleware is still deciding; a refusal would have stopped this timer.
            socket._connection.wheel.arm(self, ADMISSION_SECONDS)
        elif self._told or left <= TICK:
            reason = DisconnectReason.AUTH_EXPIRED
            socket.dismiss(False, str(reason), None, reason)
        else:
            self._told = True
            socket._connection.wheel.arm(self, left)
            socket.tell([self._event, {"expires_in": round(left, 3)}])

    # Recovery.

    def saved(self) -> SavedAccess:
        """What is kept of it while the client is away."""
        return SavedAccess(
            self.user, self.key, self.rooms, self.expires_at, self._notice, self._event
        )

    def restore(self, saved: SavedAccess) -> None:
        """The client came back."""
        self.user = saved.user
        self.key = saved.key
        self.rooms = saved.rooms
        self.until(saved.expires_at, saved.notice, saved.event)

    def forget(self) -> None:
        """Nothing is known of the client any longer."""
        self.user = None
        self.key = None
        self.rooms = ()
        self.until(None, 0.0, "")

    def stop(self) -> None:
        """The socket has ended. The user stays known."""
        socket = self._socket
        if socket is not None:
            self._socket = None
            socket._connection.wheel.cancel(self)
