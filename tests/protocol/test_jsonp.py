from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.protocol.jsonp import callback_of, unwrap, wrap


@pytest.mark.parametrize(
    ("index", "callback"),
    [
        ("0", b"___eio[0]"),
        ("12", b"___eio[12]"),
        ("", b"___eio[]"),
        ("1];alert(1);[", b"___eio[11]"),
        ("</script>é", b"___eio[]"),
        ("9" * 1000, b"___eio[" + b"9" * 20 + b"]"),
    ],
)
def test_the_callback_is_made_of_digits(index: str, callback: bytes) -> None:
    assert callback_of(index) == callback


def test_a_payload_becomes_a_call() -> None:
    assert wrap(b"___eio[3]", b'4["a\\n"]') == b'___eio[3]("4[\\"a\\\\n\\"]");'
    assert wrap(b"f", "a\u2028b\u2029c\n\x1e".encode()) == b'f("a\\u2028b\\u2029c\\n\\u001e");'


@given(st.text())
def test_the_call_holds_the_payload(payload: str) -> None:
    script = wrap(b"f", payload.encode()).decode()
    assert "\u2028" not in script and "\u2029" not in script
    assert json.loads(script[2:-2]) == payload


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        (b"d=4abc", b"4abc"),
        (b"d=4a+b%20c", b"4a b c"),
        (b"d=%C3%A9", "é".encode()),
        (b"x=1&d=2", b"2"),
        (b"d=", b""),
        (b"d=a%26d%3D", b"a&d="),
        (rb"d=a\nb", b"a\nb"),
        (rb"d=a\\nb", rb"a\nb"),
        (rb"d=a\\\nb", rb"a\\nb"),
        (b"d=%", b"%"),
        (b"", None),
        (b"4abc", None),
        (b"e=1", None),
        (b"&" * 1000 + b"d=1", None),
    ],
)
def test_forms_are_read_as_the_reference_reads_them(form: bytes, payload: bytes | None) -> None:
    assert unwrap(form) == payload


@given(st.text())
def test_what_a_client_writes_comes_back(payload: str) -> None:
    # As engine.io-client 3.5 writes it; its "\n" in JSON are two characters.
    written = payload.replace("\\n", "\\\\n")
    assert unwrap(b"d=" + quote_plus(written).encode()) == payload.encode()
