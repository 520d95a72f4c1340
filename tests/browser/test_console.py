"""The console in Chromium: as a person uses it, by mouse, by keyboard and on a phone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio
from tests.support.aio import eventually, until

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

CHECKS = (Path(__file__).parent / "console_checks.js").read_text()
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
}

# One pixel, so that browsers show it.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cf"
    "c0000003010100c9fe92ef0000000049454e44ae426082"
)


def server(**options: Any) -> nuncio.Server:
    """A server with something to try."""
    io = nuncio.Server(console={"user": "ada", "password": "correct horse"}, **options)

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        socket.emit("welcome", {"query": socket.handshake.query.get("room")})

    @io.event
    def echo(socket: nuncio.Socket, *values: Any) -> Any:
        return nuncio.Ack(*values)

    @io.event
    def send_back(socket: nuncio.Socket, name: str, data: bytes) -> int:
        socket.emit("file", {"name": name, "data": data})
        return len(data)

    @io.event
    async def count(socket: nuncio.Socket, upto: int) -> None:
        for number in range(upto):
            await socket.emit("number", {"n": number})

    @io.event
    async def ask(socket: nuncio.Socket) -> Any:
        return await socket.timeout(60).emit_with_ack("question", "Who are you?")

    @io.event
    def silent(socket: nuncio.Socket, ack: nuncio.AckCallback) -> None:
        """Never answers."""

    io.of("/chat").on("connection", lambda socket: socket.emit("hello", "from the chat"))
    members = io.of("/members")

    @members.use
    def member(socket: nuncio.Socket) -> None:
        if socket.handshake.auth.get("token") != "open sesame":
            raise nuncio.ConnectError("Members only.", {"code": "E_MEMBER"})

    return io


async def console_of(io: nuncio.Server) -> str:
    """Begin to serve; returns the address of the console."""
    listening = await io.listen(0)
    return f"http://127.0.0.1:{listening.port}/socket.io/console/"


@pytest.fixture(scope="module")
def home(run: Run) -> Iterator[tuple[nuncio.Server, str]]:
    """The server, and the address of its console."""
    io = server()
    yield io, run(console_of(io))
    run(io.close(timeout=1))


@asynccontextmanager
async def visiting(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """The console, signed in; no script may fail, and nothing may be asked of anybody else."""
    page = await browser.new_page(**context)
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Policy" in said.text else None)
    origin = url.split("/socket.io")[0].split("/deep")[0].removeprefix("http")

    def asked(address: str) -> None:
        if not address.startswith(("http" + origin, "ws" + origin, "blob:", "data:")):
            errors.append(address)

    page.on("request", lambda request: asked(request.url))
    page.on("websocket", lambda socket: asked(socket.url))
    await page.goto(url)
    await page.fill("[name=user]", "ada")
    await page.fill("[name=secret]", "correct horse")
    await page.press("[name=secret]", "Enter")
    await page.wait_for_selector("#transports input")
    try:
        yield page
    finally:
        await page.context.close()
    assert errors == []


async def connects(page: Page) -> None:
    await page.click("#connect-button")
    await page.wait_for_selector("#state[data-state=open]")
    await page.wait_for_selector(".row[data-kind=on]")


async def emits(page: Page, event: str, args: str = "", target: str = "/") -> None:
    await page.select_option("#target", target)
    await page.fill("#event", event)
    await page.fill("#args", args)
    await page.click("#send")


async def sees(page: Page, kind: str, name: str, text: str = "") -> None:
    """A row of the log is there."""
    row = page.locator(f".row[data-kind={kind}]:not([hidden])")
    row = row.filter(has=page.locator(f".name:text-is('{name}')")).filter(has_text=text)
    await row.first.wait_for()


async def becomes(page: Page, expression: str) -> None:
    """Wait until it is true; Playwright's own way would evaluate a text in the page, whose policy
    forbids that.
    """
    deadline = asyncio.get_running_loop().time() + 20
    while not await page.evaluate(expression):
        assert asyncio.get_running_loop().time() < deadline, expression
        await asyncio.sleep(0.03)


def shown(count: int, kind: str = "") -> str:
    """So many rows are there, of a kind perhaps."""
    selector = f".row{kind and f'[data-kind={kind}]'}:not([hidden])"
    return f"document.querySelectorAll('{selector}').length === {count}"


async def rows(page: Page) -> list[str]:
    return await page.locator(".row:not([hidden]) .name").all_text_contents()


def in_browser(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """A test that is a coroutine: it runs where the browser and the server are."""

    def wrapped(run: Run, browser: Browser, home: tuple[nuncio.Server, str]) -> None:
        run(test(browser, *home))

    wrapped.__name__ = test.__name__
    return wrapped


@in_browser
async def test_signing_in_and_out(browser: Browser, io: nuncio.Server, url: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{url}#event=echo&namespaces=/,/chat")
    assert page.url.endswith("/console/login#event=echo&namespaces=/,/chat")
    await page.fill("[name=user]", "ada")
    await page.fill("[name=secret]", "wrong password")
    await page.click("text=Sign in")
    await page.wait_for_selector("text=Wrong name or password.")
    # What was right stays.
    assert await page.input_value("[name=user]") == "ada"
    await page.fill("[name=secret]", "correct horse")
    await page.click("text=Sign in")
    await page.wait_for_selector("#tab-\\/chat")
    # Where the link led to is still known.
    assert await page.input_value("#event") == "echo"
    assert await page.evaluate("document.cookie") == ""
    await page.click("#logout button")
    await page.wait_for_selector("[name=secret]")
    await page.goto(url)
    assert page.url.startswith(f"{url}login")
    await page.context.close()


@in_browser
async def test_an_event_and_its_acknowledgement(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await sees(page, "in", "welcome")
        await sees(page, "way", "upgraded", "polling → websocket")
        assert await page.text_content("#transport") == "websocket"
        await emits(page, "echo", '"lobby", {"text": "h\u00e9llo"}')
        await sees(page, "out", "echo", '"lobby", {text: "h\u00e9llo"}')
        await sees(page, "ack", "echo", '"lobby", {text: "h\u00e9llo"}')
        await page.wait_for_selector("#latency:has-text('ms')")
        # By the history once more.
        await page.click("#history >> text=Again")
        await becomes(page, shown(2, "ack"))
        # One that nobody answers.
        await page.fill("#ack-seconds", "0.2")
        await emits(page, "silent")
        await sees(page, "error", "silent", "no answer within 0.2 s")


@in_browser
async def test_files_are_sent_and_shown(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        picture: Any = {"name": "dot.png", "mimeType": "image/png", "buffer": PNG}
        await page.set_input_files("#files", picture)
        # Behind the other arguments, and then where "$1" stands.
        await emits(page, "send_back", '"dot"')
        await sees(page, "ack", "send_back", str(len(PNG)))
        await page.click(".row[data-kind=in]:has-text('file')")
        await page.wait_for_selector(".binary img")
        width = "document.querySelector('.binary img').naturalWidth"
        await becomes(page, f"{width} === 1")
        await page.keyboard.press("Escape")
        await page.click("#clear")
        await page.set_input_files("#files", picture)
        await emits(page, "echo", '{"inner": ["$1"]}, "$2"')
        await sees(page, "ack", "echo", f'{{inner: [\u2039{len(PNG)} B\u203a]}}, "$2"')
        # They were for that event only, and the history has them for another time.
        lost = 'no file for "$1": it is sent as text'
        assert await page.text_content("#args-count") == lost
        assert await page.locator("#file-list li").count() == 0
        await page.click("#history >> text=Again")
        await becomes(page, shown(2, "ack"))
        await page.click("#history .again >> nth=0")
        await page.fill("#args", '"$1", 2')
        assert await page.text_content("#args-count") == "2 arguments"
        await page.click("#file-list >> text=Remove")
        assert await page.text_content("#args-count") == lost


@in_browser
async def test_events_that_the_server_knows_are_offered(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        offered = await page.eval_on_selector_all("#events option", "all => all.map(o => o.value)")
        assert offered == ["echo", "send_back", "count", "ask", "silent"]
        await page.fill("#event", "send_back")
        assert await page.text_content("#args-names") == "name, data"
        await page.fill("#event", "toString")
        assert await page.text_content("#args-names") == "JSON, with commas between"


@in_browser
async def test_several_namespaces(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await page.fill("#namespace", "chat")
        await page.press("#namespace", "Enter")
        await sees(page, "in", "hello")
        await page.wait_for_selector("#about-text:has-text('Joined as')")
        # The tab shows its own, and what concerns all.
        assert "welcome" not in await rows(page)
        await page.click("#tab-all")
        await sees(page, "in", "welcome")
        assert {"welcome", "hello"} <= set(await rows(page))
        await page.click("#tab-\\/chat")
        await page.click("#leave")
        await sees(page, "off", "disconnected", "io client disconnect")
        await page.click("#rejoin")
        await becomes(page, shown(2, "on"))
        await page.click("#remove")
        await page.wait_for_selector("#tab-\\/chat", state="detached")
        assert await page.get_attribute("#tab-all", "aria-selected") == "true"


@in_browser
async def test_a_refusal_is_shown_and_another_auth_payload_lets_in(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await page.fill("#namespace", "/members")
        await page.press("#namespace", "Enter")
        await sees(page, "error", "refused", 'Members only.  {code: "E_MEMBER"}')
        await page.wait_for_selector("#about-text:has-text('Refused: Members only.')")
        await page.click("#fold")
        await page.fill("#auth", '{"token": "open sesame"}')
        await page.click("#rejoin")
        await page.wait_for_selector("#about-text:has-text('Joined as')")


@in_browser
async def test_a_namespace_that_is_not_there(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, f"{url}#namespaces=/nowhere") as page:
        await page.click("#connect-button")
        await sees(page, "error", "refused", "Invalid namespace")
        # It was the only one, so the connection ended with it.
        await page.wait_for_selector("#state[data-state=closed]")
        assert await page.text_content("#connect-button") == "Connect"


@in_browser
async def test_a_lost_connection_comes_back(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await page.context.set_offline(True)
        await sees(page, "off", "disconnected", "transport close")
        await page.wait_for_selector("#state[data-state=waiting]")
        await page.context.set_offline(False)
        await page.wait_for_selector("#state[data-state=open]")
        await becomes(page, shown(2, "on"))
        await page.click("#connect-button")
        await sees(page, "off", "disconnected", "io client disconnect")
        await page.wait_for_selector("#state[data-state=closed]")


@in_browser
async def test_a_server_that_is_not_there(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, f"{url}#path=/nothing/") as page:
        assert await page.input_value("#path") == "/nothing/"
        await page.uncheck("#reconnect")
        await page.click("#connect-button")
        await sees(page, "error", "cannot connect", "HTTP 404")
        await page.wait_for_selector("#state[data-state=closed]")


@in_browser
async def test_transports_and_query(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        names = await page.locator("#transports label").all_text_contents()
        assert names == ["polling", "websocket"]
        await page.fill("#query", "room=7&x=%26")
        await page.uncheck("#transports [value=websocket]")
        await connects(page)
        await sees(page, "way", "opened by polling")
        await sees(page, "in", "welcome", 'query: "7"')
        await page.click("#connect-button")
        await page.check("#transports [value=websocket]")
        await page.uncheck("#transports [value=polling]")
        await page.click("#clear")
        await connects(page)
        await sees(page, "way", "opened by websocket")
        await page.click("#connect-button")
        await page.uncheck("#transports [value=websocket]")
        await page.click("#connect-button")
        await page.wait_for_selector("#notice:has-text('at least one transport')")


@in_browser
async def test_a_request_for_an_answer_is_answered(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await page.fill("#ack-seconds", "60")
        await emits(page, "ask")
        await sees(page, "in", "question", "wants an answer")
        await page.click(".row[data-kind=in]:has-text('question')")
        await page.fill("#answer-args", "a console")
        await page.press("#answer-args", "Enter")
        await page.wait_for_selector("#answer-problem:has-text('double quotes')")
        await page.fill("#answer-args", '"a console"')
        await page.press("#answer-args", "Enter")
        await sees(page, "ack", "ask", '"a console"')
        await sees(page, "answer", "question", '"a console"')
        assert await page.is_hidden("#answer")


@in_browser
async def test_filter_switches_pause_copy_and_clear(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    context = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with visiting(browser, url, **context) as page:
        await connects(page)
        await emits(page, "echo", '{"fruit": "Apple"}')
        await emits(page, "echo", '{"fruit": "Pear"}')
        await becomes(page, shown(2, "ack"))
        await page.fill("#filter", "ECHO apple")
        await becomes(page, shown(2))
        await page.click("#kinds [value=ack]")
        await becomes(page, shown(1))
        await page.click("#copy")
        await page.wait_for_selector("#toast:has-text('1 entries copied')")
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert [(entry["kind"], entry["args"]) for entry in copied] == [
            ("out", [{"fruit": "Apple"}])
        ]
        await page.fill("#filter", "no such thing")
        await page.wait_for_selector("text=No entry passes the filter")
        await page.fill("#filter", "")
        await page.click("#kinds [value=ack]")
        await page.click("#pause")
        await emits(page, "echo", "3")
        await page.wait_for_selector("#counts:has-text('paused, 2 waiting')")
        assert await page.locator(".row[data-kind=ack]").count() == 2
        await page.click("#pause")
        await becomes(page, shown(3, "ack"))
        await page.click("#kinds [value=packet]")
        await emits(page, "echo", "4")
        await sees(page, "packet", "sent message", '["echo",4]')
        await page.click("#clear")
        await page.wait_for_selector("text=Nothing yet.")


@in_browser
async def test_a_thousand_events_and_more(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await page.uncheck("#ack")
        await page.evaluate(CHECKS)
        await page.evaluate("checks.watchFrames()")
        await emits(page, "count", "1000")
        await sees(page, "in", "number", "{n: 999}")
        # It never stood still, and only what is seen is in the page.
        assert await page.evaluate("checks.longestFrame()") < 1000
        assert await page.locator(".row").count() < 60
        # The log is bounded, and who reads old entries is not moved.
        await page.evaluate("document.getElementById('log').scrollTop = 12000")
        await page.wait_for_selector("#newer:not([hidden])")
        await page.wait_for_timeout(50)
        text = (
            "document.elementFromPoint(700, 400).closest('.row').querySelector('.text').textContent"
        )
        before = await page.evaluate(text)
        await emits(page, "count", "4100")
        await page.wait_for_selector("#counts:has-text('5,000 entries')")
        await page.wait_for_selector("#newer:has-text('newer')")
        await page.wait_for_selector("#counts:has-text('older ones dropped')")
        await becomes(page, f"{text} === {json.dumps(before)}")
        await page.click("#newer")
        await sees(page, "in", "number", "{n: 4099}")
        assert await page.is_hidden("#newer")


@in_browser
async def test_large_values_are_shortened(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        await connects(page)
        await emits(page, "echo", json.dumps([{"n": n} for n in range(5000)]))
        await page.wait_for_selector(".row[data-kind=ack]")
        assert len(await page.text_content(".row[data-kind=ack] .text") or "") < 400
        await page.click(".row[data-kind=ack]")
        assert len(await page.text_content("#details-body pre") or "") < 10_000
        await page.click("#details-body >> text=Show all")
        assert len(await page.text_content("#details-body pre") or "") > 100_000


@in_browser
async def test_by_keyboard_alone(browser: Browser, io: nuncio.Server, url: str) -> None:
    async with visiting(browser, url) as page:
        press, write = page.keyboard.press, page.keyboard.type
        await press("c")
        await page.wait_for_selector("#state[data-state=open]")
        await press("n")
        await write("/chat")
        await press("Enter")
        await sees(page, "in", "hello")
        await page.focus("body")
        await page.evaluate("document.activeElement.blur()")
        await press("2")
        assert await page.get_attribute("#tab-\\/", "aria-selected") == "true"
        await press("e")
        await write("echo")
        await press("Tab")
        assert await page.evaluate("document.activeElement.id") == "args"
        await write('"by keys')
        await press("Control+Enter")
        await page.wait_for_selector("#args-problem:has-text('not closed')")
        await write('"')
        await press("Control+Enter")
        await sees(page, "ack", "echo", '"by keys"')
        await page.evaluate("document.activeElement.blur()")
        await press("l")
        await press("End")
        await press("ArrowUp")
        await press("Enter")
        await page.wait_for_selector("#details:not([hidden]) h3:has-text('echo')")
        await page.wait_for_selector("#log[aria-activedescendant]")
        chosen = await page.get_attribute("#log", "aria-activedescendant")
        assert await page.get_attribute(f"#{chosen}", "aria-selected") == "true"
        await press("Escape")
        assert await page.is_hidden("#details")
        assert await page.evaluate("document.activeElement.id") == "log"
        await press("/")
        await write("p?x1c")
        # In a field letters are letters.
        assert await page.input_value("#filter") == "p?x1c"
        await page.evaluate("document.activeElement.blur()")
        await press("?")
        await page.wait_for_selector("#help-dialog[open]")
        await press("Escape")
        await press("c")
        await page.wait_for_selector("#state[data-state=closed]")


@in_browser
async def test_every_control_can_be_reached_by_tab(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        await page.evaluate(CHECKS)
        expected = set(await page.evaluate("checks.tabStops()"))
        await page.evaluate("document.activeElement.blur()")
        reached: list[str] = []
        for _ in range(60):
            await page.keyboard.press("Tab")
            now = await page.evaluate("checks.nameOf(document.activeElement)")
            if now in reached:
                break
            reached.append(now)
        assert expected - set(reached) == set()
        # From the left to the right, and down.
        order = [
            reached.index(name) for name in ("path", "event", "send", "tab-all", "filter", "log")
        ]
        assert order == sorted(order)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("context", [{}, PHONE], ids=["desktop", "phone"])
def test_names_contrast_and_width(
    run: Run,
    browser: Browser,
    home: tuple[nuncio.Server, str],
    scheme: Any,
    context: dict[str, Any],
    screenshots: Path,
) -> None:
    _, url = home
    device = "phone" if context else "desktop"

    async def visit() -> None:
        async with visiting(browser, url, color_scheme=scheme, **context) as page:
            await page.evaluate(CHECKS)

            async def looks(what: str) -> None:
                name = f"console-{device}-{scheme}-{what}.png"
                await page.screenshot(path=screenshots / name, animations="disabled")
                assert await page.evaluate("checks.unnamed()") == [], what
                assert await page.evaluate("checks.broken()") == [], what
                assert await page.evaluate("checks.faint()") == [], what
                assert await page.evaluate("checks.tooWide()") == [], what
                if context:
                    assert await page.evaluate("checks.tooSmall()") == [], what

            async def part(name: str) -> None:
                if context:
                    await page.click(f"[data-to={name}]")

            await looks("first")
            await connects_in(page, part)
            await page.fill("#namespace", "/members")
            await page.press("#namespace", "Enter")
            await page.wait_for_selector("#about-text:has-text('Refused')")
            await looks("refused")
            await page.click("#tab-all")
            await part("emit")
            await page.fill("#event", "echo")
            await page.fill("#args", "{a: 1}")
            await looks("wrong")
            await page.set_input_files(
                "#files",
                {"name": "a-file-with-a-long-name.bin", "mimeType": "", "buffer": b"1" * 99},
            )
            await page.select_option("#target", "/")
            await page.fill("#args", '{"a": [1, true, null, "text"], "file": "$1"}')
            await page.click("#send")
            await looks("emit")
            await part("log")
            await page.click(".row[data-kind=ack]")
            await looks("details")
            await page.click("#help")
            await looks("help")

    async def connects_in(page: Page, part: Any) -> None:
        await page.click("#connect-button")
        await page.wait_for_selector("#state[data-state=open]")
        await part("log")
        await page.wait_for_selector(".row[data-kind=on]")

    run(visit())


@in_browser
async def test_a_phone_shows_one_part_at_a_time(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url, **PHONE) as page:
        assert await page.is_hidden("#event") and await page.is_hidden("#log")
        await page.tap("#connect-button")
        await page.wait_for_selector("#state[data-state=open]")
        # What came while another part was shown is counted.
        await page.wait_for_selector("#unread:text-is('1')")
        await page.tap("[data-to=emit]")
        await page.fill("#event", "echo")
        # It is there for a moment only.
        told = asyncio.ensure_future(page.wait_for_selector("#toast:has-text('\u2713 echo')"))
        await page.tap("#send")
        await told
        await page.tap("[data-to=log]")
        await sees(page, "ack", "echo")
        await until(lambda: page.text_content("#unread"), "")
        await page.tap(".row[data-kind=ack]")
        await page.wait_for_selector("#details:not([hidden])")


@in_browser
async def test_the_theme_can_be_chosen_and_stays(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url, color_scheme="light") as page:
        back = "getComputedStyle(document.documentElement).backgroundColor"
        assert await page.evaluate(back) == "rgb(238, 241, 240)"
        await page.click("#theme")
        await page.click("#theme")
        assert await page.get_attribute("#theme", "aria-label") == "Theme: dark"
        assert await page.evaluate(back) == "rgb(14, 20, 19)"
        await page.reload()
        assert await page.evaluate(back) == "rgb(14, 20, 19)"


@in_browser
async def test_the_address_brings_back_everything_but_secrets(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    async with visiting(browser, url) as page:
        await page.fill("#auth", '{"token": "geheim-1"}')
        await page.fill("#query", "token=geheim-2")
        await page.fill("#event", "echo")
        await page.fill("#args", '"geheim-3"')
        await page.fill("#namespace", "/chat")
        await page.press("#namespace", "Enter")
        await page.fill("#filter", "some thing")
        await page.uncheck("#ack")
        await page.uncheck("#transports [value=polling]")
        await page.click("#kinds [value=packet]")
        await becomes(page, "location.hash.includes('packet')")
        link = page.url
        assert "geheim" not in link and "namespaces=/,/chat" in link
        cookies: Any = await page.context.cookies()
        other = await browser.new_page()
        await other.context.add_cookies(cookies)
        await other.goto(link)
        await other.wait_for_selector("#tab-\\/chat[aria-selected=true]")
        assert await other.input_value("#filter") == "some thing"
        assert await other.input_value("#event") == "echo"
        assert not await other.is_checked("#ack")
        assert not await other.is_checked("#transports [value=polling]")
        # A link connects to nothing.
        assert await other.get_attribute("#state", "data-state") == "closed"
        await other.context.close()
        # The same tab still knows what was typed.
        await page.reload()
        await page.wait_for_selector("#transports input")
        assert await page.input_value("#auth") == '{"token": "geheim-1"}'


@in_browser
async def test_what_is_wrong_with_json_is_told_in_words(
    browser: Browser, io: nuncio.Server, url: str
) -> None:
    wrong = {
        "hello": 'Texts stand in double quotes: "hello" (column 1).',
        '"a", hello': 'Texts stand in double quotes: "hello" (column 6).',
        "{a: 1}": 'Names stand in double quotes: "a" (column 2).',
        "'a'": 'JSON has plain double quotes: " (column 1).',
        "{'a': 1}": 'JSON has plain double quotes: " (column 2).',
        '"a': "The text that begins here is not closed (column 1).",
        '"a\nb"': "A text cannot go over lines: write \\n in it (line 1, column 1).",
        '"C:\\dir"': "In the text that begins here is a backslash too many: write \\\\ (column 1).",
        "[1, 2": "] is missing at the end (column 6).",
        '{"a": 1': "} is missing at the end (column 8).",
        '{"a" 1}': '":" is missing behind the name (column 6).',
        '{"a": }': 'A value is missing before "}" (column 7).',
        "1,": "There is a comma with nothing behind it (column 3).",
        "[1,]": "There is a comma with nothing behind it, before ] (column 4).",
        "1 2": 'A comma is missing before "2" (column 3).',
        "[1 2]": '"," or "]" is missing before "2]" (column 4).',
        "01": "01 is no number in JSON (column 1).",
        "1]": 'A comma is missing before "]" (column 2).',
        "1], [2": 'A comma is missing before "]," (column 2).',
        "{\n  b\n}": 'Names stand in double quotes: "b" (line 2, column 3).',
    }
    async with visiting(browser, url) as page:
        told = await page.evaluate(
            """async (texts) => {
                const { readValues } = await import("./jsontext.js");
                const problem = (text) => {
                    try {
                        readValues(text);
                    } catch (error) {
                        return error.message;
                    }
                };
                return texts.map(problem);
            }""",
            list(wrong),
        )
        assert dict(zip(wrong, told, strict=True)) == wrong
        await page.fill("#args", "hello")
        assert await page.text_content("#args-problem") == wrong["hello"]
        assert await page.get_attribute("#args", "aria-invalid") == "true"
        for text, count in {
            "": "no arguments",
            " \n": "no arguments",
            "1": "1 argument",
            '[1, {"a": "\\u00e9"}], null, -1.5e3': "3 arguments",
        }.items():
            await page.fill("#args", text)
            assert await page.text_content("#args-count") == count
            assert await page.text_content("#args-problem") == ""
        await page.fill("#args", '1,{"a":[]}')
        await page.click("#format")
        assert await page.input_value("#args") == '1,\n{\n  "a": []\n}'
        await page.fill("#auth", "[1]")
        await page.click("#connect-button")
        assert "must be one object" in (await page.text_content("#auth-problem") or "")
        assert await page.get_attribute("#state", "data-state") == "closed"


def test_every_transport_by_itself(run: Run, browser: Browser) -> None:
    async def visit() -> None:
        names = ["polling", "websocket", "stream", "sse", "forever"]
        io = server(transports=names)
        async with visiting(browser, await console_of(io)) as page:
            assert await page.locator("#transports input:enabled").count() == len(names)
            for name in names:
                for other in names:
                    await page.set_checked(f"#transports [value={other}]", other == name)
                await page.click("#clear")
                await connects(page)
                await sees(page, "way", f"opened by {name}")
                await emits(page, "echo", f'"by {name}"')
                await sees(page, "ack", "echo", f'"by {name}"')
                await page.click("#connect-button")
                await page.wait_for_selector("#state[data-state=closed]")
        await io.close(timeout=1)

    run(visit())


def test_a_server_that_writes_messagepack(run: Run, browser: Browser) -> None:
    async def visit() -> None:
        io = server(parser=nuncio.MsgPackParser())
        async with visiting(browser, await console_of(io)) as page:
            await connects(page)
            await emits(page, "echo", '{"packed": true}')
            await sees(page, "ack", "echo", "{packed: true}")
        await io.close(timeout=1)

    run(visit())


def test_below_another_path(run: Run, browser: Browser) -> None:
    async def visit() -> None:
        io = server()
        inner = io.asgi()

        async def mounted(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, "root_path": "/deep"}, receive, send)

        async with await nuncio.Server(path="/other").listen(0, app=mounted) as own:
            url = f"http://127.0.0.1:{own.port}/deep/socket.io/console/"
            async with visiting(browser, url) as page:
                assert await page.input_value("#path") == "/deep/socket.io/"
                await connects(page)
                await emits(page, "echo", "1")
                await sees(page, "ack", "echo", "1")
        await io.close(timeout=1)

    run(visit())


def test_who_is_no_longer_signed_in_is_asked_again(run: Run, browser: Browser) -> None:
    async def visit() -> None:
        io = server()
        async with visiting(browser, await console_of(io)) as page:
            await connects(page)
            await eventually(lambda: io.engine.clients_count == 1)
            await page.context.clear_cookies()
            await page.reload()
            await page.wait_for_selector("[name=secret]")
            # The page has left, so has its connection.
            await eventually(lambda: io.engine.clients_count == 0)
        await io.close(timeout=1)

    run(visit())
