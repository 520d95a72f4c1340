"""What is asked of a run, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VOID, SATURATED, WAITED, DISTURBED = "void", "saturated", "waited", "disturbed"


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how much, the same for every contender."""

    rounds: int
    seconds: float
    warmup: float
    idle_connections: int
    idle_seconds: float
    idle_settle: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave.

    Attributes:
        figures: the JSON of the generator or the client as it is; empty if there was none.
        error: why the run is void, None if it is not.
        marks: what a reader has to know: void, saturated, waited, disturbed.
    """

    mode: str
    contender: str
    round: int
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    marks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The run as plain data."""
        return asdict(self)


def fault(figures: Mapping[str, Any]) -> str | None:
    """Why these figures count for nothing, None if they count."""
    if not figures["errors"]:
        return None
    return f"{figures['errors']} errors, the first: {figures.get('first_error', 'unknown')}"
