"""Every code sample of README.md and the documentation works."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import socketio

import nuncio
from tests.browser.conftest import Run, missing
from tests.docs.samples import (
    PAGES,
    Block,
    blocks,
    blocks_of,
    compiled,
    marked,
    run_blocking_fragments,
    run_fragments,
)
from tests.hosts.process import ROOT, python, running
from tests.support.aio import run_async, within
from tests.support.ports import free_port
from tests.support.pytests import run_pytest
from tests.support.rawclient import Refused, WebSocket, fetch, websocket_target

if TYPE_CHECKING:
    from playwright.async_api import Browser, Dialog, Page

CLIENT = ROOT / "examples" / "chat" / "node_modules" / "socket.io-client" / "dist"
NATIVE = ("--ws", "nuncio.hosts.uvicorn:NuncioProtocol")

Check = Callable[[int], Coroutine[Any, Any, None]]


# Fragments.


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    compiled(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_fragments_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragments = [block for block in blocks_of(page) if block.runs]
    monkeypatch.setattr(nuncio.Server, "run", lambda *args, **options: None)
    run = run_blocking_fragments if page.stem == "blocking-client" else run_fragments
    run_async(run)(fragments)


def test_javascript_compiles(program: Callable[[str], str], tmp_path: Path) -> None:
    node = program("node")
    for number, block in enumerate(blocks("js")):
        file = tmp_path / f"{number}.mjs"
        file.write_text(block.text)
        done = subprocess.run([node, "--check", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}: {done.stderr}"


# Programs.


@contextmanager
def program_running(
    name: str, folder: Path, *uvicorn: str, page_port: int = 8000
) -> Iterator[tuple[int, Any]]:
    """Run a sample, on a free port instead of its own.

    Args:
        name: its mark.
        folder: for its file.
        uvicorn: options of uvicorn, for a sample that is not a script.
        page_port: where the page of the quick start is served.

    Yields:
        the port and the process.
    """
    port = free_port()
    file = folder / "app.py"
    ports = {"3000": str(port), "8000": str(page_port)}
    source = re.sub("3000|8000", lambda found: ports[found[0]], marked(name).text)
    file.write_text(source)
    if not uvicorn:
        command = python(str(file))
    else:
        command = python("-m", "uvicorn", "app:app", "--app-dir", str(folder), "--port", str(port))
        command += [option for option in uvicorn if option]
    with running(command, port) as process:
        yield port, process


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[socketio.AsyncClient]:
    """python-socketio's client, connected."""
    client = socketio.AsyncClient(reconnection=False)
    options.setdefault("transports", ["websocket"])
    await client.connect(f"http://127.0.0.1:{port}", **options)
    try:
        yield client
    finally:
        await client.disconnect()


async def doubles(port: int, **options: Any) -> None:
    """Most samples have a handler that doubles a number."""
    for transport in ("polling", "websocket"):
        async with connected(port, transports=[transport], **options) as client:
            assert await within(client.call("double", 21)) == 42


async def check_chat(port: int) -> None:
    origin = {"Origin": "http://localhost:8000"}
    async with connected(port, headers=origin) as ada, connected(port, headers=origin) as grace:
        heard = arrivals(grace, "message")
        assert await within(ada.call("message", ("Ada", "hello"))) == {"ok": True}
        assert await within(heard.get()) == ("Ada", "hello")
        answer = await within(ada.call("message", ("Ada", 5)))
        assert answer["error"]["argument"] == "text"
    with pytest.raises(Refused):
        await WebSocket.open(port, websocket_target(), [("Origin", "http://localhost:9000")])


