"""The client over `stream`, `sse` and `forever`, against Nuncio's server on both hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
import nuncio.sync
from nuncio.engine import winddown
from tests.support.aio import eventually, run_async, within
from tests.support.down import NAMES
from tests.support.faults import DOWN, UP, FaultProxy
from tests.support.live import HOSTS, Home, listening

every_way = pytest.mark.parametrize("name", NAMES)

ALL = ("polling", "websocket", *NAMES)

TEXT = "é\u2028\r\n\x1e</script><!--\x00\U0001f600"


def serve(**options: Any) -> nuncio.Server:
    """The application."""
    io = nuncio.Server(transports=ALL, **options)

    @io.event
    def echo(socket: nuncio.Socket, *values: Any) -> nuncio.Ack:
        return nuncio.Ack(*values)

    @io.event
    def back(socket: nuncio.Socket, *values: Any) -> None:
        socket.emit("back", *values)

    @io.event
    def count(socket: nuncio.Socket, most: int) -> None:
        for number in range(most):
            socket.emit("number", number, *([b"x" * (number % 90)] if number % 50 == 0 else []))

    @io.event
    def leave(socket: nuncio.Socket) -> None:
        socket.disconnect(close=True)

    return io


@pytest.fixture(scope="module", params=HOSTS)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A server that the tests share, on each host."""
    patch = pytest.MonkeyPatch()
    patch.setattr(winddown, "GOODBYE_SECONDS", 0.0)
    home = Home(serve(), request.param)
    yield home
    home.close()
    patch.undo()


@asynccontextmanager
async def connected(port: int, *transports: str, **options: Any) -> AsyncIterator[Any]:
    """A client."""
    url = f"http://127.0.0.1:{port}"
    async with nuncio.connect(url, transports=list(transports), **options) as socket:
        yield socket


async def over(socket: Any, name: str) -> None:
    """Wait until a client uses this transport."""
    await eventually(lambda: socket.io.engine.transport.name == name, f"it moved to {name}")


@every_way
def test_values_come_back_as_they_were(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, name) as socket:
            assert socket.io.engine.transport.name == name
            values = [TEXT, {"a": [None, 1.5, True]}, b"\x00\xff", b"", {"deep": b"x" * 200_000}]
            assert await within(socket.emit_with_ack("echo", *values)) == values
            assert await within(socket.emit_with_ack("echo", TEXT)) == TEXT
            assert await within(socket.emit_with_ack("echo", b"")) == b""

    home.run(main())


@every_way
def test_five_thousand_messages_stay_in_order(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, name) as socket:
            await both_ways(socket, 5000)

    home.run(main())


async def both_ways(socket: Any, most: int) -> None:
    """Send many messages, have as many sent, and look at their order."""
    numbers: list[int] = []
    back: list[int] = []
    socket.on("number", lambda number, *_: numbers.append(number))
    socket.on("back", lambda number, *_: back.append(number))
    socket.emit("count", most)
    for number in range(most):
        socket.emit("back", number, *([b"\x00" * (number % 70)] if number % 40 == 0 else []))
        if number % 500 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: len(numbers) >= most and len(back) >= most, "all have come")
    assert numbers == list(range(most))
    assert back == list(range(most))


@every_way
def test_the_server_says_goodbye(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, name, reconnection=False) as socket:
            ends: list[str] = []
            socket.on("disconnect", ends.append)
            socket.emit("leave")
            await eventually(lambda: ends)
            assert ends == ["io server disconnect"]

    home.run(main())


@every_way
def test_the_client_says_goodbye(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, name) as socket:
            sid = socket.io.engine.id
            assert sid in home.engine.sessions
            socket.emit("back", "last")
        await eventually(lambda: home.unknown(sid), "the server knows that it has left")

    home.run(main())


@every_way
def test_from_long_polling(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, "polling", name) as socket:
            await both_ways(socket, 1000)
            await over(socket, name)
            session = home.engine.sessions[socket.io.engine.id]
            await eventually(lambda: session.transport.name == name, "the server has moved, too")
            assert await within(socket.emit_with_ack("echo", b"x" * 100_000)) == b"x" * 100_000

    home.run(main())


@every_way
def test_to_websocket_while_messages_flow(home: Home, name: str) -> None:
    async def main() -> None:
        async with connected(home.port, name, "websocket") as socket:
            await both_ways(socket, 3000)
            await over(socket, "websocket")
            assert await within(socket.emit_with_ack("echo", 1)) == 1

    home.run(main())


@every_way
@run_async
async def test_a_middleware_refuses(name: str) -> None:
    io = serve()

    @io.engine.use
    def guard(request: Any, response: Any) -> None:
        raise nuncio.ConnectError("not you")

    async with listening(io) as port:
        with pytest.raises(nuncio.ConnectError) as caught:
            async with connected(port, name, reconnection=False):
                pass
        assert isinstance(caught.value, nuncio.TransportError)
        assert (caught.value.status, caught.value.transport) == (400, name)


@every_way
@run_async
async def test_who_is_not_allowed_is_told(name: str) -> None:
    io = serve(allow_request=lambda request: "not today")
    async with listening(io) as port:
        with pytest.raises(nuncio.TransportError, match="not today") as caught:
            async with connected(port, name, reconnection=False):
                pass
        assert caught.value.status == 403


