/**
 * Packets to a peer through the server, as the same stream of bytes that goes over a data channel.
 *
 * What is under way is bounded: each side says how much it has taken, and only then more is sent.
 */

import type { ChannelOwner } from "../engine/channel.js";
import { encodeFrames, FrameReader } from "../engine/frames.js";
import type { Packet } from "../engine/packet.js";
import type { Pipe } from "./types.js";

/** Bytes that the server takes at once. */
const CHUNK = 65536;
/** What a chunk counts for at least; the server counts the same. */
const LEAST = 512;

/** The part of the signalling that relays. */
export interface Carrier {
  send(event: string, ...args: unknown[]): void;
}

export class Relay implements Pipe {
  private readonly _reader: FrameReader;
  private _pending: Packet[] = [];
  private _sending?: Promise<void>;
  private _resume?: () => void;
  private _over = false;
  /** Sent, and not taken yet. */
  private _underway = 0;
  /** Taken, and not said so yet. */
  private _taken = 0;

  /**
   * @param _carrier sends to the server.
   * @param _link by which the server knows the peer.
   * @param _window what may be under way.
   * @param _owner is told what happens.
   * @param limit bytes of the longest packet that is taken.
   */
  constructor(
    private readonly _carrier: Carrier,
    private readonly _link: string,
    private readonly _window: number,
    private readonly _owner: ChannelOwner,
    limit: number,
  ) {
    this._reader = new FrameReader("arraybuffer", limit);
  }

  send(packets: readonly Packet[]): Promise<void> {
    for (const packet of packets) this._pending.push(packet);
    return (this._sending ??= this._send());
  }

  close(): void {
    this._over = true;
    this._resume?.();
  }

  /** The server has brought something. */
  arrived(data: ArrayBuffer): void {
    const bytes = new Uint8Array(data);
    this._taken += cost(bytes);
    for (const packet of this._reader.feed(bytes)) if (!this._over) this._owner.onPacket(packet);
    // Not each time: it costs a message.
    if (!this._over && this._taken >= this._window / 4) {
      this._carrier.send("peer:taken", this._link, this._taken);
      this._taken = 0;
    }
  }

  /** The peer has taken something. */
  tookSome(count: number): void {
    this._underway = Math.max(this._underway - count, 0);
    this._resume?.();
  }

  private async _send(): Promise<void> {
    // All that is sent in this turn.
    await null;
    try {
      while (this._pending.length && !this._over) await this._write(this._pending.splice(0));
    } catch {
      // A Blob that cannot be read.
      this.close();
      this._owner.onClose(new Event("error"));
    }
    this._pending = [];
    this._sending = undefined;
  }

  private async _write(packets: Packet[]): Promise<void> {
    const bytes = await encodeFrames(packets);
    // So that what the other side has taken, and not said yet, never keeps a chunk waiting.
    const size = Math.max(Math.min(CHUNK, this._window >> 1), 1);
    for (let at = 0; at < bytes.length; at += size) {
      const chunk = bytes.slice(at, at + size);
      while (this._underway && this._underway + cost(chunk) > this._window && !this._over) {
        await new Promise<void>((resolve) => (this._resume = resolve));
      }
      if (this._over) return;
      this._underway += cost(chunk);
      this._carrier.send("peer:data", this._link, chunk.buffer);
    }
  }
}

const cost = ({ length }: Uint8Array) => Math.max(length, LEAST);
