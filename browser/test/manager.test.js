import assert from "node:assert/strict";
import { test } from "node:test";

import { io } from "../src/io.ts";
import { Manager } from "../src/manager.ts";
import { fakePage, pipe, record, settled } from "./pipe.js";

const MANAGER = ["open", "close", "error", "reconnect_attempt", "reconnect_error", "reconnect", "reconnect_failed"];

/** A socket over a pipe; `line()` is the pipe that it uses at present. */
function client(options, nsp = "/") {
  const Pipe = pipe();
  const manager = new Manager("http://a.test", { transports: [Pipe], reconnectionDelay: 1, ...options });
  const socket = manager.socket(nsp, options);
  const line = () => Pipe.last;
  return { manager, socket, line, Pipe };
}

/** The same, and the server has let it in. */
function connected(options) {
  const parts = client(options);
  parts.line().accept();
  parts.line().say('0{"sid":"s"}');
  parts.line().take();
  return parts;
}

/** What is sent on a pipe from now on: the data of messages. */
const messages = (line) => line.take().map(([, data]) => data);

/** Until the Manager has begun another attempt. */
const attempt = (manager) => new Promise((resolve) => manager.once("reconnect_attempt", () => setImmediate(resolve)));

test("a namespace is entered with what is said of the client", () => {
  const { manager, socket, line } = client({ auth: { token: 1 } }, "/chat");
  const seen = record(socket, "connect", "disconnect");
  line().accept();
  assert.deepEqual(messages(line()), ['0/chat,{"token":1}']);
  assert.deepEqual([socket.connected, socket.active, socket.id], [false, true, undefined]);
  line().say('0/chat,{"sid":"s"}');
  line().say('2/other,["e"]');
  assert.deepEqual([socket.connected, socket.disconnected, socket.id], [true, false, "s"]);
  socket.disconnect();
  assert.deepEqual(messages(line()), ["1/chat,"]);
  assert.deepEqual(seen, [["connect"], ["disconnect", "io client disconnect", undefined]]);
  assert.deepEqual([socket.connected, socket.active, socket.id], [false, false, undefined]);
  assert.equal(manager.engine.readyState, "closed");
});

test("a function that says it is asked each time, and may take its time", async () => {
  const gives = [];
  const { manager, socket, line } = client({ auth: (give) => gives.push(give) });
  line().accept();
  const again = attempt(manager);
  line().end();
  await again;
  line().accept();
  // The first connection has gone; what was to be said there is not said here.
  gives[0]({ n: 0 });
  gives[1]({ n: 1 });
  assert.deepEqual(messages(line()), ['0{"n":1}']);
  socket.disconnect();
});

test("what is emitted before is sent before connect is told, and so is what has come", () => {
  const { socket, line } = client();
  const seen = record(socket, "early", "connect");
  socket.onAnyOutgoing((event) => seen.push(["out", event]));
  socket.emit("a");
  socket.emit("b", 1, () => {});
  socket.volatile.emit("dropped");
  line().accept();
  line().say('2["early",7]');
  assert.deepEqual(seen, []);
  socket.on("connect", () => socket.emit("c"));
  line().say('0{"sid":"s"}');
  assert.deepEqual(seen, [["early", 7], ["out", "a"], ["out", "b"], ["connect"], ["out", "c"]]);
  assert.deepEqual(messages(line()), ["0", '2["a"]', '20["b",1]', '2["c"]']);
  socket.disconnect();
});

test("a listener that disconnects is the last that hears", () => {
  const { socket, line } = client();
  const seen = record(socket, "connect", "second");
  socket.on("first", () => socket.disconnect());
  socket.emit("kept");
  line().accept();
  line().say('2["first"]');
  line().say('2["second"]');
  line().say('0{"sid":"s"}');
  assert.deepEqual(seen, []);
  assert.deepEqual(messages(line()), ["0", "1"]);
  assert.equal(socket.sendBuffer.length, 1);
});

test("events are answered once, and acknowledgements are taken", async () => {
  const { socket, line } = connected();
  socket.on("ask", (value, answer) => {
    answer(value + 1, "x");
    answer("again");
  });
  line().say('27["ask",1]');
  assert.deepEqual(messages(line()), ['37[2,"x"]']);
  const answer = socket.emitWithAck("question", 1);
  const timed = new Promise((resolve) => socket.timeout(10_000).emit("other", (...all) => resolve(all)));
  line().say('30["yes"]');
  line().say('31["a","b"]');
  line().say('399["nobody asked"]');
  assert.equal(await answer, "yes");
  assert.deepEqual(await timed, [null, "a", "b"]);
  socket.disconnect();
});

