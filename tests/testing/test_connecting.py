"""A client in memory meets all that a client meets over a network."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

import nuncio
from nuncio.client import EngineClient
from nuncio.cluster import MemoryAdapter
from nuncio.engine import Engine
from nuncio.hosts.asgi import ASGIApp
from nuncio.testing import Client, Memory, Stage, connect, run, settle
from tests.testing.stages import staged


def echo(**options: Any) -> nuncio.Server:
    """A server that answers with what it was sent."""
    io = nuncio.Server(**options)

    @io.event
    def echo(socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
        return nuncio.Ack(*args)

    return io


@staged
async def test_it_gives_a_real_client_to_a_real_server() -> None:
    io = echo()
    client = await connect(io)
    assert isinstance(client, Client)
    assert type(client.socket) is nuncio.ClientSocket
    assert client.connected
    assert client.nsp == "/"
    assert client.id in io.sockets.sockets
    assert await client.emit_with_ack("echo", 1, "é", b"\x00", {"a": [b"\x01"]}) == [
        1,
        "é",
        b"\x00",
        {"a": [b"\x01"]},
    ]
    assert client.server_socket.conn.transport.name == "websocket"


@staged
async def test_leaving_the_context_closes_it() -> None:
    io = echo()
    async with connect(io) as client:
        assert client.connected
    assert client.disconnected
    assert not io.engine.sessions
    with pytest.raises(LookupError, match="no socket of"):
        _ = client.server_socket


@staged
async def test_the_server_sees_who_connects() -> None:
    io = nuncio.Server(path="/somewhere")
    client = await connect(
        io,
        auth={"user": "ada"},
        headers={"X-Trace": "7", "Origin": "https://localhost"},
        query={"room": "lobby"},
        address="203.0.113.7",
        secure=True,
        cookies={"session": "abc"},
    )
    handshake = client.server_socket.handshake
    assert handshake.auth == {"user": "ada"}
    assert handshake.headers["x-trace"] == "7"
    assert handshake.headers["host"] == "localhost"
    assert handshake.headers["cookie"] == "session=abc"
    assert handshake.query["room"] == "lobby"
    assert handshake.query["EIO"] == "4"
    assert handshake.url.startswith("/somewhere/?")
    assert handshake.address == "203.0.113.7"
    assert handshake.secure
    assert handshake.xdomain


@staged
async def test_functions_give_credentials_for_each_connection() -> None:
    io = nuncio.Server()
    tokens = iter(["first", "second"])
    seen: list[str] = []

    @io.use
    def note(socket: nuncio.Socket) -> None:
        seen.append(socket.handshake.auth["token"])

    client = await connect(io, auth=lambda: {"token": next(tokens)})
    client.network.cut()
    await client.expect("connect")
    assert seen == ["first", "second"]


@staged
async def test_middleware_refuses_with_its_message_and_data() -> None:
    io = nuncio.Server()

    @io.use
    async def nobody(socket: nuncio.Socket) -> None:
        await asyncio.sleep(0)
        raise nuncio.ConnectError("not today", {"code": 7})

    with pytest.raises(nuncio.ConnectError, match="not today") as caught:
        await connect(io)
    assert caught.value.data == {"code": 7}
    await settle()
    assert not io.engine.sessions


@staged
async def test_allow_request_refuses_with_a_status() -> None:
    async def allow(request: nuncio.Request) -> bool | str:
        await asyncio.sleep(0)
        return "friends only" if "friend" not in request.query else True

    io = nuncio.Server(allow_request=allow)
    with pytest.raises(nuncio.TransportError, match="friends only") as caught:
        await connect(io)
    assert caught.value.status == 400
    async with connect(io, query={"friend": 1}) as client:
        assert client.connected


@staged
async def test_other_origins_are_refused_as_cors_says() -> None:
    io = nuncio.Server(cors="https://friend.example")
    async with connect(io, headers={"Origin": "https://friend.example"}):
        pass
    with pytest.raises(nuncio.TransportError, match="Origin not allowed"):
        await connect(io, headers={"Origin": "https://foe.example"})


@staged
async def test_http_middleware_sees_the_request_and_its_cookies_are_kept() -> None:
    io = nuncio.Server()
    cookies: list[str] = []

    @io.engine.use
    def remember(request: nuncio.Request, response: nuncio.Exchange) -> None:
        cookies.append(request.headers.get("cookie", ""))
        response.set_header("Set-Cookie", "seen=yes; Path=/")

    client = await connect(io, with_credentials=True)
    client.network.cut()
    await client.expect("connect")
    assert cookies == ["", "seen=yes"]


@staged
async def test_http_middleware_that_fails_refuses() -> None:
    io = nuncio.Server()

    @io.engine.use
    async def broken(request: nuncio.Request, response: nuncio.Exchange) -> None:
        raise KeyError("oops")

    with pytest.raises(nuncio.TransportError) as caught:
        await connect(io)
    assert caught.value.status == 400


@staged
async def test_namespaces() -> None:
    io = echo()
    io.of("/admin")
    async with connect(io, "/admin", auth={"a": 1}) as admin:
        assert admin.nsp == "/admin"
        assert admin.server_socket.handshake.auth == {"a": 1}
    with pytest.raises(nuncio.ConnectError, match="Invalid namespace"):
        await connect(io, "/nowhere")


@staged
async def test_namespaces_share_a_connection_if_asked_to() -> None:
    io = echo()
    io.of("/admin")
    client = await connect(io, auth={"user": "ada"})
    admin = await connect(client, "/admin", auth={"user": "root"})
    assert admin.io is client.io
    assert admin.server_socket.conn is client.server_socket.conn
    assert admin.server_socket.handshake.auth == {"user": "root"}
    await admin.close()
    assert client.connected
    with pytest.raises(nuncio.OptionError, match="in '/' already"):
        await connect(client)
    with pytest.raises(nuncio.OptionError, match="query: the connection is there already"):
        connect(client, "/admin", query={"x": 1})
    with pytest.raises(nuncio.OptionError, match="timeout: the connection is there already"):
        connect(client, "/admin", timeout=1)


@staged
async def test_the_server_asks_and_the_client_answers() -> None:
    io = nuncio.Server()
    client = await connect(io)
    client.on("add", lambda a, b: a + b)
    assert await client.server_socket.emit_with_ack("add", 2, 3) == 5


@staged
async def test_rooms() -> None:
    io = nuncio.Server()

    @io.event
    def join(socket: nuncio.Socket, room: str) -> None:
        socket.join(room)

    ada, bob = await connect(io), await connect(io)
    await ada.emit_with_ack("join", "lobby")
    io.to("lobby").emit("news", 1)
    await ada.expect("news", 1)
    await bob.expect_nothing()


@staged
async def test_disconnects_of_either_side() -> None:
    io = nuncio.Server()
    reasons: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str) -> None:
        reasons.append(reason)

    client = await connect(io)
    client.server_socket.disconnect()
    await client.expect("disconnect", "io server disconnect")
    client.connect()
    await client.expect("connect")
    client.disconnect()
    await client.expect("disconnect", "io client disconnect")
    await settle()
    assert reasons == ["server namespace disconnect", "client namespace disconnect"]


@staged
async def test_the_parser_is_the_servers() -> None:
    client = await connect(echo(parser=nuncio.MsgPackParser()))
    assert await client.emit_with_ack("echo", b"\x01") == b"\x01"


@staged
async def test_a_message_that_is_too_big_ends_the_connection() -> None:
    io = echo(max_http_buffer_size=1000)
    reasons: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str) -> None:
        reasons.append(reason)

    client = await connect(io, reconnection=False)
    assert await client.emit_with_ack("echo", "x" * 900) == "x" * 900
    client.emit("echo", "x" * 1000)
    await client.expect("disconnect", "transport close")
    assert reasons == ["transport error"]


@staged
async def test_a_client_has_a_limit_too() -> None:
    io = nuncio.Server()
    limits = nuncio.ClientLimits(message_bytes=1000)
    client = await connect(io, reconnection=False, limits=limits)
    io.emit("news", "x" * 1000)
    await client.expect("disconnect", "transport error")


@staged
async def test_limits_by_address() -> None:
    io = nuncio.Server(limits=nuncio.Limits(connections_per_address=1))
    async with connect(io, address="203.0.113.1"), connect(io, address="203.0.113.2"):
        with pytest.raises(nuncio.TransportError) as caught:
            await connect(io, address="203.0.113.1")
    assert caught.value.status == 429


@staged
async def test_what_is_set_in_the_clients_task_does_not_reach_the_server() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    io = nuncio.Server()
    seen: list[str] = []

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        seen.append(who.get())

    @io.event
    async def ask(socket: nuncio.Socket) -> None:
        seen.append(who.get())
        socket.emit("answer")

    first = await connect(io)
    who.set("ada")
    second = await connect(io)
    second.on("answer", lambda: seen.append("client " + who.get()))
    await first.emit_with_ack("ask")
    await second.emit_with_ack("ask")
    await settle()
    assert seen == ["nobody", "nobody", "nobody", "nobody", "client ada"]


@staged
async def test_an_asgi_application_is_a_target() -> None:
    io, other = echo(), echo(path="/other")
    app = io.asgi(other.asgi())
    async with connect(app) as client:
        assert client.server_socket.nsp.server is io
    async with connect(app, path="/other") as client:
        assert client.server_socket.nsp.server is other
    assert isinstance(app, ASGIApp)


@staged
async def test_an_engine_that_stands_alone_is_reached_by_its_own_clients() -> None:
    engine = Engine()
    heard: asyncio.Queue[Any] = asyncio.Queue()

    @engine.on("connection")
    def connection(session: nuncio.Session) -> None:
        session.on("message", session.send)

    client = EngineClient("http://localhost", path="/engine.io", transports=[Memory(engine)])
    client.on("message", heard.put_nowait)
    client.on("open", lambda: client.send("hello"))
    client.open()
    assert await asyncio.wait_for(heard.get(), 10) == "hello"
    client.send(b"\x01")
    assert await asyncio.wait_for(heard.get(), 10) == b"\x01"
    client.close()
    await asyncio.wait_for(client.wait_closed(), 10)


@staged
async def test_another_path_is_not_found() -> None:
    with pytest.raises(nuncio.TransportError, match=r"is Socket\.IO served there") as caught:
        await connect(nuncio.Server(), path="/elsewhere")
    assert caught.value.status == 404


@staged
async def test_a_server_without_websocket_says_so() -> None:
    with pytest.raises(nuncio.TransportError, match="Transport unknown"):
        await connect(nuncio.Server(transports=["polling"]))


@staged
async def test_wrong_targets_and_options_are_told_at_once() -> None:
    io = nuncio.Server()
    with pytest.raises(TypeError, match=r"must be a nuncio\.Server"):
        connect("http://localhost")
    with pytest.raises(nuncio.OptionError, match="transports means nothing here"):
        connect(io, transports=["polling"])
    with pytest.raises(nuncio.OptionError, match="did you mean 'reconnection_delay'"):
        connect(io, reconnection_dela=1)


@staged
async def test_whoever_gives_up_while_middleware_thinks_leaves_nothing() -> None:
    io = nuncio.Server()
    asked, done = asyncio.Event(), asyncio.Event()

    @io.engine.use
    async def slow(request: nuncio.Request, response: nuncio.Exchange) -> None:
        asked.set()
        await done.wait()

    with pytest.raises(nuncio.ConnectTimeout):
        await connect(io, timeout=0.05)
    assert asked.is_set()
    done.set()
    await settle()
    assert not io.engine.sessions


@staged
async def test_a_closed_server_refuses_until_somebody_connects_anew() -> None:
    io = echo()
    client = await connect(io)
    await io.close()
    await client.expect("disconnect", "transport close")
    error = (await client.next("connect_error")).args[0]
    assert error.status == 503
    # As a server that is started again.
    async with connect(io) as another:
        assert await another.emit_with_ack("echo", 1) == 1
        await client.expect("connect")


@staged
async def test_adapters_begin_before_the_first_client_and_end_with_the_test() -> None:
    events: list[str] = []

    class Adapter(MemoryAdapter):
        async def init(self) -> None:
            await asyncio.sleep(0)
            events.append("init")

        async def close(self) -> None:
            events.append("close")

    io = nuncio.Server(adapter=Adapter)
    async with Stage() as stage:
        await stage.connect(io)
        assert events == ["init"]
    assert events == ["init", "close"]


@staged
async def test_what_keeps_a_server_from_starting_is_raised() -> None:
    class Adapter(MemoryAdapter):
        async def init(self) -> None:
            raise OSError("no cluster")

    with pytest.raises(OSError, match="no cluster"):
        await connect(nuncio.Server(adapter=Adapter))


@staged
async def test_a_server_with_a_port_is_left_to_its_host() -> None:
    io = echo()
    async with await io.listen(0):
        async with Stage() as stage:
            client = await stage.connect(io)
            assert await client.emit_with_ack("echo", 1) == 1
        assert not io.engine.stopping


def test_a_server_serves_one_loop_after_the_other() -> None:
    io = echo()

    async def scenario() -> None:
        async with connect(io) as client:
            assert await client.emit_with_ack("echo", 1) == 1

    run(scenario())
    run(scenario())
    assert not io.engine.sessions
