/**
 * How a WebSocket is left for another transport.
 *
 * It is never idle for certain: something may be under way on both sides. So each side ends with a
 * `noop` and sends nothing behind it: the server when it is asked `2probe`, we when we have seen that
 * and all of ours has left. The official client has no such end; there a session could not leave a
 * WebSocket at all. So it is given to the one that is to be left, of whichever client.
 */

import type { Engine } from "../engine/engine.js";
import type { Packet } from "../engine/packet.js";
import type { Transport } from "../engine/transport.js";

type Restable = Transport & { doClose(): void; resume?(): void };

export class Rest {
  private readonly _old: Restable;
  /** Whether the server has sent its last packet here. */
  private _marked = false;
  /** Whether we have. */
  private _said = false;
  private _done?: () => void;
  private readonly _look = () => this._goOn();
  private readonly _onPacket = ({ type }: Packet) => {
    if (type !== "noop") return;
    this._marked = true;
    this._goOn();
  };

  /**
   * @param _next the transport that is tried.
   * @param old the session's WebSocket.
   * @param _engine the session.
   */
  constructor(
    private readonly _next: Transport,
    old: Transport,
    private readonly _engine: Engine,
  ) {
    this._old = old as Restable;
    old.on("packet", this._onPacket);
    this._old.pause = (done) => {
      this._done = done;
      this._goOn();
    };
    this._old.resume = () => {
      this._done = undefined;
    };
  }

  /** The other transport has ended; when that was before the move, the session goes on here. */
  end(): void {
    const moving = this._done;
    this._forget();
    if (!moving || this._engine.readyState === "closed") return;
    // The official client would wait for ever.
    this._engine.upgrading = false;
    this._engine.flush();
  }

  private _goOn(): void {
    const old = this._old;
    if (!this._done || !this._marked || this._next.readyState !== "open") return;
    if (!old.writable) {
      old.once("drain", this._look);
      return;
    }
    if (!this._said) {
      this._said = true;
      old.once("drain", this._look);
      old.send([{ type: "noop" }]);
      return;
    }
    const done = this._done;
    this._forget();
    old.readyState = "paused";
    done();
    old.doClose();
  }

  private _forget(): void {
    const old = this._old as Partial<Restable>;
    this._done = undefined;
    this._old.off("packet", this._onPacket);
    this._old.off("drain", this._look);
    delete old.pause;
    delete old.resume;
  }
}
