"""The clients that are measured, and how each is started."""

from __future__ import annotations

from collections.abc import Callable

from harness.contenders import (
    BENCHMARKS,
    Contender,
    Programs,
    node_version,
    nuncio_version,
    probe,
)

CLIENTS = BENCHMARKS / "clients"

_PSIO_PROBE = """
import json, platform
from importlib.metadata import version
import aiohttp, socketio, uvloop
parts = [f"{name} {version(name)}" for name in
         ("python-socketio", "python-engineio", "aiohttp", "uvloop")]
python = f"{platform.python_implementation()} {platform.python_version()}"
print(json.dumps({"version": ", ".join([*parts, python])}))
"""


def _nuncio(key: str, title: str, python: str, compiled: bool, *options: str) -> Contender:
    version = nuncio_version(python, compiled)
    command = (python, str(CLIENTS / "nuncio_client.py"), *options)
    return Contender(key, title, command, version, client=True, only=_only(options))


def _node(key: str, title: str, node: str, *options: str) -> Contender:
    version = node_version(node, "socket.io-client")
    command = (node, str(CLIENTS / "node_client.js"), *options)
    env = {"NODE_ENV": "production"}
    return Contender(key, title, command, version, env, client=True, only=_only(options))


def _only(options: tuple[str, ...]) -> tuple[str, ...]:
    return ("client-ack16",) if "--await" in options else ()


def _python_socketio(python: str) -> Contender:
    found = probe(python, "-c", _PSIO_PROBE)
    command = (python, str(CLIENTS / "psio_client.py"))
    return Contender("python-socketio", "python-socketio", command, found["version"], client=True)


FINDERS: dict[str, Callable[[Programs], Contender]] = {
    "nuncio": lambda p: _nuncio("nuncio", "Nuncio", p.compiled, True),
    "nuncio-plain": lambda p: _nuncio("nuncio-plain", "Nuncio, plain Python", p.plain, False),
    "nuncio-await": lambda p: _nuncio(
        "nuncio-await", "Nuncio, `await`", p.compiled, True, "--await"
    ),
    "node": lambda p: _node("node", "Node.js", p.node),
    "node-await": lambda p: _node("node-await", "Node.js, `await`", p.node, "--await"),
    "python-socketio": lambda p: _python_socketio(p.python_socketio),
}

USUAL = ("nuncio", "nuncio-plain", "nuncio-await", "node", "node-await", "python-socketio")
