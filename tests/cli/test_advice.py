"""How a failure is explained."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

import pytest

from nuncio.cli.advice import advise
from nuncio.cli.settings import Settings
from nuncio.errors import ConnectError, ConnectTimeout, TransportError


def told(
    error: ConnectError, url: str = "http://host:3000", namespace: str = "/", **more: Any
) -> str:
    advice = advise(error, Settings(url, **more), namespace)
    return " | ".join((advice.message, *advice.hints))


def caused_by(cause: BaseException) -> TransportError:
    try:
        try:
            raise cause
        except type(cause) as error:
            raise TransportError("polling: something") from error
    except TransportError as error:
        return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "nothing listens at host, port 3000"),
        (socket.gaierror(-2, "unknown"), "there is no host host"),
        (untrusted(), "self-signed certificate | --ca FILE"),
        (ssl.SSLError(1, "wrong version number"), "no TLS at host:3000"),
    ],
)
def test_a_cause_is_found(cause: BaseException, words: str) -> None:
    assert words in told(caused_by(cause))
    # Where the client's library wraps the system's error.
    wrapped = RuntimeError("wrapped")
    wrapped.os_error = cause  # type: ignore[attr-defined]
    assert words in told(caused_by(wrapped))


def test_another_failure_is_told_as_it_is() -> None:
    assert told(TransportError("odd")) == "odd | If this port speaks TLS: https://host:3000"
    assert told(TransportError("odd"), "https://host") == "odd"


def test_of_a_usual_port_the_number_is_told() -> None:
    refused = caused_by(ConnectionRefusedError(errno.ECONNREFUSED, "no"))
    assert "port 443" in told(refused, "https://host")
    assert "port 80" in told(refused, "http://host")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "<html>", "HTTP status 404 | There is a web server, but no Socket.IO under /ws."),
        (404, "Not found", "HTTP status 404: Not found"),
        (400, '{"code":5,"message":"Unsupported protocol version"}', "Socket.IO 2"),
        (400, '{"code":0,"message":"Transport unknown"}', "--transport"),
        (400, "", "https://host:3000"),
        (401, "", "--header"),
        (403, "", "--header"),
        (407, "", "--proxy"),
        (429, "", "Wait"),
        (502, "", "A proxy answered"),
        (200, "<html>", "--path"),
        (301, "", "--path"),
        (500, "", "HTTP status 500"),
    ],
)
def test_a_status(status: int, body: str, words: str) -> None:
    error = TransportError("x", "polling", status, body)
    assert words in told(error, manager={"path": "/ws"})


def test_a_time_out() -> None:
    assert told(ConnectTimeout(20.0)).startswith("no answer from http://host:3000 within 20 s | ")


def test_a_refusal() -> None:
    assert told(ConnectError("who are you?")).startswith("who are you? | If it wants credentials")
    assert told(ConnectError("no"), auth={"a": 1}) == "no"
    advice = advise(ConnectError("no"), Settings("http://x"), "/", stays=True)
    assert "auth token=" in advice.hints[0]
    assert told(ConnectError("")).startswith("the server gave no reason")
    assert "no namespace /chat" in told(ConnectError("Invalid namespace"), namespace="/chat")


@pytest.mark.parametrize("opened", [False, True])
def test_a_session_that_is_unknown_may_be_elsewhere(opened: bool) -> None:
    error = TransportError("polling: … answered with status 400: Session ID unknown")
    advice = advise(error, Settings("http://x"), "/", opened=opened)
    assert "--meet" in " ".join(advice.hints) and "parser" not in " ".join(advice.hints)
