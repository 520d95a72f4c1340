from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import fastapi
import pytest

import nuncio
from nuncio import (
    AckCallback,
    ArgumentError,
    ConnectError,
    Depends,
    EventError,
    Namespace,
    OptionError,
    Server,
    Socket,
)
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.memory import Client

log: list[Any] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


class Database:
    """What dependencies are for."""

    def __init__(self) -> None:
        log.append("opened")

    def close(self) -> None:
        log.append("closed")


def database() -> Iterator[Database]:
    opened = Database()
    try:
        yield opened
    except Exception as error:
        log.append(type(error).__name__)
        raise
    finally:
        opened.close()


async def async_database() -> AsyncIterator[Database]:
    await asyncio.sleep(0)
    opened = Database()
    try:
        yield opened
    except Exception as error:
        log.append(type(error).__name__)
        raise
    finally:
        await asyncio.sleep(0)
        opened.close()


def user(socket: Socket) -> str:
    log.append("user")
    return str(socket.data["user"])


async def async_user(socket: Socket) -> str:
    await asyncio.sleep(0)
    log.append("async user")
    return str(socket.data["user"])


def known(socket: Socket[Any, str], io: Server[Any, str]) -> bool:
    return io is socket.nsp.server


def greeting(name: Annotated[str, Depends(user)]) -> str:
    return f"hello {name}"


Db = Annotated[Database, Depends(database)]
AsyncDb = Annotated[Database, Depends(async_database)]
User = Annotated[str, Depends(user)]
AsyncUser = Annotated[str, Depends(async_user)]


def server(**options: Any) -> tuple[Server, Inbox]:
    """A server whose clients are called ada, and what its handlers raise."""
    io = Server(**options)
    errors = Inbox()
    io.on_error(errors.put)

    @io.use
    def name(socket: Socket) -> None:
        socket.data["user"] = "ada"

    return io, errors


async def ask(io: Server, client: Client, event: str, *args: Any) -> list[Any] | None:
    """Ask and wait until every handler has ended."""
    ask.last += 1  # type: ignore[attr-defined]
    id: int = ask.last  # type: ignore[attr-defined]
    client.emit(event, *args, id=id)
    while io.running:
        await within(asyncio.wait(set(io.running)))
    return client.answers(id)


ask.last = 0  # type: ignore[attr-defined]


class Service:
    def __init__(self, name: User, flag: bool = True) -> None:
        self.name = name

    def method(self, socket) -> str:  # type: ignore[no-untyped-def]
        return f"method of {socket.data['user']}"


@dataclasses.dataclass
class Limit:
    """Compared by value, so it cannot be hashed."""

    most: int

    def __call__(self, name: User) -> str:
        return f"{name} at most {self.most}"


class Generator:
    def __call__(self) -> Iterator[str]:
        yield "from a generator"


class Chat(Namespace):
    """A class of its own."""


def page(limit: int = 10, before: Annotated[str, fastapi.Depends(user)] = "") -> list[Any]:
    return [limit, before]


# What is given.


@run_async
async def test_a_handler_gets_what_it_depends_on_and_the_events_arguments() -> None:
    io, _ = server()

    @io.event
    def message(socket: Socket, text: str, db: Db, name: str = Depends(user)) -> list[Any]:
        log.append("handler")
        return [socket.id, text, type(db).__name__, name]

    client = Client.join(io)
    answer = await ask(io, client, "message", "hello")
    assert answer == [[client.sid, "hello", "Database", "ada"]]
    assert log == ["opened", "user", "handler", "closed"]


