"""Authentication against the official clients: refusals, fresh tokens, the end of the time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nuncio import Server, Socket
from nuncio.auth import JWT
from tests.auth.tokens import OTHER, SECRET, token
from tests.docs.samples import blocks
from tests.support.aio import eventually, run_async
from tests.support.inbox import Inbox
from tests.support.node import JSError, Node, Way


def documented(function: str) -> str:
    """A function of the guide, as users of the official client copy it."""
    [found] = [block.text for block in blocks("js") if f"function {function}(" in block.text]
    return found


def serving(**options: Any) -> Server[Any, Any]:
    io = Server()
    io.use(JWT(SECRET, algorithms=["HS256"], **options))
    return io


def soon(seconds: float) -> int:
    """A token's `exp` is in whole seconds."""
    return int(time.time() + seconds)


@run_async
async def test_a_client_with_a_token_is_let_in(node: Node, way: Way, version: str) -> None:
    io = serving()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version, auth={"token": token()})
        assert (await client.peer(io)).user["sub"] == "ada"


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (None, "token_missing"),
        ({}, "token_missing"),
        ({"token": token(exp=1)}, "token_expired"),
        ({"token": token(OTHER)}, "token_invalid"),
        ({"token": ["rubbish"]}, "token_invalid"),
    ],
)
@run_async
async def test_a_refused_client_learns_the_code(
    node: Node, way: Way, version: str, auth: Any, code: str
) -> None:
    async with node.clients(serving()) as clients:
        options = {} if auth is None else {"auth": auth}
        client = await clients.start(way=way, version=version, **options)
        [error] = await client.next("connect_error")
        assert isinstance(error, JSError)
        assert error.fields["message"] == "unauthorized"
        assert error.fields["data"] == {"code": code}
        assert await client.value("socket.connected") is False


@run_async
async def test_a_refused_client_connects_with_another_token(node: Node) -> None:
    async with node.clients(serving()) as clients:
        client = await clients.start(auth={"token": token(exp=1)})
        await client.next("connect_error")
        await client.run("socket.auth.token = args[0]; socket.connect()", token())
        await client.next("connect")


@run_async
async def test_a_token_in_a_header_of_the_request(node: Node, way: Way) -> None:
    io = serving()
    headers = {"authorization": f"Bearer {token()}"}
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, extraHeaders=headers)
        assert (await client.peer(io)).user["sub"] == "ada"


@run_async
async def test_a_fresh_token_over_a_live_connection(node: Node, way: Way, version: str) -> None:
    io = serving(room=lambda user: f"user:{user['sub']}")
    refreshed = Inbox()

    @io.on("auth_refreshed")
    async def again(socket: Socket, former: Any) -> None:
        refreshed.put(former.get("role"), socket.user["role"])

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version, auth={"token": token()})
        socket = await client.peer(io)
        [answer] = await client.ask("auth:refresh", {"token": token(role="admin")})
        assert answer == {"ok": True, "expires_in": pytest.approx(3600, abs=30)}
        assert await refreshed.next() == [None, "admin"]
        assert socket.user["role"] == "admin"
        [answer] = await client.ask("auth:refresh", {"token": token(OTHER)})
        error = {"message": "unauthorized", "data": {"code": "token_invalid"}}
        assert answer == {"ok": False, "error": error}
        assert socket.user["role"] == "admin"
        assert socket.connected
        assert await client.value("socket.connected") is True


@run_async
async def test_when_the_time_is_up_the_client_is_told_why(
    node: Node, way: Way, version: str
) -> None:
    io = serving()
    ended = Inbox()
    io.on("disconnect", lambda socket, reason: ended.put(reason))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version, auth={"token": token()})
        socket = await client.peer(io)
        # Within the notice already, so it is told at once.
        socket.expire_at(time.time() + 60, notice=100)
        [notice] = await client.next("auth:expiring")
        assert notice == {"expires_in": pytest.approx(60, abs=15)}
        socket.expire_at(time.time(), notice=0)
        assert await client.next("disconnect_reason") == ["auth expired"]
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        assert await ended.next() == ["auth expired"]
        told = ["connect", "auth:expiring", "disconnect_reason", "disconnect"]
        assert client.names() == told


@run_async
async def test_a_token_ends_the_connection_by_itself(node: Node) -> None:
    io = serving(notice=0)
    async with node.clients(io) as clients:
        client = await clients.connect(auth={"token": token(exp=soon(4))})
        assert await client.next("disconnect_reason") == ["auth expired"]
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@run_async
async def test_the_clients_few_lines_keep_it_signed_in(node: Node) -> None:
    io = serving(notice=1000)
    refreshed = Inbox()
    io.on("auth_refreshed", lambda socket: refreshed.put(socket.id))
    async with node.clients(io) as clients:
        client = await clients.start(autoConnect=False)
        # The first token is nearly over, so the server asks for another at once.
        await client.run(
            f"{documented('keepSignedIn')}; const tokens = args[0];"
            "keepSignedIn(socket, async () => tokens.length > 1 ? tokens.shift() : tokens[0]);"
            "socket.connect()",
            [token(exp=soon(60)), token()],
        )
        await client.next("connect")
        socket = await client.peer(io)
        assert await refreshed.next() == [socket.id]
        assert socket.access().expires_at == pytest.approx(time.time() + 3600, abs=30)
        # And when it comes too late all the same, it connects anew.
        socket.expire_at(0)
        await client.next("disconnect")
        await client.next("connect")
        assert (await client.peer(io)).user["sub"] == "ada"


@run_async
async def test_a_session_is_recovered_by_its_user_alone(node: Node, way: Way) -> None:
    io = Server(connection_state_recovery=True)
    io.use(JWT(SECRET, algorithms=["HS256"]))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, auth={"token": token()})
        sid = await client.value("socket.id")
        await client.cut(io)
        await client.back()
        assert await client.value("[socket.id, socket.recovered]") == [sid, True]
        assert (await client.peer(io)).user["sub"] == "ada"
        # The same page, after somebody else has signed in.
        await client.run("socket.auth.token = args[0]", token(sub="grace"))
        await client.cut(io)
        await client.back()
        assert await client.value("socket.recovered") is False
        assert await client.value("socket.id") != sid
        assert (await client.peer(io)).user["sub"] == "grace"


@run_async
async def test_the_reason_of_any_disconnect_arrives_first(
    node: Node, way: Way, version: str
) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version)
        socket = await client.peer(io)
        socket.emit("before")
        socket.disconnect(reason="kicked", data={"by": "ada", "picture": b"\x00\x01"})
        assert await client.next("disconnect_reason") == [
            "kicked",
            {"by": "ada", "picture": b"\x00\x01"},
        ]
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        assert client.names() == ["connect", "before", "disconnect_reason", "disconnect"]


@run_async
async def test_closing_the_connection_tells_every_namespace(node: Node, way: Way) -> None:
    io = Server()
    io.of("/other")
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        other = await clients.join(client, "/other")
        (await client.peer(io)).disconnect(True, reason="bye")
        for one in (client, other):
            assert await one.next("disconnect_reason") == ["bye"]
            assert (await one.next("disconnect"))[0] == "io server disconnect"
        await eventually(lambda: io.engine.clients_count == 0)


@run_async
async def test_clients_that_know_nothing_of_it_are_not_disturbed(node: Node, version: str) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(version=version)
        socket = await client.peer(io)
        socket.expire_at(time.time() + 5)
        socket.disconnect(reason="kicked")
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        assert "connect_error" not in client.names()
