"""A game for up to eight in each arena: the server decides, 30 times a second.

    python examples/game/app.py        # then open http://localhost:3005 in two windows

Collect sparks; dash into others, and they lose some. The first with 20 wins the round. Bots fill
the arena while few people are in it. The page is `index.html`; this file is the server: first the
rules, which know nothing of Socket.IO, then the part that does.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import itertools
import math
import random
import struct
from pathlib import Path
from typing import Annotated, Any

import msgspec

import nuncio

PAGE = Path(__file__).parent / "index.html"

TICKS = 30  # a second
WIDTH, HEIGHT, RADIUS = 1600, 900, 24
SEATS, CROWD = 8, 4  # with fewer than four people, bots join in
SPARKS, MOST_SPARKS, GOAL = 14, 60, 20
ARENAS, WATCHERS = 40, 60

# How an orb moves. The page knows the same numbers: it does not wait for us to show its own orb.
THRUST, DRAG, BOUNCE = 1.0, 0.92, -0.6
DASH, DASH_TICKS, DASH_PAUSE, STUNNED_TICKS = 27.0, 9, 40, 20

IDLE_SECONDS = 45  # who does nothing for so long makes room
AWAY_SECONDS = 20  # who reloads the page, or loses the link, finds the orb where it was


# --- the rules


@dataclasses.dataclass
class Orb:
    """Somebody in an arena, a bot or a person.

    Attributes:
        key: whose it is, known to that page alone; empty for a bot.
        owner: the id of the socket that steers it; empty while that is away, and for a bot.
        inputs: what the page did in its last ticks and the server has not yet: with one input for
            each tick it can tell the page how far it got, and the page what it shows beyond that.
        active: the tick of the last input that was not nothing.
        away: the tick at which the owner left, or 0.
    """

    id: int
    name: str
    key: str = ""
    owner: str = ""
    x: float = WIDTH / 2
    y: float = HEIGHT / 2
    vx: float = 0.0
    vy: float = 0.0
    inputs: collections.deque[tuple[int, float, float, bool]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=4)
    )
    input: tuple[int, float, float, bool] = (0, 0.0, 0.0, False)
    dashing: int = 0
    pause: int = 0
    stunned: int = 0
    score: int = 0
    active: int = 0
    away: int = 0

    def move(self) -> None:
        """One tick. The same as `move` in the page."""
        if self.inputs:
            self.input = self.inputs.popleft()
        _, x, y, dash = self.input
        thrust = 0.0 if self.stunned else THRUST
        self.stunned -= self.stunned > 0
        self.dashing -= self.dashing > 0
        self.pause -= self.pause > 0
        if dash and (x or y) and thrust and not self.pause:
            length = math.hypot(x, y)
            self.vx, self.vy = x / length * DASH, y / length * DASH
            self.dashing, self.pause = DASH_TICKS, DASH_PAUSE
        self.vx = (self.vx + x * thrust) * DRAG
        self.vy = (self.vy + y * thrust) * DRAG
        self.x += self.vx
        self.y += self.vy
        if not RADIUS <= self.x <= WIDTH - RADIUS:
            self.x = min(max(self.x, RADIUS), WIDTH - RADIUS)
            self.vx *= BOUNCE
        if not RADIUS <= self.y <= HEIGHT - RADIUS:
            self.y = min(max(self.y, RADIUS), HEIGHT - RADIUS)
            self.vy *= BOUNCE


class Arena:
    """One arena: who and what is in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.room = f"arena:{name}"  # with a prefix, since every socket's id is a room, too
        self.tick = 1
        self.orbs: dict[int, Orb] = {}
        self.sparks: dict[int, tuple[float, float]] = {}
        self.numbers = itertools.count()
        self.winner = 0
        self.celebrates = 0
        self.watchers: set[str] = set()
        self.changed = True  # who is in it
        self.fill()

    @property
    def players(self) -> list[Orb]:
        """The orbs of people."""
        return [orb for orb in self.orbs.values() if orb.key]

    def add(self, name: str, key: str = "", owner: str = "") -> Orb:
        """Put somebody in."""
        free = next(id for id in range(1, SEATS + 1) if id not in self.orbs)
        orb = Orb(free, name, key, owner, active=self.tick)
        orb.x, orb.y = random.uniform(100, WIDTH - 100), random.uniform(100, HEIGHT - 100)
        self.orbs[free] = orb
        self.changed = True
        return orb

    def remove(self, orb: Orb) -> None:
        """Take somebody out."""
        del self.orbs[orb.id]
        self.changed = True

    def fill(self) -> None:
        """Let bots come and go, so that there is somebody to play with, and a seat for people."""
        bots = [orb for orb in self.orbs.values() if not orb.key]
        names = [
            name for name in ("Bip", "Zap", "Dot", "Pim") if name not in {b.name for b in bots}
        ]
        for name in names[: max(CROWD - len(self.orbs), 0)]:
            self.add(name)
        for bot in bots[: max(len(self.orbs) - CROWD, 0)]:
            self.remove(bot)
        while len(self.sparks) < SPARKS:
            self.spark(random.uniform(40, WIDTH - 40), random.uniform(40, HEIGHT - 40))

    def spark(self, x: float, y: float) -> None:
        """Put down a spark."""
        if len(self.sparks) < MOST_SPARKS:
            x, y = min(max(x, 20), WIDTH - 20), min(max(y, 20), HEIGHT - 20)
            self.sparks[next(self.numbers) % 256] = (x, y)

    def step(self) -> None:
        """One tick of everything."""
        self.tick += 1
        orbs = list(self.orbs.values())
        for orb in orbs:
            if not orb.key:
                self.think(orb)
            if not orb.away:
                orb.move()
        here = [orb for orb in orbs if not orb.away]
        for one, other in itertools.combinations(here, 2):
            if math.hypot(one.x - other.x, one.y - other.y) < 2 * RADIUS:
                self.meet(one, other)
        if self.celebrates:
            self.celebrates -= 1
            if not self.celebrates:
                self.winner = 0
                for orb in orbs:
                    orb.score = 0
            return
        for orb in here:
            for number, (x, y) in list(self.sparks.items()):
                if math.hypot(orb.x - x, orb.y - y) < RADIUS + 12:
                    del self.sparks[number]
                    orb.score += 1
            if orb.score >= GOAL and not self.winner:
                self.winner, self.celebrates = orb.id, 5 * TICKS
        self.fill()

    def meet(self, one: Orb, other: Orb) -> None:
        """Two touch: who dashes wins, otherwise they push each other away."""
        if other.dashing > one.dashing:
            one, other = other, one
        if one.dashing and not other.stunned:
            other.stunned, other.dashing, one.dashing = STUNNED_TICKS, 0, 0
            other.vx, other.vy = one.vx * 0.9, one.vy * 0.9
            one.vx, one.vy = one.vx * -0.3, one.vy * -0.3
            for _ in range(min(3, 0 if self.winner else other.score)):
                other.score -= 1
                angle = random.uniform(0, math.tau)
                self.spark(other.x + 90 * math.cos(angle), other.y + 90 * math.sin(angle))
        dx, dy = one.x - other.x or 0.1, one.y - other.y
        distance = math.hypot(dx, dy)
        push = (2 * RADIUS - distance) / 4 / distance
        for orb, sign in ((one, push), (other, -push)):
            orb.vx += dx * sign
            orb.vy += dy * sign

    def think(self, bot: Orb) -> None:
        """A bot goes for the nearest spark, and now and then for somebody who is near."""
        others = [o for o in self.orbs.values() if o is not bot and not o.away and not o.stunned]
        near = [o for o in others if math.hypot(o.x - bot.x, o.y - bot.y) < 190]
        prey = max(near, key=lambda orb: orb.score, default=None)
        dash = prey is not None and not bot.pause and random.random() < 0.05
        if dash and prey is not None:
            x, y = prey.x, prey.y
        else:
            spots = self.sparks.values()
            x, y = min(spots, key=lambda at: math.hypot(at[0] - bot.x, at[1] - bot.y))
        angle = math.atan2(y - bot.y, x - bot.x) + random.uniform(-0.5, 0.5)
        bot.input = (0, 0.62 * math.cos(angle), 0.62 * math.sin(angle), dash)

    def snapshot(self) -> bytes:
        """All that moves, in some 200 bytes: one that is lost is made up for by the next."""
        parts = [struct.pack("<IBBB", self.tick, self.winner, len(self.orbs), len(self.sparks))]
        for orb in self.orbs.values():
            parts.append(
                struct.pack(
                    "<BBH4h4B",
                    *(orb.id, bool(orb.away), orb.input[0]),
                    *(int(orb.x * 16), int(orb.y * 16), int(orb.vx * 256), int(orb.vy * 256)),
                    *(orb.dashing, orb.pause, orb.stunned, orb.score),
                )
            )
        for number, (x, y) in self.sparks.items():
            parts.append(struct.pack("<Bhh", number, int(x * 16), int(y * 16)))
        return b"".join(parts)

    def roster(self) -> list[dict[str, Any]]:
        """Who is who in the snapshots."""
        return [{"id": o.id, "name": o.name, "bot": not o.key} for o in self.orbs.values()]


