"""The console over HTTP: what is served and to whom; by the native path and under ASGI."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import nuncio
from nuncio import Console, Rate, Request, Server
from nuncio.server import console
from nuncio.server.console import FILES, FORM_BYTES, ConsoleSite, below
from tests.support.aio import eventually, run_async
from tests.support.fakes import FakeExchange
from tests.support.live import HOSTS, Home, give_up, listening
from tests.support.rawclient import Connection, Headers, Response, WebSocket, fetch, request

ADA = Console(user="ada", password="correct horse", attempts=Rate(1000))
RIGHT = {"user": "ada", "secret": "correct horse"}


class Visitor:
    """A browser without a screen: it keeps the cookie."""

    def __init__(self, port: int, folder: str = "/socket.io/console/") -> None:
        self.port = port
        self.folder = folder
        self.cookie: str | None = None

    async def get(self, name: str = "", method: str = "GET", **headers: str) -> Response:
        return await self._ask(name, method, None, headers)

    async def post(self, name: str, form: Any = b"", **headers: str) -> Response:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return await self._ask(name, "POST", body, headers)

    async def _ask(
        self, name: str, method: str, body: bytes | None, headers: dict[str, str]
    ) -> Response:
        host = headers.pop("host", f"127.0.0.1:{self.port}")
        pairs: Headers = [(key.replace("_", "-"), text) for key, text in headers.items()]
        if self.cookie is not None:
            pairs.append(("Cookie", self.cookie))
        sent = request(self.folder + name, method, pairs, body)
        assert b"\r\nHost: 127.0.0.1\r\n" in sent
        sent = sent.replace(b"\r\nHost: 127.0.0.1\r\n", f"\r\nHost: {host}\r\n".encode(), 1)
        async with await Connection.open(self.port) as connection:
            await connection.send(sent)
            return await connection.response(method)

    async def signs_in(self) -> Response:
        answer = await self.post("login", RIGHT)
        assert answer.status == 303, answer.text
        self.cookie = (answer.header("set-cookie") or "").partition(";")[0]
        return answer


@pytest.fixture(scope="module", params=HOSTS)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A server with a console, that other sites may use."""
    io = Server(console=ADA, cors="https://app.example", transports=["polling", "websocket"])

    @io.event
    def message(socket: nuncio.Socket, room: str, text: str, ack: nuncio.AckCallback) -> None:
        """Only to be seen."""

    io.of("/chat")
    io.of(re.compile("^/room-"))
    home = Home(io, request.param)
    yield home
    home.close()


@pytest.fixture
def visitor(home: Home) -> Visitor:
    return Visitor(home.port)


@pytest.fixture
def member(home: Home) -> Visitor:
    """A visitor who is signed in."""
    visitor = Visitor(home.port)
    home.run(visitor.signs_in())
    return visitor


@asynccontextmanager
async def visiting(**options: Any) -> AsyncIterator[Visitor]:
    async with listening(Server(**options)) as port:
        yield Visitor(port)


# Off.


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_it_is_off_unless_it_is_asked_for(host: str) -> None:
    io = Server()
    async with listening(io, host) as port:
        for target in ("/socket.io/console", "/socket.io/console/", "/socket.io/console/main.js"):
            answer = await fetch(port, target)
            assert (answer.status, answer.text) == (404, "Not Found\n")
        # Everything else is as it was.
        for target in ("/socket.io/consoles", "/socket.io/", "/socket.io/console.js"):
            assert (await fetch(port, target)).json["code"] == 0
        assert (await fetch(port, "/socket.io/console/", "POST", None, b"x")).json["code"] == 0
        opened = await fetch(port, "/socket.io/console/?EIO=4&transport=polling")
        assert opened.text.startswith("0{")
        give_up(io.engine)


# Signing in.


