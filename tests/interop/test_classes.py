"""Classes as namespaces, and handlers with dependencies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest

import nuncio
from nuncio import ConnectError, Namespace, Server, Socket
from tests.support.aio import run_async
from tests.support.inbox import Inbox
from tests.support.node import JSError, Node, Way


class Line(msgspec.Struct):
    room: str
    text: str


class NotYours(Exception):
    """Somebody asks for what belongs to another."""


async def account(socket: Socket) -> str:
    await asyncio.sleep(0)
    return str(socket.data["user"])


async def transaction(
    owner: Annotated[str, nuncio.Depends(account)], chat: Chat
) -> AsyncIterator[str]:
    chat.log.append(f"begin {owner}")
    try:
        yield f"transaction of {owner}"
    except Exception:
        chat.log.append("roll back")
        raise
    chat.log.append("commit")


Transaction = Annotated[str, nuncio.Depends(transaction)]


class Audited:
    """A mixin that knows who was there."""

    gone: Inbox

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.gone.put(socket.data["user"], reason)


class Chat(Audited, Namespace):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gone = Inbox()
        self.log: list[str] = []

    @nuncio.middleware
    async def authenticate(self, socket: Socket) -> None:
        await asyncio.sleep(0)
        user = socket.handshake.auth.get("user")
        if not isinstance(user, str):
            raise ConnectError("who are you?", {"code": "unauthorized"})
        socket.data["user"] = user

    async def on_connection(self, socket: Socket) -> None:
        await asyncio.sleep(0)
        socket.join("lobby")
        socket.emit("welcome", socket.data["user"], b"\x01")

    async def on_say(self, socket: Socket, line: Line, data: bytes) -> dict[str, Any]:
        self.to(line.room).emit("said", socket.data["user"], line.text, data)
        return {"ok": True}

    @nuncio.event("with spaces", thread=True)
    def with_spaces(self, socket: Socket, value: int) -> int:
        return 2 * value

    async def on_pay(self, socket: Socket, amount: int, paid: Transaction) -> str:
        if amount > 10:
            raise NotYours(f"{amount} is too much")
        return f"{amount} in {paid}"


@run_async
async def test_a_class_serves_the_official_client(node: Node, way: Way) -> None:
    io = Server()
    failures = Inbox()
    io.on_error(failures.put)
    chat = io.register(Chat("/chat"))

    @io.exception_handler(NotYours)
    def refuse(error: NotYours, socket: Socket) -> dict[str, str]:
        return {"error": f"{socket.data['user']}: {error}"}

    async with node.clients(io) as clients:
        refused = await clients.start_joining(await clients.connect(way=way), "/chat")
        [error] = await refused.next("connect_error")
        assert isinstance(error, JSError)
        assert (error.message, error.fields["data"]) == ("who are you?", {"code": "unauthorized"})
        ada = await clients.join(await clients.connect(way=way), "/chat", auth={"user": "ada"})
        assert await ada.next("welcome") == ["ada", b"\x01"]
        grace = await clients.join(await clients.connect(way=way), "/chat", auth={"user": "grace"})
        assert await grace.next("welcome") == ["grace", b"\x01"]

        line = {"room": "lobby", "text": "hello"}
        assert await ada.ask("say", line, b"\x02") == [{"ok": True}]
        for client in (ada, grace):
            assert await client.next("said") == ["ada", "hello", b"\x02"]
        [wrong] = await ada.ask("say", {"room": 1}, b"")
        assert wrong["error"]["argument"] == "line"
        assert (await failures.next())[2] == "say"
        assert await grace.ask("with spaces", 21) == [42]

        assert await ada.ask("pay", 5) == ["5 in transaction of ada"]
        assert await grace.ask("pay", 11) == [{"error": "grace: 11 is too much"}]
        assert chat.log == ["begin ada", "commit", "begin grace", "roll back"]
        await grace.disconnect()
        assert await chat.gone.next() == ["grace", "client namespace disconnect"]
        assert len(failures.seen) == 1


@run_async
async def test_rooms_of_a_pattern_are_objects_of_a_class(node: Node) -> None:
    io = Server()

    class Room(Namespace):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.visits = 0

        def on_connection(self, socket: Socket) -> None:
            self.visits += 1

        def on_visits(self, socket: Socket) -> list[Any]:
            return [self.name, self.visits]

    rooms = io.of(re.compile(r"^/room-\d+$"), Room)
    async with node.clients(io) as clients:
        main = await clients.connect()
        one, two = [await clients.join(main, f"/room-{n}") for n in (1, 2)]
        other = await clients.join(await clients.connect(), "/room-1")
        assert await one.ask("visits") == [["/room-1", 2]]
        assert await two.ask("visits") == [["/room-2", 1]]
        rooms.emit("closing")
        for client in (one, two, other):
            assert await client.next("closing") == []


@run_async
async def test_what_dependencies_raise_stays_on_the_server(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    failures = Inbox()
    io.on_error(failures.put)

    def broken() -> None:
        raise RuntimeError("the password is hunter2")

    io.on("broken", lambda socket, it=nuncio.Depends(broken): "never")
    io.on("fine", lambda socket: "fine")
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.emit("broken")
        assert str((await failures.next())[0]) == "the password is hunter2"
        assert await client.ask("fine") == ["fine"]
        assert client.names() == ["connect"]
    caplog.clear()
