/**
 * Packets over a data channel of WebRTC, taken as a stream of bytes.
 *
 * Packets that are sent in one turn travel in as few messages as they fit in, for each message costs
 * much; what is longer than a message is cut. A channel whose other side does not read fills up to a
 * limit, and who sends is told when there is room again.
 */

import { encodeFrames, FrameReader } from "./frames.js";
import type { BinaryType, Packet } from "./packet.js";

/** Bytes of one message: as many as any browser takes. */
const MESSAGE = 65536;

/** What may be sent to a browser that does not say how much it takes (RFC 8841, section 6.1). */
const UNKNOWN = 65536;

/** Nothing is sent while more than this waits in the browser, until no more than the other does. */
const HIGH = 1 << 20;
const LOW = 1 << 18;

/** Who has a channel; the names are those that transports have for the same. */
export interface ChannelOwner {
  /** Packets can be sent. */
  onOpen(): void;
  /** One has arrived; garbage has the type "error". */
  onPacket(packet: Packet): void;
  /** The channel has ended, and nothing more will be told; the event of the error, if it was one. */
  onClose(error?: Event): void;
}

export class Channel {
  private readonly _reader: FrameReader;
  private _pending: Packet[] = [];
  private _sending?: Promise<void>;
  private _resume?: () => void;
  private _over = false;

  /**
   * @param _connection which the channel belongs to.
   * @param _channel ordered and reliable, as they are unless one asks for something else.
   * @param _owner is told what happens.
   * @param binaryType what binary messages are given as.
   * @param limit bytes of the longest packet that is taken from the other side.
   */
  constructor(
    private readonly _connection: RTCPeerConnection,
    private readonly _channel: RTCDataChannel,
    private readonly _owner: ChannelOwner,
    binaryType?: BinaryType,
    limit?: number,
  ) {
    this._reader = new FrameReader(binaryType, limit);
    const channel = _channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW;
    channel.onopen = () => this._over || _owner.onOpen();
    channel.onmessage = ({ data }) => this._take(data);
    channel.onerror = (error) => this._end(error);
    channel.onclose = () => this._end();
    // One that the other side has opened may be open when it is told of.
    if (channel.readyState === "open") queueMicrotask(() => channel.onopen!(new Event("open")));
  }

  /** Whether packets can be sent. */
  get isOpen(): boolean {
    return !this._over && this._channel.readyState === "open";
  }

  /** Send packets, in order; settles when there is room for more, or the channel has ended. */
  send(packets: readonly Packet[]): Promise<void> {
    for (const packet of packets) this._pending.push(packet);
    return (this._sending ??= this._send());
  }

  /** End it; nothing more is told. What has been sent may still leave. */
  close(): void {
    this._over = true;
    this._channel.close();
    this._resume?.();
  }

  private async _send(): Promise<void> {
    // All that is sent in this turn.
    await null;
    try {
      while (this._pending.length && this.isOpen) await this._write(await this._encode());
    } catch (error) {
      // A Blob that cannot be read, or an end that comes before it is told.
      if (this.isOpen) this._end(Object.assign(new Event("error"), { error }));
    }
    this._pending = [];
    this._sending = undefined;
  }

  private _encode(): Promise<Uint8Array<ArrayBuffer>> {
    const packets = this._pending;
    this._pending = [];
    return encodeFrames(packets);
  }

  private async _write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const size = Math.min(this._connection.sctp?.maxMessageSize || UNKNOWN, MESSAGE);
    for (let at = 0; at < bytes.length && this.isOpen; at += size) {
      this._channel.send(bytes.subarray(at, at + size));
      if (this._channel.bufferedAmount > HIGH) await this._room();
    }
  }

  private _room(): Promise<void> {
    return new Promise((resolve) => {
      this._channel.onbufferedamountlow = this._resume = () => resolve();
    });
  }

  private _take(data: unknown): void {
    if (this._over) return;
    const packets: Packet[] = data instanceof ArrayBuffer
      ? this._reader.feed(new Uint8Array(data))
      : [{ type: "error", data: "parser error" }];
    for (const packet of packets) if (!this._over) this._owner.onPacket(packet);
  }

  private _end(error?: Event): void {
    if (this._over) return;
    this.close();
    this._owner.onClose(error);
  }
}