def arrivals(client: socketio.AsyncClient, event: str) -> asyncio.Queue[Any]:
    """The arguments with which an event arrives."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    client.on(event, lambda *args: queue.put_nowait(args))
    return queue


async def check_engine(port: int) -> None:
    async with await WebSocket.open(port, websocket_target("/engine.io/")) as client:
        await client.receive()
        await client.send("4hello", b"bytes")
        assert await client.receive() == "4hello"
        assert await client.receive() == b"bytes"


async def check_typed(port: int) -> None:
    documented = [json.loads(block.text) for block in blocks("json") if "events.md" in block.page]
    async with connected(port) as client:
        assert await within(client.call("draw", ("red", [{"x": 1, "y": 2}]))) == 1
        assert [await within(client.call("draw", ("red", [{"x": 1}])))] == documented


async def check_classes(port: int) -> None:
    async with connected(port, namespaces=["/chat"], auth={"user": "ada"}) as client:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        client.on("said", lambda *args: heard.put_nowait(args), namespace="/chat")
        assert await within(client.call("say", ("lobby", "hello"), namespace="/chat")) is True
        assert await within(heard.get()) == ("ada", "hello")
        assert await within(client.call("who is here", namespace="/chat")) == ["ada"]
    async with await WebSocket.open(port, websocket_target()) as client:
        await client.receive()
        await client.send("40/chat,")
        assert await client.receive() == '44/chat,{"message":"who are you?"}'


async def check_dependencies(port: int) -> None:
    async with connected(port, auth={"user": "ada"}) as client:
        assert await within(client.call("add", "write a guide")) == 1
        assert await within(client.call("add", "read it")) == 2
        assert await within(client.call("notes")) == ["write a guide", "read it"]
        assert await within(client.call("add", "")) == {"error": "a note needs a text"}
        assert await within(client.call("notes")) == ["write a guide", "read it"]
    async with connected(port, auth={"user": "eve"}) as client:
        assert await within(client.call("notes")) == []


async def check_auth(port: int) -> None:
    token = "correct horse"
    async with connected(port, auth={"user": "ada", "token": token}) as client:
        assert await within(client.call("whoami")) == "ada"
    for auth in ({"user": "ada", "token": "wrong"}, {"user": ["ada"]}, {}, {"token": token}):
        async with await WebSocket.open(port, websocket_target()) as client:
            await client.receive()
            await client.send("40" + json.dumps(auth))
            answer = await client.receive()
            assert answer == ('44{"message":"wrong user or token","data":{"code":"unauthorized"}}')


async def check_tokens(port: int) -> None:
    secret = re.search(r'SECRET = "(.*)"', marked("tokens").text)
    assert secret is not None
    claims: dict[str, Any] = {"sub": "ada", "aud": "chat", "exp": int(time.time()) + 600}
    async with connected(port, auth={"token": jwt.encode(claims, secret[1], "HS256")}) as client:
        assert await within(client.call("whoami")) == "ada"
    for bad in (claims | {"aud": "mail"}, claims | {"exp": 1}):
        token = jwt.encode(bad, secret[1], "HS256")
        async with await WebSocket.open(port, websocket_target()) as other:
            await other.receive()
            await other.send("40" + json.dumps({"token": token}))
            assert str(await other.receive()).startswith('44{"message":"unauthorized"')


async def check_session(port: int) -> None:
    response = await fetch(port, "/login/ada", "POST", body=b"")
    cookie = str(response.header("set-cookie")).partition(";")[0]
    async with connected(port, headers={"Cookie": cookie}) as client:
        assert await within(client.call("whoami")) == "ada"
    for bad in ("", "session=", "session=x", cookie[:-1]):
        async with await WebSocket.open(port, websocket_target(), [("Cookie", bad)]) as other:
            await other.receive()
            await other.send("40")
            assert str(await other.receive()).startswith('44{"message":"unauthorized"')


async def check_fastapi(port: int) -> None:
    await doubles(port)
    async with connected(port) as client:
        heard = arrivals(client, "notice")
        response = await fetch(port, "/notices/hello", "POST", body=b"")
        assert response.json == {"clients": 1}
        assert await within(heard.get()) == ("hello",)
    async with await WebSocket.open(port, "/echo") as other:
        await other.send("hello")
        assert await other.receive() == "hello"


async def check_starlette(port: int) -> None:
    await doubles(port)
    assert (await fetch(port, "/hello")).text == "hello"


async def check_plain(port: int) -> None:
    await doubles(port)
    assert (await fetch(port, "/hello")).status == 404


@dataclass(frozen=True)
class Program:
    """How a marked sample is run, and what it must do."""

    name: str
    check: Check
    uvicorn: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join((self.name, *self.uvicorn)).strip()


PROGRAMS = (
    Program("chat", check_chat),
    Program("listen", doubles),
    Program("engine", check_engine),
    Program("typed", check_typed),
    Program("auth", check_auth),
    Program("tokens", check_tokens),
    Program("session", check_session, ("",)),
    Program("classes", check_classes),
    Program("dependencies", check_dependencies),
    Program("plain", check_plain, ("",)),
    Program("plain", check_plain, NATIVE),
    Program("plain", check_plain, (*NATIVE, "--http", "nuncio.hosts.http:NuncioHTTPProtocol")),
    Program("fastapi", check_fastapi, NATIVE),
    Program("starlette", check_starlette, ("",)),
    Program("mounted", doubles, ("",)),
)


@pytest.mark.parametrize("sample", PROGRAMS, ids=str)
def test_a_program_does_what_its_page_says(sample: Program, tmp_path: Path) -> None:
    with program_running(sample.name, tmp_path, *sample.uvicorn) as (port, _):
        run_async(sample.check)(port)


def test_the_graceful_program_lets_its_handler_finish(tmp_path: Path) -> None:
    async def begin(port: int) -> None:
        async with await WebSocket.open(port, websocket_target()) as client:
            await client.send("40", '42["slow"]')
            # The open packet and the namespace's answer; the event came in the same write.
            assert [str(await client.receive())[:2] for _ in range(2)] == ["0{", "40"]
            process.terminate()
            await client.closed()

    with program_running("graceful", tmp_path) as (port, process):
        run_async(begin)(port)
        assert process.communicate(timeout=40)[0] == "finished\n"
        assert process.returncode == 0


def test_the_busy_program_refuses_what_is_too_much_at_once(tmp_path: Path) -> None:
    async def check(port: int) -> None:
        async with connected(port) as ada, connected(port) as grace:
            assert await within(ada.call("report", 0)) == {"pages": 0}
            # Both take longer than this test.
            await ada.emit("report", 3600)
            await ada.emit("report", 3600)
            assert await within(ada.call("report", 0)) == {"error": "busy"}
            assert await within(grace.call("report", 0)) == {"error": "busy"}

    with program_running("busy", tmp_path) as (port, process):
        run_async(check)(port)
        # Asked to stop, it would wait for the two.
        process.kill()


NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {configuration}
}}
"""


