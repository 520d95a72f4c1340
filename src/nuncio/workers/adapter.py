"""The workers of one machine as a cluster: rooms, broadcasts and requests across them."""

from __future__ import annotations

from typing import Any

import msgspec

from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.messages import ClusterMessage, encode
from nuncio.workers import messages
from nuncio.workers.mesh import Mesh
from nuncio.workers.rendezvous import TAG_LENGTH

_decoder = msgspec.msgpack.Decoder(ClusterMessage)


class WorkersAdapter(ClusterAdapter):
    """One worker's part in them, for one namespace.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp)
        self._mesh = mesh

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        links = self._mesh.with_namespace(self.nsp.name)
        if links:
            data = messages.encode(messages.Bus(self.nsp.name, encode(message)))
            for link in links:
                link.write(data)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`: a worker's uid begins with its tag."""
        link = self._mesh.find(uid[:TAG_LENGTH])
        if link is not None:
            link.send(messages.Bus(self.nsp.name, encode(message)))

    def take(self, data: bytes) -> None:
        """A message of another worker."""
        try:
            message = _decoder.decode(data)
        except msgspec.DecodeError as error:
            self.drop(str(error))
            return
        self.received(message)

    async def server_count(self) -> int:
        """See `Adapter.server_count`."""
        return 1 + len(self._mesh.with_namespace(self.nsp.name))

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`; numbers of links are those of all namespaces."""
        return {**super().stats(), **self._mesh.stats()}

    async def init(self) -> None:
        """See `Adapter.init`."""
        await self._mesh.start()
        self.uid = self._mesh.tag + self.uid[TAG_LENGTH:]
        self._mesh.enter(self.nsp.name, self)

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._mesh.leave(self.nsp.name)
