"""What happens on a connection, one class for each kind.

They are what is shown, what `--json` prints and what a recording holds. Their names and fields in
JSON are documented in `docs/guide/command-line.md`, and stay.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from nuncio.cli.values import dump, from_json, to_json


@dataclass(frozen=True)
class Happening:
    """Anything that happens.

    Attributes:
        at: when, in seconds since 1970.
    """

    type: ClassVar[str]
    at: float = field(default_factory=time.time, kw_only=True)

    def as_json(self) -> dict[str, Any]:
        """As plain JSON, `type` and `time` first."""
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        plain: dict[str, Any] = {"type": self.type, "time": when.replace("+00:00", "Z")}
        for each in dataclasses.fields(self):
            if each.name != "at":
                plain[each.name] = to_json(getattr(self, each.name))
        if "seconds" in plain:
            plain["seconds"] = round(plain["seconds"], 6)
        return plain

    def as_line(self) -> str:
        """As one line of JSON."""
        return dump(self.as_json())


@dataclass(frozen=True)
class Connecting(Happening):
    """The tool begins to connect."""

    type = "connecting"
    url: str


@dataclass(frozen=True)
class Connected(Happening):
    """A namespace is connected."""

    type = "connect"
    namespace: str
    id: str
    transport: str
    recovered: bool


@dataclass(frozen=True)
class ConnectFailed(Happening):
    """A namespace could not be connected.

    Attributes:
        message: the server's, or that of the failure.
        data: what the server sent with it.
        refused: whether the server said no; else it was not reached.
        retrying: whether the tool tries again by itself.
        hints: what to do next.
    """

    type = "connect_error"
    namespace: str
    message: str
    data: Any
    refused: bool
    retrying: bool
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disconnected(Happening):
    """A namespace is no longer connected.

    Attributes:
        reason: the official words.
        reconnecting: whether the tool connects again by itself.
    """

    type = "disconnect"
    namespace: str
    reason: str
    reconnecting: bool


@dataclass(frozen=True)
class Upgraded(Happening):
    """The connection has moved to a better transport."""

    type = "upgrade"
    transport: str


@dataclass(frozen=True)
class Reconnecting(Happening):
    """An attempt to connect again begins."""

    type = "reconnect_attempt"
    attempt: int


@dataclass(frozen=True)
class Reconnected(Happening):
    """An attempt succeeded."""

    type = "reconnect"
    attempt: int


@dataclass(frozen=True)
class GaveUp(Happening):
    """All attempts have failed."""

    type = "reconnect_failed"


@dataclass(frozen=True)
class Received(Happening):
    """An event came.

    Attributes:
        question: where it asks for an acknowledgement, the number by which to answer it.
    """

    type = "event"
    namespace: str
    name: str
    args: tuple[Any, ...]
    question: int | None = None


@dataclass(frozen=True)
class Sent(Happening):
    """An event was sent.

    Attributes:
        ask: where it asks for an acknowledgement, a number that the answer bears, too.
    """

    type = "sent"
    namespace: str
    name: str
    args: tuple[Any, ...]
    ask: int | None = None


@dataclass(frozen=True)
class Answer(Happening):
    """An acknowledgement came, after so many seconds."""

    type = "answer"
    namespace: str
    name: str
    args: tuple[Any, ...]
    ask: int
    seconds: float


@dataclass(frozen=True)
class NoAnswer(Happening):
    """An acknowledgement will not come, or not in time.

    Attributes:
        reason: `timeout` or `disconnected`.
    """

    type = "no_answer"
    namespace: str
    name: str
    ask: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class Answered(Happening):
    """The tool has acknowledged an event of the server."""

    type = "answered"
    namespace: str
    name: str
    args: tuple[Any, ...]
    question: int


@dataclass(frozen=True)
class Difference(Happening):
    """A replay brought something else than the recording; None where one of them has nothing."""

    type = "difference"
    namespace: str
    expected: Any
    got: Any


@dataclass(frozen=True)
class Replayed(Happening):
    """A replay has ended.

    Attributes:
        sent: how many events were sent.
        same: how many of those that came were as recorded; None when nothing was compared.
        different: how many were not, or did not come.
    """

    type = "replayed"
    file: str
    sent: int
    same: int | None
    different: int | None


_RECORDED: tuple[type[Happening], ...] = (Sent, Received, Answer, Answered)


def from_record(plain: dict[str, Any]) -> Happening | None:
    """What was sent and what came, read from a recording; None for everything else.

    Raises:
        ValueError: when a field is missing or wrong.
    """
    kind = next((kind for kind in _RECORDED if kind.type == plain.get("type")), None)
    if kind is None:
        return None
    given: dict[str, Any] = {"at": datetime.fromisoformat(str(plain.get("time"))).timestamp()}
    for each in dataclasses.fields(kind):
        if each.name == "at":
            continue
        if each.name not in plain:
            raise ValueError(f"{each.name} is missing")
        given[each.name] = from_json(plain[each.name])
    if not isinstance(given["args"], list) or not isinstance(given["name"], str):
        raise ValueError("name must be a string, and args a list")
    given["args"] = tuple(given["args"])
    return kind(**given)
