"""What browsers say of themselves to be connected: sessions (SDP, RFC 8866) and ICE candidates.

Of what a browser sends, only what has been looked at is passed on.
"""

from __future__ import annotations

import re
from typing import Any, Final

# Whoever wants to carry sound or pictures needs more than what is vouched for here.
_SECTION: Final = re.compile(r"^m=(\S+)", re.MULTILINE)
_FINGERPRINT: Final = re.compile(r"^a=fingerprint:(.*?)\r?$", re.MULTILINE | re.IGNORECASE)

# RFC 8122: the name of a hash function, and its value as pairs of digits.
_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_VALUE: Final = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2})*")

CANDIDATE_BYTES: Final = 1024

_TEXTS: Final = ("sdpMid", "usernameFragment")


class Unfit(ValueError):
    """A browser sent what cannot be passed on."""


def fingerprint_of(sdp: object, limit: int) -> str:
    """The fingerprint of the certificate that a session is about to use.

    Args:
        sdp: what the browser sent.
        limit: bytes that it may have.

    Returns:
        The hash function in lower case, a space, and the value in upper case.

    Raises:
        Unfit: for what is no session, for one with sound or pictures, and where there is not
            exactly one certificate.
    """
    if not isinstance(sdp, str) or not sdp.startswith("v=0"):
        raise Unfit("no session description")
    if len(sdp) > limit or len(sdp.encode("utf-8", "replace")) > limit:
        raise Unfit("the session description is too long")
    if _SECTION.findall(sdp) != ["application"]:
        raise Unfit("a session has one section, for data")
    found = {_normal(text) for text in _FINGERPRINT.findall(sdp)}
    if len(found) != 1:
        raise Unfit("a session has one certificate")
    return found.pop()


def _normal(text: str) -> str:
    kind, _, value = text.strip().partition(" ")
    kind, value = kind.lower(), value.strip().upper()
    if len(value) != 3 * _BYTES.get(kind, 0) - 1 or not _VALUE.fullmatch(value):
        raise Unfit("a fingerprint that is none")
    return f"{kind} {value}"


def candidate_of(value: object) -> dict[str, Any] | None:
    """An ICE candidate, with nothing else in it; None for the end of them.

    Raises:
        Unfit: for what is none.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Unfit("no candidate")
    text = value.get("candidate")
    if not isinstance(text, str) or len(text.encode("utf-8", "replace")) > CANDIDATE_BYTES:
        raise Unfit("no candidate, or one that is too long")
    if text and not text.startswith("candidate:"):
        raise Unfit("no candidate")
    found: dict[str, Any] = {"candidate": text}
    for name in _TEXTS:
        given = value.get(name)
        if isinstance(given, str) and len(given) <= CANDIDATE_BYTES:
            found[name] = given
        elif given is not None:
            raise Unfit(f"{name} is none")
    index = value.get("sdpMLineIndex")
    if index is not None:
        # A session has one section.
        if type(index) is not int or index != 0:
            raise Unfit("sdpMLineIndex is none")
        found["sdpMLineIndex"] = index
    return found
