/** The client with all transports, which options can name; see `transports/index.ts`. */

import { transports } from "./engine/transports.js";
import * as further from "./transports/index.js";

for (const transport of Object.values(further)) transports[transport.prototype.name] = transport;

export * from "./index.js";
export { io as default } from "./io.js";
export * from "./transports/index.js";
