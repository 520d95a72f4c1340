from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import nuncio
from nuncio.client.tools import tools
from nuncio.errors import ConnectError, OptionError, TransportError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import World, turns


def connecting(world: World, url: str = "http://localhost", **options: Any) -> asyncio.Future[Any]:
    """Await a connection of its own, unless told otherwise."""
    given = {"force_new": True, **world.options(**options)}
    return asyncio.ensure_future(_await(nuncio.connect(url, **given)))


async def _await(awaitable: Any) -> Any:
    return await awaitable


@run_async
async def test_it_gives_a_connected_socket_of_the_url_s_namespace() -> None:
    world = World()
    waiting = connecting(world, "http://localhost:3000/chat?x=1", auth={"token": "t"})
    line = await world.opened()
    assert await line.join(nsp="/chat") == '{"token":"t"}'
    socket = await within(waiting)
    assert isinstance(socket, nuncio.ClientSocket)
    assert (socket.nsp, socket.connected) == ("/chat", True)
    assert line.dial.url("websocket").startswith("http://localhost:3000/socket.io/?x=1&EIO=4")
    await within(socket.close())
    assert line.take() == ["41/chat,"]


@run_async
async def test_a_block_closes_it_at_its_end_and_sends_what_is_left() -> None:
    world = World()

    async def use() -> None:
        async with nuncio.connect("http://localhost", force_new=True, **world.options()) as socket:
            socket.emit("last")

    using = asyncio.ensure_future(use())
    line = await world.joined()
    await within(using)
    assert line.take() == ['42["last"]', "41"]
    assert line.ending == ["close"]


@run_async
async def test_what_the_block_raises_goes_on_and_closes_it_too() -> None:
    world = World()

    async def use() -> None:
        async with nuncio.connect("http://localhost", force_new=True, **world.options()):
            raise KeyError("mine")

    using = asyncio.ensure_future(use())
    line = await world.joined()
    with pytest.raises(KeyError):
        await within(using)
    assert line.ending == ["close"]


@run_async
async def test_what_the_server_sends_at_once_waits_for_handlers() -> None:
    world = World()
    seen: list[Any] = []

    async def use() -> None:
        socket = await nuncio.connect("http://localhost", force_new=True, **world.options())
        socket.on("early", lambda value: seen.append(value))
        socket.on("late", lambda value: seen.append(value))
        await eventually(lambda: len(seen) == 3)
        await socket.close()

    using = asyncio.ensure_future(use())
    line = await world.opened()
    assert await line.next() == "40"
    line.event("early", 1)
    line.admit()
    line.event("early", 2)
    line.event("late", 3)
    await within(using)
    assert seen == [1, 2, 3]


@run_async
async def test_a_first_failure_raises_and_leaves_nothing_behind() -> None:
    world = World()
    world.refuse("nobody is there")
    waiting = connecting(world)
    with pytest.raises(TransportError, match="nobody is there"):
        await within(waiting)
    await turns(20)
    assert len(world.dials) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert tools().http is None


@run_async
async def test_a_refusal_raises_with_its_data_and_leaves_nothing_behind() -> None:
    for retry in (False, True):
        world = World()
        waiting = connecting(world, retry=retry)
        line = await world.opened()
        await line.next()
        line.tell('4{"message":"not you","data":{"code":5}}')
        with pytest.raises(ConnectError, match="not you") as caught:
            await within(waiting)
        assert caught.value.data == {"code": 5}
        assert not isinstance(caught.value, TransportError)
        assert line.ending == ["close"]
        await turns(20)
        assert len(world.dials) == 1


@run_async
async def test_a_server_that_hangs_up_before_it_lets_in() -> None:
    world = World()
    waiting = connecting(world)
    line = await world.opened()
    await line.next()
    line.lose()
    with pytest.raises(ConnectError, match="ended before / was joined"):
        await within(waiting)
    await turns(20)
    assert len(world.dials) == 1


@run_async
async def test_a_server_of_an_older_protocol_raises() -> None:
    world = World()
    waiting = connecting(world)
    line = await world.opened()
    await line.next()
    line.tell("0")
    with pytest.raises(ConnectError, match=r"Socket.IO 2.x"):
        await within(waiting)
    assert line.ending == ["close"]


@run_async
async def test_a_server_that_never_lets_in_is_a_time_out() -> None:
    """Such as one that speaks Engine.IO and nothing above it."""
    world = World()
    waiting = connecting(world, timeout=0.05)
    line = await world.opened()
    await line.next()
    with pytest.raises(nuncio.ConnectTimeout):
        await within(waiting)
    assert line.ending == ["close"]


@run_async
async def test_the_time_begins_when_it_is_connected() -> None:
    """So that a slow network and a slow server have their own."""
    world = World()
    world.hold()
    waiting = connecting(world, timeout=0.3)
    await asyncio.sleep(0.2)
    world.go_on()
    line = await world.opened()
    await line.next()
    await asyncio.sleep(0.2)
    line.admit()
    socket = await within(waiting)
    await within(socket.close())


@run_async
async def test_it_may_go_on_trying() -> None:
    world = World()
    world.refuse()
    waiting = connecting(world, retry=True)
    await eventually(lambda: len(world.dials) >= 3)
    assert not waiting.done()
    world.admit()
    await world.joined()
    socket = await within(waiting)
    await within(socket.close())