arenas: dict[str, Arena] = {}


# --- the server


@dataclasses.dataclass
class Player:
    """What `socket.data` is: whose page it is, and which arena it shows."""

    name: str = ""
    key: str = ""
    arena: str = ""


Socket = nuncio.Socket[Player]
Answer = dict[str, Any]

# Annotations are contracts: what does not fit never reaches the handler.
ArenaName = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]{1,30})?$")]
Number = Annotated[int, msgspec.Meta(ge=0, lt=65536)]
Push = Annotated[float, msgspec.Meta(ge=-1, le=1)]

io = nuncio.Server(
    data=Player,
    # A page that lost its link for a moment is the same socket, in the same arena, when it is back.
    connection_state_recovery={"max_disconnection_duration": AWAY_SECONDS},
    max_http_buffer_size=4096,
    limits=nuncio.Limits(
        # Back-pressure: a page that sends more than this is not read for a moment.
        events_per_connection=nuncio.Rate(60, burst=180),
        # What is late by more than this is not sent to a slow phone: see `run_arenas`.
        high_water_bytes=2048,
    ),
)

# Two namespaces over one connection. Everybody hears in the first which arenas there are; what
# happens in an arena is sent in the second, to those in its room.
lobby = io.sockets
play = io.of("/play")
# What waits for somebody slow is news of a moment: the oldest goes, and nobody is cut off for it.
play.slow_consumer = "drop_oldest"
awake = asyncio.Event()


