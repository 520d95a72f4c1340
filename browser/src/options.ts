/** Options of a Manager and of a Socket, under their official names. Times are milliseconds. */

import type { EngineOptions } from "./engine/options.js";

export interface ManagerOptions extends EngineOptions {
  /** Use a connection of its own, which nobody else shares. */
  forceNew: boolean;
  /** Share one connection among the namespaces of a server. */
  multiplex: boolean;
  /** Connect as soon as it is made. */
  autoConnect: boolean;
  /** Reconnect when the connection is lost. */
  reconnection: boolean;
  /** How often it is tried before it is given up. */
  reconnectionAttempts: number;
  /** The delay before the first attempt. */
  reconnectionDelay: number;
  /** The longest delay. */
  reconnectionDelayMax: number;
  /** By which part of itself a delay may differ. */
  randomizationFactor: number;
  /** Time for one attempt to connect; false for no limit. */
  timeout: number | false;
  /** Another way to write packets: an object with the classes `Encoder` and `Decoder`. */
  parser: any;
}

/** What is sent when a namespace is entered: an object, or a function that is asked each time. */
export type Auth = { [key: string]: any } | ((give: (data: object) => void) => void);

export interface SocketOptions {
  auth?: Auth;
  /** Send each event again, up to so many times, until the server has acknowledged it. */
  retries?: number;
  /** Time for an acknowledgement; callbacks then get an error first. */
  ackTimeout?: number;
}
