"use strict";
// What a scenario's script may use: the official clients, and raw requests, all of them recorded.

const http = require("http");
const net = require("net");
const { io } = require("socket.io-client");
const { Socket: EngineSocket } = require("engine.io-client");
const msgpack = require("socket.io-msgpack-parser");
const WebSocket = require("ws");
const zlib = require("zlib");
const { eventually } = require("./transcript.js");

const LIFECYCLE = ["connect", "connect_error", "disconnect"];
// What the HTTP server below says, not Socket.IO.
const OTHERS = ["date", "connection", "keep-alive", "transfer-encoding", "server"];
const LABELS = "abcdefghijklmnop";

class Script {
  constructor(transcript, server, port, way) {
    this.transcript = transcript;
    this.server = server;
    this.port = port;
    this.way = way;
    this.count = 0;
    this.ends = [];
    this.url = `http://127.0.0.1:${port}`;
  }

  actor() {
    return this.transcript.actor(LABELS[this.count++]);
  }

  /** The names that a script sees. */
  names() {
    const names = { server: this.server, way: this.way, Buffer, require, url: this.url };
    for (const name of ["open", "connect", "join", "http", "polling", "ws", "tcp", "engine"]) {
      names[name] = this[name].bind(this);
    }
    const notes = this.transcript.actor("script");
    names.note = (name, ...args) => notes.record(name, ...args);
    Object.assign(names, { packets, msgpack, encoded });
    return names;
  }

  // Socket.IO

  /** A Socket.IO client that is connected, by the transport under test. */
  async connect(nsp = "/", options = {}) {
    const client = this.open(nsp, options);
    await client.until("connect");
    if (this.way.upgraded && !options.transports) await client.upgraded();
    return client;
  }

  /** A Socket.IO client that has only begun to connect. */
  open(nsp = "/", options = {}) {
    const given = { forceNew: true, reconnection: false, transports: this.way.transports };
    const client = new Client(this.actor(), io(this.url + nsp, { ...given, ...options }));
    this.ends.push(() => client.socket.io.engine && client.socket.io._close());
    return client;
  }

  /** Another namespace on a client's connection. */
  join(client, nsp, options = {}) {
    return new Client(this.actor(), client.socket.io.socket(nsp, options));
  }

  // Engine.IO

  /** An Engine.IO client. */
  engine(options = {}) {
    const given = { path: "/socket.io/", transports: this.way.transports };
    const client = new EngineClient(
      this.actor(),
      new EngineSocket(this.url, { ...given, ...options }),
    );
    this.ends.push(() => client.socket.close());
    return client;
  }

  /** One request: its status, headers and body are recorded when its answer is waited for. */
  async http(target, options = {}) {
    return this.begin(this.transcript.actor("http"), target, options)();
  }

  begin(actor, target, options) {
    const { method = "GET", headers = {}, body, record = true, read = String } = options;
    const path = target.startsWith("/") ? target : `/socket.io/${target}`;
    const request = http.request({ port: this.port, path, method, headers, agent: false });
    const answer = new Promise((resolve) => {
      request.on("error", (error) => resolve({ failed: error.code || error.message }));
      request.on("upgrade", (response, socket) => {
        socket.destroy();
        resolve({ status: response.statusCode, headers: {}, text: "", upgraded: true });
      });
      request.on("response", (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", (error) => resolve({ failed: error.code || error.message }));
        response.on("end", () => resolve(answerOf(response, Buffer.concat(chunks))));
      });
    });
    this.ends.push(() => request.destroy());
    request.end(body);
    const wait = async () => {
      const result = await answer;
      if (record) {
        const { status, headers: fields, text, failed } = result;
        if (read !== String && !failed) delete fields["content-length"];
        actor.record(method, ...(failed ? [failed] : [status, fields, read(text)]));
      }
      return result;
    };
    wait.abort = () => request.destroy();
    return wait;
  }

  /** An Engine.IO session over long-polling; with `parser`, its packets are MessagePack. */
  async polling(query = "", { parser, ...options } = {}) {
    const session = new Polling(this, this.actor(), parser);
    await session.start(query, options);
    return session;
  }

  /**
   * A WebSocket; `query` follows `EIO=4&transport=websocket`, unless it begins with `?` or `/`. With
   * `parser`, its packets are MessagePack.
   */
  async ws(query = "", { parser, ...options } = {}) {
    const whole = query.startsWith("?") || query.startsWith("/");
    const target = whole ? query : `?EIO=4&transport=websocket${query}`;
    const path = target.startsWith("/") ? target : `/socket.io/${target}`;
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, {
      perMessageDeflate: false,
      ...options,
    });
    const client = new Raw(this.actor(), socket, parser);
    this.ends.push(() => socket.terminate());
    await client.opened;
    return client;
  }

  /** A TCP connection: what is sent is written as it is. */
  async tcp() {
    const socket = net.connect(this.port, "127.0.0.1");
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    this.ends.push(() => socket.destroy());
    return new Tcp(this.actor(), socket);
  }

  end() {
    for (const end of this.ends) {
      try {
        end();
      } catch {
        // It had ended, or had not begun.
      }
    }
  }
}

