"""A client that loses its connection and comes back to any server, as the official one does."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tests.support.aio import within
from tests.support.rawclient import WebSocket, websocket_target

# The form of offsets, as most engines have them.
OFFSET: Final = r"[0-9]+-[0-9]+(\+[0-9a-f]+\.[0-9]+)?"


class Wanderer:
    """One client in one namespace.

    Args:
        form: of the offsets that it is given.
        nsp: the namespace.

    Attributes:
        sid: its public id.
        pid: its secret.
        offset: the last it was given.
    """

    def __init__(self, form: str = OFFSET, nsp: str = "/") -> None:
        self._prefix = "" if nsp == "/" else f"{nsp},"
        self._form = re.compile(form)
        self.sid = self.pid = self.offset = ""
        self._socket: WebSocket | None = None
        self._before: list[WebSocket] = []

    @property
    def connected(self) -> bool:
        """Whether it has a connection, as far as it knows."""
        return self._socket is not None

    async def connect(self, port: int, **auth: Any) -> list[Any]:
        """Connect.

        Returns:
            The events that came before the answer.
        """
        await self.begin(port, **auth)
        early: list[Any] = []
        while not (packet := await self._packet()).startswith("40"):
            early.append(await self._event(packet))
        told = json.loads(packet[2 + len(self._prefix) :])
        self.sid, self.pid = told["sid"], told.get("pid", "")
        return early

    async def begin(self, port: int, **auth: Any) -> None:
        """Ask to be let in, and do not wait for the answer."""
        await self._open(port)
        assert self._socket is not None
        assert str(await self._socket.receive()).startswith("0{")
        await self._socket.send(f"40{self._prefix}" + json.dumps(auth))

    async def come_back(self, port: int) -> list[Any]:
        """Come back with what it was given."""
        auth = {"pid": self.pid}
        if self.offset:
            auth["offset"] = self.offset
        return await self.connect(port, **auth)

    async def come_back_briefly(self, port: int, count: int) -> list[Any]:
        """Come back, and lose the connection again after so many events of what was missed.

        Returns:
            The events, fewer if there are not so many.
        """
        auth = {"pid": self.pid, **({"offset": self.offset} if self.offset else {})}
        await self.begin(port, **auth)
        found: list[Any] = []
        while len(found) < count and not (packet := await self._packet()).startswith("40"):
            found.append(await self._event(packet))
        self.lose()
        return found

    async def _open(self, port: int) -> None:
        """Open a connection; the one before stays as it is, and may be dead."""
        if self._socket is not None:
            self._before.append(self._socket)
            self._socket = None
        self._socket = await WebSocket.open(port, websocket_target())

    async def _packet(self) -> str:
        assert self._socket is not None
        while True:
            packet = await within(self._socket.receive())
            if packet == "2":
                await self._socket.send("3")
                continue
            assert isinstance(packet, str), packet
            return packet

    async def _event(self, packet: str) -> list[Any]:
        assert packet.startswith("4"), packet
        body = packet[packet.index("[") :]
        event = json.loads(body)
        attachments = int(packet[2 : packet.index("-")]) if packet.startswith("45") else 0
        assert self._socket is not None
        parts = [await self._socket.receive() for _ in range(attachments)]
        if isinstance(event[-1], str) and self._form.fullmatch(event[-1]):
            self.offset = event.pop()
        return [parts[one["num"]] if _is_place(one) else one for one in event]

    async def next(self) -> list[Any]:
        """The next event: its name and arguments, the offset taken off and remembered."""
        return await self._event(await self._packet())

    async def acknowledge(self, id: int) -> None:
        """Acknowledge an event."""
        assert self._socket is not None
        await self._socket.send(f"43{id}[]")

    async def raw(self) -> str:
        """The next packet, as it came."""
        return await self._packet()

    def lose(self) -> None:
        """Lose the connection, if there is one."""
        if self._socket is not None:
            self._socket.connection.reset()
            self._socket = None

    async def leave(self) -> None:
        """Go away for good."""
        for one in self._before:
            one.connection.reset()
        if self._socket is not None:
            await self._socket.send(f"41{self._prefix}")
            await self._socket.connection.close()


async def arrival(port: int) -> Wanderer:
    """A client that has connected."""
    client = Wanderer()
    await client.connect(port)
    return client


def _is_place(value: Any) -> bool:
    return isinstance(value, dict) and "_placeholder" in value
