/**
 * One Engine.IO session: it opens a transport, keeps the heartbeat, and sends what is written.
 *
 * What a page may look at has its official names: `id`, `transport`, `readyState`, `writeBuffer`.
 * Times are milliseconds.
 */

import { Emitter } from "../emitter.js";
import { AWAKE, onPage } from "../page.js";
import { type Timer, type Timers, timersFor } from "../timers.js";
import { bare, here, parse, readQuery } from "../url.js";
import { memory } from "./memory.js";
import type { EngineOptions } from "./options.js";
import { type BinaryType, type Packet, type PacketType, sizeOf } from "./packet.js";
import { type Cookies, platform } from "./platform.js";
import { Probe } from "./probe.js";
import { type CloseDetails, Transport, type TransportClass } from "./transport.js";
import { choose, ORDER } from "./transports.js";

export type CloseReason = "transport close" | "transport error" | "ping timeout" | "forced close";

/** What the server says when a session opens. */
export interface Handshake {
  sid: string;
  upgrades: string[];
  pingInterval: number;
  pingTimeout: number;
  maxPayload?: number;
}

interface Events {
  open: () => void;
  handshake: (handshake: Handshake) => void;
  packet: (packet: Packet) => void;
  packetCreate: (packet: Packet) => void;
  data: (data: any) => void;
  message: (data: any) => void;
  drain: () => void;
  flush: () => void;
  heartbeat: () => void;
  ping: () => void;
  pong: () => void;
  error: (error: any) => void;
  upgrading: (transport: Transport) => void;
  upgrade: (transport: Transport) => void;
  upgradeError: (error: Error) => void;
  close: (reason: CloseReason, details?: CloseDetails | Error) => void;
}

type Options = EngineOptions & { path: string };

// Transports made for the official client count on the last one.
const DEFAULTS = { path: "/engine.io", addTrailingSlash: true, upgrade: true, timestampParam: "t" };

/** The revision of the Engine.IO protocol. */
export const protocol = 4;

export class Engine extends Emitter<{}, Events> {

  id: string | null = null;
  transport!: Transport;
  readyState: "opening" | "open" | "closing" | "closed" = "closed";
  /** What has not been sent, or is just being sent. */
  writeBuffer: Packet[] = [];
  binaryType: BinaryType = platform.binaryType;
  /** Whether it is moving to another transport; nothing is sent meanwhile. */
  upgrading = false;

  readonly opts: Options;
  readonly hostname: string;
  readonly port: string | number;
  readonly secure: boolean;
  /** The names of its transports, in their order. */
  readonly transports: string[];
  /** @internal */
  readonly cookies?: Cookies;
  /** @internal */
  readonly timers: Timers;
  /** When the server is taken for dead: see `_hasPingExpired`. */
  _pingTimeoutTime = Infinity;
  /** @internal */
  _handshake?: Handshake;

  private readonly _classes: Map<string, TransportClass>;
  private readonly _leave: (() => void)[] = [];
  private _silenceTimer: Timer;
  /** How many packets of the buffer the transport is busy with. */
  private _sending = 0;

