/**
 * WebRTC: packets over a data channel to the server (experimental).
 *
 * The offer is POSTed, complete, and the answer comes back; then the channel is a stream of packets.
 * It is a class for the option `transports`, of this client and of the official one (4.8 or later).
 */

import { Channel } from "../engine/channel.js";
import type { Packet } from "../engine/packet.js";
import { Transport, type TransportOptions } from "../engine/transport.js";
import { Rest } from "./rest.js";

/** Options under `transportOptions.webrtc`. Times are milliseconds. */
export interface WebRTCOptions {
  /** STUN and TURN servers; none are asked unless they are named here. */
  iceServers?: RTCIceServer[];
  /** How long to look for own addresses at most. */
  gatherTimeout?: number;
  /** How long it may take until the channel is open. */
  openTimeout?: number;
}

const GATHER = 500;
const OPEN = 10_000;

/** How long the server may take to read what was sent before a close. */
const CLOSE = 5_000;

export class WebRTC extends Transport {
  protected declare readonly opts: TransportOptions & WebRTCOptions;
  private _connection?: RTCPeerConnection;
  private _channel?: Channel;
  private _limit?: ReturnType<typeof setTimeout>;
  /** Brings the session's WebSocket to rest, if it is to be left for this. */
  private _rest?: Rest;

  get name(): string {
    return "webrtc";
  }

  protected doOpen(): void {
    const current = this.socket.transport;
    if (this.query.sid && current?.name === "websocket") this._rest = new Rest(this, current, this.socket);
    this._limit = setTimeout(() => this._fail("timeout"), this.opts.openTimeout ?? OPEN);
    // Later, so that there are listeners for what goes wrong at once.
    Promise.resolve()
      .then(() => this._connect())
      .catch((error) => this._fail(error));
  }

  protected write(packets: Packet[]): void {
    this.writable = false;
    void this._channel!.send(packets).then(() => {
      if (this.readyState !== "open") return;
      this.writable = true;
      this.emit("drain");
    });
  }

  protected doClose(): void {
    this._cleanUp();
    this._channel?.close();
  }

  protected override onClose(details?: { description: string; context?: unknown }): void {
    this._cleanUp();
    super.onClose(details);
    // Only now, for the engine must not take up what has been given up.
    this._rest?.end();
  }

  private async _connect(): Promise<void> {
    const { iceServers = [], gatherTimeout = GATHER } = this.opts;
    const connection = (this._connection = new RTCPeerConnection({ iceServers }));
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") this._fail("unreachable");
    };
    const channel = connection.createDataChannel("eio4");
    this._channel = new Channel(
      connection,
      channel,
      {
        onOpen: () => this._opened(),
        onPacket: (packet) => this.onPacket(packet),
        onClose: (error) => this._closed(error),
      },
      this.socket.binaryType,
    );
    // What was sent before a close still leaves.
    channel.addEventListener("close", () => connection.close());
    await connection.setLocalDescription();
    await gathered(connection, gatherTimeout);
    if (this._given()) return;
    const answer = await this._ask(connection.localDescription!.sdp);
    if (!this._given()) await connection.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /** Whether it has been closed meanwhile. */
  private _given(): boolean {
    return this.readyState !== "opening";
  }

  private async _ask(body: string): Promise<string> {
    const { extraHeaders, withCredentials, timestampRequests } = this.opts;
    const response = await fetch(this.createUri("http", timestampRequests), {
      method: "POST",
      body,
      headers: { ...extraHeaders, "content-type": "application/sdp" },
      credentials: withCredentials ? "include" : "same-origin",
    });
    if (response.status === 201) return response.text();
    throw Object.assign(response, { responseText: await response.text() });
  }

  private _opened(): void {
    if (this._given()) return;
    clearTimeout(this._limit);
    this.onOpen();
  }

  private _closed(error?: Event): void {
    if (this.readyState === "closed") return;
    if (this.readyState === "opening" || error) this._fail(error ?? "closed");
    else this.onClose({ description: "data channel closed" });
  }

  /** @param why an error, or an answer of the server. */
  private _fail(why: unknown): void {
    if (this.readyState === "closed" || !this.readyState) return;
    const connection = this._connection;
    const answer = why as Partial<Response> | undefined;
    this.onError("webrtc error", answer?.status ?? why, why);
    this.close();
    // Nothing more can leave.
    connection?.close();
  }

  private _cleanUp(): void {
    clearTimeout(this._limit);
    const connection = this._connection;
    this._connection = undefined;
    if (!connection) return;
    connection.onconnectionstatechange = null;
    if (this._channel?.isOpen) setTimeout(() => connection.close(), CLOSE);
    else connection.close();
  }
}

/** Until all own addresses are known, or it has taken too long. */
function gathered(connection: RTCPeerConnection, most: number): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (connection.iceGatheringState === "complete") resolve();
    };
    connection.onicegatheringstatechange = look;
    setTimeout(resolve, most);
    look();
  });
}