@run_async
async def test_dependencies_may_stand_anywhere_among_the_parameters() -> None:
    io, _ = server()

    @io.event
    def first(name: User, socket: Socket, text: str) -> list[Any]:
        return [name, socket.connected, text]

    @io.event
    def alone(name: User) -> str:
        return name

    @io.event
    def between(socket: Socket, a: int = 1, name: str = Depends(user), b: int = 2) -> list[Any]:
        return [a, name, b]

    @io.event
    def keyword(socket: Socket, a: int = 1, *rest: int, name: User, io: Server) -> list[Any]:
        return [a, list(rest), name, io is client.io]

    @io.event
    def before_rest(socket: Socket, name: User, *rest: int) -> list[Any]:
        return [name, list(rest)]

    @io.event
    def answers(socket: Socket, name: User, a: int, ack: AckCallback, other: User) -> None:
        ack(name, a, other)

    @io.event
    def everything(*args: Any, name: str = Depends(user)) -> list[Any]:
        return [args[0].connected, list(args[1:]), name]

    client = Client.join(io)
    assert await ask(io, client, "first", "x") == [["ada", True, "x"]]
    assert await ask(io, client, "alone", "x") == ["ada"]
    assert await ask(io, client, "between") == [[1, "ada", 2]]
    assert await ask(io, client, "between", 5) == [[5, "ada", 2]]
    assert await ask(io, client, "between", 5, 6) == [[5, "ada", 6]]
    assert await ask(io, client, "keyword") == [[1, [], "ada", True]]
    assert await ask(io, client, "keyword", 5, 6, 7) == [[5, [6, 7], "ada", True]]
    assert await ask(io, client, "before_rest", 1, 2) == [["ada", [1, 2]]]
    assert await ask(io, client, "answers", 1) == ["ada", 1, "ada"]
    assert await ask(io, client, "everything", 1, 2) == [[True, [1, 2], "ada"]]


@run_async
async def test_dependencies_may_be_what_can_be_called() -> None:
    io, _ = server()

    @io.event
    def all_of_them(
        socket: Socket,
        service: Annotated[Service, Depends()],
        same: Service = Depends(),
        limit: str = Depends(Limit(3)),
        partial: str = Depends(functools.partial(greeting, name="grace")),
        method: str = Depends(Service("eve").method),
        generated: str = Depends(Generator()),
        empty: Any = Depends(dict),
    ) -> list[Any]:
        return [service.name, service is same, limit, partial, method, generated, empty]

    client = Client.join(io)
    expected = ["ada", True, "ada at most 3", "hello ada", "method of ada", "from a generator", {}]
    # A partial's keyword is a default: a dependency of its function comes before it.
    assert await ask(io, client, "all_of_them") == [expected]


@run_async
async def test_the_socket_its_namespace_and_the_server_are_given_by_annotation() -> None:
    io, _ = server()

    chat = io.register(Chat("/chat"))

    def factory(socket: Socket, nsp: Namespace, chat: Chat, io: Server) -> list[object]:
        return [socket, nsp, chat, io]

    @chat.event
    def given(
        socket: Socket, nsp: Namespace, io: Server, made: list[Any] = Depends(factory)
    ) -> str:
        assert made == [socket, nsp, nsp, io]
        return nsp.name

    client = Client(io)
    client.connect("/chat")
    client.emit("given", id=1, nsp="/chat,")
    assert client.answers(1, "/chat,") == ["/chat"]


# Sharing.


@run_async
async def test_a_dependency_is_made_once_for_each_call() -> None:
    io, _ = server()

    @io.event
    def message(socket: Socket, hello: str = Depends(greeting), name: str = Depends(user)) -> str:
        return hello + name

    client = Client.join(io)
    assert await ask(io, client, "message") == ["hello adaada"]
    assert log == ["user"]
    assert await ask(io, client, "message") == ["hello adaada"]
    assert log == ["user", "user"]


@run_async
async def test_a_dependency_that_is_not_shared_is_made_each_time() -> None:
    io, _ = server()

    def counter() -> int:
        log.append("count")
        return len(log)

    @io.event
    def numbers(
        socket: Socket,
        a: int = Depends(counter, use_cache=False),
        b: int = Depends(counter, use_cache=False),
        c: int = Depends(counter),
        d: int = Depends(counter),
    ) -> list[int]:
        return [a, b, c, d]

    assert await ask(io, Client.join(io), "numbers") == [[1, 2, 3, 3]]


# In place, as a task, in a thread.


@run_async
async def test_a_def_handler_with_def_dependencies_runs_in_place() -> None:
    io, _ = server()

    @io.event
    def message(socket: Socket, db: Db, hello: str = Depends(greeting)) -> str:
        return hello

    client = Client.join(io)
    client.emit("message", id=1)
    assert client.answers(1) == ["hello ada"]
    assert not io.running


