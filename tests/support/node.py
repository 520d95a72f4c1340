"""The official JavaScript clients, driven from a test by `tests/interop/driver.js`.

One Node process serves a whole run. A test that talks to it reads like this:

    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.emit("question", 6, 7)
        assert await client.next("answer") == [42]
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nuncio import Server, Socket
from nuncio.engine import Engine
from tests.support.aio import SharedLoop, eventually, within
from tests.support.live import listening

DRIVER = Path(__file__).parent.parent / "interop" / "driver.js"

# The clients that are tested: the latest of 4.x, the first of 4.x, the last of 3.x.
LATEST = "4"
VERSIONS = (LATEST, "4.0", "3.1")
# The last of 2.x, for servers that let it in.
OLD = "2"


@dataclass(frozen=True)
class Way:
    """How a client gets its packets through.

    Attributes:
        name: for the test's name.
        transports: the client's option.
        upgraded: whether `connect` waits until the client has moved to WebSocket.
    """

    name: str
    transports: tuple[str, ...]
    upgraded: bool = False

    @property
    def transport(self) -> str:
        """What carries packets in the end."""
        return self.transports[-1]


POLLING = Way("polling", ("polling",))
WEBSOCKET = Way("websocket", ("websocket",))
# All that happens then happens while the client moves from one transport to the other.
UPGRADING = Way("upgrading", ("polling", "websocket"))
UPGRADED = Way("upgraded", ("polling", "websocket"), upgraded=True)
WAYS = (POLLING, WEBSOCKET, UPGRADING, UPGRADED)


@dataclass(frozen=True)
class JS:
    """A value that only JavaScript has, or a function: its source."""

    source: str


UNDEFINED = JS("undefined")


class JSError(Exception):
    """An error object that a client was given.

    Attributes:
        message: its text.
        fields: `data`, `type`, `description`, `code`; None for those it does not have.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields["message"])
        self.message: str = fields["message"]
        self.fields = fields


def pack(value: Any) -> Any:
    """What a command carries."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"$date": value.timestamp() * 1000}
    if isinstance(value, JS):
        return {"$js": value.source}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    return value


def unpack(value: Any) -> Any:
    """What an answer carries."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$date" in value:
            return datetime.fromtimestamp(value["$date"] / 1000, UTC)
        if "$js" in value:
            return JS(value["$js"])
        if "$error" in value:
            return JSError(unpack(value["$error"]))
        return {key: unpack(item) for key, item in value.items()}
    return value


