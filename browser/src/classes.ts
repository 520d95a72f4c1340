/**
 * The transports as classes, for the official client: `transports: [Polling, Stream, WebSocket]`.
 *
 * They do more for its engine than for ours: that one does not tell its transports what the server said
 * when the session opened, and does not go on when an upgrade fails in its middle.
 */

import type { Engine } from "./engine/engine.js";
import type { Packet } from "./engine/packet.js";
import { Polling as OwnPolling } from "./engine/polling.js";
import type { Transport } from "./engine/transport.js";
import { WS } from "./engine/websocket.js";
import * as own from "./transports/index.js";

type Restable = Transport & { resume?(): void };

/** A class of ours, made for the official engine. */
function plugged<T extends { new (options: any): Transport; prototype: { name: string } }>(Class: T): T {
  const Base = Class as unknown as new (options: any) => any;
  return class extends Base {
    protected onPacket(packet: Packet): void {
      if (packet.type === "open") this.socket._handshake ??= read(packet.data, this.socket);
      super.onPacket(packet);
    }

    pause(done: () => void): void {
      const socket: Engine = this.socket;
      const stay = () => {
        (this as unknown as Restable).resume?.();
        if (!socket.upgrading) return;
        socket.upgrading = false;
        socket.flush();
      };
      socket.once("upgradeError", stay);
      super.pause(() => {
        socket.off("upgradeError", stay);
        done();
      });
    }
  } as unknown as T;
}

/** What the server said, with only those upgrades that are tried. */
function read(data: string, { transports }: Engine): any {
  try {
    const { upgrades, ...handshake } = JSON.parse(data);
    return { ...handshake, upgrades: upgrades.filter((name: string) => transports.includes(name)) };
  } catch {
    // The engine will say so.
    return undefined;
  }
}

export const Polling = plugged(OwnPolling);
export const WebSocket = plugged(WS);
export const Stream = plugged(own.Stream);
export const SSE = plugged(own.SSE);
export const Forever = plugged(own.Forever);
export const WebTransport = plugged(own.WebTransport);
export const WebRTC = plugged(own.WebRTC);
