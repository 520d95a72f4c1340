"""Blocking clients and several threads: who emits, who waits, and who ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import nuncio
from nuncio.sync import ClientSocket
from tests.support.background import Background, until
from tests.support.ports import free_port
from tests.sync.application import Application
from tests.sync.conftest import threads

Server = Background[Application]

WAIT = 30.0
QUICK: dict[str, Any] = {"reconnection_delay": 0.05, "randomization_factor": 0}


def in_threads(functions: list[Callable[[], Any]]) -> list[Any]:
    """Call functions at the same time, each in a thread; what came of each, errors included."""
    results: list[Any] = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def run(index: int, function: Callable[[], Any]) -> None:
        barrier.wait(WAIT)
        try:
            results[index] = function()
        except Exception as error:
            results[index] = error

    running = [
        threading.Thread(target=run, args=(index, function), daemon=True)
        for index, function in enumerate(functions)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(WAIT)
        assert not thread.is_alive()
    return results


def test_many_emit_at_once_and_each_keeps_its_order(server: Server) -> None:
    server.app.heard.clear()

    def emit(thread: int) -> Callable[[], None]:
        def emit() -> None:
            for number in range(200):
                socket.emit("note", thread, number)

        return emit

    with nuncio.sync.connect(server.url) as socket:
        assert in_threads([emit(thread) for thread in range(8)]) == [None] * 8
    until(lambda: len(server.app.heard) == 1600)
    for thread in range(8):
        own = [number for name, number in server.app.heard if name == thread]
        assert own == list(range(200))


def test_many_wait_for_answers_at_once(server: Server) -> None:
    def ask(thread: int) -> Callable[[], list[int]]:
        return lambda: [socket.emit_with_ack("double", thread + number) for number in range(50)]

    with nuncio.sync.connect(server.url) as socket:
        answers = in_threads([ask(thread) for thread in range(8)])
    assert answers == [[2 * (thread + number) for number in range(50)] for thread in range(8)]


def test_many_connect_and_close_at_once(server: Server) -> None:
    def visit() -> int:
        total = 0
        for _ in range(5):
            with nuncio.sync.connect(server.url, transports=["websocket"]) as socket:
                total += socket.emit_with_ack("double", 1, timeout=WAIT)
        return total

    assert in_threads([visit] * 8) == [10] * 8
    until(lambda: not threads())


def test_one_thread_serves_all_and_ends_with_the_last(server: Server) -> None:
    first = nuncio.sync.connect(server.url)
    second = nuncio.sync.connect(server.url)
    with nuncio.sync.Manager(server.url) as manager:
        assert threads() == ["nuncio"]
        first.close()
        assert second.emit_with_ack("double", 1) == 2
        second.close()
        manager.socket().wait_connected()
        assert threads() == ["nuncio"]
    assert not threads()
    with nuncio.sync.connect(server.url) as third:
        assert third.emit_with_ack("double", 2) == 4


def test_whoever_waits_is_told_when_it_is_closed(server: Server) -> None:
    """A socket is closed while three others wait for what will not come."""
    socket = nuncio.sync.connect(server.url)
    mailbox = socket._manager.mailboxes["/"]

    def close() -> None:
        until(lambda: mailbox._waiters and socket._inner._acks)
        socket.close()

    results = in_threads(
        [
            lambda: socket.receive("never"),
            lambda: socket.emit_with_ack("never"),
            lambda: socket.wait(),
            lambda: [event.name for event in socket.events("never")],
            close,
        ]
    )
    assert isinstance(results[0], nuncio.Disconnected)
    assert isinstance(results[1], nuncio.Disconnected)
    assert results[0].reason == results[1].reason == "io client disconnect"
    assert results[2:] == [True, [], None]


def test_whoever_waits_at_a_manager_is_told_when_it_is_closed() -> None:
    manager = nuncio.sync.Manager(f"http://127.0.0.1:{free_port()}")
    socket = manager.socket()

    def close() -> None:
        until(lambda: len(socket._home._calls) >= 3)
        manager.close()

    results = in_threads(
        [
            lambda: socket.receive("never"),
            lambda: socket.emit_with_ack("never"),
            socket.wait_connected,
            close,
        ]
    )
    assert all(isinstance(result, nuncio.NuncioError) for result in results[:3])


def test_the_server_is_restarted_while_they_wait() -> None:
    server = Background(Application)
    socket = nuncio.sync.connect(server.url, **QUICK)
    socket.receive("welcome")

    def restart() -> None:
        until(lambda: socket._manager.mailboxes["/"]._waiters and socket._inner._acks)
        server.stop()
        until(lambda: not socket.connected)
        server.start()
        socket.wait_connected(WAIT)

    def receive() -> Any:
        # The new server greets it.
        return socket.receive("welcome", timeout=WAIT).args

    results = in_threads([receive, lambda: socket.emit_with_ack("never"), restart])
    assert results[0] == [{}, ""]
    assert isinstance(results[1], nuncio.Disconnected)
    assert results[1].reason == "transport close"
    assert results[2] is None
    assert socket.emit_with_ack("double", 1) == 2
    socket.close()
    server.close()


def test_what_is_emitted_while_nobody_is_there_comes_later() -> None:
    server = Background(Application)
    with nuncio.sync.connect(server.url, **QUICK) as socket:
        server.stop()
        until(lambda: not socket.connected)
        for number in range(10):
            socket.emit("note", number)
        threading.Timer(0.1, server.start).start()
        assert socket.emit_with_ack("note", 10, timeout=WAIT) == 11
        assert server.app.heard == [[number] for number in range(11)]
        # It stays down now: what waits is given up when the socket is closed.
        server.stop()
        until(lambda: not socket.connected)
        socket.emit("note", 11)
    server.close()


def test_repetitions_over_a_lost_connection(server: Server) -> None:
    sessions = server.app.io.engine.sessions
    with nuncio.sync.connect(server.url, retries=5, ack_timeout=WAIT, **QUICK) as socket:

        def cut() -> None:
            until(lambda: socket._inner._acks)
            first = socket.id
            for session in list(sessions.values()):
                server.call(session.close)
            until(lambda: socket.id not in ("", first))
            server.call(server.app.gate.set)

        answers = in_threads([lambda: socket.emit_with_ack("wait"), cut])
        assert answers == ["open", None]
    server.app.gate.clear()


def test_the_handlers_of_two_sockets_do_not_wait_for_each_other(server: Server) -> None:
    with (
        nuncio.sync.connect(server.url) as first,
        nuncio.sync.connect(f"{server.url}/other") as second,
    ):
        assert first.io is second.io
        gate, done = threading.Event(), threading.Event()

        @first.on("welcome")
        def wait() -> None:
            gate.wait(WAIT)
            done.set()

        second.on("welcome", gate.set)
        assert done.wait(WAIT)


def test_a_socket_waits_inside_of_a_handler_for_another(server: Server) -> None:
    def visit() -> int:
        with nuncio.sync.connect(server.url) as other:
            answer: int = other.emit_with_ack("double", 4, timeout=WAIT)
            return answer

    with nuncio.sync.connect(server.url) as socket:
        socket.on("question", visit)
        assert socket.emit_with_ack("ask", timeout=WAIT) == 8


def test_a_socket_is_a_value_like_any_other() -> None:
    """Two threads may use the same one without a lock of their own; it has no loop to give away."""
    with pytest.raises(AttributeError):
        ClientSocket.loop  # type: ignore[attr-defined]  # noqa: B018
