"""Who is let in to the admin page, and what trying costs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

import nuncio
from nuncio.admin import signin
from nuncio.admin.signin import ATTEMPTS, MOST_WAITING, THREADS
from tests.admin.site import AUTH, CREDENTIALS, site
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

CONNECTED = '0/admin,{"sid":"'
REFUSED = '4/admin,{"message":"invalid credentials"}'


class Bcrypt:
    """In place of bcrypt: tells how it is called, and takes as long as the test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[bytes] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()
        monkeypatch.setattr(signin, "bcrypt_check", self._given)

    def _given(self) -> Callable[[bytes, bytes], bool]:
        return self.check

    def check(self, password: bytes, hash: bytes) -> bool:
        self.threads.add(threading.get_ident())
        self.calls.append(password)
        self.go.wait(30)
        return bcrypt.checkpw(password, hash)


async def tries(io: nuncio.Server, auth: Any) -> str:
    """The answer to who wants to join."""
    client = Client(io)
    client.send("0/admin," + json.dumps(auth))
    await eventually(lambda: client.received)
    return str(client.received[0])


@run_async
async def test_only_the_right_name_and_password_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Bcrypt(monkeypatch)
    io = nuncio.Server()
    nuncio.instrument(io, auth=AUTH)
    assert (await tries(io, CREDENTIALS)).startswith(CONNECTED)
    assert await tries(io, {**CREDENTIALS, "password": "wrong"}) == REFUSED
    assert await tries(io, {**CREDENTIALS, "username": "root"}) == REFUSED
    # A name that nobody has cost the same work.
    assert checked.calls == [b"changeit", b"wrong", b"changeit"]
    assert io.counters.refused_sign_ins == 2
    # Nothing that is no password is given to bcrypt.
    for auth in ({}, {"username": "ops"}, {"username": "ops", "password": 7}, {"sessionId": 7}):
        assert await tries(io, auth) == REFUSED
    assert len(checked.calls) == 3
    await io.close(0.2)


@run_async
async def test_only_what_bcrypt_looks_at_is_given_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Bcrypt(monkeypatch)
    io = nuncio.Server()
    long = "ä" * 100
    hash = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4))
    nuncio.instrument(io, auth={"username": "ops", "password": hash})
    answer = await tries(io, {"username": "ops", "password": long})
    assert answer.startswith(CONNECTED)
    assert [len(password) for password in checked.calls] == [72]
    await io.close(0.2)


@run_async
async def test_passwords_are_compared_beside_the_loop_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = Bcrypt(monkeypatch)
    checked.go.clear()
    io = nuncio.Server()
    nuncio.instrument(io, auth=AUTH)
    waiting = [
        asyncio.ensure_future(tries(io, {"username": "ops", "password": str(number)}))
        for number in range(MOST_WAITING)
    ]
    await eventually(lambda: len(checked.calls) == THREADS)
    # Nobody else notices.
    assert await within(tries(io, CREDENTIALS)) != REFUSED
    assert len(checked.calls) == THREADS
    checked.go.set()
    assert set(await within(asyncio.gather(*waiting))) == {REFUSED}
    assert len(checked.calls) == MOST_WAITING and len(checked.threads) == THREADS
    assert threading.get_ident() not in checked.threads
    await io.close(0.2)


@run_async
async def test_who_tries_too_often_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Bcrypt(monkeypatch)
    io = nuncio.Server()
    nuncio.instrument(io, auth=AUTH)
    burst = round(ATTEMPTS.span / ATTEMPTS.interval)
    for _ in range(burst):
        assert await tries(io, {**CREDENTIALS, "password": "wrong"}) == REFUSED
    answer = await tries(io, CREDENTIALS)
    assert '"message":"too many attempts"' in answer and '"retry_after"' in answer
    assert len(checked.calls) == burst
    await io.close(0.2)


class Slow:
    """A store that does not answer until it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def has(self, session: str) -> bool:
        self.asked += 1
        await self.go.wait()
        return False

    async def add(self, session: str) -> None:
        """Nothing is kept."""


@run_async
async def test_a_store_is_not_asked_without_end() -> None:
    io, store = nuncio.Server(), Slow()
    nuncio.instrument(io, auth=AUTH, store=store)
    waiting = [
        asyncio.ensure_future(tries(io, {"sessionId": str(number)}))
        for number in range(MOST_WAITING)
    ]
    await eventually(lambda: store.asked == MOST_WAITING)
    assert "too many attempts" in await tries(io, {"sessionId": "one more"})
    assert store.asked == MOST_WAITING
    store.go.set()
    assert set(await within(asyncio.gather(*waiting))) == {REFUSED}
    assert await tries(io, {"sessionId": "again"}) == REFUSED
    await io.close(0.2)


@run_async
async def test_a_session_stands_for_the_password() -> None:
    async with site(mode="production") as here:
        await here.comes(here.page())
        session = (await here.hears("session"))[0][0]
        here.log.clear()
        await here.comes(here.page({"sessionId": session}))
        await here.hears("config")
        # It has one.
        assert not here.told("session")
        here.page({"sessionId": "0" * 32}).connect()
        assert await here.hears("$connect_error") == [["invalid credentials"]]
        here.log.clear()
        here.page({"sessionId": "1" * 100}).connect()
        assert await here.hears("$connect_error") == [["invalid credentials"]]


@run_async
async def test_the_session_is_told_once_the_page_is_connected() -> None:
    async with site(mode="production") as here:
        here.page().connect()
        await here.hears("config")
        assert [event for _, event, _ in here.log] == ["$connect", "session", "config"]


class Broken:
    """A store that has failed."""

    async def has(self, session: str) -> bool:
        raise ConnectionError("no store")

    async def add(self, session: str) -> None:
        raise ConnectionError("no store")


@run_async
async def test_who_knows_the_password_comes_in_without_a_store() -> None:
    async with site(mode="production", store=Broken()) as here:
        here.page().connect()
        await here.hears("config")
        assert not here.told("session")


@run_async
async def test_auth_false_lets_everybody_in(caplog: pytest.LogCaptureFixture) -> None:
    async with site(auth=False, mode="production") as here:
        assert "asks for no password" in caplog.text
        await here.comes(here.page({"anything": 1}))
        await here.hears("config")
        assert not here.told("session")


@run_async
async def test_who_recovers_a_connection_is_checked_too() -> None:
    io = nuncio.Server(connection_state_recovery=True, delivery="at-least-once")
    nuncio.instrument(io, auth=AUTH)
    page = Client(io)
    page.send("0/admin," + json.dumps(CREDENTIALS))
    await eventually(lambda: "config" in str(page.received))
    told = next(str(one) for one in page.received if str(one).startswith("0/admin,"))
    pid = json.loads(told[8:])["pid"]
    offset = json.loads(str(page.received[-1])[8:])[-1]
    page.lose()
    lost = {"pid": pid, "offset": offset}
    assert await tries(io, {**lost, "sessionId": "another"}) == REFUSED
    await io.close(0.2)
