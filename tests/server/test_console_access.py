"""Who may use the console: its settings, credentials, cookies, and what counts as this machine."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

import nuncio
from nuncio import Console, OptionError, Rate, Request
from nuncio.engine.wheel import TimerWheel
from nuncio.server.console_access import Access, is_local, parse_console
from tests.support.clock import FakeLoop

ADA = Console(user="ada", password="correct horse")


@pytest.fixture(scope="module")
def access() -> Access:
    """Of a console with a user. Its key takes a moment to derive."""
    return Access(ADA)


def a_request(client: tuple[str, int] | None = ("192.0.2.1", 5), **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request("GET", "/socket.io/console/", "", pairs, client, False)


# Settings.


@pytest.mark.parametrize("option", [None, False])
def test_off(option: Any) -> None:
    assert parse_console(option) is None


def test_settings_are_an_object_or_a_mapping() -> None:
    assert parse_console(ADA) is ADA
    assert parse_console({"user": "ada", "password": "correct horse"}) == ADA
    assert parse_console({"token": "0123456789"}) == Console(token="0123456789")
    assert parse_console({"auth": False}) == Console(auth=False)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (True, "who may use it"),
        ("ada", "must be a nuncio.Console or a mapping"),
        ({}, "say who may use it"),
        ({"auth": True}, "say who may use it"),
        ({"user": "ada"}, "say who may use it"),
        ({"password": "correct horse"}, "say who may use it"),
        ({"user": "ada", "token": "0123456789"}, "say who may use it"),
        ({"user": "ada", "password": "correct horse", "token": "0123456789"}, "say who may use it"),
        ({"auth": False, "token": "0123456789"}, "auth=False, but there is"),
        ({"auth": "no"}, "auth must be True or False"),
        ({"user": "ada", "password": "short"}, "password is too short"),
        ({"user": "", "password": "correct horse"}, "user is too short"),
        ({"token": "short"}, "token is too short"),
        ({"token": 12345678}, "token must be a str"),
        ({"token": "0123456789", "session": 0}, "session must be a number of seconds"),
        ({"token": "0123456789", "attempts": 5}, "attempts must be a nuncio.Rate"),
        ({"pasword": "correct horse"}, "did you mean 'password'"),
    ],
)
def test_wrong_settings_are_told(option: Any, text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        nuncio.Server(console=option)
    assert "onsole" in str(raised.value)


def test_no_secret_is_shown() -> None:
    shown = repr(ADA) + repr(Console(token="0123456789"))
    shown += repr(nuncio.Server(console={"token": "0123456789"}).options)
    with pytest.raises(OptionError) as raised:
        Console(user="ada", password="horse")
    shown += str(raised.value)
    assert "ada" in shown
    assert "horse" not in shown and "0123456789" not in shown


# Signing in.


def signed_in(access: Access, user: str, secret: str) -> str | None:
    return access.tries(a_request(), TimerWheel(FakeLoop()), user, secret)


def test_credentials_give_a_cookie_that_lets_in(access: Access) -> None:
    cookie = signed_in(access, "ada", "correct horse")
    assert cookie is not None
    value, *attributes = cookie.split("; ")
    # No path: it is that of the console as the browser sees it.
    assert attributes == ["Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    assert access.lets_in(a_request(cookie=value))
    assert access.lets_in(a_request(cookie=f"io=5; {value}; other={value}"))
    assert not access.lets_in(a_request())
    assert "horse" not in cookie
    assert signed_in(access, "ada", "correct horse") != cookie


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("ada", "correct hors"),
        ("ada", ""),
        ("", "correct horse"),
        ("Ada", "correct horse"),
        ("ada", "correct horse "),
        ("\ud800", "\ud800"),
        ("correct horse", "ada"),
    ],
)
def test_wrong_credentials_do_not(access: Access, user: str, secret: str) -> None:
    assert signed_in(access, user, secret) is None


def test_a_token_needs_no_name() -> None:
    access = Access(Console(token="tr\u00e8s long token"))
    assert not access.asks_user
    assert signed_in(access, "whoever", "tr\u00e8s long token") is not None
    assert signed_in(access, "", "tres long token") is None


def test_a_forged_cookie_does_not_let_in(access: Access) -> None:
    cookie = signed_in(access, "ada", "correct horse")
    assert cookie is not None
    name, _, value = cookie.partition(";")[0].partition("=")
    ends, nonce, signature = value.split(".")
    later = str(int(ends) + 1)
    for forged in (
        "",
        ".",
        "..",
        f"{later}.{nonce}.{signature}",
        f"{ends}.{nonce[:-1]}.{signature}",
        f"{ends}.{nonce}.{signature[:-1]}",
        f"{ends}.{nonce}.",
        f"{ends}.{nonce}",
        f"{ends}.{nonce}.{signature}x",
        f"{ends}.{nonce}.{signature.upper()}",
        f"{ends}.{nonce}." + "\u00e9" * 64,
        "9" * 100_000,
    ):
        assert not access.lets_in(a_request(cookie=f"{name}={forged}")), forged
    assert not access.lets_in(a_request(cookie=f"other={value}"))


def test_a_session_ends(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = signed_in(access, "ada", "correct horse")
    assert cookie is not None
    now = time.time()
    request = a_request(cookie=cookie.partition(";")[0])
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 - 5)
    assert access.lets_in(request)
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 + 5)
    assert not access.lets_in(request)


def test_a_session_outlives_the_process_but_not_its_password(access: Access) -> None:
    cookie = signed_in(access, "ada", "correct horse")
    assert cookie is not None
    request = a_request(cookie=cookie.partition(";")[0])
    assert Access(ADA).lets_in(request)
    other = Access(Console(user="ada", password="correct horses"))
    assert not other.lets_in(request)
    # Nor does one console take the cookie of another on the same machine away.
    assert other.cookie_name != access.cookie_name
    assert Access(Console(user="bob", password="correct horse")).cookie_name != access.cookie_name


def test_attempts_are_limited_by_address() -> None:
    access = Access(Console(token="0123456789", attempts=Rate(3, per=30)))
    loop = FakeLoop()
    wheel = TimerWheel(loop)
    here = a_request()
    for _ in range(3):
        assert access.wait(here, wheel) == 0
        assert access.tries(here, wheel, "", "wrong") is None
    assert access.wait(here, wheel) == pytest.approx(10)
    assert access.wait(a_request(("192.0.2.2", 5)), wheel) == 0
    # The network of an IPv6 address is one address.
    for last in "12":
        access.tries(a_request((f"2001:db8::{last}", 5)), wheel, "", "wrong")
    access.tries(a_request(("2001:db8::3", 5)), wheel, "", "wrong")
    assert access.wait(a_request(("2001:db8::9", 5)), wheel) > 0
    loop.advance(10.1)
    assert access.wait(here, wheel) == 0
    # What is right costs nothing.
    for _ in range(5):
        assert access.tries(here, wheel, "", "0123456789") is not None
    assert access.wait(here, wheel) == 0


# This machine.


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1", "localhost:3000"),
        ("127.5.5.5", "LOCALHOST"),
        ("127.0.0.1", "chat.localhost:80"),
        ("127.0.0.1", "127.0.0.1:3000"),
        ("::1", "[::1]:3000"),
        ("::ffff:127.0.0.1", "localhost"),
    ],
)
def test_requests_of_this_machine(address: str, host: str) -> None:
    assert is_local(a_request((address, 5), host=host))


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.0.2.1", {"host": "localhost"}),
        ("10.0.0.1", {"host": "localhost"}),
        ("::", {"host": "localhost"}),
        ("2001:db8::1", {"host": "[::1]"}),
        ("::ffff:10.0.0.1", {"host": "localhost"}),
        ("not an address", {"host": "localhost"}),
        # Another site's name may point here.
        ("127.0.0.1", {"host": "evil.example"}),
        ("127.0.0.1", {"host": "localhost.evil.example"}),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}),
        ("127.0.0.1", {"host": "192.0.2.1"}),
        ("127.0.0.1", {"host": ""}),
        ("127.0.0.1", {"host": "["}),
        ("127.0.0.1", {}),
        # A proxy on this machine passes on everybody's requests.
        ("127.0.0.1", {"host": "localhost", "x_forwarded_for": "192.0.2.1"}),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"host": "localhost", "x_real_ip": "192.0.2.1"}),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 proxy"}),
    ],
)
def test_requests_of_others(address: str, headers: dict[str, str]) -> None:
    assert not is_local(a_request((address, 5), **headers))


def test_a_unix_socket_tells_nothing_of_who_asks() -> None:
    assert not is_local(a_request(None, host="localhost"))
