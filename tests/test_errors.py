from __future__ import annotations

import pytest

import nuncio
from nuncio.errors import (
    AckError,
    AckTimeout,
    ArgumentError,
    ConnectError,
    Disconnected,
    DisconnectReason,
    EventError,
    LimitExceeded,
    NuncioError,
    OptionError,
    PacketError,
)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (ConnectError, NuncioError),
        (EventError, NuncioError),
        (ArgumentError, NuncioError),
        (AckError, NuncioError),
        (AckTimeout, AckError),
        (AckTimeout, TimeoutError),
        (Disconnected, AckError),
        (LimitExceeded, NuncioError),
        (PacketError, NuncioError),
        (OptionError, NuncioError),
        (OptionError, ValueError),
        (NuncioError, Exception),
    ],
)
def test_errors_can_be_caught_by_their_family(
    error: type[Exception], base: type[Exception]
) -> None:
    assert issubclass(error, base)


@pytest.mark.parametrize(
    "name",
    [
        "AckError",
        "AckTimeout",
        "ArgumentError",
        "ConnectError",
        "DisconnectReason",
        "Disconnected",
        "EventError",
        "LimitExceeded",
        "NuncioError",
        "OptionError",
        "PacketError",
    ],
)
def test_errors_are_public(name: str) -> None:
    assert name in nuncio.__all__
    assert getattr(nuncio, name).__module__ == "nuncio.errors"


def test_refusals_carry_a_message_and_data() -> None:
    for error in (ConnectError("no", {"code": 1}), EventError("no", {"code": 1})):
        assert (str(error), error.message, error.data) == ("no", "no", {"code": 1})
    assert ConnectError("no").data is None


def test_a_timeout_carries_the_answers_that_did_come() -> None:
    assert AckTimeout().responses == []
    assert AckTimeout([1, 2]).responses == [1, 2]
    assert str(AckTimeout()) == "operation has timed out"


def test_disconnected_carries_the_reason() -> None:
    error = Disconnected("ping timeout")
    assert error.reason == "ping timeout"
    assert "ping timeout" in str(error)


def test_an_argument_error_answers_without_more_than_the_peer_needs() -> None:
    error = ArgumentError("save", "age", "Expected `int`, got `str`")
    assert (error.event, error.argument, error.detail) == (
        "save",
        "age",
        "Expected `int`, got `str`",
    )
    assert error.answer() == {
        "error": {
            "code": "invalid_argument",
            "argument": "age",
            "message": "Expected `int`, got `str`",
        }
    }


def test_reasons_are_the_official_words() -> None:
    assert {str(reason) for reason in DisconnectReason} == {
        "server namespace disconnect",
        "client namespace disconnect",
        "server shutting down",
        "ping timeout",
        "transport close",
        "transport error",
        "parse error",
        "forced close",
        "forced server close",
        "slow consumer",
        "auth expired",
        "rate limited",
        "io server disconnect",
        "io client disconnect",
    }
    for reason in DisconnectReason:
        plain: str = str(reason)
        assert plain == reason
