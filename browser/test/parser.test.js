import assert from "node:assert/strict";
import { test } from "node:test";

import { Decoder } from "../src/parser/decoder.ts";
import { Encoder } from "../src/parser/encoder.ts";
import { PacketType } from "../src/parser/packet.ts";

const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;

function decoded(messages, options) {
  const decoder = new Decoder(options);
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  for (const message of messages) decoder.add(message);
  return packets;
}

const TEXTS = [
  [{ type: CONNECT, nsp: "/" }, "0"],
  [{ type: CONNECT, nsp: "/a", data: { token: 1 } }, '0/a,{"token":1}'],
  [{ type: DISCONNECT, nsp: "/a" }, "1/a,"],
  [{ type: EVENT, nsp: "/", data: ["é", null, [1.5]] }, '2["é",null,[1.5]]'],
  [{ type: EVENT, nsp: "/", data: [7], id: 0 }, "20[7]"],
  [{ type: EVENT, nsp: "/a,b".slice(0, 2), data: ["x"], id: 12 }, '2/a,12["x"]'],
  [{ type: ACK, nsp: "/", data: [], id: 345 }, "3345[]"],
  [{ type: CONNECT_ERROR, nsp: "/", data: { message: "no" } }, '4{"message":"no"}'],
  [{ type: CONNECT_ERROR, nsp: "/", data: "no" }, '4"no"'],
];

for (const [packet, text] of TEXTS) {
  test(`${text} is written and read`, () => {
    assert.deepEqual(new Encoder().encode(packet), [text]);
    assert.deepEqual(decoded([text]), [{ data: undefined, ...packet }]);
  });
}

test("a namespace may end with the packet", () => {
  assert.deepEqual(decoded(["0/a"]), [{ type: CONNECT, nsp: "/a", data: undefined }]);
});

test("binary values travel beside, in the order in which they stand", () => {
  const [a, b, c, d] = [1, 2, 3, 4].map((byte) => Uint8Array.of(byte));
  const data = ["e", { a: [a.buffer, { b: new DataView(b.buffer) }] }, c, [[d]], new Date(0)];
  const [text, ...attachments] = new Encoder().encode({ type: EVENT, nsp: "/n", id: 3, data });
  const place = (num) => ({ _placeholder: true, num });
  const json = ["e", { a: [place(0), { b: place(1) }] }, place(2), [[place(3)]], new Date(0)];
  assert.equal(text, `54-/n,3${JSON.stringify(json)}`);
  assert.deepEqual(attachments, [a.buffer, new DataView(b.buffer), c, d]);
  // What was given has not been touched.
  assert.equal(data[2], c);
  const [packet] = decoded([text, ...attachments]);
  assert.deepEqual([packet.type, packet.id, packet.nsp], [EVENT, 3, "/n"]);
  assert.equal(packet.data[2], c);
  assert.equal(packet.data[3][0][0], d);
});

test("an acknowledgement may be binary, and Blobs and buffers of Node are", () => {
  const blob = new Blob(["x"]);
  const buffer = Buffer.from("y");
  const messages = new Encoder().encode({ type: ACK, nsp: "/", id: 1, data: [blob, buffer] });
  assert.match(messages[0], /^62-1\[/);
  const [packet] = decoded(messages);
  assert.deepEqual([packet.type, packet.id], [ACK, 1]);
  assert.deepEqual(packet.data, [blob, buffer]);
});

test("toJSON is asked, once, for binary values, too", () => {
  const bytes = Uint8Array.of(1);
  const data = ["e", { toJSON: () => ({ bytes, toJSON: () => assert.fail("asked twice") }) }];
  const messages = new Encoder().encode({ type: EVENT, nsp: "/", data });
  assert.equal(messages[0], '51-["e",{"bytes":{"_placeholder":true,"num":0}}]');
  assert.equal(messages[1], bytes);
});

test("what JSON.stringify and JSON.parse may be given, may be given here", () => {
  const replace = (key, value) => (typeof value === "bigint" ? `n${value}` : value);
  const packet = { type: EVENT, nsp: "/", data: ["e", 1n, Uint8Array.of(1)] };
  const messages = new Encoder(replace).encode(packet);
  assert.match(messages[0], /"n1"/);
  const revive = (key, value) => (value === "n1" ? 1n : value);
  assert.deepEqual(decoded(messages, revive)[0].data, packet.data);
  assert.deepEqual(decoded(messages, { reviver: revive })[0].data, packet.data);
});

test("a placeholder in a packet without attachments is plain data", () => {
  const data = ["e", { _placeholder: true, num: 0 }];
  assert.deepEqual(decoded([`2${JSON.stringify(data)}`])[0].data, data);
});

const GARBAGE = [
  ["", /illegal packet/],
  ["7", /illegal packet/],
  ["x", /illegal packet/],
  ["0[]", /invalid payload/],
  ["0null", /invalid payload/],
  ['0"x"', /invalid payload/],
  ["1{}", /invalid payload/],
  ["2", /invalid payload/],
  ["2{}", /invalid payload/],
  ["2[", /invalid payload/],
  ["2[]", /invalid payload/],
  ["2[{}]", /invalid payload/],
  ["2[null]", /invalid payload/],
  ['2["connect"]', /invalid payload/],
  ['2["disconnecting"]', /invalid payload/],
  ["3", /invalid payload/],
  ["3{}", /invalid payload/],
  ["41", /invalid payload/],
  ['5["e"]', /illegal packet/],
  ['5x-["e"]', /illegal packet/],
  ['50-["e"]', /illegal attachments/],
  ['511-["e"]', /too many attachments/],
  ['599999999999999999999-["e"]', /too many attachments/],
];

for (const [text, error] of GARBAGE) {
  test(`${JSON.stringify(text)} is not a packet`, () => {
    assert.throws(() => decoded([text]), error);
  });
}

for (const num of ['"0"', "1", "-1", "0.5", "null", "[0]"]) {
  test(`an attachment with the number ${num} is none`, () => {
    const text = `51-["e",{"_placeholder":true,"num":${num}}]`;
    assert.throws(() => decoded([text, new ArrayBuffer(1)]), /illegal attachments/);
  });
}

test("texts and attachments come when they are due", () => {
  assert.throws(() => decoded([new ArrayBuffer(1)]), /unexpected attachment/);
  const started = '51-["e",{"_placeholder":true,"num":0}]';
  assert.throws(() => decoded([started, "0"]), /instead of an attachment/);
  const decoder = new Decoder();
  decoder.add(started);
  decoder.destroy();
  decoder.add("0");
});

test("the number of attachments has a limit, which can be another", () => {
  const places = Array.from({ length: 11 }, (_, num) => ({ _placeholder: true, num }));
  const text = `511-${JSON.stringify(["e", ...places])}`;
  const attachments = places.map(() => new ArrayBuffer(1));
  assert.equal(decoded([text, ...attachments], { maxAttachments: 11 })[0].data.length, 12);
});

test("a long text without an end of the namespace takes no longer than its length", () => {
  assert.throws(() => decoded(["2/" + "a".repeat(1e6)]), /invalid payload/);
});

test("keys that objects have by nature are plain data", () => {
  const text = '51-["e",{"__proto__":{"_placeholder":true,"num":0},"a":1}]';
  const [packet] = decoded([text, new ArrayBuffer(1)]);
  assert.equal(packet.data[1].a, 1);
  assert.equal(Object.getPrototypeOf(packet.data[1]), Object.prototype);
});
