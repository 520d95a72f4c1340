/**
 * Packets in a stream of bytes, as HTTP streaming, WebTransport and data channels carry them.
 *
 * Each has a header: a byte whose first bit says that the packet is binary, and whose others are its
 * length up to 125; 126 and two bytes, or 127 and eight, for longer ones.
 */

import { type BinaryType, decode, encode, type Packet } from "./packet.js";

const TWO_BYTES = 126;
const EIGHT_BYTES = 127;

/** Write packets; only a Blob has to be waited for. */
export async function encodeFrames(packets: readonly Packet[]): Promise<Uint8Array<ArrayBuffer>> {
  const parts: BlobPart[] = [];
  for (const packet of packets) {
    const data = encode(packet);
    const binary = typeof data !== "string";
    let body: Uint8Array | Blob;
    if (!binary) body = new TextEncoder().encode(data);
    else if (data instanceof Blob) body = data;
    else if (ArrayBuffer.isView(data)) body = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    else body = new Uint8Array(data);
    const size = body instanceof Blob ? body.size : body.length;
    // An empty frame is an error to many: an empty binary packet is written as `b`, base64 of nothing.
    if (binary && !size) parts.push(new Uint8Array([1, 98]));
    else parts.push(header(size, binary), body as BlobPart);
  }
  if (parts.every((part) => part instanceof Uint8Array)) return join(parts);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

function header(size: number, binary: boolean): Uint8Array<ArrayBuffer> {
  const long = size < TWO_BYTES ? 0 : size < 0x10000 ? 2 : 8;
  const bytes = new Uint8Array(1 + long);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (binary ? 0x80 : 0) | (long === 0 ? size : long === 2 ? TWO_BYTES : EIGHT_BYTES));
  if (long === 2) view.setUint16(1, size);
  else if (long) view.setBigUint64(1, BigInt(size));
  return bytes;
}

/** Finds the packets in what arrives, in pieces of any size. */
export class FrameReader {
  private _chunks: Uint8Array[] = [];
  private _held = 0;
  /** How many bytes there must be before another look is worth joining them. */
  private _needed = 0;

  /**
   * @param _binaryType what binary packets are given as.
   * @param _limit bytes of the longest packet; a longer one is garbage before it is gathered.
   */
  constructor(
    private readonly _binaryType?: BinaryType,
    private readonly _limit = Infinity,
  ) {}

  /** Take some more bytes; gives the packets that are complete now. Garbage gives type "error". */
  feed(bytes: Uint8Array): Packet[] {
    this._chunks.push(bytes);
    this._held += bytes.length;
    const packets: Packet[] = [];
    if (this._held < this._needed) return packets;
    const data = this._chunks.length === 1 ? this._chunks[0]! : join(this._chunks);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    let at = 0;
    this._needed = 0;
    while (at < data.length) {
      const first = data[at]!;
      let size = first & 0x7f;
      let head = at + 1;
      if (size >= TWO_BYTES) {
        const long = size === TWO_BYTES ? 2 : 8;
        if (head + long > data.length) break;
        size = long === 2 ? view.getUint16(head) : Number(view.getBigUint64(head));
        head += long;
      }
      if (size > this._limit) {
        this._chunks = [];
        this._held = 0;
        return [...packets, { type: "error", data: "parser error" }];
      }
      if (head + size > data.length) {
        this._needed = head + size - at;
        break;
      }
      const body = data.slice(head, head + size);
      const packet = first & 0x80 ? body.buffer : new TextDecoder().decode(body);
      packets.push(decode(packet as string | ArrayBuffer, this._binaryType));
      at = head + size;
    }
    this._held = data.length - at;
    this._chunks = this._held ? [data.subarray(at)] : [];
    return packets;
  }
}