@run_async
async def test_what_is_async_makes_the_handler_async() -> None:
    io, _ = server()

    @io.event
    def plain(socket: Socket, text: str, db: AsyncDb, name: AsyncUser, other: Db) -> list[str]:
        log.append("handler")
        return [text, name]

    @io.event
    async def waiting(socket: Socket, text: str, db: Db, name: User) -> list[str]:
        await asyncio.sleep(0)
        log.append("handler")
        return [text, name]

    client = Client.join(io)
    assert await ask(io, client, "plain", "x") == [["x", "ada"]]
    assert log == ["opened", "async user", "opened", "handler", "closed", "closed"]
    log.clear()
    assert await ask(io, client, "waiting", "x") == [["x", "ada"]]
    assert log == ["opened", "user", "handler", "closed"]


@run_async
async def test_what_a_def_handler_returns_is_awaited_before_the_clean_up() -> None:
    io, _ = server()

    async def later(name: str) -> str:
        log.append("later")
        return name

    async def fails() -> str:
        raise KeyError

    @io.event
    def message(socket: Socket, db: Db, name: User) -> Any:
        return later(name)

    @io.event
    def broken(socket: Socket, db: Db) -> Any:
        return fails()

    @io.event
    def nothing_to_clean(socket: Socket, name: User) -> Any:
        return later(name)

    client = Client.join(io)
    assert await ask(io, client, "message") == ["ada"]
    assert log == ["opened", "user", "later", "closed"]
    log.clear()
    assert await ask(io, client, "broken") is None
    assert log == ["opened", "KeyError", "closed"]
    assert await ask(io, client, "nothing_to_clean") == ["ada"]


@run_async
async def test_a_handler_in_a_thread_has_its_dependencies_there() -> None:
    io, _ = server()
    here = threading.get_ident()

    def where() -> Iterator[int]:
        yield threading.get_ident()
        log.append(threading.get_ident())

    @io.event(thread=True)
    def work(socket: Socket, n: int, thread: int = Depends(where)) -> int:
        socket.emit("from the thread")
        log.append(threading.get_ident())
        log.append(thread)
        return n

    client = Client.join(io)
    assert await ask(io, client, "work", 5) == [5]
    assert len(log) == 3
    assert len(set(log)) == 1
    assert here not in log
    assert '2["from the thread"]' in client.received


@run_async
async def test_async_dependencies_of_a_handler_in_a_thread_run_in_the_loop() -> None:
    io, errors = server()
    here = threading.get_ident()

    async def in_loop() -> AsyncIterator[int]:
        yield threading.get_ident()
        log.append(("loop", threading.get_ident() == here))

    def blocking(loop: int = Depends(in_loop)) -> Iterator[bool]:
        yield loop == here and threading.get_ident() != here
        log.append(("thread", threading.get_ident() != here))

    @io.event(thread=True)
    def work(socket: Socket, right: bool = Depends(blocking)) -> bool:
        return right and threading.get_ident() != here

    @io.event(thread=True)
    def broken(socket: Socket, right: bool = Depends(blocking)) -> None:
        raise KeyError

    client = Client.join(io)
    assert await ask(io, client, "work") == [True]
    assert log == [("thread", True), ("loop", True)]
    assert await ask(io, client, "broken") is None
    assert type((await errors.next())[0]) is KeyError


@run_async
async def test_concurrency_counts_handlers_with_dependencies() -> None:
    io, _ = server()
    go_on = asyncio.Event()

    async def slow() -> None:
        log.append("begins")
        await go_on.wait()

    @io.event(concurrency=1)
    def message(socket: Socket, n: int, ready: None = Depends(slow)) -> int:
        return n

    client = Client.join(io)
    client.emit("message", 1, id=1)
    client.emit("message", 2, id=2)
    await eventually(lambda: log)
    assert log == ["begins"]
    go_on.set()
    await eventually(lambda: client.answers(2) == [2])
    assert client.answers(1) == [1]


# Clean-up.


@run_async
async def test_clean_up_happens_in_reverse_and_before_the_answer() -> None:
    io, _ = server()
    client = Client.join(io)

    def noted(name: str) -> Callable[[], Iterator[str]]:
        def factory() -> Iterator[str]:
            log.append(name)
            yield name
            log.append(f"{name} {client.answers(1)}")

        return factory

    inner = noted("inner")

    def outer(value: str = Depends(inner)) -> Iterator[str]:
        log.append("outer")
        yield value
        log.append("outer ends")

    @io.event
    def message(socket: Socket, a: str = Depends(outer), b: str = Depends(noted("b"))) -> None:
        log.append("handler")

    client.emit("message", id=1)
    assert log == ["inner", "outer", "b", "handler", "b None", "outer ends", "inner None"]
    assert client.answers(1) == []


