"""The official admin page: `nuncio.instrument(io, …)` lets it see and act on a server.

The page, `@socket.io/admin-ui`, is somebody else's: it is at https://admin.socket.io, or served by
oneself. It is a client of a namespace, which is here. It says who is connected, in which rooms,
what comes and goes, and can emit, move sockets between rooms and disconnect them. Servers of one
cluster, be they Nuncio's or Node's, are shown together.
"""

from nuncio.admin.instrumenting import instrument as instrument
from nuncio.admin.stores import MemoryStore as MemoryStore
from nuncio.admin.stores import RedisStore as RedisStore
from nuncio.admin.stores import Store as Store

__all__ = ["MemoryStore", "RedisStore", "Store", "instrument"]
