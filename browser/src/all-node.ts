/** The client for Node with all transports that work there. */

import "./node.js";

export * from "./all.js";
export { io as default } from "./io.js";
