/** What is needed of the client and told by the server: the client may be the official one, too. */

import type { Packet } from "../engine/packet.js";

/** A socket, of whichever client. */
export interface AnySocket {
  id?: string | undefined;
  readonly nsp: string;
  readonly connected: boolean;
  readonly active: boolean;
  readonly io: { socket(nsp: string): any };
  on(event: any, listener: (...args: any[]) => void): unknown;
  off(event: any, listener: (...args: any[]) => void): unknown;
}

/** How to be connected to a peer. */
export interface PeerOptions {
  /** What `RTCPeerConnection` is made with, such as `iceServers`; false never to connect directly. */
  rtc?: RTCConfiguration | false;
  /** Milliseconds to connect directly in, once the peer has agreed. */
  timeout?: number;
  /** Whether the server may relay, when there is no direct way. */
  relay?: boolean;
  /** Bytes of the longest message that is taken from the peer. */
  maxMessage?: number;
}

/** Who a peer is, as the server says. */
export interface Stamp {
  /** Its socket id. */
  id: string;
  nsp: string;
  /** What the application's hook says of it. */
  identity?: any;
}

/** All that the server says of a link has these. */
export interface Told {
  link: string;
  /** Whose words these are; null for the server's own. */
  from: Stamp | null;
}

/** Half of an agreement: a session, or null for who can only be relayed. */
export interface Session {
  sdp: string | null;
  /** The fingerprint in it, as the server has read it. */
  fingerprint: string | null;
  /** Whether the link may be relayed. */
  relay: boolean;
}

export interface Offer extends Told, Session {
  /** The socket that it is for. */
  to: string;
  window: number;
}

export interface Bye extends Told {
  reason: string;
  /** The peer has only lost its connection to the server, as far as that knows. */
  lost: boolean;
}

/** Who takes part in a link, for what the server tells of it. */
export interface LinkListener {
  /** The server passes the offer on; the peer's words come after this. */
  offered(link: string, window: number): void;
  answer(told: Told & Session): void;
  ice(told: Told & { candidate: RTCIceCandidateInit | null }): void;
  relay(told: Told): void;
  data(told: Told & { data: ArrayBuffer }): void;
  taken(told: Told & { count: number }): void;
  bye(told: Bye): void;
}

/** What carries packets to a peer. */
export interface Pipe {
  /** Send packets, in order; settles when there is room for more, or the pipe has ended. */
  send(packets: readonly Packet[]): Promise<void>;
  /** End it; nothing more is told. */
  close(): void;
}
