"""The server of the whiteboard: pages made of the Python client draw, and hostile ones try to."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

import nuncio
from tests.examples.test_examples import EXAMPLES, load
from tests.support.aio import eventually, run_async, within
from tests.support.faults import UP, FaultProxy
from tests.support.rawclient import fetch

keys = itertools.count(1)


@pytest.fixture
def app() -> ModuleType:
    """The application, with no boards yet."""
    return load(EXAMPLES / "whiteboard" / "app.py", "whiteboard_example")


def stroke(*points: int, style: int = 0, width: int = 6) -> bytes:
    """A stroke as the page encodes it."""
    return struct.pack(f"<BB{len(points)}h", style, width, *points)


def read(snapshot: bytes) -> tuple[int, dict[int, bytes]]:
    """A snapshot as the page reads it: the version, and the strokes by their ids."""
    [version] = struct.unpack_from("<I", snapshot)
    strokes, at = {}, 4
    while at < len(snapshot):
        number, length = struct.unpack_from("<IH", snapshot, at)
        strokes[number] = snapshot[at + 6 : at + 6 + length]
        at += 6 + length
    return version, strokes


class Page:
    """What `index.html` is, without a screen.

    Attributes:
        seen: the events that came, with their arguments; those that say who is there left out.
        people: the names of who is at the board.
    """

    def __init__(self, socket: nuncio.ClientSocket) -> None:
        self.socket = socket
        self.seen: list[tuple[Any, ...]] = []
        self.people: list[str] = []
        socket.on_any(self._take)

    def _take(self, event: str, *args: Any) -> None:
        if event == "people":
            self.people = [person["name"] for person in args[0]]
        elif event in ("cursor", "sketch"):
            self.seen.append((event, *args))
        else:
            # Behind its own arguments what is not volatile has an offset, for recovery.
            assert isinstance(args[-1], str)
            self.seen.append((event, *args[:-1]))

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit, and wait for the answer."""
        return await self.socket.emit_with_ack(event, *args, timeout=30.0)

    async def draw(self, drawn: bytes, key: int | None = None) -> Any:
        """Draw a stroke; by default a new one."""
        return await self.ask("draw", next(keys) if key is None else key, drawn)

    async def sees(self, *wanted: str) -> list[tuple[Any, ...]]:
        """Wait until so many events have come; they must have these names."""
        await eventually(lambda: len(self.seen) >= len(wanted), f"{wanted} in {self.seen}")
        assert [event for event, *_ in self.seen] == list(wanted)
        return self.seen


@asynccontextmanager
async def page(
    port: int, board: str | None = "plans", name: str = "Ada", **options: Any
) -> AsyncIterator[Page]:
    """Open a page at a board."""
    auth = {"name": name, "key": (name * 16)[:16]}
    url = f"http://127.0.0.1:{port}"
    async with nuncio.connect(url, auth=auth, force_new=True, **options) as socket:
        opened = Page(socket)
        if board is not None:
            assert (await opened.ask("join", board))["ok"]
        yield opened


@run_async
async def test_who_comes_late_gets_the_whole_board_in_one_answer(app: ModuleType) -> None:
    async with await app.io.listen(0, app=app.page) as listening:
        assert "<title>Whiteboard</title>" in (await fetch(listening.port, "/")).text
        async with page(listening.port) as ada:
            first, second = stroke(0, 0, 16, 16), stroke(25600, 16000, style=0x29, width=28)
            assert await ada.draw(first) == {"ok": True}
            assert await ada.draw(second) == {"ok": True}
            await ada.sees("drawn", "drawn")
            async with page(listening.port, None, "Grace") as grace:
                answer = await grace.ask("join", "plans")
                assert read(answer["board"]) == (2, {1: first, 2: second})
                assert grace.seen == []
                await eventually(lambda: ada.people == grace.people == ["Ada", "Grace"])
            await eventually(lambda: ada.people == ["Ada"])


