"""Nuncio: Socket.IO for Python."""

from typing import TYPE_CHECKING as _CHECKS_TYPES
from typing import Any as _Any

from nuncio import admin as admin
from nuncio import auth as auth
from nuncio import peers as peers
from nuncio._build import BuildInfo as BuildInfo
from nuncio._build import __version__ as __version__
from nuncio._build import build_info as build_info
from nuncio.admin.instrumenting import instrument as instrument
from nuncio.client.connect import connect as connect
from nuncio.client.inbox import Event as Event
from nuncio.client.limits import ClientLimits as ClientLimits
from nuncio.client.manager import Manager as Manager
from nuncio.client.socket import ClientSocket as ClientSocket
from nuncio.cluster.emitter import Emitter as Emitter
from nuncio.cluster.recovery_options import RecoveryOptions as RecoveryOptions
from nuncio.cluster.remote import RemoteSocket as RemoteSocket
from nuncio.engine.counters import Counters as Counters
from nuncio.engine.request import Exchange as Exchange
from nuncio.engine.request import Request as Request
from nuncio.engine.sent import Sent as Sent
from nuncio.engine.session import Session as Session
from nuncio.errors import AckError as AckError
from nuncio.errors import AckTimeout as AckTimeout
from nuncio.errors import ArgumentError as ArgumentError
from nuncio.errors import ClusterTimeout as ClusterTimeout
from nuncio.errors import ClusterUnavailable as ClusterUnavailable
from nuncio.errors import ConnectError as ConnectError
from nuncio.errors import ConnectTimeout as ConnectTimeout
from nuncio.errors import Disconnected as Disconnected
from nuncio.errors import DisconnectReason as DisconnectReason
from nuncio.errors import Dropped as Dropped
from nuncio.errors import EventError as EventError
from nuncio.errors import LimitExceeded as LimitExceeded
from nuncio.errors import NuncioError as NuncioError
from nuncio.errors import OptionError as OptionError
from nuncio.errors import PacketError as PacketError
from nuncio.errors import RateLimited as RateLimited
from nuncio.errors import ReceiveTimeout as ReceiveTimeout
from nuncio.errors import TransportError as TransportError
from nuncio.handlers.binding import AckCallback as AckCallback
from nuncio.handlers.dependencies import Depends as Depends
from nuncio.handlers.handler import Ack as Ack
from nuncio.limits import Limits as Limits
from nuncio.presence import Presence as Presence
from nuncio.presence import PresenceOptions as PresenceOptions
from nuncio.presence import Present as Present
from nuncio.protocol.msgpack import MsgPackParser as MsgPackParser
from nuncio.protocol.parser import JSONParser as JSONParser
from nuncio.protocol.parser import Parser as Parser
from nuncio.protocol.socketio import Packet as Packet
from nuncio.rate import Rate as Rate
from nuncio.server.classes import event as event
from nuncio.server.classes import middleware as middleware
from nuncio.server.console_access import Console as Console
from nuncio.server.delivery import Undelivered as Undelivered
from nuncio.server.delivery import UndeliveredEvent as UndeliveredEvent
from nuncio.server.handshake import Handshake as Handshake
from nuncio.server.namespace import Namespace as Namespace
from nuncio.server.operator import BroadcastOperator as BroadcastOperator
from nuncio.server.parent import ParentNamespace as ParentNamespace
from nuncio.server.server import Server as Server
from nuncio.server.socket import Socket as Socket
from nuncio.slow import SlowConsumer as SlowConsumer
from nuncio.slow import conflate as conflate
from nuncio.webrtc.options import WebRTCOptions as WebRTCOptions

__all__ = [
    "Ack",
    "AckCallback",
    "AckError",
    "AckTimeout",
    "ArgumentError",
    "BroadcastOperator",
    "BuildInfo",
    "ClientLimits",
    "ClientSocket",
    "ClusterTimeout",
    "ClusterUnavailable",
    "ConnectError",
    "ConnectTimeout",
    "Console",
    "Counters",
    "Depends",
    "DisconnectReason",
    "Disconnected",
    "Dropped",
    "Emitter",
    "Event",
    "EventError",
    "Exchange",
    "Handshake",
    "JSONParser",
    "LimitExceeded",
    "Limits",
    "Manager",
    "MsgPackParser",
    "Namespace",
    "NuncioError",
    "OptionError",
    "Packet",
    "PacketError",
    "ParentNamespace",
    "Parser",
    "Presence",
    "PresenceOptions",
    "Present",
    "Rate",
    "RateLimited",
    "ReceiveTimeout",
    "RecoveryOptions",
    "RemoteSocket",
    "Request",
    "Sent",
    "Server",
    "Session",
    "SlowConsumer",
    "Socket",
    "TransportError",
    "Undelivered",
    "UndeliveredEvent",
    "WebRTCOptions",
    "__version__",
    "admin",
    "auth",
    "build_info",
    "conflate",
    "connect",
    "event",
    "instrument",
    "middleware",
    "peers",
    "sync",
]

if _CHECKS_TYPES:
    from nuncio import sync as sync


def __getattr__(name: str) -> _Any:
    # What a server has no use for is imported when somebody asks for it.
    if name == "sync":
        from importlib import import_module

        return import_module("nuncio.sync")
    raise AttributeError(f"module 'nuncio' has no attribute {name!r}")
