// The transports as classes for the official client, whose engine tells them less.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as classes from "../src/classes.ts";
import { Emitter } from "../src/emitter.ts";
import { FakeServer, HANDSHAKE, until } from "./downs.js";
import { record, settled } from "./pipe.js";

/** What of the official engine they use. */
function official(transports) {
  const flushed = [];
  const socket = Object.assign(new Emitter(), { transports, upgrading: false, flush: () => flushed.push(1) });
  return { socket, flushed };
}

function make(t, Class, socket, query = {}) {
  const transport = new Class({ socket, query, hostname: "a.test", path: "/" });
  t.after(() => transport.close());
  return transport;
}

test("they have the names of all transports, on their prototypes", () => {
  const names = Object.values(classes).map(({ prototype }) => prototype.name);
  assert.deepEqual(names.sort(), ["forever", "polling", "sse", "stream", "webrtc", "websocket", "webtransport"]);
});

test("one that is tried waits for better ones, by what the first has heard", async (t) => {
  const server = new FakeServer(t);
  const { socket } = official(["polling", "stream", "websocket"]);
  const first = make(t, classes.Polling, socket).open();
  const upgrades = ["webtransport", "websocket", "stream"];
  (await server.get()).answer("0" + JSON.stringify({ ...HANDSHAKE, upgrades }));
  await until(() => first.readyState === "open");
  first.query.sid = "abc";
  await server.get();
  make(t, classes.Stream, socket, { sid: "abc" }).open();
  await settled();
  assert.deepEqual(server.gets, []);
  // Webtransport is none of the client's own.
  socket.emit("upgradeError", Object.assign(new Error("blocked"), { transport: "websocket" }));
  await server.get();
});

test("it goes on when an upgrade fails in its middle", async (t) => {
  const server = new FakeServer(t);
  const { socket, flushed } = official(["stream", "websocket"]);
  const transport = make(t, classes.Stream, socket);
  const packets = record(transport.open(), "packet");
  const down = (await server.get()).begin();
  await down.frames("0" + JSON.stringify(HANDSHAKE));
  await until(() => packets.length);
  transport.query.sid = "abc";
  socket.upgrading = true;
  let rested = 0;
  transport.pause(() => rested++);
  await down.frames("6end");
  socket.emit("upgradeError", new Error("no"));
  down.end();
  assert.deepEqual([transport.readyState, socket.upgrading, flushed.length], ["open", false, 1]);
  await server.get();
  assert.equal(rested, 0);
});

test("garbage in place of a handshake is left to the engine", async (t) => {
  const server = new FakeServer(t);
  const { socket } = official(["stream"]);
  const packets = record(make(t, classes.Stream, socket).open(), "packet");
  await (await server.get()).begin().frames("0{");
  await until(() => packets.length);
  assert.deepEqual(packets, [["packet", { type: "open", data: "{" }]]);
});
