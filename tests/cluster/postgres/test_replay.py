"""What two Node servers said over PostgreSQL, said to one of ours: see `replaying`."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio.cluster import PostgresAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.cluster.postgres.intake import Intake
from nuncio.cluster.postgres.link import Notice
from nuncio.cluster.postgres.wire import LIMIT, Wire
from nuncio.cluster.signing import UNSIGNED
from nuncio.cluster.values import from_bytes
from tests.cluster import captures
from tests.cluster.acting import act
from tests.cluster.cases import BEATS, people, settled
from tests.cluster.postgres.test_wire import Notices, with_nsp
from tests.cluster.replaying import TIMED, Said, Stage, beat, replay
from tests.support.aio import run_async

# Of very long texts the recorder kept the beginning only. They are one letter many times, and what
# comes after it is as in another case: the letter, how many, which case, where its end begins, and
# how long the whole was.
_CUT: dict[str, tuple[bytes, int, str, bytes, int]] = {
    "emit_big_text": (b"x", 9000, "emit_binary_buffer", b"\xa4opts", 9095),
    "emit_payload_bytes_7999": (b"y", 7866, "emit_all", b'"]},"opts"', 7999),
    "emitter_emit_big_text": (b"x", 9000, "emitter_emit_binary", b"\xa3nsp", 9086),
}


def _holder(case: dict[str, Any]) -> dict[str, Any]:
    """What has the text of the one message that the first server or an emitter published."""
    (one,) = case["published_by_A_or_emitter"]
    found: dict[str, Any] = one.get("attachment", one)
    return found


def _completed(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases, with what the recorder cut."""
    by_action = {case["action"]: case for case in cases}
    for action, (letter, count, similar, end, size) in _CUT.items():
        holder = _holder(by_action[action])
        assert holder["payload_hex"].endswith("...") and holder.get("bytes", size) == size
        kept = bytes.fromhex(holder["payload_hex"][:-3])
        other = bytes.fromhex(_holder(by_action[similar])["payload_hex"])
        head = kept.rstrip(letter)
        whole = head + letter * count + other[other.index(end) :]
        assert whole.startswith(kept) and len(whole) == size
        holder["payload_hex"] = whole.hex()
        holder["decoded"] = from_bytes(whole)
    return cases


CASES = settled(_completed(captures.replays("postgres", bus="postgres")))
PEOPLE = people(CASES)
(IDLE,) = [case for case in CASES if case["action"] == "idle_heartbeats"]
BEATING = [case for case in CASES if case["action"] in TIMED]
HEARD = [case for case in CASES if case["action"] not in TIMED]
ACTED = [case for case in HEARD if not case["action"].startswith("emitter_")]
# The official emitter does not say the namespace, and Node's servers heard nothing of it. Of the
# same actions over Redis they did.
EMITTED = {
    case["action"]: case["expected_on_B"]
    for case in captures.replays("redis-classic")
    if case["action"].startswith("emitter_")
}
EMITTED["emitter_emit_big_text"] = [
    {"client": name, "event": "big", "args": ["x" * 9000]} for name in ("B1", "B2")
]


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

    idle = IDLE

    def __init__(self, case: dict[str, Any], place: str) -> None:
        self.bus = FakeBus()
        # Where nothing else happens, heartbeats are due at once.
        interval = 0.01 if case is IDLE else 60.0
        self._factory = PostgresAdapter(
            "postgresql://localhost", heartbeat_interval=interval, heartbeat_timeout=120.0
        )
        super().__init__(case, PEOPLE, place)

    def adapter(self, nsp: Any) -> Any:
        """See `Stage.adapter`."""
        adapter: Any = self._factory(nsp)
        adapter.bus = self.bus
        return adapter

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        return [_said(notice) for notice in self.bus.said if not _is_beat(notice)]

    def beats(self) -> list[Said]:
        """See `Stage.beats`."""
        return [_said(notice) for notice in self.bus.said if _is_beat(notice)]

    def recorded(self, one: dict[str, Any]) -> Said:
        """See `Stage.recorded`."""
        if "attachment" not in one:
            return "NOTIFY", one["channel"], one["payload_hex"]
        # The row is whatever the table came to.
        header = bytes.fromhex(one["payload_hex"]).decode()
        row = one["decoded"]["attachmentId"]
        where = header.replace(f'"attachmentId":"{row}"', '"attachmentId":"1"')
        return "NOTIFY", f"{one['channel']} {where}", one["attachment"]["payload_hex"]

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.said.clear()

    def hear(self, one: dict[str, Any]) -> None:
        """See `Stage.hear`."""
        self.bus.intake.arrived(
            one["channel"], self.ours(bytes.fromhex(one["payload_hex"])).decode()
        )
        if "attachment" in one:
            payload = self.ours(bytes.fromhex(one["attachment"]["payload_hex"]))
            rows = self.bus.intake.wanted()
            assert rows == [int(one["decoded"]["attachmentId"])]
            self.bus.intake.fetched({rows[0]: payload})


def _is_beat(notice: Notice) -> bool:
    return bool(notice.text) and from_bytes(notice.text.encode())["type"] in BEATS


def _said(notice: Notice) -> Said:
    if notice.attachment is None:
        return "NOTIFY", notice.channel, notice.text.encode().hex()
    return "NOTIFY", f"{notice.channel} {notice.header(1)}", notice.attachment.hex()


@pytest.mark.parametrize("case", HEARD, ids=lambda case: case["action"])
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    expected = EMITTED.get(case["action"])
    if expected is not None:
        assert case["expected_on_B"] == []
        case = {**case, "expected_on_B": expected}
    await replay(PostgresStage(case, "B"))


@pytest.mark.parametrize("case", ACTED, ids=lambda case: case["action"])
@run_async
async def test_our_server_says_what_node_s_said_and_gets_what_it_got(case: dict[str, Any]) -> None:
    await act(PostgresStage(case, "A"))


@pytest.mark.parametrize("place", ["A", "B"])
@pytest.mark.parametrize("case", BEATING, ids=lambda case: case["action"])
@run_async
async def test_heartbeats_are_node_s(case: dict[str, Any], place: str) -> None:
    await beat(PostgresStage(case, place))


def test_a_long_text_of_an_emitter_is_node_s_with_the_namespace() -> None:
    (case,) = [one for one in CASES if one["action"] == "emitter_emit_big_text"]
    notices = Notices(PostgresAdapter("postgresql://localhost"))
    Emitting(notices).emit("big", "x" * 9000)
    (notice,) = notices.notices
    assert notice.attachment == with_nsp(bytes.fromhex(_holder(case)["payload_hex"]), "/")
