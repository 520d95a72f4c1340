"""What two Node servers said to each other, said to one of ours in the place of the second.

Its clients must receive what Node's did, and it must answer what Node answered: byte for byte where
answers do not hold what is different each time, such as headers.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nuncio import Server
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.values import from_bytes
from tests.cluster import captures
from tests.support.aio import eventually, run_async
from tests.support.memory import Client

MAKERS: dict[str, Any] = {
    "redis-classic": RedisAdapter("redis://localhost"),
    "redis-sharded-static": RedisShardedAdapter("redis://localhost", subscription_mode="static"),
    "redis-sharded-dynamic": RedisShardedAdapter("redis://localhost"),
    "redis-sharded-dynamic-private": RedisShardedAdapter(
        "redis://localhost", subscription_mode="dynamic-private"
    ),
    "redis-streams": RedisStreamsAdapter("redis://localhost"),
}
# In `/` and `/chat`, as the capturing servers had them.
ROOMS: dict[str, list[str | int]] = {
    "B1": ["room1", 42],
    "B2": ["room2", "room-a#b", "été☃😀"],
}
# What the captures call it when a client is disconnected.
GONE = "$disconnect"
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


class Stage:
    """Our server in the place of the second of a case, with its two clients."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.bus = FakeBus()
        self.hub = SilentHub()
        maker = MAKERS[case["adapter"]]
        self.io = Server(adapter=self._adapter(maker))
        self.told: list[list[Any]] = []

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

    async def begin(self) -> None:
        """Let the clients join."""
        self.io.of("/chat")
        await self.io.engine.start()
        self.clients = {name: Client.join(self.io) for name in ROOMS}
        for name, client in self.clients.items():
            client.socket.join(ROOMS[name])
            client.socket.data = {"user": name, "n": 1}
        self.io.on_server("sse", self._told("sse"))
        self.io.on_server("sse-bin", self._told("sse-bin"))

    def _told(self, event: str) -> Any:
        answers = [
            one["decoded"] for one in self.case["published_by_B"] if self._is_answer(one["decoded"])
        ]

        def told(*args: Any) -> Any:
            self.told.append([event, *args])
            if not answers:
                return None
            answer = answers[0]
            if "data" in answer and "packet" in answer["data"]:
                return native(answer["data"]["packet"])
            return native(answer.get("data"))

        return told

    @staticmethod
    def _is_answer(decoded: Any) -> bool:
        return isinstance(decoded, dict) and decoded.get("type") in (6, 10)

    def say(self) -> None:
        """Say what the first server or an emitter said."""
        for one in self.case["published_by_A_or_emitter"]:
            data = self._with_ids(bytes.fromhex(one["payload_hex"]))
            if one["command"] == "XADD":
                fields = {k.encode(): v.encode() for k, v in one["fields"].items()}
                if one["encoding"] == "json":
                    fields[b"data"] = data
                listener = self.hub.listeners.get(one["fields"]["nsp"])
                if listener is not None:
                    listener.entry_arrived("1-0", fields)
            else:
                self.bus.publish(self._with_ids(one["channel"].encode()).decode(), data)

    def _with_ids(self, data: bytes) -> bytes:
        """With the ids of our sockets in place of Node's, which are as long."""
        for name, client in self.clients.items():
            data = data.replace(self.case["sids"][name].encode(), client.sid.encode())
        return data


def native(value: Any) -> Any:
    """What stands for binary and dates, as such."""
    if isinstance(value, dict):
        if "$binary" in value:
            return bytes.fromhex(value["$binary"])
        return {key: native(one) for key, one in value.items()}
    return [native(one) for one in value] if isinstance(value, list) else value


def events(messages: list[str | bytes]) -> tuple[list[list[Any]], list[int]]:
    """The events of what a client received, and the ids of those that it is to acknowledge."""
    found: list[list[Any]] = []
    ids: list[int] = []
    rest = iter(messages)
    for message in rest:
        if not isinstance(message, str) or message[0] not in "25":
            continue
        head, body = message[: message.index("[")], message[message.index("[") :]
        count = int(head[1 : head.index("-")]) if message[0] == "5" else 0
        id = head[1:] if message[0] == "2" else head[head.index("-") + 1 :]
        if id:
            ids.append(int(id))
        parts = [next(rest) for _ in range(count)]
        found.append(_placed(json.loads(body), parts))
    return found, ids


def _placed(value: Any, parts: list[Any]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder"):
            return parts[value["num"]]
        return {key: _placed(one, parts) for key, one in value.items()}
    return [_placed(one, parts) for one in value] if isinstance(value, list) else value


def acknowledged(case: dict[str, Any]) -> list[Any]:
    """What the second server's clients acknowledged, one after the other."""
    found = []
    for one in case["published_by_B"]:
        decoded = one["decoded"]
        if decoded.get("type") == 9 and "packet" in decoded:
            found.append(native(decoded["packet"]))
        elif decoded.get("type") == 12:
            found.append(native(decoded["data"]["packet"]))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['adapter']}-{case['action']}")
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    stage = Stage(case)
    await stage.begin()
    stage.bus.said.clear()
    stage.say()
    await asyncio.sleep(0)
    acks = acknowledged(case)
    for name, client in stage.clients.items():
        found, ids = events(client.take())
        expected = [
            [one["event"], *native(one["args"])]
            for one in case["expected_on_B"]
            if one["client"] == name and one["event"] != GONE
        ]
        gone = any(one["client"] == name and one["event"] == GONE for one in case["expected_on_B"])
        # Some had been disconnected before, when this was captured.
        assert not gone or client.sid not in stage.io.sockets.sockets
        if "chat" not in case["action"] and not case["action"].endswith("nsp"):
            assert found == expected, name
        for id in ids:
            if acks:
                client.send(*ack_packets(id, acks.pop(0)))
    for one in case["expected_on_B"]:
        if one["client"] == "serverB" and one["event"].startswith("sse"):
            await eventually(lambda: stage.told)
            assert stage.told[0] == [one["event"], *native(one["args"])]
    answers = [one for one in case["published_by_B"] if comparable(one["decoded"])]
    await eventually(lambda: len(stage.bus.said) >= len(answers))
    said = [args for args in stage.bus.said if comparable(from_bytes(args[2]))]
    assert sorted((args[0], args[1], args[2].hex()) for args in said) == sorted(
        (one["command"], one["channel"], one["payload_hex"]) for one in answers
    )


def ack_packets(id: int, value: Any) -> list[str | bytes]:
    """The packets of an acknowledgement."""
    if isinstance(value, bytes):
        return [f'61-{id}[{{"_placeholder":true,"num":0}}]', value]
    if isinstance(value, dict) and any(isinstance(one, bytes) for one in value.values()):
        parts = [one for one in value.values() if isinstance(one, bytes)]
        places = iter(range(len(parts)))
        told = {
            key: {"_placeholder": True, "num": next(places)} if isinstance(one, bytes) else one
            for key, one in value.items()
        }
        return [f"6{len(parts)}-{id}{json.dumps([told])}", *parts]
    return [f"3{id}{json.dumps([value])}"]


def comparable(message: Any) -> bool:
    """Whether an answer is the same each time: who is there is not."""
    if not isinstance(message, dict):
        return False
    data = message.get("data")
    lists = "sockets" in message or "rooms" in message
    return not lists and not (isinstance(data, dict) and "sockets" in data)


def test_there_are_cases_of_all() -> None:
    assert len(CASES) == 266
