"""Emitters that block, over buses whose libraries know event loops only.

The messages travel in the loop that all blocking parts of a process share; see `nuncio.sync.home`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nuncio.cluster.emitter import Sender
from nuncio.cluster.messages import ClusterMessage

if TYPE_CHECKING:
    from nuncio.sync.home import Lease


class BlockingSender:
    """Sends by means of a sender that needs a loop. It may be used by many threads.

    A process that was forked makes another one, for connections cannot be shared with the parent.

    Args:
        make: makes that sender; called in the loop's thread.
    """

    def __init__(self, make: Callable[[], Sender[Awaitable[None]]]) -> None:
        self._make = make
        self._sender: Sender[Awaitable[None]] | None = None
        self._lease: Lease | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def send(self, message: ClusterMessage) -> None:
        """Send a message.

        Raises:
            ConnectionError: when the bus did not take it.
            RuntimeError: in the thread of an event loop, which would stand still.
        """
        self._open().home.run(self._send, message)

    def close(self) -> None:
        """Send what is on its way, then end the connections."""
        lease, self._lease = self._lease, None
        if lease is None or lease.home.forked:
            return
        try:
            lease.home.finish(self._close, self._forget)
        finally:
            lease.release()

    def _open(self) -> Lease:
        from nuncio.sync.home import Lease
        from nuncio.sync.places import check_place

        check_place()
        if self._pid != os.getpid():
            # Another thread may have held it.
            self._pid, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._lease is None or self._lease.home.forked:
                self._lease = Lease()
                self._sender = None
            return self._lease

    # In the loop's thread.

    def _send(self, message: ClusterMessage) -> Awaitable[None]:
        if self._sender is None:
            self._sender = self._make()
        return self._sender.send(message)

    def _close(self) -> Awaitable[None] | None:
        sender, self._sender = self._sender, None
        return None if sender is None else sender.close()

    def _forget(self) -> None:
        self._sender = None
