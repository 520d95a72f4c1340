"""What is kept of clients that are away: a bucket of JetStream's, from which each is taken once.

Taking is a deletion that names what it deletes: of two servers one succeeds.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.line import as_connection_error, outcome
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.link import ENGINE
from nuncio.cluster.nats.subjects import token
from nuncio.errors import LimitExceeded, PacketError

if TYPE_CHECKING:
    from nuncio.cluster.nats.stream import StreamOptions

logger = logging.getLogger("nuncio.cluster")


class Sessions:
    """The sessions of a cluster.

    Args:
        bus: the server's connection.
        options: of the stream beside which they are kept.
        seconds: for which each is kept.
    """

    def __init__(self, bus: Bus, options: StreamOptions, seconds: float) -> None:
        self._bus = bus
        self._options = options
        self._seconds = seconds
        self._bucket = f"{options.name}_sessions"
        self._store: Any = None

    async def open(self, jetstream: Any) -> None:
        """Have the bucket, over a new connection; it is made if there is none."""
        await self._ensure(jetstream)
        self._store = await jetstream.key_value(self._bucket)

    async def _ensure(self, jetstream: Any) -> None:
        from nats.js import api, errors

        stream = f"KV_{self._bucket}"
        try:
            config = (await jetstream.stream_info(stream)).config
        except errors.NotFoundError:
            wanted = api.KeyValueConfig(
                bucket=self._bucket,
                ttl=self._seconds,
                max_bytes=self._options.max_bytes,
                replicas=self._options.replicas,
            )
            try:
                await jetstream.create_key_value(wanted)
            except errors.BadRequestError:
                # Another server has made it in the meantime, in its own way.
                logger.debug("the bucket %r is there already", self._bucket)
            return
        if config.max_age and config.max_age < self._seconds:
            # Clients may be away for longer than they might when it was made.
            await jetstream.update_stream(config.evolve(max_age=self._seconds))

    def keep(self, pid: str, data: bytes) -> asyncio.Future[bytes]:
        """Keep a client's session.

        Returns:
            What is done once JetStream has it, or does not take it.
        """
        try:
            return self._bus.request(
                f"$KV.{self._bucket}.{token(pid)}", data, secrets.token_hex(12)
            )
        except LimitExceeded as error:
            logger.warning("a client cannot come back: %s", error)
            refused = outcome()
            refused.set_exception(ConnectionError(str(error)))
            return refused

    async def take(self, pid: str, wanted: Callable[[bytes], bool] | None = None) -> bytes | None:
        """Take a client's session; None when there is none, or somebody else has just taken it.

        Args:
            pid: the client's secret.
            wanted: says whether it is to be taken; None for in any case.

        Raises:
            ConnectionError: when JetStream cannot be asked.
            PacketError: as `wanted` does.
        """
        from nats.js import errors

        if self._store is None or not self._bus.healthy:
            raise ConnectionError("NATS cannot be reached")
        key = token(pid)
        try:
            entry = await self._store.get(key)
            if wanted is not None and not wanted(bytes(entry.value or b"")):
                return None
            await self._store.delete(key, last=entry.revision)
        except errors.KeyNotFoundError:
            return None
        except errors.APIError as error:
            if error.err_code in (10071, 10164):
                return None
            raise as_connection_error(error, ENGINE) from error
        except PacketError:
            # It is another's, or nobody's.
            raise
        except Exception as error:
            raise as_connection_error(error, ENGINE) from error
        return bytes(entry.value or b"")
