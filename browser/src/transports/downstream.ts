/**
 * Transports by plain HTTP: one long response brings the packets down, a POST at a time takes ours up.
 *
 * The server numbers what it sends, and each request tells how far we have got. So a response that
 * breaks off, or that the server ends because it has lasted long enough, is followed by the next one
 * with nothing lost or twice. Our POSTs are numbered, too: one whose answer is lost is sent again.
 *
 * Of the engine only what the official one has is used, or can be given by `classes.ts`.
 */

import { encodeFrames } from "../engine/frames.js";
import { encodePayload, type Packet, sizeOf } from "../engine/packet.js";
import { contextOf } from "../engine/polling.js";
import { Transport } from "../engine/transport.js";
import { type Timer, timersFor } from "../timers.js";
import { writeQuery } from "../url.js";
import { type Place, place } from "./crowd.js";
import { afterBetter } from "./patience.js";
import { request } from "./request.js";

/** Delays between requests that fail grow up to this. */
const LONGEST_DELAY = 2000;
/** A response that has lasted so long was a good one. */
const GOOD = 1000;
/** A response is lost when nothing has come for so many heartbeats. */
const LOST_AFTER = 1.5;
/** What a noop says that is the last packet of a response. */
const END = "end";
/** What has failed no more often is not given up, though much time has gone by: the page may have slept. */
const FEW = 3;
/** What comes later than this is held back by somebody on the way, and not only by other tabs. */
const OPEN_WITHIN = 8000;
/** Time to come back, and bytes of one POST, where the server has not told. */
const PING_TIMEOUT = 20_000;
const MAX_PAYLOAD = 100_000;
/** What a packet counts for beside its bytes, so that there are not too many in one POST either. */
const HEADER = 100;
/** Answers of a proxy whose server is away for a moment. */
const AWAY = [502, 503, 504];

/** Stands between the packets of a payload, and may stand in a text of somebody's own. */
const SEPARATOR = "\x1e";

/** One response, as the form that reads it tells of it; what a response tells that was left is ignored. */
export interface Receiver {
  /** Packets have arrived; the number is that of the last one, where the form tells it. */
  take(packets: Packet[], last?: number): void;
  /** It has come to its end, or has broken off. */
  end(): void;
  /** There is no such response: an answer with another status, or 0 for whatever else went wrong. */
  refuse(status: number, context?: unknown): void;
}

export abstract class DownStream extends Transport {
  /** Milliseconds between the server's heartbeats; 0 where they are not seen. */
  protected beat = 15_000;
  private readonly _timers = timersFor(this.opts);
  /** How many packets have arrived. */
  private _received = 0;
  private _posts = 0;
  private _sending?: Promise<void>;
  /** The response that is read; leaving it, and nothing between two responses. */
  private _response?: { leave?: () => void };
  private _place?: Place;
  /** Of the last response: whether the server has ended it, and will keep back what comes. */
  private _clean = false;
  private _failures = 0;
  private _heard = Date.now();
  private _timer: Timer;
  private _waiting?: () => void;
  private _rest?: () => void;
  /** Whether there is no session to say goodbye to, or it is another transport's. */
  private _mute = true;

  /**
   * Ask for a response and read it.
   *
   * @param url of it.
   * @param receiver is told what it brings; not before this has returned.
   * @returns a function that leaves it.
   */
  protected abstract listen(url: string, receiver: Receiver): () => void;

  /** What the form adds to the query of its responses. */
  protected extra(): Record<string, unknown> {
    return {};
  }

  protected doOpen(): void {
    this._waiting = afterBetter(this, this.socket, this._timers, () => this._listen());
  }

  protected doClose(): void {
    if (this._mute) return;
    void Promise.resolve(this._sending).then(() => this._post("1", true)).catch(() => {});
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    if (packets.some(({ type }) => type === "upgrade")) this._mute = false;
    // The official client gives its own list, which goes on growing.
    const batch = packets.slice();
    const sending = Promise.resolve(this._sending)
      .then(() => this._send(batch))
      .then((sent) => {
        if (!sent || this._sending !== sending) return;
        this.writable = true;
        this.emit("drain");
      });
    this._sending = sending;
  }

  override pause(done: () => void): void {
    this.readyState = "pausing";
    const rested = new Promise<void>((rest) => (this._rest = rest));
    const rest = this._rest;
    if (!this._response && this._clean) {
      this._timers.stop(this._timer);
      this._rest!();
    }
    void Promise.all([rested, this._sending]).then(() => {
      if (this._rest !== rest || this.readyState !== "pausing") return;
      this.readyState = "paused";
      this._leave();
      done();
    });
  }

  /** Go on after `pause`, when the other transport has failed after all. */
  resume(): void {
    if (!this.readyState.startsWith("paus")) return;
    this.readyState = "open";
    this._rest = undefined;
    if (!this._response) this._listen();
  }

  protected override onClose(details?: any): void {
    this._leave();
    super.onClose(details);
  }

  // --- down

  private async _listen(): Promise<void> {
    const response: { leave?: () => void } = (this._response = {});
    this._timers.stop(this._timer);
    if (this.readyState === "opening") {
      const late = () => this._fail(0, new Error("no packet came in time"));
      this._timer = this._timers.start(late, OPEN_WITHIN);
    }
    this._place ??= await place(this.createUri("http"));
    if (this._response !== response) return;
    const { max } = this._place;
    const url = this._uri({ ...this.extra(), ...(max && { max }) });
    const receiver = this._receiver(response);
    if (this.readyState !== "opening") this._watch(receiver);
    response.leave = this.listen(url, receiver);
  }

