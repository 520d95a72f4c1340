/**
 * The move to a better transport while the session goes on.
 *
 * The new transport asks `2probe` and is answered `3probe`. Then the old one comes to rest, with all
 * that was under way received, and the new one says `5` and goes on. Whatever fails before that leaves
 * the session where it was.
 */

import { subscribe } from "../subscribe.js";
import type { Engine } from "./engine.js";
import { memory } from "./memory.js";
import type { Packet } from "./packet.js";
import type { Transport } from "./transport.js";

/** WebTransport is tried first; the others wait this long for it. */
const HEAD_START = 200;

export class Probe {
  private readonly _transport: Transport;
  /** The transport of the session, once it has been asked to rest. */
  private _resting?: Transport & { resume?(): void };
  private _over = false;
  private readonly _leave: () => void;

  /**
   * @param _engine the session.
   * @param name of the new transport.
   */
  constructor(
    private readonly _engine: Engine,
    name: string,
  ) {
    this._transport = _engine._create(name);
    memory.websocket = false;
    subscribe(this._transport, {
      open: () => this._transport.send([{ type: "ping", data: "probe" }]),
      packet: (packet) => this._onAnswer(packet),
      error: (error) => this._fail(error),
      close: () => this._fail("transport closed"),
    });
    this._leave = subscribe(_engine, {
      close: () => this._fail("socket closed"),
      // Another transport was faster.
      upgrading: (winner) => winner === this._transport || this._stop(),
    });
    if (name !== "webtransport" && _engine._handshake!.upgrades.includes("webtransport")) {
      _engine.timers.start(() => this._over || this._transport.open(), HEAD_START);
    } else this._transport.open();
  }

  private _onAnswer(packet: Packet): void {
    const { _engine: engine, _transport: transport } = this;
    if (this._resting) return;
    if (packet.type !== "pong" || packet.data !== "probe") return this._fail("probe error");
    engine.upgrading = true;
    engine.emit("upgrading", transport);
    if (this._over) return;
    this._resting = engine.transport;
    engine.transport.pause(() => {
      if (!this._over) this._goOn();
    });
  }

  private _goOn(): void {
    const { _engine: engine, _transport: transport } = this;
    this._end();
    engine._use(transport);
    transport.send([{ type: "upgrade" }]);
    memory.websocket = transport.name === "websocket";
    engine.emit("upgrade", transport);
    engine.upgrading = false;
    engine.flush();
  }

  private _fail(reason: string | Error): void {
    if (this._over) return;
    const { _engine: engine, _transport: transport } = this;
    const text = (reason as Error).message ?? reason;
    this._stop();
    if (engine.readyState !== "closed" && this._resting) {
      engine.upgrading = false;
      this._resting.resume?.();
    }
    const error = new Error(text === "probe error" ? text : `probe error: ${text}`);
    engine.emit("upgradeError", Object.assign(error, { transport: transport.name }));
    engine.flush();
  }

  private _stop(): void {
    this._end();
    this._transport.close();
  }

  private _end(): void {
    this._over = true;
    this._transport.removeAllListeners();
    this._leave();
  }
}
