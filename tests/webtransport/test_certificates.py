from __future__ import annotations

import datetime
import hashlib
import shutil
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

from nuncio.errors import OptionError
from nuncio.webtransport.certificates import make_certificate, parse_hash, read_certificate
from tests.conftest import find_program
from tests.support.authority import PASSPHRASE, Authority


def test_one_that_is_made_is_what_browsers_take_by_its_hash(tmp_path: Path) -> None:
    made = make_certificate(["localhost", "192.0.2.7", "::1"], 14)
    made.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        tmp_path / "cert.pem", tmp_path / "key.pem"
    )
    der = ssl.PEM_cert_to_DER_cert(made.pem.decode())
    assert hashlib.sha256(der).digest() == made.hash == parse_hash(made.hash64)
    assert made.names == ("localhost", "192.0.2.7", "::1") and made.by_hash
    left = made.expires - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=13, hours=23) < left < datetime.timedelta(days=14)
    assert read_certificate(tmp_path / "cert.pem", tmp_path / "key.pem", None) == made


@pytest.mark.parametrize(
    ("names", "days", "words"),
    [
        (["localhost"], 15, "at most 14"),
        (["localhost"], 0, "above 0"),
        ([], 1, "is for a name"),
        (["a b"], 1, "neither a name nor an address"),
        (["http://a"], 1, "neither a name nor an address"),
    ],
)
def test_what_cannot_be_is_told(names: list[str], days: float, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make_certificate(names, days)


def test_those_of_an_authority_are_read_with_chain_and_password(tmp_path: Path) -> None:
    authority = Authority(find_program("openssl"), tmp_path)
    cert, key = authority.issue("server")
    plain = read_certificate(cert, key, None)
    assert not plain.by_hash and plain.names == ("localhost", "127.0.0.1")
    assert read_certificate(cert, authority.lock(key), PASSPHRASE) == plain
    both = tmp_path / "both.pem"
    with both.open("wb") as file:
        for part in (cert, authority.ca, key):
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)
    found = read_certificate(both, None, None)
    assert (found.hash, found.key) == (plain.hash, plain.key)


@pytest.mark.parametrize("form", [bytes, bytearray, "base64", "hex", "HEX", "colons"])
def test_hashes_may_be_written_in_any_usual_form(form: Any) -> None:
    made = make_certificate()
    given = {
        "base64": made.hash64,
        "hex": made.hash.hex(),
        "HEX": made.hash.hex().upper(),
        "colons": made.hash.hex(":"),
    }
    assert parse_hash(given[form] if isinstance(form, str) else form(made.hash)) == made.hash


@pytest.mark.parametrize("wrong", [b"short", "short", "é", None, 7, "A" * 43, "g" * 64])
def test_what_is_no_hash_is_told(wrong: object) -> None:
    with pytest.raises(OptionError, match="SHA-256"):
        parse_hash(wrong)
