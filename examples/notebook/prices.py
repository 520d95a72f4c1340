"""Prices, looked at from a notebook: the blocking client in cells.

    python examples/ticker/app.py               # the server
    jupyter lab examples/notebook/prices.py     # with Jupytext; or open it in VS Code or Spyder

Editors show `# %%` as the beginning of a cell. As a script it runs from top to bottom:

    python examples/notebook/prices.py
"""

# %% [markdown]
# # What does the ticker say?
# `nuncio.sync` needs no `await` and no event loop of yours: it waits as `requests` does.

# %%
from __future__ import annotations

import os
from collections import defaultdict
from statistics import mean, stdev

import nuncio

TICKER = os.environ.get("TICKER", "http://localhost:3002")

# %% [markdown]
# ## A sample
# Each run of the cell is a connection of its own, and gives fresh prices.

# %%
prices: dict[str, list[float]] = defaultdict(list)
with nuncio.sync.connect(TICKER) as socket:
    for _ in range(500):
        symbol, price = socket.receive("price", timeout=10).args
        prices[symbol].append(price)

for symbol, sample in sorted(prices.items()):
    print(f"{symbol}  {len(sample):4}  {mean(sample):.4f} ± {stdev(sample):.4f}")

# %% [markdown]
# ## In the background
# This connection stays, and its handler goes on in a thread of its own while you run other cells.

# %%
socket = nuncio.sync.connect(TICKER)
cheapest: dict[str, float] = {}


@socket.on("price")
def remember(symbol: str, price: float) -> None:
    """Keep the lowest price of each symbol."""
    cheapest[symbol] = min(price, cheapest.get(symbol, price))


# %%
# Run this one as often as you like.
print(socket.connected, cheapest)

# %% [markdown]
# ## Buying
# The server answers. It takes three orders in ten seconds, and tells when to come again.

# %%
for _ in range(4):
    print(socket.emit_with_ack("order", min(prices), 10, timeout=5))

# %%
# All are told of orders. What came before you ask has waited for you.
print(socket.receive("ordered", timeout=5).args)

# %%
socket.close()
