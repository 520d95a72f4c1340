/**
 * Packets as MessagePack: one binary message each, with binary values in place. It is given to a
 * Manager as `parser`, and understands what the npm package socket.io-msgpack-parser writes:
 *
 * - `undefined` is the extension d4 00 00,
 * - a Date is d7 00 and a 64-bit integer, in milliseconds since 1970,
 * - other extensions of type 0 are bytes.
 *
 * Unlike there, views such as Uint8Array are sent as the bytes that they show.
 */

import { Emitter } from "../emitter.js";
import { isObject, isValid, type Packet, PacketType } from "./packet.js";

export { PacketType, protocol } from "./packet.js";

const TWO_32 = 2 ** 32;

export class Encoder {
  /** The messages of a packet: always one. */
  encode({ type, nsp, id, data }: Packet): [ArrayBuffer] {
    const packet = { type, nsp, ...(id !== undefined && { id }), ...(data !== undefined && { data }) };
    return [pack(packet)];
  }
}

export class Decoder extends Emitter<{ decoded: (packet: Packet) => void }> {
  /** Take a message; `decoded` is emitted with its packet. */
  add(message: any): void {
    const packet: any = unpack(message);
    if (!isObject(packet)) throw new Error("illegal packet");
    const { type, nsp, id, data } = packet as any;
    if (!(Number.isInteger(type) && type >= PacketType.CONNECT && type <= PacketType.CONNECT_ERROR)) {
      throw new Error("invalid packet type");
    }
    if (typeof nsp !== "string") throw new Error("invalid namespace");
    if (!isValid(type, data)) throw new Error("invalid payload");
    if (id !== undefined && !Number.isInteger(id)) throw new Error("invalid packet id");
    this.emit("decoded", packet);
  }

  /** Nothing is kept between two messages. */
  destroy(): void {}
}

/** Write a value. */
export function pack(value: unknown): ArrayBuffer {
  const writer = new Writer();
  writer.write(value);
  return writer.bytes.slice(0, writer.size).buffer;
}

/** Read a value; bytes in it are of the kind that was given: ArrayBuffers, or views as Buffer. */
export function unpack(source: ArrayBuffer | Uint8Array): unknown {
  const reader = new Reader(source);
  const value = reader.read();
  if (reader.at !== source.byteLength) throw new Error("trailing bytes");
  return value;
}

class Writer {
  bytes = new Uint8Array(256);
  size = 0;
  private _view = new DataView(this.bytes.buffer);

  write(value: any): void {
    if (value === null) this._byte(0xc0);
    else if (value === undefined) this._head([0xd4, 0, 0]);
    else if (value === true || value === false) this._byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this._number(value);
    else if (typeof value === "string") this._text(value);
    else if (typeof value === "object") this._object(value);
    else throw new TypeError(`a ${typeof value} cannot be sent with MessagePack`);
  }

  private _object(value: any): void {
    if (Array.isArray(value)) {
      this._sized(value.length, 0x90, 16, [0, 0xdc, 0xdd]);
      for (const item of value) this.write(item);
    } else if (value instanceof ArrayBuffer) this._binary(new Uint8Array(value));
    else if (ArrayBuffer.isView(value)) {
      this._binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    } else if (value instanceof Date) {
      this._head([0xd7, 0]);
      this._long(value.getTime());
    } else if (typeof value.toJSON === "function") this.write(value.toJSON());
    else if (typeof Blob !== "undefined" && value instanceof Blob) {
      throw new TypeError("a Blob cannot be sent with MessagePack; send what its arrayBuffer() gives");
    } else {
      const entries = Object.entries(value).filter(([, item]) => typeof item !== "function");
      this._sized(entries.length, 0x80, 16, [0, 0xde, 0xdf]);
      for (const [key, item] of entries) {
        this._text(key);
        this.write(item);
      }
    }
  }

