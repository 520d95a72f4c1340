from __future__ import annotations

from typing import Any

import pytest

from nuncio.peers.sdp import Unfit, candidate_of, fingerprint_of
from tests.peers.browsers import CANDIDATE, FINGERPRINT, SDP

LIMIT = 16 * 1024


def test_the_fingerprint_of_a_session_is_found_however_it_is_written() -> None:
    expected = f"sha-256 {FINGERPRINT}"
    assert fingerprint_of(SDP, LIMIT) == expected
    assert fingerprint_of(SDP.replace("sha-256", "SHA-256"), LIMIT) == expected
    assert fingerprint_of(SDP.replace(FINGERPRINT, FINGERPRINT.lower()), LIMIT) == expected
    assert fingerprint_of(SDP.replace("\r\n", "\n"), LIMIT) == expected
    # The same one twice, for the session and for its section.
    line = f"a=fingerprint:sha-256 {FINGERPRINT}"
    assert fingerprint_of(SDP.replace("t=0 0", f"t=0 0\r\n{line}"), LIMIT) == expected


@pytest.mark.parametrize(
    "sdp",
    [
        7,
        b"v=0",
        "",
        "no session",
        SDP.replace("a=fingerprint", "a=other"),
        SDP.replace("sha-256", "sha-1"),
        SDP.replace("sha-256", "md5"),
        SDP.replace(FINGERPRINT, FINGERPRINT[:-3]),
        SDP.replace(FINGERPRINT, FINGERPRINT.replace(":", "-")),
        SDP.replace(FINGERPRINT, "ZZ" + FINGERPRINT[2:]),
        SDP + "a=fingerprint:sha-256 " + FINGERPRINT.replace("A1", "B2") + "\r\n",
        SDP + "a=fingerprint:sha-1 " + FINGERPRINT + "\r\n",
        SDP + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        SDP + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        SDP.replace("m=application", "m=video"),
        SDP.replace("m=application", "x=application"),
        SDP + "a=x:" + "x" * LIMIT,
        SDP + "a=x:" + "\u00e9" * (LIMIT // 2),
    ],
)
def test_what_is_no_session_with_one_certificate_is_unfit(sdp: Any) -> None:
    with pytest.raises(Unfit):
        fingerprint_of(sdp, LIMIT)


def test_of_a_candidate_only_what_is_known_is_kept() -> None:
    assert candidate_of(None) is None
    more = {**CANDIDATE, "sdpMLineIndex": 0, "usernameFragment": "abcd", "from": "somebody"}
    assert candidate_of(more) == {
        **CANDIDATE,
        "sdpMLineIndex": 0,
        "usernameFragment": "abcd",
    }
    # The end of the candidates of one section.
    assert candidate_of({"candidate": ""}) == {"candidate": ""}


@pytest.mark.parametrize(
    "value",
    [
        7,
        [],
        {},
        {"candidate": 7},
        {"candidate": "something"},
        {"candidate": "candidate:" + "x" * 1024},
        {**CANDIDATE, "sdpMid": 7},
        {**CANDIDATE, "sdpMid": "x" * 2000},
        {**CANDIDATE, "sdpMLineIndex": 1},
        {**CANDIDATE, "sdpMLineIndex": True},
        {**CANDIDATE, "usernameFragment": {}},
    ],
)
def test_what_is_no_candidate_is_unfit(value: Any) -> None:
    with pytest.raises(Unfit):
        candidate_of(value)
