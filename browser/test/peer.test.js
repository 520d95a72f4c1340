import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { install, peer, PeerError, Peers, peers } from "../src/peer/index.ts";
import { fingerprintOf } from "../src/peer/fingerprint.ts";
import { FakeConnection, Hub, settled, until } from "./hub.js";
import { record } from "./pipe.js";

beforeEach(() => {
  globalThis.RTCPeerConnection = FakeConnection;
  FakeConnection.works = true;
  FakeConnection.seen = undefined;
  FakeConnection.hurries = false;
});

afterEach(() => delete globalThis.RTCPeerConnection);

const EVENTS = ["connect", "connect_error", "disconnect"];

/** Two pages; the second takes every offer, and `got` is its peer then. */
function two({ accept = (peer) => peer.accept(), options, setUp } = {}) {
  const hub = new Hub();
  setUp?.(hub);
  const ada = hub.page("ada");
  const bob = hub.page("bob");
  const got = [];
  peers(bob).on("peer", (peer) => {
    got.push(peer);
    accept(peer);
  });
  const start = async () => {
    await settled();
    return peer(ada, "bob", options);
  };
  return { hub, ada, bob, got, start };
}

/** Both, connected. */
async function connected(parts = two()) {
  const to = await parts.start();
  await until(() => to.connected && parts.got[0]?.connected);
  return { ...parts, to, from: parts.got[0] };
}

/** Until a peer cannot be connected to; gives the error. */
const failed = (peer) => new Promise((resolve) => peer.on("connect_error", resolve));

test("two pages are connected directly, and know who the other is", async () => {
  const { to, from, hub } = await connected();
  assert.deepEqual([to.id, to.identity, to.incoming, to.nsp], ["bob", "BOB", false, "/"]);
  assert.deepEqual([from.id, from.identity, from.incoming], ["ada", "ADA", true]);
  assert.deepEqual([to.relayed, to.verified, from.relayed, from.verified], [false, true, false, true]);
  assert.equal(to.fingerprint, from.localFingerprint);
  assert.equal(from.fingerprint, to.localFingerprint);
  assert.equal(await to.code(), await from.code());
  assert.match(await to.code(), /^(\d{5} ){7}\d{5}$/);
  assert.equal([...hub.links].length, 1);
});

test("a channel may be open before the session is known that it belongs to", async () => {
  FakeConnection.hurries = true;
  const { to, from } = await connected();
  assert.deepEqual([to.relayed, to.verified, from.relayed, from.verified], [false, true, false, true]);
});

test("a peer is used as a socket is", async () => {
  const seen = [];
  const parts = two({ accept: (peer) => peer.accept().on("early", (...args) => seen.push(args)) });
  const to = await parts.start();
  // Before it is connected.
  to.emit("early", 1, "two", new Uint8Array([1, 2]));
  to.on("back", (...args) => seen.push(args));
  await until(() => to.connected);
  const from = parts.got[0];
  from.on("double", (number, answer) => answer(2 * number));
  from.on("binary", (data, answer) => answer(data));
  from.once("bye", () => seen.push("bye"));
  await until(() => seen.length);
  assert.deepEqual(seen, [[1, "two", new Uint8Array([1, 2]).buffer]]);
  assert.equal(await to.emitWithAck("double", 21), 42);
  const large = crypto.getRandomValues(new Uint8Array(60_000));
  assert.deepEqual(new Uint8Array(await to.emitWithAck("binary", large)), large);
  assert.deepEqual(await to.emitWithAck("binary", [new ArrayBuffer(0), { deep: new Blob(["x"]) }]), [
    new ArrayBuffer(0),
    { deep: new Uint8Array([120]).buffer },
  ]);
  await assert.rejects(to.timeout(1).emitWithAck("nobody answers"), /timed out/);
  to.emit("bye").emit("bye");
  from.emit("back", "to you");
  await until(() => seen.length === 3);
  assert.deepEqual(seen.slice(1), ["bye", ["to you"]]);
  assert.throws(() => to.emit("connect"), /reserved/);
  to.volatile.emit("early", "volatile");
  await until(() => seen.length === 4);
});

