"""Node and Redis for the tests beside Node's own servers, each started once for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.nodeserver import PROGRAM, NodeHome
from tests.support.redis import Redis


@pytest.fixture(scope="session")
def home(program: Callable[[str], str]) -> Iterator[NodeHome]:
    """A loop, and Node with the official servers and what instruments them."""
    path = program("node")
    if not (PROGRAM.parent.parent / "node_modules" / "@socket.io" / "admin-ui").exists():
        pytest.skip("what instruments them is not installed: run scripts/npm.sh tests/interop")
    home = NodeHome(path)
    yield home
    home.close()


@pytest.fixture(scope="session")
def redis(home: NodeHome, program: Callable[[str], str]) -> Iterator[Redis]:
    """One Redis, in the loop of `home`."""
    redis = Redis(program("redis-server"))
    home.run(redis.__aenter__())
    yield redis
    home.run(redis.__aexit__())
