"""What admin pages are told in development, and what it costs nobody."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

import nuncio
from nuncio.cluster import LocalBus
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


def instrumented(mode: Any = "development", **options: Any) -> nuncio.Server:
    """A server whose page needs no password."""
    io = nuncio.Server(**options)
    nuncio.instrument(io, auth=False, mode=mode)
    return io


async def opened(io: nuncio.Server) -> Client:
    """A page that has been told what there is."""
    page = Client.join(io, "/admin")
    await eventually(lambda: any("all_sockets" in str(one) for one in page.received))
    page.take()
    return page


def told(page: Client, event: str) -> list[list[Any]]:
    """The arguments with which an event came, without the time."""
    found = [json.loads(str(one)[8:]) for one in page.received if str(one).startswith("2/admin,")]
    return [payload[1:] for payload in found if payload[0] == event]


@run_async
async def test_changed_data_is_found_after_events_and_in_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nuncio.admin.rounds.REPORT_SECONDS", 0.1)
    io = instrumented()

    @io.event
    def now(socket: nuncio.Socket) -> None:
        socket.data["now"] = True

    page, user = await opened(io), Client.join(io)
    user.emit("now")
    await eventually(lambda: told(page, "socket_updated"))
    assert told(page, "socket_updated") == [[{"id": user.sid, "nsp": "/", "data": {"now": True}}]]
    page.take()
    # Nobody tells of this.
    user.socket.data["later"] = [1]
    await eventually(lambda: told(page, "socket_updated"))
    assert told(page, "socket_updated")[0][0]["data"] == {"now": True, "later": [1]}
    page.take()
    user.emit("nothing")
    await eventually(lambda: told(page, "event_received"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not told(page, "socket_updated")
    await io.close(0.2)


@run_async
async def test_data_that_cannot_be_sent_is_shown_empty() -> None:
    io = instrumented()
    io.on("connection", lambda socket: socket.data.update(lock=object()))
    page, user = await opened(io), Client.join(io)
    await eventually(lambda: told(page, "socket_connected"))
    page.take()
    second = Client.join(io, "/admin")
    await eventually(lambda: told(second, "all_sockets"))
    (sockets,) = told(second, "all_sockets")[0]
    assert {one["id"]: one["data"] for one in sockets}[user.sid] == {}
    await io.close(0.2)


@run_async
async def test_broadcasts_are_told_for_each_recipient_but_not_what_pages_get() -> None:
    io = instrumented()
    page = await opened(io)
    users = [Client.join(io) for _ in range(3)]
    page.take()
    io.emit("e", 1)
    assert [args[:3] for args in told(page, "event_sent")] == [
        ["/", user.sid, ["e", 1]] for user in users
    ]
    page.take()
    io.of("/admin").emit("e")
    page.emit("emit", "/nowhere", None, "e", nsp="/admin,")
    assert page.take() == ['2/admin,["e"]']


@run_async
async def test_the_connections_of_sockets_are_told_apart_without_their_secret() -> None:
    io = instrumented()
    page, user = await opened(io), Client.join(io)
    other = Client(io)
    other.connect()
    io.of("/more")
    other.connect("/more")
    seen = [args[0] for args in told(page, "socket_connected")]
    clients = [one["clientId"] for one in seen]
    assert clients[0] != clients[1] == clients[2]
    assert not any(clients[0] in text or clients[1] in text for text in io.engine.sessions)
    assert user.sid == seen[0]["id"] and seen[0]["rooms"] == [user.sid]


@run_async
async def test_what_a_client_proves_itself_with_is_not_shown() -> None:
    io = instrumented()
    page = await opened(io)
    headers = [(b"cookie", b"session=1"), (b"authorization", b"Bearer 2"), (b"x-one", b"3")]
    Client(io, headers=headers).connect(auth={"token": "4"})
    handshake = told(page, "socket_connected")[0][0]["handshake"]
    assert handshake["headers"] == {"x-one": "3"} and "auth" not in handshake


@run_async
async def test_a_page_is_told_of_so_many_sockets_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nuncio.admin.instrumenting.MOST_SHOWN", 2)
    io = instrumented()
    for _ in range(3):
        Client.join(io)
    page = Client.join(io, "/admin")
    await eventually(lambda: told(page, "all_sockets"))
    assert len(told(page, "all_sockets")[0][0]) == 2
    assert "shows 2 of 4 sockets" in caplog.text


@run_async
async def test_who_joins_and_leaves_again_and_again_leaves_nothing_behind() -> None:
    io = instrumented()
    io.of("/more")
    await opened(io)
    user = Client.join(io)
    session = io.engine.sessions[user.session_id]
    for _ in range(5):
        user.connect("/more")
        user.send("1/more,")
    assert len(session.events.listeners("upgrade")) == 1
    await io.close(0.2)


@run_async
async def test_sockets_are_forgotten_even_if_the_application_takes_all_handlers_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nuncio.admin.rounds.REPORT_SECONDS", 0.05)
    io = instrumented()
    await opened(io)
    user = Client.join(io)
    io.off()
    user.lose()

    def kept() -> list[Any]:
        found = [one for one in gc.get_objects() if isinstance(one, nuncio.Socket)]
        return [one for one in found if one.id == user.sid]

    def forgotten() -> bool:
        gc.collect()
        return not kept()

    await eventually(forgotten)
    await io.close(0.2)


@run_async
async def test_without_pages_nothing_is_sent_and_nothing_is_kept() -> None:
    io = instrumented()
    user = Client.join(io)
    traffic = io.engine.meter()
    traffic.clear()
    user.emit("e")
    io.emit("e")
    user.lose()
    assert traffic.packets_out == 1
    await io.close(0.2)


@run_async
async def test_a_page_that_does_not_read_loses_the_oldest_and_stays() -> None:
    io = instrumented(limits=nuncio.Limits(droppable_bytes=4096))
    page, user = await opened(io), Client.join(io)
    page.take()
    page.stall()
    for number in range(1000):
        user.emit("e", number)
    session = io.engine.sessions[page.session_id]
    assert session.buffered_bytes <= 4096 + 1024 and session.is_open
    page.drain()
    numbers = [args[2][1] for args in told(page, "event_received")]
    assert 0 < len(numbers) < 1000 and numbers[-1] == 999
    await io.close(0.2)


@run_async
async def test_in_production_nothing_is_told_of_single_sockets() -> None:
    io = instrumented("production")
    page = Client.join(io, "/admin")
    page.take()
    user = Client.join(io)
    user.emit("e")
    io.emit("e")
    user.lose()
    assert page.take() == []
    # Nor does anybody listen to them.
    assert not Client.join(io).socket.listeners_any()


@run_async
async def test_data_goes_to_other_servers_with_a_mark_that_applications_do_not_see() -> None:
    bus = LocalBus()
    one, two = instrumented(adapter=bus), instrumented(adapter=bus)
    async with await one.listen(0), await two.listen(0):
        await Client.arrive(one)
        await eventually(lambda: one.sockets.sockets)
        (mine,) = one.sockets.sockets.values()
        mine.data["name"] = "ada"
        (found,) = await two.fetch_sockets()
        assert found.data == {"name": "ada"}
        page = await Client.arrive(two, "/admin")
        await eventually(lambda: told(page, "all_sockets"))
        (sockets,) = told(page, "all_sockets")[0]
        shown = {one["id"]: one for one in sockets}[mine.id]
        assert shown["transport"] == "websocket" and len(shown["clientId"]) == 12
        assert shown["data"] == {"name": "ada"}


@run_async
async def test_events_sent_from_threads_are_told() -> None:
    io = instrumented(threads=True)
    page, user = await opened(io), Client.join(io)
    page.take()
    await asyncio.to_thread(user.socket.emit, "e", 1)
    await eventually(lambda: told(page, "event_sent"))
    assert told(page, "event_sent")[0][:3] == ["/", user.sid, ["e", 1]]
    await io.close(0.2)
