"""pytest's plugin, in projects as users have them: each runs in a process of its own."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.pytests import run_pytest

APP = """
import asyncio

import nuncio

io = nuncio.Server()


@io.on("connection")
def connection(socket):
    socket.emit("welcome", socket.handshake.auth.get("user"))


@io.event
async def shout(socket, text):
    await asyncio.sleep(0)
    return text.upper()


@io.event
def fail(socket):
    raise KeyError("oops")
"""

# The same for every plugin that runs async tests, and for none.
TESTS = """
import asyncio

import nuncio.testing
import pytest
from app import io

{header}


{fixture}
async def ada(nuncio_client):
    return await nuncio_client(io, auth={{"user": "ada"}})


async def test_a_client_is_connected(nuncio_client):
    ada = await nuncio_client(io, auth={{"user": "ada"}})
    await ada.expect("welcome", "ada")
    assert await ada.emit_with_ack("shout", "hello") == "HELLO"


async def test_the_test_before_has_left_nothing(nuncio_client):
    assert not io.engine.sessions
    async with nuncio_client(io) as bob, nuncio.testing.connect(io) as eve:
        assert len(io.engine.sessions) == 2


async def test_a_failing_handler_fails_the_test(nuncio_client):
    ada = await nuncio_client(io)
    ada.emit("fail")
    await nuncio.testing.settle()


async def test_a_failing_handler_may_be_meant(nuncio_client):
    ada = await nuncio_client(io)
    ada.emit("fail")
    await nuncio.testing.settle()
    assert [type(error) for error in nuncio_client.take_errors()] == [KeyError]


async def test_what_did_arrive_is_told(nuncio_client):
    ada = await nuncio_client(io, auth={{"user": "ada"}})
    await ada.expect("goodbye", timeout=0.01)


async def test_time_stands_still(nuncio_client, nuncio_clock):
    ada = await nuncio_client(io, reconnection=False)
    await ada.next("welcome")
    ada.network.hold()
    await nuncio_clock.advance(44)
    await ada.expect_nothing("disconnect")
    await nuncio_clock.advance(1)
    await ada.expect("disconnect", "ping timeout")


async def test_a_clock_alone(nuncio_clock):
    sleeping = asyncio.ensure_future(asyncio.sleep(3600))
    await nuncio_clock.advance(3600)
    assert sleeping.done()


@pytest.mark.parametrize("text", ["a", "b"])
async def test_with_parameters(nuncio_client, text):
    ada = await nuncio_client(io)
    assert await ada.emit_with_ack("shout", text) == text.upper()


class TestClass:
    async def test_in_a_class(self, nuncio_client):
        ada = await nuncio_client(io)
        assert await ada.emit_with_ack("shout", "hello") == "HELLO"


def test_without_async(nuncio_client, nuncio_clock):
    async def scenario():
        ada = await nuncio_client(io, auth={{"user": "ada"}})
        await ada.expect("welcome", "ada")
        await nuncio_clock.advance(100)
        assert ada.connected
        return "done"

    assert nuncio.testing.run(scenario(), clock=nuncio_clock) == "done"
    assert not io.engine.sessions


def test_without_async_a_failing_handler_fails_it_too(nuncio_client):
    async def scenario():
        ada = await nuncio_client(io)
        ada.emit("fail")
        await nuncio.testing.settle()

    nuncio.testing.run(scenario())


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_in_a_loop_of_its_own(loop, nuncio_client):
    async def scenario():
        await nuncio_client(io)

    loop.run_until_complete(scenario())
    assert io.engine.sessions


def test_the_loop_before_has_left_nothing():
    assert not io.engine.sessions


{fixture}
async def shared(nuncio_client):
    ada = await nuncio_client(io)
    yield ada
    # The test's end was its end.
    assert ada.disconnected
"""

WITH_FIXTURES = """

async def test_fixtures_may_connect(ada):
    await ada.expect("welcome", "ada")


async def test_fixtures_may_end_later(shared):
    assert shared.connected
"""

PASS = {
    "test_a_client_is_connected",
    "test_the_test_before_has_left_nothing",
    "test_a_failing_handler_may_be_meant",
    "test_time_stands_still",
    "test_a_clock_alone",
    "test_with_parameters[a]",
    "test_with_parameters[b]",
    "TestClass::test_in_a_class",
    "test_without_async",
    "test_in_a_loop_of_its_own",
    "test_the_loop_before_has_left_nothing",
}
FIXTURES = {"test_fixtures_may_connect", "test_fixtures_may_end_later"}
FAIL = {
    "test_a_failing_handler_fails_the_test",
    "test_what_did_arrive_is_told",
    "test_without_async_a_failing_handler_fails_it_too",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an application."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


def written(project: Path, header: str, fixture: str, *, fixtures: bool = True) -> None:
    source = TESTS.format(header=header, fixture=fixture)
    (project / "test_app.py").write_text(source + (WITH_FIXTURES if fixtures else ""))


def test_async_tests_run_without_any_other_plugin(project: Path) -> None:
    written(project, "", "@pytest.fixture", fixtures=False)
    outcomes, said = run_pytest(project, project.parent, "-p", "no:asyncio", "-p", "no:anyio")
    assert outcomes.pop("PASSED", set()) == PASS, said
    assert outcomes.pop("FAILED", set()) == FAIL, said
    assert not outcomes, said
    assert "goodbye() has not come within 0.01 s; this has arrived, in this order:" in said
    assert "    welcome('ada')" in said
    assert "KeyError: 'oops'" in said
    assert "It was raised by a handler of 'fail' on the server." in said


def test_async_tests_run_with_anyios_plugin(project: Path) -> None:
    header = """
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    written(project, header, "@pytest.fixture")
    outcomes, said = run_pytest(project, project.parent, "-p", "no:asyncio")
    assert outcomes.pop("PASSED", set()) == PASS | FIXTURES, said
    assert outcomes.pop("FAILED", set()) == FAIL, said
    assert not outcomes, said


@pytest.mark.skipif(
    importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed"
)
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_async_tests_run_with_pytest_asyncio(project: Path, mode: str) -> None:
    written(project, "import pytest_asyncio", "@pytest_asyncio.fixture")
    if mode == "strict":
        file = project / "test_app.py"
        marked = re.sub(
            r"^( *)(async def test_)", r"\1@pytest.mark.asyncio\n\1\2", file.read_text(), flags=re.M
        )
        file.write_text(marked)
    options = (f"--asyncio-mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
    outcomes, said = run_pytest(project, project.parent, *options, "-p", "no:anyio")
    assert outcomes.pop("PASSED", set()) == PASS | FIXTURES, said
    assert outcomes.pop("FAILED", set()) == FAIL, said
    assert not outcomes, said


def test_nothing_is_imported_where_nothing_is_asked_for(project: Path) -> None:
    (project / "test_other.py").write_text(
        textwrap.dedent("""
            import sys


            def test_nothing_of_nuncio_is_here(request):
                assert request.config.pluginmanager.has_plugin("nuncio")
                assert "pytest_nuncio" in sys.modules
                assert "nuncio" not in sys.modules


            async def test_async_tests_are_left_to_others():
                pass
        """)
    )
    outcomes, said = run_pytest(project, project.parent, "-p", "no:asyncio", "-p", "no:anyio")
    assert outcomes.pop("PASSED", set()) == {"test_nothing_of_nuncio_is_here"}, said
    assert outcomes.pop("FAILED", set()) == {"test_async_tests_are_left_to_others"}, said
    assert "async def functions are not natively supported" in said


def test_nuncio_does_not_need_pytest() -> None:
    program = "import nuncio, nuncio.testing, sys; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
