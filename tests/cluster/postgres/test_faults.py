"""PostgreSQL goes away and comes back, says nothing or nonsense; servers keep serving clients."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from nuncio import ClusterTimeout, ClusterUnavailable, OptionError, Server
from nuncio.cluster import PostgresAdapter
from nuncio.cluster.postgres import session
from nuncio.cluster.values import to_msgpack
from tests.cluster.postgres.conftest import Database
from tests.support.aio import eventually, run_async, until, within
from tests.support.memory import Client
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.two import Two

# Nobody is taken for gone by accident.
PATIENT: dict[str, Any] = {"heartbeat_interval": 0.2, "heartbeat_timeout": 600}

LISTENING = "query LIKE 'LISTEN%'"


@asynccontextmanager
async def two(postgres: Postgres, nsps: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Two]:
    """Two servers, which end with the block."""
    given = {**PATIENT, **options}
    servers = [Server(adapter=PostgresAdapter(postgres.url, **given)) for _ in range(2)]
    for server in servers:
        for nsp in nsps:
            server.of(nsp)
    # Both at once, so that both find no table where there is none.
    await asyncio.gather(*[server.engine.start() for server in servers])
    try:
        yield Two(*servers)
    finally:
        for server in servers:
            await server.close(0.2)


async def until_heard(client: Client, last: str | bytes) -> list[str | bytes]:
    """What a client hears until this is among it."""
    heard: list[str | bytes] = []

    def has_come() -> bool:
        heard.extend(client.take())
        return last in heard

    await eventually(has_come)
    return heard


async def survived(adapter: Any, losses: int) -> None:
    """Wait until an adapter has lost so many connections, and has others."""
    await eventually(lambda: adapter.stats()["losses"] >= losses and adapter.healthy)


async def none_left(postgres: Postgres) -> None:
    """No connection of ours is left."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nuncio'"
    await until(lambda: postgres.value(query), 0)


@run_async
async def test_postgresql_is_restarted(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres, ("/chat",)) as pair:
        told = pair.health()
        await pair.reaches("before")
        await postgres.stop()
        await pair.is_alone()
        await postgres.start()
        await pair.back()
        await pair.reaches("after")
        assert told == ["ConnectionError", "healthy"]
        assert pair.adapter().stats()["losses"] > 0
        # The other namespace is heard again, too.
        chat = Client.join(pair.two, "/chat")
        pair.one.of("/chat").emit("e", b"\x01")
        await eventually(lambda: chat.take())
    await none_left(postgres)


@pytest.mark.parametrize(
    ("condition", "losses"), [(LISTENING, 1), (f"NOT {LISTENING}", 1), ("true", 2)]
)
@run_async
async def test_connections_are_cut(database: Database, condition: str, losses: int) -> None:
    postgres = database.postgres
    async with two(postgres) as pair:
        await pair.reaches("before")
        assert await postgres.kill_connections(condition) == 2 * losses
        for server in (pair.one, pair.two):
            await survived(pair.adapter(server), losses)
        await pair.reaches("after")
        assert len(await pair.one.fetch_sockets()) == 2


@run_async
async def test_a_request_whose_answer_is_lost_ends_with_what_is_known(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres) as pair:
        await pair.reaches("before")
        asked = asyncio.ensure_future(pair.one.timeout(0.5).fetch_sockets())
        pair.adapter(pair.two).publish = lambda message: None
        with pytest.raises(ClusterTimeout) as caught:
            await within(asked)
        assert caught.value.responses == [pair.ada.socket]
        assert pair.adapter().stats()["requests"] == 0


@run_async
async def test_postgresql_says_nothing_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = database.postgres
    monkeypatch.setattr(session, "ANSWER_SECONDS", 0.3)
    async with two(postgres) as pair:
        await pair.reaches("before")
        await postgres.freeze()
        pair.one.emit("e", 1)
        assert pair.ada.take() == ['2["e",1]']
        await eventually(lambda: not pair.adapter().healthy)
        with pytest.raises(ClusterUnavailable):
            await pair.one.timeout(0.05).fetch_sockets()
        # From here on it may be slow.
        monkeypatch.undo()
        postgres.thaw()
        await pair.back()
        await pair.reaches("after")


@run_async
async def test_who_only_listens_notices_it_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = database.postgres
    async with two(postgres, heartbeat_interval=500) as pair:
        await pair.reaches("before")
        monkeypatch.setattr(session, "ANSWER_SECONDS", 0.3)
        monkeypatch.setattr(session, "PULSE_SECONDS", 0.1)
        # The pulse that is beginning still is a long one.
        pair.two.emit("e", b"\x01")
        pair.one.emit("e", b"\x01")
        await pair.reaches("once more")
        await postgres.freeze()
        await eventually(lambda: not pair.adapter().healthy)
        # From here on it may be slow.
        monkeypatch.undo()
        postgres.thaw()
        await pair.back()
        await pair.reaches("after")


