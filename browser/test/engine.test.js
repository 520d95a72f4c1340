import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { memory } from "../src/engine/memory.ts";
import { fakePage, pipe, record, settled } from "./pipe.js";

/** An engine over a pipe, which the test's server has accepted. */
function open(handshake, options) {
  const Pipe = pipe();
  const engine = new Engine("http://a.test", { transports: [Pipe], ...options });
  Pipe.last.accept(handshake);
  return { engine, line: Pipe.last, Pipe };
}

/** An engine that is about to move from the transport "slow" to the transport "quick". */
function upgrading(options) {
  const [Slow, Quick] = [pipe("slow"), pipe("quick")];
  const engine = new Engine("http://a.test", { transports: [Slow, Quick], ...options });
  Slow.last.accept({ upgrades: ["unknown", "quick"] });
  Quick.last.onOpen();
  return { engine, slow: Slow.last, quick: Quick.last, Quick };
}

test("a session opens with the server's handshake", () => {
  const Pipe = pipe();
  const engine = new Engine("https://user@[::1]:81/ignored?a=b", {
    transports: [Pipe],
    query: { ignored: 1 },
    path: "/there",
    transportOptions: { pipe: { extraHeaders: { x: "y" }, query: { own: 1 } } },
  });
  const seen = record(engine, "handshake", "open", "packet");
  assert.equal(engine.readyState, "opening");
  Pipe.last.accept({ sid: "abc" });
  assert.deepEqual([engine.readyState, engine.id], ["open", "abc"]);
  assert.deepEqual(seen.map(([event]) => event), ["packet", "handshake", "open"]);
  const { opts, query } = Pipe.last;
  assert.deepEqual([opts.hostname, opts.port, opts.secure, opts.path], ["::1", "81", true, "/there/"]);
  assert.deepEqual(opts.extraHeaders, { x: "y" });
  assert.deepEqual(query, { a: "b", own: 1, EIO: 4, transport: "pipe", sid: "abc" });
  engine.close();
});

test("what is sent before is sent then, in order, and told once it is handed over", () => {
  const Pipe = pipe();
  const engine = new Engine("http://a.test", { transports: [Pipe] });
  const told = [];
  engine.send("a", null, () => told.push("a")).write("b", { compress: false });
  assert.deepEqual(Pipe.last.sent, []);
  Pipe.last.accept();
  assert.deepEqual(Pipe.last.sent, [[["message", "a"], ["message", "b"]]]);
  assert.deepEqual(told, ["a"]);
  engine.close();
});

test("while the transport is busy, messages wait, and go together", () => {
  const { engine, line } = open();
  line.fast = false;
  for (const data of ["a", "b", "c"]) engine.send(data);
  assert.deepEqual(line.sent, [[["message", "a"]]]);
  assert.equal(engine.writeBuffer.length, 3);
  line.drain();
  assert.deepEqual(line.sent[1], [["message", "b"], ["message", "c"]]);
  line.drain();
  assert.equal(engine.writeBuffer.length, 0);
  engine.close();
});

test("a request of polling is no larger than the server allows", () => {
  const Polling = pipe("polling");
  const engine = new Engine("http://a.test", { transports: [Polling] });
  for (const data of ["é".repeat(40), "b".repeat(17), "c", new Uint8Array(90), "d"]) engine.send(data);
  Polling.last.accept({ maxPayload: 100 });
  // The first two are 100 bytes with their digits and the separator; the bytes alone are too many.
  assert.deepEqual(Polling.last.sent.map((packets) => packets.length), [2, 1, 1, 1]);
  engine.close();
});

test("a ping is answered, and told", () => {
  const { engine, line } = open();
  const seen = record(engine, "ping", "heartbeat");
  line.receive("ping");
  assert.deepEqual(line.take(), [["pong"]]);
  assert.deepEqual(seen, [["heartbeat"], ["ping"]]);
  engine.close();
});

