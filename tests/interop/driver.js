"use strict";
// The other side of the tests: the official clients, told what to do by `tests.support.node`.
//
// It listens on a port of its own, printed at the start. Each connection there is one test, whose
// clients end with it. Commands and answers are lines of JSON:
//
//   -> {"id": 1, "do": "connect", "with": {...}}      <- {"id": 1, "ok": value} or {"id": 1, "error": text}
//                                                     <- {"ref": 1, "event": "name", "args": [...]}

const net = require("net");
const { pack, unpack } = require("./tagged.js");

const PACKAGES = {
  // Another client may be put to the same tests: NUNCIO_CLIENT is its path.
  "4": process.env.NUNCIO_CLIENT || "socket.io-client",
  "4.0": "socket.io-client-4.0",
  "3.1": "socket.io-client-3.1",
  "2": "socket.io-client-2",
};
const ENGINES = { "6": "engine.io-client", "3": "engine.io-client-3" };
const LIFECYCLE = ["connect", "connect_error", "disconnect"];
const AsyncFunction = (async () => {}).constructor;

/** Clients of 2.x have no catch-all, and tell refusals as errors. */
function watchOld(socket, any) {
  const { onevent } = socket;
  socket.onevent = function (packet) {
    any(...packet.data);
    onevent.call(this, packet);
  };
  socket.on("error", (error) => any("error", error));
}

/** The commands of one test. */
class Test {
  constructor(stream) {
    this.stream = stream;
    this.things = new Map();
  }

  say(line) {
    if (!this.stream.destroyed) this.stream.write(JSON.stringify(line) + "\n");
  }

  async handle({ id, do: name, with: given }) {
    try {
      this.say({ id, ok: pack(await this[name](unpack(given))) });
    } catch (error) {
      this.say({ id, error: String((error && error.stack) || error) });
    }
  }

  /** A Socket.IO client; everything it sees is reported. */
  connect({ ref, url, version, options }) {
    const client = require(PACKAGES[version]);
    // The package of 2.x is the function itself.
    const io = client.io || client;
    this.watch(ref, io(url, { forceNew: true, reconnection: false, ...options }));
  }

  /** Another namespace on the connection of a client. */
  of({ ref, other, nsp, options }) {
    this.watch(ref, this.things.get(other).io.socket(nsp, options));
  }

  watch(ref, socket) {
    this.things.set(ref, socket);
    for (const event of LIFECYCLE) {
      socket.on(event, (first, details) => {
        const args = first === undefined ? [] : [first];
        const description = details && details.description;
        // Sometimes it is an object that holds half of Node.
        if (["string", "number"].includes(typeof description)) args.push(description);
        this.say({ ref, event, args: pack(args) });
      });
    }
    const any = (event, ...args) => {
      const plain = args.filter((value) => typeof value !== "function");
      this.say({ ref, event, args: pack(plain) });
    };
    if (socket.onAny) socket.onAny(any);
    else watchOld(socket, any);
  }

  /** An Engine.IO client. */
  engine({ ref, url, version, options }) {
    const { Socket } = require(ENGINES[version]);
    const socket = new Socket(url, options);
    socket.binaryType = "nodebuffer";
    this.things.set(ref, socket);
    for (const event of ["handshake", "open", "message", "upgrade", "error"]) {
      socket.on(event, (value) => {
        this.say({ ref, event, args: event === "upgrade" ? [value.name] : pack([value]) });
      });
    }
    socket.on("close", (reason) => this.say({ ref, event: "close", args: [reason] }));
  }

  /** Emit and wait for the acknowledgement: all its values. */
  ask({ ref, event, args }) {
    return new Promise((resolve) => {
      this.things.get(ref).emit(event, ...args, (...values) => resolve(values));
    });
  }

  emit({ ref, event, args }) {
    this.things.get(ref).emit(event, ...args);
  }

  /** Handle an event by a function, given as source, which may answer its last argument. */
  on({ ref, event, handler }) {
    this.things.get(ref).on(event, handler);
  }

  /** When the client has left long-polling. */
  upgraded({ ref }) {
    const socket = this.things.get(ref);
    const engine = socket.io ? socket.io.engine : socket;
    if (engine.transport.name === "websocket") return;
    return new Promise((resolve) => engine.once("upgrade", () => resolve()));
  }

  /** Any code; `socket` is the client, `report(event, ...args)` says something to the test. */
  run({ ref, code, args }) {
    const report = (event, ...rest) => this.say({ ref, event, args: pack(rest) });
    const names = ["socket", "report", "args", "require"];
    return new AsyncFunction(...names, code)(this.things.get(ref), report, args, require);
  }

  end() {
    for (const thing of this.things.values()) {
      const engine = thing.io ? thing.io.engine : thing;
      if (thing.io) thing.disconnect();
      if (engine) engine.close();
    }
    this.things.clear();
  }
}

const server = net.createServer((stream) => {
  stream.setNoDelay();
  const test = new Test(stream);
  const parts = [];
  stream.on("data", (data) => {
    let start = 0;
    for (let end; (end = data.indexOf(10, start)) >= 0; start = end + 1) {
      parts.push(data.subarray(start, end));
      test.handle(JSON.parse(Buffer.concat(parts.splice(0)).toString()));
    }
    parts.push(data.subarray(start));
  });
  stream.on("error", () => {});
  // A test waits for the end, so that nothing of it is left when its server stops.
  stream.on("end", () => {
    test.end();
    stream.end();
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// It lives as long as the tests do.
process.stdin.on("end", () => process.exit()).resume();
process.on("uncaughtException", (error) => console.error(error));
