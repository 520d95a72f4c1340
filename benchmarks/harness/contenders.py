"""What a contender is, and proof that an interpreter has what its option says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness.modes import Mode

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
SIOLOAD = BENCHMARKS / "sioload"
BASELINE = "node"

_PROBE_SECONDS = 60.0

_NUNCIO_PROBE = """
import json, nuncio
build = nuncio.build_info()
print(json.dumps({"compiled": build.compiled, "version": str(build)}))
"""
_NODE_PROBE = """
const version = (name) => require(name + "/package.json").version;
require("%(package)s");
let native = "without bufferutil";
try { require("bufferutil"); native = "bufferutil " + version("bufferutil"); } catch {}
console.log(JSON.stringify({
  version: `%(package)s ${version("%(package)s")}, ws ${version("ws")}, ${native}, ` +
    `Node.js ${process.version.slice(1)}`,
}));
"""


class Unavailable(Exception):
    """What a contender needs is not installed."""


class Mislabelled(Exception):
    """An interpreter has the other build of Nuncio than its option says."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server or a client under test.

    Attributes:
        key: its name on the command line and in the JSON.
        title: its name in the table.
        command: how it is started, without the port.
        version: its versions, in one line.
        env: what it needs in the environment besides what `run.py` was started with.
        client: whether it is a client.
        polling: whether it has HTTP long-polling.
        only: the only modes it is measured in, empty for all.
        variants: whether its server has the options that some modes want.
    """

    key: str
    title: str
    command: tuple[str, ...]
    version: str
    env: Mapping[str, str] = field(default_factory=dict)
    client: bool = False
    polling: bool = True
    only: tuple[str, ...] = ()
    variants: bool = False

    def takes_part(self, mode: Mode) -> bool:
        """Whether it is measured in that mode."""
        if mode.client is not self.client or (mode.server and not self.variants):
            return False
        return (not self.only or mode.key in self.only) and (self.polling or not mode.polling)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs the contenders run in; `run.py` has an option for each."""

    compiled: str
    plain: str
    python_socketio: str
    node: str


def nuncio_version(python: str, compiled: bool) -> str:
    """The version of Nuncio in an interpreter.

    Raises:
        Unavailable: it is not installed there.
        Mislabelled: it is the other build.
    """
    found = probe(python, "-c", _NUNCIO_PROBE)
    if found["compiled"] is not compiled:
        wanted = "compiled" if compiled else "plain"
        raise Mislabelled(f"{python} was given as the {wanted} build, but has {found['version']}")
    version: str = found["version"]
    return version


def node_version(node: str, package: str) -> str:
    """The versions of Node.js and of a package that `npm ci` has installed here.

    Raises:
        Unavailable: one of the two is missing.
    """
    if not (BENCHMARKS / "node_modules").is_dir():
        raise Unavailable(f"its packages are not installed: run `npm ci` in {BENCHMARKS.name}/")
    version: str = probe(node, "-e", _NODE_PROBE % {"package": package}, cwd=BENCHMARKS)["version"]
    return version


@cache
def probe(*command: str, cwd: Path | None = None) -> dict[str, Any]:
    """Run a short program that prints what it found as JSON.

    Raises:
        Unavailable: it could not be started, or failed.
    """
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


def usual_interpreter(folder: str) -> str:
    """The interpreter of a virtual environment of the project, by the name of its folder."""
    return str(ROOT / folder / "bin" / "python")


def own_interpreter() -> str:
    """The project's usual interpreter, or the running one where the project has none."""
    usual = usual_interpreter(".venv")
    return usual if Path(usual).exists() else sys.executable