test("a listener that throws ends nothing", async () => {
  const { to, from } = await connected();
  from.on("x", () => {
    throw new Error("of a listener");
  });
  from.on("y", (answer) => answer("still there"));
  const { queueMicrotask } = globalThis;
  const thrown = [];
  globalThis.queueMicrotask = (task) => queueMicrotask(() => {
    try {
      task();
    } catch (error) {
      thrown.push(error.message);
    }
  });
  try {
    to.emit("x");
    assert.equal(await to.emitWithAck("y"), "still there");
  } finally {
    globalThis.queueMicrotask = queueMicrotask;
  }
  assert.deepEqual(thrown, ["of a listener"]);
});

test("who listens to nobody is connected to nobody", async () => {
  const hub = new Hub();
  const [ada, bob] = [hub.page("ada"), hub.page("bob")];
  peers(bob);
  await settled();
  const error = await failed(peer(ada, "bob"));
  assert.ok(error instanceof PeerError);
  assert.deepEqual([error.code, error.message], ["peer:refused", "the peer refuses to be connected"]);
  assert.equal(hub.links.size, 0);
  assert.equal(Peers.of(ada).peers.size, 0);
  assert.equal(Peers.of(bob).peers.size, 0);
});

test("who is refused, or denied, or asks for nobody is told so", async () => {
  const parts = two({ accept: (peer) => peer.refuse() });
  const to = await parts.start();
  const seen = record(to, ...EVENTS);
  await until(() => seen.length);
  assert.deepEqual([seen[0][0], seen[0][1].code], ["connect_error", "peer:refused"]);
  parts.hub.deny = () => "peer:denied";
  assert.equal((await failed(peer(parts.ada, "bob"))).code, "peer:denied");
  parts.hub.deny = () => undefined;
  assert.equal((await failed(peer(parts.ada, "nobody"))).code, "peer:unavailable");
  assert.equal(to.emit("later"), to);
  await assert.rejects(to.emitWithAck("later"), /disconnected/);
});

test("a server that connects no peers is told of", async () => {
  const hub = new Hub();
  const ada = hub.page("ada");
  ada.io.refusal = "Invalid namespace";
  const error = await failed(peer(ada, "bob"));
  assert.deepEqual([error.code, error.message], ["peer:disabled", "the server connects no peers"]);
});

test("who comes before the application has let it in waits", async () => {
  const hub = new Hub();
  const [ada, bob] = [hub.page("ada"), hub.page("bob")];
  peers(bob).on("peer", (peer) => peer.accept());
  ada.connected = false;
  ada.io.refusal = "join another namespace first";
  await settled();
  const to = peer(ada, "bob");
  const seen = record(to, ...EVENTS);
  await settled();
  assert.deepEqual(seen, []);
  ada.io.refusal = undefined;
  ada.connected = true;
  ada.told.emit("connect");
  await until(() => to.connected);
});

test("without WebRTC the server relays, whichever side has none", async () => {
  for (const without of ["ada", "bob", "both"]) {
    const rtc = (who) => (without === who || without === "both" ? { rtc: false } : {});
    const parts = two({ options: rtc("ada"), accept: (peer) => peer.accept(rtc("bob")) });
    const { to, from } = await connected(parts);
    assert.deepEqual([to.relayed, from.relayed, to.verified, to.fingerprint], [true, true, false, undefined]);
    from.on("echo", (data, answer) => answer(data));
    // Many times what may be under way.
    const large = new Uint8Array(200_000).map((_, index) => index % 251);
    assert.deepEqual(new Uint8Array(await to.emitWithAck("echo", large)), large);
    await assert.rejects(to.code(), /directly/);
  }
});

