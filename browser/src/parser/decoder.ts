/** Messages to packets. What is not a packet is an exception, and ends the connection. */

import { Emitter } from "../emitter.js";
import { putTogether } from "./binary.js";
import { isValid, type Packet, PacketType } from "./packet.js";

type Reviver = (this: any, key: string, value: any) => any;

export interface DecoderOptions {
  /** As for `JSON.parse`. */
  reviver?: Reviver;
  /** How many binary values a packet may have. */
  maxAttachments?: number;
}

/** `<type>[<attachments>-][<namespace>,][<acknowledgement id>]`, and JSON behind it. */
const HEAD = /^(?:([0-4])|([56])(\d+)-)(?:(\/[^,]*),?)?(\d*)/;

const TO_TEXT = PacketType.BINARY_EVENT - PacketType.EVENT;

export class Decoder extends Emitter<{ decoded: (packet: Packet) => void }> {
  private readonly _options: DecoderOptions;
  /** A packet whose attachments are still coming, how many there are, and those that came. */
  private _waiting?: { packet: Packet; count: number; attachments: unknown[] };

  constructor(options?: Reviver | DecoderOptions) {
    super();
    this._options = typeof options === "function" ? { reviver: options } : (options ?? {});
  }

  /** Take a message; `decoded` is emitted when a packet is complete. */
  add(message: unknown): void {
    if (typeof message === "string") this._addText(message);
    else this._addAttachment(message);
  }

  /** Forget a packet that is not complete. */
  destroy(): void {
    this._waiting = undefined;
  }

  private _addText(text: string): void {
    if (this._waiting) throw new Error("text instead of an attachment");
    const head = HEAD.exec(text);
    if (!head) throw new Error("illegal packet");
    const [whole, plain, binary, count, nsp = "/", id] = head;
    // What comes with attachments is an event or an acknowledgement like any other.
    const type = plain ? Number(plain) : Number(binary) - TO_TEXT;
    const json = text.slice(whole.length);
    const data = json ? this._parse(json) : undefined;
    const packet: Packet = { type, nsp, data };
    if (id) packet.id = Number(id);
    if (!isValid(type, data)) throw new Error("invalid payload");
    if (plain) this.emit("decoded", packet);
    else this._wait(packet, Number(count));
  }

  private _parse(json: string): unknown {
    try {
      return JSON.parse(json, this._options.reviver);
    } catch {
      throw new Error("invalid payload");
    }
  }

  private _wait(packet: Packet, count: number): void {
    if (!count) throw new Error("illegal attachments");
    if (count > (this._options.maxAttachments ?? 10)) throw new Error("too many attachments");
    this._waiting = { packet, count, attachments: [] };
  }

  private _addAttachment(data: unknown): void {
    const waiting = this._waiting;
    if (!waiting) throw new Error("unexpected attachment");
    const { packet, count, attachments } = waiting;
    if (attachments.push(data) < count) return;
    this._waiting = undefined;
    packet.data = putTogether(packet.data, attachments);
    this.emit("decoded", packet);
  }
}
