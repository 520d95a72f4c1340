"""Attributes that JavaScript's server has and ours does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nuncio import OptionError, Server
from nuncio.server.hints import Hints


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("path", "it is an option, Server(path=…), and read as io.engine.path"),
        ("adapter", "it is an option, Server(adapter=…); a namespace's own is io.of(name).adapter"),
        ("serveClient", "it is an option, Server(serve_client=…)"),
        ("serve_client", "it is an option, Server(serve_client=…)"),
        ("connectTimeout", "it is an option, Server(connect_timeout=…)"),
        ("ping_interval", "it is an option, Server(ping_interval=…)"),
        ("allSockets", "write await io.fetch_sockets()"),
        ("all_sockets", "write await io.fetch_sockets()"),
        ("attach", "another application is served beside: io.run(app=…) or io.asgi(app)"),
        ("write", "write io.send"),
        ("httpServer", "io.run and io.listen make their own"),
    ],
)
def test_what_javascript_has_is_answered_with_what_to_write(name: str, hint: str) -> None:
    io = Server()
    with pytest.raises(AttributeError) as caught:
        getattr(io, name)
    assert str(caught.value) == f"Server has no attribute {name!r}: {hint}"
    assert not hasattr(io, name)


def test_other_attributes_are_as_in_any_object() -> None:
    io: Any = Server()
    with pytest.raises(AttributeError, match="'Server' object has no attribute 'nonsense'"):
        io.nonsense()
    assert not hasattr(io, "__deepcopy__")
    io.database = 5
    assert copy.copy(io).database == 5


@pytest.mark.parametrize("name", ["path", "adapter", "serve_client", "ping_interval", "cors"])
def test_an_option_that_is_assigned_would_have_no_effect(name: str) -> None:
    with pytest.raises(OptionError, match=rf"{name}.*it is an option, Server\({name}=…\)"):
        setattr(Server(), name, 5)


def test_no_option_hides_an_attribute() -> None:
    io = Server()
    for name in dir(Hints):
        if not name.startswith("__"):
            assert not hasattr(io, name)
            assert name not in vars(io)