test("what is relayed waits until it is taken", async () => {
  const parts = await connected(two({ options: { rtc: false } }));
  const { ada, hub, to, from } = parts;
  const sizes = () => ada.io.control.sent.filter(([event]) => event === "peer:data").map(([, , data]) => data.byteLength);
  const seen = record(from, "bytes");
  hub.forge = (message, event) => (event === "peer:taken" ? { ...message, count: 0 } : message);
  const before = sizes().length;
  to.emit("bytes", new Uint8Array(20_000));
  await settled();
  await settled();
  const sent = sizes().slice(before);
  assert.ok(sent.reduce((sum, size) => sum + Math.max(size, 512), 0) <= hub.window);
  assert.deepEqual(seen, []);
  hub.forge = (message) => message;
  hub.tell(ada, "peer:taken", { link: [...hub.links.keys()][0], from: hub.stamp(parts.bob), count: 4096 });
  await until(() => seen.length);
  assert.equal(seen[0][1].byteLength, 20_000);
});

test("where there is no direct way, the server relays after some time", async () => {
  FakeConnection.works = false;
  const { to, from } = await connected(two({ options: { timeout: 20 } }));
  assert.deepEqual([to.relayed, from.relayed], [true, true]);
  from.on("echo", (data, answer) => answer(data));
  assert.equal(await to.emitWithAck("echo", 1), 1);
});

test("a direct way that fails is not waited for", async () => {
  FakeConnection.works = false;
  const parts = two();
  const to = await parts.start();
  await until(() => parts.got[0] && parts.hub.links.size);
  await until(() => parts.ada.io.control.sent.some(([event]) => event === "peer:ice"));
  await settled();
  for (const connection of FakeConnection.all.values()) connection.fail();
  await until(() => to.connected);
  assert.equal(to.relayed, true);
});

test("nothing is relayed if one side does not want it", async () => {
  FakeConnection.works = false;
  for (const who of ["ada", "bob"]) {
    const relay = (name) => ({ timeout: 10, relay: who !== name });
    const parts = two({ options: relay("ada"), accept: (peer) => peer.accept(relay("bob")) });
    const to = await parts.start();
    assert.equal((await failed(to)).code, "peer:failed");
    await until(() => parts.hub.links.size === 0);
    assert.equal(Peers.of(parts.bob).peers.size, 0);
  }
  const { start } = two({ options: { rtc: false, relay: false } });
  assert.match((await failed(await start())).message, /no WebRTC here/);
});

test("a fingerprint that the session has not is refused, by whoever sees it", async () => {
  for (const forged of ["peer:offer", "peer:answer"]) {
    const setUp = (hub) =>
      (hub.forge = (message, event) => (event === forged ? { ...message, fingerprint: "sha-256 00" } : message));
    const parts = two({ setUp });
    const to = await parts.start();
    const error = await failed(to);
    assert.equal(error.code, "peer:fingerprint");
    assert.match(error.message, /not the one that the server vouches for/);
    await until(() => Peers.of(parts.bob).peers.size === 0);
    assert.equal(to.connected, false);
  }
});

test("a certificate that the session has not is refused", async () => {
  FakeConnection.seen = "sha-256 00:00";
  const { start, got } = two();
  assert.equal((await failed(await start())).code, "peer:fingerprint");
  assert.deepEqual([got[0].connected, got[0].verified], [false, false]);
});

test("words of anybody else are not listened to", async () => {
  const { hub, ada, to } = await connected();
  const seen = record(to, ...EVENTS);
  const link = [...hub.links.keys()][0];
  const from = { id: "eve", nsp: "/" };
  const { tried } = [...FakeConnection.all.values()].at(-2);
  const before = tried.length;
  for (const event of ["answer", "ice", "relay", "data", "taken"]) {
    hub.tell(ada, `peer:${event}`, { link, from, sdp: null, relay: true, candidate: {}, data: new ArrayBuffer(1), count: 1 });
  }
  assert.deepEqual([to.connected, to.relayed, to.identity, tried.length], [true, false, "BOB", before]);
  assert.deepEqual(seen, []);
});

