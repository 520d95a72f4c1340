"""What Node's servers said to each other, recorded: see `fixtures/README.md`."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

BUSES = ("redis", "postgres", "mongo")

_FIXTURES = Path(__file__).parent / "fixtures"


def _lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(_FIXTURES / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def wire(*files: str, bus: str = "redis") -> list[dict[str, Any]]:
    """Every message that went over the bus in these captures."""
    return [one for one in _lines(f"{bus}-wire") if one["file"] in files]


def replays(*adapters: str, bus: str = "redis") -> list[dict[str, Any]]:
    """The cases of these adapters: what one server published, and what the other made of it."""
    return [one for one in _lines(f"{bus}-replay") if one["adapter"] in adapters]


def counts() -> Counter[str]:
    """How many cases there are of each adapter."""
    return Counter(one["adapter"] for bus in BUSES for one in _lines(f"{bus}-replay"))


def recovery(bus: str) -> list[dict[str, Any]]:
    """What was written and asked when a client came back to another server, in order."""
    return _lines(f"{bus}-recovery")
