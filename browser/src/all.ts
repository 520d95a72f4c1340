/** The client with all transports, which options can name; see `transports/index.ts`. */

import "./register.js";

export * from "./index.js";
export { io as default } from "./io.js";
export { Forever, SSE, Stream, WebRTC, WebTransport } from "./transports/index.js";
