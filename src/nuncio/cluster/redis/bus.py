"""All connections of one server to Redis: commands, subscriptions and streams, for all namespaces.

The bus knows no adapters. It keeps what they want, over connections that may be lost and come back,
and tells them when the other servers cannot be reached. With Redis Cluster it finds which of its
servers has what, and follows when that changes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any, Final

from nuncio.cluster.bus import LAST_SECONDS, LineBus
from nuncio.cluster.line import Line, seen
from nuncio.cluster.redis.commands import Command, Commands
from nuncio.cluster.redis.endpoint import Address, Endpoint
from nuncio.cluster.redis.entries import Entries
from nuncio.cluster.redis.entries import Receiver as EntryReceiver
from nuncio.cluster.redis.link import Link
from nuncio.cluster.redis.outgoing import Outgoing
from nuncio.cluster.redis.reader import StreamReader
from nuncio.cluster.redis.subscriber import Subscriber
from nuncio.cluster.redis.subscriptions import SHARD, Receiver, Subscriptions
from nuncio.cluster.redis.topology import SEED, Topology, topology_of

logger = logging.getLogger("nuncio.cluster")

# Between two looks at who has what, while something is amiss.
_REFRESH_SECONDS: Final = 0.5

# A command that finds its server in none of so many attempts has failed.
_MOST_MOVES: Final = 5


class Bus(LineBus):
    """One server's connections to Redis.

    Args:
        endpoint: where Redis is.
        most_bytes: how much may wait to be sent to one of Redis' servers.

    Attributes:
        outgoing: takes commands.
    """

    engine = Link.engine

    def __init__(self, endpoint: Endpoint, most_bytes: int) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._most_bytes = most_bytes
        self.outgoing = Outgoing(self._commands_for)
        self._topology = Topology([])
        self._links: dict[Address, Link] = {}
        self._subscribers: dict[Address, Subscriber] = {}
        self._places: dict[tuple[str, str], Address] = {}
        self._readers: list[StreamReader] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._resending: set[asyncio.Future[Any]] = set()

    # Life.

    async def _connect(self) -> None:
        """See `LineBus._connect`."""
        await self._link(SEED).open()
        self._topology = await self._look(self._link(SEED))
        if not self._topology.clustered:
            self.outgoing.direct = self._link(SEED).commands
            return
        await self._discard(self._links.pop(SEED))
        for address in self._topology.nodes:
            await self._link(address).open()

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

    async def _settle(self) -> None:
        """See `LineBus._settle`."""
        self.outgoing.direct = None
        # Answered after everything that was said before.
        links = [link for link in self._links.values() if link.connected]
        last = [asyncio.ensure_future(self._ask(link, "PING")) for link in links]
        if last:
            await asyncio.wait(last, timeout=LAST_SECONDS)
        for answer in last:
            answer.add_done_callback(seen)
            answer.cancel()

    async def _close_lines(self) -> None:
        """See `LineBus._close_lines`."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        lines, resending = self._lines(), self._resending
        self._forget_lines()
        await asyncio.gather(*[self._discard(line) for line in lines], *resending)

    def _forget_lines(self) -> None:
        """See `LineBus._forget_lines`."""
        self.outgoing.direct = None
        self._links, self._subscribers, self._readers = {}, {}, []
        self._refreshing, self._resending = None, set()
        self._places.clear()

    def _lines(self) -> list[Line]:
        return [*self._links.values(), *self._subscribers.values(), *self._readers]

    # Health.

    @property
    def clustered(self) -> bool:
        """Whether it is Redis Cluster."""
        return self._topology.clustered

    def stats(self) -> dict[str, int]:
        """See `LineBus.stats`."""
        return {
            **super().stats(),
            "published": self.outgoing.published,
            "dropped_outgoing": self.outgoing.dropped,
            "subscriptions": len(self._places),
        }

    def _changed(self, line: Line, error: Exception | None) -> None:
        """See `LineBus._changed`; with Redis Cluster another of its servers may have taken over."""
        super()._changed(line, error)
        if error is not None:
            self._refresh()

    # Commands.

    async def count(self, channel: str, sharded: bool) -> int:
        """How many are subscribed to a channel.

        Raises:
            ConnectionError: when Redis cannot be asked.
        """
        if sharded:
            asked = ("PUBSUB", "SHARDNUMSUB", channel)
            return int((await self.outgoing.call(channel, asked))[1])
        links = [self._link(address) for address in self._topology.nodes]
        found = [self._ask(link, "PUBSUB", "NUMSUB", channel) for link in links]
        return sum([int(counts[1]) for counts in await asyncio.gather(*found)])

    def _commands_for(self, key: str) -> Commands | None:
        """See `Outgoing`."""
        if self._opening is None:
            return None
        return self._link(self._topology.node_of(key)).commands

    async def _ask(self, link: Link, *args: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        link.commands.push(Command("", args, answer))
        return await answer

    def _link(self, address: Address) -> Link:
        link = self._links.get(address)
        if link is None:
            dial = functools.partial(self._dial, address)
            commands = Commands(self._failed, self._moved, self._most_bytes)
            link = Link(dial, self._changed, commands)
            self._links[address] = link
            link.start()
        return link

    def _dial(self, address: Address) -> Any:
        return self._endpoint.connection(None if address == SEED else address)

    def _failed(self, command: Command, error: Exception) -> None:
        self.failed += 1
        logger.debug("%s failed: %s", command.name, error)

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
        return self._subscriber(place).subscriptions.add(kind, channel, receiver)

    def unsubscribe(self, kind: str, channel: str) -> None:
        """Receive no more."""
        place = self._places.pop((kind, channel), None)
        if place is not None and place in self._subscribers:
            self._subscribers[place].subscriptions.remove(kind, channel)

    def _place(self, kind: str, channel: str) -> Address:
        return self._topology.node_of(channel if kind == SHARD else "")

    def _subscriber(self, address: Address) -> Subscriber:
        subscriber = self._subscribers.get(address)
        if subscriber is None:
            dial = functools.partial(self._dial, address)
            subscriber = Subscriber(dial, self._changed, Subscriptions(self._refresh))
            self._subscribers[address] = subscriber
            subscriber.start()
        return subscriber

    # Streams.

    def read(self, stream: str, receiver: EntryReceiver, count: int, block: float) -> StreamReader:
        """Read a stream from its present end; see `StreamReader`."""

        def dial() -> Any:
            return self._dial(self._topology.node_of(stream))

        entries = Entries(stream, receiver, count, block)
        reader = StreamReader(dial, self._changed, entries, block)
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
            self._resending.add(job)
            job.add_done_callback(self._resending.discard)
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._keep_refreshing())

    async def _send_again(self, commands: list[Command]) -> None:
        await asyncio.sleep(0)
        if self._refreshing is not None:
            await asyncio.wait((self._refreshing,), timeout=_REFRESH_SECONDS)
        for command in commands:
            self.outgoing.push(command)

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
            if not self._down and not any(
                one.subscriptions.strayed for one in self._subscribers.values()
            ):
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
            former = self._subscribers[place].subscriptions
            if present != place or (kind, channel.encode()) in former.strayed:
                self._places[kind, channel] = present
                former.move(kind, channel, self._subscriber(present).subscriptions)
        for address in [one for one in self._links if one not in nodes]:
            link = self._links.pop(address)
            for command in link.commands.withdraw():
                self._link(topology.node_of(command.key)).commands.push(command)
            await self._discard(link)
        for address in [one for one in self._subscribers if one not in nodes]:
            await self._discard(self._subscribers.pop(address))
        if not self._down:
            for member in list(self._members):
                member.bus_changed(None)
