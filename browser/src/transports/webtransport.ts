/**
 * WebTransport: packets in one stream of an HTTP/3 session, which goes over UDP.
 *
 * The session's URL has the query that other transports have, which the official client leaves out, so
 * that the server knows of it before it accepts. It also plugs into the official client, from 4.8 on.
 */

import { encodeFrames, FrameReader } from "../engine/frames.js";
import type { Packet } from "../engine/packet.js";
import { Transport } from "../engine/transport.js";
import { race } from "./race.js";
import { bracketed, writeQuery } from "../url.js";

/** A certificate that is trusted without any authority; text is base64. */
export interface CertificateHash {
  algorithm?: string;
  value: string | BufferSource;
}

/** What `transportOptions.webtransport` may hold, beside all that a browser's `WebTransport` takes. */
export interface WebTransportTransportOptions {
  serverCertificateHashes?: CertificateHash[];
  /**
   * Whether the server is asked for its certificate's hash (`webtransport.json`) where none is given:
   * only on this computer, if it is not said. Then pages in development need no copy of it.
   */
  fetchCertificateHashes?: boolean;
  allowPooling?: boolean;
  congestionControl?: "default" | "throughput" | "low-latency";
  requireUnreliable?: boolean;
}

/** What TypeScript's own library does not know yet, or knows otherwise. */
interface Session {
  ready: Promise<unknown>;
  closed: Promise<{ closeCode?: number; reason?: string }>;
  close(): void;
  createBidirectionalStream(): Promise<{
    readable: ReadableStream<Uint8Array>;
    writable: WritableStream<Uint8Array>;
  }>;
}

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|::1)$/;

/** How long a goodbye may take, in milliseconds. */
const GOODBYE = 1000;

const ignore = () => {};

export class WT extends Transport {
  private _session?: Session;
  private _writer?: WritableStreamDefaultWriter<Uint8Array>;

  get name(): string {
    return "webtransport";
  }

  /** The URL: always `https`, and always with the port that the server has. */
  protected uri(): string {
    const { hostname = "", port, secure, path } = this.opts;
    const number = Number(port || (secure ? 443 : 80));
    return `https://${bracketed(hostname)}${number === 443 ? "" : ":" + number}${path}?${writeQuery(this.query)}`;
  }

  /** Where a session begins that may also use WebSocket, the two are tried together. */
  override open(): this {
    const { socket } = this;
    // The official client's engine lets nobody do so; it has no such method.
    const ours = (socket as Partial<typeof socket>)._use;
    if (!ours || socket.id || !socket.transports.includes("websocket")) return super.open();
    race(socket, this, () => super.open());
    return this;
  }

  protected doOpen(): void {
    this._open().catch((error) => this._fail(error));
  }

  private async _open(): Promise<void> {
    const hashes = await this._hashes();
    if (this.readyState !== "opening") return;
    const { allowPooling, congestionControl, requireUnreliable } = this.opts as WebTransportTransportOptions;
    const options = { allowPooling, congestionControl, requireUnreliable, serverCertificateHashes: hashes };
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const Class = (globalThis as any).WebTransport;
    const session: Session = (this._session = new Class(this.uri(), Object.fromEntries(given)));
    // Whatever is promised is caught: a page does not want to hear of a session that it has ended.
    session.closed.then(
      (info) => this._end(info),
      (error) => this._fail(error),
    );
    await session.ready;
    const { readable, writable } = await session.createBidirectionalStream();
    if (this.readyState !== "opening") return session.close();
    this._writer = writable.getWriter();
    this._writer.closed.catch(ignore);
    const { sid } = this.query;
    const first: Packet = sid ? { type: "open", data: JSON.stringify({ sid }) } : { type: "open" };
    this._writer.write(await encodeFrames([first])).catch(ignore);
    this._read(readable.getReader()).catch(ignore);
    this.onOpen();
  }

  private async _hashes(): Promise<CertificateHash[] | undefined> {
    const { hostname = "", port, secure, path = "" } = this.opts;
    const own = this.opts as WebTransportTransportOptions;
    let hashes = own.serverCertificateHashes;
    if (!hashes && (own.fetchCertificateHashes ?? LOOPBACK.test(hostname))) {
      const url = `http${secure ? "s" : ""}://${bracketed(hostname)}:${port}${path.replace(/\/?$/, "/")}webtransport.json`;
      const answer = await fetch(url).catch(ignore);
      // Where there is none, the certificate is one that browsers trust, or of no use.
      if (answer?.ok) hashes = (await answer.json()).serverCertificateHashes;
    }
    return hashes?.map(({ algorithm = "sha-256", value }) => ({
      algorithm,
      value: typeof value === "string" ? Uint8Array.from(atob(value), (c) => c.charCodeAt(0)) : value,
    }));
  }

  private async _read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const frames = new FrameReader(this.socket.binaryType);
    for (;;) {
      const { value, done } = await reader.read();
      if (this.readyState === "closed") return;
      if (done) return this._end({});
      for (const packet of frames.feed(value)) this.onPacket(packet);
    }
  }

  protected async write(packets: Packet[]): Promise<void> {
    this.writable = false;
    try {
      await this._writer!.write(await encodeFrames(packets));
    } catch {
      // The session has ended, and is about to tell.
      return;
    }
    if (this.readyState === "closed") return;
    this.writable = true;
    this.emit("drain");
  }

  protected doClose(): void {
    const session = this._session;
    if (!session) return;
    const close = () => {
      try {
        session.close();
      } catch {
        // It was not even open.
      }
    };
    if (!this._writer) return close();
    // The end of the session takes with it what is under way, so the stream ends first.
    const timer = setTimeout(close, GOODBYE);
    const said = () => {
      clearTimeout(timer);
      close();
    };
    this._writer.close().then(said, said);
  }

  private _end({ closeCode, reason }: { closeCode?: number; reason?: string }): void {
    if (this.readyState === "closed") return;
    // A server that refuses says why, with a status of HTTP.
    if (closeCode) return void this.onError("webtransport error", closeCode, { responseText: reason });
    this.onClose({ description: "webtransport connection closed", context: reason });
  }

  private _fail(error: unknown): void {
    if (this.readyState !== "closed") this.onError("webtransport error", error);
  }
}

export { WT as WebTransport };
