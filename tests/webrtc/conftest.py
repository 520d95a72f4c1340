"""WebRTC needs aiortc; and Chromium with a page of either client for what is told of browsers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import browser as browser
from tests.browser.conftest import run as run

pytest.importorskip("aiortc")

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "tests/interop/node_modules"

_OURS = """
import { io, Polling as XHR, WebSocket } from "./src/index.ts";
import { WebRTC } from "./src/transports/webrtc.ts";
globalThis.client = { io, XHR, WebSocket, WebRTC };
"""

_OFFICIAL = """
import { io, XHR, WebSocket } from "socket.io-client";
import { WebRTC } from "./src/transports/webrtc.ts";
globalThis.client = { io, XHR, WebSocket, WebRTC };
"""


_BUILD = """
const [contents, packages] = process.argv.slice(1);
const { outputFiles } = require("esbuild").buildSync({
  stdin: { contents, loader: "ts", resolveDir: "." },
  nodePaths: [packages],
  bundle: true,
  write: false,
});
process.stdout.write(outputFiles[0].text);
"""


@pytest.fixture(scope="session")
def bundle(program: Callable[[str], str]) -> Callable[[str], str]:
    """The script of a page with one of the clients, `ours` or `official`, and our transport."""
    bundles: dict[str, str] = {}
    node = program("node")
    for path in (ROOT / "browser/node_modules/esbuild", PACKAGES / "socket.io-client"):
        if not path.exists():
            pytest.skip(f"{path} is not there: make test installs it")

    def make(client: str) -> str:
        if client not in bundles:
            source = _OURS if client == "ours" else _OFFICIAL
            done = subprocess.run(
                [node, "-e", _BUILD, source, str(PACKAGES)],
                cwd=ROOT / "browser",
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            bundles[client] = done.stdout
        return bundles[client]

    return make
