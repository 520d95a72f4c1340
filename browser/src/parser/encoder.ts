/** Packets to messages: one text, and behind it the binary values that it mentions. */

import { type Binary, hasBinary, takeApart } from "./binary.js";
import { type Packet, PacketType } from "./packet.js";

export class Encoder {
  /** @param replacer as for `JSON.stringify`. */
  constructor(private readonly _replacer?: (this: any, key: string, value: any) => any) {}

  /** The messages of a packet, which are to be sent one after the other. */
  encode({ type, nsp, id, data }: Packet): [string, ...Binary[]] {
    const attachments: Binary[] = [];
    let json = "";
    let head: string | number = type;
    if ((type === PacketType.EVENT || type === PacketType.ACK) && hasBinary(data)) {
      json = takeApart(data, attachments, this._replacer);
      head = `${type + PacketType.BINARY_EVENT - PacketType.EVENT}${attachments.length}-`;
    } else if (data != null) json = JSON.stringify(data, this._replacer);
    return [`${head}${nsp && nsp !== "/" ? nsp + "," : ""}${id ?? ""}${json}`, ...attachments];
  }
}
