/**
 * Upgrades are tried all at once, and the first that succeeds wins. A transport that is not the best
 * one waits here until those that are better have failed, or take too long.
 */

import type { Engine } from "../engine/engine.js";
import type { Transport } from "../engine/transport.js";
import type { Timers } from "../timers.js";

/** The best first; what is not among them comes last. */
const PREFERENCE = ["webtransport", "websocket", "stream", "sse"];

/** How long it waits. The session goes on meanwhile. */
const PATIENCE = 2000;

/**
 * Open a transport when its time has come: at once, unless it is a session's further one.
 *
 * @param transport which would open.
 * @param socket of either client.
 * @param timers its time-outs.
 * @param open it.
 * @returns a function that ends the waiting.
 */
export function afterBetter(transport: Transport, socket: Engine, timers: Timers, open: () => void): () => void {
  const rank = PREFERENCE.indexOf(transport.name);
  const upgrades = (transport.query.sid && socket._handshake?.upgrades) || [];
  const better = new Set(PREFERENCE.filter((name, at) => (rank < 0 || at < rank) && upgrades.includes(name)));
  if (!better.size) {
    open();
    return () => {};
  }
  const onError = ({ transport: name }: { transport?: string }) => {
    if (better.delete(name!) && !better.size) go();
  };
  const timer = timers.start(() => go(), PATIENCE);
  const stop = () => {
    timers.stop(timer);
    socket.off("upgradeError", onError as any);
  };
  const go = () => {
    stop();
    open();
  };
  socket.on("upgradeError", onError as any);
  return stop;
}
