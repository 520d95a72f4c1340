"""The official servers, driven from a test by `tests/interop/client/server.js`.

One Node process serves a whole run, and in it as many servers as the tests ask for:

    async with NodeProgram(path) as program:
        async with NodeServer(program, pingInterval=50) as server:
            socket = nuncio.Manager(server.url).socket("/foo")
            nsp, sid, handshake = await server.next("connection")
            await server.emit("news", 1, nsp="/foo")
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any, Self

from tests.support.aio import SharedLoop, within
from tests.support.node import Seen, pack, unpack
from tests.support.ports import free_port

PROGRAM = Path(__file__).parent.parent / "interop" / "client" / "server.js"

# Releases of socket.io; and the Engine.IO server alone.
VERSIONS = ("4", "3")
LATEST = "4"
OLD = "2"
ENGINE = "engine"

# What a line may have: a test sends some megabytes.
_LINE = 1 << 28


class NodeProgram:
    """The Node process.

    Args:
        program: Node's path.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._seen: dict[int, Seen] = {}
        self._crashes: list[str] = []

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            self._program, str(PROGRAM), stdin=pipe, stdout=pipe, limit=_LINE
        )
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await within(self._process.wait())
        await within(self._reading)
        assert not self._crashes, f"Node's own errors: {self._crashes}"

    def new(self, seen: Seen) -> int:
        """A reference for a server, whose reports go to `seen`."""
        ref = next(self._ids)
        self._seen[ref] = seen
        return ref

    async def command(self, name: str, **given: Any) -> Any:
        """Send a command and wait for its answer."""
        id = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        line = json.dumps({"id": id, "do": name, "with": pack(given)})
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        return await within(answer)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "crash" in message:
            self._crashes.append(message["crash"])
        elif "ref" in message:
            self._seen[message["ref"]].add(message["event"], unpack(message["args"]))
        else:
            self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._answers.pop(message["id"])
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]))
        else:
            answer.set_result(unpack(message["ok"]))


class NodeHome(SharedLoop):
    """The loop in which tests run, and the Node process with the servers.

    Args:
        program: Node's path.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self.program = NodeProgram(program)
        self.run(self.program.__aenter__())

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What is going on in the loop."""
        return asyncio.all_tasks(self.runner.get_loop())

    def close(self) -> None:
        """End the process and the loop."""
        self.run(self.program.__aexit__())
        super().close()


class NodeServer:
    """One server, with the application of `application.js`; or of `bouncer.js`, for `ENGINE`.

    It reports: `request` (method, address, headers), `connection` (namespace, id, handshake),
    `disconnect` (namespace, id, reason), `event` (namespace, id, name, arguments), and the packets
    of Engine.IO, those of heartbeats left out: `received` and `sent` (engine's id, type, data).

    Args:
        program: where it runs.
        version: one of `VERSIONS`, `OLD` or `ENGINE`.
        port: where it listens; None for a free port.
        tls: the paths of `cert` and `key`, and more of Node's options: serve with TLS.
        options: the server's, under their JavaScript names.

    Attributes:
        port: where it listens. It stays the same when it is started again.
    """

    def __init__(
        self,
        program: NodeProgram,
        version: str = LATEST,
        *,
        port: int | None = None,
        tls: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._program = program
        self._given = {"version": version, "tls": tls, "options": options}
        self._ref: int | None = None
        self.port = free_port() if port is None else port
        self.seen = Seen()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Its address, without a namespace."""
        return f"{'https' if self._given['tls'] else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; again, after `stop`, at the same port."""
        ref = self._program.new(self.seen)
        await self._program.command("serve", ref=ref, port=self.port, **self._given)
        self._ref = ref

    async def stop(self, *, crash: bool = False) -> None:
        """Stop listening and close every session. Stopping twice does no harm.

        Args:
            crash: cut all connections without a word first.
        """
        if self._ref is not None:
            ref, self._ref = self._ref, None
            await self._program.command("stop", ref=ref, crash=crash)

    # --- what it has seen

    async def next(self, event: str) -> list[Any]:
        """The arguments of the next report of this name, the earliest not yet taken."""
        try:
            args: list[Any] = await within(self.seen.queue(event).get())
        except TimeoutError:
            raise AssertionError(f"no {event!r} came, but {self.seen.log}") from None
        return args

    async def next_event(self, name: str) -> list[Any]:
        """The arguments of the next event of this name that a client has emitted."""
        while True:
            _, _, found, args = await self.next("event")
            if found == name:
                assert isinstance(args, list)
                return args

    async def reports(self, event: str) -> list[list[Any]]:
        """The arguments of all reports of this name until now, taken or not."""
        # What Node has said before its answer has arrived before it.
        await self.value("0")
        return [args for name, args in self.seen.log if name == event]

    async def messages(self, direction: str = "received") -> list[str | bytes]:
        """What the messages of the engine held until now, in order.

        Args:
            direction: `received` or `sent`.
        """
        reports = await self.reports(direction)
        return [data for _, type, data in reports if type == "message"]

    def forget(self) -> None:
        """Begin anew with what it has seen."""
        self.seen.log.clear()
        self.seen.queues.clear()

    # --- what it does

    async def run(self, code: str, *args: Any) -> Any:
        """Run JavaScript: a function's body, which sees `io`, `engine`, `report` and `args`."""
        return await self._program.command("run", ref=self._ref, code=code, args=args)

    async def value(self, expression: str, *args: Any) -> Any:
        """The value of a JavaScript expression."""
        return await self.run(f"return {expression}", *args)

    async def emit(self, event: str, *args: Any, nsp: str = "/", room: str | None = None) -> None:
        """Emit to everybody in a namespace, or in one of its rooms."""
        await self.run(
            "const [nsp, room, ...event] = args;"
            "const all = io.of(nsp); (room === null ? all : all.to(room)).emit(...event)",
            *(nsp, room, event, *args),
        )

    async def disconnect(self, nsp: str = "/", *, all: bool = False) -> None:
        """Disconnect everybody in a namespace.

        Args:
            nsp: its name.
            all: from all namespaces.
        """
        await self.run(f"{_SOCKETS}.forEach((socket) => socket.disconnect(args[1]))", nsp, all)

    async def send_raw(self, data: str | bytes) -> None:
        """Send a message of the engine to everybody, whatever is in it."""
        await self.run("Object.values(engine.clients).forEach((conn) => conn.send(args[0]))", data)

    async def close_engines(self, *, discard: bool = False) -> None:
        """Close all sessions of the engine.

        Args:
            discard: at once, instead of when all has been sent.
        """
        await self.run(
            "Object.values(engine.clients).forEach((conn) => conn.close(args[0]))", discard
        )

    async def sessions(self) -> int:
        """How many sessions the engine has."""
        count: int = await self.value("engine.clientsCount")
        return count

    async def emptied(self) -> None:
        """Wait until the engine has no session."""
        await self.run(
            "while (engine.clientsCount) await new Promise((done) => setTimeout(done, 5))"
        )

    async def sockets(self, nsp: str = "/") -> list[str]:
        """The ids of the sockets in a namespace."""
        ids: list[str] = await self.value(f"{_SOCKETS}.map((socket) => socket.id)", nsp)
        return ids


# The sockets of the namespace `args[0]`: a Map, and an object before 3.0.
_SOCKETS = (
    "[...(io.of(args[0]).sockets instanceof Map"
    " ? io.of(args[0]).sockets.values() : Object.values(io.of(args[0]).sockets))]"
)
