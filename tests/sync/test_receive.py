"""Events that a blocking client receives: what is kept, for how long, and who gets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio
import nuncio.sync.mailbox
from nuncio.sync import ClientSocket
from tests.support.background import Background, until
from tests.sync.application import Application

Server = Background[Application]

SHORT = 0.05
FEW = nuncio.ClientLimits(queued_events=10)


@pytest.fixture
def socket(server: Server) -> Iterator[ClientSocket]:
    """A connected socket that has taken the server's greeting."""
    with nuncio.sync.connect(server.url) as socket:
        socket.receive("welcome")
        yield socket


def numbers(socket: ClientSocket, name: str, count: int) -> list[Any]:
    """The arguments of the next events of a name."""
    return [socket.receive(name).args[0] for _ in range(count)]


def kept(socket: ClientSocket, number: int) -> None:
    """Wait until so many events are kept."""
    mailbox = socket._manager.mailboxes[socket.nsp]
    until(lambda: mailbox._count == number, f"{number} events are kept")


def test_what_came_before_anybody_asked_is_kept(server: Server) -> None:
    with nuncio.sync.connect(server.url) as socket:
        server.emit("news", 1)
        server.emit("news", 2)
        # The answer comes behind them.
        socket.emit_with_ack("double", 1)
        assert [socket.receive().name for _ in range(3)] == ["welcome", "news", "news"]
        with pytest.raises(nuncio.ReceiveTimeout, match="no event came within 0 seconds"):
            socket.receive(timeout=0)


def test_an_event(socket: ClientSocket) -> None:
    socket.emit("echo", 1, b"two")
    event = socket.receive()
    assert isinstance(event, nuncio.Event)
    assert (event.name, event.args, event.wants_ack) == ("echo", [1, b"two"], False)


def test_waiting_for_an_event(server: Server, socket: ClientSocket) -> None:
    threading.Timer(SHORT, server.emit, ("news", 1)).start()
    assert socket.receive("news").args == [1]


def test_an_event_that_does_not_come(socket: ClientSocket) -> None:
    with pytest.raises(nuncio.ReceiveTimeout, match=r"no event named 'a' or 'b' came") as caught:
        socket.receive("a", "b", timeout=SHORT)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.names == ("a", "b")
    assert caught.value.seconds == SHORT
    # Nothing of that is left.
    socket.emit("echo", 1)
    assert socket.receive(timeout=30).args == [1]


def test_names_are_taken_out_of_their_order(server: Server, socket: ClientSocket) -> None:
    for number, name in enumerate(("a", "b", "a", "c", "b")):
        server.emit(name, number)
    assert socket.receive("b").args == [1]
    assert socket.receive("b", "c").args == [3]
    assert [socket.receive().args[0] for _ in range(3)] == [0, 2, 4]


def test_names_are_text(socket: ClientSocket) -> None:
    with pytest.raises(nuncio.OptionError, match="names must be str"):
        socket.receive(5)  # type: ignore[arg-type]
    with pytest.raises(nuncio.OptionError, match="names must be str"):
        socket.events(None)  # type: ignore[arg-type]


def test_answering_an_event(socket: ClientSocket) -> None:
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(socket.emit_with_ack("ask", 6, 7)))
    asking.start()
    event = socket.receive("question")
    assert event.wants_ack
    event.ack("a", "b")
    event.ack("never sent")
    asking.join(30)
    assert answers == [["a", "b"]]


