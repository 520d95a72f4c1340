/** Options of an engine, under their official names. Times are milliseconds. */

import type { TimerOptions } from "../timers.js";
import type { TransportClass, TransportOptions } from "./transport.js";

export interface EngineOptions extends TimerOptions {
  /** The server's name, instead of an address. A port may stand in `port`. */
  host?: string | null;
  hostname?: string;
  port?: string | number;
  /** Whether to connect by TLS; as the page was loaded, if it is not said. */
  secure?: boolean;
  /** Where the server answers. */
  path?: string;
  /** Whether `path` gets a slash at its end. */
  addTrailingSlash?: boolean;
  /** Parameters for the query of every request. The query of an address wins over them. */
  query?: { [key: string]: any };
  /** Transports in the order in which they are tried: names, classes, or both. */
  transports?: readonly (string | TransportClass)[];
  /** Options for one transport, by its name. */
  transportOptions?: { [name: string]: Partial<TransportOptions> };
  /** Whether to move to a better transport that the server offers. */
  upgrade?: boolean;
  /** Whether to begin with WebSocket where that has worked in this page before. */
  rememberUpgrade?: boolean;
  /** Whether the next transport is tried when the first cannot connect. */
  tryAllTransports?: boolean;
  /** Whether binary messages are sent as base64 even where bytes would do. */
  forceBase64?: boolean;
  /** The parameter that makes each URL another one. */
  timestampParam?: string;
  /** Whether URLs get it: only those of polling, if it is not said. */
  timestampRequests?: boolean;
  /** Whether cookies and credentials are sent to other sites; in Node, whether cookies are kept. */
  withCredentials?: boolean;
  /** Headers for each request; browsers send none with a WebSocket. */
  extraHeaders?: { [header: string]: string };
  /** Time for one request of polling; none if it is not said. */
  requestTimeout?: number;
  /** Sub-protocols of the WebSocket. */
  protocols?: string | string[];
  /** Whether the connection is closed when the page is about to be left. */
  closeOnBeforeunload?: boolean;
  /** Whether messages are compressed is a browser's own affair; this is here for compatibility. */
  perMessageDeflate?: { threshold: number } | boolean;
}
