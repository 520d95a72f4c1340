"""The Socket.IO client for code that blocks: scripts, notebooks, threads.

with nuncio.sync.connect("http://localhost:3000") as socket:
    socket.emit("hello", "world")
    event = socket.receive("news", timeout=10)

It is a front of the asyncio client, which runs in a thread that all blocking clients share.
"""

from nuncio.sync.connect import connect as connect
from nuncio.sync.emitter import Emitter as Emitter
from nuncio.sync.manager import Manager as Manager
from nuncio.sync.socket import ClientOperator as ClientOperator
from nuncio.sync.socket import ClientSocket as ClientSocket

__all__ = ["ClientOperator", "ClientSocket", "Emitter", "Manager", "connect"]
