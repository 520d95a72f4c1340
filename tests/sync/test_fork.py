"""Processes that fork: the child does not use its parent's connections, and has its own."""

from __future__ import annotations

import os

import pytest

from tests.support.background import Background
from tests.sync.application import Application
from tests.sync.scripts import said

Server = Background[Application]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

# Python tells since 3.12 that forking beside threads is risky: which is what is tested.
QUIET = ("-W", "ignore::DeprecationWarning")


def test_a_child_connects_anew(server: Server) -> None:
    script = """
    socket = nuncio.sync.connect(URL)
    manager = socket.io
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            for use in (
                lambda: socket.emit("note", 1),
                lambda: socket.emit_with_ack("double", 1),
                lambda: socket.receive(),
                lambda: socket.on("a", print),
                lambda: manager.open(),
                lambda: manager.socket("/other"),
            ):
                try:
                    use()
                    say("it worked")
                except RuntimeError as error:
                    assert "before os.fork()" in str(error), error
                    assert str(os.getppid()) in str(error), error
            assert not socket.connected and not socket.active
            # Leaving what the parent has begun does nothing.
            socket.close()
            manager.close()
            with nuncio.sync.connect(URL) as own:
                own.on("question", lambda number: own.emit_with_ack("double", number))
                assert own.emit_with_ack("ask", 5) == 10
                assert own.id != socket.id
            # Another stays open until the end.
            nuncio.sync.connect(URL).emit("note", number)
            sys.exit(number)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    say(codes, socket.emit_with_ack("double", 4), socket.connected)
    socket.close()
    """
    server.app.heard.clear()
    assert said(script, server.url, *QUIET) == ["[0, 1] 8 True"]
    assert sorted(server.app.heard) == [[0], [1]]


def test_a_child_that_only_ends_leaves_its_parent_alone(server: Server) -> None:
    script = """
    socket = nuncio.sync.connect(URL)
    socket.receive("welcome")
    for end in (lambda: sys.exit(), lambda: os._exit(0)):
        child = os.fork()
        if child == 0:
            end()
        assert os.waitpid(child, 0)[1] == 0
    say(socket.emit_with_ack("double", 4))
    try:
        socket.receive(timeout=1.2)
    except nuncio.ReceiveTimeout:
        # Two heartbeats later it is still there.
        say(socket.connected)
    """
    assert said(script, server.url, *QUIET) == ["8", "True"]


def test_workers_that_are_forked_beforehand(server: Server) -> None:
    """As with Celery: a process is the parent of workers, each of which connects when it works."""
    script = """
    import functools, multiprocessing

    @functools.cache
    def socket():
        return nuncio.sync.connect(URL)

    def task(number):
        return os.getpid(), socket().emit_with_ack("double", number)

    def main():
        context = multiprocessing.get_context("fork")
        say(task(0)[1])
        socket().close()
        socket.cache_clear()
        with context.Pool(2) as pool:
            results = pool.map(task, range(20), chunksize=1)
            pool.close()
            pool.join()
        say([result for _, result in results] == [2 * number for number in range(20)])
        say(os.getpid() in [pid for pid, _ in results])

    main()
    """
    assert said(script, server.url, *QUIET) == ["0", "True", "False"]


def test_a_fork_while_threads_are_busy(server: Server) -> None:
    """Whatever other threads hold at that moment, the child can connect."""
    script = """
    socket = nuncio.sync.connect(URL)
    going = True

    def work():
        while going:
            socket.emit_with_ack("double", 1)
            with nuncio.sync.connect(URL, transports=["websocket"]):
                pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            with nuncio.sync.connect(URL) as own:
                assert own.emit_with_ack("double", 4) == 8
            os._exit(7)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    going = False
    for thread in threads:
        thread.join()
    say(codes)
    """
    assert said(script, server.url, *QUIET) == ["[7, 7, 7, 7, 7]"]
