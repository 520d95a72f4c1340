"""Whoever gives files for TLS that cannot be used is told which, and why."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuncio import OptionError, Server
from nuncio.engine import Engine
from nuncio.hosts.tls import check_tls

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """A folder with certificates and keys made by OpenSSL, of two owners."""
    openssl = program("openssl")
    folder = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=folder)

    for name in ("own", "other"):
        run(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-keyout", f"{name}.key", "-out", f"{name}.crt"),
        )
    run(
        *("pkcs8", "-topk8", "-in", "own.key", "-out", "locked.key"),
        *("-passout", f"pass:{PASSWORD}"),
    )
    run("x509", "-in", "own.crt", "-outform", "DER", "-out", "own.der")
    own = (folder / "own.crt").read_bytes(), (folder / "own.key").read_bytes()
    (folder / "both.pem").write_bytes(own[0] + own[1])
    for name, data in (("broken.crt", own[0]), ("broken.key", own[1])):
        lines = data.splitlines()
        (folder / name).write_bytes(b"\n".join([lines[0], b"AAAA", *lines[2:], b""]))
    (folder / "folder").mkdir()
    return folder


GOOD: list[tuple[str, str | None, str | None]] = [
    ("own.crt", "own.key", None),
    ("own.crt", "locked.key", PASSWORD),
    ("both.pem", None, None),
    ("both.pem", "both.pem", None),
]

# The certificate's file, the key's, the password; then the option and the file that are named.
BAD: list[tuple[str | None, str | None, str | None, str]] = [
    ("gone.crt", "own.key", None, "ssl_certfile: cannot read 'gone.crt': No such file"),
    ("own.crt", "gone.key", None, "ssl_keyfile: cannot read 'gone.key': No such file"),
    ("folder", "own.key", None, "ssl_certfile: cannot read 'folder': Is a directory"),
    ("own.der", "own.key", None, "ssl_certfile: there is no certificate in PEM.* in 'own.der'"),
    ("own.key", "own.crt", None, "ssl_certfile: there is no certificate in PEM.* in 'own.key'"),
    ("own.crt", "own.crt", None, "ssl_keyfile: there is no private key in PEM.* in 'own.crt'"),
    ("own.crt", None, None, "ssl_certfile: 'own.crt' holds no private key.*ssl_keyfile="),
    ("own.crt", "other.key", None, "ssl_keyfile: 'other.key' is not the private.*in 'own.crt'"),
    ("broken.crt", "own.key", None, "ssl_certfile: 'broken.crt' cannot be used: "),
    ("own.crt", "broken.key", None, "ssl_keyfile: 'broken.key' cannot be used: "),
    ("own.crt", "locked.key", None, "ssl_keyfile: 'locked.key' is encrypted.*ssl_keyfile_password"),
    ("own.crt", "locked.key", "x", "ssl_keyfile_password is not the password of.*'locked.key'"),
    (None, "own.key", None, "ssl_keyfile is of no use without ssl_certfile"),
    (None, None, PASSWORD, "ssl_keyfile_password is of no use without ssl_certfile"),
]


def options(cert: str | None, key: str | None, password: str | None) -> dict[str, Any]:
    given = {"ssl_certfile": cert, "ssl_keyfile": key, "ssl_keyfile_password": password}
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(("cert", "key", "password"), GOOD)
def test_files_that_fit_are_taken(
    files: Path, cert: str, key: str | None, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)

    async def main() -> None:
        async with await Server().listen(0, **options(cert, key, password)) as listening:
            assert listening.port > 0

    asyncio.run(main())


@pytest.mark.parametrize(("cert", "key", "password", "text"), BAD)
def test_files_that_do_not_are_named_before_anything_begins(
    files: Path,
    cert: str | None,
    key: str | None,
    password: str | None,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files)
    for what in (Server(), Engine()):
        with pytest.raises(OptionError, match=text):
            what.run(port=0, **options(cert, key, password))
        with pytest.raises(OptionError, match=text):
            asyncio.run(what.listen(0, **options(cert, key, password)))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_a_key_that_may_not_be_read(files: Path, tmp_path: Path) -> None:
    key = Path(shutil.copy(files / "own.key", tmp_path))
    key.chmod(0)
    text = re.escape(f"ssl_keyfile: cannot read {str(key)!r}: Permission denied")
    with pytest.raises(OptionError, match=text):
        check_tls(options(str(files / "own.crt"), str(key), None))


@pytest.mark.parametrize("value", [5, True, b"cert.pem", ["cert.pem"]])
def test_a_file_is_given_by_its_path(value: object) -> None:
    with pytest.raises(OptionError, match="ssl_certfile must be the path of a file, not"):
        check_tls({"ssl_certfile": value})


def test_paths_may_be_objects_and_passwords_are_text(files: Path) -> None:
    check_tls({"ssl_certfile": files / "both.pem"})
    with pytest.raises(OptionError, match="ssl_keyfile_password must be text, not bytes") as caught:
        check_tls({"ssl_certfile": files / "both.pem", "ssl_keyfile_password": b"secret"})
    assert "secret" not in str(caught.value)


def test_a_path_that_cannot_be_one() -> None:
    with pytest.raises(OptionError, match="ssl_certfile: cannot read 'a"):
        check_tls({"ssl_certfile": "a\0b"})