@run_async
async def test_everything_arrives_in_the_order_in_which_it_is_said(database: Database) -> None:
    async with two(database.postgres) as pair:
        await pair.reaches("before")
        pair.bob.take()
        said: list[Any] = []
        for number in range(60):
            for value in (number, b"\x01", "same", "same", "x" * (9000 if number % 7 == 0 else 1)):
                said.append(value)
                pair.one.emit("e", value)
            if number % 10 == 0:
                await asyncio.sleep(0)
        pair.one.emit("end")
        heard = await until_heard(pair.bob, '2["end"]')
        found = [
            b"\x01" if one.startswith("51") else json.loads(one[1:])[1]
            for one in heard
            if isinstance(one, str) and '"e"' in one
        ]
        assert found == said
        assert pair.adapter().stats()["failed"] == 0


@run_async
async def test_what_is_just_short_enough_is_taken(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres, table_name="edge", channel_prefix="edge") as pair:
        await pair.reaches("before")
        # With what is around it from less than 8000 bytes to more, whatever that is.
        sizes = range(7700, 8000)
        for size in sizes:
            pair.one.emit("e", "x" * size)
        pair.one.emit("end")
        heard = await until_heard(pair.bob, '2["end"]')
        assert [len(one) for one in heard if "xx" in str(one)] == [size + 9 for size in sizes]
        assert pair.adapter().stats()["failed"] == 0
        written = await postgres.value("SELECT count(*) FROM edge")
        assert 0 < written < len(sizes)


@run_async
async def test_what_waits_for_postgresql_is_bounded_and_arrives_later(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres, outgoing_bytes=50_000) as pair:
        await pair.reaches("before")
        await postgres.kill_connections(f"NOT {LISTENING}")
        await eventually(lambda: not pair.adapter().healthy)
        pair.bob.take()
        for number in range(100):
            pair.one.emit("e", number, "x" * 1000)
        assert 30 < pair.adapter().stats()["dropped_outgoing"] < 80
        await eventually(lambda: pair.adapter().healthy)
        await pair.reaches("after")


@run_async
async def test_a_server_does_not_start_without_postgresql() -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/none"
    for where in (url, asyncpg.create_pool(url, min_size=1)):
        io = Server(adapter=PostgresAdapter(where))
        with pytest.raises(ConnectionError):
            await io.listen(0)
        await io.close(0.1)


@run_async
async def test_a_server_leaves_and_may_start_again(database: Database) -> None:
    async with two(database.postgres) as pair:
        await pair.second_leaves()
        await pair.second_returns()


@run_async
async def test_nothing_is_left_behind(database: Database) -> None:
    before = asyncio.all_tasks()
    async with two(database.postgres, ("/a", "/b")) as pair:
        await pair.reaches("e")
        assert pair.adapter().stats()["subscriptions"] == 3
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nuncio'"
        assert await database.postgres.value(query) == 4
    await none_left(database.postgres)
    await eventually(lambda: asyncio.all_tasks() == before)


HOSTILE_IDS: list[Any] = ["9999999", -1, 2**63, "1; DROP TABLE x", "' OR 1=1", [], None, 1.5]
# An emitter's, for anybody else would be counted as a server.
GARBAGE: list[str] = [
    "",
    "\x01",
    "{}",
    "[]",
    '{"type":3}',
    "[" * 5000,
    "cos\nsystem\n(S'touch /tmp/pwned'\ntR.",
    '{"uid":"emitter","nsp":"/","type":3}',
    '{"uid":"emitter","nsp":"/","type":3,"data":{"packet":5,"opts":{}}}',
    '{"uid":"emitter","nsp":"/","type":3,"data":{"packet":{"data":[]},"opts":{}}}',
    '{"uid":"emitter","nsp":"/","type":4,"data":{"opts":{"rooms":[[]]},"rooms":[null]}}',
    '{"uid":"emitter","nsp":"/","type":99,"data":{}}',
    '{"uid":"emitter","nsp":"/","type":7,"data":{"opts":{}}}',
    '{"uid":"emitter","nsp":"/","type":12,"data":{"requestId":5}}',
    '{"uid":"emitter","nsp":"/","type":8,"data":{"requestId":"r","sockets":[5]}}',
    '{"uid":"emitter","nsp":"/","type":9,"data":{"packet":[]}}',
    *(json.dumps({"uid": "emitter", "type": 3, "attachmentId": id}) for id in HOSTILE_IDS),
]


