"""Scenarios that run against the reference and against Nuncio, and must look the same.

A scenario is an application, written in JavaScript for socket.io on Node and in Python for Nuncio,
and a script in JavaScript for its clients. Both runs leave a transcript: what every client has
seen, and what the application has. The two are compared after what must differ (ids, ports) was
replaced by placeholders. Where Nuncio differs on purpose, the scenario says so. Every scenario runs
under Nuncio's own host and under uvicorn as a plain ASGI application, unless it says why not:

    @scenario(
        server=\"\"\"
        io.on("connection", (socket) => socket.on("ask", (x, ack) => ack(x)));
        \"\"\",
        client=\"\"\"
        const a = await connect();
        await a.ask("ask", 1);
        \"\"\",
    )
    def test_an_answer(io: Server, log: Log) -> None:
        @io.on("ask")
        def ask(socket: Socket, x: object) -> object:
            return x

`client.js` has what scripts may use, `reference.js` what applications in JavaScript may.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from nuncio import Namespace, Server, Socket
from tests.interop.differential.transcripts import (
    Actors,
    Entry,
    lines,
    normalised,
    pack,
    without_code,
)
from tests.support.aio import SharedLoop, eventually, within
from tests.support.live import HOSTS, listening
from tests.support.node import WEBSOCKET, Way

HERE = Path(__file__).parent

# Nuncio's own host, and uvicorn as it serves any ASGI application.
NATIVE, ASGI = HOSTS

_PLACEHOLDER = re.compile("<[0-9]+>")
_SPECIAL_OPTIONS = {"allow_eio3": "allowEIO3"}
_DURATIONS = {
    "connect_timeout",
    "max_disconnection_duration",
    "ping_interval",
    "ping_timeout",
    "upgrade_timeout",
}

App = Callable[[Server, "Log"], None]


@dataclass(frozen=True)
class Differs:
    """A place where Nuncio differs from the reference.

    Attributes:
        why: the reason, in one line.
        actor: whose transcript.
        reference: successive entries in the reference's transcript, with their placeholders.
        nuncio: what Nuncio has in their place.
        at: where they are; None for the first place where they are found.
        host: under which host; empty for all.
    """

    why: str
    actor: str
    reference: Sequence[Entry]
    nuncio: Sequence[Entry]
    at: int | None = None
    host: str = ""

    def apply(self, actors: Actors) -> None:
        """Turn the reference's transcript into the expected one."""
        entries = actors.setdefault(self.actor, [])
        there = list(self.reference)
        places = range(len(entries) - len(there) + 1) if self.at is None else [self.at]
        for at in places:
            if entries[at : at + len(there)] == there:
                entries[at : at + len(there)] = self.nuncio
                return
        text = "\n".join([*lines({self.actor: there}), "but:", *lines(actors)])
        pytest.fail(f"the reference does not do what is declared ({self.why}):\n{text}", False)


class ScriptFailed(Exception):
    """A script did not come to its end."""


