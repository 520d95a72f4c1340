"""Acting on many sockets at once."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import OptionError, Server
from nuncio.cluster import MemoryAdapter
from tests.support.aio import eventually, run_async
from tests.support.node import Node


@run_async
async def test_fetch_join_leave_and_disconnect(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        a, b, c = [await clients.connect() for _ in range(3)]
        sa, sb, sc = [await client.peer(io) for client in (a, b, c)]
        sa.join("x")
        sb.join(["x", "y"])
        sb.data["name"] = "b"

        async def fetched(operator: Any) -> set[str]:
            return {names[socket] for socket in await operator.fetch_sockets()}

        names = {sa: "a", sb: "b", sc: "c"}
        assert await fetched(io) == {"a", "b", "c"}
        assert await fetched(io.of("/")) == {"a", "b", "c"}
        assert await fetched(io.in_("x")) == {"a", "b"}
        assert await fetched(io.in_("x").except_("y")) == {"a"}
        assert await fetched(io.local.to(["x", "y"])) == {"a", "b"}
        assert await fetched(sa.to("x")) == {"b"}
        assert await fetched(io.to("nobody")) == set()
        (one,) = await io.to("y").fetch_sockets()
        assert (one.data, one.rooms) == ({"name": "b"}, {sb.id, "x", "y"})

        io.in_("x").sockets_join(["z", 5])
        assert await fetched(io.in_("z")) == {"a", "b"}
        assert await fetched(io.in_(5)) == {"a", "b"}
        sa.broadcast.sockets_join("others")
        assert await fetched(io.in_("others")) == {"b", "c"}
        io.in_("z").sockets_leave(["z", "x"])
        assert await fetched(io.in_(["z", "x"])) == set()
        io.sockets_join("all")
        io.of("/").sockets_leave("all")
        assert await fetched(io.in_("all")) == set()

        io.in_("y").disconnect_sockets()
        assert await b.next("disconnect") == ["io server disconnect"]
        assert await fetched(io) == {"a", "c"}
        io.of("/").disconnect_sockets(True)
        assert await a.next("disconnect") == ["io server disconnect"]
        assert await c.next("disconnect") == ["io server disconnect"]
        await eventually(lambda: io.engine.clients_count == 0)


@run_async
async def test_an_acknowledged_broadcast_by_callback(node: Node) -> None:
    io = Server()
    answers: list[Any] = []
    async with node.clients(io) as clients:
        for _ in range(2):
            client = await clients.connect()
            await client.on("q", "(a, answer) => answer(a * 2)")
        io.timeout(30).emit("q", 4, lambda error, responses: answers.append((error, responses)))
        await eventually(lambda: answers)
        assert answers == [(None, [8, 8])]


@run_async
async def test_alone_there_is_no_other_server(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    io.on_server("load", lambda: pytest.fail("it is this server that asks"))
    io.server_side_emit("load", 1)
    assert await io.server_side_emit_with_ack("load", 1) == []
    assert await io.of("/x").server_side_emit_with_ack("load", timeout=1) == []
    for reserved in ("connect", "connection", "new_namespace"):
        with pytest.raises(OptionError, match="reserved"):
            io.server_side_emit(reserved)
    for wrong in ("", 5):
        with pytest.raises((OptionError, TypeError)):
            io.on_server(wrong, print)  # type: ignore[arg-type]


def test_an_adapter_of_ones_own() -> None:
    class Counting(MemoryAdapter):
        """Counts broadcasts."""

        def __init__(self, nsp: Any) -> None:
            super().__init__(nsp)
            self.count = 0

        def broadcast(self, payload: Any, options: Any) -> Any:
            self.count += 1
            return super().broadcast(payload, options)

    io = Server(adapter=Counting)
    io.emit("a")
    io.to("x").emit("b")
    io.of("/other").emit("c")
    adapter: Any = io.sockets.adapter
    assert adapter.count == 2


@pytest.mark.parametrize("wrong", [5, "redis", object()])
def test_what_is_no_adapter(wrong: Any) -> None:
    with pytest.raises(OptionError, match="adapter"):
        Server(adapter=wrong)


def test_an_adapter_that_is_none() -> None:
    with pytest.raises(OptionError, match="Adapter"):
        Server(adapter=lambda nsp: "no adapter").of("/")