@run_async
async def test_trying_ends_when_its_attempts_are_used_up() -> None:
    world = World()
    world.refuse("nobody")
    waiting = connecting(world, retry=True, reconnection_attempts=2)
    with pytest.raises(TransportError, match="nobody"):
        await within(waiting)
    assert len(world.dials) == 3
    waiting = connecting(world, retry=True, reconnection=False)
    with pytest.raises(TransportError, match="nobody"):
        await within(waiting)
    assert len(world.dials) == 4


@run_async
async def test_what_ends_the_trying_is_what_is_raised() -> None:
    world = World()
    world.refuse("nobody")
    waiting = connecting(world, retry=True)
    await eventually(lambda: len(world.dials) >= 2)
    world.admit()
    line = await world.opened()
    await line.next()
    line.tell('4{"message":"not you"}')
    with pytest.raises(ConnectError, match="not you"):
        await within(waiting)


@pytest.mark.parametrize("when", ["dialling", "opening", "joining", "waiting to retry"])
@run_async
async def test_whoever_is_cancelled_leaves_nothing_behind(when: str) -> None:
    world = World()
    if when == "dialling":
        world.hold()
    elif when == "waiting to retry":
        world.refuse()
    waiting = connecting(world, retry=True, reconnection_delay=3600, reconnection_delay_max=3600)
    await eventually(lambda: world.dials)
    if when == "joining":
        await (await world.opened()).next()
    await turns(5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert tools().http is None
    for line in world.lines:
        assert line.ending in (["close"], ["abort"])


@run_async
async def test_a_connection_that_is_lost_later_comes_back() -> None:
    world = World()
    waiting = connecting(world)
    line = await world.joined()
    socket = await within(waiting)
    line.lose()
    assert socket.active
    await world.joined()
    await within(socket.wait_connected())
    await within(socket.close())


# Sharing.


@run_async
async def test_namespaces_of_one_server_share_a_connection() -> None:
    world = World()
    options = world.options()
    first = asyncio.ensure_future(_await(nuncio.connect("http://localhost", **options)))
    line = await world.joined()
    one = await within(first)
    second = asyncio.ensure_future(_await(nuncio.connect("http://localhost/other", **options)))
    await line.join(nsp="/other")
    other = await within(second)
    assert one.io is other.io
    assert len(world.lines) == 1
    await within(one.close())
    assert line.ending == []
    await within(other.close())
    assert line.ending == ["close"]


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("http://localhost", {}),
        ("http://localhost/other", {"force_new": True}),
        ("http://localhost/other", {"multiplex": False}),
        ("http://localhost:81/other", {}),
        ("https://localhost/other", {}),
        ("http://localhost/other", {"path": "/elsewhere"}),
    ],
)
@run_async
async def test_what_is_not_shared(url: str, more: dict[str, Any]) -> None:
    world = World()
    options = world.options()
    first = asyncio.ensure_future(_await(nuncio.connect("http://localhost", **options)))
    await world.joined()
    one = await within(first)
    second = asyncio.ensure_future(_await(nuncio.connect(url, **options, **more)))
    nsp = "/other" if url.endswith("/other") else ""
    await world.joined(nsp=nsp)
    other = await within(second)
    assert one.io is not other.io
    await within(one.close())
    await within(other.close())


@run_async
async def test_what_has_ended_is_not_shared_any_more() -> None:
    world = World()
    options = world.options()
    managers = []
    for _ in range(3):
        waiting = asyncio.ensure_future(_await(nuncio.connect("http://localhost", **options)))
        await world.joined()
        socket = await within(waiting)
        managers.append(id(socket.io))
        await within(socket.close())
    assert len(world.lines) == 3


@run_async
async def test_nobody_keeps_what_is_shared_alive() -> None:
    world = World()
    options = world.options()
    waiting = asyncio.ensure_future(_await(nuncio.connect("http://localhost", **options)))
    await world.joined()
    socket = await within(waiting)
    assert len(tools().managers) == 1
    await within(socket.close())
    del socket, waiting
    world.lines.clear()
    world.dials.clear()
    await turns()
    gc.collect()
    assert len(tools().managers) == 0


# What is wrong.


def test_mistakes_are_told_at_once_and_not_when_it_is_awaited() -> None:
    for url, options, words in (
        ("ftp://localhost", {}, "url"),
        ("http://localhost", {"retry": "yes"}, "retry must be True or False"),
        ("http://localhost", {"force_new": 1}, "force_new must be True or False"),
        ("http://localhost", {"multiplex": None}, "multiplex must be True or False"),
        ("http://localhost", {"forceNew": True}, "did you mean 'force_new'"),
        ("http://localhost", {"timeout": "5"}, "timeout must be a number"),
        ("http://localhost", {"auth": "token"}, "auth must be a mapping"),
        ("http://localhost", {"transports": ["websockets"]}, "did you mean 'websocket'"),
        ("http://localhost/a,b", {}, "cannot be a namespace"),
        ("http://localhost", {"headers": {}}, "write extra_headers=…"),
    ):
        with pytest.raises(OptionError, match=words):
            nuncio.connect(url, **options)


@run_async
async def test_what_is_never_awaited_does_nothing() -> None:
    world = World()
    nuncio.connect("http://localhost", **world.options())
    await turns(10)
    assert world.dials == []
