/**
 * How two browsers come to be connected: directly, or through the server.
 *
 * Who has offered decides. Once the peer agrees, a direct way is tried for some time, and if there is
 * none the offerer asks the server to relay. Over each way the two greet each other before it is used:
 * `open` from the offerer, `open` back, `upgrade`. So both always use the same one, and nothing is
 * lost on one that was given up.
 */

import { Channel } from "../engine/channel.js";
import type { Packet } from "../engine/packet.js";
import { type Timer, timersFor } from "../timers.js";
import { type Control, PeerError } from "./control.js";
import { fingerprintOf, hasFingerprint } from "./fingerprint.js";
import { Relay } from "./relay.js";
import type { AnySocket, Bye, LinkListener, Offer, PeerOptions, Pipe, Session, Stamp, Told } from "./types.js";

const TIMEOUT = 10_000;
const MAX_MESSAGE = 10_000_000;

/** Candidates of the peer that are kept until its session is known; the server passes on fewer. */
const MOST_CANDIDATES = 256;

/** Time for what was sent last to leave. */
const LINGER = 500;

/** Time in which a peer has to answer, when it or this side has lost the server. */
const PROBE = 5000;

/** Why a link ended, for who was connected. */
export type PeerReason =
  /** This side has closed it. */
  | "io client disconnect"
  /** The peer has closed it. */
  | "peer disconnect"
  /** The peer's socket has left the server, or was shown out. */
  | "peer left"
  /** This side's own socket has. */
  | "socket disconnect"
  /** The peer is gone, or the network between. */
  | "transport close"
  | "transport error"
  /** The peer has sent what is no packet. */
  | "parse error";

/** Who uses a link. */
export interface LinkOwner {
  /** The peer has agreed; who it is, as the server says. */
  introduced(stamp: Stamp): void;
  opened(): void;
  received(data: unknown): void;
  /** It is over; with an error if it was never open. */
  ended(reason: PeerReason, error?: PeerError | Error): void;
}

const MESSAGES: Record<string, string> = {
  refused: "the peer refuses to be connected",
  closed: "the peer refuses to be connected",
  failed: "there is no way to the peer",
  fingerprint: "a certificate is not the one that the server vouches for",
  "peer:expired": "the peer has not answered",
  "peer:unavailable": "the peer cannot be connected to",
  "peer:left": "the peer has left",
};

/** What it means that the other side, or the server, has ended an open link. */
const ENDS: Record<string, PeerReason> = { closed: "peer disconnect", "peer:left": "peer left" };

type Stage = "new" | "offered" | "agreed" | "open" | "over";

export class Link implements LinkListener {
  relayed = false;
  verified = false;
  /** Of the peer's certificate. */
  fingerprint?: string;
  private _stage: Stage = "new";
  private _id?: string;
  private _window = 0;
  private _mayRelay = false;
  private _offer?: Offer;
  private _connection?: RTCPeerConnection;
  private _channel?: Channel;
  /** What is used, or is being tried. */
  private _pipe?: Pipe;
  /** Whether the offerer has said `open` on it. */
  private _greeted = false;
  private _timer?: Timer;
  private _ours: unknown[] = [];
  private _theirs: (RTCIceCandidateInit | null)[] = [];
  /** The peer's session is being taken. */
  private _taking?: Promise<void>;
  private readonly _timers = timersFor({});

  /**
   * @param _control arranges it.
   * @param _socket in whose name.
   * @param _peer the peer's socket id.
   * @param _owner is told what happens.
   * @param options how.
   */
  constructor(
    private readonly _control: Control,
    private readonly _socket: AnySocket,
    private readonly _peer: string,
    private readonly _owner: LinkOwner,
    public options: PeerOptions,
  ) {}

  /** Whether the peer may still be offering the same. */
  get isPending(): boolean {
    return this._stage === "new" || this._stage === "offered";
  }

  /** Of this side's own certificate. */
  get localFingerprint(): string | undefined {
    return fingerprintOf(this._connection?.localDescription?.sdp ?? "");
  }

  // --- offering

