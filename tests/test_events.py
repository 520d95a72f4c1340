from __future__ import annotations

import functools
import logging
import re
from collections.abc import Coroutine
from typing import Any

import pytest

from nuncio.errors import OptionError
from nuncio.events import Emitter, EventNames


class Spawned:
    """Takes the coroutines of listeners and runs them when told."""

    def __init__(self) -> None:
        self.waiting: list[Coroutine[Any, Any, Any]] = []

    def __call__(self, coroutine: Any) -> None:
        self.waiting.append(coroutine)

    def run(self) -> None:
        for coroutine in self.waiting:
            with pytest.raises(StopIteration):
                coroutine.send(None)


def make() -> Emitter:
    return Emitter(Spawned())


def test_listeners_are_called_in_order_with_the_arguments() -> None:
    emitter = make()
    heard: list[object] = []
    emitter.on("a", lambda *args: heard.append((1, args)))
    emitter.on("a", lambda *args: heard.append((2, args)))
    emitter.on("b", lambda *args: heard.append((3, args)))
    emitter.emit("a", "x", 5)
    assert heard == [(1, ("x", 5)), (2, ("x", 5))]


def test_listeners_get_as_many_arguments_as_they_declare() -> None:
    heard: list[object] = []

    class Owner:
        def method(self, first: object) -> None:
            heard.append(("method", first))

        def __call__(self) -> None:
            heard.append("callable")

    def positional_only(first: object, /, *, key: int = 5) -> None:
        heard.append(("positional", first, key))

    @functools.wraps(positional_only)
    def wrapper(*args: object) -> None:
        heard.append(("wrapper", *args))

    emitter = make()
    emitter.on("a", lambda: heard.append("none"))
    emitter.on("a", lambda first: heard.append(first))
    emitter.on("a", lambda first, second=None, third=None: heard.append((first, second, third)))
    emitter.on("a", Owner().method)
    emitter.on("a", Owner())
    emitter.on("a", positional_only)
    emitter.on("a", wrapper)
    emitter.on("a", functools.partial(lambda first, second: heard.append((first, second)), 0))
    emitter.on("a", heard.append)
    emitter.emit("a", "x", 5)
    assert heard == [
        "none",
        "x",
        ("x", 5, None),
        ("method", "x"),
        "callable",
        ("positional", "x", 5),
        ("wrapper", "x", 5),
        (0, "x"),
        "x",
    ]


def test_on_and_once_decorate() -> None:
    emitter = make()
    heard: list[str] = []

    @emitter.on("a")
    def always() -> None:
        heard.append("always")

    @emitter.once("a")
    def first() -> None:
        heard.append("first")

    emitter.emit("a")
    emitter.emit("a")
    assert heard == ["always", "first", "always"]
    assert emitter.listeners("a") == [always]


def test_a_listener_for_once_is_gone_when_it_is_called() -> None:
    emitter = make()
    heard: list[int] = []

    def again() -> None:
        heard.append(1)
        emitter.emit("a")

    emitter.once("a", again)
    emitter.emit("a")
    assert heard == [1]


def test_off_removes_one_or_an_event_or_everything() -> None:
    emitter = make()
    heard: list[str] = []

    def one() -> None:
        heard.append("one")

    def two() -> None:
        heard.append("two")

    for event in ("a", "b", "c"):
        emitter.on(event, one)
        emitter.on(event, two)
    emitter.off("a", one)
    emitter.off("b")
    emitter.off("never heard of", one)
    for event in ("a", "b"):
        emitter.emit(event)
    assert heard == ["two"]
    emitter.off()
    emitter.emit("c")
    assert heard == ["two"]


def test_listeners_that_come_and_go_during_an_event() -> None:
    emitter = make()
    heard: list[str] = []

    def late() -> None:
        heard.append("late")

    def leaving() -> None:
        heard.append("leaving")
        emitter.off("a", leaving)
        emitter.on("a", late)

    emitter.on("a", leaving)
    emitter.on("a", lambda: heard.append("staying"))
    emitter.emit("a")
    assert heard == ["leaving", "staying"]
    emitter.emit("a")
    assert heard == ["leaving", "staying", "staying", "late"]


def test_what_cannot_be_called_is_refused() -> None:
    listener: Any = 5
    with pytest.raises(TypeError, match="listener of 'a' must be callable, not 5"):
        make().on("a", listener)


def test_async_listeners_are_handed_on() -> None:
    spawned = Spawned()
    emitter = Emitter(spawned)
    heard: list[int] = []

    async def listener(value: int) -> None:
        heard.append(value)

    emitter.on("a", listener)
    emitter.emit("a", 7)
    assert heard == []
    spawned.run()
    assert heard == [7]


def test_a_listener_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    emitter = make()
    heard: list[int] = []
    emitter.on("a", lambda: 1 / 0)
    emitter.on("a", lambda: heard.append(1))
    with caplog.at_level(logging.ERROR, "nuncio"):
        emitter.emit("a")
    assert heard == [1]
    assert "a listener of 'a' failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_event_without_listeners_is_nothing() -> None:
    make().emit("a", 1)
    assert make().listeners("a") == []


NAMES = EventNames("the door", ("open", "close"), {"slam": "write 'close'"})


@pytest.mark.parametrize(
    ("event", "hint"),
    [
        ("opne", "did you mean 'open'?"),
        ("slam", "write 'close'"),
        ("xyz", "there are open, close"),
        (5, "there are open, close"),
        (["open"], "did you mean 'open'?"),
    ],
)
def test_an_event_that_does_not_exist_is_refused_at_once(event: Any, hint: str) -> None:
    emitter = Emitter(Spawned(), NAMES)
    text = re.escape(f"event: the door has no event {event!r}; {hint}") + "$"
    for refused in (emitter.on, emitter.once, emitter.off):
        with pytest.raises(OptionError, match=text):
            refused(event)
        with pytest.raises(OptionError, match=text):
            refused(event, print)


def test_the_events_that_exist_are_heard() -> None:
    emitter = Emitter(Spawned(), NAMES)
    heard: list[str] = []
    emitter.on("open", lambda: heard.append("open"))
    emitter.once("close")(lambda: heard.append("close"))
    emitter.emit("open")
    emitter.emit("close")
    emitter.off("open")
    emitter.off()
    emitter.emit("open")
    assert heard == ["open", "close"]
