from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from yarl import URL

from nuncio.client.dial import Dial, new_jar
from nuncio.client.options import ManagerOptions
from nuncio.client.tools import tools
from nuncio.client.url import parse
from nuncio.errors import TransportError
from tests.support.aio import run_async


def dial(url: str, jar: Any = None, **options: Any) -> Dial:
    return Dial(parse(url), ManagerOptions(**options), tools(), jar)


# Addresses.


@pytest.mark.parametrize(
    ("url", "transport", "expected"),
    [
        ("http://localhost", "polling", "http://localhost/socket.io/"),
        ("http://localhost:80", "polling", "http://localhost/socket.io/"),
        ("http://localhost:3000", "polling", "http://localhost:3000/socket.io/"),
        ("https://localhost:443", "polling", "https://localhost/socket.io/"),
        ("https://localhost:8443", "polling", "https://localhost:8443/socket.io/"),
        ("http://[::1]", "polling", "http://[::1]/socket.io/"),
        ("http://[::1]:8080", "polling", "http://[::1]:8080/socket.io/"),
        ("http://test", "websocket", "ws://test/socket.io/"),
        ("https://test", "websocket", "wss://test/socket.io/"),
        ("wss://test:2020", "websocket", "wss://test:2020/socket.io/"),
        ("http://[::1]", "websocket", "ws://[::1]/socket.io/"),
        ("http://[::1]:8080", "websocket", "ws://[::1]:8080/socket.io/"),
        # The namespace is no part of it.
        ("http://localhost/chat", "polling", "http://localhost/socket.io/"),
    ],
)
@run_async
async def test_where_requests_go(url: str, transport: str, expected: str) -> None:
    scheme = "ws" if transport == "websocket" else "http"
    address = dial(url, timestamp_requests=False).url(transport, scheme)
    assert address == f"{expected}?EIO=4&transport={transport}"


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"path": "/own"}, "/own/"),
        ({"path": "/own/"}, "/own/"),
        ({"path": "/own", "add_trailing_slash": False}, "/own"),
        ({"path": "/own/", "add_trailing_slash": False}, "/own"),
        ({"path": "/"}, "/"),
    ],
)
@run_async
async def test_the_path(options: dict[str, Any], path: str) -> None:
    address = dial("http://localhost", **options).url("polling")
    assert address.partition("?")[0] == "http://localhost" + path


@run_async
async def test_the_order_of_parameters() -> None:
    here = dial("http://localhost", query={"a b": "c&d"}, force_base64=True, timestamp_param="s")
    here.sid = "x"
    assert re.fullmatch(
        r"http://localhost/socket\.io/\?a%20b=c%26d&EIO=4&transport=polling&s=\w+&b64=1&sid=x",
        here.url("polling"),
    )


@run_async
async def test_stamps_differ() -> None:
    here = dial("http://localhost")
    assert len({here.url("polling") for _ in range(20)}) > 1
    assert "&t=" not in here.url("websocket")


# Headers.


@run_async
async def test_headers_of_all_and_of_one_transport() -> None:
    here = dial(
        "http://localhost",
        extra_headers={"X-Own": "1", "Accept": "mine"},
        transport_options={"polling": {"extra_headers": {"X-Own": "2"}}},
    )
    await here.prepare()
    given = {"Accept": "*/*"}
    assert here.headers("polling", given) == {"Accept": "mine", "X-Own": "2"}
    assert here.headers("websocket") == {"X-Own": "1", "Accept": "mine"}


async def _later() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"X-Own": "later"}


@pytest.mark.parametrize(("give", "value"), [(lambda: {"X-Own": "now"}, "now"), (_later, "later")])
@run_async
async def test_headers_that_a_function_gives(give: Callable[[], Any], value: str) -> None:
    here = dial("http://localhost", extra_headers=give)
    await here.prepare()
    assert here.headers("polling") == {"X-Own": value}


@run_async
async def test_a_function_for_headers_that_fails() -> None:
    def give() -> dict[str, str]:
        raise ValueError("no token")

    with pytest.raises(TransportError, match=r"extra_headers failed: .*no token"):
        await dial("http://localhost", extra_headers=give).prepare()


# Cookies.


@run_async
async def test_cookies_of_the_option_and_of_the_jar() -> None:
    jar = new_jar()
    here = dial("http://127.0.0.1", jar, cookies={"own": "1", "both": "option"})
    jar.update_cookies(SimpleCookie("both=jar; kept=2"), URL("http://127.0.0.1/socket.io/"))
    sent = here.headers("polling")["Cookie"]
    assert sorted(sent.split("; ")) == ["both=jar", "kept=2", "own=1"]
    # A header of the application's own is stronger.
    await here.prepare()
    other = dial("http://127.0.0.1", jar, extra_headers={"cookie": "mine=1"})
    await other.prepare()
    assert other.headers("polling") == {"cookie": "mine=1"}
