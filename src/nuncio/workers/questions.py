"""Questions to other workers: who has answered, and who never will, for it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nuncio.workers.estate import Event

# How often it is looked whether those are still there who have not answered.
LOOK_SECONDS = 0.05


class Question:
    """What some workers were asked, and what they said.

    Args:
        id: its own.
        asked: who, by their tags, and which of the meetings with each that was in.

    Attributes:
        waiting: who has not answered.
        found: the arrival of the client that was asked for, if somebody had it; or two, if two had.
        heirs: who may have it.
        events: what was emitted meanwhile.
        numbers: up to which number each has told that.
        forgotten: whether somebody no longer knows.
        taken: whether clients were taken.
    """

    def __init__(self, id: str, asked: dict[str, int]) -> None:
        self.id = id
        self.waiting = asked
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: list[asyncio.Task[None]] = []
        self.heirs: set[str] = set()
        self.events: list[Event] = []
        self.numbers: dict[str, int] = {}
        self.forgotten = False
        self.taken = False

    def answered(self, tag: str) -> None:
        """One has answered, or is gone."""
        self.waiting.pop(tag, None)
        if not self.waiting:
            self.finish()

    def finish(self) -> None:
        """What the others say does not matter any longer."""
        self.waiting.clear()
        if not self.done.done():
            self.done.set_result(None)


class Questions:
    """Those that wait for answers.

    Args:
        meeting: says of a worker which meeting with it lasts, 0 for none.
    """

    def __init__(self, meeting: Callable[[str], int]) -> None:
        self._meeting = meeting
        self._waiting: dict[str, Question] = {}

    def new(self, id: str, tags: list[str]) -> Question:
        """A question that is put now, and waited for next."""
        question = Question(id, {tag: self._meeting(tag) for tag in tags})
        self._waiting[id] = question
        return question

    def find(self, id: str) -> Question | None:
        """The question that an answer is for, if anybody still waits for it."""
        return self._waiting.get(id)

    async def wait(self, question: Question, seconds: float) -> bool:
        """Wait for the answers; whether there is one of each worker that is still there.

        Who was lost does not answer, even if it has come back since.
        """
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        try:
            while question.waiting and loop.time() < limit:
                for tag, met in list(question.waiting.items()):
                    if not met or self._meeting(tag) != met:
                        question.answered(tag)
                if question.waiting:
                    await asyncio.wait((question.done,), timeout=LOOK_SECONDS)
            return not question.waiting
        finally:
            self._waiting.pop(question.id, None)
