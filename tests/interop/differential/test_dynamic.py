"""Namespaces that are made when the first client asks for them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from nuncio import ConnectError, Namespace, Server, Socket
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)


@scenario(
    ways=ALL,
    server="""
    io.on("new_namespace", (nsp) => log("new_namespace", nsp.name));
    const parent = io.of(/^\\/room-\\d+$/);
    parent.use((socket, next) => { log("use", socket.nsp.name); next(); });
    parent.on("connection", (socket) => {
      log("connection", socket.nsp.name);
      socket.join("x");
      socket.on("say", (text) => socket.nsp.emit("said", text));
    });
    """,
    client="""
    const a = await connect("/room-1");
    const b = await connect("/room-1");
    const c = await connect("/room-2");
    a.emit("say", "hello");
    await a.until("said");
    await b.until("said");
    c.emit("say", "alone");
    await c.until("said");
    for (const name of ["/room-x", "/room-", "/other", "/room-1/more", "/xroom-1"]) {
      const d = open(name);
      await d.until("connect_error");
    }
    """,
)
def test_a_pattern(io: Server, log: Log) -> None:
    io.on("new_namespace", lambda nsp: log("new_namespace", nsp.name))
    parent = io.of(re.compile(r"^/room-\d+$"))
    parent.use(lambda socket: log("use", socket.nsp.name))

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.nsp.name)
        socket.join("x")
        socket.on("say", lambda text: socket.nsp.emit("said", text))


@scenario(
    server="""
    io.of((name, auth, next) => {
      log("first", name, auth);
      next(null, auth.token === "first");
    }).on("connection", () => log("of first"));
    io.of((name, auth, next) => {
      log("second", name);
      setTimeout(next, 3, null, auth.token !== "none");
    }).on("connection", () => log("of second"));
    """,
    client="""
    for (const token of ["first", "second", "none"]) {
      const a = open(`/${token}`, { auth: { token } });
      await (token === "none" ? a.until("connect_error") : a.until("connect"));
    }
    // It is there now, for everybody.
    const b = await connect("/first", { auth: { token: "none" } });
    const c = open("/without");
    await c.until("connect");
    """,
)
def test_functions(io: Server, log: Log) -> None:
    def first(name: str, auth: dict[str, Any]) -> bool:
        log("first", name, auth)
        return auth.get("token") == "first"

    async def second(name: str, auth: dict[str, Any]) -> bool:
        log("second", name)
        await asyncio.sleep(0.003)
        return auth.get("token") != "none"

    io.of(first).on("connection", lambda socket: log("of first"))
    io.of(second).on("connection", lambda socket: log("of second"))


@scenario(
    server="""
    const parent = io.of(/^\\/r-/);
    parent.on("connection", (socket) => {
      log("early");
      if (socket.nsp.name === "/r-1") socket.join("x");
    });
    does.later = () => { parent.on("connection", () => log("late")) };
    does.send = () => {
      parent.emit("all");
      parent.to("x").emit("x");
      parent.except("x").emit("not x");
      parent.emit("end");
    };
    does.make = () => log("made", io.of("/r-3").name, io.of("/r-3") === io.of("/r-3"));
    """,
    client="""
    const a = await connect("/r-1");
    await server.do("later");
    const b = await connect("/r-2");
    await server.until("late");
    const c = await connect("/r-1");
    await server.do("send");
    for (const client of [a, b, c]) await client.until("end");
    await server.do("make");
    await connect("/r-3");
    await server.until("late");
    """,
)
def test_the_parent(io: Server, log: Log) -> None:
    parent = io.of(re.compile(r"^/r-"))

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        log("early")
        if socket.nsp.name == "/r-1":
            socket.join("x")

    @log.does
    def later() -> None:
        parent.on("connection", lambda socket: log("late"))

    @log.does
    def send() -> None:
        parent.emit("all")
        parent.to("x").emit("x")
        parent.except_("x").emit("not x")
        parent.emit("end")

    @log.does
    def make() -> None:
        log("made", io.of("/r-3").name, io.of("/r-3") is io.of("/r-3"))


@scenario(
    server="""
    const parent = io.of(/^\\/r-/);
    parent.use((socket, next) => {
      next(socket.handshake.auth.no ? Object.assign(new Error("no"), { data: 1 }) : undefined);
    });
    parent.on("connection", (socket) => {
      socket.on("disconnect", () => log("disconnect", socket.nsp.name));
    });
    io.on("new_namespace", (nsp) => log("new_namespace", nsp.name));
    does.names = () => { log("names", [...io._nsps.keys()]) };
    """,
    client="""
    const a = open("/r-1", { auth: { no: true } });
    await a.until("connect_error");
    await server.do("names");
    const b = await connect("/r-1");
    const c = await connect("/r-2");
    await server.do("names");
    b.disconnect();
    await server.until("disconnect");
    await server.do("names");
    const d = await connect("/r-1");
    """,
    options={"cleanup_empty_child_namespaces": True},
)
def test_empty_children_are_removed(io: Server, log: Log) -> None:
    parent = io.of(re.compile(r"^/r-"))

    @parent.use
    def middleware(socket: Socket) -> None:
        if socket.handshake.auth.get("no"):
            raise ConnectError("no", 1)

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", lambda: log("disconnect", socket.nsp.name))

    @io.on("new_namespace")
    def new_namespace(nsp: Namespace) -> None:
        log("new_namespace", nsp.name)

    @log.does
    def names() -> None:
        log("names", list(io._namespaces))


@scenario(
    server="""
    io.of((name, auth, next) => next(new Error("secret")));
    io.of(/^\\/x/);
    """,
    client="""
    const a = open("/x");
    await a.until("connect", "connect_error");
    """,
    differs=[
        Differs(
            "who cannot be asked has not said no: the client is refused",
            "a",
            [["connect", "<1>"]],
            [["connect_error", {"$error": {"message": "Invalid namespace"}}]],
        )
    ],
    complains=True,
)
def test_a_function_that_fails(io: Server, log: Log) -> None:
    def fails(name: str) -> bool:
        raise RuntimeError("secret")

    io.of(fails)
    io.of(re.compile("^/x"))
