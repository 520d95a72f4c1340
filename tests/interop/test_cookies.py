"""The session cookie beside `cookie`, the package that writes it in JavaScript; and in use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nuncio import Server
from nuncio.engine.cookies import CookieOption
from nuncio.errors import OptionError
from tests.support.aio import run_async
from tests.support.live import HOSTS
from tests.support.node import JS, POLLING, UPGRADED, WEBSOCKET, Node

WHEN = datetime(2026, 10, 21, 7, 28, 5, tzinfo=UTC)

# The options in snake_case, and what they are called in JavaScript.
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"path": "/socket.io/"}, {"path": "/socket.io/"}),
    ({"path": False}, {"path": False}),
    ({"domain": "example.com"}, {"domain": "example.com"}),
    ({"domain": ".example.com"}, {"domain": ".example.com"}),
    ({"expires": WHEN}, {"expires": JS('new Date("2026-10-21T07:28:05Z")')}),
    ({"max_age": 3600}, {"maxAge": 3600}),
    ({"max_age": 0}, {"maxAge": 0}),
    ({"max_age": -1.5}, {"maxAge": -1.5}),
    ({"secure": True}, {"secure": True}),
    ({"http_only": False}, {"httpOnly": False}),
    ({"same_site": True}, {"sameSite": True}),
    ({"same_site": False}, {"sameSite": False}),
    ({"same_site": "lax"}, {"sameSite": "lax"}),
    ({"same_site": "Strict"}, {"sameSite": "Strict"}),
    ({"same_site": "none", "secure": True}, {"sameSite": "none", "secure": True}),
    ({"partitioned": True}, {"partitioned": True}),
    ({"priority": "low"}, {"priority": "low"}),
    ({"priority": "medium"}, {"priority": "medium"}),
    ({"priority": "High"}, {"priority": "High"}),
    ({"encode": str.upper}, {"encode": JS("(value) => value.toUpperCase()")}),
    ({"encode": lambda value: f'"{value}"'}, {"encode": JS('(value) => `"${value}"`')}),
    (
        {
            "path": "/x",
            "domain": "a.b",
            "expires": WHEN,
            "max_age": 5,
            "secure": True,
            "http_only": True,
            "partitioned": True,
            "priority": "high",
            "same_site": "strict",
        },
        {
            "path": "/x",
            "domain": "a.b",
            "expires": JS('new Date("2026-10-21T07:28:05Z")'),
            "maxAge": 5,
            "secure": True,
            "httpOnly": True,
            "partitioned": True,
            "priority": "high",
            "sameSite": "strict",
        },
    ),
]

# As the reference calls it, which has defaults of its own.
SERIALIZE = """
const { serialize } = require("cookie");
const defaults = { path: "/", httpOnly: true, sameSite: "lax" };
return serialize(args[0], args[1], { ...defaults, ...args[2] });
"""


@run_async
async def test_cookies_are_written_as_in_javascript(node: Node) -> None:
    async with node.clients(port=0) as clients:
        for python, javascript in SAME:
            for value in ("Ab0_-", "a b;c,é\N{GRINNING FACE}=%"):
                if "encode" in python and value != "Ab0_-":
                    continue
                made = CookieOption.parse({"name": "lb", **python})
                assert made is not None
                there = await clients.run(SERIALIZE, "lb", value, javascript)
                assert made.header(value) == there, python


# What both refuse.
ILLEGAL: list[tuple[str, str, dict[str, Any]]] = [
    ("a b", "x", {}),
    ("a=b", "x", {}),
    ("a;b", "x", {}),
    ("a\r\nX-Evil: 1", "x", {}),
    ("é", "x", {}),
    ("io", "x", {"path": "/; Domain=evil.example"}),
    ("io", "x", {"path": "/\r\n"}),
    ("io", "x", {"domain": "evil.example; Secure"}),
    ("io", "x", {"domain": "a b"}),
    ("io", "x", {"domain": "a\n"}),
    ("io", "x", {"priority": "urgent"}),
]


@pytest.mark.parametrize(("name", "value", "options"), ILLEGAL)
@run_async
async def test_what_javascript_refuses_is_refused(
    node: Node, name: str, value: str, options: dict[str, Any]
) -> None:
    with pytest.raises(OptionError):
        Server(cookie={"name": name, **options})
    async with node.clients(port=0) as clients:
        with pytest.raises(RuntimeError, match="TypeError"):
            await clients.run(SERIALIZE, name, value, options)


@pytest.mark.parametrize("encoded", ["a;b", "a b", "a\r\n", "a,b", 'a"b', '"ab', "a\\b", "é"])
@run_async
async def test_an_encoding_that_is_none_is_refused(node: Node, encoded: str) -> None:
    with pytest.raises(OptionError, match="encode must return"):
        Server(cookie={"encode": lambda value: encoded})
    async with node.clients(port=0) as clients:
        with pytest.raises(RuntimeError, match="TypeError"):
            encode = JS(f"() => {encoded!r}")
            await clients.run(SERIALIZE, "io", "x", {"encode": encode})


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_only_the_first_answer_of_long_polling_sets_it(node: Node, host: str) -> None:
    io = Server(cookie={"name": "lb", "max_age": 60})
    look = """
    const url = args[0] + "/socket.io/?EIO=4&transport=";
    const WebSocket = require("ws");
    const cookies = [];
    const note = (response) => cookies.push(response.headers.getSetCookie());
    const shake = (target) => new Promise((resolve) => {
      const ws = new WebSocket(target);
      ws.on("upgrade", ({ headers }) => cookies.push(headers["set-cookie"] || []));
      ws.on("open", () => ws.close());
      ws.on("close", resolve);
    });
    const polling = await fetch(url + "polling");
    note(polling);
    const { sid } = JSON.parse((await polling.text()).slice(1));
    const post = await fetch(url + "polling&sid=" + sid, { method: "POST", body: "40" });
    note(post);
    const get = await fetch(url + "polling&sid=" + sid);
    note(get);
    await Promise.all([post.text(), get.text()]);
    await shake(url + "websocket&sid=" + sid);
    await shake(url + "websocket");
    const bad = await fetch(url + "carrier");
    note(bad);
    await fetch(url + "polling&sid=" + sid, { method: "POST", body: "1" });
    return [sid, cookies];
    """
    async with node.clients(io, host=host) as clients:
        sid, cookies = await clients.run(look, clients.url)
        wanted = f"lb={sid}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
        assert cookies == [[wanted], [], [], [], [], []]


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_the_official_client_sends_it_back(node: Node, way: Any) -> None:
    io = Server(cookie={"name": "lb", "encode": lambda value: f"node1.{value}"})
    seen: list[str | None] = []
    io.engine.use(lambda request, response: seen.append(request.headers.get("cookie")))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, withCredentials=True)
        id = await client.value("socket.io.engine.id")
        assert seen[0] is None
        expected = {f"lb=node1.{id}"} if way is not WEBSOCKET else set()
        assert set(seen[1:]) == expected
