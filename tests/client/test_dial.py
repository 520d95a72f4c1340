from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio.client.dial import Dial, new_jar
from nuncio.client.http import closed
from nuncio.client.options import ManagerOptions
from nuncio.client.tools import tools
from nuncio.client.url import parse
from nuncio.errors import OptionError, TransportError
from tests.support.aio import run_async, within
from tests.support.oddserver import OddServer, Request, Wire
from tests.support.ports import free_port


@asynccontextmanager
async def dialling(url: str, jar: Any = None, **options: Any) -> AsyncIterator[Dial]:
    """A dial that is ready to send requests."""
    dial = Dial(parse(url), ManagerOptions(**options), tools(), jar)
    try:
        await dial.prepare()
        yield dial
    finally:
        dial.done()
        await within(closed(dial.tools))


def url_of(url: str, transport: str = "websocket", sid: str = "", **options: Any) -> str:
    """The URL of a request."""

    async def ask() -> str:
        async with dialling(url, **options) as dial:
            dial.sid = sid
            return dial.url(transport)

    return asyncio.run(ask())


# URLs.


@pytest.mark.parametrize(
    ("url", "options", "written"),
    [
        ("http://localhost", {}, "http://localhost/socket.io/?EIO=4&transport=websocket"),
        (
            "https://localhost:3000/chat",
            {},
            "https://localhost:3000/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "ws://[::1]:3000",
            {"path": "/custom"},
            "http://[::1]:3000/custom/?EIO=4&transport=websocket",
        ),
        (
            "http://localhost",
            {"path": "/a/b/", "add_trailing_slash": False},
            "http://localhost/a/b?EIO=4&transport=websocket",
        ),
        ("http://localhost", {"path": "/"}, "http://localhost/?EIO=4&transport=websocket"),
        (
            "http://localhost?x=1&y=a%20b",
            {"query": {"z": 3}},
            "http://localhost/socket.io/?x=1&y=a%20b&EIO=4&transport=websocket",
        ),
        (
            "http://localhost",
            {"query": {"z": "a b&c", "ü": True}},
            "http://localhost/socket.io/?z=a%20b%26c&%C3%BC=true&EIO=4&transport=websocket",
        ),
        (
            "http://localhost",
            {"query": "z=3"},
            "http://localhost/socket.io/?z=3&EIO=4&transport=websocket",
        ),
        (
            "http://localhost",
            {"force_base64": True},
            "http://localhost/socket.io/?EIO=4&transport=websocket&b64=1",
        ),
    ],
)
def test_urls(url: str, options: dict[str, Any], written: str) -> None:
    assert url_of(url, **options) == written


def test_the_session_comes_last() -> None:
    written = url_of("http://localhost?x=1", sid="a/b", force_base64=True)
    assert written.endswith("?x=1&EIO=4&transport=websocket&b64=1&sid=a%2Fb")


def test_caches_are_kept_out_by_a_stamp() -> None:
    stamp = re.compile(r"&t=([0-9a-z]+)")
    first, second = (stamp.findall(url_of("http://localhost", "polling")) for _ in range(2))
    assert len(first) == 1
    assert first != second
    assert 9 <= len(first[0]) <= 12
    assert "&t=" not in url_of("http://localhost", "websocket")
    assert "&t=" in url_of("http://localhost", "websocket", timestamp_requests=True)
    assert "&t=" not in url_of("http://localhost", "polling", timestamp_requests=False)
    assert "&now=" in url_of("http://localhost", "polling", timestamp_param="now")


def test_names_of_the_protocol_are_not_the_application_s() -> None:
    """As in the reference, where the protocol's values take the place of others."""
    written = url_of(
        "http://localhost",
        "polling",
        "mine",
        query={"EIO": "3", "transport": "x", "sid": "y", "t": "z", "b64": "1", "a": "b"},
    )
    names = re.findall(r"[?&](\w+)=", written)
    assert names == ["b64", "a", "EIO", "transport", "t", "sid"]
    assert "&EIO=4&transport=polling&" in written
    assert written.endswith("&sid=mine")


# Headers.


@run_async
async def test_headers_come_from_everywhere_and_the_nearest_wins() -> None:
    async with dialling(
        "http://localhost",
        extra_headers={"X-All": "all", "X-Both": "all", "accept": "mine"},
        transport_options={"polling": {"extra_headers": {"X-Own": "own", "x-both": "own"}}},
    ) as dial:
        headers = dial.headers("polling", {"Accept": "*/*", "X-More": "more"})
        # Their names are the same however they are written.
        assert headers == {
            "accept": "mine",
            "X-More": "more",
            "X-All": "all",
            "x-both": "own",
            "X-Own": "own",
        }
        assert dial.headers("websocket") == {
            "X-All": "all",
            "X-Both": "all",
            "accept": "mine",
        }


