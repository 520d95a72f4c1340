"""Namespaces that the official client asks for, and that are made for it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from nuncio import AckTimeout, ConnectError, Limits, Namespace, OptionError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.node import JSError, Node, Way

ROOMS = re.compile(r"^/room-\d+$")


def refusal(args: list[Any]) -> str:
    """The message of a `connect_error`."""
    (error,) = args
    assert isinstance(error, JSError)
    return error.message


@run_async
async def test_a_pattern_makes_namespaces(node: Node, way: Way) -> None:
    io = Server()
    made: list[str] = []
    io.on("new_namespace", lambda nsp: made.append(nsp.name))
    rooms = io.of(ROOMS)

    @rooms.event
    def where(socket: Socket) -> str:
        return socket.nsp.name

    async with node.clients(io) as clients:
        one = await clients.connect("/room-1", way=way)
        two = await clients.join(one, "/room-2")
        assert [await one.ask("where"), await two.ask("where")] == [["/room-1"], ["/room-2"]]
        other = await clients.start_joining(one, "/other")
        assert refusal(await other.next("connect_error")) == "Invalid namespace"
        rooms.emit("all", 1)
        assert await one.next("all") == [1]
        assert await two.next("all") == [1]
        io.of("/room-1").emit("mine", 2)
        assert await one.next("mine") == [2]
        assert made == ["/room-1", "/room-2"]
        assert set(rooms.children) == {"/room-1", "/room-2"}


@run_async
async def test_a_pattern_is_searched_for(node: Node) -> None:
    io = Server()
    io.of(re.compile("/room"))
    async with node.clients(io) as clients:
        await clients.connect("/a/room/b")


@run_async
async def test_the_parents_middlewares_and_handlers_are_those_of_the_child(node: Node) -> None:
    io = Server()
    rooms = io.of(ROOMS)
    calls: list[str] = []

    @rooms.use
    async def guard(socket: Socket) -> None:
        calls.append("guard")
        if socket.handshake.auth.get("token") != "yes":
            raise ConnectError("no token")

    rooms.on("connection", lambda socket: calls.append("connection"))
    async with node.clients(io) as clients:
        refused = await clients.start("/room-1")
        assert refusal(await refused.next("connect_error")) == "no token"
        await clients.connect("/room-1", auth={"token": "yes"})
        assert calls == ["guard", "guard", "connection"]
        # What comes later does not reach the namespaces there are.
        rooms.use(lambda socket: calls.append("late"))
        await clients.connect("/room-1", auth={"token": "yes"})
        assert "late" not in calls
        await clients.connect("/room-2", auth={"token": "yes"})
        assert "late" in calls


@run_async
async def test_a_function_decides(node: Node) -> None:
    io = Server()
    asked: list[tuple[str, Any]] = []

    async def second(name: str, auth: dict[str, Any]) -> bool:
        await asyncio.sleep(0)
        asked.append((name, auth))
        return name == "/second"

    parents = [io.of(lambda name: name == "/first"), io.of(second), io.of(lambda: True)]
    async with node.clients(io) as clients:
        for name in ("/first", "/second", "/third"):
            await clients.connect(name, auth={"a": 1})
    assert [list(parent.children) for parent in parents] == [["/first"], ["/second"], ["/third"]]
    assert asked == [("/second", {"a": 1}), ("/third", {"a": 1})]


@run_async
async def test_two_clients_at_once_get_the_same_namespace(node: Node) -> None:
    io = Server()
    made: list[Namespace] = []
    io.on("new_namespace", made.append)
    go = asyncio.Event()

    async def slowly(name: str) -> bool:
        await go.wait()
        return True

    io.of(slowly)
    async with node.clients(io) as clients:
        one, two = await clients.start("/x"), await clients.start("/x")
        await eventually(lambda: len(io.running) == 2)
        go.set()
        await one.next("connect")
        await two.next("connect")
        assert [nsp.name for nsp in made] == ["/x"]
        assert len(made[0].sockets) == 2


@run_async
async def test_a_function_that_fails_refuses_and_is_reported(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[str] = []
    io.on_error(lambda error: errors.append(str(error)))

    def fails(name: str) -> bool:
        raise RuntimeError("at once")

    async def fails_later(name: str) -> bool:
        await asyncio.sleep(0)
        raise RuntimeError("later")

    async with node.clients(io) as clients:
        parent = io.of(fails_later)
        one = await clients.start("/x")
        assert refusal(await one.next("connect_error")) == "Invalid namespace"
        io.parents.remove(parent)
        io.of(fails)
        io.of(lambda: True)
        two = await clients.start("/x")
        assert refusal(await two.next("connect_error")) == "Invalid namespace"
    assert errors == ["later", "at once"]
    caplog.clear()


@run_async
async def test_an_empty_namespace_is_removed_if_wanted(node: Node) -> None:
    for wanted in (True, False):
        io = Server(cleanup_empty_child_namespaces=wanted)
        rooms = io.of(ROOMS)
        rooms.use(_refuse_if_asked)
        async with node.clients(io) as clients:
            refused = await clients.start("/room-1", auth={"refuse": True})
            await refused.next("connect_error")
            client = await clients.connect("/room-2")
            other = await clients.connect("/room-2")
            await other.disconnect()
            await eventually(lambda: len(io.of("/room-2").sockets) == 1)  # noqa: B023
            first = io.of("/room-2")
            await client.disconnect()
            await eventually(lambda: not first.sockets)  # noqa: B023
            assert set(rooms.children) == (set() if wanted else {"/room-1", "/room-2"})
            await clients.connect("/room-2")
            assert (io.of("/room-2") is first) != wanted


def _refuse_if_asked(socket: Socket) -> None:
    if socket.handshake.auth.get("refuse"):
        raise ConnectError("as you wish")


@run_async
async def test_a_namespace_with_clients_that_may_recover_is_not_removed(node: Node) -> None:
    io = Server(cleanup_empty_child_namespaces=True, connection_state_recovery=True)
    rooms = io.of(ROOMS)
    async with node.clients(io) as clients:
        client = await clients.connect("/room-1", reconnection=True, reconnectionDelay=20)
        sid = await client.value("socket.id")
        await client.run("socket.io.engine.close()")
        await client.next("connect")
        assert await client.value("socket.id") == sid
        await client.disconnect()
        await eventually(lambda: not rooms.children)


@run_async
async def test_a_namespace_made_by_hand_belongs_to_its_pattern(node: Node) -> None:
    io = Server()
    rooms = io.of(ROOMS)
    nobody = io.of(lambda: True)
    by_hand = io.of("room-7")
    other = io.of("/other")
    assert by_hand.parent is rooms
    assert other.parent is None
    assert nobody.children == {}
    async with node.clients(io) as clients:
        client = await clients.connect("/room-7")
        rooms.emit("all")
        await client.next("all")


@run_async
async def test_clients_cannot_make_any_number_of_namespaces(node: Node) -> None:
    io = Server(limits=Limits(dynamic_namespaces=2))
    io.of(ROOMS)
    async with node.clients(io) as clients:
        first = await clients.connect("/room-1")
        await clients.join(first, "/room-2")
        third = await clients.start_joining(first, "/room-3")
        assert refusal(await third.next("connect_error")) == "Invalid namespace"
        await clients.connect("/room-1")


@run_async
async def test_nor_while_the_application_considers_them(node: Node) -> None:
    io = Server(limits=Limits(dynamic_namespaces=1))
    asked: list[str] = []
    decided = asyncio.Event()

    async def consider(name: str) -> bool:
        asked.append(name)
        await decided.wait()
        return True

    parent = io.of(consider)
    async with node.clients(io) as clients:
        first = await clients.start("/x")
        second = await clients.start("/y")
        await eventually(lambda: len(asked) == 2)
        decided.set()
        await eventually(lambda: first.names() and second.names())
        assert sorted(first.names() + second.names()) == ["connect", "connect_error"]
        assert len(parent.children) == 1


@run_async
async def test_the_parent_speaks_for_all_its_children(node: Node) -> None:
    io = Server()
    rooms = io.of(ROOMS)
    async with node.clients(io) as clients:
        one = await clients.connect("/room-1")
        two = await clients.connect("/room-2")
        for client in (one, two):
            await client.on("q", "(answer) => answer(socket_id)".replace("socket_id", "1"))
        assert await within(rooms.timeout(30).emit_with_ack("q")) == [1, 1]
        await two.run("socket.off('q')")
        with pytest.raises(AckTimeout) as caught:
            await rooms.timeout(0.1).emit_with_ack("q")
        assert caught.value.responses == [1]
        fetched = await rooms.fetch_sockets()
        assert sorted(socket.nsp.name for socket in fetched) == ["/room-1", "/room-2"]
        rooms.sockets_join("x")
        assert all("x" in socket.rooms for socket in fetched)
        rooms.in_("x").sockets_leave("x")
        assert not any("x" in socket.rooms for socket in fetched)
        rooms.disconnect_sockets()
        assert await one.next("disconnect") == ["io server disconnect"]
        assert await two.next("disconnect") == ["io server disconnect"]
    assert await within(io.of(lambda: False).timeout(1).emit_with_ack("q")) == []


def test_what_is_no_name() -> None:
    io = Server()
    wrong: Any
    for wrong in (5, None, b"/x", re.compile(b"/x")):
        with pytest.raises(OptionError, match="name"):
            io.of(wrong)