  private _number(value: number): void {
    if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 63) {
      this._byte(0xcb);
      const at = this._room(8);
      this._view.setFloat64(at, value);
    } else if (value >= 0) {
      if (value < 0x80) this._byte(value);
      else if (value < TWO_32) this._sized(value, 0, 0, [0xcc, 0xcd, 0xce]);
      else this._wide(0xcf, value);
    } else if (value >= -0x20) this._byte(value);
    else if (value >= -0x80) this._head([0xd0, value]);
    else if (value >= -0x8000) this._head([0xd1, value >> 8, value]);
    else if (value >= -0x80000000) {
      this._byte(0xd2);
      this._word(value);
    } else this._wide(0xd3, value);
  }

  private _text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this._sized(bytes.length, 0xa0, 32, [0xd9, 0xda, 0xdb]);
    this._raw(bytes);
  }

  private _binary(bytes: Uint8Array): void {
    this._sized(bytes.length, 0, 0, [0xc4, 0xc5, 0xc6]);
    this._raw(bytes);
  }

  /**
   * @param size to be written, or a number that is written like one.
   * @param short the byte to which sizes below `limit` are added.
   * @param limit of those.
   * @param codes of sizes with one, two and four bytes; 0 where there is no such form.
   */
  private _sized(size: number, short: number, limit: number, [one, two, four]: [number, number, number]): void {
    if (size < limit) this._byte(short | size);
    else if (one && size < 0x100) this._head([one, size]);
    else if (size < 0x10000) this._head([two, size >> 8, size]);
    else {
      this._byte(four);
      this._word(size);
    }
  }

  private _wide(code: number, value: number): void {
    this._byte(code);
    this._long(value);
  }

  private _long(value: number): void {
    this._word(Math.floor(value / TWO_32));
    this._word(value);
  }

  private _word(value: number): void {
    const at = this._room(4);
    this._view.setUint32(at, value);
  }

  private _byte(byte: number): void {
    const at = this._room(1);
    this.bytes[at] = byte;
  }

  private _head(bytes: number[]): void {
    this._raw(bytes);
  }

  private _raw(bytes: ArrayLike<number>): void {
    const at = this._room(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** Make room for some more bytes, perhaps in another array; where they go. */
  private _room(count: number): number {
    const at = this.size;
    this.size += count;
    if (this.size > this.bytes.length) {
      const bytes = new Uint8Array(Math.max(this.size, 2 * this.bytes.length));
      bytes.set(this.bytes);
      this.bytes = bytes;
      this._view = new DataView(bytes.buffer);
    }
    return at;
  }
}

class Reader {
  at = 0;
  private readonly _view: DataView;

  constructor(private readonly _source: any) {
    if (_source instanceof ArrayBuffer) this._view = new DataView(_source);
    else if (ArrayBuffer.isView(_source)) {
      this._view = new DataView(_source.buffer, _source.byteOffset, _source.byteLength);
    } else throw new Error("a packet of MessagePack is binary, and of type ArrayBuffer or Buffer");
  }

  read(): any {
    const code = this._uint(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this._map(code & 0x0f);
    if (code < 0xa0) return this._array(code & 0x0f);
    if (code < 0xc0) return this._text(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    if (code >= 0xde) return this._map(this._uint(code === 0xde ? 2 : 4));
    if (code >= 0xdc) return this._array(this._uint(code === 0xdc ? 2 : 4));
    if (code >= 0xd9) return this._text(this._uint(1 << (code - 0xd9)));
    if (code >= 0xd4) return this._extension(1 << (code - 0xd4), code);
    if (code >= 0xd0) return this._int(1 << (code - 0xd0));
    if (code >= 0xcc) return this._uint(1 << (code - 0xcc));
    if (code >= 0xca) return this._float(code === 0xca ? 4 : 8);
    if (code >= 0xc7) return this._extension(this._uint(1 << (code - 0xc7)), code);
    if (code >= 0xc4) return this._bytes(this._uint(1 << (code - 0xc4)));
    if (code === 0xc1) throw new Error("invalid byte");
    return code === 0xc0 ? null : code === 0xc3;
  }

  private _array(count: number): unknown[] {
    this._check(count);
    const items: unknown[] = [];
    while (count--) items.push(this.read());
    return items;
  }

  private _map(count: number): object {
    this._check(count);
    const entries: [string, unknown][] = [];
    while (count--) entries.push([this.read(), this.read()]);
    // Keys such as `__proto__` are keys like others.
    return Object.fromEntries(entries);
  }

  private _text(size: number): string {
    const { buffer, byteOffset } = this._view;
    const start = byteOffset + this._skip(size);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(buffer, start, size));
  }

  private _bytes(size: number): unknown {
    const at = this._skip(size);
    return this._source.slice(at, at + size);
  }

  private _extension(size: number, code: number): unknown {
    const type = this._int(1);
    if (type === 0 && code === 0xd7) return new Date(this._int(8));
    const bytes = this._bytes(size);
    if (type) return [type, bytes];
    return code === 0xd4 ? undefined : bytes;
  }

  private _uint(size: number): number {
    if (size === 8) return this._uint(4) * TWO_32 + this._uint(4);
    const at = this._skip(size);
    if (size === 4) return this._view.getUint32(at);
    return size === 2 ? this._view.getUint16(at) : this._view.getUint8(at);
  }

  private _int(size: number): number {
    if (size === 8) return this._int(4) * TWO_32 + this._uint(4);
    const at = this._skip(size);
    if (size === 4) return this._view.getInt32(at);
    return size === 2 ? this._view.getInt16(at) : this._view.getInt8(at);
  }

  private _float(size: number): number {
    const at = this._skip(size);
    return size === 4 ? this._view.getFloat32(at) : this._view.getFloat64(at);
  }

  private _skip(size: number): number {
    this._check(size);
    const { at } = this;
    this.at += size;
    return at;
  }

  /** Nothing is made for values that cannot be there: each takes a byte at least. */
  private _check(count: number): void {
    if (this.at + count > this._view.byteLength) throw new Error("truncated");
  }
}