@run_async
async def test_cookies_are_sent_unless_there_are_others() -> None:
    async with dialling("http://localhost", cookies={"a": "1", "b": 2}) as dial:
        assert dial.headers("polling") == {"Cookie": "a=1; b=2"}
    async with dialling(
        "http://localhost", cookies={"a": "1"}, extra_headers={"cookie": "mine=1"}
    ) as dial:
        assert dial.headers("polling") == {"cookie": "mine=1"}


@run_async
async def test_functions_are_asked_once_for_each_attempt() -> None:
    asked: list[int] = []

    def give() -> dict[str, Any]:
        asked.append(1)
        return {"X-Number": len(asked)}

    for number in (1, 2):
        async with dialling("http://localhost", extra_headers=give) as dial:
            assert dial.headers("polling")["X-Number"] == str(number)
            assert dial.headers("websocket")["X-Number"] == str(number)

    async def nothing() -> None:
        return None

    async with dialling("http://localhost", extra_headers=nothing) as dial:
        assert dial.headers("polling") == {}


@run_async
async def test_what_a_function_gives_is_checked_and_its_failures_are_told() -> None:
    for given in ("text", {"X": "a\nb"}, [("X", "a")], 5):
        with pytest.raises(OptionError, match="extra_headers"):
            async with dialling("http://localhost", extra_headers=lambda given=given: given):
                pass

    async def fails() -> dict[str, str]:
        raise ValueError("no token")

    with pytest.raises(TransportError, match=r"extra_headers failed: ValueError\('no token'\)"):
        async with dialling("http://localhost", extra_headers=fails):
            pass


# Requests.


async def ok(request: Request, wire: Wire) -> None:
    wire.reply(200, "ok")


@run_async
async def test_a_request_says_what_it_is_told_and_no_more() -> None:
    async with OddServer(ok) as server, dialling(server.url) as dial:
        response = await dial.request("POST", dial.url("polling"), {"X-A": "b"}, b"data")
        assert (response.status, await response.read()) == (200, b"ok")
        (request,) = server.requests
        assert (request.method, request.body) == ("POST", b"data")
        assert request.headers["x-a"] == "b"
        assert "user-agent" not in request.headers
        assert "cookie" not in request.headers


@run_async
async def test_queries_travel_as_they_are_written() -> None:
    async with OddServer(ok) as server:
        async with dialling(f"{server.url}?a=%2F%20+b&c=%C3%BC") as dial:
            response = await dial.request("GET", dial.url("websocket"), {})
            await response.read()
        assert "?a=%2F%20%2Bb&c=%C3%BC&EIO=4" in server.requests[0].target


@run_async
async def test_a_request_before_or_after_is_none() -> None:
    dial = Dial(parse("http://localhost"), ManagerOptions(), tools(), None)
    with pytest.raises(TransportError, match="the connection was closed"):
        await dial.request("GET", dial.url("polling"), {})
    dial.done()
    await dial.prepare()
    dial.done()
    dial.done()
    with pytest.raises(TransportError, match="the connection was closed"):
        await dial.request("GET", dial.url("polling"), {})
    assert tools().http is None


@run_async
async def test_nobody_there() -> None:
    port = free_port()
    async with dialling(f"http://127.0.0.1:{port}") as dial:
        with pytest.raises(TransportError) as caught:
            await dial.request("GET", dial.url("polling"), {})
    assert str(caught.value).startswith(
        f"polling: nobody can be reached at http://127.0.0.1:{port}: "
    )
    assert (caught.value.transport, caught.value.status) == ("polling", 0)
    assert isinstance(caught.value.__cause__, OSError)


@run_async
async def test_a_name_that_nobody_has() -> None:
    async with dialling("http://nobody.invalid") as dial:
        with pytest.raises(TransportError, match=r"nobody can be reached at http://nobody.invalid"):
            await dial.request("GET", dial.url("polling"), {})


@run_async
async def test_tls_where_there_is_none() -> None:
    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for url, words in (
            (f"https://{place}", "write http://"),
            (place, "the URL has no scheme, so https was tried"),
        ):
            async with dialling(url) as dial:
                with pytest.raises(TransportError, match=words):
                    await within(dial.request("GET", dial.url("polling"), {}))