test("both ask at the same time, and have one peer", async () => {
  const hub = new Hub();
  const [ada, bob] = [hub.page("ada"), hub.page("bob")];
  const asked = [];
  for (const page of [ada, bob]) peers(page).on("peer", (peer) => asked.push(peer));
  await settled();
  const [to, from] = [peer(ada, "bob"), peer(bob, "ada")];
  await until(() => to.connected && from.connected);
  assert.deepEqual(asked, []);
  assert.equal(hub.links.size, 1);
  from.on("x", (answer) => answer("one"));
  assert.equal(await to.emitWithAck("x"), "one");
  assert.equal(peer(ada, "bob"), to);
  assert.deepEqual([...Peers.of(bob).peers.values()], [from]);
});

test("to ask who has asked is to accept", async () => {
  const parts = two({ accept: () => {} });
  const to = await parts.start();
  await until(() => parts.got.length);
  assert.equal(peer(parts.bob, "ada"), parts.got[0]);
  await until(() => to.connected && parts.got[0].connected);
});

test("who closes is gone at the other side, after what was sent before", async () => {
  for (const options of [{}, { rtc: false }]) {
    const { to, from, hub, ada, bob } = await connected(two({ options }));
    const seen = record(from, "last", ...EVENTS);
    const mine = record(to, ...EVENTS);
    to.emit("last", "words");
    to.close();
    assert.deepEqual([to.connected, to.disconnected], [false, true]);
    await until(() => seen.length === 2);
    assert.deepEqual(seen, [["last", "words"], ["disconnect", "peer disconnect"]]);
    assert.deepEqual(mine, [["disconnect", "io client disconnect"]]);
    await until(() => hub.links.size === 0);
    assert.deepEqual([Peers.of(ada).peers.size, Peers.of(bob).peers.size], [0, 0]);
  }
});

test("one that was closed may be asked again", async () => {
  const { to, ada, got } = await connected();
  to.close();
  const again = peer(ada, "bob");
  assert.notEqual(again, to);
  await until(() => again.connected && got[1]?.connected);
});

test("a channel that ends, or fails, ends the peer", async () => {
  const { to, from } = await connected();
  const seen = record(to, ...EVENTS);
  const theirs = record(from, ...EVENTS);
  [...FakeConnection.all.values()].at(-1).channel.close();
  await until(() => seen.length && theirs.length);
  assert.deepEqual(seen, [["disconnect", "transport close"]]);
  assert.deepEqual(theirs, [["disconnect", "transport error"]]);
  const other = await connected();
  const more = record(other.to, ...EVENTS);
  [...FakeConnection.all.values()].at(-2).fail();
  assert.deepEqual(more, [["disconnect", "transport error"]]);
});

test("direct peers outlive the server, relayed ones do not", async () => {
  const direct = await connected();
  const relayed = await connected(two({ options: { rtc: false } }));
  const seen = [record(direct.to, ...EVENTS), record(relayed.to, ...EVENTS)];
  direct.from.on("x", (answer) => answer("still"));
  for (const { ada } of [direct, relayed]) {
    ada.lose("transport close");
    ada.io.control.lose("transport close");
  }
  assert.equal(await direct.to.emitWithAck("x"), "still");
  assert.deepEqual(seen, [[], [["disconnect", "socket disconnect"]]]);
  // Nor does it matter what the server believes at the other side.
  const { hub, bob, to, from } = direct;
  const [link] = [...hub.links.keys()];
  hub.tell(bob, "peer:bye", { link, from: null, reason: "peer:left", lost: true });
  assert.equal(from.connected, true);
  direct.to.close();
  await until(() => !from.connected);
  assert.equal(to.connected, false);
});

