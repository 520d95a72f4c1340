"""Long-polling: what a GET is answered, and what may be in a POST."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.apps import CLOSES, WATCHES, closes, watches
from tests.interop.differential.harness import Differs, Log, polled, scenario, with_header

EARLY = "what comes before the end is handled before it; the reference waits a tick, too long"

GREETS = """
io.on("connection", (socket) => {
  socket.emit("one");
  socket.emit("two", { a: "ü\\u2028\\x1e" });
  socket.emit("three", Buffer.from([1, 2, 3]));
});
"""


def greets(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("one")
        socket.emit("two", {"a": "ü\u2028\x1e"})
        socket.emit("three", b"\x01\x02\x03")


@scenario(
    server=GREETS,
    client="""
    const a = await polling();
    await a.post("40");
    await a.get();
    """,
)
def test_everything_that_waits_goes_in_one_payload(io: Server, log: Log) -> None:
    greets(io, log)


@scenario(
    server=GREETS,
    client="""
    const a = await polling();
    const poll = await a.hold();
    await a.post("40");
    await poll();
    """,
    differs=[
        Differs(
            "a poll is answered once with all of one turn, not with the first packet",
            "a",
            [polled('40{"sid":"<2>"}')],
            [
                polled(
                    '40{"sid":"<2>"}\x1e42["one"]\x1e42["two",{"a":"ü\u2028\\u001e"}]'
                    '\x1e451-["three",{"_placeholder":true,"num":0}]\x1ebAQID'
                )
            ],
        )
    ],
)
def test_a_waiting_poll_gets_all_of_one_turn(io: Server, log: Log) -> None:
    greets(io, log)


@scenario(
    server=CLOSES,
    client="""
    const a = await polling();
    const first = await a.hold();
    await a.get();
    await first();
    await server.until("closed");
    await a.get();
    """,
)
def test_two_polls_at_once(io: Server, log: Log) -> None:
    closes(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const t = await tcp();
    t.write(`POST /socket.io/?EIO=4&transport=polling&sid=${a.sid} HTTP/1.1\\r\\n`);
    t.write("Host: x\\r\\nContent-Type: text/plain\\r\\nContent-Length: 9\\r\\n\\r\\n42[");
    // Both may come at once, so this one is sent when the first has been read for sure.
    await a.post("4x", { record: false });
    while ((await a.get({ record: false })).status === 200);
    await server.until("closed");
    await a.get();
    """,
)
def test_two_posts_at_once(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    poll.abort();
    await server.until("closed");
    await a.get();
    """,
)
def test_a_poll_that_is_given_up(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const t = await tcp();
    t.write(`POST /socket.io/?EIO=4&transport=polling&sid=${a.sid} HTTP/1.1\\r\\n`);
    t.write("Host: x\\r\\nContent-Type: text/plain\\r\\nContent-Length: 9\\r\\n\\r\\n42[");
    t.socket.destroy();
    await server.until("closed");
    await a.get();
    """,
)
def test_a_post_that_is_given_up(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    await a.post('42["one"]', { headers: { "content-type": "application/octet-stream" } });
    await server.until("closed");
    await a.get();
    """,
)
def test_binary_bodies_are_no_more(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const types = ["text/html", "application/json", "application/x-www-form-urlencoded", "", "x"];
    for (const type of types) await a.post('42["one"]', { headers: { "content-type": type } });
    """,
)
def test_any_other_type_is_text(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    // Exactly as much as is allowed: counted in bytes.
    await a.post(`42["${"é".repeat(47)}"]`);
    await a.post(`42["${"é".repeat(47)}x"]`);
    await a.post(`42["one"]\\x1e42["${"x".repeat(88)}"]`);
    await a.post(`42["one"]`);
    """,
    options={"max_http_buffer_size": 100},
)
def test_too_large_bodies_leave_the_session_alive(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const head = `POST /socket.io/?EIO=4&transport=polling&sid=${a.sid} HTTP/1.1\\r\\n`
      + "Host: x\\r\\nConnection: close\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n";
    const t = await tcp();
    t.write(head);
    const body = Buffer.from('42["é"]');
    for (const byte of body) t.write(Buffer.concat([
      Buffer.from("1\\r\\n"), Buffer.from([byte]), Buffer.from("\\r\\n"),
    ]));
    t.write("0\\r\\n\\r\\n");
    await t.rest();
    await server.until("event");
    const u = await tcp();
    u.write(head);
    u.write(`65\\r\\n${"x".repeat(101)}\\r\\n0\\r\\n\\r\\n`);
    await u.rest();
    await a.post('42["after"]');
    """,
    options={"max_http_buffer_size": 100},
)
def test_bodies_in_chunks(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    await a.post(Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xff, 0xc3, 0x22, 0x5d]));
    await server.until("event");
    """,
)
def test_a_body_that_is_not_utf_8(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const one = '42["one"]';
    for (const body of ["", "x", "7", `${one}\\x1e`, `${one}\\x1ex\\x1e42["two"]`]) {
      const a = await polling();
      await a.enter();
      await a.post(body);
      await server.until("closed");
      if (body.length > 1) await server.until("event");
      await a.get();
    }
    """,
    differs=[
        Differs(
            EARLY,
            "server",
            [
                ["disconnecting", "parse error", {"$set": [f"<{id}>"]}],
                ["disconnect", "parse error", {"$set": []}],
                ["closed", "parse error"],
                ["event", "one"],
            ],
            [
                ["event", "one"],
                ["disconnecting", "parse error", {"$set": [f"<{id}>"]}],
                ["disconnect", "parse error", {"$set": []}],
                ["closed", "parse error"],
            ],
        )
        for id in (8, 10)
    ],
)
def test_payloads_that_are_garbage(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    await a.post('42["one"]\\x1e1\\x1e42["two"]');
    await poll();
    await server.until("closed");
    await a.get();
    await server.until("event");
    const b = await polling();
    await b.enter();
    await b.post("1");
    await server.until("closed");
    await b.get();
    """,
    differs=[
        Differs(
            EARLY,
            "server",
            [
                ["disconnecting", "transport close", {"$set": ["<2>"]}],
                ["disconnect", "transport close", {"$set": []}],
                ["closed", "transport close"],
                ["event", "one"],
            ],
            [
                ["event", "one"],
                ["disconnecting", "transport close", {"$set": ["<2>"]}],
                ["disconnect", "transport close", {"$set": []}],
                ["closed", "transport close"],
            ],
        )
    ],
)
def test_a_close_packet(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.on("last", () => log("last"));
      socket.on("disconnect", () => log("disconnect"));
    });
    """,
    client="""
    const a = await polling();
    await a.enter();
    await a.post('42["last"]\\x1e1');
    await server.until("disconnect");
    // Nor does it come later.
    const b = await polling();
    await b.enter();
    await b.post('42["last"]');
    await server.until("last");
    """,
    differs=[
        Differs(
            "the event of a client that leaves is handled, and not lost",
            "server",
            [["disconnect"], ["last"]],
            [["last"], ["disconnect"], ["last"]],
        )
    ],
)
def test_the_last_event_of_a_client(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("last", lambda: log("last"))
        socket.on("disconnect", lambda: log("disconnect"))


@scenario(
    server=WATCHES,
    client="""
    for (const packet of ["2", "2probe"]) {
      const a = await polling();
      await a.enter();
      await a.post(packet);
      await server.until("closed");
      await a.get();
    }
    // These do nothing.
    const b = await polling();
    await b.enter();
    for (const packet of ["3", "5", "6", "0", "3probe"]) await b.post(packet);
    await b.post('42["one"]');
    await server.until("event");
    """,
)
def test_packets_that_clients_do_not_send(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    await a.post('451-["b",{"_placeholder":true,"num":0}]\\x1ebAQID');
    // An empty one, and one in the old form that is no form any more.
    await a.post('452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]\\x1eb\\x1eb4AQI');
    // Lenient as Node is: other letters are left out, and what is missing at the end is no error.
    await a.post('451-["b",{"_placeholder":true,"num":0}]\\x1ebAQ ID_-');
    await a.post('451-["b",{"_placeholder":true,"num":0}]\\x1ebAQ');
    """,
)
def test_base64(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server="""
    io.on("connection", (socket) => socket.onAny((event, text) => socket.emit(event, text)));
    """,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    await a.post('42["a",1]\\x1e42["b",2]\\x1e42["c",3]');
    await poll();
    """,
    differs=[
        Differs(
            "a poll is answered once with all of one turn, not with the first packet",
            "a",
            [polled('42["a",1]')],
            [polled('42["a",1]\x1e42["b",2]\x1e42["c",3]')],
        )
    ],
)
def test_answers_to_one_payload(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(lambda event, text: socket.emit(event, text))


COMPRESSES = """
const size = (length) => "x".repeat(length - '42[""]'.length);
io.on("connection", (socket) => {
  does.send = (length) => { socket.emit(size(length)) };
  does.sendPlain = (length) => { socket.compress(false).emit(size(length)) };
  does.sendBoth = (length) => {
    socket.compress(false).emit(size(length));
    socket.emit("x");
  };
});
"""

ASKS_FOR_COMPRESSED = """
const a = await polling();
await a.enter();
const accept = async (encoding) => a.get({ headers: { "accept-encoding": encoding } });
for (const length of [1023, 1024, 2000]) {
  await server.do("send", length);
  await accept("gzip");
}
for (const encoding of ["deflate", "deflate, gzip", "br", "gzip;q=0", "*", "identity", ""]) {
  await server.do("send", 1500);
  await accept(encoding);
}
await server.do("send", 1500);
await a.get();
await server.do("sendPlain", 1500);
await accept("gzip");
await server.do("sendBoth", 1500);
await accept("gzip");
"""


def compresses(io: Server, log: Log) -> None:
    def size(length: int) -> str:
        return "x" * (length - len('42[""]'))

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        def send(length: int) -> None:
            socket.emit(size(length))

        @log.does
        def sendPlain(length: int) -> None:
            socket.compress(False).emit(size(length))

        @log.does
        def sendBoth(length: int) -> None:
            socket.compress(False).emit(size(length))
            socket.emit("x")


_PREFERS = Differs(
    "of equal codings gzip is the better one, not the one named first",
    "a",
    [answer := with_header(polled(f'42["{"x" * 1494}"]'), content_encoding="deflate")] * 2,
    [answer, with_header(answer, content_encoding="gzip")],
)


@scenario(server=COMPRESSES, client=ASKS_FOR_COMPRESSED, differs=[_PREFERS])
def test_compression(io: Server, log: Log) -> None:
    compresses(io, log)


@scenario(server=COMPRESSES, client=ASKS_FOR_COMPRESSED, options={"http_compression": False})
def test_no_compression(io: Server, log: Log) -> None:
    compresses(io, log)


@scenario(
    server=COMPRESSES,
    client=ASKS_FOR_COMPRESSED,
    options={"http_compression": {"threshold": 50}},
    differs=[_PREFERS],
)
def test_compression_above_another_threshold(io: Server, log: Log) -> None:
    compresses(io, log)


COOKIES = """
const a = await polling();
await a.enter();
const b = await ws();
await b.next();
await http("?EIO=4&transport=tobi");
"""


@scenario(server="", client=COOKIES, options={"cookie": True})
def test_a_cookie(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=COOKIES,
    options={
        "cookie": {
            "name": "session",
            "path": "/chat",
            "domain": "example.com",
            "max_age": 60,
            "secure": True,
            "http_only": False,
            "same_site": "strict",
        }
    },
)
def test_a_cookie_with_everything(io: Server, log: Log) -> None: ...


@scenario(
    server="",
    client=COOKIES,
    options={
        "cookie": {
            "name": "io",
            "path": False,
            "same_site": "none",
            "secure": True,
            "partitioned": True,
        }
    },
)
def test_a_cookie_without_a_path(io: Server, log: Log) -> None: ...
