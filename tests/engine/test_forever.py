from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from nuncio.engine.forever import ForeverFraming, escaped
from nuncio.protocol.engineio import Message
from tests.support.down import Body

NONCE = "Zm9yZXZlcg"

NASTY = [
    '4["</script><script>alert(1)</script>"]',
    "4<!--<script>",
    '4"),p(1,"',
    '4\\",\\\\\x00\x1f\x7f\u2028\u2029\r\n\t',
    "4é😀&amp;]]>",
    "4${x}`'",
]


class Scripts(HTMLParser):
    """The scripts of a document, as a browser finds them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self._inside = False
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag == "script"
        if self._inside:
            assert dict(attrs) == {"nonce": NONCE}
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


def framing() -> ForeverFraming:
    return ForeverFraming(7, NONCE, 15.0)


def test_each_flush_is_a_call() -> None:
    call = framing().packets([Message(b"4a"), Message(b"451-x", [b"\x00\xff"])], 3)
    assert call == (b'<script nonce="Zm9yZXZlcg">p(3,"4a\\u001e451-x\\u001ebAP8=")</script>\n')


@pytest.mark.parametrize("text", NASTY)
def test_nothing_ends_its_string_or_its_script(text: str) -> None:
    call = framing().packets([Message(text.encode())], 1)
    assert call.count(b"<") == 2
    assert call.count(b"\n") == 1
    assert b"\xe2\x80\xa8" not in call
    assert b"\xe2\x80\xa9" not in call
    assert Scripts(call.decode()).tags == ["script"]
    assert Body("forever", call).packets == [text]


def test_scripts_are_javascript(program: Callable[[str], str]) -> None:
    made = framing()
    document = made.prologue + made.packets([Message(text.encode()) for text in NASTY], 6)
    scripts = Scripts((document + made.beat + made.end).decode()).found
    run = _in_a_frame(program("node"), scripts)
    assert run == [
        [-1, "15000"],
        [6, "\x1e".join(NASTY)],
        [0, "6"],
        [0, "6end"],
    ]


def _in_a_frame(node: str, scripts: list[str]) -> object:
    import json
    import subprocess

    program = (
        "const calls=[], parent={__nuncio:{7:(n,d)=>calls.push([n,d])}};"
        "const s={parentNode:{removeChild(){}}}, document={currentScript:s};"
        "const vm=require('vm'), c=vm.createContext({parent,document});"
        f"for (const one of {json.dumps(scripts)}) vm.runInContext(one,c);"
        "process.stdout.write(JSON.stringify(calls))"
    )
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_only_its_own_scripts_run() -> None:
    made = framing()
    headers = dict(made.headers)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == (
        f"default-src 'none'; script-src 'nonce-{NONCE}'; frame-ancestors 'self'"
    )
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(made.prologue) > 4096
    # Nothing is in the document whose source is another.
    assert re.search(rb"src=|href=|style=", made.prologue) is None


def test_what_one_recipient_needed_serves_all() -> None:
    message = Message('4"é"<'.encode())
    assert escaped(message) is escaped(message)
    assert framing().packets([message], 1) != ForeverFraming(7, "other", 1).packets([message], 1)


def test_a_document_without_end_is_read_to_its_end() -> None:
    made = framing()
    body = Body("forever", made.prologue + made.packets([Message(b"4a")], 1) + made.end)
    assert body.packets == ["4a"]
    assert body.ended
