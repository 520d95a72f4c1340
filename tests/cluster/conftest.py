"""Redis, PostgreSQL, NATS and Node for tests of clusters, each started once for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.clusters import Bus
from tests.support.mongod.server import Mongod
from tests.support.nats import Nats
from tests.support.nodeserver import PROGRAM, NodeHome
from tests.support.postgres import Postgres
from tests.support.redis import Redis


@pytest.fixture(scope="session")
def home(program: Callable[[str], str]) -> Iterator[NodeHome]:
    """A loop, and Node with the official servers and adapters."""
    path = program("node")
    if not (PROGRAM.parent.parent / "node_modules").exists():
        pytest.skip("the servers are not installed: run scripts/npm.sh tests/interop")
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


@pytest.fixture(scope="session")
def nats(home: NodeHome, program: Callable[[str], str]) -> Iterator[Nats]:
    """One NATS with JetStream, in the loop of `home`."""
    nats = Nats(program("nats-server"))
    home.run(nats.__aenter__())
    yield nats
    home.run(nats.__aexit__())


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """What drivers take for a MongoDB, in a thread of its own."""
    with Mongod() as mongod:
        yield mongod


@pytest.fixture(scope="session")
def postgres(home: NodeHome, program: Callable[[str], str]) -> Iterator[Postgres]:
    """One PostgreSQL, in the loop of `home`."""
    postgres = Postgres(program("postgres"))
    home.run(postgres.__aenter__())
    yield postgres
    home.run(postgres.__aexit__())


@pytest.fixture
def bus(kind: Any, request: pytest.FixtureRequest) -> Bus:
    """What carries the cluster of a test, as its parameter `kind` says; started by the first."""
    found: Bus = request.getfixturevalue(kind.bus)
    return found
