/** The public names: those of the official client, and what transports are made of. */

export { io, io as connect, io as default } from "./io.js";
export { Manager, type ManagerReservedEvents } from "./manager.js";
export {
  type DisconnectDescription,
  type ExtendedError,
  Socket,
  type SocketReservedEvents,
} from "./socket.js";
export type { ManagerOptions, SocketOptions } from "./options.js";
export type { AnyEvents, EventsMap } from "./events.js";
export { protocol } from "./parser/packet.js";

// The official client has several classes for one transport; here one does the work of all.
export { Polling as Fetch, Polling as NodeXHR, Polling as XHR, Polling } from "./engine/polling.js";
export { WS as NodeWebSocket, WS as WebSocket } from "./engine/websocket.js";
export { Engine } from "./engine/engine.js";
export { Transport, type TransportClass, type TransportOptions } from "./engine/transport.js";
export { transports } from "./engine/transports.js";