test("who is gone with its server is missed soon", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { hub, bob, from } = await connected();
  const seen = record(from, ...EVENTS);
  const channel = [...FakeConnection.all.values()].at(-2).channel;
  channel.onmessage = () => {};
  hub.tell(bob, "peer:bye", { link: [...hub.links.keys()][0], from: null, reason: "peer:left", lost: true });
  await settled();
  t.mock.timers.tick(4999);
  assert.deepEqual(seen, []);
  t.mock.timers.tick(1);
  assert.deepEqual(seen, [["disconnect", "transport close"]]);
});

test("who is shown out, or leaves on purpose, loses its peers", async () => {
  for (const reason of ["io server disconnect", "io client disconnect"]) {
    const { ada, to } = await connected();
    const seen = record(to, ...EVENTS);
    ada.lose(reason, false);
    assert.deepEqual(seen, [["disconnect", "socket disconnect"]]);
    // The connection is not kept for the sake of peers.
    assert.equal(ada.io.control.connected, false);
  }
  const { hub, bob, from } = await connected();
  const seen = record(from, ...EVENTS);
  const [link] = [...hub.links.keys()];
  hub.tell(bob, "peer:bye", { link, from: null, reason: "peer:left", lost: false });
  assert.deepEqual(seen, [["disconnect", "peer left"]]);
});

test("what is no packet ends the peer, and nothing else", async () => {
  for (const options of [{}, { rtc: false }]) {
    for (const text of ["0", "9", '2["connect"]', '2{"x":1}', "51-[]", "nonsense", "1"]) {
      const { to, from } = await connected(two({ options }));
      const seen = record(from, ...EVENTS);
      to._link.send([{ type: "message", data: text }]);
      await until(() => seen.length);
      assert.deepEqual(seen, [["disconnect", "parse error"]]);
    }
  }
  const { to, from } = await connected(two({ accept: (peer) => peer.accept({ maxMessage: 1000 }) }));
  const seen = record(from, "large", ...EVENTS);
  to.emit("large", "x".repeat(2000));
  await until(() => seen.length);
  assert.deepEqual(seen, [["disconnect", "parse error"]]);
});

test("an offer that is not answered is over when the server says so", async () => {
  const { start, hub, ada, got } = two({ accept: () => {} });
  const to = await start();
  await until(() => got.length);
  hub.tell(ada, "peer:bye", { link: [...hub.links.keys()][0], from: null, reason: "peer:expired", lost: false });
  const seen = record(to, ...EVENTS);
  assert.deepEqual(seen, []);
  assert.equal(Peers.of(ada).peers.size, 0);
});

test("install gives sockets a method and an event, which no server can send", async () => {
  const hub = new Hub();
  class Socket {
    heard = [];
    on(event) {
      this.heard.push(["on", event]);
      return this;
    }
    once(event) {
      this.heard.push(["once", event]);
      return this;
    }
    off(event) {
      this.heard.push(["off", event]);
      return this;
    }
  }
  install({ Socket });
  install({ Socket });
  const make = (id) => Object.assign(new Socket(), Object.fromEntries(Object.entries(hub.page(id))));
  const [ada, bob] = [make("ada"), make("bob")];
  hub.pages.set("ada", ada).set("bob", bob);
  const got = [];
  const unheard = () => got.push("unheard");
  bob.on("other", () => {}).on("peer", unheard).off("peer", unheard);
  bob.once("peer", (peer) => got.push(peer.accept()));
  assert.ok(bob.heard.every(([, event]) => event !== "peer"));
  await settled();
  const to = ada.peer("bob");
  await until(() => to.connected);
  assert.deepEqual(got.map(({ id }) => id), ["ada"]);
});

test("a session has one fingerprint, or none", () => {
  assert.equal(fingerprintOf("v=0\r\na=fingerprint:SHA-256 ab:cd\r\n"), "sha-256 AB:CD");
  assert.equal(fingerprintOf("a=fingerprint:sha-256 AB\na=fingerprint:sha-256 ab"), "sha-256 AB");
  assert.equal(fingerprintOf("a=fingerprint:sha-256 AB\na=fingerprint:sha-256 CD"), undefined);
  assert.equal(fingerprintOf("v=0"), undefined);
});
