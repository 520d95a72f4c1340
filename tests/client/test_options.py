from __future__ import annotations

import dataclasses
import functools
import math
import ssl
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.client.checks import check_auth
from nuncio.client.options import (
    ManagerOptions,
    SocketOptions,
    check_attempts,
    check_factor,
    split,
)
from nuncio.errors import OptionError
from nuncio.protocol.deflate import DeflateConfig


def test_defaults_are_the_reference_s() -> None:
    options = ManagerOptions()
    assert options.path == "/socket.io"
    assert options.add_trailing_slash
    assert options.transports == ("polling", "websocket")
    assert (options.upgrade, options.remember_upgrade, options.try_all_transports) == (
        True,
        False,
        False,
    )
    assert (options.timestamp_param, options.timestamp_requests) == ("t", None)
    assert (options.reconnection, options.reconnection_attempts) == (True, math.inf)
    assert (options.reconnection_delay, options.reconnection_delay_max) == (1.0, 5.0)
    assert (options.randomization_factor, options.timeout) == (0.5, 20.0)
    assert (options.auto_connect, options.reject_unauthorized) == (True, True)
    assert (options.with_credentials, options.force_base64, options.trust_env) == (
        False,
        False,
        False,
    )
    deflate = options.deflate()
    assert deflate is not None
    assert deflate.threshold == 1024
    socket = SocketOptions()
    assert (socket.auth, socket.retries, socket.ack_timeout) == (None, None, None)
    assert socket.delivery == "at-most-once"


FLAGS = [
    "add_trailing_slash",
    "upgrade",
    "remember_upgrade",
    "try_all_transports",
    "force_base64",
    "with_credentials",
    "reject_unauthorized",
    "trust_env",
    "reconnection",
    "auto_connect",
]


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_flags_are_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name} must be True or False, not "):
        ManagerOptions(**{name: value})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "socket.io"}, "path must be a str that begins with a slash"),
        ({"path": None}, "path must be a str"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0"),
        ({"timeout": "20"}, "timeout must be a number of seconds"),
        ({"timeout": math.inf}, "timeout must be a number of seconds"),
        ({"timeout": math.nan}, "timeout must be a number of seconds"),
        ({"request_timeout": -1}, "request_timeout must be a number of seconds"),
        ({"reconnection_delay": -1}, "reconnection_delay must be a number of seconds"),
        ({"reconnection_delay_max": True}, "reconnection_delay_max must be a number"),
        ({"reconnection_attempts": -1}, "reconnection_attempts must be a whole number"),
        ({"reconnection_attempts": 1.5}, "reconnection_attempts must be a whole number"),
        ({"reconnection_attempts": math.nan}, "reconnection_attempts must be a whole number"),
        ({"reconnection_attempts": True}, "reconnection_attempts must be a whole number"),
        ({"randomization_factor": 1.5}, "randomization_factor must be between 0 and 1"),
        ({"randomization_factor": "0"}, "randomization_factor must be between 0 and 1"),
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1"),
        ({"query": 5}, "query must be a mapping or a str"),
        ({"extra_headers": "X: 1"}, "extra_headers must be a mapping"),
        ({"extra_headers": {"X": "a\r\nY: b"}}, "extra_headers: 'X' cannot be a header"),
        ({"extra_headers": {"X\n": "a"}}, "extra_headers: .* cannot be a header"),
        ({"extra_headers": {"": "a"}}, "extra_headers: '' cannot be a header"),
        ({"extra_headers": {"X Y": "a"}}, "extra_headers: 'X Y' cannot be a header"),
        ({"extra_headers": {5: "a"}}, "extra_headers: 5 cannot be a header"),
        ({"extra_headers": lambda attempt: {}}, "extra_headers is called without arguments"),
        ({"proxy_headers": lambda: {}}, "proxy_headers must be a mapping"),
        ({"proxy_headers": {"X": "a\0"}}, "proxy_headers: 'X' cannot be a header"),
        ({"cookies": "a=b"}, "cookies must be a mapping"),
        ({"cookies": {"a": "b\r\nX: y"}}, "cookies: 'a' cannot be a cookie"),
        ({"cookies": {"a": "b; c=d"}}, "cookies: 'a' cannot be a cookie"),
        ({"cookies": {"a=b": "c"}}, "cookies: 'a=b' cannot be a cookie"),
        ({"parser": "json"}, "parser must be a nuncio.Parser"),
        ({"ssl": True}, r"ssl must be an ssl.SSLContext"),
        ({"buffer": "disconnect"}, "buffer: there is nobody to disconnect"),
        ({"buffer": "drop"}, "buffer must be"),
        ({"transports": "websocket"}, r"transports must be a list such as \['websocket'\]"),
        ({"transports": None}, r"transports must be a list such as \['websocket'\]"),
        ({"transports": 5}, r"transports must be a list such as \['websocket'\]"),
        ({"protocols": "chat"}, r"protocols must be a list such as \['chat'\]"),
        ({"protocols": [5]}, "protocols: 5 cannot be a subprotocol"),
        ({"protocols": ["a, b"]}, "protocols: 'a, b' cannot be a subprotocol"),
        ({"per_message_deflate": 5}, "per_message_deflate must be"),
        ({"per_message_deflate": {"treshold": 5}}, "did you mean 'threshold'"),
        ({"per_message_deflate": {"threshold": -1}}, "threshold"),
        ({"timestamp_requests": "yes"}, "timestamp_requests must be True, False or None"),
        ({"timestamp_param": ""}, "timestamp_param must be a non-empty str"),
        ({"transport_options": []}, "transport_options must be a mapping"),
        (
            {"transport_options": {"polling": []}},
            r"transport_options\['polling'\] must be a mapping",
        ),
        (
            {"transport_options": {"polling": {"extraHeaders": {}}}},
            "did you mean 'extra_headers'",
        ),
        (
            {"transport_options": {"polling": {"extra_headers": {"X": "a\n"}}}},
            "'X' cannot be a header",
        ),
        ({"proxy": "localhost:3128"}, "proxy must be a URL such as 'http://"),
        ({"proxy": 3128}, "proxy must be a URL such as"),
        ({"proxy": "http://"}, "proxy must be a URL such as"),
        ({"ca": 5}, "ca must be the name of a file"),
        ({"cert": b"x"}, "cert must be the name of a file"),
        ({"key": "key.pem"}, "key is the key of cert"),
    ],
)
def test_a_wrong_value_is_told_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ManagerOptions(**options)


