// Packets as Server-Sent Events, read by EventSource and without it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { EventReader } from "../src/transports/events.ts";
import { SSE } from "../src/transports/sse.ts";
import { end, FakeServer, HANDSHAKE, opened, until } from "./downs.js";
import { record, settled } from "./pipe.js";

const HELLO = "0" + JSON.stringify(HANDSHAKE);

/** What a page has. */
class FakeEventSource extends EventTarget {
  static CLOSED = 2;
  static made = [];
  readyState = 0;

  constructor(url, options) {
    super();
    Object.assign(this, { query: Object.fromEntries(new URL(url).searchParams), options });
    FakeEventSource.made.push(this);
  }

  tell(data, id = "", type = "message") {
    const event = Object.assign(new Event(type), { data, lastEventId: id });
    if (type === "message") this.onmessage(event);
    this.dispatchEvent(event);
  }

  fail(readyState = 0) {
    this.readyState = readyState;
    this.onerror();
  }

  close() {
    this.readyState = 2;
  }
}

function page(t) {
  FakeEventSource.made = [];
  globalThis.EventSource = FakeEventSource;
  t.after(() => delete globalThis.EventSource);
  return FakeEventSource.made;
}

async function listening(t, options) {
  const made = page(t);
  const server = new FakeServer(t);
  const engine = new Engine("http://a.test", { transports: [SSE], ...options });
  end(t, engine);
  await until(() => made.length);
  const source = made.shift();
  source.tell(HELLO, "1");
  return { made, server, engine, source };
}

test("an EventSource brings packets, several in an event, and JSON where lines end in them", async (t) => {
  const { engine, source, server } = await listening(t, { withCredentials: true });
  assert.deepEqual([source.query, source.options], [{ EIO: "4", transport: "sse" }, { withCredentials: true }]);
  const seen = record(engine, "message");
  source.tell("4a\x1ebAQI=", "3");
  source.tell("6", "3");
  source.tell(JSON.stringify("4\r\n\u2028"), "4", "j");
  assert.deepEqual(seen.map(([, data]) => data), ["a", Uint8Array.of(1, 2).buffer, "\r\n\u2028"]);
  engine.send("b");
  assert.deepEqual((await server.post()).query, { EIO: "4", transport: "sse", sid: "abc", ack: "4", seq: "1" });
});

test("a new EventSource goes on where the last one ended, with the session's id", async (t) => {
  const { engine, source, made } = await listening(t);
  source.tell("4a", "2");
  source.fail();
  assert.equal(source.readyState, 2);
  await until(() => made.length);
  assert.deepEqual(made[0].query, { EIO: "4", transport: "sse", sid: "abc", ack: "2" });
  const seen = record(engine, "message");
  source.tell("4late", "3");
  made[0].tell("4b", "3");
  assert.deepEqual(seen, [["message", "b"]]);
});

test("comments are not seen, so silence is no loss", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const made = page(t);
  const engine = new Engine("http://a.test", { transports: [SSE] });
  end(t, engine);
  await settled();
  made[0].tell(HELLO, "1");
  t.mock.timers.tick(59_000);
  assert.equal(made[0].readyState, 0);
});

test("a refusal is asked for again by a request, which tells the status", async (t) => {
  const { engine, server, source, made } = await listening(t);
  const seen = record(engine, "close");
  source.fail();
  await until(() => made.length);
  made[0].fail(2);
  const get = await server.get();
  assert.deepEqual(get.query, made[0].query);
  get.answer('{"code":1}', 400);
  await until(() => seen.length);
  assert.deepEqual([seen[0][2].message, seen[0][2].description], ["sse error", 400]);
});

test("who leaves meanwhile leaves the request", async (t) => {
  const { engine, server, source, made } = await listening(t);
  source.fail();
  await until(() => made.length);
  made[0].fail(2);
  const down = (await server.get()).begin();
  await settled();
  engine.close();
  assert.equal(down.left, true);
});

for (const [why, options] of [["there is none", {}], ["headers are to be sent", { extraHeaders: { "x-a": "b" } }]]) {
  test(`events are read from a response when ${why}`, async (t) => {
    if (options.extraHeaders) page(t);
    const { engine, request, down, hello, server } = await opened(t, SSE, options);
    assert.equal(request.headers.get("x-a"), options.extraHeaders ? "b" : null);
    down.write(`:   \nretry:1000\n\nid:1\ndata:${hello}\n\n`);
    const seen = record(engine, "message");
    down.write("id:3\ndata:4\xe9\x1ebAQI=\n\n:\n\n");
    down.write('event:j\nid:4\ndata:"4\\r\\n"\n\ndata:6end\n\n');
    await until(() => seen.length === 3);
    assert.deepEqual(seen.map(([, data]) => data), ["\xe9", Uint8Array.of(1, 2).buffer, "\r\n"]);
    down.end();
    assert.equal((await server.get()).query.ack, "4");
  });
}

test("an event stream is read as browsers read it, in pieces of any size", () => {
  const text = ": comment\r\nid: 1\r\ndata: one\r\ndata:two\r\n\r\rdata\n\nevent:x\ndata:  \u{1f600}\nid\n\nevent:lost\n\nunknown:x\ndata:y\rid:7\r\rdata:unfinished\n";
  const expected = [
    { type: "message", data: "one\ntwo", lastEventId: "1" },
    { type: "message", data: "", lastEventId: "1" },
    { type: "x", data: " \u{1f600}", lastEventId: "" },
    { type: "message", data: "y", lastEventId: "7" },
  ];
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 5, bytes.length]) {
    const seen = [];
    const reader = new EventReader((event) => seen.push(event));
    for (let at = 0; at < bytes.length; at += size) reader.feed(bytes.subarray(at, at + size));
    assert.deepEqual(seen, expected, `pieces of ${size}`);
  }
});
