from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio import Server
from nuncio.client import EngineClient
from nuncio.errors import OptionError
from nuncio.webtransport import WebTransportOptions, extra, listen, make_certificate
from nuncio.webtransport.host import WebTransportHost
from tests.support.aio import run_async
from tests.support.webtransport import ALL, listen_with


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"certificat": "x"}, "did you mean 'certificate'"),
        ({"certificate": 7}, "must be the path of a file"),
        ({"key": "x"}, "are those of certificate"),
        ({"dev": 1}, "True or False"),
        ({"dev": True, "certificate": "x"}, "leave it out"),
        ({"port": 70000}, "from 0 to 65535"),
        ({"port": True}, "from 0 to 65535"),
        ({"host": 1}, "must be an address"),
        ({"dev_names": "a"}, "list of names"),
        ({"pending": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        WebTransportOptions.parse(options)


def test_they_are_an_object_a_mapping_or_nothing() -> None:
    given = WebTransportOptions(dev=True)
    assert WebTransportOptions.parse(given) is given
    assert WebTransportOptions.parse({"dev": True}) == given
    assert WebTransportOptions.parse(None) == WebTransportOptions()
    with pytest.raises(OptionError, match="or a mapping"):
        WebTransportOptions.parse("dev")


@run_async
async def test_without_a_certificate_a_server_does_not_start() -> None:
    with pytest.raises(OptionError, match="needs a certificate"):
        await Server(transports=list(ALL)).listen(0)


@run_async
async def test_options_for_a_server_without_it_are_told() -> None:
    with pytest.raises(OptionError, match="among its transports"):
        await Server().listen(0, webtransport={"dev": True})
    with pytest.raises(OptionError, match="among its transports"):
        await listen(Server(), dev=True)


@run_async
async def test_files_that_cannot_be_used_are_told_by_their_own_names(tmp_path: Path) -> None:
    io = Server(transports=list(ALL))
    with pytest.raises(OptionError, match="webtransport: certificate: cannot read 'nowhere'"):
        await io.listen(0, webtransport={"certificate": "nowhere"})
    one, other = make_certificate(), make_certificate()
    one.write(tmp_path / "one.pem", tmp_path / "one.key")
    other.write(tmp_path / "other.pem", tmp_path / "other.key")
    options = {"certificate": tmp_path / "one.pem", "key": tmp_path / "other.key"}
    with pytest.raises(OptionError, match="is not the private key"):
        await io.listen(0, webtransport=options)


@run_async
async def test_the_server_s_own_certificate_serves_both(tmp_path: Path) -> None:
    made = make_certificate()
    made.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    io = Server(transports=list(ALL))
    options: dict[str, Any] = {
        "ssl_certfile": tmp_path / "cert.pem",
        "ssl_keyfile": tmp_path / "key.pem",
    }
    async with await io.listen(0, **options) as listening:
        assert listening.certificate_hash == made.hash64
        async with nuncio.connect(
            f"https://127.0.0.1:{listening.port}",
            transports=["webtransport"],
            ca=str(tmp_path / "cert.pem"),
        ) as socket:
            assert socket.connected


@run_async
async def test_a_port_that_is_taken_is_told() -> None:
    async with await listen_with(Server(transports=list(ALL))) as first:
        io = Server(transports=list(ALL))
        with pytest.raises(OSError, match="cannot listen on UDP"):
            await io.listen(0, webtransport={"dev": True, "port": first.port})


def test_without_the_extra_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    words = r"pip install 'nuncio\[webtransport\]'"
    with pytest.raises(OptionError, match=words):
        Server(transports=["polling", "webtransport"])
    with pytest.raises(OptionError, match=words):
        EngineClient("http://localhost", transports=["webtransport"])
    with pytest.raises(OptionError, match=words):
        make_certificate()
    with pytest.raises(OptionError, match=words):
        WebTransportHost([], {"dev": True})


def test_nobody_imports_aioquic_who_does_not_need_it() -> None:
    assert find_spec("aioquic") is not None
    code = (
        "import sys, nuncio, nuncio.webtransport, nuncio.hosts.serve\n"
        "from nuncio.client import EngineClient\n"
        "nuncio.Server(transports=['webtransport'])\n"
        "EngineClient('http://localhost', transports=['webtransport'])\n"
        "print([name for name in sys.modules if name.startswith(('aioquic', 'cryptography'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
