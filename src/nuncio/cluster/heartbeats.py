"""Who is in the cluster, where the bus cannot say who listens: each server says so by itself.

A server that comes says hello, which all others answer; from then on each is heard of now and then.
Who has been silent for too long is counted no longer, and who leaves says so. Any message is as
good as a heartbeat, except those of emitters, which are no servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from nuncio.cluster.base import ClusterAdapter, CountedRequest
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import EMITTER, Kind
from nuncio.errors import OptionError
from nuncio.options import seconds

HEARTBEAT_INTERVAL: Final = 5.0
HEARTBEAT_TIMEOUT: Final = 10.0

# How often it is looked who has been silent for too long.
_LOOK_SECONDS: Final = 1.0

# The others have so long to answer a hello before they are counted for the first time.
_MEETING_SECONDS: Final = 0.3

# Who says hello within this time is answered by one heartbeat, which all of them hear.
_ANSWER_SECONDS: Final = 0.02

# A bus may carry anything, and not every name on it is worth memory.
_MOST_SERVERS: Final = 4096
_LONGEST_NAME: Final = 100


class Pace:
    """How often servers say that they are there, and when they are taken for gone.

    Args:
        interval: seconds between two heartbeats.
        timeout: seconds of silence after which a server counts no longer.

    Raises:
        OptionError: for what is no time, and a time-out that no heartbeat can keep.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self.interval = seconds("heartbeat_interval", interval)
        self.timeout = seconds("heartbeat_timeout", timeout)
        if self.timeout <= self.interval:
            raise OptionError(
                f"heartbeat_timeout must be longer than heartbeat_interval, which is {interval:g}"
                f" seconds, or every server is soon taken for gone; not {timeout!r}"
            )


class HeartbeatAdapter(ClusterAdapter):
    """One server's part in a cluster whose servers are known by their heartbeats.

    An engine's adapter calls `say_hello` once it receives messages, and `say_goodbye` before it
    receives no more.

    Args:
        nsp: see `Adapter`.
        pace: how often servers say that they are there.
    """

    def __init__(self, nsp: Any, pace: Pace) -> None:
        super().__init__(nsp)
        self._pace = pace
        self._heard: dict[str, float] = {}
        self._beating: asyncio.Task[None] | None = None
        self._met = asyncio.Event()
        self._met.set()
        self._meeting: asyncio.TimerHandle | None = None
        self._answering: asyncio.TimerHandle | None = None
        self._handlers[Kind.INITIAL_HEARTBEAT] = self._on_hello
        self._handlers[Kind.HEARTBEAT] = self._on_heartbeat
        self._handlers[Kind.ADAPTER_CLOSE] = self._on_goodbye

    def say_hello(self) -> None:
        """Tell the others that this server is there, now and from now on."""
        loop = asyncio.get_running_loop()
        self._end_meeting()
        self._met.clear()
        self._meeting = loop.call_later(_MEETING_SECONDS, self._end_meeting)
        self._tell(Kind.INITIAL_HEARTBEAT, None)
        if self._beating is None:
            self._beating = loop.create_task(self._beat())

    def say_goodbye(self) -> None:
        """Tell them that it leaves."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            self._tell(Kind.ADAPTER_CLOSE, None)
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.cancel()
        self._end_meeting()
        self._heard.clear()

    def _end_meeting(self) -> None:
        """Those who are there have answered, as far as can be expected."""
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            meeting.cancel()
        self._met.set()

    def bus_changed(self, why: Exception | None) -> None:
        """See `ClusterAdapter.bus_changed`: after a loss nobody knows any longer who is there."""
        returned = why is None and not self.healthy
        super().bus_changed(why)
        if returned and self._beating is not None:
            # Not as if they had left: what they were asked before they may still answer.
            self._heard.clear()
            self.say_hello()

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: while the bus cannot be reached.
        """
        if self.healthy:
            await self._met.wait()
        if not self.healthy:
            raise ConnectionError("the other servers cannot be reached")
        self._forget_silent()
        return 1 + len(self._heard)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pace.interval
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._pace.interval))
            self._forget_silent()
            if loop.time() >= due:
                due = loop.time() + self._pace.interval
                self._tell(Kind.HEARTBEAT, None)

    def _forget_silent(self) -> None:
        limit = asyncio.get_running_loop().time() - self._pace.timeout
        for uid in [uid for uid, at in self._heard.items() if at < limit]:
            self._gone(uid)

    def _gone(self, uid: str) -> None:
        """A server is there no longer: what it was asked it will not answer."""
        if self._heard.pop(uid, None) is None:
            return
        for request in self._requests.values():
            if isinstance(request, NamedRequest):
                request.gone(uid)

    def _question(self, others: int) -> CountedRequest:
        return NamedRequest(self._heard)

    def received(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.received`."""
        uid = message.uid
        stranger = uid not in (EMITTER, self.uid)
        if stranger and message.nsp == self.nsp.name and self._beating is not None:
            known = uid in self._heard
            if known or (len(self._heard) < _MOST_SERVERS and 0 < len(uid) <= _LONGEST_NAME):
                self._heard[uid] = asyncio.get_running_loop().time()
        super().received(message)

    def _on_hello(self, message: ClusterMessage) -> None:
        if self._answering is None and self._beating is not None:
            loop = asyncio.get_running_loop()
            self._answering = loop.call_later(_ANSWER_SECONDS, self._answer_hello)

    def _answer_hello(self) -> None:
        self._answering = None
        self._tell(Kind.HEARTBEAT, None)

    def _on_heartbeat(self, message: ClusterMessage) -> None:
        """It has been heard of."""

    def _on_goodbye(self, message: ClusterMessage) -> None:
        self._gone(message.uid)


class NamedRequest(CountedRequest):
    """A question to servers that are known by name.

    It is answered once each of them has answered or is gone. What others answer, who have come
    since, is welcome and makes nothing complete.

    Args:
        uids: theirs.
    """

    def __init__(self, uids: Iterable[str]) -> None:
        self._missing = set(uids)
        super().__init__(len(self._missing))

    def add(self, uid: str, response: Any) -> None:
        """See `CountedRequest.add`."""
        if uid in self._answered:
            return
        self._answered.add(uid)
        self.responses.append(response)
        self.gone(uid)

    def gone(self, uid: str) -> None:
        """Nothing more comes from a server."""
        self._missing.discard(uid)
        if not self._missing:
            self.complete.set()
