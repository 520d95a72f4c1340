/** The transports as classes, for the official client: `transports: [Polling, Stream, WebSocket]`. */

export { Polling } from "./engine/polling.js";
export { WS as WebSocket } from "./engine/websocket.js";
export * from "./transports/index.js";
