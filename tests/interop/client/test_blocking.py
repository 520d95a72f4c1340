"""The blocking client against the official server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio
from nuncio.sync import ClientSocket
from tests.support.background import until
from tests.support.node import WAYS, Way
from tests.support.nodeserver import NodeHome, NodeServer

SERVER: dict[str, Any] = {"pingInterval": 200, "pingTimeout": 20_000}
WAIT = 30.0


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def socket(server: NodeServer, request: pytest.FixtureRequest) -> Iterator[ClientSocket]:
    """A connected socket, each way through."""
    way: Way = request.param
    with nuncio.sync.connect(server.url, transports=way.transports) as socket:
        yield socket


def test_what_is_sent_both_ways(home: NodeHome, server: NodeServer, socket: ClientSocket) -> None:
    values: list[Any] = ["text", 5, None, [True, {"deep": b"\x00\xff"}], b"bytes"]
    socket.emit("echo", *values)
    assert socket.receive("echo", timeout=WAIT).args == values
    assert home.run(server.next_event("echo")) == values
    assert socket.emit_with_ack("echo", *values, timeout=WAIT) == values
    assert socket.emit_with_ack("nothing", timeout=WAIT) is None
    assert socket.emit_with_ack("id", timeout=WAIT) == socket.id
    home.run(server.emit("news", 1))
    assert socket.receive("news", timeout=WAIT).args == [1]


def test_what_a_handler_answers(socket: ClientSocket) -> None:
    @socket.on("question")
    def question(number: int, data: bytes) -> nuncio.Ack:
        return nuncio.Ack(number * 2, data, socket.emit_with_ack("echo", "asked", timeout=WAIT))

    socket.emit("ask me", "question", 21, b"\x01")
    assert socket.receive("answered", timeout=WAIT).args == [42, b"\x01", "asked"]


def test_many_events_in_order(socket: ClientSocket) -> None:
    socket.emit("burst", 3000)
    events = socket.events("burst")
    assert [next(events).args[0] for _ in range(3000)] == list(range(3000))


def test_what_came_with_the_greeting_is_there(server: NodeServer) -> None:
    with nuncio.sync.connect(f"{server.url}/greeting", auth={"token": "a"}) as socket:
        [handshake] = socket.receive("greeting", timeout=WAIT).args
        assert handshake["auth"] == {"token": "a"}


def test_a_refusal(server: NodeServer) -> None:
    with pytest.raises(nuncio.ConnectError, match="Wrong token") as caught:
        nuncio.sync.connect(f"{server.url}/secret", auth={"token": "open"})
    assert caught.value.data == {"token": "open"}
    with nuncio.sync.connect(f"{server.url}/secret", auth=lambda: {"token": "sesame"}) as socket:
        assert socket.connected


def test_being_sent_away(server: NodeServer) -> None:
    with nuncio.sync.connect(server.url) as socket:
        socket.emit("leave")
        assert socket.wait(WAIT)
        with pytest.raises(nuncio.Disconnected, match="io server disconnect"):
            socket.receive(timeout=WAIT)


def test_what_is_left_is_sent_before_it_closes(home: NodeHome, server: NodeServer) -> None:
    with nuncio.sync.connect(server.url) as socket:
        for number in range(200):
            socket.emit("note", number)
    for number in range(200):
        assert home.run(server.next_event("note")) == [number]


def test_a_restart_while_somebody_waits(home: NodeHome) -> None:
    server = NodeServer(home.program, **SERVER)
    home.run(server.start())
    with nuncio.sync.connect(
        f"{server.url}/greeting", reconnection_delay=0.05, randomization_factor=0
    ) as socket:
        socket.receive("greeting", timeout=WAIT)
        greetings: list[nuncio.Event] = []
        receiving = threading.Thread(
            target=lambda: greetings.append(socket.receive("greeting", timeout=WAIT)), daemon=True
        )
        receiving.start()
        home.run(server.stop())
        until(lambda: not socket.connected)
        home.run(server.start())
        receiving.join(WAIT)
        assert len(greetings) == 1
    home.run(server.stop())
