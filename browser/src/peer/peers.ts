/** The peers of one socket: those it asks for, and those that ask for it. */

import { Emitter } from "../emitter.js";
import { Control, type Home } from "./control.js";
import { Peer } from "./peer.js";
import type { AnySocket, Offer, PeerOptions } from "./types.js";

const all = new WeakMap<AnySocket, Peers>();

/** After these the socket comes back by itself; it was neither told to go nor wanted to. */
const LOST = ["transport close", "transport error", "ping timeout", "parse error", "forced close"];

export class Peers extends Emitter<{ peer: (peer: Peer) => void }> implements Home {
  /** Those of a socket. */
  static of(socket: AnySocket): Peers {
    let peers = all.get(socket);
    if (!peers) all.set(socket, (peers = new Peers(socket)));
    return peers;
  }

  /** How peers are connected, unless it is said otherwise. */
  options: PeerOptions = {};
  private readonly _peers = new Map<string, Peer<any, any>>();
  private readonly _control: Control;

  private constructor(readonly socket: AnySocket) {
    super();
    this._control = Control.of(socket);
    // Before the control, which may end the connection then.
    socket.on("disconnect", (reason: string) => this._left(LOST.includes(reason)));
    this._control.add(this);
  }

  /** All that are connected or about to be, by their socket ids. */
  get peers(): ReadonlyMap<string, Peer<any, any>> {
    return this._peers;
  }

  /** Until others can ask for this socket, too; fails where the server knows of no peers. */
  ready(): Promise<void> {
    return this._control.ready();
  }

  /**
   * Be connected to a peer; gives the same object as long as that is so.
   *
   * @param id its socket id, in the same namespace.
   * @param options how.
   */
  connect(id: string, options?: PeerOptions): Peer<any, any> {
    const there = this._peers.get(id);
    if (there) return there.incoming ? there.accept(options) : there;
    const peer = this._add(id, false, options);
    peer._offer();
    return peer;
  }

  /** @internal The server brings an offer. */
  offered(offer: Offer): void {
    const { id } = offer.from!;
    const there = this._peers.get(id);
    if (there && !there.incoming && there._isPending) {
      // Both have asked at the same time: the offer of the greater id counts, for both.
      if (this.socket.id! < id) there._adopt(offer);
      return;
    }
    // The peer begins anew, and so does this side.
    there?._replaced();
    const peer = this._add(id, true);
    peer._take(offer);
    if (this.hasListeners("peer")) this.emit("peer", peer);
    else peer.refuse();
  }

  private _add(id: string, incoming: boolean, options?: PeerOptions): Peer<any, any> {
    const forget = () => {
      if (this._peers.get(id) === peer) this._peers.delete(id);
    };
    const peer: Peer = new Peer(this.socket, id, incoming, { ...this.options, ...options }, forget);
    this._peers.set(id, peer);
    return peer;
  }

  private _left(lost: boolean): void {
    for (const peer of [...this._peers.values()]) peer._left(lost);
  }
}
