"""A sensor that loses no reading: not by a broken link, nor by a server that is started again.

    python examples/sensor/sensor.py kitchen

It measures once a second, from the start, whether the server is there or not. Readings wait in a
queue; each is sent until the server has acknowledged it, and then the next (the option `retries`).
Numbers that grow let the server tell which it has received already.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import nuncio

SERVER = "http://localhost:3003"
SECONDS = 1.0

# As often as it takes. How long a server may be silent, and how long it is left alone at most.
EVER = 1_000_000_000
ACKNOWLEDGED_WITHIN = 5.0
LONGEST_PAUSE = 10.0

# The readings of a day wait at most.
MOST = 24 * 60 * 60


def measure() -> float:
    """The temperature. Here a real sensor would be asked."""
    return round(random.gauss(21.0, 0.5), 2)


async def run(name: str, url: str = SERVER, seconds: float = SECONDS) -> None:
    """Measure and send until it is cancelled, then send what is left.

    Args:
        name: the sensor's; no two have the same.
        url: the server's.
        seconds: between two readings.
    """
    limits = nuncio.ClientLimits(queued_retries=MOST)
    manager = nuncio.Manager(url, reconnection_delay_max=LONGEST_PAUSE, limits=limits)
    socket = manager.socket(retries=EVER, ack_timeout=ACKNOWLEDGED_WITHIN)
    socket.on("connect", lambda: print("the server is there"))
    socket.on("disconnect", lambda reason: print("the server is lost:", reason))
    number = 0
    try:
        while True:
            # The time, so that numbers grow over restarts of the sensor, too.
            number = max(number + 1, time.time_ns() // 1_000_000)
            try:
                socket.emit("reading", name, number, measure())
            except nuncio.LimitExceeded as error:
                print("a reading is lost:", error)
            await asyncio.sleep(seconds)
    finally:
        # This waits until all is acknowledged, if the server is there.
        await manager.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: sensor.py NAME")
    try:
        asyncio.run(run(sys.argv[1]))
    except KeyboardInterrupt:
        pass
