/**
 * One namespace of a server, as this side sees it: events go out by `emit` and come in by `on`.
 *
 * It lives on while connections come and go. What is emitted meanwhile is kept, and sent, in order,
 * before `connect` is told.
 */

import { type Ack, Acks } from "./acks.js";
import { CatchAll } from "./catchall.js";
import { Emitter } from "./emitter.js";
import type {
  AllButLast,
  Answer,
  AnyEvents,
  DecorateAcknowledgements,
  EventNames,
  EventParams,
  EventsMap,
  Last,
} from "./events.js";
import type { Manager } from "./manager.js";
import type { Auth, SocketOptions } from "./options.js";
import { type Packet, PacketType, RESERVED } from "./parser/packet.js";
import { RetryQueue } from "./retries.js";
import { subscribe } from "./subscribe.js";

export type DisconnectReason =
  | "io server disconnect"
  | "io client disconnect"
  | "ping timeout"
  | "transport close"
  | "transport error"
  | "parse error"
  | "forced close";

/** What else is known of a disconnection. */
export type DisconnectDescription = Error | { description: string; context?: unknown };

/** An error with what the server said of it. */
export interface ExtendedError extends Error {
  data?: any;
}

export interface SocketReservedEvents {
  connect: () => void;
  connect_error: (error: ExtendedError) => void;
  disconnect: (reason: DisconnectReason, description?: DisconnectDescription) => void;
}

type AnyListener = (...args: any[]) => void;

/** How the next event is sent. */
interface Flags {
  compress?: boolean;
  volatile?: boolean;
  timeout?: number;
  /** Comes out of the queue of retries, so it does not go in again. */
  queued?: boolean;
}

const TOO_OLD = "the server speaks the protocol of Socket.IO 2, and this client does not";

export class Socket<
  ListenEvents extends EventsMap = AnyEvents,
  EmitEvents extends EventsMap = ListenEvents,
