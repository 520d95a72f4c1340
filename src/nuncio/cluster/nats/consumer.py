"""Reading a stream of JetStream in order, by a consumer that pushes.

A consumer numbers what it sends, so a gap is seen; it says that it is there when there is nothing
to send, and asks now and then whether it may go on. What goes wrong is only told: who reads begins
again after what it has.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.nats.bus import Bus

# So often a consumer with nothing to send says that it is there.
HEARTBEAT_SECONDS: Final = 2.0

# Nobody reads any longer: NATS forgets it after so long.
_IDLE_SECONDS: Final = 10.0

_CONTROL: Final = b"NATS/1.0 100"
_STALLED: Final = b"nats-consumer-stalled"
_LAST: Final = b"nats-last-consumer"

# Called with the number of a message in the stream, its data, how many are still to come, and its
# subject.
Arrived = Callable[[int, bytes, int, bytes], None]


class Consumer:
    """One consumer.

    Args:
        bus: the server's connection.
        arrived: called with each message.
        broken: called when something is missing, and why.

    Attributes:
        heard_at: when it last said something, by the loop's clock.
    """

    def __init__(self, bus: Bus, arrived: Arrived, broken: Callable[[str], None]) -> None:
        self._bus = bus
        self._arrived = arrived
        self._broken = broken
        self._subject = f"_INBOX.{secrets.token_hex(11)}"
        self._last = 0
        self._ended = False
        self._own = ""
        self.heard_at = asyncio.get_running_loop().time()

    async def begin(self, jetstream: Any, stream: str, after: int, subject: str) -> int:
        """Read what comes after a number of the stream.

        Args:
            jetstream: nats-py's part for streams.
            stream: its name.
            after: the number.
            subject: what is wanted of it; empty for all.

        Returns:
            How many messages there are already.
        """
        from nats.js import api

        self._bus.subscribe(self._subject, self._message)
        info = await jetstream.add_consumer(
            stream,
            api.ConsumerConfig(
                deliver_subject=self._subject,
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=after + 1,
                filter_subject=subject or None,
                ack_policy=api.AckPolicy.NONE,
                max_deliver=1,
                flow_control=True,
                idle_heartbeat=HEARTBEAT_SECONDS,
                inactive_threshold=_IDLE_SECONDS,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        self._own = f"{stream}.{info.name}"
        return int(info.num_pending or 0)

    def end(self) -> None:
        """Read no more."""
        if self._ended:
            return
        self._ended = True
        self._bus.unsubscribe(self._subject)
        if self._own:
            # Otherwise NATS would keep it for a while.
            self._bus.request(f"$JS.API.CONSUMER.DELETE.{self._own}", b"")

    def _message(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if self._ended:
            return
        self.heard_at = asyncio.get_running_loop().time()
        if headers is not None and headers.startswith(_CONTROL):
            self._control(reply, headers)
            return
        place = _place(reply)
        if place is None:
            # Whoever knows the subject can say something there.
            return
        number, own, pending = place
        if own != self._last + 1:
            self._fail("a message of the stream is missing")
            return
        self._last = own
        self._arrived(number, data, pending, subject)

    def _control(self, reply: bytes, headers: bytes) -> None:
        told = _told(headers)
        if _STALLED in told:
            self._bus.publish(told[_STALLED].decode(), b"")
        if reply:
            # May it go on? All before this has been handled.
            self._bus.publish(reply.decode(), b"")
        elif told.get(_LAST, b"").isdigit() and int(told[_LAST]) > self._last:
            self._fail("messages of the stream are missing")

    def _fail(self, why: str) -> None:
        self.end()
        self._broken(why)


def _place(reply: bytes) -> tuple[int, int, int] | None:
    """A message's number in the stream, the consumer's own, and how many follow."""
    parts = reply.split(b".")
    if len(parts) < 9 or parts[1] != b"ACK":
        return None
    # With a domain and an account's digest there are two more.
    at = 5 if len(parts) == 9 else 7
    try:
        return int(parts[at]), int(parts[at + 1]), int(parts[at + 3])
    except (ValueError, IndexError):
        return None


def _told(headers: bytes) -> dict[bytes, bytes]:
    found = {}
    for line in headers.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        found[name.strip().lower()] = value.strip()
    return found
