"""A socket's id, what it sends and what it is told, against the official server.

What the official client's own tests of this name say, wherever it has a meaning in Python.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nuncio
from nuncio import ConnectTimeout, OptionError
from tests.support.aio import eventually, run_async, within
from tests.support.faults import DOWN, FaultProxy
from tests.support.node import POLLING, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.oddserver import DEFLATE, OPEN, TEXT, OddServer, Request, Wire
from tests.support.ours import ours
from tests.support.ports import free_port

# --- its id


@pytest.mark.parametrize("nsp", ["/", "/foo"])
@run_async
async def test_its_id_is_the_one_that_the_server_knows(
    home: NodeHome, server: NodeServer, nsp: str
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(nsp)
        assert client.socket.id == await client.socket.emit_with_ack("id")
        assert client.manager.engine is not None
        assert client.socket.id != client.manager.engine.id


@run_async
async def test_without_a_connection_it_has_no_id(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        ids: list[Any] = []
        client.socket.on("disconnect", lambda: ids.append(client.socket.id))
        client.socket.disconnect()
        await client.next("disconnect")
        assert not client.socket.id
        assert ids == [client.socket.id]


@run_async
async def test_another_connection_gives_another_id(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        first = client.socket.id
        between: list[Any] = []
        client.manager.on("reconnect_attempt", lambda number: between.append(client.socket.id))
        client.cut()
        await client.told.next("reconnect")
        await client.next("connect")
        assert client.socket.id and client.socket.id != first
        assert len(between) == 1 and not between[0]


# --- connecting in vain


@run_async
async def test_who_disconnects_while_connecting_is_told_of_no_error(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, query={"stall": 1}, timeout=0.1) as clients:
        client = clients.start()
        client.socket.disconnect()
        # Another one runs out of time, though it began later.
        other = clients.start()
        await other.told.next("error")
        assert client.told.count("error") == 0
        assert client.count("connect_error") == 0


@run_async
async def test_nobody_listens(home: NodeHome, server: NodeServer) -> None:
    async with ours(f"http://127.0.0.1:{free_port()}") as clients:
        client = clients.start(way=POLLING)
        [error] = await client.next("connect_error")
        assert isinstance(error, nuncio.TransportError)
        assert str(clients.url) in str(error)
        # It goes on trying.
        assert client.socket.active
        await client.told.next("reconnect_attempt")


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_a_server_that_does_not_answer(home: NodeHome, server: NodeServer, way: Way) -> None:
    async with ours(server.url, query={"stall": 1}, timeout=0.05) as clients:
        client = clients.start(way=way)
        [error] = await client.next("connect_error")
        assert isinstance(error, ConnectTimeout)
        assert error.message == str(error) == "timeout"


@run_async
async def test_no_connect_error_for_a_connection_that_was_there(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.cut()
        await client.next("connect")
        assert client.names() == ["connect", "disconnect", "connect"]


# --- what the handshake brings


@pytest.mark.parametrize("nsp", ["/", "/greeting"])
@pytest.mark.parametrize(
    ("suffix", "query", "expected"),
    [
        ("", {"e": "f"}, {"e": "f"}),
        ("?c=d&g=h", None, {"c": "d", "g": "h"}),
        ("", {"&a": "&=?a ü"}, {"&a": "&=?a ü"}),
        ("", "x=1&y=%26", {"x": "1", "y": "&"}),
        ("", {"flag": True, "number": 5}, {"flag": "true", "number": "5"}),
        # The URL's own query wins as a whole.
        ("?x=1", {"z": 3}, {"x": "1"}),
    ],
    ids=["mapping", "url", "encoded", "text", "values", "both"],
)
@run_async
async def test_a_query(
    home: NodeHome, server: NodeServer, nsp: str, suffix: str, query: Any, expected: dict[str, str]
) -> None:
    async with nuncio.connect(f"{server.url}{nsp}{suffix}", query=query, force_new=True) as socket:
        _, _, handshake = await server.next("connection")
        own = {k: v for k, v in handshake["query"].items() if k not in ("EIO", "transport", "t")}
        assert own == expected
        assert socket.nsp == nsp


async def _later() -> dict[str, int]:
    await asyncio.sleep(0)
    return {"g": 7}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"a": "b", "c": ["d"]}, {"a": "b", "c": ["d"]}),
        (lambda: {"e": "f"}, {"e": "f"}),
        (_later, {"g": 7}),
        (None, {}),
    ],
    ids=["mapping", "function", "async function", "none"],
)
@run_async
async def test_credentials_go_to_the_namespace_and_not_into_the_address(
    home: NodeHome, server: NodeServer, auth: Any, expected: dict[str, Any]
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect("/greeting", auth=auth)
        [handshake] = await client.next("greeting")
        assert handshake["auth"] == expected
        assert set(handshake["query"]) == {"EIO", "transport"}


@run_async
async def test_credentials_are_asked_for_at_each_connection(
    home: NodeHome, server: NodeServer
) -> None:
    tokens = iter(["first", "second"])
    async with ours(server.url) as clients:
        client = await clients.connect(auth=lambda: {"token": next(tokens)})
        client.cut()
        await client.told.next("reconnect")
        await client.next("connect")
        seen = [(await server.next("connection"))[2]["auth"] for _ in range(2)]
        assert seen == [{"token": "first"}, {"token": "second"}]


@run_async
async def test_credentials_can_be_replaced(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = clients.start("/secret", auth={"token": "wrong"})
        [error] = await client.next("connect_error")
        assert (error.message, error.data) == ("Wrong token", {"token": "wrong"})
        client.socket.auth = {"token": "sesame"}
        client.socket.connect()
        await client.next("connect")


# --- refusals


@run_async
async def test_a_refusal_brings_the_servers_words_and_data(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start("/no")
        [error] = await client.next("connect_error")
        assert isinstance(error, nuncio.ConnectError)
        assert not isinstance(error, nuncio.TransportError)
        assert (error.message, error.data) == ("Not welcome", {"code": 42, "retry": False})
        assert not client.socket.active


@run_async
async def test_a_namespace_that_is_not_there(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = clients.start("/unknown")
        [error] = await client.next("connect_error")
        assert error.message == "Invalid namespace"
        assert error.data is None


@run_async
async def test_who_was_refused_does_not_try_again(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        refused = clients.start("/no", manager=client.manager)
        await refused.next("connect_error")
        # Not with the connection that comes after this one either.
        client.cut()
        await client.told.next("reconnect")
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert refused.names() == ["connect_error"]


@run_async
async def test_the_connection_is_closed_when_everybody_was_refused(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start("/no")
        await client.next("connect_error")
        assert (await client.told.next("close"))[0] == "forced close"
        await server.emptied()


@run_async
async def test_connect_raises_a_refusal_and_leaves_nothing(
    home: NodeHome, server: NodeServer
) -> None:
    with pytest.raises(nuncio.ConnectError, match="Not welcome") as caught:
        async with nuncio.connect(server.url + "/no"):
            pass
    assert caught.value.data == {"code": 42, "retry": False}
    await server.emptied()


@run_async
async def test_disconnecting_and_connecting_at_once(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        client.socket.connect()
        await client.next("connect")
        assert client.names() == ["connect", "disconnect", "connect"]
        assert await client.socket.emit_with_ack("id") == client.socket.id


# --- emitting


@pytest.mark.parametrize(
    "name",
    [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ],
)
@run_async
async def test_reserved_names_cannot_be_emitted(
    home: NodeHome, server: NodeServer, name: str
) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        with pytest.raises(OptionError, match=name):
            clients.start().socket.emit(name, "goodbye")


@run_async
async def test_what_was_emitted_before_the_connection_comes_first(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        client = clients.start()
        answers: list[Any] = []
        client.socket.on("connect", lambda: client.socket.emit("echo", "second", answers.append))
        client.socket.emit("echo", "first", answers.append)
        client.socket.connect()
        await eventually(lambda: len(answers) == 2)
        assert answers == ["first", "second"]


@run_async
async def test_an_event_that_the_server_sent_before_it_let_the_client_in(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect("/early")
        assert client.log[:2] == [("early", [1]), ("early", [b"\x02"])]
        assert client.names()[2] == "connect"


@run_async
async def test_an_answer_is_awaited(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        socket = (await clients.connect()).socket
        assert await socket.emit_with_ack("echo", 123) == 123


@pytest.mark.parametrize(("compress", "expected"), [(None, True), (True, True), (False, False)])
@run_async
async def test_compression(
    home: NodeHome, server: NodeServer, compress: bool | None, expected: bool
) -> None:
    frames: asyncio.Queue[bool] = asyncio.Queue()

    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request, DEFLATE)
        wire.frame(OPEN)
        while (frame := await wire.receive()).opcode == TEXT:
            if frame.data == b"40":
                wire.frame('40{"sid":"1"}')
            else:
                frames.put_nowait(frame.compressed)

    async with OddServer(answer) as odd, ours(odd.url) as clients:
        # Shorter messages are not worth it.
        client = await clients.connect(per_message_deflate={"threshold": 0})
        sender = client.socket if compress is None else client.socket.compress(compress)
        sender.emit("words", "again " * 100)
        assert await within(frames.get()) is expected


# --- volatile events


@run_async
async def test_a_volatile_event_is_dropped_before_the_connection(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        client = clients.start()
        client.socket.volatile.emit("echo", "volatile")
        client.socket.emit("echo", "kept")
        client.socket.connect()
        assert await client.next("echo") == ["kept"]
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert client.count("echo") == 1


@run_async
async def test_a_volatile_event_is_dropped_while_a_request_is_under_way(
    home: NodeHome, server: NodeServer
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=POLLING)
        proxy.stall(DOWN)
        client.socket.emit("echo", "kept")
        await server.next_event("echo")
        client.socket.volatile.emit("echo", "volatile")
        proxy.resume(DOWN)
        assert await client.next("echo") == ["kept"]
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert client.count("echo") == 1


@run_async
async def test_a_volatile_event_is_sent_when_nothing_stands_in_its_way(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.volatile.emit("echo", "volatile")
        assert await client.next("echo") == ["volatile"]
        assert await client.socket.volatile.emit_with_ack("echo", 2) == 2


# --- listeners for everything


@run_async
async def test_listeners_for_every_event(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = clients.start("/greeting")
        calls: list[str] = []

        def removed(event: str, *args: object) -> None:
            raise AssertionError("it was removed")

        socket = client.socket
        socket.on_any(lambda event, first: calls.append(f"last {event} {type(first).__name__}"))
        socket.prepend_any(lambda: calls.append("second"))
        socket.prepend_any(lambda *args: calls.append(f"first {args[0]}"))
        socket.on_any(removed)
        socket.off_any(removed)
        assert removed not in socket.listeners_any()
        await client.next("greeting")
        assert calls == ["first greeting", "second", "last greeting dict"]


@run_async
async def test_listeners_for_every_event_that_is_emitted(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start()
        calls: list[Any] = []

        def removed(event: str, *args: object) -> None:
            raise AssertionError("it was removed")

        socket = client.socket
        socket.on_any_outgoing(lambda event, first: calls.append((event, first)))
        socket.prepend_any_outgoing(lambda: calls.append("second"))
        socket.prepend_any_outgoing(lambda: calls.append("first"))
        socket.on_any_outgoing(removed)
        socket.off_any_outgoing(removed)
        assert removed not in socket.listeners_any_outgoing()
        socket.emit("echo", "123")
        # They are told when it leaves, not when it begins to wait.
        assert calls == []
        await client.next("echo")
        socket.emit("echo", b"\x01\x02")
        await client.next("echo")
        assert calls == [
            "first",
            "second",
            ("echo", "123"),
            "first",
            "second",
            ("echo", b"\x01\x02"),
        ]
