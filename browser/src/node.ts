/**
 * The client for Node: the same, with what browsers do by themselves.
 *
 * That is to keep cookies (`withCredentials`) and, with Node's own WebSocket, to send headers. Binary
 * messages are Buffers, as the official client gives them there.
 */

import { NodeCookies } from "./engine/cookies.js";
import { platform } from "./engine/platform.js";

platform.binaryType = "nodebuffer";
platform.cookies = () => new NodeCookies();
platform.connect = (url, protocols, headers) => {
  const options = Object.keys(headers).length ? { protocols, headers } : protocols;
  return new globalThis.WebSocket(url, options as string[]);
};

export * from "./index.js";
export { io as default } from "./io.js";
