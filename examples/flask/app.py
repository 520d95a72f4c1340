"""A shop in Flask whose orders go to the kitchen over Socket.IO.

    uvicorn --app-dir examples/fastapi app:app      # the kitchen
    flask --app examples/flask/app.py run           # the shop, on http://localhost:5000

Flask's routes block, so they use the blocking client. Each process of the shop has one connection,
which all its requests share. It is made by the first of them: behind gunicorn that is after the
workers were forked, as it must be.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import flask

import nuncio

KITCHEN = os.environ.get("KITCHEN", "http://localhost:8000")

# So long a customer waits, for the connection and then for the answer.
SECONDS = 5.0

app = flask.Flask(__name__)


class Kitchen:
    """The connection to the kitchen, and what its screens would show.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()
        self._orders: dict[int, dict[str, Any]] = {}
        self._manager = nuncio.sync.Manager(url, auto_connect=False)
        self._socket = self._manager.socket()
        self._socket.on("connect", self._watch)
        self._socket.on("order", self._ordered)
        self._socket.on("done", self._done)
        self._socket.connect()

    def _watch(self) -> None:
        """Each connection begins with what is open. A handler may wait for an answer."""
        open_orders = self._socket.emit_with_ack("watch", timeout=SECONDS)
        with self._lock:
            self._orders = {order["number"]: order for order in open_orders}

    def _ordered(self, order: dict[str, Any]) -> None:
        with self._lock:
            self._orders[order["number"]] = order

    def _done(self, number: int, cook: str) -> None:
        with self._lock:
            self._orders.pop(number, None)

    def order(self, wanted: object) -> Any:
        """Pass on what somebody wants; the kitchen's answer.

        Raises:
            ConnectError: when the kitchen cannot be reached.
            AckError: when it does not answer.
        """
        self._socket.wait_connected(SECONDS)
        return self._socket.emit_with_ack("order", wanted, timeout=SECONDS)

    def open_orders(self) -> list[dict[str, Any]]:
        """What is not done yet, as far as is known."""
        with self._lock:
            return sorted(self._orders.values(), key=lambda order: order["number"])

    def close(self) -> None:
        """Let it go; when the process ends, this happens by itself."""
        self._manager.close()


_opening = threading.Lock()


@functools.cache
def _kitchen() -> Kitchen:
    return Kitchen(KITCHEN)


def kitchen() -> Kitchen:
    """That of this process."""
    # Two requests at once shall not open two.
    with _opening:
        return _kitchen()


@app.post("/orders")
def post_order() -> Any:
    """An order, as JSON: `{"table": 7, "dishes": ["soup"]}`."""
    answer = kitchen().order(flask.request.get_json())
    if "error" in answer:
        return answer, 422
    return answer, 201


@app.get("/orders")
def list_orders() -> Any:
    """The orders that are not done."""
    return kitchen().open_orders()


@app.errorhandler(nuncio.ConnectError)
def closed(error: nuncio.ConnectError) -> Any:
    """The kitchen cannot be reached; the client goes on trying."""
    return {"error": f"the kitchen is closed: {error}"}, 503


@app.errorhandler(nuncio.AckError)
def silent(error: nuncio.AckError) -> Any:
    """It was reached and did not answer."""
    return {"error": f"the kitchen does not answer: {error}"}, 504