  private _receiver(response: object): Receiver {
    const began = Date.now();
    const isCurrent = () => this._response === response;
    this._clean = false;
    const receiver: Receiver = {
      take: (packets, last) => {
        if (!isCurrent()) return;
        this._heard = Date.now();
        if (last) this._received = last;
        for (const packet of packets) if (isCurrent()) this._take(packet, !last);
        if (isCurrent()) this._watch(receiver);
      },
      end: () => {
        if (!isCurrent()) return;
        if (Date.now() - began > GOOD) this._failures = 0;
        this._again(0);
      },
      refuse: (status, context) => {
        if (!isCurrent()) return;
        if (status && !AWAY.includes(status)) this._fail(status, context);
        else this._again(status, context);
      },
    };
    return receiver;
  }

  private _watch(receiver: Receiver): void {
    this._timers.stop(this._timer);
    if (this.beat) this._timer = this._timers.start(() => receiver.end(), this.beat * LOST_AFTER);
  }

  private _take(packet: Packet, counted: boolean): void {
    const { type, data } = packet;
    if (type === "open") this._mute = false;
    if (this.readyState === "opening" && (type === "open" || this.query.sid)) {
      this._timers.stop(this._timer);
      this.onOpen();
    }
    if (type === "noop") {
      if (data === END) this._clean = true;
      return;
    }
    if (counted) this._received++;
    this._failures = 0;
    if (type === "close") this.onClose({ description: "transport closed by the server" });
    else this.onPacket(packet);
  }

  /** A response is over: ask for the next one. */
  private _again(status: number, context?: unknown): void {
    this._response?.leave?.();
    this._response = undefined;
    this._timers.stop(this._timer);
    if (this._clean && this._rest) return this._rest();
    if (this.readyState === "opening" || !this.query.sid || this._isLate(this._failures, this._heard)) {
      return this._fail(status, context);
    }
    this._timer = this._timers.start(() => this._listen(), delay(this._failures++));
  }

  /** Whether the server, if it lives, has given the session up. */
  private _isLate(failures: number, since: number): boolean {
    const { pingTimeout = PING_TIMEOUT } = this.socket._handshake ?? {};
    return failures > FEW && Date.now() - since > pingTimeout;
  }

  private _fail(status: number, context: unknown, what = ""): void {
    // There is no such session.
    if (status === 400) this._mute = true;
    this._leave();
    this.onError(`${this.name}${what} error`, status > 0 ? status : context, context);
  }

  private _leave(): void {
    this._waiting?.();
    this._timers.stop(this._timer);
    this._response?.leave?.();
    this._response = undefined;
    this._place?.leave();
    this._place = undefined;
  }

  // --- up

  private async _send(packets: Packet[]): Promise<boolean> {
    for (const some of this._split(packets)) {
      // What is text is sent as text: browsers ask other sites beforehand whether bytes may come.
      const bytes = this.supportsBinary && some.some(needsFrame);
      if (!(await this._post(bytes ? await encodeFrames(some) : await encodePayload(some)))) return false;
    }
    return true;
  }

  /** Packets for one request each: no more bytes than the server takes, except for a single packet. */
  private _split(packets: Packet[]): Packet[][] {
    const { maxPayload = MAX_PAYLOAD } = this.socket._handshake ?? {};
    const parts: Packet[][] = [];
    let size = Infinity;
    for (const packet of packets) {
      const own = sizeOf(packet.data) + HEADER;
      if ((size += own) > maxPayload) {
        parts.push([]);
        size = own;
      }
      parts.at(-1)!.push(packet);
    }
    return parts;
  }

  /** Whether the server has got it. */
  private async _post(body: string | Uint8Array<ArrayBuffer>, last?: boolean): Promise<boolean> {
    const seq = this._posts + 1;
    const began = Date.now();
    for (let failures = 0; ; failures++) {
      let status = 0;
      let context: unknown;
      try {
        const response = await request(this, this.opts, this._uri({ seq }), { method: "POST", body, keepalive: last });
        const text = await response.text();
        if (response.ok) {
          this._posts = seq;
          return true;
        }
        ({ status } = response);
        context = contextOf(response, text);
      } catch (error) {
        context = error;
      }
      if (this.readyState === "closed") return false;
      if ((status && !AWAY.includes(status)) || this._isLate(failures, began)) {
        this._fail(status, context, " post");
        return false;
      }
      await new Promise<void>((resolve) => this._timers.start(resolve, delay(failures)));
    }
  }

  private _uri(more: Record<string, unknown>): string {
    const ack = this._received;
    const query = writeQuery({ ...(ack && { ack }), ...more });
    return this.createUri("http", this.opts.timestampRequests) + (query && "&" + query);
  }
}

/** None at first; then longer and longer ones, so that not all clients come at once. */
function delay(failures: number): number {
  return failures && Math.min(LONGEST_DELAY, 50 * 2 ** failures) * (0.5 + Math.random() / 2);
}

function needsFrame({ data }: Packet): boolean {
  return typeof data === "string" ? data.includes(SEPARATOR) : !!data;
}