  /** Ask the peer. */
  async offer(): Promise<void> {
    try {
      await this._control.ready();
      if (this._is("over")) return;
      const relay = this.options.relay !== false;
      const sdp = await this._makeOffer();
      if (this._is("over")) return;
      if (!sdp && !relay) throw failure("failed", "there is no WebRTC here, and nothing is to be relayed");
      this._mayRelay = relay;
      const { nsp } = this._socket;
      await this._control.offer({ nsp, to: this._peer, sdp, relay }, this);
    } catch (error) {
      this._end("transport error", error as Error);
    }
  }

  private async _makeOffer(): Promise<string | null> {
    const connection = this._connect();
    if (!connection) return null;
    this._use(connection.createDataChannel("nuncio"));
    await connection.setLocalDescription();
    return connection.localDescription!.sdp;
  }

  offered(link: string, window: number): void {
    if (this._is("over")) {
      // It was given up meanwhile.
      this._control.send("peer:bye", { link, reason: "closed" });
      return;
    }
    this._stage = "offered";
    this._begin(link, window);
  }

  answer(told: Told & Session): void {
    const { from, sdp, relay } = told;
    if (!this._is("offered") || this._offer || from?.id !== this._peer) return;
    this._stage = "agreed";
    this._mayRelay &&= relay;
    this._owner.introduced(from);
    if (!sdp) return this._useRelay();
    this._after(this._timeout, () => this._noDirectWay());
    this._know("answer", told).catch(() => this._noDirectWay());
  }

  private _noDirectWay(): void {
    if (this._offer || !this._is("agreed") || this.relayed) return;
    if (!this._mayRelay) return this._fail("failed");
    this._control.send("peer:relay", { link: this._id });
    this._useRelay();
  }

  // --- being offered something

  /** The peer asks: nothing happens until it is accepted. */
  take(offer: Offer): void {
    this._offer = offer;
    this._stage = "offered";
    this._begin(offer.link, offer.window);
  }

  /** Agree. */
  async accept(): Promise<void> {
    const offer = this._offer;
    if (!offer || !this._is("offered")) return;
    this._stage = "agreed";
    this._mayRelay = offer.relay && this.options.relay !== false;
    // The offerer decides what is tried, one after the other.
    this._after(2 * this._timeout, () => this._fail("failed"));
    try {
      const sdp = offer.sdp && (await this._makeAnswer(offer));
      if (!this._is("agreed")) return;
      if (!sdp && !this._mayRelay) return this._fail("failed");
      this._control.send("peer:answer", { link: this._id, sdp, relay: this._mayRelay });
      if (!sdp) this._useRelay();
    } catch {
      this._fail("failed");
    }
  }

  private async _makeAnswer(offer: Offer): Promise<string | null> {
    const connection = this._connect();
    if (!connection) return null;
    connection.ondatachannel = ({ channel }) => this._channel || this._use(channel);
    await this._know("offer", offer);
    if (!this._is("agreed")) return null;
    await connection.setLocalDescription();
    return connection.localDescription!.sdp;
  }

  /** Do not agree. */
  refuse(): void {
    this._bye("refused");
    this._end("io client disconnect");
  }

  // --- the direct way

  /** Begin a connection; none where there is no WebRTC, or it is not to be used. */
  private _connect(): RTCPeerConnection | undefined {
    const { rtc } = this.options;
    if (rtc === false || typeof globalThis.RTCPeerConnection !== "function") return undefined;
    const connection = (this._connection = new globalThis.RTCPeerConnection(rtc));
    connection.onicecandidate = ({ candidate }) => this._sendCandidate(candidate?.toJSON() ?? null);
    connection.onconnectionstatechange = () => {
      if (connection !== this._connection || connection.connectionState !== "failed") return;
      if (this._is("open")) this._end("transport error");
      else this._noDirectWay();
    };
    return connection;
  }

  /** Carry packets over a channel, once it is open and the right one is at its other end. */
  private _use(raw: RTCDataChannel): void {
    const connection = this._connection!;
    const { maxMessage = MAX_MESSAGE } = this.options;
    const channel: Channel = new Channel(
      connection,
      raw,
      {
        onOpen: () => void this._verify(connection, channel),
        onPacket: (packet) => this._receive(channel, packet),
        onClose: () => this._closed(channel),
      },
      "arraybuffer",
      maxMessage,
    );
    this._channel = channel;
  }

