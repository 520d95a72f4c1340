"""What `instrument` refuses, and what it says then."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

import nuncio
from tests.admin.site import AUTH, HASH


@pytest.mark.parametrize(
    "options,words",
    [
        ({}, "say who may use the admin page"),
        ({"auth": True}, "say who may use the admin page"),
        ({"auth": {"username": "ops"}}, "say who may use the admin page"),
        ({"auth": {"username": "", "password": HASH}}, "say who may use the admin page"),
        ({"auth": {"username": "ops", "password": "changeit"}}, "must be a bcrypt hash"),
        ({"auth": {"username": "ops", "password": HASH[:-1]}}, "must be a bcrypt hash"),
        ({"auth": {"username": "ops", "password": HASH + "\n"}}, "must be a bcrypt hash"),
        ({"auth": {**AUTH, "type": "digest"}}, "type must be 'basic'"),
        ({"auth": {**AUTH, "user": "ops"}}, "did you mean 'username'?"),
        ({"auth": AUTH, "mode": "test"}, "mode must be 'development' or 'production'"),
        ({"auth": AUTH, "read_only": "no"}, "read_only must be True or False"),
        ({"auth": AUTH, "namespace": "/"}, "the page needs one of its own"),
        ({"auth": AUTH, "namespace": "/mine"}, "the namespace /mine is there already"),
        ({"auth": AUTH, "server_id": 7}, "server_id must be a str"),
        ({"auth": AUTH, "store": "redis://localhost"}, "store must be"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], words: str) -> None:
    io = nuncio.Server()
    io.of("/mine")
    with pytest.raises(nuncio.OptionError, match=re.escape(words)) as caught:
        nuncio.instrument(io, **options)
    # The password belongs into no message.
    assert "changeit" not in str(caught.value)
    assert io.admin is None


def test_a_server_is_instrumented_once() -> None:
    io = nuncio.Server()
    nuncio.instrument(io, auth=False)
    with pytest.raises(nuncio.OptionError, match="instrumented already"):
        nuncio.instrument(io, auth=False, namespace="/other")


def test_without_bcrypt_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(nuncio.OptionError, match=re.escape("pip install 'nuncio[admin]'")):
        nuncio.instrument(nuncio.Server(), auth=AUTH)
    # Who asks for no password needs none.
    nuncio.instrument(nuncio.Server(), auth=False)


def test_hashes_may_be_bytes_and_of_other_makers() -> None:
    for hash in (HASH.encode(), HASH.replace("$2b$", "$2a$"), HASH.replace("$2b$", "$2y$")):
        nuncio.instrument(nuncio.Server(), auth={"username": "ops", "password": hash})


def test_a_dynamic_namespace_of_the_same_name_is_another_one() -> None:
    io = nuncio.Server()
    io.of(re.compile(".*"))
    nuncio.instrument(io, auth=False)
    assert io.of("/admin").parent is None
