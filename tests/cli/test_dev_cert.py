from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nuncio import Server
from nuncio.cli.app import nuncio
from nuncio.webtransport.certificates import read_certificate
from tests.support.aio import run_async
from tests.support.webtransport import ALL, raw


def call(*arguments: str) -> Result:
    return CliRunner().invoke(nuncio, ["dev-cert", *arguments], prog_name="nuncio")


def test_it_writes_both_files_and_tells_how_they_are_used(tmp_path: Path) -> None:
    done = call("laptop.local", "-o", str(tmp_path / "certs"), "--days", "2")
    assert done.exit_code == 0, done.output
    made = read_certificate(tmp_path / "certs/dev-cert.pem", tmp_path / "certs/dev-key.pem", None)
    assert made.names == ("localhost", "127.0.0.1", "::1", "laptop.local") and made.by_hash
    for words in (made.hash64, "webtransport.json", "io.run(webtransport=", "dev-key.pem"):
        assert words in done.output


def test_a_script_gets_the_hash_alone(tmp_path: Path) -> None:
    done = call("--out", str(tmp_path), "--hash-only")
    made = read_certificate(tmp_path / "dev-cert.pem", tmp_path / "dev-key.pem", None)
    assert done.output == made.hash64 + "\n"


def test_what_is_there_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    assert call("-o", str(tmp_path)).exit_code == 0
    before = (tmp_path / "dev-cert.pem").read_bytes()
    again = call("-o", str(tmp_path))
    assert again.exit_code == 2 and "--force overwrites it" in again.output
    assert (tmp_path / "dev-cert.pem").read_bytes() == before
    assert call("-o", str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "dev-cert.pem").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("a b",), "neither a name nor an address"), (("--days", "15"), "0<x<=14")],
)
def test_mistakes_are_told(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = call(*arguments, "-o", str(tmp_path))
    assert done.exit_code == 2 and words in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("-o", str(tmp_path / "file"))
    assert done.exit_code == 1 and "Could not open file" in done.output


@run_async
async def test_servers_take_it_as_it_says(tmp_path: Path) -> None:
    assert call("-o", str(tmp_path)).exit_code == 0
    io = Server(transports=list(ALL))
    files = {"certificate": str(tmp_path / "dev-cert.pem"), "key": str(tmp_path / "dev-key.pem")}
    async with await io.listen(0, webtransport=files) as listening, raw(listening.port) as client:
        _, stream = await client.enter()
        assert str(await client.next(stream)).startswith("0{")
