"""Ids of sessions and sockets."""

from __future__ import annotations

import os
from binascii import b2a_base64

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def new_id() -> str:
    """An id that nobody can guess: 120 random bits, as the reference writes them."""
    return b2a_base64(os.urandom(15), newline=False).translate(_URL_SAFE).decode()
