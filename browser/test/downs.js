// A server that a test writes: what the client asks for, and answers that come piece by piece.

import { Engine } from "../src/engine/engine.ts";
import { encodeFrames } from "../src/engine/frames.ts";
import { settled } from "./pipe.js";

export const HANDSHAKE = { sid: "abc", upgrades: [], pingInterval: 60000, pingTimeout: 1000, maxPayload: 1e6 };

/** Until what was to happen has happened, which may take several turns here. */
export async function until(condition, what = String(condition)) {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Requests by fetch: each can be answered, fail, or be a long response. */
export class FakeServer {
  gets = [];
  posts = [];

  constructor(t) {
    t.mock.method(globalThis, "fetch", (url, init) => this._take(url, init));
  }

  _take(url, { method = "GET", body, signal, ...rest }) {
    return new Promise((resolve, reject) => {
      const request = { method, body, signal, url: new URL(url), query: Object.fromEntries(new URL(url).searchParams), ...rest };
      request.answer = (text = "ok", status = 200) => resolve(new Response(text, { status }));
      request.fail = () => reject(new TypeError("no network"));
      request.begin = () => new Down(resolve, signal);
      request.bytes = () => typeof body === "string" ? body : Buffer.from(body).toString("latin1");
      (method === "GET" ? this.gets : this.posts).push(request);
    });
  }

  /** The next GET, or POST; they are there soon. */
  async get() {
    await until(() => this.gets.length, "a GET");
    return this.gets.shift();
  }

  async post() {
    await until(() => this.posts.length, "a POST");
    return this.posts.shift();
  }
}

/** A response that goes on. */
class Down {
  left = false;

  constructor(resolve, signal) {
    const start = (controller) => (this._controller = controller);
    resolve(new Response(new ReadableStream({ start })));
    signal.addEventListener("abort", () => {
      this.left = true;
      this.break();
    });
  }

  write(text) {
    this._controller.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text);
  }

  /** Packets as frames. */
  async frames(...packets) {
    this.write(await encodeFrames(packets.map(frame)));
  }

  end() {
    this._controller.close();
  }

  break() {
    this._controller.error(new TypeError("terminated"));
  }
}

const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

function frame(packet) {
  if (typeof packet !== "string") return { type: "message", data: packet };
  return { type: TYPES[packet[0]], data: packet.slice(1) };
}

/** Close a session when the test is over, whatever it still waits for. */
export function end(t, engine) {
  t.after(async () => {
    engine._onClose("forced close");
    await settled();
  });
}

/** A session over one transport, and its first response. */
export async function opened(t, Class, options, handshake) {
  const server = new FakeServer(t);
  const engine = new Engine("http://a.test", { transports: [Class], ...options });
  end(t, engine);
  const request = await server.get();
  const down = request.begin();
  return { server, engine, request, down, hello: "0" + JSON.stringify({ ...HANDSHAKE, ...handshake }) };
}
