"""PostgreSQL without Node, for tests that stop it, freeze it and cut its connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.aio import SharedLoop
from tests.support.postgres import Postgres


class Database(SharedLoop):
    """A loop, and PostgreSQL in it.

    Args:
        program: its path.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self.postgres = Postgres(program)
        self.run(self.postgres.__aenter__())

    def close(self) -> None:
        """End it."""
        self.run(self.postgres.__aexit__())
        super().close()


@pytest.fixture(scope="session")
def shared_database(program: Callable[[str], str]) -> Iterator[Database]:
    """PostgreSQL, for all tests here."""
    database = Database(program("postgres"))
    yield database
    database.close()


@pytest.fixture
def database(shared_database: Database) -> Iterator[Database]:
    """PostgreSQL, which runs again after the test, whatever that has done."""
    yield shared_database
    shared_database.run(shared_database.postgres.go_on())
