"""Dependencies for handlers in tests, which note in a log what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from nuncio import Depends, Server, Socket
from tests.support.aio import within
from tests.support.inbox import Inbox
from tests.support.memory import Client

log: list[Any] = []


class Database:
    """What dependencies are for."""

    def __init__(self) -> None:
        log.append("opened")

    def close(self) -> None:
        log.append("closed")


def database() -> Iterator[Database]:
    """Opened and closed."""
    opened = Database()
    try:
        yield opened
    except Exception as error:
        log.append(type(error).__name__)
        raise
    finally:
        opened.close()


async def async_database() -> AsyncIterator[Database]:
    """The same, taking its time."""
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
    """Who the client is."""
    log.append("user")
    return str(socket.data["user"])


async def async_user(socket: Socket) -> str:
    """The same, taking its time."""
    await asyncio.sleep(0)
    log.append("async user")
    return str(socket.data["user"])


def greeting(name: Annotated[str, Depends(user)]) -> str:
    """A dependency with a dependency."""
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
