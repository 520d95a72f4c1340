"""What is built from browser/: the committed files, and the npm package with its types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.server.client_files import BUNDLED, NAMES
from tests.browser.conftest import missing
from tests.conftest import find_program

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
BROWSER = ROOT / "browser"
# A build that is not committed yet can be tried, too.
COMMITTED = Path(os.environ.get("NUNCIO_CLIENT_FILES") or ROOT / "src" / "nuncio" / "browser")

# The most that pages load, compressed: the core alone, and with all transports. The official client
# has 14.8 KB.
LIMITS = {
    "socket.io.min.js": 9_000,
    "socket.io.esm.min.js": 9_000,
    "socket.io.msgpack.min.js": 10_000,
    "socket.io.all.min.js": 14_000,
    "socket.io.all.esm.min.js": 14_000,
}

TYPED = """
import io, { Manager, Socket, type ManagerOptions } from "nuncio-client";
import all, { SSE as Registered } from "nuncio-client/all";
import { Polling, WebSocket } from "nuncio-client/classes";
import * as msgpack from "nuncio-client/msgpack";
import { Forever } from "nuncio-client/transports/forever";
import { SSE } from "nuncio-client/transports/sse";
import { Stream } from "nuncio-client/transports/stream";

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

io("http://localhost", { transports: [Polling, Stream, SSE, Forever, WebSocket, "polling"] });
io("http://localhost", { transports: [Registered] });
all("http://localhost", { transports: ["polling", "stream"], parser: msgpack }).emit("anything");
// @ts-expect-error it is no transport
io("http://localhost", { transports: [String] });

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

# What the package offers, and of which types that is.
ENTRIES = [
    ("nuncio-client", ["io", "Manager", "Socket", "protocol"], "function,function,function,number"),
    (
        "nuncio-client/all",
        ["io", "Stream", "SSE", "Forever"],
        "function,function,function,function",
    ),
    ("nuncio-client/classes", ["Polling", "WebSocket", "SSE"], "function,function,function"),
    ("nuncio-client/msgpack", ["Encoder", "Decoder", "protocol"], "function,function,number"),
    *(
        (f"nuncio-client/transports/{name}", [cls], "function")
        for cls, name in re.findall(
            r'export \{ (\w+) \} from "\./(\w+)\.js"',
            (BROWSER / "src/transports/index.ts").read_text(),
        )
    ),
]

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


UNPACK = """
import { readdirSync, readFileSync } from "node:fs";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { createHash } from "node:crypto";
const [folder] = process.argv.slice(1);
const unpack = { br: brotliDecompressSync, gz: gunzipSync };
const found = {};
for (const name of readdirSync(folder)) {
  const bytes = readFileSync(`${folder}/${name}`);
  const plain = unpack[name.split(".").at(-1)]?.(bytes) ?? bytes;
  found[name] = createHash("sha256").update(plain).digest("hex");
}
console.log(JSON.stringify(found));
"""


def contents(node: str, folder: Path) -> dict[str, str]:
    """A hash of what each file of a folder holds; of compressed ones, what they stand for."""
    found: dict[str, str] = json.loads(call(node, "--input-type=module", "-e", UNPACK, folder))
    return found


def test_the_committed_files_are_those_that_the_sources_give(node: str, built: Path) -> None:
    # Compressed as other versions of Node do it, they are as good.
    fresh, committed = contents(node, built / "served"), contents(node, COMMITTED)
    assert sorted(committed) == sorted(fresh)
    stale = [name for name, content in fresh.items() if committed[name] != content]
    assert stale == [], "run `make browser`, and commit what it writes"


def test_the_same_sources_give_the_same_bytes(node: str, built: Path, tmp_path: Path) -> None:
    call(node, BROWSER / "build.mjs", tmp_path)
    for folder in ("served", "package/dist"):
        first = {path.name: path.read_bytes() for path in (built / folder).glob("*.*")}
        second = {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.*")}
        assert first == second


def test_every_script_lies_beside_itself_compressed(node: str) -> None:
    found = contents(node, COMMITTED)
    for path in COMMITTED.glob("*.js"):
        for suffix in (".gz", ".br"):
            beside = path.with_name(path.name + suffix)
            assert found[beside.name] == found[path.name]
            assert beside.stat().st_size < path.stat().st_size / 2


def test_everything_that_is_built_is_served() -> None:
    scripts = {path.name for path in COMMITTED.iterdir() if path.suffix in (".js", ".map")}
    assert scripts == set(NAMES)


def test_the_build_tells_what_its_files_weigh(node: str, tmp_path: Path) -> None:
    script = """import { packed, sizes } from "./sizes.mjs";
        const files = new Map([["a.js", Buffer.from("x".repeat(5000))]]);
        console.log(sizes(files));
        console.log(packed("a.js", files.get("a.js")).map(([name]) => name).join());"""
    said = call(node, "--input-type=module", "-e", script, cwd=BROWSER).splitlines()
    assert said[0].split() == ["raw", "gzip", "brotli"]
    assert said[1].split()[:2] == ["a.js", "5,000"]
    assert said[-1] == "a.js.gz,a.js.br"
    if (ROOT / "tests/interop/node_modules/socket.io-client").is_dir():
        assert any(line.startswith("official socket.io.min.js") for line in said)


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
    for module, names, expected in ENTRIES:
        look = f"console.log([{', '.join(names)}].map((one) => typeof one).join())"
        listed = ", ".join(names)
        for kind, code in {
            "commonjs": f"const {{ {listed} }} = require('{module}'); {look}",
            "module": f"const {{ {listed} }} = await import('{module}'); {look}",
        }.items():
            said = call(node, f"--input-type={kind}", "-e", code, cwd=tmp_path)
            assert said.strip() == expected, (module, kind)
    code = """const { default: io2, io, Engine, transports } = await import('nuncio-client/all');
        const { binaryType } = new Engine({ transports: [] });
        console.log(io === io2, transports.sse.prototype.name, binaryType)"""
    said = call(node, "--input-type=module", "-e", code, cwd=tmp_path)
    assert said.split() == ["true", "sse", "nodebuffer"]
    (tmp_path / "typed.mts").write_text(TYPED)
    (tmp_path / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    call(node, BROWSER / "node_modules/typescript/bin/tsc", "-p", tmp_path, cwd=tmp_path)


def test_versions_agree() -> None:
    package: dict[str, Any] = json.loads((BROWSER / "package.json").read_text())
    assert package["version"] == nuncio.__version__
    for name in (path.name for path in COMMITTED.glob("*.js")):
        assert f" v{nuncio.__version__} ".encode() in (COMMITTED / name).read_bytes()[:100]


@pytest.mark.parametrize("name", LIMITS)
def test_it_is_small(name: str) -> None:
    assert (COMMITTED / f"{name}.gz").stat().st_size <= LIMITS[name]


def test_wheel_and_sdist_bring_all_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["nuncio"]
    for path in COMMITTED.iterdir():
        assert any(fnmatch(f"browser/{path.name}", pattern) for pattern in patterns)


def test_the_installed_package_brings_the_client() -> None:
    assert sorted(path.name for path in BUNDLED.iterdir()) == sorted(
        path.name for path in COMMITTED.iterdir()
    )
    assert (
        nuncio.Server(serve_client=True)
        .client_url()
        .startswith(f"/socket.io/socket.io.min.js?v={nuncio.__version__}-")
    )
