from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nuncio import EventError, OptionError, Server, Socket
from tests.support.aio import run_async
from tests.support.memory import Client


def note(calls: list[Any], name: str) -> Callable[..., None]:
    """A handler that writes down its name and its arguments."""
    return lambda *args: calls.append((name, *args))


# Handlers of one socket.


@run_async
async def test_a_handler_of_one_socket_hears_that_socket_only() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    calls: list[Any] = []
    one.socket.on("hello", note(calls, "one"))
    other.socket.on("hello", note(calls, "other"))
    one.emit("hello", 1)
    other.emit("hello", 2)
    assert calls == [("one", 1), ("other", 2)]


@run_async
async def test_on_registers_and_decorates() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    @client.socket.on("decorated")
    def decorated(value: int) -> None:
        calls.append(value)

    returned = client.socket.on("registered", decorated)
    assert returned is decorated
    client.emit("decorated", 1)
    client.emit("registered", 2)
    assert calls == [1, 2]


@run_async
async def test_handlers_run_in_the_order_of_registration_and_prepended_ones_first() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", note(calls, "namespace"))
    client.socket.on("x", lambda: calls.append("second"))
    client.socket.on("x", lambda: calls.append("third"))
    client.socket.prepend("x", lambda: calls.append("first"))
    client.emit("x")
    assert calls == [("namespace", client.socket), "first", "second", "third"]


@run_async
async def test_once_handles_one_event() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.once("x", note(calls, "once"))

    @client.socket.once("y")
    def y() -> None:
        calls.append("y")

    for number in range(3):
        client.emit("x", number)
        client.emit("y")
    assert calls == [("once", 0), "y"]
    assert client.socket.listeners("x") == []


@run_async
async def test_once_beside_another_handler() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.on("x", note(calls, "always"))
    client.socket.once("x", note(calls, "once"))
    client.emit("x", 1)
    client.emit("x", 2)
    assert calls == [("always", 1), ("once", 1), ("always", 2)]


@run_async
async def test_once_of_a_handler_that_brings_the_same_event_about_again() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    def again() -> None:
        calls.append("called")
        client.emit("x")

    client.socket.once("x", again)
    client.emit("x")
    assert calls == ["called"]


@run_async
async def test_a_handler_may_remove_itself_or_others_while_the_event_is_under_way() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []

    def first() -> None:
        calls.append("first")
        socket.off("x", first)
        socket.off("x", second)

    def second() -> None:
        calls.append("second")

    socket.on("x", first)
    socket.on("x", second)
    client.emit("x")
    # The event keeps the list it began with.
    assert calls == ["first", "second"]
    client.emit("x")
    assert calls == ["first", "second"]


@run_async
async def test_off_removes_one_handler_one_event_or_all() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    one, two = (lambda: None), (lambda: None)
    for event in ("x", "y"):
        socket.on(event, one)
        socket.on(event, two)
    socket.off("x", one)
    assert socket.listeners("x") == [two]
    socket.off("x")
    assert socket.listeners("x") == []
    assert socket.listeners("y") == [one, two]
    socket.off()
    assert socket.listeners("y") == []
    socket.off("never registered")
    socket.off("x", one)


@run_async
async def test_handlers_of_the_namespace_outlive_off_of_a_socket() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda: calls.append("x"))
    client.socket.on("x", lambda: None)
    client.socket.off()
    client.emit("x")
    assert calls == ["x"]


@run_async
async def test_an_option_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    io = Server()
    socket = Client.join(io).socket
    with pytest.raises(OptionError, match=r"'threads'; did you mean 'thread'\?"):
        socket.on("x", lambda: None, threads=True)
    with pytest.raises(OptionError, match=r"'concurency'; did you mean 'concurrency'\?"):
        io.on("x", concurency=1)
    with pytest.raises(OptionError, match="takes_socket"):
        io.event(takes_socket=False)


@pytest.mark.parametrize("name", ["", None, 5, b"x"])
@run_async
async def test_an_event_has_a_name(name: Any) -> None:
    io = Server()
    socket = Client.join(io).socket
    # A wrong type is refused by the compiled signature itself.
    for register in (socket.on, socket.once, socket.prepend, io.on, io.once):
        with pytest.raises((OptionError, TypeError)):
            register(name, lambda: None)
    if name == "":
        with pytest.raises(OptionError, match=r"^event must be a non-empty str"):
            socket.on(name, lambda: None)


@run_async
async def test_a_handler_that_cannot_be_called_is_refused() -> None:
    io = Server()
    socket = Client.join(io).socket
    with pytest.raises(OptionError, match="handler of 'x' must be callable"):
        socket.on("x", "not a function")  # type: ignore[call-overload]  # wrong on purpose
    for register in (
        socket.on_any,
        socket.prepend_any,
        socket.on_any_outgoing,
        socket.prepend_any_outgoing,
    ):
        with pytest.raises(OptionError, match="listener must be callable"):
            register("not a function")
    with pytest.raises(OptionError, match="middleware must be callable"):
        socket.use(3)


# Catch-alls.


