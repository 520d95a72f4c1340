"""The browser's client as a file: names, caches, codings; by the native path and under ASGI."""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nuncio import Exchange, OptionError, Request, Server
from nuncio.server import client_files
from nuncio.server.client_files import NAMES, ClientFiles
from tests.support.aio import run_async
from tests.support.fakes import FakeExchange
from tests.support.live import HOSTS, listening
from tests.support.rawclient import Headers, WebSocket, fetch

SCRIPT = b"/*!\n * Socket.IO v4.8.4\n */\n" + b"const io = 1;\n" * 200
MINIFIED = b"/* Socket.IO v4.8.4-rc.1 */" + b"io()" * 200
MAP = b'{"version":3}' * 50


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder like the official one, with something else in it."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "socket.io.js").write_bytes(SCRIPT)
    (folder / "socket.io.min.js").write_bytes(MINIFIED)
    (folder / "socket.io.min.js.map").write_bytes(MAP)
    (folder / "secret.js").write_bytes(b"secret")
    (tmp_path / "socket.io.esm.min.js").write_bytes(b"outside")
    return folder


def parsed(option: Any) -> ClientFiles:
    files = ClientFiles.parse(option)
    assert files is not None
    return files


def ask(
    files: ClientFiles,
    path: str = "/socket.io/socket.io.js",
    query: str = "",
    method: str = "GET",
    *,
    base: str = "/socket.io",
    **headers: str,
) -> FakeExchange | None:
    """Ask for a path; None when it is not for these files."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    exchange = FakeExchange(Request(method, path, query, pairs, None, False))
    served = files.serve(exchange, base)
    assert served is exchange.done
    return exchange if served else None


def got(files: ClientFiles, *args: Any, **headers: Any) -> FakeExchange:
    exchange = ask(files, *args, **headers)
    assert exchange is not None
    return exchange


def header(exchange: FakeExchange, name: str) -> str | None:
    return dict(exchange.sent).get(name)


# The option.


@pytest.mark.parametrize("option", [None, False])
def test_off(option: Any) -> None:
    assert ClientFiles.parse(option) is None


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the client that comes with Nuncio would be: a folder not yet there."""
    folder = tmp_path / "browser"
    monkeypatch.setattr(client_files, "BUNDLED", folder)
    yield folder


def test_the_client_that_comes_with_nuncio_is_served_where_there_is_one(bundle: Path) -> None:
    assert ClientFiles.parse("auto") is None
    with pytest.raises(OptionError, match="serve_client=True: this installation"):
        ClientFiles.parse(True)
    bundle.mkdir()
    assert ClientFiles.parse("auto") is None
    (bundle / "socket.io.min.js").write_bytes(MINIFIED)
    (bundle / "README").write_bytes(b"")
    for option in ("auto", True):
        files = parsed(option)
        assert files.names == ["socket.io.min.js"]
        assert got(files, "/socket.io/socket.io.min.js").body == MINIFIED
    assert Server().client_url().startswith("/socket.io/socket.io.min.js?v=4.8.4-rc.1-")


def test_of_a_folder_only_the_official_files_are_served(dist: Path) -> None:
    for option in (dist, str(dist)):
        files = parsed(option)
        assert files.names == ["socket.io.js", "socket.io.min.js", "socket.io.min.js.map"]
    assert ask(files, "/socket.io/secret.js") is None


def test_one_file_is_served_under_its_name(dist: Path) -> None:
    files = parsed(dist / "socket.io.js")
    assert files.names == ["socket.io.js"]
    assert got(files).body == SCRIPT