test("an answer is not sent on another connection than the question came by", async () => {
  const { manager, socket, line } = connected();
  let late;
  socket.on("ask", (answer) => (late = answer));
  line().say('20["ask"]');
  const again = attempt(manager);
  line().end();
  await again;
  line().accept();
  line().say('0{"sid":"t"}');
  line().take();
  late("old");
  assert.deepEqual(messages(line()), []);
  socket.disconnect();
});

test("an acknowledgement that does not come in time is an error, and is not asked for any more", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { socket } = client({ ackTimeout: 50 });
  const seen = [];
  socket.emit("a", (...all) => seen.push(all));
  assert.equal(socket.sendBuffer.length, 1);
  t.mock.timers.tick(50);
  assert.match(seen[0][0].message, /timed out/);
  assert.equal(socket.sendBuffer.length, 0);
  socket.disconnect();
});

test("names with a meaning of their own are not emitted", () => {
  const { socket } = client();
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
    assert.throws(() => socket.emit(name), { message: `"${name}" is a reserved event name` });
  }
  socket.emit("connection").disconnect();
});

test("listeners of all events hear in order, with the function that answers", () => {
  const { socket, line } = connected();
  const heard = [];
  const removed = () => assert.fail("was removed");
  socket.onAny((...all) => heard.push(["second", all.length]));
  socket.prependAny((event, ...rest) => heard.push(["first", event, typeof rest.at(-1)]));
  socket.onAny(removed).offAny(removed);
  socket.on("e", () => heard.push(["own"]));
  line().say('20["e",1]');
  assert.deepEqual(heard, [["first", "e", "function"], ["second", 3], ["own"]]);
  assert.equal(socket.listenersAny().length, 2);
  assert.equal(socket.offAny().listenersAny().length, 0);
  socket.prependAnyOutgoing(removed).offAnyOutgoing();
  assert.equal(socket.listenersAnyOutgoing().length, 0);
  socket.emit("x").disconnect();
});

test("an event may be sent uncompressed", () => {
  const { manager, socket } = connected();
  const packets = record(manager.engine, "packetCreate");
  socket.compress(false).emit("a").emit("b");
  assert.deepEqual(packets.map(([, packet]) => packet.options.compress), [false, true]);
  socket.disconnect();
});

test("a connection that is lost is made again, and told in order", async () => {
  const { manager, socket, line } = client({ autoConnect: false });
  const seen = record(manager, ...MANAGER);
  socket.connect();
  line().accept();
  line().say('0{"sid":"s"}');
  seen.length = 0;
  for (const event of ["connect", "disconnect", "connect_error"]) {
    socket.on(event, (first) => seen.push([event, first?.message ?? first]));
  }
  let again = attempt(manager);
  line().end();
  socket.emit("kept");
  await again;
  again = attempt(manager);
  line().fail("broken");
  await again;
  line().accept();
  line().say('0{"sid":"t"}');
  assert.deepEqual(
    seen.map(([event, first]) => [event, first?.message ?? first]),
    [
      ["close", "transport close"],
      ["disconnect", "transport close"],
      ["reconnect_attempt", 1],
      ["error", "broken"],
      ["connect_error", "broken"],
      ["reconnect_error", "broken"],
      ["reconnect_attempt", 2],
      ["open", undefined],
      ["reconnect", 2],
      ["connect", undefined],
    ],
  );
  assert.deepEqual(messages(line()), ["0", '2["kept"]']);
  socket.disconnect();
});

test("attempts end at their number, and can be begun again", async () => {
  const { manager, socket, line, Pipe } = client({ reconnectionAttempts: 1 });
  const seen = record(manager, "reconnect_failed", "reconnect_error");
  const again = attempt(manager);
  line().fail("broken");
  await again;
  line().fail("broken");
  assert.deepEqual(seen.map(([event]) => event), ["reconnect_failed", "reconnect_error"]);
  assert.ok(socket.active);
  socket.connect();
  assert.equal(Pipe.made.length, 3);
  socket.disconnect();
});

