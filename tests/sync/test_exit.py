"""How scripts with blocking clients end: nothing is lost, nothing hangs, nothing is said."""

from __future__ import annotations

import sys

import pytest

from tests.support.background import Background, until
from tests.support.ports import free_port
from tests.sync.application import Application
from tests.sync.scripts import end, hear, interrupt, running, said

Server = Background[Application]

# Ctrl-C can be sent to another process alone only where there are signals.
signals = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_what_was_emitted_arrives_though_nobody_closes(server: Server, transport: str) -> None:
    server.app.heard.clear()
    script = f"""
    socket = nuncio.sync.connect(URL, transports=["{transport}"])
    socket.on("disconnect", lambda reason: say(reason))
    for number in range(500):
        socket.emit("note", number)
    """
    # Python tells of what is not closed.
    assert said(script, server.url, "-W", "always") == ["io client disconnect"]
    until(lambda: len(server.app.heard) == 500)
    assert server.app.heard == [[number] for number in range(500)]


def test_so_does_what_was_emitted_before_there_was_a_connection(server: Server) -> None:
    server.app.heard.clear()
    script = """
    manager = nuncio.sync.Manager(URL, retries=3)
    for number in range(20):
        manager.socket().emit("note", number)
    sys.exit("bye")
    """
    with running(script, server.url) as process:
        assert process.communicate(timeout=60) == ("", "bye\n")
    assert server.app.heard == [[number] for number in range(20)]


def test_what_an_application_does_at_its_end_finds_it_connected(server: Server) -> None:
    script = """
    import atexit
    atexit.register(lambda: say(socket.emit_with_ack("double", 2)))
    socket = nuncio.sync.connect(URL)

    @atexit.register
    def connect():
        with nuncio.sync.connect(URL) as other:
            say(other.emit_with_ack("double", 3))
    """
    assert said("nuncio.sync\n" + script.replace("\n    ", "\n"), server.url) == ["6", "4"]


def test_what_hangs_does_not_hold_up_the_end(server: Server) -> None:
    """A handler that never ends, and threads that wait for what will never come."""
    script = """
    socket = nuncio.sync.connect(URL)
    socket.on("welcome", lambda: time.sleep(1000))
    for wait in (
        lambda: socket.receive("never"),
        lambda: socket.emit_with_ack("never"),
        lambda: [event for event in socket.events("never")],
    ):
        threading.Thread(target=wait, daemon=True).start()
    while len(socket._home._calls) < 3:
        time.sleep(0.01)
    """
    assert said(script, server.url) == []


def test_a_handler_that_works_at_the_end_may_finish(server: Server) -> None:
    script = """
    socket = nuncio.sync.connect(URL)
    begun = threading.Event()

    @socket.on("welcome")
    def welcome():
        begun.set()
        time.sleep(0.1)
        say("finished")

    begun.wait()
    """
    assert said(script, server.url) == ["finished"]


def test_a_handler_that_waits_for_the_server_at_the_end_is_silent(server: Server) -> None:
    script = """
    socket = nuncio.sync.connect(URL)
    socket.on("welcome", lambda: socket.emit_with_ack("never"))
    while not socket._inner._acks:
        time.sleep(0.01)
    """
    assert said(script, server.url) == []


def test_a_server_that_is_not_there_does_not_hold_up_the_end() -> None:
    script = """
    import nuncio.sync.home
    nuncio.sync.home.FLUSH_SECONDS = 0.2
    manager = nuncio.sync.Manager(URL, reconnection_delay=0.02, reconnection_delay_max=0.02)
    manager.socket().emit("note", 1)
    import logging
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    """
    words = said(script, f"http://127.0.0.1:{free_port()}")
    assert words == ["1 events of '/' were not sent: the program ended while nobody was connected"]


def test_nor_does_one_that_does_not_answer(server: Server) -> None:
    script = """
    import nuncio.sync.home, socket
    nuncio.sync.home.FLUSH_SECONDS = 0.2
    listening = socket.create_server(("127.0.0.1", 0))
    manager = nuncio.sync.Manager(f"http://127.0.0.1:{listening.getsockname()[1]}")
    manager.socket().emit("note", 1)
    listening.accept()
    import logging
    logging.disable()
    """
    assert said(script, server.url) == []


