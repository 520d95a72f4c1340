"""Cookies: found as browsers send them, and believed only where other pages are kept out."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from nuncio import Server, Socket
from nuncio.auth import JWT, cookie, cookies
from tests.auth.test_tokens import code
from tests.auth.tokens import SECRET, token
from tests.support.aio import run_async
from tests.support.memory import Client

OWN = [(b"host", b"example.com"), (b"origin", b"https://example.com")]
OTHER = [(b"host", b"example.com"), (b"origin", b"https://evil.example")]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("session=abc", "abc"),
        ("a=b; session=abc; c=d", "abc"),
        ("a=b;session=abc;c=d", "abc"),
        (' session = "abc" ', "abc"),
        ("session=a=b==", "a=b=="),
        ("session=first; session=second", "first"),
        ("session=", ""),
        ('session="', '"'),
        ("session", None),
        ("sessions=abc", None),
        ("xsession=abc", None),
        ("Session=abc", None),
        ("a=session=abc", None),
        ("", None),
        (";;;=;=session", None),
        # One that is broken takes none of the others along.
        ("b{r}o,k:e n=1; session=abc; \x00=2", "abc"),
    ],
)
def test_a_cookie_is_found(header: str, value: str | None) -> None:
    assert cookies.find_cookie(header, "session") == value


@run_async
async def test_a_cookie_of_the_request() -> None:
    io = Server()
    client = Client(io, headers=[(b"cookie", b"a=1; session=abc")])
    socket = client.connect()
    assert cookie(socket, "session") == "abc"
    assert cookie(socket, "other") is None
    assert cookie(Client.join(io).socket, "session") is None


def join(io: Server[Any, Any], headers: list[tuple[bytes, bytes]]) -> Socket:
    return Client(io, headers=[*headers, (b"cookie", b"session=abc")]).connect()


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([(b"sec-fetch-site", b"same-origin")], "abc"),
        ([(b"referer", b"http://example.com/page")], "abc"),
        ([(b"sec-fetch-site", b"cross-site"), (b"referer", b"http://example.com/page")], None),
        ([(b"referer", b"https://evil.example/http://example.com/")], None),
        ([], None),
    ],
)
@run_async
async def test_where_everybody_may_connect_no_script_of_another_page_has_a_cookie(
    headers: list[tuple[bytes, bytes]], value: str | None
) -> None:
    sent = [(b"host", b"example.com"), (b"cookie", b"session=abc"), *headers]
    io = Server(cors="*", allow_eio3=True)
    assert cookie(Client(io, query="&j=0", headers=sent).connect(), "session") == value


@pytest.mark.parametrize("cors", ["*", True, {}, {"origin": True}])
@run_async
async def test_where_everybody_may_connect_no_other_page_has_a_cookie(
    cors: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cross-site WebSocket hijacking, CVE-2019-13611."""
    monkeypatch.setattr(cookies, "_told", set())
    io = Server(cors=cors)
    assert cookie(join(io, OWN), "session") == "abc"
    # No browser's page.
    assert cookie(join(io, []), "session") == "abc"
    for _ in range(3):
        assert cookie(join(io, OTHER), "session") is None
    assert cookie(join(io, [(b"origin", b"null")]), "session") is None
    # Said once, however many try.
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "cors admits every site" in told[0].getMessage()


@pytest.mark.parametrize(
    "cors", ["https://evil.example", {"origin": True, "credentials": True}], ids=str
)
@run_async
async def test_sites_that_were_named_have_theirs(cors: Any) -> None:
    assert cookie(join(Server(cors=cors), OTHER), "session") == "abc"


@run_async
async def test_a_token_in_a_cookie_is_kept_from_other_pages() -> None:
    sent = (b"cookie", b"session=" + token().encode())
    for cors, origin, expected in (
        ("*", OWN, ""),
        ("*", OTHER, "token_missing"),
        ("https://evil.example", OTHER, ""),
    ):
        io = Server(cors=cors)
        io.use(JWT(SECRET, algorithms=["HS256"], cookie="session"))
        assert await code(io, None, [*origin, sent]) == expected
