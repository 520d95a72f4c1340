/** For `<script>`, workers' `importScripts` and old loaders of modules: `io` alone. */

import { io } from "./io.js";

// Around this file the build puts what makes it global, or the module: see build.mjs.
declare function publish(client: typeof io): void;

publish(io);
