"""Engine.IO: sessions that carry messages over long-polling and WebSocket.

It stands alone: `Engine` is an Engine.IO server of its own. Socket.IO's server is one user of it.
"""

from nuncio.engine.engine import Engine as Engine
from nuncio.engine.session import Session as Session

__all__ = ["Engine", "Session"]
