"""The official client, loaded from the server that it then talks to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nuncio import Server
from tests.support.aio import run_async
from tests.support.live import HOSTS
from tests.support.node import Node

DIST = Path(__file__).parent / "node_modules" / "socket.io-client" / "dist"
PACKAGE = DIST.parent / "package.json"

# What a <script> element does, without a browser: the bundle finds no module system, and so sets
# a global name.
LOAD = """
const vm = require("vm");
const response = await fetch(args[0]);
const source = await response.text();
const page = { ...globalThis, setTimeout, clearTimeout, URL, WebSocket: require("ws") };
page.self = page.window = page.globalThis = page;
page.location = new URL(args[0]);
vm.runInContext(source, vm.createContext(page));
const client = page.io(new URL("/", args[0]).href, { transports: ["websocket"], forceNew: true });
const answer = await new Promise((resolve, reject) => {
  client.on("connect_error", reject);
  client.emit("echo", ["text", 1], resolve);
});
client.disconnect();
return [answer, response.headers.get("content-encoding"), response.headers.get("etag")];
"""


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_a_page_loads_the_client_from_the_server(node: Node, host: str) -> None:
    io = Server(serve_client=DIST)
    io.on("echo", lambda socket, value: value)
    version = json.loads(PACKAGE.read_text())["version"]
    async with node.clients(io, host=host) as clients:
        for target in ("/socket.io/socket.io.js", io.client_url()):
            answer, coding, tag = await clients.run(LOAD, clients.url + target)
            assert answer == ["text", 1]
            assert coding == "gzip"
            assert tag.startswith(f'"{version}-')


@run_async
async def test_everything_in_the_official_folder_is_served(node: Node) -> None:
    io = Server(serve_client=DIST)
    sizes = {path.name: path.stat().st_size for path in DIST.iterdir()}
    look = """
    const found = {};
    for (const name of args[1]) {
      const response = await fetch(args[0] + name);
      if (response.status === 200) found[name] = (await response.arrayBuffer()).byteLength;
    }
    return found;
    """
    async with node.clients(io) as clients:
        names = [*sizes, "socket.io.d.ts", "package.json"]
        assert await clients.run(look, f"{clients.url}/socket.io/", names) == sizes