def test_values_at_the_edge_are_taken() -> None:
    options = ManagerOptions(
        timeout=None,
        request_timeout=0.1,
        reconnection_delay=0,
        reconnection_delay_max=0,
        reconnection_attempts=0,
        randomization_factor=0,
        concurrency=1,
        extra_headers={"X": 5},  # type: ignore[dict-item]  # what is no text is written as such
        cookies={"a": "b c", "d": 5},  # type: ignore[dict-item]
        protocols=("chat", "v2"),
        transports=[],
        transport_options={"polling": {"extra_headers": {"X": "y"}}, "mine": {}},
        proxy="http://user:secret@localhost:3128",
        timestamp_requests=False,
    )
    assert options.randomization_factor == 0


def test_compression_may_be_set() -> None:
    assert ManagerOptions(per_message_deflate=False).deflate() is None
    config = DeflateConfig(threshold=5)
    assert ManagerOptions(per_message_deflate=config).deflate() is config
    made = ManagerOptions(per_message_deflate={"threshold": 7}).deflate()
    assert made is not None
    assert made.threshold == 7


def test_parsers_and_policies() -> None:
    parser = nuncio.JSONParser()
    assert ManagerOptions(parser=parser).made_parser() is parser
    assert isinstance(ManagerOptions().made_parser(), nuncio.JSONParser)
    assert ManagerOptions().policy.word == "block"
    assert ManagerOptions(buffer="drop_oldest").policy.word == "drop_oldest"
    assert ManagerOptions(buffer=nuncio.conflate()).policy.word == "conflate"


def test_options_do_not_change() -> None:
    options: Any = ManagerOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.timeout = 5


