"""A blocking socket: connecting, sending, acknowledgements, ending."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import nuncio
from nuncio.sync import ClientSocket
from tests.support.background import Background, until
from tests.support.ports import free_port
from tests.sync.application import Application
from tests.sync.conftest import threads
from tests.sync.scripts import said

Server = Background[Application]

# Longer than any machine stands still, for what is to come; what is not to come is soon given up.
LONG = 30.0
SHORT = 0.05


def test_a_connected_socket(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        assert isinstance(socket, ClientSocket)
        assert (socket.connected, socket.disconnected, socket.active) == (True, False, True)
        assert socket.id in server.app.io.sockets.sockets
        assert socket.nsp == "/"
        assert not socket.recovered
        assert repr(socket) == f"<nuncio.sync.ClientSocket {socket.id!r} of '/' connected>"
        assert socket.io.ready_state == "open"
        assert threads() == ["nuncio"]
    assert (socket.connected, socket.active, socket.closed) == (False, False, True)
    assert not threads()


def test_the_module_is_an_attribute_of_the_package() -> None:
    assert nuncio.sync.__name__ == "nuncio.sync"
    assert "sync" in nuncio.__all__
    with pytest.raises(AttributeError, match="synk"):
        nuncio.synk  # noqa: B018


def test_the_path_of_the_url_is_the_namespace(server: Server) -> None:
    with nuncio.sync.connect(f"{server.url}/other") as socket:
        assert socket.nsp == "/other"
        assert socket.emit_with_ack("double", 4) == 8


def test_a_refusal_is_raised_and_leaves_nothing(server: Server) -> None:
    with pytest.raises(nuncio.ConnectError, match="not you") as caught:
        nuncio.sync.connect(server.url, auth={"refuse": True})
    assert caught.value.data == {"code": 7}
    assert not threads()


def test_who_cannot_be_reached_is_raised() -> None:
    with pytest.raises(nuncio.TransportError, match="nobody can be reached"):
        nuncio.sync.connect(f"http://127.0.0.1:{free_port()}")
    assert not threads()


def test_wrong_options_are_told_before_anything_starts() -> None:
    with pytest.raises(nuncio.OptionError, match="did you mean 'transports'"):
        nuncio.sync.connect("http://127.0.0.1:1", transport=["websocket"])
    with pytest.raises(nuncio.OptionError, match="url"):
        nuncio.sync.connect("ftp://127.0.0.1")
    assert not threads()


def test_errors_tell_where_the_application_was(server: Server) -> None:
    def mistake(socket: ClientSocket) -> None:
        socket.emit("note", object())

    with nuncio.sync.connect(server.url) as socket:
        with pytest.raises(TypeError, match="a value of type 'object' cannot be sent") as caught:
            mistake(socket)
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert "mistake" in names
        with pytest.raises(nuncio.OptionError, match="reserved"):
            socket.emit("connect")


def test_the_answer_to_an_event(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        assert socket.emit_with_ack("double", 21) == 42
        assert socket.emit_with_ack("echo", b"\x00\xff", {"a": [b"b"]}, timeout=LONG) == [
            b"\x00\xff",
            {"a": [b"b"]},
        ]
        assert socket.timeout(LONG).emit_with_ack("double", 3) == 6
        assert socket.compress(False).volatile.timeout(LONG).emit_with_ack("double", 5) == 10


def test_an_answer_that_does_not_come(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        with pytest.raises(nuncio.AckTimeout):
            socket.emit_with_ack("never", timeout=SHORT)
        with pytest.raises(nuncio.AckTimeout):
            socket.timeout(SHORT).emit_with_ack("never")
        assert socket.emit_with_ack("double", 1) == 2
    with (
        nuncio.sync.connect(server.url, ack_timeout=SHORT) as socket,
        pytest.raises(nuncio.AckTimeout),
    ):
        socket.emit_with_ack("never")


def test_an_answer_to_a_callback(server: Server) -> None:
    answers: list[Any] = []
    names: list[str] = []

    def answered(*values: Any) -> None:
        names.append(threading.current_thread().name)
        # It may block.
        answers.append((values, socket.emit_with_ack("double", 1)))

    with nuncio.sync.connect(server.url) as socket:
        socket.emit("echo", "a", 1, answered)
        socket.timeout(LONG).emit("echo", "b", answered)
        until(lambda: len(answers) == 2)
        assert answers == [(("a", 1), 2), ((None, "b"), 2)]
        socket.timeout(SHORT).emit("never", lambda error: answers.append(error))
        until(lambda: len(answers) == 3)
        assert isinstance(answers[2], nuncio.AckTimeout)
        assert set(names) == {"nuncio-/-1"}


def test_the_ways_to_send(server: Server) -> None:
    server.app.heard.clear()
    with nuncio.sync.connect(server.url, transports=["websocket"]) as socket:
        socket.send("a")
        socket.volatile.send("b")
        socket.compress(True).emit("note", 1)
        socket.volatile.compress(False).emit("note", 2)
        assert socket.emit_with_ack("note", 3) == 3
    assert server.app.heard == [[1], [2], [3]]


def test_what_was_emitted_before_closing_arrives(server: Server) -> None:
    server.app.heard.clear()
    for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
        with nuncio.sync.connect(server.url, transports=transports) as socket:
            for number in range(100):
                socket.emit("note", number)
    until(lambda: len(server.app.heard) == 300)
    assert server.app.heard == [[number] for number in range(100)] * 3


def test_emit_waits_for_a_server_that_is_behind(server: Server) -> None:
    """Many times what the buffers hold may be emitted, and none is too much."""
    limits = nuncio.ClientLimits(outgoing_bytes=1_000_000, high_water_bytes=1000)
    server.app.heard.clear()
    for transports in (["websocket"], ["polling"]):
        with nuncio.sync.connect(server.url, transports=transports, limits=limits) as socket:
            for _ in range(100):
                socket.emit("note", b"x" * 100_000)
    until(lambda: len(server.app.heard) == 200)


def test_what_waits_for_a_connection_is_bounded() -> None:
    limits = nuncio.ClientLimits(buffered_events=2)
    with nuncio.sync.Manager("http://127.0.0.1:1", auto_connect=False, limits=limits) as manager:
        socket = manager.socket()
        socket.emit("a")
        socket.emit("b")
        with pytest.raises(nuncio.LimitExceeded, match="buffered_events"):
            socket.emit("c")


def test_leaving_and_coming_back(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        first = socket.id
        assert socket.disconnect() is socket
        assert not socket.active
        assert socket.wait()
        socket.emit("note", "later")
        assert socket.connect() is socket
        socket.wait_connected()
        assert socket.connected
        assert socket.id != first
        assert socket.open().connected
        assert socket.emit_with_ack("double", 2) == 4


def test_the_server_sends_it_away(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        assert not socket.wait(SHORT)
        assert not socket.wait(0)
        socket.emit("leave")
        assert socket.wait(LONG)
        assert socket.wait()
        assert not socket.active
        with pytest.raises(nuncio.Disconnected, match="io server disconnect"):
            socket.receive("never", timeout=LONG)


def test_waiting_for_a_connection_that_does_not_come() -> None:
    with nuncio.sync.Manager(f"http://127.0.0.1:{free_port()}") as manager:
        socket = manager.socket()
        with pytest.raises(nuncio.ConnectTimeout) as caught:
            socket.wait_connected(SHORT)
        assert caught.value.seconds == SHORT
        assert isinstance(caught.value, TimeoutError)
        assert socket.active


def test_waiting_until_refused(server: Server) -> None:
    with (
        nuncio.sync.Manager(server.url) as manager,
        pytest.raises(nuncio.ConnectError, match="not you"),
    ):
        manager.socket(auth={"refuse": True}).wait_connected(LONG)


USES: list[Callable[[ClientSocket], Any]] = [
    lambda socket: socket.connect(),
    lambda socket: socket.wait_connected(),
    lambda socket: socket.emit("a"),
    lambda socket: socket.volatile.emit("a"),
    lambda socket: socket.emit_with_ack("a"),
    lambda socket: socket.timeout(1).emit_with_ack("a"),
    lambda socket: socket.receive(),
    lambda socket: socket.events(),
    lambda socket: socket.on("a", print),
    lambda socket: socket.off("a"),
]


@pytest.mark.parametrize("use", USES, ids=range(len(USES)))
def test_a_closed_socket_cannot_be_used(server: Server, use: Callable[[ClientSocket], Any]) -> None:
    with nuncio.sync.connect(server.url) as socket:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        use(socket)


def test_ending_what_has_ended(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        socket.close()
        assert socket.wait()
        socket.disconnect()
        socket.close()


def test_a_time_that_cannot_be(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        for use in (socket.wait, socket.wait_connected, socket.timeout):
            with pytest.raises(nuncio.OptionError, match=r"timeout|seconds"):
                use(-1)
        with pytest.raises(nuncio.OptionError, match="timeout"):
            socket.receive(timeout="1")  # type: ignore[arg-type]
        with pytest.raises(nuncio.OptionError, match="timeout"):
            socket.emit_with_ack("double", 1, timeout=0)


def test_credentials_and_headers_of_functions_that_block(server: Server) -> None:
    names: list[str] = []

    def auth() -> dict[str, str]:
        names.append(threading.current_thread().name)
        return {"token": "fresh"}

    def headers() -> dict[str, str]:
        names.append(threading.current_thread().name)
        return {"X-From": "here"}

    with nuncio.sync.connect(server.url, auth=auth, extra_headers=headers) as socket:
        assert socket.receive("welcome").args == [{"token": "fresh"}, "here"]
        assert socket.auth is auth
        socket.auth = {"token": "other"}
        assert socket.auth == {"token": "other"}
        socket.disconnect().connect()
        assert socket.receive("welcome").args == [{"token": "other"}, "here"]
        with pytest.raises(nuncio.OptionError, match="auth"):
            socket.auth = "token"
    assert len(names) >= 2
    assert set(names) == {"nuncio-asked"}


def test_credentials_that_fail(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def auth() -> dict[str, str]:
        raise KeyError("the vault is shut")

    with pytest.raises(nuncio.ConnectError, match="the vault is shut"):
        nuncio.sync.connect(server.url, auth=auth)
    caplog.clear()


def test_going_on_until_somebody_is_there(server: Server) -> None:
    server.stop()
    threading.Timer(0.2, server.start).start()
    with nuncio.sync.connect(
        server.url, retry=True, reconnection_delay=0.05, randomization_factor=0
    ) as socket:
        assert socket.emit_with_ack("double", 1) == 2


def test_it_is_imported_when_somebody_asks_for_it(server: Server) -> None:
    script = """
    say("nuncio.sync" in sys.modules)
    say(nuncio.sync.connect.__module__, "nuncio.sync" in sys.modules)
    """
    assert said(script, server.url) == ["False", "nuncio.sync.connect True"]
