// A server that arranges links between peers, and browsers with WebRTC, without either.

import { Emitter } from "../src/emitter.ts";

export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Until something is so. */
export async function until(condition) {
  while (!(await condition())) await settled();
}

class FakeSocket {
  sent = [];
  connected = false;
  active = true;
  told = new Emitter();

  constructor(io, nsp, hub) {
    Object.assign(this, { io, nsp, hub });
  }

  on(event, listener) {
    this.told.on(event, listener);
    return this;
  }

  off(event, listener) {
    this.told.off(event, listener);
    return this;
  }

  connect() {
    this.active = true;
    this.io.entered(this);
    return this;
  }

  disconnect() {
    this.lose("io client disconnect", false);
    return this;
  }

  lose(reason, active = true) {
    this.active = active;
    if (!this.connected) return;
    this.connected = false;
    this.told.emit("disconnect", reason);
  }

  timeout() {
    return this;
  }

  emit(event, ...args) {
    this.sent.push([event, ...args]);
    // As over a network: later, in order, and as another object.
    const copy = structuredClone(args.filter((arg) => typeof arg !== "function"));
    const ack = args.find((arg) => typeof arg === "function");
    queueMicrotask(() => this.hub.take(this, event, copy, ack));
    return this;
  }
}

/** The server: everybody may have a peer, unless `deny` says otherwise. */
export class Hub {
  links = new Map();
  pages = new Map();
  window = 4096;
  /** Changes what is passed on. */
  forge = (message) => message;
  deny = () => undefined;

  /** A page that is connected. */
  page(id, nsp = "/") {
    const hub = this;
    const io = {
      control: undefined,
      refusal: undefined,
      socket(name) {
        io.control = new FakeSocket(io, name, hub);
        io.entered(io.control);
        return io.control;
      },
      entered(control) {
        queueMicrotask(() => {
          if (io.refusal) {
            control.active = false;
            control.told.emit("connect_error", new Error(io.refusal));
          } else {
            control.connected = true;
            control.told.emit("connect");
          }
        });
      },
    };
    const socket = new FakeSocket(io, nsp, hub);
    Object.assign(socket, { id, connected: true });
    this.pages.set(id, socket);
    return socket;
  }

  take(control, event, [message, ...rest], ack) {
    const sender = [...this.pages.values()].find((page) => page.io === control.io);
    if (event === "peer:offer") return this.offer(sender, message, ack);
    const id = typeof message === "string" ? message : message.link;
    const link = this.links.get(id);
    if (!link) return;
    const to = link.find((page) => page !== sender);
    const more = { "peer:data": { data: rest[0] }, "peer:taken": { count: rest[0] } }[event] ?? message;
    if (event === "peer:bye") this.links.delete(id);
    this.tell(to, event, { lost: false, ...more, link: id, from: this.stamp(sender) });
  }

  offer(sender, { to, sdp, relay }, ack) {
    const target = this.pages.get(to);
    const error = this.deny(sender, target) ?? (target?.io.control?.connected ? undefined : "peer:unavailable");
    if (error) return ack(null, { error, message: "refused" });
    const link = `link${this.links.size}-${sender.id}`;
    this.links.set(link, [sender, target]);
    ack(null, { link, window: this.window });
    const session = { sdp, fingerprint: sdp && /fingerprint:(.*)/.exec(sdp)[1], relay };
    this.tell(target, "peer:offer", { link, to, window: this.window, from: this.stamp(sender), ...session });
  }

  stamp({ id, nsp }) {
    return { id, nsp, identity: id.toUpperCase() };
  }

  tell(page, event, message) {
    if (event === "peer:answer") message.fingerprint = message.sdp && /fingerprint:(.*)/.exec(message.sdp)[1];
    page.io.control.told.emit(event, this.forge(message, event));
  }
}

let made = 0;

class FakeChannel {
  readyState = "connecting";
  bufferedAmount = 0;

  send(data) {
    if (this.readyState !== "open") throw new Error("not open");
    const copy = new Uint8Array(data).buffer;
    queueMicrotask(() => this.other.readyState === "open" && this.other.onmessage?.({ data: copy }));
  }

  open() {
    this.readyState = "open";
    this.onopen?.();
  }

  close() {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    queueMicrotask(() => {
      if (this.other && this.other.readyState !== "closed") {
        this.other.readyState = "closed";
        this.other.onclose?.();
      }
    });
  }
}

/** WebRTC between two of its objects in this process; `works` is whether there is a direct way. */
export class FakeConnection {
  static all = new Map();
  static works = true;
  /** The fingerprint that is seen, if it is not the one in the session. */
  static seen = undefined;
  /** Whether a channel opens before the page learns that the peer's session was taken. */
  static hurries = false;

  number = ++made;
  print = `sha-256 ${[this.number >> 8, this.number & 255].map((b) => b.toString(16).padStart(2, "0").toUpperCase()).join(":")}`;
  connectionState = "new";
  sctp = { maxMessageSize: 1000 };
  localDescription = null;
  remoteDescription = null;
  tried = [];

  constructor(config) {
    this.config = config;
    FakeConnection.all.set(this.number, this);
  }

  createDataChannel() {
    return (this.channel = new FakeChannel());
  }

  async setLocalDescription() {
    this.localDescription = { sdp: `v=0\nnumber:${this.number}\na=fingerprint:${this.print}` };
    const candidate = { candidate: `candidate:${this.number}` };
    queueMicrotask(() => this.onicecandidate?.({ candidate: { toJSON: () => candidate } }));
    queueMicrotask(() => this.meet());
  }

  async setRemoteDescription({ sdp }) {
    this.other = FakeConnection.all.get(Number(/number:(\d+)/.exec(sdp)[1]));
    queueMicrotask(() => this.meet());
    if (FakeConnection.hurries) await new Promise((resolve) => setTimeout(resolve));
    this.remoteDescription = { sdp };
  }

  async addIceCandidate(candidate) {
    this.tried.push(candidate);
  }

  meet() {
    const { other } = this;
    if (!FakeConnection.works || other?.other !== this || !other.localDescription || !this.localDescription) return;
    const offerer = this.channel ? this : other;
    const answerer = this.channel ? other : this;
    if (answerer.channel || !offerer.channel) return;
    answerer.channel = new FakeChannel();
    answerer.channel.other = offerer.channel;
    offerer.channel.other = answerer.channel;
    answerer.ondatachannel({ channel: answerer.channel });
    answerer.channel.open();
    // Browsers may tell of one that was open when it came, and we look whether it is.
    answerer.channel.onopen?.();
    offerer.channel.open();
  }

  async getStats() {
    const [fingerprintAlgorithm, fingerprint] = (FakeConnection.seen ?? this.other.print).split(" ");
    return new Map([
      ["T", { type: "transport", remoteCertificateId: "C" }],
      ["C", { type: "certificate", fingerprintAlgorithm, fingerprint }],
    ]);
  }

  fail() {
    this.connectionState = "failed";
    this.onconnectionstatechange?.();
  }

  close() {
    this.connectionState = "closed";
    this.channel?.close();
  }
}
