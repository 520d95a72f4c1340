"""One connection to NATS: made by nats-py, and used in our own way.

nats-py knows addresses, TLS, credentials, other servers of the cluster, and the protocol. What it
would do with messages is not for a bus: a queue and a task for each subscription, so that those of
different subjects overtake each other, and nobody knows when it has lost its connection and found
another. So messages are taken where they are parsed, in the order in which they arrive; and a
connection that is lost is replaced by a new one.

This module imports nats-py, and is imported when that has been found.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from nats.aio.client import Client

from nuncio.cluster.line import CONNECT_SECONDS
from nuncio.cluster.nats.endpoint import Endpoint
from nuncio.cluster.nats.link import FIRST_NUMBER, Receiver

logger = logging.getLogger("nuncio.cluster")

# An orderly end may take so long.
_END_SECONDS: Final = 0.5

_NEVER: Final = 86_400
_SLOW: Final = "slow consumer"
_REFUSED: Final = "permissions violation"


class Connection:
    """One connection.

    Args:
        endpoint: where NATS is.
        receivers: who receives messages, by the numbers of subscriptions; may change at any time.

    Attributes:
        lost: fails when the connection is of use no longer.
        slow: 1 when NATS ended it because messages were not taken quickly enough.
        refused: how many subjects this server may not use.
    """

    def __init__(self, endpoint: Endpoint, receivers: dict[int, Receiver]) -> None:
        self._endpoint = endpoint
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost.add_done_callback(_seen)
        self.slow = 0
        self.refused = 0
        self._client = _Client(self, receivers)

    async def connect(self) -> None:
        """Connect to the first server that answers.

        Raises:
            Exception: when none does.
        """
        failures: list[Exception] = []

        async def failed(error: Exception) -> None:
            failures.append(error)
            logger.debug("nats-py: %r", error)

        try:
            await self._client.connect(
                **{"connect_timeout": CONNECT_SECONDS / 2, **self._endpoint.options},
                servers=self._endpoint.servers(),
                error_cb=failed,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                ping_interval=_NEVER,
            )
        except Exception as error:
            why = failures[-1] if failures else error
            raise ConnectionError(f"NATS cannot be reached: {why}") from error
        self._endpoint.discovered = [
            f"{uri.scheme}://{uri.netloc}" for uri in self._client.discovered_servers
        ]

    @property
    def most_payload(self) -> int:
        """How many bytes a message may have."""
        return self._client.max_payload

    def jetstream(self) -> Any:
        """nats-py's own part for streams."""
        return self._client.jetstream()

    async def write(self, data: bytes) -> None:
        """Send commands, and wait until the network has taken them."""
        transport: Any = self._client._transport
        transport.write(data)
        await transport.drain()

    async def confirm(self, seconds: float) -> None:
        """Wait until NATS has seen to all that was sent.

        Raises:
            ConnectionError: when it does not in time.
        """
        # It is seconds; the annotation says that they are whole.
        flushing = asyncio.ensure_future(self._client.flush(seconds))  # type: ignore[arg-type]
        try:
            await asyncio.wait((flushing, self.lost), return_when=asyncio.FIRST_COMPLETED)
            if self.lost.done():
                await self.lost
            await flushing
        except TimeoutError as error:
            raise ConnectionError("NATS does not answer") from error
        finally:
            flushing.cancel()
        if self._client._reading_task is None or self._client._reading_task.done():
            raise ConnectionError("NATS is not listened to any longer")

    def fail(self, why: str) -> None:
        """It is of use no longer."""
        if not self.lost.done():
            self.lost.set_exception(ConnectionError(why))

    async def disconnect(self, nowait: bool = False) -> None:
        """End it."""
        self.fail("the connection was ended")
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._client.close()
        except Exception as error:
            logger.debug("nats-py: %r", error)
        writer = getattr(self._client._transport, "_io_writer", None)
        if writer is not None:
            # What was not taken until now, nobody takes.
            writer.transport.abort()


class _Client(Client):
    """nats-py's client, whose messages and losses are ours."""

    def __init__(self, connection: Connection, receivers: dict[int, Receiver]) -> None:
        super().__init__()
        self._connection = connection
        self._receivers = receivers

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        receiver = self._receivers.get(sid)
        if receiver is None:
            if sid < FIRST_NUMBER:
                await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            receiver(subject, reply, data, headers)
        except Exception:
            # The bus goes on, whatever an application's listener does.
            logger.exception("a message of the cluster could not be handled")

    async def _process_op_err(self, e: Exception) -> None:
        self._connection.fail(str(e) or repr(e))

    async def _process_err(self, err_msg: str) -> None:
        if _REFUSED in err_msg:
            self._connection.refused += 1
            logger.warning("NATS: %s", err_msg)
            return
        if _SLOW in err_msg:
            self._connection.slow = 1
        self._connection.fail(f"NATS: {err_msg}")


def _seen(lost: asyncio.Future[None]) -> None:
    if not lost.cancelled():
        lost.exception()
