"""How a handler gets what it depends on: in place, as a task or in a thread; and the clean-up."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from nuncio import (
    Depends,
    Socket,
)
from tests.support.aio import eventually, run_async
from tests.support.dependencies import (
    AsyncDb,
    AsyncUser,
    Db,
    User,
    ask,
    greeting,
    log,
    server,
)
from tests.support.memory import Client


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


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
