"""The options of a Manager and of a Socket, under their official names in snake_case."""

from __future__ import annotations

import dataclasses
import math
import ssl as tls
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from types import NoneType
from typing import Any, Final

from nuncio.client.checks import (
    OF_TRANSPORTS,
    check_auth,
    check_giver,
    check_hashes,
    check_list,
    check_protocols,
    check_proxy,
    check_transport_options,
    checked_cookies,
    checked_headers,
)
from nuncio.client.limits import ClientLimits
from nuncio.client.url import query_pairs
from nuncio.errors import OptionError
from nuncio.options import build, in_snake_case, named_options, seconds, unknown_option, whole
from nuncio.protocol.deflate import DeflateConfig
from nuncio.protocol.parser import JSONParser, Parser
from nuncio.slow import SlowConsumer, policy_of

Headers = Mapping[str, str]
File = str | PathLike[str]
Auth = Mapping[str, Any]


@named_options
@dataclass(frozen=True, slots=True)
class ManagerOptions:
    """How a Manager connects.

    Attributes:
        path: where Socket.IO is served, beside the URL, whose own path is a namespace.
        add_trailing_slash: whether the path ends in a slash.
        transports: names, or classes of transports, in the order of preference.
        upgrade: whether to move to a better transport that the server offers.
        remember_upgrade: whether to begin with WebSocket where it has worked before.
        try_all_transports: whether to try the next transport when one cannot connect.
        timestamp_param: the name of the parameter that keeps caches from answering.
        timestamp_requests: whether it is sent; None for long-polling alone.
        query: parameters of each request; a query of the URL's own wins.
        extra_headers: headers of each request: a mapping, or a function, which may be async, that
            gives one and is called for each attempt to connect.
        transport_options: further options of single transports, by name.
        force_base64: whether long-polling gets binary data as text; it does so anyhow.
        with_credentials: whether cookies that the server sets are sent back.
        cookies: cookies to begin with; they are sent whatever `with_credentials` says.
        request_timeout: seconds that one request of long-polling may take; None for any.
        reject_unauthorized: whether the server's certificate must be valid.
        ssl: an `ssl.SSLContext`, in place of the next four.
        ca: a file with certificates that are trusted.
        cert: a file with the client's own certificate.
        key: a file with its key.
        passphrase: of that key.
        server_hostname: whose certificate is expected; None for the URL's host.
        server_certificate_hashes: certificates that WebTransport trusts without any authority, by
            their SHA-256: 32 bytes, or text in base64 or hexadecimal.
        proxy: the URL of an HTTP proxy.
        proxy_headers: headers for the proxy alone.
        trust_env: whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY are heeded.
        protocols: WebSocket subprotocols to offer.
        per_message_deflate: whether to offer to compress WebSocket messages, or how.
        reconnection: whether to reconnect by itself.
        reconnection_attempts: how often before it is given up.
        reconnection_delay: seconds before the first attempt.
        reconnection_delay_max: no delay is longer.
        randomization_factor: how far delays are spread, from 0 to 1.
        timeout: seconds that one attempt to connect may take; None for any.
        auto_connect: whether to connect when a socket is made.
        parser: how packets are written; the server must use the same.
        limits: see `ClientLimits`.
        buffer: what becomes of events beyond what may wait while there is no connection: `block`
            (`emit` raises), `drop_oldest`, `drop_newest`, or `nuncio.conflate(key)`.
        concurrency: how many handlers of one socket may run at once.

    Raises:
        OptionError: for a value that cannot be, with the fix.
    """

    path: str = "/socket.io"
    add_trailing_slash: bool = True
    transports: Sequence[Any] = ("polling", "websocket")
    upgrade: bool = True
    remember_upgrade: bool = False
    try_all_transports: bool = False
    timestamp_param: str = "t"
    timestamp_requests: bool | None = None
    query: Mapping[str, Any] | str | None = None
    extra_headers: Headers | Callable[[], Any] | None = None
    transport_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    force_base64: bool = False
    with_credentials: bool = False
    cookies: Mapping[str, str] | None = None
    request_timeout: float | None = None
    reject_unauthorized: bool = True
    ssl: tls.SSLContext | None = None
    ca: File | None = None
    cert: File | None = None
    key: File | None = None
    passphrase: str | None = None
    server_hostname: str | None = None
    server_certificate_hashes: Sequence[str | bytes] = ()
    proxy: str | None = None
    proxy_headers: Headers | None = None
    trust_env: bool = False
    protocols: Sequence[str] = ()
    per_message_deflate: bool | DeflateConfig | Mapping[str, Any] = True
    reconnection: bool = True
    reconnection_attempts: float = math.inf
    reconnection_delay: float = 1.0
    reconnection_delay_max: float = 5.0
    randomization_factor: float = 0.5
    timeout: float | None = 20.0
    auto_connect: bool = True
    parser: Parser | None = None
    limits: ClientLimits = field(default_factory=ClientLimits)
    buffer: str | SlowConsumer = "block"
    concurrency: int = 100

    def __post_init__(self) -> None:
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for name in ("reconnection_delay", "reconnection_delay_max"):
            seconds(name, getattr(self, name), zero=True)
        if self.timeout is not None:
            seconds("timeout", self.timeout)
        if self.request_timeout is not None:
            seconds("request_timeout", self.request_timeout)
        check_attempts(self.reconnection_attempts)
        check_factor(self.randomization_factor)
        whole("concurrency", self.concurrency)
        if not isinstance(self.path, str) or not self.path.startswith("/"):
            raise OptionError(f"path must be a str that begins with a slash, not {self.path!r}")
        query_pairs(self.query)
        self._check_headers()
        self._check_files()
        if self.parser is not None and not isinstance(self.parser, Parser):
            raise OptionError(f"parser must be a nuncio.Parser, not {self.parser!r}")
        if not isinstance(self.limits, ClientLimits):
            given = type(self.limits).__name__
            raise OptionError(f"limits must be nuncio.ClientLimits(…), not a {given}")
        if self.ssl is not None and not isinstance(self.ssl, tls.SSLContext):
            raise OptionError(f"ssl must be an ssl.SSLContext, not {self.ssl!r}")
        if policy_of(self.buffer, "buffer") is None:
            raise OptionError("buffer: there is nobody to disconnect; write 'block', or drop_…")
        check_list(self.transports, "transports", "websocket")
        check_protocols(self.protocols)
        check_hashes(self.server_certificate_hashes)
        check_transport_options(self.transport_options)
        if self.proxy is not None:
            check_proxy(self.proxy)
        if not isinstance(self.timestamp_requests, (bool, NoneType)):
            raise OptionError(
                f"timestamp_requests must be True, False or None, not {self.timestamp_requests!r}"
            )
        if not isinstance(self.timestamp_param, str) or not self.timestamp_param:
            raise OptionError(
                f"timestamp_param must be a non-empty str, not {self.timestamp_param!r}"
            )
        self.deflate()
        for name in self.transport_options:
            self.of_transport(name)

    def _check_headers(self) -> None:
        given = self.extra_headers
        if callable(given) and not isinstance(given, Mapping):
            check_giver(given, "extra_headers")
        elif given is not None:
            checked_headers(given)
        if self.proxy_headers is not None:
            checked_headers(self.proxy_headers, "proxy_headers")
        if self.cookies is not None:
            checked_cookies(self.cookies)

    def _check_files(self) -> None:
        for name in ("ca", "cert", "key"):
            value = getattr(self, name)
            if not isinstance(value, (str, PathLike, NoneType)):
                raise OptionError(f"{name} must be the name of a file, not {value!r}")
        if self.key is not None and self.cert is None:
            raise OptionError("key is the key of cert, which is not given")

    def of_transport(self, name: str) -> ManagerOptions:
        """The options as they are for one transport."""
        own = self.transport_options.get(name)
        known = {} if own is None else {key: own[key] for key in OF_TRANSPORTS if key in own}
        return dataclasses.replace(self, transport_options={}, **known) if known else self

    @property
    def policy(self) -> SlowConsumer:
        """What becomes of events that the send buffer has no room for."""
        policy = policy_of(self.buffer, "buffer")
        assert policy is not None
        return policy

    def deflate(self) -> DeflateConfig | None:
        """How WebSocket messages may be compressed; None for not at all.

        Raises:
            OptionError: for settings that cannot be.
        """
        value = self.per_message_deflate
        if isinstance(value, DeflateConfig):
            return value
        if isinstance(value, Mapping):
            try:
                return build(DeflateConfig, value, "per_message_deflate")
            except (TypeError, ValueError) as error:
                raise OptionError(f"per_message_deflate: {error}") from error
        if not isinstance(value, bool):
            raise OptionError(
                "per_message_deflate must be True, False, a mapping or a DeflateConfig, "
                f"not {value!r}"
            )
        return DeflateConfig() if value else None

    def made_parser(self) -> Parser:
        """The parser."""
        return JSONParser() if self.parser is None else self.parser

    def ssl_context(self) -> tls.SSLContext | bool:
        """What TLS trusts; True for the system's own.

        Raises:
            OptionError: for a file that cannot be read.
        """
        if self.ssl is not None:
            return self.ssl
        if self.reject_unauthorized and self.ca is None and self.cert is None:
            return True
        try:
            context = tls.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key, self.passphrase)
        except OSError as error:
            files = ", ".join(str(name) for name in (self.ca, self.cert, self.key) if name)
            raise OptionError(f"ca, cert, key: {files} cannot be used: {error}") from error
        if not self.reject_unauthorized:
            context.check_hostname = False
            context.verify_mode = tls.CERT_NONE
        return context


