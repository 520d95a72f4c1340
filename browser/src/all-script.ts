/** For `<script>`: `io`, with all transports. */

import "./all.js";
import "./script.js";
