"""The options of a Socket.IO server that the engine does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nuncio.cluster.recovery_options import RecoveryOptions
from nuncio.errors import OptionError
from nuncio.options import HOUR, build, named_options, seconds, whole
from nuncio.presence.options import presence_options
from nuncio.protocol.parser import JSONParser, Parser
from nuncio.server.client_files import AUTO, ServeClientOption
from nuncio.server.console_access import ConsoleOption
from nuncio.slow import policy_of


@named_options
@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a Socket.IO server, beside those of `EngineOptions`.

    Attributes:
        connect_timeout: seconds a client has to join a namespace.
        parser: how packets are written: `JSONParser`, `MsgPackParser`, or one of your own. All
            clients must use the same.
        concurrency: how many handlers of one socket may run at once; 1 makes them strictly serial.
        connection_state_recovery: whether a client that lost its link receives what it missed:
            False, True or a `RecoveryOptions` mapping.
        delivery: what is promised of events to clients: `at-most-once`, or `at-least-once`, which
            needs recovery; see the guide.
        cleanup_empty_child_namespaces: whether a dynamic namespace without clients is removed.
        threads: whether `emit` and the like may be called from threads of your own. Handlers with
            `thread=True`, and another application beside the server, switch it on by themselves.
        slow_consumer: what becomes of events for a client that is behind: `disconnect`, `block`,
            `drop_oldest`, `drop_newest` or `nuncio.conflate(key)`; see the guide.
        adapter: called with each namespace, returns its adapter; None for rooms in this process,
            or in all workers.
        workers: whether this process is one of several that serve together. On one machine: True
            for those that have the same parent process, or a folder where they meet. On several:
            Redis' address, or a `nuncio.cluster.RedisMeeting`. None for what `nuncio serve` says.
        presence: when users are taken for gone: a `PresenceOptions` or a mapping; see `Presence`.
        serve_client: which browser's client is served under the path of the server: `"auto"`, the
            one that comes with Nuncio, where one does; True, the same, and it must be there; False;
            a folder, a file or a mapping from names to files.
        console: who may use the console at `/socket.io/console/`, a page for trying the server: a
            `nuncio.Console` or a mapping with its keys; None, the default, for no console.
        data: a class or function without arguments that makes `socket.data` when it is first used;
            None for an empty dict.
    """

    connect_timeout: float = 45.0
    concurrency: int = 64
    parser: Parser = field(default_factory=JSONParser)
    connection_state_recovery: Any = False
    delivery: str = "at-most-once"
    cleanup_empty_child_namespaces: bool = False
    threads: bool = False
    slow_consumer: Any = "disconnect"
    adapter: Any = None
    # Not in its repr: Redis' address may have its password.
    workers: Any = field(default=None, repr=False)
    presence: Any = None
    serve_client: ServeClientOption = AUTO
    # Not in its repr: a mapping would show its password.
    console: ConsoleOption = field(default=None, repr=False)
    data: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("cleanup_empty_child_namespaces", "threads"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.adapter is not None and not callable(self.adapter):
            raise OptionError(f"adapter must be callable with a namespace, not {self.adapter!r}")
        if self.data is not None and not callable(self.data):
            raise OptionError(
                f"data must be a class or function that makes socket.data, not {self.data!r}"
            )
        seconds("connect_timeout", self.connect_timeout, most=HOUR)
        whole("concurrency", self.concurrency)
        policy_of(self.slow_consumer, "slow_consumer")
        presence_options(self.presence)
        if isinstance(self.parser, type) and issubclass(self.parser, Parser):
            raise OptionError(
                f"parser must be an object: write parser={self.parser.__qualname__}()"
            )
        if not isinstance(self.parser, Parser):
            raise OptionError(
                "parser must be an object whose class derives from nuncio.Parser, "
                f"not {self.parser!r}"
            )
        cls = type(self.parser)
        if cls.reader is Parser.reader:
            for name in ("encode", "decoder"):
                if getattr(cls, name) is getattr(Parser, name):
                    raise OptionError(f"parser: {cls.__name__} must define the method {name}")


def recovery_options(option: object) -> RecoveryOptions | None:
    """What the option `connection_state_recovery` means; None when recovery is off.

    Raises:
        OptionError: for what it cannot be.
    """
    if option is None or option is False:
        return None
    if option is True:
        return RecoveryOptions()
    if isinstance(option, RecoveryOptions):
        return option
    if isinstance(option, dict):
        return build(RecoveryOptions, option, "connection_state_recovery")
    raise OptionError(f"connection_state_recovery must be False, True or a mapping, not {option!r}")
