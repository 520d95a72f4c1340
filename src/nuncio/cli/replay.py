"""Sending a recording again, and comparing what comes with what came then.

Pauses are those of the recording, divided by the speed. Events are compared in order, within each
namespace; acknowledgements with those of the same emit.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from nuncio.cli.commands import Replay
from nuncio.cli.happenings import Answered, Difference, Happening, Received, Replayed, Sent
from nuncio.cli.inbox import Inbox
from nuncio.cli.journal import Journal
from nuncio.cli.link import Link
from nuncio.cli.matching import without
from nuncio.cli.problems import Different
from nuncio.cli.recording import Recording, load
from nuncio.cli.values import dump, to_json

# Seconds to wait for what should still come, where no time-out is given.
_PATIENCE: Final = 20.0
# Where nothing is compared, what does not come in so many seconds is nobody's concern.
_MOMENT: Final = 1.0

# The name and the arguments of an event; of an acknowledgement the arguments only.
Values = list[Any]


class Replayer:
    """One replay.

    Args:
        recording: what to send, and what should come.
        link: where to send it.
        ack_timeout: seconds to wait for an acknowledgement.
        early: events that came before; None when the recording's own before its first emit are not
            expected, since the connection is older.
    """

    def __init__(
        self,
        recording: Recording,
        link: Link,
        ack_timeout: float | None,
        early: list[Received] | None,
    ) -> None:
        self._link = link
        self._ack_timeout = ack_timeout
        self._recording = recording
        self._came: dict[str, list[Values]] = defaultdict(list)
        self._expected: dict[str, list[Values]] = defaultdict(list)
        self._replies: dict[tuple[str, str], deque[Answered]] = defaultdict(deque)
        self._asked: list[tuple[Sent, asyncio.Task[tuple[Any, ...]]]] = []
        self._news = asyncio.Event()
        for event in early or ():
            self._take(event)
        begin = 0.0 if early is not None else recording.sent[0].at
        for event in recording.came:
            if event.at >= begin:
                self._expected[event.namespace].append([event.name, *event.args])
        for reply in recording.answered:
            self._replies[reply.namespace, reply.name].append(reply)

    def __call__(self, happening: Happening) -> None:
        """Something has happened; a listener of the journal."""
        if isinstance(happening, Received):
            self._take(happening)
            self._news.set()

    def _take(self, event: Received) -> None:
        self._came[event.namespace].append([event.name, *event.args])
        replies = self._replies[event.namespace, event.name]
        if event.question is not None and replies:
            self._link.answer(event.question, replies.popleft().args)

    async def send(self, speed: float) -> None:
        """Send everything.

        Raises:
            Problem: when something cannot be sent.
        """
        for namespace in dict.fromkeys(sent.namespace for sent in self._recording.sent):
            await self._link.ready(namespace)
        loop = asyncio.get_running_loop()
        begin, first = loop.time(), self._recording.sent[0].at
        for sent in self._recording.sent:
            await asyncio.sleep(begin + (sent.at - first) / speed - loop.time())
            if sent.ask is None:
                self._link.emit(sent.namespace, sent.name, sent.args)
            else:
                ask = self._link.ask(sent.namespace, sent.name, sent.args, self._ack_timeout)
                self._asked.append((sent, loop.create_task(ask)))
                # So that it is sent before what follows.
                await asyncio.sleep(0)
        await self._link.drained()

    async def receive(self, speed: float, timeout: float) -> None:
        """Wait until all that should come has come, or for as long as it is worth while."""
        if self._asked:
            await asyncio.wait([task for _, task in self._asked])
        pause = max(0.0, self._recording.end - self._recording.sent[-1].at) / speed
        try:
            async with asyncio.timeout(pause + timeout):
                while self._missing():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _missing(self) -> bool:
        return any(
            len(self._came[namespace]) < len(expected)
            for namespace, expected in self._expected.items()
        )

    def cancel(self) -> None:
        """Wait for no acknowledgement any longer."""
        for _, task in self._asked:
            task.cancel()

    def compared(self, ignore: Sequence[str]) -> tuple[int, list[Difference]]:
        """How much came as recorded, and what did not.

        Args:
            ignore: keys of objects, and names of events, that are not compared.
        """
        same, found = 0, []
        for namespace in {**self._expected, **self._came}:
            agreed, differences = _compare(
                namespace, self._expected[namespace], self._came[namespace], ignore
            )
            same += agreed
            found += differences
        for sent, task in self._asked:
            expected = self._recording.answers.get(sent.ask or 0)
            got = None if task.cancelled() or task.exception() is not None else task.result()
            if _key(expected, ignore) == _key(got, ignore):
                same += 1
            else:
                both = [None if one is None else [sent.name, *one] for one in (expected, got)]
                found.append(Difference(sent.namespace, both[0], both[1]))
        return same, found


def _key(values: Sequence[Any] | None, ignore: Sequence[str]) -> str:
    return dump(to_json(without(values, ignore)))


def _compare(
    namespace: str, expected: list[Values], came: list[Values], ignore: Sequence[str]
) -> tuple[int, list[Difference]]:
    expected = [values for values in expected if values[0] not in ignore]
    came = [values for values in came if values[0] not in ignore]
    left = [_key(values, ignore) for values in expected]
    right = [_key(values, ignore) for values in came]
    same, found = 0, []
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind == "equal":
            same += i_end - i
            continue
        for step in range(max(i_end - i, j_end - j)):
            found.append(
                Difference(
                    namespace,
                    expected[i + step] if i + step < i_end else None,
                    came[j + step] if j + step < j_end else None,
                )
            )
    return same, found


async def replay(
    command: Replay,
    link: Link,
    journal: Journal,
    inbox: Inbox | None,
    timeout: float | None,
    ack_timeout: float | None,
) -> None:
    """Carry out the command.

    Args:
        command: the recording, and how.
        link: where to send it.
        journal: is told how it went.
        inbox: what came since the connection began; None when that was long ago.
        timeout: seconds to wait for what should still come.
        ack_timeout: the same, for acknowledgements.

    Raises:
        Different: when something else came, and that was to be compared.
        Problem: when something cannot be read or sent.
    """
    recording = load(command.path)
    early = None if inbox is None else inbox.take()
    replayer = Replayer(recording, link, ack_timeout, early)
    journal.listeners.append(replayer)
    try:
        await replayer.send(command.speed)
        patience = (timeout or _PATIENCE) if command.compare else _MOMENT
        await replayer.receive(command.speed, patience)
    finally:
        journal.listeners.remove(replayer)
        replayer.cancel()
    if not command.compare:
        journal.tell(Replayed(command.path, len(recording.sent), None, None))
        return
    same, differences = replayer.compared(command.ignore)
    for difference in differences:
        journal.tell(difference)
    journal.tell(Replayed(command.path, len(recording.sent), same, len(differences)))
    if differences:
        raise Different(f"{len(differences)} of what came was not as recorded")
