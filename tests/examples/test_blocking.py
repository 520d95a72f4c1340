"""The examples of the blocking client: the notebook and the shop in Flask."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import nuncio
from tests.examples.test_examples import EXAMPLES, load
from tests.hosts.process import python, running
from tests.support.background import Background, until
from tests.support.ports import free_port

NOTEBOOK = EXAMPLES / "notebook" / "prices.py"


class Ticker:
    """The ticker of the examples, ticking."""

    def __init__(self) -> None:
        self._example = load(EXAMPLES / "ticker" / "app.py", "ticking_example")
        self.io: nuncio.Server = self._example.io
        self.ticking = asyncio.ensure_future(self._example.tick_again_and_again())


@pytest.fixture
def ticker() -> Iterator[Background[Ticker]]:
    """The ticker, served."""
    background = Background(Ticker)
    yield background
    background.call(background.app.ticking.cancel)
    background.close()


def check_notebook(printed: str) -> None:
    """What the notebook tells."""
    lines = printed.splitlines()
    assert [line[:3] for line in lines[:5]] == ["CHF", "EUR", "GBP", "JPY", "USD"]
    assert sum(int(line.split()[1]) for line in lines[:5]) == 500
    assert lines[5].startswith("True {")
    assert lines[-5:-2] == [str({"number": number}) for number in (1, 2, 3)]
    assert "rate_limited" in lines[-2]
    assert lines[-1] == "[1, 'CHF', 10]"


def test_the_notebook_as_a_script(ticker: Background[Ticker]) -> None:
    done = subprocess.run(
        [sys.executable, NOTEBOOK],
        env={**os.environ, "TICKER": ticker.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    check_notebook(done.stdout)


# As kernels do: each cell runs in the thread of a loop, which goes on between them.
KERNEL = """
import asyncio, re, sys
from IPython.core.interactiveshell import InteractiveShell

async def main():
    shell = InteractiveShell.instance()
    for cell in re.split("^# %%", open(sys.argv[1]).read(), flags=re.MULTILINE)[1:]:
        if not cell.startswith(" [markdown]"):
            code = shell.transform_cell(cell)
            done = await shell.run_cell_async(cell, transformed_cell=code)
            done.raise_error()
            await asyncio.sleep(0)

asyncio.run(main())
"""


def test_the_notebook_cell_by_cell(ticker: Background[Ticker], tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, NOTEBOOK],
        env={**os.environ, "TICKER": ticker.url, "IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    check_notebook(done.stdout)


# The shop.

FASTAPI = ("-m", "uvicorn", "app:app", "--app-dir", str(EXAMPLES / "fastapi"), "--port")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The shop's module; its kitchen is not there yet."""
    pytest.importorskip("flask")
    monkeypatch.setenv("KITCHEN", f"http://127.0.0.1:{free_port()}")
    example: Any = load(EXAMPLES / "flask" / "app.py", "flask_example")
    monkeypatch.setattr(example, "SECONDS", 0.2)
    yield example
    example.kitchen().close()


def test_the_shop_passes_orders_on(shop: Any) -> None:
    client = shop.app.test_client()
    order = {"table": 7, "dishes": ["soup"]}
    closed = client.post("/orders", json=order)
    assert closed.status_code == 503
    assert "the kitchen is closed" in closed.json["error"]
    shop.SECONDS = 30.0
    port = int(shop.KITCHEN.rpartition(":")[2])
    with running(python(*FASTAPI, str(port)), port):
        # It has gone on trying.
        taken = client.post("/orders", json=order)
        assert (taken.status_code, taken.json["number"]) == (201, 1)
        refused = client.post("/orders", json={"table": 100, "dishes": ["fish"]})
        assert refused.status_code == 422
        assert refused.json["error"]["argument"] == "wanted"
        until(lambda: [one["number"] for one in client.get("/orders").json] == [1])
        with nuncio.sync.connect(shop.KITCHEN) as cook:
            assert cook.emit_with_ack("done", {"number": 1, "cook": "ada"}) == {"ok": True}
        until(lambda: client.get("/orders").json == [])

        def buy(table: int) -> int:
            # As the threads of a server do.
            posted = shop.app.test_client().post("/orders", json={**order, "table": table})
            number: int = json.loads(posted.data)["number"]
            return number

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(buy, range(1, 33))) == list(range(2, 34))
        until(lambda: len(client.get("/orders").json) == 32)


def test_a_kitchen_that_does_not_answer(shop: Any) -> None:
    class Silent:
        """Takes orders and says nothing."""

        def __init__(self) -> None:
            self.io = nuncio.Server()
            self.io.on("watch", lambda socket: [])
            self.io.on("order", order)

    def order(socket: nuncio.Socket, ack: nuncio.AckCallback) -> None:
        pass

    background = Background(Silent)
    shop.KITCHEN = background.url
    client = shop.app.test_client()
    shop.kitchen()._socket.wait_connected(30)
    silent = client.post("/orders", json={})
    assert silent.status_code == 504
    assert "the kitchen does not answer" in silent.json["error"]
    background.close()
