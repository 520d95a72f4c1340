"""A server that keeps the readings of sensors: each once, whatever happens meanwhile.

    python examples/sensor/server.py

A sensor sends a reading again until it is acknowledged, so one may come twice: when it was the
acknowledgement that was lost. Each has a number, and those of one sensor come in order. One whose
number is not above the last is known already. What was received stands in a file before it is
acknowledged, and the last numbers are read from there when the server starts again.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import msgspec

import nuncio

PORT = 3003
FILE = Path("readings.jsonl")

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]


class Readings:
    """What was received, in a file.

    Args:
        path: the file, with one reading in each line.
    """

    def __init__(self, path: Path) -> None:
        self.last: dict[str, int] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                sensor, number, _ = json.loads(line)
                self.last[sensor] = number
        self._file = path.open("a")

    def add(self, sensor: str, number: int, value: float) -> bool:
        """Keep a reading; whether it is a new one."""
        if number <= self.last.get(sensor, 0):
            return False
        self._file.write(json.dumps([sensor, number, value]) + "\n")
        self._file.flush()
        self.last[sensor] = number
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def server(readings: Readings) -> nuncio.Server:
    """Make the server."""
    io = nuncio.Server(ping_interval=5, ping_timeout=5)

    @io.event
    def reading(socket: nuncio.Socket, sensor: Name, number: int, value: float) -> None:
        # It is acknowledged when this returns.
        if readings.add(sensor, number, value):
            print(f"{sensor}: {value}")
        else:
            print(f"{sensor}: {value} again")

    return io


async def main() -> None:
    """Serve."""
    readings = Readings(FILE)
    try:
        async with await server(readings).listen(PORT) as listening:
            print(f"sensors connect to http://localhost:{PORT}; Ctrl-C stops")
            await listening.wait()
    finally:
        readings.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
