/**
 * `forever`: packets come down as scripts in a page that never ends, in an iframe nobody sees. That is
 * how it was done before browsers had anything else; it is here because it still works.
 *
 * It needs a page, from the server's own origin. Nobody tells when such a response breaks off, so the
 * server's heartbeat is what tells.
 */

import { decodePayload } from "../engine/packet.js";
import { DownStream, type Receiver } from "./downstream.js";

/** What stands in place of a number when the server tells its heartbeat. */
const SETTINGS = -1;

/** The scripts of the responses call these, by number. */
const calls: Record<number, (last: number, payload: string) => void> = ((globalThis as any).__nuncio ??= {});

export class Forever extends DownStream {
  private _key = 0;

  get name(): string {
    return "forever";
  }

  protected override extra(): Record<string, unknown> {
    // Other copies of this file may be in the page.
    do this._key = Math.floor(Math.random() * 1e9);
    while (calls[this._key]);
    return { k: this._key };
  }

  protected listen(url: string, receiver: Receiver): () => void {
    if (typeof document === "undefined" || new URL(url).origin !== location.origin) {
      const error = new Error("the transport forever needs a page from the server's own origin");
      queueMicrotask(() => receiver.refuse(0, error));
      return () => {};
    }
    const key = this._key;
    const frame = document.createElement("iframe");
    let called = false;
    calls[key] = (last, payload) => {
      called = true;
      if (last === SETTINGS) this.beat = Number(payload);
      else receiver.take(decodePayload(payload, this.socket.binaryType), last);
    };
    frame.hidden = true;
    frame.src = url;
    // A response without a script is a refusal, and nobody tells its status.
    frame.onload = () => called ? receiver.end() : receiver.refuse(-1);
    const append = () => document.documentElement.append(frame);
    // The page would not be loaded before its frames are.
    if (document.readyState === "complete") append();
    else addEventListener("load", append);
    return () => {
      removeEventListener("load", append);
      delete calls[key];
      frame.onload = null;
      // A script of it may be running.
      setTimeout(() => frame.remove(), 0);
    };
  }
}
