"""MessagePack that is right and wrong, made by hand."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.harness import Differs, Log
from tests.interop.differential.packed import WATCHES, watches, with_parsers

# Sends each of some messages, packets or bytes, on a connection of its own that it ends.
FATAL = """
const fatal = async (...messages) => {
  for (const message of messages) {
    const a = await ws("", { parser: msgpack });
    await a.enter();
    a.send(message);
    await a.until("close");
    await server.until("closed");
  }
};
"""

# Sends each of some messages and waits what becomes of it.
TRIES = """
const tries = async (...messages) => {
  for (const message of messages) {
    const a = await ws("", { parser: msgpack });
    await a.enter();
    a.send(message);
    await server.until("event", "error");
    a.close();
    await a.until("close");
    await server.until("closed");
  }
};
// The beginning of an event: what follows is the last entry's value.
const event = (...bytes) => Buffer.from([
  0x83, ...[0xa4, ...Buffer.from("type")], 2, ...[0xa3, ...Buffer.from("nsp")], 0xa1, 0x2f,
  ...[0xa4, ...Buffer.from("data")], ...bytes,
]);
const named = (...bytes) => event(0x92, 0xa1, 0x78, ...bytes);
"""


@with_parsers(
    server=WATCHES,
    client=FATAL
    + """
    const of = (type) => encoded({ type, nsp: "/", data: ["x"] });
    await fatal(...[5, 6, -1, 1.5, "2", null, undefined, true, [2], NaN, 2 ** 32].map(of));
    await fatal(encoded({ nsp: "/", data: ["x"] }));
    """,
)
def test_types_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client=FATAL
    + """
    const none = [{}, "x", 1, true, undefined, { 0: "x", length: 1 }, Buffer.from("x"), NaN];
    await fatal(...none.map((data) => encoded({ type: 2, nsp: "/", data })));
    await fatal(encoded({ type: 2, nsp: "/" }), encoded({ type: 2, nsp: "/", data: null }));
    await fatal(...["x", {}, null].map((data) => encoded({ type: 3, nsp: "/", id: 1, data })));
    await fatal(...["x", 1, []].map((data) => encoded({ type: 0, nsp: "/x", data })));
    await fatal(...["x", {}, [], 1].map((data) => encoded({ type: 1, nsp: "/", data })));
    await fatal(...["x", {}].map((data) => encoded({ type: 4, nsp: "/", data })));
    """,
)
def test_payloads_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client=FATAL
    + """
    for (const nsp of [1, null, undefined, [], {}, true, Buffer.from("/")]) {
      await fatal(encoded({ type: 2, nsp, data: ["x"] }));
    }
    await fatal(encoded({ type: 2, data: ["x"] }), encoded({ type: 2, nsp: "/other", data: ["x"] }));
    for (const id of ["1", 1.5, true, [], {}, NaN]) {
      await fatal(encoded({ type: 2, nsp: "/", id, data: ["x"] }));
    }
    """,
)
def test_namespaces_and_ids_that_are_none(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client=FATAL
    + """
    const whole = encoded({ type: 2, nsp: "/", data: ["x", "yyy"] });
    await fatal(
      Buffer.alloc(0), Buffer.from([0xc1]), Buffer.from([0]), Buffer.from("garbage"),
      Buffer.alloc(100, 0xff), encoded([]), encoded({}), encoded("x"), encoded(null), encoded([2, "/"]),
      Buffer.concat([whole, Buffer.from([0])]), Buffer.concat([whole, whole]),
      whole.subarray(0, 1), whole.subarray(0, 10), whole.subarray(0, -1), whole.subarray(1),
      Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0xd7, 0]), Buffer.from([0xcb, 1]),
      Buffer.alloc(20000, 0x91),
    );
    // What is no MessagePack at all.
    await fatal('42["x"]', "4", "40", "4x");
    """,
)
def test_bytes_that_are_no_packets(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client=TRIES
    + """
    await tries(
      // Integers, text, bytes and arrays in forms that are longer than they need to be.
      named(0xcc, 1), named(0xcd, 0, 1), named(0xce, 0, 0, 0, 1), named(0xcf, 0, 0, 0, 0, 0, 0, 0, 1),
      named(0xd0, 0xff), named(0xd1, 0xff, 0xff), named(0xd2, 255, 255, 255, 255),
      named(0xd3, ...Array(8).fill(255)), named(0xd9, 1, 0x79), named(0xda, 0, 1, 0x79),
      named(0xdb, 0, 0, 0, 1, 0x79), named(0xc5, 0, 1, 9), named(0xc6, 0, 0, 0, 1, 9),
      named(0xdc, 0, 1, 5), named(0xdd, 0, 0, 0, 1, 5), named(0xde, 0, 1, 0xa1, 0x61, 1),
      named(0xdf, 0, 0, 0, 1, 0xa1, 0x61, 1), named(0xca, 0x3f, 0xc0, 0, 0), named(0xca, 0, 0, 0, 0),
      named(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0), named(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0),
      named(0xcf, ...Array(8).fill(255)), named(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0),
      // Bytes as extensions, empty and not; a name that is a number; the same key twice.
      named(0xc7, 0, 0), named(0xc7, 1, 0, 7), named(0xc8, 0, 1, 0, 7), named(0xc9, 0, 0, 0, 1, 0, 7),
      event(0x91, 5), event(0x91, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0),
      named(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2),
      // What nobody asked for, and in another order.
      encoded({ type: 2, nsp: "/", data: ["more"], more: 1, options: { compress: true } }),
      encoded({ data: ["order"], nsp: "/", type: 2 }),
    );
    """,
)
def test_bytes_that_are_read(io: Server, log: Log) -> None:
    watches(io, log)


# Events as the reference reads them. Ours refuses all but the one that it reads in another way.
LENIENT: list[tuple[str, list[object]]] = [
    # Extensions that nobody has defined.
    ("named(0xd4, 5, 1)", ["x", [5, {"$bytes": "AQ=="}]]),
    ("named(0xd5, 0, 1, 2)", ["x", [0, {"$bytes": "AQI="}]]),
    ("named(0xc7, 1, 5, 1)", ["x", [5, {"$bytes": "AQ=="}]]),
    # Keys that are no text.
    ("named(0x81, 1, 2)", ["x", {"1": 2}]),
    ("named(0x81, 0xc0, 2)", ["x", {"null": 2}]),
    ("named(0x81, 0x90, 2)", ["x", {"": 2}]),
    # Text that is not UTF-8, and a date beyond Python's.
    ("named(0xa2, 0xff, 0xff)", ["x", "\ufffd\ufffd"]),
    ("named(0xd7, 0, 0x00, 0x1e, 0x84, 0x80, 0, 0, 0, 0)", ["x", {"$date": 8589934592000000}]),
    # A type and an id of floating-point.
    ("floating", ["x"]),
    # Names that are reserved, or none.
    ("of('connect')", ["connect"]),
    ("of('newListener')", ["newListener"]),
    ("of({})", [{}]),
    ("of([])", [[]]),
    ("of(null)", [None]),
    ("of(true)", [True]),
]


def _ended(id: int, reason: str) -> list[list[object]]:
    """What is told of a socket that ends, the id-th of the transcript."""
    return [
        ["disconnecting", reason, {"$set": [f"<{id}>"]}],
        ["disconnect", reason, {"$set": []}],
        ["closed", reason],
    ]


@with_parsers(
    server=WATCHES,
    client=TRIES
    + """
    const of = (name) => encoded({ type: 2, nsp: "/", data: [name] });
    const floating = Buffer.concat([
      encoded({ nsp: "/", data: ["x"], type: 0 }).subarray(0, -1),
      Buffer.from([0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    """
    + f"await tries({', '.join(packet for packet, _ in LENIENT)});",
    differs=[
        Differs(
            "strict about what no client sends",
            "server",
            [["event", *event], *_ended(2 * at + 2, "transport close")],
            [["error"], *_ended(2 * at + 2, "forced close")],
        )
        for at, (_, event) in enumerate(LENIENT)
    ],
)
def test_what_is_refused(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server="""
    io.on("connection", (socket) => {
      socket.on("disconnect", (reason) => log("disconnect", reason, socket.connected));
    });
    """,
    client="""
    const a = await ws("", { parser: msgpack });
    await a.enter();
    a.send(encoded({ type: 2, nsp: "/", data: ["disconnect", "a lie"] }));
    await server.until("disconnect");
    a.close();
    await a.until("close");
    await server.sessions(0);
    """,
    differs=[
        Differs(
            "only the server says that somebody has gone",
            "server",
            [["disconnect", "a lie", True]],
            [["disconnect", "forced close", False]],
            at=0,
        ),
        Differs("once", "server", [["disconnect", "transport close", False]], []),
    ],
)
def test_a_client_does_not_fake_its_end(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: log("disconnect", reason, socket.connected))


@with_parsers(
    server=WATCHES,
    client=TRIES + "await tries(named(0xd6, 0xff, 0, 0, 0, 1));",
    differs=[
        Differs(
            "a time as MessagePack itself writes it is one",
            "server",
            [["event", "x", [-1, {"$bytes": "AAAAAQ=="}]]],
            [["event", "x", {"$date": 1000}]],
        )
    ],
)
def test_the_other_form_of_a_time(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client="""
    const a = await polling("", { parser: msgpack });
    await a.enter();
    const event = (...data) => ({ type: 2, nsp: "/", data });
    await a.postPacked(event("one", Buffer.from("1")), event("two", new Date(12)));
    await server.until("event");
    await server.until("event");
    await a.postPacked(event("three"), Buffer.from([0xc1]), event("four"));
    await a.get();
    await server.until("closed");
    const b = await polling("", { parser: msgpack });
    await b.enter();
    const poll = await b.hold();
    await b.post('42["text"]');
    await poll();
    await server.until("closed");
    const c = await polling("", { parser: msgpack });
    await c.enter();
    await c.postPacked({ type: 1, nsp: "/" });
    await server.until("disconnect");
    """,
    differs=[
        Differs(
            "what comes before garbage is handled before it",
            "server",
            [["error"], ["event", "three"]],
            [["event", "three"], ["error"]],
        )
    ],
)
def test_over_polling(io: Server, log: Log) -> None:
    watches(io, log)


@with_parsers(
    server=WATCHES,
    client="""
    // Before it has joined, and twice.
    for (const packet of [{ type: 2, nsp: "/", data: ["x"] }, { type: 1, nsp: "/" }]) {
      const a = await ws("", { parser: msgpack });
      await a.next();
      a.send(encoded(packet));
      await a.until("close");
      await server.until("closed");
    }
    const b = await ws("", { parser: msgpack });
    await b.enter();
    b.send(encoded({ type: 0, nsp: "/" }));
    await b.until("close");
    await server.until("closed");
    // Somebody without the parser.
    const c = await ws();
    await c.next();
    c.send("40");
    await c.until("close");
    await server.until("closed");
    """,
)
def test_packets_in_the_wrong_state(io: Server, log: Log) -> None:
    watches(io, log)
