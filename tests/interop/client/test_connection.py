"""Connecting, reconnecting and giving up, against the official server.

What the official client's own tests of this name say, wherever it has a meaning in Python.
"""

from __future__ import annotations

from typing import Any

import pytest

import nuncio
from tests.support.aio import eventually, run_async, within
from tests.support.node import WAYS, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours

# --- connecting


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@run_async
async def test_it_connects_and_what_was_emitted_before_arrives(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with ours(server.url) as clients:
        client = clients.start(way=way)
        client.socket.emit("hi")
        assert await client.next("hi") == []
        assert client.socket.connected and not client.socket.disconnected
        if way.upgraded:
            await client.upgraded()
        assert client.transport in way.transports


@run_async
async def test_nothing_is_opened_with_auto_connect_off(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        client = clients.start()
        assert client.manager.engine is None
        assert not client.socket.active
        await clients.some_time()
        assert await server.reports("request") == []
        client.socket.connect()
        assert client.socket.active
        await client.next("connect")


@run_async
async def test_two_sockets_of_one_namespace_have_a_connection_each(
    home: NodeHome, server: NodeServer
) -> None:
    async with nuncio.connect(server.url) as one, nuncio.connect(server.url + "/") as other:
        assert one.io is not other.io
        assert one.id != other.id
        assert await server.sessions() == 2


@run_async
async def test_another_query_is_no_other_server_but_the_namespace_is_taken(
    home: NodeHome, server: NodeServer
) -> None:
    async with nuncio.connect(server.url + "/?woot") as one, nuncio.connect(server.url) as other:
        assert one.io is not other.io
        assert (await one.emit_with_ack("handshake"))["query"].get("woot") == ""
        assert "woot" not in (await other.emit_with_ack("handshake"))["query"]


@run_async
async def test_other_paths_are_other_connections(home: NodeHome, server: NodeServer) -> None:
    async with (
        NodeServer(home.program, path="/bar") as second,
        nuncio.connect(server.url) as one,
        nuncio.connect(f"{second.url}/foo", path="/bar") as other,
    ):
        assert one.io is not other.io
        assert await other.emit_with_ack("echo", 1) == 1


@run_async
async def test_namespaces_share_one_connection(home: NodeHome, server: NodeServer) -> None:
    async with (
        nuncio.connect(server.url + "/foo") as foo,
        nuncio.connect(server.url + "/asd") as asd,
    ):
        assert foo.io is asd.io
        assert (foo.nsp, asd.nsp) == ("/foo", "/asd")
        assert await server.sessions() == 1


@pytest.mark.parametrize("option", [{"force_new": True}, {"multiplex": False}])
@run_async
async def test_a_connection_of_its_own_when_asked_for(
    home: NodeHome, server: NodeServer, option: dict[str, bool]
) -> None:
    async with (
        nuncio.connect(server.url + "/foo") as foo,
        nuncio.connect(server.url + "/asd", **option) as asd,
    ):
        assert foo.io is not asd.io
        assert await server.sessions() == 2


# --- events


@run_async
async def test_the_server_is_answered(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.on("question", lambda *args: nuncio.Ack(5, {"test": args}))
        client.socket.emit("ask me", "question", "a", [1])
        assert await client.next("answered") == [5, {"test": ["a", [1]]}]


@run_async
async def test_answers_of_the_server(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        socket = (await clients.connect()).socket
        assert await socket.emit_with_ack("nothing") is None
        assert await socket.emit_with_ack("several") == [1, "two", {"three": [3]}]
        assert await socket.emit_with_ack("binary") == [b"\x00\x01\x02\xff", {"deep": b"deep"}]
        assert await socket.emit_with_ack("date") == "1970-01-01T00:00:00.000Z"
        assert await socket.emit_with_ack("echo", {"b": b"\x01"}) == {"b": b"\x01"}


@run_async
async def test_the_second_answer_is_ignored(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        answers: list[Any] = []
        client.socket.emit("twice", answers.append)
        assert await client.socket.emit_with_ack("echo", "after") == "after"
        assert answers == ["first"]


@run_async
async def test_values_arrive_as_they_are(home: NodeHome, server: NodeServer) -> None:
    values: list[Any] = [
        False,
        None,
        0,
        -1.5,
        "",
        [],
        {},
        "てすと",
        "Я Б Г Д Ж Й",
        "Ä ä Ü ü ß",
        "utf8 — 𝄞 \u2028\x1e",
        {"a": [None, {"b": True}]},
        b"",
        b"\x00\xff",
        {"hello": "lol", "message": b"binary", "goodbye": [b"more"]},
    ]
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.emit("echo", *values)
        assert await client.next("echo") == values
        assert await server.next_event("echo") == values


@run_async
async def test_a_date_is_sent_as_text(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        await server.run("io.emit('date', new Date(0), { date: new Date(1) })")
        text = "1970-01-01T00:00:00.00"
        assert await client.next("date") == [f"{text}0Z", {"date": f"{text}1Z"}]


@run_async
async def test_binary_events_keep_their_place_among_others(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        for number in range(20):
            client.socket.emit("echo", number, *([bytes([number])] if number % 2 else []))
        got = [await client.next("echo") for _ in range(20)]
        assert got == [[n, bytes([n])] if n % 2 else [n] for n in range(20)]


@run_async
async def test_a_lot_of_data_both_ways(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url, per_message_deflate=False) as clients:
        client = await clients.connect()
        client.socket.emit("large", 900_000)
        assert await client.next("large") == ["x" * 900_000, b"\x07" * 900_000]
        assert await client.socket.emit_with_ack("echo", "y" * 900_000) == "y" * 900_000


# --- namespaces of one Manager


@run_async
async def test_a_namespace_can_be_joined_later(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        foo = await clients.connect("/foo", manager=client.manager)
        assert await foo.socket.emit_with_ack("id") == foo.socket.id != client.socket.id
        assert await server.sessions() == 1


@run_async
async def test_a_namespace_can_be_joined_after_the_connection_was_closed(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        assert (await client.next("disconnect"))[0] == "io client disconnect"
        assert client.manager.ready_state == "closed"
        await clients.connect("/foo", manager=client.manager)
        assert client.manager.ready_state == "open"


@run_async
async def test_one_can_connect_while_another_disconnects(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        foo = await clients.connect("/foo")
        asd = clients.start("/asd", manager=foo.manager)
        foo.socket.disconnect()
        await asd.next("connect")


@run_async
async def test_the_connection_is_closed_with_its_last_socket(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        foo = await clients.connect("/foo")
        asd = await clients.connect("/asd", manager=foo.manager)
        foo.socket.disconnect()
        assert (await server.next("disconnect"))[:1] == ["/foo"]
        assert await asd.socket.emit_with_ack("echo", 1) == 1
        assert asd.told.count("close") == 0
        asd.socket.disconnect()
        assert (await asd.told.next("close"))[0] == "forced close"


@run_async
async def test_a_socket_of_a_manager_is_opened_again(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        await client.next("disconnect")
        again = client.manager.socket("/")
        assert again is client.socket
        assert again.active
        await client.next("connect")


@run_async
async def test_a_socket_that_is_active_is_not_opened_twice(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start()
        assert client.manager.socket("/") is client.socket
        foo = clients.start("/foo", manager=client.manager)
        assert client.manager.socket("/foo") is foo.socket
        await client.next("connect")
        await foo.next("connect")
        assert client.manager.socket("/") is client.socket
        client.socket.disconnect()
        foo.socket.disconnect()
        await client.manager.wait_closed()
        await server.emptied()
        assert await server.messages() == ["0", "0/foo,", "1", "1/foo,"]


# --- leaving


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@run_async
async def test_what_was_emitted_before_closing_arrives(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(way=way)
        for number in range(10):
            client.socket.emit("last", number, b"words")
        await client.socket.close()
        for number in range(10):
            assert await server.next_event("last") == [number, b"words"]
        assert (await server.next("disconnect"))[2] == "client namespace disconnect"
        await server.emptied()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@run_async
async def test_leaving_the_block_says_goodbye(home: NodeHome, server: NodeServer, way: Way) -> None:
    async with nuncio.connect(server.url, transports=way.transports, force_new=True) as socket:
        socket.emit("last")
    assert await server.next_event("last") == []
    assert (await server.next("disconnect"))[2] == "client namespace disconnect"
    await server.emptied()
    assert not socket.connected


# --- what breaks


@run_async
async def test_what_cannot_be_decoded_closes_the_connection(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        engine = client.manager.engine
        assert engine is not None
        await server.send_raw("bad")
        assert (await client.next("disconnect"))[0] == "parse error"
        await client.told.next("reconnect")
        assert client.manager.engine is not engine
        await within(engine.wait_closed())
        assert engine.ready_state == "closed"


@run_async
async def test_what_a_handler_raises_is_no_parse_error(
    home: NodeHome, server: NodeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        told: list[Any] = []
        client.manager.on_error(lambda error, socket, event: told.append((str(error), event)))

        def broken() -> None:
            raise ValueError("mine")

        client.socket.on("broken", broken)
        await server.emit("broken")
        await eventually(lambda: told)
        assert told == [("mine", "broken")]
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert client.names().count("disconnect") == 0
        # Who handles nothing else is at least told by the log.
        assert "broken" in caplog.text
        caplog.clear()