@run_async
async def test_generators_see_what_the_handler_raised() -> None:
    io, errors = server()

    @io.event
    def broken(socket: Socket, db: Db) -> None:
        raise KeyError("in place")

    @io.event
    async def broken_later(socket: Socket, db: Db, other: AsyncDb) -> None:
        raise KeyError("later")

    client = Client.join(io)
    for event, many in (("broken", 1), ("broken_later", 2)):
        assert await ask(io, client, event) is None
        error, socket, name = await errors.next()
        assert (type(error), socket, name) == (KeyError, client.socket, event)
        assert log == ["opened"] * many + ["KeyError", "closed"] * many
        log.clear()
    assert client.socket.connected


@run_async
async def test_generators_are_cleaned_up_when_a_later_dependency_fails() -> None:
    io, errors = server()

    def fails(db: Db) -> None:
        raise LookupError

    async def fails_later(db: AsyncDb) -> None:
        raise LookupError

    @io.event
    def message(socket: Socket, value: None = Depends(fails)) -> None:
        log.append("never")

    @io.event
    async def later(socket: Socket, value: None = Depends(fails_later)) -> None:
        log.append("never")

    client = Client.join(io)
    for event in ("message", "later"):
        assert await ask(io, client, event) is None
        assert type((await errors.next())[0]) is LookupError
        assert log == ["opened", "LookupError", "closed"]
        log.clear()


@run_async
async def test_a_failing_clean_up_fails_the_event() -> None:
    """Who commits in the clean-up must not have told the client that all is well."""
    io, errors = server()

    def commits() -> Iterator[None]:
        yield
        raise RuntimeError("cannot commit")

    @io.event
    def message(socket: Socket, db: Db, transaction: None = Depends(commits)) -> str:
        return "ok"

    @io.event
    async def later(socket: Socket, db: Db, transaction: None = Depends(commits)) -> str:
        return "ok"

    @io.event
    def awaited(socket: Socket, db: Db, transaction: None = Depends(commits)) -> Any:
        return asyncio.sleep(0, "ok")

    client = Client.join(io)
    for event in ("message", "later", "awaited"):
        assert await ask(io, client, event) is None
        assert str((await errors.next())[0]) == "cannot commit"
        # The database outside of it was told, and closed.
        assert log == ["opened", "RuntimeError", "closed"]
        log.clear()


@run_async
async def test_a_dependency_may_change_an_error_but_not_undo_it() -> None:
    io, errors = server()

    def swallows() -> Iterator[None]:
        try:
            yield
        except KeyError:
            log.append("swallowed")

    def changes() -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise LookupError("changed") from error

    @io.event
    def swallowed(socket: Socket, it: None = Depends(swallows)) -> None:
        raise KeyError

    @io.event
    async def changed(socket: Socket, it: None = Depends(changes)) -> None:
        raise KeyError

    client = Client.join(io)
    assert await ask(io, client, "swallowed") is None
    assert type((await errors.next())[0]) is KeyError
    assert await ask(io, client, "changed") is None
    error = (await errors.next())[0]
    assert (type(error), type(error.__cause__)) == (LookupError, KeyError)


@run_async
async def test_a_generator_that_yields_twice_or_never_is_an_error() -> None:
    io, errors = server()

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    def never() -> Iterator[int]:
        yield from ()

    io.on("twice", lambda socket, it=Depends(twice): "answer")
    io.on("never", lambda socket, it=Depends(never): "answer")
    client = Client.join(io)
    assert await ask(io, client, "twice") is None
    assert str((await errors.next())[0]) == "generator didn't stop"
    assert await ask(io, client, "never") is None
    assert str((await errors.next())[0]) == "generator didn't yield"


@run_async
async def test_a_cancelled_handler_is_cleaned_up() -> None:
    io, _ = server()

    @io.event
    async def wait(socket: Socket, db: AsyncDb, other: Db) -> None:
        log.append("waits")
        await asyncio.Event().wait()

    Client.join(io).emit("wait")
    await eventually(lambda: "waits" in log)
    await io.close(timeout=0.0)
    assert log == ["opened", "opened", "waits", "closed", "closed"]


