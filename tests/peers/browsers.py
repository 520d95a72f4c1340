"""Browsers, as far as the server sees them when they are connected to each other."""

from __future__ import annotations

import json
from typing import Any

from nuncio import Server, Socket
from tests.support.memory import Client

FINGERPRINT = ":".join(["A1"] * 32)

SDP = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789abcdefghijkl",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=setup:actpass",
        "a=mid:0",
        "",
    ]
)

CANDIDATE = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"}

NSP = "/.nuncio,"


class Page:
    """A page with the client's part for peers.

    Attributes:
        client: its connection.
        socket: the server's socket of it.
        control: the server's socket of it in the namespace where peers are arranged.
    """

    def __init__(self, io: Server, nsp: str = "/") -> None:
        self.client = Client(io)
        self.nsp = nsp
        self.socket: Socket = self.client.connect(nsp)
        self.control: Socket = self.client.connect("/.nuncio")
        self._asked = 0
        self._seen = 0

    @property
    def id(self) -> str:
        """Its public id."""
        return self.socket.id

    def send(self, event: str, message: Any) -> None:
        """Send a message that is not answered."""
        self.client.emit(f"peer:{event}", message, nsp=NSP)

    def ask(self, to: Any, **more: Any) -> int:
        """Make an offer; returns the id by which `answer` finds what the server says."""
        offer = {"nsp": self.nsp, "to": to, "sdp": SDP, "relay": True, **more}
        self._asked += 1
        self.client.emit("peer:offer", offer, id=self._asked, nsp=NSP)
        return self._asked

    def answer(self, asked: int) -> Any:
        """What the server said to an offer; None when it has said nothing."""
        found = self.client.answers(asked, NSP)
        return None if found is None else found[0]

    def offer(self, to: Any, **more: Any) -> Any:
        """Make an offer that is answered at once."""
        return self.answer(self.ask(to, **more))

    def relay(self, link: str, data: bytes) -> None:
        """Send something through the server."""
        head = json.dumps(["peer:data", link, {"_placeholder": True, "num": 0}])
        self.client.send(f"51-{NSP}{head}", data)

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """What was told of peers since the last time, each as a word and a message."""
        found: list[tuple[str, dict[str, Any]]] = []
        received = self.client.received
        while self._seen < len(received):
            packet = received[self._seen]
            self._seen += 1
            if not isinstance(packet, str):
                continue
            head, _, body = packet.partition(NSP)
            if head not in ("2", "51-"):
                continue
            event, message = json.loads(body)
            if head == "51-":
                message["data"] = received[self._seen]
                self._seen += 1
            found.append((event.removeprefix("peer:"), message))
        return found

    def told(self) -> tuple[str, dict[str, Any]]:
        """The one thing that was told."""
        [found] = self.take()
        return found


def linked(io: Server, *, sdp: str | None = SDP) -> tuple[Page, Page, str]:
    """Two pages and the link between them, which the second has accepted."""
    ada, bob = Page(io), Page(io)
    link = ada.offer(bob.id)["link"]
    bob.send("answer", {"link": link, "sdp": sdp, "relay": True})
    ada.take()
    bob.take()
    return ada, bob, link
