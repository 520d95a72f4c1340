"""What is measured: each kind of work, and the options of the load generator, or client, for it.

The connection counts are part of the figures (a server reads several small frames in one turn of
its loop when many connections are busy), so they are fixed here and not options of `run.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of work.

    Attributes:
        key: its name on the command line and in the JSON.
        title: its name in the table.
        load: the mode and options of the generator or client, without those every run has.
        unit: what one piece of work is, in the singular.
        polling: whether it needs HTTP long-polling, which the reference loop in C does not have.
        server: options of the servers, which only Nuncio's and Node's have.
        client: whether it is clients that are measured.
    """

    key: str
    title: str
    load: tuple[str, ...]
    unit: str = "message"
    polling: bool = False
    server: tuple[str, ...] = ()
    client: bool = False

    @property
    def cost(self) -> str:
        """The main figure: its name in the JSON of a run."""
        if self.idle:
            return "rss_kib_per_conn"
        return "client_cpu_us_per_msg" if self.client else "server_cpu_us_per_msg"

    @property
    def idle(self) -> bool:
        """Whether memory is measured and not speed."""
        return self.load[0] == "idle"


def _load(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MODES = (
    Mode("echo", "Echo, 64 connections, 1 in flight", _load("echo --conns 64")),
    Mode("echo16", "Echo, 16 in flight", _load("echo --conns 64 --pipeline 16")),
    Mode("ack16", "Acknowledgement, 16 in flight", _load("ack --conns 64 --pipeline 16")),
    Mode("binary", "Echo of 1 KiB binary", _load("binary --conns 64 --payload 1024")),
    Mode("broadcast", "Broadcast to 1,000", _load("broadcast --conns 1000"), "delivery"),
    Mode("room", "100 rooms of 10", _load("room --conns 1000 --room-size 10"), "delivery"),
    Mode("connect", "Connect over WebSocket", _load("connect --conns 32"), "connection"),
    Mode("poll", "Long-polling echo, 1 in flight", _load("poll --conns 64"), polling=True),
    Mode(
        "poll16",
        "Long-polling echo, 16 in flight",
        _load("poll --conns 64 --pipeline 16"),
        polling=True,
    ),
    # Node lets the waiting poll go by a timer of 100 ms, so it takes many clients to fill it.
    Mode(
        "connect-poll-upgrade",
        "Connect by polling, then upgrade",
        _load("connect-poll-upgrade --conns 256"),
        "connection",
        polling=True,
    ),
    Mode(
        "msgpack",
        "MessagePack echo, 16 in flight",
        _load("echo --conns 64 --pipeline 16 --msgpack"),
        server=("--parser", "msgpack"),
    ),
    Mode(
        "eio3",
        "Engine.IO 3 echo, 16 in flight",
        _load("echo --conns 64 --pipeline 16 --eio 3"),
        server=("--eio3",),
    ),
    Mode(
        "recovery",
        "Broadcast to 1,000, with recovery",
        _load("broadcast --conns 1000"),
        "delivery",
        server=("--recovery",),
    ),
    Mode("idle", "Idle connection", _load("idle"), "connection"),
    Mode(
        "client-echo16",
        "Echo, 64 connections, 16 in flight",
        _load("echo --conns 64 --pipeline 16"),
        client=True,
    ),
    Mode(
        "client-receive",
        "Events received, 64 connections",
        _load("receive --conns 64"),
        "event",
        client=True,
    ),
    Mode(
        "client-ack16",
        "Acknowledgement, 16 in flight",
        _load("ack --conns 64 --pipeline 16"),
        client=True,
    ),
    Mode("client-idle", "Idle connection", _load("idle"), "connection", client=True),
)

MODES = {mode.key: mode for mode in _MODES}
