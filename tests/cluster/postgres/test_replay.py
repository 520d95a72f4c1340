"""What two Node servers said over PostgreSQL, said to one of ours: see `replaying`."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio.cluster import PostgresAdapter
from nuncio.cluster.messages import Kind
from nuncio.cluster.postgres.intake import Intake
from nuncio.cluster.postgres.link import Notice
from nuncio.cluster.postgres.wire import LIMIT, Wire
from nuncio.cluster.signing import UNSIGNED
from nuncio.cluster.values import from_bytes
from tests.cluster import captures
from tests.cluster.replaying import Said, Stage, replay
from tests.support.aio import run_async

# Heartbeats come when it is time, whatever else is said; these cases consist of nothing else.
_TIMED = ("startup", "idle_heartbeats")
CASES = [
    case for case in captures.replays("postgres", bus="postgres") if case["action"] not in _TIMED
]
# The official emitter does not say the namespace, and Node's servers heard nothing of it. Of the
# same actions over Redis they did.
EMITTED = {
    case["action"]: case["expected_on_B"]
    for case in captures.replays("redis-classic")
    if case["action"].startswith("emitter_")
}


class FakeBus:
    """Stands for the connections: keeps what is said, and reads what arrives."""

    trouble = None

    def __init__(self) -> None:
        self.intake = Intake(Wire(UNSIGNED, LIMIT), lambda: None)
        self.said: list[Notice] = []

    async def enter(self, member: Any) -> None:
        """See `Bus.enter`."""

    async def leave(self, member: Any) -> None:
        """See `Bus.leave`."""

    async def listen(self, channel: str, nsp: str, listener: Any) -> None:
        """See `Bus.listen`."""
        self.intake.add(channel, nsp, listener)

    def forget(self, channel: str) -> None:
        """See `Bus.forget`."""
        self.intake.remove(channel)

    def send(self, notice: Notice) -> None:
        """See `Bus.send`."""
        self.said.append(notice)

    def stats(self) -> dict[str, int]:
        """See `Bus.stats`."""
        return {}


class PostgresStage(Stage):
    """Our server, at a bus of the test's."""

    def __init__(self, case: dict[str, Any]) -> None:
        answers = [one for one in case["published_by_B"] if not _is_heartbeat(one["decoded"])]
        case = {**case, "published_by_B": answers}
        self.bus = FakeBus()
        self._factory = PostgresAdapter("postgresql://localhost")
        super().__init__(case, self._adapter)

    def _adapter(self, nsp: Any) -> Any:
        adapter: Any = self._factory(nsp)
        adapter.bus = self.bus
        if nsp.name == "/":
            adapter.uid = self.case["uidB"]
        return adapter

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        said = [_said(notice) for notice in self.bus.said]
        return [one for one in said if not _is_heartbeat(one[3])]

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.said.clear()

    def hear(self, one: dict[str, Any], data: bytes) -> None:
        """See `Stage.hear`."""
        self.bus.intake.arrived(one["channel"], data.decode())
        if "attachment" in one:
            payload = self.with_ids(bytes.fromhex(one["attachment"]["payload_hex"]))
            rows = self.bus.intake.wanted()
            assert rows == [int(one["decoded"]["attachmentId"])]
            self.bus.intake.fetched({rows[0]: payload})


def _is_heartbeat(decoded: dict[str, Any]) -> bool:
    return bool(decoded["type"] == Kind.HEARTBEAT)


def _said(notice: Notice) -> Said:
    data = notice.text.encode() if notice.attachment is None else notice.attachment
    return "NOTIFY", notice.channel, data.hex(), from_bytes(data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["action"])
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    expected = EMITTED.get(case["action"])
    if expected is not None:
        assert case["expected_on_B"] == []
        case = {**case, "expected_on_B": expected}
    await replay(PostgresStage(case))


def test_there_are_cases_of_all() -> None:
    assert len(CASES) == 60
    assert len(EMITTED) == 10