  /**
   * @param uri the address, or all options.
   * @param options see `EngineOptions`.
   */
  constructor(uri?: string | EngineOptions | null, options: EngineOptions = {}) {
    super();
    const given = typeof uri === "object" && uri ? uri : options;
    const place = locate(typeof uri === "string" ? uri : undefined, given);
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
  open(): void {
    if (!this.transports.length) {
      // Later, so that there may be listeners.
      this.timers.start(() => this.emit("error", "No transports available"));
      return;
    }
    const { rememberUpgrade } = this.opts;
    const remembered = rememberUpgrade && memory.websocket && this._classes.has("websocket");
    this.readyState = "opening";
    this._use(this._create(remembered ? "websocket" : this.transports[0]!)).open();
  }

  /** Send a message; `sent` is called when it has been handed to the transport. */
  send(data: any, options?: Packet["options"] | null, sent?: () => void): this {
    this._send("message", data, options, sent);
    return this;
  }

  /** As `send`. */
  write(data: any, options?: Packet["options"] | null, sent?: () => void): this {
    return this.send(data, options, sent);
  }

  /** Close, once everything has been sent. */
  close(): this {
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
  _hasPingExpired(): boolean {
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
  _create(name: string): Transport {
    const own = this.opts.transportOptions?.[name];
    const query = { ...this.opts.query, ...own?.query, EIO: protocol, transport: name };
    return new (this._classes.get(name)!)({
      ...this.opts,
      hostname: this.hostname,
      port: this.port,
      secure: this.secure,
      socket: this,
      ...own,
      query: this.id ? { ...query, sid: this.id } : query,
    });
  }

  /** @internal Go on with a transport. */
  _use(transport: Transport): Transport {
    this.transport?.removeAllListeners();
    return (this.transport = transport)
      .on("drain", () => this._onDrain())
      .on("packet", (packet) => this._onPacket(packet))
      .on("error", (error) => this._onError(error))
      .on("close", (details) => this._onClose("transport close", details));
  }

  /** @internal */
  _send(type: PacketType, data?: any, options?: Packet["options"] | null, sent?: () => void): void {
    if (this.readyState === "closing" || this.readyState === "closed") return;
    const packet: Packet = { type, data, options: { ...options, compress: options?.compress !== false } };
    this.emit("packetCreate", packet);
    this.writeBuffer.push(packet);
    if (sent) this.once("flush", sent);
    this.flush();
  }

  /** @internal Hand what is buffered to the transport, if it can take it. */
  flush(): void {
    const { transport, writeBuffer } = this;
    if (this.readyState === "closed" || this.upgrading || this._sending) return;
    if (!transport.writable || !writeBuffer.length) return;
    const packets = writeBuffer.slice(0, this._fitting());
    this._sending = packets.length;
    transport.send(packets);
    this.emit("flush");
  }

  /** @internal */
  _onClose(reason: CloseReason, details?: CloseDetails | Error): void {
    if (this.readyState === "closed") return;
    this.timers.stop(this._silenceTimer);
    this.transport?.removeAllListeners("close").close().removeAllListeners();
    for (const leave of this._leave) leave();
    this.readyState = "closed";
    this.id = null;
    // Listeners may look at what was not sent.
    this.emit("close", reason, details);
    this.writeBuffer = [];
    this._sending = 0;
  }

  // --- its own

  /** How many packets go into one request. */
  private _fitting(): number {
    const { writeBuffer } = this;
    const max = this._handshake?.maxPayload;
    if (!max || this.transport.name !== "polling") return writeBuffer.length;
    let size = 1;
    for (let count = 0; count < writeBuffer.length; count++) {
      size += sizeOf(writeBuffer[count]!.data);
      if (count && size > max) return count;
      // The separator, and the digit of the next one.
      size += 2;
    }
    return writeBuffer.length;
  }

  private _onDrain(): void {
    this.writeBuffer.splice(0, this._sending);
    this._sending = 0;
    if (this.writeBuffer.length) this.flush();
    else this.emit("drain");
  }

  private _onPacket(packet: Packet): void {
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

  private _onHandshake(data: string): void {
    let handshake: Handshake;
    try {
      this._handshake = handshake = JSON.parse(data);
    } catch {
      return this._onError(garbage("parser error"));
    }
    this.emit("handshake", handshake);
    this.id = this.transport.query.sid = handshake.sid;
    // Those that are ours, too.
    handshake.upgrades = handshake.upgrades.filter((name) => this._classes.has(name));
    this._onOpen();
    this._listenForPing();
  }

  private _onOpen(): void {
    // It may be closing already, and then only wants to be told of.
    if (this.readyState === "opening") this.readyState = "open";
    memory.websocket = this.transport.name === "websocket";
    this.emit("open");
    this.flush();
    if (this.readyState !== "open" || !this.opts.upgrade) return;
    for (const name of this._handshake!.upgrades) new Probe(this, name);
  }

  private _listenForPing(): void {
    this.timers.stop(this._silenceTimer);
    if (this.readyState === "closed") return;
    const { pingInterval, pingTimeout } = this._handshake!;
    const silence = pingInterval + pingTimeout;
    this._pingTimeoutTime = Date.now() + silence;
    this._silenceTimer = this.timers.start(() => this._onClose("ping timeout"), silence);
  }

  /** @internal */
  _onError(error: Error): void {
    memory.websocket = false;
    if (this.opts.tryAllTransports && this.transports.length > 1 && this.readyState === "opening") {
      this.transports.shift();
      return this.open();
    }
    this.emit("error", error);
    this._onClose("transport error", error);
  }

  private _watchPage(): void {
    const lost: CloseDetails = { description: "network connection lost" };
    this._leave.push(
      onPage(["offline"], () => this._onClose("transport close", lost)),
      onPage(AWAKE, () => void this._hasPingExpired()),
    );
    if (!this.opts.closeOnBeforeunload) return;
    this._leave.push(
      onPage(["beforeunload"], () => {
        // Silently: nobody in the page shall react to it any more.
        this.transport?.removeAllListeners().close();
      }),
    );
  }
}

/** Where the server is. */
function locate(uri: string | undefined, options: EngineOptions) {
  const page = here();
  let { hostname, port, secure = page?.protocol === "https:" } = options;
  let query: Record<string, unknown> | string | undefined = options.query;
  if (uri !== undefined) {
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

function garbage(code: string): Error {
  return Object.assign(new Error("server error"), { code });
}
