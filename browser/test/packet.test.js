import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, decodePayload, encode, encodePayload, encodeText, sizeOf } from "../src/engine/packet.ts";

const bytes = (...all) => Uint8Array.from(all).buffer;

test("a packet is a digit and what follows", () => {
  const all = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
  all.forEach((type, digit) => {
    assert.equal(encode({ type }), String(digit));
    assert.equal(encode({ type, data: "é" }), digit + "é");
    assert.deepEqual(decode(String(digit)), { type });
    assert.deepEqual(decode(digit + "é"), { type, data: "é" });
  });
  assert.equal(encode({ type: "message", data: "" }), "4");
});

test("bytes are themselves, or b and base64", async () => {
  const view = Uint8Array.of(9, 1, 2, 3, 9).subarray(1, 4);
  assert.equal(encode({ type: "message", data: view }), view);
  assert.equal(encodeText({ type: "message", data: view }), "bAQID");
  assert.equal(encodeText({ type: "message", data: bytes() }), "b");
  assert.equal(await encodeText({ type: "message", data: new Blob(["\x01\x02\x03"]) }), "bAQID");
  assert.deepEqual(decode("bAQID"), { type: "message", data: bytes(1, 2, 3) });
  assert.deepEqual(decode("b"), { type: "message", data: bytes() });
  assert.deepEqual(decode(bytes(4)), { type: "message", data: bytes(4) });
});

test("bytes are given as they are wanted", async () => {
  assert.ok(Buffer.isBuffer(decode("bAQID", "nodebuffer").data));
  const { data } = decode("bAQID", "blob");
  assert.deepEqual(await data.arrayBuffer(), bytes(1, 2, 3));
});

test("many bytes come through", () => {
  const large = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
  assert.deepEqual(decode(encodeText({ type: "message", data: large })).data, large.buffer);
});

for (const garbage of ["", "7", "x", "é", "b*"]) {
  test(`${JSON.stringify(garbage)} is garbage`, () => {
    assert.deepEqual(decode(garbage), { type: "error", data: "parser error" });
  });
}

test("a payload keeps the order, whatever has to be waited for", async () => {
  const message = (data) => ({ type: "message", data });
  const packets = [message("a"), message(new Blob(["\x00"])), message(bytes(0)), { type: "ping" }];
  const payload = await encodePayload(packets);
  assert.equal(payload, "4a\x1ebAA==\x1ebAA==\x1e2");
  assert.deepEqual(
    decodePayload(payload).map(({ type }) => type),
    ["message", "message", "message", "ping"],
  );
});

test("nothing is read behind garbage", () => {
  assert.deepEqual(
    decodePayload("4a\x1ex\x1e4b").map(({ type }) => type),
    ["message", "error"],
  );
  assert.equal(decodePayload("")[0].type, "error");
});

test("sizes are those of UTF-8, and of base64", () => {
  assert.equal(sizeOf("é€"), 5);
  assert.equal(sizeOf(bytes(1, 2, 3)), 4);
  assert.equal(sizeOf(new Blob(["abc"])), 4);
  assert.equal(sizeOf(undefined), 0);
});
