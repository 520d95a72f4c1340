/**
 * Long-polling: one GET waits at the server for packets, one POST at a time carries ours.
 *
 * It is done by fetch. Errors have the texts of the official client, which XMLHttpRequest gave them,
 * because applications look at them.
 */

import { decodePayload, encodePayload, type Packet } from "./packet.js";
import { Transport } from "./transport.js";

export class Polling extends Transport {
  /** Settle when the requests under way have come to their end. */
  private _reading?: Promise<void> | null;
  private _writing?: Promise<void>;

  get name(): string {
    return "polling";
  }

  /** The URL of the next request. */
  protected uri(): string {
    return this.createUri("http", this.opts.timestampRequests !== false);
  }

  protected doOpen(): void {
    this._poll();
  }

  protected doClose(): void {
    // Before there is a session there is nobody to tell; see `_take`.
    if (this.readyState !== "opening") this._sayGoodbye();
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    this._writing = this._post(packets).then((sent) => {
      if (!sent) return;
      this.writable = true;
      this.emit("drain");
    });
  }

  override pause(done: () => void): void {
    this.readyState = "pausing";
    Promise.all([this._reading, this._writing]).then(() => {
      if (this.readyState !== "pausing") return;
      this.readyState = "paused";
      done();
    });
  }

  /** Go on after `pause`, when the other transport has failed after all. */
  resume(): void {
    if (!this.readyState.startsWith("paus")) return;
    this.readyState = "open";
    if (!this._reading) this._poll();
  }

  private _poll(): void {
    this._reading = this._get();
  }

  private async _get(): Promise<void> {
    const body = await this._request("xhr poll error");
    try {
      if (body !== undefined) this._take(body);
    } finally {
      this._reading = null;
      if (this.readyState === "open" && body !== undefined) this._poll();
    }
  }

  private _take(body: string): void {
    for (const packet of decodePayload(body, this.socket.binaryType)) {
      if (this.readyState === "closed") return this._leave(packet);
      if (this.readyState === "opening" && packet.type === "open") this.onOpen();
      if (packet.type === "close") {
        return this.onClose({ description: "transport closed by the server" });
      }
      this.onPacket(packet);
    }
  }

  /** End a session that opened after it had been given up. */
  private _leave({ type, data }: Packet): void {
    if (type !== "open" || this.query.sid) return;
    this.query.sid = JSON.parse(data).sid;
    this._sayGoodbye();
  }

  private _sayGoodbye(): void {
    void this._post([{ type: "close" }], true);
  }

  private async _post(packets: Packet[], last?: boolean): Promise<boolean> {
    const body = await encodePayload(packets);
    return (await this._request("xhr post error", body, last)) !== undefined;
  }

  /** The body of the answer; undefined when there is none, which has been told then. */
  private async _request(reason: string, body?: string, last?: boolean): Promise<string | undefined> {
    let status = 0;
    let context: any;
    try {
      const response = await this._fetch(body, last);
      const text = await response.text();
      if (response.ok) return text;
      ({ status } = response);
      context = contextOf(response, text);
    } catch (error) {
      context = error;
    }
    if (this.readyState !== "closed") this.onError(reason, status, context);
    return undefined;
  }

  private async _fetch(body?: string, last?: boolean): Promise<Response> {
    const { withCredentials, requestTimeout } = this.opts;
    const response = await fetch(this.uri(), {
      method: body === undefined ? "GET" : "POST",
      body,
      // The last words are said even when the page is gone.
      keepalive: last,
      headers: this._headers(),
      credentials: withCredentials ? "include" : "same-origin",
      signal: requestTimeout ? AbortSignal.timeout(requestTimeout) : undefined,
    });
    this.socket.cookies?.take(response);
    return response;
  }
}

/** A response as the context of an error: applications look into it as into an XMLHttpRequest. */
export function contextOf(response: Response, responseText: string): unknown {
  return Object.assign(response, { readyState: 4, responseText });
}
