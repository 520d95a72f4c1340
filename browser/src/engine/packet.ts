/**
 * Engine.IO packets, revision 4 of the protocol, and the two ways they are written.
 *
 * A text packet is a digit and what follows. A binary message is the bare bytes where the transport
 * can carry bytes, and `b` with base64 where it cannot.
 */

import type { Binary } from "../parser/binary.js";

export const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"] as const;

export type PacketType = (typeof TYPES)[number] | "error";

export interface Packet {
  type: PacketType;
  data?: any;
  options?: { compress?: boolean };
}

/** What binary messages are given as. */
export type BinaryType = "arraybuffer" | "blob" | "nodebuffer";

/** Stands between the packets of a payload. */
const SEPARATOR = "\x1e";

/** String.fromCharCode takes only so many arguments. */
const CHUNK = 0x8000;

/** Write a packet for a transport that can carry bytes. */
export function encode({ type, data }: Packet): string | Binary {
  return typeof data === "object" && data !== null ? data : TYPES.indexOf(type as any) + (data || "");
}

/** Write a packet as text; only a Blob has to be waited for. */
export function encodeText(packet: Packet): string | Promise<string> {
  const encoded = encode(packet);
  if (typeof encoded === "string") return encoded;
  return encoded instanceof Blob ? encoded.arrayBuffer().then(toBase64) : toBase64(encoded);
}

/** Write several packets as the body of one request. */
export async function encodePayload(packets: readonly Packet[]): Promise<string> {
  return (await Promise.all(packets.map(encodeText))).join(SEPARATOR);
}

/** Read a packet; garbage gives one of type "error". */
export function decode(data: string | ArrayBuffer, binaryType?: BinaryType): Packet {
  if (typeof data !== "string") return { type: "message", data: as(binaryType, data) };
  try {
    if (data[0] === "b") {
      const bytes = Uint8Array.from(atob(data.slice(1)), (char) => char.charCodeAt(0));
      return { type: "message", data: as(binaryType, bytes.buffer) };
    }
    const type = /^[0-6]/.test(data) && TYPES[Number(data[0])];
    if (type) return data.length > 1 ? { type, data: data.slice(1) } : { type };
  } catch {
    // It is no base64.
  }
  return { type: "error", data: "parser error" };
}

/** Read the body of a response; nothing behind garbage is read. */
export function decodePayload(payload: string, binaryType?: BinaryType): Packet[] {
  const packets: Packet[] = [];
  for (const part of payload.split(SEPARATOR)) {
    const packet = decode(part, binaryType);
    packets.push(packet);
    if (packet.type === "error") break;
  }
  return packets;
}

/** How many bytes a message takes in a payload, roughly for binary ones. */
export function sizeOf(data: any): number {
  if (typeof data === "string") return new TextEncoder().encode(data).length;
  return data ? Math.ceil((data.byteLength ?? data.size) * 1.33) : 0;
}

function toBase64(data: ArrayBuffer | ArrayBufferView): string {
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return "b" + btoa(text);
}

declare const Buffer: { from(bytes: ArrayBuffer): Uint8Array };

function as(binaryType: BinaryType | undefined, bytes: ArrayBuffer): unknown {
  if (binaryType === "blob") return new Blob([bytes]);
  return binaryType === "nodebuffer" ? Buffer.from(bytes) : bytes;
}
