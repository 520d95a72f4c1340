/** `io()`: the socket of a namespace, on a connection that is shared where it can be. */

import type { AnyEvents, EventsMap } from "./events.js";
import { Manager } from "./manager.js";
import type { ManagerOptions, SocketOptions } from "./options.js";
import { protocol } from "./parser/packet.js";
import { Socket } from "./socket.js";
import { target } from "./url.js";

type Options = Partial<ManagerOptions & SocketOptions>;

const managers = new Map<string, Manager>();

/**
 * Get a socket.
 *
 * @param uri the server, whose path is the namespace; the page's own server if there is none.
 * @param options see `ManagerOptions` and `SocketOptions`.
 */
function lookup<L extends EventsMap = AnyEvents, E extends EventsMap = L>(options?: Options): Socket<L, E>;
function lookup<L extends EventsMap = AnyEvents, E extends EventsMap = L>(
  uri?: string,
  options?: Options,
): Socket<L, E>;
function lookup(uri?: string | Options, options: Options = {}): Socket<any, any> {
  if (typeof uri === "object") {
    options = uri;
    uri = undefined;
  }
  const { id, source, path } = target(uri, options.path || "/socket.io");
  const shared = managers.get(id);
  if (!mayShare(options) || shared?.nsps.has(path)) {
    return new Manager(source, options).socket(path, options);
  }
  const manager = shared ?? new Manager(source, options);
  managers.set(id, manager);
  return manager.socket(path, options);
}

function mayShare(options: Options): boolean {
  return !options.forceNew && !(options as any)["force new connection"] && options.multiplex !== false;
}

export const io = Object.assign(lookup, {
  Manager,
  Socket,
  protocol,
  io: lookup,
  connect: lookup,
});
