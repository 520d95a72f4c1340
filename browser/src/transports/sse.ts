/**
 * `sse`: packets come down as Server-Sent Events.
 *
 * They are read by EventSource. Where there is none, as in Node, or where it cannot do what is wanted,
 * as to send headers or to tell why it was refused, they are read from a response.
 */

import { decodePayload } from "../engine/packet.js";
import { DownStream, type Receiver } from "./downstream.js";
import { EventReader } from "./events.js";
import { readLong } from "./request.js";

/** The event whose data are JSON, for payloads with line ends. */
const QUOTED = "j";

type Take = (event: { type: string; data: string; lastEventId: string }) => void;

export class SSE extends DownStream {
  // They are comments, which EventSource keeps to itself.
  protected override beat = 0;

  get name(): string {
    return "sse";
  }

  protected listen(url: string, receiver: Receiver): () => void {
    const take: Take = ({ type, data, lastEventId }) => {
      const payload: string = type === QUOTED ? JSON.parse(data) : data;
      receiver.take(decodePayload(payload, this.socket.binaryType), Number(lastEventId));
    };
    const { opts } = this;
    const read = () => {
      const events = new EventReader(take);
      return readLong(this, opts, url, (bytes) => events.feed(bytes), receiver.refuse, receiver.end);
    };
    if (typeof EventSource === "undefined" || opts.extraHeaders) return read();
    const source = new EventSource(url, { withCredentials: !!opts.withCredentials });
    let leave = () => source.close();
    source.onmessage = take;
    source.addEventListener(QUOTED, take);
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      // By itself it would ask for the first URL again.
      source.close();
      if (refused) leave = read();
      else receiver.end();
    };
    return () => leave();
  }
}