class Log:
    """What a Python application says to its transcript, and what it can be told to do."""

    def __init__(self, server: Server, say: Callable[[Any], None]) -> None:
        self._server = server
        self._say = say
        self.commands: dict[str, Callable[..., Any]] = {}

    def __call__(self, name: str, *args: Any) -> None:
        self._say({"do": "log", "entry": [name, *map(pack, args)]})

    def does(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The script may call this: `server.do(name, ...)`."""
        self.commands[function.__name__] = function
        return function

    def watch(self, nsp: Server | Namespace) -> None:
        """Note how sockets come and go."""

        def connection(socket: Socket) -> None:
            self("connection")

        def disconnecting(socket: Socket, reason: str) -> None:
            self("disconnecting", reason, socket.rooms)

        def disconnect(socket: Socket, reason: str) -> None:
            self("disconnect", reason, socket.rooms)

        nsp.on("connection", connection)
        nsp.on("disconnecting", disconnecting)
        nsp.on("disconnect", disconnect)

    # What the script asks.

    async def command(self, name: str, args: list[Any]) -> Any:
        """Do what the application has registered."""
        result = self.commands[name](*args)
        if hasattr(result, "__await__"):
            result = await result
        return pack(result) if isinstance(result, (str, int, float, list, dict)) else None

    async def polled(self, sid: str) -> None:
        """When a poll of this session waits."""
        sessions = self._server.engine.sessions

        def waits() -> bool:
            session = sessions.get(sid)
            transport = None if session is None else session.transport
            return transport is not None and transport.name == "polling" and transport.writable

        await eventually(waits, "a poll waits")

    async def sessions(self, count: int) -> None:
        """When there are so many sessions."""
        await eventually(lambda: self._server.engine.clients_count == count, f"{count} sessions")

    async def nothing(self) -> None:
        """Only the answer matters."""


def javascript(options: Mapping[str, Any]) -> str:
    """Options under their JavaScript names, times in milliseconds: their source."""

    def name(key: str) -> str:
        first, *rest = key.split("_")
        return _SPECIAL_OPTIONS.get(key, first + "".join(map(str.capitalize, rest)))

    def convert(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name(inner): convert(inner, item) for inner, item in value.items()}
        return round(value * 1000) if key in _DURATIONS else value

    return json.dumps({name(key): convert(key, value) for key, value in options.items()})


class Reference(SharedLoop):
    """The Node process, in which both the reference and all clients run.

    Args:
        program: Node's path.
    """

    def __init__(self, program: str) -> None:
        super().__init__(uvloop=True)
        self._stopping: list[asyncio.Future[Any]] = []
        # What the reference did, for the hosts after the first.
        self._done: dict[tuple[Scenario, str], Actors] = {}
        self._process = subprocess.Popen(
            [program, str(HERE / "main.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process and the loop."""
        self.run(self._stopped())
        self._process.communicate(timeout=30)
        super().close()

    async def _stopped(self) -> None:
        await asyncio.gather(*self._stopping)

    async def both(self, scene: Scenario, way: Way, host: str) -> tuple[Actors, Actors]:
        """Run a scenario against the reference and against Nuncio."""
        job = {
            "do": "run",
            "client": scene.client,
            "options": scene.js_options or javascript(scene.options),
            "way": {"transports": way.transports, "upgraded": way.upgraded, "name": way.name},
        }
        runs = await asyncio.gather(
            self._theirs({**job, "server": scene.server, "port": 0}, (scene, way.name)),
            self._ours({**job, "server": None}, scene, host),
            return_exceptions=True,
        )
        failed = [str(run) for run in runs if isinstance(run, ScriptFailed)]
        if failed:
            pytest.fail("\n".join(failed), pytrace=False)
        for run in runs:
            if isinstance(run, BaseException):
                raise run
        theirs, ours = runs
        assert isinstance(theirs, dict) and isinstance(ours, dict)
        return theirs, ours

    async def _theirs(self, job: dict[str, Any], key: tuple[Scenario, str]) -> Actors:
        if key not in self._done:
            reader, writer = await self._connect()
            try:
                writer.write(json.dumps(job).encode() + b"\n")
                actors = _result("the reference", json.loads(await reader.readline()))
            finally:
                writer.close()
            self._done[key] = actors
        return copy.deepcopy(self._done[key])

    async def _ours(self, job: dict[str, Any], scene: Scenario, host: str) -> Actors:
        reader, writer = await self._connect()

        early: list[Any] = []
        started = False

        def say(line: Any) -> None:
            if not started:
                early.append(line)
            # What is said later, while the server stops, is no part of the transcript.
            elif not writer.is_closing():
                writer.write(json.dumps(line).encode() + b"\n")

        io = Server(**scene.options)
        log = Log(io, say)
        scene.app(io, log)
        served = listening(io, host)
        port = await served.__aenter__()
        calls: list[asyncio.Future[None]] = []
        try:
            started = True
            for line in ({**job, "port": port}, *early):
                say(line)
            while True:
                line = json.loads(await reader.readline())
                if "transcript" in line:
                    return _result("Nuncio", line)
                calls.append(asyncio.ensure_future(_answer(log, line, say)))
        finally:
            writer.close()
            await asyncio.gather(*calls)
            self._stopping.append(asyncio.ensure_future(_stop(io, served)))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 28)


async def _stop(io: Server, served: AbstractAsyncContextManager[int]) -> None:
    # First the sessions: other hosts wait for polls before they tell of their end.
    await io.close()
    await served.__aexit__(None, None, None)


async def _answer(log: Log, line: dict[str, Any], say: Callable[[Any], None]) -> None:
    answer: dict[str, Any] = {"do": "answer", "call": line["call"]}
    try:
        answer["ok"] = await within(getattr(log, line["do"])(*line["args"]))
    except Exception as error:
        answer["error"] = repr(error)
    say(answer)


