"""What two Node servers said to each other over Redis, said to one of ours: see `replaying`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.values import from_bytes
from tests.cluster import captures
from tests.cluster.replaying import Said, Stage, replay
from tests.support.aio import run_async

MAKERS: dict[str, Any] = {
    "redis-classic": RedisAdapter("redis://localhost"),
    "redis-sharded-static": RedisShardedAdapter("redis://localhost", subscription_mode="static"),
    "redis-sharded-dynamic": RedisShardedAdapter("redis://localhost"),
    "redis-sharded-dynamic-private": RedisShardedAdapter(
        "redis://localhost", subscription_mode="dynamic-private"
    ),
    "redis-streams": RedisStreamsAdapter("redis://localhost"),
}
CASES = captures.replays(*MAKERS)


class FakeBus:
    """Stands for the connections to Redis: keeps what is said, and passes on what a test says."""

    healthy = True

    def __init__(self) -> None:
        self.receivers: dict[tuple[str, str], Any] = {}
        self.listener: Any = None
        self.said: list[tuple[Any, ...]] = []

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

    def send(self, key: str, *args: Any) -> None:
        """See `Bus.send`."""
        self.said.append(args)

    def stats(self) -> dict[str, int]:
        """See `Bus.stats`."""
        return {}

    def publish(self, channel: str, data: bytes) -> None:
        """Something is published."""
        for (kind, name), receiver in list(self.receivers.items()):
            matches = channel.startswith(name[:-1]) if kind == "psubscribe" else channel == name
            if matches:
                receiver(channel.encode(), data)


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

    def __init__(self, case: dict[str, Any]) -> None:
        self.bus = FakeBus()
        self.hub = SilentHub()
        super().__init__(case, self._adapter(MAKERS[case["adapter"]]))

    def _adapter(self, maker: Any) -> Any:
        def make(nsp: Any) -> Any:
            adapter = maker(nsp)
            adapter.bus = self.bus
            if isinstance(maker, RedisStreamsAdapter):
                adapter.hub = self.hub
            if nsp.name == "/":
                self._rename(adapter)
            return adapter

        return make

    def _rename(self, adapter: Any) -> None:
        own, adapter.uid = adapter.uid, self.case["uidB"]
        for name in ("_own", "_own_channel"):
            if hasattr(adapter, name):
                setattr(adapter, name, getattr(adapter, name).replace(own, adapter.uid))

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        return [(args[0], args[1], args[2].hex(), from_bytes(args[2])) for args in self.bus.said]

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.said.clear()

    def hear(self, one: dict[str, Any], data: bytes) -> None:
        """See `Stage.hear`."""
        if one["command"] == "XADD":
            fields = {k.encode(): v.encode() for k, v in one["fields"].items()}
            if one["encoding"] == "json":
                fields[b"data"] = data
            listener = self.hub.listeners.get(one["fields"]["nsp"])
            if listener is not None:
                listener.entry_arrived("1-0", fields)
        else:
            self.bus.publish(self.with_ids(one["channel"].encode()).decode(), data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['adapter']}-{case['action']}")
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    await replay(RedisStage(case))


def test_there_are_cases_of_all() -> None:
    assert len(CASES) == 266
