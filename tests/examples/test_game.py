"""The server of the game: its rules, and what pages made of the Python client see of them."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

import nuncio
from tests.examples.test_examples import EXAMPLES, load
from tests.support.aio import eventually, run_async, within
from tests.support.faults import FaultProxy
from tests.support.rawclient import Polling, fetch

FAST: dict[str, Any] = {"reconnection_delay": 0.01, "reconnection_delay_max": 0.05}


@pytest.fixture
def app() -> ModuleType:
    """The application, with no arenas yet."""
    return load(EXAMPLES / "game" / "app.py", "game_example")


@pytest.fixture
def tame(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The application, whose bots stay where they are."""
    monkeypatch.setattr(app.Arena, "think", lambda arena, bot: None)
    return app


class State:
    """A snapshot as the page reads it."""

    def __init__(self, data: bytes) -> None:
        self.tick, self.winner, orbs, sparks = struct.unpack_from("<IBBB", data)
        self.orbs: dict[int, dict[str, float]] = {}
        names = ("away", "number", "x", "y", "vx", "vy", "dashing", "pause", "stunned", "score")
        for at in range(orbs):
            number, *values = struct.unpack_from("<BBH4h4B", data, 7 + 16 * at)
            self.orbs[number] = dict(zip(names, values, strict=True))
            self.orbs[number]["x"] /= 16
            self.orbs[number]["y"] /= 16
        assert len(data) == 7 + 16 * orbs + 5 * sparks