@run_async
async def test_nothing_is_kept_after_an_event() -> None:
    io, _ = server()
    alive = 0

    class Thing:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def thing() -> Iterator[Thing]:
        yield Thing()

    @io.event
    def message(socket: Socket, it: Thing = Depends(thing)) -> int:
        return alive

    @io.event
    async def later(socket: Socket, it: Thing = Depends(thing)) -> int:
        return alive

    client = Client.join(io)
    for event in ("message", "later"):
        assert await ask(io, client, event) == [1]
        gc.collect()
        assert alive == 0


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


# FastAPI's own.


@run_async
async def test_fastapis_depends_is_taken() -> None:
    io, _ = server()

    @io.event
    async def message(
        socket: Socket,
        text: str,
        shown: Annotated[list[Any], fastapi.Depends(page)],
        db: Database = fastapi.Depends(async_database),
    ) -> list[Any]:
        return [text, shown, type(db).__name__]

    client = Client.join(io)
    assert await ask(io, client, "message", "x") == [["x", [10, "ada"], "Database"]]
    assert log == ["user", "opened", "closed"]


def test_what_only_fastapi_can_give_is_refused() -> None:
    io = Server()

    def header(request: fastapi.Request) -> str:
        return request.headers["x-token"]

    with pytest.raises(OptionError, match=r"dependency .*header: parameter 'request' is no"):
        io.on("message", lambda socket, token=fastapi.Depends(header): None)
    with pytest.raises(OptionError, match="security scopes"):
        io.on("message", lambda socket, token=fastapi.Security(user, scopes=["a"]): None)


# Mistakes.


def test_a_dependency_must_be_callable() -> None:
    with pytest.raises(OptionError, match="without calling it"):
        Depends(user.__name__)  # type: ignore[arg-type]
    io = Server()
    with pytest.raises(OptionError, match="'it' depends on nothing that can be called"):
        io.on("message", lambda socket, it=Depends(): None)


def test_a_dependency_that_needs_what_nobody_gives_is_named() -> None:
    io = Server()

    def inner(text: str) -> str:
        return text

    def outer(value: str = Depends(inner)) -> str:
        return value

    with pytest.raises(
        OptionError,
        match=r"handler of 'message': dependency .*outer: dependency .*inner: parameter 'text' is",
    ):
        io.on("message", lambda socket, it=Depends(outer): None)


def test_dependencies_that_need_each_other_are_refused() -> None:
    io = Server()

    def one(other: Any) -> None: ...

    def two(other: Any = Depends(one)) -> None: ...

    one.__defaults__ = (Depends(two),)
    with pytest.raises(OptionError, match=r"need each other: .*one → .*two → .*one"):
        io.on("message", lambda socket, it=Depends(one): None)


def test_positional_only_dependencies_are_refused() -> None:
    io = Server()

    def handler(socket: Socket, name: User, /) -> None: ...

    def factory(socket: Socket, /) -> None: ...

    with pytest.raises(OptionError, match="'name' is positional-only"):
        io.on("message", handler)
    with pytest.raises(OptionError, match="'socket' is positional-only"):
        io.on("message", lambda socket, it=Depends(factory): None)


def test_an_annotation_that_cannot_be_resolved_is_told() -> None:
    io = Server()

    def local(socket: Socket) -> str:
        return ""

    # Ignored, it would let the client say who it is.
    def handler(socket: Socket, name: Annotated[str, Depends(local)]) -> None: ...

    with pytest.raises(OptionError, match=r"'name' cannot be resolved .*at module level"):
        io.on("message", handler)

    def factory(thing: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(OptionError, match=r"'thing' .*its annotation cannot be resolved"):
        io.on("message", lambda socket, it=Depends(factory): None)


# What they do not cost.


def test_handlers_without_dependencies_are_registered_as_they_are() -> None:
    io = Server()

    def handler(socket: Socket, a: int, b: nuncio.AckCallback) -> None: ...

    io.on("message", handler)
    [bound] = io.sockets.handlers["message"]
    assert bound.function is handler
    middleware = io.use(lambda socket: None)
    assert io.sockets._middlewares == [middleware]
