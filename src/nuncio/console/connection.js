// The connection that is tried: one Manager, a socket for each namespace, and what is told of them.
//
// It uses the public interface of the client alone, so what it shows is what every page would see.

import { bytesOf } from "./values.js";

const ROUND_TRIPS = 50;
const MOST_PACKET = 2000;

export class Connection {
  /** Namespaces by name: `{ socket, state, id, note, asked, ms }`. */
  namespaces = new Map();
  /** `closed`, `connecting`, `open`, or `waiting` to try again. */
  state = "closed";
  transport = "";
  trying = "";
  /** Whether packets of Engine.IO are logged. */
  packets = false;
  /** The last round trips of acknowledgements, in milliseconds. */
  trips = [];

  #manager = null;
  #engine = null;
  #client;
  #log;
  #changed;
  #settings;
  #size = 0;
  #attempt = 0;

  /**
   * @param client `Manager`, `transports`, and `whole`, whether each message is a packet.
   * @param log called with each entry.
   * @param changed called when something has become different.
   */
  constructor(client, log, changed) {
    this.#client = client;
    this.#log = log;
    this.#changed = changed;
  }

  /** Whether it is there, or tries to be. */
  get active() {
    return this.state !== "closed";
  }

  /** Connect, and join the namespaces there are. */
  connect(settings) {
    this.#settings = settings;
    this.trips = [];
    const manager = new this.#client.Manager(location.origin, {
      ...settings.options,
      autoConnect: false,
      transports: settings.transports.filter((name) => Object.hasOwn(this.#client.transports, name)),
    });
    this.#manager = manager;
    this.state = "connecting";
    this.#attempt = 0;
    manager.on("open", () => this.#onOpen(manager));
    manager.on("error", (error) => this.#onError(manager, error));
    manager.on("close", (reason, details) => this.#onClose(manager, reason, details));
    manager.on("reconnect_attempt", (attempt) => {
      this.#attempt = attempt;
      this.#tell({ kind: "way", name: "reconnecting", note: `attempt ${attempt}` });
      // It makes the engine right after it has told of the attempt.
      queueMicrotask(() => this.#watch(manager));
    });
    manager.on("reconnect_failed", () => this.#tell({ kind: "error", name: "gave up", note: "no attempt succeeded" }));
    for (const [name, namespace] of this.namespaces) this.#open(name, namespace);
    this.#watch(manager);
    this.#changed();
  }

  /** End it, and every attempt to have it again. */
  disconnect() {
    const manager = this.#manager;
    if (!manager) return;
    this.#manager = this.#engine = null;
    for (const [name, { socket, state }] of this.namespaces) {
      socket?.disconnect();
      if (state === "joining") this.#set(name, "off");
    }
    manager._close();
    this.state = "closed";
    this.transport = this.trying = "";
    this.#changed();
  }

  /** Have a namespace, and join it if there is a connection. */
  join(name) {
    let namespace = this.namespaces.get(name);
    if (!namespace) this.namespaces.set(name, (namespace = { socket: null, state: "off", id: "", note: "" }));
    if (this.#manager && (namespace.state === "off" || namespace.state === "refused")) this.#open(name, namespace);
    this.#changed();
  }

  /** Leave a namespace. */
  leave(name) {
    const { socket, state } = this.namespaces.get(name);
    socket?.disconnect();
    if (state === "joining") this.#set(name, "off");
  }

  /** Leave a namespace and forget it. */
  remove(name) {
    const { socket } = this.namespaces.get(name);
    // It is forgotten first, so that its end changes nothing here.
    this.namespaces.delete(name);
    socket?.disconnect();
    this.#changed();
  }

  /**
   * Emit an event.
   *
   * @param seconds to wait for the acknowledgement; 0 for none.
   */
  emit(name, event, args, seconds) {
    const { socket } = this.namespaces.get(name);
    const size = sizeOf(args);
    const waits = !socket.connected;
    const note = waits ? "waits for the connection" : undefined;
    this.#tell({ kind: "out", nsp: name, name: event, args, size, note, seconds });
    if (!seconds) {
      socket.emit(event, ...args);
      return;
    }
    const began = performance.now();
    socket.timeout(seconds * 1000).emit(event, ...args, (error, ...answer) => {
      const ms = performance.now() - began;
      if (error) {
        const text = socket.connected ? `no answer within ${seconds} s` : "no answer: the connection is lost";
        this.#tell({ kind: "error", nsp: name, name: event, note: text });
        return;
      }
      if (!waits) this.#trip(ms);
      this.#tell({ kind: "ack", nsp: name, name: event, args: answer, ms, size: this.#size });
    });
  }

  // --- namespaces

  #open(name, namespace) {
    namespace.asked = performance.now();
    if (namespace.socket?.io !== this.#manager) {
      // What the editor holds when the namespace is joined counts, also at the next connection.
      const auth = (give) => give(this.#settings.auth());
      namespace.socket = this.#manager.socket(name, { auth });
      this.#listen(name, namespace);
    }
    this.#set(name, "joining");
    namespace.socket.connect();
  }

  #listen(name, namespace) {
    const { socket } = namespace;
    const current = () => this.namespaces.get(name) === namespace && namespace.socket === socket;
    socket.onAny((event, ...args) => this.#onEvent(name, event, args));
    socket.on("connect", () => {
      if (!current()) return;
      namespace.id = socket.id;
      namespace.ms = performance.now() - namespace.asked;
      this.#set(name, "on");
      const recovered = socket.recovered ? "recovered, with what was missed" : undefined;
      this.#tell({ kind: "on", nsp: name, name: "connected", note: recovered ?? `as ${socket.id}`, ms: namespace.ms });
    });
    socket.on("connect_error", (error) => {
      // What keeps the whole connection from opening is told once, not for each namespace.
      if (socket.active || !current()) return;
      namespace.note = error.message;
      this.#set(name, "refused");
      const args = error.data === undefined ? [] : [error.data];
      this.#tell({ kind: "error", nsp: name, name: "refused", note: error.message, args });
    });
    socket.on("disconnect", (reason, details) => {
      const note = details?.description && reason !== "transport close" ? `${reason} (${details.description})` : reason;
      this.#tell({ kind: "off", nsp: name, name: "disconnected", note });
      if (!current()) return;
      namespace.note = reason;
      namespace.asked = performance.now();
      this.#set(name, socket.active ? "joining" : "off");
    });
  }

  #set(name, state) {
    const namespace = this.namespaces.get(name);
    if (namespace) namespace.state = state;
    if (state !== "on" && namespace) namespace.id = "";
    this.#changed();
  }

  #onEvent(nsp, name, args) {
    const entry = { kind: "in", nsp, name, args, size: this.#size };
    const last = args.at(-1);
    if (typeof last === "function") {
      entry.args = args.slice(0, -1);
      entry.note = "asks for an acknowledgement";
      entry.answer = (...values) => {
        entry.answer = null;
        entry.note = "acknowledged by you";
        last(...values);
        this.#tell({ kind: "answer", nsp, name, args: values, size: sizeOf(values) });
      };
    }
    this.#tell(entry);
  }

  // --- the connection below

  #onOpen(manager) {
    if (manager !== this.#manager) return;
    this.#watch(manager);
    this.state = "open";
    this.#onTransport(manager.engine.transport.name);
    const words = this.#attempt ? `again, at attempt ${this.#attempt}` : `session ${manager.engine.id}`;
    this.#attempt = 0;
    this.#tell({ kind: "way", name: `opened by ${this.transport}`, note: words });
  }

  #onError(manager, error) {
    if (manager !== this.#manager || this.state === "open") return;
    const again = manager.reconnection();
    this.state = again ? "waiting" : "closed";
    if (!again) this.#manager = this.#engine = null;
    for (const name of this.namespaces.keys()) this.#set(name, again ? "joining" : "off");
    this.#tell({ kind: "error", name: "cannot connect", note: describe(error) });
  }

  #onClose(manager, reason, details) {
    if (manager !== this.#manager) return;
    const again = manager.reconnection() && [...this.namespaces.values()].some(({ socket }) => socket?.active);
    this.state = again ? "waiting" : "closed";
    this.transport = this.trying = "";
    if (!again) this.#manager = this.#engine = null;
    const ours = reason === "forced close";
    const more = ours ? "no namespace was left" : details?.description ? `${reason} (${details.description})` : reason;
    // Why a namespace was left, which may be the cause, is told first.
    queueMicrotask(() => this.#tell({ kind: "way", name: "closed", note: more }));
    this.#changed();
  }

  #watch(manager) {
    const { engine } = manager;
    if (manager !== this.#manager || !engine || engine === this.#engine) return;
    this.#engine = engine;
    const mine = () => engine === this.#engine;
    engine.on("packet", (packet) => {
      this.#measure(packet);
      if (this.packets) this.#onPacket("received", packet);
    });
    engine.on("packetCreate", (packet) => {
      if (this.packets) this.#onPacket("sent", packet);
    });
    engine.on("upgrading", (transport) => {
      if (!mine()) return;
      this.trying = transport.name;
      this.#changed();
    });
    engine.on("upgrade", (transport) => {
      if (!mine()) return;
      const before = this.transport;
      this.#onTransport(transport.name);
      this.#tell({ kind: "way", name: "upgraded", note: `${before} → ${transport.name}` });
    });
    engine.on("upgradeError", (error) => {
      if (!mine()) return;
      this.trying = "";
      if (engine.readyState === "open") this.#tell({ kind: "way", name: "upgrade failed", note: `${error.transport ?? ""}: ${describe(error)}` });
    });
  }

  #onTransport(name) {
    this.transport = name;
    this.trying = "";
    this.#changed();
  }

  /** The size of the message that is being received, with its attachments. */
  #measure({ type, data }) {
    if (type !== "message") return;
    const size = typeof data === "string" ? data.length : (bytesOf(data)?.length ?? 0);
    // A text begins a message, and its attachments follow.
    this.#size = typeof data === "string" || this.#client.whole ? size : this.#size + size;
  }

  #onPacket(name, { type, data }) {
    const text = typeof data === "string" ? data.slice(0, MOST_PACKET) : data;
    const size = typeof data === "string" ? data.length : (bytesOf(data)?.length ?? 0);
    this.#tell({ kind: "packet", name: `${name} ${type}`, args: data === undefined || data === "" ? [] : [text], size, note: this.transport });
  }

  #trip(ms) {
    this.trips.push(ms);
    if (this.trips.length > ROUND_TRIPS) this.trips.shift();
    this.#changed();
  }

  #tell(entry) {
    entry.nsp ??= "";
    this.#log(entry);
  }
}

/** About how many bytes values take, without a pass over what is large. */
function sizeOf(values) {
  let size = 0;
  const rest = [...values];
  for (let looked = 0; rest.length && looked < 1000; looked++) {
    const value = rest.pop();
    const bytes = bytesOf(value);
    if (bytes) size += bytes.length;
    else if (typeof value === "string") size += value.length + 2;
    else if (value && typeof value === "object") rest.push(...Object.keys(value), ...Object.values(value));
    else size += 4;
  }
  return size;
}

function describe(error) {
  const { message, description } = error;
  // Browsers do not tell pages why there was no answer.
  if (description === 0) return `${message}: no answer from the server`;
  if (typeof description === "number") {
    const said = error.context?.responseText ?? "";
    const why = /"message":"([^"]{1,200})"/.exec(said);
    return `${message}: HTTP ${description}${why ? `, ${why[1]}` : ""}`;
  }
  return message ?? String(error);
}
