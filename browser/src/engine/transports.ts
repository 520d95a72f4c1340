/** The transports that options can name. More can be added to it. */

import { Polling } from "./polling.js";
import type { TransportClass } from "./transport.js";
import { WS } from "./websocket.js";

export const transports: Record<string, TransportClass> = { polling: Polling, websocket: WS };

/** In which order they are tried, unless options say; those that are not there are left out. */
export const ORDER = ["polling", "websocket", "webtransport"];

/** The classes that options ask for, by name and in order; what is not known is left out. */
export function choose(wanted: readonly (string | TransportClass)[]): Map<string, TransportClass> {
  const chosen = new Map<string, TransportClass>();
  for (const item of wanted) {
    if (typeof item !== "string") chosen.set(item.prototype.name, item);
    else if (Object.hasOwn(transports, item)) chosen.set(item, transports[item]!);
  }
  return chosen;
}