class Refused(Exception):
    """Something that was not done. Its text is for the person at the page."""


@io.exception_handler(Refused, nuncio.ArgumentError, nuncio.RateLimited)
def refused(error: Exception) -> Answer:
    """The acknowledgement of what a handler refuses, or Nuncio before it: always of one form."""
    return {"ok": False, "error": str(error)}


@lobby.on("connection")
def visitor(socket: Socket) -> None:
    """Somebody opened the page."""
    socket.emit("arenas", overview())


@play.use
def named(socket: Socket) -> None:
    """Nobody comes in without a name. The page shows the reason."""
    name, key = socket.handshake.auth.get("name"), socket.handshake.auth.get("key")
    name = " ".join(name.split()) if isinstance(name, str) else ""
    if not 1 <= len(name) <= 16 or not name.isprintable():
        raise nuncio.ConnectError("A name has 1 to 16 characters.")
    if not isinstance(key, str) or not 16 <= len(key) <= 64:
        raise nuncio.ConnectError("This page is out of date. Load it again.")
    socket.data.name, socket.data.key = name, key


@play.on("connection")
def connection(socket: Socket) -> None:
    """Somebody is new, and will enter an arena; or lost the link, and is back where they were."""
    if socket.recovered and socket.data.arena:
        arrive(socket, open_arena(socket.data.arena))


@play.on("disconnect")
def leave(socket: Socket) -> None:
    """A page was closed, reloaded or lost its link, or goes elsewhere: its orb waits a while."""
    if arena := arenas.get(socket.data.arena):
        arena.watchers.discard(socket.id)
        if orb := orb_of(socket, arena):
            orb.owner, orb.away = "", arena.tick
            orb.inputs.clear()
        tell_lobby()


@play.event
def enter(socket: Socket, name: ArenaName) -> Answer:
    """Come to an arena as a spectator, or back to one's orb. Without a name: where it is free."""
    arena = open_arena(name or somewhere())
    if len(arena.watchers) >= WATCHERS and socket.id not in arena.watchers:
        raise Refused("Too many people watch this arena. Try another one.")
    if socket.data.arena not in ("", arena.name):
        socket.leave(f"arena:{socket.data.arena}")
        leave(socket)
    socket.data.arena = arena.name
    socket.join(arena.room)
    orb = arrive(socket, arena)
    you = orb.id if orb else 0
    return {"ok": True, "name": arena.name, "roster": arena.roster(), "you": you}


def open_arena(name: str) -> Arena:
    """An arena that is there, or a new one."""
    if name not in arenas:
        if len(arenas) >= ARENAS:
            raise Refused("There are enough arenas. Join one of them.")
        arenas[name] = Arena(name)
        awake.set()
    return arenas[name]


def somewhere() -> str:
    """An arena where one more person can play, perhaps a new one."""
    free = (a.name for a in arenas.values() if len(a.players) < SEATS > len(a.watchers))
    new = (f"arena-{number}" for number in itertools.count(1))
    return next(free, "") or next(name for name in new if name not in arenas)


