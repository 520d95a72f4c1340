from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
import re
from dataclasses import dataclass
from typing import Any

import pytest

import nuncio
from nuncio.engine import Engine
from nuncio.engine.compression import HttpCompressionOptions
from nuncio.engine.cookies import CookieOptions
from nuncio.engine.cors import CorsOptions
from nuncio.engine.options import EngineOptions
from nuncio.errors import OptionError
from nuncio.options import build, seconds, unknown_option, whole
from nuncio.protocol.deflate import DeflateConfig
from nuncio.server.options import ServerOptions


@dataclass
class Paint:
    colour: str = "red"
    layers: int = 1


def test_options_become_an_object() -> None:
    assert build(Paint, {"layers": 2}, "Paint") == Paint("red", 2)


def test_an_unknown_option_is_told_with_the_nearest_known_name() -> None:
    with pytest.raises(OptionError, match="no option 'color'; did you mean 'colour'"):
        build(Paint, {"color": "blue"}, "Paint")


def test_an_unknown_option_that_resembles_nothing_has_no_hint() -> None:
    assert str(unknown_option("zzz", ["colour"], "Paint")) == "Paint has no option 'zzz'"


@pytest.mark.parametrize("value", [0.001, 1, 25.0, 10**9])
def test_seconds_are_positive_numbers(value: float) -> None:
    assert seconds("wait", value) == float(value)


@pytest.mark.parametrize(
    "value", [0, -1, math.inf, -math.inf, math.nan, 10**400, "1", None, True, [1]]
)
def test_other_seconds_are_refused_by_name(value: object) -> None:
    with pytest.raises(OptionError, match=re.escape("wait must be a number of seconds above 0")):
        seconds("wait", value)


def test_zero_seconds_where_they_mean_something() -> None:
    assert seconds("wait", 0, zero=True) == 0.0
    with pytest.raises(OptionError):
        seconds("wait", -0.5, zero=True)


@pytest.mark.parametrize("value", [1.0, "1", None, True, 0])
def test_other_whole_numbers_are_refused_by_name(value: object) -> None:
    with pytest.raises(OptionError, match="count must be a whole number of at least 1, not"):
        whole("count", value)


def test_whole_numbers_have_a_least() -> None:
    assert whole("count", 0, 0) == 0
    assert whole("count", 5, 5) == 5
    with pytest.raises(OptionError, match="at least 5"):
        whole("count", 4, 5)


def test_an_option_error_is_a_value_error() -> None:
    assert issubclass(OptionError, ValueError)
    assert issubclass(OptionError, nuncio.NuncioError)


# Every wrong option is told when the server is made, by its name.

WRONG: list[tuple[str, Any]] = [
    ("path", 5),
    ("path", ""),
    ("path", "socket.io"),
    ("add_trailing_slash", "yes"),
    ("ping_interval", 0),
    ("ping_interval", math.inf),
    ("ping_interval", "25"),
    ("ping_timeout", -1),
    ("upgrade_timeout", None),
    ("max_http_buffer_size", 0),
    ("max_http_buffer_size", 1.5),
    ("max_http_buffer_size", 2**70),
    ("transports", "polling"),
    ("transports", []),
    ("transports", None),
    ("transports", 5),
    ("transports", ["polling", "carrier pigeon"]),
    ("transports", [["polling"]]),
    ("allow_upgrades", "no"),
    ("http_compression", "gzip"),
    ("http_compression", {"threshold": -1}),
    ("per_message_deflate", "on"),
    ("per_message_deflate", {"nonsense": 1}),
    ("per_message_deflate", {"level": 10}),
    ("cors", 5),
    ("cors", "example.com"),
    ("cookie", 5),
    ("cookie", {"name": "a b"}),
    ("allow_request", True),
    ("initial_packet", 5),
    ("initial_packet", "a\x1eb"),
    ("generate_id", "id"),
    ("limits", {"rooms": 1}),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_option_of_the_engine_is_told_at_once(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        Engine(**{name: value})
    with pytest.raises(OptionError, match=name):
        nuncio.Server(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", math.nan),
        ("concurrency", 0),
        ("serve_client", 5),
        ("serve_client", "/nowhere"),
    ],
)
def test_a_wrong_option_of_the_server_is_told_at_once(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        nuncio.Server(**{name: value})


@pytest.mark.parametrize(
    ("name", "near"),
    [("pingInterval", "ping_interval"), ("path_", "path"), ("cookies", "cookie")],
)
def test_an_unknown_option_of_the_server_has_a_hint(name: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"Server has no option '{name}'; did you mean '{near}'"):
        nuncio.Server(**{name: 1})
    with pytest.raises(OptionError, match=f"Engine has no option '{name}'; did you mean '{near}'"):
        Engine(**{name: 1})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wsEngine", "WebSockets are Nuncio"),
        ("ws_engine", "WebSockets are Nuncio"),
        ("destroyUpgrade", "application beside: io.run(app=…)"),
        ("destroy_upgrade", "application beside: io.run(app=…)"),
        ("destroyUpgradeTimeout", "application beside: io.run(app=…)"),
    ],
)
def test_an_official_option_that_is_not_needed_is_told_why(name: str, hint: str) -> None:
    with pytest.raises(OptionError, match=f"Server has no option '{name}': .*{re.escape(hint)}"):
        nuncio.Server(**{name: None})


