"""Who is measured: the command of each server, and proof that it is what its name says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.modes import Mode

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
SERVERS = BENCHMARKS / "servers"
SIOLOAD = BENCHMARKS / "sioload"

_PROBE_SECONDS = 60.0

_NUNCIO_PROBE = """
import json, nuncio
build = nuncio.build_info()
print(json.dumps({"compiled": build.compiled, "version": str(build)}))
"""
_PSIO_PROBE = """
import json, platform
from importlib.metadata import version
import httptools, socketio, uvicorn, uvloop
parts = [f"{name} {version(name)}" for name in
         ("python-socketio", "python-engineio", "uvicorn", "uvloop", "httptools", "websockets")]
python = f"{platform.python_implementation()} {platform.python_version()}"
print(json.dumps({"version": ", ".join([*parts, python])}))
"""
_NODE_PROBE = """
const version = (name) => require(name + "/package.json").version;
require("socket.io");
let native = "without bufferutil";
try { require("bufferutil"); native = "bufferutil " + version("bufferutil"); } catch {}
console.log(JSON.stringify({
  version: `socket.io ${version("socket.io")}, ws ${version("ws")}, ${native}, ` +
    `Node.js ${process.version.slice(1)}`,
}));
"""


class Unavailable(Exception):
    """What a contender needs is not installed."""


class Mislabelled(Exception):
    """An interpreter has the other build of Nuncio than its option says."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server under test.

    Attributes:
        key: its name on the command line and in the JSON.
        title: its name in the table.
        command: how it is started, without the port.
        version: its versions, in one line.
        env: what it needs in the environment besides what `run.py` was started with.
        polling: whether it has HTTP long-polling.
        only: the only modes it is measured in, empty for all.
        variants: whether its server has the options that some modes want.
    """

    key: str
    title: str
    command: tuple[str, ...]
    version: str
    env: Mapping[str, str] = field(default_factory=dict)
    polling: bool = True
    only: tuple[str, ...] = ()
    variants: bool = False

    def takes_part(self, mode: Mode) -> bool:
        """Whether it is measured in that mode."""
        if mode.server and not self.variants:
            return False
        return (not self.only or mode.key in self.only) and (self.polling or not mode.polling)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs the contenders run in; `run.py` has an option for each."""

    compiled: str
    plain: str
    python_socketio: str
    node: str


def _nuncio(key: str, title: str, python: str, compiled: bool, *options: str) -> Contender:
    found = _probe(python, "-c", _NUNCIO_PROBE)
    if found["compiled"] is not compiled:
        wanted = "compiled" if compiled else "plain"
        raise Mislabelled(f"{python} was given as the {wanted} build, but has {found['version']}")
    command = (python, str(SERVERS / "nuncio_server.py"), *options)
    handlers = {"--async", "--typed", "--class"}
    only = ("echo", "echo16", "ack16") if handlers.intersection(options) else ()
    return Contender(key, title, command, found["version"], only=only, variants=not only)


def _node(key: str, title: str, node: str, *options: str) -> Contender:
    if not (BENCHMARKS / "node_modules").is_dir():
        raise Unavailable(f"its packages are not installed: run `npm ci` in {BENCHMARKS.name}/")
    found = _probe(node, "-e", _NODE_PROBE, cwd=BENCHMARKS)
    command = (node, str(SERVERS / "node_server.js"), *options)
    env = {"NODE_ENV": "production"}
    return Contender(key, title, command, found["version"], env, variants=True)


def _python_socketio(python: str) -> Contender:
    found = _probe(python, "-c", _PSIO_PROBE)
    command = (python, str(SERVERS / "psio_server.py"))
    return Contender("python-socketio", "python-socketio", command, found["version"])


def _limit() -> Contender:
    return Contender(
        "limit",
        "limit (C)",
        (str(SIOLOAD), "serve"),
        "the generator's own epoll loop in C, WebSocket only",
        polling=False,
    )


_FINDERS: dict[str, Callable[[Programs], Contender]] = {
    "nuncio": lambda p: _nuncio("nuncio", "Nuncio", p.compiled, True),
    "nuncio-plain": lambda p: _nuncio("nuncio-plain", "Nuncio, plain Python", p.plain, False),
    "nuncio-async": lambda p: _nuncio(
        "nuncio-async", "Nuncio, `async def`", p.compiled, True, "--async"
    ),
    "nuncio-typed": lambda p: _nuncio(
        "nuncio-typed", "Nuncio, typed handlers", p.compiled, True, "--typed"
    ),
    "nuncio-class": lambda p: _nuncio(
        "nuncio-class", "Nuncio, a class", p.compiled, True, "--class"
    ),
    "nuncio-asgi": lambda p: _nuncio(
        "nuncio-asgi", "Nuncio, any ASGI server", p.compiled, True, "--host", "asgi"
    ),
    "node": lambda p: _node("node", "Node.js", p.node),
    "node-lean": lambda p: _node("node-lean", "Node.js, no request", p.node, "--drop-request"),
    "python-socketio": lambda p: _python_socketio(p.python_socketio),
    "limit": lambda p: _limit(),
}

NAMES = tuple(_FINDERS)
USUAL = ("nuncio", "nuncio-plain", "nuncio-async", "node", "python-socketio", "limit")
BASELINE = "node"


def find(key: str, programs: Programs) -> Contender:
    """Find a contender and ask it what it is.

    Args:
        key: one of `NAMES`.
        programs: the interpreters to look in.

    Raises:
        Unavailable: it is not installed.
        Mislabelled: the interpreter has the other build of Nuncio.
    """
    return _FINDERS[key](programs)


def usual_interpreter(folder: str) -> str:
    """The interpreter of a virtual environment of the project, by the name of its folder."""
    return str(ROOT / folder / "bin" / "python")


def own_interpreter() -> str:
    """The project's usual interpreter, or the running one where the project has none."""
    usual = usual_interpreter(".venv")
    return usual if Path(usual).exists() else sys.executable


def _probe(*command: str, cwd: Path | None = None) -> dict[str, Any]:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(f"there is no {command[0]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from None
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["no message"]
        raise Unavailable(f"{command[0]} said: {last[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