test("a connection that ends before it was open is a failed attempt", () => {
  const page = fakePage();
  const { manager, socket, line, Pipe } = client({ reconnectionDelay: 60_000 });
  const seen = record(manager, "error");
  const told = record(socket, "connect_error", "disconnect");
  line().end();
  page.tell("online");
  page.tell("offline");
  page.tell("online");
  assert.equal(Pipe.made.length, 3);
  assert.deepEqual(seen.map(([, error]) => error.message), ["transport close", "transport close"]);
  assert.deepEqual(told.map(([event]) => event), ["connect_error", "connect_error"]);
  line().fail("broken");
  assert.equal(seen.length, 3);
  socket.disconnect();
  page.leave();
});

test("an attempt has its time", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { manager, line } = client({ timeout: 100, reconnection: false });
  const seen = record(manager, "error");
  t.mock.timers.tick(100);
  assert.equal(seen[0][1].message, "timeout");
  assert.ok(line().finished);
});

test("the network is back, or the page awake and late: no more waiting", async (t) => {
  const page = fakePage();
  const { manager, socket, line, Pipe } = connected({ reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 });
  line().end();
  page.tell("visibilitychange");
  assert.equal(Pipe.made.length, 1);
  page.tell("online");
  assert.equal(Pipe.made.length, 2);
  line().fail("broken");
  const now = Date.now();
  t.mock.method(Date, "now", () => now + 100_000);
  page.tell("resume");
  page.tell("resume");
  assert.equal(Pipe.made.length, 3);
  line().fail("broken");
  manager.reconnection(false);
  page.tell("online");
  assert.equal(Pipe.made.length, 3);
  socket.disconnect();
  page.leave();
});

test("who disconnects stops waiting", async () => {
  const page = fakePage();
  const { socket, line, Pipe } = connected({ reconnectionDelay: 60_000 });
  line().end();
  socket.disconnect();
  page.tell("online");
  assert.equal(Pipe.made.length, 1);
  page.leave();
});

test("the server's word is final: no reconnection after it has ended or refused", () => {
  const ends = [
    ["1", "disconnect", "io server disconnect"],
    ['4{"message":"no","data":{"a":1}}', "connect_error", "no"],
  ];
  for (const [packet, event, text] of ends) {
    const { manager, socket, line } = client();
    const seen = record(socket, event);
    const attempts = record(manager, "reconnect_attempt");
    line().accept();
    if (event === "disconnect") line().say('0{"sid":"s"}');
    line().say(packet);
    const [[, told]] = seen;
    assert.equal(told.message ?? told, text);
    if (event === "connect_error") assert.deepEqual(told.data, { a: 1 });
    assert.equal(socket.active, false);
    assert.equal(manager.engine.readyState, "closed");
    assert.deepEqual(attempts, []);
  }
});

test("a server of another time is told as such", () => {
  const { socket, line } = client();
  const seen = record(socket, "connect_error");
  line().accept();
  line().say("0");
  assert.match(seen[0][1].message, /Socket\.IO 2/);
  socket.disconnect();
});

test("garbage ends the connection, which is made again; half a packet does not go on there", async () => {
  const { manager, socket, line } = connected();
  const seen = record(socket, "disconnect", "e");
  line().say('51-["e",{"_placeholder":true,"num":0}]');
  const again = attempt(manager);
  line().say("garbage");
  await again;
  line().accept();
  line().say('0{"sid":"t"}');
  line().say('2["e",1]');
  assert.equal(seen[0][1], "parse error");
  assert.deepEqual(seen[1], ["e", 1]);
  socket.disconnect();
});

test("what a listener throws is told as an exception, and everything goes on", (t) => {
  const { socket, line } = connected();
  const seen = record(socket, "e", "disconnect");
  socket.on("bad", () => {
    throw new Error("of a listener");
  });
  const later = [];
  t.mock.method(globalThis, "queueMicrotask", (task) => later.push(task));
  line().say('2["bad"]');
  line().say('2["e"]');
  assert.deepEqual(seen, [["e"]]);
  assert.equal(later.length, 1);
  assert.throws(later[0], { message: "of a listener" });
  socket.disconnect();
});

