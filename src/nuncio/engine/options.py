"""The engine's options: the official names in snake_case, durations in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nuncio.errors import OptionError
from nuncio.limits import Limits
from nuncio.options import HOUR, named_options, seconds, whole
from nuncio.webrtc.options import WebRTCOptions

TRANSPORTS = ("polling", "websocket")

# All there are; `nuncio.engine.ways` knows the class of each.
KNOWN_TRANSPORTS = (*TRANSPORTS, "webtransport", "stream", "sse", "forever", "webrtc")

# What a frame's header can announce; the memory of a machine ends long before.
MOST_BYTES = 2**60


@named_options
@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of an Engine.IO server.

    Attributes:
        path: where requests are taken; `/socket.io` for Socket.IO.
        add_trailing_slash: whether the path ends in a slash, as official clients ask.
        ping_interval: seconds between heartbeats.
        ping_timeout: seconds a peer has to answer one.
        upgrade_timeout: seconds an upgrade may take.
        max_http_buffer_size: bytes of one message or one long-polling body.
        transports: which are served: `polling` and `websocket`, and, if named, `webtransport`,
            `stream`, `sse`, `forever` and `webrtc`; see the guide.
        allow_upgrades: whether clients are told that they may upgrade.
        http_compression: long-polling compression: True, False or `{"threshold": 1024}`.
        per_message_deflate: WebSocket compression: False, True or a `DeflateConfig` mapping.
        cors: who besides the same origin may connect; see the guide.
        cookie: the session cookie: False, True, a name or a mapping.
        allow_eio3: whether clients of Socket.IO 2.x (Engine.IO revision 3) may connect, too.
        allow_request: `(request) -> bool | str`, may be async; a string is the refusal's message.
        initial_packet: a message that goes out with the open packet.
        generate_id: `(request) -> str`, may be async; must be unguessable and unique.
        webrtc: how the transport of this name is served: a `WebRTCOptions` or a mapping.
        limits: see `nuncio.Limits`.
    """

    path: str = "/engine.io"
    add_trailing_slash: bool = True
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    max_http_buffer_size: int = 1_000_000
    transports: Sequence[str] = TRANSPORTS
    allow_upgrades: bool = True
    http_compression: Any = True
    per_message_deflate: Any = False
    cors: Any = None
    cookie: Any = False
    allow_eio3: bool = False
    allow_request: Callable[..., Any] | None = None
    initial_packet: str | bytes | None = None
    generate_id: Callable[..., Any] | None = None
    webrtc: Any = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout"):
            seconds(name, getattr(self, name), most=HOUR)
        if whole("max_http_buffer_size", self.max_http_buffer_size) > MOST_BYTES:
            raise OptionError(f"max_http_buffer_size must be at most {MOST_BYTES}")
        if not isinstance(self.path, str) or not self.path.startswith("/"):
            raise OptionError(f"path must begin with '/', not {self.path!r}")
        for name in ("add_trailing_slash", "allow_upgrades", "allow_eio3"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if not isinstance(self.transports, (list, tuple)) or not self.transports:
            raise OptionError(f"transports must be a list of names, not {self.transports!r}")
        for transport in self.transports:
            if transport not in KNOWN_TRANSPORTS:
                raise OptionError(
                    f"transports: {transport!r} is unknown; there are {', '.join(KNOWN_TRANSPORTS)}"
                )
        for name in ("allow_request", "generate_id"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise OptionError(f"{name} must be callable, not {value!r}")
        initial = self.initial_packet
        if initial is not None and not isinstance(initial, (str, bytes)):
            raise OptionError(f"initial_packet must be str or bytes, not {initial!r}")
        if isinstance(initial, str) and "\x1e" in initial:
            raise OptionError("initial_packet: text cannot hold U+001E, which separates packets")
        WebRTCOptions.of(self.webrtc)
        if not isinstance(self.limits, Limits):
            raise OptionError(f"limits must be a nuncio.Limits, not {self.limits!r}")
