"""Workers that meet in Redis: what tests of forwarding do not say, and what happens to Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio.cluster import RedisAdapter, RedisMeeting, RedisStreamsAdapter
from nuncio.cluster.redis import endpoint
from nuncio.cluster.redis.subscriptions import CHANNEL
from nuncio.errors import OptionError
from nuncio.workers import frames
from nuncio.workers.frames import Answer, Bye, Call, Here, Part, Pulse
from nuncio.workers.mesh import Mesh
from nuncio.workers.messages import Bus, encode
from nuncio.workers.redis import RedisPlace
from tests.support.aio import eventually, run_async, until, within
from tests.support.node import POLLING, UPGRADED, Node, Way
from tests.support.rawclient import Polling, WebSocket
from tests.support.redis import Redis, RedisCluster
from tests.workers.conftest import Crew, Listening, Start, starter, worker_of
from tests.workers.test_forwarding import _balancer as balancer
from tests.workers.test_forwarding import joined

SECRET = "correct horse battery staple"


def meeting_in(redis: Redis, **options: Any) -> RedisMeeting:
    """A place of its own, where signs of life come quickly."""
    options = {"heartbeat_interval": 0.3, "heartbeat_timeout": 1.8, **options}
    return RedisMeeting(redis.url, prefix=secrets.token_hex(4), **options)


def place_of(io: nuncio.Server) -> RedisPlace:
    place = worker_of(io).mesh._place
    assert isinstance(place, RedisPlace)
    return place


@pytest.fixture
def quick(lasting_redis: Redis) -> Start:
    """Workers that notice soon when one of them is gone."""
    return starter(meeting_in(lasting_redis))


async def all_linked(crew: Crew) -> None:
    """Wait until each worker knows all others."""
    count = len(crew.servers) - 1
    await eventually(lambda: all(len(worker_of(io).mesh.others) == count for io in crew.servers))


def held(servers: list[nuncio.Server]) -> int:
    """How much workers hold for sessions of others, and these for them."""
    counted = 0
    for io in servers:
        worker = worker_of(io)
        owner = worker._owner
        counted += worker.forwarder.count + len(owner._exchanges) + len(owner._transports)
    return counted


# Who is there.


@run_async
async def test_many_that_start_at_once_are_linked_once(lasting_redis: Redis) -> None:
    meeting = meeting_in(lasting_redis)
    places = [RedisPlace(meeting) for _ in range(6)]
    meshes = [Mesh(place) for place in places]
    await asyncio.gather(*(mesh.start() for mesh in meshes))
    # All others are there when `start` returns.
    everybody = {mesh.tag for mesh in meshes}
    assert len(everybody) == 6
    await eventually(
        lambda: all({link.tag for link in m.others} == everybody - {m.tag} for m in meshes)
    )
    adapters = [Listening() for _ in meshes]
    for mesh, adapter in zip(meshes, adapters, strict=True):
        mesh.enter("/", adapter)
    await eventually(lambda: all(len(mesh.with_namespace("/")) == 5 for mesh in meshes))
    for link in meshes[2].others:
        link.write(encode(Bus("/", b"hello")))
    await eventually(lambda: sum(len(adapter.taken) for adapter in adapters) == 5)
    assert [place.dropped for place in places] == [0] * 6
    await meshes[0].stop()
    await eventually(lambda: all(len(mesh.others) == 4 for mesh in meshes[1:]))
    for mesh in meshes[1:]:
        await mesh.stop()
    assert await lasting_redis.command("KEYS", meeting.prefix + "*") == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@run_async
async def test_no_two_workers_have_the_same_tag(lasting_redis: Redis) -> None:
    meeting = meeting_in(lasting_redis)
    mesh = Mesh(RedisPlace(meeting))
    taken = mesh.tag
    await lasting_redis.command("SET", f"{meeting.prefix}:worker:{taken}", "")
    await mesh.start()
    assert mesh.tag != taken
    key = f"{meeting.prefix}:worker:{mesh.tag}"
    assert await lasting_redis.command("PTTL", key) > 1000
    await mesh.stop()
    assert await lasting_redis.command("EXISTS", key) == 0
    await lasting_redis.command("DEL", f"{meeting.prefix}:worker:{taken}")


@pytest.mark.parametrize("silent", [False, True])
@run_async
async def test_a_worker_that_is_killed_is_noticed(quick: Start, silent: bool) -> None:
    async with quick(3) as workers:
        polling = await Polling.open(workers.ports[0])
        there = Polling(workers.ports[1], polling.path, polling.opening)
        assert (await there.post("40")).status == 200
        await there.receive()
        poll = await there.begin_poll()
        other = worker_of(workers.servers[1])
        await eventually(lambda: other.forwarder.count == 1)
        place = place_of(workers.servers[0])
        assert place._beating is not None and place._bus is not None
        place._beating.cancel()
        if silent:
            # It hangs, and its connections do not end.
            for channel in (
                place._channel,
                place._channel_of(worker_of(workers.servers[0]).mesh.tag),
            ):
                place._bus.subscribe(CHANNEL, channel, lambda *_: None)
        else:
            await place._bus._close_lines()
        left = workers.servers[1:]
        await eventually(lambda: all(len(worker_of(io).mesh.others) == 1 for io in left))
        response = await poll.response()
        assert (response.status, response.json["code"]) == (400, 1)
        await poll.close()
        assert held(left) == 0
        assert (await there.get()).status == 400


@run_async
async def test_other_prefixes_and_databases_are_other_servers(lasting_redis: Redis) -> None:
    prefix = secrets.token_hex(4)
    urls = [lasting_redis.url, lasting_redis.url, lasting_redis.url + "/1"]
    prefixes = [prefix, prefix + "x", prefix]
    meetings = [RedisMeeting(u, prefix=p) for u, p in zip(urls, prefixes, strict=True)]
    meshes = [Mesh(RedisPlace(meeting)) for meeting in [*meetings, meetings[0]]]
    for mesh in meshes:
        await mesh.start()
    await eventually(lambda: [len(mesh.others) for mesh in meshes] == [1, 0, 0, 1])
    for mesh in meshes:
        await mesh.stop()


@run_async
async def test_where_redis_is_not_a_server_does_not_start() -> None:
    io = nuncio.Server(workers="redis://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="where the workers meet, cannot be reached"):
        await io.listen(0)
    await io.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# What they serve.


@pytest.mark.parametrize("way", [POLLING, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_the_official_client_reaches_another_worker_each_time(
    node: Node, lasting_redis: Redis, way: Way
) -> None:
    start = starter(meeting_in(lasting_redis, secret=SECRET))
    async with (
        start(3) as workers,
        balancer(workers.ports) as port,
        node.clients(port=port) as clients,
    ):
        many = [await clients.connect(way=way, forceNew=True) for _ in range(4)]
        data = b"\x00\xff" * 200_000
        for client in many:
            assert await within(client.ask("echo", 1, data)) == [1, data]
            assert await client.transport() == way.transport
        await many[0].emit("shout", "hello")
        for client in many:
            assert await within(client.next("shout")) == ["hello"]


@run_async
async def test_an_adapter_of_ones_own_beside_it(lasting_redis: Redis) -> None:
    key = secrets.token_hex(4)
    start = starter(meeting_in(lasting_redis))
    options = {"adapter": RedisAdapter(lasting_redis.url, key=key)}
    async with start(3, **options) as workers, balancer(workers.ports) as port:
        sockets = []
        for ways in (["polling"], ["polling", "websocket"], ["websocket"], ["polling"]):
            sockets.append(
                await nuncio.connect(f"http://127.0.0.1:{port}", transports=ways, force_new=True)
            )
        heard: list[tuple[int, int]] = []
        for number, socket in enumerate(sockets):
            socket.on("shout", lambda x, number=number: heard.append((number, x)))
        for number in range(5):
            sockets[0].emit("shout", number)
        await eventually(lambda: len(heard) >= 20)
        assert sorted(heard) == [(socket, number) for socket in range(4) for number in range(5)]
        assert await workers.servers[0].of("/").adapter.server_count() == 3
        for socket in sockets:
            await socket.close()
        await eventually(lambda: held(workers.servers) == 0)


@run_async
async def test_in_redis_cluster(program: Callable[[str], str]) -> None:
    async with (
        RedisCluster(program("redis-server"), 2) as cluster,
        starter(RedisMeeting(cluster.url, heartbeat_interval=0.3, heartbeat_timeout=3.0))(3) as w,
    ):
        async with tunnel(w) as socket:
            await echoes(socket, 0, 50)
            # Where nobody can say how many listen, nobody is given up for it.
            round_now = place_of(w.servers[0])._round
            await eventually(lambda: place_of(w.servers[0])._round > round_now + 3)
            await echoes(socket, 50, 50)
        assert all(len(worker_of(io).mesh.others) == 2 for io in w.servers)


# What happens to Redis.


@asynccontextmanager
async def tunnel(crew: Crew) -> AsyncIterator[WebSocket]:
    """A session that has moved to a WebSocket at another worker than its own."""
    here, there = await joined(crew)
    session = crew.servers[crew.holder(here.sid)].engine.sessions[here.sid]
    async with await there.probe() as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.send("5")
        await eventually(lambda: session.upgraded)
        yield socket


async def echoes(socket: WebSocket, first: int, count: int) -> None:
    """Numbered events there and back, all of them and in order."""
    for number in range(first, first + count):
        await socket.send(f'42{number}["echo",{number}]')
    for number in range(first, first + count):
        assert await within(socket.receive()) == f"43{number}[{number}]"


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
@run_async
async def test_connections_that_are_cut_lose_nothing(
    program: Callable[[str], str], kind: str
) -> None:
    async with (
        Redis(program("redis-server")) as redis,
        starter(RedisMeeting(redis.url))(2) as workers,
        tunnel(workers) as socket,
    ):
        first = 0
        for _ in range(4):
            sending = asyncio.ensure_future(echoes(socket, first, 150))
            await asyncio.sleep(0.01)
            await redis.kill_connections(kind)
            await sending
            first += 150
        assert sum(place_of(io).stats()["losses"] for io in workers.servers) >= 4
        assert all(len(worker_of(io).mesh.others) == 1 for io in workers.servers)


@run_async
async def test_sessions_outlive_that_redis_is_started_again(program: Callable[[str], str]) -> None:
    async with (
        Redis(program("redis-server")) as redis,
        starter(RedisMeeting(redis.url))(3) as workers,
        tunnel(workers) as socket,
    ):
        listening = Listening()
        worker_of(workers.servers[0]).mesh.enter("/x", listening)
        await echoes(socket, 0, 10)
        await redis.stop()
        for number in range(10, 20):
            await socket.send(f'42{number}["echo",{number}]')
        await eventually(lambda: listening.changes == [False])
        await redis.start()
        for number in range(10, 20):
            assert await within(socket.receive()) == f"43{number}[{number}]"
        await eventually(lambda: listening.changes == [False, True])
        await echoes(socket, 20, 10)
        # And the tags are claimed again.
        await until(lambda: _count(redis, "nuncio:worker:*"), 3)
        worker_of(workers.servers[0]).mesh.leave("/x", listening)


async def _count(redis: Redis, pattern: str) -> int:
    return len(await redis.command("KEYS", pattern))


@run_async
async def test_while_redis_says_nothing_local_sessions_go_on(program: Callable[[str], str]) -> None:
    async with (
        Redis(program("redis-server")) as redis,
        starter(meeting_in(redis))(2) as workers,
    ):
        local = await Polling.open(workers.ports[0])
        await local.post("40")
        await local.receive()
        reasons: list[str] = []
        here, there = await joined(workers)
        holder = workers.servers[workers.holder(here.sid)]
        for socket in holder.sockets.sockets.values():
            socket.on("disconnect", reasons.append)
        async with await there.probe() as far:
            await far.send("2probe")
            assert await far.receive() == "3probe"
            await far.send("5")
            await eventually(lambda: holder.engine.sessions[here.sid].upgraded)
            redis.freeze()
            assert await within(far.closed()) == 1005
        await eventually(lambda: reasons == ["transport close"])
        assert here.sid not in holder.engine.sessions
        await eventually(lambda: not any(worker_of(io).mesh.others for io in workers.servers))
        assert held(workers.servers) == 0
        await local.post('420["echo","alone"]')
        assert await local.receive() == ['430["alone"]']
        redis.thaw()
        await all_linked(workers)
        async with tunnel(workers) as again:
            await echoes(again, 0, 20)
        assert await workers.servers[0].of("/").adapter.server_count() == 2


@run_async
async def test_while_redis_is_away_nobody_answers_for_all(program: Callable[[str], str]) -> None:
    async with (
        Redis(program("redis-server")) as redis,
        starter(meeting_in(redis))(2) as workers,
    ):
        io = workers.servers[0]
        local = await Polling.open(workers.ports[0])
        await local.post("40")
        await local.receive()
        await redis.stop()
        await eventually(lambda: not any(worker_of(io).mesh.others for io in workers.servers))
        with pytest.raises(nuncio.ClusterUnavailable) as raised:
            await io.fetch_sockets()
        here: list[Any] = raised.value.responses
        assert [socket.id for socket in here] == list(io.sockets.sockets)
        with pytest.raises(nuncio.AckTimeout):
            await io.server_side_emit_with_ack("anybody", timeout=5)
        io.emit("alone")
        assert await local.receive() == ['42["alone"]']
        await redis.start()
        await all_linked(workers)
        adapter: Any = io.of("/").adapter
        await eventually(lambda: adapter.healthy)
        assert len(await io.fetch_sockets()) == 1


@run_async
async def test_clients_come_back_when_their_worker_is_cut_off(lasting_redis: Redis) -> None:
    start = starter(meeting_in(lasting_redis))
    async with start(2) as workers, balancer(workers.ports) as port:
        socket = await nuncio.connect(
            f"http://127.0.0.1:{port}",
            transports=["polling"],
            force_new=True,
            reconnection_delay=0.01,
            reconnection_delay_max=0.05,
        )
        for io in workers.servers:
            for link in worker_of(io).mesh.others:
                link.abort()
        await all_linked(workers)
        # What is asked meanwhile waits until it is connected again.
        assert await within(socket.timeout(20).emit_with_ack("echo", 1)) == 1
        await socket.close()
        await eventually(lambda: held(workers.servers) == 0)


@pytest.mark.parametrize("caller", [True, False])
@run_async
async def test_a_link_that_only_one_side_has_lost_is_made_anew(quick: Start, caller: bool) -> None:
    async with quick(2) as workers:
        first, second = sorted(workers.servers, key=lambda io: worker_of(io).mesh.tag)
        forgetful, other = (first, second) if caller else (second, first)
        (before,) = worker_of(other).mesh.others
        (channel,) = place_of(forgetful)._channels.values()
        # As when it told the other one, and Redis lost that.
        channel.end()
        assert not worker_of(forgetful).mesh.others
        await eventually(lambda: before not in worker_of(other).mesh.others)
        await all_linked(workers)
        async with tunnel(workers) as socket:
            await echoes(socket, 0, 10)


# What others write.


GARBAGE = [
    b"",
    b"\xc1",
    b"\x00" * 100,
    b"hello",
    frames.encode(Here("toolong")),
    frames.encode(Here("a\n")),
    frames.encode(Answer("abc", b"k" * 16, b"y" * 16)),
    frames.encode(Part(b"short", 0, 0, b"data")),
    frames.encode(Part(b"x" * 16, 0, 0, b"data")),
    frames.encode(Pulse(b"x" * 16, -1, 0)),
    frames.encode(Bye(b"x" * 16)),
]


@run_async
async def test_garbage_is_counted_and_dropped(lasting_redis: Redis) -> None:
    start = starter(meeting_in(lasting_redis))
    async with start(2) as workers, tunnel(workers) as socket:
        place = place_of(workers.servers[0])
        before = len(asyncio.all_tasks())
        own = place._channel_of(worker_of(workers.servers[0]).mesh.tag)
        for garbage in GARBAGE:
            for channel in (own, place._channel):
                await lasting_redis.command("PUBLISH", channel, garbage)
        await eventually(lambda: place.dropped == 2 * len(GARBAGE))
        stats = workers.servers[0].of("/").adapter.stats()  # type: ignore[attr-defined]
        assert (stats["strays"], stats["links"]) == (2 * len(GARBAGE), 1)
        await echoes(socket, 0, 10)
        assert len(asyncio.all_tasks()) == before
        assert len(worker_of(workers.servers[0]).mesh.others) == 1


@run_async
async def test_names_that_nobody_has_are_forgotten(lasting_redis: Redis) -> None:
    place = RedisPlace(meeting_in(lasting_redis, heartbeat_interval=0.05))
    mesh = Mesh(place)
    await mesh.start()
    for number in range(50):
        tag = f"x{number:02}"
        for frame in (Here(tag), Call(tag, b"k" * 16)):
            await lasting_redis.command("PUBLISH", place._channel, frames.encode(frame))
    # Either a worker is called, or it calls.
    await eventually(lambda: place._called or place._offered)
    await eventually(lambda: not place._called and not place._offered)
    assert mesh.others == []
    await mesh.stop()


@run_async
async def test_nobody_without_the_secret_is_heard(lasting_redis: Redis) -> None:
    start = starter(meeting_in(lasting_redis, secret=SECRET))
    async with start(2) as workers, tunnel(workers) as socket:
        place = place_of(workers.servers[0])
        mesh = worker_of(workers.servers[0]).mesh
        own = place._channel_of(mesh.tag)
        ((key, channel),) = place._channels.items()
        forged = frames.encode(Bye(key))
        other = meeting_in(lasting_redis, secret="x" * 20).signer
        before = place.dropped
        for data in (forged, other.sign(forged), b"A" * 32 + forged):
            await lasting_redis.command("PUBLISH", own, data)
        await eventually(lambda: place.dropped == before + 3)
        await echoes(socket, 0, 10)
        assert list(place._channels.values()) == [channel]


@run_async
async def test_what_was_said_once_is_not_believed_again(lasting_redis: Redis) -> None:
    meeting = meeting_in(lasting_redis, secret=SECRET)
    start = starter(meeting)
    async with lasting_redis.client().pubsub() as recorder:
        await recorder.psubscribe(meeting.prefix + "*")
        recorded: list[tuple[bytes, bytes]] = []
        async with start(2) as workers, tunnel(workers) as socket:
            await echoes(socket, 0, 5)
            while message := await recorder.get_message(timeout=0.1):
                if message["type"] == "pmessage":
                    recorded.append((message["channel"], message["data"]))
            assert len(recorded) > 10
            for channel, data in recorded:
                await lasting_redis.command("PUBLISH", channel, data)
            await echoes(socket, 5, 5)
            assert all(len(worker_of(io).mesh.others) == 1 for io in workers.servers)
    await lasting_redis.client().aclose()


# Options.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prefix": ""}, "prefix must be"),
        ({"secret": "short"}, "secret must be"),
        ({"heartbeat_interval": 5.0, "heartbeat_timeout": 5.0}, "heartbeat_timeout must be longer"),
    ],
)
def test_what_a_meeting_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        RedisMeeting("redis://localhost", **options)


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="workers: url: 'http://localhost' is no address"):
        nuncio.Server(workers="http://localhost")
    monkeypatch.setenv("NUNCIO_WORKERS_SECRET", "short")
    with pytest.raises(OptionError, match="workers: secret must be"):
        nuncio.Server(workers="redis://localhost")
    monkeypatch.setattr(endpoint, "library", _missing)
    with pytest.raises(OptionError, match=r"workers: .*nuncio\[redis\]"):
        nuncio.Server(workers="redis://localhost")


def _missing() -> Any:
    raise OptionError(endpoint.MISSING)


def test_the_environment_says_where_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNCIO_WORKERS", "redis://user:hush@localhost")
    monkeypatch.setenv("NUNCIO_WORKERS_SECRET", SECRET)
    io = nuncio.Server()
    assert b"hello" in place_of(io)._meeting.signer.sign(b"hello")
    assert place_of(io)._meeting.signer.sign(b"hello") != b"hello"
    assert "hush" not in repr(nuncio.Server(workers="redis://user:hush@localhost").options)


@run_async
async def test_another_secret_is_told_once(
    lasting_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    secrets_of = (secrets.token_hex(), secrets.token_hex(), None)
    prefix = secrets.token_hex(4)
    meetings = [
        RedisMeeting(lasting_redis.url, prefix=prefix, heartbeat_interval=0.1, secret=one)
        for one in secrets_of
    ]
    servers = [nuncio.Server(workers=one) for one in meetings]
    for io in servers:
        await io.listen(0)

    def strays() -> list[int]:
        return [worker_of(io).mesh.stats()["strays"] for io in servers]

    await eventually(lambda: min(strays()) > 3, "each has heard the others several times")
    said = [one.message for one in caplog.records if "the same secret" in one.message]
    assert len(said) == len(servers) and str(lasting_redis.port) in said[0]
    for io in servers:
        await io.close(timeout=1.0)


@pytest.mark.parametrize("recovery", [True, False])
def test_an_adapter_whose_clients_do_not_recover_everywhere_is_told(
    lasting_redis: Redis, caplog: pytest.LogCaptureFixture, recovery: bool
) -> None:
    def warned(**options: Any) -> bool:
        caplog.clear()
        io = nuncio.Server(connection_state_recovery=recovery, **options)
        for name in ("/", "/chat"):
            assert name == io.of(name).adapter.nsp.name
        return len([one for one in caplog.records if "recovers only where" in one.message]) == 1

    classic = RedisAdapter(lasting_redis.url)
    assert warned(workers=lasting_redis.url, adapter=classic) == recovery
    assert not warned(workers=lasting_redis.url, adapter=RedisStreamsAdapter(lasting_redis.url))
    assert not warned(workers=lasting_redis.url) and not warned(adapter=classic)
