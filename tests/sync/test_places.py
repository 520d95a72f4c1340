"""Where blocking is a mistake, and where it is not."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

import pytest

import nuncio
from nuncio.sync import ClientSocket, Manager
from tests.support.aio import run_async
from tests.support.background import Background
from tests.sync.application import Application
from tests.sync.conftest import threads

Server = Background[Application]


@run_async
async def test_the_thread_of_an_event_loop_is_not_blocked(server: Server) -> None:
    for use in (nuncio.sync.connect, Manager):
        with pytest.raises(RuntimeError, match=r"await nuncio\.connect") as caught:
            use(server.url)
        assert "to_thread" in str(caught.value)
    assert not threads()


@run_async
async def test_nor_by_a_socket_that_was_connected_elsewhere(server: Server) -> None:
    def double(socket: ClientSocket) -> Any:
        return socket.emit_with_ack("double", 4)

    socket = await asyncio.to_thread(nuncio.sync.connect, server.url)
    with pytest.raises(RuntimeError, match=r"await nuncio\.connect"):
        double(socket)
    with pytest.raises(RuntimeError, match=r"await nuncio\.connect"):
        socket.io.open()
    # What does not wait may be asked.
    assert socket.connected
    assert await asyncio.to_thread(double, socket) == 8
    await asyncio.to_thread(socket.close)


@run_async
async def test_notebooks_may_block(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their kernels run a loop in the thread of the cells."""
    ipython = types.ModuleType("IPython")
    shell: list[object] = [None]
    ipython.get_ipython = lambda: shell[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with pytest.raises(RuntimeError, match=r"await nuncio\.connect"):
        nuncio.sync.connect(server.url)
    shell[0] = object()
    with nuncio.sync.connect(server.url) as socket:
        socket.on("question", lambda number: socket.emit_with_ack("double", number))
        assert socket.emit_with_ack("ask", 2) == 4
        assert socket.receive("welcome", timeout=30).args == [{}, ""]


def test_the_thread_of_the_connections_cannot_wait_for_itself(server: Server) -> None:
    """Functions that are called there, as async ones that give credentials, must not block."""
    errors: list[Exception] = []

    async def auth() -> dict[str, str]:
        try:
            socket.emit("note", 1)
        except Exception as error:
            errors.append(error)
        return {}

    with Manager(server.url, auto_connect=False) as manager:
        socket = manager.socket(auth=auth)
        assert socket.auth is auth
        socket.connect().wait_connected()
    assert len(errors) == 1
    assert isinstance(errors[0], RuntimeError)
    assert "cannot wait for itself" in str(errors[0])
