"""Letting in by any function, and proving again who one is while connected."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from typing import Any

import pytest

from nuncio import ConnectError, Disconnected, Limits, OptionError, Server, Socket, auth
from nuncio.auth import Identity
from tests.support.aio import eventually, run_async
from tests.support.clock import stopped
from tests.support.memory import Client

NOBODY = '4{"message":"unauthorized","data":{"code":"unauthorized"}}'


def by_name(socket: Socket, given: dict[str, Any]) -> Identity | None:
    """Whoever says a name is believed."""
    name = given.get("name")
    if not isinstance(name, str):
        return None
    return Identity({"name": name}, given.get("until"), key=name)


def room_of(user: Any) -> str:
    return f"user:{user['name']}"


async def ask(client: Client, *args: Any, id: int = 1) -> Any:
    """Send the event by which a client proves again who it is."""
    client.emit("auth:refresh", *args, id=id)
    await eventually(lambda: client.answers(id))
    [answer] = client.answers(id) or []
    return answer


# Letting in.


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_the_user_is_who_the_authenticator_found(waits: bool) -> None:
    async def later(socket: Socket, given: dict[str, Any]) -> Identity | None:
        await asyncio.sleep(0)
        return by_name(socket, given)

    io = Server()
    io.use(auth.middleware(later if waits else by_name, room=room_of))
    client = Client(io)
    client.send('0{"name":"ada"}')
    await eventually(lambda: io.sockets.sockets)
    [socket] = io.sockets.sockets.values()
    assert socket.user == {"name": "ada"}
    assert socket.rooms == {socket.id, "user:ada"}
    stranger = Client(io)
    stranger.send("0{}")
    await eventually(lambda: stranger.received)
    assert stranger.take() == [NOBODY]


@run_async
async def test_it_is_a_decorator_with_and_without_options() -> None:
    io = Server()

    @io.use
    @auth.middleware(optional=True)
    def one(socket: Socket, given: dict[str, Any]) -> Identity | None:
        return by_name(socket, given)

    @io.of("/other").use
    @auth.middleware
    async def other(socket: Socket, given: dict[str, Any]) -> Identity | None:
        return by_name(socket, given)

    assert isinstance(one, auth.Authentication)
    client = Client.join(io)
    assert client.socket.user is None
    client.send("0/other,{}")
    await eventually(lambda: client.received)
    assert client.take() == [NOBODY.replace("4", "4/other,", 1)]


@run_async
async def test_other_words_of_refusal_reach_the_client_and_failures_do_not() -> None:
    def who(socket: Socket, given: dict[str, Any]) -> Identity | None:
        if given.get("banned"):
            raise ConnectError("banned", {"until": "monday"})
        raise RuntimeError("the password of the database is 1234")

    io = Server()
    io.use(auth.middleware(who))
    errors: list[Exception] = []
    io.on_error(errors.append)
    client = Client(io)
    client.send('0{"banned":true}', "0{}")
    assert client.take() == [
        '4{"message":"banned","data":{"until":"monday"}}',
        '4{"message":"internal error"}',
    ]
    assert [type(error) for error in errors] == [RuntimeError]


@run_async
async def test_guests_are_let_in_where_that_is_said() -> None:
    io = Server()
    io.use(auth.middleware(by_name, optional=True, room=room_of))
    client = Client.join(io)
    assert client.socket.user is None
    assert client.socket.rooms == {client.sid}
    # And they can sign in without connecting anew.
    assert await ask(client, {"name": "ada"}) == {"ok": True, "expires_in": None}
    assert client.socket.user == {"name": "ada"}
    assert client.socket.rooms == {client.sid, "user:ada"}
    # But nobody becomes a guest by chance.
    refused = {"message": "unauthorized", "data": {"code": "unauthorized"}}
    assert await ask(client, {}, id=2) == {"ok": False, "error": refused}
    assert client.socket.user == {"name": "ada"}


@run_async
async def test_an_identity_is_what_an_authenticator_returns() -> None:
    io = Server()
    wrong: Any = lambda socket, given: "ada"  # noqa: E731
    io.use(auth.middleware(wrong))
    errors: list[Exception] = []
    io.on_error(errors.append)
    client = Client(io)
    client.send("0")
    assert client.take() == ['4{"message":"internal error"}']
    assert "nuncio.auth.Identity" in str(errors[0])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"room": "lobby"}, "room must be a function"),
        ({"refresh_event": "connect"}, "refresh_event: 'connect'"),
        ({"refresh_event": ""}, "refresh_event"),
        ({"refresh_event": "auth_refreshed"}, "refresh_event"),
        ({"expiring_event": "disconnect"}, "expiring_event"),
        ({"expiring_event": None}, "expiring_event"),
        ({"notice": -1}, "notice"),
        ({"notice": "soon"}, "notice"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        auth.middleware(by_name, **options)


def test_an_authenticator_is_a_function() -> None:
    wrong: Any = "ada"
    with pytest.raises(OptionError, match="authenticator must be a function"):
        auth.middleware(wrong)


@run_async
async def test_rooms_come_from_the_user() -> None:
    io = Server(limits=Limits(rooms=2))
    io.use(auth.middleware(by_name, room=lambda user: user["name"].split(",")))
    client = Client.join(io, auth={"name": "a,b"})
    assert client.socket.rooms == {client.sid, "a", "b"}
    errors: list[Exception] = []
    io.on_error(errors.append)
    refused = Client(io)
    refused.send('0{"name":"a,b,c"}')
    assert refused.take() == ['4{"message":"internal error"}']
    assert set(io.sockets.adapter.rooms) == {client.sid, "a", "b"}
    assert len(errors) == 1


# Proving again.


@run_async
async def test_a_client_proves_again_who_it_is() -> None:
    io = Server()
    clock = stopped(io)
    io.use(auth.middleware(by_name, room=room_of))
    client = Client.join(io, auth={"name": "ada", "until": time.time() + 100})
    socket = client.socket
    handshake = socket.handshake
    clock.advance(75)
    [notice] = client.take()
    assert str(notice).startswith('2["auth:expiring",{"expires_in":')
    answer = await ask(client, {"name": "ada", "until": time.time() + 1000, "new": True})
    assert answer == {"ok": True, "expires_in": pytest.approx(1000, abs=10)}
    assert handshake is socket.handshake
    assert handshake.auth["new"] is True
    clock.advance(900)
    assert socket.connected
    clock.advance(200)
    assert not socket.connected
    assert client.take()[-2:] == ['2["disconnect_reason","auth expired"]', "1"]


@run_async
async def test_what_does_not_hold_changes_nothing() -> None:
    io = Server()
    clock = stopped(io)
    io.use(auth.middleware(by_name, room=room_of))
    refreshed: list[Any] = []
    io.on("auth_refreshed", lambda *args: refreshed.append(args))
    client = Client.join(io, auth={"name": "ada", "until": time.time() + 100})
    socket = client.socket
    refused = {"message": "unauthorized", "data": {"code": "unauthorized"}}
    for id, args in enumerate([({},), (), ("ada",), (None,), ([1],), ({"name": ["ada"]}, 5)]):
        assert await ask(client, *args, id=id) == {"ok": False, "error": refused}
    with pytest.raises(ConnectError, match="unauthorized"):
        await socket.refresh_auth({"name": 5})
    assert socket.user == {"name": "ada"}
    assert socket.handshake.auth["name"] == "ada"
    assert socket.rooms == {socket.id, "user:ada"}
    assert refreshed == []
    clock.advance(101)
    assert not socket.connected


@run_async
async def test_a_connection_stays_with_its_user_unless_told_otherwise() -> None:
    io = Server()
    io.use(auth.middleware(by_name, room=room_of))
    io.of("/shared").use(auth.middleware(by_name, room=room_of, same_user=False))
    client = Client.join(io, auth={"name": "ada"})
    changed = {"message": "unauthorized", "data": {"code": "user_changed"}}
    assert await ask(client, {"name": "grace"}) == {"ok": False, "error": changed}
    assert client.socket.rooms == {client.sid, "user:ada"}
    shared = client.connect("/shared", {"name": "ada"})
    former: list[Any] = []
    io.of("/shared").on("auth_refreshed", lambda socket, user: former.append(user))
    await shared.refresh_auth({"name": "grace"})
    assert shared.user == {"name": "grace"}
    assert former == [{"name": "ada"}]
    assert shared.rooms == {shared.id, "user:grace"}


@run_async
async def test_the_application_looks_at_the_rooms_before_the_client_is_answered() -> None:
    io = Server()
    io.use(auth.middleware(by_name))
    order: list[str] = []

    @io.on("auth_refreshed")
    async def first(socket: Socket, former: Any) -> None:
        await asyncio.sleep(0)
        assert socket.user == former == {"name": "ada"}
        order.append("first")
        socket.leave("secret")

    @io.on("auth_refreshed")
    def fails(socket: Socket) -> None:
        order.append("fails")
        raise RuntimeError("for the log")

    @io.once("auth_refreshed")
    async def once() -> None:
        order.append("once")
        raise ValueError("for the log, too")

    errors: list[tuple[str, str]] = []
    io.on_error(lambda error, socket, event: errors.append((type(error).__name__, event)))
    client = Client.join(io, auth={"name": "ada"})
    client.socket.join("secret")
    for id in (1, 2):
        client.emit("auth:refresh", {"name": "ada"}, id=id)
        await eventually(functools.partial(client.answers, id))
    assert order == ["first", "fails", "once", "first", "fails"]
    assert client.socket.rooms == {client.sid}
    assert errors == [
        ("RuntimeError", "auth_refreshed"),
        ("ValueError", "auth_refreshed"),
        ("RuntimeError", "auth_refreshed"),
    ]


@run_async
async def test_clients_cannot_pretend_that_they_were_refreshed() -> None:
    io = Server()
    io.use(auth.middleware(by_name))
    called: list[Any] = []
    io.on("auth_refreshed", lambda *args: called.append(args))
    client = Client.join(io, auth={"name": "ada"})
    client.emit("auth_refreshed", {"name": "root"}, id=1)
    assert called == []
    assert client.take() == []


@run_async
async def test_the_later_of_two_attempts_counts() -> None:
    gates: dict[str, asyncio.Event] = {"slow": asyncio.Event(), "fast": asyncio.Event()}

    async def who(socket: Socket, given: dict[str, Any]) -> Identity:
        if socket.connected:
            await gates[given["speed"]].wait()
        return Identity(given["speed"])

    io = Server()
    io.use(auth.middleware(who))
    client = Client(io)
    client.send('0{"speed":"none"}')
    await eventually(lambda: io.sockets.sockets)
    [socket] = io.sockets.sockets.values()
    slow = asyncio.ensure_future(socket.refresh_auth({"speed": "slow"}))
    fast = asyncio.ensure_future(socket.refresh_auth({"speed": "fast"}))
    await asyncio.sleep(0)
    gates["fast"].set()
    await fast
    assert socket.user == "fast"
    gates["slow"].set()
    await slow
    assert socket.user == "fast"
    assert socket.handshake.auth == {"speed": "fast"}


@run_async
async def test_events_of_a_client_are_checked_one_after_the_other() -> None:
    checking = 0
    most = 0

    async def who(socket: Socket, given: dict[str, Any]) -> Identity:
        nonlocal checking, most
        checking += 1
        most = max(most, checking)
        await asyncio.sleep(0)
        checking -= 1
        return Identity("ada")

    io = Server()
    io.use(auth.middleware(who))
    client = Client(io)
    client.send("0")
    await eventually(lambda: io.sockets.sockets)
    for id in range(20):
        client.emit("auth:refresh", {}, id=id)
    await eventually(lambda: client.answers(19))
    assert most == 1


@run_async
async def test_who_leaves_meanwhile_is_left_alone() -> None:
    gate = asyncio.Event()

    async def who(socket: Socket, given: dict[str, Any]) -> Identity:
        if socket.connected:
            await gate.wait()
        return Identity(given["name"], key=given["name"])

    io = Server()
    io.use(auth.middleware(who, room=lambda user: f"user:{user}", same_user=False))
    client = Client(io)
    client.send('0{"name":"ada"}')
    await eventually(lambda: io.sockets.sockets)
    [socket] = io.sockets.sockets.values()
    waiting = asyncio.ensure_future(socket.refresh_auth({"name": "grace"}))
    client.emit("auth:refresh", {"name": "grace"}, id=1)
    await asyncio.sleep(0)
    client.lose()
    gate.set()
    with pytest.raises(Disconnected):
        await waiting
    with pytest.raises(Disconnected):
        await socket.refresh_auth({"name": "grace"})
    await eventually(lambda: not io.running)
    assert socket.user == "ada"
    assert io.sockets.adapter.rooms == {}


@run_async
async def test_a_failure_tells_the_client_nothing() -> None:
    def who(socket: Socket, given: dict[str, Any]) -> Identity:
        if socket.connected:
            raise RuntimeError("the password of the database is 1234")
        return Identity("ada")

    io = Server()
    io.use(auth.middleware(who))
    errors: list[tuple[Exception, str]] = []
    io.on_error(lambda error, socket, event: errors.append((error, event)))
    client = Client.join(io)
    answer = await ask(client, {})
    assert answer == {"ok": False, "error": {"message": "internal error", "data": None}}
    assert [(type(error), event) for error, event in errors] == [(RuntimeError, "auth:refresh")]
    assert client.socket.user == "ada"


@run_async
async def test_the_event_can_be_named_and_left_out() -> None:
    io = Server()
    io.use(auth.middleware(by_name, refresh_event=None))
    io.of("/named").use(auth.middleware(by_name, refresh_event="again"))
    client = Client.join(io, auth={"name": "ada"})
    client.emit("auth:refresh", {"name": "ada"}, id=1)
    assert client.answers(1) is None
    await client.socket.refresh_auth({"name": "ada", "n": 2})
    assert client.socket.handshake.auth["n"] == 2
    client.connect("/named", {"name": "ada"})
    client.emit("again", {"name": "ada"}, id=2, nsp="/named,")
    await eventually(lambda: client.answers(2, nsp="/named,"))
    assert client.answers(2, nsp="/named,") == [{"ok": True, "expires_in": None}]


@run_async
async def test_the_middleware_that_let_a_client_in_answers() -> None:
    def by_key(socket: Socket, given: dict[str, Any]) -> Identity | None:
        return Identity("machine") if given.get("key") == "1234" else None

    io = Server()
    people = auth.middleware(by_name)
    machines = auth.middleware(by_key)
    io.use(lambda socket: (machines if "key" in socket.handshake.auth else people)(socket))
    machine = Client.join(io, auth={"key": "1234"})
    person = Client.join(io, auth={"name": "ada"})
    assert machine.socket.user == "machine"
    refused = {"message": "unauthorized", "data": {"code": "unauthorized"}}
    assert await ask(machine, {"name": "root"}) == {"ok": False, "error": refused}
    assert (await ask(machine, {"key": "1234"}, id=2))["ok"]
    assert await ask(person, {"key": "1234"}) == {"ok": False, "error": refused}
    assert (await ask(person, {"name": "ada"}, id=2))["ok"]
    # However many connect, there is one handler for each.
    assert len(io.listeners("auth:refresh")) == 2


@run_async
async def test_new_credentials_are_a_dict() -> None:
    io = Server()
    io.use(auth.middleware(by_name))
    client = Client.join(io, auth={"name": "ada"})
    wrong: Any = "ada"
    with pytest.raises((OptionError, TypeError)):
        await client.socket.refresh_auth(wrong)
    assert client.socket.handshake.auth == {"name": "ada"}


@run_async
async def test_a_thread_cannot_await_it() -> None:
    io = Server()
    io.use(auth.middleware(by_name))

    @io.on("try", thread=True)
    def attempt(socket: Socket) -> str:
        try:
            socket.refresh_auth({})
        except RuntimeError as error:
            return str(error)
        return "no error"

    client = Client.join(io, auth={"name": "ada"})
    client.emit("try", id=1)
    await eventually(lambda: client.answers(1))
    assert json.dumps(client.answers(1)).startswith('["refresh_auth cannot be awaited in a thread')
