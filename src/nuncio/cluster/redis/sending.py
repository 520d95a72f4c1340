"""How an emitter's messages travel over Redis, in a loop and without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nuncio.cluster.line import as_connection_error
from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.redis.bus import Bus
from nuncio.errors import OptionError

logger = logging.getLogger("nuncio.cluster")

# What tells how a message is sent: the key or sharded channel that it concerns, and the command.
Order = Callable[[ClusterMessage], tuple[str, tuple[Any, ...]]]


class LoopSender:
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connections.
        order: makes commands of messages.
    """

    def __init__(self, bus: Bus, order: Order) -> None:
        self._bus = bus
        self._order = order
        self._sending: set[asyncio.Future[None]] = set()

    def bus_changed(self, why: Exception | None) -> None:
        """See `Member`: what is sent waits or fails by itself."""

    def send(self, message: ClusterMessage) -> Awaitable[None]:
        """Send a message.

        Returns:
            What raises ConnectionError when Redis did not take it.
        """
        key, command = self._order(message)
        sending = asyncio.ensure_future(self._send(key, command))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return sending

    async def _send(self, key: str, command: tuple[Any, ...]) -> None:
        # Who waits for the same task goes on in the order in which it came.
        await self._bus.enter(self)
        await self._bus.call(key, *command)

    def _sent(self, sending: asyncio.Future[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            logger.warning("what an emitter sent is lost: %s", error)

    def close(self) -> Awaitable[None]:
        """Wait for what is being sent, then end the connections."""
        return self._close()

    async def _close(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending)
        await self._bus.leave(self)


class BlockingSender:
    """Sends with a client of redis-py that blocks; its connections may be used by many threads.

    Args:
        where: Redis' address, or such a client, which is left open.
        order: makes commands of messages.

    Raises:
        OptionError: for what is neither.
    """

    def __init__(self, where: Any, order: Order) -> None:
        import redis

        self._order = order
        self._own = isinstance(where, str)
        if self._own:
            self._client: Any = redis.Redis.from_url(where)
        elif isinstance(where, (redis.Redis, redis.RedisCluster)):
            self._client = where
        else:
            raise OptionError(
                f"a blocking emitter needs Redis' address or a client that blocks, not {where!r}"
            )

    def send(self, message: ClusterMessage) -> None:
        """Send a message.

        Raises:
            ConnectionError: when Redis did not take it.
        """
        import redis

        key, command = self._order(message)
        client = self._client
        options: dict[str, Any] = {}
        if isinstance(client, redis.RedisCluster):
            cluster: Any = client
            node = cluster.get_node_from_key(key) if key else cluster.get_random_node()
            options["target_nodes"] = node
        execute: Any = client.execute_command
        try:
            execute(*command, **options)
        except redis.RedisError as error:
            raise as_connection_error(error) from error

    def close(self) -> None:
        """End the connections."""
        if self._own:
            self._client.close()
