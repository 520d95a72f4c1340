"""The official servers, and what every test of the client is held to: it leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.aio import eventually
from tests.support.nodeserver import PROGRAM, NodeHome, NodeServer


@pytest.fixture(scope="session")
def home(program: Callable[[str], str]) -> Iterator[NodeHome]:
    """Node with the official servers, for the whole run."""
    path = program("node")
    if not (PROGRAM.parent.parent / "node_modules").exists():
        pytest.skip("the servers are not installed: run scripts/npm.sh tests/interop")
    home = NodeHome(path)
    yield home
    home.close()


@pytest.fixture(scope="module")
def shared_server(home: NodeHome, request: pytest.FixtureRequest) -> Iterator[NodeServer]:
    """One server for all tests of a module, with the options that its `SERVER` names."""
    server = NodeServer(home.program, **getattr(request.module, "SERVER", {}))
    home.run(server.start())
    yield server
    home.run(server.stop())


@pytest.fixture
def server(home: NodeHome, shared_server: NodeServer) -> Iterator[NodeServer]:
    """The module's server, which has forgotten other tests.

    At the end all sessions must have ended, though nobody's heartbeat has run out.
    """
    shared_server.forget()
    yield shared_server
    try:
        home.run(shared_server.emptied())
    finally:
        # One test's leavings are not the next one's.
        home.run(shared_server.close_engines(discard=True))


@pytest.fixture(autouse=True)
def nothing_left(home: NodeHome) -> Iterator[None]:
    """No test may leave a task of a client behind."""
    before = home.tasks()
    yield
    home.run(_gone(home, before))


async def _gone(home: NodeHome, before: set[asyncio.Task[Any]]) -> None:
    own = asyncio.current_task()
    await eventually(lambda: not home.tasks() - before - {own}, "every task ends")