@run_async
async def test_all_get_the_same_changes_with_the_same_numbers(app: ModuleType) -> None:
    async with (
        await app.io.listen(0) as listening,
        page(listening.port) as ada,
        page(listening.port, name="Grace") as grace,
        page(listening.port, "elsewhere", "Tim") as tim,
    ):
        one, other = stroke(1, 2, 3, 4), stroke(5, 6)
        await ada.draw(one, 71)
        await grace.draw(other, 72)
        assert await ada.ask("undo") == {"ok": True}
        assert (await ada.ask("undo"))["error"] == "There is nothing of yours to undo."
        assert await ada.ask("clear") == {"ok": True}
        expected = [
            ("drawn", 1, ada.socket.id, 71, one),
            ("drawn", 2, grace.socket.id, 72, other),
            ("undone", 3, 1),
            ("cleared", 4, ada.socket.id, "Ada"),
        ]
        for everybody in (ada, grace):
            assert await everybody.sees("drawn", "drawn", "undone", "cleared") == expected
        assert read((await tim.ask("join", "plans"))["board"]) == (4, {})
        assert tim.seen == []


@run_async
async def test_a_stroke_that_is_sent_again_is_there_once(app: ModuleType) -> None:
    async with await app.io.listen(0) as listening, page(listening.port) as ada:
        assert await ada.draw(stroke(1, 1), 5) == await ada.draw(stroke(1, 1), 5) == {"ok": True}
        await ada.ask("clear")
        # Nor does it come back when it has been wiped meanwhile.
        assert await ada.draw(stroke(1, 1), 5) == {"ok": True}
        await ada.sees("drawn", "cleared")


@run_async
async def test_cursors_and_sketches_reach_the_others_only(app: ModuleType) -> None:
    async with (
        await app.io.listen(0) as listening,
        page(listening.port, transports=["websocket"]) as ada,
        page(listening.port, name="Grace", transports=["websocket"]) as grace,
    ):
        ada.socket.emit("cursor", 10, 20)
        ada.socket.emit("sketch", 9, stroke(10, 20, 30, 40))
        await grace.sees("cursor", "sketch")
        assert grace.seen == [
            ("cursor", ada.socket.id, 10, 20),
            ("sketch", ada.socket.id, 9, stroke(10, 20, 30, 40)),
        ]
        assert ada.seen == []


HOSTILE = {
    "no bytes": "stroke",
    "nothing": b"",
    "half a point": stroke(1, 1) + b"\x01",
    "a point without a y": stroke(1),
    "a tool that is none": stroke(1, 1, style=0x30),
    "a colour that is none": stroke(1, 1, style=0x0A),
    "left of the board": stroke(-1, 1),
    "right of the board": stroke(25601, 1),
    "below the board": stroke(1, 16001),
    "too many points": stroke(*[1] * 2002),
}


@run_async
async def test_what_the_page_would_never_send_is_refused(app: ModuleType) -> None:
    async with (
        await app.io.listen(0) as listening,
        page(listening.port, name="Mallory") as mallory,
        page(listening.port) as ada,
    ):
        for what, drawn in HOSTILE.items():
            assert "error" in await mallory.ask("draw", 1, drawn), what
            mallory.socket.emit("sketch", 1, drawn)
        for wrong in (-1, 2**53, "1", 1.5, None):
            assert "error" in await mallory.ask("draw", wrong, stroke(1, 1)), wrong
        for x, y in ((-1, 0), (0, 16001), ("0", 0), (None, None)):
            mallory.socket.emit("cursor", x, y)
        for name in ("", "Plans", "a" * 41, "../etc", 7):
            assert "error" in await mallory.ask("join", name), name
        assert await mallory.draw(stroke(1, 1)) == {"ok": True}
        await ada.sees("drawn")


@run_async
async def test_one_has_to_join_first_and_to_have_a_name(app: ModuleType) -> None:
    async with await app.io.listen(0) as listening:
        async with page(listening.port, None) as ada:
            for event, *args in (("draw", 1, stroke(1, 1)), ("undo",), ("clear",)):
                assert (await ada.ask(event, *args))["error"] == "Join a board first."
        url = f"http://127.0.0.1:{listening.port}"
        for name in ("", "   ", "x" * 25, "a\u202eb", None, ["Ada"]):
            with pytest.raises(nuncio.ConnectError, match="1 to 24"):
                await nuncio.connect(url, auth={"name": name, "key": "k" * 16}, force_new=True)


