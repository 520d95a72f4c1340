"""The Engine.IO client alone: which transport it takes, and what it says at the end.

What the official Engine.IO client's own tests `socket` and `node` say, wherever it has a meaning in
Python.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nuncio import TransportError
from nuncio.client import ClientTransport, Polling, WebSocket
from tests.support.aio import block, run_async, within
from tests.support.nodeserver import ENGINE, NodeHome, NodeServer
from tests.support.ours import Heard, ours

SERVER = {"version": ENGINE, "maxHttpBufferSize": 100}

DENIED = {"query": {"deny": 1}}


@run_async
async def test_it_does_not_move_to_what_was_not_asked_for(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        [handshake] = await heard.next("handshake")
        assert handshake.upgrades == ["websocket"]
        engine.send("still")
        await heard.next("message")
        assert await heard.next("message") == ["still"]
        assert [method for method, _, _ in await server.reports("request")].count("POST") == 1
        assert all("websocket" not in url for _, url, _ in await server.reports("request"))


@run_async
async def test_it_does_not_move_when_told_not_to(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(upgrade=False)
        await heard.next("open")
        engine.send("still")
        await heard.next("message")
        assert await heard.next("message") == ["still"]
        assert all("websocket" not in url for _, url, _ in await server.reports("request"))


@run_async
async def test_the_callers_list_of_transports_stays_as_it_is(
    home: NodeHome, server: NodeServer
) -> None:
    given = ["websocket", "polling"]
    options: dict[str, Any] = {"transport_options": {"websocket": DENIED}}
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=given, try_all_transports=True, **options)
        await heard.next("open")
    assert given == ["websocket", "polling"]


@run_async
async def test_no_transport_at_all(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=[])
        [error] = await heard.next("error")
        assert isinstance(error, TransportError)
        assert str(error) == "No transports available"


@pytest.mark.parametrize(
    ("transports", "second"),
    [(["websocket", "polling"], "polling"), (["polling", "websocket"], "websocket")],
)
@run_async
async def test_the_next_transport_is_tried_when_asked_for(
    home: NodeHome, server: NodeServer, transports: list[str], second: str
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(
            transports=transports,
            try_all_transports=True,
            transport_options={transports[0]: DENIED},
        )
        await heard.next("open")
        assert engine.transport is not None and engine.transport.name == second
        assert heard.names().count("error") == 0


@run_async
async def test_the_next_transport_is_not_tried_otherwise(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transport_options={"polling": DENIED})
        [error] = await heard.next("error")
        assert isinstance(error, TransportError)
        assert (error.transport, error.status) == ("polling", 403)
        assert len(await server.reports("request")) == 1


@pytest.mark.parametrize("way", [Polling, WebSocket], ids=lambda way: way.name)
@run_async
async def test_transports_may_be_given_as_classes(
    home: NodeHome, server: NodeServer, way: type[ClientTransport]
) -> None:
    opened: list[str] = []

    class Own(way):  # type: ignore[valid-type, misc]  # any of them
        async def open(self, dial: Any) -> Any:
            opened.append(self.name)
            return await super().open(dial)

    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=[Own])
        await heard.next("open")
        assert engine.transport is not None and engine.transport.name == way.name
    assert opened == [way.name]


# --- why it ended


async def opened(heard: Heard) -> None:
    await heard.next("open")
    await heard.next("message")


@run_async
async def test_a_body_that_is_too_long_for_the_server(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        await opened(heard)
        engine.send("a" * 101)
        reason, description = await heard.next("close")
        assert reason == "transport error"
        assert "413" in description
        await within(engine.wait_closed())
        await server.close_engines(discard=True)


@run_async
async def test_a_message_that_is_too_long_for_the_server(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["websocket"])
        await opened(heard)
        engine.send("a" * 101)
        reason, description = await heard.next("close")
        assert reason == "transport close"
        assert "1009" in description


@pytest.mark.parametrize(
    ("transport", "words"), [("polling", "Session ID unknown"), ("websocket", "")]
)
@run_async
async def test_a_session_that_the_server_does_not_know(
    home: NodeHome, server: NodeServer, transport: str, words: str
) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=[transport], query={"sid": "abc"})
        [error] = await heard.next("error")
        assert isinstance(error, TransportError)
        assert (error.transport, error.status) == (transport, 400)
        assert words in str(error) and words in error.body


@run_async
async def test_a_heartbeat_that_was_missed(home: NodeHome) -> None:
    options: dict[str, Any] = {"pingInterval": 50, "pingTimeout": 50}
    async with NodeServer(home.program, ENGINE, **options) as server, ours(server.url) as clients:
        engine, heard = clients.engine(transports=["websocket"])
        await opened(heard)
        # For longer than the heartbeat allows.
        block(0.3)
        # Nothing goes to a server that has given this client up.
        engine.send("late")
        assert (await heard.next("close"))[0] == "ping timeout"
        assert heard.names().count("close") == 1
        await server.emptied()
        assert await server.reports("message") == []


@run_async
async def test_pings_are_answered(home: NodeHome) -> None:
    options: dict[str, Any] = {"pingInterval": 20, "pingTimeout": 5000}
    async with NodeServer(home.program, ENGINE, **options) as server, ours(server.url) as clients:
        for transport in ("polling", "websocket"):
            engine, heard = clients.engine(transports=[transport])
            pings = Heard(engine, ("ping",))
            await opened(heard)
            for _ in range(5):
                await pings.next("ping")
            engine.send("here")
            assert await heard.next("message") == ["here"]


# --- cookies


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@run_async
async def test_cookies_are_sent_back_when_asked_for(
    home: NodeHome, server: NodeServer, transport: str
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(
            transports=["polling", "websocket"] if transport == "websocket" else ["polling"],
            with_credentials=True,
        )
        await opened(heard)
        if transport == "websocket":
            await heard.next("upgrade")
        engine.send("headers")
        headers = json.loads((await heard.next("message"))[0])
        upgrade = (await server.reports("request"))[-1][2]
        sent = upgrade["cookie"] if transport == "websocket" else headers["cookie"]
        # Those that are over are not among them.
        assert sorted(sent.split("; ")) == ["kept=1", "odd=a=b&c"]


@run_async
async def test_cookies_are_not_sent_back_otherwise(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        await opened(heard)
        engine.send("headers")
        headers = json.loads((await heard.next("message"))[0])
        assert "cookie" not in headers


@run_async
async def test_cookies_to_begin_with(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(
            transports=["polling"], cookies={"session": "x"}, with_credentials=True
        )
        await opened(heard)
        engine.send("headers")
        await heard.next("message")
        sent = [headers.get("cookie") for _, _, headers in await server.reports("request")]
        assert sent[0] == "session=x"
        assert sorted(sent[-1].split("; ")) == ["kept=1", "odd=a=b&c", "session=x"]