test("a server that is silent for too long is gone", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const { engine, line } = open({ pingInterval: 1000, pingTimeout: 500 });
  const seen = record(engine, "close");
  t.mock.timers.tick(1499);
  line.receive("ping");
  t.mock.timers.tick(1499);
  // Messages are no sign of life of the heartbeat.
  line.say("x");
  assert.deepEqual(seen, []);
  t.mock.timers.tick(1);
  assert.deepEqual(seen, [["close", "ping timeout", undefined]]);
  assert.ok(line.finished);
});

test("time-outs that are kept past a test's are kept past it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { engine } = open({}, { useNativeTimers: true });
  const seen = record(engine, "close");
  t.mock.timers.tick(100_000);
  assert.deepEqual(seen, []);
  engine.close();
});

for (const event of ["resume", "pageshow", "visibilitychange", "online"]) {
  test(`after ${event} a heartbeat that was missed in sleep is missed at once`, async (t) => {
    const page = fakePage();
    const { engine } = open();
    const seen = record(engine, "close");
    page.tell(event);
    await settled();
    assert.deepEqual(seen, []);
    const now = Date.now();
    t.mock.method(Date, "now", () => now + 2000);
    page.tell(event);
    await settled();
    assert.deepEqual(seen, [["close", "ping timeout", undefined]]);
    page.leave();
  });
}

test("a page that goes offline has lost its connection", () => {
  const page = fakePage();
  const { engine } = open();
  const seen = record(engine, "close");
  page.tell("offline");
  page.tell("offline");
  assert.deepEqual(seen, [["close", "transport close", { description: "network connection lost" }]]);
  page.leave();
});

test("a page that is left closes silently, if it is told to", () => {
  const page = fakePage();
  const { engine, line } = open({}, { closeOnBeforeunload: true });
  const seen = record(engine, "close");
  const other = open();
  page.tell("beforeunload");
  assert.ok(line.finished);
  assert.equal(other.line.finished, false);
  assert.deepEqual(seen, []);
  engine.close();
  other.engine.close();
  page.leave();
});

test("it closes once what is buffered has been sent, and takes nothing more", () => {
  const { engine, line } = open();
  const seen = record(engine, "close");
  line.fast = false;
  engine.send("a").send("b").close().send("c");
  assert.deepEqual(seen, []);
  line.drain();
  line.drain();
  assert.deepEqual(seen, [["close", "forced close", undefined]]);
  assert.deepEqual(line.take(), [["message", "a"], ["message", "b"]]);
  assert.equal(engine.id, null);
});

test("what a transport or the server does wrong ends the session", () => {
  const cases = [
    [(line) => line.fail("broken"), "transport error", "broken"],
    [(line) => line.receive("error", "parser error"), "transport error", "server error"],
    [(line) => line.receive("open", "{"), "transport error", "server error"],
    [(line) => line.end(), "transport close", undefined],
  ];
  for (const [doWrong, reason, message] of cases) {
    const { engine, line } = open();
    const errors = record(engine, "error");
    const seen = record(engine, "close");
    engine.on("close", () => assert.equal(engine.writeBuffer.length, 1));
    line.fast = false;
    engine.send("unsent");
    doWrong(line);
    line.fail("again");
    assert.equal(seen.length, 1);
    assert.equal(seen[0][1], reason);
    assert.equal(errors[0]?.[1].message, message);
    assert.equal(engine.writeBuffer.length, 0);
  }
});

test("it moves to a better transport with nothing sent meanwhile, and nothing lost", () => {
  const { engine, slow, quick } = upgrading();
  const seen = record(engine, "upgrading", "upgrade");
  assert.deepEqual(quick.take(), [["ping", "probe"]]);
  slow.fast = false;
  engine.send("a");
  quick.receive("pong", "probe");
  engine.send("b");
  slow.say("last");
  assert.deepEqual(seen, [["upgrading", quick]]);
  assert.equal(engine.transport, slow);
  slow.drain();
  assert.deepEqual(seen[1], ["upgrade", quick]);
  assert.equal(engine.transport, quick);
  assert.deepEqual(slow.take(), [["message", "a"]]);
  assert.deepEqual(quick.take(), [["upgrade"], ["message", "b"]]);
  engine.close();
});

