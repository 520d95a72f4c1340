/** From here on, options can name all transports. */

import { transports } from "./engine/transports.js";
import { further } from "./transports/index.js";

for (const transport of further) transports[transport.prototype.name] = transport;
