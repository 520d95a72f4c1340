"""What answers carry, and who may change it: listeners of headers, and the cookie."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio.engine.request import Exchange, Request
from tests.support.aio import run_async
from tests.support.door import POLLING, WEBSOCKET, Door, header


@run_async
async def test_listeners_may_change_headers() -> None:
    door = Door(cookie=True)
    seen: list[tuple[str, str | None]] = []

    @door.engine.on("initial_headers")
    def initial(headers: dict[str, str], request: Request) -> None:
        seen.append(("initial", headers.get("Set-Cookie", "")[:3]))
        headers["X-Initial"] = "1"

    @door.engine.on("headers")
    def every(headers: dict[str, str], request: Request) -> None:
        seen.append(("every", request.query.get("sid")))
        headers["X-Every"] = "1"

    exchange = await door.knock()
    sid = door.sessions[0].id
    assert (header(exchange, "x-initial"), header(exchange, "x-every")) == ("1", "1")
    post = await door.knock(f"{POLLING}&sid={sid}", "POST")
    post.deliver(b"4a")
    assert (header(post, "x-initial"), header(post, "x-every")) == (None, "1")
    socket = await door.knock(f"{WEBSOCKET}&sid={sid}", upgrade=True)
    assert (header(socket, "x-initial"), header(socket, "x-every")) == (None, "1")
    fresh = await door.knock(WEBSOCKET, upgrade=True)
    assert (header(fresh, "x-initial"), header(fresh, "x-every")) == ("1", "1")
    assert seen == [
        ("initial", "io="),
        ("every", None),
        ("every", sid),
        ("every", sid),
        ("initial", ""),
        ("every", None),
    ]


@run_async
async def test_headers_that_come_several_times_stay_so_when_somebody_listens() -> None:
    door = Door()

    @door.engine.use
    def cookies(request: Request, response: Exchange) -> None:
        response.set_header("Set-Cookie", "a=1")
        response.set_header("Set-Cookie", "b=2")

    door.engine.on("headers", lambda headers, request: None)
    exchange = await door.knock()
    assert [value for name, value in exchange.sent if name == "Set-Cookie"] == ["a=1", "b=2"]


@run_async
async def test_a_listener_may_send_a_header_several_times() -> None:
    door = Door(cookie=True)

    @door.engine.on("initial_headers")
    def listener(headers: dict[str, Any], request: Request) -> None:
        headers["Set-Cookie"] = [headers["Set-Cookie"], "a=1", "b=2"]

    exchange = await door.knock()
    cookies = [value for name, value in exchange.sent if name == "Set-Cookie"]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["io", "a", "b"]


@run_async
async def test_a_listener_may_take_headers_away() -> None:
    door = Door(cookie=True)
    door.engine.on("headers", lambda headers, request: headers.pop("Set-Cookie", None))
    assert header(await door.knock(), "set-cookie") is None


@run_async
async def test_a_header_of_a_listener_that_would_break_the_head_is_left_out() -> None:
    door = Door()

    @door.engine.on("headers")
    def every(headers: dict[str, Any], request: Request) -> None:
        headers["X-One"] = "a\r\nX-Two: b"
        headers["X-Three"] = 3
        headers["X-Four"] = "4"

    for upgrade in (False, True):
        exchange = await door.knock(WEBSOCKET if upgrade else POLLING, upgrade=upgrade)
        assert header(exchange, "x-four") == "4"
        assert header(exchange, "x-one") is None
        assert not any("Two" in "".join(pair) for pair in exchange.sent)


@run_async
async def test_the_cookie_goes_with_the_first_polling_answer_alone() -> None:
    door = Door(cookie={"name": "sticky", "path": "/custom"})
    exchange = await door.knock()
    sid = door.sessions[0].id
    assert header(exchange, "set-cookie") == f"sticky={sid}; Path=/custom; HttpOnly; SameSite=Lax"
    post = await door.knock(f"{POLLING}&sid={sid}", "POST")
    post.deliver(b"4a")
    assert header(post, "set-cookie") is None
    socket = await door.knock(WEBSOCKET, upgrade=True)
    assert header(socket, "set-cookie") is None


@pytest.mark.parametrize(
    ("agent", "value"),
    [
        (b"Mozilla/5.0 (compatible;MSIE 9.0; Windows NT 6.1)", "0"),
        (b"Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "0"),
        (b"Mozilla/5.0 (X11; Linux x86_64) Firefox/130", None),
    ],
)
@run_async
async def test_old_explorers_get_a_header_of_their_own(agent: bytes, value: str | None) -> None:
    exchange = await Door().knock(headers=[(b"user-agent", agent)])
    assert header(exchange, "x-xss-protection") == value
