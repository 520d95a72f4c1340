"""The options of the transport, and what is said of wrong ones."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import nuncio
from nuncio.errors import OptionError
from nuncio.webrtc.options import WebRTCOptions

TRANSPORTS = ["polling", "webrtc"]


def test_they_are_given_as_an_object_or_a_mapping() -> None:
    servers: list[Any] = ["stun:stun.example:3478", {"urls": ["turn:t.example"], "username": "u"}]
    for given in (WebRTCOptions(ice_servers=servers), {"ice_servers": servers}):
        io = nuncio.Server(transports=TRANSPORTS, webrtc=given)
        assert WebRTCOptions.of(io.engine.options.webrtc).ice_servers == servers
    assert nuncio.WebRTCOptions is WebRTCOptions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (True, "must be a nuncio.WebRTCOptions or a mapping"),
        ({"ice_server": []}, "did you mean 'ice_servers'"),
        ({"ice_servers": "stun:x"}, "must be a list"),
        ({"ice_servers": ["stun.example"]}, "no URL as stun:"),
        ({"ice_servers": [{"url": "stun:x"}]}, "did you mean 'urls'"),
        ({"ice_servers": [{"username": "x"}]}, "no URL"),
        ({"addresses": "127.0.0.1"}, "must be a list"),
        ({"addresses": ["localhost"]}, "addresses: 'localhost'"),
        ({"addresses": ["0.0.0.0"]}, "leave it out"),
        ({"addresses": []}, "must be a list"),
        ({"offers": 0}, "offers must be a whole number"),
        ({"answers": 1.5}, "answers must be a whole number"),
    ],
)
def test_a_wrong_option_is_told_with_the_fix(wrong: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        nuncio.Server(transports=TRANSPORTS, webrtc=wrong)


WITHOUT = """
import sys
sys.modules["aiortc"] = None
import nuncio
try:
    {what}
except nuncio.OptionError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "what",
    [
        "nuncio.Server(transports=['polling', 'webrtc'])",
        "nuncio.Manager('http://localhost', transports=['webrtc'], auto_connect=False)",
    ],
)
def test_without_the_extra_it_is_named_at_the_start(what: str) -> None:
    script = WITHOUT.format(what="__import__('asyncio').run(main())")
    script = "async def main():\n    import nuncio\n    " + what + "\n" + script
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "webrtc needs aiortc" in done.stdout
    assert "pip install 'nuncio[webrtc]'" in done.stdout


def test_nothing_of_it_is_imported_unless_it_is_asked_for() -> None:
    script = (
        "import sys, nuncio; nuncio.Server(transports=['polling', 'websocket']);"
        "print([name for name in ('aiortc', 'av', 'nuncio.webrtc.way') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
