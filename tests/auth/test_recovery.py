"""Who recovers a session has to prove who it is, whatever else is skipped."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nuncio import Server, Socket, Undelivered, auth
from nuncio.auth import Identity
from tests.server.test_recovery import Visitor
from tests.support.aio import eventually, run_async
from tests.support.clock import stopped


def by_name(socket: Socket, given: dict[str, Any]) -> Identity | None:
    name = given.get("name")
    return Identity(name, given.get("until"), key=name) if isinstance(name, str) else None


async def later(socket: Socket, given: dict[str, Any]) -> Identity | None:
    await asyncio.sleep(0)
    return by_name(socket, given)


class Guest(Visitor):
    """A client that says a name."""

    def __init__(self, io: Server[Any, Any], name: str) -> None:
        self.name = name
        super().__init__(io)

    def connect(self, auth: dict[str, Any]) -> list[Any]:
        return super().connect({"name": self.name, **auth})


def serving(authenticator: Any = by_name, **options: Any) -> Server[Any, Any]:
    io = Server(connection_state_recovery=True, **options)
    io.use(auth.middleware(authenticator, room=lambda user: f"user:{user}", optional=True))
    return io


@run_async
async def test_a_client_that_comes_back_is_asked_again_and_is_who_it_was() -> None:
    asked: list[str] = []

    def count(socket: Socket, given: dict[str, Any]) -> Identity | None:
        asked.append(given["name"])
        return by_name(socket, given)

    io = serving(count)
    others: list[str] = []
    io.use(lambda socket: others.append(socket.id))
    ada = Guest(io, "ada")
    sid = ada.sid
    ada.socket.data["n"] = 1
    ada.lose()
    io.to("user:ada").emit("missed")
    assert ada.come_back() == [["missed"]]
    socket = ada.socket
    assert (socket.id, socket.recovered, socket.user, socket.data) == (sid, True, "ada", {"n": 1})
    assert socket.rooms == {sid, "user:ada"}
    assert asked == ["ada", "ada"]
    # Those that do not authenticate are skipped.
    assert others == [sid]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("thief", [{"name": "eve"}, {"name": None}])
@run_async
async def test_nobody_else_gets_a_session(waits: bool, thief: dict[str, Any]) -> None:
    """Not even who knows its secret: a session belongs to its user."""
    io = serving(later if waits else by_name, delivery="at-least-once")
    reports: list[Undelivered] = []
    io.on("undelivered", reports.append)
    ada = Guest(io, "ada")
    await eventually(lambda: io.sockets.sockets)
    ada.take()
    sid, pid = ada.sid, ada.pid
    socket = ada.socket
    socket.data["secret"] = "hers"
    socket.join("secrets")
    ada.lose()
    io.to("user:ada").emit("for ada")
    io.to(sid).emit("for her socket")
    io.to("secrets").emit("for the room")
    assert ada.come_back(**thief) == []
    await eventually(lambda: io.sockets.sockets)
    assert ada.take() == []
    [other] = io.sockets.sockets.values()
    assert not other.recovered
    assert other.user == thief["name"]
    assert other.data == {}
    assert other.id not in (sid, None)
    assert ada.sid == other.id and ada.pid == other.pid != pid
    assert other.rooms == {other.id, *(["user:eve"] if thief["name"] else [])}
    assert set(io.sockets.adapter.rooms) == other.rooms
    # What was promised to her is reported as hers.
    assert [(report.socket_id, report.user) for report in reports] == [(sid, "ada")]
    assert len(reports[0].events) == 3
    io.to(sid).emit("gone")
    assert ada.take() == []
    # And she has a new one, which she recovers.
    io.to(other.id).emit("yours")
    assert ada.take() == [["yours"]]


@run_async
async def test_who_has_no_right_any_longer_is_refused() -> None:
    banned: set[str] = set()

    def check(socket: Socket, given: dict[str, Any]) -> Identity | None:
        return None if given["name"] in banned else by_name(socket, given)

    io = Server(connection_state_recovery=True)
    io.use(auth.middleware(check, room=lambda user: f"user:{user}"))
    ada = Guest(io, "ada")
    ada.lose()
    banned.add("ada")
    assert ada.come_back() == []
    assert io.sockets.sockets == {}
    assert io.sockets.adapter.rooms == {}


@run_async
async def test_rooms_of_the_user_follow_the_user() -> None:
    rooms = {"ada": ["user:ada", "admins"]}
    io = Server(connection_state_recovery=True)
    io.use(auth.middleware(by_name, room=lambda user: rooms[user]))
    ada = Guest(io, "ada")
    ada.socket.join("own")
    assert ada.socket.rooms == {ada.sid, "own", "user:ada", "admins"}
    ada.lose()
    rooms["ada"] = ["user:ada"]
    ada.come_back()
    assert ada.socket.recovered
    assert ada.socket.rooms == {ada.sid, "own", "user:ada"}


@run_async
async def test_the_end_of_its_time_goes_on_while_it_is_away() -> None:
    io = serving()
    clock = stopped(io)
    ada = Guest(io, "ada")
    # Said by the application itself, which is not asked again.
    io.of("/plain").on("connection", lambda socket: None)
    plain = Visitor(io, "/plain")
    plain.socket.user = "ada"
    plain.socket.expire_at(time.time() + 100, notice=0)
    ada.lose()
    plain.lose()
    ada.come_back(until=time.time() + 100)
    plain.come_back()
    assert plain.socket.recovered and plain.socket.user == "ada"
    assert len(io.of("/plain").sockets) == len(io.sockets.sockets) == 1
    clock.advance(101)
    assert len(io.of("/plain").sockets) == len(io.sockets.sockets) == 0
    # After that there is nothing to come back to.
    assert not io.of("/plain").adapter.occupied


@run_async
async def test_the_notices_are_not_kept_for_recovery() -> None:
    io = serving()
    clock = stopped(io)
    ada = Guest(io, "ada")
    ada.socket.expire_at(time.time() + 100)
    clock.advance(71)
    [notice] = ada.client.take()
    assert str(notice).startswith('2["auth:expiring",{"expires_in":')
    assert str(notice).endswith("}]")
    ada.lose()
    assert ada.come_back() == []
    assert ada.socket.recovered
