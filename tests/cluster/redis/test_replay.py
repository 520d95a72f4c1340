"""What two Node servers said to each other over Redis, said to one of ours: see `replaying`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.redis.commands import Command, Commands
from nuncio.cluster.redis.connection import packed
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.redis.outgoing import Outgoing
from nuncio.cluster.redis.streams_adapter import StreamsAdapter
from tests.cluster import captures
from tests.cluster.acting import act
from tests.cluster.cases import people, settled
from tests.cluster.replaying import Said, Stage, replay
from tests.support.aio import run_async
from tests.support.redis import read_packed

MAKERS: dict[str, Any] = {
    "redis-classic": RedisAdapter("redis://localhost"),
    "redis-classic-specific": RedisAdapter(
        "redis://localhost", publish_on_specific_response_channel=True
    ),
    "redis-sharded-static": RedisShardedAdapter("redis://localhost", subscription_mode="static"),
    "redis-sharded-dynamic": RedisShardedAdapter("redis://localhost"),
    "redis-sharded-dynamic-private": RedisShardedAdapter(
        "redis://localhost", subscription_mode="dynamic-private"
    ),
    "redis-streams": RedisStreamsAdapter("redis://localhost"),
    "redis-streams-sharded": RedisStreamsAdapter("redis://localhost", use_sharded_pub_sub=True),
}
CASES = [one for name in MAKERS for one in settled(captures.replays(name))]
ACTED = [case for case in CASES if not case["action"].startswith("emitter_")]
PEOPLE = {name: people([one for one in CASES if one["adapter"] == name]) for name in MAKERS}

# With what entries are added, which was not recorded of each.
LIMIT = ("MAXLEN", "~", "10000", "*")


class FakeBus:
    """Stands for the connections to Redis: keeps what is said, and passes on what a test says."""

    healthy = True

    def __init__(self) -> None:
        self.receivers: dict[tuple[str, str], Any] = {}
        self.listener: Any = None
        self.commands = Commands(_lost, _lost, 1 << 30)
        self.outgoing = Outgoing(lambda key: self.commands)

    async def enter(self, member: Any) -> None:
        """See `Bus.enter`."""

    async def leave(self, member: Any) -> None:
        """See `Bus.leave`."""

    def subscribe(self, kind: str, channel: str, receiver: Any) -> asyncio.Future[None]:
        """See `Bus.subscribe`."""
        self.receivers[kind, channel] = receiver
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unsubscribe(self, kind: str, channel: str) -> None:
        """See `Bus.unsubscribe`."""
        self.receivers.pop((kind, channel), None)

    @property
    def said(self) -> list[bytes]:
        """Commands as they would be sent."""
        return [command.data for command in self.commands._queue]

    def stats(self) -> dict[str, int]:
        """See `Bus.stats`."""
        return {}

    async def count(self, channel: str, sharded: bool) -> int:
        """See `Bus.count`: the other server listens, too."""
        return 2

    def publish(self, channel: str, data: bytes) -> None:
        """Something is published."""
        for (kind, name), receiver in list(self.receivers.items()):
            matches = channel.startswith(name[:-1]) if kind == "psubscribe" else channel == name
            if matches:
                receiver(channel.encode(), data)


def _lost(command: Command, *why: Any) -> None:
    raise AssertionError(command.name)


class SilentHub(Hub):
    """Reads no streams."""

    def __init__(self) -> None:
        self.listeners: dict[str, Any] = {}

    async def listen(self, stream: str, nsp: str, listener: Any) -> None:
        """See `Hub.listen`."""
        self.listeners[nsp] = listener

    async def forget(self, stream: str, nsp: str) -> None:
        """See `Hub.forget`."""


class RedisStage(Stage):
    """Our server, at a bus of the test's."""

    def __init__(self, case: dict[str, Any], place: str) -> None:
        self.bus = FakeBus()
        self.hub = SilentHub()
        super().__init__(case, PEOPLE[case["adapter"]], place)

    def adapter(self, nsp: Any) -> Any:
        """See `Stage.adapter`."""
        adapter: Any = MAKERS[self.case["adapter"]](nsp)
        adapter.bus = self.bus
        adapter.outgoing = self.bus.outgoing
        if isinstance(adapter, StreamsAdapter):
            adapter.hub = self.hub
        return adapter

    def rename(self, adapter: Any, uid: str) -> None:
        """See `Stage.rename`."""
        for name in ("_own", "_own_channel"):
            if hasattr(adapter, name):
                setattr(adapter, name, getattr(adapter, name).replace(adapter.uid, uid))
        super().rename(adapter, uid)

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        return [_said(data) for data in self.bus.said]

    def recorded(self, one: dict[str, Any]) -> Said:
        """See `Stage.recorded`."""
        if one["command"] == "XADD":
            fields = [part for pair in one["fields"].items() for part in pair]
            return _said(packed(("XADD", one["channel"], *LIMIT, *fields)))
        return one["command"], one["channel"], one["payload_hex"]

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.commands.withdraw()

    def hear(self, one: dict[str, Any]) -> None:
        """See `Stage.hear`."""
        if one["command"] == "XADD":
            fields = {k.encode(): self.ours(v.encode()) for k, v in one["fields"].items()}
            listener = self.hub.listeners.get(one["fields"]["nsp"])
            if listener is not None:
                listener.entry_arrived("1-0", fields)
        else:
            channel = self.ours(one["channel"].encode()).decode()
            self.bus.publish(channel, self.ours(bytes.fromhex(one["payload_hex"])))


def _said(command: bytes) -> Said:
    """The last argument is what is said; the others say where."""
    name, *where, data = read_packed(command)
    return name.decode(), b" ".join(where).decode(), data.hex()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['adapter']}-{case['action']}")
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    await replay(RedisStage(case, "B"))


@pytest.mark.parametrize("case", ACTED, ids=lambda case: f"{case['adapter']}-{case['action']}")
@run_async
async def test_our_server_says_what_node_s_said_and_gets_what_it_got(case: dict[str, Any]) -> None:
    await act(RedisStage(case, "A"))
