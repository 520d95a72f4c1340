"""What the matrix of transports is made of: its tables, and the server that its pages talk to.

A transport to come is a line in `TRANSPORTS`. Its cases run once the server knows it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nuncio
from nuncio.server.client_files import BUNDLED
from tests.support.aio import eventually
from tests.support.faults import FaultProxy
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

HERE = Path(__file__).parent
OFFICIAL = HERE.parent / "interop" / "node_modules" / "socket.io-client" / "dist"
SCRIPT = HERE / "matrix_page.js"

# A build that is not installed can be tried, too.
CLIENT = Path(os.environ.get("NUNCIO_CLIENT_FILES") or BUNDLED)

CLIENTS = ("nuncio", "official")

# The official client lets promises of a WebTransport session that has ended go unheard.
TOLERATED = (
    "The session is closed.",
    "Opening handshake failed.",
    "close() is called while connecting.",
)
BURST = 300


@dataclass(frozen=True)
class Row:
    """One transport.

    Attributes:
        name: the transport's.
        resumes: whether a cut connection is no end of the session.
        better: whether sessions over it can move to WebSocket.
        tcp: whether it is cut when TCP connections are. Otherwise the server cuts it, and there is
            no proxy on its way.
        module: of the server, without which there is no such transport.
    """

    name: str
    resumes: bool = False
    better: bool = False
    tcp: bool = True
    module: str = "nuncio.engine.ways"

    @property
    def exists(self) -> bool:
        """Whether this server has it."""
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False


TRANSPORTS = {
    row.name: row
    for row in (
        Row("polling", better=True),
        Row("websocket"),
        Row("stream", resumes=True, better=True),
        Row("sse", resumes=True, better=True),
        Row("forever", resumes=True, better=True),
        Row("webtransport", tcp=False, module="nuncio.webtransport.way"),
        Row("webrtc", tcp=False, module="nuncio.webrtc.way"),
    )
}

CASES = (
    "events",
    "acknowledgements",
    "binary",
    "empty binary",
    "200 KB",
    "5,000 in order",
    "cut and resume",
    "upgrade from polling",
    "upgrade to websocket",
    "fallback when blocked",
    "refusal by middleware",
)


def applies(case: str, row: Row) -> bool:
    """Whether there is such a case for a transport."""
    if case == "upgrade from polling":
        return row.name != "polling"
    return row.better if case == "upgrade to websocket" else True


def page_html(client: str) -> bytes:
    """A page with one of the clients, and the transports as classes."""
    script = {
        "nuncio": "socket.io.all.min.js",
        "msgpack": "socket.io.msgpack.min.js",
        "official": "official.js",
    }[client]
    return f"""<!doctype html><title>{client}</title><link rel="icon" href="data:,">
<script src="/socket.io/{script}"></script>
<script src="/socket.io/nuncio-transports.min.js"></script>
<script src="/socket.io/matrix.js"></script>""".encode()


async def site(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: the pages."""
    blocked = scope["path"].endswith("/blocked")
    headers = [(b"content-type", b"text/html")]
    if blocked:
        headers.append((b"content-security-policy", b"frame-src 'none'"))
    client = scope["path"].split("/")[1]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": page_html(client)})


# What a page may lack. WebSocket and WebTransport it has, but nothing comes through: the official
# client does not expect anything else.
BLOCK = """
for (const name of ["EventSource", "RTCPeerConnection"]) delete globalThis[name];
Object.defineProperty(Response.prototype, "body", { get: () => null });
WebSocket = class extends WebSocket {
  constructor() {
    super("ws://127.0.0.1:PORT/");
  }
};
// Documents that are not secure, such as empty frames, have none.
if (globalThis.WebTransport) {
  globalThis.WebTransport = class extends globalThis.WebTransport {
    constructor(url, options) {
      super("https://127.0.0.1:PORT/", options);
    }
  };
}
""".replace("PORT", str(free_port()))


