"""The ASGI application itself, called as a server would call it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from nuncio import Limits, OptionError, Server, Socket
from nuncio.cluster import LocalBus
from nuncio.cluster.memory import MemoryAdapter
from nuncio.hosts.asgi import ASGIApp
from tests.support.aio import eventually, run_async, within

Message = MutableMapping[str, Any]
QUERY = "EIO=4&transport=polling"
WS_QUERY = "EIO=4&transport=websocket"


class Call:
    """One call of an application, and the server's side of it.

    Args:
        app: the application.
        scope: beside what every scope has.
    """

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.events: asyncio.Queue[Message] = asyncio.Queue()
        self.failing: Exception | None = None
        self.blocked: asyncio.Event | None = None
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        return await self.events.get()

    async def _send(self, message: Message) -> None:
        if self.blocked is not None:
            await self.blocked.wait()
        if self.failing is not None:
            raise self.failing
        self.sent.put_nowait(message)

    def put(self, type: str, **rest: Any) -> None:
        """An event for the application."""
        self.events.put_nowait({"type": type, **rest})

    async def get(self) -> Message:
        """The application's next message."""
        message: Message = await within(self.sent.get())
        return message

    async def end(self) -> None:
        """Wait until the application has returned."""
        await within(self.task)


class Response:
    """What an application answered."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


def http_call(
    app: Any,
    method: str = "GET",
    path: str = "/socket.io/",
    query: str = QUERY,
    *,
    headers: dict[str, str] | None = None,
    **scope: Any,
) -> Call:
    """Begin a request."""
    encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Call(
        app,
        {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": encoded,
            "client": ("192.0.2.7", 40000),
            **scope,
        },
    )


async def answer(call: Call) -> Response:
    """What comes back; the application has returned then."""
    start = await call.get()
    assert start["type"] == "http.response.start"
    body = await call.get()
    assert body["type"] == "http.response.body"
    assert not body.get("more_body")
    await call.end()
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], headers, body["body"])


async def request(app: Any, *args: Any, body: bytes | None = None, **options: Any) -> Response:
    """A request and its answer."""
    call = http_call(app, *args, **options)
    call.put("http.request", body=body or b"", more_body=False)
    return await answer(call)


async def open_polling(app: Any, path: str = "/socket.io/", **scope: Any) -> str:
    """Open a session; returns the query of its requests."""
    response = await request(app, "GET", path, **scope)
    assert response.status == 200, response.text
    return f"{QUERY}&sid={json.loads(response.text[1:])['sid']}"


def websocket_call(
    app: Any, path: str = "/socket.io/", query: str = WS_QUERY, **scope: Any
) -> Call:
    """Begin a WebSocket."""
    call = Call(
        app,
        {
            "type": "websocket",
            "scheme": "ws",
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": [],
            "client": ("192.0.2.7", 40000),
            "subprotocols": [],
            **scope,
        },
    )
    call.put("websocket.connect")
    return call


async def open_websocket(app: Any, io: Server, **scope: Any) -> tuple[Call, Socket]:
    """A WebSocket that has joined the default namespace."""
    call = websocket_call(app, **scope)
    assert await call.get() == {"type": "websocket.accept", "headers": []}
    assert (await call.get())["text"].startswith("0{")
    call.put("websocket.receive", text="40")
    sid = json.loads((await call.get())["text"][2:])["sid"]
    return call, io.sockets.sockets[sid]


async def echo_app(scope: Any, receive: Any, send: Any) -> None:
    """Another application: says where it was called."""
    body = f"{scope['type']} {scope['path']} {scope.get('root_path', '')}".encode()
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        await send({"type": "websocket.send", "text": body.decode()})


def echo_server(**options: Any) -> Server:
    io = Server(**options)
    io.on("echo", lambda socket, *args: args[0] if args else None)
    return io


# HTTP.


@run_async
async def test_a_session_over_long_polling() -> None:
    io = echo_server()
    app = io.asgi()
    query = await open_polling(app)
    assert (await request(app, "POST", query=query, body=b"40")).text == "ok"
    assert (await request(app, query=query)).text.startswith("40{")
    posted = await request(app, "POST", query=query, body='420["echo","é"]\x1e421["echo"]'.encode())
    assert (posted.status, posted.text) == (200, "ok")
    polled = await request(app, query=query)
    assert polled.text == '430["é"]\x1e431[]'
    assert polled.headers["content-type"] == "text/plain; charset=UTF-8"
    assert polled.headers["content-length"] == str(len(polled.body))
    assert polled.headers["cache-control"] == "no-store"


@run_async
async def test_a_poll_waits_until_there_is_something() -> None:
    io = echo_server()
    app = io.asgi()
    query = await open_polling(app)
    await request(app, "POST", query=query, body=b"40")
    await request(app, query=query)
    poll = http_call(app, query=query)
    poll.put("http.request", body=b"", more_body=False)
    await asyncio.sleep(0)
    assert poll.sent.empty()
    io.emit("news")
    assert (await answer(poll)).text == '42["news"]'


@run_async
async def test_a_body_may_come_in_pieces() -> None:
    io = echo_server()
    app = io.asgi()
    query = await open_polling(app)
    post = http_call(app, "POST", query=query)
    post.put("http.request", body=b"4", more_body=True)
    post.put("http.request", body=b"", more_body=True)
    post.put("http.request", body=b"0", more_body=True)
    post.put("http.request")
    assert (await answer(post)).text == "ok"
    assert len(io.sockets.sockets) == 1


@run_async
async def test_a_body_that_is_too_large_is_refused_before_it_is_complete() -> None:
    io = echo_server(max_http_buffer_size=10)
    app = io.asgi()
    query = await open_polling(app)
    post = http_call(app, "POST", query=query)
    post.put("http.request", body=b"x" * 11, more_body=True)
    refused = await answer(post)
    assert refused.status == 413
    assert refused.headers["connection"] == "close"
    assert io.engine.clients_count == 1


@run_async
async def test_headers_of_the_connection_are_for_http_1_only() -> None:
    io = echo_server(max_http_buffer_size=10)
    app = io.asgi()
    query = await open_polling(app, http_version="2")
    call = http_call(app, "POST", query=query, http_version="2")
    call.put("http.request", body=b"x" * 11)
    refused = await answer(call)
    assert refused.status == 413
    assert "connection" not in refused.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
@run_async
async def test_a_client_that_goes_away_during_a_request_has_gone(method: str) -> None:
    io = echo_server()
    app = io.asgi()
    reasons: list[str] = []
    io.on("disconnect", lambda socket, reason: reasons.append(reason))
    query = await open_polling(app)
    await request(app, "POST", query=query, body=b"40")
    await request(app, query=query)
    call = http_call(app, method, query=query)
    if method == "POST":
        call.put("http.request", body=b"4", more_body=True)
    call.put("http.disconnect")
    await call.end()
    assert reasons == ["transport error"]
    assert call.sent.empty()


@pytest.mark.parametrize("method", ["GET", "POST"])
@run_async
async def test_a_server_may_cancel_a_request(method: str) -> None:
    io = echo_server()
    app = io.asgi()
    query = await open_polling(app)
    call = http_call(app, method, query=query)
    if method == "POST":
        call.put("http.request", body=b"4", more_body=True)
    await eventually(lambda: call.events.empty())
    await asyncio.sleep(0)
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.task
    assert io.engine.clients_count == 0


@run_async
async def test_the_request_is_what_the_server_says() -> None:
    io = echo_server()
    app = io.asgi()
    found: list[Any] = []
    io.on("connection", lambda socket: found.append(socket.handshake))
    query = await open_polling(
        app, headers={"x-token": "1", "cookie": "a=b"}, scheme="https", client=("2001:db8::1", 5)
    )
    await request(app, "POST", query=query, body=b"40")
    (handshake,) = found
    assert handshake.address == "2001:db8::1"
    assert handshake.secure
    assert handshake.headers == {"x-token": "1", "cookie": "a=b"}
    assert handshake.url == f"/socket.io/?{QUERY}"


@run_async
async def test_a_server_need_not_know_the_client() -> None:
    io = echo_server()
    app = io.asgi()
    found: list[str] = []
    io.on("connection", lambda socket: found.append(socket.handshake.address))
    for client in (None, ("unix", None), ["192.0.2.1", "5000"]):
        query = await open_polling(app, client=client)
        await request(app, "POST", query=query, body=b"40")
    assert found == ["", "unix", "192.0.2.1"]


@run_async
async def test_headers_may_be_pairs_of_any_kind() -> None:
    io = echo_server()
    found: list[Any] = []
    io.engine.on("connection", lambda session: found.append(session.request.headers))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/socket.io/",
        "query_string": QUERY.encode(),
        "headers": iter([[b"x-token", b"1"]]),
    }
    assert (await answer(Call(io.asgi(), scope))).status == 200
    assert found == [{"x-token": "1"}]


@run_async
async def test_errors_have_the_reference_s_answers() -> None:
    app = echo_server().asgi()
    for method, query, status, body in (
        ("GET", "EIO=4", 400, {"code": 0, "message": "Transport unknown"}),
        ("GET", f"{QUERY}&sid=nobody", 400, {"code": 1, "message": "Session ID unknown"}),
        ("PUT", QUERY, 400, {"code": 2, "message": "Bad handshake method"}),
        ("GET", WS_QUERY, 400, {"code": 3, "message": "Bad request"}),
        (
            "GET",
            "EIO=3&transport=polling",
            400,
            {"code": 5, "message": "Unsupported protocol version"},
        ),
    ):
        response = await request(app, method, query=query)
        assert (response.status, json.loads(response.body)) == (status, body)
        assert response.headers["content-type"] == "application/json"


@run_async
async def test_a_head_request_has_no_body() -> None:
    response = await request(echo_server().asgi(), "HEAD")
    assert response.status == 400
    assert response.body == b""


@run_async
async def test_middlewares_may_wait_and_answer() -> None:
    io = echo_server()

    @io.engine.use
    async def middleware(request: Any, response: Any) -> None:
        await asyncio.sleep(0)
        response.set_header("X-Seen", "yes")
        if request.query.get("stop"):
            response.end(402, "pay first")

    app = io.asgi()
    stopped = await request(app, query=f"{QUERY}&stop=1")
    assert (stopped.status, stopped.text, stopped.headers["x-seen"]) == (402, "pay first", "yes")
    assert (await request(app)).headers["x-seen"] == "yes"


@run_async
async def test_the_next_body_waits_while_reading_is_paused() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=1))
    gate = asyncio.Event()

    @io.event
    async def slow(socket: Socket) -> None:
        await gate.wait()

    app = io.asgi()
    query = await open_polling(app)
    await request(app, "POST", query=query, body=b"40")
    await request(app, "POST", query=query, body=b'42["slow"]\x1e42["slow"]')
    post = http_call(app, "POST", query=query)
    post.put("http.request", body=b'42["slow"]', more_body=False)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not post.events.empty()
    gate.set()
    assert (await answer(post)).text == "ok"


# WebSocket.


@run_async
async def test_a_session_over_a_websocket() -> None:
    io = echo_server()
    call, _ = await open_websocket(io.asgi(), io)
    call.put("websocket.receive", text='420["echo","é"]')
    assert await call.get() == {"type": "websocket.send", "text": '430["é"]'}
    call.put("websocket.receive", bytes=None, text='451-1["echo",{"_placeholder":true,"num":0}]')
    call.put("websocket.receive", bytes=b"\x00\xff", text=None)
    assert await call.get() == {
        "type": "websocket.send",
        "text": '461-1[{"_placeholder":true,"num":0}]',
    }
    assert await call.get() == {"type": "websocket.send", "bytes": b"\x00\xff"}
    call.put("websocket.disconnect", code=1001)
    await call.end()
    assert io.engine.clients_count == 0


@run_async
async def test_what_ends_a_websocket_is_told() -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("disconnect", lambda socket, *args: found.append(args))
    call, _ = await open_websocket(io.asgi(), io)
    call.put("websocket.disconnect", code=1001)
    await call.end()
    assert found == [("transport close", "the peer closed with code 1001")]


@run_async
async def test_the_server_closes_a_websocket() -> None:
    io = echo_server()
    call, socket = await open_websocket(io.asgi(), io)
    socket.emit("last")
    socket.disconnect(True)
    assert (await call.get())["text"] == '42["last"]'
    assert (await call.get())["text"] == "41"
    assert await call.get() == {"type": "websocket.close", "code": 1000}
    call.put("websocket.disconnect", code=1000)
    await call.end()


@run_async
async def test_a_peer_that_does_not_answer_the_close_is_left_in_the_end() -> None:
    io = echo_server(limits=Limits(close_seconds=0.02))
    call, socket = await open_websocket(io.asgi(), io)
    socket.conn.close()
    await call.end()
    assert (await call.get())["type"] == "websocket.close"


@run_async
async def test_a_message_that_is_too_large_ends_the_websocket() -> None:
    io = echo_server(max_http_buffer_size=100)
    found: list[Any] = []
    io.on("disconnect", lambda socket, *args: found.append(args))
    call, _ = await open_websocket(io.asgi(), io)
    call.put("websocket.receive", text="4" + "x" * 100)
    assert await call.get() == {"type": "websocket.close", "code": 1009}
    assert found == [("transport error", "Max payload size exceeded")]
    call.put("websocket.disconnect", code=1009)
    await call.end()


@run_async
async def test_a_refusal_says_why_where_the_server_can_say_it() -> None:
    io = echo_server(allow_request=lambda request: "no entry")
    app = io.asgi()
    call = websocket_call(app, extensions={"websocket.http.response": {}})
    start, body = await call.get(), await call.get()
    await call.end()
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 400
    assert body == {"type": "websocket.http.response.body", "body": b"no entry"}
    plain = websocket_call(app)
    assert await plain.get() == {"type": "websocket.close", "code": 1008}
    await plain.end()


@run_async
async def test_headers_of_middlewares_are_in_the_websockets_response() -> None:
    io = echo_server()

    @io.engine.use
    def middleware(request: Any, response: Any) -> None:
        response.set_header("X-Seen", "yes")

    call = websocket_call(io.asgi())
    assert await call.get() == {"type": "websocket.accept", "headers": [(b"x-seen", b"yes")]}
    call.put("websocket.disconnect", code=1000)
    await call.end()


@run_async
async def test_an_upgrade_from_long_polling() -> None:
    io = echo_server()
    app = io.asgi()
    query = await open_polling(app)
    await request(app, "POST", query=query, body=b"40")
    await request(app, query=query)
    poll = http_call(app, query=query)
    poll.put("http.request")
    call = websocket_call(app, query=query.replace("polling", "websocket"))
    assert (await call.get())["type"] == "websocket.accept"
    call.put("websocket.receive", text="2probe")
    assert (await call.get())["text"] == "3probe"
    assert (await answer(poll)).text == "6"
    call.put("websocket.receive", text="5")
    call.put("websocket.receive", text='421["echo",1]')
    assert (await call.get())["text"] == "431[1]"
    (socket,) = io.sockets.sockets.values()
    assert socket.conn.transport.name == "websocket"
    call.put("websocket.disconnect", code=1000)
    await call.end()
    assert io.engine.clients_count == 0


@run_async
async def test_a_peer_that_goes_away_before_it_is_accepted_has_gone() -> None:
    io = echo_server()
    call = Call(
        io.asgi(),
        {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": WS_QUERY.encode(),
            "headers": [],
        },
    )
    call.failing = ConnectionError("gone")
    call.put("websocket.connect")
    await call.end()
    assert io.engine.clients_count == 0


@run_async
async def test_a_peer_that_goes_away_while_something_is_sent_has_gone() -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("disconnect", lambda socket, *args: found.append(args))
    call, socket = await open_websocket(io.asgi(), io)
    call.failing = ConnectionError("broken pipe")
    socket.emit("x")
    await call.end()
    assert found == [("transport error", "broken pipe")]


@run_async
async def test_a_server_may_cancel_a_websocket() -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("disconnect", lambda socket, reason: found.append(reason))
    call, _ = await open_websocket(io.asgi(), io)
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.task
    assert found == ["transport close"]


@run_async
async def test_reading_from_a_websocket_pauses() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=2))
    gate = asyncio.Event()
    begun: list[int] = []

    @io.event
    async def slow(socket: Socket, value: int) -> None:
        begun.append(value)
        await gate.wait()

    call, _ = await open_websocket(io.asgi(), io)
    for value in range(10):
        call.put("websocket.receive", text=f'42["slow",{value}]')
    await eventually(lambda: begun == [0])
    for _ in range(20):
        await asyncio.sleep(0)
    # One runs, two wait, and one had been asked for already.
    assert call.events.qsize() >= 6
    gate.set()
    await eventually(lambda: begun == list(range(10)))
    call.put("websocket.disconnect", code=1000)
    await call.end()


@run_async
async def test_a_peer_that_does_not_read_is_noticed() -> None:
    io = echo_server(limits=Limits(high_water_bytes=1000, outgoing_bytes=10_000))
    found: list[Any] = []
    io.on("disconnect", lambda socket, reason: found.append(reason))
    call, socket = await open_websocket(io.asgi(), io)
    call.blocked = asyncio.Event()
    sent = socket.emit("x", "y" * 2000)
    await asyncio.sleep(0)
    assert not sent.taken
    socket.volatile.emit("dropped")
    with pytest.raises(TimeoutError):
        await within(sent, 0.01)
    call.blocked.set()
    await within(sent)
    assert len((await call.get())["text"]) > 2000
    call.blocked = asyncio.Event()
    # However large the messages are, only so many bytes wait.
    for _ in range(20):
        socket.emit("x", "y" * 2000)
    assert found == ["slow consumer"]
    call.blocked.set()
    call.put("websocket.disconnect", code=1006)
    await call.end()


# Mounting.


@run_async
async def test_everything_else_is_the_other_applications() -> None:
    io = echo_server()
    app = io.asgi(echo_app)
    for path in ("/", "/other", "/socket.iox/", "/socket.io"):
        assert (await request(app, path=path)).text == f"http {path} "
    call = websocket_call(app, "/chat")
    assert (await call.get())["type"] == "websocket.accept"
    assert (await call.get())["text"] == "websocket /chat "
    assert (await request(app, path="/socket.io/anything")).text.startswith("0{")


@run_async
async def test_without_another_application_there_is_nothing_else() -> None:
    app = echo_server().asgi()
    missing = await request(app, path="/")
    assert (missing.status, missing.text) == (404, "Not Found")
    call = websocket_call(app, "/chat")
    assert await call.get() == {"type": "websocket.close", "code": 1000}
    await call.end()


def test_another_application_must_be_one() -> None:
    with pytest.raises(TypeError, match="other must be an ASGI application"):
        echo_server().asgi("app:app")


@run_async
async def test_applications_nest() -> None:
    one, two, three = echo_server(), echo_server(path="/two"), echo_server(path="/three/deep")
    app = one.asgi(two.asgi(three.asgi(echo_app)))
    for io, path in ((one, "/socket.io/"), (two, "/two/"), (three, "/three/deep/")):
        await open_polling(app, path)
        assert io.engine.clients_count == 1
    assert (await request(app, path="/three/")).text == "http /three/ "
    assert app.find("/two/") is two.engine
    assert app.find("/elsewhere") is None


@run_async
async def test_mounted_below_another_application() -> None:
    io = echo_server()
    app = io.asgi(echo_app)
    # As Starlette mounts: the whole path, and where the mount point is.
    await open_polling(app, "/api/socket.io/", root_path="/api")
    call, _ = await open_websocket(app, io, path="/api/socket.io/", root_path="/api")
    call.put("websocket.disconnect", code=1000)
    await call.end()
    assert (await request(app, path="/api/x", root_path="/api")).text == "http /api/x /api"
    assert (await request(app, path="/apisocket.io/", root_path="/api")).status == 200
    assert io.engine.clients_count == 1


@run_async
async def test_mounted_at_its_own_path() -> None:
    io = echo_server()
    app = io.asgi()
    for path in ("/socket.io/", "/socket.io"):
        await open_polling(app, path, root_path="/socket.io")
    assert io.engine.clients_count == 2


@run_async
async def test_a_path_without_a_trailing_slash() -> None:
    app = echo_server(add_trailing_slash=False).asgi()
    await open_polling(app, "/socket.io")


# Lifespan.


@run_async
async def test_it_starts_and_ends_with_the_server() -> None:
    io = echo_server()
    found: list[str] = []
    app = io.asgi()

    @io.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        await asyncio.sleep(0.01)
        found.append(reason)

    life = Call(app, {"type": "lifespan"})
    life.put("lifespan.startup")
    assert await life.get() == {"type": "lifespan.startup.complete"}
    call, _ = await open_websocket(app, io)
    life.put("lifespan.shutdown")
    assert await life.get() == {"type": "lifespan.shutdown.complete"}
    await life.end()
    # What was running has ended by then.
    assert found == ["server shutting down"]
    assert await call.get() == {"type": "websocket.close", "code": 1000}
    call.put("websocket.disconnect", code=1000)
    await call.end()


@run_async
async def test_nested_servers_start_and_end_together() -> None:
    one, two = echo_server(), echo_server(path="/two")
    app = one.asgi(two.asgi())
    life = Call(app, {"type": "lifespan"})
    one.engine.stopping = two.engine.stopping = True
    life.put("lifespan.startup")
    assert await life.get() == {"type": "lifespan.startup.complete"}
    assert not one.engine.stopping and not two.engine.stopping
    calls = [(await open_websocket(app, one))[0], (await open_websocket(app, two, path="/two/"))[0]]
    life.put("lifespan.shutdown")
    assert await life.get() == {"type": "lifespan.shutdown.complete"}
    await life.end()
    for call in calls:
        assert await call.get() == {"type": "websocket.close", "code": 1000}
        call.put("websocket.disconnect", code=1000)
        await call.end()


@run_async
async def test_the_other_applications_life_is_its_own() -> None:
    io = echo_server()
    seen: list[str] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for word in ("startup", "shutdown"):
            message = await receive()
            seen.append(message["type"])
            await send({"type": f"lifespan.{word}.complete", "from": "other"})

    app = echo_server(path="/second").asgi(io.asgi(other))
    life = Call(app, {"type": "lifespan", "state": {}})
    for word in ("startup", "shutdown"):
        life.put(f"lifespan.{word}")
        assert await life.get() == {"type": f"lifespan.{word}.complete", "from": "other"}
    await life.end()
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


@run_async
async def test_an_application_that_knows_no_lifespan_says_so_itself() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError(scope["type"])

    life = Call(ASGIApp(echo_server().engine, other), {"type": "lifespan"})
    life.put("lifespan.startup")
    with pytest.raises(NotImplementedError, match="lifespan"):
        await life.end()


class Failing(MemoryAdapter):
    """An adapter whose cluster is not there."""

    async def init(self) -> None:
        raise ConnectionError("no bus")


@run_async
async def test_a_cluster_that_cannot_be_joined_fails_the_startup() -> None:
    life = Call(Server(adapter=Failing).asgi(), {"type": "lifespan"})
    life.put("lifespan.startup")
    failed = {"type": "lifespan.startup.failed", "message": "ConnectionError: no bus"}
    assert await life.get() == failed
    with pytest.raises(ConnectionError, match="no bus"):
        await life.end()


@run_async
async def test_then_the_other_application_ends_too() -> None:
    closed: list[str] = []

    class Leaving(MemoryAdapter):
        async def init(self) -> None:
            closed.append("begun")

        async def close(self) -> None:
            closed.append("closed")

    async def other(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await send({"type": "lifespan.startup.complete"})
        except ConnectionError:
            # As frameworks do, though the host has been told.
            await send({"type": "lifespan.startup.failed", "message": "see above"})
            closed.append("other")
            raise

    app = Server(adapter=Leaving).asgi(Server(adapter=Failing, path="/two").asgi(other))
    life = Call(app, {"type": "lifespan"})
    life.put("lifespan.startup")
    assert (await life.get())["message"] == "ConnectionError: no bus"
    with pytest.raises(ConnectionError):
        await life.end()
    # The one that had begun is closed again.
    assert closed == ["begun", "closed", "other"]
    assert life.sent.empty()


@run_async
async def test_beside_an_application_that_knows_no_lifespan_it_starts() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError(scope["type"])

    io = Server(adapter=LocalBus())
    life = Call(io.asgi(other), {"type": "lifespan"})
    with pytest.raises(NotImplementedError):
        await life.end()
    assert await io.sockets.adapter.server_count() == 1
    life = Call(Server(adapter=Failing).asgi(other), {"type": "lifespan"})
    assert (await life.get())["type"] == "lifespan.startup.failed"
    with pytest.raises(ConnectionError):
        await life.end()


@pytest.mark.parametrize(
    ("before", "behind"),
    [("/socket.io", "/socket.io"), ("/socket.io/", "/socket.io"), ("/a", "/a/b"), ("/", "/a")],
)
def test_a_server_that_would_never_be_reached_is_told(before: str, behind: str) -> None:
    first, second = Server(path=before), Server(path=behind)
    paths = f"({behind}|/between)"
    text = f"the path '{paths}' of .* never be reached, as .* takes '{before}'.*Server\\(path="
    for app in (second.asgi(), Server(path="/between").asgi(second.asgi())):
        with pytest.raises(OptionError, match=text):
            first.asgi(app)
        with pytest.raises(OptionError, match=text):
            first.run(port=0, app=app)
    with pytest.raises(OptionError, match="the same server cannot stand behind itself"):
        first.asgi(first.asgi())


def test_servers_that_can_all_be_reached_are_nested() -> None:
    servers = [Server(path=path) for path in ("/a/b", "/a", "/ab")]
    app = servers[0].asgi(servers[1].asgi(servers[2].asgi()))
    for server in servers:
        assert app.find(server.engine.path + "/") is server.engine