@run_async
async def test_a_visitor_is_asked_who_they_are(home: Home, visitor: Visitor) -> None:
    answer = await visitor.get()
    assert (answer.status, answer.header("location")) == (303, "login")
    page = await visitor.get("login")
    assert page.status == 200 and 'name="user"' in page.text and 'type="password"' in page.text
    # Whatever is there or not: it is no visitor's business.
    for name in (
        "main.js",
        "config.json",
        "client.js",
        "index.html",
        "nothing",
        "a/b",
        "login.html",
    ):
        answer = await visitor.get(name)
        assert (answer.status, answer.text) == (403, "Sign in first.\n")
    for name in sorted(console.PUBLIC):
        assert (await visitor.get(name)).status == 200


@run_async
async def test_who_signs_in_gets_the_page(home: Home, visitor: Visitor) -> None:
    answer = await visitor.signs_in()
    assert answer.header("location") == "./"
    assert re.fullmatch(
        r"nuncio_console_[0-9a-f]{8}=\d+\.[0-9a-f]{32}\.[0-9a-f]{64}; Max-Age=43200; HttpOnly; "
        "SameSite=Strict",
        answer.header("set-cookie") or "",
    )
    page = await visitor.get()
    assert page.status == 200 and b'src="main.js"' in page.body


@run_async
async def test_wrong_credentials_are_refused_and_counted(home: Home, visitor: Visitor) -> None:
    before = home.server.counters.refused_sign_ins
    for form in ({"user": "ada", "secret": "wrong"}, {"user": "<b>\"'", "secret": "x"}, {}, b""):
        answer = await visitor.post("login", form)
        assert answer.status == 403
        assert "Wrong name or password." in answer.text
        assert answer.header("set-cookie") is None
        assert "<b>" not in answer.text
    assert home.server.counters.refused_sign_ins == before + 4


@run_async
async def test_attempts_of_an_address_are_limited() -> None:
    settings = {"token": "0123456789", "attempts": Rate(3, per=60)}
    async with visiting(console=settings) as visitor:
        for _ in range(3):
            assert (await visitor.post("login", {"secret": "x"})).status == 403
        for secret in ("x", "0123456789"):
            answer = await visitor.post("login", {"secret": secret})
            assert answer.status == 429
            assert answer.header("retry-after") in ("20", "19")
            assert answer.header("set-cookie") is None
            assert "Try again in" in answer.text


@run_async
async def test_a_token_is_asked_for_without_a_name() -> None:
    async with visiting(console={"token": "0123456789"}) as visitor:
        page = (await visitor.get("login")).text
        assert "Token" in page and "required hidden disabled" in page
        answer = await visitor.post("login", {"secret": "0123456789"})
        assert answer.status == 303


@run_async
async def test_who_signs_out_has_no_cookie_any_more(home: Home, member: Visitor) -> None:
    answer = await member.post("logout")
    assert (answer.status, answer.header("location")) == (303, "login")
    assert "=; Max-Age=0; HttpOnly" in (answer.header("set-cookie") or "")


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"origin": "http://live.example"}, False),
        # A proxy took TLS off, and passes the name on.
        ({"origin": "https://live.example"}, True),
    ],
)
@run_async
async def test_behind_tls_the_cookie_is_for_tls_alone(
    home: Home, visitor: Visitor, headers: dict[str, str], secure: bool
) -> None:
    answer = await visitor.post("login", RIGHT, host="live.example", **headers)
    assert answer.status == 303
    assert (answer.header("set-cookie") or "").endswith("; Secure") is secure


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "http://{host}"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "https://app.example"},
        {"origin": "x"},
    ],
)
@pytest.mark.parametrize("name", ["login", "logout"])
@run_async
async def test_other_sites_cannot_sign_in_or_out(
    home: Home, member: Visitor, headers: dict[str, str], name: str
) -> None:
    filled = {key: text.format(host=f"127.0.0.1:{home.port}") for key, text in headers.items()}
    answer = await member.post(name, RIGHT, **filled)
    assert answer.status == 403
    assert answer.header("set-cookie") is None