/**
 * Without what the HTTP server below decides: its own headers, and whether the length of an answer is
 * told or the answer comes in chunks. What is compressed may differ in length.
 */
function fieldsOf(raw, status = 101) {
  const fields = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase();
    if (OTHERS.includes(name)) continue;
    fields[name] = name in fields ? `${fields[name]} | ${raw[i + 1]}` : raw[i + 1];
  }
  const ok = status === 200 || status === 204;
  if (!ok || "content-encoding" in fields) delete fields["content-length"];
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function answerOf(response, body) {
  const encoding = response.headers["content-encoding"];
  if (encoding === "gzip" || encoding === "deflate") body = zlib.unzipSync(body);
  if (encoding === "br") body = zlib.brotliDecompressSync(body);
  const status = response.statusCode;
  return { status, headers: fieldsOf(response.rawHeaders, status), text: body.toString() };
}

/** The packets of a payload. */
function packets(text) {
  return text.split("\x1e");
}

/** A packet as the official parser writes it, whether it is one or not. */
function encoded(packet) {
  return new msgpack.Encoder().encode(packet)[0];
}

/**
 * A packet as the official parser reads it. The order of its entries means nothing, and to a client
 * `undefined` in a CONNECT packet is the same as nothing.
 */
function unpacked(data) {
  let packet;
  const decoder = new msgpack.Decoder();
  decoder.on("decoded", (decoded) => (packet = decoded));
  decoder.add(data);
  if (packet.type === 0) packet.data = JSON.parse(JSON.stringify(packet.data));
  return Object.fromEntries(Object.entries(packet).sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Client {
  constructor(actor, socket) {
    this.actor = actor;
    this.socket = socket;
    socket.on("connect", () => actor.record("connect", socket.id));
    socket.on("connect_error", (error) => actor.record("connect_error", error));
    socket.on("disconnect", (reason, details) => {
      const description = details && details.description;
      const said = ["string", "number"].includes(typeof description) ? [description] : [];
      actor.record("disconnect", reason, ...said);
    });
    socket.onAny((event, ...args) => {
      if (typeof args.at(-1) === "function") args.pop();
      actor.record(event, ...args);
    });
  }

  until(...names) {
    return this.actor.until(...names);
  }

  emit(...args) {
    this.socket.emit(...args);
  }

  /** Emit and wait for the acknowledgement, which is recorded: all its values. */
  async ask(event, ...args) {
    let values;
    this.socket.emit(event, ...args, (...answer) => {
      this.actor.record("answer", ...answer);
      values = answer;
    });
    await eventually(() => values, `an answer to "${event}"`);
    return values;
  }

  /** Answer an event. */
  on(event, handler) {
    this.socket.on(event, handler);
  }

  disconnect() {
    this.socket.disconnect();
  }

  get id() {
    return this.socket.id;
  }

  get engine() {
    return this.socket.io.engine;
  }

  upgraded() {
    if (this.engine.transport.name === "websocket") return;
    return new Promise((resolve) => this.engine.once("upgrade", resolve));
  }
}

class EngineClient {
  constructor(actor, socket) {
    this.actor = actor;
    this.socket = socket;
    socket.binaryType = "nodebuffer";
    socket.on("open", () => actor.record("open", socket.id));
    for (const event of ["message", "upgradeError", "ping"]) {
      socket.on(event, (value) => actor.record(event, value));
    }
    socket.on("upgrade", (transport) => actor.record("upgrade", transport.name));
    socket.on("error", (error) => actor.record("error", error));
    socket.on("close", (reason) => actor.record("close", reason));
  }

  until(...names) {
    return this.actor.until(...names);
  }
}

class Polling {
  constructor(script, actor, parser) {
    this.script = script;
    this.actor = actor;
    this.parser = parser;
  }

  async start(query, options) {
    const target = `?EIO=4&transport=polling${query}`;
    const answer = await this.script.begin(this.actor, target, options)();
    this.sid = JSON.parse(packets(answer.text)[0].slice(1)).sid;
    this.target = `?EIO=4&transport=polling&sid=${this.sid}`;
  }

  /** Poll and wait for the answer. */
  async get(options = {}) {
    return this.begin({ ...options })();
  }

  /** Begin a request; calling what is returned waits for the answer and records it. */
  begin(options = {}) {
    const read = this.parser ? (text) => packets(text).map(fromBase64) : String;
    return this.script.begin(this.actor, this.target, { read, ...options });
  }

  /** Poll, and leave the poll waiting at the server. */
  async hold(options = {}) {
    const wait = this.begin(options);
    await this.script.server.polled(this.sid);
    return wait;
  }

  async post(body, options = {}) {
    const headers = { "content-type": "text/plain;charset=UTF-8", ...options.headers };
    return this.begin({ method: "POST", body, ...options, headers })();
  }

  /** Join a namespace. */
  async enter(nsp = "", auth = "") {
    if (this.parser) await this.postPacked({ type: 0, nsp: nsp || "/", data: auth || undefined });
    else await this.post(`40${nsp}${auth}`);
    await this.get();
  }

  /** Send packets as MessagePack, or bytes that are none. */
  async postPacked(...items) {
    const bytes = (item) => (Buffer.isBuffer(item) ? item : encoded(item));
    return this.post(items.map((item) => "b" + bytes(item).toString("base64")).join("\x1e"));
  }

  probe(options = {}) {
    return this.script.ws(`&sid=${this.sid}`, options);
  }
}

/** One packet of a payload, decoded if it is binary. */
function fromBase64(text) {
  return text.startsWith("b") ? unpacked(Buffer.from(text.slice(1), "base64")) : text;
}

class Raw {
  constructor(actor, socket, parser) {
    this.actor = actor;
    this.socket = socket;
    this.parser = parser;
    socket.on("upgrade", (response) => {
      const fields = fieldsOf(response.rawHeaders);
      delete fields["sec-websocket-accept"];
      delete fields.upgrade;
      actor.record("open", fields);
    });
    socket.on("message", (data, binary) => {
      if (binary && parser) actor.record("packet", unpacked(data));
      else actor.record("frame", binary ? data : data.toString());
    });
    socket.on("ping", (data) => actor.record("wsping", data.toString()));
    socket.on("pong", (data) => actor.record("wspong", data.toString()));
    socket.on("close", (code, reason) => actor.record("close", code, reason.toString()));
    this.opened = new Promise((resolve) => {
      socket.on("open", resolve);
      socket.on("error", () => resolve());
      socket.on("unexpected-response", (_, response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("close", () => {
          const { status, headers, text } = answerOf(response, Buffer.concat(chunks));
          actor.record("refused", status, headers, text);
          socket.terminate();
          resolve();
        });
      });
    });
  }

  until(...names) {
    return this.actor.until(...names);
  }

  /** The next frame that nobody has waited for. */
  async next() {
    return (await this.actor.until("frame"))[0];
  }

  /** Send frames, one message each. */
  send(...messages) {
    for (const message of messages) this.socket.send(message);
  }

  /** Write bytes into the connection as they are. */
  raw(bytes) {
    this.socket._socket.write(Buffer.from(bytes));
  }

  /** Join a namespace after the open packet. */
  async enter(nsp = "", auth = "") {
    if (!this.sid) this.sid = JSON.parse((await this.next()).slice(1)).sid;
    if (this.parser) {
      this.send(encoded({ type: 0, nsp: nsp || "/", data: auth || undefined }));
      return this.until("packet");
    }
    this.send(`40${nsp}${auth}`);
    return this.next();
  }

  close(code, reason) {
    this.socket.close(code, reason);
  }
}

class Tcp {
  constructor(actor, socket) {
    this.actor = actor;
    this.socket = socket;
    this.chunks = [];
    this.ended = new Promise((resolve) => {
      socket.on("close", resolve);
      socket.on("data", (data) => {
        this.chunks.push(data);
        if (this.complete()) resolve();
      });
    });
  }

  write(data) {
    this.socket.write(data);
  }

  /** Whether an answer is here that says how long it is. */
  complete() {
    const text = Buffer.concat(this.chunks).toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    const length = /^content-length: *(\d+)/im.exec(text.slice(0, Math.max(end, 0)));
    return end >= 0 && length !== null && text.length >= end + 4 + Number(length[1]);
  }

  /** The answer, to its end or until the server hangs up, without the fields of the HTTP server. */
  async rest() {
    await this.ended;
    const text = Buffer.concat(this.chunks).toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    const [first, ...lines] = text.slice(0, end).split("\r\n");
    const raw = lines.flatMap((line) => [
      line.split(":")[0],
      line.slice(line.indexOf(":") + 1).trim(),
    ]);
    const status = Number(first.split(" ")[1]);
    let body = text.slice(end + 4);
    if (/^transfer-encoding: *chunked/im.test(text)) {
      body = body.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/g, "$1").replace(/^\r\n$/, "");
    }
    this.actor.record("answer", status, fieldsOf(raw, status), body);
  }
}

module.exports = { Script };
