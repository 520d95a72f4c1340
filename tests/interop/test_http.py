"""What an application sees and changes of HTTP: cookies, headers, refusals, compression."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import Any

import pytest

from nuncio import Ack, Exchange, Request, Server, Socket
from nuncio.engine.refusal import ConnectionFailure
from tests.support.aio import eventually, run_async
from tests.support.inbox import Inbox
from tests.support.live import HOSTS
from tests.support.node import (
    JS,
    POLLING,
    UPGRADED,
    UPGRADING,
    WEBSOCKET,
    JSError,
    Node,
    Way,
)

EVERY_HOST = pytest.mark.parametrize("host", HOSTS)
BOTH = pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)


@run_async
async def test_a_cookie_comes_back(node: Node) -> None:
    io = Server(cookie=True)
    cookies: list[tuple[str, str | None]] = []

    @io.engine.use
    def middleware(request: Request, response: Exchange) -> None:
        kind = "upgrade" if "upgrade" in request.headers else request.method
        cookies.append((kind, request.headers.get("cookie")))

    async with node.clients(io) as clients:
        client = await clients.connect(way=UPGRADED, withCredentials=True)
        id = await client.value("socket.io.engine.id")
        assert cookies[0] == ("GET", None)
        assert {cookie for _, cookie in cookies[1:]} == {f"io={id}"}
        assert "upgrade" in {kind for kind, _ in cookies}
        answer = await clients.run(
            "const r = await fetch(args[0]); return r.headers.get('set-cookie')",
            f"{clients.url}/socket.io/?EIO=4&transport=polling",
        )
        assert answer.startswith("io=")
        assert answer.endswith("; Path=/; HttpOnly; SameSite=Lax")


@run_async
async def test_cookies_are_off_unless_asked_for(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        answer = await clients.run(
            "const r = await fetch(args[0]); return [...r.headers.keys()]",
            f"{clients.url}/socket.io/?EIO=4&transport=polling",
        )
        assert "set-cookie" not in answer
        assert "access-control-allow-origin" not in answer


VERDICTS: dict[str, tuple[Any, int | None, str]] = {
    "false": (lambda request: False, 403, "Forbidden"),
    "text": (lambda request: "not today", 403, "not today"),
    "async": (lambda request: asyncio.sleep(0, "not today"), 403, "not today"),
    "true": (lambda request: True, None, ""),
    "async true": (lambda request: asyncio.sleep(0, True), None, ""),
}


@BOTH
@pytest.mark.parametrize("verdict", VERDICTS)
@run_async
async def test_allow_request_decides(node: Node, way: Way, verdict: str) -> None:
    allow, status, message = VERDICTS[verdict]
    io = Server(allow_request=allow)
    failures = Inbox()
    io.engine.on("connection_error", failures.put)
    io.on("echo", lambda socket, value: value)
    async with node.clients(io) as clients:
        if status is None:
            client = await clients.connect(way=way)
            assert await client.ask("echo", 1) == [1]
            assert failures.seen == []
            return
        client = await clients.start(way=way)
        [error] = await client.next("connect_error")
        assert isinstance(error, JSError)
        if way is POLLING:
            assert (error.message, error.fields["description"]) == ("xhr poll error", status)
        else:
            assert error.message == "websocket error"
        [failure] = await failures.next()
        assert isinstance(failure, ConnectionFailure)
        assert (failure.code, failure.message) == (4, "Forbidden")
        assert failure.context == {"message": message}
        assert failure.request.query["transport"] == way.name


@run_async
async def test_allow_request_is_asked_once_for_each_session(node: Node) -> None:
    asked: list[Request] = []

    def allow(request: Request) -> bool:
        asked.append(request)
        return request.headers["authorization"] == "secret"

    io = Server(allow_request=allow)
    async with node.clients(io) as clients:
        await clients.connect(way=UPGRADED, extraHeaders={"Authorization": "secret"})
        assert len(asked) == 1
        stranger = await clients.start(extraHeaders={"Authorization": "guess"})
        await stranger.next("connect_error")


@run_async
async def test_middlewares_and_events_set_headers(node: Node) -> None:
    io = Server()
    seen: list[tuple[str, str]] = []

    @io.engine.use
    async def middleware(request: Request, response: Exchange) -> None:
        await asyncio.sleep(0)
        response.set_header("X-Middleware", "yes")

    def kind(request: Request) -> str:
        upgrade = "upgrade" in request.headers
        return f"{'upgrade' if upgrade else request.method} {'sid' in request.query}"

    @io.engine.on("initial_headers")
    def initial(headers: dict[str, str], request: Request) -> None:
        headers["X-Initial"] = "first"
        seen.append(("initial", kind(request)))

    @io.engine.on("headers")
    def every(headers: dict[str, str], request: Request) -> None:
        headers["X-Every"] = "each"
        seen.append(("every", kind(request)))

    look = """
    const names = ["x-middleware", "x-initial", "x-every"];
    const url = args[0] + "/socket.io/?EIO=4&transport=";
    const polling = await fetch(url + "polling");
    const { sid } = JSON.parse((await polling.text()).slice(1));
    const post = await fetch(url + "polling&sid=" + sid, { method: "POST", body: "40" });
    const get = await fetch(url + "polling&sid=" + sid);
    const bodies = [await post.text(), (await get.text()).slice(0, 2)];
    const WebSocket = require("ws");
    const shake = (target) => new Promise((resolve) => {
      const ws = new WebSocket(target);
      ws.on("upgrade", (response) => {
        resolve(names.map((name) => response.headers[name]));
        ws.on("open", () => ws.close());
      });
    });
    return [
      bodies,
      ...[polling, post, get].map((r) => names.map((name) => r.headers.get(name))),
      await shake(url + "websocket"),
      await shake(url + "websocket&sid=" + sid),
    ];
    """
    async with node.clients(io) as clients:
        bodies, polling, post, get, websocket, upgrade = await clients.run(look, clients.url)
        assert bodies == ["ok", "40"]
        assert polling == websocket == ["yes", "first", "each"]
        assert post == get == upgrade == ["yes", None, "each"]
        assert seen == [
            ("initial", "GET False"),
            ("every", "GET False"),
            ("every", "POST True"),
            ("every", "GET True"),
            ("initial", "upgrade False"),
            ("every", "upgrade False"),
            ("every", "upgrade True"),
        ]


@EVERY_HOST
@run_async
async def test_the_official_client_keeps_what_listeners_of_headers_set(
    node: Node, host: str
) -> None:
    io = Server(cookie="lb")
    initial: list[str] = []
    counted: list[str] = []
    sent_back: list[dict[str, str]] = []

    @io.engine.use
    def middleware(request: Request, response: Exchange) -> None:
        pairs = request.headers.get("cookie", "").split("; ")
        sent_back.append(dict(pair.split("=", 1) for pair in pairs if pair))

    @io.engine.on("initial_headers")
    def first(headers: dict[str, Any], request: Request) -> None:
        initial.append(request.query["transport"])
        headers["Set-Cookie"] = [headers["Set-Cookie"], "region=eu; Path=/"]

    @io.engine.on("headers")
    def every(headers: dict[str, Any], request: Request) -> None:
        counted.append("upgrade" if "upgrade" in request.headers else request.method)
        before = headers.get("Set-Cookie", [])
        headers["Set-Cookie"] = [*before, f"count={len(counted)}; Path=/"]

    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=UPGRADED, withCredentials=True)
        id = await client.value("socket.io.engine.id")
        # One session, one first response; and the WebSocket is a response, too.
        assert initial == ["polling"]
        assert {"GET", "POST", "upgrade"} <= set(counted)
        assert counted.count("upgrade") == 1
        assert sent_back[0] == {}
        for cookies in sent_back[1:]:
            assert (cookies["lb"], cookies["region"]) == (id, "eu")
            assert 1 <= int(cookies["count"]) <= len(counted)
        plain = await clients.run(
            """
            const ws = new (require("ws"))(args[0]);
            const response = await new Promise((resolve) => ws.on("upgrade", resolve));
            ws.on("open", () => ws.close());
            return response.headers["set-cookie"];
            """,
            f"ws://127.0.0.1:{clients.port}/socket.io/?EIO=4&transport=websocket&sid={id}",
        )
        assert plain == [f"count={len(counted)}; Path=/"]
        assert initial == ["polling"]


@run_async
async def test_a_middleware_may_answer_itself(node: Node) -> None:
    io = Server()

    @io.engine.use
    def closed(request: Request, response: Exchange) -> None:
        response.end(503, "come back later")

    async with node.clients(io) as clients:
        client = await clients.start(way=POLLING)
        [error] = await client.next("connect_error")
        assert (error.message, error.fields["description"]) == ("xhr poll error", 503)
        client = await clients.start(way=WEBSOCKET)
        [error] = await client.next("connect_error")
        assert error.message == "websocket error"


@BOTH
@run_async
async def test_a_middleware_that_raises_refuses(
    node: Node, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    failures = Inbox()
    io.engine.on("connection_error", failures.put)

    @io.engine.use
    async def gate(request: Request, response: Exchange) -> None:
        raise PermissionError("secret")

    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        await client.next("connect_error")
        [failure] = await failures.next()
        assert (failure.code, failure.message) == (3, "Bad request")
        assert failure.context["name"] == "MIDDLEWARE_FAILURE"
        assert isinstance(failure.context["error"], PermissionError)
    assert "an HTTP middleware failed, so its request is refused" in caplog.messages
    caplog.clear()


@run_async
async def test_a_middleware_may_leave_something_for_the_handlers(node: Node) -> None:
    io = Server()

    @io.engine.use
    def session(request: Request, response: Exchange) -> None:
        request.state = {"user": request.headers.get("x-user")}

    io.on("who", lambda socket: socket.request.state["user"])
    async with node.clients(io) as clients:
        client = await clients.connect(way=UPGRADING, extraHeaders={"X-User": "ada"})
        assert await client.ask("who") == ["ada"]


ERRORS: dict[str, tuple[str, str, int, str, dict[str, Any]]] = {
    "transport": ("GET", "EIO=4&transport=carrier", 0, "Transport unknown", {}),
    "sid": ("GET", "EIO=4&transport=polling&sid=x", 1, "Session ID unknown", {"sid": "x"}),
    "method": (
        "POST",
        "EIO=4&transport=polling",
        2,
        "Bad handshake method",
        {"method": "POST"},
    ),
    "protocol": (
        "GET",
        "EIO=3&transport=polling",
        5,
        "Unsupported protocol version",
        {"protocol": 3},
    ),
}


@pytest.mark.parametrize("name", ERRORS)
@run_async
async def test_refused_requests_are_told(node: Node, name: str) -> None:
    io = Server()
    failures = Inbox()
    io.engine.on("connection_error", failures.put)
    method, query, code, message, context = ERRORS[name]
    async with node.clients(io) as clients:
        answer = await clients.run(
            "const r = await fetch(args[0], { method: args[1] });"
            "return [r.status, r.headers.get('content-type'), await r.json()]",
            f"{clients.url}/socket.io/?{query}",
            method,
        )
        assert answer == [400, "application/json", {"code": code, "message": message}]
        [failure] = await failures.next()
        assert (failure.code, failure.message) == (code, message)
        assert failure.context == (context or {"transport": "carrier"})


@run_async
async def test_long_polling_answers_are_compressed(node: Node) -> None:
    io = Server()
    encodings: list[str | None] = []
    text = "all the same " * 10_000

    async with node.clients(io) as clients:
        # The transport on Node's `fetch` asks for compression, and undoes it.
        client = await clients.connect(transports=[JS("require('engine.io-client').Fetch")])
        await client.run(
            """
            const get = globalThis.fetch;
            socket.restore = () => (globalThis.fetch = get);
            globalThis.fetch = async (...given) => {
              const response = await get(...given);
              report("encoding", response.headers.get("content-encoding"));
              return response;
            };
            """
        )
        try:
            socket = await client.peer(io)
            # The poll that already waits is not reported.
            socket.emit("first")
            await client.next("first")
            for operator in (socket, socket.compress(False)):
                operator.emit("text", text)
                assert await client.next("text") == [text]
                encodings += await client.next("encoding")
        finally:
            await client.run("socket.restore()")
        assert encodings == ["gzip", None]


@run_async
async def test_other_paths(node: Node) -> None:
    io = Server(path="/deep/er")
    io.on("echo", lambda socket, value: value)
    async with node.clients(io) as clients:
        for way in (POLLING, WEBSOCKET, UPGRADED):
            client = await clients.connect(way=way, path="/deep/er")
            assert await client.ask("echo", b"1") == [b"1"]
        lost = await clients.start(way=POLLING)
        [error] = await lost.next("connect_error")
        assert error.fields["description"] == 404


@run_async
async def test_clients_base64_when_they_are_told_to(node: Node) -> None:
    io = Server()
    io.on("echo", lambda socket, *args: list(args))
    async with node.clients(io) as clients:
        client = await clients.connect(forceBase64=True)
        await eventually(lambda: io.engine.clients_count == 1)
        data = [b"\x00\x01\xff", {"more": b""}]
        assert await client.ask("echo", *data) == [data]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The options for a server with a certificate that nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    files = {"ssl_keyfile": str(folder / "key.pem"), "ssl_certfile": str(folder / "cert.pem")}
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=localhost", "-days", "2"]
    command += ["-keyout", files["ssl_keyfile"], "-out", files["ssl_certfile"]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.mark.parametrize("ask", [False, True], ids=["at once", "asks first"])
@run_async
async def test_everything_works_encrypted(
    node: Node, way: Way, certificate: dict[str, str], ask: bool
) -> None:
    io = Server(allow_request=(lambda request: asyncio.sleep(0, True)) if ask else None)
    gone = Inbox()
    io.on("disconnect", gone)

    @io.event
    def echo(socket: Socket, *args: Any) -> Ack:
        assert socket.handshake.secure
        return Ack(*args)

    async with await io.listen(0, **certificate) as own, node.clients(port=own.port) as clients:
        clients.scheme = "https"
        client = await clients.connect(way=way, rejectUnauthorized=False)
        for args in (["text", b"bytes"], ["x" * 200_000, bytes(200_000)]):
            assert await client.ask("echo", *args) == args
        await client.disconnect()
        assert (await gone.next())[0] == "client namespace disconnect"