@run_async
async def test_forms_are_bounded(home: Home, visitor: Visitor) -> None:
    large = await visitor.post("login", b"secret=" + b"x" * FORM_BYTES)
    assert large.status == 413
    for nonsense in (b"\xff\xfe", b"&".join([b"a=1"] * 100)):
        assert (await visitor.post("login", nonsense)).status == 400


@run_async
async def test_a_form_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "FORM_SECONDS", 0.05)
    async with visiting(console=ADA) as visitor, await Connection.open(visitor.port) as connection:
        head = "POST /socket.io/console/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nuser"
        connection.write(head.encode())
        assert (await connection.response()).status == 408
        assert await connection.rest() == b""


@run_async
async def test_who_goes_away_in_the_middle_of_a_form_leaves_nothing() -> None:
    io = Server(console=ADA)
    async with listening(io) as port:
        async with await Connection.open(port) as connection:
            head = "POST /socket.io/console/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            connection.write(head.encode())
            connection.reset()
        assert (await Visitor(port).get("login")).status == 200


# Who may come without signing in.


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_without_authentication_it_is_for_this_machine(host: str) -> None:
    async with listening(Server(console={"auth": False}), host) as port:
        visitor = Visitor(port)
        page = await visitor.get()
        assert page.status == 200 and b'src="main.js"' in page.body
        assert (await visitor.get("config.json")).json["signedIn"] is False
        for headers in ({"host": "evil.example"}, {"x_forwarded_for": "192.0.2.1"}):
            for name in ("", "icon.svg", "config.json", "main.js"):
                answer = await visitor.get(name, **headers)
                assert answer.status == 403 and "auth=False" in answer.text
        assert (await visitor.post("login", RIGHT)).status == 404
        assert (await visitor.get("login")).status == 404


# What is served.


def test_every_file_that_is_there_is_served_and_the_client_with_it(home: Home) -> None:
    site = ConsoleSite(home.server, Console(auth=False))  # type: ignore[arg-type]
    there = {path.name for path in FILES.iterdir()}
    assert set(site.names) == (there - {"login.html"}) | set(console.CLIENTS)
    assert {"index.html", "main.js", "console.css", "icon.svg"} <= there


@run_async
async def test_files_have_their_kinds_and_tags(home: Home, member: Visitor) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/html"}
    for name in ("", "main.js", "client.js", "console.css", "icon.svg"):
        answer = await member.get(name)
        assert (answer.header("content-type") or "").startswith(kinds[Path(name).suffix])
        assert answer.header("cache-control") == "private, no-cache"
        tag = answer.header("etag") or ""
        known = await member.get(name, if_none_match=tag)
        assert (known.status, known.body) == (304, b"")
        packed = await member.get(name, accept_encoding="gzip")
        assert packed.header("content-encoding") == "gzip"
        head = await member.get(name, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.header("content-length") == answer.header("content-length")


@run_async
async def test_the_client_is_nuncios_whatever_the_server_serves() -> None:
    async with visiting(console=ADA, serve_client=False) as visitor:
        await visitor.signs_in()
        for name in console.CLIENTS:
            assert "Nuncio" in (await visitor.get(name)).text[:100]


@run_async
async def test_the_page_is_told_of_the_server(home: Home, member: Visitor) -> None:
    answer = await member.get("config.json")
    assert answer.header("cache-control") == "no-store"
    assert answer.json == {
        "version": nuncio.__version__,
        "path": "/socket.io",
        "addTrailingSlash": True,
        "transports": ["polling", "websocket"],
        "allowUpgrades": True,
        "maxPayload": 1_000_000,
        "pingInterval": 25_000,
        "parser": "json",
        "namespaces": ["/", "/chat"],
        "events": {"/": {"message": ["room", "text"]}, "/chat": {}},
        "signedIn": True,
    }


@run_async
async def test_the_page_is_told_of_another_parser() -> None:
    class Own(nuncio.Parser):
        """Writes who knows what."""

        def encode(self, *given: Any) -> Any:
            raise NotImplementedError

        def decoder(self, *given: Any) -> Any:
            raise NotImplementedError

    for parser, name in ((nuncio.MsgPackParser(), "msgpack"), (Own(), "")):
        async with visiting(console=ADA, parser=parser) as visitor:
            await visitor.signs_in()
            assert (await visitor.get("config.json")).json["parser"] == name


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "login.html",
        "console",
        "../console/nothing",
        "../../pyproject.toml",
        "..%2fserver%2fconsole.py",
        "%2e%2e/server/console.py",
        "..\\server\\console.py",
        "/main.js",
        "./main.js",
        "main.js/",
        "main.js/..",
        "main.js%00",
        "Main.js",
        "main.js.gz",
        "__init__.py",
    ],
)
@run_async
async def test_nothing_else_is_served(home: Home, member: Visitor, name: str) -> None:
    answer = await member.get(name)
    assert answer.status in (400, 404)
    assert b"import" not in answer.body and b"nuncio" not in answer.body


