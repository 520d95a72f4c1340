"""A blocking Manager: several namespaces over one connection, and what it tells."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import nuncio
from nuncio.client.options import ManagerOptions
from nuncio.sync import Manager
from tests.support.background import Background, until
from tests.support.ports import free_port
from tests.sync.application import Application
from tests.sync.conftest import threads

Server = Background[Application]

QUICK: dict[str, Any] = {"reconnection_delay": 0.05, "randomization_factor": 0}


def test_namespaces_share_a_connection(server: Server) -> None:
    before = len(server.app.io.engine.sessions)
    with Manager(server.url, auth={"user": "ada"}) as manager:
        first = manager.socket()
        second = manager.socket("other", auth={"user": "grace"})
        assert manager.socket("/other") is second
        assert first.io is second.io is manager
        assert first.receive("welcome").args[0] == {"user": "ada"}
        assert second.receive("welcome").args[0] == {"user": "grace"}
        assert len(server.app.io.engine.sessions) == before + 1
        assert manager.ready_state == "open"
        assert manager.engine is not None
        assert manager.engine.transport is not None
        assert repr(manager) == f"<nuncio.sync.Manager of {server.url} open>"
        # One may go, and another take its place.
        second.close()
        third = manager.socket("/other")
        assert third is not second
        third.wait_connected()
        assert third.emit_with_ack("double", 2) == 4
        with pytest.raises(RuntimeError, match="closed"):
            second.emit("a")
    assert not (first.connected or third.connected)
    assert first.closed
    assert not threads()


def test_connecting_when_told(server: Server) -> None:
    with Manager(server.url, auto_connect=False) as manager:
        socket = manager.socket()
        assert manager.ready_state == "closed"
        assert manager.engine is None
        opened: list[str] = []
        manager.once("open", lambda: opened.append(manager.ready_state))
        assert manager.open() is manager
        until(lambda: opened == ["open"])
        assert manager.connect() is manager
        socket.connect().wait_connected()
        manager.disconnect()
        assert not socket.connected


def test_it_tells_of_the_connection(server: Server) -> None:
    told: list[Any] = []
    names: set[str] = set()

    def tell(name: str) -> Any:
        def listener(*args: Any) -> None:
            names.add(threading.current_thread().name)
            told.append((name, *args))

        return listener

    with Manager(server.url, auto_connect=False, **QUICK) as manager:
        socket = manager.socket()
        attempt = tell("attempt")
        for event in ("open", "close", "reconnect"):
            manager.on(event, tell(event))

        @manager.on("reconnect_attempt")
        def at_attempt(number: int) -> None:
            attempt(number)

        manager.on("error", attempt)
        manager.off("error", attempt)
        socket.connect().wait_connected()
        until(lambda: told == [("open",)])
        server.stop()
        until(lambda: not socket.connected)
        server.start()
        socket.wait_connected()
        until(lambda: told[-1][0] == "reconnect")
        assert told[1][:2] == ("close", "transport close")
        assert ("attempt", 1) in told
        assert not [entry for entry in told if isinstance(entry[1:2], nuncio.NuncioError)]
        manager.off()
        with pytest.raises(nuncio.OptionError, match="no event 'opn'"):
            manager.on("opn", print)
        with pytest.raises(TypeError, match="callable"):
            manager.on("open", 5)  # type: ignore[call-overload]
    assert names == {"nuncio--1"}


def test_a_listener_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Manager(server.url, auto_connect=False) as manager:
        manager.on("open", lambda: 1 / 0)
        manager.socket().connect().wait_connected()
        until(lambda: "ZeroDivisionError" in caplog.text)
        caplog.clear()


def test_settings_may_change(server: Server) -> None:
    with Manager(server.url, auto_connect=False) as manager:
        usual = ManagerOptions()
        for name, value in (
            ("reconnection", False),
            ("reconnection_attempts", 3.0),
            ("reconnection_delay", 0.5),
            ("reconnection_delay_max", 9.0),
            ("randomization_factor", 0.25),
            ("timeout", None),
        ):
            assert getattr(manager, name) == getattr(usual, name)
            setattr(manager, name, value)
            assert getattr(manager, name) == value
        with pytest.raises(nuncio.OptionError, match="randomization_factor"):
            manager.randomization_factor = 2


def test_it_gives_up_when_told(server: Server) -> None:
    options = {**QUICK, "reconnection_attempts": 2}
    failed = threading.Event()
    with Manager(f"http://127.0.0.1:{free_port()}", auto_connect=False, **options) as manager:
        manager.on("reconnect_failed", failed.set)
        socket = manager.socket().connect()
        assert socket.wait(30)
        assert failed.wait(30)


def test_wrong_options_are_told_before_anything_starts() -> None:
    for options, word in (
        ({"reconection": False}, "did you mean"),
        ({"retries": -1}, "retries"),
        ({"auth": 5}, "auth"),
        ({"concurrency": 0}, "concurrency"),
    ):
        with pytest.raises(nuncio.OptionError, match=word):
            Manager("http://127.0.0.1:1", **options)
    with (
        Manager("http://127.0.0.1:1", auto_connect=False) as manager,
        pytest.raises(nuncio.OptionError, match="option of the Manager"),
    ):
        manager.socket("/", reconnection=False)
    assert not threads()


def test_a_closed_manager_cannot_be_used(server: Server) -> None:
    manager = Manager(server.url)
    manager.close()
    manager.close()
    manager.disconnect()
    for use in (manager.open, manager.socket, lambda: manager.on("open", print)):
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_it_sends_what_is_left_before_it_closes(server: Server) -> None:
    server.app.heard.clear()
    with Manager(server.url) as manager:
        socket = manager.socket()
        socket.wait_connected()
        for number in range(100):
            socket.emit("note", number)
    until(lambda: len(server.app.heard) == 100)


def test_the_manager_of_a_connected_socket(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        other = socket.io.socket("/other")
        assert other.connect().emit_with_ack("double", 3) == 6
        other.close()
        socket.io.close()
        assert not socket.connected
    assert not threads()


def test_a_socket_of_its_own_keeps_the_connection(server: Server) -> None:
    """What was made beside a connected socket goes on when that is closed."""
    with nuncio.sync.connect(server.url) as socket:
        other = socket.io.socket("/other").connect()
        other.wait_connected()
    assert threads() == ["nuncio"]
    assert other.emit_with_ack("double", 3) == 6
    other.close()


def test_a_manager_that_is_only_listened_to_leaves_nothing(server: Server) -> None:
    with Manager(server.url, auto_connect=False) as manager:
        manager.on("open", print)
    assert not threads()
