/**
 * What the server said when the session opened. Our engine keeps it; the official one has it under names
 * that its minified builds have lost, so there our transports look at the packet.
 */

import type { Engine, Handshake } from "../engine/engine.js";
import type { Packet } from "../engine/packet.js";

const known = new WeakMap<Engine, Handshake>();

/** Look at a packet that has arrived. */
export function notice(socket: Engine, { type, data }: Packet): void {
  if (type !== "open" || socket._handshake) return;
  try {
    known.set(socket, JSON.parse(data));
  } catch {
    // The engine will say so.
  }
}

/** What is known; in the official client nothing when a class of its own has opened the session. */
export function handshakeOf(socket: Engine): Partial<Handshake> {
  return socket._handshake ?? known.get(socket) ?? {};
}
