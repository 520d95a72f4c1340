/**
 * Browsers connected to each other: `peer(socket, id)`, and `socket.peer(id)` after `install(io)`.
 *
 * It needs a Nuncio server with `io.peers(…)`, and works with sockets of the official client, too.
 */

import type { AnyEvents, EventsMap } from "../events.js";
import { Peer } from "./peer.js";
import { Peers } from "./peers.js";
import type { AnySocket, PeerOptions } from "./types.js";

export { PeerError } from "./control.js";
export type { PeerReason } from "./link.js";
export { Peer, type PeerReservedEvents } from "./peer.js";
export { Peers } from "./peers.js";
export type { PeerOptions } from "./types.js";

/**
 * Be connected to a peer.
 *
 * @param socket in whose name.
 * @param id the peer's socket id, in the same namespace.
 * @param options how.
 */
export function peer<L extends EventsMap = AnyEvents, E extends EventsMap = L>(
  socket: AnySocket,
  id: string,
  options?: PeerOptions,
): Peer<L, E> {
  return Peers.of(socket).connect(id, options);
}

/** The peers of a socket: `peers(socket).on("peer", (peer) => peer.accept())` hears who asks. */
export function peers(socket: AnySocket, options?: PeerOptions): Peers {
  const found = Peers.of(socket);
  if (options) found.options = options;
  return found;
}

/**
 * Give all sockets of a client the method `peer`, and the event `peer` for who asks.
 *
 * Listeners of that event are never called for an event of this name that the server sends.
 *
 * @param client what has the class `Socket`: `io`, or the module.
 */
export function install(client: { Socket: abstract new (...args: any[]) => any }): void {
  const methods: any = client.Socket.prototype;
  if (methods.peer) return;
  methods.peer = function (this: AnySocket, id: string, options?: PeerOptions) {
    return peer(this, id, options);
  };
  for (const name of ["on", "once", "addEventListener", "off", "removeListener", "removeEventListener"] as const) {
    const original = methods[name];
    if (!original) continue;
    methods[name] = function (this: AnySocket, event: unknown, ...listeners: any[]) {
      if (event !== "peer") return original.apply(this, arguments);
      (Peers.of(this) as any)[name](event, ...listeners);
      return this;
    };
  }
}

declare module "../socket.js" {
  interface SocketReservedEvents {
    /** Somebody wants to be connected; after `install`. */
    peer: (peer: Peer) => void;
  }
  interface Socket<ListenEvents, EmitEvents> {
    /** Be connected to a peer; after `install`. */
    peer<L extends EventsMap = AnyEvents, E extends EventsMap = L>(id: string, options?: PeerOptions): Peer<L, E>;
  }
}
