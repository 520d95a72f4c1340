"""What a run has left, in a form that can be compared: values as JSON, ids as placeholders."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Entry = list[Any]
Actors = dict[str, list[Entry]]

# Of sessions and sockets: 20 characters of URL-safe base64.
_ID = re.compile(r"(?<![\w-])(?=[\w-]*[A-Z0-9])[\w-]{20}(?![\w-])")
_LONG_RUN = re.compile(r"(.)\1{50,}")
_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-0.0": "-0"}
_HOST = re.compile(r"(127\.0\.0\.1|localhost):\d+")


def pack(value: Any) -> Any:
    """A value as `transcript.js` packs it."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, (set, frozenset)):
        return {"$set": [pack(item) for item in value]}
    if isinstance(value, BaseException):
        error = {"message": getattr(value, "message", str(value))}
        if getattr(value, "data", None) is not None:
            error["data"] = pack(value.data)  # type: ignore[attr-defined]
        return {"$error": error}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return {"$date": round(value.timestamp() * 1000)}
    if isinstance(value, float) and (not math.isfinite(value) or str(value) == "-0.0"):
        return {"$js": _FLOATS[str(value)]}
    if callable(value):
        return {"$js": "function"}
    return value


def normalised(actors: Actors) -> Actors:
    """With placeholders for ids and addresses, in the order in which they appear."""
    ids: dict[str, str] = {}

    def text(value: str) -> str:
        value = _ID.sub(lambda found: ids.setdefault(found[0], f"<{len(ids) + 1}>"), value)
        return _HOST.sub("<host>", value)

    def convert(value: Any, name: str) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, list):
            return [convert(item, name) for item in value]
        if isinstance(value, dict):
            if "$bytes" in value:
                return value
            if value == {"$js": "undefined"} and name == "server":
                # Python has one word for undefined and null.
                return None
            if "$set" in value:
                return {"$set": sorted((convert(item, name) for item in value["$set"]), key=repr)}
            return {text(key): convert(item, name) for key, item in value.items()}
        return value

    # The server last: which of its sockets comes first, clients know better.
    names = sorted(actors, key=lambda name: (name == "server", name))
    return {name: convert(actors[name], name) for name in names}


def lines(actors: Actors) -> list[str]:
    """A line for each entry, as it is compared and shown."""
    lines = []
    for name, entries in actors.items():
        for entry in entries:
            line = f"{name}: {json.dumps(entry, ensure_ascii=False)}"
            lines.append(_LONG_RUN.sub(lambda run: f"{run[1]}*{len(run[0])}", line))
    return lines


def without_code(actors: Actors) -> Actors:
    """With an ordinary close frame as one without a code."""

    def same(entry: Entry) -> Entry:
        return ["close", 1005, ""] if entry == ["close", 1000, ""] else entry

    return {name: [same(entry) for entry in entries] for name, entries in actors.items()}
