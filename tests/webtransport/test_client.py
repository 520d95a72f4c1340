"""The client's side, against our own server and against a wrong one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio import NuncioError, Server
from nuncio.client.race import Race, raced
from nuncio.client.transports import Polling, chosen
from nuncio.errors import OptionError, TransportError
from nuncio.hosts.serve import Listening
from nuncio.webtransport import make_certificate
from tests.support.aio import eventually, run_async, within
from tests.support.webtransport import ALL, listen_with, listener_of


def a_server(**options: Any) -> Server:
    io = Server(**{"transports": list(ALL), **options})
    io.on("echo", lambda socket, value: value)
    return io


@asynccontextmanager
async def connected(
    listening: Listening, transports: list[Any] | None = None, **options: Any
) -> AsyncIterator[nuncio.ClientSocket]:
    options.setdefault("server_certificate_hashes", [listening.certificate_hash])
    async with nuncio.connect(
        f"http://127.0.0.1:{listening.port}",
        transports=transports or ["webtransport"],
        reconnection=False,
        **options,
    ) as client:
        yield client


def name_of(client: nuncio.ClientSocket) -> str:
    engine = client.io.engine
    assert engine is not None and engine.transport is not None
    name: str = engine.transport.name
    return name


async def moved(client: nuncio.ClientSocket) -> str:
    """Wait until it has left polling; the name of what it uses then."""
    await eventually(lambda: name_of(client) != "polling", "it has moved")
    return name_of(client)


VALUES: list[Any] = [None, "h\u00e9llo \u2028", b"", b"abc", bytes(range(256)) * 800, [b"", b"x"]]


@pytest.mark.parametrize("transports", [["webtransport"], ["polling", "websocket", "webtransport"]])
@run_async
async def test_everything_can_be_said_direct_and_after_a_move(transports: list[str]) -> None:
    io = a_server()
    heard: list[Any] = []
    io.on("there", lambda socket, number: socket.emit("back", number) and None)
    async with await listen_with(io) as listening, connected(listening, transports) as client:
        assert await moved(client) == "webtransport"
        for value in VALUES:
            assert await client.emit_with_ack("echo", value) == value
        client.on("back", heard.append)
        for number in range(5000):
            client.emit("there", number)
        await eventually(lambda: len(heard) == 5000, "all came back")
        assert heard == list(range(5000))
        (inside,) = io.engine.sessions.values()
        assert inside.transport.name == "webtransport"
        assert inside.request.query["transport"] == transports[0]


@run_async
async def test_nothing_is_left_on_either_side() -> None:
    io = a_server()
    async with await listen_with(io) as listening:
        before = asyncio.all_tasks()
        for _ in range(3):
            async with connected(listening) as client:
                await client.emit_with_ack("echo", 1)
        listener = listener_of(listening)
        await eventually(lambda: not io.engine.sessions, "all sessions have ended")
        await eventually(lambda: listener.connections == 0, "all connections have ended")
        await eventually(lambda: asyncio.all_tasks() <= before, "all tasks have ended")


@run_async
async def test_headers_query_and_cookies_reach_the_server() -> None:
    io = a_server()
    async with (
        await listen_with(io) as listening,
        connected(
            listening, query={"a": "1"}, extra_headers={"X-Key": "k"}, cookies={"c": "2"}
        ) as client,
    ):
        await client.emit_with_ack("echo", 1)
        handshake = next(iter(io.sockets.sockets.values())).handshake
        assert (handshake.query["a"], handshake.headers["x-key"]) == ("1", "k")
        assert handshake.headers["cookie"] == "c=2"


async def why(listening: Listening, **options: Any) -> NuncioError:
    """Why it does not connect."""
    with pytest.raises(NuncioError) as caught:
        async with asyncio.timeout(20):
            async with connected(listening, **options):
                pass
    return caught.value


@run_async
async def test_certificates_are_checked() -> None:
    async with await listen_with(a_server()) as listening:
        hashes = "server_certificate_hashes"
        assert "cannot be trusted" in str(await why(listening, **{hashes: []}))
        other = make_certificate().hash
        assert f"is none of {hashes}" in str(await why(listening, **{hashes: [other]}))
        options: dict[str, Any] = {"reject_unauthorized": False, hashes: []}
        async with connected(listening, **options) as client:
            assert client.connected
        own: dict[str, Any] = {"webtransport": {hashes: [listening.certificate_hash]}}
        async with connected(listening, transport_options=own, **{hashes: []}) as client:
            assert client.connected


@run_async
async def test_a_name_that_is_not_the_certificate_s_is_refused(tmp_path: Path) -> None:
    made = make_certificate(["elsewhere.example"])
    made.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    options = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    async with await listen_with(a_server(), webtransport=options) as listening:
        given: dict[str, Any] = {"ca": str(tmp_path / "cert.pem"), "server_certificate_hashes": []}
        assert "cannot be trusted" in str(await why(listening, **given))
        async with connected(listening, server_hostname="elsewhere.example", **given) as client:
            assert client.connected


@run_async
async def test_a_refusal_is_told_with_its_words() -> None:
    io = a_server(allow_request=lambda request: "not today")
    async with await listen_with(io) as listening:
        assert "not today" in str(await why(listening))
        io.engine.use(lambda request, response: response.end(503, "later"))
        error = await why(listening)
        assert "status 503: later" in str(error)
        assert isinstance(error, TransportError) and error.status == 503


@run_async
async def test_where_nobody_listens_it_is_told_at_once() -> None:
    io = a_server()
    async with await listen_with(io) as listening:
        await listening._server.quic.close()  # type: ignore[union-attr]  # it is there
        assert "nobody listens for UDP" in str(await why(listening))
        # And with WebSocket beside, it is no reason to wait.
        async with connected(listening, ["webtransport", "websocket"]) as client:
            assert name_of(client) == "websocket"


@pytest.mark.parametrize(
    "transports", [["webtransport", "websocket"], ["polling", "websocket", "webtransport"]]
)
@run_async
async def test_where_udp_does_not_pass_websocket_is_taken_soon(transports: list[str]) -> None:
    io = a_server()
    async with await listen_with(io) as listening:
        await listening._server.quic.close()  # type: ignore[union-attr]  # it is there
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
            hole.bind(("127.0.0.1", listening.port))
            async with asyncio.timeout(5):
                async with connected(listening, transports, timeout=None) as client:
                    assert await moved(client) == "websocket"
                    assert await client.emit_with_ack("echo", 1) == 1
        await eventually(lambda: not io.engine.sessions, "no other session was begun")


@run_async
async def test_a_server_that_is_gone_is_noticed_at_once() -> None:
    io = a_server()
    listening = await listen_with(io)
    async with connected(listening) as client:
        reasons: list[str] = []
        client.on("disconnect", reasons.append)
        # As when its process is killed.
        listener = listener_of(listening)
        listener._io.abort()
        client.emit("echo", 1)
        await eventually(lambda: reasons, "it was noticed")
        assert reasons == ["transport close"]
        listener._ids.clear()
    await listening.close()


@run_async
async def test_the_last_words_of_a_client_arrive() -> None:
    io = a_server()
    heard: list[Any] = []
    io.on("last", lambda socket, value: heard.append(len(value)))
    async with await listen_with(io) as listening:
        async with connected(listening) as client:
            client.emit("last", bytes(400_000))
        await eventually(lambda: heard == [400_000], "it has arrived")


@run_async
async def test_it_reconnects_when_the_server_comes_back() -> None:
    made = make_certificate()

    async def begin(port: int, folder: Path) -> Listening:
        made.write(folder / "cert.pem", folder / "key.pem")
        options = {"certificate": folder / "cert.pem", "key": folder / "key.pem"}
        return await listen_with(a_server(), port, webtransport=options)

    import tempfile

    with tempfile.TemporaryDirectory() as name:
        listening = await begin(0, Path(name))
        port = listening.port
        async with nuncio.connect(
            f"http://127.0.0.1:{port}",
            transports=["webtransport"],
            server_certificate_hashes=[made.hash],
            reconnection_delay=0.02,
            randomization_factor=0,
        ) as client:
            await listening.close()
            await eventually(lambda: not client.connected, "it was told")
            again = await begin(port, Path(name))
            await eventually(lambda: client.connected, "it is back")
            assert await within(client.emit_with_ack("echo", 2)) == 2
        await again.close()


@run_async
async def test_what_udp_cannot_do_is_told() -> None:
    import ssl

    async with await listen_with(a_server()) as listening:
        error = await why(listening, ssl=ssl.create_default_context())
        assert isinstance(error, OptionError) and "write ca=" in str(error)
        assert "proxy" in str(await why(listening, proxy="http://localhost:1"))


# Racing.


def names(ways: list[Any]) -> list[str]:
    return ["race" if isinstance(way, Race) else way.name for way in ways]


@pytest.mark.parametrize(
    ("given", "upgrade", "raced_ones"),
    [
        (["webtransport", "websocket"], False, ["race"]),
        (["webtransport", "polling", "websocket"], False, ["race", "polling"]),
        (["websocket", "webtransport"], False, ["websocket", "webtransport"]),
        (["websocket", "webtransport"], True, ["race"]),
        (["polling", "webtransport"], True, ["polling", "webtransport"]),
        (["polling"], False, ["polling"]),
    ],
)
def test_the_two_are_tried_together_where_one_would_wait_for_the_other(
    given: list[str], upgrade: bool, raced_ones: list[str]
) -> None:
    assert names(raced(chosen(given), upgrade=upgrade)) == raced_ones


@run_async
async def test_who_loses_the_race_leaves_nothing() -> None:
    log: list[str] = []

    class Fake(Polling):
        def __init__(self, name: str, seconds: float, fails: bool = False) -> None:
            self.label, self.seconds, self.fails = name, seconds, fails

        async def open(self, dial: Any) -> Any:
            log.append(f"{self.label} begins")
            try:
                await asyncio.sleep(self.seconds)
            except asyncio.CancelledError:
                log.append(f"{self.label} is called back")
                raise
            if self.fails:
                raise TransportError(f"{self.label} fails")
            return self

        def abort(self) -> None:
            log.append(f"{self.label} is cut")

    dial: Any = None
    first: Any = Fake("first", 0.01)
    assert await Race(first, Fake("second", 0)).open(dial) is first
    assert log == ["first begins"]
    log.clear()
    second: Any = Fake("second", 0)
    slow: Any = Fake("first", 60)
    assert await Race(slow, second).open(dial) is second
    assert log == ["first begins", "second begins", "first is called back"]
    log.clear()
    failing: Any = Fake("first", 0, fails=True)
    other: Any = Fake("second", 0)
    assert await Race(failing, other).open(dial) is other
    assert log == ["first begins", "second begins"]
    with pytest.raises(TransportError, match="second fails"):
        await Race(Fake("first", 0, True), Fake("second", 0, True)).open(dial)
    log.clear()
    task = asyncio.ensure_future(Race(Fake("first", 60), Fake("second", 60)).open(dial))
    await eventually(lambda: len(log) == 2, "both are under way")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[2:] == ["first is called back", "second is called back"]