# Sockets.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retries": -1}, "retries must be a whole number of at least 0"),
        ({"retries": 1.5}, "retries must be a whole number"),
        ({"retries": True}, "retries must be a whole number"),
        ({"ack_timeout": 0}, "ack_timeout must be a number of seconds above 0"),
        ({"delivery": "exactly-once"}, "delivery must be 'at-most-once' or 'at-least-once'"),
        ({"auth": "token"}, "auth must be a mapping or a function that gives one"),
        ({"auth": ["token"]}, "auth must be a mapping or a function"),
        ({"auth": lambda callback: None}, "there is no callback: return the mapping"),
    ],
)
def test_wrong_options_of_a_socket(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        SocketOptions(**options)


def test_what_auth_may_be() -> None:
    async def later() -> dict[str, str]:
        return {}

    class Tokens:
        def give(self, kind: str = "user") -> dict[str, str]:
            return {"kind": kind}

    everything: list[Any] = [
        None,
        {},
        {"token": "x"},
        lambda: {},
        later,
        Tokens().give,
        functools.partial(Tokens.give, Tokens(), "admin"),
        dict,
    ]
    for auth in everything:
        check_auth(auth)
        assert SocketOptions(auth=auth).auth is auth


@pytest.mark.parametrize(
    ("given", "kept"), [(0, math.inf), (math.inf, math.inf), (3, 3), (3.0, 3.0)]
)
def test_attempts(given: float, kept: float) -> None:
    assert check_attempts(given) == kept


def test_factors() -> None:
    assert [check_factor(value) for value in (0, 0.5, 1)] == [0.0, 0.5, 1.0]


# Names.


def test_options_are_told_apart() -> None:
    manager, socket = split({"timeout": 5, "auth": {}, "retries": 3, "path": "/x"})
    assert manager == {"timeout": 5, "path": "/x"}
    assert socket == {"auth": {}, "retries": 3}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reconnectionDelay", "did you mean 'reconnection_delay'?"),
        ("ackTimeout", "did you mean 'ack_timeout'?"),
        ("tiemout", "did you mean 'timeout'?"),
        ("headers", "write extra_headers=…"),
        ("agent", "write proxy=… or ssl=…"),
        ("namespaces", "the URL's path is the namespace"),
        ("ssl_verify", "write reject_unauthorized=False"),
        ("autoUnref", "a loop that ends does not wait for clients"),
        ("closeOnBeforeunload", "it is for browsers"),
        ("servername", "write server_hostname=…"),
        ("port", "write it in the URL"),
        ("host", "write it in the URL"),
        ("hostname", "write it in the URL"),
        ("secure", "write https:// in the URL"),
        ("xyzzy", "the client has no option 'xyzzy'"),
    ],
)
def test_unknown_options_are_told_with_what_to_write(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=f"the client has no option '{name}'") as caught:
        split({name: 5})
    assert words in str(caught.value)


def test_names_that_the_caller_takes_itself_are_known_to_suggestions() -> None:
    with pytest.raises(OptionError, match=r"did you mean 'force_new'\?"):
        split({"forceNew": True}, "force_new")


def test_option_classes_tell_unknown_names_too() -> None:
    wrong: dict[str, Any] = {"reconnectionDelay": 5}
    with pytest.raises(OptionError, match=r"did you mean 'reconnection_delay'\?"):
        ManagerOptions(**wrong)
    with pytest.raises(OptionError, match=r"did you mean 'ack_timeout'\?"):
        SocketOptions(**{"ackTimeout": 5})  # type: ignore[arg-type]


# TLS.


def test_what_tls_trusts() -> None:
    assert ManagerOptions().ssl_context() is True
    own = ssl.create_default_context()
    assert ManagerOptions(ssl=own).ssl_context() is own
    nobody = ManagerOptions(reject_unauthorized=False).ssl_context()
    assert isinstance(nobody, ssl.SSLContext)
    assert (nobody.check_hostname, nobody.verify_mode) == (False, ssl.CERT_NONE)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(OptionError, match=r"ca, cert, key: .*missing.pem cannot be used"):
        ManagerOptions(ca=missing).ssl_context()
    with pytest.raises(OptionError, match=r"ca, cert, key: .*missing.pem cannot be used"):
        ManagerOptions(cert=missing).ssl_context()
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("this is no certificate")
    with pytest.raises(OptionError, match="cannot be used"):
        ManagerOptions(ca=str(rubbish)).ssl_context()
