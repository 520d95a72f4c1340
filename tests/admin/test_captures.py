"""What Node's server told its admin pages, ours tells too: in the same order, in the same shape.

Three things are meant to be otherwise, and `as_ours` says them all:

* Node sends `session` before the client is connected, when the page does not listen yet. Ours sends
  it, and all else, afterwards.
* Node tells of each change of data while a handler runs. Ours looks when handlers have run.
* In which of two pages' order something was said is not compared where there are two.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import nuncio
from tests.admin.site import CREDENTIALS, Site, site
from tests.support.aio import eventually, run_async

Told = tuple[str, str, Any]

FIXTURES = Path(__file__).parent / "fixtures"

# There are two pages in these.
TWO = ("admin_session_relogin", "second_admin_login_all_sockets")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SESSION = re.compile(r"[0-9a-f]{16,}")


class Names:
    """Gives ids names, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def plain(self, value: Any, key: str = "") -> Any:
        """A value without what is another one each time."""
        if isinstance(value, bytes):
            return {"$binary": value.hex()}
        if key == "rooms":
            # Its own is first; the others have no order here.
            value = [value[0], *sorted(value[1:])]
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if key == "handshake":
            return {name: type(item).__name__ for name, item in value.items()}
        if isinstance(value, dict):
            # A socket, or another object.
            return {name: self.plain(item, name) for name, item in value.items()}
        if not isinstance(value, str):
            return value
        if _TIME.fullmatch(value):
            return "<time>"
        if _SESSION.fullmatch(value):
            return "<session>"
        if key == "clientId":
            return f"<client of {len(value)}>"
        if len(value) == 20:
            return self._names.setdefault(value, f"<socket {len(self._names)}>")
        return value


class Play:
    """Does what was done when the captures were made.

    Args:
        here: the server.
    """

    def __init__(self, here: Site) -> None:
        self.here = here
        self.first = here.page()
        self.user: nuncio.ClientSocket = here.client("user", transports=("polling", "websocket"))
        self.session = ""

    @property
    def steps(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What is done, by the name that it has in the captures."""
        return {
            "admin_bad_password": self.bad_password,
            "admin_login": self.login,
            "admin_session_relogin": lambda: self.second({"sessionId": self.session}),
            "user_connect_polling_then_upgrade": self.user_comes,
            "user_event_with_ack": self.asks,
            "user_event_set_data": lambda: says(self.user, "set"),
            "server_broadcast": lambda: says(self.here.io, "bcast", 1),
            "admin_emit_all": lambda: self.acts("emit", "/", None, "from-admin", 1, "two"),
            "admin_emit_filter": lambda: self.acts("emit", "/", "lobby", "from-admin-room", 1),
            "admin_join": lambda: self.acts("join", "/", "vip", "lobby"),
            "admin_join_sid": lambda: self.acts("join", "/", "vip2", self.user.id),
            "admin_leave": lambda: self.acts("leave", "/", "vip"),
            "dynamic_namespace": self.dynamic,
            "second_admin_login_all_sockets": lambda: self.second({"sessionId": self.session}),
            "admin_disconnect_sid": lambda: self.acts("_disconnect", "/", False, self.user.id),
        }

    async def acts(self, event: str, *args: Any) -> None:
        await says(self.first, event, *args)

    async def bad_password(self) -> None:
        self.here.page({**CREDENTIALS, "password": "wrong"}).connect()

    async def login(self) -> None:
        self.first.connect()
        self.session = (await self.here.hears("session"))[0][0]

    async def second(self, auth: Any) -> None:
        page = await self.here.comes(self.here.page(auth))
        await self.here.hears("all_sockets" if self.here.io.admin.development else "config")
        page.disconnect()

    async def user_comes(self) -> None:
        self.user.connect()
        await eventually(lambda: self.user.io.engine and self.user.io.engine.upgraded)

    async def asks(self) -> None:
        assert await self.user.emit_with_ack("hi", {"x": 1}) == "ok"

    async def dynamic(self) -> None:
        (await self.here.comes(self.here.client("dyn", "/dyn"))).disconnect()

    async def heard(self, count: int) -> list[Told]:
        """What was told, at least so much.

        Numbers are left out, which come when it is their time, and what is the test's own.
        """
        await eventually(lambda: len(self._log) >= count)
        # Until the first page has been told all that happened.
        for _ in range(3):
            await asyncio.sleep(0)
        if self.first.connected:
            self.here.io.of("/admin").emit("fence")
            await self.here.hears("fence")
        return self._log

    @property
    def _log(self) -> list[Told]:
        own = [("user", "$connect"), ("admin", "server_stats"), ("admin", "fence")]
        return [one for one in self.here.log if one[0] != "dyn" and one[:2] not in own]


async def says(whoever: Any, event: str, *args: Any) -> None:
    await whoever.emit(event, *args)


def as_ours(action: str, told: list[Told]) -> list[Told]:
    """What Node told, in the order in which ours is meant to tell it."""
    connects = [one for one in told if one[1] == "$connect"]
    session = [one for one in told if one[1] == "session"]
    data = [one for one in told if one[1] == "socket_updated" and "data" in one[2][0]]
    moved = [one for one in told if one[1] == "socket_updated" and "transport" in one[2][0]]
    taken = [*connects, *session, *data, *moved]
    rest = [one for one in told if one not in taken]
    at = next((index for index, one in enumerate(rest) if one[1] == "config"), 0)
    rest[at:at] = session
    found = [*connects, *rest, *data[-1:], *moved]
    return in_order(action, found)


def in_order(action: str, told: list[Told]) -> list[Told]:
    """What each client was told; what came first at which client is not compared."""
    return sorted(told, key=repr if action in TWO else lambda one: one[0])


def recorded(name: str) -> dict[str, list[Told]]:
    """What a capture has, by action."""
    found: dict[str, list[Told]] = {}
    names = Names()
    for message in json.loads((FIXTURES / name).read_text())["messages"]:
        seen = message.get("observed")
        # A raw client's frames stand in the middle of that one, and say what `admin_login` does.
        if seen is None or message["action"] == "admin_raw_frames":
            continue
        if seen["event"] == "server_stats":
            continue
        event: Told = (seen["client"], seen["event"], names.plain(seen["args"]))
        found.setdefault(message["action"], []).append(event)
    return found


@pytest.mark.parametrize(
    "name,options",
    [
        ("admin-ui-development.json", {"mode": "development"}),
        ("admin-ui-production.json", {"mode": "production"}),
        ("admin-ui-development-readonly.json", {"mode": "development", "read_only": True}),
    ],
    ids=["development", "production", "read-only"],
)
@run_async
async def test_pages_are_told_what_node_tells_them(name: str, options: dict[str, Any]) -> None:
    said = recorded(name)
    names, compared = Names(), 0
    async with site(**options) as here:
        play = Play(here)
        for action, step in play.steps.items():
            here.log.clear()
            await step()
            expected = as_ours(action, said.pop(action, []))
            heard = await play.heard(len(expected))
            ours = [(who, event, names.plain(args)) for who, event, args in heard]
            ours = in_order(action, ours)
            assert ours == expected, action
            compared += len(ours)
    assert not said and compared > 10