> extends Emitter<ListenEvents, SocketReservedEvents> {
  readonly io: Manager<any, any>;
  /** What the server calls it; another one after each connection, none between them. */
  id: string | undefined;
  connected = false;
  /** Whether the last reconnection has brought back the session, with all that was missed. */
  recovered = false;
  auth: Auth | undefined;
  /** Events that came before the namespace had let us in. */
  receiveBuffer: any[][] = [];
  /** Events that were emitted while there was no connection. */
  sendBuffer: Packet[] = [];
  readonly nsp: string;

  private readonly _acks: Acks;
  private readonly _queue?: RetryQueue;
  private readonly _incoming = new CatchAll();
  private readonly _outgoing = new CatchAll();
  private readonly _ackTimeout?: number;
  private _flags: Flags = {};
  private _ids = 0;
  /** Known to the server and us alone: by it the session is brought back. */
  private _pid?: string;
  private _lastOffset?: string;
  private _unsubscribe?: () => void;

  constructor(manager: Manager<any, any>, nsp: string, options: Partial<SocketOptions> = {}) {
    super();
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
        },
      );
    }
    if (manager.opts.autoConnect !== false) this.connect();
  }

  get disconnected(): boolean {
    return !this.connected;
  }

  /** Whether it connects whenever the Manager does: so also while the connection is lost. */
  get active(): boolean {
    return !!this._unsubscribe;
  }

  /** Connect; only needed with `autoConnect: false`, or after it was disconnected for good. */
  connect(): this {
    if (this.connected) return this;
    this._subscribe();
    const { io } = this;
    if (!io._reconnecting) io.open();
    if (io._readyState === "open") this._enter();
    return this;
  }

  /** As `connect`. */
  open(): this {
    return this.connect();
  }

  /** Leave the namespace, and do not come back; the connection ends with its last namespace. */
  disconnect(): this {
    if (this.connected) this._send({ type: PacketType.DISCONNECT });
    this._destroy();
    if (this.connected) this._onClose("io client disconnect");
    return this;
  }

  /** As `disconnect`. */
  close(): this {
    return this.disconnect();
  }

  /** Send an event. If the last argument is a function, it gets what the server answers. */
  override emit<E extends EventNames<EmitEvents>>(event: E, ...args: EventParams<EmitEvents, E>): this {
    if (RESERVED.includes(event)) throw new Error(`"${String(event)}" is a reserved event name`);
    this._emit([event, ...args]);
    return this;
  }

  /** Send an event and wait for the answer. */
  emitWithAck<E extends EventNames<EmitEvents>>(
    event: E,
    ...args: AllButLast<EventParams<EmitEvents, E>>
  ): Promise<Answer<Last<EventParams<EmitEvents, E>>>> {
    return new Promise((resolve, reject) => {
      const ack: Ack = (error, answer) => (error ? reject(error) : resolve(answer));
      ack.withError = true;
      this.emit(event, ...([...args, ack] as any));
    });
  }

  /** Send the event `message`. */
  send(...args: any[]): this {
    return this.emit("message" as any, ...(args as any));
  }

  /** Whether the next event may be compressed. */
  compress(compress: boolean): this {
    this._flags.compress = compress;
    return this;
  }

  /** The next event is dropped if it cannot be sent at once. */
  get volatile(): this {
    this._flags.volatile = true;
    return this;
  }

  /** The callback of the next event gets an error first: when there is no answer in this time. */
  timeout(milliseconds: number): Socket<ListenEvents, DecorateAcknowledgements<EmitEvents>> {
    this._flags.timeout = milliseconds;
    return this as any;
  }

  /** Call a function at every event that comes in, with its name and arguments. */
  onAny(listener: AnyListener): this {
    this._incoming.add(listener);
    return this;
  }

  /** As `onAny`, before those that are there. */
  prependAny(listener: AnyListener): this {
    this._incoming.prepend(listener);
    return this;
  }

  /** Forget one such function, or all. */
  offAny(listener?: AnyListener): this {
    this._incoming.remove(listener);
    return this;
  }

  /** The list of these functions, which may be changed. */
  listenersAny(): AnyListener[] {
    return this._incoming.all();
  }

  /** Call a function at every event that is sent, with its name and arguments. */
  onAnyOutgoing(listener: AnyListener): this {
    this._outgoing.add(listener);
    return this;
  }

  /** As `onAnyOutgoing`, before those that are there. */
  prependAnyOutgoing(listener: AnyListener): this {
    this._outgoing.prepend(listener);
    return this;
  }

  /** Forget one such function, or all. */
  offAnyOutgoing(listener?: AnyListener): this {
    this._outgoing.remove(listener);
    return this;
  }

  /** The list of these functions, which may be changed. */
  listenersAnyOutgoing(): AnyListener[] {
    return this._outgoing.all();
  }

  // --- sending

  private _emit(args: unknown[]): void {
    const flags = this._flags;
    this._flags = {};
    if (this._queue && !flags.queued && !flags.volatile) {
      this._queue.add(args, { ...flags, queued: true });
      return;
    }
    const packet: Packet = {
      type: PacketType.EVENT,
      nsp: this.nsp,
      data: args,
      options: { compress: flags.compress !== false },
    };
    if (typeof args.at(-1) === "function") this._expectAnswer(packet, args.pop() as Ack, flags);
    const { engine } = this.io;
    if (flags.volatile && !engine?.transport?.writable) return;
    if (this.connected && !engine._hasPingExpired()) this._sendEvent(packet);
    else this.sendBuffer.push(packet);
  }

  private _expectAnswer(packet: Packet, ack: Ack, { timeout = this._ackTimeout }: Flags): void {
    const id = (packet.id = this._ids++);
    this._acks.add(id, ack, timeout, () => {
      // Nobody waits for the answer any more, so it need not be asked.
      this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
    });
  }

  private _sendEvent(packet: Packet): void {
    this._outgoing.tell(this, packet.data);
    this._send(packet);
  }

  private _send(packet: Partial<Packet>): void {
    this.io._packet({ ...packet, nsp: this.nsp } as Packet);
  }

  // --- the connection

  private _subscribe(): void {
    this._unsubscribe ??= subscribe(this.io, {
      open: () => this._enter(),
      packet: (packet) => this.onpacket(packet),
      error: (error) => this.connected || super.emit("connect_error", error),
      close: (reason, description) => this._onClose(reason, description),
    });
  }

  /** Ask to be let into the namespace. */
  private _enter(): void {
    const { engine } = this.io;
    const give = (auth?: object) => {
      // A function may take its time, and the connection has gone meanwhile.
      if (engine !== this.io.engine) return;
      const session = this._pid && { pid: this._pid, offset: this._lastOffset };
      this._send({ type: PacketType.CONNECT, data: session ? { ...session, ...auth } : auth });
    };
    if (typeof this.auth === "function") this.auth(give);
    else give(this.auth);
  }

  private _onClose(reason: DisconnectReason, description?: DisconnectDescription): void {
    this.connected = false;
    this.id = undefined;
    // What is recovered later comes again.
    this.receiveBuffer = [];
    super.emit("disconnect", reason, description);
    this._acks.fail(new Set(this.sendBuffer.map((packet) => packet.id)));
  }

  /** Let go of the Manager. */
  private _destroy(): void {
    this._unsubscribe?.();
    this._unsubscribe = undefined;
    this.io._destroy();
  }

  // --- receiving

  /** @internal A packet has come, for whatever namespace. */
  onpacket({ nsp, type, id, data }: Packet): void {
    if (nsp !== this.nsp) return;
    if (type === PacketType.CONNECT) this._onConnect(data);
    else if (type === PacketType.EVENT || type === PacketType.BINARY_EVENT) this._onEvent(data, id);
    else if (type === PacketType.ACK || type === PacketType.BINARY_ACK) this._acks.settle(id!, data);
    else if (type === PacketType.DISCONNECT) {
      this._destroy();
      this._onClose("io server disconnect");
    } else this._onRefused(data);
  }

  private _onConnect(session?: { sid?: string; pid?: string }): void {
    if (!session?.sid) {
      super.emit("connect_error", new Error(TOO_OLD));
      return;
    }
    this.id = session.sid;
    this.recovered = !!session.pid && this._pid === session.pid;
    this._pid = session.pid;
    this.connected = true;
    // Any listener may disconnect again.
    while (this.connected && this.receiveBuffer.length) this._handle(this.receiveBuffer.shift()!);
    while (this.connected && this.sendBuffer.length) this._sendEvent(this.sendBuffer.shift()!);
    this._queue?.drain(true);
    if (this.connected) super.emit("connect");
  }

  private _onRefused(data: any): void {
    this._destroy();
    super.emit("connect_error", Object.assign(new Error(data.message), { data: data.data }));
  }

  private _onEvent(data: unknown[] = [], id?: number): void {
    const args = id === undefined ? data : [...data, this._answer(id)];
    if (this.connected) this._handle(args);
    else this.receiveBuffer.push(args);
  }

  private _handle(args: any[]): void {
    this._incoming.tell(this, args);
    super.emit(args[0], ...args.slice(1));
    // Where the server remembers what it sends, each event tells its place at its end.
    if (this._pid && typeof args.at(-1) === "string") this._lastOffset = args.at(-1);
  }

  /** The function that answers an event; the first call counts, and only on the same connection. */
  private _answer(id: number): AnyListener {
    const { engine } = this.io;
    let answered = false;
    return (...data) => {
      if (answered || engine !== this.io.engine) return;
      answered = true;
      this._send({ type: PacketType.ACK, id, data });
    };
  }
}

export declare namespace Socket {
  /** As `DisconnectReason`. */
  export type DisconnectReason = import("./socket.js").DisconnectReason;
}
