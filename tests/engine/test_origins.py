"""Reading and comparing origins: what is one, what is the same one, what is the server's own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.engine.origins import (
    MAX_LENGTH,
    Origin,
    checked_origin,
    is_own,
    origin_of,
    parse_origin,
)
from nuncio.errors import OptionError


def read(text: str) -> Origin:
    origin = parse_origin(text)
    assert origin is not None
    return origin


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://a.example", ("https", "a.example", 443)),
        ("http://a.example", ("http", "a.example", 80)),
        ("HTTPS://A.Example:443", ("https", "a.example", 443)),
        ("http://localhost:3000", ("http", "localhost", 3000)),
        ("http://127.0.0.1:0080", ("http", "127.0.0.1", 80)),
        ("http://[::1]:3000", ("http", "[::1]", 3000)),
        ("http://[0:0::0:1]", ("http", "[::1]", 80)),
        ("https://xn--bcher-kva.de", ("https", "xn--bcher-kva.de", 443)),
        ("https://under_score.example", ("https", "under_score.example", 443)),
        ("https://a.example.", ("https", "a.example.", 443)),
        ("capacitor://localhost", ("capacitor", "localhost", None)),
        ("chrome-extension://abcdefgh", ("chrome-extension", "abcdefgh", None)),
        ("app://.", ("app", ".", None)),
        ("file://", ("file", "", None)),
    ],
)
def test_origins_are_read_by_their_parts(text: str, parts: tuple[str, str, int | None]) -> None:
    assert read(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "a.example",
        "//a.example",
        "https:a.example",
        "https:/a.example",
        "https://",
        "https://:443",
        "file://:1",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example?query",
        "https://a.example#fragment",
        "https://user@a.example",
        "https://user:word@a.example",
        "https://a.example:",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:443443",
        "https://a.example:-1",
        "https://a.example:\N{FULLWIDTH DIGIT FOUR}",
        "https://a.example\\.b.example",
        "https://a.example%00.b.example",
        "https://a.example\n",
        "https://a.example\r\nx: y",
        "https://a.example\0",
        " https://a.example",
        "https://a.example https://b.example",
        "https://a.example, https://b.example",
        "https://bücher.de",
        "https://\N{KELVIN SIGN}.example",
        "http\N{LATIN SMALL LETTER LONG S}://a.example",
        "https://*.example",
        "https://[::1",
        "https://[]",
        "https://[12]",
        "https://[::1%eth0]",
        "1https://a.example",
        "https://" + "a" * MAX_LENGTH,
        "https://" + "a" * 65536,
        ":" * 65536,
        "[" * 65536,
    ],
)
def test_what_is_not_an_origin_is_not_read(text: str) -> None:
    assert parse_origin(text) is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("HTTPS://A.Example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://a.example:80", "http://a.example"),
        ("https://[0::1]:8443", "https://[::1]:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("file://", "file://"),
    ],
)
def test_origins_are_written_as_browsers_do(text: str, written: str) -> None:
    assert str(read(text)) == written


def test_a_default_port_has_two_spellings() -> None:
    assert read("https://a.example").spellings() == ["https://a.example", "https://a.example:443"]
    assert read("https://a.example:8443").spellings() == ["https://a.example:8443"]
    assert read("app://x").spellings() == ["app://x"]


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://a.example", "a.example", False),
        ("http://a.example", "a.example:80", False),
        ("http://a.example:80", "a.example:", False),
        ("http://A.example", "a.EXAMPLE", False),
        ("https://a.example", "a.example", True),
        ("https://a.example:443", "a.example", True),
        ("https://a.example", "a.example:443", True),
        # A proxy took the TLS off and did not say so.
        ("https://a.example", "a.example", False),
        ("https://a.example:8443", "a.example:8443", False),
        ("http://localhost:3000", "localhost:3000", False),
        ("http://[::1]:3000", "[0::1]:3000", False),
        ("https://a.example.", "a.example.", True),
    ],
)
def test_the_servers_own_origin(origin: str, host: str, secure: bool) -> None:
    assert is_own(read(origin), host, secure)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://a.example", "a.example", True),
        ("http://a.example:443", "a.example:443", True),
        ("http://a.example", "b.example", False),
        ("http://a.example", "a.example:443", False),
        ("https://a.example", "a.example:80", False),
        ("http://a.example:3000", "a.example", False),
        ("http://a.example", "a.example:3000", False),
        ("http://a.example", "a.example.", False),
        ("http://a.example.", "a.example", False),
        ("http://evila.example", "a.example", False),
        ("http://a.example.evil", "a.example", False),
        ("http://example", "a.example", False),
        ("http://a.example", "", False),
        ("http://a.example", "a.example, b.example", False),
        ("http://a.example", "x@a.example", False),
        ("http://a.example", "a.example/", False),
        ("http://a.example", "a.example:80:80", False),
        ("http://a.example", "a.example:99999", False),
        ("http://[::1]", "[::2]", False),
        ("http://a.example", "[::1", False),
        ("http://a.example", "[nonsense]", False),
        ("http://a.example", "a" * 65536, False),
        # Only pages of the web come from a server; these have a host by chance.
        ("capacitor://localhost", "localhost", False),
        ("file://", "", False),
    ],
)
def test_somebody_elses_origin(origin: str, host: str, secure: bool) -> None:
    assert not is_own(read(origin), host, secure)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("https://a.example/", "must not end with a slash, write 'https://a.example'"),
        ("https://a.example:443/", "write 'https://a.example'"),
        ("https://a.example/chat", "has no path, write 'https://a.example'"),
        ("https://a.example/chat/", "write 'https://a.example'"),
        ("https://a.example?x=1", "write 'https://a.example'"),
        ("a.example", "write 'https://a.example'"),
        ("a.example:8443/", "write 'https://a.example:8443'"),
        ("localhost:3000", "write 'http://localhost:3000'"),
        ("127.0.0.1:3000", "write 'http://127.0.0.1:3000'"),
        ("https://*.a.example", 're.compile(r"https://[^.]+\\.a\\.example")'),
        ("*", 'any origin is cors="*"'),
        ("*.example", "write scheme://host[:port]"),
        ("https://bücher.de", "https://xn--bcher-kva.de"),
        ("https://bücher.de:8443/", "https://xn--bcher-kva.de:8443"),
        ("https://" + "ü" * 80, "in ASCII"),
        ("", "write scheme://host[:port]"),
        ("https://user@a.example", "write scheme://host[:port]"),
        (7, "a string or a pattern, not 7"),
        (None, "a string or a pattern, not None"),
        (True, "a string or a pattern, not True"),
        (b"https://a.example", "a string or a pattern"),
    ],
)
def test_a_wrong_origin_in_an_option_is_told_with_the_fix(text: object, fix: str) -> None:
    with pytest.raises(OptionError, match=re.escape(fix)) as raised:
        checked_origin("cors", text)
    assert str(raised.value).startswith("cors: ")


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{1,8}){0,3}", fullmatch=True)


@given(st.sampled_from(["http", "https"]), HOSTS, st.integers(1, 65535))
def test_what_is_written_is_read_again(scheme: str, host: str, port: int) -> None:
    origin = Origin(scheme, host, port)
    assert [parse_origin(spelling) for spelling in origin.spellings()] == [origin] * len(
        origin.spellings()
    )
    assert is_own(origin, f"{host}:{port}", scheme == "https")


@given(st.text(max_size=40) | st.text("htps:/.[]0123456789ab@%", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    origin = parse_origin(text)
    if origin is not None:
        assert text.isascii() and text.isprintable()
        assert parse_origin(str(origin)) == origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/x?y#z", "https://a.example"),
        ("https://a.example?x", "https://a.example"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("https://a.example@b.example/", "https://a.example@b.example"),
        ("about:blank", "about:blank"),
        ("/x", ""),
        ("", ""),
    ],
)
def test_the_part_of_an_address_that_may_be_an_origin(url: str, origin: str) -> None:
    assert origin_of(url) == origin
