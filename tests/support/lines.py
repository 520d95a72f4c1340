"""A server in memory for clients: the client is real, its transport is a line to the test.

    world = World()
    manager = world.manager()
    line = await world.accept()      # the client has connected
    line.open()                      # the handshake
    assert await line.next() == "40" # what the client sends
    line.say('40{"sid":"a"}')        # what the server does

Nothing happens by itself: what the test does not say is not said.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from nuncio import Manager
from nuncio.client import ClientTransport, Dial, EngineClient
from nuncio.engine.transport import Transport
from nuncio.errors import TransportError
from nuncio.protocol.engineio import Message
from tests.support.aio import within


class Line(Transport):
    """The client's end of a connection; the other end is the test.

    Attributes:
        dial: with which it was opened.
        sent: what the client has sent and the test not taken yet: packets as text, binary as bytes.
        ending: how the client ended it: `close`, `abort`, in that order.
        reading: whether the client reads.
        polite: whether the client's goodbye is answered by itself.
        leaving: a future while the client waits to leave it for another one.
    """

    def __init__(self, name: str, dial: Dial) -> None:
        super().__init__(name)
        self.dial = dial
        self.sent: deque[str | bytes] = deque()
        self.compressed: list[bool] = []
        self.ending: list[str] = []
        self.reading = False
        self.polite = True
        self._arrived: deque[str | bytes] = deque()
        self._sending: asyncio.Future[None] | None = None

    # What the client does.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self.ending:
            return
        self.compressed.append(message.compress)
        if message.text is not None:
            self.sent.append(message.text.decode())
        self.sent.extend(message.attachments or ())
        self._wake()

    def flush(self) -> None:
        """See `Transport.flush`: nothing is kept back."""

    def close(self) -> None:
        """See `Transport.close`."""
        self.ending.append("close")
        self._wake()
        if self.polite:
            asyncio.get_running_loop().call_soon(self.lose)

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self.close()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self.ending.append("abort")
        self._wake()

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`."""
        self.reading = False

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`; what has arrived comes in the next turn."""
        if not self.reading:
            self.reading = True
            asyncio.get_running_loop().call_soon(self._deliver)

    # What the test does.

    def say(self, *packets: str | bytes) -> None:
        """Let Engine.IO packets arrive; text has its type digit."""
        self._arrived.extend(packets)
        self._deliver()

    def tell(self, *packets: str | bytes) -> None:
        """Let Socket.IO packets arrive, or attachments."""
        self.say(*(one if isinstance(one, bytes) else "4" + one for one in packets))

    def event(self, *payload: Any, id: int | None = None, nsp: str = "") -> None:
        """Let an event arrive: its name and arguments."""
        prefix = f"{nsp}," if nsp else ""
        self.tell(f"2{prefix}{'' if id is None else id}{json.dumps(list(payload))}")

    def open(
        self,
        sid: str = "session",
        upgrades: tuple[str, ...] = (),
        interval: float = 25.0,
        timeout: float = 20.0,
        payload: int = 1_000_000,
    ) -> None:
        """Answer with the handshake; times in seconds."""
        handshake = {
            "sid": sid,
            "upgrades": list(upgrades),
            "pingInterval": interval * 1000,
            "pingTimeout": timeout * 1000,
            "maxPayload": payload,
        }
        self.say("0" + json.dumps(handshake))

    def _deliver(self) -> None:
        while self._arrived and self.reading and self.sink is not None:
            packet = self._arrived.popleft()
            if isinstance(packet, str):
                self.sink.text(self, packet.encode())
            else:
                self.sink.binary(self, packet)

    def stall(self) -> None:
        """The server reads no more: the client is to wait."""
        self.writable = False

    def drain(self) -> None:
        """It has read everything."""
        self.writable = True
        if self.sink is not None:
            self.sink.drained(self)

    def lose(self, reason: str = "transport close", description: str = "") -> None:
        """The connection is gone."""
        self.writable = False
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.ended(self, reason, description)

    async def next(self) -> str | bytes:
        """The next packet that the client sends."""
        while not self.sent:
            assert not self.ending, f"the client has ended it: {self.ending}"
            self._sending = asyncio.get_running_loop().create_future()
            await within(self._sending)
        return self.sent.popleft()

    def take(self) -> list[str | bytes]:
        """What the client has sent since the last time."""
        taken = list(self.sent)
        self.sent.clear()
        return taken

    def _wake(self) -> None:
        if self._sending is not None and not self._sending.done():
            self._sending.set_result(None)

    async def join(self, sid: str = "sid", nsp: str = "", pid: str | None = None) -> str:
        """Expect a CONNECT packet, let it in, and return what it said behind its type."""
        packet = await self.next()
        prefix = f"{nsp}," if nsp else ""
        assert isinstance(packet, str)
        assert packet.startswith("40" + prefix), packet
        self.admit(sid, nsp, pid)
        return packet[2 + len(prefix) :]

    def admit(self, sid: str = "sid", nsp: str = "", pid: str | None = None) -> None:
        """Let a namespace in."""
        answer = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
        self.tell(f"0{nsp + ',' if nsp else ''}{json.dumps(answer)}")


class LeavableLine(Line):
    """One that can be left for another, as long-polling can.

    Attributes:
        left: set when the client begins to leave.
        may_leave: the client goes on when the test sets it; at once by default.
        unsent: what the client then finds unsent.
    """

    def __init__(self, name: str, dial: Dial) -> None:
        super().__init__(name, dial)
        self.left = False
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.unsent: list[Message] = []
        self.back: list[list[Message]] = []

    async def leave(self) -> list[Message]:
        """See `ClientPolling.leave`."""
        self.left = True
        await self.may_leave.wait()
        unsent, self.unsent = self.unsent, []
        return unsent

    def come_back(self, unsent: list[Message]) -> None:
        """See `ClientPolling.come_back`."""
        self.back.append(unsent)
        for message in unsent:
            self.send(message)


class World:
    """Where clients connect to.

    Attributes:
        dials: every attempt, with the transport's name.
        refusing: the error with which attempts fail, or None.
        waiting: whether attempts wait until the test lets them go on, with `go_on`.
    """

    def __init__(self) -> None:
        self.dials: list[tuple[str, Dial]] = []
        self.lines: list[Line] = []
        self.refusing: Exception | None = None
        self._accepted: asyncio.Queue[Line] = asyncio.Queue()
        self._gate = asyncio.Event()
        self._gate.set()

    def transport(self, name: str = "websocket", *, leavable: bool = False) -> Way:
        """A transport to connect with."""
        return Way(self, name, LeavableLine if leavable else Line)

    def manager(self, url: str = "http://localhost", **options: Any) -> Manager:
        """A Manager that connects here; what is not said is quick and does not vary."""
        return Manager(url, **self.options(**options))

    def engine(self, url: str = "http://localhost", **options: Any) -> EngineClient:
        """An Engine.IO client that connects here."""
        return EngineClient(url, **self.options(**options))

    def options(self, **options: Any) -> dict[str, Any]:
        """Options that make a client connect here."""
        usual = {
            "transports": [self.transport()],
            "reconnection_delay": 0.01,
            "reconnection_delay_max": 0.02,
            "randomization_factor": 0.0,
        }
        return {**usual, **options}

    def hold(self) -> None:
        """Let attempts to connect wait."""
        self._gate.clear()

    def go_on(self) -> None:
        """Let them go on."""
        self._gate.set()

    async def connect(self, way: Way, dial: Dial) -> Line:
        """A client opens a transport."""
        self.dials.append((way.name, dial))
        await self._gate.wait()
        if self.refusing is not None:
            raise self.refusing
        line = way.kind(way.name, dial)
        self.lines.append(line)
        self._accepted.put_nowait(line)
        return line

    async def accept(self) -> Line:
        """The next connection of a client."""
        return await within(self._accepted.get())

    async def opened(self, **handshake: Any) -> Line:
        """The next connection of a client, its handshake answered."""
        line = await self.accept()
        line.open(**handshake)
        return line

    async def joined(self, sid: str = "sid", nsp: str = "", pid: str | None = None) -> Line:
        """The next connection of a client whose one namespace is let in."""
        line = await self.opened()
        await line.join(sid, nsp, pid)
        return line

    def refuse(self, message: str = "nobody is there") -> None:
        """Refuse whoever connects from now on."""
        self.refusing = TransportError(message, "websocket")

    def admit(self) -> None:
        """Let them connect again."""
        self.refusing = None


class Way(ClientTransport):
    """A transport of that world."""

    def __init__(self, world: World, name: str, kind: type[Line]) -> None:
        self._world = world
        self.name = name  # type: ignore[misc]  # each has its own
        self.kind = kind

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`."""
        return await self._world.connect(self, dial)


async def turns(count: int = 5) -> None:
    """Let a few turns of the loop pass, in which all that happens at once has happened."""
    for _ in range(count):
        await asyncio.sleep(0)
