/** For `<script>`, after the client: its sockets get the method `peer`. */

import { install, Peer, peer, PeerError, Peers, peers } from "./index.js";

// Around this file the build puts what makes it global, or the module: see build.mjs.
declare function publish(parts: object): void;
declare const io: any;

if (typeof io === "function" && io.Socket) install(io);

publish({ Peer, PeerError, Peers, install, peer, peers });
