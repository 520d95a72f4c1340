"""What a server remembers of links between peers: their ends, and whose they are.

A link has two ends. Both are here when both browsers are connected to this server; otherwise the
other end is at another server of the cluster, which knows the link by the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuncio.engine.rates import Bucket
from nuncio.engine.wheel import Timer
from nuncio.rate import Rate
from nuncio.server.socket import Socket

# What a chunk costs at least of what may be under way, so that many small ones are bounded, too.
LEAST_COST = 512


def cost_of(data: bytes) -> int:
    """What a relayed chunk takes of what may be under way; browsers count the same."""
    return max(len(data), LEAST_COST)


class End(Timer):
    """One browser's end of a link.

    Args:
        id: the link's; the server made it.
        book: the browser's.
        socket: in whose name it takes part.
        stamp: who that is, as its peer is told.
        offered: whether the browser asked for the link.
        relays: whether the link may be relayed.
        expired: called when nobody answered in time.

    Attributes:
        other: the other end; None when another server has it.
        answered: whether the peer has agreed.
        relaying: whether what they say passes through the server.
        candidates: how many ICE candidates the browser has sent.
        unseen: what it has sent and the other has not said to have taken.
        untaken: what was sent to it and it has not said to have taken.
    """

    __slots__ = (
        "_expired",
        "answered",
        "book",
        "candidates",
        "id",
        "offered",
        "other",
        "relaying",
        "relays",
        "socket",
        "stamp",
        "unseen",
        "untaken",
    )

    def __init__(
        self,
        id: str,
        book: Book,
        socket: Socket,
        stamp: dict[str, Any],
        *,
        offered: bool,
        relays: bool,
        expired: Callable[[End], None],
    ) -> None:
        super().__init__()
        self.id = id
        self.book = book
        self.socket = socket
        self.stamp = stamp
        self.offered = offered
        self.relays = relays
        self._expired = expired
        self.other: End | None = None
        self.answered = False
        self.relaying = False
        self.candidates = 0
        self.unseen = 0
        self.untaken = 0

    def expire(self, now: float) -> None:
        """See `Timer.expire`."""
        self._expired(self)

    def tell(self, event: str, message: dict[str, Any], sender: dict[str, Any] | None) -> None:
        """Tell the browser what its peer has to say; without a sender it is the server itself."""
        self.book.control.tell([f"peer:{event}", {"link": self.id, "from": sender, **message}])


class Book:
    """The links of one connection.

    Args:
        control: its socket in the namespace where peers are arranged.
        rate: how many messages it may send to arrange them; None for any number.

    Attributes:
        ends: by the ids of their links.
        asking: how many offers the application is deciding about.
    """

    __slots__ = ("_bucket", "asking", "control", "ends")

    def __init__(self, control: Socket, rate: Rate | None) -> None:
        self.control = control
        self.ends: dict[str, End] = {}
        self.asking = 0
        self._bucket = None if rate is None else Bucket(rate)

    def spend(self) -> bool:
        """Count a message; False when it is one too many."""
        bucket = self._bucket
        if bucket is None:
            return True
        now = self.control._connection.wheel.now()
        if bucket.wait(now) > 0.0:
            return False
        bucket.take(now)
        return True

    @property
    def open_offers(self) -> int:
        """How many of its offers have not been answered."""
        waiting = sum(1 for end in self.ends.values() if end.offered and not end.answered)
        return waiting + self.asking

    def socket_of(self, nsp: object) -> Socket | None:
        """Whom the connection is in a namespace; None when it is not there."""
        if nsp == self.control.nsp.name:
            return None
        for socket in self.control._connection.sockets:
            if socket.nsp.name == nsp and socket.connected:
                return socket
        return None
