"""Emitters for workers that meet in Redis, and are joined by nothing else."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

import pytest

import nuncio
from nuncio.cluster import RedisMeeting
from nuncio.cluster.envelope import encode_packed
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.workers import frames
from tests.support.aio import eventually, run_async
from tests.support.redis import Redis
from tests.support.wanderer import Wanderer
from tests.workers.conftest import starter, worker_of

SECRET = secrets.token_hex()


def meeting_in(redis: Redis, prefix: str, **options: Any) -> RedisMeeting:
    return RedisMeeting(redis.url, prefix=prefix, **options)


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(4)


class Heard:
    """What the clients of one worker have heard."""

    def __init__(self, socket: nuncio.ClientSocket) -> None:
        self.socket = socket
        self.events: list[Any] = []
        self.gone: list[str] = []
        socket.on("e", lambda *args: self.events.append(list(args)))
        socket.on("disconnect", lambda reason, *_: self.gone.append(reason))


async def connected(ports: list[int], nsp: str = "/") -> list[Heard]:
    options: Any = {"reconnection": False, "force_new": True, "transports": ["websocket"]}
    return [
        Heard(await nuncio.connect(f"http://127.0.0.1:{port}{nsp}", **options)) for port in ports
    ]


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("nsp", ["/", "/chat"])
@run_async
async def test_an_emitter_does_what_it_may(
    lasting_redis: Redis, prefix: str, secret: str | None, nsp: str
) -> None:
    told: list[Any] = []

    def register(io: nuncio.Server) -> None:
        io.of(nsp).on_server("told", lambda *args: told.append(args))

    def meeting() -> RedisMeeting:
        return meeting_in(lasting_redis, prefix, secret=secret)

    async with starter(meeting())(2, register) as workers:
        one, other = await connected(workers.ports, nsp)
        async with nuncio.Emitter(meeting(), nsp) as emitter:
            await emitter.emit("e", 1, {"a": [None]}, b"\x00")
            await eventually(lambda: one.events and other.events)
            assert one.events == other.events == [[1, {"a": [None]}, b"\x00"]]
            await emitter.to(str(one.socket.id)).sockets_join(["x", 5])
            adapter = workers.servers[0].of(nsp).adapter
            await eventually(lambda: set(adapter.rooms) >= {"x", 5})
            await emitter.to("x").emit("e", 2)
            await emitter.in_([5, "nobody"]).except_("x").emit("e", 3)
            await emitter.except_("x").volatile.emit("e", 4)
            await emitter.in_("x").sockets_leave("x")
            await emitter.to("x").emit("e", 5)
            await emitter.server_side_emit("told", "both")
            await eventually(lambda: len(told) == 2)
            assert told == [("both",)] * 2
            assert one.events[1:] == [[2]] and other.events[1:] == [[4]]
            # It is nobody: of the workers there are two.
            assert await workers.servers[0].of(nsp).adapter.server_count() == 2

        def blocking() -> None:
            with nuncio.sync.Emitter(meeting(), nsp) as emitter:
                emitter.emit("e", 6)
                emitter.to(str(one.socket.id)).disconnect_sockets()

        await asyncio.to_thread(blocking)
        await eventually(lambda: one.gone and len(other.events) == 3)
        assert one.events[-1] == other.events[-1] == [6] and not other.gone
        for client in (one, other):
            await client.socket.io.close()


@run_async
async def test_who_is_away_hears_it_afterwards_at_another_worker(
    lasting_redis: Redis, prefix: str
) -> None:
    meeting = meeting_in(lasting_redis, prefix)
    async with starter(meeting)(2, connection_state_recovery=True) as workers:
        client = Wanderer(r"[A-Za-z0-9_-]{8}\.[0-9]+")
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await eventually(lambda: not workers.servers[0].sockets.sockets)
        async with nuncio.Emitter(meeting) as emitter:
            for number in range(3):
                await emitter.to("everybody").emit("e", number)
        await eventually(lambda: workers.servers[0].of("/").adapter.position() == 3)
        assert await client.come_back(workers.ports[1]) == [["e", number] for number in range(3)]
        assert client.sid == sid
        await client.leave()


@run_async
async def test_what_others_publish_is_dropped(lasting_redis: Redis, prefix: str) -> None:
    meeting = meeting_in(lasting_redis, prefix, secret=SECRET)
    async with starter(meeting)(1) as workers:
        (heard,) = await connected(workers.ports)
        io = workers.servers[0]
        others = [
            meeting_in(lasting_redis, prefix),
            meeting_in(lasting_redis, prefix, secret=secrets.token_hex()),
        ]
        for other in others:
            async with nuncio.Emitter(other) as emitter:
                await emitter.emit("e", "forged")
        client = lasting_redis.client()
        asked = ClusterMessage("emitter", "/", Kind.FETCH_SOCKETS, {"opts": {}, "requestId": "1"})
        worker = ClusterMessage("abcdef", "/", Kind.BROADCAST, {"packet": {}, "opts": {}})
        wrong = ClusterMessage("emitter", "/", Kind.BROADCAST, {"packet": 5})
        frames_of = [
            frames.Outside("/", data)
            for data in (b"", b"\xc1", *map(encode_packed, (asked, worker, wrong)))
        ]
        frames_of.append(frames.Outside("/nowhere", encode_packed(asked)))
        for frame in frames_of:
            signed = meeting.signer.sign(frames.encode(frame))
            await client.publish(meeting.channel, signed)
        await client.aclose()
        async with nuncio.Emitter(meeting) as emitter:
            await emitter.emit("e", "true")
        await eventually(lambda: heard.events)
        assert heard.events == [["true"]]
        assert worker_of(io).mesh.stats()["strays"] == 2
        adapter: Any = io.of("/").adapter
        assert adapter.stats()["dropped"] == 5
        await heard.socket.io.close()


@run_async
async def test_an_emitter_that_nobody_hears_says_so_once(
    lasting_redis: Redis, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    def complaints() -> list[str]:
        return [one.message for one in caplog.records if "no server hears" in one.message]

    caplog.set_level(logging.WARNING, logger="nuncio.cluster")
    meeting = meeting_in(lasting_redis, prefix)
    adapter = nuncio.cluster.RedisAdapter(lasting_redis.url, key=prefix)
    for target in (meeting, adapter):
        caplog.clear()
        async with nuncio.Emitter(target) as emitter:
            await emitter.emit("e")
            await emitter.emit("e")
        assert len(complaints()) == 1
        caplog.clear()
        with nuncio.sync.Emitter(target) as blocking:
            blocking.emit("e")
            blocking.emit("e")
        (words,) = complaints()
        assert prefix in words and "RedisMeeting" in words
    caplog.clear()
    async with starter(meeting)(1), nuncio.Emitter(meeting) as emitter:
        await emitter.emit("e")
    assert not complaints()
