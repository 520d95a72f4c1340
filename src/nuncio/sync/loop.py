"""The event loop of the blocking clients: uvloop's where it exists. A thread finds addresses.

asyncio's own pool of threads for that refuses to work once the main thread has ended, though others
go on. And uvloop's breaks a child process that only ends: it waits there for threads that `os.fork`
has not copied.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from typing import Any

from nuncio.sync.lane import in_thread

find = socket.getaddrinfo


def new_loop() -> asyncio.AbstractEventLoop:
    """Make it."""
    found: Any = type("Loop", (_Names, _base()), {})
    loop: asyncio.AbstractEventLoop = found()
    return loop


def _base() -> type:
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop
    return uvloop.Loop


class _Names:
    """Finds addresses and names; over the methods of a loop."""

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """See `asyncio.loop.getaddrinfo`."""
        flags = hints.pop("flags", 0)
        try:
            # An address needs nobody to be asked.
            return find(host, port, **hints, flags=flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await in_thread(functools.partial(find, host, port, **hints, flags=flags))

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """See `asyncio.loop.getnameinfo`."""
        return await in_thread(socket.getnameinfo, sockaddr, flags)
