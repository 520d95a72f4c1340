// WebRTC, with the browser's part and the server's played by the test.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "../src/engine/engine.ts";
import { encodeFrames } from "../src/engine/frames.ts";
import { WebRTC } from "../src/transports/webrtc.ts";
import { record, settled } from "./pipe.js";
import { FakeDataChannel } from "./rtc.js";

const HANDSHAKE = { sid: "abc", upgrades: [], pingInterval: 60_000, pingTimeout: 1 };

/** A session by WebRTC; `answer` is the server's to the offer. */
function session(t, { answer = () => new Response("answer", { status: 201 }), ...options } = {}) {
  const requests = [];
  const connections = [];
  class Connection {
    iceGatheringState = "gathering";
    channel = new FakeDataChannel();

    constructor(configuration) {
      this.configuration = configuration;
      connections.push(this);
    }

    createDataChannel() {
      this.channel.addEventListener = (_, listener) => (this.channel.ended = listener);
      return this.channel;
    }

    async setLocalDescription() {
      this.localDescription = { sdp: "offer" };
      this.gathered();
    }

    gathered() {
      setImmediate(() => {
        this.iceGatheringState = "complete";
        this.onicegatheringstatechange?.();
      });
    }

    async setRemoteDescription(description) {
      this.remote = description;
    }

    close() {
      this.closed = true;
    }
  }
  const before = [globalThis.RTCPeerConnection, globalThis.fetch];
  t.after(() => ([globalThis.RTCPeerConnection, globalThis.fetch] = before));
  globalThis.RTCPeerConnection = options.without ? undefined : Connection;
  globalThis.fetch = async (url, init) => {
    requests.push({ url, ...init });
    return answer();
  };
  const engine = new Engine("https://a.test", { transports: [WebRTC], ...options });
  t.after(() => engine.close());
  const seen = record(engine, "open", "message", "error", "close");
  return { engine, seen, requests, connections, at: (n = 0) => connections[n] };
}

async function until(condition) {
  while (!condition()) await settled();
}

async function arrive(channel, ...packets) {
  channel.onmessage({ data: (await encodeFrames(packets)).buffer });
}

async function opened(t, options) {
  const all = session(t, options);
  await until(() => all.at()?.remote);
  const { channel } = all.at();
  channel.open();
  await arrive(channel, { type: "open", data: JSON.stringify(HANDSHAKE) });
  return { ...all, channel };
}

test("an offer is posted, and the answer opens the channel", async (t) => {
  const own = { iceServers: [{ urls: "stun:s" }], extraHeaders: { x: "y" } };
  const { engine, seen, requests, at, channel } = await opened(t, { query: { a: 1 }, ...own });
  assert.equal(requests.length, 1);
  const [{ url, method, body, headers, credentials }] = requests;
  assert.equal(url, "https://a.test/engine.io/?a=1&EIO=4&transport=webrtc");
  assert.deepEqual([method, body, credentials], ["POST", "offer", "same-origin"]);
  assert.deepEqual(headers, { x: "y", "content-type": "application/sdp" });
  assert.deepEqual(at().configuration, { iceServers: own.iceServers });
  assert.deepEqual(at().remote, { type: "answer", sdp: "answer" });
  assert.deepEqual([seen.splice(0), engine.id], [[["open"]], "abc"]);
  await arrive(channel, { type: "message", data: "a" }, { type: "message", data: Uint8Array.of(7) });
  assert.deepEqual(seen, [["message", "a"], ["message", Uint8Array.of(7).buffer]]);
});

test("what is sent in one turn leaves in one message", async (t) => {
  const { engine, channel } = await opened(t);
  engine.send("a");
  assert.equal(engine.transport.writable, false);
  engine.send("b").send("c");
  await until(() => engine.transport.writable);
  assert.deepEqual(channel.sent, [Uint8Array.of(2, 52, 97), Uint8Array.of(2, 52, 98, 2, 52, 99)]);
});

test("a close lets what was sent leave", async (t) => {
  const { engine, at, channel, seen } = await opened(t);
  engine.close();
  assert.equal(channel.readyState, "closed");
  assert.equal(at().closed, undefined);
  channel.ended();
  assert.ok(at().closed);
  assert.equal(seen.at(-1)[1], "forced close");
});

test("the end of the channel is that of the session", async (t) => {
  const { at, channel, seen } = await opened(t);
  channel.onclose(new Event("close"));
  assert.deepEqual(seen.at(-1), ["close", "transport close", { description: "data channel closed" }]);
  assert.ok(at().closed);
});

test("an error of the channel or of the connection is one", async (t) => {
  for (const fail of [
    ({ channel }) => channel.onerror(new Event("error")),
    ({ at }) => Object.assign(at(), { connectionState: "failed" }).onconnectionstatechange(),
  ]) {
    const all = await opened(t);
    fail(all);
    const [error, close] = all.seen.slice(-2);
    assert.deepEqual([error[0], error[1].message, close[1]], ["error", "webrtc error", "transport error"]);
    assert.ok(all.at().closed);
  }
});

test("a refusal has its status, and what the server said", async (t) => {
  const { seen, at } = session(t, { answer: () => new Response("no", { status: 403 }) });
  await until(() => seen.length === 2);
  const [, error] = seen[0];
  assert.deepEqual([error.message, error.description, error.context.responseText], ["webrtc error", 403, "no"]);
  assert.ok(at().closed);
});

test("where there is no WebRTC it fails at once", async (t) => {
  const { seen } = session(t, { without: true });
  await until(() => seen.length === 2);
  assert.equal(seen[0][1].message, "webrtc error");
});

test("an opening that takes too long is given up", async (t) => {
  const { seen, at } = session(t, { openTimeout: 20 });
  await until(() => seen.length === 2);
  assert.deepEqual([seen[0][1].message, seen[0][1].description], ["webrtc error", "timeout"]);
  assert.ok(at().closed);
});

test("addresses that are slow to be found are not waited for", async (t) => {
  const all = session(t, { gatherTimeout: 10 });
  await until(() => all.at());
  all.at().gathered = () => {};
  await until(() => all.at().remote);
  assert.equal(all.requests[0].body, "offer");
});

test("what is closed while it opens asks nobody", async (t) => {
  const { engine, requests, connections } = session(t);
  await until(() => connections.length);
  engine.close();
  for (let turn = 0; turn < 10; turn++) await settled();
  assert.deepEqual(requests, []);
  assert.ok(connections[0].closed);
});