@pytest.mark.proxy
def test_the_nginx_configuration_serves(program: Callable[[str], str], tmp_path: Path) -> None:
    nginx = program("nginx")
    (full,) = [block.text for block in blocks("nginx") if block.page.endswith("deployment.md")]
    with program_running("listen", tmp_path) as (behind, _):
        port = free_port()
        text = full.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
        text = re.sub(r"ssl_certificate.*", "", text)
        text = re.sub(r"127\.0\.0\.1:300[0-9]", f"127.0.0.1:{behind}", text)
        file = tmp_path / "nginx.conf"
        file.write_text(NGINX.format(folder=tmp_path, configuration=text))
        with running([nginx, "-c", str(file)], port):
            # The page's own origin is admitted because nginx passes on the name it was asked for.
            run_async(doubles)(port, headers={"Origin": f"http://127.0.0.1:{port}"})


def test_the_page_names_a_client_that_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "node_modules" / "socket.io-client" / "dist"
    folder.mkdir(parents=True)
    (folder / "socket.io.min.js").write_text("/* Socket.IO v4.8.4 */")

    async def check(port: int) -> None:
        page = await fetch(port, "/")
        found = re.search(r'src="(/socket\.io/socket\.io\.min\.js\?v=4\.8\.4-\w+)"', page.text)
        assert found, page.text
        client = await fetch(port, found[1])
        assert (client.status, client.text) == (200, "/* Socket.IO v4.8.4 */")
        assert "immutable" in (client.header("cache-control") or "")
        await doubles(port)

    with program_running("client", tmp_path) as (port, _):
        run_async(check)(port)


