/*! Nuncio's client for Socket.IO v0.1.0 | MIT */
(publish=>{"use strict";

// src/backoff.ts
var Backoff = class {
  /**
   * @param min the first delay.
   * @param max the longest.
   * @param jitter by which part of itself a delay may differ, so that clients do not come together.
   */
  constructor(min, max, jitter) {
    this.min = min;
    this.max = max;
    this.jitter = jitter;
    this.attempts = 0;
  }
  /** The next delay. */
  duration() {
    let delay = this.min * 2 ** this.attempts++;
    const random = Math.random();
    const deviation = Math.floor(random * this.jitter * delay);
    if (this.jitter > 0 && this.jitter <= 1) {
      delay += Math.floor(random * 10) % 2 ? deviation : -deviation;
    }
    return Math.trunc(Math.min(delay, this.max));
  }
  /** Begin anew. */
  reset() {
    this.attempts = 0;
  }
};

// src/emitter.ts
var Emitter = class {
  constructor() {
    this._handlers = /* @__PURE__ */ new Map();
  }
  /** Call a function at each event of this name. */
  on(event, listener) {
    const handlers = this._handlers.get(event);
    if (handlers) handlers.push(listener);
    else this._handlers.set(event, [listener]);
    return this;
  }
  /** Call a function at the next event of this name. */
  once(event, listener) {
    const single = (...args) => {
      this.off(event, single);
      listener.apply(this, args);
    };
    single.wraps = listener;
    return this.on(event, single);
  }
  /** Forget one listener of an event; or all of them; or, without a name, those of all events. */
  off(event, listener) {
    const handlers = this._handlers.get(event);
    if (event === void 0) this._handlers.clear();
    else if (!listener) this._handlers.delete(event);
    else if (handlers) {
      const index = handlers.findIndex((h) => h === listener || h.wraps === listener);
      if (index >= 0) handlers.splice(index, 1);
      if (!handlers.length) this._handlers.delete(event);
    }
    return this;
  }
  /** Call the listeners of an event, as they are now, in their order. */
  emit(event, ...args) {
    for (const handler of this.listeners(event).slice()) handler.apply(this, args);
    return this;
  }
  /** The listeners of an event. */
  listeners(event) {
    return this._handlers.get(event) ?? [];
  }
  /** Whether an event has any listener. */
  hasListeners(event) {
    return this.listeners(event).length > 0;
  }
};
var methods = Emitter.prototype;
methods.addEventListener = methods.on;
methods.removeListener = methods.removeEventListener = methods.removeAllListeners = methods.off;

// src/page.ts
var AWAKE = ["resume", "pageshow", "visibilitychange", "online"];
function onPage(events, listener) {
  for (const event of events) globalThis.addEventListener?.(event, listener, true);
  return () => {
    for (const event of events) globalThis.removeEventListener?.(event, listener, true);
  };
}

// src/timers.ts
var bound = () => [
  globalThis.setTimeout.bind(globalThis),
  globalThis.clearTimeout.bind(globalThis)
];
var native = bound();
function timersFor({ useNativeTimers, autoUnref }) {
  const [set, stop] = useNativeTimers ? native : bound();
  return {
    start(task, milliseconds) {
      const timer = set(task, milliseconds);
      if (autoUnref) timer.unref?.();
      return timer;
    },
    stop
  };
}

// src/url.ts
var MAX_LENGTH = 8e3;
var ADDRESS = /^(?:(https?|wss?):)?(?:\/\/)?(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^:/?#]*)(?::(\d*))?([^?#]*)(?:\?([^#]*))?/i;
function here() {
  return typeof location === "undefined" ? void 0 : location;
}
function parse(source) {
  if (source.length > MAX_LENGTH) throw new Error("URI too long");
  const [, scheme = "", host = "", port = "", path = "", query = ""] = ADDRESS.exec(source);
  return { source, secure: /^(https|wss)$/i.test(scheme), host: bare(host), port, path, query };
}
function bare(host) {
  return host.replace(/^\[|\]$/g, "");
}
function bracketed(host) {
  return host.includes(":") ? `[${host}]` : host;
}
function target(uri, path = "", place = here()) {
  const source = complete(uri, place);
  const address = parse(source);
  const { secure, host } = address;
  const port = address.port || (secure ? "443" : "80");
  const protocol3 = source.slice(0, source.indexOf(":"));
  const id = `${protocol3}://${bracketed(host)}:${port}${path}`;
  return { source, protocol: protocol3, host, port, path: address.path || "/", id };
}
function complete(uri, place) {
  if (uri == null || uri[0] === "/") {
    if (!place) throw new Error("without a page, io() needs an address");
    if (uri == null) return `${place.protocol}//${place.host}`;
    return place.protocol + (uri[1] === "/" ? uri : `//${place.host}${uri}`);
  }
  if (/^(https?|wss?):\/\//i.test(uri)) return uri;
  return `${place ? place.protocol : "https:"}//${uri}`;
}
function readQuery(text) {
  return Object.fromEntries(new URLSearchParams(text.replace(/\+/g, "%2B")));
}
function writeQuery(query) {
  return Object.entries(query).map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`).join("&");
}

// src/engine/memory.ts
var memory = {
  /** Whether the last one got through by WebSocket: see the option `rememberUpgrade`. */
  websocket: false
};

// src/engine/packet.ts
var TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
var SEPARATOR = "";
var CHUNK = 32768;
function encode({ type, data }) {
  return typeof data === "object" && data !== null ? data : TYPES.indexOf(type) + (data || "");
}
function encodeText(packet) {
  const encoded = encode(packet);
  if (typeof encoded === "string") return encoded;
  return encoded instanceof Blob ? encoded.arrayBuffer().then(toBase64) : toBase64(encoded);
}
async function encodePayload(packets) {
  return (await Promise.all(packets.map(encodeText))).join(SEPARATOR);
}
function decode(data, binaryType) {
  if (typeof data !== "string") return { type: "message", data: as(binaryType, data) };
  try {
    if (data[0] === "b") {
      const bytes = Uint8Array.from(atob(data.slice(1)), (char) => char.charCodeAt(0));
      return { type: "message", data: as(binaryType, bytes.buffer) };
    }
    const type = /^[0-6]/.test(data) && TYPES[Number(data[0])];
    if (type) return data.length > 1 ? { type, data: data.slice(1) } : { type };
  } catch {
  }
  return { type: "error", data: "parser error" };
}
function decodePayload(payload, binaryType) {
  const packets = [];
  for (const part of payload.split(SEPARATOR)) {
    const packet = decode(part, binaryType);
    packets.push(packet);
    if (packet.type === "error") break;
  }
  return packets;
}
function sizeOf(data) {
  if (typeof data === "string") return new TextEncoder().encode(data).length;
  return data ? Math.ceil((data.byteLength ?? data.size) * 1.33) : 0;
}
function toBase64(data) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return "b" + btoa(text);
}
function as(binaryType, bytes) {
  if (binaryType === "blob") return new Blob([bytes]);
  return binaryType === "nodebuffer" ? Buffer.from(bytes) : bytes;
}

// src/engine/platform.ts
var platform = {
  binaryType: "arraybuffer",
  connect: (url, protocols) => new globalThis.WebSocket(url, protocols ?? [])
};

// src/subscribe.ts
function subscribe(source, listeners) {
  const all = Object.entries(listeners);
  for (const [event, listener] of all) source.on(event, listener);
  return () => {
    for (const [event, listener] of all) source.off(event, listener);
  };
}

// src/engine/probe.ts
var HEAD_START = 200;
var Probe = class {
  /**
   * @param _engine the session.
   * @param name of the new transport.
   */
  constructor(_engine, name) {
    this._engine = _engine;
    this._over = false;
    this._transport = _engine._create(name);
    memory.websocket = false;
    subscribe(this._transport, {
      open: () => this._transport.send([{ type: "ping", data: "probe" }]),
      packet: (packet) => this._onAnswer(packet),
      error: (error) => this._fail(error),
      close: () => this._fail("transport closed")
    });
    this._leave = subscribe(_engine, {
      close: () => this._fail("socket closed"),
      // Another transport was faster.
      upgrading: (winner) => winner === this._transport || this._stop()
    });
    if (name !== "webtransport" && _engine._handshake.upgrades.includes("webtransport")) {
      _engine.timers.start(() => this._over || this._transport.open(), HEAD_START);
    } else this._transport.open();
  }
  _onAnswer(packet) {
    const { _engine: engine, _transport: transport } = this;
    if (this._resting) return;
    if (packet.type !== "pong" || packet.data !== "probe") return this._fail("probe error");
    engine.upgrading = true;
    engine.emit("upgrading", transport);
    if (this._over) return;
    this._resting = engine.transport;
    engine.transport.pause(() => {
      if (!this._over) this._goOn();
    });
  }
  _goOn() {
    const { _engine: engine, _transport: transport } = this;
    this._end();
    engine._use(transport);
    transport.send([{ type: "upgrade" }]);
    memory.websocket = transport.name === "websocket";
    engine.emit("upgrade", transport);
    engine.upgrading = false;
    engine.flush();
  }
  _fail(reason) {
    if (this._over) return;
    const { _engine: engine, _transport: transport } = this;
    const text = reason.message ?? reason;
    this._stop();
    if (engine.readyState !== "closed" && this._resting) {
      engine.upgrading = false;
      this._resting.resume?.();
    }
    const error = new Error(text === "probe error" ? text : `probe error: ${text}`);
    engine.emit("upgradeError", Object.assign(error, { transport: transport.name }));
    engine.flush();
  }
  _stop() {
    this._end();
    this._transport.close();
  }
  _end() {
    this._over = true;
    this._transport.removeAllListeners();
    this._leave();
  }
};

// src/engine/transport.ts
var TransportError = class extends Error {
  constructor(message, description, context) {
    super(message);
    this.description = description;
    this.context = context;
    this.type = "TransportError";
  }
};
var Transport = class extends Emitter {
  constructor(options) {
    super();
    /** Whether packets can be given to it now. */
    this.writable = false;
    this.readyState = "";
    this.opts = options;
    this.query = options.query ?? {};
    this.socket = options.socket;
    this.supportsBinary = !options.forceBase64;
  }
  open() {
    this.readyState = "opening";
    this.doOpen();
    return this;
  }
  close() {
    if (this.readyState && this.readyState !== "closed") {
      this.doClose();
      this.onClose();
    }
    return this;
  }
  /** Send packets; only while it is `writable`. */
  send(packets) {
    if (this.readyState === "open") this.write(packets);
  }
  /** Come to rest, with everything sent and received, so that another transport can go on. */
  pause(done) {
    if (this.writable) done();
    else this.once("drain", done);
  }
  onOpen() {
    this.readyState = "open";
    this.writable = true;
    this.emit("open");
  }
  onData(data) {
    this.onPacket(decode(data, this.socket.binaryType));
  }
  onPacket(packet) {
    this.emit("packet", packet);
  }
  onError(reason, description, context) {
    return this.emit("error", new TransportError(reason, description, context));
  }
  onClose(details) {
    this.readyState = "closed";
    this.emit("close", details);
  }
  /** @internal Headers for a request: those of the options, and cookies where no browser keeps them. */
  _headers() {
    const cookie = this.socket.cookies?.header();
    return { ...this.opts.extraHeaders, ...cookie && { cookie } };
  }
  /**
   * The URL, with the session's id and what else the query needs.
   *
   * @param scheme which gets an `s` where it has to be secure.
   * @param stamped whether the URL shall be another one each time, so that no cache answers.
   */
  createUri(scheme, stamped = false) {
    const { hostname = "", port, secure, path, timestampParam } = this.opts;
    const implied = !port || Number(port) === (secure ? 443 : 80);
    const query = { ...this.query };
    if (stamped) query[timestampParam ?? "t"] = Math.random().toString(36).slice(2, 10);
    if (!this.supportsBinary) query.b64 = 1;
    const text = writeQuery(query);
    return `${scheme}${secure ? "s" : ""}://${bracketed(hostname)}${implied ? "" : ":" + port}${path}${text && "?" + text}`;
  }
};

// src/engine/polling.ts
var Polling = class extends Transport {
  get name() {
    return "polling";
  }
  /** The URL of the next request. */
  uri() {
    return this.createUri("http", this.opts.timestampRequests !== false);
  }
  doOpen() {
    this._poll();
  }
  doClose() {
    if (this.readyState !== "opening") this._sayGoodbye();
  }
  write(packets) {
    this.writable = false;
    this._writing = this._post(packets).then((sent) => {
      if (!sent) return;
      this.writable = true;
      this.emit("drain");
    });
  }
  pause(done) {
    this.readyState = "pausing";
    Promise.all([this._reading, this._writing]).then(() => {
      if (this.readyState !== "pausing") return;
      this.readyState = "paused";
      done();
    });
  }
  /** Go on after `pause`, when the other transport has failed after all. */
  resume() {
    if (!this.readyState.startsWith("paus")) return;
    this.readyState = "open";
    if (!this._reading) this._poll();
  }
  _poll() {
    this._reading = this._get();
  }
  async _get() {
    const body = await this._request("xhr poll error");
    try {
      if (body !== void 0) this._take(body);
    } finally {
      this._reading = null;
      if (this.readyState === "open" && body !== void 0) this._poll();
    }
  }
  _take(body) {
    for (const packet of decodePayload(body, this.socket.binaryType)) {
      if (this.readyState === "closed") return this._leave(packet);
      if (this.readyState === "opening" && packet.type === "open") this.onOpen();
      if (packet.type === "close") {
        return this.onClose({ description: "transport closed by the server" });
      }
      this.onPacket(packet);
    }
  }
  /** End a session that opened after it had been given up. */
  _leave({ type, data }) {
    if (type !== "open" || this.query.sid) return;
    this.query.sid = JSON.parse(data).sid;
    this._sayGoodbye();
  }
  _sayGoodbye() {
    void this._post([{ type: "close" }], true);
  }
  async _post(packets, last) {
    const body = await encodePayload(packets);
    return await this._request("xhr post error", body, last) !== void 0;
  }
  /** The body of the answer; undefined when there is none, which has been told then. */
  async _request(reason, body, last) {
    let status = 0;
    let context;
    try {
      const response = await this._fetch(body, last);
      const text = await response.text();
      if (response.ok) return text;
      ({ status } = response);
      context = contextOf(response, text);
    } catch (error) {
      context = error;
    }
    if (this.readyState !== "closed") this.onError(reason, status, context);
    return void 0;
  }
  async _fetch(body, last) {
    const { withCredentials, requestTimeout } = this.opts;
    const response = await fetch(this.uri(), {
      method: body === void 0 ? "GET" : "POST",
      body,
      // The last words are said even when the page is gone.
      keepalive: last,
      headers: this._headers(),
      credentials: withCredentials ? "include" : "same-origin",
      signal: requestTimeout ? AbortSignal.timeout(requestTimeout) : void 0
    });
    this.socket.cookies?.take(response);
    return response;
  }
};
function contextOf(response, responseText) {
  return Object.assign(response, { readyState: 4, responseText });
}

// src/engine/websocket.ts
var WS = class extends Transport {
  get name() {
    return "websocket";
  }
  /** The URL. */
  uri() {
    return this.createUri("ws", this.opts.timestampRequests);
  }
  doOpen() {
    try {
      this._listen(this.ws = platform.connect(this.uri(), this.opts.protocols, this._headers()));
    } catch (error) {
      queueMicrotask(() => this.onError("websocket error", error));
    }
  }
  _listen(ws) {
    ws.binaryType = "arraybuffer";
    ws.onopen = () => this.onOpen();
    ws.onclose = (context) => {
      this.onClose({ description: "websocket connection closed", context });
    };
    ws.onmessage = (event) => this.onData(event.data);
    ws.onerror = (event) => this.onError("websocket error", event);
  }
  async write(packets) {
    this.writable = false;
    for (const packet of packets) {
      let data = this.supportsBinary ? encode(packet) : encodeText(packet);
      if (data instanceof Promise) data = await data;
      try {
        this.ws.send(data);
      } catch {
      }
    }
    await null;
    this.writable = true;
    this.emit("drain");
  }
  doClose() {
    if (!this.ws) return;
    this.ws.onerror = () => {
    };
    this.ws.close();
  }
};

// src/engine/transports.ts
var transports = { polling: Polling, websocket: WS };
var ORDER = ["polling", "websocket", "webtransport"];
function choose(wanted) {
  const chosen = /* @__PURE__ */ new Map();
  for (const item of wanted) {
    if (typeof item !== "string") chosen.set(item.prototype.name, item);
    else if (Object.hasOwn(transports, item)) chosen.set(item, transports[item]);
  }
  return chosen;
}

// src/engine/engine.ts
var DEFAULTS = { path: "/engine.io", addTrailingSlash: true, upgrade: true, timestampParam: "t" };
var protocol = 4;
var Engine = class extends Emitter {
  /**
   * @param uri the address, or all options.
   * @param options see `EngineOptions`.
   */
  constructor(uri, options = {}) {
    super();
    this.id = null;
    this.readyState = "closed";
    /** What has not been sent, or is just being sent. */
    this.writeBuffer = [];
    this.binaryType = platform.binaryType;
    /** Whether it is moving to another transport; nothing is sent meanwhile. */
    this.upgrading = false;
    /** When the server is taken for dead: see `_hasPingExpired`. */
    this._pingTimeoutTime = Infinity;
    this._leave = [];
    /** How many packets of the buffer the transport is busy with. */
    this._sending = 0;
    const given = typeof uri === "object" && uri ? uri : options;
    const place = locate(typeof uri === "string" ? uri : void 0, given);
    this.hostname = place.hostname;
    this.port = place.port;
    this.secure = place.secure;
    this.opts = { ...DEFAULTS, ...given, query: place.query };
    const path = this.opts.path.replace(/\/$/, "");
    this.opts.path = path + (this.opts.addTrailingSlash ? "/" : "");
    this._classes = choose(this.opts.transports ?? ORDER);
    this.transports = [...this._classes.keys()];
    this.timers = timersFor(this.opts);
    if (this.opts.withCredentials) this.cookies = platform.cookies?.();
    this._watchPage();
    this.open();
  }
  /** Begin with the first transport. */
  open() {
    if (!this.transports.length) {
      this.timers.start(() => this.emit("error", "No transports available"));
      return;
    }
    const { rememberUpgrade } = this.opts;
    const remembered = rememberUpgrade && memory.websocket && this._classes.has("websocket");
    this.readyState = "opening";
    this._use(this._create(remembered ? "websocket" : this.transports[0])).open();
  }
  /** Send a message; `sent` is called when it has been handed to the transport. */
  send(data, options, sent) {
    this._send("message", data, options, sent);
    return this;
  }
  /** As `send`. */
  write(data, options, sent) {
    return this.send(data, options, sent);
  }
  /** Close, once everything has been sent. */
  close() {
    if (this.readyState !== "opening" && this.readyState !== "open") return this;
    this.readyState = "closing";
    const close = () => this._onClose("forced close");
    const afterUpgrade = () => {
      if (this.upgrading) this.once("upgrade", close).once("upgradeError", close);
      else close();
    };
    if (this.writeBuffer.length) this.once("drain", afterUpgrade);
    else afterUpgrade();
    return this;
  }
  /**
   * Whether the server has been silent for too long, by the clock and not by a time-out, which comes
   * late in a page that was in the background or in a computer that slept. The session then ends.
   */
  _hasPingExpired() {
    if (!this._pingTimeoutTime) return true;
    const expired = Date.now() > this._pingTimeoutTime;
    if (expired) {
      this._pingTimeoutTime = 0;
      queueMicrotask(() => this._onClose("ping timeout"));
    }
    return expired;
  }
  // --- for its transports and probes
  /** @internal */
  _create(name) {
    const own = this.opts.transportOptions?.[name];
    const query = { ...this.opts.query, ...own?.query, EIO: protocol, transport: name };
    return new (this._classes.get(name))({
      ...this.opts,
      hostname: this.hostname,
      port: this.port,
      secure: this.secure,
      socket: this,
      ...own,
      query: this.id ? { ...query, sid: this.id } : query
    });
  }
  /** @internal Go on with a transport. */
  _use(transport) {
    this.transport?.removeAllListeners();
    return (this.transport = transport).on("drain", () => this._onDrain()).on("packet", (packet) => this._onPacket(packet)).on("error", (error) => this._onError(error)).on("close", (details) => this._onClose("transport close", details));
  }
  /** @internal */
  _send(type, data, options, sent) {
    if (this.readyState === "closing" || this.readyState === "closed") return;
    const packet = { type, data, options: { ...options, compress: options?.compress !== false } };
    this.emit("packetCreate", packet);
    this.writeBuffer.push(packet);
    if (sent) this.once("flush", sent);
    this.flush();
  }
  /** @internal Hand what is buffered to the transport, if it can take it. */
  flush() {
    const { transport, writeBuffer } = this;
    if (this.readyState === "closed" || this.upgrading || this._sending) return;
    if (!transport.writable || !writeBuffer.length) return;
    const packets = writeBuffer.slice(0, this._fitting());
    this._sending = packets.length;
    transport.send(packets);
    this.emit("flush");
  }
  /** @internal */
  _onClose(reason, details) {
    if (this.readyState === "closed") return;
    this.timers.stop(this._silenceTimer);
    this.transport?.removeAllListeners("close").close().removeAllListeners();
    for (const leave of this._leave) leave();
    this.readyState = "closed";
    this.id = null;
    this.emit("close", reason, details);
    this.writeBuffer = [];
    this._sending = 0;
  }
  // --- its own
  /** How many packets go into one request. */
  _fitting() {
    const { writeBuffer } = this;
    const max = this._handshake?.maxPayload;
    if (!max || this.transport.name !== "polling") return writeBuffer.length;
    let size = 1;
    for (let count = 0; count < writeBuffer.length; count++) {
      size += sizeOf(writeBuffer[count].data);
      if (count && size > max) return count;
      size += 2;
    }
    return writeBuffer.length;
  }
  _onDrain() {
    this.writeBuffer.splice(0, this._sending);
    this._sending = 0;
    if (this.writeBuffer.length) this.flush();
    else this.emit("drain");
  }
  _onPacket(packet) {
    if (this.readyState === "closed") return;
    this.emit("packet", packet);
    this.emit("heartbeat");
    const { type, data } = packet;
    if (type === "message") {
      this.emit("data", data);
      this.emit("message", data);
    } else if (type === "ping") {
      this._send("pong");
      this.emit("ping");
      this.emit("pong");
      this._listenForPing();
    } else if (type === "open") this._onHandshake(data);
    else if (type === "error") this._onError(garbage(data));
  }
  _onHandshake(data) {
    let handshake;
    try {
      this._handshake = handshake = JSON.parse(data);
    } catch {
      return this._onError(garbage("parser error"));
    }
    this.emit("handshake", handshake);
    this.id = this.transport.query.sid = handshake.sid;
    handshake.upgrades = handshake.upgrades.filter((name) => this._classes.has(name));
    this._onOpen();
    this._listenForPing();
  }
  _onOpen() {
    if (this.readyState === "opening") this.readyState = "open";
    memory.websocket = this.transport.name === "websocket";
    this.emit("open");
    this.flush();
    if (this.readyState !== "open" || !this.opts.upgrade) return;
    for (const name of this._handshake.upgrades) new Probe(this, name);
  }
  _listenForPing() {
    this.timers.stop(this._silenceTimer);
    if (this.readyState === "closed") return;
    const { pingInterval, pingTimeout } = this._handshake;
    const silence = pingInterval + pingTimeout;
    this._pingTimeoutTime = Date.now() + silence;
    this._silenceTimer = this.timers.start(() => this._onClose("ping timeout"), silence);
  }
  /** @internal */
  _onError(error) {
    memory.websocket = false;
    if (this.opts.tryAllTransports && this.transports.length > 1 && this.readyState === "opening") {
      this.transports.shift();
      return this.open();
    }
    this.emit("error", error);
    this._onClose("transport error", error);
  }
  _watchPage() {
    const lost = { description: "network connection lost" };
    this._leave.push(
      onPage(["offline"], () => this._onClose("transport close", lost)),
      onPage(AWAKE, () => void this._hasPingExpired())
    );
    if (!this.opts.closeOnBeforeunload) return;
    this._leave.push(
      onPage(["beforeunload"], () => {
        this.transport?.removeAllListeners().close();
      })
    );
  }
};
function locate(uri, options) {
  const page = here();
  let { hostname, port, secure = page?.protocol === "https:" } = options;
  let query = options.query;
  if (uri !== void 0) {
    const address = parse(uri);
    hostname = address.host;
    secure = address.secure;
    port = address.port || port;
    query = address.query || query;
  } else if (options.host) hostname = options.host;
  if (!hostname) {
    hostname = page?.hostname || "localhost";
    port ||= page?.port;
  }
  port ||= secure ? "443" : "80";
  if (typeof query === "string") query = readQuery(query);
  return { hostname: bare(hostname), secure, port, query };
}
function garbage(code) {
  return Object.assign(new Error("server error"), { code });
}

// src/parser/packet.ts
var protocol2 = 5;
var RESERVED = [
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener"
];
function isValid(type, data) {
  switch (type) {
    case 0 /* CONNECT */:
      return data === void 0 || isObject(data) && !Array.isArray(data);
    case 1 /* DISCONNECT */:
      return data === void 0;
    case 4 /* CONNECT_ERROR */:
      return typeof data === "string" || isObject(data);
    case 3 /* ACK */:
      return Array.isArray(data);
    default:
      return Array.isArray(data) && isEventName(data[0]);
  }
}
function isObject(value) {
  return typeof value === "object" && value !== null;
}
function isEventName(name) {
  return typeof name === "number" || typeof name === "string" && !RESERVED.includes(name);
}

// src/parser/binary.ts
var PLACEHOLDER = "_placeholder";
function isBinary(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob;
}
function hasBinary(value) {
  if (!isObject(value)) return false;
  if (isBinary(value)) return true;
  if (typeof value.toJSON === "function") {
    const plain = value.toJSON();
    return isBinary(plain) || isObject(plain) && Object.values(plain).some(hasBinary);
  }
  return Object.values(value).some(hasBinary);
}
function takeApart(value, attachments, replacer) {
  return JSON.stringify(value, function(key, plain) {
    const found = [this[key], plain].find(isBinary);
    if (found) return { [PLACEHOLDER]: true, num: attachments.push(found) - 1 };
    return replacer ? replacer.call(this, key, plain) : plain;
  });
}
function putTogether(value, attachments) {
  if (!isObject(value)) return value;
  if (value[PLACEHOLDER] === true) {
    const num = value.num;
    if (Number.isInteger(num) && num >= 0 && num < attachments.length) return attachments[num];
    throw new Error("illegal attachments");
  }
  for (const key of Object.keys(value)) value[key] = putTogether(value[key], attachments);
  return value;
}

// src/parser/decoder.ts
var HEAD = /^(?:([0-4])|([56])(\d+)-)(?:(\/[^,]*),?)?(\d*)/;
var TO_TEXT = 5 /* BINARY_EVENT */ - 2 /* EVENT */;
var Decoder = class extends Emitter {
  constructor(options) {
    super();
    this._options = typeof options === "function" ? { reviver: options } : options ?? {};
  }
  /** Take a message; `decoded` is emitted when a packet is complete. */
  add(message) {
    if (typeof message === "string") this._addText(message);
    else this._addAttachment(message);
  }
  /** Forget a packet that is not complete. */
  destroy() {
    this._waiting = void 0;
  }
  _addText(text) {
    if (this._waiting) throw new Error("text instead of an attachment");
    const head = HEAD.exec(text);
    if (!head) throw new Error("illegal packet");
    const [whole, plain, binary, count, nsp = "/", id] = head;
    const type = plain ? Number(plain) : Number(binary) - TO_TEXT;
    const json = text.slice(whole.length);
    const data = json ? this._parse(json) : void 0;
    const packet = { type, nsp, data };
    if (id) packet.id = Number(id);
    if (!isValid(type, data)) throw new Error("invalid payload");
    if (plain) this.emit("decoded", packet);
    else this._wait(packet, Number(count));
  }
  _parse(json) {
    try {
      return JSON.parse(json, this._options.reviver);
    } catch {
      throw new Error("invalid payload");
    }
  }
  _wait(packet, count) {
    if (!count) throw new Error("illegal attachments");
    if (count > (this._options.maxAttachments ?? 10)) throw new Error("too many attachments");
    this._waiting = { packet, count, attachments: [] };
  }
  _addAttachment(data) {
    const waiting = this._waiting;
    if (!waiting) throw new Error("unexpected attachment");
    const { packet, count, attachments } = waiting;
    if (attachments.push(data) < count) return;
    this._waiting = void 0;
    packet.data = putTogether(packet.data, attachments);
    this.emit("decoded", packet);
  }
};

// src/parser/encoder.ts
var Encoder = class {
  /** @param replacer as for `JSON.stringify`. */
  constructor(_replacer) {
    this._replacer = _replacer;
  }
  /** The messages of a packet, which are to be sent one after the other. */
  encode({ type, nsp, id, data }) {
    const attachments = [];
    let json = "";
    let head = type;
    if ((type === 2 /* EVENT */ || type === 3 /* ACK */) && hasBinary(data)) {
      json = takeApart(data, attachments, this._replacer);
      head = `${type + 5 /* BINARY_EVENT */ - 2 /* EVENT */}${attachments.length}-`;
    } else if (data != null) json = JSON.stringify(data, this._replacer);
    return [`${head}${nsp && nsp !== "/" ? nsp + "," : ""}${id ?? ""}${json}`, ...attachments];
  }
};

// src/acks.ts
var Acks = class {
  constructor(_timers) {
    this._timers = _timers;
    this._waiting = /* @__PURE__ */ new Map();
  }
  /**
   * Wait for an acknowledgement.
   *
   * @param id of the packet.
   * @param ack gets it.
   * @param timeout until it gets an error instead; none for ever.
   * @param onTimeout is called before that.
   */
  add(id, ack, timeout, onTimeout) {
    if (timeout === void 0) {
      this._waiting.set(id, ack);
      return;
    }
    const timer = this._timers.start(() => {
      this._waiting.delete(id);
      onTimeout();
      ack(new Error("operation has timed out"));
    }, timeout);
    const timed = (...args) => {
      this._timers.stop(timer);
      ack(...args);
    };
    timed.withError = true;
    this._waiting.set(id, timed);
  }
  /** An acknowledgement has come; one that nobody waits for is none. */
  settle(id, args) {
    const ack = this._waiting.get(id);
    this._waiting.delete(id);
    if (ack?.withError) ack(null, ...args);
    else ack?.(...args);
  }
  /** The connection is lost, and with it what was asked, except for the ids that are to be kept. */
  fail(kept) {
    for (const [id, ack] of [...this._waiting]) {
      if (kept.has(id)) continue;
      this._waiting.delete(id);
      if (ack.withError) ack(new Error("socket has been disconnected"));
    }
  }
};

// src/catchall.ts
var CatchAll = class {
  constructor() {
    this._listeners = [];
  }
  add(listener) {
    this._listeners.push(listener);
  }
  prepend(listener) {
    this._listeners.unshift(listener);
  }
  /** Forget one listener, or all. */
  remove(listener) {
    const { _listeners: all } = this;
    const index = listener ? all.indexOf(listener) : 0;
    if (index >= 0) all.splice(index, listener ? 1 : all.length);
  }
  /** The list itself, which may be changed. */
  all() {
    return this._listeners;
  }
  /** Call them, as they are now. */
  tell(target2, args) {
    for (const listener of this._listeners.slice()) listener.apply(target2, args);
  }
};

// src/retries.ts
var RetryQueue = class {
  /**
   * @param _retries how often an event is sent again.
   * @param _connected whether anything can be sent now.
   * @param _send emits an event, whose last argument is a callback.
   */
  constructor(_retries, _connected, _send) {
    this._retries = _retries;
    this._connected = _connected;
    this._send = _send;
    this._entries = [];
  }
  /** How many are waiting or under way. */
  get length() {
    return this._entries.length;
  }
  /** Send an event when its turn comes; if its last argument is a function, that gets the answer. */
  add(args, flags) {
    const done = typeof args.at(-1) === "function" ? args.pop() : void 0;
    const entry = { args, flags, tries: 0, pending: false };
    const ack = (error, ...answer) => {
      if (entry !== this._entries[0]) return;
      entry.pending = false;
      if (!error || entry.tries > this._retries) {
        this._entries.shift();
        done?.(error, ...answer);
      }
      this.drain();
    };
    ack.withError = true;
    args.push(ack);
    this._entries.push(entry);
    this.drain();
  }
  /**
   * Send the first, unless it is under way.
   *
   * @param again even if it is: the connection is a new one.
   */
  drain(again = false) {
    const entry = this._entries[0];
    if (!entry || !this._connected() || entry.pending && !again) return;
    entry.pending = true;
    entry.tries++;
    this._send([...entry.args], entry.flags);
  }
};

// src/socket.ts
var TOO_OLD = "the server speaks the protocol of Socket.IO 2, and this client does not";
var Socket = class extends Emitter {
  constructor(manager, nsp, options = {}) {
    super();
    this.connected = false;
    /** Whether the last reconnection has brought back the session, with all that was missed. */
    this.recovered = false;
    /** Events that came before the namespace had let us in. */
    this.receiveBuffer = [];
    /** Events that were emitted while there was no connection. */
    this.sendBuffer = [];
    this._incoming = new CatchAll();
    this._outgoing = new CatchAll();
    this._flags = {};
    this._ids = 0;
    this.io = manager;
    this.nsp = nsp;
    this.auth = options.auth;
    this._acks = new Acks(manager.timers);
    this._ackTimeout = options.ackTimeout;
    if (options.retries) {
      this._queue = new RetryQueue(
        options.retries,
        () => this.connected,
        (args, flags) => {
          this._flags = flags;
          this._emit(args);
        }
      );
    }
    if (manager.opts.autoConnect !== false) this.connect();
  }
  get disconnected() {
    return !this.connected;
  }
  /** Whether it connects whenever the Manager does: so also while the connection is lost. */
  get active() {
    return !!this._unsubscribe;
  }
  /** Connect; only needed with `autoConnect: false`, or after it was disconnected for good. */
  connect() {
    if (this.connected) return this;
    this._subscribe();
    const { io: io2 } = this;
    if (!io2._reconnecting) io2.open();
    if (io2._readyState === "open") this._enter();
    return this;
  }
  /** As `connect`. */
  open() {
    return this.connect();
  }
  /** Leave the namespace, and do not come back; the connection ends with its last namespace. */
  disconnect() {
    if (this.connected) this._send({ type: 1 /* DISCONNECT */ });
    this._destroy();
    if (this.connected) this._onClose("io client disconnect");
    return this;
  }
  /** As `disconnect`. */
  close() {
    return this.disconnect();
  }
  /** Send an event. If the last argument is a function, it gets what the server answers. */
  emit(event, ...args) {
    if (RESERVED.includes(event)) throw new Error(`"${String(event)}" is a reserved event name`);
    this._emit([event, ...args]);
    return this;
  }
  /** Send an event and wait for the answer. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => {
      const ack = (error, answer) => error ? reject(error) : resolve(answer);
      ack.withError = true;
      this.emit(event, ...[...args, ack]);
    });
  }
  /** Send the event `message`. */
  send(...args) {
    return this.emit("message", ...args);
  }
  /** Whether the next event may be compressed. */
  compress(compress) {
    this._flags.compress = compress;
    return this;
  }
  /** The next event is dropped if it cannot be sent at once. */
  get volatile() {
    this._flags.volatile = true;
    return this;
  }
  /** The callback of the next event gets an error first: when there is no answer in this time. */
  timeout(milliseconds) {
    this._flags.timeout = milliseconds;
    return this;
  }
  /** Call a function at every event that comes in, with its name and arguments. */
  onAny(listener) {
    this._incoming.add(listener);
    return this;
  }
  /** As `onAny`, before those that are there. */
  prependAny(listener) {
    this._incoming.prepend(listener);
    return this;
  }
  /** Forget one such function, or all. */
  offAny(listener) {
    this._incoming.remove(listener);
    return this;
  }
  /** The list of these functions, which may be changed. */
  listenersAny() {
    return this._incoming.all();
  }
  /** Call a function at every event that is sent, with its name and arguments. */
  onAnyOutgoing(listener) {
    this._outgoing.add(listener);
    return this;
  }
  /** As `onAnyOutgoing`, before those that are there. */
  prependAnyOutgoing(listener) {
    this._outgoing.prepend(listener);
    return this;
  }
  /** Forget one such function, or all. */
  offAnyOutgoing(listener) {
    this._outgoing.remove(listener);
    return this;
  }
  /** The list of these functions, which may be changed. */
  listenersAnyOutgoing() {
    return this._outgoing.all();
  }
  // --- sending
  _emit(args) {
    const flags = this._flags;
    this._flags = {};
    if (this._queue && !flags.queued && !flags.volatile) {
      this._queue.add(args, { ...flags, queued: true });
      return;
    }
    const packet = {
      type: 2 /* EVENT */,
      nsp: this.nsp,
      data: args,
      options: { compress: flags.compress !== false }
    };
    if (typeof args.at(-1) === "function") this._expectAnswer(packet, args.pop(), flags);
    const { engine } = this.io;
    if (flags.volatile && !engine?.transport?.writable) return;
    if (this.connected && !engine._hasPingExpired()) this._sendEvent(packet);
    else this.sendBuffer.push(packet);
  }
  _expectAnswer(packet, ack, { timeout = this._ackTimeout }) {
    const id = packet.id = this._ids++;
    this._acks.add(id, ack, timeout, () => {
      this.sendBuffer = this.sendBuffer.filter((packet2) => packet2.id !== id);
    });
  }
  _sendEvent(packet) {
    this._outgoing.tell(this, packet.data);
    this._send(packet);
  }
  _send(packet) {
    this.io._packet({ ...packet, nsp: this.nsp });
  }
  // --- the connection
  _subscribe() {
    this._unsubscribe ??= subscribe(this.io, {
      open: () => this._enter(),
      packet: (packet) => this.onpacket(packet),
      error: (error) => this.connected || super.emit("connect_error", error),
      close: (reason, description) => this._onClose(reason, description)
    });
  }
  /** Ask to be let into the namespace. */
  _enter() {
    const { engine } = this.io;
    const give = (auth) => {
      if (engine !== this.io.engine) return;
      const session = this._pid && { pid: this._pid, offset: this._lastOffset };
      this._send({ type: 0 /* CONNECT */, data: session ? { ...session, ...auth } : auth });
    };
    if (typeof this.auth === "function") this.auth(give);
    else give(this.auth);
  }
  _onClose(reason, description) {
    this.connected = false;
    this.id = void 0;
    this.receiveBuffer = [];
    super.emit("disconnect", reason, description);
    this._acks.fail(new Set(this.sendBuffer.map((packet) => packet.id)));
  }
  /** Let go of the Manager. */
  _destroy() {
    this._unsubscribe?.();
    this._unsubscribe = void 0;
    this.io._destroy();
  }
  // --- receiving
  /** @internal A packet has come, for whatever namespace. */
  onpacket({ nsp, type, id, data }) {
    if (nsp !== this.nsp) return;
    if (type === 0 /* CONNECT */) this._onConnect(data);
    else if (type === 2 /* EVENT */ || type === 5 /* BINARY_EVENT */) this._onEvent(data, id);
    else if (type === 3 /* ACK */ || type === 6 /* BINARY_ACK */) this._acks.settle(id, data);
    else if (type === 1 /* DISCONNECT */) {
      this._destroy();
      this._onClose("io server disconnect");
    } else this._onRefused(data);
  }
  _onConnect(session) {
    if (!session?.sid) {
      super.emit("connect_error", new Error(TOO_OLD));
      return;
    }
    this.id = session.sid;
    this.recovered = !!session.pid && this._pid === session.pid;
    this._pid = session.pid;
    this.connected = true;
    while (this.connected && this.receiveBuffer.length) this._handle(this.receiveBuffer.shift());
    while (this.connected && this.sendBuffer.length) this._sendEvent(this.sendBuffer.shift());
    this._queue?.drain(true);
    if (this.connected) super.emit("connect");
  }
  _onRefused(data) {
    this._destroy();
    super.emit("connect_error", Object.assign(new Error(data.message), { data: data.data }));
  }
  _onEvent(data = [], id) {
    const args = id === void 0 ? data : [...data, this._answer(id)];
    if (this.connected) this._handle(args);
    else this.receiveBuffer.push(args);
  }
  _handle(args) {
    this._incoming.tell(this, args);
    super.emit(args[0], ...args.slice(1));
    if (this._pid && typeof args.at(-1) === "string") this._lastOffset = args.at(-1);
  }
  /** The function that answers an event; the first call counts, and only on the same connection. */
  _answer(id) {
    const { engine } = this.io;
    let answered = false;
    return (...data) => {
      if (answered || engine !== this.io.engine) return;
      answered = true;
      this._send({ type: 3 /* ACK */, id, data });
    };
  }
};

// src/manager.ts
var Manager = class extends Emitter {
  constructor(uri, options = {}) {
    super();
    /** @internal */
    this._readyState = "closed";
    /** @internal Whether it is waiting for the next attempt, or in it. */
    this._reconnecting = false;
    /** @internal The sockets, by the names of their namespaces. */
    this.nsps = /* @__PURE__ */ new Map();
    /** Set once it has been closed on purpose, until it is opened again. */
    this._stopped = false;
    /** What belongs to the present connection or attempt, and ends with it. */
    this._subscriptions = [];
    if (typeof uri === "object") options = uri;
    else this._uri = uri;
    this.opts = options = { ...options, path: options.path || "/socket.io" };
    this.timers = timersFor(options);
    this._backoff = new Backoff(
      options.reconnectionDelay || 1e3,
      options.reconnectionDelayMax || 5e3,
      options.randomizationFactor ?? 0.5
    );
    this._settings = {
      reconnection: options.reconnection !== false,
      attempts: options.reconnectionAttempts || Infinity,
      timeout: options.timeout ?? 2e4
    };
    const parser = options.parser ?? { Encoder, Decoder };
    this._encoder = new parser.Encoder();
    this._decoder = new parser.Decoder();
    if (options.autoConnect !== false) this.open();
  }
  reconnection(value) {
    if (value === false) this._stopped = true;
    return this._option(this._settings, "reconnection", value);
  }
  reconnectionAttempts(value) {
    return this._option(this._settings, "attempts", value);
  }
  reconnectionDelay(value) {
    return this._option(this._backoff, "min", value);
  }
  randomizationFactor(value) {
    return this._option(this._backoff, "jitter", value);
  }
  reconnectionDelayMax(value) {
    return this._option(this._backoff, "max", value);
  }
  timeout(value) {
    return this._option(this._settings, "timeout", value);
  }
  /** Connect, unless that is done or under way; `opened` gets an error if it fails. */
  open(opened) {
    if (this._readyState !== "closed") return this;
    this.engine = new Engine(this._uri, this.opts);
    this._readyState = "opening";
    this._stopped = false;
    const { engine } = this;
    const error = (error2) => this._onOpenFailed(error2, opened);
    const open = () => {
      this._onOpen();
      opened?.();
    };
    const close = (reason) => error(new Error(reason));
    this._subscriptions.push(subscribe(engine, { open, error, close }));
    const { timeout } = this._settings;
    if (timeout !== false) {
      this._after(timeout, () => {
        error(new Error("timeout"));
        engine.close();
      });
    }
    return this;
  }
  /** As `open`. */
  connect(opened) {
    return this.open(opened);
  }
  /** The socket of a namespace: always the same one. It connects if it is not about to. */
  socket(nsp, options) {
    let socket = this.nsps.get(nsp);
    if (!socket) {
      socket = new Socket(this, nsp, options);
      this.nsps.set(nsp, socket);
    } else if (this.opts.autoConnect !== false && !socket.active) socket.connect();
    return socket;
  }
  /** @internal A socket has left; the connection ends with the last one. */
  _destroy() {
    for (const socket of this.nsps.values()) if (socket.active) return;
    this._close();
  }
  /** @internal Send a packet. */
  _packet(packet) {
    for (const message of this._encoder.encode(packet)) {
      this.engine.write(message, packet.options);
    }
  }
  /** End the connection, and any attempt to make it again. */
  _close() {
    this._stopped = true;
    this._reconnecting = false;
    this._onClose("forced close");
  }
  /** Tell an option, or change it. */
  _option(owner, name, value) {
    if (value === void 0) return owner[name];
    owner[name] = value;
    return this;
  }
  // --- opening
  _onOpen() {
    this._cleanup();
    this._readyState = "open";
    this.emit("open");
    if (this._readyState !== "open") return;
    const decoded = [];
    this._subscriptions.push(
      subscribe(this.engine, {
        ping: () => this.emit("ping"),
        data: (data) => this._onData(data, decoded),
        error: (error) => this.emit("error", error),
        close: (reason, details) => this._onClose(reason, details)
      }),
      subscribe(this._decoder, { decoded: (packet) => decoded.push(packet) })
    );
  }
  _onData(data, decoded) {
    try {
      this._decoder.add(data);
    } catch (error) {
      return this._onClose("parse error", error);
    }
    while (decoded.length) this._dispatch(decoded.shift());
  }
  /** What a listener throws is told as any exception is, and does not end the connection. */
  _dispatch(packet) {
    try {
      this.emit("packet", packet);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
  _onOpenFailed(error, opened) {
    this._cleanup();
    this._readyState = "closed";
    this.emit("error", error);
    if (opened) opened(error);
    else if (!this._reconnecting && this._settings.reconnection && !this._backoff.attempts) this._reconnect();
  }
  // --- closing
  _onClose(reason, description) {
    this._cleanup();
    this.engine?.close();
    this._backoff.reset();
    this._readyState = "closed";
    this.emit("close", reason, description);
    if (this._settings.reconnection && !this._stopped) this._reconnect();
  }
  _cleanup() {
    for (const end of this._subscriptions.splice(0)) end();
    this._decoder.destroy();
  }
  // --- reconnecting
  _reconnect() {
    if (this._reconnecting || this._stopped) return;
    const backoff = this._backoff;
    if (backoff.attempts >= this._settings.attempts) {
      backoff.reset();
      this.emit("reconnect_failed");
      return;
    }
    this._reconnecting = true;
    this._wait(backoff.duration(), () => {
      if (this._stopped) return;
      this.emit("reconnect_attempt", backoff.attempts);
      if (!this._stopped) this.open((error) => this._onAttempt(error));
    });
  }
  _onAttempt(error) {
    this._reconnecting = false;
    if (error) {
      this._reconnect();
      this.emit("reconnect_error", error);
      return;
    }
    const { attempts } = this._backoff;
    this._backoff.reset();
    this.emit("reconnect", attempts);
  }
  /** Wait before an attempt, but no longer than until the network is back or the page awakes. */
  _wait(delay, attempt) {
    const due = Date.now() + delay;
    const now = () => {
      stopWaiting();
      leave();
      attempt();
    };
    const stopWaiting = this._after(delay, now);
    const leave = onPage(AWAKE, ({ type }) => {
      if (type === "online" || Date.now() >= due) now();
    });
    this._subscriptions.push(leave);
  }
  _after(delay, task) {
    const timer = this.timers.start(task, delay);
    const stop = () => this.timers.stop(timer);
    this._subscriptions.push(stop);
    return stop;
  }
};

// src/io.ts
var managers = /* @__PURE__ */ new Map();
function lookup(uri, options = {}) {
  if (typeof uri === "object") {
    options = uri;
    uri = void 0;
  }
  const { id, source, path } = target(uri, options.path || "/socket.io");
  const shared = managers.get(id);
  if (!mayShare(options) || shared?.nsps.has(path)) {
    return new Manager(source, options).socket(path, options);
  }
  const manager = shared ?? new Manager(source, options);
  managers.set(id, manager);
  return manager.socket(path, options);
}
function mayShare(options) {
  return !options.forceNew && !options["force new connection"] && options.multiplex !== false;
}
var io = Object.assign(lookup, {
  Manager,
  Socket,
  protocol: protocol2,
  io: lookup,
  connect: lookup
});

// src/script.ts
publish(io);
})(it=>{typeof module=="object"&&module.exports?module.exports=it:typeof define=="function"&&define.amd?define(()=>it):globalThis.io=it});
//# sourceMappingURL=socket.io.js.map
