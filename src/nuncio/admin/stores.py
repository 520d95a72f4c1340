"""Where it is kept who has signed in, so that reloading the page asks for no password."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final, Protocol

from nuncio.errors import OptionError
from nuncio.options import seconds as checked_seconds

DAY: Final = 86_400.0

# Sessions that are remembered; the oldest is forgotten for a new one.
MOST_SESSIONS: Final = 1000

# How long Redis may take.
REDIS_SECONDS: Final = 5.0


class Store(Protocol):
    """Keeps the ids of sessions."""

    async def has(self, session: str) -> bool:
        """Whether somebody signed in under this id, not too long ago."""

    async def add(self, session: str) -> None:
        """Somebody signed in."""


class MemoryStore:
    """Sessions of this process; they end with it.

    Args:
        duration: seconds after which one must sign in again.

    Raises:
        OptionError: for what is no such number.
    """

    def __init__(self, duration: float = DAY) -> None:
        self._duration = checked_seconds("duration", duration)
        # When each ends, the first to end in front.
        self._ends: OrderedDict[str, float] = OrderedDict()

    async def has(self, session: str) -> bool:
        """See `Store.has`."""
        return time.monotonic() < self._ends.get(session, 0.0)

    async def add(self, session: str) -> None:
        """See `Store.add`."""
        now = time.monotonic()
        ends = self._ends
        while ends and (len(ends) >= MOST_SESSIONS or next(iter(ends.values())) <= now):
            ends.popitem(last=False)
        ends[session] = now + self._duration


class RedisStore:
    """Sessions in Redis, where all servers find them, Node's `RedisStore` among them.

    Args:
        url: where Redis is, such as `redis://localhost:6379`.
        prefix: what stands before the `#` in the names of the keys.
        duration: seconds after which one must sign in again.

    Raises:
        OptionError: for an option that is none of these, or when redis-py is not installed.
    """

    def __init__(self, url: str, *, prefix: str = "socket.io-admin", duration: float = DAY) -> None:
        try:
            from redis.asyncio import ConnectionPool
        except ImportError as error:
            raise OptionError("RedisStore needs redis-py: pip install 'nuncio[redis]'") from error
        try:
            # Nothing is connected by that.
            ConnectionPool.from_url(url)
        except (ValueError, AttributeError, TypeError) as error:
            raise OptionError(f"url: {url!r} is no address of Redis: {error}") from error
        self._url = url
        self._prefix = prefix
        self._duration = checked_seconds("duration", duration)

    async def has(self, session: str) -> bool:
        """See `Store.has`."""
        async with self._client() as redis:
            return bool(await redis.exists(self._key(session)))

    async def add(self, session: str) -> None:
        """See `Store.add`."""
        async with self._client() as redis:
            await redis.set(self._key(session), "1", ex=max(round(self._duration), 1))

    def _key(self, session: str) -> str:
        return f"{self._prefix}#{session}"

    def _client(self) -> Any:
        # People sign in so seldom that no connection is kept for it.
        from redis.asyncio import Redis

        return Redis.from_url(
            self._url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        )
