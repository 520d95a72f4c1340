"""What admin pages may do, and what of it is refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import nuncio
from nuncio.cluster import LocalBus
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


def instrumented(**options: Any) -> nuncio.Server:
    """A server whose page needs no password."""
    io = nuncio.Server(
        **{name: options.pop(name) for name in ("adapter", "limits") if name in options}
    )
    nuncio.instrument(io, auth=False, mode="production", **options)
    return io


def act(page: Client, event: str, *args: Any) -> None:
    page.emit(event, *args, nsp="/admin,")


@run_async
async def test_pages_emit_to_namespaces_rooms_and_sockets() -> None:
    io = instrumented()
    page = Client.join(io, "/admin")
    ada, bob = Client.join(io), Client.join(io)
    ada.socket.join("lobby")
    act(page, "emit", "/", None, "all", 1, {"two": 2})
    act(page, "emit", "/", "lobby", "room")
    act(page, "emit", "/", bob.sid, "one")
    act(page, "emit", "/", "", "again")
    assert ada.take() == ['2["all",1,{"two":2}]', '2["room"]', '2["again"]']
    assert bob.take() == ['2["all",1,{"two":2}]', '2["one"]', '2["again"]']


@run_async
async def test_pages_move_and_disconnect_sockets() -> None:
    io = instrumented()
    page = Client.join(io, "/admin")
    ada, bob = Client.join(io), Client.join(io)
    act(page, "join", "/", "vip", ada.sid)
    assert io.of("/").adapter.rooms["vip"] == {ada.sid}
    act(page, "join", "/", "vip")
    assert io.of("/").adapter.rooms["vip"] == {ada.sid, bob.sid}
    act(page, "leave", "/", "vip", bob.sid)
    assert io.of("/").adapter.rooms["vip"] == {ada.sid}
    act(page, "leave", "/", "vip")
    assert "vip" not in io.of("/").adapter.rooms
    act(page, "_disconnect", "/", False, ada.sid)
    assert ada.take() == ["1"] and ada.wire.ended == ""
    act(page, "_disconnect", "/", True)
    assert bob.take() == ["1"] and bob.wire.ended == "closed"


@run_async
async def test_what_makes_no_sense_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nuncio.admin")
    io = instrumented(limits=nuncio.Limits(rooms=1))
    page = Client.join(io, "/admin")
    ada = Client.join(io)
    caplog.clear()
    before = {one.name for one in io.all_namespaces()}
    senseless: list[tuple[str, list[Any]]] = [
        ("emit", ["/nowhere", None, "e"]),
        ("emit", [None, None, "e"]),
        ("emit", ["/", None, "disconnect"]),
        ("emit", ["/", None, 7]),
        ("emit", ["/", {"a": 1}, "e"]),
        ("emit", ["/", [None], "e"]),
        ("emit", []),
        ("join", ["/", None]),
        ("join", ["/", {"a": 1}, ada.sid]),
        ("join", ["/", ["a"], ada.sid]),
        ("join", ["/", "a", ada.sid]),
        ("join", ["/", "b", ada.sid]),
        ("leave", ["/", {}]),
        ("_disconnect", ["/nowhere", True]),
        ("_disconnect", ["/", True, {"a": 1}]),
        ("_disconnect", ["/", True, []]),
        ("_disconnect", ["/", True, {}]),
    ]
    for event, args in senseless:
        act(page, event, *args)
        # Only a page's own connection may suffer, and not even that does.
        assert page.wire.ended == "" and ada.wire.ended == ""
    assert ada.take() == []
    assert {one.name for one in io.all_namespaces()} == before
    assert not [one for one in caplog.records if one.levelno > logging.INFO]
    assert "which is not there" in caplog.text and "could not do that" in caplog.text


@run_async
async def test_what_pages_do_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nuncio.admin")
    io = instrumented()
    page = Client.join(io, "/admin")
    act(page, "_disconnect", "/", False, "somebody")
    assert f"the admin page {page.sid} disconnects: 'somebody' in /" in caplog.text


@run_async
async def test_pages_that_may_only_look_do_nothing() -> None:
    io = instrumented(read_only=True)
    page = Client.join(io, "/admin")
    ada = Client.join(io)
    assert '"supportedFeatures":["AGGREGATED_EVENTS"]' in str(page.received)
    act(page, "emit", "/", None, "e")
    act(page, "join", "/", "vip")
    act(page, "_disconnect", "/", True)
    assert ada.take() == [] and ada.wire.ended == "" and "vip" not in io.of("/").adapter.rooms


@run_async
async def test_it_concerns_the_sockets_of_all_servers() -> None:
    bus = LocalBus()
    one, two = instrumented(adapter=bus), nuncio.Server(adapter=bus)
    async with await one.listen(0), await two.listen(0):
        page, ada = await Client.arrive(one, "/admin"), await Client.arrive(two)
        await eventually(lambda: one.of("/admin").sockets and two.sockets.sockets)
        (sid,) = two.sockets.sockets
        act(page, "join", "/", "vip", sid)
        await eventually(lambda: "vip" in two.sockets.adapter.rooms)
        act(page, "emit", "/", "vip", "e")
        await eventually(lambda: '2["e"]' in ada.received)
        act(page, "_disconnect", "/", False, sid)
        await eventually(lambda: not two.sockets.sockets)