@every_way
@run_async
async def test_headers_and_cookies_are_with_every_request(name: str) -> None:
    io = serve(cookie="io")
    seen: list[tuple[str, str | None, str | None]] = []

    @io.engine.use
    def look(request: Any, response: Any) -> None:
        response.set_header("Set-Cookie", "flavour=oat")
        seen.append((request.method, request.header(b"x-token"), request.header(b"cookie")))

    options: dict[str, Any] = {"extra_headers": {"X-Token": "t"}, "with_credentials": True}
    async with listening(io) as port, connected(port, name, **options) as socket:
        assert await within(socket.emit_with_ack("echo", 1)) == 1
        assert {token for _, token, _ in seen} == {"t"}
        last = seen[-1]
        assert last[0] == "POST"
        assert last[2] is not None
        assert "flavour=oat" in last[2]
        assert f"io={socket.io.engine.id}" in last[2]


# What goes wrong on the way.


@every_way
@pytest.mark.parametrize("rst", [True, False], ids=["rst", "fin"])
@run_async
async def test_a_response_that_is_cut_loses_nothing(name: str, rst: bool) -> None:
    io = serve()
    async with (
        listening(io) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name, reconnection=False) as socket,
    ):
        got: list[int] = []
        socket.on("back", got.append)
        for number in range(20):
            socket.emit("back", number)
            await asyncio.sleep(0)
            if number % 4 == 0:
                proxy.cut(rst=rst)
        await eventually(lambda: len(got) >= 20, "all have come")
        assert got == list(range(20))
        assert len(io.engine.sessions) == 1


@every_way
@run_async
async def test_what_the_server_had_sent_and_nobody_received_comes_again(name: str) -> None:
    io = serve()
    async with (
        listening(io) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name, reconnection=False) as socket,
    ):
        got: list[int] = []
        socket.on("number", lambda number, *_: got.append(number))
        proxy.stall(DOWN)
        socket.emit("count", 100)
        [session] = io.engine.sessions.values()
        await eventually(lambda: session.transport._last > 100, "it was sent")  # type: ignore[attr-defined]
        proxy.cut(rst=True)
        proxy.resume()
        await eventually(lambda: len(got) >= 100, "all have come")
        assert got == list(range(100))


@every_way
@run_async
async def test_a_request_whose_answer_was_lost_is_handled_once(name: str) -> None:
    io = serve()
    heard: list[int] = []
    io.on("heard", lambda socket, number: heard.append(number))
    async with (
        listening(io) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name, reconnection=False) as socket,
    ):
        proxy.stall(DOWN)
        socket.emit("heard", 1)
        await eventually(lambda: heard, "it has arrived")
        proxy.cut(rst=True)
        proxy.resume()
        socket.emit("heard", 2)
        await eventually(lambda: len(heard) >= 2, "the next has arrived")
        assert heard == [1, 2]
        posts = proxy.requests("POST")
        assert any(posts.count(line) > 1 or "seq=2" in line for line in posts)


@every_way
@run_async
async def test_while_nobody_can_be_reached_messages_wait(name: str) -> None:
    io = serve()
    async with (
        listening(io) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name, reconnection=False) as socket,
    ):
        await proxy.refuse()
        proxy.cut()
        waiting = asyncio.ensure_future(socket.emit_with_ack("echo", "waits"))
        # Several attempts fail.
        down = socket.io.engine.transport
        await eventually(lambda: down._delay > 0.2, "it tries again and again")
        assert not waiting.done()
        await proxy.accept()
        assert await within(waiting) == "waits"


@every_way
@run_async
async def test_a_session_that_the_server_has_forgotten_is_lost(name: str) -> None:
    io = serve()
    async with (
        listening(io) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name) as socket,
    ):
        ends: list[str] = []
        socket.on("disconnect", ends.append)
        again = asyncio.Event()
        socket.on("connect", again.set)
        proxy.stall(UP)
        for session in list(io.engine.sessions.values()):
            session.lose("")
        proxy.cut()
        proxy.resume()
        await eventually(lambda: ends)
        assert ends == ["transport error"] or ends == ["transport close"]
        await within(again.wait())
        assert await within(socket.emit_with_ack("echo", 1)) == 1


@every_way
@run_async
async def test_responses_that_end_all_the_time(name: str) -> None:
    limits = nuncio.Limits(response_bytes=20_000, unconfirmed_bytes=30_000)
    async with (
        listening(serve(limits=limits)) as port,
        FaultProxy(port) as proxy,
        connected(proxy.port, name) as socket,
    ):
        await both_ways(socket, 3000)
        assert len(proxy.requests("GET")) > 3


@every_way
@run_async
async def test_a_client_that_pauses_loses_nothing(name: str) -> None:
    limits = nuncio.Limits(response_bytes=50_000)
    few = nuncio.ClientLimits(queued_events=10)
    async with (
        listening(serve(limits=limits)) as port,
        connected(port, name, limits=few) as socket,
    ):
        events = socket.events("number")
        socket.emit("count", 2000)
        got = []
        async for event in events:
            got.append(event.args[0])
            if len(got) % 100 == 0:
                await asyncio.sleep(0)
            if len(got) == 2000:
                break
        assert got == list(range(2000))


# Without asyncio.


@every_way
def test_the_blocking_client(home: Home, name: str) -> None:
    port = home.port

    def use() -> list[Any]:
        with nuncio.sync.connect(f"http://127.0.0.1:{port}", transports=[name]) as socket:
            answer = socket.emit_with_ack("echo", b"", TEXT, timeout=30)
            engine = socket.io.engine
            assert engine is not None
            assert engine.transport is not None
            return [answer, engine.transport.name]

    async def main() -> list[Any]:
        return await asyncio.to_thread(use)

    assert home.run(main()) == [[b"", TEXT], name]
