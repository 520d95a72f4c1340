"""Handlers of blocking clients: they run in a thread, in order, and may block."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio
from nuncio.sync import ClientSocket
from tests.support.background import Background, until
from tests.sync.application import Application

Server = Background[Application]

WAIT = 30.0


@pytest.fixture
def socket(server: Server) -> Iterator[ClientSocket]:
    """A connected socket."""
    with nuncio.sync.connect(server.url) as socket:
        yield socket


def test_they_run_one_after_the_other_in_one_thread(server: Server, socket: ClientSocket) -> None:
    heard: list[Any] = []
    running: list[int] = []

    def handler(number: int) -> None:
        running.append(number)
        assert len(running) == 1
        # While it waits, another would run if it could.
        socket.emit_with_ack("double", number)
        heard.append((number, threading.current_thread().name))
        running.remove(number)

    socket.on("a", handler)
    socket.on("b", handler)
    for number in range(20):
        server.emit("ab"[number % 2], number)
    until(lambda: len(heard) == 20)
    assert heard == [(number, "nuncio-/-1") for number in range(20)]


def test_an_acknowledgement_can_be_waited_for_in_a_handler(socket: ClientSocket) -> None:
    answers: list[Any] = []

    @socket.on("echo")
    def echo(number: int) -> None:
        answers.append(socket.emit_with_ack("double", number, timeout=WAIT))

    assert socket.emit_with_ack("echo", 4, timeout=WAIT) == 4
    until(lambda: answers == [8])


def test_what_they_return_is_the_acknowledgement(socket: ClientSocket) -> None:
    socket.once("question", lambda first, second: first * second)
    assert socket.emit_with_ack("ask", 6, 7) == 42
    socket.once("question", lambda: nuncio.Ack(1, 2))
    assert socket.emit_with_ack("ask") == [1, 2]

    @socket.once("question")
    def question(text: str, ack: nuncio.AckCallback) -> None:
        ack(text.upper())

    assert socket.emit_with_ack("ask", "a") == "A"


def test_annotations_are_contracts(socket: ClientSocket) -> None:
    socket.on("question", lambda text: None)

    @socket.prepend("question")
    def question(number: int) -> int:
        return number

    answer = socket.emit_with_ack("ask", "x")
    assert answer["error"]["argument"] == "number"


@pytest.mark.parametrize("own", [False, True])
def test_several_at_once(server: Server, own: bool) -> None:
    """They meet at a barrier, which one alone would never pass."""
    barrier = threading.Barrier(3)
    passed: list[int] = []

    def meet(number: int) -> None:
        barrier.wait(WAIT)
        passed.append(number)

    options: dict[str, Any] = {} if own else {"concurrency": 3}
    with nuncio.sync.connect(server.url, **options) as socket:
        socket.on("meet", meet, **({"concurrency": 3} if own else {}))
        for number in range(6):
            server.emit("meet", number)
        until(lambda: sorted(passed) == [0, 1, 2, 3, 4, 5])


def test_a_limit_of_ones_own_holds_beside_the_sockets(server: Server) -> None:
    gate, started = threading.Event(), threading.Semaphore(0)
    running = []

    def slow(number: int) -> None:
        running.append(number)
        started.release()
        gate.wait(WAIT)

    with nuncio.sync.connect(server.url, concurrency=5) as socket:
        socket.on("slow", slow, concurrency=2)
        for number in range(4):
            server.emit("slow", number)
        started.acquire()
        started.acquire()
        # The answer comes behind all of them.
        socket.emit_with_ack("double", 1)
        assert sorted(running) == [0, 1]
        gate.set()
        until(lambda: sorted(running) == [0, 1, 2, 3])


def test_async_functions_are_refused(socket: ClientSocket) -> None:
    async def handler() -> None: ...

    for use in (
        lambda: socket.on("a", handler),
        lambda: socket.once("a")(handler),
        lambda: socket.on_any(handler),
        lambda: socket.on_any_outgoing(handler),
        lambda: socket.emit("a", handler),
        lambda: socket.timeout(1).emit("a", handler),
        lambda: socket.io.on("open", handler),
        lambda: socket.io.on_error(handler),
    ):
        with pytest.raises(nuncio.OptionError, match="async"):
            use()


def test_wrong_registrations(socket: ClientSocket) -> None:
    with pytest.raises(nuncio.OptionError, match="thread"):
        socket.on("a", print, thread=False)
    with pytest.raises(nuncio.OptionError, match="concurrency"):
        socket.on("a", print, concurency=2)
    with pytest.raises(nuncio.OptionError, match="concurrency"):
        socket.on("a", print, concurrency=0)
    with pytest.raises(nuncio.OptionError, match="event"):
        socket.on("")(print)
    with pytest.raises(nuncio.OptionError, match="callable"):
        socket.on("a", 5)  # type: ignore[call-overload]
    socket.on("a", print, thread=True)


class Failures:
    """What `on_error` is told."""

    def __init__(self, socket: ClientSocket) -> None:
        self.told: list[tuple[BaseException, str]] = []
        socket.io.on_error(self.failed)

    def failed(self, error: Exception, socket: Any, event: str) -> None:
        """It is told."""
        assert threading.current_thread().name.startswith("nuncio-")
        self.told.append((error, event))

    def next(self) -> tuple[BaseException, str]:
        """Wait for one, and take it."""
        until(lambda: self.told)
        return self.told.pop(0)


def test_what_they_raise_is_told_and_ends_nothing(
    server: Server, socket: ClientSocket, caplog: pytest.LogCaptureFixture
) -> None:
    failures = Failures(socket)
    error: BaseException = KeyError("a")

    def fail(*args: Any) -> None:
        raise error

    socket.on("fail", fail)
    server.emit("fail")
    assert failures.next() == (error, "fail")
    # These would end the thread, or could not be carried over.
    for error in (SystemExit(3), KeyboardInterrupt(), StopIteration(1)):
        server.emit("fail")
        told, event = failures.next()
        assert (type(told), told.__cause__, event) == (RuntimeError, error, "fail")
    socket.off("fail")

    async def coroutine() -> None: ...

    socket.on("lazy", lambda: coroutine())
    server.emit("lazy")
    assert "nothing can be awaited" in str(failures.next()[0])
    error = ValueError("b")
    socket.on_any(fail)
    server.emit("any")
    assert failures.next() == (error, "any")
    socket.off_any()
    socket.emit("double", 1, fail)
    assert failures.next() == (error, "ack")
    assert socket.emit_with_ack("double", 1) == 2
    assert "a handler of 'fail' failed" in caplog.text
    caplog.clear()


def test_failures_of_who_is_told_of_failures(
    server: Server, socket: ClientSocket, caplog: pytest.LogCaptureFixture
) -> None:
    @socket.io.on_error
    def failed(error: Exception) -> None:
        raise ValueError("again")

    socket.on("fail", lambda: 1 / 0)
    server.emit("fail")
    until(lambda: "ValueError: again" in caplog.text)
    caplog.clear()


def test_registering_and_removing(server: Server, socket: ClientSocket) -> None:
    heard: list[Any] = []

    def first(number: int) -> None:
        heard.append(("first", number))

    @socket.on("a")
    def second(number: int) -> None:
        heard.append(("second", number))

    assert socket.prepend("a", first) is first
    socket.once("a", lambda number: heard.append(("once", number)))
    assert len(socket.listeners("a")) == 3
    server.emit("a", 1)
    until(lambda: heard == [("first", 1), ("second", 1), ("once", 1)])
    assert socket.listeners("a") == [first, second]
    socket.off("a", first)
    assert socket.listeners("a") == [second]
    socket.off("a")
    assert socket.listeners("a") == []
    socket.on("a", first)
    socket.off()
    assert socket.listeners("a") == []


def test_catch_all_listeners(socket: ClientSocket) -> None:
    heard: list[Any] = []

    def incoming(*args: Any) -> None:
        heard.append(("in", *args, socket.emit_with_ack("double", 1)))

    def outgoing(*args: Any) -> None:
        if args[0] != "double":
            heard.append(("out", *args))

    assert socket.on_any(incoming) is incoming
    socket.prepend_any(print)
    assert socket.listeners_any() == [print, incoming]
    socket.off_any(print)
    assert socket.on_any_outgoing(outgoing) is outgoing
    socket.prepend_any_outgoing(print)
    assert socket.listeners_any_outgoing() == [print, outgoing]
    socket.off_any_outgoing(print)
    socket.receive("welcome")
    socket.emit("echo", 1)
    until(lambda: ("in", "echo", 1, 2) in heard and ("out", "echo", 1) in heard)
    socket.off_any()
    socket.off_any_outgoing()
    assert socket.listeners_any() == socket.listeners_any_outgoing() == []


def test_what_happens_to_the_connection_is_told(server: Server) -> None:
    told: list[Any] = []
    with nuncio.sync.Manager(server.url, auto_connect=False) as manager:
        socket = manager.socket()
        socket.on("connect", lambda: told.append(("connect", socket.emit_with_ack("double", 1))))
        socket.on("disconnect", lambda *args: told.append(("disconnect", *args)))
        socket.on("connect_error", lambda error: told.append(str(error)))
        socket.connect()
        until(lambda: told == [("connect", 2)])
        socket.disconnect()
        until(lambda: told[1:] == [("disconnect", "io client disconnect", "")])
        socket.auth = {"refuse": True}
        socket.connect()
        until(lambda: told[2:] == ["not you"])


def test_the_last_handlers_run_though_all_is_closed(server: Server) -> None:
    told: list[Any] = []
    gate = threading.Event()
    with nuncio.sync.connect(server.url) as socket:
        socket.on("echo", lambda: gate.wait(WAIT))
        socket.on("disconnect", lambda reason: told.append(reason))
        socket.emit("echo")
        until(lambda: socket._manager.runner.busy)
    assert told == []
    gate.set()
    until(lambda: told == ["io client disconnect"])


def test_closing_in_a_handler(server: Server) -> None:
    socket = nuncio.sync.connect(server.url)
    socket.on("echo", lambda: socket.close())
    socket.emit("echo")
    assert socket.wait(WAIT)
    assert socket.closed


def test_so_many_wait_for_their_turn_that_the_server_has_to(server: Server) -> None:
    gate = threading.Event()
    heard: list[int] = []

    def handler(number: int) -> None:
        gate.wait(WAIT)
        heard.append(number)

    limits = nuncio.ClientLimits(queued_events=10)
    with nuncio.sync.connect(server.url, limits=limits, transports=["websocket"]) as socket:
        socket.on("a", handler)
        socket.emit("burst", "a", 5000)
        runner = socket._manager.runner
        until(lambda: runner.paused, "reading pauses")
        gate.set()
        until(lambda: len(heard) == 5000)
        assert heard == list(range(5000))
        assert not runner.paused


def test_catch_all_listeners_that_are_slow_make_the_server_wait(server: Server) -> None:
    gate = threading.Event()
    limits = nuncio.ClientLimits(queued_events=10)
    with nuncio.sync.connect(server.url, limits=limits, transports=["websocket"]) as socket:
        socket.on_any(lambda *args: gate.wait(WAIT))
        socket.on("a", lambda: None)
        socket.emit("burst", "a", 100)
        runner = socket._manager.runner
        until(lambda: runner.paused, "reading pauses")
        gate.set()
        until(lambda: not runner.busy)


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's loop runs there anyway")
def test_asyncios_own_loop(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with nuncio.sync.connect(f"http://localhost:{server.port}") as socket:
        assert isinstance(socket._home.loop, asyncio.SelectorEventLoop)
        socket.on("question", lambda number: number + socket.emit_with_ack("double", 1))
        assert socket.emit_with_ack("ask", 1) == 3


def test_a_system_that_gives_no_threads(
    server: Server,
    socket: ClientSocket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told, and goes on when there are some again."""
    failures = Failures(socket)
    heard: list[int] = []
    lane = socket._manager.runner.lane("/")
    socket.on("a", heard.append)
    # As after a time in which the socket was not connected.
    socket._home.run(lane.stop)
    with monkeypatch.context() as patch:
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name.startswith("nuncio-/"):
                raise RuntimeError("can't start new thread")
            start(thread)

        patch.setattr(threading.Thread, "start", refuse)
        server.emit("a", 1)
        assert "no thread can be started" in str(failures.next()[0])
    server.emit("a", 2)
    until(lambda: heard == [2])
    caplog.clear()
