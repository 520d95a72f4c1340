"""What handlers depend on: what is given and shared, and what is refused at registration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Annotated, Any

import fastapi
import pytest

import nuncio
from nuncio import (
    AckCallback,
    Depends,
    Namespace,
    OptionError,
    Server,
    Socket,
)
from tests.support.aio import run_async
from tests.support.dependencies import (
    Database,
    Db,
    User,
    ask,
    async_database,
    greeting,
    log,
    server,
    user,
)
from tests.support.memory import Client


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


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
