"""Dependencies as clients see them, in everything that has a socket, and overridden in tests."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from nuncio import (
    ArgumentError,
    ConnectError,
    Depends,
    EventError,
    Namespace,
    OptionError,
    Server,
    Socket,
)
from tests.support.aio import eventually, run_async
from tests.support.dependencies import (
    AsyncDb,
    AsyncUser,
    Database,
    Db,
    User,
    ask,
    async_user,
    database,
    greeting,
    log,
    server,
    user,
)
from tests.support.inbox import Inbox
from tests.support.memory import Client


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


# What the client sees.


@run_async
async def test_arguments_are_checked_before_anything_is_made() -> None:
    io, errors = server()

    @io.event
    def message(socket: Socket, db: Db, n: int) -> None: ...

    [answer] = await ask(io, Client.join(io), "message", "no number") or []
    assert answer["error"]["argument"] == "n"
    assert isinstance((await errors.next())[0], ArgumentError)
    assert log == []


@run_async
async def test_what_dependencies_raise_never_reaches_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io, errors = server()
    client = Client.join(io)
    listening = Inbox()
    client.socket.on("error", listening.put)
    raised: list[Exception] = []

    def guard() -> None:
        raise raised[-1]

    async def async_guard() -> None:
        raise raised[-1]

    @io.event
    def plain(socket: Socket, guarded: None = Depends(guard)) -> None:
        log.append("never")

    @io.event
    async def waiting(socket: Socket, guarded: None = Depends(async_guard)) -> None:
        log.append("never")

    for event in ("plain", "waiting"):
        for error in (KeyError("secret"), ConnectError("secret")):
            raised.append(error)
            assert await ask(io, client, event) is None
            assert await errors.next() == [error, client.socket, event]
        caplog.clear()
        # Drops the event as in a middleware: no news for the log, or a client could fill it.
        raised.append(EventError("not allowed", {"why": "guest"}))
        assert await ask(io, client, event) is None
        assert await listening.next() == [raised[-1]]
        assert not [one for one in caplog.records if one.levelno > logging.DEBUG]
        # The one that is meant for the client.
        raised.append(ArgumentError(event, "token", "has expired"))
        [answer] = await ask(io, client, event) or []
        assert answer == {
            "error": {"code": "invalid_argument", "argument": "token", "message": "has expired"}
        }
        assert (await errors.next())[0] is raised[-1]
    assert errors.seen[-1][0] is raised[-1]
    assert log == []
    assert not [one for one in client.received if "secret" in str(one)]


# Where else they can be.


@run_async
async def test_handlers_of_one_socket_get_dependencies() -> None:
    io, _ = server()

    @io.on("connection")
    def connection(socket: Socket, name: User) -> None:
        @socket.on("whoami")
        def whoami(text: str, me: User, own: Socket) -> list[Any]:
            return [text, me, own is socket]

        @socket.on("later")
        async def later(me: AsyncUser, text: str) -> list[str]:
            return [me, text]

        log.append(name)

    client = Client.join(io)
    assert log == ["user", "ada"]
    assert await ask(io, client, "whoami", "x") == [["x", "ada", True]]
    assert await ask(io, client, "later", "x") == [["ada", "x"]]
    client.socket.off("whoami", client.socket.listeners("whoami")[0])
    assert await ask(io, client, "whoami", "x") is None


@run_async
async def test_lifecycle_handlers_get_dependencies() -> None:
    io, _ = server()

    @io.on("connection")
    async def connection(socket: Socket, db: AsyncDb, name: User) -> None:
        log.append(f"connection {name}")

    @io.on("disconnect")
    def disconnect(socket: Socket, reason: str, *, name: User) -> None:
        log.append(f"{name} left: {reason}")

    @io.on("disconnecting")
    def disconnecting(socket: Socket, name: User) -> None:
        log.append(f"{name} leaves")

    client = Client.join(io)
    await io.settle(30)
    assert log == ["opened", "user", "connection ada", "closed"]
    log.clear()
    client.lose()
    assert log == ["user", "ada leaves", "user", "ada left: transport close"]


@run_async
async def test_middlewares_get_dependencies() -> None:
    io = Server()

    def token(socket: Socket) -> str:
        return str(socket.handshake.auth.get("token"))

    async def later(socket: Socket) -> str:
        await asyncio.sleep(0)
        return "later"

    @io.use
    def check(
        socket: Socket, token: str = Depends(token), db: Database = Depends(database)
    ) -> None:
        if token != "right":
            raise ConnectError(f"not {token}")

    io.of("/later").use(check)

    @io.of("/later").use
    def wait(socket: Socket, it: str = Depends(later)) -> None:
        log.append(it)

    wrong = Client(io)
    wrong.send('0{"token":"wrong"}')
    assert wrong.received == ['4{"message":"not wrong"}']
    assert log == ["opened", "ConnectError", "closed"]
    right = Client.join(io, auth={"token": "right"})
    assert right.socket.connected
    log.clear()
    right.send('0/later,{"token":"right"}')
    await eventually(lambda: io.of("/later").sockets)
    assert log == ["opened", "closed", "later"]


@run_async
async def test_listeners_of_a_socket_get_dependencies() -> None:
    io, _ = server()
    client = Client.join(io)

    @client.socket.use
    def allowed(event: str, *args: Any, name: User) -> None:
        if event == "forbidden":
            raise EventError(f"not for {name}")

    @client.socket.use
    async def slowly(event: str, name: AsyncUser) -> None:
        log.append(f"use {event} {name}")

    @client.socket.use
    def last(event: str, socket: Socket) -> None:
        log.append(socket is client.socket)

    @client.socket.on_any
    def any(event: str, *args: Any, name: User) -> None:
        log.append(f"any {event} {name}")

    refused = Inbox()
    client.socket.on("error", refused.put)
    io.on("fine", lambda socket: "answer")
    assert await ask(io, client, "fine") == ["answer"]
    assert log == ["user", "any fine ada", "user", "async user", "use fine ada", True]
    client.emit("forbidden")
    assert str((await refused.next())[0]) == "not for ada"
    client.socket.off_any(any)
    assert client.socket.listeners_any() == []


def test_dependencies_without_a_socket_are_refused() -> None:
    io = Server()
    with pytest.raises(OptionError, match="has no socket, so it takes no dependencies"):
        io.on_error(lambda error, name=Depends(user): None)
    with pytest.raises(OptionError, match="has no socket, so it takes no dependencies"):
        io.on("new_namespace", lambda nsp, name=Depends(user): None)


@run_async
async def test_listeners_without_a_socket_may_be_annotated_all_the_same() -> None:
    io = Server()

    @io.on_error
    def failed(error: Exception, socket: Socket | None, event: str) -> None: ...

    @io.on_error
    def always(error: Exception, socket: Socket, event: str) -> None:
        log.append((error, socket, event))

    @io.on("new_namespace")
    def made(nsp: Namespace) -> None:
        log.append(nsp)

    @io.event
    def message(socket: Socket) -> None:
        raise error

    error = KeyError()
    client = Client.join(io)
    client.emit("message")
    other = io.of("/other")
    assert log == [(error, client.socket, "message"), other]


@run_async
async def test_dependencies_of_an_acknowledgement_are_refused() -> None:
    io, _ = server()
    client = Client.join(io)
    with pytest.raises(OptionError, match="has no socket, so it takes no dependencies"):
        client.socket.emit("question", lambda answer, name=Depends(user): None)


@run_async
async def test_listeners_and_off_know_the_function_that_was_registered() -> None:
    io, _ = server()

    @io.event
    def message(socket: Socket, name: User) -> str:
        return name

    assert io.listeners("message") == [message]
    io.off("message", message)
    assert io.listeners("message") == []


@run_async
async def test_a_handler_for_one_call_is_called_once() -> None:
    io, _ = server()
    io.once("message", lambda socket, name=Depends(user): name)
    client = Client.join(io)
    assert await ask(io, client, "message") == ["ada"]
    assert await ask(io, client, "message") is None


# Overrides.


@run_async
async def test_overrides_stand_in_for_dependencies_in_tests() -> None:
    io, _ = server()

    @io.event
    def message(socket: Socket, hello: str = Depends(greeting)) -> str:
        return hello

    client = Client.join(io)

    def fake() -> str:
        return "eve"

    io.dependency_overrides[user] = fake
    assert await ask(io, client, "message") == ["hello eve"]
    io.dependency_overrides.clear()
    assert await ask(io, client, "message") == ["hello ada"]


@run_async
async def test_an_override_may_be_async_where_the_dependency_is_not_and_the_other_way() -> None:
    io, _ = server()

    async def fake_user(db: AsyncDb) -> str:
        return "async fake"

    @io.event
    def plain(socket: Socket, name: User) -> str:
        return name

    @io.event
    def waiting(socket: Socket, name: AsyncUser) -> str:
        return name

    @io.event(thread=True)
    def blocking(socket: Socket, name: User) -> list[Any]:
        return [name, threading.current_thread() is threading.main_thread()]

    @io.on("disconnect")
    def disconnect(socket: Socket, reason: str, name: User) -> None:
        log.append(name)

    client = Client.join(io)
    io.dependency_overrides[user] = fake_user
    io.dependency_overrides[async_user] = lambda: "fake"
    assert await ask(io, client, "plain") == ["async fake"]
    assert await ask(io, client, "waiting") == ["fake"]
    assert await ask(io, client, "blocking") == [["async fake", False]]
    log.clear()
    client.lose()
    await io.settle(30)
    assert log == ["opened", "async fake", "closed"]


@run_async
async def test_an_override_that_cannot_be_called_so_is_reported() -> None:
    io, errors = server()
    io.on("message", lambda socket, name=Depends(user): name)
    io.dependency_overrides[user] = lambda request: "fake"
    assert await ask(io, Client.join(io), "message") is None
    error = (await errors.next())[0]
    assert isinstance(error, OptionError)
    assert "parameter 'request'" in str(error)
