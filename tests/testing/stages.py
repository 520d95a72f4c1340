"""Async tests of the test kit itself, run by it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from nuncio.testing import Clock, run

Scenario = Callable[..., Coroutine[Any, Any, None]]


def staged(scenario: Scenario) -> Callable[[], None]:
    """Run a test in real time."""

    def test() -> None:
        run(scenario())

    return _named(test, scenario)


def timed(scenario: Scenario) -> Callable[[], None]:
    """Run a test whose time stands still until it advances the clock, which it is given."""

    def test() -> None:
        clock = Clock()
        run(scenario(clock), clock=clock)

    return _named(test, scenario)


def _named(test: Callable[[], None], scenario: Scenario) -> Callable[[], None]:
    # Not `functools.wraps`: pytest would look for fixtures of the arguments' names.
    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
    return test
