"""What was emitted to the clients, and what came of it; and what the application has kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tests.chaos.crowd import Record

EMITTER = "emitter"

# What became of an emit.
WAITING = "waiting"
SENT = "sent"
REFUSED = "refused"
GONE = "gone"


@dataclass
class Emitted:
    """One event for clients.

    Attributes:
        source: the server that emitted it, or `EMITTER`.
        rooms: to whom; none for everybody.
        life: which of its lives that was in: who begins anew is somebody else to all others.
        came: what became of it.
        at: when its source was told to emit it, in seconds since the epoch.
    """

    source: str
    rooms: tuple[str, ...]
    life: int = 0
    came: str = WAITING
    at: float = field(default_factory=time.time)


class Ledger:
    """All events for clients, by their numbers.

    Attributes:
        all: them.
        first: the first number of this phase.
    """

    def __init__(self) -> None:
        self.all: dict[int, Emitted] = {}
        self.first = 0

    def begin(self) -> None:
        """A phase begins."""
        self.first = len(self.all)

    def add(self, source: str, rooms: tuple[str, ...], life: int = 0) -> int:
        """The number of a new event."""
        number = len(self.all)
        self.all[number] = Emitted(source, rooms, life)
        return number

    def phase(self, *came: str) -> set[int]:
        """Those of this phase of which that became; all without words."""
        numbers = range(self.first, len(self.all))
        return {number for number in numbers if not came or self.all[number].came in came}

    def of(self, sources: Collection[str]) -> set[int]:
        """Those of this phase that these have emitted."""
        return {number for number in self.phase() if self.all[number].source in sources}

    def meant(self, record: Record, numbers: Iterable[int]) -> set[int]:
        """Those of some that are for a client."""
        return {number for number in numbers if record.meant(self.all[number].rooms)}

    # What must hold.

    def check(self, record: Record, must: set[int], may: set[int]) -> None:
        """A client has heard what it must and may, nothing twice, each source's in order.

        Args:
            record: what it has heard.
            must: what everybody must hear whom it is meant for.
            may: what may have been lost.
        """
        heard, name = record.heard, record.name
        twice = [number for number, count in Counter(heard).items() if count > 1]
        assert not twice, f"{name} heard twice: {self.words(twice)}"
        strange = set(heard) - self.meant(record, must | may)
        assert not strange, f"{name} heard what was not for it: {self.words(strange)}"
        lost = self.meant(record, must) - set(heard)
        assert not lost, f"{name} never heard {self.words(lost)}; spells {record.spells}"
        self.check_order(record)

    def check_order(self, record: Record) -> None:
        """In each spell the events of each source's life have come in the order of emission."""
        for spell in record.spells:
            last: dict[tuple[str, int], int] = {}
            for number in spell:
                emitted = self.all[number]
                source = (emitted.source, emitted.life)
                before = last.get(source, -1)
                assert before < number, (
                    f"{record.name} heard {self.words((number,))} behind {self.words((before,))}"
                )
                last[source] = number

    def check_gaps(self, record: Record, order: list[int]) -> None:
        """What a client has not heard lies between two of its spells, and nowhere else.

        A spell may begin among events that were emitted before it, and are not all for it.

        Args:
            record: what it has heard.
            order: the events that were handed on, in the order in which they were.
        """
        place = {number: index for index, number in enumerate(order)}
        spells = [[place[one] for one in spell if one in place] for spell in record.spells]
        heard = set(record.heard)
        lost = [place[one] for one in self.meant(record, order) if one not in heard]
        for index, spell in enumerate(spells):
            if not spell:
                continue
            begin = -1 if index == 0 else min(spell)
            end = len(order) if index == len(spells) - 1 else max(spell)
            since = record.begun[index]
            within = [
                order[one] for one in lost if begin < one < end and self.all[order[one]].at >= since
            ]
            assert not within, (
                f"{record.name} lost what it was there for: {self.words(within)}; "
                f"spells {record.spells}"
            )

    def words(self, numbers: Iterable[int]) -> str:
        """Some events, to be read by somebody."""
        listed = sorted(numbers)
        few = ", ".join(f"{one} {self.all[one]}" for one in listed[:5])
        return few if len(listed) <= 5 else f"{few} and {len(listed) - 5} more"


class Database:
    """What the application has kept of the clients' events: each once, told apart by its number.

    Attributes:
        again: how many came that were there already.
    """

    def __init__(self) -> None:
        self._kept: dict[str, list[int]] = {}
        self._known: set[tuple[str, int]] = set()
        self.again = 0

    def keep(self, client: str, number: int) -> None:
        """An event has arrived."""
        if (client, number) in self._known:
            self.again += 1
            return
        self._known.add((client, number))
        self._kept.setdefault(client, []).append(number)

    def check(self, record: Record) -> None:
        """All that a client has emitted is here, in order."""
        kept = self._kept.get(record.name, [])
        assert kept == list(range(record.emitted)), (
            f"of {record.name}'s {record.emitted} events {len(kept)} are kept, the last {kept[-5:]}"
        )

    def __len__(self) -> int:
        return len(self._known)
