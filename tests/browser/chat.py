"""What a test of the chat needs: the server as a process, and a person at a page."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page, WebSocket, WebSocketRoute

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "chat"
START_WITHIN = STOP_WITHIN = 40.0  # seconds
SEE_WITHIN = 30_000  # milliseconds

# Keeps every text that an element has shown, however briefly.
KEEP = """(selector) => {
    const element = document.querySelector(selector);
    const seen = ((window.seen ??= {})[selector] = []);
    const shown = () => element.checkVisibility({ visibilityProperty: true });
    const look = () => shown() && seen.push(element.textContent);
    new MutationObserver(look).observe(element, {
        attributes: true, childList: true, characterData: true, subtree: true,
    });
}"""


def client_installed() -> bool:
    """Whether npm has fetched the client that the page loads."""
    return (FOLDER / "node_modules" / "socket.io-client").is_dir()


class Chat:
    """`examples/chat/app.py` in a process of its own, always on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        command = [sys.executable, str(FOLDER / "app.py"), "--port", str(self.port)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + START_WITHIN
        while self._process.poll() is None and time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return
            time.sleep(0.02)
        self.stop()
        raise AssertionError("the chat server did not start; its output is above")

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError("the chat server did not end when told to") from None
        finally:
            self._process = None


class Person:
    """Somebody who uses a page of the chat. Every `sees…` waits until it is so, or fails."""

    def __init__(self, page: Page, run: Callable[[Any], Any]) -> None:
        self.page = page
        self._run = run
        self.script_errors: list[str] = []
        self.binary_received: list[bytes] = []
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        page.on("websocket", self._watch)

    def _watch(self, connection: WebSocket) -> None:
        def received(payload: str | bytes) -> None:
            if isinstance(payload, bytes):
                self.binary_received.append(payload)

        connection.on("framereceived", received)

    def open(self, url: str) -> None:
        """Load the page."""
        self._run(self.page.goto(url))

    def reloads(self) -> None:
        """Load the page again and wait for the new one: what follows never meets the old."""
        self._run(self.page.reload())

    def block(self, pattern: str) -> None:
        """Let requests for these addresses fail."""
        self._run(self.page.route(pattern, lambda route: route.abort()))

    def loses_the_next_answer(self) -> None:
        """Break the next WebSocket when the server acknowledges something over it.

        To be called before the page is opened again, since only then do connections pass here.
        """
        broken = False

        def pass_on(connection: WebSocketRoute) -> None:
            server = connection.connect_to_server()

            async def from_server(message: str | bytes) -> None:
                nonlocal broken
                if broken or not isinstance(message, str) or not re.match(r"43\d", message):
                    connection.send(message)
                    return
                broken = True
                await connection.close()
                await server.close()

            server.on_message(from_server)

        self._run(self.page.route_web_socket(re.compile("socket.io"), pass_on))

    def close(self) -> None:
        """Go away, at once."""
        self._run(self.page.context.close())

    def keeps_watching(self, selector: str) -> None:
        """From now on nothing that the element shows is missed: see `saw`."""
        self.script(KEEP, selector)

    def screenshot(self, path: Path) -> None:
        """Keep what the page shows now, still."""
        self._run(self.page.screenshot(path=path, animations="disabled"))

    def script(self, code: str, argument: Any = None) -> Any:
        """Run JavaScript in the page."""
        return self._run(self.page.evaluate(code, argument))

    # --- doing

    def signs_in(self, name: str) -> None:
        """Give a nickname and press Join."""
        self._run(self.page.fill("#nickname", name))
        self._run(self.page.press("#nickname", "Enter"))

    def joins(self, name: str) -> None:
        """Sign in and wait for the chat."""
        self.signs_in(name)
        self.sees("#my-name", name)
        # Whoever has joined a room sees that they are in it.
        self.sees("#people .you:visible", "you")

    def presses(self, keys: str) -> None:
        """Press a key or a combination."""
        self._run(self.page.keyboard.press(keys))

    def types(self, text: str) -> None:
        """Type where the focus is, key by key."""
        self._run(self.page.keyboard.type(text))

    def says(self, text: str) -> None:
        """Write a message and send it."""
        self._run(self.page.fill("#text", text))
        self._run(self.page.press("#text", "Enter"))

    def sends_file(self, name: str, kind: str, content: bytes) -> None:
        """Choose a file with the picture button."""
        file: Any = {"name": name, "mimeType": kind, "buffer": content}
        self._run(self.page.set_input_files("#file", file))

    def clicks(self, selector: str, text: str = "") -> None:
        """Click the one element that the selector, and the text in it, name."""
        self._run(self._one(selector, text).click(timeout=SEE_WITHIN))

    def chooses(self, room: str) -> None:
        """Click on a room until it is open: a click is lost when the list is drawn anew in it."""
        from playwright.async_api import TimeoutError

        deadline = time.monotonic() + SEE_WITHIN / 1000
        name = self._one("#room-name", room)
        while True:
            self.clicks(".room", room)
            try:
                self._run(name.wait_for(state="visible", timeout=2000))
                return
            except TimeoutError:
                assert time.monotonic() < deadline, f"{room} does not open"

    def enters(self, room: str) -> None:
        """Choose a room from the list and wait until they are in it."""
        self.chooses(room)
        self.sees("#people .you:visible", "you")

    # --- seeing

    def sees(self, selector: str, text: str | re.Pattern[str] = "") -> None:
        """An element with the text in it is there to be seen."""
        self._run(self._one(selector, text).wait_for(state="visible", timeout=SEE_WITHIN))

    def sees_no(self, selector: str, text: str | re.Pattern[str] = "") -> None:
        """No such element is to be seen any more."""
        self._run(self._one(selector, text).wait_for(state="hidden", timeout=SEE_WITHIN))

    def saw(self, selector: str, text: str) -> None:
        """Since `keeps_watching` the element has shown this, and may have ceased to."""
        code = "([selector, text]) => seen[selector].some((shown) => shown.includes(text))"
        self._run(self.page.wait_for_function(code, arg=[selector, text], timeout=SEE_WITHIN))

    def has_focus(self, selector: str) -> None:
        """What is typed goes there."""
        self.sees(f"{selector}:focus")

    def received_binary(self, content: bytes) -> None:
        """A WebSocket has brought these bytes."""
        deadline = time.monotonic() + SEE_WITHIN / 1000
        while content not in self.binary_received:
            assert time.monotonic() < deadline, "no WebSocket brought the bytes"
            time.sleep(0.02)

    def sees_message(self, author: str, text: str) -> None:
        """Somebody else's message is shown with its author."""
        self.sees(f'.message:not(.own):has(.author:text-is("{author}"))', text)

    def sees_delivered(self, text: str) -> None:
        """The person's own message has its tick."""
        self.sees('.message.own[data-state="delivered"]', text)

    def texts(self, selector: str) -> list[str]:
        """The texts of all the elements, in order, now."""
        found: list[str] = self._run(self.page.locator(selector).all_text_contents())
        return [text.strip() for text in found]

    def _one(self, selector: str, text: str | re.Pattern[str]) -> Locator:
        place = self.page.locator(selector)
        return (place.filter(has_text=text) if text else place).first