@run_async
async def test_the_oldest_strokes_make_room(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BOARD_STROKES", 3)
    monkeypatch.setattr(app, "BOARD_BYTES", 100)
    async with await app.io.listen(0) as listening, page(listening.port) as ada:
        for _ in range(4):
            await ada.draw(stroke(1, 1))
        await ada.sees("drawn", "drawn", "drawn", "drawn", "faded")
        assert ada.seen[-1] == ("faded", 5, 1)
        await ada.draw(large := stroke(*range(46)))
        assert ada.seen[-1] == ("faded", 7, 3)
        version, strokes = read((await ada.ask("join", "plans"))["board"])
        assert (version, strokes) == (7, {4: stroke(1, 1), 6: large})


@run_async
async def test_boards_and_people_are_bounded(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BOARDS", 2)
    monkeypatch.setattr(app, "PEOPLE", 1)
    async with (
        await app.io.listen(0) as listening,
        page(listening.port, "one", "Ada") as ada,
        page(listening.port, None, "Grace") as grace,
    ):
        assert "1 people" in (await grace.ask("join", "one"))["error"]
        assert (await grace.ask("join", "two"))["ok"]
        assert "too many boards" in (await grace.ask("join", "three"))["error"]
        # Still where she was.
        assert await grace.draw(stroke(1, 1)) == {"ok": True}
        assert await ada.draw(stroke(1, 1)) == {"ok": True}
        # A board that was left may still have to be there for those who lost their link.
        assert (await grace.ask("join", "two"))["ok"]
        await ada.socket.close()
        await eventually(lambda: not app.boards["one"].people)
        assert "too many boards" in (await grace.ask("join", "three"))["error"]
        app.boards["one"].left -= 2 * app.SECONDS_AWAY + 1
        assert (await grace.ask("join", "three"))["ok"]
        assert set(app.boards) == {"two", "three"}


@run_async
async def test_after_a_cut_nothing_is_lost_or_doubled(app: ModuleType) -> None:
    async with await app.io.listen(0) as listening, FaultProxy(listening.port) as proxy:
        fast: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05}
        async with page(proxy.port, **fast) as ada, page(listening.port, name="Grace") as grace:
            await ada.draw(stroke(1, 1), 11)
            await ada.sees("drawn")
            who = ada.socket.id
            back = asyncio.Event()
            ada.socket.on("connect", back.set)
            await proxy.refuse()
            proxy.cut()
            await eventually(lambda: grace.people == ["Grace"])
            await grace.draw(stroke(2, 2), 12)
            await grace.ask("undo")
            await grace.draw(stroke(3, 3), 13)
            await proxy.accept()
            await within(back.wait())
            assert ada.socket.recovered
            assert ada.socket.id == who
            await ada.draw(stroke(4, 4), 14)
            await ada.sees("drawn", "drawn", "undone", "drawn", "drawn")
            assert [number for _, number, *_ in ada.seen] == [1, 2, 3, 4, 5]
            await eventually(lambda: sorted(ada.people) == ["Ada", "Grace"])
            # Her own strokes are still hers.
            assert await ada.ask("undo") == {"ok": True}
            assert await ada.ask("undo") == {"ok": True}
            assert not (await ada.ask("undo"))["ok"]


@run_async
async def test_a_page_that_comes_back_before_its_dead_link_was_noticed(app: ModuleType) -> None:
    async with await app.io.listen(0) as listening, FaultProxy(listening.port) as proxy:
        fast: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05}
        async with page(proxy.port, transports=["websocket"], **fast) as ada:
            back = asyncio.Event()
            ada.socket.on("connect", back.set)
            # The server does not hear that this link has ended.
            proxy.stall(UP)
            old = proxy.links.pop()
            proxy.resume(UP)
            left = []
            app.io.on("disconnect", lambda socket, reason: left.append(reason))
            ada.socket.io.engine.close()
            await within(back.wait())
            assert ada.socket.recovered
            await eventually(lambda: left)
            await eventually(lambda: ada.people == ["Ada"])
            assert list(app.boards["plans"].people) == [ada.socket.id]
            assert await ada.draw(stroke(1, 1)) == {"ok": True}
            old.close(rst=True)
