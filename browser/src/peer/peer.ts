/** A peer: used as a socket is, but what is emitted goes to another browser. */

import { type Ack, Acks } from "../acks.js";
import { Emitter } from "../emitter.js";
import type {
  AllButLast,
  Answer,
  AnyEvents,
  DecorateAcknowledgements,
  EventNames,
  EventParams,
  EventsMap,
  Last,
} from "../events.js";
import { Decoder } from "../parser/decoder.js";
import { Encoder } from "../parser/encoder.js";
import { type Packet, PacketType, RESERVED } from "../parser/packet.js";
import { timersFor } from "../timers.js";
import { Control, PeerError } from "./control.js";
import { codeOf } from "./fingerprint.js";
import { Link, type LinkOwner, type PeerReason } from "./link.js";
import type { AnySocket, Offer, PeerOptions, Stamp } from "./types.js";

export interface PeerReservedEvents {
  connect: () => void;
  /** It cannot be connected to; with a PeerError, `code` tells why. */
  connect_error: (error: PeerError | Error) => void;
  disconnect: (reason: PeerReason) => void;
}

interface Flags {
  timeout?: number;
  volatile?: boolean;
}

export class Peer<ListenEvents extends EventsMap = AnyEvents, EmitEvents extends EventsMap = ListenEvents>
  extends Emitter<ListenEvents, PeerReservedEvents>
  implements LinkOwner
{
  connected = false;
  /** What the application's server says of who it is. */
  identity: any;
  /** Events that were emitted before it was connected. */
  sendBuffer: Packet[] = [];
  private _link: Link;
  private _over = false;
  private _writable = true;
  private _flags: Flags = {};
  private _ids = 0;
  private readonly _acks = new Acks(timersFor({}));
  private readonly _encoder = new Encoder();
  private readonly _decoder = new Decoder();

  /**
   * @internal
   * @param _socket in whose name it is connected.
   * @param id the peer's socket id.
   * @param incoming whether the peer has asked.
   * @param _forget is called when it is over.
   */
  constructor(
    private readonly _socket: AnySocket,
    readonly id: string,
    readonly incoming: boolean,
    options: PeerOptions,
    private readonly _forget: () => void,
  ) {
    super();
    this._link = this._newLink(options);
    this._decoder.on("decoded", (packet) => this._handle(packet));
  }

  /** The namespace of both sockets. */
  get nsp(): string {
    return this._socket.nsp;
  }

  get disconnected(): boolean {
    return !this.connected;
  }

  /** Whether the server relays, since there is no direct way. */
  get relayed(): boolean {
    return this._link.relayed;
  }

  /** Whether the certificate at the other end is the one that the server vouches for. */
  get verified(): boolean {
    return this._link.verified;
  }

  /** Of the peer's certificate; undefined where there is none. */
  get fingerprint(): string | undefined {
    return this._link.fingerprint;
  }

  /** Of this side's own certificate; the peer has it as `fingerprint`. */
  get localFingerprint(): string | undefined {
    return this._link.localFingerprint;
  }

  /**
   * Forty digits that both ends have in common, for two people to compare.
   *
   * If they are the same, nobody is in between, not even the server. Fails for a peer that is not
   * connected directly.
   */
  async code(): Promise<string> {
    const { fingerprint, localFingerprint } = this;
    if (!this.verified || !fingerprint || !localFingerprint) {
      throw new Error("a peer has a code while it is connected directly");
    }
    return codeOf(fingerprint, localFingerprint);
  }

  /** Agree to be connected to a peer that has asked; `options` take the place of what was said. */
  accept(options?: PeerOptions): this {
    if (options) this._link.options = { ...this._link.options, ...options };
    void this._link.accept();
    return this;
  }

  /** Do not agree. */
  refuse(): this {
    if (this.incoming) this._link.refuse();
    return this;
  }

  /** End it; what was emitted before still leaves. */
  close(): this {
    this._link.close();
    return this;
  }

  /** As `close`. */
  disconnect(): this {
    return this.close();
  }

  /** Send an event. If the last argument is a function, it gets what the peer answers. */
  override emit<E extends EventNames<EmitEvents>>(event: E, ...args: EventParams<EmitEvents, E>): this {
    if (RESERVED.includes(event)) throw new Error(`"${String(event)}" is a reserved event name`);
    const flags = this._flags;
    this._flags = {};
    const data: unknown[] = [event, ...args];
    const packet: Packet = { type: PacketType.EVENT, nsp: "/", data };
    const ack = typeof data.at(-1) === "function" ? (data.pop() as Ack) : undefined;
    if (this._over || (flags.volatile && !(this.connected && this._writable))) {
      if (this._over && ack?.withError) ack(new Error("peer has been disconnected"));
      return this;
    }
    if (ack) this._expect(packet, ack, flags.timeout);
    if (this.connected) this._send(packet);
    else this.sendBuffer.push(packet);
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

  /** The callback of the next event gets an error first: when there is no answer in this time. */
  timeout(milliseconds: number): Peer<ListenEvents, DecorateAcknowledgements<EmitEvents>> {
    this._flags.timeout = milliseconds;
    return this as any;
  }

  /** The next event is dropped if it cannot be sent at once. */
  get volatile(): this {
    this._flags.volatile = true;
    return this;
  }

  private _expect(packet: Packet, ack: Ack, timeout?: number): void {
    const id = (packet.id = this._ids++);
    this._acks.add(id, ack, timeout, () => {
      this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
    });
  }

  private _send(packet: Packet): void {
    this._writable = false;
    const messages = this._encoder.encode(packet).map((data) => ({ type: "message" as const, data }));
    void this._link.send(messages).then(() => (this._writable = true));
  }

  // --- what the peers of a socket ask for

  /** @internal Whether the other side may have asked at the same time. */
  get _isPending(): boolean {
    return !this._over && this._link.isPending;
  }

  /** @internal Ask the peer. */
  _offer(): void {
    void this._link.offer();
  }

  /** @internal The peer has asked. */
  _take(offer: Offer): void {
    this.identity = offer.from!.identity;
    this._link.take(offer);
  }

  /** @internal Both have asked at the same time, and the peer's offer is to be the one. */
  _adopt(offer: Offer): void {
    const { options } = this._link;
    const given = this._link;
    this._link = this._newLink(options);
    given.close();
    this._take(offer);
    this.accept();
  }

  /** @internal The socket has left the server, or only lost the connection to it. */
  _left(lost: boolean): void {
    this._link.left(lost);
  }

  /** @internal The peer has begun anew. */
  _replaced(): void {
    this._link.replaced();
  }

  private _newLink(options: PeerOptions): Link {
    const owner: LinkOwner = {
      introduced: (stamp) => this.introduced(stamp),
      opened: () => this.opened(),
      received: (data) => this.received(data),
      ended: (reason, error) => link === this._link && this.ended(reason, error),
    };
    const link: Link = new Link(Control.of(this._socket), this._socket, this.id, owner, options);
    return link;
  }

  // --- what the link tells

  /** @internal */
  introduced({ identity }: Stamp): void {
    this.identity = identity;
  }

  /** @internal */
  opened(): void {
    this.connected = true;
    for (const packet of this.sendBuffer.splice(0)) this._send(packet);
    super.emit("connect");
  }

  /** @internal */
  received(data: unknown): void {
    try {
      this._decoder.add(data);
    } catch {
      this._link.violated();
    }
  }

  /** @internal */
  ended(reason: PeerReason, error?: PeerError | Error): void {
    const { connected } = this;
    this._over = true;
    this.connected = false;
    this.sendBuffer = [];
    this._forget();
    this._acks.fail(new Set());
    if (connected) super.emit("disconnect", reason);
    else if (error) super.emit("connect_error", error);
  }

  private _handle({ type, id, data }: Packet): void {
    if (type === PacketType.ACK || type === PacketType.BINARY_ACK) this._tell(() => this._acks.settle(id!, data));
    else if (type === PacketType.EVENT || type === PacketType.BINARY_EVENT) {
      const args = id === undefined ? data : [...data, this._answer(id)];
      this._tell(() => super.emit(args[0], ...args.slice(1)));
    } else throw new Error("a peer sends events and acknowledgements only");
  }

  /** What a listener throws is told as any exception is, and does not end the link. */
  private _tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  private _answer(id: number): (...data: unknown[]) => void {
    let answered = false;
    return (...data) => {
      if (answered || !this.connected) return;
      answered = true;
      this._send({ type: PacketType.ACK, nsp: "/", id, data });
    };
  }
}
