"""An emitter for code that blocks: Celery tasks, Django views, scripts."""

from __future__ import annotations

from typing import Any, Self

from nuncio.cluster.emitter import Emitting, target_of


class Emitter(Emitting[None]):
    """Emits to the clients of a cluster, from a process that is no server.

        emitter = nuncio.sync.Emitter("redis://localhost:6379")
        emitter.to("news").emit("headline", "…")

    Its methods return when the message was taken, and raise ConnectionError when it was not. It may
    be used by many threads.

    Args:
        adapter: the adapter of the servers, made with the same options; or an address such as
            `redis://…`, or a client `redis.Redis`, for `RedisAdapter` with its defaults; or
            `postgresql://…` for `PostgresAdapter` with its; or `nats://…` for `NatsAdapter`; or
            `mongodb://…`, or a collection of pymongo's, for `MongoAdapter`. Or the `RedisMeeting`
            of workers, where these are joined by nothing else.
        nsp: the namespace, `/` unless said otherwise.

    Raises:
        OptionError: for what is no adapter, or when a library is not installed.
    """

    def __init__(self, adapter: Any, nsp: str = "/") -> None:
        super().__init__(target_of(adapter).blocking_sender(), nsp)

    def close(self) -> None:
        """End the connections."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
