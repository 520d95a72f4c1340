"""Where Redis is, and connections to it: by redis-py, which is asked for when it is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from nuncio.cluster.line import CONNECT_SECONDS
from nuncio.errors import OptionError

MISSING: Final = "clusters over Redis need redis-py and hiredis: pip install 'nuncio[redis]'"

# The name and the port of one of Redis' servers.
Address = tuple[str, int]


def library() -> ModuleType:
    """redis-py, beside which hiredis is.

    Raises:
        OptionError: when one of them is not installed, naming what to install.
    """
    try:
        import hiredis  # noqa: F401
        import redis.asyncio
    except ImportError as error:
        raise OptionError(MISSING) from error
    return redis.asyncio


def _blocking() -> ModuleType:
    """The part of it that blocks, whose clients an emitter may be made of."""
    import redis

    return redis


class Endpoint:
    """One of Redis' servers, from whose address and credentials those of others follow.

    Args:
        where: a URL (`redis://`, `rediss://`, `unix://`), or a client of `redis.asyncio`, whose
            settings are taken; its own connections are left alone.

    Raises:
        OptionError: for what is neither, or when redis-py is not installed.
    """

    def __init__(self, where: Any) -> None:
        redis = library()
        if isinstance(where, str):
            try:
                pool = redis.ConnectionPool.from_url(where)
            except ValueError as error:
                raise OptionError(f"url: {where!r} is no address of Redis: {error}") from error
            self._kind, given = pool.connection_class, pool.connection_kwargs
        elif isinstance(where, (redis.Redis, _blocking().Redis)):
            pool = where.connection_pool
            self._kind, given = pool.connection_class, pool.connection_kwargs
        elif isinstance(where, redis.RedisCluster):
            node = (where.get_nodes() or where.startup_nodes)[0]
            self._kind, given = node.connection_class, node.connection_kwargs
        elif isinstance(where, _blocking().RedisCluster):
            node = where.get_nodes()[0]
            pool = node.redis_connection.connection_pool
            self._kind, given = pool.connection_class, pool.connection_kwargs
        else:
            raise OptionError(
                "url must be an address such as 'redis://localhost:6379', or a client of "
                f"redis.asyncio, not {where!r}"
            )
        self._given = {**given, **_ours()}

    def connection(self, address: Address | None = None) -> Any:
        """A connection that is not connected yet.

        Args:
            address: of another server of the same cluster of Redis.
        """
        given = self._given
        if address is not None:
            given = {**given, "host": address[0], "port": address[1]}
        return self._kind(**given)

    @property
    def host(self) -> str:
        """Its name."""
        return str(self._given.get("host", "localhost"))

    @property
    def words(self) -> str:
        """Where it is, for people."""
        given = self._given
        if "path" in given:
            return str(given["path"])
        return f"{self.host}:{given.get('port', 6379)}"

    @property
    def database(self) -> int:
        """The number of its database."""
        return int(self._given.get("db") or 0)


def _ours() -> dict[str, Any]:
    """Settings that are the bus's business."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.maint_notifications import MaintNotificationsConfig

    return {
        "decode_responses": False,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": 0,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "maint_notifications_pool_handler": None,
    }
