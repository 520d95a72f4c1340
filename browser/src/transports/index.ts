/** All transports beyond polling and WebSocket. A line here and one below is all that builds need. */

import { Forever } from "./forever.js";
import { SSE } from "./sse.js";
import { Stream } from "./stream.js";
import { WebRTC } from "./webrtc.js";
import { WebTransport } from "./webtransport.js";

export { Forever, SSE, Stream, WebRTC, WebTransport };

/** The same, for those who take them all. */
export const further = [Stream, SSE, Forever, WebTransport, WebRTC];