@run_async
async def test_catch_alls_hear_every_event_before_middlewares_and_handlers() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    socket.on_any(note(calls, "second"))
    socket.prepend_any(note(calls, "first"))
    socket.use(note(calls, "middleware"))
    socket.on("x", note(calls, "handler"))
    client.emit("x", 1)
    client.emit("unhandled", [2])
    assert calls == [
        ("first", "x", 1),
        ("second", "x", 1),
        ("middleware", "x", 1),
        ("handler", 1),
        ("first", "unhandled", [2]),
        ("second", "unhandled", [2]),
        ("middleware", "unhandled", [2]),
    ]


@run_async
async def test_catch_alls_hear_an_event_that_a_middleware_drops() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    @client.socket.use
    def refuse(event: str) -> None:
        raise EventError("no")

    client.socket.on_any(lambda event: calls.append(event))
    client.emit("x")
    assert calls == ["x"]


@run_async
async def test_catch_alls_do_not_hear_the_end() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.on_any(note(calls, "any"))
    client.send("1")
    assert calls == []


@run_async
async def test_catch_alls_can_be_listed_and_removed() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    one, two = note(calls, "one"), note(calls, "two")
    assert socket.on_any(one) is one
    assert socket.prepend_any(two) is two
    assert socket.listeners_any() == [two, one]
    socket.off_any(two)
    assert socket.listeners_any() == [one]
    client.emit("x")
    socket.off_any()
    assert socket.listeners_any() == []
    client.emit("x")
    assert calls == [("one", "x")]


@run_async
async def test_outgoing_catch_alls_hear_emits_and_broadcasts_but_no_answers() -> None:
    io = Server()
    client, other = Client.join(io), Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    socket.on_any_outgoing(note(calls, "out"))
    socket.prepend_any_outgoing(note(calls, "before"))
    io.on("question", lambda: "answer")
    client.emit("question", id=1)
    socket.emit("one", 1)
    socket.volatile.emit("two", 2)
    io.emit("three", 3)
    other.socket.broadcast.emit("four", 4)
    other.socket.emit("not mine")
    io.emit("five", b"5", {"data": b"55"})
    names = [call[1] for call in calls]
    assert names[:8] == ["one", "one", "two", "two", "three", "three", "four", "four"]
    assert calls[:2] == [("before", "one", 1), ("out", "one", 1)]
    assert calls[8:] == [(who, "five", b"5", {"data": b"55"}) for who in ("before", "out")]


@run_async
async def test_outgoing_catch_alls_hear_what_waits_for_an_answer() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.on_any_outgoing(note(calls, "out"))
    client.socket.emit("a", 1, lambda: None)
    waiting = client.socket.emit_with_ack("b", 2)
    everybody = io.timeout(30).emit_with_ack("c", 3)
    assert calls == [("out", "a", 1), ("out", "b", 2), ("out", "c", 3)]
    del waiting, everybody


@run_async
async def test_outgoing_catch_alls_can_be_listed_and_removed() -> None:
    io = Server()
    socket = Client.join(io).socket
    calls: list[Any] = []
    one, two = note(calls, "one"), note(calls, "two")
    socket.on_any_outgoing(one)
    socket.prepend_any_outgoing(two)
    assert socket.listeners_any_outgoing() == [two, one]
    socket.off_any_outgoing(one)
    socket.emit("x")
    socket.off_any_outgoing()
    socket.emit("x")
    assert calls == [("two", "x")]
    assert socket.listeners_any_outgoing() == []


@run_async
async def test_catch_alls_that_fail_are_reported_and_stop_nothing() -> None:
    io = Server()
    client = Client.join(io)
    errors: list[Any] = []
    calls: list[Any] = []
    io.on_error(lambda error, socket, event: errors.append((str(error), socket, event)))

    def fail(event: str, *args: Any) -> None:
        raise RuntimeError(f"failed at {event}")

    client.socket.on_any(fail)
    client.socket.on_any_outgoing(fail)
    client.socket.on("in", lambda: calls.append("handled"))
    client.emit("in")
    client.socket.emit("out")
    assert calls == ["handled"]
    assert client.take() == ['2["out"]']
    assert errors == [
        ("failed at in", client.socket, "in"),
        ("failed at out", client.socket, "out"),
    ]


@run_async
async def test_catch_alls_may_be_async() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    async def listener(event: str, value: int) -> None:
        calls.append((event, value))

    client.socket.on_any(listener)
    client.emit("x", 1)
    await io.settle(30)
    assert calls == [("x", 1)]


@run_async
async def test_a_client_that_sends_reserved_events_is_not_heard() -> None:
    for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener"):
        io = Server()
        client = Client.join(io)
        socket = client.socket
        calls: list[Any] = []
        socket.on_any(note(calls, "any"))
        client.emit(name)
        assert calls == []
        assert socket.disconnected


@run_async
async def test_a_socket_keeps_nothing_for_what_is_not_used() -> None:
    io = Server()
    socket: Socket = Client.join(io).socket
    assert socket.listeners("x") == []
    assert socket.listeners_any() == []
    socket.off()
    socket.off_any()
    socket.off_any_outgoing(print)
    assert socket.listeners_any_outgoing() == []