def test_a_mapping_names_what_is_served(dist: Path) -> None:
    files = parsed({"socket.io.js": str(dist / "secret.js"), "our-chat.2.mjs": dist / "secret.js"})
    assert got(files).body == b"secret"
    assert got(files, "/socket.io/our-chat.2.mjs").body == b"secret"
    assert ask(files, "/socket.io/socket.io.min.js") is None


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("{dist}/nothing", "there is no file or folder"),
        ("{dist}/secret.js", "under which name?"),
        ("{dist}/..", "holds none of socket.io.js, "),
        ({"socket.io.js": "{dist}/nothing"}, "there is no file or folder"),
        ({"socket.io.js": "{dist}"}, "there is no file or folder"),
        ({"socket.io.js": None}, "a file is a path"),
        ({"../socket.io.js": "{dist}/secret.js"}, "names are letters"),
        ({"a/b.js": "{dist}/secret.js"}, "names are letters"),
        ({".js": "{dist}/secret.js"}, "names are letters"),
        ({"page.html": "{dist}/secret.js"}, "names are letters"),
        ({"socket.io.js\n": "{dist}/secret.js"}, "names are letters"),
        ({5: "{dist}/secret.js"}, "names are letters"),
        (5, "must be True, False, a folder"),
        ([], "must be True, False, a folder"),
    ],
)
def test_wrong_options_are_told(dist: Path, option: Any, text: str) -> None:
    def filled(value: Any) -> Any:
        return value.format(dist=dist) if isinstance(value, str) else value

    if isinstance(option, dict):
        option = {name: filled(path) for name, path in option.items()}
    (dist.parent / "socket.io.esm.min.js").unlink()
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        Server(serve_client=filled(option))
    assert "serve_client" in str(raised.value)


# Names.


def test_every_official_name_is_known() -> None:
    bundles = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"]
    # Nuncio's own beside them.
    bundles += ["socket.io.all.min", "socket.io.all.esm.min"]
    bundles += ["nuncio-transports.min", "nuncio-transports.esm.min"]
    bundles += ["nuncio-peer.min", "nuncio-peer.esm.min"]
    assert sorted(NAMES) == sorted(f"{name}.js{map}" for name in bundles for map in ("", ".map"))


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/",
        "/socket.io",
        "/socket.io/secret.js",
        "/socket.io/socket.io.esm.min.js",
        "/socket.io/../socket.io.esm.min.js",
        "/socket.io/../dist/socket.io.js",
        "/socket.io/./socket.io.js",
        "/socket.io//socket.io.js",
        "/socket.io/dist/socket.io.js",
        "/socket.io/\\socket.io.js",
        "/socket.io/socket.io.js/",
        "/socket.io/socket.io.js/..",
        "/socket.io/socket.io.js\0",
        "/socket.io/socket.io.js.gz",
        "/socket.io/Socket.IO.js",
        "/socket.io/constructor",
        "/socket.io/socket.io/socket.io.js",
        "/socket.iosocket.io.js",
        "/other/socket.io.js",
        "/socket.io.js",
        "socket.io.js",
        "",
    ],
)
def test_other_paths_are_not_for_the_files(dist: Path, path: str) -> None:
    assert ask(parsed(dist), path) is None


def test_below_a_mount_point_and_at_the_root(dist: Path) -> None:
    files = parsed(dist)
    assert got(files, "/deep/socket.io/socket.io.js").body == SCRIPT
    assert got(files, "/socket.io.js", base="").body == SCRIPT


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_the_engines(dist: Path, method: str) -> None:
    assert ask(parsed(dist), method=method) is None


def test_the_query_means_nothing(dist: Path) -> None:
    files = parsed(dist)
    for query in ("EIO=4&transport=polling", "transport=polling&sid=x", "v=4.8.4", "t=1#x"):
        exchange = got(files, "/socket.io/socket.io.js", query)
        assert exchange.body == SCRIPT
        assert header(exchange, "Cache-Control") == "public, max-age=0"


# Caches.


def test_what_is_said_of_a_file(dist: Path) -> None:
    files = parsed(dist)
    exchange = got(files)
    tag = header(exchange, "ETag")
    assert tag is not None and re.fullmatch(r'"4\.8\.4-[0-9a-f]{16}"', tag)
    assert exchange.status == 200
    assert exchange.sent == [
        ("Content-Type", "application/javascript; charset=utf-8"),
        ("Cache-Control", "public, max-age=0"),
        ("ETag", tag),
        ("Vary", "Accept-Encoding"),
    ]
    other = got(files, "/socket.io/socket.io.min.js.map")
    assert header(other, "Content-Type") == "application/json; charset=utf-8"
    other_tag = header(other, "ETag")
    # A map has no comment that names a version.
    assert other_tag is not None and re.fullmatch(r'"[0-9a-f]{16}"', other_tag)


def test_the_tag_changes_with_the_file(dist: Path) -> None:
    before = header(got(parsed(dist)), "ETag")
    (dist / "socket.io.js").write_bytes(SCRIPT + b" ")
    assert header(got(parsed(dist)), "ETag") != before


