"""The servers that are measured, and how each is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.contenders import (
    BENCHMARKS,
    SIOLOAD,
    Contender,
    Programs,
    node_version,
    nuncio_version,
    probe,
)

SERVERS = BENCHMARKS / "servers"

_ADAPTERS_PROBE = """
const names = [
  "@socket.io/redis-adapter", "@socket.io/redis-streams-adapter", "redis",
  "@socket.io/cluster-adapter",
];
const parts = names.map((name) => `${name} ${require(name + "/package.json").version}`);
console.log(JSON.stringify({ version: parts.join(", ") }));
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


def _nuncio(key: str, title: str, python: str, compiled: bool, *options: str) -> Contender:
    version = nuncio_version(python, compiled)
    command = (python, str(SERVERS / "nuncio_server.py"), *options)
    handlers = {"--async", "--typed", "--class"}
    only = ("echo", "echo16", "ack16") if handlers.intersection(options) else ()
    return Contender(key, title, command, version, only=only, variants=not only)


def _node(key: str, title: str, node: str, *options: str) -> Contender:
    version = node_version(node, "socket.io")
    command = (node, str(SERVERS / "node_server.js"), *options)
    return Contender(key, title, command, version, {"NODE_ENV": "production"}, variants=True)


def with_adapters(contender: Contender, node: str) -> Contender:
    """Node.js with the versions of its adapters for clusters.

    Raises:
        Unavailable: they are not installed.
    """
    found = probe(node, "-e", _ADAPTERS_PROBE, cwd=BENCHMARKS)
    return replace(contender, version=f"{contender.version}, {found['version']}")


def _python_socketio(python: str) -> Contender:
    found = probe(python, "-c", _PSIO_PROBE)
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


FINDERS: dict[str, Callable[[Programs], Contender]] = {
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

USUAL = ("nuncio", "nuncio-plain", "nuncio-async", "node", "python-socketio", "limit")