test("a transport that fails the probe is left, and the session goes on", () => {
  const cases = [
    [(quick) => quick.receive("pong", "other"), "probe error"],
    [(quick) => quick.say("x"), "probe error"],
    [(quick) => quick.fail("broken"), "probe error: broken"],
    [(quick) => quick.end(), "probe error: transport closed"],
  ];
  for (const [fail, message] of cases) {
    const { engine, slow, quick } = upgrading();
    const seen = record(engine, "upgradeError");
    fail(quick);
    engine.send("on");
    assert.equal(seen[0][1].message, message);
    assert.equal(seen[0][1].transport, "quick");
    assert.deepEqual(slow.take(), [["message", "on"]]);
    engine.close();
  }
});

test("a transport that breaks while the old one comes to rest is left, too", () => {
  const { engine, slow, quick } = upgrading();
  slow.fast = false;
  let resumed = false;
  slow.resume = () => (resumed = true);
  engine.send("a");
  quick.receive("pong", "probe");
  engine.send("b");
  quick.end();
  slow.drain();
  assert.ok(resumed);
  assert.equal(engine.transport, slow);
  assert.deepEqual(slow.take(), [["message", "a"], ["message", "b"]]);
  engine.close();
});

test("closing waits for a move that is under way", () => {
  for (const ends of [true, false]) {
    const { engine, slow, quick } = upgrading();
    const seen = record(engine, "upgrade", "upgradeError", "close");
    slow.fast = false;
    engine.send("a");
    quick.receive("pong", "probe");
    engine.close();
    assert.deepEqual(seen, []);
    if (ends) slow.drain();
    else quick.fail("broken");
    if (!ends) slow.drain();
    assert.deepEqual(seen.at(-1), ["close", "forced close", undefined]);
    assert.equal(engine.readyState, "closed");
  }
});

test("a session that ends takes its probe with it", () => {
  const { engine, quick } = upgrading();
  engine.close();
  assert.ok(quick.finished);
});

test("upgrades can be declined", () => {
  const { Quick } = (() => {
    const [Slow, Quick] = [pipe("slow"), pipe("quick")];
    const engine = new Engine("http://a.test", { transports: [Slow, Quick], upgrade: false });
    Slow.last.accept({ upgrades: ["quick"] });
    engine.close();
    return { Quick };
  })();
  assert.equal(Quick.made.length, 0);
});

test("the next transport is tried if the first cannot connect, if that is wanted", () => {
  for (const tryAllTransports of [true, false]) {
    const [First, Second] = [pipe("first"), pipe("second")];
    const transports = [First, Second];
    const engine = new Engine("http://a.test", { transports, tryAllTransports });
    const seen = record(engine, "error");
    First.last.fail("broken");
    assert.equal(Second.made.length, tryAllTransports ? 1 : 0);
    assert.equal(seen.length, tryAllTransports ? 0 : 1);
    assert.deepEqual(transports, [First, Second]);
    engine.close();
  }
});

test("names of transports that there are not are left out", async () => {
  const engine = new Engine("http://a.test", { transports: ["constructor", "__proto__", "telepathy"] });
  const seen = record(engine, "error");
  await new Promise((resolve) => engine.once("error", resolve));
  assert.deepEqual(seen, [["error", "No transports available"]]);
});

test("it begins with WebSocket where that has worked before, if it shall remember", () => {
  memory.websocket = true;
  for (const rememberUpgrade of [true, false]) {
    const [Slow, Web] = [pipe("slow"), pipe("websocket")];
    const options = { transports: [Slow, Web], rememberUpgrade };
    const engine = new Engine("http://a.test", options);
    assert.equal(engine.transport.name, rememberUpgrade ? "websocket" : "slow");
    engine.close();
  }
});
