// Packets over a data channel.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Channel } from "../src/engine/channel.ts";
import { encodeFrames, FrameReader } from "../src/engine/frames.ts";
import { settled } from "./pipe.js";
import { FakeDataChannel } from "./rtc.js";

const message = (data) => ({ type: "message", data });

/** A channel, its fake below, and what it tells. */
function make({ sctp, limit } = {}) {
  const below = new FakeDataChannel();
  const told = [];
  const owner = {
    onOpen: () => told.push(["open"]),
    onPacket: (packet) => told.push(["packet", packet]),
    onClose: (error) => told.push(["close", error]),
  };
  const channel = new Channel({ sctp }, below, owner, "arraybuffer", limit);
  return { below, told, channel };
}

test("packets that are sent in one turn are one message", async () => {
  const { below, told, channel } = make();
  assert.equal(channel.isOpen, false);
  below.open();
  assert.deepEqual(told, [["open"]]);
  channel.send([message("a")]);
  await channel.send([message("b"), { type: "ping" }]);
  assert.deepEqual(below.sent, [Uint8Array.of(2, 52, 97, 2, 52, 98, 1, 50)]);
});

test("what is longer than a message is cut, and as the other side takes it", async () => {
  for (const [sctp, size] of [[undefined, 65536], [{ maxMessageSize: Infinity }, 65536], [{ maxMessageSize: 1000 }, 1000]]) {
    const { below, channel } = make({ sctp });
    below.open();
    const packets = [message("x".repeat(200_000)), message(new Uint8Array(10))];
    await channel.send(packets);
    assert.ok(below.sent.every((data, at) => data.length === size || at === below.sent.length - 1));
    assert.deepEqual(below.take(), await encodeFrames(packets));
  }
});

test("nothing is sent to who does not read, and then in order", async () => {
  const { below, channel } = make();
  below.open();
  below.fast = false;
  let room = false;
  const sending = channel.send([message("x".repeat(3 << 20))]).then(() => (room = true));
  channel.send([message("last")]);
  await settled();
  assert.ok(below.bufferedAmount > 1 << 20 && below.bufferedAmount <= (1 << 20) + 65536);
  const reader = new FrameReader();
  const found = [];
  while (!room) {
    found.push(...reader.feed(below.take()));
    below.drain();
    await settled();
  }
  await sending;
  found.push(...reader.feed(below.take()));
  assert.deepEqual(found.map(({ data }) => data.length), [3 << 20, 4]);
});

test("packets are found in what arrives, and garbage is told", () => {
  const { below, told, channel } = make({ limit: 5 });
  below.open();
  told.length = 0;
  const bytes = (...values) => below.onmessage({ data: Uint8Array.from(values).buffer });
  bytes(2, 52);
  bytes(97, 0x81, 7);
  assert.deepEqual(told.splice(0), [["packet", message("a")], ["packet", message(Uint8Array.of(7).buffer)]]);
  const garbage = ["packet", { type: "error", data: "parser error" }];
  below.onmessage({ data: "text" });
  assert.deepEqual(told.splice(0), [garbage]);
  bytes(6, 52, 97, 97);
  assert.deepEqual(told.splice(0), [garbage]);
  channel.close();
  bytes(2, 52, 97);
  assert.deepEqual(told, []);
});

test("nothing of a message is told behind an end", () => {
  const { below, told, channel } = make();
  below.open();
  const onClose = told.push.bind(told);
  told.push = (what) => (what[0] === "packet" && channel.close(), onClose(what));
  below.onmessage({ data: Uint8Array.of(2, 52, 97, 2, 52, 98).buffer });
  assert.deepEqual(told.slice(1), [["packet", message("a")]]);
});

test("an end is told once, and lets go who waits for room", async () => {
  const { below, told, channel } = make();
  below.open();
  below.fast = false;
  const sending = channel.send([message("x".repeat(3 << 20))]);
  await settled();
  const error = new Event("error");
  below.onerror(error);
  below.onclose(new Event("close"));
  await sending;
  assert.deepEqual(told, [["open"], ["close", error]]);
  assert.equal(below.readyState, "closed");
  await channel.send([message("a")]);
  assert.equal(channel.isOpen, false);
});

test("a channel of the other side may be open already", async () => {
  const below = new FakeDataChannel();
  below.readyState = "open";
  const told = [];
  new Channel({}, below, { onOpen: () => told.push("open") });
  assert.deepEqual(told, []);
  await settled();
  assert.deepEqual(told, ["open"]);
});

test("a Blob that cannot be read ends the channel", async () => {
  const { below, told, channel } = make();
  below.open();
  const blob = new Blob(["x"]);
  const broken = Object.defineProperty(blob, "size", { get: () => { throw new Error("gone"); } });
  await channel.send([message(broken)]);
  assert.equal(told[1][0], "close");
  assert.equal(told[1][1].error.message, "gone");
});
