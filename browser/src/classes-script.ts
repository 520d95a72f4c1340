/** For `<script>`: the transports as one object. */

import * as classes from "./classes.js";

// Around this file the build puts what makes it global, or the module: see build.mjs.
declare function publish(all: object): void;

publish({ ...classes });
