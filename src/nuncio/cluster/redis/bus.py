"""All connections of one server to Redis: commands, subscriptions and streams, for all namespaces.

The bus knows no adapters. It keeps what they want, over connections that may be lost and come back,
and tells them when the other servers cannot be reached. With Redis Cluster it finds which of its
servers has what, and follows when that changes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any, Final, Protocol

from nuncio.cluster.redis.endpoint import Address, Endpoint
from nuncio.cluster.redis.line import Line, seen
from nuncio.cluster.redis.link import Command, Link
from nuncio.cluster.redis.reader import Receiver as EntryReceiver
from nuncio.cluster.redis.reader import StreamReader
from nuncio.cluster.redis.subscriber import SHARD, Receiver, Subscriber
from nuncio.cluster.redis.topology import SEED, Topology, topology_of

logger = logging.getLogger("nuncio.cluster")

# Between two looks at who has what, while something is amiss.
_REFRESH_SECONDS: Final = 0.5

# What was said last may take so long to leave.
_LAST_SECONDS: Final = 1.0

# A command that finds its server in none of so many attempts has failed.
_MOST_MOVES: Final = 5


class Member(Protocol):
    """An adapter, as the bus knows it."""

    def bus_changed(self, why: Exception | None) -> None:
        """Redis was lost, and why; or None: it is there again."""


class Bus:
    """One server's connections to Redis.

    Args:
        endpoint: where Redis is.
        most_bytes: how much may wait to be sent to one of Redis' servers.

    Attributes:
        published: how many commands were given.
        dropped: how many of them were not taken, as too much waited.
        failed: how many Redis refused, or were lost with a connection.
    """

    def __init__(self, endpoint: Endpoint, most_bytes: int) -> None:
        self._endpoint = endpoint
        self._most_bytes = most_bytes
        self._members: set[Member] = set()
        self._opening: asyncio.Task[None] | None = None
        self._topology = Topology([])
        self._links: dict[Address, Link] = {}
        self._subscribers: dict[Address, Subscriber] = {}
        self._places: dict[tuple[str, str], Address] = {}
        self._readers: list[StreamReader] = []
        self._down: dict[Line, Exception] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[Any]] = set()
        self._losses = 0
        self.published = 0
        self.dropped = 0
        self.failed = 0

    # Members.

    async def enter(self, member: Member) -> None:
        """Be open for an adapter.

        Raises:
            ConnectionError: when Redis cannot be reached.
        """
        self._members.add(member)
        opening = self._opening
        if opening is None or opening.get_loop() is not asyncio.get_running_loop():
            opening = asyncio.get_running_loop().create_task(self._open())
            self._opening = opening
        try:
            await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def leave(self, member: Member) -> None:
        """An adapter needs it no longer; after the last one it is closed."""
        if member not in self._members:
            return
        self._members.discard(member)
        if not self._members:
            await self._close()

    async def _open(self) -> None:
        try:
            await self._link(SEED).open()
            self._topology = await self._look(self._link(SEED))
            if self._topology.clustered:
                await self._discard(self._links.pop(SEED))
                for address in self._topology.nodes:
                    await self._link(address).open()
        except BaseException:
            await self._close_lines()
            raise

    async def _look(self, link: Link) -> Topology:
        """Which servers there are, as one of them says."""
        try:
            info = await self._ask(link, "INFO", "cluster")
            if b"cluster_enabled:1" not in info:
                return Topology([])
            return topology_of(await self._ask(link, "CLUSTER", "SLOTS"), self._endpoint.host)
        except ConnectionError as error:
            if not link.connected:
                raise
            # Not everybody may ask.
            logger.debug("Redis does not say whether it is a cluster: %s", error)
            return Topology([])

    async def _close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.cancel()
            await asyncio.wait((opening,))
        # Answered after everything that was said before.
        links = [link for link in self._links.values() if link.connected]
        last = [asyncio.ensure_future(self._ask(link, "PING")) for link in links]
        if last:
            await asyncio.wait(last, timeout=_LAST_SECONDS)
        for answer in last:
            answer.add_done_callback(seen)
            answer.cancel()
        await self._close_lines()

    async def _close_lines(self) -> None:
        refreshing, self._refreshing = self._refreshing, None
        if refreshing is not None:
            refreshing.cancel()
        lines: list[Line] = [*self._links.values(), *self._subscribers.values(), *self._readers]
        self._links, self._subscribers, self._readers = {}, {}, []
        self._places.clear()
        self._down.clear()
        await asyncio.gather(*[self._discard(line) for line in lines], *self._closing)

    async def _discard(self, line: Line) -> None:
        await line.close()
        self._losses += line.losses
        self._down.pop(line, None)

    # Health.

    @property
    def healthy(self) -> bool:
        """Whether every connection is there."""
        return not self._down

    @property
    def clustered(self) -> bool:
        """Whether it is Redis Cluster."""
        return self._topology.clustered

    def stats(self) -> dict[str, int]:
        """Numbers as they are now."""
        lines: list[Line] = [*self._links.values(), *self._subscribers.values(), *self._readers]
        return {
            "published": self.published,
            "dropped_outgoing": self.dropped,
            "failed": self.failed,
            "subscriptions": len(self._places),
            "losses": self._losses + sum(line.losses for line in lines),
        }

    def _changed(self, line: Line, error: Exception | None) -> None:
        was_healthy = not self._down
        if error is None:
            self._down.pop(line, None)
        else:
            self._down[line] = error
            self._refresh()
        if was_healthy == (not self._down):
            return
        if error is not None:
            logger.warning("Redis is lost, and will be tried again: %s", error)
        else:
            logger.info("Redis is there again")
        for member in list(self._members):
            member.bus_changed(error)

    # Commands.

    def send(self, key: str, *args: Any, again: tuple[Any, ...] | None = None) -> None:
        """Give a command whose answer nobody needs.

        Args:
            key: the key or sharded channel that it concerns; empty for none.
            args: its name and arguments.
            again: what is sent when a connection is lost before the answer came, and perhaps after
                the command was carried out; None when that must not be.
        """
        self._push(Command(key, args, None, again))

    def call(
        self, key: str, *args: Any, again: tuple[Any, ...] | None = None
    ) -> asyncio.Future[Any]:
        """Give a command.

        Args:
            key: see `send`.
            args: its name and arguments.
            again: see `send`.

        Returns:
            Its answer, or ConnectionError.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(seen)
        self._push(Command(key, args, answer, again))
        return answer

    async def count(self, channel: str, sharded: bool) -> int:
        """How many are subscribed to a channel.

        Raises:
            ConnectionError: when Redis cannot be asked.
        """
        if sharded:
            return int((await self.call(channel, "PUBSUB", "SHARDNUMSUB", channel))[1])
        links = [self._link(address) for address in self._topology.nodes]
        asked = [self._ask(link, "PUBSUB", "NUMSUB", channel) for link in links]
        return sum([int(counts[1]) for counts in await asyncio.gather(*asked)])

    def _push(self, command: Command) -> None:
        self.published += 1
        if self._opening is None or not self._link(self._topology.node_of(command.key)).push(
            command
        ):
            self.dropped += 1
            command.fail(ConnectionError("this server takes no part in the cluster"))

    async def _ask(self, link: Link, *args: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        link.push(Command("", args, answer))
        return await answer

    def _link(self, address: Address) -> Link:
        link = self._links.get(address)
        if link is None:
            dial = functools.partial(self._dial, address)
            link = Link(dial, self._changed, self._failed, self._moved, self._most_bytes)
            self._links[address] = link
            link.start()
        return link

    def _dial(self, address: Address) -> Any:
        return self._endpoint.connection(None if address == SEED else address)

    def _failed(self, command: Command, error: Exception) -> None:
        self.failed += 1
        logger.debug("%s failed: %s", command.args[0], error)

    def _moved(self, command: Command) -> None:
        if command.moves > _MOST_MOVES:
            command.fail(ConnectionError("none of Redis' servers has the key"))
            self.failed += 1
            return
        self._refresh([command])

    # Subscriptions.

    def subscribe(self, kind: str, channel: str, receiver: Receiver) -> asyncio.Future[None]:
        """Receive what is published on a channel, until `unsubscribe`.

        Returns:
            What is done once Redis has confirmed it.
        """
        place = self._place(kind, channel)
        self._places[kind, channel] = place
        return self._subscriber(place).add(kind, channel, receiver)

    def unsubscribe(self, kind: str, channel: str) -> None:
        """Receive no more."""
        place = self._places.pop((kind, channel), None)
        if place is not None and place in self._subscribers:
            self._subscribers[place].remove(kind, channel)

    def _place(self, kind: str, channel: str) -> Address:
        return self._topology.node_of(channel if kind == SHARD else "")

    def _subscriber(self, address: Address) -> Subscriber:
        subscriber = self._subscribers.get(address)
        if subscriber is None:
            dial = functools.partial(self._dial, address)
            subscriber = Subscriber(dial, self._changed, self._refresh)
            self._subscribers[address] = subscriber
            subscriber.start()
        return subscriber

    # Streams.

    def read(self, stream: str, receiver: EntryReceiver, count: int, block: float) -> StreamReader:
        """Read a stream from its present end; see `StreamReader`."""

        def dial() -> Any:
            return self._dial(self._topology.node_of(stream))

        reader = StreamReader(dial, self._changed, stream, receiver, count, block)
        self._readers.append(reader)
        reader.start()
        return reader

    async def stop_reading(self, reader: StreamReader) -> None:
        """Read a stream no longer."""
        if reader in self._readers:
            self._readers.remove(reader)
            await self._discard(reader)

    # Redis Cluster.

    def _refresh(self, commands: list[Command] | None = None) -> None:
        """Look who has what; then send these commands again."""
        if not self._topology.clustered:
            for command in commands or ():
                command.fail(ConnectionError("Redis says that another server has the key"))
            return
        if commands:
            job = asyncio.ensure_future(self._send_again(commands))
            self._closing.add(job)
            job.add_done_callback(self._closing.discard)
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._keep_refreshing())

    async def _send_again(self, commands: list[Command]) -> None:
        await asyncio.sleep(0)
        if self._refreshing is not None:
            await asyncio.wait((self._refreshing,), timeout=_REFRESH_SECONDS)
        for command in commands:
            self._push(command)

    async def _keep_refreshing(self) -> None:
        """Look until every connection is there."""
        while True:
            for link in list(self._links.values()):
                if link.connected:
                    try:
                        async with asyncio.timeout(_REFRESH_SECONDS):
                            told = await self._ask(link, "CLUSTER", "SLOTS")
                    except (ConnectionError, TimeoutError) as error:
                        logger.debug("one of Redis' servers says nothing: %s", error)
                        continue
                    await self._follow(topology_of(told, self._endpoint.host))
                    break
            if not self._down and not any(one.strayed for one in self._subscribers.values()):
                return
            await asyncio.sleep(_REFRESH_SECONDS)

    async def _follow(self, topology: Topology) -> None:
        """Bring everything where it belongs now."""
        if not topology.clustered:
            return
        self._topology = topology
        nodes = topology.nodes
        for (kind, channel), place in list(self._places.items()):
            present = self._place(kind, channel)
            former = self._subscribers[place]
            if present != place or (kind, channel.encode()) in former.strayed:
                self._places[kind, channel] = present
                former.move(kind, channel, self._subscriber(present))
        for address in [one for one in self._links if one not in nodes]:
            link = self._links.pop(address)
            for command in link.withdraw():
                self._link(topology.node_of(command.key)).push(command)
            await self._discard(link)
        for address in [one for one in self._subscribers if one not in nodes]:
            await self._discard(self._subscribers.pop(address))
        if not self._down:
            for member in list(self._members):
                member.bus_changed(None)
