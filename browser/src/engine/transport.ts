/**
 * The interface of all transports, and what they have in common.
 *
 * It is that of the official client: transports written for that one work in this one, and the other
 * way round. A transport implements `name`, `doOpen`, `doClose` and `write`; it calls `onOpen`,
 * `onPacket`, `onClose` and `onError`, and at the end of each write sets `writable` and emits `drain`.
 */

import { Emitter } from "../emitter.js";
import { bracketed, writeQuery } from "../url.js";
import type { Engine } from "./engine.js";
import type { EngineOptions } from "./options.js";
import { decode, type Packet } from "./packet.js";

export type TransportOptions = EngineOptions & {
  /** The engine that it works for. */
  socket: Engine;
};

export interface TransportClass {
  new (options: any): Transport;
  prototype: { name: string };
}

/** Details of an end that is no error. */
export interface CloseDetails {
  description: string;
  context?: unknown;
}

/** Why a transport failed; `description` is a status or an event, `context` what else there is. */
export class TransportError extends Error {
  readonly type = "TransportError";

  constructor(
    message: string,
    readonly description: any,
    readonly context: any,
  ) {
    super(message);
  }
}

interface Events {
  open: () => void;
  packet: (packet: Packet) => void;
  drain: () => void;
  error: (error: TransportError) => void;
  close: (details?: CloseDetails) => void;
}

export abstract class Transport extends Emitter<{}, Events> {
  /** Parameters of the URL; the engine adds the session's id. */
  query: Record<string, any>;
  /** Whether packets can be given to it now. */
  writable = false;
  readyState: "" | "opening" | "open" | "pausing" | "paused" | "closed" = "";
  /** Whether it can carry bytes. */
  supportsBinary: boolean;
  protected readonly opts: TransportOptions;
  protected readonly socket: Engine;

  constructor(options: TransportOptions) {
    super();
    this.opts = options;
    this.query = options.query ?? {};
    this.socket = options.socket;
    this.supportsBinary = !options.forceBase64;
  }

  /** Its name, in options and in the query. */
  abstract get name(): string;

  protected abstract doOpen(): void;
  protected abstract doClose(): void;
  protected abstract write(packets: Packet[]): void;

  open(): this {
    this.readyState = "opening";
    this.doOpen();
    return this;
  }

  close(): this {
    if (this.readyState && this.readyState !== "closed") {
      this.doClose();
      this.onClose();
    }
    return this;
  }

  /** Send packets; only while it is `writable`. */
  send(packets: Packet[]): void {
    if (this.readyState === "open") this.write(packets);
  }

  /** Come to rest, with everything sent and received, so that another transport can go on. */
  pause(done: () => void): void {
    if (this.writable) done();
    else this.once("drain", done);
  }

  protected onOpen(): void {
    this.readyState = "open";
    this.writable = true;
    this.emit("open");
  }

  protected onData(data: string | ArrayBuffer): void {
    this.onPacket(decode(data, this.socket.binaryType));
  }

  protected onPacket(packet: Packet): void {
    this.emit("packet", packet);
  }

  protected onError(reason: string, description?: unknown, context?: unknown): this {
    return this.emit("error", new TransportError(reason, description, context));
  }

  protected onClose(details?: CloseDetails): void {
    this.readyState = "closed";
    this.emit("close", details);
  }

  /** @internal Headers for a request: those of the options, and cookies where no browser keeps them. */
  _headers(): Record<string, string> {
    const cookie = this.socket.cookies?.header();
    return { ...this.opts.extraHeaders, ...(cookie && { cookie }) };
  }

  /**
   * The URL, with the session's id and what else the query needs.
   *
   * @param scheme which gets an `s` where it has to be secure.
   * @param stamped whether the URL shall be another one each time, so that no cache answers.
   */
  protected createUri(scheme: string, stamped = false): string {
    const { hostname = "", port, secure, path, timestampParam } = this.opts;
    const implied = !port || Number(port) === (secure ? 443 : 80);
    const query = { ...this.query };
    if (stamped) query[timestampParam ?? "t"] = Math.random().toString(36).slice(2, 10);
    if (!this.supportsBinary) query.b64 = 1;
    const text = writeQuery(query);
    return `${scheme}${secure ? "s" : ""}://${bracketed(hostname)}${implied ? "" : ":" + port}${path}${text && "?" + text}`;
  }
}
