"""Socket.IO beside FastAPI: one application, one port, each with its own routes.

    uvicorn --app-dir examples/fastapi app:app

A kitchen takes orders over HTTP or Socket.IO and shows them on screens that are connected by
Socket.IO. Handlers are annotated like FastAPI's routes: what does not fit a model is answered with
an error, and the handler does not run. What FastAPI's `Depends` gives to routes, it gives to
handlers, too.
"""

from __future__ import annotations

from typing import Annotated, Any

import fastapi
import msgspec
import pydantic

import nuncio

DISHES_AT_MOST = 20
ORDERS_AT_MOST = 1000


class Order(pydantic.BaseModel):
    """What a table wants: a pydantic model, the same for the route and for the event."""

    table: int = pydantic.Field(ge=1, le=99)
    dishes: list[str] = pydantic.Field(min_length=1, max_length=DISHES_AT_MOST)


class Done(msgspec.Struct):
    """An order is ready: a msgspec struct, checked while it is decoded."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    cook: str


api = fastapi.FastAPI(title="Kitchen")
io = nuncio.Server()
orders: dict[int, dict[str, Any]] = {}


def take(order: Order) -> dict[str, Any]:
    """Number an order, remember it and show it on every screen."""
    number = max(orders, default=0) + 1
    if len(orders) >= ORDERS_AT_MOST:
        del orders[min(orders)]
    orders[number] = {"number": number, "done": False, **order.model_dump()}
    io.to("screens").emit("order", orders[number])
    return orders[number]


def open_orders() -> list[dict[str, Any]]:
    """A dependency, the same for the route and for the event."""
    return [order for order in orders.values() if not order["done"]]


OpenOrders = Annotated[list[dict[str, Any]], fastapi.Depends(open_orders)]


@api.get("/orders/open")
async def list_open_orders(orders: OpenOrders) -> list[dict[str, Any]]:
    """A route with a dependency."""
    return orders


@api.get("/orders")
async def list_orders() -> list[dict[str, Any]]:
    """A route of FastAPI."""
    return list(orders.values())


@api.post("/orders", status_code=201)
async def post_order(order: Order) -> dict[str, Any]:
    """A route that reaches the sockets."""
    return take(order)


@api.websocket("/echo")
async def echo(websocket: fastapi.WebSocket) -> None:
    """A plain WebSocket of FastAPI's own; Socket.IO does not touch it."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except fastapi.WebSocketDisconnect:
        return


@io.event
def watch(socket: nuncio.Socket, orders: OpenOrders) -> list[dict[str, Any]]:
    """A screen wants to see orders; the answer is what is open."""
    socket.join("screens")
    return orders


@io.event
def order(socket: nuncio.Socket, wanted: Order) -> dict[str, Any]:
    """An order over Socket.IO, checked by pydantic."""
    return take(wanted)


@io.event
def done(socket: nuncio.Socket, ready: Done) -> dict[str, Any]:
    """An order is ready, checked by msgspec."""
    if ready.number not in orders:
        return {"ok": False, "error": f"There is no order {ready.number}."}
    orders[ready.number]["done"] = True
    io.to("screens").emit("done", ready.number, ready.cook)
    return {"ok": True}


# Socket.IO's path goes to Nuncio, everything else to FastAPI, its start and end included.
app = io.asgi(api)
