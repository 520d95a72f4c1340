from __future__ import annotations

import re
import time

from nuncio import Server, Socket
from tests.support.aio import run_async
from tests.support.memory import Client


def join(io: Server, client: Client, auth: object = None) -> Socket:
    return client.connect("/", auth)


@run_async
async def test_the_request_is_shown_under_the_official_names() -> None:
    io = Server()
    headers = [(b"x-token", b"1"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"origin", b"null")]
    io = Server(cors="*")
    client = Client(io, query="&token=a%20b&t=1&token=c", headers=headers, secure=True)
    handshake = join(io, client, {"user": "ada"}).handshake
    assert handshake.auth == {"user": "ada"}
    assert handshake.query == {"EIO": "4", "transport": "websocket", "token": "c", "t": "1"}
    assert handshake.headers == {"x-token": "1", "cookie": "a=1; b=2", "origin": "null"}
    assert handshake.url == "/socket.io/?EIO=4&transport=websocket&token=a%20b&t=1&token=c"
    assert handshake.address == "192.0.2.1"
    assert handshake.secure
    assert handshake.xdomain


@run_async
async def test_what_was_not_sent_is_empty() -> None:
    io = Server()
    handshake = join(io, Client(io, client=None)).handshake
    assert handshake.auth == {}
    assert handshake.headers == {}
    assert handshake.address == ""
    assert not handshake.secure
    assert not handshake.xdomain


@run_async
async def test_the_time_is_that_of_the_connection() -> None:
    io = Server()
    before = time.time()
    handshake = join(io, Client(io)).handshake
    assert before <= handshake.issued <= time.time()
    zone = r"GMT\+0000 \(Coordinated Universal Time\)"
    assert re.fullmatch(rf"\w{{3}} \w{{3}} \d\d \d{{4}} \d\d:\d\d:\d\d {zone}", handshake.time), (
        handshake.time
    )
    assert handshake.time in repr(handshake)


@run_async
async def test_it_is_the_same_object_and_changes_to_it_stay() -> None:
    io = Server()
    socket = join(io, Client(io), {"user": "ada"})
    socket.handshake.auth["checked"] = True
    assert socket.handshake.auth == {"user": "ada", "checked": True}


@run_async
async def test_each_namespace_has_its_own_auth_and_the_same_request() -> None:
    io = Server()
    io.of("/admin")
    client = Client(io, query="&a=1")
    first = client.connect("/", {"n": 1})
    second = client.connect("/admin", {"n": 2})
    assert (first.handshake.auth, second.handshake.auth) == ({"n": 1}, {"n": 2})
    assert first.handshake.query == second.handshake.query
    assert first.request is second.request


@run_async
async def test_it_is_there_after_the_client_has_gone() -> None:
    io = Server()
    client = Client(io, headers=[(b"x-token", b"1")])
    socket = join(io, client, {"user": "ada"})
    client.lose()
    assert socket.handshake.auth == {"user": "ada"}
    assert socket.handshake.headers == {"x-token": "1"}
