/** All transports beyond polling and WebSocket. A line here is all that the builds need to know. */

export { Stream } from "./stream.js";
export { SSE } from "./sse.js";
export { Forever } from "./forever.js";
export { WebTransport } from "./webtransport.js";
