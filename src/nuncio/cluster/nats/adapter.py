"""The adapter over NATS: a subject for all servers, one for each server, and one for each room.

A server subscribes to the subjects of rooms that it has members of. So NATS itself brings what is
said in a room to the servers whom it concerns, and to no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from nuncio.cluster.bus import OUTGOING_BYTES, BusFactory
from nuncio.cluster.heartbeats import (
    HEARTBEAT_INTERVAL,
    HEARTBEAT_TIMEOUT,
    HeartbeatAdapter,
    Pace,
)
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.endpoint import Endpoint
from nuncio.cluster.nats.link import ENGINE
from nuncio.cluster.nats.parts import Parts
from nuncio.cluster.nats.sending import LoopSender
from nuncio.cluster.nats.stream import StreamOptions
from nuncio.cluster.nats.subjects import Subjects, checked_prefix, subject_of
from nuncio.cluster.nats.wire import Wire
from nuncio.cluster.rooms import Room
from nuncio.cluster.sending import BlockingSender
from nuncio.cluster.signing import signer
from nuncio.errors import PacketError


class NatsAdapter(BusFactory[Bus]):
    """Joins servers over NATS.

        io = nuncio.Server(adapter=NatsAdapter("nats://localhost:4222"))

    What is said in a room reaches only servers that have members of it. With
    `connection_state_recovery` and JetStream, a client that lost its connection may come back to
    any of the servers. Needs `nuncio[nats]`.

    Args:
        url: the address of one of NATS' servers, or a list; the others are found.
        connect: more of the options of `nats.connect`, such as `tls` or `user_credentials`.
        subject_prefix: of the subjects' names; the same on all servers.
        heartbeat_interval: seconds between two signs of life of a server.
        heartbeat_timeout: seconds of silence after which a server is not counted any longer.
        secret: at least 16 characters that all servers know, and nobody else: what is not signed
            with it is dropped.
        outgoing_bytes: how much may wait to be sent while NATS is away; what is more is dropped.
        stream: the name of the stream with events that clients can recover. None for one that is
            named after `subject_prefix`; for emitters, to take no such way. The stream is made if
            it is not there, and otherwise used as it is; emitters use one that is there.
        max_age: seconds for which it keeps an event.
        max_msgs: how many it keeps.
        max_bytes: how many bytes they may have together.
        replicas: on how many of NATS' servers it is kept.

    Raises:
        OptionError: for a wrong option, or when nats-py is not installed.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        connect: Mapping[str, Any] | None = None,
        subject_prefix: str = "nuncio",
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        secret: str | bytes | None = None,
        outgoing_bytes: int = OUTGOING_BYTES,
        stream: str | None = None,
        max_age: float = 600.0,
        max_msgs: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        replicas: int = 1,
    ) -> None:
        super().__init__(outgoing_bytes)
        self._endpoint = Endpoint(url, connect)
        self.subject_prefix = checked_prefix(subject_prefix)
        self.pace = Pace(heartbeat_interval, heartbeat_timeout)
        self.signer = signer(secret)
        self.wire = Wire(self.signer)
        self.logs_emitters = stream is not None
        name = subject_prefix.replace(".", "_") if stream is None else stream
        self.stream = StreamOptions(name, max_age, max_msgs, max_bytes, replicas)
        self._logs: WeakKeyDictionary[Bus, Any] = WeakKeyDictionary()

    def __call__(self, nsp: Any) -> RoutedAdapter:
        """The adapter of one server's namespace."""
        bus = self.bus_of(nsp.server)
        recovery = nsp.server.recovery
        if recovery is None:
            return RoutedAdapter(nsp, bus, self)
        from nuncio.cluster.nats.recovery import RecoveringAdapter
        from nuncio.cluster.nats.stream import Log

        log = self._logs.get(bus)
        if log is None:
            log = Log(bus, self.subject_prefix, self.stream, recovery)
            self._logs[bus] = log
        return RecoveringAdapter(nsp, bus, self, log)

    def _new_bus(self, server: Any = None) -> Bus:
        return Bus(self._endpoint, self._outgoing_bytes)

    # Emitters.

    def sender(self) -> LoopSender:
        """See `Target`."""
        return LoopSender(self._new_bus(), self)

    def blocking_sender(self) -> BlockingSender:
        """See `Target`."""
        return BlockingSender(self.sender, ENGINE)


class RoutedAdapter(HeartbeatAdapter):
    """See `NatsAdapter`.

    Args:
        nsp: see `Adapter`.
        bus: the server's connection.
        settings: the options.
    """

    def __init__(self, nsp: Any, bus: Bus, settings: NatsAdapter) -> None:
        super().__init__(nsp, settings.pace)
        self.bus = bus
        self._wire = settings.wire
        self.subjects = Subjects(settings.subject_prefix, nsp.name)
        self._own = self.subjects.server(self.uid)
        self._parts = Parts()
        self._followed: set[Room] = set()
        self.follows = True
        self._begun = False

    async def init(self) -> None:
        """See `Adapter.init`.

        Raises:
            ConnectionError: when NATS cannot be reached.
        """
        await self.bus.enter(self)
        self._begun = True
        for subject in self._common():
            self.bus.subscribe(subject, self._arrived)
        for room in list(self.rooms):
            self.follow(room)
        await self.begin()
        await self.bus.flush()
        self.bus_changed(None)
        self.say_hello()

    def _common(self) -> tuple[str, ...]:
        """What is subscribed to, whoever is here.

        The log is heard where it is not kept, too: a server without recovery may stand beside
        others with it, or hear of emitters.
        """
        return (self._own, self.subjects.all, self.subjects.log)

    async def begin(self) -> None:
        """What else has to be before the namespace is of use."""

    async def end(self) -> None:
        """Take back what `begin` did."""

    async def close(self) -> None:
        """See `Adapter.close`."""
        if self._begun:
            self._begun = False
            self.say_goodbye()
            await self.end()
            for subject in (*self._common(), *map(self.subjects.room, self._followed)):
                self.bus.unsubscribe(subject)
            self._followed.clear()
        await self.bus.leave(self)

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`; numbers of NATS' connection are those of all namespaces."""
        return {**super().stats(), **self.bus.stats()}

    # To other servers.

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`.

        Raises:
            LimitExceeded: when it is too large.
        """
        self._send(subject_of(self.subjects, message), message)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`.

        Raises:
            LimitExceeded: when it is too large.
        """
        self._send(self.subjects.server(uid), message)

    def _send(self, subject: str, message: ClusterMessage) -> None:
        self.bus.publish(subject, *self._wire.encode(message, subject, self.bus.most_payload))

    def _arrived(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        try:
            message = self._wire.decode(data, subject, self._parts)
        except PacketError as error:
            self.drop(str(error))
            return
        if message is not None:
            self.received(message)

    # Rooms and their subjects.

    def follow(self, room: Room) -> None:
        """See `FollowingAdapter.follow`: subscribe to the room's subject, or no longer."""
        if not self._begun:
            return
        if self.has_room(room):
            if room not in self._followed:
                self._followed.add(room)
                self.bus.subscribe(self.subjects.room(room), self._arrived)
        elif room in self._followed:
            self._followed.discard(room)
            self.bus.unsubscribe(self.subjects.room(room))
