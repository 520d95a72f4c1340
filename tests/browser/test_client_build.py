"""What is built from browser/: the committed files, and the npm package with its types."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.server.client_files import BUNDLED
from tests.browser.conftest import missing
from tests.conftest import find_program

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
BROWSER = ROOT / "browser"
COMMITTED = ROOT / "src" / "nuncio" / "browser"

# The core and what it needs is to stay below 9 KB compressed; the official client has 14.8.
CORE_LIMIT = 9000

TYPED = """
import io, { Manager, Socket, type ManagerOptions } from "nuncio-client";

interface FromServer {
  said: (name: string, text: string) => void;
  question: (number: number, answer: (double: number) => void) => void;
}
interface FromClient {
  say: (text: string, done: (id: number) => void) => void;
  typing: () => void;
}

const options: Partial<ManagerOptions> = { transports: ["websocket"], reconnectionDelay: 10 };
const socket: Socket<FromServer, FromClient> = io("http://localhost", options);
socket.on("said", (name, text) => name.concat(text));
socket.on("question", (number, answer) => answer(2 * number));
socket.on("connect_error", (error) => error.data);
socket.on("disconnect", (reason) => reason === "io server disconnect");
socket.emit("typing");
socket.emit("say", "hello", (id) => id.toFixed());
socket.timeout(5).emit("say", "hello", (error: Error, id: number) => id.toFixed());
socket.emitWithAck("say", "hello").then((id) => id.toFixed());
socket.timeout(5).emitWithAck("say", "hello").then((id) => id.toFixed());
const untyped = new Manager("http://localhost").socket("/");
untyped.on("anything", (...all) => all.length);
untyped.emit("anything", 1, "two", () => {});

// @ts-expect-error there is no such event
socket.on("unsaid", () => {});
// @ts-expect-error it has another type
socket.on("said", (name: number) => name);
// @ts-expect-error there is no such event to send
socket.emit("said", "a", "b");
// @ts-expect-error an argument is missing
socket.emit("say");
// @ts-expect-error the answer is a number
socket.emitWithAck("say", "hello").then((id) => id.concat(""));
// @ts-expect-error there is no such option
io("http://localhost", { tranports: [] });
"""

TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "module": "nodenext",
        "target": "es2022",
        "lib": ["es2022", "dom"],
        "types": [],
        "skipLibCheck": False,
    },
    "files": ["typed.mts"],
}


def call(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a program; what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with what the build needs."""
    if not (BROWSER / "node_modules" / "esbuild").is_dir():
        missing("browser/node_modules is not there: npm --prefix browser ci")
    return find_program("node")


@pytest.fixture(scope="module")
def built(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be built now."""
    folder = tmp_path_factory.mktemp("client")
    call(node, BROWSER / "build.mjs", folder)
    return folder


def test_the_committed_files_are_those_that_the_sources_give(built: Path) -> None:
    fresh = {path.name: path.read_bytes() for path in (built / "served").iterdir()}
    committed = {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    assert sorted(committed) == sorted(fresh)
    stale = [name for name, content in fresh.items() if committed[name] != content]
    assert stale == [], "run `make browser`, and commit what it writes"


def test_its_unit_tests_pass(node: str) -> None:
    said = call(node, BROWSER / "test.mjs")
    assert "# fail 0" in said and "# pass 0" not in said


def test_the_npm_package_can_be_installed_and_used(
    built: Path, program: Callable[[str], str], node: str, tmp_path: Path
) -> None:
    npm = program("npm")
    call(npm, "pack", "--ignore-scripts", "--pack-destination", tmp_path, cwd=built / "package")
    (archive,) = tmp_path.glob("*.tgz")
    (tmp_path / "package.json").write_text('{"private": true}')
    call(
        npm,
        "install",
        "--offline",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        archive,
        cwd=tmp_path,
    )
    names = "default: io2, io, Manager, Socket, protocol"
    look = "console.log([typeof io, io === io2, typeof Manager, typeof Socket, protocol].join())"
    ways = {
        "commonjs": f"const {{ {names} }} = require('nuncio-client'); {look}",
        "module": f"const {{ {names} }} = await import('nuncio-client'); {look}",
    }
    for kind, code in ways.items():
        said = call(node, f"--input-type={kind}", "-e", code, cwd=tmp_path)
        assert said.strip() == "function,true,function,function,5"
    (tmp_path / "typed.mts").write_text(TYPED)
    (tmp_path / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    call(node, BROWSER / "node_modules/typescript/bin/tsc", "-p", tmp_path, cwd=tmp_path)


def test_versions_agree() -> None:
    package: dict[str, Any] = json.loads((BROWSER / "package.json").read_text())
    assert package["version"] == nuncio.__version__
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"):
        assert f" v{nuncio.__version__} ".encode() in (COMMITTED / name).read_bytes()[:100]


def test_the_core_is_small() -> None:
    for name in ("socket.io.min.js", "socket.io.esm.min.js"):
        assert len(gzip.compress((COMMITTED / name).read_bytes(), 9)) <= CORE_LIMIT


def test_the_installed_package_brings_the_client() -> None:
    assert sorted(path.name for path in BUNDLED.iterdir()) == sorted(
        path.name for path in COMMITTED.iterdir()
    )
    assert (
        nuncio.Server(serve_client=True)
        .client_url()
        .startswith(f"/socket.io/socket.io.min.js?v={nuncio.__version__}-")
    )
