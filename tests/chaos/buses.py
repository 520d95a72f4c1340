"""What joins the servers: it is stopped, frozen, cut off and emptied, and its log is read.

The log is what clients recover by, and says what was handed on, in which order. Not every bus has
one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, Self

import nats

from nuncio.cluster import envelope
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast
from nuncio.cluster.messages import Kind as MessageKind
from nuncio.cluster.nats.subjects import Subjects
from nuncio.cluster.nats.wire import Wire
from nuncio.cluster.signing import signer
from nuncio.cluster.values import converted
from tests.support.faults import FaultProxy
from tests.support.nats import Nats
from tests.support.redis import Redis

# What the log is called, and how the names of all that belongs to these servers begin.
NAME = "chaos"


class Bus(Protocol):
    """A bus, which keeps what it was told to keep when it is stopped.

    Attributes:
        program: the name of the program that it is.
        scheme: with which its address begins.
        logs: whether it has a log.
        port: where it listens.
    """

    program: ClassVar[str]
    scheme: ClassVar[str]
    logs: ClassVar[bool]
    port: int

    def __init__(self, path: str) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def start(self) -> None:
        """Start it."""

    async def stop(self) -> None:
        """End it at once."""

    async def restart(self) -> None:
        """End it and start it."""

    def forget(self) -> None:
        """Lose all that it has kept, while it is stopped."""

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""

    def thaw(self) -> None:
        """Let it go on."""

    async def cut(self, ways: Sequence[FaultProxy], dice: random.Random) -> None:
        """Cut servers' connections to it, or some of them.

        Args:
            ways: the servers' ways to it.
            dice: decide which.
        """

    async def end(self) -> str:
        """Where its log ends; to be given to `logged`."""
        ...

    async def logged(self, since: str) -> list[int]:
        """The numbers in its log since then, in its order, each once."""
        ...


class RedisBus(Redis):
    """Redis, which carries messages and keeps none."""

    program: ClassVar[str] = "redis-server"
    scheme: ClassVar[str] = "redis"
    logs: ClassVar[bool] = False

    def __init__(self, path: str) -> None:
        super().__init__(path, appendonly="yes", appendfsync="always")

    async def cut(self, ways: Sequence[FaultProxy], dice: random.Random) -> None:
        """See `Bus`: those that are subscribed, or the others."""
        await self.kill_connections(dice.choice(("pubsub", "normal")))

    async def end(self) -> str:
        """See `Bus`."""
        last = await self.command("XREVRANGE", NAME, "+", "-", "COUNT", 1)
        return str(last[0][0].decode()) if last else "0-0"

    async def logged(self, since: str) -> list[int]:
        """See `Bus`."""
        entries = await self.command("XRANGE", NAME, f"({since}", "+")
        return _numbers(envelope.from_fields(fields) for _, fields in entries)


class StreamBus(RedisBus):
    """Redis with a stream."""

    logs: ClassVar[bool] = True


class JetStreamBus(Nats):
    """NATS with JetStream."""

    program: ClassVar[str] = "nats-server"
    scheme: ClassVar[str] = "nats"
    logs: ClassVar[bool] = True

    async def cut(self, ways: Sequence[FaultProxy], dice: random.Random) -> None:
        """See `Bus`: each server has one connection."""
        for way in ways:
            if dice.random() < 0.5:
                way.cut(rst=dice.random() < 0.5)

    async def end(self) -> str:
        """See `Bus`."""
        async with await nats.connect(self.url) as connection:
            info = await connection.jetstream().stream_info(NAME)
            return str(info.state.last_seq)

    async def logged(self, since: str) -> list[int]:
        """See `Bus`."""
        wire, subject = Wire(signer(None)), Subjects(NAME, "/").log
        async with await nats.connect(self.url) as connection:
            jetstream = connection.jetstream()
            last = (await jetstream.stream_info(NAME)).state.last_seq
            entries = [
                await jetstream.get_msg(NAME, number) for number in range(int(since) + 1, last + 1)
            ]
        return _numbers(wire.decode_entry(one.data or b"", subject)[0] for one in entries)


def _numbers(messages: Iterable[ClusterMessage]) -> list[int]:
    order: dict[int, None] = {}
    for message in messages:
        if message.type == MessageKind.BROADCAST:
            order[converted(message.data, Broadcast).packet["data"][1]] = None
    return list(order)
