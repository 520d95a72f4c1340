"""Emitters over PostgreSQL, from loops and from code that blocks; see also `test_emitter`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import nuncio
import nuncio.sync
from nuncio import OptionError, Server
from nuncio.cluster import PostgresAdapter, sending
from nuncio.cluster.postgres import session
from tests.cluster.postgres.conftest import Database
from tests.support.aio import eventually, run_async, until, within
from tests.support.memory import Client


class Hearing:
    """A server with a client, whose events are kept."""

    def __init__(self, database: Database, **options: Any) -> None:
        self._heard: list[Any] = []
        self.io = Server(adapter=PostgresAdapter(database.postgres.url, **options))

    async def __aenter__(self) -> Hearing:
        await self.io.engine.start()
        self.client = Client.join(self.io)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.io.close(0.1)

    async def hears(self, *messages: Any) -> None:
        """Wait until all of these have come, in any order."""

        def have_come() -> bool:
            self._heard += self.client.take()
            return all(message in self._heard for message in messages)

        await eventually(have_come, f"{messages} among {self._heard}")


@run_async
async def test_an_address_or_a_pool_is_enough(database: Database) -> None:
    url = database.postgres.url
    pool = asyncpg.create_pool(url, min_size=0)
    async with Hearing(database) as hearing:
        for number, where in enumerate((url, url.replace("postgresql:", "postgres:"), pool)):
            async with nuncio.Emitter(where) as emitter:
                await emitter.emit("e", number)
                await emitter.emit("e", number, b"\x01")
            await hearing.hears(f'2["e",{number}]', b"\x01")
        with pytest.raises(OptionError, match="address"):
            nuncio.sync.Emitter(pool)
    await pool.close()


@run_async
async def test_many_threads_may_use_a_blocking_emitter(database: Database) -> None:
    many = nuncio.sync.Emitter(database.postgres.url)
    async with Hearing(database) as hearing:
        threads = [threading.Thread(target=many.emit, args=("e", n)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await hearing.hears(*[f'2["e",{number}]' for number in range(10)])
        # It counts as nobody, and may be used again once it was closed.
        assert await hearing.io.sockets.adapter.server_count() == 1
        for number in (10, 11):
            await asyncio.to_thread(many.emit, "e", number)
            await hearing.hears(f'2["e",{number}]')
            await asyncio.to_thread(many.close)
    many.close()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nuncio'"
    await until(lambda: database.postgres.value(query), 0)


@run_async
async def test_who_blocks_does_not_wait_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BLOCKED_SECONDS", 0.2)
    monkeypatch.setattr(session, "ANSWER_SECONDS", 60)
    emitter = nuncio.sync.Emitter(database.postgres.url)

    def blocking() -> None:
        with pytest.raises(ConnectionError, match="does not answer"):
            emitter.emit("frozen")

    monkeypatch.setattr(sending, "BLOCKED_SECONDS", 30)
    await asyncio.to_thread(emitter.emit, "e")
    monkeypatch.setattr(sending, "BLOCKED_SECONDS", 0.2)
    await database.postgres.freeze()
    await asyncio.to_thread(blocking)
    database.postgres.thaw()
    await asyncio.to_thread(emitter.close)


@run_async
async def test_a_namespace_that_cannot_have_a_channel_is_told() -> None:
    emitter = nuncio.Emitter("postgresql://localhost/chat")
    with pytest.raises(OptionError, match="63 bytes"):
        emitter.of("x" * 60).emit("e")


_FORKING = """
import os, sys
from nuncio.sync import Emitter

with Emitter(sys.argv[1]) as emitter:
    emitter.emit("parent")
    child = os.fork()
    if child == 0:
        emitter.emit("child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    emitter.emit("parent again")
"""


@run_async
async def test_a_process_that_was_forked_has_a_connection_of_its_own(database: Database) -> None:
    root = str(Path(__file__).parents[3])
    async with Hearing(database) as hearing:
        forking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", _FORKING, database.postgres.url),
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
        )
        assert await within(forking.wait()) == 0
        await hearing.hears('2["parent"]', '2["child"]', '2["parent again"]')