# The official server's, as its documentation lists them.
OFFICIAL = (
    *("path", "serveClient", "adapter", "parser", "connectTimeout", "connectionStateRecovery"),
    *("cleanupEmptyChildNamespaces", "pingTimeout", "pingInterval", "upgradeTimeout"),
    *("maxHttpBufferSize", "allowRequest", "transports", "allowUpgrades", "perMessageDeflate"),
    *("httpCompression", "initialPacket", "cookie", "cors", "allowEIO3", "addTrailingSlash"),
)


@pytest.mark.parametrize("name", [name for name in OFFICIAL if not name.islower()])
def test_an_official_option_as_javascript_writes_it_names_ours(name: str) -> None:
    with pytest.raises(OptionError, match="did you mean '") as caught:
        nuncio.Server(**{name: None})
    ours = str(caught.value).split("'")[3]
    assert ours.replace("_", "") == name.lower()


# Option objects, made by themselves.

OBJECTS: list[tuple[Any, str, str]] = [
    (nuncio.Limits, "room", "rooms"),
    (nuncio.Rate, "bursts", "burst"),
    (nuncio.RecoveryOptions, "maxDisconnectionDuration", "max_disconnection_duration"),
    (CorsOptions, "origins", "origin"),
    (CookieOptions, "httpOnly", "http_only"),
    (HttpCompressionOptions, "treshold", "threshold"),
    (DeflateConfig, "memLevel", "mem_level"),
    (ServerOptions, "connectTimeout", "connect_timeout"),
    (EngineOptions, "pingTimeout", "ping_timeout"),
]


@pytest.mark.parametrize(("cls", "name", "near"), OBJECTS)
def test_an_option_object_names_the_nearest(cls: Any, name: str, near: str) -> None:
    text = f"{cls.__name__} has no option '{name}'; did you mean '{near}'"
    with pytest.raises(OptionError, match=text):
        cls(**{name: 1})
    if cls is not nuncio.Rate:
        with pytest.raises(OptionError, match=text):
            dataclasses.replace(cls(), **{name: 1})


@pytest.mark.parametrize("cls", [cls for cls, _, _ in OBJECTS])
def test_an_option_object_shows_what_it_takes(cls: Any) -> None:
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == [field.name for field in dataclasses.fields(cls)]


def test_option_objects_take_their_own_names_and_positions() -> None:
    assert nuncio.Rate(5, per=2.0) == nuncio.Rate(5, 2.0, burst=None)
    assert nuncio.Limits(rooms=3).rooms == 3
    assert copy.deepcopy(nuncio.Limits(rooms=3)) == pickle.loads(
        pickle.dumps(nuncio.Limits(rooms=3))
    )
