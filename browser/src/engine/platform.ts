/** What differs between browsers and Node: this is for browsers, and `node.ts` changes it. */

import type { BinaryType } from "./packet.js";

/** Cookies of one session, kept where no browser does it. */
export interface Cookies {
  /** Take the cookies of a response. */
  take(response: Response): void;
  /** The header for the next request; empty for none. */
  header(): string;
}

export interface Platform {
  /** What binary messages are given as, unless the engine is told otherwise. */
  binaryType: BinaryType;
  /** Make a place for cookies; undefined where the browser keeps them. */
  cookies?: () => Cookies;
  /** Open a WebSocket; browsers send no headers with it. */
  connect(url: string, protocols: any, headers: Record<string, string>): globalThis.WebSocket;
}

export const platform: Platform = {
  binaryType: "arraybuffer",
  connect: (url, protocols) => new globalThis.WebSocket(url, protocols ?? []),
};
