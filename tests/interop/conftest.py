"""The official JavaScript clients, and the ways in which they are tried."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.node import VERSIONS, WAYS, Node, Way


@pytest.fixture(scope="session")
def node(program: Callable[[str], str]) -> Iterator[Node]:
    """Node with the official clients, for the whole run."""
    path = program("node")
    if not (Path(__file__).parent / "node_modules").exists():
        pytest.skip("the clients are not installed: run scripts/npm.sh tests/interop")
    node = Node(path)
    yield node
    node.close()


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way through: long-polling, WebSocket, while and after moving to it."""
    found: Way = request.param
    return found


@pytest.fixture(params=VERSIONS, ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> str:
    """Each release of the client."""
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may leave an error in the log: one that expects it clears `caplog`."""
    yield
    errors = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR and record.name.startswith("nuncio")
    ]
    assert not errors
