"""The numbers of this server, which the admin page is told every two seconds."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from nuncio.admin.pages import Pages
from nuncio.admin.rounds import Rounds
from nuncio.engine.metered import Traffic
from nuncio.server.parent import ParentNamespace


class Stats(Rounds):
    """Tells the pages `server_stats`.

    Args:
        io: the server, whose sessions are counted from now on.
        pages: the pages.
        server_id: the name under which they show it; None for one that no other process has.
    """

    def __init__(self, io: Any, pages: Pages, server_id: str | None) -> None:
        super().__init__(io)
        self._pages = pages
        self._traffic: Traffic = io.engine.meter()
        self._began = time.monotonic()
        self._server_id = server_id
        self._who: dict[str, Any] = {}

    def begin(self) -> None:
        """The server serves: tell now, and from now on."""
        # Only now, for a server that was made before its process was forked is another one.
        host, pid = socket.gethostname(), os.getpid()
        self._who = {
            "serverId": self._server_id or f"{host}#{pid}",
            "hostname": host,
            "pid": pid,
        }
        super().begin()
        self.round()

    def round(self) -> None:
        """See `Rounds.round`: it is time to tell."""
        events = self._events()
        if self._pages.any:
            self._pages.tell("server_stats", self.report(events))

    def report(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """What the pages are told."""
        io = self._io
        sessions = io.engine.sessions.values()
        return {
            **self._who,
            "uptime": time.monotonic() - self._began,
            "clientsCount": len(sessions),
            "pollingClientsCount": sum(one.transport.name == "polling" for one in sessions),
            "aggregatedEvents": events,
            "namespaces": [
                {"name": nsp.name, "socketsCount": len(nsp.sockets)} for nsp in served(io)
            ],
        }

    def _events(self) -> list[dict[str, Any]]:
        """What happened since the last report."""
        traffic = self._traffic
        # To the second, as the page's diagrams are.
        moment = int(time.time()) * 1000
        counts = {
            "rawConnection": traffic.opened,
            "packetsIn": traffic.packets_in,
            "bytesIn": traffic.bytes_in,
            "packetsOut": traffic.packets_out,
            "bytesOut": traffic.bytes_out,
        }
        events: list[dict[str, Any]] = [
            {"timestamp": moment, "type": type, "count": count}
            for type, count in counts.items()
            if count
        ]
        for reason, count in traffic.closed.items():
            closed = {"timestamp": moment, "type": "rawDisconnection", "subType": reason}
            events.append({**closed, "count": count})
        traffic.clear()
        return events


def served(io: Any) -> list[Any]:
    """The namespaces that clients may be in."""
    return [nsp for nsp in io.all_namespaces() if not isinstance(nsp, ParentNamespace)]