@pytest.mark.parametrize(
    "listed",
    ["{0}", "W/{0}", " {0} ", '"x", {0}', '"x",W/{0},"y"', ',{0},"', "*", " * ", "{1}", "W/{1}"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_it_is_told_so(dist: Path, listed: str, method: str) -> None:
    files = parsed(dist)
    plain = header(got(files), "ETag") or ""
    packed = header(got(files, accept_encoding="gzip"), "ETag") or ""
    assert plain != packed
    condition = listed.format(plain, packed)
    exchange = got(files, method=method, if_none_match=condition)
    assert exchange.answer == (304, b"")
    assert exchange.sent == [
        ("Cache-Control", "public, max-age=0"),
        ("ETag", packed if "{1}" in listed else plain),
        ("Vary", "Accept-Encoding"),
    ]


@pytest.mark.parametrize(
    "listed", ["", '"x"', "{bare}", "w/{0}", "W/W/{0}", '"{0}"', "**", '"*"', "4.8.4", "," * 10_000]
)
def test_who_has_something_else_gets_it(dist: Path, listed: str) -> None:
    files = parsed(dist)
    tag = header(got(files), "ETag") or ""
    condition = listed.format(tag, bare=tag.strip('"'))
    assert got(files, if_none_match=condition).answer == (200, SCRIPT)


def test_a_url_with_the_version_may_be_kept_for_ever(dist: Path) -> None:
    io = Server(serve_client=dist, path="/live/")
    url = io.client_url("socket.io.js")
    path, _, query = url.partition("?")
    assert path == "/live/socket.io.js"
    files = parsed(dist)
    forever = "public, max-age=31536000, immutable"
    for condition in ({}, {"if_none_match": "*"}, {"accept_encoding": "gzip"}):
        exchange = got(files, path, query, base="/live", **condition)
        assert header(exchange, "Cache-Control") == forever
    # Another file's version, or an older one's, is no promise.
    other = io.client_url("socket.io.min.js").partition("?")[2]
    assert header(got(files, path, other, base="/live"), "Cache-Control") == "public, max-age=0"


def test_a_url_of_what_is_not_served_is_refused(dist: Path) -> None:
    with pytest.raises(OptionError, match=r"there are socket\.io\.js, "):
        Server(serve_client=dist).client_url("secret.js")
    with pytest.raises(OptionError, match="no client is served"):
        Server(serve_client=False).client_url()


# Codings.


def test_it_is_compressed_once(dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = parsed(dist)
    first = got(files, accept_encoding="br, gzip, deflate")
    assert header(first, "Content-Encoding") == "gzip"
    assert gzip.decompress(first.body) == SCRIPT
    monkeypatch.delattr(gzip, "compress")
    assert got(files, accept_encoding="gzip").body == first.body
    assert got(files, accept_encoding="gzip;q=0, identity").body == SCRIPT
    assert got(files, accept_encoding="deflate").body == SCRIPT
    assert got(files, accept_encoding="*;q=0").body == SCRIPT


def test_what_was_compressed_ahead_of_time_is_sent(dist: Path) -> None:
    # Whatever is in them: they are sent as they are.
    (dist / "socket.io.js.br").write_bytes(b"brotli")
    (dist / "socket.io.js.zst").write_bytes(b"zstandard")
    (dist / "socket.io.js.gz").write_bytes(b"gzipped")
    files = parsed(dist)
    tags = set()
    for accepted, coding, body in (
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip, zstd", "zstd", b"zstandard"),
        ("gzip", "gzip", b"gzipped"),
        ("gzip, br;q=0.5", "gzip", b"gzipped"),
        ("", None, SCRIPT),
    ):
        exchange = got(files, accept_encoding=accepted)
        assert (header(exchange, "Content-Encoding"), exchange.body) == (coding, body)
        tags.add(header(exchange, "ETag"))
    assert len(tags) == 4


# Files.


def test_a_file_is_read_once(dist: Path) -> None:
    files = parsed(dist)
    assert got(files).body == SCRIPT
    (dist / "socket.io.js").unlink()
    assert got(files).body == SCRIPT


def test_a_file_that_is_gone_is_told_once(dist: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = parsed(dist)
    (dist / "socket.io.js").unlink()
    for _ in range(3):
        assert ask(files) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "serve_client" in caplog.text
    assert got(files, "/socket.io/socket.io.min.js").body == MINIFIED


def test_a_request_names_no_file(dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = parsed(dist)

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("the file system was touched")

    for name in ("read_bytes", "is_file", "is_dir", "open", "stat"):
        monkeypatch.setattr(Path, name, touched)
    monkeypatch.setattr(os, "stat", touched)
    for path in ("/socket.io/secret.js", "/socket.io/../../etc/passwd", "/socket.io/a\0b"):
        assert ask(files, path) is None


# Over HTTP.


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_over_http(dist: Path, host: str) -> None:
    io = Server(serve_client=dist, cors="https://app.example")
    target = "/socket.io/socket.io.js"
    async with listening(io, host) as port:

        async def send(target: str = target, method: str = "GET", **headers: str) -> Any:
            pairs: Headers = [(name.replace("_", "-"), text) for name, text in headers.items()]
            body = b"x" if method == "POST" else None
            return await fetch(port, target, method, pairs, body)

        plain = await send()
        assert (plain.status, plain.body) == (200, SCRIPT)
        assert plain.header("content-length") == str(len(SCRIPT))
        packed = await send(accept_encoding="gzip", origin="https://app.example")
        assert gzip.decompress(packed.body) == SCRIPT
        assert packed.header("access-control-allow-origin") == "https://app.example"
        assert packed.header("vary") == "Origin, Accept-Encoding"
        head = await send(method="HEAD")
        assert (head.status, head.body) == (200, b"")
        for name in ("content-type", "content-length", "cache-control", "etag", "vary"):
            assert head.header(name) == plain.header(name)
        tag = plain.header("etag")
        assert tag is not None
        kept = await send(if_none_match=tag)
        assert (kept.status, kept.body) == (304, b"")
        assert (kept.header("etag"), kept.header("content-length")) == (tag, None)
        kept = await send(io.client_url("socket.io.js"), if_none_match=tag)
        assert kept.header("cache-control") == "public, max-age=31536000, immutable"
        assert (await send("/socket.io/socket%2eio.js")).status == 200
        # Everything else is the engine's.
        for other in (
            "/socket.io/secret.js",
            "/socket.io/../secret.js",
            "/socket.io/%2e%2e/dist/secret.js",
            "/socket.io/..%2fsocket.io.esm.min.js",
            "/socket.io/socket.io.js%00",
        ):
            refused = await send(other)
            assert (refused.status, refused.json["code"]) == (400, 0)
            assert b"secret" not in refused.body and b"outside" not in refused.body
        assert (await send(method="POST")).json["code"] == 0
        preflight = await send(method="OPTIONS", origin="https://app.example")
        assert preflight.status == 204


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_middlewares_do_not_see_it(dist: Path, host: str) -> None:
    io = Server(serve_client=dist, allow_request=lambda request: False)

    @io.engine.use
    def gate(request: Request, response: Exchange) -> None:
        raise PermissionError

    async with listening(io, host) as port:
        assert (await fetch(port, "/socket.io/socket.io.js")).body == SCRIPT
        assert (await fetch(port, "/socket.io/secret.js")).json["code"] == 3


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_a_websocket_is_never_a_file(dist: Path, host: str) -> None:
    io = Server(serve_client=dist)
    async with listening(io, host) as port:
        target = "/socket.io/socket.io.js?EIO=4&transport=websocket"
        async with await WebSocket.open(port, target) as socket:
            assert str(await socket.receive()).startswith("0{")


@pytest.mark.parametrize("slash", [True, False])
@run_async
async def test_with_and_without_a_trailing_slash(dist: Path, slash: bool) -> None:
    io = Server(serve_client=dist, add_trailing_slash=slash)
    async with listening(io) as port:
        assert (await fetch(port, "/socket.io/socket.io.js")).body == SCRIPT


@run_async
async def test_each_of_nested_servers_has_its_own(dist: Path) -> None:
    first = Server(serve_client=dist)
    second = Server(path="/second", serve_client={"socket.io.js": dist / "secret.js"})
    third = Server(path="/third", serve_client=False)
    async with await first.listen(0, app=second.asgi(third.asgi())) as own:
        assert (await fetch(own.port, "/socket.io/socket.io.js")).body == SCRIPT
        assert (await fetch(own.port, "/second/socket.io.js")).body == b"secret"
        assert (await fetch(own.port, "/third/socket.io.js")).json["code"] == 0
        assert (await fetch(own.port, "/fourth/socket.io.js")).status == 404
