"""The Socket.IO client: `nuncio.connect`, `nuncio.Manager`, and what they are made of."""

from nuncio.client.connect import Connecting as Connecting
from nuncio.client.connect import connect as connect
from nuncio.client.dial import Dial as Dial
from nuncio.client.engine import EngineClient as EngineClient
from nuncio.client.engine import Handshake as Handshake
from nuncio.client.inbox import Event as Event
from nuncio.client.inbox import EventStream as EventStream
from nuncio.client.limits import ClientLimits as ClientLimits
from nuncio.client.manager import Manager as Manager
from nuncio.client.operator import ClientOperator as ClientOperator
from nuncio.client.options import ManagerOptions as ManagerOptions
from nuncio.client.options import SocketOptions as SocketOptions
from nuncio.client.socket import ClientSocket as ClientSocket
from nuncio.client.transports import SSE as SSE
from nuncio.client.transports import ClientTransport as ClientTransport
from nuncio.client.transports import Forever as Forever
from nuncio.client.transports import Polling as Polling
from nuncio.client.transports import Stream as Stream
from nuncio.client.transports import WebSocket as WebSocket

__all__ = [
    "SSE",
    "ClientLimits",
    "ClientOperator",
    "ClientSocket",
    "ClientTransport",
    "Connecting",
    "Dial",
    "EngineClient",
    "Event",
    "EventStream",
    "Forever",
    "Handshake",
    "Manager",
    "ManagerOptions",
    "Polling",
    "SocketOptions",
    "Stream",
    "WebSocket",
    "connect",
]