class Node(SharedLoop):
    """The Node process, and the loop in which its tests run: uvloop's, as with `io.run`.

    uvicorn takes its time to stop, and nobody waits for it: a test's server goes on stopping while
    the next test runs. What goes wrong then is told at the end.

    Args:
        program: Node's path.
    """

    def __init__(self, program: str) -> None:
        super().__init__(uvloop=True)
        self._stopping: list[asyncio.Future[Any]] = []
        self._program = program
        self._process = subprocess.Popen(
            [program, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process and the loop."""
        self.run(self._stopped())
        self._process.communicate(timeout=30)
        super().close()

    async def _stopped(self) -> None:
        await asyncio.gather(*self._stopping)

    async def process(self, code: str, *args: Any) -> asyncio.subprocess.Process:
        """Run code in a process of its own, which the test has to end.

        Args:
            code: finds `args` as JSON in `process.argv[1]`.
            args: plain data.
        """
        return await asyncio.create_subprocess_exec(
            self._program, "-e", code, json.dumps(args), cwd=DRIVER.parent
        )

    @asynccontextmanager
    async def clients(
        self, server: Server | Engine | None = None, *, host: str = "native", port: int = 0
    ) -> AsyncIterator[Clients]:
        """Serve, and drive clients.

        Args:
            server: what to serve until the clients have ended; None when something else serves
                on `port`.
            host: see `listening`.
            port: where clients connect.
        """
        if server is not None:
            own = listening(server, host)
            async with self.clients(port=await own.__aenter__()) as clients:
                try:
                    yield clients
                finally:
                    await clients.close()
                    stopped = asyncio.ensure_future(own.__aexit__(None, None, None))
                    self._stopping.append(stopped)
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 28)
        clients = Clients(reader, writer, port)
        try:
            yield clients
        finally:
            await clients.close()


@dataclass
class Seen:
    """What one client has reported: in order, and by name."""

    log: list[tuple[str, list[Any]]] = field(default_factory=list)
    queues: dict[str, asyncio.Queue[list[Any]]] = field(default_factory=dict)

    def queue(self, event: str) -> asyncio.Queue[list[Any]]:
        """Those of one name that nobody has taken yet."""
        return self.queues.setdefault(event, asyncio.Queue())

    def add(self, event: str, args: list[Any]) -> None:
        """Something was reported."""
        self.log.append((event, args))
        self.queue(event).put_nowait(args)


class Clients:
    """The clients of one test.

    Attributes:
        port: where they connect; the test may change it.
        scheme: how; `https` for a server with a certificate.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        self.port = port
        self.scheme = "http"
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._seen: dict[int, Seen] = {}
        self._task = asyncio.ensure_future(self._read())

    @property
    def url(self) -> str:
        """The server's address."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def _read(self) -> None:
        while line := await self._reader.readline():
            self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "ref" in message:
            self._seen[message["ref"]].add(message["event"], unpack(message["args"]))
            return
        answer = self._answers.pop(message["id"])
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]))
        else:
            answer.set_result(unpack(message["ok"]))

    def begin(self, command: str, **given: Any) -> asyncio.Future[Any]:
        """Send a command; the future is its answer."""
        id = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        line = json.dumps({"id": id, "do": command, "with": pack(given)})
        self._writer.write(line.encode() + b"\n")
        return answer

    async def command(self, command: str, **given: Any) -> Any:
        """Send a command and wait for its answer."""
        return await within(self.begin(command, **given))

    def _new(self) -> tuple[int, Seen]:
        ref = next(self._ids)
        seen = Seen()
        self._seen[ref] = seen
        return ref, seen

    async def start(
        self,
        nsp: str = "/",
        *,
        way: Way = WEBSOCKET,
        version: str = LATEST,
        query: str = "",
        **options: Any,
    ) -> Client:
        """Make a Socket.IO client without waiting for its connection.

        Args:
            nsp: the namespace.
            way: its transports.
            version: one of `VERSIONS`, or `OLD`.
            query: of the URL.
            options: the client's, under their JavaScript names.
        """
        ref, seen = self._new()
        options.setdefault("transports", way.transports)
        url = self.url + nsp + query
        await self.command("connect", ref=ref, url=url, version=version, options=options)
        return Client(self, ref, seen)

    async def connect(self, nsp: str = "/", *, way: Way = WEBSOCKET, **options: Any) -> Client:
        """Make a Socket.IO client and wait until it is connected; see `start`."""
        client = await self.start(nsp, way=way, **options)
        assert await client.next("connect") == []
        if way.upgraded:
            await client.upgraded()
        return client

    async def start_engine(
        self, path: str = "/engine.io", *, version: str = "6", **options: Any
    ) -> EngineClient:
        """Make an Engine.IO client, 6.x or 3.x, without waiting for its connection."""
        ref, seen = self._new()
        options = {"path": path, **options}
        await self.command("engine", ref=ref, url=self.url, version=version, options=options)
        return EngineClient(self, ref, seen)

    async def engine(
        self, path: str = "/engine.io", *, version: str = "6", **options: Any
    ) -> EngineClient:
        """Make an Engine.IO client and wait until it is open."""
        client = await self.start_engine(path, version=version, **options)
        await client.next("open")
        return client

    async def join(self, other: Client, nsp: str, **options: Any) -> Client:
        """Connect to another namespace on the connection of a client."""
        client = await self.start_joining(other, nsp, **options)
        assert await client.next("connect") == []
        return client

    async def start_joining(self, other: Client, nsp: str, **options: Any) -> Client:
        """As `join`, without waiting for the answer."""
        ref, seen = self._new()
        await self.command("of", ref=ref, other=other.ref, nsp=nsp, options=options)
        return Client(self, ref, seen)

    async def run(self, code: str, *args: Any) -> Any:
        """Run any JavaScript without a client."""
        ref, _ = self._new()
        return await self.command("run", ref=ref, code=code, args=args)

    async def close(self) -> None:
        """End all clients; closing twice does no harm."""
        if self._writer.is_closing():
            return
        self._writer.write_eof()
        await within(self._task)
        self._writer.close()
        await self._writer.wait_closed()
        for answer in self._answers.values():
            answer.cancel()


class Thing:
    """Something in Node that reports what happens to it."""

    def __init__(self, clients: Clients, ref: int, seen: Seen) -> None:
        self.clients = clients
        self.ref = ref
        self.seen = seen

    async def next(self, event: str) -> list[Any]:
        """The arguments of the next report of this name, the earliest not yet taken."""
        try:
            args: list[Any] = await within(self.seen.queue(event).get())
        except TimeoutError:
            raise AssertionError(f"no {event!r} came, but {self.seen.log}") from None
        return args

    async def run(self, code: str, *args: Any) -> Any:
        """Run JavaScript: a function's body, which sees `socket`, `report` and `args`."""
        return await self.clients.command("run", ref=self.ref, code=code, args=args)

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression about `socket`."""
        return await self.run(f"return {expression}")

    async def upgraded(self) -> None:
        """Wait until it has left long-polling."""
        await self.clients.command("upgraded", ref=self.ref)


class Client(Thing):
    """A Socket.IO client in one namespace."""

    async def peer(self, io: Server, nsp: str = "/") -> Socket:
        """Its socket on the server."""
        return io.of(nsp).sockets[await self.value("socket.id")]

    def names(self) -> list[str]:
        """What it has reported so far, in order."""
        return [event for event, _ in self.seen.log]

    async def emit(self, event: Any, *args: Any) -> None:
        """Emit an event."""
        await self.clients.command("emit", ref=self.ref, event=event, args=args)

    def begin_asking(self, event: str, *args: Any) -> asyncio.Future[Any]:
        """Emit an event; the future is the list of the acknowledgement's values."""
        return self.clients.begin("ask", ref=self.ref, event=event, args=args)

    async def ask(self, event: str, *args: Any) -> list[Any]:
        """Emit an event and wait for the acknowledgement: all its values."""
        answer: list[Any] = await within(self.begin_asking(event, *args))
        return answer

    async def on(self, event: str, handler: str) -> None:
        """Handle an event by a JavaScript function, whose last argument may be the answer."""
        await self.clients.command("on", ref=self.ref, event=event, handler=JS(handler))

    async def disconnect(self) -> None:
        """Call its `disconnect()`."""
        await self.run("socket.disconnect()")

    async def cut(self, io: Server) -> None:
        """Break its link, and wait until the server has noticed; it stays away until `back`."""
        socket = await self.peer(io)
        await self.run("socket.io.engine.close()")
        await eventually(lambda: not socket.connected)

    async def back(self) -> None:
        """Connect again after `cut`."""
        await self.run("socket.connect()")
        await self.next("connect")

    async def transport(self) -> str:
        """The name of its present transport."""
        name: str = await self.value("socket.io.engine.transport.name")
        return name


class EngineClient(Thing):
    """An Engine.IO client."""

    async def send(self, data: str | bytes) -> None:
        """Send a message."""
        await self.run("socket.send(args[0])", data)
