"""The Engine.IO client alone: messages, and closing at an awkward moment.

What the official Engine.IO client's own tests `connection`, `arraybuffer` and `binary-fallback`
say, wherever it has a meaning in Python.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from nuncio import TransportError
from tests.support.aio import eventually, run_async, within
from tests.support.nodeserver import ENGINE, NodeHome, NodeServer
from tests.support.oddserver import OPEN, OddServer, Request, Wire
from tests.support.ours import Heard, ours

SERVER = {"version": ENGINE, "maxHttpBufferSize": 100}

TRANSPORTS = pytest.mark.parametrize(
    "transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="+".join
)


async def greeted(heard: Heard) -> None:
    """The server greets whoever has a session."""
    await heard.next("open")
    assert await heard.next("message") == ["hi"]


@TRANSPORTS
@run_async
async def test_it_opens_and_receives(
    home: NodeHome, server: NodeServer, transports: list[str]
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=transports)
        [handshake] = await heard.next("handshake")
        await greeted(heard)
        assert engine.ready_state == "open"
        sid, first, _ = await server.next("connection")
        assert (engine.id, first) == (sid, transports[0])
        assert handshake.sid == sid


@TRANSPORTS
@run_async
async def test_text_and_bytes_come_back_in_order(
    home: NodeHome, server: NodeServer, transports: list[str]
) -> None:
    messages: list[str | bytes] = [
        "cash money €€€",
        "\U00010000-\U000dffff\U000e0000-\U0010ffff\ue000-\uf8ff",
        bytes(range(5)),
        b"",
        "",
        "after",
    ]
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=transports)
        await greeted(heard)
        for message in messages:
            engine.send(message)
        assert [(await heard.next("message"))[0] for _ in messages] == messages


@run_async
async def test_bytes_after_the_upgrade(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine()
        await heard.next("upgrade")
        await greeted(heard)
        engine.send(bytes(range(5)))
        engine.send("cash money €€€")
        assert await heard.next("message") == [bytes(range(5))]
        assert await heard.next("message") == ["cash money €€€"]


@TRANSPORTS
@run_async
async def test_bytes_as_text_when_forced(
    home: NodeHome, server: NodeServer, transports: list[str]
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=transports, force_base64=True)
        await greeted(heard)
        if len(transports) > 1:
            await heard.next("upgrade")
        engine.send(bytes(range(5)))
        assert await heard.next("message") == [bytes(range(5))]
        engine.send("binary")
        assert await heard.next("message") == [bytes(range(5))]
        assert all("b64=1" in url for _, url, _ in await server.reports("request"))


@run_async
async def test_bodies_are_as_long_as_the_server_allows(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        await greeted(heard)
        # Three of them fit into one body: 3 types, 2 separators, 30 + 30 + 35 letters.
        sent = ["a" * 99, "b" * 30, "c" * 30, "d" * 35, "€" * 33, "f" * 99]
        for message in sent:
            engine.send(message)
        assert [(await heard.next("message"))[0] for _ in sent] == sent
        assert await posted(server) == [100, 100, 100, 100]


@run_async
async def test_bodies_with_bytes_are_as_long_as_the_server_allows(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        await greeted(heard)
        # In base64: 97, then 29 + 1 + 21 + 1 + 29 bytes, then 97.
        sent: list[str | bytes] = [bytes(72), bytes(20), "a" * 20, bytes(20), bytes(72)]
        for message in sent:
            engine.send(message)
        assert [(await heard.next("message"))[0] for _ in sent] == sent
        assert await posted(server) == [97, 81, 97]


async def posted(server: NodeServer) -> list[int]:
    """How long the bodies of all POSTs were."""
    posts = [headers for method, _, headers in await server.reports("request") if method == "POST"]
    return [int(headers["content-length"]) for headers in posts]


@run_async
async def test_a_message_that_is_too_long_is_sent_alone_and_refused(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["polling"])
        await greeted(heard)
        engine.send("a" * 101)
        engine.send("b")
        assert (await heard.next("close"))[0] == "transport error"
        assert (await posted(server))[0] == 102
        await within(engine.wait_closed())
        # The server knows nothing of it before its heartbeat fails.
        await server.close_engines(discard=True)


@run_async
async def test_nothing_is_sent_after_closing(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=["websocket"])
        await greeted(heard)
        engine.close()
        engine.send("hi")
        assert await heard.next("close") == ["forced close", ""]
        await within(engine.wait_closed())
        await server.emptied()
        assert await server.messages() == []


# --- closing while it moves to WebSocket


@run_async
async def test_closing_waits_for_the_upgrade(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine()
        engine.on("upgrading", lambda transport: engine.close())
        await heard.next("close")
        assert heard.names().index("upgrade") < heard.names().index("close")


@run_async
async def test_what_was_sent_before_closing_during_the_upgrade_arrives(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine()

        def upgrading(transport: object) -> None:
            engine.send("before")
            engine.close()
            engine.send("after")

        engine.on("upgrading", upgrading)
        await heard.next("close")
        assert (await server.next("message"))[1] == "before"
        await within(engine.wait_closed())
        await server.emptied()
        assert await server.messages() == ["before"]


class NoUpgrade:
    """A server that offers WebSocket, and then does not keep the promise.

    Args:
        how: `refuse` the request, `close` when probed, give a `wrong` answer, or be `silent`.
    """

    def __init__(self, how: str) -> None:
        self.how = how
        self.posted: list[bytes] = []

    async def answer(self, request: Request, wire: Wire) -> None:
        """See `OddServer`."""
        if request.query["transport"] == "websocket":
            await self._probe(request, wire)
        elif request.method == "POST":
            self.posted.append(request.body)
            wire.reply(200, "ok")
        elif request.handshake:
            wire.reply(200, OPEN.replace("[]", '["websocket"]'))
        else:
            await wire.gone()

    async def _probe(self, request: Request, wire: Wire) -> None:
        if self.how == "refuse":
            wire.reply(403)
            return
        wire.upgrade(request)
        assert (await wire.receive()).data == b"2probe"
        if self.how == "wrong":
            wire.frame("3prob")
        if self.how != "close":
            await wire.gone()


@pytest.mark.parametrize("how", ["refuse", "close", "wrong", "silent"])
@run_async
async def test_an_upgrade_that_fails_leaves_polling_as_it_was(home: NodeHome, how: str) -> None:
    bad = NoUpgrade(how)
    async with OddServer(bad.answer) as odd, ours(odd.url) as clients:
        engine, heard = clients.engine()
        if how != "silent":
            [error] = await heard.next("upgrade_error")
            assert isinstance(error, TransportError)
        await heard.next("open")
        engine.send("here")
        await eventually(lambda: bad.posted)
        assert engine.transport is not None and engine.transport.name == "polling"
        engine.close()
        await within(engine.wait_closed())
        assert bad.posted == [b"4here", b"1"]
        assert heard.names().count("upgrading") == 0


# --- closing at other moments


@run_async
async def test_closing_before_it_is_open(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(query={"stall": 1})
        await server.next("request")
        engine.close()
        await within(engine.wait_closed())
        assert engine.ready_state == "closed"
        assert heard.names().count("error") == 0
        assert heard.names().count("open") == 0


@TRANSPORTS
@run_async
async def test_the_server_closes(home: NodeHome, server: NodeServer, transports: list[str]) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(transports=transports)
        await greeted(heard)
        if len(transports) > 1:
            await heard.next("upgrade")
        engine.send("close")
        assert (await heard.next("close"))[0] == "transport close"
        assert engine.ready_state == "closed"


@run_async
async def test_a_client_that_nobody_ends_does_not_keep_a_program_alive(
    home: NodeHome, server: NodeServer
) -> None:
    code = (
        "import asyncio, sys\n"
        "from nuncio.client import EngineClient\n"
        "async def main():\n"
        "    opened = asyncio.Event()\n"
        "    engine = EngineClient(sys.argv[1], path='/engine.io', transports=[sys.argv[2]])\n"
        "    engine.on('open', opened.set)\n"
        "    engine.open()\n"
        "    await opened.wait()\n"
        "asyncio.run(main())\n"
    )
    for transport in ("polling", "websocket"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, server.url, transport),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await within(process.communicate())
        assert (process.returncode, errors) == (0, b"")
    await server.close_engines(discard=True)
