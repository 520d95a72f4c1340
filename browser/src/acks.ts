/** Acknowledgements that a socket waits for, by the ids of their packets. */

import type { Timers } from "./timers.js";

/** A function that takes an acknowledgement. */
export interface Ack {
  (...args: any[]): void;
  /** Whether its first argument is an error, or null. */
  withError?: boolean;
}

export class Acks {
  private readonly _waiting = new Map<number, Ack>();

  constructor(private readonly _timers: Timers) {}

  /**
   * Wait for an acknowledgement.
   *
   * @param id of the packet.
   * @param ack gets it.
   * @param timeout until it gets an error instead; none for ever.
   * @param onTimeout is called before that.
   */
  add(id: number, ack: Ack, timeout: number | undefined, onTimeout: () => void): void {
    if (timeout === undefined) {
      this._waiting.set(id, ack);
      return;
    }
    const timer = this._timers.start(() => {
      this._waiting.delete(id);
      onTimeout();
      ack(new Error("operation has timed out"));
    }, timeout);
    const timed: Ack = (...args) => {
      this._timers.stop(timer);
      ack(...args);
    };
    timed.withError = true;
    this._waiting.set(id, timed);
  }

  /** An acknowledgement has come; one that nobody waits for is none. */
  settle(id: number, args: unknown[]): void {
    const ack = this._waiting.get(id);
    this._waiting.delete(id);
    if (ack?.withError) ack(null, ...args);
    else ack?.(...args);
  }

  /** The connection is lost, and with it what was asked, except for the ids that are to be kept. */
  fail(kept: ReadonlySet<number | undefined>): void {
    for (const [id, ack] of [...this._waiting]) {
      if (kept.has(id)) continue;
      this._waiting.delete(id);
      if (ack.withError) ack(new Error("socket has been disconnected"));
    }
  }
}