def test_threads_go_on_after_the_main_one(server: Server) -> None:
    script = """
    socket = nuncio.sync.connect(URL)

    def work():
        threading.main_thread().join()
        say(socket.emit_with_ack("double", 4))

    threading.Thread(target=work).start()
    """
    assert said(script, server.url) == ["8"]


def test_it_is_too_late_to_connect(server: Server) -> None:
    script = """
    import atexit

    @atexit.register
    def late():
        for use in (lambda: nuncio.sync.connect(URL), lambda: socket.emit("note", 1)):
            try:
                use()
            except RuntimeError as error:
                say(error)
        socket.close()

    socket = nuncio.sync.connect(URL)
    """
    words = said(script, server.url)
    assert len(words) == 2
    assert "too late to connect" in words[0]
    assert "closed" in words[1]


# Ctrl-C.


@signals
@pytest.mark.parametrize(
    "wait",
    ["wait()", "receive('never')", "emit_with_ack('never')", "emit_with_ack('wait', timeout=1000)"],
)
def test_ctrl_c_interrupts_and_the_socket_goes_on(server: Server, wait: str) -> None:
    script = f"""
    socket = nuncio.sync.connect(URL)
    try:
        say("waiting")
        socket.{wait}
    except KeyboardInterrupt:
        say("interrupted")
    say(socket.connected, socket.emit_with_ack("double", 4))
    socket.emit("echo", 1)
    say(socket.receive("echo").args)
    socket.close()
    say(*(thread.name for thread in threading.enumerate()))
    """
    with running(script, server.url) as process:
        hear(process, "waiting")
        interrupt(process)
        assert end(process) == ["interrupted", "True 8", "[1]", "MainThread"]


@signals
def test_ctrl_c_loses_no_event(server: Server) -> None:
    """Whatever it interrupts, each event is received once and in order."""
    script = """
    def interrupt(_, frame):
        # Outside of the client it would be the script's business.
        while frame is not None:
            if frame.f_code is nuncio.sync.ClientSocket.receive.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    signal.signal(signal.SIGALRM, interrupt)
    socket = nuncio.sync.connect(URL)
    socket.receive("welcome")
    socket.emit("burst", "a", 900)
    taken, interrupted, tries = [], 0, 0
    while len(taken) < 900:
        tries += 1
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00002 + tries % 50 * 0.00001)
            taken.append(socket.receive("a").args[0])
        except KeyboardInterrupt:
            interrupted += 1
    say(taken == list(range(900)), interrupted > 0)
    """
    assert said(script, server.url) == ["True True"]


@signals
def test_ctrl_c_while_connecting(server: Server) -> None:
    script = """
    import socket
    listening = socket.create_server(("127.0.0.1", 0))
    try:
        say("waiting")
        nuncio.sync.connect(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=None)
    except KeyboardInterrupt:
        say(*(thread.name for thread in threading.enumerate()))
    """
    with running(script, server.url) as process:
        hear(process, "waiting")
        interrupt(process)
        assert end(process) == ["MainThread"]


@signals
def test_a_script_that_ctrl_c_ends_says_nothing_of_ours(server: Server) -> None:
    script = """
    with nuncio.sync.connect(URL) as socket:
        socket.on("disconnect", lambda reason: say(reason))
        say("waiting")
        socket.wait()
    """
    with running(script, server.url) as process:
        hear(process, "waiting")
        interrupt(process)
        out, err = process.communicate(timeout=60)
        assert process.returncode != 0
        assert out == "io client disconnect\n"
        # Python's own words, once, and no more.
        assert err.startswith("Traceback") and err.endswith("\nKeyboardInterrupt\n")
        assert err.count("Traceback") == 1


@signals
def test_ctrl_c_again_while_it_ends(server: Server) -> None:
    script = """
    from nuncio.sync.home import Home

    async def flush(self, flush=Home._flush):
        say("ending")
        await flush(self)

    Home._flush = flush
    manager = nuncio.sync.Manager("http://127.0.0.1:1")
    manager.socket().emit("note", 1)
    import logging
    logging.disable()
    """
    with running(script, server.url) as process:
        hear(process, "ending")
        interrupt(process)
        assert end(process) == []
