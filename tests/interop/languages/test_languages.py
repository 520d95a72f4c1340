"""Clients written in other languages act the play of `stage.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop.languages.stage import TRANSPORTS, act
from tests.interop.languages.toolchains import client
from tests.support.aio import run_async

PYTHON = Path(__file__).parent / "python" / "client.py"

# What clients are not able to do, with any server.
CANNOT = {
    # It answers nothing, and sends binary data that wants an answer as if it were one.
    "rust": {"heard", "blob"},
}
# While a poll waits it does not send anything, so long-polling alone does not work.
WAYS = {"go": ("websocket", "upgrade")}


@pytest.mark.parametrize(
    "kind, transport",
    [(kind, transport) for kind in ("asyncio", "threads") for transport in TRANSPORTS],
)
@run_async
async def test_python(kind: str, transport: str) -> None:
    await act(kind, [sys.executable, str(PYTHON), kind], transport, cannot=set())


@pytest.mark.slow
# The first test of a language builds the client.
@pytest.mark.timeout(480)
@pytest.mark.parametrize(
    "language, transport",
    [
        (language, transport)
        for language in ("go", "java", "rust")
        for transport in WAYS.get(language, TRANSPORTS)
    ],
)
def test_compiled(language: str, transport: str) -> None:
    command = client(language)

    @run_async
    async def play() -> None:
        await act(language, command, transport, CANNOT.get(language, set()))

    play()
