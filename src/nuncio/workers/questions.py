"""Questions to other workers: who has answered, and who never will, for it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from nuncio.workers.estate import Event

# How often it is looked whether those are still there who have not answered.
LOOK_SECONDS = 0.05


class Question:
    """What some workers were asked, and what they said.

    Args:
        id: its own.
        tags: who was asked.

    Attributes:
        waiting: who has not answered.
        found: the arrival of the client that was asked for, if somebody had it.
        heirs: who may have it.
        events: what was emitted meanwhile.
        numbers: up to which number each has told that.
        forgotten: whether somebody no longer knows.
        taken: whether clients were taken.
    """

    def __init__(self, id: str, tags: Iterable[str]) -> None:
        self.id = id
        self.waiting = set(tags)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: Awaitable[None] | None = None
        self.heirs: set[str] = set()
        self.events: list[Event] = []
        self.numbers: dict[str, int] = {}
        self.forgotten = False
        self.taken = False

    def answered(self, tag: str) -> None:
        """One has answered, or is gone."""
        self.waiting.discard(tag)
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
        tags: says who can be asked.
    """

    def __init__(self, tags: Callable[[], list[str]]) -> None:
        self._tags = tags
        self._waiting: dict[str, Question] = {}

    def new(self, id: str, tags: Iterable[str]) -> Question:
        """A question that is put now, and waited for next."""
        question = Question(id, tags)
        self._waiting[id] = question
        return question

    def find(self, id: str) -> Question | None:
        """The question that an answer is for, if anybody still waits for it."""
        return self._waiting.get(id)

    async def wait(self, question: Question, seconds: float) -> bool:
        """Wait for the answers; whether there is one of each worker that is still there."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        try:
            while question.waiting and loop.time() < limit:
                for tag in question.waiting - set(self._tags()):
                    question.answered(tag)
                if question.waiting:
                    await asyncio.wait((question.done,), timeout=LOOK_SECONDS)
            return not question.waiting
        finally:
            self._waiting.pop(question.id, None)
