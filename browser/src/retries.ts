/**
 * Events that are sent until they are acknowledged: the option `retries`.
 *
 * One at a time is under way, so their order is kept. An event may arrive twice.
 */

import type { Ack } from "./acks.js";

interface Entry {
  args: unknown[];
  flags: object;
  tries: number;
  pending: boolean;
}

export class RetryQueue {
  private readonly _entries: Entry[] = [];

  /**
   * @param _retries how often an event is sent again.
   * @param _connected whether anything can be sent now.
   * @param _send emits an event, whose last argument is a callback.
   */
  constructor(
    private readonly _retries: number,
    private readonly _connected: () => boolean,
    private readonly _send: (args: unknown[], flags: object) => void,
  ) {}

  /** How many are waiting or under way. */
  get length(): number {
    return this._entries.length;
  }

  /** Send an event when its turn comes; if its last argument is a function, that gets the answer. */
  add(args: unknown[], flags: object): void {
    const done = typeof args.at(-1) === "function" ? (args.pop() as Ack) : undefined;
    const entry: Entry = { args, flags, tries: 0, pending: false };
    const ack: Ack = (error: Error | null, ...answer: unknown[]) => {
      // It was sent again, and the answers to both have come.
      if (entry !== this._entries[0]) return;
      entry.pending = false;
      if (!error || entry.tries > this._retries) {
        this._entries.shift();
        done?.(error, ...answer);
      }
      this.drain();
    };
    ack.withError = true;
    args.push(ack);
    this._entries.push(entry);
    this.drain();
  }

  /**
   * Send the first, unless it is under way.
   *
   * @param again even if it is: the connection is a new one.
   */
  drain(again = false): void {
    const entry = this._entries[0];
    if (!entry || !this._connected() || (entry.pending && !again)) return;
    entry.pending = true;
    entry.tries++;
    this._send([...entry.args], entry.flags);
  }
}