def _result(which: str, line: dict[str, Any]) -> Actors:
    actors = normalised(line["transcript"])
    if line["error"]:
        text = "\n".join(lines(actors))
        raise ScriptFailed(f"with {which} the script failed: {line['error']}\n{text}")
    return actors


def open_packet(id: int, upgrades: str = '"websocket"') -> str:
    """An open packet with the usual options, the session's id the id-th of the transcript."""
    return (
        f'0{{"sid":"<{id}>","upgrades":[{upgrades}],"pingInterval":25000,"pingTimeout":20000,'
        '"maxPayload":1000000}'
    )


def polled(text: str) -> Entry:
    """The answer to a poll."""
    headers = {
        "cache-control": "no-store",
        "content-length": str(len(_PLACEHOLDER.sub("i" * 20, text).encode())),
        "content-type": "text/plain; charset=UTF-8",
    }
    return ["GET", 200, headers, text]


def opened(id: int) -> Entry:
    """The answer that opens a session; see `open_packet`."""
    return polled(open_packet(id))


def with_header(entry: Entry, **headers: str) -> Entry:
    """An answer with more headers."""
    name, status, there, text = entry
    both = {**there, **{key.replace("_", "-"): value for key, value in headers.items()}}
    if "content-encoding" in both:
        both.pop("content-length", None)
    return [name, status, dict(sorted(both.items())), text]


def refused(code: int, message: str, status: int = 400, method: str = "GET") -> Entry:
    """The answer that refuses a request."""
    body = json.dumps({"code": code, "message": message}, separators=(",", ":"))
    return [method, status, {"content-type": "application/json"}, body]


@dataclass(frozen=True, eq=False)
class Scenario:
    """See `scenario`."""

    app: App
    server: str
    client: str
    options: Mapping[str, Any]
    js_options: str
    differs: Sequence[Differs]
    ways: Sequence[Way] = field(default=(WEBSOCKET,))

    def check(self, reference: Reference, way: Way, host: str = NATIVE) -> None:
        """Run and compare."""
        theirs, ours = reference.run(reference.both(self, way, host))
        assert any(theirs.values()), "nothing was recorded"
        for difference in self.differs:
            if difference.host in ("", host):
                difference.apply(theirs)
        if host == ASGI:
            # ASGI's word for a close frame without a code is 1000, which means the same.
            theirs, ours = without_code(theirs), without_code(ours)
        expected, found = lines(theirs), lines(ours)
        if expected != found:
            name = f"Nuncio ({host})"
            diff = unified_diff(expected, found, "the reference", name, lineterm="", n=30)
            pytest.fail("\n".join(diff), pytrace=False)


def scenario(
    *,
    server: str,
    client: str,
    options: Mapping[str, Any] | None = None,
    js_options: str = "",
    ways: Sequence[Way] = (WEBSOCKET,),
    differs: Sequence[Differs] = (),
    complains: bool = False,
    native_only: str = "",
) -> Callable[[App], Callable[..., None]]:
    """Make a test of the application below it.

    It runs under Nuncio's own host and under uvicorn as any ASGI application does.

    Args:
        server: the same application in JavaScript; it sees `io`, `log`, `watch` and `does`.
        client: the clients' script.
        options: the server's; translated for the reference.
        js_options: the reference's, as source, where they cannot be translated.
        ways: how clients connect; the test runs once for each.
        differs: where Nuncio differs on purpose.
        complains: whether Nuncio logs errors, as it should.
        native_only: why another host cannot do the same; empty when it can.
    """

    def decorate(app: App) -> Callable[..., None]:
        scene = Scenario(app, server, client, options or {}, js_options, differs, ways)

        def test(
            reference: Reference, way: Way, host: str, caplog: pytest.LogCaptureFixture
        ) -> None:
            scene.check(reference, way, host)
            if complains:
                assert caplog.records
                caplog.clear()

        test.__name__ = test.__qualname__ = app.__name__
        test.__doc__ = app.__doc__
        test.__module__ = app.__module__
        hosts = (NATIVE,) if native_only else (NATIVE, ASGI)
        runs = [pytest.param(way, host, id=f"{host}-{way.name}") for way in ways for host in hosts]
        return pytest.mark.parametrize(("way", "host"), runs)(test)

    return decorate
