"""`io.run` in a process of its own: how it starts, serves and ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nuncio import OptionError, Server
from nuncio.engine import Engine
from tests.hosts.process import ROOT, python, running
from tests.support.aio import eventually, run_async, within
from tests.support.live import give_up
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Node, Way
from tests.support.ports import free_port

PROGRAM = """
import asyncio, sys
import nuncio

io = nuncio.Server()

@io.event
def ask(socket, value):
    return value

@io.event
async def disconnect(socket, reason):
    await asyncio.sleep(0.2)
    print("saved", reason, flush=True)

io.run({options})
print("after", flush=True)
"""


def program(**options: object) -> list[str]:
    """A command that serves."""
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return python("-c", PROGRAM.replace("{options}", given))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_a_signal_ends_it_in_order(node: Node, way: Way, number: signal.Signals) -> None:
    port = free_port()
    with running(program(port=port), port) as process:
        async with node.clients(port=port) as clients:
            client = await clients.connect(way=way, reconnection=False)
            assert await client.ask("ask", 1) == [1]
            process.send_signal(number)
            assert (await client.next("disconnect"))[0] == "transport close"
            output, _ = await asyncio.to_thread(process.communicate, None, 40)
    assert process.returncode == 0
    lines = output.splitlines()
    assert lines[0].startswith(f"Nuncio listening on http://127.0.0.1:{port}/socket.io/ (")
    # The handler that was still running was waited for, and the program went on.
    assert lines[1:] == ["saved server shutting down", "after"]


CLUSTER = """
import asyncio, sys
import nuncio
from nuncio.cluster.memory import MemoryAdapter

class Bus(MemoryAdapter):
    async def init(self):
        print("init", flush=True)
        if sys.argv[1] == "fails":
            raise ConnectionError("no bus")
        if sys.argv[1] == "hangs":
            await asyncio.get_running_loop().create_future()

    async def close(self):
        print("close", flush=True)

async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    if sys.argv[2] == "knows":
        for word in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{word}"
            await send({"type": f"lifespan.{word}.complete"})

beside = {} if sys.argv[2] == "alone" else {"app": app}
nuncio.Server(adapter=Bus).run(port=int(sys.argv[3]), **beside)
"""


@contextmanager
def cluster(bus: str, beside: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server in a cluster that works, fails or hangs, beside an application or alone."""
    command = python("-c", CLUSTER, bus, beside, str(free_port()))
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("beside", ["alone", "knows", "unaware"])
def test_it_joins_the_cluster_and_leaves_it(beside: str) -> None:
    with cluster("works", beside) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "init\n"
        assert process.stdout.readline().startswith("Nuncio listening on ")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)
    assert (process.returncode, output) == (0, "close\n")


@pytest.mark.parametrize("beside", ["alone", "knows", "unaware"])
def test_a_cluster_that_cannot_be_joined_is_told(beside: str) -> None:
    command = python("-c", CLUSTER, "fails", beside, str(free_port()))
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=15)
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == ["init", "close"]
    assert "\nConnectionError: no bus\n" in ended.stderr


@pytest.mark.parametrize("beside", ["alone", "knows"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_start_that_hangs(beside: str, number: signal.Signals) -> None:
    with cluster("hangs", beside) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "init\n"
        process.send_signal(number)
        output, _ = process.communicate(timeout=15)
    assert output == "close\n"


def test_a_port_in_use_is_told(program: Callable[[str], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}.*another program listens") as caught:
            asyncio.run(Server().listen(port))
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 70_000}, "port"),
        ({"port": "3000"}, "port"),
        ({"host": 3000}, "host"),
        ({"ssl_cert": "x"}, "did you mean 'ssl_certfile'"),
        ({"shutdown_timeout": -1}, "shutdown_timeout"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Server().run(**options)  # type: ignore[arg-type]


@run_async
async def test_listening_again_after_closing(node: Node) -> None:
    io = Server()
    io.on("ask", lambda socket, value: value)
    for _ in range(2):
        listening = await io.listen(0)
        async with node.clients(port=listening.port) as clients:
            client = await clients.connect()
            assert await client.ask("ask", "again") == ["again"]
            await io.close()
            assert (await client.next("disconnect"))[0] == "transport close"
    await io.close()


def certificate(folder: Path, openssl: str) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return str(cert), str(key)


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
def test_over_tls(node: Node, way: Way, tmp_path: Path, program: Callable[[str], str]) -> None:
    cert, key = certificate(tmp_path, program("openssl"))

    async def main() -> None:
        io = Server()
        io.on("who", lambda socket: socket.handshake.secure)
        listening = await io.listen(0, ssl_certfile=cert, ssl_keyfile=key)
        async with node.clients(port=listening.port) as clients:
            ref = await clients.start(
                way=way, query="", rejectUnauthorized=False, secure=True, autoConnect=False
            )
            await ref.run(
                "socket.io.uri = socket.io.uri.replace('http:', 'https:');"
                "socket.io.opts.secure = true; socket.connect()"
            )
            await ref.next("connect")
            assert await ref.ask("who") == [True]
        await io.close()

    node.run(main())


@run_async
async def test_on_a_unix_socket() -> None:
    import tempfile

    io = Server()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/nuncio"
        async with await io.listen(0, uds=path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(
                b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n"
                b"Connection: close\r\n\r\n"
            )
            answer = await within(reader.read())
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'\r\n\r\n0{"sid":' in answer
            writer.close()
            give_up(io.engine)


@pytest.mark.parametrize(("trusted", "address"), [("*", "203.0.113.9"), ("127.0.0.1", "")])
@pytest.mark.parametrize("way", ["polling", "websocket"])
@run_async
async def test_proxies_on_a_unix_socket(way: str, trusted: str, address: str) -> None:
    import tempfile

    io = Server()
    found: list[tuple[str, bool]] = []
    io.engine.on(
        "connection",
        lambda session: found.append((session.remote_address, session.request.secure)),
    )
    head = f"GET /socket.io/?EIO=4&transport={way} HTTP/1.1\r\nHost: a\r\n"
    head += "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    if way == "websocket":
        head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        head += "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/nuncio"
        async with await io.listen(0, uds=path, forwarded_allow_ips=trusted):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(head.encode() + b"\r\n")
            await eventually(lambda: found)
            writer.close()
            give_up(io.engine)
    assert found == [(address, bool(address))]


@run_async
async def test_nagles_algorithm_is_off() -> None:
    io = Server()
    seen: list[int] = []

    @io.on("connection")
    def connection(client: object) -> None:
        session = next(iter(io.engine.sessions.values()))
        sock = session.transport._io.get_extra_info("socket")  # type: ignore[attr-defined]
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    import websockets

    async with await io.listen(0) as listening:
        url = f"ws://127.0.0.1:{listening.port}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url) as client:
            await client.recv()
            await client.send("40")
            await within(client.recv())
    assert seen == [1]


@pytest.mark.parametrize("what", [Server, Engine])
def test_run_in_a_running_loop_says_what_to_write(what: type[Server | Engine]) -> None:
    async def main() -> None:
        with pytest.raises(OptionError, match=r"await io\.listen\(.*port=5000") as caught:
            what().run(port=5000)
        assert "running here already" in str(caught.value)
        assert "await listening.wait()" in str(caught.value)

    # Warnings are errors: nothing may be left that was never awaited.
    asyncio.run(main())
    gc.collect()