test("a session is brought back by what the server told of it", async () => {
  const { manager, socket, line } = client({ auth: { token: 1 } });
  line().accept();
  line().say('0{"sid":"s","pid":"p"}');
  assert.equal(socket.recovered, false);
  line().say('2["e",1,"offset1"]');
  line().say('2["e",1]');
  line().take();
  const again = attempt(manager);
  line().end();
  await again;
  line().accept();
  assert.deepEqual(messages(line()), ['0{"pid":"p","offset":"offset1","token":1}']);
  const seen = record(socket, "missed");
  line().say('2["missed","offset2"]');
  line().say('0{"sid":"s","pid":"p"}');
  assert.deepEqual([socket.recovered, socket.id, seen.length], [true, "s", 1]);
  socket.disconnect();
});

test("what came before the namespace was entered is forgotten with its connection", async () => {
  const { manager, socket, line } = client();
  const seen = record(socket, "missed");
  line().accept();
  line().say('2["missed",1]');
  const again = attempt(manager);
  line().end();
  await again;
  line().accept();
  line().say('2["missed",1]');
  line().say('0{"sid":"s"}');
  assert.deepEqual(seen, [["missed", 1]]);
  socket.disconnect();
});

test("retries: one event at a time, again after a loss, before connect is told", async () => {
  const { manager, socket, line } = connected({ retries: 1 });
  const done = [];
  socket.emit("a", (...all) => done.push(all));
  socket.emit("b");
  assert.deepEqual(messages(line()), ['20["a"]']);
  const again = attempt(manager);
  line().end();
  await again;
  line().accept();
  line().take();
  socket.once("connect", () => done.push("connected"));
  line().say('0{"sid":"t"}');
  assert.deepEqual(messages(line()), ['21["a"]']);
  line().say('31["yes"]');
  assert.deepEqual(messages(line()), ['22["b"]']);
  assert.deepEqual(done, ["connected", [null, "yes"]]);
  socket.disconnect();
});

test("namespaces share a connection, which ends with the last of them", () => {
  const { manager, socket, line } = connected();
  const chat = manager.socket("/chat");
  line().say('0/chat,{"sid":"c"}');
  assert.equal(manager.socket("/chat"), chat);
  socket.disconnect();
  assert.equal(manager.engine.readyState, "open");
  chat.disconnect();
  assert.equal(manager.engine.readyState, "closed");
  assert.ok(manager.socket("/chat").active);
  chat.disconnect();
});

test("io() shares what can be shared", () => {
  const options = { autoConnect: false };
  const first = io("http://share.test/a", options);
  const others = {
    same: io("http://share.test:80/b?x=1", options),
    twice: io("http://share.test/a", options),
    path: io("http://share.test/c", { ...options, path: "/other" }),
    forced: io("http://share.test/d", { ...options, forceNew: true }),
    alone: io("http://share.test/e", { ...options, multiplex: false }),
    host: io("http://other.test/a", options),
  };
  const shared = Object.keys(others).filter((name) => others[name].io === first.io);
  assert.deepEqual(shared, ["same"]);
  assert.equal(others.same.nsp, "/b");
});

test("options can be looked at and changed on the way", () => {
  const manager = new Manager("http://a.test", { autoConnect: false, randomizationFactor: 0, timeout: false });
  const defaults = [
    ["reconnection", true, false],
    ["reconnectionAttempts", Infinity, 3],
    ["reconnectionDelay", 1000, 7],
    ["reconnectionDelayMax", 5000, 8],
    ["randomizationFactor", 0, 0.1],
    ["timeout", false, 9],
  ];
  for (const [name, before, after] of defaults) {
    assert.equal(manager[name](), before);
    assert.equal(manager[name](after), manager);
    assert.equal(manager[name](), after);
  }
});

test("another parser may be used", () => {
  class Encoder {
    encode = (packet) => [`<${packet.type}>`];
  }
  class Decoder {
    on = (event, listener) => (this.listener = listener);
    off = () => {};
    destroy = () => {};
    add = () => this.listener({ type: 0, nsp: "/", data: { sid: "s" } });
  }
  const { socket, line } = client({ parser: { Encoder, Decoder } });
  line().accept();
  assert.deepEqual(messages(line()), ["<0>"]);
  line().say("anything");
  assert.equal(socket.id, "s");
  socket.disconnect();
});
