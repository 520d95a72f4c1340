"""How an emitter's messages travel over Redis, in a loop and without one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nuncio.cluster import sending
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.line import as_connection_error
from nuncio.errors import OptionError

logger = logging.getLogger("nuncio.cluster")

# What tells how a message is sent: the key or sharded channel that it concerns, and the command.
Order = Callable[[ClusterMessage], tuple[str, tuple[Any, ...]]]


class LoopSender(sending.LoopSender[Bus]):
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connections.
        order: makes commands of messages.
    """

    def __init__(self, bus: Bus, order: Order) -> None:
        super().__init__(bus)
        self._order = order
        self._warned = False

    def prepare(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """See `LoopSender.prepare` of all engines."""
        return self._order(message)

    def give(self, prepared: tuple[str, tuple[Any, ...]]) -> Awaitable[Any]:
        """See `LoopSender.give` of all engines."""
        return self._give(*prepared)

    async def _give(self, key: str, command: tuple[Any, ...]) -> None:
        answer = await self.bus.outgoing.call(key, command)
        if not self._warned and not self.bus.clustered:
            self._warned = warn_if_unheard(command, answer)


def warn_if_unheard(command: tuple[Any, ...], answer: Any) -> bool:
    """Warn when no server has subscribed to what was published; whether that was done.

    Args:
        command: what was sent to Redis.
        answer: its answer.
    """
    if command[0] != "PUBLISH" or answer != 0:
        return False
    logger.warning(
        "no server hears what is emitted on Redis' channel %r: give the servers this adapter, with "
        "the same names; for workers that meet in Redis the emitter is made of their RedisMeeting",
        command[1],
    )
    return True


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
        self._warned = False
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
            answer = execute(*command, **options)
        except redis.RedisError as error:
            raise as_connection_error(error) from error
        if not self._warned and not options:
            self._warned = warn_if_unheard(command, answer)

    def close(self) -> None:
        """End the connections."""
        if self._own:
            self._client.close()
