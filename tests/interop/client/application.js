"use strict";
// What the official servers offer to the client that is tested. It runs on socket.io 2.x, 3.x and 4.x.
//
// `report(event, ...args)` tells the test what the server sees.

const NAMESPACES = ["/", "/foo", "/asd", "/valid"];
const DYNAMIC = /^\/dynamic-\w+$/;

/** The plain part of a handshake: 2.x keeps all of Node in it. */
function handshakeOf(socket) {
  const { query, headers, auth, address, secure } = socket.handshake;
  return { query: { ...query }, headers, auth: auth || null, address, secure };
}

/** What all namespaces do. */
const HANDLERS = {
  hi: (socket) => socket.emit("hi"),
  id: (socket, ack) => ack(socket.id),
  handshake: (socket, ack) => ack(handshakeOf(socket)),
  transport: (socket, ack) => ack(socket.conn.transport.name),

  // With an acknowledgement it is the answer, otherwise an event.
  echo(socket, ...args) {
    const ack = args.at(-1);
    if (typeof ack === "function") ack(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  },

  nothing: (socket, ack) => ack(),
  several: (socket, ack) => ack(1, "two", { three: [3] }),
  binary: (socket, ack) => ack(Buffer.from([0, 1, 2, 255]), { deep: Buffer.from("deep") }),
  date: (socket, ack) => ack(new Date(0)),
  never: () => {},
  late: (socket, delay, value, ack) => setTimeout(ack, delay, value),
  twice(socket, ack) {
    ack("first");
    // A server answers once; this goes past that.
    socket.packet({ type: 3, id: socket.twice, data: ["second"] });
  },

  // Sends any event back.
  "send me": (socket, event, ...args) => socket.emit(event, ...args),
  // Asks the client, and tells it what it has answered.
  "ask me": (socket, event, ...args) =>
    socket.emit(event, ...args, (...answer) => socket.emit("answered", ...answer)),
  burst(socket, count) {
    for (let number = 0; number < count; number++) socket.emit("burst", number);
  },
  large: (socket, size) => socket.emit("large", "x".repeat(size), Buffer.alloc(size, 7)),

  join(socket, room, ack) {
    socket.join(room);
    ack();
  },
  "to room"(socket, room, event, ...args) {
    socket.nsp.to(room).emit(event, ...args);
  },

  leave: (socket, all) => socket.disconnect(all === true),
  "close the engine": (socket) => socket.conn.close(),
  "cut the engine": (socket) => socket.conn.close(true),
  // A message of the engine, whatever is in it.
  raw: (socket, data) => socket.conn.send(data),
};

/** How often each event with an id was received, by all sockets of a server. */
function countDuplicates(counts, socket) {
  socket.on("once only", (id, ack) => {
    counts.set(id, (counts.get(id) || 0) + 1);
    if (typeof ack === "function") ack(counts.get(id));
  });
}

function attend(io, report, counts, socket) {
  const nsp = socket.nsp.name;
  report("connection", nsp, socket.id, {
    ...handshakeOf(socket),
    recovered: socket.recovered || false,
    engine: socket.conn.id,
    transport: socket.conn.transport.name,
  });
  socket.on("disconnect", (reason) => report("disconnect", nsp, socket.id, reason));
  socket.on("error", (error) => report("error", nsp, socket.id, error));
  // A middleware sees events in all versions.
  socket.use((packet, next) => {
    const [name, ...args] = packet;
    report("event", nsp, socket.id, name, args.filter((value) => typeof value !== "function"));
    next();
  });
  watchAnswers(socket);
  for (const [name, handler] of Object.entries(HANDLERS)) {
    socket.on(name, (...args) => handler(socket, ...args));
  }
  countDuplicates(counts, socket);
}

/** Remember the id that `twice` is asked for with: handlers do not see it. */
function watchAnswers(socket) {
  const { onevent } = socket;
  socket.onevent = function (packet) {
    if (packet.data[0] === "twice") this.twice = packet.id;
    return onevent.call(this, packet);
  };
}

function refusal(text, data) {
  const error = new Error(text);
  error.data = data;
  return error;
}

module.exports = function application(io, report) {
  const counts = new Map();
  const attended = [...NAMESPACES, "/early", "/greeting", "/secret", DYNAMIC].map((nsp) => io.of(nsp));

  // The default namespace, when asked to.
  io.use((socket, next) => {
    if (socket.handshake.query.fail) return next(refusal("Not here", { code: 7 }));
    next();
  });
  io.of("/no").use((socket, next) => next(refusal("Not welcome", { code: 42, retry: false })));
  io.of("/secret").use((socket, next) => {
    const { token } = socket.handshake.auth || {};
    next(token === "sesame" ? undefined : refusal("Wrong token", { token: token || null }));
  });
  // Emits before the client is connected.
  io.of("/early").use((socket, next) => {
    socket.emit("early", 1);
    socket.emit("early", Buffer.from([2]));
    next();
  });

  for (const nsp of attended) nsp.on("connection", (socket) => attend(io, report, counts, socket));
  io.of("/greeting").on("connection", (socket) => socket.emit("greeting", handshakeOf(socket)));
};
