/**
 * The transports as classes, for the official client: `transports: [Polling, Stream, WebSocket]`.
 *
 * Those that open a session look at what the server says, since that client does not tell the others.
 */

import type { Packet } from "./engine/packet.js";
import { Polling as OwnPolling } from "./engine/polling.js";
import { WS } from "./engine/websocket.js";
import { notice } from "./transports/handshake.js";

export * from "./transports/index.js";

export class Polling extends OwnPolling {
  protected override onPacket(packet: Packet): void {
    notice(this.socket, packet);
    super.onPacket(packet);
  }
}

export class WebSocket extends WS {
  protected override onPacket(packet: Packet): void {
    notice(this.socket, packet);
    super.onPacket(packet);
  }
}
