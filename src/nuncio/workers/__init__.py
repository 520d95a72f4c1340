"""Several processes as one server: no sticky sessions, and nothing to install on one machine.

Each worker holds the sessions that began with it. A session's id says which worker that is, so a
request that reaches another is passed on, over a Unix socket or Redis; so are the packets of a
session whose client opened its WebSocket at another worker. Broadcasts and the other operations on
many sockets go the same way.

`place` is where workers find each other: a folder (`folder`, `rendezvous`, `pipe`), or Redis
(`redis`, `channel`, `frames`). `link` and `mesh` connect them, `messages` are what they say;
`forwarder` passes on what came to the wrong worker and `owner` takes it; `adapter` makes them a
cluster; `supervisor` starts them, as `nuncio serve --workers` does.

With connection state recovery clients move between them: `recovery` is that adapter, `estate` what
they say of it, `questions` and `hearing` what it waits for and has heard; `arrival` is the end of a
move, `handover` what a worker leaves that ends.
"""
