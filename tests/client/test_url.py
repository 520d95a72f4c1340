from __future__ import annotations

from typing import Any

import pytest

from nuncio.client.url import Target, encode_query, parse, query_pairs
from nuncio.errors import OptionError


@pytest.mark.parametrize(
    ("url", "origin", "nsp"),
    [
        ("http://localhost", "http://localhost", "/"),
        ("http://localhost/", "http://localhost", "/"),
        ("http://localhost:80", "http://localhost", "/"),
        ("https://localhost:443", "https://localhost", "/"),
        ("https://localhost:80", "https://localhost:80", "/"),
        ("http://localhost:3000/chat", "http://localhost:3000", "/chat"),
        ("http://localhost:3000/chat/", "http://localhost:3000", "/chat/"),
        ("http://localhost:3000/chat/room", "http://localhost:3000", "/chat/room"),
        ("http://localhost:3000/a%20b", "http://localhost:3000", "/a%20b"),
        ("ws://localhost:3000", "http://localhost:3000", "/"),
        ("wss://localhost", "https://localhost", "/"),
        ("HTTP://LOCALHOST", "http://localhost", "/"),
        ("http://[::1]:3000/chat", "http://[::1]:3000", "/chat"),
        ("http://127.0.0.1:3000?a=1", "http://127.0.0.1:3000", "/"),
        ("http://localhost/chat#part", "http://localhost", "/chat"),
    ],
)
def test_the_path_is_the_namespace_and_the_rest_is_the_server(
    url: str, origin: str, nsp: str
) -> None:
    target = parse(url)
    assert (target.origin, target.nsp, target.assumed) == (origin, nsp, False)


@pytest.mark.parametrize(
    ("url", "origin", "nsp"),
    [
        ("localhost:3000", "https://localhost:3000", "/"),
        ("example.com/chat", "https://example.com", "/chat"),
        ("//localhost:3000/chat", "https://localhost:3000", "/chat"),
        ("localhost/chat?to=http://other", "https://localhost", "/chat"),
    ],
)
def test_without_a_scheme_it_is_https(url: str, origin: str, nsp: str) -> None:
    target = parse(url)
    assert (target.origin, target.nsp, target.assumed) == (origin, nsp, True)


@pytest.mark.parametrize(
    ("url", "port", "secure"),
    [
        ("http://localhost", 80, False),
        ("ws://localhost", 80, False),
        ("https://localhost", 443, True),
        ("wss://localhost", 443, True),
        ("http://localhost:8080", 8080, False),
        ("https://localhost:80", 80, True),
    ],
)
def test_ports_have_the_usual_defaults(url: str, port: int, secure: bool) -> None:
    target = parse(url)
    assert (target.port, target.secure) == (port, secure)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@localhost:3000/a@b?c=d@e",
        "http://user@localhost:3000/a@b?c=d@e",
        "http://localhost:3000/a@b?c=d@e",
    ],
)
def test_an_at_sign_anywhere_does_not_move_the_host(url: str) -> None:
    target = parse(url)
    assert target.origin == "http://localhost:3000"
    assert (target.nsp, target.query) == ("/a@b", [("c", "d@e")])


def test_the_host_is_written_as_it_travels() -> None:
    assert parse("http://bücher.example:3000").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "has no host"),
        ("/chat", "has no host"),
        ("http://", "has no host"),
        ("http:///chat", "has no host"),
        ("http://local host", "has no host"),
        ("http://:3000", "has no host"),
        ("http://localhost:port", "cannot be read"),
        ("http://localhost:70000", "cannot be read"),
        ("http://[::1", "cannot be read"),
        ("http://" + "ü" * 70 + ".example", "cannot be read"),
        ("ftp://localhost", "has the scheme 'ftp'; write http, https, ws or wss"),
        ("file:///etc/passwd", "has the scheme 'file'"),
    ],
)
def test_what_is_no_url_is_told(url: str, words: str) -> None:
    with pytest.raises(OptionError, match=r"^url: ") as caught:
        parse(url)
    assert words in str(caught.value)


def test_a_url_has_a_greatest_length() -> None:
    head = "http://localhost/?a="
    assert parse(head + "x" * (8000 - len(head))).query == [("a", "x" * (8000 - len(head)))]
    with pytest.raises(OptionError, match=r"url: URI too long, 8001 characters; at most 8000"):
        parse(head + "x" * (8001 - len(head)))


@pytest.mark.parametrize("url", [None, b"http://localhost", 3000])
def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(OptionError, match="url must be a str such as"):
        parse(url)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("?a=1", [("a", "1")]),
        ("a=&b", [("a", ""), ("b", "")]),
        ("a=b=c", [("a", "b=c")]),
        ("a%26=%3D%20x", [("a&", "= x")]),
        ("token=a+b", [("token", "a+b")]),
        ("a=%C3%BC", [("a", "ü")]),
        ("&&a=1&", [("a", "1")]),
    ],
)
def test_a_query_is_read_as_the_official_client_does(
    query: str, pairs: list[tuple[str, str]]
) -> None:
    assert query_pairs(query) == pairs
    assert parse(f"http://localhost?{query.lstrip('?')}").query == pairs


def test_a_query_may_be_a_mapping() -> None:
    given = {"a": 1, "b": None, "c": True, "d": False, "e": "x y", "f": 1.5, 7: "n"}
    assert query_pairs(given) == [
        ("a", "1"),
        ("b", ""),
        ("c", "true"),
        ("d", "false"),
        ("e", "x y"),
        ("f", "1.5"),
        ("7", "n"),
    ]
    assert query_pairs(None) == []


@pytest.mark.parametrize("query", [5, [("a", "b")], b"a=1"])
def test_other_queries_are_told(query: Any) -> None:
    with pytest.raises(OptionError, match="query must be a mapping or a str"):
        query_pairs(query)


def test_queries_are_written_as_encode_uri_component_does() -> None:
    pairs = [("a b", "c&d"), ("ü", "/?:@+"), ("e", "!~*'()-_.")]
    assert encode_query(pairs) == "a%20b=c%26d&%C3%BC=%2F%3F%3A%40%2B&e=!~*'()-_."


def test_lone_surrogates_in_a_query_are_refused_where_they_are_given() -> None:
    for query in ({"a": "\ud800"}, {"\ud800": "a"}, "a=\ud800"):
        with pytest.raises(OptionError, match=r"query: .* cannot be sent"):
            query_pairs(query)
    with pytest.raises(OptionError, match=r"url: .* cannot be read"):
        parse("http://localhost?a=\ud800")


def test_targets_are_values() -> None:
    assert parse("http://localhost/a") == Target(False, "localhost", 80, "/a", [])
