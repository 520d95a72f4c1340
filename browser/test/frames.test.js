// Packets in a stream of bytes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeFrames, FrameReader } from "../src/engine/frames.ts";

const bytes = (size, value = 7) => new Uint8Array(size).fill(value);
const message = (data) => ({ type: "message", data });

test("headers are as official clients write them over WebTransport", async () => {
  assert.deepEqual(await encodeFrames([message("a")]), new Uint8Array([2, 52, 97]));
  assert.deepEqual((await encodeFrames([message(bytes(125))])).subarray(0, 2), new Uint8Array([0x80 | 125, 7]));
  assert.deepEqual((await encodeFrames([message(bytes(126))])).subarray(0, 4), new Uint8Array([0xfe, 0, 126, 7]));
  const long = (await encodeFrames([message(bytes(70000))])).subarray(0, 9);
  assert.deepEqual(long, new Uint8Array([0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]));
  assert.deepEqual(await encodeFrames([message(new ArrayBuffer(0))]), new Uint8Array([1, 98]));
});

test("what is written is read again, in pieces of any size", async () => {
  const sent = ["", "ä€😀", "x".repeat(70000), bytes(0), bytes(1), bytes(200), bytes(66000)];
  const stream = await encodeFrames([{ type: "ping" }, ...sent.map(message)]);
  for (const size of [1, 7, 1000, stream.length]) {
    const reader = new FrameReader("arraybuffer");
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...reader.feed(stream.subarray(at, at + size)));
    assert.deepEqual(found[0], { type: "ping" });
    assert.equal(found.length, sent.length + 1);
    sent.forEach((data, index) => {
      const got = found[index + 1].data;
      if (typeof data === "string") assert.equal(got ?? "", data);
      else assert.deepEqual(new Uint8Array(got), data);
    });
  }
});

test("a Blob is written as its bytes", async () => {
  const stream = await encodeFrames([message(new Blob([bytes(3)]))]);
  assert.deepEqual(stream, new Uint8Array([0x83, 7, 7, 7]));
});

test("garbage gives an error", () => {
  assert.deepEqual(new FrameReader().feed(new Uint8Array([1, 120])), [{ type: "error", data: "parser error" }]);
});
