"""What `make demo` runs: start the chat, prove step by step that it is alive, then serve it.

    python examples/chat/demo.py [--port 3000] [--once]

The proof talks to the server over real TCP with `rawclient.py`. With `--once` the program ends
after it. The exit status is 0 when every step passed and 1 when one failed.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import signal
import sys
import time
from collections.abc import Awaitable
from typing import Any

import nuncio
from app import CLIENT, CLIENT_MISSING, CONSOLE, io
from pages import site
from printer import Printer
from rawclient import RawClient, Refused, http

HOST = "127.0.0.1"
PORT = 3000
PORTS_TO_TRY = 20
STEP_WITHIN = 10.0  # seconds
QUESTION = "Is anybody there?"
ANSWER = "Loud and clear."

UNEXPECTED = "the server has a fault; its log above may say more"
REPORT = "run the tests (make test) and report what they say"
BLOCKED = f"something on this machine stands between a program and {HOST}, or is very slow"
TRY_CURL = "try  curl -v http://{host}:{port}/  while  python examples/chat/app.py  runs"

proof = io.of("/proof")
arrivals: asyncio.Queue[nuncio.Socket] = asyncio.Queue()


@proof.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """Hand over the server's end of the proof's own connection."""
    arrivals.put_nowait(socket)


class StepFailed(Exception):
    """A step did not work. What to do about it has been printed."""


class Proof:
    """Runs the steps and prints each."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.passed = 0

    async def step(
        self,
        name: str,
        work: Awaitable[tuple[str, Any]],
        likely: str = UNEXPECTED,
        remedy: str = REPORT,
    ) -> Any:
        """Await `work`, which tells in words what it found and gives a result for later steps."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(STEP_WITHIN):
                words, result = await work
        except TimeoutError:
            self.printer.failed(name, f"nothing within {STEP_WITHIN:.0f} seconds", likely, remedy)
            raise StepFailed from None
        except Exception as error:
            self.printer.failed(name, str(error) or type(error).__name__, likely, remedy)
            raise StepFailed from error
        self.passed += 1
        self.printer.passed(words, time.perf_counter() - began)
        return result


async def listen(port: int, ports_to_try: int) -> tuple[str, Any]:
    """Start the server on the port, or on the first free one after it."""
    for candidate in range(port, port + ports_to_try):
        try:
            server = await io.listen(candidate, host=HOST, app=site)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == port + ports_to_try - 1:
                raise
        else:
            other = f" (port {port} is in use)" if candidate != port else ""
            return f"listening on http://{HOST}:{server.port}{other}", server
    raise AssertionError("unreachable")


async def load_page(port: int) -> tuple[str, None]:
    """Fetch the page as a browser would."""
    status, body = await http(port, "GET", "/")
    if status != 200 or b"<title>" not in body:
        raise Refused(f"status {status}, {len(body)} bytes")
    return f"chat page served: {len(body) / 1024:.1f} KiB", None


async def poll(port: int) -> tuple[str, None]:
    """Open a session by long-polling, as most clients begin, and close it."""
    target = "/socket.io/?EIO=4&transport=polling"
    status, body = await http(port, "GET", target)
    if status != 200 or body[:1] != b"0":
        raise Refused(f"status {status}, {body[:80]!r}")
    opened = json.loads(body[1:])
    await http(port, "POST", f"{target}&sid={opened['sid']}", b"1")
    return f"long-polling: session {opened['sid']}, may upgrade to " + ", ".join(
        opened["upgrades"]
    ), None


async def open_websocket(client: RawClient, port: int) -> tuple[str, None]:
    """Open a WebSocket; the client checks the server's handshake and open packet."""
    opened = await client.open(port)
    return (
        f"WebSocket open: ping every {opened['pingInterval'] / 1000:g} s, "
        f"messages up to {opened['maxPayload'] / 2**20:.1f} MiB"
    ), None


async def join(client: RawClient) -> tuple[str, nuncio.Socket]:
    """Connect to the namespace; both ends must agree on the socket's id."""
    sid = await client.connect("/proof")
    socket = await arrivals.get()
    if socket.id != sid:
        raise Refused(f"the server says {socket.id}, the client was told {sid}")
    return f"Socket.IO connected: namespace /proof, socket {sid}", socket


async def receive(client: RawClient) -> tuple[str, Any]:
    """Wait for the server's event."""
    packet = await client.receive()
    if packet.data != ["question", QUESTION] or packet.id < 0:
        raise Refused(f"not the event that was emitted: {packet.data!r}, id {packet.id}")
    return f'server emitted "question", client received: {QUESTION}', packet


async def answered(waiting: asyncio.Future[Any]) -> tuple[str, None]:
    """Wait until the server's emit has its acknowledgement."""
    answer = await waiting
    if answer != ANSWER:
        raise Refused(f"not the answer that was given: {answer!r}")
    return f"client acknowledged, server read: {ANSWER}", None


async def prove(steps: Proof, port: int) -> None:
    """Every step of a message's way from the server to a client and back."""
    curl = TRY_CURL.format(host=HOST, port=port)
    await steps.step("chat page", load_page(port), BLOCKED, curl)
    await steps.step("long-polling handshake", poll(port))
    client = RawClient()
    try:
        await steps.step("WebSocket", open_websocket(client, port))
        socket = await steps.step("Socket.IO connection", join(client))
        waiting = asyncio.ensure_future(
            socket.timeout(STEP_WITHIN).emit_with_ack("question", QUESTION)
        )
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        packet = await steps.step("event", receive(client))
        client.acknowledge(packet, ANSWER)
        await steps.step("acknowledgement", answered(waiting))
    finally:
        client.close()


async def main(port: int | None, once: bool) -> int:
    """Start, prove, serve; returns the exit status."""
    printer = Printer(sys.stdout)
    steps = Proof(printer)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    printer.title("Nuncio demo", "a chat server, and the proof that it is alive")
    began = time.perf_counter()
    try:
        server = await steps.step(
            f"listen on port {port or PORT}",
            listen(port or PORT, 1 if port else PORTS_TO_TRY),
            "another program listens there, or the port is not yours to use",
            "end that program, or choose another port: make demo ARGS='--port 3333'",
        )
    except StepFailed:
        return 1
    try:
        await prove(steps, server.port)
        seconds = time.perf_counter() - began
        printer.good(f"All {steps.passed} steps passed in {seconds * 1000:.0f} ms.")
        if not once:
            if not CLIENT.exists():
                printer.note(CLIENT_MISSING)
            printer.note(f"The chat is on  http://localhost:{server.port}   Ctrl-C ends it.")
            printer.note(
                f"Its console, to try events by hand:  http://localhost:{server.port}{CONSOLE}"
            )
            await stop.wait()
            printer.note("Goodbye.")
    except StepFailed:
        return 1
    finally:
        await server.close()
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Start the chat and prove that it is alive.")
    parser.add_argument("--port", type=int, help=f"the port; without it {PORT} or a free one near")
    parser.add_argument("--once", action="store_true", help="end after the proof")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    sys.exit(asyncio.run(main(options.port, options.once)))