class Page:
    """What `index.html` is, without a screen."""

    def __init__(self, socket: nuncio.ClientSocket) -> None:
        self.socket = socket
        self.ticks: list[int] = []
        self.state = State(bytes(7))
        self.roster: list[str] = []
        self.out: list[str] = []
        self.you = 0
        socket.on("state", self._state)
        socket.on("roster", self.take_roster)
        socket.on("out", lambda why: self.out.append(why))

    def _state(self, data: bytes) -> None:
        self.state = State(data)
        self.ticks.append(self.state.tick)

    def take_roster(self, roster: list[dict[str, Any]]) -> None:
        self.roster = [one["name"] for one in roster]

    @property
    def orb(self) -> dict[str, float]:
        """One's own orb in the newest snapshot."""
        return self.state.orbs[self.you]

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit, and wait for the answer."""
        return await self.socket.emit_with_ack(event, *args, timeout=30.0)

    async def play(self) -> None:
        """Take part, and wait until the orb is to be seen."""
        answer = await self.ask("play")
        assert answer["ok"], answer
        self.you = answer["you"]
        await eventually(lambda: self.you in self.state.orbs, "one's own orb")

    async def sees(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        await eventually(condition, what)


@asynccontextmanager
async def serving(app: ModuleType) -> AsyncIterator[int]:
    """Serve, and run the arenas; the port."""
    async with await app.io.listen(0, app=app.page) as listening:
        loop = asyncio.ensure_future(app.run_arenas())
        try:
            yield listening.port
        finally:
            assert not loop.done()
            loop.cancel()


@asynccontextmanager
async def page(
    port: int, name: str = "Ada", arena: str = "here", **options: Any
) -> AsyncIterator[Page]:
    """Open a page at an arena, as a spectator."""
    auth = {"name": name, "key": (name * 16)[:16]}
    url = f"http://127.0.0.1:{port}/play"
    options = {"transports": ["websocket"]} | options
    async with nuncio.connect(url, auth=auth, force_new=True, **options) as socket:
        opened = Page(socket)
        answer = await opened.ask("enter", arena)
        assert answer["ok"], answer
        opened.you = answer["you"]
        opened.take_roster(answer["roster"])
        yield opened


# --- the rules


def duel(app: ModuleType) -> tuple[Any, Any, Any]:
    """An arena with two orbs that touch, the first on the left, and no sparks near."""
    arena = app.Arena("duel")
    arena.orbs.clear()
    arena.sparks.clear()
    one, other = arena.add("one", "k1", "s1"), arena.add("other", "k2", "s2")
    (one.x, one.y), (other.x, other.y) = (500, 400), (540, 400)
    return arena, one, other


def test_who_dashes_takes_sparks_from_the_other(app: ModuleType) -> None:
    arena, one, other = duel(app)
    one.score, other.score, one.dashing, one.vx = 5, 5, 6, 20.0
    arena.meet(one, other)
    assert (one.score, other.score, len(arena.sparks)) == (5, 2, 3)
    assert other.stunned
    assert other.vx > 10
    assert one.vx < 0
    # Once: who is stunned is left alone.
    one.dashing = 6
    arena.meet(one, other)
    assert other.score == 2


def test_who_has_less_than_three_loses_no_more_than_that(app: ModuleType) -> None:
    arena, one, other = duel(app)
    other.dashing, one.score = 6, 1
    arena.meet(one, other)
    assert (one.score, one.stunned > 0, len(arena.sparks)) == (0, True, 1)


def test_others_push_each_other_away(app: ModuleType) -> None:
    arena, one, other = duel(app)
    arena.meet(one, other)
    assert one.vx < 0 < other.vx
    assert not one.stunned
    # Nor is there a division by nothing when they are in the same place.
    other.x = one.x
    arena.meet(one, other)
    assert math.isfinite(one.vx)


def test_an_orb_cannot_leave_the_arena_nor_dash_all_the_time(app: ModuleType) -> None:
    orb = app.Orb(1, "Ada", "key")
    dashes = 0
    for number in range(300):
        orb.inputs.append((number, 1.0, 0.0, True))
        before = orb.pause
        orb.move()
        dashes += orb.pause > before
        assert app.RADIUS <= orb.x <= app.WIDTH - app.RADIUS
    assert dashes == math.ceil(300 / app.DASH_PAUSE)


def test_the_round_ends_with_twenty_and_another_begins(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.Arena, "think", lambda arena, bot: None)
    arena, one, other = duel(app)
    other.x = 1200
    one.score = app.GOAL - 1
    arena.sparks[7] = (one.x, one.y)
    arena.step()
    assert (arena.winner, one.score) == (one.id, app.GOAL)
    for _ in range(5 * app.TICKS):
        arena.step()
    assert (arena.winner, one.score) == (0, 0)


def test_bots_play_with_whoever_is_alone(app: ModuleType) -> None:
    arena = app.Arena("bots")
    assert len(arena.orbs) == app.CROWD
    arena.add("Ada", "key", "socket")
    arena.fill()
    assert len(arena.orbs) == app.CROWD
    assert len(arena.players) == 1
    # Sooner or later one of them wins.
    for _ in range(200 * app.TICKS):
        arena.step()
        if arena.winner:
            break
    assert not arena.orbs[arena.winner].key


# --- over the network


@run_async
async def test_each_snapshot_is_the_next_tick_and_no_more_than_thirty_come_in_a_second(
    app: ModuleType,
) -> None:
    async with serving(app) as port, page(port) as ada:
        assert "<title>Sparks</title>" in (await fetch(port, "/")).text
        begun = asyncio.get_running_loop().time()
        await ada.sees(lambda: len(ada.ticks) >= 61, "snapshots")
        # The server may be late, never early: what it cannot catch up in a quarter of a second.
        assert asyncio.get_running_loop().time() - begun > 60 / 30 - 0.3
        first = ada.ticks[0]
        assert ada.ticks == list(range(first, first + len(ada.ticks)))


@run_async
async def test_an_orb_goes_where_it_is_steered(tame: ModuleType) -> None:
    async with serving(tame) as port, page(port) as ada, page(port, "Grace") as grace:
        await ada.play()
        assert "Ada" in ada.roster
        for other in tame.arenas["here"].orbs.values():
            other.x, other.y = 200.0 * other.id, 100.0
        orb = tame.arenas["here"].orbs[ada.you]
        # Where it appeared somebody may have pushed it.
        orb.x, orb.y, orb.vx, orb.vy = 300.0, 450.0, 0.0, 0.0
        ada.socket.emit("steer", 70, 0.5, 0, False)
        await ada.sees(lambda: ada.orb["number"] == 70, "an answer")
        await ada.sees(lambda: ada.orb["x"] > 500, "it moves")
        x = ada.orb["x"]
        await grace.sees(lambda: grace.state.orbs[ada.you]["x"] >= x, "others see it")
        assert ada.orb["y"] == 450
        # More than is possible is no more than the most: both at once is not faster.
        ada.socket.emit("steer", 71, 1, 1, True)
        await ada.sees(lambda: ada.orb["number"] == 71, "an answer")
        assert math.hypot(*orb.input[1:3]) == pytest.approx(1)
        await grace.sees(lambda: grace.state.orbs[ada.you]["pause"], "a dash")


@run_async
async def test_only_eight_play_and_others_watch(tame: ModuleType) -> None:
    async with serving(tame) as port:
        players = []
        for at in range(8):
            context = page(port, f"P{at}")
            players.append((context, one := await context.__aenter__()))
            await one.play()
        async with page(port, "Late") as late:
            assert set(late.roster) == {f"P{at}" for at in range(8)}
            assert "All eight seats" in (await late.ask("play"))["error"]
            # Asked for any arena, there is another one.
            assert (await late.ask("enter", ""))["name"] == "arena-1"
            await late.ask("enter", "here")
            assert (await players[3][1].ask("rest"))["ok"]
            await late.play()
        for context, _ in players:
            await context.__aexit__(None, None, None)


@run_async
async def test_what_the_page_would_never_send_does_nothing(tame: ModuleType) -> None:
    async with serving(tame) as port, page(port) as ada:
        await ada.play()
        for wrong in (
            (-1, 0, 0, False),
            (65536, 0, 0, False),
            (1, 1.5, 0, False),
            (1, "left", 0, False),
            (1, 0, None, False),
            (1, 0, 0, 1),
            (),
        ):
            assert "error" in await ada.ask("steer", *wrong), wrong
        for name in ("Here", "x" * 31, "../x", 7, None):
            assert "error" in await ada.ask("enter", name), name
        # Too much at once: the oldest are forgotten, and nothing grows.
        for number in range(100):
            ada.socket.emit("steer", number, 0, 0, False)
        await ada.sees(lambda: ada.orb["number"] == 99, "the last of them")
        assert ada.you in ada.state.orbs


@run_async
async def test_one_needs_a_name_and_an_arena(app: ModuleType) -> None:
    async with serving(app) as port:
        url = f"http://127.0.0.1:{port}/play"
        for name in ("", " ", "x" * 17, "a\u202eb", 7, None):
            with pytest.raises(nuncio.ConnectError, match="1 to 16"):
                await nuncio.connect(url, auth={"name": name, "key": "k" * 16}, force_new=True)
        auth = {"name": "Ada", "key": "k" * 16}
        async with nuncio.connect(url, auth=auth, force_new=True) as socket:
            answer = await socket.emit_with_ack("play", timeout=30.0)
            assert answer == {"ok": False, "error": "Enter an arena first."}


@run_async
async def test_who_loads_the_page_again_is_where_they_were(tame: ModuleType) -> None:
    async with serving(tame) as port, page(port, "Grace") as grace:
        async with page(port) as ada:
            await ada.play()
            you = ada.you
            orb = tame.arenas["here"].orbs[you]
            (orb.x, orb.y), orb.score = (321.0, 123.0), 7
        await grace.sees(lambda: grace.state.orbs[you]["away"], "she is away")
        async with page(port) as ada:
            assert ada.you == you
            await ada.sees(lambda: you in ada.state.orbs and not ada.orb["away"], "she is back")
            # It may have rolled on a little.
            assert (ada.orb["x"], ada.orb["y"]) == pytest.approx((321, 123), abs=50)
            assert ada.orb["score"] == 7
            # Another window of hers takes over.
            async with page(port) as second:
                assert second.you == you
                await ada.sees(lambda: ada.out, "she is told")
                ada.socket.emit("steer", 9, 1, 0, False)
                assert (await ada.ask("latency")) is None
                assert not orb.inputs
                assert orb.input[0] != 9


@run_async
async def test_after_a_cut_the_same_socket_steers_the_same_orb(tame: ModuleType) -> None:
    async with (
        serving(tame) as port,
        FaultProxy(port) as proxy,
        page(proxy.port, **FAST) as ada,
        page(port, "Grace") as grace,
    ):
        await ada.play()
        who, back = ada.socket.id, asyncio.Event()
        ada.socket.on("connect", back.set)
        await proxy.refuse()
        proxy.cut()
        await grace.sees(lambda: grace.state.orbs[ada.you]["away"], "she is away")
        await proxy.accept()
        await within(back.wait())
        assert ada.socket.recovered
        assert ada.socket.id == who
        ada.ticks.clear()
        await ada.sees(lambda: ada.ticks and not ada.orb["away"], "she is back")
        ada.socket.emit("steer", 77, 1, 0, False)
        await ada.sees(lambda: ada.orb["number"] == 77, "it obeys")


@run_async
async def test_who_is_idle_becomes_a_spectator(
    tame: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tame, "IDLE_SECONDS", 1)
    async with serving(tame) as port, page(port) as ada:
        await ada.play()
        await ada.sees(lambda: ada.out, "she is told")
        await ada.sees(lambda: ada.you not in ada.state.orbs or "Ada" not in ada.roster, "gone")
        monkeypatch.setattr(tame, "IDLE_SECONDS", 60)
        await ada.play()


@run_async
async def test_the_loop_sleeps_when_nobody_is_there(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "AWAY_SECONDS", 0.2)
    async with serving(app) as port:
        async with page(port) as ada:
            await ada.play()
        await eventually(lambda: not app.arenas, "the arena is gone")
        await eventually(lambda: not app.awake.is_set(), "the loop waits")
        async with page(port) as ada:
            await ada.sees(lambda: ada.ticks, "it is awake")


@run_async
async def test_the_lobby_hears_who_plays_where(app: ModuleType) -> None:
    async with serving(app) as port:
        url = f"http://127.0.0.1:{port}/"
        heard: list[Any] = []
        async with nuncio.connect(url, force_new=True) as lobby:
            lobby.on("arenas", lambda arenas: heard.append(arenas))
            async with page(port) as ada:
                await ada.play()
                wanted = [{"name": "here", "players": 1, "watchers": 1}]
                await eventually(lambda: heard and heard[-1] == wanted, "her")


@run_async
async def test_a_slow_phone_gets_the_newest(tame: ModuleType) -> None:
    async with serving(tame) as port, page(port) as ada:
        session = await Polling.open(port)
        auth = {"name": "Tim", "key": "k" * 16}
        await session.post(f"40/play,{json.dumps(auth)}")
        await session.receive()
        await session.post('42/play,1["enter","here"]')
        await session.receive()
        # Now it does not poll.
        before = tame.io.counters.dropped_volatile
        await ada.sees(lambda: tame.io.counters.dropped_volatile > before + 20, "drops")
        newest, states = ada.state.tick, list[str]()
        while not states:
            states = [one for one in await session.receive() if one.startswith("b")]
        assert len(states) == 1
        assert State(base64.b64decode(states[0][1:])).tick > newest
