"""Moving from long-polling to WebSocket, with traffic in both directions all the while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from nuncio import ConnectError, Exchange, Request, Server, Session, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.live import HOSTS
from tests.support.node import POLLING, UPGRADING, Client, Clients, Node

# Numbered events, every third with attachments; the client goes on until it has moved, and then
# sends as many again.
TALK = """
socket.offAny();
const received = [];
socket.on("down", (n, ...data) => received.push([n, ...data]));
socket.on("question", (n, ack) => ack(n));
let upgraded = false;
let sent = 0;
const answers = [];
const emit = () => {
  const n = sent++;
  if (n % 3) socket.emit("up", n);
  else socket.emit("up", n, Buffer.from([n]), { second: Buffer.alloc(n % 50) });
  socket.emit("ask", n, (answer) => answers.push(answer));
};
const talk = (left) => {
  for (let i = 0; i < 3; i++) emit();
  if (left) setTimeout(talk, 1, upgraded ? left - 1 : left);
  else socket.emit("finished", sent);
};
socket.on("connect", () => {
  const engine = socket.io.engine;
  upgraded = engine.transport.name === "websocket";
  engine.on("upgrade", () => (upgraded = true));
  talk(10);
});
socket.on("all", () => socket.emit("ready"));
socket.connect();
await new Promise((resolve) => socket.on("finish", resolve));
return { received, answers, sent, transport: socket.io.engine.transport.name };
"""


def attachments(n: int) -> list[Any]:
    """What goes with the n-th event."""
    return [] if n % 3 else [bytes([n % 256]), {"second": bytes(n % 50)}]


class Talk:
    """The server's side of one conversation."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.sent = 0
        self.received: list[list[Any]] = []
        self.answers: list[Any] = []
        self.finished = asyncio.Event()
        self.total = 0
        self.warm = asyncio.Event()
        socket.on("up", self.up)
        # In the middle of everything.
        socket.conn.on("upgrading", lambda transport: self.burst())
        socket.conn.on("upgrade", lambda transport: self.burst())
        socket.on("ask", self.ask)
        socket.on("finished", self.finish)

    def up(self, *args: Any) -> None:
        """The client said something."""
        self.received.append(list(args))
        if len(self.received) == 30:
            self.warm.set()

    def burst(self) -> None:
        """Say much at once."""
        for _ in range(10):
            n = self.sent
            self.sent += 1
            self.socket.emit("down", n, *attachments(n))

    async def ask(self, n: int) -> int:
        """Answer in another turn of the loop."""
        await asyncio.sleep(0)
        return n

    def finish(self, total: int) -> None:
        """The client has said everything."""
        self.total = total
        self.finished.set()

    async def talk(self) -> None:
        """Talk until the client has upgraded and finished."""
        pending: list[Awaitable[Any]] = []
        while not self.finished.is_set():
            self.burst()
            pending.append(self.socket.emit_with_ack("question", len(pending)))
            await asyncio.sleep(0.002)
        self.answers = await asyncio.gather(*pending)
        self.socket.emit("finish")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("kind", ["at once", "later", "deflate"])
@run_async
async def test_nothing_is_lost_or_reordered(node: Node, host: str, kind: str) -> None:
    io = Server(per_message_deflate=kind == "deflate")
    talks: dict[str, Talk] = {}
    sessions: dict[str, Talk] = {}
    tasks: list[asyncio.Task[None]] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        talk = Talk(socket)
        talks[socket.id] = sessions[socket.conn.id] = talk
        tasks.append(asyncio.create_task(talk.talk()))

    async def wait_for_traffic(request: Request, response: Exchange) -> None:
        if "upgrade" in request.headers:
            await eventually(lambda: request.query["sid"] in sessions)
            await within(sessions[request.query["sid"]].warm.wait())

    if kind != "at once":
        io.engine.use(wait_for_traffic)

    async def converse(clients: Clients) -> None:
        client = await clients.start(way=UPGRADING, autoConnect=False)
        heard = await within(clients.begin("run", ref=client.ref, code=TALK, args=[]))
        talk = talks[await client.value("socket.id")]
        assert heard["transport"] == "websocket"
        assert talk.socket.conn.upgraded
        assert heard["received"] == [[n, *attachments(n)] for n in range(talk.sent)]
        assert heard["answers"] == list(range(heard["sent"]))
        assert talk.total == heard["sent"]
        assert talk.received == [[n, *attachments(n)] for n in range(talk.total)]
        assert talk.answers == list(range(len(talk.answers)))

    async with node.clients(io, host=host) as clients:
        for _ in range(3):
            await asyncio.gather(*[converse(clients) for _ in range(4)])
        for task in tasks:
            await task


