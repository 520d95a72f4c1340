"""Revision 3 of Engine.IO, which clients of Socket.IO 2 speak."""

from __future__ import annotations

from nuncio import ConnectError, Server, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Log, scenario

OLD = {"allow_eio3": True}

ECHOES = (
    WATCHES
    + """
io.on("connection", (socket) => {
  socket.emit("hello", "ü€😀", { a: 1 });
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("ask", (value, ack) => ack(value));
});
"""
)


def echoes(io: Server, log: Log) -> None:
    watches(io, log)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("hello", "ü€😀", {"a": 1})
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("ask", lambda value: value)


# A session over long-polling, in the old form.
POLL = """
const open3 = await http("?EIO=3&transport=polling", { record: false });
note("open", open3.status, open3.headers, open3.text.replace(/"[\\w-]{20}"/, '"id"'));
const sid = /"sid":"([^"]+)"/.exec(open3.text)[1];
const target = `?EIO=3&transport=polling&sid=${sid}`;
const get = () => http(target);
const post = (body, type = "text/plain;charset=UTF-8") =>
  http(target, { method: "POST", body, headers: { "content-type": type } });
"""


@scenario(
    server=ECHOES,
    client="""
const a = await ws("?EIO=3&transport=websocket");
for (let i = 0; i < 3; i++) await a.next();
a.send('42["echo","é",[1,{"b":null}]]');
await a.next();
a.send('427["ask",{"x":1}]');
await a.next();
a.send("2");
await a.next();
a.send("2data");
await a.next();
a.send("41");
await server.until("disconnect");
a.close();
await a.until("close");
await server.until("closed");
""",
    options=OLD,
)
def test_a_websocket(io: Server, log: Log) -> None:
    echoes(io, log)


@scenario(
    server=ECHOES,
    client=POLL
    + """
await get();
const packed = (packet) => `${packet.length}:${packet}`;
await post(packed('42["echo","é😀",{"b":2}]'));
await server.until("event");
await get();
await post('1:2');
await get();
await post(packed('42["one",1]') + packed('42["two",2]'));
await server.until("event");
await server.until("event");
await post('1:1');
await server.until("closed");
await get();
""",
    options=OLD,
)
def test_polling(io: Server, log: Log) -> None:
    echoes(io, log)


@scenario(
    server=WATCHES,
    client="""
for (const body of ["", "x", "4", "5:42[", "-1:4", "1:9", "999999:4", "1.5:4x"]) {
  const open3 = await http("?EIO=3&transport=polling", { record: false });
  const sid = /"sid":"([^"]+)"/.exec(open3.text)[1];
  const target = `?EIO=3&transport=polling&sid=${sid}`;
  await server.until("connection");
  await http(target, { method: "POST", body, headers: { "content-type": "text/plain" } });
  await server.until("closed");
}
""",
    options=OLD,
)
def test_payloads_that_are_garbage(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=ECHOES,
    client="""
const a = await ws("?EIO=3&transport=websocket");
for (let i = 0; i < 3; i++) await a.next();
a.send('451-["echo",{"_placeholder":true,"num":0}]', Buffer.from([4, 1, 2, 3]));
await a.next();
await a.next();
const b = await ws("?EIO=3&transport=websocket&b64=1");
for (let i = 0; i < 3; i++) await b.next();
b.send('451-["echo",{"_placeholder":true,"num":0}]', "b4AQID");
await b.next();
await b.next();
""",
    options=OLD,
)
def test_binary(io: Server, log: Log) -> None:
    echoes(io, log)


@scenario(
    server=WATCHES
    + """
io.of("/admin").on("connection", (socket) => {
  log("admin", socket.handshake.auth, socket.id.includes("/admin#"));
  socket.emit("welcome");
});
io.of("/no").use((socket, next) => next(new Error("not you")));
io.of("/data").use((socket, next) => next(Object.assign(new Error("not you"), { data: { a: 1 } })));
""",
    client="""
const a = await ws("?EIO=3&transport=websocket");
await a.next();
await a.next();
for (const packet of ["40/admin?token=abc&x=1,", "40/no,", "40/data,", "40/unknown,"]) {
  a.send(packet);
  await a.next();
}
await a.next();
a.send("41/admin,");
a.send('42["still"]');
await server.until("event");
a.send("40/admin,");
await a.next();
""",
    options=OLD,
)
def test_namespaces(io: Server, log: Log) -> None:
    watches(io, log)

    @io.of("/admin").on("connection")
    def connection(socket: Socket) -> None:
        log("admin", socket.handshake.auth, "/admin#" in socket.id)
        socket.emit("welcome")

    @io.of("/no").use
    def refuse(socket: Socket) -> None:
        raise ConnectError("not you")

    @io.of("/data").use
    def refuse_with_data(socket: Socket) -> None:
        raise ConnectError("not you", {"a": 1})


@scenario(
    server=ECHOES,
    client=POLL
    + """
await get();
const b = await ws(`?EIO=3&transport=websocket&sid=${sid}`);
b.send("2probe");
await b.next();
b.send("5");
b.send('42["echo",1]');
await b.next();
await get();
// The revision of a session does not change.
await http(`?EIO=4&transport=polling&sid=${sid}`);
""",
    options=OLD,
)
def test_an_upgrade(io: Server, log: Log) -> None:
    echoes(io, log)


@scenario(
    server=WATCHES,
    client="""
const a = await ws("?EIO=3&transport=websocket");
await a.next();
await a.next();
a.send("3");
await a.until("close");
await server.until("closed");
const b = await ws("?EIO=3&transport=websocket");
await b.until("close");
await server.until("closed");
""",
    options={"allow_eio3": True, "ping_interval": 0.5, "ping_timeout": 0.5},
    native_only="it takes its time, and hosts have no part in it",
)
def test_heartbeats(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=ECHOES,
    client="""
const jsonp = await http("?EIO=3&transport=polling&j=0", { record: false });
note("open", jsonp.status, jsonp.headers["content-type"], jsonp.text.replace(/[\\w-]{20}/, "id"));
const sid = /"sid\\\\":\\\\"([^"\\\\]+)/.exec(jsonp.text)[1];
const target = `?EIO=3&transport=polling&j=1&sid=${sid}`;
await http(target);
const form = `d=${encodeURIComponent('12:42["echo",1]')}`;
const headers = { "content-type": "application/x-www-form-urlencoded" };
await http(target, { method: "POST", body: form, headers });
await http(target);
""",
    options=OLD,
)
def test_jsonp(io: Server, log: Log) -> None:
    echoes(io, log)
