from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from nuncio import OptionError
from nuncio.handlers.callbacks import MOST, bind_callback
from nuncio.handlers.handler import Handler


def called_with(handler: Handler, *values: object) -> list[Any]:
    """What the callback would be called with for an acknowledgement of these values."""
    return handler.with_answer(list(values))


class Asker:
    def answered(self, one: str, two: str) -> None: ...

    async def later(self, one: str) -> None: ...

    def __call__(self, one: str) -> None: ...


def one_of_two(one: object, two: object = None, *, three: object = None) -> None: ...


def everything(*values: object) -> None: ...


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def passed_on(*values: object) -> Any:
        return function(*values)

    return passed_on


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (Asker().answered, [1, None]),
        (Asker.answered, [1, None, None]),
        (Asker().later, [1]),
        (Asker(), [1]),
        (one_of_two, [1]),
        (everything, [1]),
        (lambda: None, []),
        (lambda one, two, three: None, [1, None, None]),
        (functools.partial(one_of_two, 0), [1]),
        (passing_on(Asker().answered), [1, None]),
        (passing_on(everything), [1]),
        (print, [1]),
    ],
)
def test_a_callback_gets_what_it_declares_the_first_time_and_later(
    callback: Callable[..., Any], expected: list[Any]
) -> None:
    for _ in range(3):
        handler = bind_callback(callback)
        assert handler.function == callback
        assert called_with(handler, 1) == expected


def test_functions_of_one_def_are_each_called_themselves() -> None:
    def make(number: int) -> Callable[[Any], list[Any]]:
        return lambda answer: [number, answer]

    handlers = [bind_callback(make(number)) for number in range(3)]
    assert [handler.function("yes") for handler in handlers] == [
        [0, "yes"],
        [1, "yes"],
        [2, "yes"],
    ]


def test_a_function_and_the_method_it_becomes_are_told_apart() -> None:
    asker = Asker()
    assert called_with(bind_callback(asker.answered), 1, 2, 3) == [1, 2]
    assert called_with(bind_callback(Asker.answered), 1, 2, 3) == [1, 2, 3]
    assert called_with(bind_callback(asker.answered), 1, 2, 3) == [1, 2]


def test_it_is_known_of_each_whether_it_is_async() -> None:
    asker = Asker()
    for _ in range(2):
        assert bind_callback(asker.later).is_async
        assert not bind_callback(asker.answered).is_async


def test_what_cannot_be_called_is_refused_every_time() -> None:
    def demanding(one: object, *, two: object) -> None: ...

    for _ in range(2):
        with pytest.raises(OptionError, match="keyword-only parameter 'two'"):
            bind_callback(demanding)
        with pytest.raises(OptionError, match="must be callable"):
            bind_callback("demanding")


class Nobody:
    def answered(self, one: object) -> None: ...


def test_what_is_remembered_of_a_callback_does_not_keep_it_alive() -> None:
    def forgotten() -> weakref.ref[Nobody]:
        nobody = Nobody()

        def callback(one: object) -> Nobody:
            return nobody

        bind_callback(callback)
        bind_callback(nobody.answered)
        return weakref.ref(nobody)

    gone = forgotten()
    gc.collect()
    assert gone() is None


def test_what_is_remembered_has_a_limit() -> None:
    codes: list[weakref.ref[object]] = []
    for number in range(2 * MOST):
        scope: dict[str, Any] = {}
        exec(f"def callback(answer): return {number}", scope)
        assert bind_callback(scope["callback"]).function("yes") == number
        codes.append(weakref.ref(scope["callback"].__code__))
    gc.collect()
    assert sum(code() is not None for code in codes) <= MOST