async def _works(io: Server, client: Client) -> None:
    socket = await client.peer(io)
    assert await client.ask("echo", b"1") == [b"1"]
    socket.emit("still", b"2")
    assert await client.next("still") == [b"2"]


@pytest.mark.parametrize(
    "options", [{"transports": ["polling"]}, {"allow_upgrades": False}], ids=["polling", "none"]
)
@run_async
async def test_a_server_that_offers_no_upgrade(node: Node, options: dict[str, Any]) -> None:
    io = Server(**options)
    io.on("echo", lambda socket, value: value)
    async with node.clients(io) as clients:
        client = await clients.connect(way=UPGRADING)
        await _works(io, client)
        assert await client.transport() == "polling"


@run_async
async def test_a_server_without_polling(node: Node) -> None:
    io = Server(transports=["websocket"])
    io.on("echo", lambda socket, value: value)
    async with node.clients(io) as clients:
        await _works(io, await clients.connect())
        refused = await clients.start(way=POLLING)
        [error] = await refused.next("connect_error")
        assert (error.message, error.fields["description"]) == ("xhr poll error", 400)


@run_async
async def test_an_upgrade_that_is_refused_leaves_the_session_as_it_is(node: Node) -> None:
    io = Server()
    io.on("echo", lambda socket, value: value)
    refused = asyncio.Event()

    @io.engine.use
    def no_websocket(request: Request, response: Exchange) -> None:
        if "upgrade" in request.headers:
            refused.set()
            raise ConnectError("no WebSocket")

    async with node.clients(io) as clients:
        client = await clients.connect(way=UPGRADING)
        await within(refused.wait())
        await _works(io, client)
        assert await client.transport() == "polling"
        direct = await clients.start()
        [error] = await direct.next("connect_error")
        assert error.message == "websocket error"


@run_async
async def test_an_upgrade_that_is_never_completed_is_given_up(node: Node) -> None:
    io = Server(upgrade_timeout=0.3)
    io.on("echo", lambda socket, value: value)
    async with node.clients(io) as clients:
        client = await clients.connect(way=POLLING)
        # A probe that stays silent, and one that answers with something else.
        code = """
        const WebSocket = require("ws");
        const ws = new WebSocket(args[0] + socket.io.engine.id);
        ws.on("open", () => { if (args[1]) ws.send(args[1]) });
        ws.on("close", (code) => report("probe", code));
        """
        url = f"ws://127.0.0.1:{clients.port}/socket.io/?EIO=4&transport=websocket&sid="
        for said in (None, "2probe", "4hello", "2", "x"):
            await client.run(code, url, said)
            assert await client.next("probe") == [1005]
            await _works(io, client)
        socket = await client.peer(io)
        assert not socket.conn.upgraded
        assert await client.transport() == "polling"


@run_async
async def test_sessions_tell_about_their_upgrade(node: Node) -> None:
    io = Server()
    seen = Inbox()

    @io.engine.on("connection")
    def session(session: Session) -> None:
        assert (session.transport.name, session.upgraded) == ("polling", False)
        session.on("upgrading", lambda transport: seen.put("upgrading", transport.name))
        session.on(
            "upgrade",
            lambda transport: seen.put("upgrade", transport.name, session.transport.name),
        )

    async with node.clients(io) as clients:
        client = await clients.connect(way=UPGRADING)
        assert await seen.next() == ["upgrading", "websocket"]
        assert await seen.next() == ["upgrade", "websocket", "websocket"]
        assert (await client.peer(io)).conn.upgraded
        # Long-polling is over for this session.
        answer = await clients.run(
            "const r = await fetch(args[0]); return [r.status, await r.json()]",
            f"{clients.url}/socket.io/?EIO=4&transport=polling&sid="
            + await client.value("socket.io.engine.id"),
        )
        assert answer == [400, {"code": 3, "message": "Bad request"}]


@pytest.mark.parametrize("who", ["client", "server", "conn"])
@run_async
async def test_ending_at_any_moment_of_the_upgrade(node: Node, who: str) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        for turns in range(10):
            client = await clients.connect(way=UPGRADING)
            socket = await client.peer(io)
            for _ in range(turns):
                await clients.run("")
            if who == "client":
                await client.disconnect()
            elif who == "server":
                socket.disconnect(True)
            else:
                socket.conn.close()
            expected = {
                "client": ("client namespace disconnect", "io client disconnect"),
                "server": ("server namespace disconnect", "io server disconnect"),
                "conn": ("forced close", "transport close"),
            }[who]
            assert ((await gone.next())[0], (await client.next("disconnect"))[0]) == expected
            await eventually(lambda: io.engine.clients_count == 0)
        assert len(gone.seen) == 10
