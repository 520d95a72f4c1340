/** Socket.IO packets, revision 5 of the protocol: what they hold, and which are valid. */

/** The revision of the Socket.IO protocol. */
export const protocol = 5;

/** The kinds of packets, by their number on the wire. */
export enum PacketType {
  CONNECT,
  DISCONNECT,
  EVENT,
  ACK,
  CONNECT_ERROR,
  BINARY_EVENT,
  BINARY_ACK,
}

export interface Packet {
  type: PacketType;
  nsp: string;
  data?: any;
  id?: number;
  options?: { compress?: boolean };
}

/** Names of events with a meaning of their own, which neither side may emit. */
export const RESERVED: readonly unknown[] = [
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
];

/** Whether a packet of this type may carry this payload, as a server sends it. */
export function isValid(type: PacketType, data: unknown): boolean {
  switch (type) {
    case PacketType.CONNECT:
      return data === undefined || (isObject(data) && !Array.isArray(data));
    case PacketType.DISCONNECT:
      return data === undefined;
    case PacketType.CONNECT_ERROR:
      return typeof data === "string" || isObject(data);
    case PacketType.ACK:
      return Array.isArray(data);
    default:
      return Array.isArray(data) && isEventName(data[0]);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isEventName(name: unknown): boolean {
  return typeof name === "number" || (typeof name === "string" && !RESERVED.includes(name));
}
