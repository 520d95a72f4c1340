"""The servers of a cluster, ours and Node's, told the same things in the same words.

A test of a cluster is written once, and run with each pair of servers that an adapter can join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from nuncio import Server
from nuncio.cluster.heartbeats import HeartbeatAdapter
from tests.support.aio import eventually, until, within
from tests.support.node import Seen
from tests.support.nodeserver import NodeProgram, NodeServer
from tests.support.ours import Client, Ours

Rooms = Iterable[str | int]


class Bus(Protocol):
    """What carries a cluster: a program, started by the fixture that a `Kind` names."""

    @property
    def url(self) -> str:
        """Its address."""


class Side(Protocol):
    """One server of a cluster, with a client of its own."""

    client: Client

    async def emit(
        self,
        event: str,
        *args: Any,
        to: Rooms = (),
        but: Rooms = (),
        flags: Iterable[str] = (),
        nsp: str = "/",
    ) -> None:
        """Emit to these rooms, or to all, but not to those."""

    async def ask(self, event: str, *args: Any, to: Rooms = (), timeout: float = 30) -> list[Any]:
        """Emit with acknowledgements; the answers that came are returned in any case, sorted."""

    async def fetch(self, to: Rooms = (), nsp: str = "/") -> list[dict[str, Any]]:
        """The sockets that are in these rooms, or all."""

    async def join(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """Have sockets join rooms."""

    async def leave(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """Have sockets leave rooms."""

    async def disconnect(self, to: Rooms = (), close: bool = False) -> None:
        """Disconnect sockets."""

    async def tell_servers(self, event: str, *args: Any) -> None:
        """Emit to the other servers."""

    async def ask_servers(self, event: str, *args: Any) -> list[Any]:
        """Emit to the other servers, and gather what they answer."""

    async def told(self) -> list[Any]:
        """The arguments of the next `told` that another server emitted."""

    async def count(self) -> int:
        """How many servers there are."""

    async def knows(self, count: int) -> None:
        """Wait until there are so many."""

    async def rooms(self) -> set[str | int]:
        """The rooms of its client."""

    async def set_data(self, data: dict[str, Any]) -> None:
        """Set the data of its client."""

    async def on_remote(self, id: str, method: str, *args: Any) -> Any:
        """Find one socket of the cluster, and call a method of it, by its JavaScript name."""


async def knows(adapter: Any, count: int) -> None:
    """Wait until a server of ours counts so many, itself among them.

    Where all of them have said hello it need not wait whether others answer, too.
    """
    if isinstance(adapter, HeartbeatAdapter):
        await eventually(lambda: len(adapter._heard) >= count - 1)
        adapter._end_meeting()
    await until(adapter.server_count, count)


class OurSide:
    """A Nuncio server."""

    def __init__(self, io: Server, clients: Ours, client: Client) -> None:
        self.io = io
        self.clients = clients
        self.client = client
        self._seen = Seen()
        io.on_server("told", lambda *args: self._seen.add("told", list(args)))
        io.on_server("load", lambda extra: {"extra": extra})

    def _operator(self, to: Rooms = (), but: Rooms = (), nsp: str = "/") -> Any:
        operator: Any = self.io.of(nsp).compress(True)
        if to:
            operator = operator.to(list(to))
        return operator.except_(list(but)) if but else operator

    async def emit(
        self,
        event: str,
        *args: Any,
        to: Rooms = (),
        but: Rooms = (),
        flags: Iterable[str] = (),
        nsp: str = "/",
    ) -> None:
        """See `Side`."""
        operator = self._operator(to, but, nsp)
        for flag in flags:
            operator = getattr(operator, flag)
        operator.emit(event, *args)

    async def ask(self, event: str, *args: Any, to: Rooms = (), timeout: float = 30) -> list[Any]:
        """See `Side`."""
        from nuncio import AckTimeout

        try:
            found = await self._operator(to).timeout(timeout).emit_with_ack(event, *args)
        except AckTimeout as error:
            found = error.responses
        return sorted(found, key=repr)

    async def fetch(self, to: Rooms = (), nsp: str = "/") -> list[dict[str, Any]]:
        """See `Side`."""
        return [
            {
                "id": one.id,
                "rooms": list(one.rooms),
                "data": one.data,
                "handshake": {
                    "headers": one.handshake.headers,
                    "query": one.handshake.query,
                    "auth": one.handshake.auth,
                    "address": one.handshake.address,
                    "url": one.handshake.url,
                    "time": one.handshake.time,
                    "issued": round(one.handshake.issued * 1000),
                    "secure": one.handshake.secure,
                    "xdomain": one.handshake.xdomain,
                },
            }
            for one in await self._operator(to, nsp=nsp).fetch_sockets()
        ]

    async def join(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """See `Side`."""
        self._operator(to, but).sockets_join(list(rooms))

    async def leave(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """See `Side`."""
        self._operator(to, but).sockets_leave(list(rooms))

    async def disconnect(self, to: Rooms = (), close: bool = False) -> None:
        """See `Side`."""
        self._operator(to).disconnect_sockets(close)

    async def tell_servers(self, event: str, *args: Any) -> None:
        """See `Side`."""
        self.io.server_side_emit(event, *args)

    async def ask_servers(self, event: str, *args: Any) -> list[Any]:
        """See `Side`."""
        found: list[Any] = await self.io.server_side_emit_with_ack(event, *args)
        return found

    async def told(self) -> list[Any]:
        """See `Side`."""
        found: list[Any] = await within(self._seen.queue("told").get())
        return found

    async def count(self) -> int:
        """See `Side`."""
        return await self.io.sockets.adapter.server_count()

    async def knows(self, count: int) -> None:
        """See `Side`."""
        await knows(self.io.sockets.adapter, count)

    async def rooms(self) -> set[str | int]:
        """See `Side`."""
        return set(self.io.sockets.sockets[str(self.client.socket.id)].rooms)

    async def set_data(self, data: dict[str, Any]) -> None:
        """See `Side`."""
        self.io.sockets.sockets[str(self.client.socket.id)].data = data

    async def on_remote(self, id: str, method: str, *args: Any) -> Any:
        """See `Side`."""
        (socket,) = await self.io.in_(id).fetch_sockets()
        if method == "emitWithAck":
            return await socket.timeout(30).emit_with_ack(*args)
        getattr(socket, method)(*args)
        return None


_OPERATOR = """
const [given, ...rest] = args;
let chain = io.of(given.nsp).compress(true);
for (const room of given.to) chain = chain.to(room);
for (const room of given.but) chain = chain.except(room);
for (const flag of given.flags) chain = chain[flag];
"""


class NodeSide:
    """A Node server."""

    def __init__(self, server: NodeServer, clients: Ours, client: Client) -> None:
        self.server = server
        self.clients = clients
        self.client = client

    async def begin(self) -> None:
        """Answer other servers, as `OurSide` does."""
        await self.server.run(
            'io.on("told", (...given) => report("told", ...given));'
            'io.on("load", (extra, answer) => answer({ extra }));'
        )

    async def _run(
        self,
        code: str,
        *args: Any,
        to: Rooms = (),
        but: Rooms = (),
        flags: Iterable[str] = (),
        nsp: str = "/",
    ) -> Any:
        given = {"to": list(to), "but": list(but), "flags": list(flags), "nsp": nsp}
        return await self.server.run(_OPERATOR + code, given, *args)

    async def emit(
        self,
        event: str,
        *args: Any,
        to: Rooms = (),
        but: Rooms = (),
        flags: Iterable[str] = (),
        nsp: str = "/",
    ) -> None:
        """See `Side`."""
        code = "chain.emit(...rest)"
        await self._run(code, event, *args, to=to, but=but, flags=flags, nsp=nsp)

    async def ask(self, event: str, *args: Any, to: Rooms = (), timeout: float = 30) -> list[Any]:
        """See `Side`."""
        found = await self._run(
            "return new Promise((done) => chain.timeout(rest[0]).emit(...rest.slice(1),"
            " (error, answers) => done(answers)))",
            *(timeout * 1000, event, *args),
            to=to,
        )
        return sorted(found, key=repr)

    async def fetch(self, to: Rooms = (), nsp: str = "/") -> list[dict[str, Any]]:
        """See `Side`."""
        found: list[dict[str, Any]] = await self._run(
            "return (await chain.fetchSockets()).map(({ id, rooms, data, handshake }) =>"
            " ({ id, rooms: [...rooms], data, handshake }))",
            to=to,
            nsp=nsp,
        )
        return found

    async def join(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """See `Side`."""
        await self._run("chain.socketsJoin(rest[0])", list(rooms), to=to, but=but)

    async def leave(self, rooms: Rooms, to: Rooms = (), but: Rooms = ()) -> None:
        """See `Side`."""
        await self._run("chain.socketsLeave(rest[0])", list(rooms), to=to, but=but)

    async def disconnect(self, to: Rooms = (), close: bool = False) -> None:
        """See `Side`."""
        await self._run("chain.disconnectSockets(rest[0])", close, to=to)

    async def tell_servers(self, event: str, *args: Any) -> None:
        """See `Side`."""
        await self._run("io.serverSideEmit(...rest)", event, *args)

    async def ask_servers(self, event: str, *args: Any) -> list[Any]:
        """See `Side`."""
        found: list[Any] = await self._run("return io.serverSideEmitWithAck(...rest)", event, *args)
        return found

    async def told(self) -> list[Any]:
        """See `Side`."""
        return await self.server.next("told")

    async def count(self) -> int:
        """See `Side`."""
        found: int = await self.server.value('io.of("/").adapter.serverCount()')
        return found

    async def knows(self, count: int) -> None:
        """See `Side`."""
        await until(self.count, count)

    async def rooms(self) -> set[str | int]:
        """See `Side`."""
        id = self.client.socket.id
        return set(await self.server.value('[...io.of("/").sockets.get(args[0]).rooms]', id))

    async def set_data(self, data: dict[str, Any]) -> None:
        """See `Side`."""
        id = self.client.socket.id
        await self.server.run('io.of("/").sockets.get(args[0]).data = args[1]', id, data)

    async def on_remote(self, id: str, method: str, *args: Any) -> Any:
        """See `Side`."""
        return await self._run(
            "const [socket] = await io.in(rest[0]).fetchSockets();"
            "const [method, ...more] = rest.slice(1);"
            "if (method === 'emitWithAck') return socket.timeout(30000).emitWithAck(...more);"
            "socket[method](...more)",
            *(id, method, *args),
        )


@dataclass(eq=False)
class Kind:
    """One adapter: a row of the matrix.

    Attributes:
        name: of the row.
        ours: from the bus's address to the option `adapter`.
        node: JavaScript that joins `io` to the cluster at the address `args[0]`, and may keep what
            is to be closed in `io.lines`; empty where there is no such adapter.
        node_options: the Node server's.
        options: our server's.
        room_channel: from a room to the name of the channel or subject that it has; None when it
            has none.
        bus: the name of the fixture that starts what carries it, a `Bus`.
        node_overtakes: whether with Node's servers what is small may overtake what is binary or
            long.
    """

    name: str
    ours: Callable[[str], Any]
    node: str = ""
    node_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    room_channel: Callable[[str | int], str] | None = None
    bus: str = "redis"
    node_overtakes: bool = False


LEAVE = """
for (const nsp of io._nsps.values()) await nsp.adapter.close();
for (const line of io.lines) await line.quit().catch(() => {});
"""

OURS, NODE = "ours", "node"
# Who does something, and who else is there.
PAIRS = ((OURS, OURS), (OURS, NODE), (NODE, OURS))


class Cluster:
    """Two servers that are joined, each with a client.

    Args:
        kind: by which adapter.
        url: the bus's address.
        program: where Node servers run.
    """

    def __init__(self, kind: Kind, url: str, program: NodeProgram) -> None:
        self._kind = kind
        self._url = url
        self._program = program
        self._endings: list[Callable[[], Any]] = []

    async def side(self, which: str) -> OurSide | NodeSide:
        """Start a server and connect its client."""
        return await (self.our_side() if which == OURS else self.node_side())

    async def our_side(self) -> OurSide:
        """Start one of ours."""
        io = Server(adapter=self._kind.ours(self._url), **self._kind.options)
        io.on("connection", lambda socket: socket.on("echo", lambda *args: args[0]))
        for nsp in ("/foo",):
            io.of(nsp)
        listening = await io.listen(0)
        self._endings += [io.close, listening.close]
        clients = Ours(f"http://127.0.0.1:{listening.port}", {})
        self._endings.append(clients.close)
        client = await clients.connect(auth={"name": "ours"})
        client.recovers = bool(self._kind.options.get("connection_state_recovery"))
        return OurSide(io, clients, client)

    async def node_side(self) -> NodeSide:
        """Start one of Node's."""
        server = NodeServer(self._program, **self._kind.node_options)
        await server.start()
        self._endings.append(server.stop)
        await server.run("io.lines = [];" + self._kind.node, self._url)
        self._endings.append(lambda: server.run(LEAVE))
        clients = Ours(server.url, {})
        self._endings.append(clients.close)
        side = NodeSide(server, clients, await clients.connect(auth={"name": "node"}))
        await side.begin()
        return side

    async def close(self) -> None:
        """End all, the clients first."""
        for end in reversed(self._endings):
            await end()
