from __future__ import annotations

import json
import re
from typing import Any

import pytest

from nuncio import Limits
from nuncio.engine import Engine
from nuncio.engine.session import Session
from tests.support.aio import run_async
from tests.support.down import NAMES, Body, sid_of
from tests.support.fakes import FakeExchange, a_request

ALL = ("polling", "websocket", *NAMES)

every_way = pytest.mark.parametrize("name", NAMES)

BAD_REQUEST = (400, b'{"code":3,"message":"Bad request"}')


class Scene:
    """An engine, asked as a host asks it."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("transports", ALL)
        self.engine = Engine(**options)
        self.sessions: list[Session] = []
        self.failures: list[str] = []
        self.engine.on("connection", self.sessions.append)
        self.engine.on(
            "connection_error", lambda failure: self.failures.append(failure.context.get("name"))
        )

    def ask(
        self,
        query: str,
        *headers: tuple[bytes, bytes],
        method: str = "GET",
        body: bytes | None = None,
    ) -> FakeExchange:
        """A request arrives; `k` is there for those who need it."""
        key = "&k=7" if "transport=forever" in query and "&k=" not in query else ""
        request = a_request(f"EIO=4&{query}{key}", method, list(headers))
        exchange = FakeExchange(request)
        assert self.engine.handle(exchange, False) is None
        if body is not None and not exchange.done:
            exchange.deliver(body)
        return exchange

    def open(self, name: str) -> tuple[str, FakeExchange]:
        """A session."""
        exchange = self.ask(f"transport={name}")
        assert exchange.status == 200
        return sid_of(exchange.body), exchange

    def close(self) -> None:
        """Let nothing go on."""
        self.engine.close(discard=True)


@every_way
@run_async
async def test_a_session_of_its_own(name: str) -> None:
    there = Scene(limits=Limits(heartbeat_seconds=7))
    sid, exchange = there.open(name)
    [opened] = Body(name, exchange.body).packets
    assert isinstance(opened, str)
    handshake = json.loads(opened[1:])
    assert handshake["upgrades"] == ["websocket"]
    assert list(there.engine.sessions) == [sid]
    assert there.sessions[0].transport.name == name
    if name == "forever":
        assert b'p(-1,"7000")' in exchange.body
    post = there.ask(f"transport={name}&sid={sid}", method="POST", body=b"4hello")
    assert post.answer == (200, b"ok")
    there.close()
    assert Body(name, exchange.body).packets[-1] == "1"


@run_async
async def test_only_what_is_served_is_offered() -> None:
    there = Scene(transports=("polling", "sse"))
    polling = there.ask("transport=polling")
    assert json.loads(polling.body[1:])["upgrades"] == ["sse"]
    for name in ("stream", "forever"):
        exchange = there.ask(f"transport={name}")
        assert exchange.answer == (400, b'{"code":0,"message":"Transport unknown"}')
    sse = there.ask("transport=sse")
    assert b'"upgrades":[]' in sse.body
    there.close()
    there = Scene()
    polling = there.ask("transport=polling")
    expected = ["websocket", "stream", "sse", "forever"]
    assert json.loads(polling.body[1:])["upgrades"] == expected
    there.close()


@every_way
@run_async
async def test_the_usual_refusals(name: str) -> None:
    there = Scene()
    exchange = there.ask(f"transport={name}&sid=unknown")
    assert exchange.answer == (400, b'{"code":1,"message":"Session ID unknown"}')
    exchange = there.ask(f"transport={name}", method="POST")
    assert exchange.answer == (400, b'{"code":2,"message":"Bad handshake method"}')
    exchange = FakeExchange(a_request(f"EIO=3&transport={name}&k=1"))
    there.engine.handle(exchange, False)
    assert exchange.status == 400
    exchange = there.ask(f"transport={name}", (b"origin", b"https://evil.example"))
    assert exchange.status == 403
    assert there.engine.sessions == {}


@every_way
@run_async
async def test_revision_3_is_not_spoken(name: str) -> None:
    there = Scene(allow_eio3=True)
    exchange = FakeExchange(a_request(f"EIO=3&transport={name}&k=1"))
    there.engine.handle(exchange, False)
    assert exchange.answer == BAD_REQUEST
    assert there.engine.sessions == {}


@every_way
@pytest.mark.parametrize(
    "numbers",
    [
        "ack=",
        "ack=-1",
        "ack=1e3",
        "ack=0x1",
        "ack=%D9%A1",
        "ack=1%0A",
        "ack=2",
        "ack=999999999999999999999999",
        "max=0",
        "max=-1",
        "max=x",
    ],
)
@run_async
async def test_numbers_that_are_none_do_no_harm(name: str, numbers: str) -> None:
    there = Scene()
    sid, first = there.open(name)
    exchange = there.ask(f"transport={name}&sid={sid}&{numbers}")
    assert exchange.answer == BAD_REQUEST
    assert there.failures == ["INVALID_NUMBER"]
    assert first.ended == ""
    assert list(there.engine.sessions) == [sid]
    there.close()


@every_way
@pytest.mark.parametrize(
    "numbers", ["seq=0", "seq=", "seq=x", "seq=-1", "seq=2", "seq=1&ack=2", "seq=1&ack=x"]
)
@run_async
async def test_numbers_of_posts_that_are_none_do_no_harm(name: str, numbers: str) -> None:
    there = Scene()
    sid, first = there.open(name)
    exchange = there.ask(f"transport={name}&sid={sid}&{numbers}", method="POST", body=b"4a")
    assert exchange.answer == BAD_REQUEST
    assert first.ended == ""
    exchange = there.ask(f"transport={name}&sid={sid}&seq=1&ack=1", method="POST", body=b"4a")
    assert exchange.answer == (200, b"ok")
    there.close()


@every_way
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS"])
@run_async
async def test_other_methods_do_no_harm(name: str, method: str) -> None:
    there = Scene()
    sid, first = there.open(name)
    assert there.ask(f"transport={name}&sid={sid}", method=method).answer == BAD_REQUEST
    assert first.ended == ""
    there.close()


@run_async
async def test_the_client_may_ask_for_shorter_responses_and_no_longer_ones() -> None:
    there = Scene(limits=Limits(response_seconds=30))
    way = there.engine._ways["sse"]
    for asked, seconds in (("", 30), ("max=5", 5), ("max=31", 30)):
        assert way._seconds(FakeExchange(a_request(asked))) == seconds  # type: ignore[attr-defined]


@every_way
@run_async
async def test_cookies_cors_and_headers_are_as_with_polling(name: str) -> None:
    there = Scene(cookie="io", cors="https://app.example")

    @there.engine.on("initial_headers")
    def initial(headers: dict[str, str], _: object) -> None:
        headers["X-First"] = "1"

    @there.engine.on("headers")
    def each(headers: dict[str, str], _: object) -> None:
        headers["X-Each"] = "1"

    origin = (b"origin", b"https://app.example")
    exchange = there.ask(f"transport={name}", origin)
    sent = dict(exchange.sent)
    assert sent["Set-Cookie"].startswith("io=")
    assert sent["Access-Control-Allow-Origin"] == "https://app.example"
    assert (sent["X-First"], sent["X-Each"]) == ("1", "1")
    sid = sid_of(exchange.body)
    again = dict(there.ask(f"transport={name}&sid={sid}", origin).sent)
    assert "Set-Cookie" not in again
    assert "X-First" not in again
    assert again["X-Each"] == "1"
    there.close()


@every_way
@run_async
async def test_nothing_is_compressed(name: str) -> None:
    there = Scene(http_compression={"threshold": 0})
    exchange = there.ask(f"transport={name}", (b"accept-encoding", b"gzip"))
    assert dict(exchange.sent)["Content-Encoding"] == "identity"
    assert sid_of(exchange.body)
    there.close()


# Attempts to move to it.


@every_way
@run_async
async def test_an_attempt_begins_at_once(name: str) -> None:
    there = Scene()
    polling = there.ask("transport=polling")
    sid = sid_of(polling.body)
    exchange = there.ask(f"transport={name}&sid={sid}")
    assert exchange.status == 200
    assert len(exchange.body) > 0
    assert Body(name, exchange.body).packets == []
    post = there.ask(f"transport={name}&sid={sid}&seq=1", method="POST", body=b"2probe")
    assert post.answer == (200, b"ok")
    assert Body(name, exchange.body).packets == ["3probe"]
    # Its numbers are its own, and it may be asked for again.
    again = there.ask(f"transport={name}&sid={sid}&ack=1")
    assert there.sessions[0].transport.name == "polling"
    there.ask(f"transport={name}&sid={sid}&seq=2&ack=1", method="POST", body=b"5")
    assert there.sessions[0].transport.name == name
    there.sessions[0].send("a")
    there.close()
    assert Body(name, again.body, 1).packets == ["4a", "1"]


@every_way
@run_async
async def test_attempts_that_cannot_be(name: str) -> None:
    there = Scene()
    other = next(one for one in NAMES if one != name)
    sid, first = there.open(other)
    # Neither is better than the other.
    assert there.ask(f"transport={name}&sid={sid}").answer == BAD_REQUEST
    assert first.ended == ""
    polling = sid_of(there.ask("transport=polling").body)
    assert there.ask(f"transport={name}&sid={polling}", method="POST").answer == BAD_REQUEST
    there.ask(f"transport={name}&sid={polling}")
    second = there.ask(f"transport={other}&sid={polling}")
    assert second.answer == BAD_REQUEST
    there.close()


# The forever frame.


@pytest.mark.parametrize(
    "key", ["", "x", "-1", "1.5", "1e3", "alert(1)", "1]", "%D9%A1", "1%0A", "1234567890", "0x1"]
)
@run_async
async def test_the_callback_is_a_number_or_nothing(key: str) -> None:
    there = Scene()
    exchange = there.ask(f"transport=forever&k={key}")
    assert exchange.answer == BAD_REQUEST
    assert there.engine.sessions == {}


@run_async
async def test_nothing_of_the_request_is_in_the_document() -> None:
    there = Scene()
    exchange = there.ask("transport=forever&k=007&j=evil&callback=evil&name=evil")
    assert b"evil" not in exchange.body
    # As a number, for 010 would be 8.
    assert b"f[7]" in exchange.body
    there.close()


@run_async
async def test_each_document_has_its_own_nonce() -> None:
    there = Scene()
    found = set()
    for _ in range(3):
        exchange = there.open("forever")[1]
        [nonce] = set(re.findall(rb'nonce="([^"]+)"', exchange.body))
        assert f"'nonce-{nonce.decode()}'" in dict(exchange.sent)["Content-Security-Policy"]
        found.add(nonce)
    assert len(found) == 3
    there.close()


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"none"])
@run_async
async def test_other_sites_cannot_frame_it(site: bytes) -> None:
    there = Scene()
    exchange = there.ask("transport=forever", (b"sec-fetch-site", site))
    assert exchange.status == 403
    assert there.engine.sessions == {}
    exchange = there.ask("transport=forever", (b"sec-fetch-site", b"same-origin"))
    assert exchange.status == 200
    there.close()
