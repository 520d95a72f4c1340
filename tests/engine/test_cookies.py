"""The session cookie. What is expected was observed with `cookie` 0.7.2, JavaScript's package."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.engine.cookies import CookieOption, CookieOptions, CookieSetting
from nuncio.errors import OptionError

WHEN = datetime(2026, 10, 21, 7, 28, 5, tzinfo=UTC)


def cookie(option: CookieSetting) -> CookieOption:
    made = CookieOption.parse(option)
    assert made is not None
    return made


@pytest.mark.parametrize("option", [None, False])
def test_off(option: CookieSetting) -> None:
    assert CookieOption.parse(option) is None


@pytest.mark.parametrize("option", [True, {}, "io", {"name": "io"}, CookieOptions()])
def test_the_usual_cookie(option: CookieSetting) -> None:
    made = cookie(option)
    assert made.name == "io"
    assert made.header("Ab0_-") == "io=Ab0_-; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("sid", "sid=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        ({"name": "sid"}, "sid=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        ({"path": False}, "io=Ab0_-; HttpOnly; SameSite=Lax"),
        ({"path": None}, "io=Ab0_-; HttpOnly; SameSite=Lax"),
        ({"path": ""}, "io=Ab0_-; HttpOnly; SameSite=Lax"),
        ({"path": "/socket.io/"}, "io=Ab0_-; Path=/socket.io/; HttpOnly; SameSite=Lax"),
        ({"path": "/ a~"}, "io=Ab0_-; Path=/ a~; HttpOnly; SameSite=Lax"),
        (
            {"domain": ".example.com"},
            "io=Ab0_-; Domain=.example.com; Path=/; HttpOnly; SameSite=Lax",
        ),
        ({"domain": "example.com"}, "io=Ab0_-; Domain=example.com; Path=/; HttpOnly; SameSite=Lax"),
        ({"domain": "a" * 63}, f"io=Ab0_-; Domain={'a' * 63}; Path=/; HttpOnly; SameSite=Lax"),
        ({"domain": None}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        (
            {"expires": WHEN},
            "io=Ab0_-; Path=/; Expires=Wed, 21 Oct 2026 07:28:05 GMT; HttpOnly; SameSite=Lax",
        ),
        (
            {"expires": WHEN.astimezone(timezone(timedelta(hours=-7)))},
            "io=Ab0_-; Path=/; Expires=Wed, 21 Oct 2026 07:28:05 GMT; HttpOnly; SameSite=Lax",
        ),
        (
            {"expires": "Wed, 21 Oct 2026 07:28:05 GMT"},
            "io=Ab0_-; Path=/; Expires=Wed, 21 Oct 2026 07:28:05 GMT; HttpOnly; SameSite=Lax",
        ),
        (
            {"expires": "Wed, 21 Oct 2026 09:28:05 +0200"},
            "io=Ab0_-; Path=/; Expires=Wed, 21 Oct 2026 07:28:05 GMT; HttpOnly; SameSite=Lax",
        ),
        ({"expires": None}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": 3600}, "io=Ab0_-; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": 0}, "io=Ab0_-; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": 90.9}, "io=Ab0_-; Max-Age=90; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": -1}, "io=Ab0_-; Max-Age=-1; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": -1.5}, "io=Ab0_-; Max-Age=-2; Path=/; HttpOnly; SameSite=Lax"),
        ({"max_age": None}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        ({"secure": True}, "io=Ab0_-; Path=/; HttpOnly; Secure; SameSite=Lax"),
        ({"http_only": False}, "io=Ab0_-; Path=/; SameSite=Lax"),
        ({"same_site": "strict"}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Strict"),
        ({"same_site": True}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Strict"),
        ({"same_site": False}, "io=Ab0_-; Path=/; HttpOnly"),
        ({"same_site": None}, "io=Ab0_-; Path=/; HttpOnly"),
        (
            {"same_site": "none", "secure": True},
            "io=Ab0_-; Path=/; HttpOnly; Secure; SameSite=None",
        ),
        ({"same_site": "LAX"}, "io=Ab0_-; Path=/; HttpOnly; SameSite=Lax"),
        (
            {"partitioned": True, "secure": True},
            "io=Ab0_-; Path=/; HttpOnly; Secure; Partitioned; SameSite=Lax",
        ),
        ({"priority": "high"}, "io=Ab0_-; Path=/; HttpOnly; Priority=High; SameSite=Lax"),
        ({"priority": "low"}, "io=Ab0_-; Path=/; HttpOnly; Priority=Low; SameSite=Lax"),
        ({"priority": "medium"}, "io=Ab0_-; Path=/; HttpOnly; Priority=Medium; SameSite=Lax"),
        (
            {
                "name": "lb",
                "path": "/x",
                "domain": "a.b",
                "expires": datetime(1970, 1, 1, tzinfo=UTC),
                "max_age": 5,
                "secure": True,
                "http_only": True,
                "partitioned": True,
                "priority": "HIGH",
                "same_site": "Strict",
            },
            "lb=Ab0_-; Max-Age=5; Domain=a.b; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT;"
            " HttpOnly; Secure; Partitioned; Priority=High; SameSite=Strict",
        ),
    ],
)
def test_every_setting(option: CookieSetting, expected: str) -> None:
    assert cookie(option).header("Ab0_-") == expected


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("a b", "a%20b"),
        ('a;b,c"\\', "a%3Bb%2Cc%22%5C"),
        ("é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80"),
        ("-_.!~*'()", "-_.!~*'()"),
        ("%", "%25"),
        ("=", "%3D"),
        ("/+?&#@:$", "%2F%2B%3F%26%23%40%3A%24"),
        (
            "".join(map(chr, range(32, 127))),
            "%20!%22%23%24%25%26'()*%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40"
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~",
        ),
    ],
)
def test_values_are_encoded_where_cookies_cannot_hold_them(value: str, written: str) -> None:
    assert cookie(True).header(value) == f"io={written}; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize("value", ["\r\nSet-Cookie: a=b", "a\nb", "a\0", "\x7f", "\t", "\ud800"])
def test_values_with_control_characters_are_refused(value: str) -> None:
    with pytest.raises(OptionError, match="cookie: the value"):
        cookie(True).header(value)


def test_an_encoding_of_ones_own() -> None:
    made = cookie({"encode": lambda value: "node1." + value})
    assert made.header("Ab0_-") == "io=node1.Ab0_-; Path=/; HttpOnly; SameSite=Lax"
    picky = cookie({"encode": lambda value: value})
    with pytest.raises(OptionError, match="encode must return"):
        picky.header("a b")


@given(st.text(max_size=100))
def test_no_value_leaves_its_place(value: str) -> None:
    try:
        header = cookie(True).header(value)
    except OptionError:
        assert any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in value)
        return
    written = header.removeprefix("io=").removesuffix("; Path=/; HttpOnly; SameSite=Lax")
    assert re.fullmatch(r"[!-~]*", written) and not set(written) & set('",;\\')
    assert unquote(written) == value


@given(st.text(max_size=30) | st.text(';,= \r\n"\\<a.-/', max_size=10))
def test_no_setting_starts_another_attribute(text: str) -> None:
    for setting in ("name", "path", "domain"):
        try:
            header = cookie({"http_only": False, "same_site": None, setting: text}).header("x")
        except OptionError:
            continue
        assert header.isascii() and header.isprintable()
        assert (
            header.count(";")
            == {"name": 1, "path": int(text != ""), "domain": 1 + (text != "")}[setting]
        )
        assert header.count("=") <= 3 + text.count("=")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("", "name must be"),
        ("a b", "name must be"),
        ({"name": "a="}, "name must be"),
        ({"name": "a;"}, "name must be"),
        ({"name": "é"}, "name must be"),
        ({"name": "a\n"}, "name must be"),
        ({"name": "a\r\nX: y"}, "name must be"),
        ({"name": None}, "name must be"),
        ({"name": b"io"}, "name must be"),
        ({"path": "/é"}, "path must be"),
        ({"path": "/;"}, "path must be"),
        ({"path": "/; Domain=evil"}, "path must be"),
        ({"path": "/<"}, "path must be"),
        ({"path": "/\n"}, "path must be"),
        ({"path": "/\r\nX: y"}, "path must be"),
        ({"path": True}, "path must be"),
        ({"domain": "a..b"}, "domain must be"),
        ({"domain": "..a"}, "domain must be"),
        ({"domain": "a."}, "domain must be"),
        ({"domain": "-a"}, "domain must be"),
        ({"domain": "a-"}, "domain must be"),
        ({"domain": "a_b"}, "domain must be"),
        ({"domain": "a b"}, "domain must be"),
        ({"domain": "a\n"}, "domain must be"),
        ({"domain": "é.b"}, "domain must be"),
        ({"domain": "\N{KELVIN SIGN}.b"}, "domain must be"),
        ({"domain": "a" * 64}, "domain must be"),
        ({"domain": "a" * 65536}, "domain must be"),
        ({"domain": "a-" * 32768}, "domain must be"),
        ({"domain": "a.b; Secure"}, "domain must be"),
        ({"domain": 5}, "domain must be"),
        ({"max_age": "5"}, "max_age must be"),
        ({"max_age": True}, "max_age must be"),
        ({"max_age": float("inf")}, "max_age must be"),
        ({"max_age": float("nan")}, "max_age must be"),
        ({"expires": "tomorrow"}, "expires must be like"),
        ({"expires": ""}, "expires must be like"),
        ({"expires": "Wed, 21 Oct 2026 07:28:05 GMT; Domain=evil\r\n"}, "expires must"),
        ({"expires": "Wed, 99 Oct 2026 07:28:05 GMT"}, "expires must be like"),
        ({"expires": 5}, "expires must be a datetime"),
        ({"expires": datetime(2026, 1, 1)}, "time zone"),
        ({"expires": "Wed, 21 Oct 2026 07:28:05"}, "time zone"),
        ({"secure": 1}, "secure must be True or False"),
        ({"http_only": None}, "http_only must be True or False"),
        ({"partitioned": "yes"}, "partitioned must be True or False"),
        ({"same_site": "maybe"}, "same_site must be one of strict, lax, none"),
        ({"same_site": 5}, "same_site must be one of"),
        ({"same_site": "none"}, "needs secure=True"),
        ({"same_site": "NONE"}, "needs secure=True"),
        ({"priority": "urgent"}, "priority must be one of low, medium, high"),
        ({"priority": True}, "priority must be one of"),
        ({"priority": False}, "priority must be one of"),
        ({"encode": "quote"}, "encode must be callable"),
        ({"encode": lambda value: None}, "encode must return"),
        ({"encode": lambda value: value + "; Secure"}, "encode must return"),
        ({"encode": lambda value: value + "\r\nX: y"}, "encode must return"),
        ({"maxAge": 5}, "did you mean 'max_age'?"),
        ({"httpOnly": True}, "did you mean 'http_only'?"),
        ({"sameSite": "lax"}, "did you mean 'same_site'?"),
        (5, "cookie must be"),
        (["io"], "cookie must be"),
    ],
)
def test_wrong_options_are_told_by_name(option: Any, text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        CookieOption.parse(option)
    assert "cookie" in str(raised.value)