@named_options
@dataclass(frozen=True, slots=True)
class SocketOptions:
    """How one namespace is joined.

    Attributes:
        auth: credentials: a mapping, or a function, which may be async, that gives one and is
            called for each connection.
        retries: how often an event is sent again that the server has not acknowledged; None to
            send each once and not wait.
        ack_timeout: seconds that an acknowledgement may take, unless an emit says otherwise.
        delivery: `at-least-once` to take part in what a Nuncio server promises with its option of
            this name: each promised event reaches handlers once, without its id, and is
            acknowledged when they have ended, also where there are none.
    """

    auth: Auth | Callable[[], Any] | None = None
    retries: int | None = None
    ack_timeout: float | None = None
    delivery: str = "at-most-once"

    def __post_init__(self) -> None:
        check_auth(self.auth)
        if self.retries is not None:
            whole("retries", self.retries, 0)
        if self.ack_timeout is not None:
            seconds("ack_timeout", self.ack_timeout)
        if self.delivery not in ("at-most-once", "at-least-once"):
            raise OptionError(
                f"delivery must be 'at-most-once' or 'at-least-once', not {self.delivery!r}"
            )


_FLAGS: Final = (
    "add_trailing_slash",
    "upgrade",
    "remember_upgrade",
    "try_all_transports",
    "force_base64",
    "with_credentials",
    "reject_unauthorized",
    "trust_env",
    "reconnection",
    "auto_connect",
)