  private async _verify(connection: RTCPeerConnection, channel: Channel): Promise<void> {
    try {
      // A page that is busy may see the channel first.
      await this._taking;
      const valid = await hasFingerprint(connection, this.fingerprint!);
      // A channel that was open when it came may be told of twice.
      if (channel !== this._channel || channel === this._pipe || !this._is("agreed")) return;
      if (!valid) return this._fail("fingerprint");
    } catch {
      // It has ended meanwhile.
      return this._closed(channel);
    }
    this.verified = true;
    this._ready(channel);
  }

  /** The peer's session is known; it has to be the one that the server has seen. */
  private async _know(type: "offer" | "answer", { sdp, fingerprint }: Session): Promise<void> {
    const connection = this._connection;
    if (!connection) return this._fail("failed");
    if (!fingerprint || fingerprintOf(sdp!) !== fingerprint) return this._fail("fingerprint");
    this.fingerprint = fingerprint;
    await (this._taking = connection.setRemoteDescription({ type, sdp: sdp! }));
    for (const candidate of this._theirs.splice(0)) this._try(candidate);
  }

  private _sendCandidate(candidate: unknown): void {
    if (this._id) this._control.send("peer:ice", { link: this._id, candidate });
    else if (!this._is("over")) this._ours.push(candidate);
  }

  ice({ from, candidate }: Told & { candidate: RTCIceCandidateInit | null }): void {
    if (from?.id !== this._peer) return;
    if (this._connection?.remoteDescription) this._try(candidate);
    else if (this._theirs.length < MOST_CANDIDATES) this._theirs.push(candidate);
  }

  private _try(candidate: RTCIceCandidateInit | null): void {
    // One that cannot be used is no harm.
    this._connection!.addIceCandidate(candidate ?? undefined).catch(() => {});
  }

  // --- through the server

  relay({ from }: Told): void {
    if (this._offer && this._is("agreed") && this._mayRelay && from?.id === this._peer) this._useRelay();
  }

  private _useRelay(): void {
    this._drop();
    this.relayed = true;
    this.verified = this._greeted = false;
    this.fingerprint = undefined;
    const { maxMessage = MAX_MESSAGE } = this.options;
    const relay: Relay = new Relay(
      this._control,
      this._id!,
      this._window,
      {
        onOpen: () => {},
        onPacket: (packet) => this._receive(relay, packet),
        onClose: () => this._closed(relay),
      },
      maxMessage,
    );
    this._after(this._timeout, () => this._fail("failed"));
    this._ready(relay);
  }

  data({ from, data }: Told & { data: ArrayBuffer }): void {
    if (from?.id === this._peer && this._pipe instanceof Relay) this._pipe.arrived(data);
  }

  taken({ from, count }: Told & { count: number }): void {
    if (from?.id === this._peer && this._pipe instanceof Relay) this._pipe.tookSome(count);
  }

  // --- greeting, and after

  /** A way is there. */
  private _ready(pipe: Pipe): void {
    this._pipe = pipe;
    if (!this._offer || this._greeted) void pipe.send([{ type: "open" }]);
  }

  private _receive(pipe: Pipe, { type, data }: Packet): void {
    if (this._is("over")) return;
    const isOpen = this._is("open");
    // Whatever comes, there is somebody.
    if (isOpen) this._stopTimer();
    if (type === "message" && isOpen) this._owner.received(data);
    else if (type === "ping" && isOpen) void pipe.send([{ type: "pong" }]);
    else if (type === "open" && this._is("agreed") && !this._greeted) this._greet(pipe);
    else if (type === "upgrade" && this._offer && this._greeted && this._is("agreed")) this._open();
    else if (type === "close" && isOpen) this._end("peer disconnect");
    else if (!(type === "pong" && isOpen)) this.violated();
  }

  private _greet(pipe: Pipe): void {
    this._greeted = true;
    if (this._offer) {
      if (pipe === this._pipe) void pipe.send([{ type: "open" }]);
    } else {
      void pipe.send([{ type: "upgrade" }]);
      this._open();
    }
  }

