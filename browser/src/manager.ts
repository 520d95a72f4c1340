/**
 * One connection to a server: it is shared by namespaces, and made again when it is lost.
 *
 * Its events are not those of its sockets: `reconnect_attempt` and its like are told here alone.
 */

import { Backoff } from "./backoff.js";
import { type CloseReason, Engine } from "./engine/engine.js";
import { Emitter } from "./emitter.js";
import type { AnyEvents, EventsMap } from "./events.js";
import type { ManagerOptions, SocketOptions } from "./options.js";
import { AWAKE, onPage } from "./page.js";
import { Decoder } from "./parser/decoder.js";
import { Encoder } from "./parser/encoder.js";
import type { Packet } from "./parser/packet.js";
import { type DisconnectDescription, Socket } from "./socket.js";
import { subscribe } from "./subscribe.js";
import { type Timers, timersFor } from "./timers.js";

export interface ManagerReservedEvents {
  open: () => void;
  error: (error: Error) => void;
  ping: () => void;
  packet: (packet: Packet) => void;
  close: (reason: string, description?: DisconnectDescription) => void;
  reconnect_failed: () => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect_error: (error: Error) => void;
  reconnect: (attempt: number) => void;
}

type Opened = (error?: Error) => void;

export class Manager<
  ListenEvents extends EventsMap = AnyEvents,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<{}, ManagerReservedEvents> {
  /** The Engine.IO session; another one after each reconnection. */
  engine!: Engine;
  opts: Partial<ManagerOptions>;
  /** @internal */
  _readyState: "closed" | "opening" | "open" = "closed";
  /** @internal Whether it is waiting for the next attempt, or in it. */
  _reconnecting = false;
  /** @internal */
  readonly timers: Timers;
  /** @internal The sockets, by the names of their namespaces. */
  readonly nsps = new Map<string, Socket<any, any>>();

  private readonly _uri?: string;
  private readonly _backoff: Backoff;
  private readonly _encoder: Encoder;
  private readonly _decoder: Decoder;
  private readonly _settings: { reconnection: boolean; attempts: number; timeout: number | false };
  /** Set once it has been closed on purpose, until it is opened again. */
  private _stopped = false;
  /** What belongs to the present connection or attempt, and ends with it. */
  private _subscriptions: (() => void)[] = [];

  constructor(options: Partial<ManagerOptions>);
  constructor(uri?: string, options?: Partial<ManagerOptions>);
  constructor(uri?: string | Partial<ManagerOptions>, options?: Partial<ManagerOptions>);
  constructor(uri?: string | Partial<ManagerOptions>, options: Partial<ManagerOptions> = {}) {
    super();
    if (typeof uri === "object") options = uri;
    else this._uri = uri;
    this.opts = options = { ...options, path: options.path || "/socket.io" };
    this.timers = timersFor(options);
    this._backoff = new Backoff(
      options.reconnectionDelay || 1000,
      options.reconnectionDelayMax || 5000,
      options.randomizationFactor ?? 0.5,
    );
    this._settings = {
      reconnection: options.reconnection !== false,
      attempts: options.reconnectionAttempts || Infinity,
      timeout: options.timeout ?? 20000,
    };
    const parser = options.parser ?? { Encoder, Decoder };
    this._encoder = new parser.Encoder();
    this._decoder = new parser.Decoder();
    if (options.autoConnect !== false) this.open();
  }

  /** Whether it reconnects; switching it off ends a reconnection that is under way. */
  reconnection(value: boolean): this;
  reconnection(): boolean;
  reconnection(value?: boolean): this | boolean {
    if (value === false) this._stopped = true;
    return this._option(this._settings, "reconnection", value);
  }

  /** How often it is tried. */
  reconnectionAttempts(value: number): this;
  reconnectionAttempts(): number;
  reconnectionAttempts(value?: number): this | number {
    return this._option(this._settings, "attempts", value);
  }

  /** The delay before the first attempt. */
  reconnectionDelay(value: number): this;
  reconnectionDelay(): number;
  reconnectionDelay(value?: number): this | number {
    return this._option(this._backoff, "min", value);
  }

  /** By which part of itself a delay may differ. */
  randomizationFactor(value: number): this;
  randomizationFactor(): number;
  randomizationFactor(value?: number): this | number {
    return this._option(this._backoff, "jitter", value);
  }

  /** The longest delay. */
  reconnectionDelayMax(value: number): this;
  reconnectionDelayMax(): number;
  reconnectionDelayMax(value?: number): this | number {
    return this._option(this._backoff, "max", value);
  }

  /** Time for one attempt to connect; false for no limit. */
  timeout(value: number | false): this;
  timeout(): number | false;
  timeout(value?: number | false): this | number | false {
    return this._option(this._settings, "timeout", value);
  }

  /** Connect, unless that is done or under way; `opened` gets an error if it fails. */
  open(opened?: Opened): this {
    if (this._readyState !== "closed") return this;
    this.engine = new Engine(this._uri, this.opts);
    this._readyState = "opening";
    this._stopped = false;
    const { engine } = this;
    const error = (error: Error) => this._onOpenFailed(error, opened);
    const open = () => {
      this._onOpen();
      opened?.();
    };
    // The session may end before it has opened: the page goes offline, or the server hangs up.
    const close = (reason: string) => error(new Error(reason));
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
  connect(opened?: Opened): this {
    return this.open(opened);
  }

  /** The socket of a namespace: always the same one. It connects if it is not about to. */
  socket(nsp: string, options?: Partial<SocketOptions>): Socket<ListenEvents, EmitEvents> {
    let socket = this.nsps.get(nsp);
    if (!socket) {
      socket = new Socket(this, nsp, options);
      this.nsps.set(nsp, socket);
    } else if (this.opts.autoConnect !== false && !socket.active) socket.connect();
    return socket;
  }

  /** @internal A socket has left; the connection ends with the last one. */
  _destroy(): void {
    for (const socket of this.nsps.values()) if (socket.active) return;
    this._close();
  }

  /** @internal Send a packet. */
  _packet(packet: Packet): void {
    for (const message of this._encoder.encode(packet)) {
      this.engine.write(message, packet.options);
    }
  }

  /** End the connection, and any attempt to make it again. */
  _close(): void {
    this._stopped = true;
    this._reconnecting = false;
    this._onClose("forced close");
  }

  /** Tell an option, or change it. */
  private _option(owner: any, name: string, value: unknown): any {
    if (value === undefined) return owner[name];
    owner[name] = value;
    return this;
  }

  // --- opening

  private _onOpen(): void {
    this._cleanup();
    this._readyState = "open";
    this.emit("open");
    // A listener of `open` may have closed it.
    if (this._readyState !== ("open" as string)) return;
    const decoded: Packet[] = [];
    this._subscriptions.push(
      subscribe(this.engine, {
        ping: () => this.emit("ping"),
        data: (data) => this._onData(data, decoded),
        error: (error) => this.emit("error", error),
        close: (reason: CloseReason, details) => this._onClose(reason, details),
      }),
      subscribe(this._decoder, { decoded: (packet) => decoded.push(packet) }),
    );
  }

  private _onData(data: unknown, decoded: Packet[]): void {
    try {
      this._decoder.add(data);
    } catch (error) {
      return this._onClose("parse error", error as Error);
    }
    // Only now, so that an exception of a listener is no parse error.
    while (decoded.length) this._dispatch(decoded.shift()!);
  }

  /** What a listener throws is told as any exception is, and does not end the connection. */
  private _dispatch(packet: Packet): void {
    try {
      this.emit("packet", packet);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  private _onOpenFailed(error: Error, opened?: Opened): void {
    this._cleanup();
    this._readyState = "closed";
    this.emit("error", error);
    if (opened) opened(error);
    // It was the first attempt, which nobody repeats but us.
    else if (!this._reconnecting && this._settings.reconnection && !this._backoff.attempts) this._reconnect();
  }

  // --- closing

  private _onClose(reason: string, description?: DisconnectDescription): void {
    this._cleanup();
    this.engine?.close();
    this._backoff.reset();
    this._readyState = "closed";
    this.emit("close", reason, description);
    if (this._settings.reconnection && !this._stopped) this._reconnect();
  }

  private _cleanup(): void {
    for (const end of this._subscriptions.splice(0)) end();
    // A packet that was half received must not go on in the next connection.
    this._decoder.destroy();
  }

  // --- reconnecting

  private _reconnect(): void {
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
      // A listener may have stopped it.
      if (!this._stopped) this.open((error) => this._onAttempt(error));
    });
  }

  private _onAttempt(error?: Error): void {
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
  private _wait(delay: number, attempt: () => void): void {
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

  private _after(delay: number, task: () => void): () => void {
    const timer = this.timers.start(task, delay);
    const stop = () => this.timers.stop(timer);
    this._subscriptions.push(stop);
    return stop;
  }
}
