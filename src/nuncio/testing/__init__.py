"""Tests of applications: real clients and servers in one process, without a network between.

    async with nuncio.testing.connect(io, auth={"user": "ada"}) as ada:
        await ada.emit_with_ack("join", "lobby")
        io.to("lobby").emit("message", "hello")
        await ada.expect("message", "hello")
        await ada.expect_nothing()

pytest's fixtures are in `pytest_nuncio`, which nothing here needs.
"""

from nuncio.testing.client import Client as Client
from nuncio.testing.clock import Clock as Clock
from nuncio.testing.connecting import Connecting as Connecting
from nuncio.testing.connecting import connect as connect
from nuncio.testing.memory import Memory as Memory
from nuncio.testing.network import Network as Network
from nuncio.testing.running import run as run
from nuncio.testing.serving import serve as serve
from nuncio.testing.settling import settle as settle
from nuncio.testing.stage import Stage as Stage

__all__ = [
    "Client",
    "Clock",
    "Connecting",
    "Memory",
    "Network",
    "Stage",
    "connect",
    "run",
    "serve",
    "settle",
]
