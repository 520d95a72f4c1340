"""A cluster inside one process: several servers share rooms, with nothing to install.

For tests of what an application does in a cluster, and for several servers with different options
in one process. Messages are encoded and decoded as between processes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.envelope import encode_packed, opened
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Envelope

_decoder = msgspec.msgpack.Decoder(Envelope)


class LocalBus:
    """What the servers have in common: `bus = LocalBus()`, then `Server(adapter=bus)` for each."""

    def __init__(self) -> None:
        self._adapters: dict[str, list[LocalAdapter]] = {}

    def __call__(self, nsp: Any) -> LocalAdapter:
        """The adapter of one server's namespace."""
        return LocalAdapter(nsp, self)

    def adapters(self, nsp: str) -> list[LocalAdapter]:
        """The adapters of all servers for a namespace."""
        return self._adapters.get(nsp, [])

    def enter(self, adapter: LocalAdapter) -> None:
        """A server starts, or has a new namespace."""
        self._adapters.setdefault(adapter.nsp.name, []).append(adapter)

    def leave(self, adapter: LocalAdapter) -> None:
        """A server ends, or no longer has the namespace."""
        adapters = self._adapters.get(adapter.nsp.name, [])
        if adapter in adapters:
            adapters.remove(adapter)


class LocalAdapter(ClusterAdapter):
    """One server's part in a `LocalBus`.

    Args:
        nsp: see `Adapter`.
        bus: the bus.
    """

    def __init__(self, nsp: Any, bus: LocalBus) -> None:
        super().__init__(nsp)
        self._bus = bus

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        others = [one for one in self._bus.adapters(self.nsp.name) if one is not self]
        if others:
            _post(others, message)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`."""
        _post([one for one in self._bus.adapters(self.nsp.name) if one.uid == uid], message)

    def take(self, data: bytes) -> None:
        """A message, as bytes."""
        try:
            message = opened(_decoder.decode(data))
        except msgspec.DecodeError as error:
            self.drop(str(error))
            return
        self.received(message)

    async def server_count(self) -> int:
        """See `Adapter.server_count`."""
        return len(self._bus.adapters(self.nsp.name))

    async def init(self) -> None:
        """See `Adapter.init`."""
        self._bus.enter(self)

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._bus.leave(self)


def _post(adapters: list[LocalAdapter], message: ClusterMessage) -> None:
    data = encode_packed(message)
    loop = asyncio.get_running_loop()
    for adapter in adapters:
        loop.call_soon(adapter.take, data)