def test_no_request_reaches_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    site = ConsoleSite(Server(), Console(auth=False))

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("the file system was touched")

    for method in ("read_bytes", "read_text", "is_file", "open", "stat", "iterdir"):
        monkeypatch.setattr(Path, method, touched)
    for name in ("nothing", "../../etc/passwd", "a\0b", "login.html"):
        headers = [(b"host", b"localhost")]
        path = f"/socket.io/console/{name}"
        exchange = FakeExchange(Request("GET", path, "", headers, ("127.0.0.1", 5), False))
        assert site.serve(exchange, "/socket.io")
        assert exchange.status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
@run_async
async def test_nothing_is_served_under_another_method(
    home: Home, member: Visitor, method: str
) -> None:
    for name in ("", "main.js", "config.json", "nothing"):
        answer = await fetch(
            home.port, member.folder + name, method, [("Cookie", member.cookie or "")], b"x"
        )
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
    if method != "POST":
        answer = await member.get("login", method)
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")


@run_async
async def test_every_answer_has_the_headers_that_protect_it(home: Home, member: Visitor) -> None:
    answers = [
        await member.get(name) for name in ("", "main.js", "config.json", "nothing", "login")
    ]
    answers += [await Visitor(home.port).get(name) for name in ("", "main.js", "login.js")]
    answers += [await member.post("login", b"x"), await member.post("login", RIGHT)]
    tag = answers[0].header("etag") or ""
    answers.append(await member.get("", if_none_match=tag))
    for answer in answers:
        policy = answer.header("content-security-policy") or ""
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "same-origin"
        assert answer.header("cross-origin-resource-policy") == "same-origin"


@run_async
async def test_what_cors_allows_to_other_sites_is_not_for_the_console(
    home: Home, member: Visitor
) -> None:
    answer = await member.get("main.js", origin="https://app.example")
    # The origin is another one, and older browsers say no more than that.
    assert answer.status == 403
    assert answer.header("access-control-allow-origin") is None
    for site in ("cross-site", "same-site"):
        answer = await member.get("config.json", sec_fetch_site=site, sec_fetch_mode="cors")
        assert answer.status == 403
    for site in ("same-origin", "none"):
        assert (await member.get("config.json", sec_fetch_site=site)).status == 200
    own = await member.get("config.json", origin=f"http://127.0.0.1:{home.port}")
    assert own.status == 200


@run_async
async def test_a_link_on_another_site_leads_here_with_one_more_step(
    home: Home, visitor: Visitor, member: Visitor
) -> None:
    # Strict cookies do not come along; after the page's own step they do.
    step = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    answer = await visitor.get("", **step)
    assert answer.status == 200 and 'http-equiv="refresh" content="0"' in answer.text
    again = await member.get("", sec_fetch_site="same-origin", sec_fetch_mode="navigate")
    assert b'src="main.js"' in again.body


# Where.


