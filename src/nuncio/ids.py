"""Ids of sessions and sockets."""

from __future__ import annotations

import base64
import os


def new_id() -> str:
    """An id that nobody can guess: 120 random bits, as the reference writes them."""
    return base64.urlsafe_b64encode(os.urandom(15)).decode()