def test_answering_when_all_has_ended(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with nuncio.sync.connect(server.url) as socket:
        socket.emit("ask", 1, lambda answer: None)
        event = socket.receive("question")
    event.ack("nobody waits")
    # The server's handler, which has waited for the answer.
    until(lambda: "Disconnected" in caplog.text)
    caplog.clear()


def test_iterating_ends_with_the_socket(server: Server, socket: ClientSocket) -> None:
    for number in range(3):
        server.emit("news", number)
    socket.emit("leave")
    assert [event.args[0] for event in socket.events("news")] == [0, 1, 2]
    assert list(socket.events()) == []


def test_several_threads_share_what_comes(server: Server, socket: ClientSocket) -> None:
    taken: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: taken.extend(event.args[0] for event in socket.events("job"))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    socket.emit("burst", "job", 200)
    until(lambda: len(taken) == 200)
    socket.disconnect()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(taken) == list(range(200))


# Handlers beside.


def test_a_handler_gets_what_came_before_it_was_registered(server: Server) -> None:
    heard: list[Any] = []
    with nuncio.sync.connect(server.url, auth={"a": 1}) as socket:
        server.emit("news", 1)
        server.emit("news", 2)
        socket.emit_with_ack("double", 1)
        socket.on("welcome", lambda auth: heard.append(auth))
        socket.once("news", lambda number: heard.append(number))
        until(lambda: heard == [{"a": 1}, 1])
        # What the once handler has left is there for others.
        assert socket.receive().args == [2]


def test_a_handler_answers_what_came_before_it_was_registered(socket: ClientSocket) -> None:
    answers: list[Any] = []
    socket.emit("ask", 5, lambda answer: answers.append(answer))
    kept(socket, 1)
    socket.on("question", lambda number: number + 1)
    until(lambda: answers == [6])


def test_what_a_handler_takes_is_not_kept(server: Server, socket: ClientSocket) -> None:
    heard: list[int] = []
    socket.on("news", heard.append)
    server.emit("news", 1)
    server.emit("else", 2)
    assert socket.receive(timeout=30).name == "else"
    until(lambda: heard == [1])
    # A handler that goes takes its name with it.
    socket.off("news")
    server.emit("news", 3)
    socket.emit_with_ack("double", 1)
    with pytest.raises(nuncio.ReceiveTimeout):
        socket.receive(timeout=0)


def test_what_is_received_by_name_goes_to_handlers_too(
    server: Server, socket: ClientSocket
) -> None:
    heard: list[int] = []
    socket.on("news", heard.append)
    threading.Timer(SHORT, server.emit, ("news", 1)).start()
    assert socket.receive("news").args == [1]
    until(lambda: heard == [1])


def test_receiving_inside_of_a_handler(server: Server, socket: ClientSocket) -> None:
    """What it waits for comes, though another event for the handler is in front of it."""
    done: list[Any] = []

    @socket.on("job")
    def job(number: int) -> None:
        done.append((number, socket.receive("data", timeout=30).args[0]))

    for number in range(3):
        server.emit("job", number)
    until(lambda: socket._manager.runner.busy)
    for number in range(3):
        server.emit("data", number)
    until(lambda: done == [(0, 0), (1, 1), (2, 2)])


# Bounds.


def test_of_what_nobody_asks_for_the_latest_are_kept(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with nuncio.sync.connect(server.url, limits=FEW) as socket:
        socket.emit_with_ack("burst", "a", 100)
        assert numbers(socket, "a", 10) == list(range(90, 100))
        assert "90 events of '/' were dropped" in caplog.text
        caplog.clear()


def test_what_is_received_makes_the_server_wait(server: Server) -> None:
    # More than the buffers of the operating system hold.
    with nuncio.sync.connect(server.url, limits=FEW, transports=["websocket"]) as socket:
        with pytest.raises(nuncio.ReceiveTimeout):
            socket.receive("a", timeout=0)
        socket.emit("burst", "a", 5000)
        until(lambda: socket._manager.runner.paused, "reading pauses")
        assert numbers(socket, "a", 5000) == list(range(5000))
        assert not socket._manager.runner.paused


def test_what_nobody_asks_for_does_not_make_the_server_wait(server: Server) -> None:
    with nuncio.sync.connect(server.url, limits=FEW) as socket:
        with pytest.raises(nuncio.ReceiveTimeout):
            socket.receive("a", timeout=0)
        socket.emit("burst", "noise", 500)
        socket.emit("burst", "a", 1)
        assert socket.receive("a", timeout=30).args == [0]


def test_who_does_not_come_any_more_loses_the_oldest(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nuncio.sync.mailbox, "PATIENCE_SECONDS", SHORT)
    with nuncio.sync.connect(server.url, limits=FEW) as socket:
        assert socket.receive().name == "welcome"
        heard: list[int] = []
        socket.on("news", heard.append)
        socket.emit("burst", "a", 500)
        # Reading goes on by itself.
        socket.emit("burst", "news", 1)
        until(lambda: heard == [0])
        assert "none was received for 0.05 seconds" in caplog.text
        assert socket.receive("a").args[0] >= 490
        caplog.clear()


def test_an_event_that_nobody_was_there_to_take_is_the_next_one(
    server: Server, socket: ClientSocket
) -> None:
    for number in range(3):
        server.emit("news", number)
    kept(socket, 3)
    mailbox = socket._manager.mailboxes["/"]
    taken = socket._home.run(mailbox.next, ())
    socket._home.run(mailbox.put_back, taken)
    assert numbers(socket, "news", 3) == [0, 1, 2]
