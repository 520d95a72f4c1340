"""A server for the blocking clients of a module, and what every test of them is held to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from tests.support.background import Background, until
from tests.sync.application import Application


@pytest.fixture(scope="module")
def server() -> Iterator[Background[Application]]:
    """The server of `tests.sync.application`."""
    background = Background(Application)
    yield background
    # Handlers that wait would be waited for.
    background.call(background.app.gate.set)
    background.close()


@pytest.fixture(autouse=True)
def nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may leave a thread of a client behind, nor a warning in the log.

    One that expects some clears `caplog`.
    """
    yield
    until(lambda: not threads(), "the threads of clients end")
    warnings = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING and record.name.startswith(("nuncio", "asyncio"))
    ]
    assert not warnings


def threads() -> list[str]:
    """The names of the threads of blocking clients."""
    return [one.name for one in threading.enumerate() if one.name.startswith("nuncio")]
