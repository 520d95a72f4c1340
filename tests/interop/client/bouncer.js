"use strict";
// What the official Engine.IO server offers: it greets, and sends back whatever it receives.

const { serialize } = require("cookie");

const COMMANDS = {
  binary: (socket) => socket.send(Buffer.from([0, 1, 2, 3, 4])),
  // The headers of the request that brought this message.
  headers: (socket) => socket.send(JSON.stringify(socket.transport.dataReq?.headers ?? socket.request.headers)),
  close: (socket) => socket.close(),
};

module.exports = function bouncer(engine, report) {
  engine.on("connection", (socket) => {
    report("connection", socket.id, socket.transport.name, { ...socket.request._query });
    socket.on("close", (reason) => report("close", socket.id, reason));
    socket.on("upgrade", () => report("upgrade", socket.id));
    socket.send("hi");
    socket.on("message", (data) => {
      report("message", socket.id, data);
      if (Object.hasOwn(COMMANDS, data)) COMMANDS[data](socket);
      else socket.send(data);
    });
  });
  // Two cookies to keep, and two that are over.
  engine.on("initial_headers", (headers) => {
    headers["set-cookie"] = [
      serialize("kept", "1", { maxAge: 86400 }),
      serialize("odd", "a=b&c", { sameSite: true, path: "/", httpOnly: true, encode: String }),
      serialize("old", "3", { maxAge: 0 }),
      serialize("older", "4", { expires: new Date(0) }),
    ];
  });
};
