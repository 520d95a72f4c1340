from __future__ import annotations

import json

import pytest

from nuncio.engine.framing import SSE, STREAM
from nuncio.protocol.engineio import Message
from tests.support.down import Body


def test_a_stream_of_packets() -> None:
    messages = [Message(b"4a"), Message(b"451-x", [b"\x00", b""])]
    assert STREAM.packets(messages, 4) == b"\x024a\x05451-x\x81\x00\x01b"
    assert STREAM.packets(messages[:1], 1) == b"\x024a"
    assert (STREAM.prologue, STREAM.noop, STREAM.beat, STREAM.end) == (
        b"",
        b"\x016",
        b"\x016",
        b"\x046end",
    )


def test_an_event_holds_a_payload_and_the_number_of_its_last_packet() -> None:
    messages = [Message(b"4a"), Message(b"451-x", [b"\x00\xff"])]
    assert SSE.packets(messages, 12) == b"id:12\ndata:4a\x1e451-x\x1ebAP8=\n\n"
    assert SSE.packets(messages[:1], 3) == b"id:3\ndata:4a\n\n"


@pytest.mark.parametrize("text", ["4a\nb", "4a\r\nb", '4\r"\\\n\u2028é', "4\n\ndata:x\n\nid:9"])
def test_line_breaks_cannot_end_an_event(text: str) -> None:
    event = SSE.packets([Message(text.encode())], 1)
    assert event.startswith(b"event:j\nid:1\ndata:")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 4
    assert json.loads(event[18:-2]) == text
    assert Body("sse", event).packets == [text]


def test_what_an_event_stream_begins_and_ends_with() -> None:
    assert SSE.prologue[:1] == b":"
    assert len(SSE.prologue) > 2048
    assert SSE.prologue.endswith(b"\nretry:1000\n\n")
    # Comments and settings are no events.
    assert Body("sse", SSE.prologue + SSE.beat).packets == []
    body = Body("sse", SSE.packets([Message(b"4a")], 1) + SSE.noop + SSE.beat + SSE.end)
    assert body.packets == ["4a"]
    assert body.ended
    assert body.count == 1
