// Packets as MessagePack, beside what the official parser's library writes and reads.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Decoder, Encoder, pack, unpack } from "../src/parser/msgpack.ts";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const packages = join(process.cwd(), "../tests/interop/node_modules");
const required = existsSync(packages) && createRequire(join(packages, "x.js"));

const VALUES = [
  null, undefined, true, false, 0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1,
  -1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1, 0.5, -1.5, NaN, Infinity, 1e300,
  "", "é", "😀", "\ufeffx", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256), "x".repeat(65536),
  [], [1, ["a", { b: null }]], Array(16).fill(1), Array(65536).fill(0), {}, { a: 1, b: { c: [2] } },
  Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`key ${at}`, at])),
  new Date(0), new Date(1700000000123), new Date(-1), new Date(2 ** 41),
  Uint8Array.of(1, 2).buffer, new ArrayBuffer(0), new ArrayBuffer(256), new ArrayBuffer(65536),
];

test("values are written and read", () => {
  for (const value of VALUES) assert.deepEqual(unpack(pack(value)), value);
});

test("they are as the official parser's library has them", { skip: !required && "no packages" }, () => {
  const encode = required("notepack.io/browser/encode");
  const decode = required("notepack.io/browser/decode");
  // Which writes integers beyond 64 bits as something else.
  for (const value of VALUES.filter((value) => value !== 1e300)) {
    assert.deepEqual(decode(pack(value)), value);
    assert.equal(hex(pack(value)), hex(encode(value)));
  }
});

test("numbers beyond 64 bits are floating point, and so is minus nothing", () => {
  assert.equal(unpack(pack(2 ** 70)), 2 ** 70);
  assert.equal(hex(pack(2 ** 63)).slice(0, 2), "cb");
});

test("views are the bytes that they show, and functions are left out", () => {
  assert.deepEqual(unpack(pack(Uint8Array.of(0, 1, 2, 3).subarray(1, 3))), Uint8Array.of(1, 2).buffer);
  assert.deepEqual(unpack(pack(new DataView(Uint8Array.of(7).buffer))), Uint8Array.of(7).buffer);
  assert.deepEqual(unpack(pack({ a() {}, b: 1, c: { toJSON: () => [2] } })), { b: 1, c: [2] });
});

test("bytes in a Buffer are given as Buffers", () => {
  assert.deepEqual(unpack(Buffer.from(pack([Uint8Array.of(1)]))), [Buffer.from([1])]);
});

test("what cannot be written is told", () => {
  assert.throws(() => pack([10n]), /bigint cannot be sent/);
  assert.throws(() => pack({ deep: new Blob([]) }), /Blob cannot be sent/);
});

test("extensions: those of type 0 are bytes, others are kept apart; 32-bit floating point is read", () => {
  const read = (text) => unpack(Uint8Array.from(Buffer.from(text, "hex")).buffer);
  assert.deepEqual(read("c702000102"), Uint8Array.of(1, 2).buffer);
  assert.deepEqual(read("d5050102"), [5, Uint8Array.of(1, 2).buffer]);
  assert.deepEqual(read("c80001ff07"), [-1, Uint8Array.of(7).buffer]);
  assert.equal(read("ca3f000000"), 0.5);
});

test("keys that objects have by nature are keys like others", () => {
  const value = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
  const back = unpack(pack(value));
  assert.deepEqual(Object.keys(back), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(back), Object.prototype);
});

test("garbage is an exception, and costs nothing", () => {
  for (const text of ["", "c1", "a5c3", "ddffffffff", "dfffffffff00", "c6ffffffff", "cd01", "0101", "d7000102"]) {
    assert.throws(() => unpack(Uint8Array.from(Buffer.from(text, "hex")).buffer), `${text} is read`);
  }
  assert.throws(() => unpack("text"), /binary/);
});

test("a packet is one message, without what it does not have", () => {
  const encoder = new Encoder();
  const [message, ...others] = encoder.encode({ type: 2, nsp: "/", data: ["e", 1], id: 0, options: { compress: true } });
  assert.deepEqual([unpack(message), others], [{ type: 2, nsp: "/", id: 0, data: ["e", 1] }, []]);
  assert.deepEqual(unpack(encoder.encode({ type: 0, nsp: "/a", data: undefined })[0]), { type: 0, nsp: "/a" });
});

test("packets are checked", () => {
  const decoder = new Decoder();
  const seen = [];
  decoder.on("decoded", (packet) => seen.push(packet));
  const valid = { type: 3, nsp: "/", id: 1, data: [Uint8Array.of(1).buffer] };
  decoder.add(pack(valid));
  decoder.destroy();
  assert.deepEqual(seen, [valid]);
  const wrong = [1, null, {}, { ...valid, type: 5 }, { ...valid, type: 0.5 }, { ...valid, nsp: 1 }, { ...valid, id: "1" }, { ...valid, data: {} }];
  for (const packet of wrong) assert.throws(() => decoder.add(pack(packet)));
});
