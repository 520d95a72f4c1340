"""What every test may use: which build is tested, and where other people's programs are."""

from __future__ import annotations

import glob
import os
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from nuncio._build import build_info
from tests.support.eager import hurry

# Machines may be slow and busy, so no example has a time limit. And the same sources meet the same
# examples, so that a change is not refused for what somebody else's has done;
# `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("explore"), derandomize=True)
settings.load_profile("steady")

# Shells let what they run in the background ignore interrupts, and programs that tests start would
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Where Debian keeps what only one version of may be in the path.
_ELSEWHERE = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)


def pytest_report_header() -> str:
    return str(build_info())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried again is told with its reason, or nobody could mend it."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"tried again: {report.nodeid} ({report.when})", "-")
        terminalreporter.line(report.longreprtext)


def find_program(name: str) -> str:
    """The path of a program that a test drives; the test is skipped where it is not installed.

    Under NUNCIO_PROGRAMS=all, which `make test` sets once it has installed them, it fails instead.
    """
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_ELSEWHERE))
    if path is None:
        if os.environ.get("NUNCIO_PROGRAMS") == "all":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """`find_program`, as a fixture: `program("node")` is the path of Node."""
    return find_program


@pytest.fixture(scope="session", autouse=True)
def eager_uvicorn() -> Iterator[None]:
    """Nobody waits for uvicorn longer than need be."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        yield