def make_server(transports: list[str], **options: Any) -> nuncio.Server:
    """A server that answers what `matrix_page.js` asks."""
    files = {path.name: path for path in CLIENT.glob("*.js")}
    io = nuncio.Server(
        transports=transports,
        connection_state_recovery=True,
        # By its silence a frame is known to be lost.
        limits=nuncio.Limits(heartbeat_seconds=0.4),
        serve_client={
            **files,
            "official.js": OFFICIAL / "socket.io.min.js",
            "matrix.js": SCRIPT,
        },
        **options,
    )

    @io.on("echo")
    def echo(socket: nuncio.Socket, *values: Any) -> nuncio.Ack:
        return nuncio.Ack(*values)

    @io.on("say")
    def say(socket: nuncio.Socket, *values: Any) -> None:
        socket.emit("said", *values)

    @io.on("ask back")
    async def ask_back(socket: nuncio.Socket, number: int) -> int:
        answer: int = await socket.emit_with_ack("question", number)
        return answer + 1

    @io.on("count")
    async def count(socket: nuncio.Socket, upto: int) -> None:
        for number in range(upto):
            await socket.emit("number", number)

    @io.on("tell all")
    def tell_all(socket: nuncio.Socket, text: str) -> None:
        io.emit("told", text)

    @io.of("/refused").use
    def refuse(socket: nuncio.Socket) -> None:
        raise nuncio.ConnectError("not you", data={"code": 7})

    return io


@dataclass
class Site:
    """A server, a proxy before it that can cut connections, and pages of it."""

    browser: Browser
    io: nuncio.Server
    proxy: FaultProxy
    listening: Any
    pages: dict[tuple[str, str, bool], Page] = field(default_factory=dict)
    contexts: list[BrowserContext] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, browser: Browser, transports: list[str], **options: Any) -> Site:
        """Start it."""
        io = make_server(transports, **options)
        certificate: dict[str, Any] = {}
        if "webtransport" in transports:
            certificate["webtransport"] = {"dev": True}
        listening = await io.listen(0, app=site, **certificate)
        proxy = FaultProxy(listening.port)
        await proxy.accept()
        here = cls(browser, io, proxy, listening)
        io.on("cut me", here.cut)
        return here

    async def cut(self, socket: nuncio.Socket, tcp: bool, resumes: bool) -> None:
        """Send numbers, and cut the connection among them.

        What is lost with a session that ends comes again by recovery, once the server has noticed.
        With one that goes on, nothing waits for that.
        """
        room = self.io.to(socket.id)
        transport: Any = socket.conn.transport
        for number in range(BURST):
            room.emit("number", number)
            if number % 10 == 0:
                await asyncio.sleep(0)
            if number == BURST // 2:
                # The answer to a poll would be lost, and browsers ask again without a word.
                await eventually(lambda: transport.writable)
                self.proxy.cut(rst=True) if tcp else transport.abort()
                if not resumes:
                    await eventually(lambda: not socket.connected)

    async def page(self, client: str, kind: str = "", *, direct: bool = False) -> Page:
        """The page of a client, the same for all cases.

        Args:
            client: whose script it has.
            kind: `blocked` for one without most APIs; the name of a transport for one where
                its requests fail.
            direct: whether it reaches the server without the proxy.
        """
        page = self.pages.get((client, kind, direct))
        if page is None:
            # Who may listen to the microphone may know the address of the machine.
            context = await self.browser.new_context(permissions=["microphone"])
            self.contexts.append(context)
            page = await context.new_page()
            page.on("pageerror", self._page_error)
            if kind == "blocked":
                await page.add_init_script(BLOCK)
            elif kind:
                await page.route(f"**/*transport={kind}*", lambda route: route.abort())
            port = self.listening.port if direct else self.proxy.port
            await page.goto(f"http://127.0.0.1:{port}/{client}/{kind}")
            self.pages[client, kind, direct] = page
        return page

    async def fresh(self, client: str) -> Page:
        """A page of its own, in a context of its own."""
        page = await self.browser.new_page()
        page.on("pageerror", self._page_error)
        await page.goto(f"{self.proxy.url}/{client}/")
        return page

    def _page_error(self, error: Any) -> None:
        if not str(error).startswith(TOLERATED):
            self.errors.append(str(error))

    async def close(self) -> None:
        """End it."""
        for context in self.contexts:
            await context.close()
        await self.io.close()
        await self.proxy.refuse()
        self.proxy.cut()
