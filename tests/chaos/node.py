"""One server of the cluster, in a process of its own: `python -m tests.chaos.node '{…}'`.

It is told what to do, and tells what happens, in lines of JSON:

    -> {"id": 1, "do": "emit", "with": {…}}    <- {"id": 1, "ok": value} or {"id": 1, "error": text}
                                               <- {"told": "number", "args": […]}

What a client sends is told before it is acknowledged, and nothing that was told is lost when the
process is killed: whoever reads it is the application's database, so to speak. SIGTERM drains it,
or closes it without more ado.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from typing import Any

import nuncio
from nuncio import AckTimeout, ClusterTimeout, Server
from tests.chaos.kinds import KINDS

LOBBY = "lobby"

# The state of a socket that listens, in /proc.
_LISTEN = "0A"


def tell(told: str, *args: Any) -> None:
    """Tell something that happened."""
    say({"told": told, "args": args})


def say(line: dict[str, Any]) -> None:
    """Write one line, all of it or, when killed, nothing."""
    os.write(1, json.dumps(line).encode() + b"\n")


def make_server(name: str, kind: str, url: str) -> Server:
    """The application."""
    chosen = KINDS[kind]
    io = Server(
        **chosen.join(url),
        ping_interval=5.0,
        ping_timeout=chosen.ping_timeout,
        presence={"beat": 0.5, "lost_after": 2.0, "leave_grace": 1.0},
        **chosen.options,
    )

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        who = socket.handshake.auth["name"]
        if not socket.recovered:
            socket.join(socket.handshake.auth["rooms"])
        io.presence.track(socket, LOBBY, key=who)

    @io.on("number")
    def number(socket: nuncio.Socket, client: str, value: int) -> str:
        tell("number", client, value)
        return name

    @io.on("echo")
    def echo(socket: nuncio.Socket, value: int) -> int:
        return value

    @io.on("undelivered")
    def undelivered(report: nuncio.Undelivered) -> None:
        tell(
            "undelivered", report.socket_id, report.reason, [event.args for event in report.events]
        )

    @io.presence.on("leave")
    def left(room: str, key: str) -> None:
        tell("left", key)

    io.on_server("who", lambda: name)
    # Nobody waits so long: it is for servers that die while they are asked. Those that live have
    # done with it before they are told to end, and wait for it.
    io.on_server("hang", lambda: asyncio.sleep(2, name))
    adapter = io.of("/").adapter
    adapter.on("unhealthy", lambda error: tell("unhealthy", str(error)))
    adapter.on("healthy", lambda: tell("healthy"))
    return io


def connections_at(port: int) -> int:
    """How many connections to a port this process has."""
    with open("/proc/self/net/tcp") as file:
        sockets = [line.split() for line in list(file)[1:]]
    # A socket that nobody has any longer has no inode.
    mine = [one for one in sockets if int(one[1].split(":")[1], 16) == port and one[9] != "0"]
    return sum(one[3] != _LISTEN for one in mine)


class Commands:
    """What it can be told to do.

    Args:
        io: the server.
        port: where it listens.
        seconds: over which it drains.
    """

    def __init__(self, io: Server, port: int, seconds: float) -> None:
        self.io = io
        self._port = port
        self._window = seconds
        self._ending: asyncio.Task[None] | None = None

    @property
    def adapter(self) -> Any:
        """That of the default namespace."""
        return self.io.of("/").adapter

    async def emit(self, number: int, rooms: list[str]) -> str:
        """Emit a number to rooms or to all; answered once it has been handed on."""
        if not self.io.of("/").takes_part:
            # It has left the cluster, and is about to end.
            return "refused"
        await (self.io.to(rooms) if rooms else self.io).emit("news", number)
        return "sent"

    async def fetch(self, timeout: float) -> tuple[str, list[Any]]:
        """The names of all clients, and how the question ended."""
        how = "complete"
        try:
            found = await self.io.timeout(timeout).fetch_sockets()
        except ClusterTimeout as error:
            how, found = type(error).__name__, error.responses
        return how, sorted(one.handshake.auth["name"] for one in found)

    async def ask(self, event: str, timeout: float) -> tuple[str, list[Any]]:
        """What the other servers answer, and how the question ended."""
        try:
            return "complete", await self.io.server_side_emit_with_ack(event, timeout=timeout)
        except AckTimeout as error:
            return "AckTimeout", error.responses

    async def count(self) -> int:
        """How many servers there are; 0 when nobody knows."""
        try:
            return int(await self.adapter.server_count())
        except ConnectionError:
            return 0

    async def healthy(self) -> bool:
        """Whether the others can be reached."""
        return bool(self.adapter.healthy)

    async def clients(self) -> list[str]:
        """The names of its own clients."""
        return sorted(one.handshake.auth["name"] for one in self.io.of("/").sockets.values())

    async def present(self) -> list[Any]:
        """Who is in the lobby, as it knows; who is away is left out."""
        return sorted(str(one.key) for one in self.io.presence.members(LOBBY) if not one.away)

    async def inspect(self) -> dict[str, int]:
        """How much there is of what could leak."""
        gc.collect()
        io, adapter = self.io, self.adapter
        sockets: Any = list(io.of("/").sockets.values())
        pages = int(open("/proc/self/statm").read().split()[1])  # noqa: ASYNC230, SIM115
        return {
            "sessions": len(io.engine.sessions),
            "sockets": len(sockets),
            "handshakes": io.stats()["handshakes"],
            # Those of connections do not count.
            "descriptors": len(os.listdir("/proc/self/fd")) - connections_at(self._port),
            "tasks": len(asyncio.all_tasks()),
            "running": io.stats()["tasks"],
            "requests": adapter.stats()["requests"],
            "promised": sum(len(one._outbox or ()) for one in sockets),
            "pending": len(getattr(adapter, "_pending", ())),
            "looking": len(getattr(adapter, "_looking", ())),
            "moving": len(getattr(adapter, "_moving", ())) + len(getattr(adapter, "_giving", ())),
            "away": len(getattr(adapter, "_away", ())),
            "kilobytes": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        }

    async def stats(self) -> dict[str, int]:
        """The adapter's numbers."""
        return dict(self.adapter.stats())

    def drain(self) -> None:
        """End in order, and the process with it."""
        if self._ending is None:
            ending = self.io.drain(self._window) if self._window else self.io.close()
            self._ending = asyncio.ensure_future(ending)

    async def run(self, line: bytes) -> None:
        """Carry out one command."""
        given = json.loads(line)
        try:
            done = await getattr(self, given["do"])(**given["with"])
        except Exception as error:
            say({"id": given["id"], "error": repr(error)})
        else:
            say({"id": given["id"], "ok": done})


async def main(name: str, kind: str, url: str, port: int, drain: float) -> None:
    """Serve until told to end."""
    loop = asyncio.get_running_loop()
    io = make_server(name, kind, url)
    commands = Commands(io, port, drain)
    loop.add_signal_handler(signal.SIGTERM, commands.drain)
    try:
        listening = await io.listen(port)
    except ConnectionError as error:
        sys.exit(f"the bus is not there: {error}")
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tell("ready")
    ended = asyncio.ensure_future(listening.wait())
    running: set[asyncio.Task[None]] = set()

    async def obey() -> None:
        while line := await reader.readline():
            task = asyncio.ensure_future(commands.run(line))
            running.add(task)
            task.add_done_callback(running.discard)

    obeying = asyncio.ensure_future(obey())
    # Without its parent it has nothing to live for.
    await asyncio.wait((ended, obeying), return_when=asyncio.FIRST_COMPLETED)
    if commands._ending is not None:
        await commands._ending
    obeying.cancel()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
