/**
 * The namespace in which the server arranges links between peers: one for each connection.
 *
 * The server lets in only who is in a namespace of the application, so it is entered after that.
 */

import type { AnySocket, LinkListener, Offer } from "./types.js";

const NAMESPACE = "/.nuncio";

/** The server refuses who comes too early; that is no reason to give up. */
const TOO_EARLY = "join another namespace first";

/** Time for the server to say something to an offer. */
const ANSWER_WITHIN = 20_000;

/** Who takes offers for one socket. */
export interface Home {
  readonly socket: AnySocket;
  offered(offer: Offer): void;
}

/** What a link could not be made for. */
export class PeerError extends Error {
  /**
   * @param code a word, such as `peer:denied`.
   * @param data what the application says beside it.
   */
  constructor(
    message: string,
    readonly code: string,
    readonly data?: any,
  ) {
    super(message);
  }
}

const controls = new WeakMap<object, Control>();

export class Control {
  /** The one of a socket's connection. */
  static of({ io }: AnySocket): Control {
    let control = controls.get(io);
    if (!control) controls.set(io, (control = new Control(io)));
    return control;
  }

  private readonly _homes = new Set<Home>();
  private readonly _links = new Map<string, LinkListener>();
  private _socket: any;

  private constructor(private readonly _manager: AnySocket["io"]) {}

  /** Take offers for a socket, as long as it is connected or about to be. */
  add(home: Home): void {
    this._homes.add(home);
    const { socket } = home;
    socket.on("connect", () => this._enter());
    socket.on("disconnect", () => this._leave());
    if (socket.connected) this._enter();
  }

  /** Until offers can be made; fails where the server does not know of peers. */
  ready(): Promise<void> {
    this._enter();
    const socket = this._socket;
    if (socket.connected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const entered = () => end(resolve);
      const refused = (error: Error) => {
        if (error.message !== TOO_EARLY) end(() => reject(disabled(error)));
      };
      const end = (then: () => void) => {
        socket.off("connect", entered);
        socket.off("connect_error", refused);
        then();
      };
      socket.on("connect", entered);
      socket.on("connect_error", refused);
    });
  }

  /** Make an offer; settles when the server has passed it on, and fails when it does not. */
  offer(offer: object, listener: LinkListener): Promise<void> {
    return new Promise((resolve, reject) => {
      this._socket.timeout(ANSWER_WITHIN).emit("peer:offer", offer, (error: Error | null, answer: any) => {
        if (error) reject(error);
        else if (answer?.link) {
          // At once: what the peer says may have come in the same piece.
          listener.offered(answer.link, answer.window);
          resolve();
        } else reject(new PeerError(answer?.message ?? "no answer", answer?.error ?? "peer:invalid", answer?.data));
      });
    });
  }

  /** Tell the server something, if it is there; what it misses, it has no use for later. */
  send(event: string, ...args: unknown[]): void {
    if (this._socket?.connected) this._socket.emit(event, ...args);
  }

  /** Listen to what the server says of a link. */
  listen(link: string, listener: LinkListener): void {
    this._links.set(link, listener);
  }

  /** No longer. */
  forget(link: string): void {
    this._links.delete(link);
  }

  private _enter(): void {
    if (!this._socket) this._begin();
    if (!this._socket.active) this._socket.connect();
  }

  /** The connection is to end with the last namespace of the application. */
  private _leave(): void {
    for (const { socket } of this._homes) if (socket.active) return;
    this._socket?.disconnect();
  }

  private _begin(): void {
    const socket = (this._socket = this._manager.socket(NAMESPACE));
    socket.on("peer:offer", (offer: Offer) => {
      for (const home of this._homes) if (home.socket.id === offer.to) return home.offered(offer);
      this.send("peer:bye", { link: offer.link, reason: "refused" });
    });
    for (const event of ["answer", "ice", "relay", "data", "taken", "bye"] as const) {
      socket.on(`peer:${event}`, (told: any) => this._links.get(told.link)?.[event](told));
    }
  }
}

function disabled(error: Error): Error {
  if (error.message !== "Invalid namespace") return error;
  return new PeerError("the server connects no peers", "peer:disabled");
}
