"""The Node process of the differential tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.interop.differential.harness import HERE, Reference


@pytest.fixture(scope="session")
def reference(program: Callable[[str], str]) -> Iterator[Reference]:
    """Node with the official server and clients, for the whole run."""
    path = program("node")
    if not (HERE.parent / "node_modules" / "socket.io").exists():
        pytest.skip("the server is not installed: run scripts/npm.sh tests/interop")
    reference = Reference(path)
    yield reference
    reference.close()