  private _open(): void {
    this._stopTimer();
    this._stage = "open";
    this._owner.opened();
  }

  /** Send to the peer. */
  send(packets: readonly Packet[]): Promise<void> {
    return this._pipe!.send(packets);
  }

  // --- ending

  /** The peer has sent what it may not. */
  violated(): void {
    this._bye("failed");
    this._end("parse error", new PeerError("the peer has sent what is no packet", "peer:failed"));
  }

  bye({ reason, lost }: Bye): void {
    this._detach();
    // Who is connected directly does not need the server.
    if (lost && this._isDirect()) return this._probe();
    this._end(ENDS[reason] ?? "transport error", failure(reason));
  }

  /** This side's socket has left the server, or only lost the connection to it. */
  left(lost: boolean): void {
    this._detach();
    if (lost && this._isDirect()) return this._probe();
    this._end("socket disconnect", new PeerError("the socket has been disconnected", "peer:disconnected"));
  }

  /** The peer begins anew, so it knows nothing of this one. */
  replaced(): void {
    this._end("transport close", failure("failed"));
  }

  /** End it, with what was sent before. */
  close(): void {
    this._end("io client disconnect");
  }

  /** Whether both sides get along without the server. */
  private _isDirect(): boolean {
    return this._is("open") && !this.relayed;
  }

  /** See whether the peer is still there: browsers take half a minute to find out. */
  private _probe(): void {
    void this._pipe!.send([{ type: "ping" }]);
    this._after(PROBE, () => this._end("transport close"));
  }

  /** The server knows nothing of it any longer. */
  private _detach(): void {
    if (this._id) this._control.forget(this._id);
    this._id = undefined;
  }

  private _closed(pipe: Pipe): void {
    if (pipe !== this._channel && pipe !== this._pipe) return;
    if (this._is("open")) this._end("transport close");
    else if (!this.relayed) this._noDirectWay();
  }

  private _fail(word: string): void {
    if (this._is("over")) return;
    this._bye(word);
    this._end("transport error", failure(word));
  }

  private _bye(reason: string): void {
    if (this._id && !this._is("over")) this._control.send("peer:bye", { link: this._id, reason });
    this._detach();
  }

  private _end(reason: PeerReason, error?: Error): void {
    if (this._is("over")) return;
    const wasOpen = this._is("open");
    this._stopTimer();
    if (reason === "io client disconnect" && wasOpen) void this._linger();
    else {
      this._bye(reason === "io client disconnect" ? "closed" : "failed");
      this._drop();
    }
    this._stage = "over";
    this._owner.ended(reason, wasOpen ? undefined : error);
  }

  /** Let what was sent leave first. */
  private async _linger(): Promise<void> {
    const wait = () => new Promise<void>((resolve) => this._timers.start(resolve, LINGER));
    const { _pipe: pipe, _connection: connection, _id: link } = this;
    await Promise.race([pipe!.send([{ type: "close" }]), wait()]);
    if (!this.relayed) {
      pipe!.close();
      await wait();
      connection!.close();
    }
    if (link) this._control.send("peer:bye", { link, reason: "closed" });
    this._detach();
    this._drop();
  }

  /** Let go of what carries packets. */
  private _drop(): void {
    const { _channel: channel, _pipe: pipe, _connection: connection } = this;
    this._channel = this._pipe = this._connection = undefined;
    channel?.close();
    pipe?.close();
    connection?.close();
  }

  private _begin(link: string, window: number): void {
    this._id = link;
    this._window = window;
    this._control.listen(link, this);
    for (const candidate of this._ours.splice(0)) this._sendCandidate(candidate);
  }

  private _is(stage: Stage): boolean {
    return this._stage === stage;
  }

  private get _timeout(): number {
    return this.options.timeout ?? TIMEOUT;
  }

  private _after(milliseconds: number, task: () => void): void {
    this._stopTimer();
    this._timer = this._timers.start(task, milliseconds);
  }

  private _stopTimer(): void {
    this._timers.stop(this._timer);
  }
}

function failure(word: string, message = MESSAGES[word] ?? MESSAGES.failed!): PeerError {
  return new PeerError(message, word.startsWith("peer:") ? word : `peer:${word}`);
}
