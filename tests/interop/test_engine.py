"""The engine on its own, with the official Engine.IO client."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import Session
from nuncio.engine import Engine
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import (
    POLLING,
    UPGRADED,
    UPGRADING,
    WAYS,
    Clients,
    EngineClient,
    Node,
    Way,
)


def echoing(**options: Any) -> tuple[Engine, list[Session], Inbox]:
    """An engine that sends back what it receives; its sessions, and how they closed."""
    engine = Engine(**options)
    sessions: list[Session] = []
    closed = Inbox()

    @engine.on("connection")
    def connection(session: Session) -> None:
        sessions.append(session)
        session.on("message", session.send)
        session.on("close", closed.put)

    return engine, sessions, closed


async def _connect(clients: Clients, way: Way) -> EngineClient:
    client = await clients.engine(transports=way.transports)
    if way.upgraded:
        await client.upgraded()
    return client


@run_async
async def test_messages_come_back(node: Node, way: Way) -> None:
    engine, [], _ = echoing()
    messages: list[str | bytes] = [
        "text",
        "",
        "é\u2028🎉",
        b"\x00\xff",
        b"",
        b"\xe0\x41",
        "x" * 200_000,
        bytes(200_000),
    ]
    async with node.clients(engine) as clients:
        client = await _connect(clients, way)
        for message in messages:
            await client.send(message)
        for message in messages:
            received = (await client.next("message"))[0]
            # What is empty is not there at all in the client.
            assert (received or type(message)()) == message


@run_async
async def test_messages_keep_their_order(node: Node, way: Way) -> None:
    engine, _, _ = echoing()
    async with node.clients(engine) as clients:
        client = await _connect(clients, way)
        await client.run(
            """
            for (let n = 0; n < 300; n++) socket.send(n % 2 ? "" + n : Buffer.from("" + n));
            """
        )
        for n in range(300):
            assert await client.next("message") == [str(n) if n % 2 else str(n).encode()]


SERVER_ENDS = {"graceful": False, "at once": True}


@pytest.mark.parametrize("discard", SERVER_ENDS.values(), ids=SERVER_ENDS)
@run_async
async def test_the_server_closes(node: Node, way: Way, discard: bool) -> None:
    engine, sessions, closed = echoing()
    async with node.clients(engine) as clients:
        client = await _connect(clients, way)
        [session] = sessions
        assert session.ready_state == "open"
        expected = ["transport close"]
        if not discard:
            session.send("last")
        elif way is POLLING:
            await eventually(lambda: session.transport.writable)
        elif way is UPGRADING:
            # At this moment there may be no poll to tell it to.
            expected.append("transport error")
        session.close(discard)
        if not discard:
            assert await client.next("message") == ["last"]
        assert (await client.next("close"))[0] in expected
        assert await closed.next() == ["forced close", ""]
        assert session.ready_state == "closed"
        session.send("ignored")
        assert engine.clients_count == 0


@run_async
async def test_the_client_closes(node: Node, way: Way) -> None:
    engine, _, closed = echoing()
    async with node.clients(engine) as clients:
        client = await _connect(clients, way)
        await client.run("socket.send('last'); socket.close()")
        assert (await closed.next())[0] == "transport close"
        assert await client.next("close") == ["forced close"]
        assert engine.clients_count == 0


@run_async
async def test_the_first_packet_may_bring_a_message(node: Node) -> None:
    initials: list[str | bytes] = ["welcome", b"welcome"]
    for initial in initials:
        engine, _, _ = echoing(initial_packet=initial)
        async with node.clients(engine) as clients:
            for way in WAYS:
                client = await clients.start_engine(transports=way.transports)
                assert await client.next("message") == [initial]


@run_async
async def test_ids_may_be_the_applications(node: Node) -> None:
    ids = iter(["first", "second"])

    async def generate(request: object) -> str:
        return next(ids)

    engine, sessions, _ = echoing(generate_id=generate)
    async with node.clients(engine) as clients:
        for name in ("first", "second"):
            client = await _connect(clients, UPGRADED)
            assert await client.value("socket.id") == name == sessions[-1].id
        assert sorted(engine.sessions) == ["first", "second"]


@run_async
async def test_the_handshake_tells_the_options(node: Node) -> None:
    engine, _, _ = echoing(ping_interval=1.5, ping_timeout=2.25, max_http_buffer_size=12345)
    async with node.clients(engine) as clients:
        client = await clients.start_engine(transports=["polling"])
        [shake] = await client.next("handshake")
        assert len(shake.pop("sid")) == 20
        assert shake == {
            "upgrades": ["websocket"],
            "pingInterval": 1500,
            "pingTimeout": 2250,
            "maxPayload": 12345,
        }


@run_async
async def test_payloads_stay_below_what_the_handshake_allows(node: Node) -> None:
    engine, _, _ = echoing(max_http_buffer_size=1000)
    async with node.clients(engine) as clients:
        client = await clients.engine(transports=["polling"])
        await client.run("for (let n = 0; n < 50; n++) socket.send('é'.repeat(200) + n)")
        for n in range(50):
            assert await client.next("message") == ["é" * 200 + str(n)]
        await client.send("x" * 1000)
        [error] = await client.next("error")
        assert (error.message, error.fields["description"]) == ("xhr post error", 413)


@run_async
async def test_awaiting_a_message(node: Node, way: Way) -> None:
    engine, sessions, _ = echoing()
    async with node.clients(engine) as clients:
        client = await _connect(clients, way)
        [session] = sessions
        for n in range(20):
            await within(session.send(str(n) + "x" * 100_000))
        for n in range(20):
            assert await client.next("message") == [str(n) + "x" * 100_000]
        await eventually(lambda: not session.congested or way.transport == "polling")
