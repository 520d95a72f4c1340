"""Credentials, as they are given to `--auth` and to the command `auth`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nuncio.cli.problems import WrongUse
from nuncio.cli.relaxed import Reader


def read_auth(given: Sequence[str]) -> dict[str, Any] | None:
    """Credentials: an object, `@file` with one, or `key=text` and `key:=JSON`; later ones win.

    Raises:
        WrongUse: when they cannot be read.
    """
    found: dict[str, Any] = {}
    for text in given:
        found |= _auth(text)
    return found or None


def _auth(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        return _auth_file(Path(text[1:]).expanduser())
    if text.lstrip().startswith("{"):
        value = Reader(text).value()
        assert isinstance(value, dict)
        return value
    key, equals, value = text.partition("=")
    if not equals or not key.rstrip(":"):
        raise WrongUse(
            f"{text!r} is no credential",
            ['Write key=text, key:=JSON, an object such as \'{"token": "…"}\', or @file.json'],
        )
    if key.endswith(":"):
        return {key[:-1]: Reader(value).value()}
    return {key: value}


def _auth_file(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise WrongUse(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise WrongUse(f'{path} must hold an object, such as {{"token": "…"}}')
    return value