@run_async
async def test_what_is_no_message_is_counted_and_dropped(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    postgres = database.postgres
    async with two(postgres) as pair:
        await pair.reaches("before")
        rooms = dict(pair.adapter().rooms)
        async with postgres.connection() as connection:
            insert = "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id"
            big = to_msgpack({"uid": "emitter", "nsp": "/", "type": 3, "data": {"packet": 5}})
            attached = [
                await connection.fetchval(insert, payload)
                for payload in (None, b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 9000, big)
            ]
        headers = [
            json.dumps({"uid": "emitter", "type": 3, "attachmentId": str(id)}) for id in attached
        ]
        await postgres.notify("socket.io#/", *GARBAGE, *headers)
        await pair.reaches_both("after")
        assert pair.adapter().stats()["dropped"] >= len(GARBAGE) + len(headers) - 1
        assert pair.adapter().rooms == rooms
        assert pair.adapter().healthy
        assert pair.adapter().stats()["losses"] == 0
        assert not [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]


@run_async
async def test_text_that_postgresql_cannot_hold_harms_nobody(database: Database) -> None:
    async with two(database.postgres) as pair:
        await pair.reaches("before")
        pair.bob.socket.join("\ud800\0")
        pair.one.to("\ud800\0").emit("e", "\udfff\0")
        pair.one.emit("f", "\udfff\0", b"\x01")
        heard = await until_heard(pair.bob, b"\x01")
        assert '2["e","\\udfff\\u0000"]' in heard
        await pair.reaches("after")
        assert pair.adapter().stats()["failed"] == 0


@run_async
async def test_a_namespace_begins_while_postgresql_is_away(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres) as pair:
        await pair.reaches("before")
        await postgres.stop()
        await eventually(lambda: not pair.adapter().healthy)
        later = [server.of("/later") for server in (pair.one, pair.two)]
        await postgres.start()
        for nsp in later:
            there: Any = nsp.adapter
            await eventually(lambda nsp=nsp: nsp.takes_part)  # type: ignore[misc]
            await eventually(lambda there=there: there.healthy)  # type: ignore[misc]
            await until(there.server_count, 2)
        client = Client.join(pair.two, "/later")
        pair.one.of("/later").emit("e", b"\x01")
        await until_heard(client, b"\x01")


@run_async
async def test_others_tables_may_be_written_and_read(database: Database) -> None:
    postgres = database.postgres
    await postgres.execute(
        "CREATE SCHEMA IF NOT EXISTS chat; CREATE TABLE IF NOT EXISTS chat.big (id serial UNIQUE,"
        " created_at timestamptz DEFAULT NOW(), payload bytea, more text)"
    )
    async with two(postgres, table_name="chat.big", channel_prefix="big") as pair:
        await pair.reaches("before")
        pair.bob.take()
        pair.one.emit("e", b"\x01" * 100_000)
        await eventually(lambda: b"\x01" * 100_000 in pair.bob.take())
        assert await postgres.value("SELECT count(*) FROM chat.big") == 1


@run_async
async def test_who_may_not_make_the_table_needs_one(database: Database) -> None:
    postgres = database.postgres
    await postgres.execute("CREATE ROLE modest LOGIN")
    await postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    url = postgres.url_of("modest")
    refused = Server(adapter=PostgresAdapter(url, table_name="nowhere"))
    with pytest.raises(ConnectionError, match="CREATE TABLE IF NOT EXISTS nowhere"):
        await refused.engine.start()
    await refused.close(0.1)
    await postgres.execute(
        "CREATE TABLE there (id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(),"
        " payload bytea); GRANT SELECT, INSERT, DELETE ON there TO modest;"
        " GRANT USAGE ON there_id_seq TO modest"
    )
    io = Server(adapter=PostgresAdapter(url, table_name="there"))
    await io.engine.start()
    io.emit("e", b"\x01")
    await until(lambda: postgres.value("SELECT count(*) FROM there"), 1)
    await io.close(0.1)


@run_async
async def test_what_the_table_refuses_holds_up_nothing_else(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    postgres = database.postgres
    async with two(postgres, table_name="short", channel_prefix="short") as pair:
        await pair.reaches("before")
        await postgres.execute("DROP TABLE short")
        pair.one.emit("e", b"\x01")
        pair.one.emit("small", 1)
        pair.one.emit("e", b"\x02")
        await eventually(lambda: '2["small",1]' in pair.bob.take())
        await eventually(lambda: pair.adapter().stats()["failed"] == 2)
        assert pair.adapter().stats()["losses"] == 0
        await pair.reaches("after")
        refusals = [one for one in caplog.records if "refuses" in one.getMessage()]
        assert [one.levelname for one in refusals] == ["WARNING"]


@run_async
async def test_old_attachments_are_deleted_whoever_wrote_them(database: Database) -> None:
    postgres = database.postgres
    async with two(postgres, table_name="old", cleanup_interval=0.1) as pair:
        await pair.reaches("before")
        await postgres.execute(
            "INSERT INTO old (created_at, payload) VALUES (now() - interval '1 hour', '')"
        )
        await postgres.execute(
            "INSERT INTO old (created_at, payload) VALUES (now() + interval '1 hour', '')"
        )
        pair.one.emit("e", b"\x01")
        await until(lambda: postgres.value("SELECT count(*) FROM old"), 1)


@run_async
async def test_a_namespace_that_cannot_have_a_channel_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server(adapter=PostgresAdapter(database.postgres.url))
    io.of("/" + "x" * 60)
    with pytest.raises(OptionError, match="63 bytes"):
        await io.engine.start()
    await io.close(0.1)
    await none_left(database.postgres)


@run_async
async def test_a_pool_lends_two_connections_and_gets_them_back(database: Database) -> None:
    pool = asyncpg.create_pool(database.postgres.url, min_size=0, max_size=4)
    io = Server(adapter=PostgresAdapter(pool))
    async with two(database.postgres) as pair:
        await io.engine.start()
        client = Client.join(io)
        await until(pair.adapter().server_count, 3)
        pair.one.emit("e", b"\x01")
        await eventually(lambda: b"\x01" in client.take())
        io.emit("back")
        await eventually(lambda: '2["back"]' in pair.bob.take())
        assert pool.get_size() - pool.get_idle_size() == 2
        # A loss is no matter for a pool either.
        await database.postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )
        for server in (io, pair.one, pair.two):
            await survived(pair.adapter(server), 2)
        await until(pair.adapter().server_count, 3)
        pair.one.emit("again")
        await eventually(lambda: '2["again"]' in client.take())
        await io.close(0.2)
    assert pool.get_size() == pool.get_idle_size()
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


@run_async
async def test_only_who_knows_the_secret_is_heard(database: Database) -> None:
    postgres = database.postgres
    options: dict[str, Any] = {"channel_prefix": "secret", "secret": "known to both, only to both"}
    async with two(postgres, **options) as pair:
        await pair.reaches("signed")
        pair.bob.take()
        dropped = pair.adapter(pair.two).stats()["dropped"]
        told = {"packet": {"type": 2, "data": ["forged"]}, "opts": {"rooms": [], "except": []}}
        forged = json.dumps({"uid": "x", "nsp": "/", "type": 3, "data": told})
        await postgres.notify("secret#/", forged, "A" * 32 + forged)
        other = Server(adapter=PostgresAdapter(postgres.url, channel_prefix="secret"))
        await other.engine.start()
        other.emit("forged", b"\x01")
        await eventually(lambda: pair.adapter(pair.two).stats()["dropped"] >= dropped + 4)
        pair.one.emit("e", b"\x01" * 9000)
        heard = await until_heard(pair.bob, b"\x01" * 9000)
        assert not any("forged" in str(one) for one in heard)
        assert await pair.adapter().server_count() == 2
        await other.close(0.1)


def test_wrong_options_are_told() -> None:
    url = "postgresql://localhost/chat"
    for where in (5, None, "http://localhost", "localhost:5432", "postgresql://localhost:port/x"):
        with pytest.raises(OptionError, match="url"):
            PostgresAdapter(where)
    for name, value in (
        ("outgoing_bytes", 0),
        ("channel_prefix", ""),
        ("channel_prefix", "x" * 62),
        ("table_name", "a b"),
        ("table_name", "x; DROP TABLE y"),
        ("table_name", '"a"b"'),
        ("table_name", None),
        ("payload_threshold", 8001),
        ("payload_threshold", 0),
        ("cleanup_interval", 0),
        ("heartbeat_interval", -1),
        ("heartbeat_timeout", 5),
        ("secret", "short"),
    ):
        options: dict[str, Any] = {name: value}
        with pytest.raises(OptionError, match=name if name != "channel_prefix" else "channel"):
            PostgresAdapter(url, **options)
    PostgresAdapter("postgres://u:p@localhost:5432/chat?sslmode=require", table_name='a."B c"')


@run_async
async def test_a_pool_that_is_too_small_is_told() -> None:
    pool = asyncpg.create_pool("postgresql://localhost", min_size=0, max_size=1)
    with pytest.raises(OptionError, match="max_size"):
        PostgresAdapter(pool)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(OptionError, match=r"nuncio\[postgres\]"):
        PostgresAdapter("postgresql://localhost/chat")
