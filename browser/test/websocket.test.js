import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { record, settled } from "./pipe.js";

const HANDSHAKE = '0{"sid":"abc","upgrades":[],"pingInterval":60000,"pingTimeout":1}';

/** A session by WebSocket, whose other end is the test. */
function session(t, options) {
  const before = globalThis.WebSocket;
  t.after(() => (globalThis.WebSocket = before));
  globalThis.WebSocket = class {
    sent = [];
    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
    }
    send(data) {
      this.sent.push(data);
    }
    close() {
      this.closed = true;
    }
  };
  const engine = new Engine("https://a.test", { transports: ["websocket"], ...options });
  const { ws } = engine.transport;
  const open = () => {
    ws.onopen();
    ws.onmessage({ data: HANDSHAKE });
  };
  return { engine, ws, open };
}

test("each packet is a message, and bytes are bytes", async (t) => {
  const { engine, ws, open } = session(t, { query: { a: 1 }, protocols: ["p"] });
  assert.equal(ws.url, "wss://a.test/engine.io/?a=1&EIO=4&transport=websocket");
  assert.deepEqual([ws.protocols, ws.binaryType], [["p"], "arraybuffer"]);
  open();
  const seen = record(engine, "message");
  const bytes = Uint8Array.of(1);
  engine.send("a");
  assert.equal(engine.transport.writable, false);
  engine.send(bytes);
  await settled();
  assert.deepEqual(ws.sent, ["4a", bytes]);
  assert.equal(engine.transport.writable, true);
  ws.onmessage({ data: "4b" });
  ws.onmessage({ data: bytes.buffer });
  assert.deepEqual(seen, [["message", "b"], ["message", bytes.buffer]]);
  engine.close();
  assert.ok(ws.closed);
});

test("as base64, the order is kept, whatever has to be waited for", async (t) => {
  const { engine, ws, open } = session(t, { forceBase64: true, timestampRequests: true });
  const { searchParams } = new URL(ws.url);
  assert.deepEqual([searchParams.get("b64"), searchParams.has("t")], ["1", true]);
  open();
  engine.send(new Blob(["\x01"])).send("a").send(Uint8Array.of(2));
  while (engine.writeBuffer.length) await settled();
  assert.deepEqual(ws.sent, ["bAQ==", "4a", "bAg=="]);
  engine.close();
});

test("an end is told with its details, an error as one", (t) => {
  const first = session(t);
  first.open();
  const ends = record(first.engine, "close");
  const event = { code: 1009, reason: "" };
  first.ws.onclose(event);
  const details = { description: "websocket connection closed", context: event };
  assert.deepEqual(ends, [["close", "transport close", details]]);
  const second = session(t);
  const errors = record(second.engine, "error");
  second.ws.onerror({ type: "error" });
  assert.equal(errors[0][1].message, "websocket error");
  assert.deepEqual(errors[0][1].description, { type: "error" });
  assert.ok(second.ws.closed);
});

test("where there is no WebSocket, that is an error like any other", async (t) => {
  const before = globalThis.WebSocket;
  t.after(() => (globalThis.WebSocket = before));
  globalThis.WebSocket = undefined;
  const engine = new Engine("http://a.test", { transports: ["websocket"] });
  const seen = record(engine, "error", "close");
  await settled();
  assert.deepEqual(seen.map(([event, what]) => [event, what.message ?? what]), [
    ["error", "websocket error"],
    ["close", "transport error"],
  ]);
});

test("a WebSocket that throws while it closes does no harm", async (t) => {
  const { engine, ws, open } = session(t);
  open();
  ws.send = () => {
    throw new Error("it is closing");
  };
  engine.send("a");
  await settled();
  assert.equal(engine.writeBuffer.length, 0);
  engine.close();
});
