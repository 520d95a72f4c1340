/** `stream`: packets come down as frames in the body of a response that is read as it comes. */

import { FrameReader } from "../engine/frames.js";
import { DownStream, type Receiver } from "./downstream.js";
import { readLong } from "./request.js";

export class Stream extends DownStream {
  get name(): string {
    return "stream";
  }

  protected listen(url: string, receiver: Receiver): () => void {
    const frames = new FrameReader(this.socket.binaryType);
    const read = (bytes: Uint8Array) => receiver.take(frames.feed(bytes));
    return readLong(this, this.opts, url, read, receiver.refuse, receiver.end);
  }
}
