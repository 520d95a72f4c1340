/** WebSocket: each packet is a message. */

import { encode, encodeText, type Packet } from "./packet.js";
import { platform } from "./platform.js";
import { Transport } from "./transport.js";

export class WS extends Transport {
  ws?: WebSocket;

  get name(): string {
    return "websocket";
  }

  /** The URL. */
  protected uri(): string {
    return this.createUri("ws", this.opts.timestampRequests);
  }

  protected doOpen(): void {
    try {
      this._listen((this.ws = platform.connect(this.uri(), this.opts.protocols, this._headers())));
    } catch (error) {
      // There is no WebSocket here, or it does not like the address. Nobody listens yet.
      queueMicrotask(() => this.onError("websocket error", error));
    }
  }

  private _listen(ws: WebSocket): void {
    ws.binaryType = "arraybuffer";
    ws.onopen = () => this.onOpen();
    ws.onclose = (context) => {
      this.onClose({ description: "websocket connection closed", context });
    };
    ws.onmessage = (event) => this.onData(event.data);
    ws.onerror = (event) => this.onError("websocket error", event);
  }

  protected async write(packets: Packet[]): Promise<void> {
    this.writable = false;
    for (const packet of packets) {
      // A Blob can be given to the WebSocket as it is; its base64 has to be waited for.
      let data = this.supportsBinary ? encode(packet) : encodeText(packet);
      if (data instanceof Promise) data = await data;
      try {
        this.ws!.send(data as string);
      } catch {
        // It has been closed meanwhile, and is about to tell.
      }
    }
    await null;
    this.writable = true;
    this.emit("drain");
  }

  protected doClose(): void {
    if (!this.ws) return;
    this.ws.onerror = () => {};
    this.ws.close();
  }
}