@pytest.mark.parametrize(
    ("path", "base", "rest"),
    [
        ("/socket.io/console", "/socket.io", ""),
        ("/socket.io/console/", "/socket.io", "/"),
        ("/socket.io/console/main.js", "/socket.io", "/main.js"),
        ("/socket.io/console/a/b", "/socket.io", "/a/b"),
        ("/live/socket.io/console/x", "/socket.io", "/x"),
        ("/console/x", "", "/x"),
        ("/socket.io/consoles", "/socket.io", None),
        ("/socket.io/console.js", "/socket.io", None),
        ("/socket.io/x/console/", "/socket.io", None),
        ("/console/", "/socket.io", None),
        ("/socket.io/", "/socket.io", None),
        ("", "/socket.io", None),
    ],
)
def test_below(path: str, base: str, rest: str | None) -> None:
    assert below(path, base) == rest


@run_async
async def test_without_its_slash_it_leads_to_itself(home: Home) -> None:
    answer = await fetch(home.port, "/socket.io/console")
    assert (answer.status, answer.header("location")) == (308, "console/")


@pytest.mark.parametrize(
    "options", [{"path": "/live"}, {"path": "/a/b", "add_trailing_slash": False}]
)
@run_async
async def test_any_path_will_do(options: dict[str, Any]) -> None:
    async with listening(Server(console=ADA, **options)) as port:
        visitor = Visitor(port, f"{options['path']}/console/")
        await visitor.signs_in()
        assert b'src="main.js"' in (await visitor.get()).body


@run_async
async def test_each_of_nested_servers_has_its_own() -> None:
    first = Server(console=ADA)
    second = Server(path="/second", console={"token": "0123456789"})
    third = Server(path="/third")
    async with await first.listen(0, app=second.asgi(third.asgi())) as own:
        visitor = Visitor(own.port)
        await visitor.signs_in()
        assert (await visitor.get()).status == 200
        assert (await Visitor(own.port, "/second/console/").get("login")).status == 200
        assert (await Visitor(own.port, "/third/console/").get()).status == 404


@run_async
async def test_mounted_below_another_path() -> None:
    inner = Server(console=ADA).asgi()

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "root_path": "/deep"}, receive, send)

    async with await Server(path="/other").listen(0, app=mounted) as own:
        visitor = Visitor(own.port, "/deep/socket.io/console/")
        await visitor.signs_in()
        assert (await visitor.get("main.js")).status == 200


# Beside the rest.


@run_async
async def test_middlewares_and_gates_of_the_application_are_not_asked() -> None:
    io = Server(console=ADA, allow_request=lambda request: False)

    @io.engine.use
    def gate(request: Request, response: nuncio.Exchange) -> None:
        raise PermissionError

    async with listening(io) as port:
        visitor = Visitor(port)
        await visitor.signs_in()
        assert (await visitor.get()).status == 200


@run_async
async def test_the_server_works_as_before(home: Home) -> None:
    target = "/socket.io/?EIO=4&transport=websocket"
    async with await WebSocket.open(home.port, target) as socket:
        assert str(await socket.receive()).startswith("0{")
    assert (await fetch(home.port, "/socket.io/?EIO=4&transport=polling")).text.startswith("0{")
    await eventually(lambda: home.engine is not None)


@run_async
async def test_a_connection_goes_on_after_signing_in(home: Home) -> None:
    if home.host != "native":
        pytest.skip("the connection is the other server's")
    async with await Connection.open(home.port) as connection:
        for _ in range(2):
            body = urlencode(RIGHT).encode()
            await connection.send(request("/socket.io/console/login", "POST", [], body))
            assert (await connection.response()).status == 303


@run_async
async def test_a_file_that_is_gone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    io = Server(console={"auth": False})
    async with listening(io) as port:
        site = io._console
        assert site is not None
        site._files["main.js"]._path = Path("/nowhere/main.js")
        answer = await Visitor(port).get("main.js")
        assert answer.status == 500 and "install Nuncio again" in answer.text
        assert "nowhere" not in answer.text
    assert "a file cannot be read" in caplog.text