def arrive(socket: Socket, arena: Arena) -> Orb | None:
    """Count somebody in, and give back their orb if they had one a moment ago."""
    arena.watchers.add(socket.id)
    orb = next((orb for orb in arena.players if orb.key == socket.data.key), None)
    if orb:
        if orb.owner not in ("", socket.id):
            play.to(orb.owner).emit("out", "You play in another window now.")
        orb.owner, orb.away, orb.active = socket.id, 0, arena.tick
    tell_lobby()
    return orb


def in_arena(socket: Socket) -> Arena:
    """The arena where somebody is: handlers say that they need it."""
    if socket.data.arena not in arenas:
        raise Refused("Enter an arena first.")
    return arenas[socket.data.arena]


def orb_of(socket: Socket, arena: Arena) -> Orb | None:
    """The orb that somebody steers."""
    return next((orb for orb in arena.players if orb.owner == socket.id), None)


Here = Annotated[Arena, nuncio.Depends(in_arena)]


@play.event(name="play")
def take_part(socket: Socket, arena: Here) -> Answer:
    """A spectator wants to play."""
    orb = orb_of(socket, arena)
    if orb is None:
        if len(arena.players) >= SEATS:
            raise Refused("All eight seats are taken. Watch, or go to another arena.")
        if len(arena.orbs) >= SEATS:
            arena.remove(next(orb for orb in arena.orbs.values() if not orb.key))
        orb = arena.add(socket.data.name, socket.data.key, socket.id)
        tell_lobby()
    return {"ok": True, "you": orb.id}


@play.event
def rest(socket: Socket, arena: Here) -> Answer:
    """A player wants to watch."""
    if orb := orb_of(socket, arena):
        arena.remove(orb)
        tell_lobby()
    return {"ok": True}


@play.event
def steer(socket: Socket, number: Number, x: Push, y: Push, dash: bool, arena: Here) -> None:
    """What somebody did in one tick of their page. Volatile: a late one is worth nothing."""
    if orb := orb_of(socket, arena):
        length = max(math.hypot(x, y), 1.0)
        orb.inputs.append((number, x / length, y / length, dash))
        if x or y or dash:
            orb.active = arena.tick


@play.event
def latency(socket: Socket) -> None:
    """The page measures how long this takes: an empty acknowledgement."""


def overview() -> list[Answer]:
    """Every arena, with how many play and watch."""
    return [
        {"name": a.name, "players": len(a.players), "watchers": len(a.watchers)}
        for a in arenas.values()
    ]


def tell_lobby() -> None:
    """Only the latest list counts: on a slow link it takes the place of one that waits."""
    lobby.when_slow(nuncio.conflate("arenas")).emit("arenas", overview())


async def run_arenas() -> None:
    """The one loop for all arenas. It sleeps while there are none."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        if not arenas:
            awake.clear()
            await awake.wait()
            due = clock()
        for arena in list(arenas.values()):
            arena.step()
            make_room(arena)
            if arena.changed:
                arena.changed = False
                # Not volatile: without it nobody knows who is who.
                newest = play.to(arena.room).when_slow(nuncio.conflate(arena.room))
                newest.emit("roster", arena.roster())
            # Encoded once for all. Volatile: for whom the last one still waits gets a later one.
            play.to(arena.room).volatile.emit("state", arena.snapshot())
        # Where the machine could not keep up, time is lost and not made up for.
        due = max(due + 1 / TICKS, clock() - 0.25)
        await asyncio.sleep(due - clock())


def make_room(arena: Arena) -> None:
    """Take out who is idle or does not come back, and the arena itself when nobody is left."""
    for orb in arena.players:
        gone = orb.away and arena.tick - orb.away > AWAY_SECONDS * TICKS
        idle = arena.tick - orb.active > IDLE_SECONDS * TICKS
        if gone or (idle and not orb.away):
            arena.remove(orb)
            if orb.owner:
                play.to(orb.owner).emit("out", "You did nothing for a while, so you watch now.")
            tell_lobby()
    if not arena.watchers and not arena.players:
        del arenas[arena.name]
        tell_lobby()


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE.read_bytes()})


async def main(host: str, port: int) -> None:
    """Serve, and run the arenas."""
    async with await io.listen(port, host, app=page) as listening:
        print(f"Game on http://localhost:{listening.port}; Ctrl-C stops", flush=True)
        await asyncio.gather(listening.wait(), run_arenas())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="The game example of Nuncio.")
    arguments.add_argument("--host", default="127.0.0.1", help="address; 0.0.0.0 for the network")
    arguments.add_argument("--port", type=int, default=3005, help="port to listen on")
    options = arguments.parse_args()
    try:
        asyncio.run(main(options.host, options.port))
    except KeyboardInterrupt:
        pass
