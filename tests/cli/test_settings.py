"""What the options of a connection mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nuncio.cli.credentials import read_auth
from nuncio.cli.problems import WrongUse
from nuncio.cli.settings import Address, joined_query, read_address, read_namespaces, read_pairs


@pytest.mark.parametrize(
    ("url", "origin", "namespace"),
    [
        ("http://localhost:3000", "http://localhost:3000", None),
        ("http://localhost:3000/", "http://localhost:3000", None),
        ("https://example.com/chat", "https://example.com", "/chat"),
        ("ws://example.com", "http://example.com", None),
        ("wss://example.com:444/a/b", "https://example.com:444", "/a/b"),
        ("localhost:3000/chat", "http://localhost:3000", "/chat"),
        ("localhost", "http://localhost", None),
        ("127.0.0.1:3000", "http://127.0.0.1:3000", None),
        ("[::1]:3000/chat", "http://[::1]:3000", "/chat"),
        (":3000", "http://localhost:3000", None),
        ("3000", "http://localhost:3000", None),
        (":3000/chat", "http://localhost:3000", "/chat"),
        ("example.com", "https://example.com", None),
        ("localhost.example.com", "https://localhost.example.com", None),
        (" http://x ", "http://x", None),
    ],
)
def test_urls(url: str, origin: str, namespace: str | None) -> None:
    assert read_address(url) == Address(origin, namespace, [])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x", "the scheme 'ftp'"),
        ("http://", "has no host"),
        ("", "has no host"),
        ("http://a b", "has no host"),
        ("http://x:port", "cannot be read"),
        ("http://x:99999", "cannot be read"),
        ("http://[::1", "cannot be read"),
    ],
)
def test_what_is_no_url(url: str, words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        read_address(url)


def test_queries_of_url_and_option_are_joined() -> None:
    address = read_address(":3000/?a=1&b=x%20y")
    assert joined_query(address, ["a=2", "c=ü&"]) == "a=1&b=x%20y&a=2&c=%C3%BC%26"
    assert joined_query(read_address(":3000"), []) is None
    with pytest.raises(WrongUse, match="name=value"):
        joined_query(address, ["d"])


@pytest.mark.parametrize(
    ("url", "given", "namespaces"),
    [
        (":3000", [], ("/",)),
        (":3000/chat", [], ("/chat",)),
        (":3000", ["admin", "/"], ("/admin", "/")),
        (":3000/chat", ["/admin", "/chat"], ("/chat", "/admin")),
    ],
)
def test_namespaces(url: str, given: list[str], namespaces: tuple[str, ...]) -> None:
    assert read_namespaces(read_address(url), given) == namespaces


def test_pairs() -> None:
    assert read_pairs(["X-A: b:c ", "X-B:"], ":", "") == [("X-A", "b:c"), ("X-B", "")]
    assert read_pairs(["a= b=c "], "=", "") == [("a", " b=c ")]
    for wrong in ("a", ": b"):
        with pytest.raises(WrongUse, match="'Name: value'"):
            read_pairs([wrong], ":", "'Name: value'")


@pytest.mark.parametrize(
    ("given", "auth"),
    [
        ([], None),
        (['{"token": "x"}'], {"token": "x"}),
        (["{token: x}"], {"token": "x"}),
        (["token=42", "n:=42", "list:=[1, a]", "empty="],
         {"token": "42", "n": 42, "list": [1, "a"], "empty": ""}),
        (["{a: 1, b: 2}", "b=3"], {"a": 1, "b": "3"}),
        (["url=http://x?a=b"], {"url": "http://x?a=b"}),
    ],
)  # fmt: skip
def test_credentials(given: list[str], auth: Any) -> None:
    assert read_auth(given) == auth


def test_credentials_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text('{"token": "secret"}')
    assert read_auth([f"@{file}"]) == {"token": "secret"}
    file.write_text("[1]")
    with pytest.raises(WrongUse, match="must hold an object"):
        read_auth([f"@{file}"])
    file.write_text("{")
    with pytest.raises(WrongUse, match="is no JSON"):
        read_auth([f"@{file}"])
    with pytest.raises(WrongUse, match="cannot read"):
        read_auth([f"@{tmp_path}/nothing"])


@pytest.mark.parametrize("wrong", ["token", "=x", ":=x", "a:={", "{a"])
def test_what_is_no_credential(wrong: str) -> None:
    with pytest.raises(WrongUse):
        read_auth([wrong])
