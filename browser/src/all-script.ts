/** For `<script>`: `io`, with all transports. */

import "./register.js";
import "./script.js";
