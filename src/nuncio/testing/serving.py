"""A server in place of a network's: for code that connects by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nuncio.client.tools import tools
from nuncio.client.url import parse
from nuncio.testing.connecting import engine_of
from nuncio.testing.here import here
from nuncio.testing.memory import Memory
from nuncio.testing.network import Network


@contextmanager
def serve(target: Any, url: str, network: Network | None = None) -> Iterator[Network]:
    """Serve a URL in memory: whoever connects to it in this event loop reaches this server.

        with nuncio.testing.serve(fake, "https://prices.example"):
            await application.follow_prices("https://prices.example")

    Args:
        target: see `connect`, but for clients.
        url: the server's, as `https://prices.example`; its path has no meaning.
        network: what all connections run through; None for a new one.

    Yields:
        the network.

    Raises:
        OptionError: for a wrong URL.
        TypeError: for a target that is none.
        RuntimeError: without a running event loop.
    """
    origin = parse(url).origin
    memory = Memory(engine_of(target, None), network)
    stage = here().stage
    if stage is not None:
        stage.hears(engine_of(target, None))
    stand_ins = tools().stand_ins
    before = stand_ins.get(origin)
    stand_ins[origin] = memory
    try:
        yield memory.network
    finally:
        if before is None:
            del stand_ins[origin]
        else:
            stand_ins[origin] = before
