"""Ports for servers that are told where to listen, in processes of their own or more than once."""

from __future__ import annotations

import os
import random
import socket

# Below what systems give to outgoing connections and to servers that ask for any port. Otherwise
# somebody might be given the port between the look here and the start of the server.
# Several runs go on at once: each has its share.
_SHARE = 2800
_FIRST = 13_000 + _SHARE * int(os.environ.get("NUNCIO_PORTS", "0"))
_RANGE = range(_FIRST, _FIRST + _SHARE)
_untried = iter(random.sample(_RANGE, len(_RANGE)))


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given by chance; another one each time."""
    for port in _untried:
        try:
            # Without SO_REUSEADDR, so that what lingers there counts, too.
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")
