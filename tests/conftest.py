"""What every test may use: which build is tested, and where other people's programs are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from nuncio._build import build_info


def pytest_report_header() -> str:
    return str(build_info())


def find_program(name: str) -> str:
    """The path of a program that a test drives; the test is skipped where it is not installed.

    Under NUNCIO_PROGRAMS=all, which `make test` sets once it has installed them, it fails instead.
    """
    path = shutil.which(name)
    if path is None:
        if os.environ.get("NUNCIO_PROGRAMS") == "all":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """`find_program`, as a fixture: `program("node")` is the path of Node."""
    return find_program
