"""Nuncio's own client in Node, and its transports in the official one there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nuncio
from tests.browser.conftest import missing
from tests.browser.matrix import CLIENT
from tests.support.aio import run_async, within

HERE = Path(__file__).parent
PACKAGES = HERE.parent / "interop" / "node_modules"


ALL = ["polling", "websocket", "stream", "sse"]

SEEN: dict[str, Any] = {
    "kept": {"text": "\u00e9\u2028", "none": None, "list": [1.5, True]},
    "bytes": [1, 2, 3],
    "asked": 41,
    "large": 100_000,
    "ordered": True,
    "recovered": [True, True],
    "refused": ["no", {"code": 7}, False],
    "ended": "io server disconnect",
    "active": False,
}


def server(**options: Any) -> nuncio.Server:
    """What `official` in client_node.js is, too."""
    io = nuncio.Server(connection_state_recovery=True, cookie=True, **options)
    io.on("echo", lambda socket, value: value)
    io.on("end", lambda socket, number: socket.disconnect())
    io.on("told", lambda socket, number: socket.emit("news", 1))

    @io.on("ask back")
    async def ask_back(socket: nuncio.Socket) -> int:
        answer: int = await socket.emit_with_ack("question", 20)
        return answer + 1

    @io.of("/refused").use
    async def refuse(socket: nuncio.Socket) -> None:
        raise nuncio.ConnectError("no", data={"code": 7})

    return io


async def talk(node: str, *args: str, client: str = str(CLIENT / "socket.io.js")) -> Any:
    """What the client has seen."""
    script = str(HERE / "client_node.js")
    process = await asyncio.create_subprocess_exec(
        node, script, client, *args, stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await within(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return json.loads(said)


@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket", "official"])
@pytest.mark.parametrize("whose", ["nuncio", "official"])
@run_async
async def test_it_talks_to_every_server(
    program: Callable[[str], str], whose: str, transports: str
) -> None:
    node = program("node")
    if not PACKAGES.is_dir():
        missing("tests/interop/node_modules is not there: npm --prefix tests/interop ci")
    if whose == "official":
        seen = await talk(node, transports)
    else:
        async with await server().listen(0) as listening:
            seen = await talk(node, transports, f"http://127.0.0.1:{listening.port}")
    assert seen == {**SEEN, "transport": "polling" if transports == "polling" else "websocket"}


@pytest.mark.parametrize("transports", ["stream", "sse", "polling,stream", "stream,websocket"])
@pytest.mark.parametrize("whose", ["nuncio", "official"])
@run_async
async def test_streams_reach_node(
    program: Callable[[str], str], whose: str, transports: str
) -> None:
    """By our client, and by the official one with our classes."""
    node = program("node")
    if not PACKAGES.is_dir():
        missing("tests/interop/node_modules is not there: npm --prefix tests/interop ci")
    async with await server(transports=ALL).listen(0) as listening:
        args = [transports, f"http://127.0.0.1:{listening.port}"]
        if whose == "nuncio":
            seen = await talk(node, *args, client=str(CLIENT / "socket.io.all.min.js"))
        else:
            args.append(str(CLIENT / "nuncio-transports.min.js"))
            seen = await talk(node, *args, client="socket.io-client")
    assert seen == {**SEEN, "transport": transports.split(",")[-1]}


@pytest.mark.parametrize("whose", ["nuncio", "official"])
@run_async
async def test_a_frame_needs_a_page(program: Callable[[str], str], whose: str) -> None:
    """The error says so."""
    node = program("node")
    if not PACKAGES.is_dir():
        missing("tests/interop/node_modules is not there: npm --prefix tests/interop ci")
    code = """
        const { createRequire } = require("module");
        const [whose, folder, packages] = process.argv.slice(1);
        const others = createRequire(packages + "/x.js");
        const ours = require(folder + "/socket.io.all.min.js");
        const { io } = whose === "official" ? others("socket.io-client") : ours;
        const { Forever } = require(folder + "/nuncio-transports.min.js");
        const socket = io("http://127.0.0.1:9", { transports: [Forever], reconnection: false });
        const tell = (error) => console.log(error.message, error.description.message);
        socket.on("connect_error", tell);
    """
    process = await asyncio.create_subprocess_exec(
        *(node, "-e", code, whose, str(CLIENT), str(PACKAGES)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await within(process.communicate(), 40)
    assert said.decode().strip() == (
        "forever error the transport forever needs a page from the server's own origin"
    )
