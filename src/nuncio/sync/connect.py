"""`nuncio.sync.connect`: a connected socket in one line, for code that blocks."""

from __future__ import annotations

from typing import Any

from nuncio.sync.call import Call
from nuncio.sync.home import Lease
from nuncio.sync.inner import LoopConnecting
from nuncio.sync.manager import prepared
from nuncio.sync.places import check_place
from nuncio.sync.socket import ClientSocket


def connect(url: str, **options: Any) -> ClientSocket:
    """Connect to a server, and wait until it is done.

        with nuncio.sync.connect("http://localhost:3000/chat") as socket:
            answer = socket.emit_with_ack("message", "hello", timeout=5)

    The URL's path is the namespace. Sockets of one server share a connection, unless they have the
    same namespace or `force_new` is set.

    Args:
        url: as `http://localhost:3000/chat`; https, ws and wss, too.
        options: those of `nuncio.connect`. `concurrency`, how many handlers of the socket may run
            at once, is 1 unless given. The functions `auth` and `extra_headers` may block.

    Returns:
        the socket. It is a context manager; close it, or leave its block, to let it go.

    Raises:
        OptionError: for a wrong URL or option, with the fix.
        ConnectError: when the server cannot be reached or refuses.
        RuntimeError: in the thread of an event loop, which would stand still.
    """
    check_place()
    connecting = LoopConnecting(url, prepared(options))
    lease = Lease()
    home = lease.home
    call = Call(home.loop, connecting.at, (home,), lambda socket: socket.disconnect())
    try:
        inner = home.make(call)
        return ClientSocket(home, inner.io, inner, lease)
    except BaseException:
        call.leave()
        lease.release()
        raise
