// A transport without a network: the test is the server at its other end.

import { Transport } from "../src/engine/transport.ts";

const HANDSHAKE = { sid: "one", upgrades: [], pingInterval: 1000, pingTimeout: 500 };

/** A class of transports under a name of its own; `made` holds those that were made. */
export function pipe(name = "pipe") {
  return class Pipe extends Transport {
    static made = [];

    static get last() {
      return Pipe.made.at(-1);
    }

    sent = [];
    /** Whether it is done with a packet as soon as it has got it. */
    fast = true;
    finished = false;

    constructor(options) {
      super(options);
      Pipe.made.push(this);
    }

    get name() {
      return name;
    }

    doOpen() {}

    doClose() {
      this.finished = true;
    }

    write(packets) {
      this.writable = false;
      this.sent.push(packets.map(({ type, data }) => (data === undefined ? [type] : [type, data])));
      if (this.fast) this.drain();
    }

    drain() {
      this.writable = true;
      this.emit("drain");
    }

    /** All packets that were sent, whatever was sent together, and forget them. */
    take() {
      return this.sent.splice(0).flat();
    }

    /** The server opens a session. */
    accept(handshake) {
      this.onOpen();
      this.receive("open", JSON.stringify({ ...HANDSHAKE, ...handshake }));
    }

    /** The server sends something. */
    receive(type, data) {
      this.onPacket({ type, data });
    }

    /** The server sends a message. */
    say(data) {
      this.receive("message", data);
    }

    fail(reason) {
      this.onError(reason);
    }

    end() {
      this.onClose({ description: "ended" });
    }
  };
}

/** Everything that an emitter tells under these names, in order. */
export function record(emitter, ...events) {
  const seen = [];
  for (const event of events) emitter.on(event, (...args) => seen.push([event, ...args]));
  return seen;
}

/** A page, as far as its events go. */
export function fakePage() {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.removeEventListener = page.removeEventListener.bind(page);
  return {
    tell: (event) => page.dispatchEvent(new Event(event)),
    leave() {
      delete globalThis.addEventListener;
      delete globalThis.removeEventListener;
    },
  };
}

/** Until everything that was to happen at once has happened. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