@run_async
async def test_redirects_are_followed_by_a_get_and_not_without_end() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        if request.target.startswith("/socket.io/"):
            wire.reply(302, headers={"Location": "/moved/?" + request.target.partition("?")[2]})
        elif request.target.startswith("/moved/"):
            wire.reply(200, "there")
        else:
            wire.reply(307, headers={"Location": request.target})

    async with OddServer(answer) as server:
        async with dialling(server.url) as dial:
            response = await dial.request("GET", dial.url("polling"), {})
            assert (response.status, await response.read()) == (200, b"there")
            response = await dial.request("POST", dial.url("polling"), {}, b"data")
            assert response.status == 302
            response.close()
        async with dialling(server.url, path="/endless") as dial:
            with pytest.raises(TransportError, match="redirects without end"):
                await dial.request("GET", dial.url("polling"), {})


@run_async
async def test_another_server_is_not_told_credentials() -> None:
    async with OddServer(ok) as other:

        async def answer(request: Request, wire: Wire) -> None:
            wire.reply(302, headers={"Location": other.url.replace("127.0.0.1", "localhost")})

        async with (
            OddServer(answer) as server,
            dialling(
                server.url, extra_headers={"Authorization": "secret"}, cookies={"a": "secret"}
            ) as dial,
        ):
            response = await dial.request("GET", dial.url("polling"), dial.headers("polling"))
            await response.read()
        assert "secret" in str(server.requests[0].headers)
        assert "secret" not in str(other.requests[0].headers)


@run_async
async def test_cookies_of_the_server_s_come_back_to_it() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(
            200,
            headers={"Set-Cookie": "io=abc; Path=/; HttpOnly; SameSite=Lax"},
        )

    jar = new_jar()
    async with OddServer(answer) as server, dialling(server.url, jar, cookies={"own": "1"}) as dial:
        response = await dial.request("GET", dial.url("polling"), dial.headers("polling"))
        await response.read()
        assert dial.headers("polling") == {"Cookie": "own=1; io=abc"}
        assert dial.headers("websocket") == {"Cookie": "own=1; io=abc"}
    # Without being asked to, nothing is kept.
    async with OddServer(answer) as server, dialling(server.url) as dial:
        response = await dial.request("GET", dial.url("polling"), dial.headers("polling"))
        await response.read()
        assert dial.headers("polling") == {}


@run_async
async def test_proxies() -> None:
    seen: list[str] = []

    async def answer(request: Request, wire: Wire) -> None:
        seen.append(request.target)
        wire.reply(200, "by proxy")

    async with OddServer(answer) as proxy:
        async with dialling(
            "http://unreachable.invalid", proxy=proxy.url, proxy_headers={"X-P": "q"}
        ) as dial:
            response = await dial.request("GET", dial.url("websocket"), {})
            assert await response.read() == b"by proxy"
        assert seen == ["http://unreachable.invalid/socket.io/?EIO=4&transport=websocket"]
    async with dialling("http://localhost", proxy=f"http://127.0.0.1:{free_port()}") as dial:
        with pytest.raises(TransportError, match=r"the proxy 127.0.0.1:\d+ cannot be reached"):
            await dial.request("GET", dial.url("polling"), {})


@run_async
async def test_the_environment_s_proxy_is_heeded_when_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    async def answer(request: Request, wire: Wire) -> None:
        seen.append(request.target)
        wire.reply(200)

    async with OddServer(answer) as proxy, OddServer(ok) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for url, trusted in (
            ("http://unreachable.invalid", True),
            (server.url, True),
            ("http://unreachable.invalid", False),
        ):
            async with dialling(url, trust_env=trusted) as dial:
                with contextlib.suppress(TransportError):
                    (await dial.request("GET", dial.url("websocket"), {})).close()
    assert len(seen) == 1
    assert len(server.requests) == 1


@run_async
async def test_answers_with_an_error() -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(403, '{"code":4,\n "message":"Forbidden"}')

    async with OddServer(answer) as server, dialling(server.url) as dial:
        response = await dial.request("GET", dial.url("polling"), {})
        error = await dial.refusal(response, "polling")
        response.close()
        assert str(error) == (
            f"polling: {server.url}/socket.io/ answered with status 403: "
            '{"code":4, "message":"Forbidden"}'
        )
        assert (error.transport, error.status) == ("polling", 403)
        assert error.body == '{"code":4,\n "message":"Forbidden"}'