def test_the_page_on_the_console_says_how_to_sign_in(tmp_path: Path) -> None:
    async def check(port: int) -> None:
        target = "/socket.io/console/login"
        form = b"user=ada&secret=correct+horse+battery"
        assert "Sign in" in (await fetch(port, target)).text
        assert (await fetch(port, target, "POST", None, form)).status == 303

    with program_running("console", tmp_path) as (port, _):
        run_async(check)(port)


def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path) -> None:
    text = marked("testing").text
    (tmp_path / "test_chat.py").write_text(text)
    outcomes, said = run_pytest(tmp_path, tmp_path)
    assert outcomes == {"PASSED": set(re.findall(r"^async def (test_\w+)", text, re.MULTILINE))}, (
        said
    )


def test_the_talking_client_talks(tmp_path: Path) -> None:
    port = free_port()
    server, client = tmp_path / "server.py", tmp_path / "client.py"
    for file, name in ((server, "chat"), (client, "talk")):
        file.write_text(marked(name).text.replace("3000", str(port)))
    with running(python(str(server)), port):
        done = subprocess.run(
            python(str(client)), capture_output=True, text=True, timeout=40, check=True
        )
    assert sorted(done.stdout.splitlines()) == ["Ada: hello", "{'ok': True}"]


def test_the_blocking_client_talks(tmp_path: Path) -> None:
    port = free_port()
    server, client = tmp_path / "server.py", tmp_path / "client.py"
    for file, name in ((server, "chat"), (client, "blocking")):
        file.write_text(marked(name).text.replace("3000", str(port)))
    with running(python(str(server)), port):
        done = subprocess.run(
            python(str(client)), capture_output=True, text=True, timeout=40, check=True
        )
    assert (done.stdout.splitlines(), done.stderr) == (["{'ok': True}", "['Ada', 'hello']"], "")


def test_every_marked_sample_is_run() -> None:
    names = {block.mark for page in PAGES for block in blocks_of(page) if block.mark}
    others = {"busy", "client", "console", "page", "graceful", "talk", "testing", "blocking"}
    assert names == {program.name for program in PROGRAMS} | others


def answer_prompts(page: Page, text: str) -> None:
    """Answer whatever the page asks by `prompt`."""

    async def answer(dialog: Dialog) -> None:
        await dialog.accept(text)

    page.on("dialog", answer)


@pytest.mark.browser
def test_the_page_talks_to_the_server(run: Run[Any], browser: Browser, tmp_path: Path) -> None:
    if not CLIENT.is_dir():
        missing("examples/chat/node_modules is not there: npm --prefix examples/chat ci")

    async def visit(url: str) -> list[str]:
        context = await browser.new_context()
        await context.route(
            "https://cdn.socket.io/**",
            lambda route: route.fulfill(
                path=CLIENT / "socket.io.min.js", headers={"Access-Control-Allow-Origin": "*"}
            ),
        )
        pages = [await context.new_page() for _ in range(2)]
        for name, page in zip(("Ada", "Grace"), pages, strict=True):
            answer_prompts(page, name)
            await page.goto(url)
            await page.wait_for_function("socket.connected")
        await pages[0].fill("input", "hello")
        await pages[0].press("input", "Enter")
        said = [await page.inner_text("li") for page in pages]
        await pages[0].wait_for_function("document.querySelector('input').value === ''")
        await context.close()
        return said

    page_port = free_port()
    files = python("-m", "http.server", str(page_port), "--directory", str(tmp_path))
    with program_running("chat", tmp_path, page_port=page_port) as (port, _):
        # Another release of the client stands in for the one that the page names, by its hash.
        html = marked("page").text.replace("3000", str(port)).replace("integrity=", "data-was=")
        (tmp_path / "index.html").write_text(html)
        with running(files, page_port):
            said = run(visit(f"http://localhost:{page_port}/"))
    assert said == ["Ada: hello", "Ada: hello"]
