"""Compression of long-polling responses: which coding, and from how many bytes on."""

from __future__ import annotations

import gzip
import re
import zlib
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.engine.compression import (
    HttpCompression,
    HttpCompressionOption,
    HttpCompressionOptions,
    message_compression,
    negotiate,
)
from nuncio.errors import OptionError
from nuncio.protocol.deflate import DeflateConfig

BODY = b"4" + b"hello " * 1000


def compression(option: HttpCompressionOption = True) -> HttpCompression:
    made = HttpCompression.parse(option)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br, deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("deflate;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.4", "gzip"),
        ("gzip ; q=0.5 , deflate; Q=0.6", "deflate"),
        ("gzip;q=1.000", "gzip"),
        ("gzip;q=1.", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;foo=1;q=0.5", "gzip"),
        ("gzip;q=0,gzip", "gzip"),
        ("gzip,gzip;q=0", "gzip"),
        (",,gzip,,", "gzip"),
        ("*", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("deflate;q=0.5, *;q=0.1", "deflate"),
        ("deflate;q=0.5, *;q=0.5", "gzip"),
        ("identity;q=1, gzip;q=0.1", "gzip"),
    ],
)
def test_the_best_coding_is_found(header: str, coding: str) -> None:
    assert negotiate(header) == coding
    body, used = compression().encode(header, BODY, True)
    assert used == coding
    assert (gzip.decompress if coding == "gzip" else zlib.decompress)(body) == BODY
    assert len(body) < len(BODY)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "br",
        "x-gzip",
        "gzipped",
        "gzip;q=0",
        "gzip;q=0.000",
        "gzip;q=0.",
        "gzip;q=0, deflate;q=0",
        "*;q=0",
        "identity, *;q=0",
        "gzip;foo=1;q=0",
        "gzip;q=",
        "gzip;q",
        "gzip;q=x",
        "gzip;q=-1",
        "gzip;q=2",
        "gzip;q=1.1",
        "gzip;q=0.1234",
        "gzip;q=1e0",
        "gzip;q=nan",
        "gzip;q=inf",
        "gzip;q=\N{FULLWIDTH DIGIT ONE}",
        "gzip deflate",
        "gzip\0",
        "\0\r\n",
        ",",
        ";",
        ";q=1",
        "," * 65536,
        ";" * 65536,
        " " * 65536,
        "gzip;" + "q" * 65536,
        "gzip;q=0." + "0" * 65536,
        "gzip," * 16384,
    ],
)
def test_without_a_coding_the_body_stays_as_it_is(header: str) -> None:
    assert negotiate(header) is None
    assert compression().encode(header, BODY, True) == (BODY, None)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip, br;q=0.9", "gzip"),
        ("deflate", None),
        ("*", "br"),
        ("*, br;q=0", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, *", "br"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("BR", "br"),
    ],
)
def test_what_can_be_had_is_chosen_from(header: str, coding: str | None) -> None:
    assert negotiate(header, ("br", "gzip")) == coding
    assert negotiate(header, ()) is None


@pytest.mark.parametrize("option", [None, False])
def test_messages_are_not_compressed(option: object) -> None:
    assert message_compression(option) is None


@pytest.mark.parametrize("option", [True, {}, {"threshold": 1024}, DeflateConfig()])
def test_messages_are_compressed(option: object) -> None:
    assert message_compression(option) == DeflateConfig()


def test_settings_of_the_compression_of_messages() -> None:
    settings = MappingProxyType({"level": 9, "server_max_window_bits": 10})
    assert message_compression(settings) == DeflateConfig(level=9, server_max_window_bits=10)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"treshold": 1}, "did you mean 'threshold'?"),
        ({"threshold": -1}, "threshold must not be negative"),
        ({"threshold": "1"}, "threshold must be of type int"),
        ({"level": 10}, "level must be between -1 and 9"),
        ({"server_max_window_bits": 8}, "server_max_window_bits must be between 9 and 15"),
        ({"server_no_context_takeover": 1}, "server_no_context_takeover must be of type bool"),
        (1024, "must be True, False or a mapping"),
        ([], "must be True, False or a mapping"),
    ],
)
def test_wrong_settings_of_messages_are_told_by_name(option: object, text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        message_compression(option)
    assert "per_message_deflate" in str(raised.value)


def test_the_threshold_is_counted_in_bytes() -> None:
    for option in (True, {}, {"threshold": 1024}, HttpCompressionOptions()):
        made = compression(option)
        assert made.threshold == 1024
        assert made.encode("gzip", b"x" * 1023, True) == (b"x" * 1023, None)
        assert made.encode("gzip", b"x" * 1024, True)[1] == "gzip"
    assert compression({"threshold": 0}).encode("gzip", b"", True)[1] == "gzip"


def test_what_may_not_be_compressed_is_not() -> None:
    assert compression().encode("gzip", BODY, False) == (BODY, None)


def test_the_level_is_used() -> None:
    stored, _ = compression({"level": 0}).encode("gzip", BODY, True)
    small, _ = compression({"level": 9}).encode("gzip", BODY, True)
    assert len(stored) > len(BODY) > len(small)
    assert gzip.decompress(stored) == gzip.decompress(small) == BODY


@pytest.mark.parametrize("option", [None, False])
def test_off(option: HttpCompressionOption) -> None:
    assert HttpCompression.parse(option) is None


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"treshold": 1}, "did you mean 'threshold'?"),
        ({"threshold": -1}, "threshold must be"),
        ({"threshold": 1.5}, "threshold must be"),
        ({"threshold": True}, "threshold must be"),
        ({"threshold": "1024"}, "threshold must be"),
        ({"level": 10}, "level must be at most 9"),
        ({"level": -2}, "level must be"),
        ({"level": None}, "level must be"),
        (1024, "http_compression must be"),
        ("gzip", "http_compression must be"),
    ],
)
def test_wrong_options_are_told_by_name(option: Any, text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        HttpCompression.parse(option)
    assert "http_compression" in str(raised.value)


def test_what_is_remembered_is_bounded_and_right() -> None:
    made = compression()
    for number in range(1000):
        assert made.encode(f"x{number}, deflate", BODY, True)[1] == "deflate"
        assert made.encode("gzip", BODY[:2000], True)[1] == "gzip"
        assert len(made._chosen) <= 64
    made.encode("g" * 65536, BODY, True)
    assert all(len(header) <= 1024 for header in made._chosen)


QUALITIES = st.integers(0, 1000).map(lambda thousandths: f"{thousandths / 1000:.3f}")


@given(QUALITIES, QUALITIES, st.booleans())
def test_the_greater_weight_wins(first: str, second: str, turned: bool) -> None:
    elements = [f"gzip;q={first}", f"deflate;q={second}"]
    chosen = negotiate(", ".join(reversed(elements) if turned else elements))
    if float(first) == float(second) == 0:
        assert chosen is None
    else:
        assert chosen == ("gzip" if float(first) >= float(second) else "deflate")


@given(st.text(max_size=60) | st.text("gzipdeflate*;q=01., ", max_size=60))
def test_any_header_has_an_answer(header: str) -> None:
    coding = negotiate(header)
    assert coding in (None, "gzip", "deflate")
    if coding is not None:
        assert coding in header.lower() or "*" in header