_MANAGER: Final = tuple(option.name for option in dataclasses.fields(ManagerOptions))
_SOCKET: Final = tuple(option.name for option in dataclasses.fields(SocketOptions))
_BROWSER: Final = "it is for browsers and has no meaning in Python"
_IN_URL: Final = "write it in the URL"

ELSEWHERE: Final = {
    "agent": "write proxy=… or ssl=…",
    "auto_unref": "a loop that ends does not wait for clients",
    "use_native_timers": _BROWSER,
    "close_on_beforeunload": _BROWSER,
    "headers": "write extra_headers=…",
    "host": _IN_URL,
    "hostname": _IN_URL,
    "port": _IN_URL,
    "secure": "write https:// in the URL",
    "namespaces": "the URL's path is the namespace; for several, nuncio.Manager(url).socket(nsp)",
    "wait_timeout": "write timeout=…",
    "ssl_verify": "write reject_unauthorized=False, or better ca=… with the server's authority",
    "socketio_path": "write path='/…'",
    "pfx": "write cert=… and key=…, in PEM format",
    "ciphers": "write ssl=… with an ssl.SSLContext",
    "servername": "write server_hostname=…",
}


def split(options: Mapping[str, Any], *more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options for a Manager, and those for a Socket.

    Args:
        options: both together.
        more: names of options that the caller has taken already, for its own use.

    Raises:
        OptionError: for an unknown one, with the nearest known name.
    """
    manager: dict[str, Any] = {}
    socket: dict[str, Any] = {}
    for name, value in options.items():
        if name in _MANAGER:
            manager[name] = value
        elif name in _SOCKET:
            socket[name] = value
        elif in_snake_case(name) in ELSEWHERE:
            hint = ELSEWHERE[in_snake_case(name)]
            raise OptionError(f"the client has no option {name!r}: {hint}")
        else:
            raise unknown_option(name, (*_MANAGER, *_SOCKET, *more), "the client")
    return manager, socket


def check_attempts(value: object) -> float:
    """A number of attempts; infinity for as long as it takes, which 0 means, too.

    Raises:
        OptionError: for anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        if value == math.inf or value == int(value):
            return value or math.inf
    raise OptionError(f"reconnection_attempts must be a whole number or math.inf, not {value!r}")


def check_factor(value: object) -> float:
    """A part of a delay.

    Raises:
        OptionError: for what is not between 0 and 1.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise OptionError(f"randomization_factor must be between 0 and 1, not {value!r}")
